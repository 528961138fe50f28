"""What is said of the manifest that is typed."""

from __future__ import annotations

import json

import pytest

from utcp_ws_mcp.errors import Problem
from utcp_ws_mcp.studio import checking as module
from utcp_ws_mcp.studio.checking import Finding, Severity, check_text
from utcp_ws_mcp.studio.session import StudioOptions, open_session

RIGHT = {
    "name": "m",
    "url": "wss://h.example/",
    "tools": [{"name": "t", "description": "Does it.", "tool_call_template": {"reply": "none", "message": "x"}}],
}


def check(document: object, **variables: str) -> list[tuple[Severity, str, str]]:
    """The severity, the code and the underlined text of each finding."""
    text = document if isinstance(document, str) else json.dumps(document, indent=2)
    session = open_session(StudioOptions(environ=variables))
    session.set_text(text)
    found = [(each, each.span(text)) for each in check_text(session).findings]
    return [(each.severity, each.code, text[start:end]) for each, (start, end) in found]


def test_a_right_manifest_has_no_errors() -> None:
    assert [each for each in check(RIGHT) if each[0] is not Severity.NOTE] == []


def test_a_manifest_that_is_not_begun_has_no_errors() -> None:
    assert check_text(open_session(StudioOptions())).findings == []


def test_an_error_underlines_its_value_and_has_the_description_of_its_field() -> None:
    assert check({**RIGHT, "response_format": "xml"})[0] == (Severity.ERROR, "invalid-value", '"xml"')
    session = open_session(StudioOptions())
    session.set_text(json.dumps({**RIGHT, "response_format": "xml"}))
    (finding,) = check_text(session).findings
    assert finding.description.startswith("response_format: ")
    assert str(finding).startswith("error: response_format: ")


def test_a_missing_variable_is_no_error_and_is_found_again_when_it_is_set() -> None:
    document = {**RIGHT, "headers": {"X": "${KEY_OF_API}"}}

    assert (Severity.MISSING, "variable-not-set") in [each[:2] for each in check(document)]
    assert Severity.MISSING not in [each[0] for each in check(document, KEY_OF_API="x")]
    session = open_session(StudioOptions())
    session.set_text(json.dumps(document))
    assert check_text(session).missing == ("KEY_OF_API",)
    session.set_variable("KEY_OF_API", "x")
    assert check_text(session).missing == ()


def test_a_text_that_is_no_json_is_an_error_at_its_place() -> None:
    ((severity, _, underlined),) = check('{"name": "m",\n  oops}')
    assert (severity, underlined) == (Severity.ERROR, "oops")


def test_an_empty_text_is_an_error() -> None:
    ((severity, _, underlined),) = check("")
    assert (severity, underlined) == (Severity.ERROR, "")


def test_a_finding_without_a_place_is_at_the_beginning_and_only_errors_have_descriptions() -> None:
    (found,) = module._findings(Severity.NOTE, [Problem("timeout", "x", code="y")])
    assert (found.line, found.column, found.description) == (1, 1, "")
    (error,) = module._findings(Severity.ERROR, [Problem("timeout", "x", (3, 4), code="y")])
    assert (error.line, error.column, error.description.partition(":")[0]) == (3, 4, "timeout")


SPANS = [
    (1, 1, "{"),
    (2, 4, '"é\\"b"'),
    (2, 12, "[1]"[0]),
    (2, 13, "1"),
    (3, 3, "oops"),
    (2, 99, ""),
    (9, 1, ""),
    (4, 1, ""),
]


@pytest.mark.parametrize(("line", "column", "underlined"), SPANS)
def test_the_value_at_a_place_is_underlined(line: int, column: int, underlined: str) -> None:
    text = '{\n   "é\\"b": [1],\n  oops }\n'
    start, end = Finding(Severity.ERROR, "", "m", "c", line, column).span(text)
    assert text[start:end] == underlined
    assert line < 9 or (start, end) == (len(text), len(text))


def test_findings_are_in_the_order_of_the_text_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.MAX_FINDINGS == 200
    monkeypatch.setattr(module, "MAX_FINDINGS", 2)
    places = [(2, 1), (1, 9), (1, 2)]
    problems = [Problem("", str(place), place, code="c") for place in places]
    found = module._sorted(module._findings(Severity.WARNING, problems))
    assert [(each.line, each.column) for each in found] == [(1, 2), (1, 9)]


def test_a_finding_is_written_with_its_place_if_it_has_one() -> None:
    assert str(Finding(Severity.WARNING, "url", "m", "c", 1, 1)) == "warning: url: m [c]"
    assert str(Finding(Severity.NOTE, "", "m", "c", 1, 1)) == "note: m [c]"
