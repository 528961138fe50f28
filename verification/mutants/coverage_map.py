"""Which test functions run which lines of `src`, and how long each of them takes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import coverage

from .operators import Mutant
from .pytest_contexts import DURATIONS, test_function

_PURE: Final = ("core", "manifest", "errors", "lint", "hosts", "recorder")
FOLDERS: Final = (*_PURE, "observability", "plugins", "demo", "server", "client", "cli")
"""The folders of `tests` that take part: those that mirror `src`."""

UNSEEN: Final = ("cli", "server")
"""The folders whose tests start the program as processes of their own."""

_CONSTANT: Final = re.compile(rb"^(\w+)\s*[:=]")


@dataclass(slots=True)
class CoverageMap:
    """`lines`: the test functions that run a line, by path and line; `seconds`: what a test function takes.

    `files` has the digests of the files: lines are right only as long as these are the same.
    """

    lines: dict[str, dict[int, list[str]]] = field(repr=False)
    seconds: dict[str, float] = field(repr=False)
    files: dict[str, str] = field(repr=False)

    def tests(self, mutant: Mutant, root: Path) -> tuple[list[str], bool]:
        """Return the tests that may notice a mutant, the fastest first, and whether they are known to run it."""
        found = self._running(mutant.path, range(mutant.first_line, mutant.last_line + 1))
        if not mutant.in_function:
            found |= self._users(mutant, root)
        known = bool(found)
        top = Path(mutant.path).relative_to("src/utcp_ws_mcp").parts[0]
        others = {test for test in self.seconds if test.startswith(f"tests/{top}/")} - found
        ordered = self._fastest_first(found)
        # What coverage does not see: processes that are killed, or that start with an empty environment.
        return (ordered + self._fastest_first(others) if not found or top in UNSEEN else ordered), known

    def _fastest_first(self, tests: set[str]) -> list[str]:
        return sorted(tests & self.seconds.keys(), key=lambda test: (self.seconds[test], test))

    def _running(self, path: str, lines: Iterable[int]) -> set[str]:
        by_line = self.lines.get(path, {})
        return {test for line in lines for test in by_line.get(line, ())}

    def _users(self, mutant: Mutant, root: Path) -> set[str]:
        """Return the tests that run a line with the name of a changed constant, in any module."""
        source = (root / mutant.path).read_bytes().splitlines()
        name = next(
            (found[1] for line in reversed(source[: mutant.first_line]) if (found := _CONSTANT.match(line))), b""
        )
        if not name:
            return self._running(mutant.path, self.lines.get(mutant.path, ()))
        word = re.compile(rb"\b" + re.escape(name) + rb"\b")
        tests: set[str] = set()
        for path in self.lines:
            numbered = enumerate((root / path).read_bytes().splitlines(), 1)
            tests |= self._running(path, [number for number, line in numbered if word.search(line)])
        return tests


def digests(root: Path) -> dict[str, str]:
    """Return a digest of each Python file of `src` and `tests`."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("src", "tests")
        for path in sorted((root / folder).rglob("*.py"))
    }


def load(root: Path, folder: Path, *, stale: bool) -> CoverageMap:
    """Return the map in a folder; build it first if there is none, or a file has changed since.

    Args:
        root: The repository.
        folder: Where the map is kept.
        stale: Use an old map as well: wrong for the lines of changed files.
    """
    kept = folder / "map.json"
    if kept.exists():
        document = json.loads(kept.read_bytes())
        lines = {path: {int(line): tests for line, tests in of.items()} for path, of in document["lines"].items()}
        found = CoverageMap(lines, document["seconds"], document["files"])
        if stale or found.files == digests(root):
            return found
    measure(root, folder)
    return collect(root, folder)


def measure(root: Path, folder: Path) -> None:
    """Run the tests once with coverage."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("coverage.*"):
        old.unlink()
    here = Path(__file__).parent
    environ = {
        **os.environ,
        "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}",
        "COVERAGE_FILE": str(folder / "coverage"),
        DURATIONS: str(folder / "durations.json"),
    }
    command = [sys.executable, "-m", "coverage", "run", "--rcfile", str(here / "coverage.ini"), "-m", "pytest", "-q"]
    command += ["-p", "verification.mutants.pytest_contexts", *(f"tests/{each}" for each in FOLDERS)]
    with (folder / "measure.log").open("wb") as log:
        subprocess.run(command, cwd=root, env=environ, stdout=log, stderr=subprocess.STDOUT, check=False)


def collect(root: Path, folder: Path) -> CoverageMap:
    """Return the map of the files that `measure` has written, and keep it."""
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
    for part in sorted(folder.glob("durations*.json")):
        seconds |= json.loads(part.read_bytes())
    found = CoverageMap(lines, seconds, digests(root))
    document = {"lines": found.lines, "seconds": found.seconds, "files": found.files}
    (folder / "map.json").write_text(json.dumps(document), encoding="utf-8")
    return found
