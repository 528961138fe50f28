"""The folder of the manifests that an agent makes. Nothing outside of it is read or written."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from ..errors import AuthoringRefused
from ..files import reason_of, replace_file
from ..records import Record
from .admission import MAX_MANIFEST_BYTES

MAX_MANIFESTS: Final = 200
"""Manifests in a folder."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_FILE_MODE: Final = 0o600
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class ManifestFolder(Record):
    """A folder with one file NAME.json for each manifest."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the folder at a path; make it if it does not exist.

        Raises:
            AuthoringRefused: if it cannot be made, or is no folder.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as failed:
            message = f"{path} cannot be used for manifests: {reason_of(failed)}. Give a folder that can be written."
            raise AuthoringRefused(message, code="manifest-not-saved") from None
        return cls(path.resolve())

    def names(self) -> list[str]:
        """Return the names of the manifests, sorted; links, folders and other files are none."""
        try:
            files = list(self.path.iterdir())
        except OSError:
            return []
        return sorted(file.stem for file in files if file.suffix == ".json" and self._is_manifest(file))[:MAX_MANIFESTS]

    def read(self, name: str) -> str:
        """Return the text of a manifest.

        Raises:
            AuthoringRefused: if there is none of this name, or it cannot be read.
        """
        file = self.file_of(name)
        try:
            descriptor = os.open(file, os.O_RDONLY | _NO_FOLLOW)
            with os.fdopen(descriptor, "rb") as opened:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise _not_found(name, self.names())
                return opened.read(MAX_MANIFEST_BYTES + 1).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise AuthoringRefused(
                f"the manifest {name!r} cannot be read: it is not UTF-8 text. Save it again.", code="manifest-not-found"
            ) from None
        except OSError:
            raise _not_found(name, self.names()) from None

    def save(self, name: str, text: str) -> bool:
        """Write a manifest as a whole; return whether there was one of this name.

        Raises:
            AuthoringRefused: if it cannot be written.
        """
        file = self.file_of(name)
        known = self.names()
        if name not in known and (os.path.lexists(file) or len(known) >= MAX_MANIFESTS):
            cause = (
                f"the folder has {MAX_MANIFESTS} manifests. Remove one."
                if len(known) >= MAX_MANIFESTS
                else "something else has this name. Give another name."
            )
            raise AuthoringRefused(f"the manifest {name!r} is not saved: {cause}", code="manifest-not-saved")
        try:
            replace_file(file, text.encode(), _FILE_MODE)
        except OSError as failed:
            message = f"the manifest {name!r} is not saved: {reason_of(failed)}. Tell the person whom you work for."
            raise AuthoringRefused(message, code="manifest-not-saved") from None
        return name in known

    def remove(self, name: str) -> None:
        """Remove a manifest.

        Raises:
            AuthoringRefused: if there is none of this name.
        """
        file = self.file_of(name)
        if name not in self.names():
            raise _not_found(name, self.names())
        with suppress(FileNotFoundError):
            file.unlink()

    def file_of(self, name: str) -> Path:
        """Return the file of a name.

        Raises:
            AuthoringRefused: if it is no name.
        """
        if not _NAME.match(name):
            message = "expected 1 to 64 letters, digits, _ and -, without a path and without .json. Give such a name."
            raise AuthoringRefused(f"{name[:64]!r} is no name of a manifest: {message}", code="invalid-manifest-name")
        return self.path / f"{name}.json"

    def _is_manifest(self, file: Path) -> bool:
        try:
            return bool(_NAME.match(file.stem)) and stat.S_ISREG(file.lstat().st_mode)
        except OSError:
            return False


def _not_found(name: str, known: list[str]) -> AuthoringRefused:
    listed = f"There are: {', '.join(known[:20])}." if known else "The folder has none; save_manifest adds one."
    return AuthoringRefused(f"there is no manifest {name!r}. {listed}", code="manifest-not-found")
