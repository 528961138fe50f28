"""`utcp-ws-mcp install` and `uninstall`: add a server to the configuration of an MCP host, and remove it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from ..errors import InstallError
from ..hosts.change import Change
from ..hosts.hosts import supported_hosts
from ..hosts.installation import NAME_RULE, SERVER_NAME, Installation, Place, plan_author, plan_server
from ..hosts.plan import plan_uninstall
from ..hosts.trial_start import compile_byte_code
from ..records import Record
from .author import grant_options, grant_words
from .check import check_manifests
from .exit_codes import ExitCode
from .options import combine, env_file_option
from .terminal import echo


def _check_name(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    if name is not None and not SERVER_NAME.match(name):
        raise click.BadParameter(NAME_RULE)
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


class InstallOptions(Record):
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
    return _show_and_apply(options, lambda: plan_server(_place(options), manifests, env_files, checked.loaded))


def install_author(options: InstallOptions, folder: Path, env_files: Sequence[Path], grants: Sequence[str]) -> int:
    """Add the server with which an agent makes manifests in a folder; return the exit code."""
    return _show_and_apply(options, lambda: plan_author(_place(options), folder, env_files, grants))


def _show_and_apply(options: InstallOptions, plan: Callable[[], Installation]) -> int:
    try:
        planned = plan()
        for warning in planned.warnings:
            echo(f"warning: {warning}", err=True)
        return _confirm_and_apply(planned.change, options, planned.success)
    except InstallError as refused:
        echo(str(refused), err=True)
        return ExitCode.USAGE_ERROR


def _place(options: InstallOptions) -> Place:
    return Place(options.host, options.name, options.config)


def uninstall_server(options: InstallOptions) -> int:
    """Remove a server of utcp-ws-mcp from the host; return the exit code."""
    try:
        name, change = plan_uninstall(_place(options).target(), options.name)
        title = supported_hosts()[options.host].title
        return _confirm_and_apply(change, options, f"{title} no longer has a server {name!r}")
    except InstallError as refused:
        echo(str(refused), err=True)
        return ExitCode.USAGE_ERROR


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
