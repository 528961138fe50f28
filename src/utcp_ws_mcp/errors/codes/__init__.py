"""The registry of codes: every error, lint warning and manifest problem has one. The documentation is keyed by them.

A code never changes its meaning. A new message gets a new code; a code that is no longer used is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .calls import CALLS
from .commands import COMMANDS
from .connections import CONNECTIONS
from .discovery import DISCOVERY
from .manifest import MANIFEST
from .warnings import WARNINGS

CODES: Final[Mapping[str, str]] = {**MANIFEST, **CONNECTIONS, **CALLS, **DISCOVERY, **COMMANDS, **WARNINGS}
"""What each code means, in one or two sentences of plain text."""
