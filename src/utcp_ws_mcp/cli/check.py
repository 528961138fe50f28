"""Check manifests: what is wrong, and what will hurt."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click

from ..client.manifest_files import LoadedManifest, check_unique_names, load_manifest
from ..errors import InvalidManifest, MissingVariable, Problem
from ..lint import lint_manifest
from ..manifest.source_map import SourceMap
from ..manifest.validation import describe_field

WRONG: Final = 2


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found: the manifests that are right, and whether anything is wrong, or would be if strict."""

    loaded: Sequence[LoadedManifest]
    has_errors: bool
    has_warnings: bool

    def exit_code(self, strict: bool) -> int:
        """0, or 2 if anything is wrong."""
        return WRONG if self.has_errors or (strict and self.has_warnings) else 0


def check_manifests(paths: Sequence[Path], env_files: Sequence[Path]) -> CheckResult:
    """Say everything that is wrong with the manifests, and what will hurt, on stderr; the sums on stdout."""
    every: list[LoadedManifest] = []
    wrong = doubtful = False
    for path in paths:
        try:
            loaded = load_manifest(path, env_files=env_files)
            check_unique_names([*every, loaded])
        except InvalidManifest as invalid:
            _print_problems(invalid)
            wrong = True
            continue
        every.append(loaded)
        places = SourceMap(path.read_text(encoding="utf-8-sig"))
        wrong = _print_disabled(loaded, places) or wrong
        doubtful = _print_warnings(loaded, places, path) or doubtful
        click.echo(_summary(loaded))
    return CheckResult(every, wrong, doubtful)


def _print_problems(invalid: InvalidManifest) -> None:
    """Print every problem, and below it what the field is for."""
    for problem in invalid.problems:
        click.echo(problem.format(invalid.source), err=True)
        if (meaning := describe_field(problem.path)) and not problem.message.startswith("unknown key"):
            click.echo(f"    {problem.path.rpartition('.')[2]}: {meaning}", err=True)


def _print_disabled(loaded: LoadedManifest, source_map: SourceMap) -> bool:
    """Print what is left out of a manifest; whether variables are missing."""
    manifest = loaded.manifest
    for notice in manifest.warnings:
        click.echo(f"{manifest.source}: {notice}", err=True)
    for disabled in manifest.disabled:
        place = source_map.search("|".join(rf"\$\{{?{name}\b|\bvars\.{name}\b" for name in disabled.missing))
        sentence = str(MissingVariable(disabled.missing, disabled.name))
        click.echo(Problem("", sentence, place).format(manifest.source), err=True)
    return bool(manifest.disabled)


def _print_warnings(loaded: LoadedManifest, source_map: SourceMap, path: Path) -> bool:
    """Print what will hurt; whether there is anything."""
    document = json.loads(path.read_text(encoding="utf-8-sig"))
    warnings = list(dict.fromkeys(_with_positions(lint_manifest(document, loaded), source_map)))
    warnings += source_map.duplicate_keys
    for warning in sorted(warnings, key=lambda warning: warning.position or (0, 0)):
        shown = replace(warning, path="", message=f"warning: {warning}", code="")  # its text has the code already
        click.echo(shown.format(loaded.manifest.source), err=True)
    return bool(warnings)


def _with_positions(problems: Iterator[Problem], source_map: SourceMap) -> Iterator[Problem]:
    return (replace(problem, position=source_map.locate(problem.path)) for problem in problems)


def _summary(loaded: LoadedManifest) -> str:
    entries = loaded.manifest.entries
    listed = sum(len(plans) for plans in loaded.tools.values())
    asked = sum(entry.uses_discovery for entry in entries)
    parts = [f"{len(entries)} call template{'s' * (len(entries) != 1)}", f"{listed} tool{'s' * (listed != 1)} listed"]
    parts += [f"{asked} endpoint{'s' * (asked != 1)} to ask for tools"] if asked else []
    left_out = len(loaded.manifest.disabled)
    parts += [f"{left_out} left out"] if left_out else []
    return f"{loaded.manifest.source}: {', '.join(parts)}"
