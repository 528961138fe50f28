"""Why a description cannot be imported."""

from __future__ import annotations

from ..errors import BridgeError


class ImportFailed(BridgeError):
    """A description that cannot be imported. The message says what to do."""

    code = "not-a-description"


class Inexpressible(Exception):
    """An operation that cannot be expressed in a manifest; the text says why. It is skipped, the others are not."""
