"""Where the digests of approved tools are kept between runs: one JSON file in the user's state folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..manifest.pinning import ApprovedDigests

STATE_DIR_VARIABLE: Final = "UTCP_WS_MCP_STATE_DIR"


class PinStore:
    """The approved tools of all manuals. A file that cannot be read or written costs the memory, never a call."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def default(cls, environ: Mapping[str, str] | None = None) -> PinStore:
        """The pins in $UTCP_WS_MCP_STATE_DIR, or in the user's state folder (XDG Base Directory Specification)."""
        environ = os.environ if environ is None else environ
        base = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        folder = environ.get(STATE_DIR_VARIABLE) or str(Path(base) / "utcp-ws-mcp")
        return cls(Path(folder) / "pins.json")

    def get(self, manual: str, origin: str) -> ApprovedDigests:
        """The approved tools of a manual at an origin."""
        found = self._read().get(f"{manual} {origin}")
        return found if isinstance(found, dict) else {}

    def save(self, manual: str, origin: str, pinned: ApprovedDigests) -> str | None:
        """Remember the approved tools of a manual; what went wrong, or None. The file is replaced as a whole."""
        every = self._read()
        if every.get(f"{manual} {origin}") == dict(pinned):
            return None
        every[f"{manual} {origin}"] = dict(pinned)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            beside = self._path.with_suffix(f".{os.getpid()}.new")
            beside.write_text(json.dumps(every, indent=2, sort_keys=True), encoding="utf-8")
            beside.replace(self._path)
        except OSError as failed:
            return f"the approved tools cannot be kept in {self._path}: {failed.strerror}"
        return None

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            every = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return every if isinstance(every, dict) else {}
