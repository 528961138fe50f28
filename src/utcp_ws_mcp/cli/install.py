"""Put a server into a host's settings, and take it out again."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from ..client.manifest_files import Loaded, load_manifest
from ..errors import CannotInstall
from ..hosts.change import Change
from ..hosts.hosts import known_hosts
from ..hosts.plan import Target, plan_install, plan_uninstall
from .check import check_manifests

DECLINED: Final = 1
REFUSED: Final = 2
CLAUDE_CODE: Final = "claude-code"
SEVERAL: Final = "websocket"
"""The name of a server with more than one call template."""

EVERYWHERE: Final = ("HOME", "USER", "LOGNAME", "PATH", "SHELL", "TERM", "LANG", "TMPDIR")
EVERYWHERE_ON_WINDOWS: Final = ("APPDATA", "LOCALAPPDATA", "USERPROFILE", "USERNAME", "SYSTEMROOT", "TEMP", "PATH")
"""Variables that a host gives to every server that it starts, wherever it was started itself."""


@dataclass(frozen=True, slots=True)
class InstallOptions:
    """What is to be done with which host. `config` is its file, if that is not where it usually is."""

    host: str
    name: str | None
    config: Path | None
    dry_run: bool
    yes: bool


def install_server(options: InstallOptions, manifests: Sequence[Path], env_files: Sequence[Path]) -> int:
    """Let the host start a server for the manifests; the exit code."""
    checked = check_manifests(manifests, env_files)
    if checked.exit_code(strict=False):
        click.echo("nothing is installed: mend what is said above first", err=True)
        return REFUSED
    title = known_hosts()[options.host].title
    for warning in (*_unset(manifests, env_files, title), *_fleeting()):
        click.echo(f"warning: {warning}", err=True)
    name = options.name or _name_for(checked.loaded)
    files = [part for file in env_files for part in ("--env-file", str(file.absolute()))]
    command = [*_program(), *files, *(str(manifest.absolute()) for manifest in manifests)]
    try:
        target = _target(options)
        change = plan_install(target, name, command)
        then = "/mcp in a new session shows it" if target.command else target.host.then
        return _settle(change, options, f"{title} has a server {name!r}; {then}")
    except CannotInstall as refused:
        click.echo(str(refused), err=True)
        return REFUSED


def uninstall_server(options: InstallOptions) -> int:
    """Take a server of ours out of the host; the exit code."""
    try:
        name, change = plan_uninstall(_target(options), options.name)
        return _settle(change, options, f"{known_hosts()[options.host].title} has no server {name!r} any more")
    except CannotInstall as refused:
        click.echo(str(refused), err=True)
        return REFUSED


def _target(options: InstallOptions) -> Target:
    """The host and its file. Claude Code writes its file while it runs, so its own command, if there, changes it."""
    host = known_hosts()[options.host]
    claude = shutil.which("claude") if options.host == CLAUDE_CODE and options.config is None else None
    if claude is not None:
        folder = os.environ.get("CLAUDE_CONFIG_DIR") or str(Path.home())
        return Target(host, Path(folder) / ".claude.json", claude)
    return Target(host, options.config or host.file(sys.platform, os.environ, Path.cwd()))


def _settle(change: Change, options: InstallOptions, done: str) -> int:
    """Show the change, ask, and make it."""
    if not change.shown:
        click.echo(f"nothing to change: {done}")
        return 0
    click.echo(change.shown, nl=False)
    if options.dry_run:
        return 0
    if not options.yes and not click.confirm("Change it?"):
        click.echo("nothing is changed")
        return DECLINED
    click.echo(change.make())
    click.echo(done)
    return 0


def _name_for(every: Sequence[Loaded]) -> str:
    names = [entry.name for loaded in every for entry in loaded.manifest.entries]
    return re.sub(r"[^A-Za-z0-9_-]", "-", names[0])[:64] if len(names) == 1 else SEVERAL


def _program() -> list[str]:
    """What starts this program, by absolute paths."""
    script = Path(sys.executable).with_name("utcp-ws-mcp.exe" if sys.platform == "win32" else "utcp-ws-mcp")
    return [str(script)] if script.is_file() else [str(Path(sys.executable).absolute()), "-m", "utcp_ws_mcp"]


def _unset(manifests: Sequence[Path], env_files: Sequence[Path], host: str) -> list[str]:
    """A sentence for each call template whose variables only this shell knows."""
    known = EVERYWHERE_ON_WINDOWS if sys.platform == "win32" else EVERYWHERE
    environ = {name: os.environ[name] for name in known if name in os.environ}
    loaded = [load_manifest(manifest, environ, env_files) for manifest in manifests]
    return [
        f"{disabled.name}: {', '.join(disabled.missing)}: set in this shell, and {host} may not have it; "
        "write NAME=value into a file that only you can read, and give --env-file FILE"
        for each in loaded
        for disabled in each.manifest.disabled
    ]


def _fleeting() -> list[str]:
    """A sentence if this program lives in a cache that is cleaned up."""
    parts = Path(sys.prefix).parts
    if not any(part.startswith(("archive-v", "environments-v")) for part in parts):
        return []
    return ["this is a copy in uv's cache, which may be cleaned; run `uv tool install utcp-ws-mcp`, then install again"]
