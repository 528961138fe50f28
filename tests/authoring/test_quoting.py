"""What agents see of endpoints: short, as data, and without secrets."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from utcp_ws_mcp.authoring.quoting import (
    MAX_SHOWN_JSON,
    MAX_SHOWN_LINES,
    MAX_SHOWN_MESSAGE,
    ShownConversation,
    shown_json,
    without_comment,
)
from utcp_ws_mcp.observability import events


def hide(text: str) -> str:
    return text.replace("s3cret", "…")


SHOWN: list[tuple[events.Event, list[str]]] = [
    (events.ConnectionOpened("m", "ws://a/", 0.0125), ["= connected to ws://a/ in 12 ms"]),
    (events.ConnectionClosed("m", "ws://a/", "1000 bye", remote=True), ["= 1000 bye"]),
    (events.ConnectionClosed("m", "ws://a/", "1000 bye", remote=False), []),
    (events.HttpRequestFinished("m", "GET", "http://a/", 204), ["= GET http://a/: HTTP 204"]),
    (events.MessageSent("m", '{"a": "s3cret"}'), ['> {"a": "…"}']),
    (events.MessageReceived("m", "hi\u200b", "reply"), ["< (reply) hi\\u200b"]),
    (events.MessageReceived("m", "hi", ""), ["< hi"]),
    (events.MatchExplained("m", ("one", "two\nlines")), ["  · one", "  · two␊lines"]),
    (events.MessageSendFailed("m", "heartbeat", "too large"), ["! heartbeat was not sent: too large"]),
    (events.DiscoveryFailed("m", "s3cret: no answer", 1.0, unreachable=True), ["! …: no answer"]),
    (events.WarningIssued("careful"), ["! careful"]),
    (events.RequestSent("m.t", "ws://a/", 0.1), []),
]  # fmt: skip


@pytest.mark.parametrize(("event", "lines"), SHOWN)
def test_each_event_has_its_lines(event: events.Event, lines: list[str]) -> None:
    shown = ShownConversation(hide)
    shown(event)
    assert all(re.match(r" *\d+\.\d\d ", line) for line in shown.lines)
    assert [re.sub(r"^ *\d+\.\d\d ", "", line) for line in shown.lines] == lines


def test_a_line_begins_with_the_seconds_since_the_conversation_began() -> None:
    shown = ShownConversation(hide)
    shown._started -= 2.5
    shown(events.WarningIssued("x"))
    assert shown.lines[0].startswith("  2.50 ")


def test_a_long_message_and_a_long_line_are_cut() -> None:
    shown = ShownConversation(hide)
    message = shown.message("x" * (MAX_SHOWN_MESSAGE + 1))
    assert message.startswith("x" * (MAX_SHOWN_MESSAGE - 100))
    assert len(message) < MAX_SHOWN_MESSAGE + 100
    assert shown.message("x" * MAX_SHOWN_MESSAGE) == "x" * MAX_SHOWN_MESSAGE
    shown(events.WarningIssued("x" * 10_000))
    assert len(shown.lines[0]) == len("  0.00 ") + 2 * MAX_SHOWN_MESSAGE
    assert MAX_SHOWN_MESSAGE == 600


def test_lines_beyond_the_limit_are_counted() -> None:
    shown = ShownConversation(hide)
    for number in range(MAX_SHOWN_LINES):
        shown(events.WarningIssued(str(number)))
    assert (len(shown.lines), shown.hidden, "more lines" in shown.text()) == (MAX_SHOWN_LINES, 0, False)
    for number in range(2):
        shown(events.WarningIssued(str(number)))
    assert (len(shown.lines), shown.hidden) == (MAX_SHOWN_LINES, 2)
    assert shown.text() == "\n".join([*shown.lines, "… 2 more lines are not shown"])
    assert MAX_SHOWN_LINES == 60


def sized(length: int) -> dict[str, Any]:
    """Return a value whose compact JSON has a length."""
    return {"a": "x" * (length - len('{"a":""}'))}


def test_a_value_is_formatted_or_compact_or_cut() -> None:
    assert shown_json({"a": [1] * 60}) != json.dumps({"a": [1] * 60}, separators=(",", ":"))
    largest = sized(MAX_SHOWN_JSON)
    compact = json.dumps(largest, separators=(",", ":"))
    assert (len(compact), shown_json(largest)) == (MAX_SHOWN_JSON, compact)
    longer = sized(MAX_SHOWN_JSON + 1)
    cut = json.dumps(longer, separators=(",", ":"))[:MAX_SHOWN_JSON]
    assert shown_json(longer) == f"{cut}… (cut: {MAX_SHOWN_JSON + 1:,} characters)"
    assert shown_json({"é\u200b": 1}).count("é\\u200b") == 1
    assert MAX_SHOWN_JSON == 16_000


def test_a_comment_is_left_out_at_the_top_only() -> None:
    assert without_comment({"$comment": ["x"], "a": {"$comment": "y"}}) == {"a": {"$comment": "y"}}
