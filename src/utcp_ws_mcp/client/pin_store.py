"""Store the digests of approved tools between runs: one JSON file in the state folder of the user."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..errors import PinStoreError
from ..manifest.pinning import ApprovedDigests

STATE_DIR_VARIABLE: Final = "UTCP_WS_MCP_STATE_DIR"
APP_NAME: Final = "utcp-ws-mcp"


class PinStore:
    """The approved tools of all manuals.

    A file that cannot be read counts as empty: the store then trusts tools as on first use, and no call fails for it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def default(cls, environ: Mapping[str, str] | None = None) -> PinStore:
        """Return the store in $UTCP_WS_MCP_STATE_DIR, or in the state folder of the platform.

        Args:
            environ: The environment to read the variable from; by default that of the process.
        """
        folder = (os.environ if environ is None else environ).get(STATE_DIR_VARIABLE)
        if folder:
            return cls(Path(folder) / "pins.json")
        from platformdirs import user_state_path  # here, because only bridges without a store of their own need it

        # Without `appauthor` Windows would repeat the name: …\utcp-ws-mcp\utcp-ws-mcp.
        return cls(user_state_path(APP_NAME, appauthor=False) / "pins.json")

    def get(self, manual: str, origin: str) -> ApprovedDigests:
        """Return the approved tools of a manual at an origin, such as wss://example.com:443."""
        found = self._read().get(f"{manual} {origin}")
        return found if isinstance(found, dict) else {}

    def save(self, manual: str, origin: str, approved: ApprovedDigests) -> None:
        """Replace the approved tools of a manual at an origin. The file is replaced as a whole, or not at all.

        Raises:
            PinStoreError: If the file cannot be written.
        """
        key, document = f"{manual} {origin}", self._read()
        if document.get(key) == dict(approved):
            return
        document[key] = dict(approved)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # The process ID in the name: two servers may save at the same time.
            temporary = self._path.with_suffix(f".{os.getpid()}.new")
            temporary.write_text(json.dumps(document, indent=2, sort_keys=True), encoding="utf-8")
            temporary.replace(self._path)
        except OSError as failed:
            raise PinStoreError(str(self._path), failed.strerror or type(failed).__name__) from failed

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return document if isinstance(document, dict) else {}
