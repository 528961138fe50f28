"""The approved tools of endpoints, for a program that keeps nothing: those of the user hold, new ones are forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..client.pin_store import FIRST_NUMBER, Approval, ManualPins, PinStore
from ..records import replace


class TransientPinStore(PinStore):
    """A store that reads the file of approvals and never writes it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._trusted: dict[tuple[str, str], dict[str, Approval]] = {}

    async def get(self, manual: str, origin: str) -> ManualPins:
        """Return the approvals of the file, and those of this program."""
        pins = await super().get(manual, origin)
        return replace(pins, approved={**self._trusted.get((manual, origin), {}), **pins.approved})

    async def trust(self, manual: str, origin: str, digests: Mapping[str, str]) -> int:
        """Trust tools on first use until the program ends; return the number of these approvals."""
        approved = self._trusted.setdefault((manual, origin), {})
        for name, digest in digests.items():
            approved.setdefault(name, Approval(digest, FIRST_NUMBER))
        return FIRST_NUMBER
