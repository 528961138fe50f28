"""`utcp-ws-mcp check`: validate manifests, and report likely problems."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import click

from ..authoring.examination import Examination, examine, field_description, marked
from ..client.catalog import find_manifest
from ..client.manifest_files import LoadedManifest, check_unique_names, load_manifest
from ..errors import InvalidManifest
from ..manifest.caller_variables import ANY_CALLER
from ..manifest.variables import CallerValues
from ..observability.redaction import Redactor
from ..records import Record
from .exit_codes import ExitCode
from .options import Number, env_file_option, manifests_argument, run
from .terminal import echo, hide_secrets


class CheckResult(Record):
    """The result of a check: the valid manifests, and whether there were errors or warnings."""

    loaded: Sequence[LoadedManifest]
    has_errors: bool
    has_warnings: bool

    def exit_code(self, strict: bool) -> int:
        """Return `USAGE_ERROR` if there were errors, with `strict` also if there were warnings."""
        failed = self.has_errors or (strict and self.has_warnings)
        return ExitCode.USAGE_ERROR if failed else ExitCode.SUCCESS


@click.command()
@manifests_argument
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("--online", is_flag=True, help="Connect, log in, discover tools, and show what the endpoints send.")
@click.option(
    "--duration",
    type=Number(min=0),
    default=1.0,
    show_default=True,
    help="With --online: seconds to listen to each endpoint.",
)
@env_file_option
def check(
    manifests: tuple[Path, ...], strict: bool, online: bool, duration: float, env_files: tuple[Path, ...]
) -> None:
    """Validate MANIFESTS and report likely problems; exit with 2 if there is an error, with 1 if an endpoint fails."""
    # Without a connection, the values that callers bring need not be known.
    checked = check_manifests(manifests, env_files, None if online else ANY_CALLER)
    if online:
        from .probe import probe_endpoints  # only --online needs the client

        run(probe_endpoints, checked, strict, duration)
    sys.exit(checked.exit_code(strict))


def check_manifests(
    paths: Sequence[Path], env_files: Sequence[Path], callers: CallerValues | None = None
) -> CheckResult:
    """Print every error and warning of the manifests on stderr, and a summary of each on stdout."""
    checked: list[LoadedManifest] = []
    has_errors = has_warnings = False
    for path in paths:
        try:
            path = find_manifest(path)  # noqa: PLW2901  # the file of an entry of the catalogue
            loaded = load_manifest(path, env_files=env_files, callers=callers)
            check_unique_names([*checked, loaded])
        except InvalidManifest as invalid:
            _print_problems(invalid)
            echo(f"{path}: Further checks run when these problems are fixed.", err=True)
            has_errors = True
            continue
        checked.append(loaded)
        hide_secrets(Redactor(each.manifest for each in checked))
        text = path.read_text(encoding="utf-8-sig")
        found = examine(text, loaded, partial(_load_with, path, env_files, callers))
        _print_examination(found, loaded)
        has_errors |= bool(found.missing)
        has_warnings |= bool(found.warnings)
        echo(_summary(loaded))
    return CheckResult(checked, has_errors, has_warnings)


def _load_with(
    path: Path, env_files: Sequence[Path], callers: CallerValues | None, values: Mapping[str, str]
) -> LoadedManifest:
    return load_manifest(path, {**os.environ, **values}, env_files, callers)


def _print_problems(invalid: InvalidManifest) -> None:
    """Print every problem, and below it the description of its field."""
    for problem in invalid.problems:
        echo(problem.format(invalid.source), err=True)
        if description := field_description(problem):
            echo(f"    {description}", err=True)


def _print_examination(found: Examination, loaded: LoadedManifest) -> None:
    """Print what is to be said of a manifest. Notes are no warnings, also with --strict."""
    source = loaded.manifest.source
    for text in loaded.manifest.warnings:
        echo(f"{source}: {text}", err=True)
    for problem in found.missing:
        echo(problem.format(source), err=True)
    _print_problems(InvalidManifest(source, found.errors))
    for kind, problems in (("warning", found.warnings), ("note", found.notes)):
        for problem in problems:
            echo(marked(kind, problem).format(source), err=True)


def _summary(loaded: LoadedManifest) -> str:
    entries = loaded.manifest.entries
    listed = sum(len(tools) for tools in loaded.tools.values())
    discovered = sum(entry.uses_discovery for entry in entries)
    parts = [f"{len(entries)} call template{'s' * (len(entries) != 1)}", f"{listed} tool{'s' * (listed != 1)} listed"]
    parts += [f"{discovered} endpoint{'s' * (discovered != 1)} to discover tools from"] if discovered else []
    disabled = len(loaded.manifest.disabled)
    parts += [f"{disabled} disabled"] if disabled else []
    names = sorted({name for entry in entries for name in entry.caller_variables})
    parts += [f"callers bring {', '.join(names)}"] if names else []
    return f"{loaded.manifest.source}: {', '.join(parts)}"
