"""The mutants of a source, and which tests are chosen for them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from verification.mutants.__main__ import changed_line, confirm, draw, known_equivalents, table, within
from verification.mutants.coverage_map import CoverageMap, move, read_map, read_sources
from verification.mutants.measure import taking_part
from verification.mutants.operators import compiles, find_mutants
from verification.mutants.sandbox import Attempt, Sandbox, Trial, Verdict, make_python

ROOT = Path(__file__).parents[3]
KINDS: dict[str, tuple[str, set[str]]] = {
    "negated condition": ("if a:\n    b = 1\n", {"(not (a))"}),
    "swapped comparison": ("a < b\n", {"(a <= b)"}),
    "swapped and/or": ("a and b\n", {"(a or b)"}),
    "dropped operand": ("a or b < c or d\n", {"((b < c) or d)", "(a or d)", "(a or (b < c))"}),
    "swapped operator": ("a | b\n", {"(a & b)"}),
    "constant": ("A = 64\nB = True\nC = 'ü'\nD = 0\nE = 1e21\n", {"65", "63", "False", "1", "-1", "2e+21"}),
    "removed call": ("def f():\n    'Doc.'\n    g()\n", {"pass"}),
    "removed assignment": ("def f():\n    a: int = 1\n    a += 1\n", {"pass"}),
    "assigned None": ("def f():\n    a = UNDEFINED\n", {"None"}),
    "removed raise": ("def f():\n    raise ValueError('x')\n", {"pass"}),
    "removed statement": ("def f():\n    for a in b:\n        continue\n", {"pass"}),
    "returned None": ("def f():\n    return g()\n", {"None"}),
    "narrowed exception": ("try:\n    f()\nexcept BaseException:\n    g()\n", {"Exception"}),
    "removed sign": ("not a\n", {"(a)"}),
}
UNCHANGED = [
    "'Doc.'\n",
    "def f(a: int | None) -> str | None: ...\n",
    "assert a == 1\n",
    "from a import b\n",
    "@g(1)\ndef f(): ...\n",
]


@pytest.mark.parametrize(("kind", "case"), KINDS.items(), ids=KINDS)
def test_each_kind_of_mutant_is_found(kind: str, case: tuple[str, set[str]]) -> None:
    source, replacements = case
    found = [mutant for mutant in find_mutants("m.py", source.encode()) if mutant.kind == kind]
    assert {mutant.replacement for mutant in found} == replacements
    for mutant in found:
        assert compiles(mutant, source.encode())
        assert mutant.apply(source.encode()) != source.encode()


@pytest.mark.parametrize("source", UNCHANGED)
def test_what_no_test_could_notice_is_not_changed(source: str) -> None:
    assert find_mutants("m.py", source.encode()) == []


@pytest.mark.parametrize(
    ("value", "replacements"), [("True", ["False"]), ("False", ["True"]), ("1", ["None", "2", "0"])]
)
def test_a_returned_boolean_becomes_the_other_one_only(value: str, replacements: list[str]) -> None:
    found = find_mutants("m.py", f"def f():\n    return {value}\n".encode())
    assert sorted(mutant.replacement for mutant in found) == sorted(replacements)


def test_offsets_are_right_behind_characters_of_several_bytes() -> None:
    source = "a = 'ü' if b else 5  # ü\n".encode()
    (constant, _) = (mutant for mutant in find_mutants("m.py", source) if mutant.kind == "constant")
    assert constant.apply(source).decode() == "a = 'ü' if b else 4  # ü\n"


def test_the_same_seed_draws_the_same_sample() -> None:
    first, second = (draw(ROOT, "hosts", 10, 7) for _ in range(2))
    assert len(first) == 10
    assert first == second
    assert first != draw(ROOT, "hosts", 10, 8)


def test_the_fastest_tests_of_a_line_come_first_and_its_folder_stands_in_for_none(tmp_path: Path) -> None:
    path = "src/utcp_ws_mcp/core/a.py"
    source = b"LIMIT = 5\n\n\ndef f():\n    g()\n    h()\n\n\ndef k():\n    return LIMIT\n"
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(source)
    slow, fast, other = "tests/client/test_a.py::slow", "tests/core/test_a.py::fast", "tests/core/test_b.py::other"
    covered = CoverageMap({path: {5: [slow, fast, "failed"], 10: [other]}}, {slow: 2.0, fast: 1.0, other: 0.5})
    constant, _, first, second, *_ = find_mutants(path, source)
    assert covered.find_tests(first, tmp_path) == ([fast, slow], True)
    assert covered.find_tests(second, tmp_path) == ([other, fast], False)
    assert covered.find_tests(constant, tmp_path) == ([other], True)
    assert within([fast, slow, other], covered.seconds, 1.5) == [fast]
    assert within([slow], covered.seconds, 1.5) == [slow]


def test_the_users_of_a_field_are_found_by_its_name(tmp_path: Path) -> None:
    path, test = "src/utcp_ws_mcp/manifest/a.py", "tests/core/test_a.py::test"
    source = b"class A:\n    size: int = Field(\n        5,\n        ge=1,\n    )\n\n\ndef f(a):\n    return a.size\n"
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(source)
    covered = CoverageMap({path: {9: [test]}}, {test: 1.0})
    constants = [mutant for mutant in find_mutants(path, source) if mutant.kind == "constant"]
    assert [covered.find_tests(mutant, tmp_path) for mutant in constants] == [([test], True)] * 4


def test_every_test_of_the_program_takes_part() -> None:
    found = taking_part(ROOT)
    assert found[:3] == ["tests/cli", "tests/client", "tests/server"]
    assert {"tests/studio", "tests/docs", "tests/test_manifests.py"} < set(found)
    names = {path.name for path in (ROOT / "src/utcp_ws_mcp").iterdir() if (path / "__init__.py").exists()}
    assert {f"tests/{name}" for name in names if (ROOT / "tests" / name).exists()} <= set(found)
    assert "tests/verification" not in found
    assert "tests/conftest.py" not in found


def test_the_score_is_counted_by_folder() -> None:
    mutants = [
        *find_mutants("src/utcp_ws_mcp/core/a.py", b"A = 1\n"),
        *find_mutants("src/utcp_ws_mcp/b.py", b"A = 1\n"),
        *find_mutants("src/utcp_ws_mcp/c.py", b"A = True\n"),
    ]
    verdicts = (Verdict.KILLED, Verdict.SURVIVED, Verdict.TIMEOUT, Verdict.UNTESTED, Verdict.UNSURE)
    trials = [Trial(mutant, verdict, 1, 1) for mutant, verdict in zip(mutants, verdicts, strict=True)]
    assert table(trials).splitlines()[2:] == [
        "| core | 2 | 1 | 1 | 0 | 0 | 50% |",
        "| (top) | 3 | 1 | 0 | 1 | 1 | 33% |",
        "| all | 5 | 2 | 1 | 1 | 1 | 40% |",
    ]


MOVED = {
    "nothing has changed": ("a\nb\nc\n", "a\nb\nc\n", {1: ["1"], 2: ["2"], 3: ["3"]}),
    "a line above": ("a\nb\nc\n", "a\nx\nb\nc\n", {1: ["1"], 2: ["1", "2"], 3: ["2"], 4: ["3"]}),
    "another line": ("a\nb\nc\n", "a\nx\nc\n", {1: ["1"], 2: ["1", "2", "3"], 3: ["3"]}),
    "a line less": ("a\nb\nc\n", "a\nc\n", {1: ["1"], 2: ["3"]}),
    "a new file": ("", "a\nb\nc\n", {}),
}


@pytest.mark.parametrize(("before", "after", "expected"), MOVED.values(), ids=MOVED)
def test_the_tests_of_a_line_move_with_it_and_a_new_line_has_those_around_it(
    before: str, after: str, expected: dict[int, list[str]]
) -> None:
    lines = {number: [str(number)] for number in (1, 2, 3)} if before else {}
    assert move(lines, before, after) == expected


def test_an_old_map_follows_the_code_and_takes_what_is_measured_of_changed_tests(tmp_path: Path) -> None:
    path, kept = "src/utcp_ws_mcp/a.py", "tests/core/test_b.py::kept"
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("f()\n", encoding="utf-8")
    old, new = "tests/core/test_a.py::old", "tests/core/test_a.py::new"
    covered = CoverageMap({path: {1: [old, kept]}}, {old: 1.0, kept: 1.0}, {}, read_sources(tmp_path))
    assert covered.is_of(tmp_path)
    (tmp_path / path).write_text("# f\nf()\n", encoding="utf-8")
    assert not covered.is_of(tmp_path)
    covered.follow(tmp_path)
    measured = CoverageMap({path: {2: [new]}}, {new: 2.0}, {"tests/core/test_a.py": "digest"})
    covered.replace_tests(["tests/core/test_a.py"], measured)
    assert covered.lines == {path: {1: [kept], 2: [new, kept]}}
    assert covered.seconds == {kept: 1.0, new: 2.0}
    assert covered.tests == {"tests/core/test_a.py": "digest"}
    covered.save(tmp_path / "map.json")
    assert read_map(tmp_path / "map.json") == covered


class Copy(Sandbox):
    """A copy of a repository in which each run of pytest ends as is said, in this order."""

    def __init__(self, folder: Path, *ends: tuple[int | None, str]) -> None:
        self.folder = folder
        self.ends = list(ends)
        self.sources: list[bytes] = []

    def _pytest(self, tests: list[str], timeout: float, *, stop_early: bool = True) -> tuple[int | None, str]:
        self.sources.append((self.folder / "a.py").read_bytes())
        return self.ends.pop(0)


FAILED = "F\nFAILED tests/test_a.py::test_b[1 - 2] - assert 1 == 2\n1 failed in 0.1s\n"
TRIALS = {
    "a test fails": ([(1, FAILED)], Verdict.KILLED, "tests/test_a.py::test_b"),
    "a file of tests cannot be imported": ([(2, "E\nERROR tests/test_a.py\n")], Verdict.KILLED, "tests/test_a.py"),
    "the process ends without a word": ([(-9, "")], Verdict.KILLED, ""),
    "the tests pass": ([(0, "1 passed")], Verdict.SURVIVED, ""),
    "the tests hang, only with the mutant": ([(None, ""), (0, "1 passed")], Verdict.TIMEOUT, ""),
    "the tests take too long without the mutant, too": ([(None, ""), (None, "")], Verdict.UNSURE, ""),
}


@pytest.mark.parametrize(("ends", "verdict", "killer"), TRIALS.values(), ids=TRIALS)
def test_a_verdict_is_about_the_mutant(
    tmp_path: Path, ends: list[tuple[int | None, str]], verdict: Verdict, killer: str
) -> None:
    source = b"A = True\n"
    (tmp_path / "a.py").write_bytes(source)
    (mutant,) = find_mutants("a.py", source)
    sandbox = Copy(tmp_path, *ends)
    trial = sandbox.run(Attempt(mutant, ["tests/test_a.py::test_b"], 1.0, known=True, of=1))
    assert (trial.verdict, trial.killer) == (verdict, killer)
    assert sandbox.sources == [b"A = False\n", source][: len(ends)]
    assert (tmp_path / "a.py").read_bytes() == source


def test_the_python_of_a_copy_imports_the_copy_and_has_the_command_beside_it(tmp_path: Path) -> None:
    package = tmp_path / "src" / "utcp_ws_mcp"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("def run():\n    print(__file__)\n", encoding="utf-8")
    command = Path(make_python(tmp_path)).with_name("utcp-ws-mcp")
    shown = subprocess.run([command], env={}, capture_output=True, text=True, check=True).stdout
    assert shown == f"{package / '__main__.py'}\n"


def test_a_test_that_fails_without_a_mutant_kills_none(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"A = 1\n")
    mutants = find_mutants("a.py", b"A = 1\n")
    broken, other = "tests/test_a.py::test_b", "tests/test_a.py::test_c"
    trials = [Trial(each, Verdict.KILLED, 1, 1, by) for each, by in zip(mutants, (broken, other), strict=True)]
    confirmed = confirm(trials, Copy(tmp_path, (1, FAILED)), {broken: 1.0, other: 1.0})
    assert [trial.verdict for trial in confirmed] == [Verdict.UNSURE, Verdict.KILLED]


def test_every_mutant_that_is_said_to_be_equivalent_is_one_of_todays_code() -> None:
    known = known_equivalents()
    sources = {path: (ROOT / path).read_bytes() for path, _, _ in known}
    today = {
        (path, *changed_line(mutant, source))
        for path, source in sources.items()
        for mutant in find_mutants(path, source)
    }
    assert known <= today
    judged = json.loads((ROOT / "verification/mutants/equivalent.json").read_text(encoding="utf-8"))
    assert all(each["reason"] for each in judged)
