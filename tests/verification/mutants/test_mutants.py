"""The mutants of a source, and which tests are chosen for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from verification.mutants.__main__ import changed_line, draw, known_equivalents, table, within
from verification.mutants.coverage_map import CoverageMap
from verification.mutants.operators import compiles, find_mutants
from verification.mutants.sandbox import Trial, Verdict

ROOT = Path(__file__).parents[3]
KINDS: dict[str, tuple[str, set[str]]] = {
    "negated condition": ("if a:\n    b = 1\n", {"(not (a))"}),
    "swapped comparison": ("a < b\n", {"(a <= b)"}),
    "swapped and/or": ("a and b\n", {"(a or b)"}),
    "dropped operand": ("a or b < c or d\n", {"((b < c) or d)", "(a or d)", "(a or (b < c))"}),
    "swapped operator": ("a | b\n", {"(a & b)"}),
    "constant": ("A = 64\nB = True\nC = 'ü'\nD = 0\n", {"65", "63", "False", "1", "-1"}),
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
    covered = CoverageMap({path: {5: [slow, fast, "failed"], 10: [other]}}, {slow: 2.0, fast: 1.0, other: 0.5}, {})
    constant, _, first, second, *_ = find_mutants(path, source)
    assert covered.tests(first, tmp_path) == ([fast, slow], True)
    assert covered.tests(second, tmp_path) == ([other, fast], False)
    assert covered.tests(constant, tmp_path) == ([other], True)
    assert within([fast, slow, other], covered.seconds, 1.5) == [fast]
    assert within([slow], covered.seconds, 1.5) == [slow]


def test_the_score_is_counted_by_folder() -> None:
    mutants = [
        *find_mutants("src/utcp_ws_mcp/core/a.py", b"A = 1\n"),
        *find_mutants("src/utcp_ws_mcp/b.py", b"A = 1\n"),
    ]
    verdicts = (Verdict.KILLED, Verdict.SURVIVED, Verdict.TIMEOUT, Verdict.UNTESTED)
    trials = [Trial(mutant, verdict, 1, 1) for mutant, verdict in zip(mutants, verdicts, strict=True)]
    assert table(trials).splitlines()[2:] == [
        "| core | 2 | 1 | 1 | 0 | 50% |",
        "| (top) | 2 | 1 | 0 | 1 | 50% |",
        "| all | 4 | 2 | 1 | 1 | 50% |",
    ]


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
