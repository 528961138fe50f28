"""The manifest that is edited: its text, its file, and whether another program changed the file meanwhile."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import ClassVar, Final, Self

from ..authoring.admission import MAX_MANIFEST_BYTES
from ..client.manifest_files import read_manifest_text
from ..errors import AuthoringRefused, InvalidManifest
from ..files import NEW_FILE_MODE, reason_of, replace_file
from ..records import MutableRecord

EMPTY: Final = "{}\n"
"""What a new manifest begins with."""


class OnDisk(Enum):
    """What a file contains, compared with what was read or saved last."""

    SAME = "same"
    CHANGED = "changed"
    GONE = "gone"


class ManifestText(MutableRecord):
    """A text with its file.

    Attributes:
        text: What is typed.
        path: The file; None until it is saved for the first time.
        known: What the file contained when it was read or saved last; None for a file that does not exist yet.
    """

    not_in_repr: ClassVar = ("text", "known")
    text: str = EMPTY
    path: Path | None = None
    known: str | None = None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the manifest of a file, which may be a new one.

        Raises:
            InvalidManifest: if the file cannot be read.
        """
        if not path.exists():
            return cls(path=path)
        text = read_manifest_text(path)
        return cls(text, path, text)

    @property
    def is_changed(self) -> bool:
        """Return whether something is typed that is not in the file."""
        return self.text != (EMPTY if self.known is None else self.known)

    @property
    def is_new(self) -> bool:
        """Return whether nothing was written yet, neither here nor in the file."""
        return self.known is None and self.text == EMPTY

    @property
    def name(self) -> str:
        """Return what the manifest is called on the page."""
        return self.path.name if self.path is not None else "new manifest"

    def on_disk(self) -> OnDisk:
        """Return what happened to the file since it was read or saved."""
        found = self._read()
        if found == self.known:
            return OnDisk.SAME
        return OnDisk.GONE if found is None else OnDisk.CHANGED

    def reload(self) -> None:
        """Take the text of the file.

        Raises:
            InvalidManifest: if it cannot be read.
        """
        assert self.path is not None
        self.text = self.known = read_manifest_text(self.path)

    def save(self) -> None:
        """Write the text to the file, whatever that contains.

        Raises:
            AuthoringRefused: if it cannot be written.
        """
        assert self.path is not None
        content = self.text.encode()
        if len(content) > MAX_MANIFEST_BYTES:
            message = f"{self.path.name} is not saved: it has more than {MAX_MANIFEST_BYTES:,} bytes. Make it shorter."
            raise AuthoringRefused(message, code="manifest-not-saved")
        try:
            target = self.path.resolve()  # a link stays one
            mode = target.stat().st_mode & 0o777 if target.exists() else NEW_FILE_MODE
            replace_file(target, content, mode)
        except OSError as failed:
            message = f"{self.path} is not saved: {reason_of(failed)}. Save it under another name."
            raise AuthoringRefused(message, code="manifest-not-saved") from None
        self.known = self.text

    def _read(self) -> str | None:
        """Return the text of the file, or None if there is none that can be read."""
        if self.path is None or not self.path.exists():
            return None
        try:
            return read_manifest_text(self.path)
        except InvalidManifest:
            return None
