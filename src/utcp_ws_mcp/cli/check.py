"""Check manifests: what is wrong, and what will hurt."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click

from ..client.manifest_files import Loaded, check_unique, load_manifest
from ..errors import InvalidManifest, Problem, UnknownVariable
from ..lint import advise
from ..manifest.field_docs import meaning_of
from ..manifest.source_map import Places

WRONG: Final = 2


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: the manifests that are right, and whether anything is wrong, or would be if strict."""

    loaded: Sequence[Loaded]
    wrong: bool
    doubtful: bool

    def exit_code(self, strict: bool) -> int:
        """0, or 2 if anything is wrong."""
        return WRONG if self.wrong or (strict and self.doubtful) else 0


def check_manifests(paths: Sequence[Path], env_files: Sequence[Path]) -> Checked:
    """Say everything that is wrong with the manifests, and what will hurt, on stderr; the sums on stdout."""
    every: list[Loaded] = []
    wrong = doubtful = False
    for path in paths:
        try:
            loaded = load_manifest(path, env_files=env_files)
            check_unique([*every, loaded])
        except InvalidManifest as invalid:
            _explain(invalid)
            wrong = True
            continue
        every.append(loaded)
        places = Places(path.read_text(encoding="utf-8-sig"))
        wrong = _missing(loaded, places) or wrong
        doubtful = _warn(loaded, places, path) or doubtful
        click.echo(_sum(loaded))
    return Checked(every, wrong, doubtful)


def _explain(invalid: InvalidManifest) -> None:
    """Print every problem, and below it what the field is for."""
    for problem in invalid.problems:
        click.echo(problem.in_file(invalid.source), err=True)
        if (meaning := meaning_of(problem.path)) and not problem.text.startswith("unknown key"):
            click.echo(f"    {problem.path.rpartition('.')[2]}: {meaning}", err=True)


def _missing(loaded: Loaded, places: Places) -> bool:
    """Print what is left out of a manifest; whether variables are missing."""
    manifest = loaded.manifest
    for notice in manifest.notices:
        click.echo(f"{manifest.source}: {notice}", err=True)
    for disabled in manifest.disabled:
        place = places.find("|".join(rf"\$\{{?{name}\b|\bvars\.{name}\b" for name in disabled.missing))
        sentence = str(UnknownVariable(disabled.missing, disabled.name))
        click.echo(Problem("", sentence, place).in_file(manifest.source), err=True)
    return bool(manifest.disabled)


def _warn(loaded: Loaded, places: Places, path: Path) -> bool:
    """Print what will hurt; whether there is anything."""
    document = json.loads(path.read_text(encoding="utf-8-sig"))
    warnings = list(dict.fromkeys(_located(advise(document, loaded), places)))
    warnings += places.repeated
    for warning in sorted(warnings, key=lambda warning: warning.place or (0, 0)):
        shown = replace(warning, path="", text=f"warning: {warning}")
        click.echo(shown.in_file(loaded.manifest.source), err=True)
    return bool(warnings)


def _located(problems: Iterator[Problem], places: Places) -> Iterator[Problem]:
    return (replace(problem, place=places.of(problem.path)) for problem in problems)


def _sum(loaded: Loaded) -> str:
    entries = loaded.manifest.entries
    listed = sum(len(plans) for plans in loaded.plans.values())
    asked = sum(entry.discovers for entry in entries)
    parts = [f"{len(entries)} call template{'s' * (len(entries) != 1)}", f"{listed} tool{'s' * (listed != 1)} listed"]
    parts += [f"{asked} endpoint{'s' * (asked != 1)} to ask for tools"] if asked else []
    left_out = len(loaded.manifest.disabled)
    parts += [f"{left_out} left out"] if left_out else []
    return f"{loaded.manifest.source}: {', '.join(parts)}"
