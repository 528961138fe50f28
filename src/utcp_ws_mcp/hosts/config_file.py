"""Read the configuration file of a host, and replace it as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Final

from ..errors import InstallError
from ..files import NEW_FILE_MODE, reason_of, replace_file
from ..records import Record

MAX_BYTES: Final = 16 << 20
"""The maximum size of a configuration file in bytes."""

BACKUP_SUFFIX: Final = ".before-utcp-ws-mcp"


class ConfigFile(Record):
    """A configuration file: its path with all links resolved, and its content, None if it does not exist yet."""

    not_in_repr: ClassVar = ("content",)
    path: Path
    content: bytes | None

    @property
    def text(self) -> str:
        """The text of the file; empty if there is no file, or only white space in it.

        Raises:
            InstallError: If it is not UTF-8.
        """
        try:
            text = (self.content or b"").decode("utf-8")
        except UnicodeDecodeError:
            message = f"{self.path} is not UTF-8 text. Nothing was changed."
            raise InstallError(message, code="host-file-not-readable") from None
        return text if text.strip("\ufeff \t\r\n") else ""

    @property
    def backup_path(self) -> Path:
        """The path of the file for the content that a change replaces."""
        return self.path.with_name(self.path.name + BACKUP_SUFFIX)


def read_config_file(path: Path) -> ConfigFile:
    """Return the file as it is now.

    Raises:
        InstallError: If it cannot be read.
    """
    path = Path(os.path.realpath(path))
    try:
        if not path.exists():
            return ConfigFile(path, None)
        if path.stat().st_size > MAX_BYTES:
            message = f"{path} has more than {MAX_BYTES:,} bytes. Nothing was changed."
            raise InstallError(message, code="host-file-not-readable")
        return ConfigFile(path, path.read_bytes())
    except OSError as failed:
        message = f"{path} cannot be read: {reason_of(failed)}. Nothing was changed."
        raise InstallError(message, code="host-file-not-readable") from failed


def replace_config_file(file: ConfigFile, text: str) -> None:
    """Save the old content next to the file, and replace the file.

    Args:
        file: The file as it was read.
        text: The new content.

    Raises:
        InstallError: If the file has changed since it was read, or cannot be written; then it is unchanged.
    """
    if read_config_file(file.path).content != file.content:
        message = f"{file.path} was changed by another program in the meantime. Nothing was changed. Try again."
        raise InstallError(message, code="host-file-changed")
    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        mode = NEW_FILE_MODE if file.content is None else file.path.stat().st_mode & 0o777
        if file.content is not None:
            replace_file(file.backup_path, file.content, mode)
        replace_file(file.path, text.encode("utf-8"), mode)
    except OSError as failed:
        message = f"{file.path} cannot be written: {reason_of(failed)}. Nothing was changed."
        raise InstallError(message, code="host-file-not-readable") from failed
