"""Files of the state folder: read with a bound, replaced as a whole, readable only by their owner."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..files import reason_of, replace_file

STATE_DIR_VARIABLE: Final = "UTCP_WS_MCP_STATE_DIR"
APP_NAME: Final = "utcp-ws-mcp"


class UnreadableFile(Exception):
    """A file that exists and cannot be used; the text says why."""


def state_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of $UTCP_WS_MCP_STATE_DIR, or the state folder of the platform.

    Args:
        environ: The environment to read the variable from; by default that of the process.
    """
    folder = (os.environ if environ is None else environ).get(STATE_DIR_VARIABLE)
    if folder:
        return Path(folder)
    from platformdirs import user_state_path  # here, because only bridges without a store of their own need it

    # Without `appauthor` Windows would repeat the name: …\utcp-ws-mcp\utcp-ws-mcp.
    return user_state_path(APP_NAME, appauthor=False)


def read_state_file(path: Path, max_bytes: int) -> str | None:
    """Return the text of a file; None if there is no file.

    Raises:
        UnreadableFile: If it cannot be read, is not UTF-8, or is too long.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise UnreadableFile(f"it has more than {max_bytes:,} bytes")
        return data.decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as failed:
        raise UnreadableFile(reason_of(failed)) from None
    except UnicodeDecodeError:
        raise UnreadableFile("it is not UTF-8 text") from None


def replace_state_file(path: Path, text: str) -> None:
    """Write a file with mode 0600, such that a reader sees the old content or the new one.

    Raises:
        OSError: If it cannot be written; then it is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_file(path, text.encode(), 0o600)
