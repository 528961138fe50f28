"""The log on stderr: text for people, JSON for machines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from utcp_ws_mcp.observability import events
from utcp_ws_mcp.observability.logging import Trace, configure_logging, log_event
from utcp_ws_mcp.observability.redaction import redactor


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("utcp_ws_mcp", "mcp", "uvicorn", "opentelemetry")]
    before = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


def logged(capsys: pytest.CaptureFixture[str], *happened: events.Event, level: str = "info") -> list[dict[str, object]]:
    configure_logging(level, redactor(["topsecret-value"]), as_json=True)
    for event in happened:
        log_event(event)
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_json_line_holds_the_facts_of_its_event(capsys: pytest.CaptureFixture[str]) -> None:
    line = logged(capsys, events.CallFinished("m.t", 0.25, "out of paper", "ToolError", "tool-error"))[0]
    assert str(line.pop("time")).endswith("+00:00")
    assert line == {
        "level": "info",
        "message": "m.t failed after 250 ms: out of paper",
        "event": "call_finished",
        "tool": "m.t",
        "seconds": 0.25,
        "error": "out of paper",
        "error_type": "ToolError",
        "error_code": "tool-error",
    }


def test_a_json_line_is_one_line_and_holds_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    assert logged(capsys, events.WarningIssued("a\nb topsecret-value"))[0]["message"] == "a\nb ***"


def test_messages_stand_in_the_log_cut_to_size_and_only_at_debug(capsys: pytest.CaptureFixture[str]) -> None:
    sent = events.MessageSent("m", "x" * 5000)
    assert logged(capsys, sent) == []
    line = logged(capsys, sent, level="debug")[0]
    assert len(str(line["message"])) < 1100
    assert "x" * 2000 not in json.dumps(line)


def test_a_defect_brings_its_traceback_into_the_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", as_json=True)
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logging.getLogger("utcp_ws_mcp.bridge").exception("a defect")
    line = json.loads(capsys.readouterr().err)
    assert line["message"] == "a defect"
    assert "ZeroDivisionError" in line["traceback"]


def test_what_the_web_server_has_to_say_is_logged_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", as_json=True)
    logging.getLogger("uvicorn.error").info("chatter")
    logging.getLogger("uvicorn.error").error("trouble")
    assert json.loads(capsys.readouterr().err)["message"] == "trouble"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("E\x1fEVT\x1fnews\x1e", "E␟EVT␟news␞"),
        ("+OK\r\nnext", "+OK␍\n           next"),
        ("\x1b[31mred\x07", "␛[31mred␇"),
        ('{"a": "\x9b31m\u2028"}', '{"a": "\\u009b31m\\u2028"}'),
    ],
)
def test_a_trace_shows_control_characters_and_a_terminal_obeys_none(message: str, shown: str) -> None:
    out = io.StringIO()
    Trace(str, out)(events.MessageSent("m", message, ""))
    assert out.getvalue().split(" > ", 1)[1] == f"{shown}\n"


ISSUED = "eyJhbGciOiJIUzI1NiJ9.e30.x"
MESSAGES_WITH_TOKENS = {
    "a login's answer": events.MessageReceived("m", json.dumps({"ok": 1, "login": {"accessToken": ISSUED}}), "login"),
    "a later message with it": events.MessageSent("m", json.dumps({"token": ISSUED, "q": "x" * 100})),
    "a token that is longer than what is shown": events.MessageReceived(
        "m", json.dumps({"token": ISSUED * 100}), "reply"
    ),
    "in a binary message": events.MessageReceived("m", json.dumps({"token": ISSUED}).encode(), "reply"),
    "several messages in one": events.MessageReceived("m", f'{{"token": "{ISSUED}"}}\x1e{{"n": 1}}\x1e', "reply"),
    "what is kept of it": events.MatchExplained("m", (f'session.token is now "{ISSUED}"',)),
    "what a rule looked at": events.MatchExplained("m", (f'reply.error holds: x (message.token is "{ISSUED[:12]}…)',)),
}


@pytest.mark.parametrize("event", MESSAGES_WITH_TOKENS.values(), ids=MESSAGES_WITH_TOKENS)
def test_a_token_that_an_endpoint_brings_is_shown_in_no_log_and_no_trace(
    capsys: pytest.CaptureFixture[str], event: events.Event
) -> None:
    shown = io.StringIO()
    Trace(str, shown)(event)
    configure_logging("debug")
    log_event(event)
    assert ISSUED[:8] not in shown.getvalue() + capsys.readouterr().err
    assert "***" in shown.getvalue()


def test_what_stands_beside_a_token_is_shown() -> None:
    shown = io.StringIO()
    Trace(str, shown)(
        events.MessageReceived("m", '{"token_type": "Bearer", "token": "a-b-c-d", "tokens": 17, "x": "y"}', "")
    )
    assert '{"token_type": "Bearer", "token": "***", "tokens": 17, "x": "y"}' in shown.getvalue()
