"""`utcp-ws-mcp install` and `uninstall`: add a server to the configuration of an MCP host, and remove it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from ..client.catalog import find_manifest, portable_word
from ..client.manifest_files import LoadedManifest, load_manifest
from ..core.tools.mcp_names import has_server_name
from ..errors import InstallError
from ..hosts.change import Change
from ..hosts.hosts import supported_hosts
from ..hosts.plan import Target, plan_install, plan_uninstall
from .author import grant_options, grant_words
from .check import check_manifests
from .exit_codes import ExitCode
from .options import combine, env_file_option
from .terminal import echo
from .trial_start import compile_byte_code

CLAUDE_CODE: Final = "claude-code"
DEFAULT_SERVER_NAME: Final = "websocket"
"""The name of a server with several call templates."""

AUTHOR_SERVER_NAME: Final = "websocket-author"
"""The name of the server with which an agent makes manifests."""

INHERITED_ENV: Final = ("HOME", "USER", "LOGNAME", "PATH", "SHELL", "TERM", "LANG", "TMPDIR")
INHERITED_ENV_WINDOWS: Final = ("APPDATA", "LOCALAPPDATA", "USERPROFILE", "USERNAME", "SYSTEMROOT", "TEMP", "PATH")
"""Variables that hosts pass to every server; the MCP SDK calls them DEFAULT_INHERITED_ENV_VARS."""


_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def _check_name(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    if name is not None and not _NAME.match(name):
        raise click.BadParameter("hosts accept 1 to 64 letters, digits, _ and -")
    return name


_host_argument = click.argument("host", type=click.Choice(list(supported_hosts())))
_shared_options = combine(
    click.option("--name", callback=_check_name, help="The name of the server in the host."),
    click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The configuration file of the host, if it is not in its usual place.",
    ),
    click.option("--dry-run", is_flag=True, help="Only show the change."),
    click.option("--yes", is_flag=True, help="Apply the change without confirmation."),
)


@click.command()
@_host_argument
@click.argument("manifests", nargs=-1, type=click.Path(path_type=Path))
@env_file_option
@_shared_options
@click.option(
    "--author",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Instead of MANIFESTS: let an agent make manifests in this folder (see author).",
)
@grant_options
def install(
    host: str,
    manifests: tuple[Path, ...],
    env_files: tuple[Path, ...],
    folder: Path | None,
    hosts: tuple[str, ...],
    variables: tuple[str, ...],
    allow_private: bool,
    **options: Any,
) -> None:
    """Add a server for MANIFESTS to HOST. The change of the host's file is shown before it is applied."""
    made = _make_options(host, options)
    if folder is None:
        if hosts or variables or allow_private:
            raise click.UsageError("--allow-host, --allow-variable and --allow-private need --author FOLDER")
        if not manifests:
            raise click.UsageError("give MANIFESTS, or --author FOLDER")
        sys.exit(install_server(made, manifests, env_files))
    if manifests:
        raise click.UsageError("--author FOLDER and MANIFESTS contradict each other; install two servers")
    sys.exit(install_author(made, folder, env_files, grant_words(hosts, variables, allow_private)))


@click.command()
@_host_argument
@_shared_options
def uninstall(host: str, **options: Any) -> None:
    """Remove a server of utcp-ws-mcp from HOST. Without --name it must be the only one."""
    sys.exit(uninstall_server(_make_options(host, options)))


def _make_options(host: str, options: dict[str, Any]) -> InstallOptions:
    if options["dry_run"] and options["yes"]:
        raise click.UsageError("--dry-run and --yes contradict each other; remove one of them")
    return InstallOptions(host, **options)


@dataclass(frozen=True, slots=True)
class InstallOptions:
    """The options of `install` and `uninstall`. `config` is the host's file, if it is not in its usual place."""

    host: str
    name: str | None
    config: Path | None
    dry_run: bool
    yes: bool


def install_server(options: InstallOptions, manifests: Sequence[Path], env_files: Sequence[Path]) -> int:
    """Add a server for the manifests to the host; return the exit code."""
    checked = check_manifests(manifests, env_files)
    if checked.exit_code(strict=False):
        message = "Not installed: the manifest has errors (listed above). Fix them and run the command again."
        echo(f"{message} [invalid-manifest]", err=True)
        return ExitCode.USAGE_ERROR
    title = supported_hosts()[options.host].title
    for warning in (*_shell_only_variables(manifests, env_files, title), *_ephemeral_install_warnings()):
        echo(f"warning: {warning}", err=True)
    name = options.name or _default_name(checked.loaded)
    files = [part for file in env_files for part in ("--env-file", str(file.absolute()))]
    try:
        target = _target(options)
        named = _server_name_option(target, name, checked.loaded)
        words = [portable_word(manifest, find_manifest(manifest)) for manifest in manifests]
        command = [*_program_command(), *files, *named, *words]
        change = plan_install(target, name, command)
        next_step = "/mcp in a new session shows it" if target.command else target.host.next_step
        return _confirm_and_apply(change, options, f"{title} has a server {name!r}; {next_step}")
    except InstallError as refused:
        echo(str(refused), err=True)
        return ExitCode.USAGE_ERROR


def install_author(options: InstallOptions, folder: Path, env_files: Sequence[Path], grants: Sequence[str]) -> int:
    """Add the server with which an agent makes manifests in a folder; return the exit code."""
    title = supported_hosts()[options.host].title
    for warning in _ephemeral_install_warnings():
        echo(f"warning: {warning}", err=True)
    name = options.name or AUTHOR_SERVER_NAME
    files = [part for file in env_files for part in ("--env-file", str(file.absolute()))]
    try:
        target = _target(options)
        change = plan_install(target, name, [*_program_command(), "author", *files, *grants, str(folder.absolute())])
        next_step = "/mcp in a new session shows it" if target.command else target.host.next_step
        return _confirm_and_apply(change, options, f"{title} has a server {name!r}; {next_step}")
    except InstallError as refused:
        echo(str(refused), err=True)
        return ExitCode.USAGE_ERROR


def uninstall_server(options: InstallOptions) -> int:
    """Remove a server of utcp-ws-mcp from the host; return the exit code."""
    try:
        name, change = plan_uninstall(_target(options), options.name)
        title = supported_hosts()[options.host].title
        return _confirm_and_apply(change, options, f"{title} no longer has a server {name!r}")
    except InstallError as refused:
        echo(str(refused), err=True)
        return ExitCode.USAGE_ERROR


def _target(options: InstallOptions) -> Target:
    """Return the host and its file.

    A running Claude Code rewrites its file, so its own command makes the change if it is installed.
    """
    host = supported_hosts()[options.host]
    claude = shutil.which("claude") if options.host == CLAUDE_CODE and options.config is None else None
    if claude is not None:
        folder = os.environ.get("CLAUDE_CONFIG_DIR") or str(Path.home())
        return Target(host, Path(folder) / ".claude.json", claude)
    return Target(host, options.config or host.config_path(sys.platform, os.environ, Path.cwd()))


def _confirm_and_apply(change: Change, options: InstallOptions, success_message: str) -> int:
    """Show the change, ask for confirmation, and apply it; return the exit code."""
    if not change.diff:
        echo(f"nothing to change: {success_message}")
        return ExitCode.SUCCESS
    echo(change.diff, nl=False)
    if options.dry_run:
        return ExitCode.SUCCESS
    if not options.yes and not click.confirm("Apply this change?"):
        echo("not changed")
        return ExitCode.FAILURE
    echo(change.apply())
    echo(success_message)
    compile_byte_code()
    return ExitCode.SUCCESS


def _default_name(manifests: Sequence[LoadedManifest]) -> str:
    names = [entry.name for loaded in manifests for entry in loaded.manifest.entries]
    return re.sub(r"[^A-Za-z0-9_-]", "-", names[0])[:64] if len(names) == 1 else DEFAULT_SERVER_NAME


def _server_name_option(target: Target, name: str, manifests: Sequence[LoadedManifest]) -> list[str]:
    """Return the option that keeps the host from showing a name twice, such as `mcp__demo__demo_add`."""
    manuals = [entry.name for loaded in manifests for entry in loaded.manifest.entries]
    is_repeated = any(has_server_name(manual, name) for manual in manuals)
    return ["--server-name", name] if target.host.adds_server_name and is_repeated else []


def _program_command() -> list[str]:
    """Return the command that starts this program, with absolute paths: hosts start servers in any folder."""
    script = Path(sys.executable).with_name("utcp-ws-mcp.exe" if sys.platform == "win32" else "utcp-ws-mcp")
    return [str(script)] if script.is_file() else [str(Path(sys.executable).absolute()), "-m", "utcp_ws_mcp"]


def _shell_only_variables(manifests: Sequence[Path], env_files: Sequence[Path], host_title: str) -> list[str]:
    """Return a warning for each call template whose variables are set only in this shell."""
    known = INHERITED_ENV_WINDOWS if sys.platform == "win32" else INHERITED_ENV
    environ = {name: os.environ[name] for name in known if name in os.environ}
    loaded = [load_manifest(find_manifest(manifest), environ, env_files) for manifest in manifests]
    return [
        f"{disabled.name}: {', '.join(disabled.missing)}: set in this shell, but {host_title} may not have it. "
        "Write NAME=value to a file that only you can read, and pass it with --env-file FILE."
        for each in loaded
        for disabled in each.manifest.disabled
    ]


def _ephemeral_install_warnings() -> list[str]:
    """Return a warning if this program is in a cache of uv, from which it may be deleted."""
    parts = Path(sys.prefix).parts
    if not any(part.startswith(("archive-v", "environments-v")) for part in parts):
        return []
    message = "this program is in the cache of uv, which may be cleaned."
    return [f"{message} Run `uv tool install utcp-ws-mcp`, then install again."]
