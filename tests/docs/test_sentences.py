"""Every sentence with which something fails, or is reported, stands on a page of the documentation."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import utcp_ws_mcp
from utcp_ws_mcp import errors

from .examples import ROOT

SOURCE = Path(utcp_ws_mcp.__file__).parent
PAGES = [ROOT / "docs" / name for name in ("errors.md", "operating.md", "authoring.md", "hosts.md", "utcp.md")]
RAISED = {name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, Exception)}
SAID_BY = RAISED | {
    "Problem",
    "ValueError",
    "Unfilled",
    "InvalidSchema",
    "ExpressionFailed",
    "UsageError",
    "BadParameter",
}
"""What is called with a sentence, or with a part of one."""

ASSIGNED = {"why", "reason", "hint"}
"""The variables that hold a sentence, or a part of one."""

INTERNAL = {"demo"}
"""Folders that say nothing to users of an endpoint of their own."""


def sentences(source: str) -> Iterator[str]:
    """The sentences of a module; what is filled in later is `…`.

    They are the texts given to errors and problems, those that stand in `ASSIGNED`, and the reasons that functions of
    the type `str | None` return.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in SAID_BY:
            yield from (text for argument in node.args for text in texts(argument))
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ASSIGNED:
            yield from texts(node.value)
        elif isinstance(node, ast.FunctionDef) and node.returns and ast.unparse(node.returns) == "str | None":
            returns = [each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value]
            yield from (text for value in returns for text in texts(value))


def texts(node: ast.expr) -> Iterator[str]:
    """Each text that an expression may give, where it is written out."""
    if isinstance(node, ast.IfExp):
        yield from (*texts(node.body), *texts(node.orelse))
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from (*texts(node.left), *texts(node.right))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)


def told(sentence: str) -> str:
    """The longest part of a sentence that is always the same."""
    return max((part.strip(" ;:,.()'\"") for part in sentence.split("…")), key=len)


def found() -> list[tuple[str, str]]:
    modules = [path for path in sorted(SOURCE.rglob("*.py")) if path.relative_to(SOURCE).parts[0] not in INTERNAL]
    said = {(path.stem, told(text)) for path in modules for text in sentences(path.read_text(encoding="utf-8"))}
    return sorted((module, text) for module, text in said if len(text.split()) > 2)


def plain(text: str) -> str:
    """Text without what Markdown adds."""
    return re.sub(r"\s+", " ", text.replace("\\|", "|").replace("`", ""))


DOCUMENTED = plain("\n".join(page.read_text(encoding="utf-8") for page in PAGES))


@pytest.mark.parametrize(("module", "text"), found())
def test_every_sentence_stands_in_the_documentation(module: str, text: str) -> None:
    assert plain(text) in DOCUMENTED


def test_the_reader_of_sentences_finds_what_is_raised_reported_and_returned() -> None:
    source = """
def check(path) -> str | None:
    raise ForbiddenURL(f"{path} is no good" + "; take another")
    yield Problem(path, "is required" if path else f"is {path} or nothing")
    return "refers to itself"
"""
    assert sorted(sentences(source)) == [
        "; take another",
        "is required",
        "is … or nothing",
        "refers to itself",
        "… is no good",
    ]
