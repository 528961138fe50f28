"""The pages of errors and warnings describe every code of the registries: what it means, and how to fix it."""

from __future__ import annotations

import re

import pytest

from utcp_ws_mcp.errors.codes import CODES
from utcp_ws_mcp.lint import RULES
from utcp_ws_mcp.lint.host_limits import NOTES

from .examples import ROOT

CLIENT = ROOT / "src" / "utcp_ws_mcp" / "client"
FOLDER = ROOT / "docs" / "reference" / "errors"
ERRORS = (FOLDER / "index.md").read_text(encoding="utf-8")
WARNINGS = (FOLDER / "warnings.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^#+ `([a-z0-9-]+)`\n(.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = dict(SECTION.findall(ERRORS + "\n" + WARNINGS))


def described(page: str) -> list[str]:
    """Return the codes that are headings of a page."""
    return sorted(code for code, _ in SECTION.findall(page))


def test_the_page_of_errors_describes_every_code_once_and_no_other() -> None:
    assert described(ERRORS) == sorted(CODES.keys() - RULES.keys() - NOTES.keys())


def test_the_page_of_warnings_describes_every_lint_rule_once_and_no_other() -> None:
    assert described(WARNINGS) == sorted([*RULES, *NOTES])


@pytest.mark.parametrize("code", SECTIONS)
def test_every_section_has_a_meaning_and_a_fix(code: str) -> None:
    meaning, fix, how = SECTIONS[code].partition("\n**Fix:** ")
    assert meaning.strip()
    assert fix
    assert how.strip().endswith((".", "|", "`"))


def test_the_section_of_lost_connections_explains_every_reason() -> None:
    """The reasons are the constant texts with which the client describes the end of a connection."""
    source = "".join((CLIENT / name).read_text(encoding="utf-8") for name in ("close_info.py", "websocket.py"))
    reasons = re.findall(r'"((?:the server |the network |closed by utcp-ws-mcp)[^"{]*)"', source)
    assert len(reasons) > 4
    assert [reason for reason in reasons if reason not in SECTIONS["connection-lost"]] == []
