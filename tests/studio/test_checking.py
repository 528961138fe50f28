"""What is said of the manifest that is typed."""

from __future__ import annotations

import json

from utcp_ws_mcp.studio.checking import Severity, check_text
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
