"""Measure the coverage map: run the tests once with coverage, each folder of them in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import coverage

from .coverage_map import CoverageMap, digests, read_map, read_sources
from .pytest_contexts import DURATIONS, test_function

_SLOW: Final = ("client", "server", "cli")
_PURE: Final = ("core", "manifest", "presets", "errors", "lint", "hosts", "recorder", "importers")
FOLDERS: Final = (*_SLOW, *_PURE, "observability", "plugins", "demo")
"""The folders of `tests` that take part: those that mirror `src`, the slowest first."""


def load(root: Path, folder: Path, *, stale: bool, workers: int) -> CoverageMap:
    """Return the map in a folder; measure it first if there is none, or a file has changed since.

    Args:
        root: The repository.
        folder: Where the map is kept.
        stale: Measure only files of tests that have changed, and move the lines of an old map with the code.
        workers: How many folders of tests are measured at a time.
    """
    kept = folder / "map.json"
    found = read_map(kept) if kept.exists() else None
    if found is not None and found.is_of(root):
        return found
    if found is not None and stale:
        update(found, root, folder, workers)
    else:
        measure(root, folder, [f"tests/{each}" for each in FOLDERS], workers)
        found = collect(root, folder)
    found.save(kept)
    return found


def update(found: CoverageMap, root: Path, folder: Path, workers: int) -> None:
    """Bring an old map up to date, except for tests that have not changed but run other lines now."""
    found.follow(root)
    today = digests(root)
    changed = {path for path in found.tests.keys() | today.keys() if found.tests.get(path) != today.get(path)}
    taking_part = [path for path in sorted(changed & today.keys()) if _takes_part(path)]
    measure(root, folder, taking_part, workers)
    found.replace_tests(changed, collect(root, folder))


def _takes_part(path: str) -> bool:
    name = path.rpartition("/")[2]
    return path.split("/")[1] in FOLDERS and name.startswith("test_")


def measure(root: Path, folder: Path, tests: Iterable[str], workers: int) -> None:
    """Run folders or files of tests with coverage; write what comes into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in ("coverage.*", "durations.*", "measure.*"):
        for old in folder.glob(pattern):
            old.unlink()
    with ThreadPoolExecutor(workers) as executor:
        list(executor.map(lambda each: measure_tests(root, folder, each), tests))


def measure_tests(root: Path, folder: Path, tests: str) -> None:
    """Run a folder or a file of tests with coverage."""
    name = tests.replace("/", "-")
    environ = {
        **os.environ,
        "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}",
        "COVERAGE_FILE": str(folder / f"coverage.{name}"),
        DURATIONS: str(folder / f"durations.{name}.json"),
    }
    rules = str(Path(__file__).parent / "coverage.ini")
    command = [sys.executable, "-m", "coverage", "run", "--rcfile", rules, "-m", "pytest", "-q"]
    command += ["-p", "verification.mutants.pytest_contexts", tests]
    with (folder / f"measure.{name}.log").open("wb") as log:
        subprocess.run(command, cwd=root, env=environ, stdout=log, stderr=subprocess.STDOUT, check=False)


def collect(root: Path, folder: Path) -> CoverageMap:
    """Return the map of the files that `measure` has written."""
    names: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for part in sorted(folder.glob("coverage.*")):
        data = coverage.CoverageData(str(part))
        data.read()
        for measured in data.measured_files():
            path = Path(measured) if not Path(measured).is_absolute() else Path(measured).relative_to(root)
            for line, contexts in data.contexts_by_lineno(measured).items():
                names[path.as_posix()][line].update(test_function(each.rpartition("|")[2]) for each in contexts if each)
    lines = {path: {line: sorted(tests) for line, tests in of.items()} for path, of in names.items()}
    seconds: dict[str, float] = {}
    for part in sorted(folder.glob("durations.*")):
        seconds |= json.loads(part.read_bytes())
    return CoverageMap(lines, seconds, digests(root), read_sources(root))
