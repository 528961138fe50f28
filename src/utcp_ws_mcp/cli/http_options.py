"""The options of `serve --http`."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, Final

import click

TOKEN_VARIABLE: Final = "UTCP_WS_MCP_TOKEN"  # noqa: S105  # the name of a variable
DEFAULT_MAX_SESSIONS: Final = 500

_OPTIONS: Final = (
    click.option("--http", "address", metavar="[HOST:]PORT", help="Serve streamable HTTP here; HOST is loopback."),
    click.option(
        "--token-file",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help=f"The bearer token that clients must bring; without it ${TOKEN_VARIABLE}.",
    ),
    click.option("--no-token", is_flag=True, help="On loopback only: let everybody on this machine in."),
    click.option("--allowed-host", "allowed_hosts", multiple=True, help="A Host that clients may name: NAME[:PORT]."),
    click.option("--allowed-origin", "allowed_origins", multiple=True, help="An Origin whose web pages may ask."),
    click.option("--stateless", is_flag=True, help="No sessions for clients of the handshake revisions either."),
    click.option(
        "--max-sessions",
        type=click.IntRange(min=1),
        default=DEFAULT_MAX_SESSIONS,
        show_default=True,
        help="Sessions of clients of the handshake revisions.",
    ),
)


def http_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command."""
    return reduce(lambda made, option: option(made), reversed(_OPTIONS), command)


def reject_http_options(options: dict[str, Any]) -> None:
    """Say that an option has no meaning on stdio.

    Raises:
        UsageError: naming the first one.
    """
    meant = {**options, "max_sessions": options["max_sessions"] != DEFAULT_MAX_SESSIONS}
    for name, value in meant.items():
        if value:
            option = name.removesuffix("s") if name.startswith("allowed") else name
            raise click.UsageError(f"--{option.replace('_', '-')} needs --http")


def read_token(file: Path | None) -> str | None:
    """The token, from its file or the environment; None where neither holds one.

    Raises:
        UsageError: if the file cannot be read.
    """
    if file is None:
        return os.environ.get(TOKEN_VARIABLE)
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as failed:
        raise click.UsageError(f"--token-file {file}: it cannot be read") from failed
