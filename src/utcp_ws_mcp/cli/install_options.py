"""The commands `install` and `uninstall`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, Final

import click

HOSTS: Final = ("claude-desktop", "claude-code", "cursor", "vscode", "gemini", "goose", "mcp-json")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def _check_name(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    if name is not None and not _NAME.match(name):
        raise click.BadParameter("hosts take 1 to 64 letters, digits, _ and -")
    return name


_OPTIONS: Final = (
    click.option("--name", callback=_check_name, help="The server's name in the host."),
    click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The host's file, if it is not where it usually is.",
    ),
    click.option("--dry-run", is_flag=True, help="Only show the change."),
    click.option("--yes", is_flag=True, help="Make the change without asking."),
)


def _shared_options(command: Callable[..., None]) -> Callable[..., None]:
    return reduce(lambda made, option: option(made), reversed(_OPTIONS), command)


@click.command()
@click.argument("host", type=click.Choice(HOSTS))
@click.argument("manifests", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--env-file",
    "env_files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Variables for the manifest, NAME=value in each line. May be given more than once.",
)
@_shared_options
def install(host: str, manifests: tuple[Path, ...], env_files: tuple[Path, ...], **options: Any) -> None:
    """Let HOST start a server for MANIFESTS. Shows the change of the host's file first, and asks."""
    from .install import install_server

    sys.exit(install_server(_make_options(host, options), manifests, env_files))


@click.command()
@click.argument("host", type=click.Choice(HOSTS))
@_shared_options
def uninstall(host: str, **options: Any) -> None:
    """Take a server of utcp-ws-mcp out of HOST again. Without --name it must be the only one."""
    from .install import uninstall_server

    sys.exit(uninstall_server(_make_options(host, options)))


def _make_options(host: str, options: dict[str, Any]) -> Any:
    if options["dry_run"] and options["yes"]:
        raise click.UsageError("--dry-run and --yes contradict each other; leave one out")
    from .install import InstallOptions

    return InstallOptions(host, **options)
