"""Mutants that are tried in children of one process of pytest."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from verification.mutants.forked import find_killed
from verification.mutants.operators import find_mutants
from verification.mutants.sandbox import Attempt, Sandbox

ROOT = Path(__file__).parents[3]
SOURCE = """
LIMIT = 5


def small(value):
    return value < LIMIT


def outer(value):
    def inner():
        return value + 1

    return inner()


class Box:
    @property
    def ends(self):
        import os
        if small(9):
            os._exit(3)
        return True
"""
TESTS = """
import subprocess
import sys

import pytest

import a


@pytest.mark.parametrize("value", [1, 4])
def test_small(value):
    assert a.small(value)


def test_bound():
    assert not a.small(5)


def test_outer():
    assert a.outer(1) == 2


def test_box():
    assert a.Box().ends


def test_process():
    code = "import a; print(a.outer(1))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "2\\n"


def test_broken():
    assert False
"""


class Copy(Sandbox):
    """A folder as it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = sys.executable

    def environ(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT}"}


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    (tmp_path / "a.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "test_a.py").write_text(TESTS, encoding="utf-8")
    return Copy(tmp_path)


def killed(copy: Copy, *tests: str) -> dict[str, str]:
    """Return the tests that kill mutants, by kind, line and replacement."""
    named = [f"test_a.py::{test}" for test in tests]
    mutants = find_mutants("a.py", SOURCE.encode())
    tried = [Attempt(mutant, named, 1.0, known=True, of=len(named)) for mutant in mutants]
    names = [f"{each.kind} {each.first_line} {each.replacement}" for each in mutants]
    return {names[number]: killer for number, killer in find_killed(copy, tried).items()}


def test_a_mutant_is_killed_by_the_first_test_that_fails(copy: Copy) -> None:
    found = killed(copy, "test_small", "test_bound", "test_outer")

    assert found["swapped comparison 6 (value <= LIMIT)"] == "test_a.py::test_bound"
    assert found["returned None 6 None"] == "test_a.py::test_small"
    assert found["swapped operator 11 (value - (1))"] == "test_a.py::test_outer"
    assert not [name for name in found if name.startswith("constant 2 ")], "a constant is computed at import"
    assert not [name for name in found if " 22 " in name], "no test runs the line"


def test_a_process_that_a_test_starts_meets_the_mutant(copy: Copy) -> None:
    assert killed(copy, "test_process")["swapped operator 11 (value - (1))"] == "test_a.py::test_process"


def test_a_child_that_ends_without_an_answer_is_left_to_a_process_of_its_own(copy: Copy) -> None:
    found = killed(copy, "test_box")

    assert not [name for name in found if name.startswith("negated condition")]
    assert found["constant 22 False"] == "test_a.py::test_box"


def test_a_test_that_fails_without_a_mutant_kills_none(copy: Copy) -> None:
    assert killed(copy, "test_broken") == {}


def test_tests_that_cannot_be_collected_kill_none(copy: Copy) -> None:
    (copy.folder / "test_a.py").write_text("import missing\n", encoding="utf-8")

    assert killed(copy, "test_small") == {}


def test_the_sources_are_as_they_were_afterwards(copy: Copy) -> None:
    killed(copy, "test_small", "test_outer")

    assert (copy.folder / "a.py").read_text(encoding="utf-8") == SOURCE
