"""Remember the manual that each endpoint announced last, so that its tools can be offered before it answers again.

One file for each endpoint in the state folder, next to the approved tools. A remembered manual is read like one from
the network: only tools that were approved are offered from it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Final

from anyio import to_thread

from ..core.codecs.message import encode_json, to_json_safe
from ..core.tools.catalog import sample_url
from ..core.value_size import is_too_large
from ..files import reason_of
from ..manifest.entries import ManifestEntry
from ..manifest.models.base import Json
from ..manifest.pinning import tool_digest
from .state_files import UnreadableFile, read_state_file, replace_state_file, state_folder

logger = logging.getLogger(__name__)

MAX_MANUAL_BYTES: Final = 1 << 20
"""Bytes of a manual that is remembered."""

MAX_MANUALS: Final = 64
"""Manuals in the folder; the oldest are removed."""


class ManualCache:
    """The manuals of earlier runs in a folder. Files are read and written in a thread.

    Args:
        folder: The folder; None: in the state folder of the user, which is looked up when it is first needed.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._given_folder = folder
        self._known: dict[Path, str] = {}

    @cached_property
    def _folder(self) -> Path:
        return state_folder() / "manuals" if self._given_folder is None else self._given_folder

    async def load(self, entry: ManifestEntry) -> Json:
        """Return the manual that the endpoint of an entry announced last, or None."""
        return await to_thread.run_sync(self._load, self._path(entry))

    async def save(self, entry: ManifestEntry, manual: Json, redact: Callable[[str], str] = str) -> None:
        """Remember a manual, if it differs from the one that is remembered. A failure is logged.

        A manual that contains a secret is not stored: it may repeat the token with which it was requested.
        """
        if is_too_large(manual, MAX_MANUAL_BYTES):
            return
        shown = encode_json(to_json_safe(manual))
        if redact(shown) != shown:
            return
        text = json.dumps(manual, ensure_ascii=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        path = self._path(entry)
        if len(text) > MAX_MANUAL_BYTES or self._known.get(path) == digest:
            return
        self._known[path] = digest
        try:
            await to_thread.run_sync(self._save, path, json.dumps({"digest": digest, "manual": text}))
        except OSError as failed:
            logger.info("the manual of %s is not remembered: %s", entry.name, reason_of(failed))

    def _path(self, entry: ManifestEntry) -> Path:
        """Return the file of an entry: another one if its URL or its fields change."""
        key = [entry.name, sample_url(entry), entry.raw]
        return self._folder / f"{tool_digest(key)[:32]}.json"

    def _load(self, path: Path) -> Json:
        try:
            text = read_state_file(path, 2 * MAX_MANUAL_BYTES)
            document = json.loads(text) if text is not None else None
            if document is None or hashlib.sha256(document["manual"].encode()).hexdigest() != document["digest"]:
                return None
            self._known[path] = document["digest"]
            return json.loads(document["manual"])
        except (UnreadableFile, ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return None  # the endpoint announces it again

    def _save(self, path: Path, text: str) -> None:
        replace_state_file(path, text)
        files: list[tuple[float, Path]] = []
        for file in self._folder.glob("*.json"):
            with suppress(OSError):  # another process removed it
                files.append((file.stat().st_mtime, file))
        for _, file in sorted(files)[:-MAX_MANUALS]:
            with suppress(OSError):
                file.unlink()
