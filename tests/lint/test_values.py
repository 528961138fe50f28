"""Values of session and let, and where their problems are placed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .test_lint import entry, tool, warnings_of

HTTP = {"url": "https://a.b/"}
QUIET = {"message": "{{ args.q }}", "reply": "none"}
CAPTURED = [{"expect": "message.hi", "capture": {"x": "message.x"}}]
USE = {"message": {"x": "{{ session.x }}", "q": "{{ args.q }}"}, "reply": "none"}


def lines_of(document: Any, folder: Path, *codes: str) -> list[str]:
    found = warnings_of(document, folder, {})
    return [line.rpartition(" [")[0] for line in found if line.rpartition("[")[2].rstrip("]") in codes]


ASKED = [{"http": {**HTTP, "json": {"x": "{{ session.x }}", "n": "{{ let.n }}"}}}]
MISSING = 'session.x is used here, but no message is captured for it. Add it to a "capture".'
UNUSED = "session.x is captured here, but never used. Remove it."


@pytest.mark.parametrize(
    ("document", "lines"),
    [
        (entry(tool(**USE)), [f"tools[0].tool_call_template.message: {MISSING}"]),
        (entry(**USE), [f"message: {MISSING}"]),
        (entry(tool(**USE), {**tool(**USE), "name": "u"}), [f"tools[0].tool_call_template.message: {MISSING}"]),
        (entry(tool(**USE), on_connect=CAPTURED), []),
        (entry(tool(**USE), before_connect=[{"http": HTTP, "capture": {"x": "body.x"}}]), []),
        (entry(tool(**USE), capture=[{"match": "message.x", "set": {"x": "message.x"}}]), []),
        (entry(tool(**USE, on_connect=CAPTURED)), []),
        (entry(tool(message={"q": "{{ args.q }}", "x": "{{ session.x | default(1) }}"}, reply="none")), []),
        (entry(tool(**QUIET), on_connect=CAPTURED), [f"on_connect[0].capture.x: {UNUSED}"]),
        (
            entry(tool(**QUIET), on_connect=[{"expect": "message.hi"}, *CAPTURED]),
            [f"on_connect[1].capture.x: {UNUSED}"],
        ),
        (
            entry(
                tool(**QUIET),
                capture=[{"match": "true", "set": {"a": "message.a"}}, {"match": "true", "set": {"x": "message.x"}}],
                heartbeat={"every": 9, "send": "{{ session.a }}"},
            ),
            [f"capture[1].set.x: {UNUSED}"],
        ),
        (
            entry(
                tool(**QUIET),
                before_connect=[{"http": HTTP, "capture": {"x": "body.x"}}],
            ),
            [f"before_connect[0].capture.x: {UNUSED}"],
        ),
        (entry(tool(message="{{ args.q }}{{ session }}", reply="none"), on_connect=CAPTURED), []),
        (entry(tool(**QUIET, before_message=ASKED), on_connect=CAPTURED), []),
        (entry(tool(**QUIET, before_message=ASKED)), [f"tools[0].tool_call_template.before_message: {MISSING}"]),
        (entry(tool(**QUIET), on_connect=CAPTURED, session_identity="session.x"), []),
        (entry(tool(message="{{ args.q }}{{ session.reconnected }}", reply="none")), [
            f"tools[0].tool_call_template.message: {MISSING}".replace("session.x", "session.reconnected")
        ]),
        (entry(tool(**QUIET), fail_when="message.a == session.x"), [f"fail_when: {MISSING}"]),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_of_a_session_is_captured_and_used(document: Any, lines: list[str], tmp_path: Path) -> None:
    assert lines_of(document, tmp_path, "session-value-not-used", "session-value-not-captured") == lines


LET = {"let": {"n": "uuid()"}}
N = {"message": {"n": "{{ let.n }}", "q": "{{ args.q }}"}, "reply": "none"}
NOT_DEFINED = 'let.n is used here, but not defined. Add it to "let".'
NOT_USED = "let.n is never used. Remove it."
STEP = {"before_message": [{"http": HTTP}, {"http": HTTP, "capture": {"n": "body.n"}}]}


@pytest.mark.parametrize(
    ("document", "lines"),
    [
        (entry(tool(**N)), [f"tools[0].tool_call_template.message: {NOT_DEFINED}"]),
        (entry(tool(**N, **LET)), []),
        (entry(tool(**N), **LET), []),
        (entry(tool(**QUIET, before_message=ASKED, **LET)), []),
        (entry(tool(**N, **STEP)), []),
        (entry(tool(**N), **STEP), []),
        (entry(**N, **LET), []),
        (
            entry(tool(**LET), {**tool(), "name": "u"}, **N),
            ['message: let.n is used here, but not defined for u. Add it to "let".'],
        ),
        (
            entry(tool(message="{{ args.q }}{{ let.b }}{{ let.a }}", reply="none", let={"aa": "1", "c": "2"})),
            [
                "tools[0].tool_call_template.message: let.a is used here, but not defined. Did you mean 'aa'?",
                'tools[0].tool_call_template.message: let.b is used here, but not defined. Add it to "let".',
                "tools[0].tool_call_template.let.aa: let.aa is never used. Remove it.",
                "tools[0].tool_call_template.let.c: let.c is never used. Remove it.",
            ],
        ),
        (entry(tool(message="{{ args.q }}", reply={"result": "let.n"})), [
            f"tools[0].tool_call_template.reply.result: {NOT_DEFINED}"
        ]),
        (entry(tool(message="{{ args.q }}"), reply={"match": "message.a", "result": "let.n"}), [
            "reply.result: let.n is used here, but not defined for t. Add it to \"let\"."
        ]),
        (entry(tool(message="{{ args.q }}", stream={"item": "message.x"}), reply={"result": "let.n"}), []),
        (entry(tool(message="{{ args.q }}", stream={"match": "message.x"}), reply={"result": "let.n"}), []),
        (entry(tool(message="{{ args.q }}", stream={"max_items": 2}), reply={"result": "let.n"}), [
            "reply.result: let.n is used here, but not defined for t. Add it to \"let\"."
        ]),
        (entry(tool(**QUIET, **LET)), [f"tools[0].tool_call_template.let.n: {NOT_USED}"]),
        (entry(tool(**QUIET), **LET), [f"let.n: {NOT_USED}"]),
        (entry(tool(**QUIET, **STEP)), [f"tools[0].tool_call_template.before_message[1].capture.n: {NOT_USED}"]),
        (entry(tool(**QUIET), **STEP), [f"before_message[1].capture.n: {NOT_USED}"]),
        (entry(tool(message="{{ args.q }}{{ let }}", reply="none", **LET)), []),
        ({"name": "m", "url": "wss://a.b/", **LET}, []),
        ({"name": "m", "url": "wss://a.b/", **LET, "feeds": [{"name": "f", "description": "F.", "match": "true"}]}, []),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_of_let_is_defined_and_used(document: Any, lines: list[str], tmp_path: Path) -> None:
    assert lines_of(document, tmp_path, "let-not-used", "let-not-defined") == lines
