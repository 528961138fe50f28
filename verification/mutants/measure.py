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
"""The folders of `tests` that take longest: they are measured first."""

_ABOUT_OTHER_CODE: Final = ("benchmarks", "deploy", "verification")
"""The folders of `tests` that do not take part, because they run little of `src`."""


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
        measure(root, folder, taking_part(root), workers)
        found = collect(root, folder)
    found.save(kept)
    return found


def update(found: CoverageMap, root: Path, folder: Path, workers: int) -> None:
    """Bring an old map up to date, except for tests that have not changed but run other lines now."""
    found.follow(root)
    today = digests(root)
    changed = {path for path in found.tests.keys() | today.keys() if found.tests.get(path) != today.get(path)}
    measure(root, folder, filter(_takes_part, sorted(changed & today.keys())), workers)
    found.replace_tests(changed, collect(root, folder))


def taking_part(root: Path) -> list[str]:
    """Return the folders of `tests` that run code of `src`, the slowest first, and the files beside them."""
    files = sorted(path.relative_to(root).as_posix() for path in (root / "tests").rglob("test_*.py"))
    parts = dict.fromkeys("/".join(path.split("/")[:2]) for path in files if _takes_part(path))
    return sorted(parts, key=lambda each: each.rpartition("/")[2] not in _SLOW)


def _takes_part(path: str) -> bool:
    _, part, *below = path.split("/")
    return part not in _ABOUT_OTHER_CODE and (below or [part])[-1].startswith("test_")


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
