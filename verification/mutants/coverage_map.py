"""Which test functions run which lines of `src`, and how long each of them takes."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Final

from .operators import Mutant

UNSEEN: Final = ("cli", "server")
"""The folders whose tests start the program as processes of their own."""

_ASSIGNED: Final = re.compile(rb"\s*(\w+)(?:: | = )")
"""The beginning of an assignment in a module or a class; arguments by name have no spaces around `=`."""


@dataclass(slots=True)
class CoverageMap:
    """`lines`: the test functions that run a line, by path and line; `seconds`: what a test function takes.

    `tests` has the digests of the files of `tests`, `sources` the files of `src`, as they were when they were measured.
    """

    lines: dict[str, dict[int, list[str]]] = field(repr=False)
    seconds: dict[str, float] = field(repr=False)
    tests: dict[str, str] = field(default_factory=dict, repr=False)
    sources: dict[str, str] = field(default_factory=dict, repr=False)

    def find_tests(self, mutant: Mutant, root: Path) -> tuple[list[str], bool]:
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

    def is_of(self, root: Path) -> bool:
        """Return whether no file has changed since the map was measured."""
        return self.tests == digests(root) and self.sources == read_sources(root)

    def follow(self, root: Path) -> None:
        """Move the lines to where they are in today's files."""
        today = read_sources(root)
        self.lines = {
            path: move(self.lines.get(path, {}), self.sources.get(path, ""), source) for path, source in today.items()
        }
        self.sources = today

    def replace_tests(self, paths: Iterable[str], measured: CoverageMap) -> None:
        """Put what is measured now of test files in place of what is known of them."""
        gone = tuple(f"{path}::" for path in paths)
        self.seconds = {test: each for test, each in self.seconds.items() if not test.startswith(gone)}
        self.seconds |= measured.seconds
        for path, source_lines in self.lines.items():
            new = measured.lines.get(path, {})
            for line in source_lines.keys() | new.keys():
                kept = {test for test in source_lines.get(line, ()) if not test.startswith(gone)}
                source_lines[line] = sorted(kept.union(new.get(line, ())))
        self.tests = measured.tests

    def save(self, path: Path) -> None:
        """Keep the map in a file."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    def _fastest_first(self, tests: set[str]) -> list[str]:
        return sorted(tests & self.seconds.keys(), key=lambda test: (self.seconds[test], test))

    def _running(self, path: str, lines: Iterable[int]) -> set[str]:
        by_line = self.lines.get(path, {})
        return {test for line in lines for test in by_line.get(line, ())}

    def _users(self, mutant: Mutant, root: Path) -> set[str]:
        """Return the tests that run a line with the name of a changed constant or field, in any module."""
        source = (root / mutant.path).read_bytes().splitlines()
        name = next(
            (found[1] for line in reversed(source[: mutant.first_line]) if (found := _ASSIGNED.match(line))), b""
        )
        if not name:
            return self._running(mutant.path, self.lines.get(mutant.path, ()))
        word = re.compile(rb"\b" + re.escape(name) + rb"\b")
        tests: set[str] = set()
        for path in self.lines:
            numbered = enumerate((root / path).read_bytes().splitlines(), 1)
            tests |= self._running(path, [number for number, line in numbered if word.search(line)])
        return tests


def read_map(path: Path) -> CoverageMap:
    """Return the map that a file keeps."""
    document = json.loads(path.read_bytes())
    lines = {source: {int(line): tests for line, tests in of.items()} for source, of in document.pop("lines").items()}
    return CoverageMap(lines, **document)


def move(lines: dict[int, list[str]], before: str, after: str) -> dict[int, list[str]]:
    """Return the tests of the lines of a changed file: a new line has those of the lines around it before."""
    moved: defaultdict[int, set[str]] = defaultdict(set)
    matcher = SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    for kind, start, end, new_start, new_end in matcher.get_opcodes():
        around = {test for line in range(start, end + 2) for test in lines.get(line, ())}
        for offset in range(new_end - new_start):
            tests = lines.get(start + offset + 1, ()) if kind == "equal" else around
            moved[new_start + offset + 1].update(tests)
    return {line: sorted(tests) for line, tests in moved.items() if tests}


def digests(root: Path) -> dict[str, str]:
    """Return a digest of each Python file of `tests`."""
    paths = sorted((root / "tests").rglob("*.py"))
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def read_sources(root: Path) -> dict[str, str]:
    """Return the files of `src`."""
    paths = sorted((root / "src").rglob("*.py"))
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths}
