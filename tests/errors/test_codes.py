"""The registry of codes and the code that uses them agree: no unknown code, no unused one, none without a test.

Codes are read from the source: the argument `code="…"`, an attribute `code = "…"` of a class, a default of a parameter
`code`, and tables whose names end with `CODES`.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from utcp_ws_mcp.errors.codes import CODES

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "utcp_ws_mcp"
FORM = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+\Z|internal-error\Z")
WORD = re.compile(r"\b[a-z0-9]+(?:-[a-z0-9]+)+\b")
REGISTRY = SOURCE / "errors" / "codes"


def code_values(node: ast.AST) -> Iterator[ast.AST | None]:
    """Yield what a node of the syntax tree gives as a code."""
    match node:
        case ast.keyword(arg="code", value=value):
            yield value
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name == "code" or name.endswith("CODES"):
            yield value
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
            yield from (
                value
                for target, value in zip(targets, values, strict=False)
                if isinstance(target, ast.Name) and target.id == "code"
            )
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if name == "code" or name.endswith("CODES"):
            yield value
        case ast.arguments(kwonlyargs=named, kw_defaults=defaults):
            yield from (value for argument, value in zip(named, defaults, strict=True) if argument.arg == "code")


def codes_in(file: Path) -> set[str]:
    """Return the codes that a file of the source uses."""
    values = [value for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) for value in code_values(node)]
    constants = [part for value in values if value is not None for part in ast.walk(value)]
    texts = [part.value for part in constants if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return {text for text in texts if FORM.match(text)}


def strings_in(file: Path) -> set[str]:
    """Return all strings of a file: a code may be returned by a function before it is passed on."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


FILES = [file for file in sorted(SOURCE.rglob("*.py")) if REGISTRY not in file.parents]
OURS = sorted({text for file in FILES if {"core", "client"} & {*file.parts} for text in strings_in(file) & {*CODES}})


@functools.cache
def words_of_tests() -> frozenset[str]:
    """Return the words with hyphens of all other tests."""
    files = (file for file in (ROOT / "tests").rglob("*.py") if file.name != Path(__file__).name)
    return frozenset(word for file in files for word in WORD.findall(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_a_code_that_is_used_is_in_the_registry(file: Path) -> None:
    assert codes_in(file) - {*CODES} == set()


def test_a_code_of_the_registry_is_used() -> None:
    assert {*CODES} - set().union(*map(strings_in, FILES)) == set()


@pytest.mark.parametrize("code", OURS)
def test_a_code_of_the_core_and_the_client_is_tested(code: str) -> None:
    assert code in words_of_tests()


@pytest.mark.parametrize(("code", "meaning"), CODES.items(), ids=CODES)
def test_a_code_has_a_form_and_a_meaning_in_sentences(code: str, meaning: str) -> None:
    assert FORM.match(code)
    assert meaning.endswith((".", ":"))
