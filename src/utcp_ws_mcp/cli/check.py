"""`utcp-ws-mcp check`: validate manifests, and report likely problems."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from ..client.catalog import find_manifest
from ..client.manifest_files import LoadedManifest, check_unique_names, load_manifest
from ..errors import InvalidManifest, Problem
from ..lint import lint_manifest
from ..lint.host_limits import host_notes
from ..lint.placeholders import load_with_placeholders
from ..manifest.source_map import SourceMap
from ..manifest.validation import describe_field, join_path
from ..observability.redaction import Redactor
from .exit_codes import ExitCode
from .options import env_file_option, manifests_argument, run
from .terminal import echo, hide_secrets


@dataclass(frozen=True, slots=True)
class CheckResult:
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
@click.option("--duration", default=1.0, show_default=True, help="With --online: seconds to listen to each endpoint.")
@env_file_option
def check(
    manifests: tuple[Path, ...], strict: bool, online: bool, duration: float, env_files: tuple[Path, ...]
) -> None:
    """Validate MANIFESTS and report likely problems; exit with 2 if there is an error."""
    checked = check_manifests(manifests, env_files)
    if online:
        from .probe import probe_endpoints  # only --online needs the client

        run(probe_endpoints, checked, strict, duration)
    sys.exit(checked.exit_code(strict))


def check_manifests(paths: Sequence[Path], env_files: Sequence[Path]) -> CheckResult:
    """Print every error and warning of the manifests on stderr, and a summary of each on stdout."""
    checked: list[LoadedManifest] = []
    has_errors = has_warnings = False
    for path in paths:
        try:
            path = find_manifest(path)  # noqa: PLW2901  # the file of an entry of the catalogue
            loaded = load_manifest(path, env_files=env_files)
            check_unique_names([*checked, loaded])
        except InvalidManifest as invalid:
            _print_problems(invalid)
            echo(f"{path}: Further checks run when these problems are fixed.", err=True)
            has_errors = True
            continue
        checked.append(loaded)
        hide_secrets(Redactor(each.manifest for each in checked))
        source_map = SourceMap(path.read_text(encoding="utf-8-sig"))
        has_errors = _print_disabled(loaded, source_map) or has_errors
        judged = _with_placeholders(loaded, path, env_files)
        has_warnings = _print_warnings(judged, source_map, path) or has_warnings
        echo(_summary(loaded))
    return CheckResult(checked, has_errors, has_warnings)


def _with_placeholders(loaded: LoadedManifest, path: Path, env_files: Sequence[Path]) -> LoadedManifest:
    """Return the manifest with every call template, also those whose variables are not set; print their problems."""
    missing = [name for disabled in loaded.manifest.disabled for name in disabled.missing]
    if not missing:
        return loaded
    complete, invalid = load_with_placeholders(path, list(dict.fromkeys(missing)), env_files)
    if invalid is not None:
        _print_problems(invalid)
    return complete or loaded


def _print_problems(invalid: InvalidManifest) -> None:
    """Print every problem, and below it the description of its field."""
    for problem in invalid.problems:
        echo(problem.format(invalid.source), err=True)
        if (description := describe_field(problem.path)) and not problem.message.startswith("unknown key"):
            echo(f"    {problem.path.rpartition('.')[2]}: {description}", err=True)


def _print_disabled(loaded: LoadedManifest, source_map: SourceMap) -> bool:
    """Print which parts of a manifest are ignored or disabled; return whether variables are missing."""
    manifest = loaded.manifest
    for warning in manifest.warnings:
        echo(f"{manifest.source}: {warning}", err=True)
    for disabled in manifest.disabled:
        position = source_map.search("|".join(rf"\$\{{?{name}\b|\bvars\.{name}\b" for name in disabled.missing))
        position = position or source_map.locate(join_path(disabled.path, "preset"))  # a preset uses them
        missing = disabled.error()
        problem = Problem("", missing.message, position, code=missing.code)
        echo(problem.format(manifest.source), err=True)
    return bool(manifest.disabled)


def _print_warnings(loaded: LoadedManifest, source_map: SourceMap, path: Path) -> bool:
    """Print the warnings about a manifest in the order of the file; return whether there are any."""
    document = json.loads(path.read_text(encoding="utf-8-sig"))
    warnings = list(dict.fromkeys(_with_positions(lint_manifest(document, loaded), source_map)))
    warnings += source_map.duplicate_keys
    for warning in sorted(warnings, key=lambda warning: warning.position or (0, 0)):
        _print_finding("warning", warning, loaded)
    _print_notes(loaded, source_map)
    return bool(warnings)


def _print_notes(loaded: LoadedManifest, source_map: SourceMap) -> None:
    """Print what single hosts refuse or change. Notes are no warnings, also with --strict."""
    for note in _with_positions(host_notes(loaded), source_map):
        _print_finding("note", note, loaded)


def _print_finding(kind: str, problem: Problem, loaded: LoadedManifest) -> None:
    place = f"{problem.path}: " if problem.path else ""
    shown = replace(problem, path="", message=f"{kind}: {place}{problem.message}")
    echo(shown.format(loaded.manifest.source), err=True)


def _with_positions(problems: Iterator[Problem], source_map: SourceMap) -> Iterator[Problem]:
    return (replace(problem, position=source_map.locate(problem.path)) for problem in problems)


def _summary(loaded: LoadedManifest) -> str:
    entries = loaded.manifest.entries
    listed = sum(len(tools) for tools in loaded.tools.values())
    discovered = sum(entry.uses_discovery for entry in entries)
    parts = [f"{len(entries)} call template{'s' * (len(entries) != 1)}", f"{listed} tool{'s' * (listed != 1)} listed"]
    parts += [f"{discovered} endpoint{'s' * (discovered != 1)} to discover tools from"] if discovered else []
    disabled = len(loaded.manifest.disabled)
    parts += [f"{disabled} disabled"] if disabled else []
    return f"{loaded.manifest.source}: {', '.join(parts)}"
