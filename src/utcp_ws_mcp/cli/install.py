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

from ..client.manifest_files import LoadedManifest, load_manifest
from ..errors import InstallError
from ..hosts.change import Change
from ..hosts.hosts import supported_hosts
from ..hosts.plan import Target, plan_install, plan_uninstall
from .check import check_manifests

DECLINED: Final = 1
REFUSED: Final = 2
CLAUDE_CODE: Final = "claude-code"
DEFAULT_SERVER_NAME: Final = "websocket"
"""The name of a server with more than one call template."""

INHERITED_ENV: Final = ("HOME", "USER", "LOGNAME", "PATH", "SHELL", "TERM", "LANG", "TMPDIR")
INHERITED_ENV_WINDOWS: Final = ("APPDATA", "LOCALAPPDATA", "USERPROFILE", "USERNAME", "SYSTEMROOT", "TEMP", "PATH")
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
    title = supported_hosts()[options.host].title
    for warning in (*_shell_only_variables(manifests, env_files, title), *_ephemeral_install_warnings()):
        click.echo(f"warning: {warning}", err=True)
    name = options.name or _default_name(checked.loaded)
    files = [part for file in env_files for part in ("--env-file", str(file.absolute()))]
    command = [*_program_command(), *files, *(str(manifest.absolute()) for manifest in manifests)]
    try:
        target = _target(options)
        change = plan_install(target, name, command)
        then = "/mcp in a new session shows it" if target.command else target.host.next_step
        return _confirm_and_apply(change, options, f"{title} has a server {name!r}; {then}")
    except InstallError as refused:
        click.echo(str(refused), err=True)
        return REFUSED


def uninstall_server(options: InstallOptions) -> int:
    """Take a server of ours out of the host; the exit code."""
    try:
        name, change = plan_uninstall(_target(options), options.name)
        return _confirm_and_apply(
            change, options, f"{supported_hosts()[options.host].title} has no server {name!r} any more"
        )
    except InstallError as refused:
        click.echo(str(refused), err=True)
        return REFUSED


def _target(options: InstallOptions) -> Target:
    """The host and its file. Claude Code writes its file while it runs, so its own command, if there, changes it."""
    host = supported_hosts()[options.host]
    claude = shutil.which("claude") if options.host == CLAUDE_CODE and options.config is None else None
    if claude is not None:
        folder = os.environ.get("CLAUDE_CONFIG_DIR") or str(Path.home())
        return Target(host, Path(folder) / ".claude.json", claude)
    return Target(host, options.config or host.config_path(sys.platform, os.environ, Path.cwd()))


def _confirm_and_apply(change: Change, options: InstallOptions, success_message: str) -> int:
    """Show the change, ask, and make it."""
    if not change.diff:
        click.echo(f"nothing to change: {success_message}")
        return 0
    click.echo(change.diff, nl=False)
    if options.dry_run:
        return 0
    if not options.yes and not click.confirm("Change it?"):
        click.echo("nothing is changed")
        return DECLINED
    click.echo(change.apply())
    click.echo(success_message)
    return 0


def _default_name(manifests: Sequence[LoadedManifest]) -> str:
    names = [entry.name for loaded in manifests for entry in loaded.manifest.entries]
    return re.sub(r"[^A-Za-z0-9_-]", "-", names[0])[:64] if len(names) == 1 else DEFAULT_SERVER_NAME


def _program_command() -> list[str]:
    """What starts this program, by absolute paths."""
    script = Path(sys.executable).with_name("utcp-ws-mcp.exe" if sys.platform == "win32" else "utcp-ws-mcp")
    return [str(script)] if script.is_file() else [str(Path(sys.executable).absolute()), "-m", "utcp_ws_mcp"]


def _shell_only_variables(manifests: Sequence[Path], env_files: Sequence[Path], host_title: str) -> list[str]:
    """A sentence for each call template whose variables only this shell knows."""
    known = INHERITED_ENV_WINDOWS if sys.platform == "win32" else INHERITED_ENV
    environ = {name: os.environ[name] for name in known if name in os.environ}
    loaded = [load_manifest(manifest, environ, env_files) for manifest in manifests]
    return [
        f"{disabled.name}: {', '.join(disabled.missing)}: set in this shell, and {host_title} may not have it; "
        "write NAME=value into a file that only you can read, and give --env-file FILE"
        for each in loaded
        for disabled in each.manifest.disabled
    ]


def _ephemeral_install_warnings() -> list[str]:
    """A sentence if this program lives in a cache that is cleaned up."""
    parts = Path(sys.prefix).parts
    if not any(part.startswith(("archive-v", "environments-v")) for part in parts):
        return []
    return ["this is a copy in uv's cache, which may be cleaned; run `uv tool install utcp-ws-mcp`, then install again"]
