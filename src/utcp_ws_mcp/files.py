"""Replace a file as a whole, so that no reader sees half of its content."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

NEW_FILE_MODE: Final = 0o644
"""The permissions of a new file that other programs of the user read."""


def replace_file(path: Path, content: bytes, mode: int) -> None:
    """Write a temporary file next to the path and move it into place.

    Args:
        path: The file, in a folder that exists.
        content: Its new content.
        mode: Its permissions.

    Raises:
        OSError: If it cannot be written; then it is unchanged.
    """
    import tempfile  # here, because most starts write no file

    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:  # also when interrupted, or the temporary file would stay
        with suppress(OSError):
            Path(name).unlink()
        raise


def reason_of(failed: OSError) -> str:
    """Return why an operation on a file failed."""
    return (failed.strerror or type(failed).__name__).lower()
