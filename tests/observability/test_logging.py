"""The log on stderr: text for people, JSON for machines."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import warnings

import pytest

from utcp_ws_mcp.observability import events, feed_events
from utcp_ws_mcp.observability.logging import configure_logging, log_event, log_observer
from utcp_ws_mcp.observability.redaction import Redactor, SinkRedactor, redactor
from utcp_ws_mcp.observability.trace import Trace


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
        ("a\u202eb\U000e0041", "a\\u202eb\\udb40\\udc41"),
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


HOSTILE = "no\x1b]0;pwn\x07\x1b[2J\r\n21:00:00 WARNING forged: token accepted\u202e\u2028\x9b31m"
HOSTILE_EVENTS = {
    "a warning": events.WarningIssued(HOSTILE),
    "an error of a call": events.CallFinished("m.t", 0.1, HOSTILE, "ToolError", "tool-error"),
    "a reason to close": events.ConnectionClosed("m", "wss://m/", HOSTILE, True),
    "a failed discovery": events.DiscoveryFailed("m", HOSTILE, 1.0, unreachable=True),
    "a feed that cannot be opened": feed_events.FeedInterrupted(
        "m.f", HOSTILE, HOSTILE, "tool-error", 0.0, 1.0, "m", unreachable=False
    ),
    "a gap": feed_events.FeedGapFound("m.f", HOSTILE, 1, HOSTILE),
    "a message": events.MessageReceived("m", HOSTILE, "reply"),
    "a name": events.ConnectionOpened(HOSTILE, "wss://m/", 0.1),
}


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "JSON"])
@pytest.mark.parametrize("event", HOSTILE_EVENTS.values(), ids=HOSTILE_EVENTS)
def test_no_endpoint_writes_a_line_of_the_log_or_controls_the_terminal(
    capsys: pytest.CaptureFixture[str], event: events.Event, as_json: bool
) -> None:
    configure_logging("debug", as_json=as_json)
    log_event(event)
    written = capsys.readouterr().err
    assert written.count("\n") == len(written.splitlines()) == 1
    assert written[:-1].isprintable()
    if as_json:
        json.loads(written)


def test_a_traceback_is_indented_so_that_no_line_of_it_looks_like_a_record(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("warning", redactor(["topsecret-value"]))
    try:
        raise ValueError("topsecret-value\n21:00:00 WARNING forged\x1b[2J")
    except ValueError:
        logging.getLogger("utcp_ws_mcp.bridge").exception("a defect")
    first, *others = capsys.readouterr().err.splitlines()
    assert first.endswith("ERROR a defect")
    assert others
    assert all(line.startswith("    ") and line.isprintable() for line in others)
    assert "topsecret" not in "".join(others)


@pytest.mark.parametrize("name", ["asyncio", "concurrent.futures", "some.library"])
def test_what_any_library_logs_has_the_same_form_and_no_secret(capsys: pytest.CaptureFixture[str], name: str) -> None:
    configure_logging("warning", redactor(["topsecret-value"]), as_json=True)
    logging.getLogger(name).error("Exception in callback: topsecret-value")
    assert json.loads(capsys.readouterr().err)["message"] == "Exception in callback: ***"


def test_what_the_mcp_sdk_logs_is_dropped_because_the_host_learns_of_it_anyway(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("debug")
    logging.getLogger("mcp.server").error("Processing request of type CallToolRequest")
    assert capsys.readouterr().err == ""


def test_a_warning_of_the_interpreter_has_the_same_form_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logging("info", redactor(["topsecret-value"]), as_json=True)
        warnings.warn("topsecret-value is deprecated", stacklevel=1)
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], "*** is deprecated" in line["message"]) == ("warning", True)


def test_a_secret_that_json_escapes_is_not_in_a_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", redactor(['top"secret\\value']), as_json=True)
    log_event(events.WarningIssued('it is top"secret\\value'))
    assert json.loads(capsys.readouterr().err)["message"] == "it is ***"


CRASHES = {
    "an exception": "raise ValueError('topsecret-value')",
    "in a thread": "import threading; t = threading.Thread(target=lambda: int('topsecret-value')); t.start(); t.join()",
    "in a finalizer": "class A:\n def __del__(self): int('topsecret-value')\nA()",
    "in a callback of the loop": (
        "import asyncio\nasync def main():\n asyncio.get_running_loop().call_soon(int, 'topsecret-value')\n"
        " await asyncio.sleep(0)\nasyncio.run(main())"
    ),
    "a warning": "import warnings; warnings.warn('topsecret-value')",
}


@pytest.mark.parametrize("program", CRASHES.values(), ids=CRASHES)
def test_a_crash_is_logged_without_secrets(program: str) -> None:
    head = (
        "from utcp_ws_mcp.observability.logging import configure_logging\n"
        "from utcp_ws_mcp.observability.redaction import Redactor, SinkRedactor, redactor\n"
        "configure_logging('warning', redactor(['topsecret-value']), as_json=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", head + program], capture_output=True, text=True, check=False)
    assert done.stderr
    assert "topsecret" not in done.stderr
    assert all(json.loads(line) for line in done.stderr.splitlines())


def test_sentences_of_this_program_are_not_redacted_in_a_trace() -> None:
    shown = io.StringIO()
    trace = Trace(redactor(["bridge"]), shown, str)
    trace(events.ConnectionClosed("m", "wss://m/", "closed by utcp-ws-mcp", False))
    trace(events.MessageReceived("m", "the password is bridge", "reply"))
    assert "closed by utcp-ws-mcp" in shown.getvalue()
    assert "the password is ***" in shown.getvalue()


def test_a_binary_message_is_redacted_before_it_is_cut() -> None:
    shown = io.StringIO()
    connect = b"\x10\x30\x00\x04MQTT\x05\xc2\x00\x3c\x00\x00\x01c\x00\x03ada\x00\x13topsecret-value-12345"
    Trace(redactor(["topsecret-value-12345"]), shown)(events.MessageSent("m", connect, "on_connect[0]"))
    assert b"tops".hex() not in shown.getvalue()


@pytest.mark.parametrize(
    ("level", "ignored"),
    [
        ("DEBUG", set()),
        ("INFO", {events.RequestSent, events.MessageSent, events.MessageReceived}),
        ("WARNING", {events.RequestSent, events.MessageSent, events.MessageReceived, events.CallFinished}),
    ],
)
def test_events_that_the_level_leaves_out_are_ignored(level: str, ignored: set[type]) -> None:
    configure_logging(level)

    observe = log_observer(str)
    kinds = (events.RequestSent, events.MessageSent, events.MessageReceived, events.CallFinished, events.WarningIssued)
    assert {kind for kind in kinds if events.ignores(observe, kind)} == ignored


@pytest.mark.parametrize("as_json", [True, False])
def test_a_caller_cannot_hide_itself_from_the_audit(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    shared, eve = Redactor(), Redactor()
    shared.add_values(["own-of-operator"])
    eve.add_values(["auth0-eve"])
    sinks = SinkRedactor(shared)
    sinks.add(eve)
    configure_logging("info", sinks.guard, as_json=as_json, audit_guard=sinks.guard_names)
    log_event(events.SubjectCalled("auth0-eve", "app", "m.t", 0.1, None))
    log_event(events.WarningIssued("auth0-eve own-of-operator"))
    audit, warning = capsys.readouterr().err.splitlines()
    assert "auth0-eve (app) called m.t" in audit
    assert "*** ***" in warning
