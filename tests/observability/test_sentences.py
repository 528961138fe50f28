"""What the log and the trace say of each event, and at which level."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading

import pytest

from utcp_ws_mcp.observability import events, feed_events
from utcp_ws_mcp.observability import logging as module
from utcp_ws_mcp.observability.logging import configure_logging, event_name, log_event, log_observer, report_crashes
from utcp_ws_mcp.observability.trace import MAX_TRACE_LENGTH, Trace

URL = "wss://m.example/"
INTERRUPTED = feed_events.FeedInterrupted("m.f", "{}", "refused", "connect-failed", 3, 4.25, "m", unreachable=True)
LOGGED: list[tuple[events.Event, str, str]] = [
    (events.CallFinished("m.t", 0.25, None), "INFO", "m.t answered in 250 ms"),
    (events.CallFinished("m.t", 1.5, "no. [x]", "E", "x"), "INFO", "m.t failed after 1500 ms: no. [x]"),
    (events.SubjectCalled("ada", "app", "m.t", 0.5, None), "INFO", "ada (app) called m.t: answered in 500 ms"),
    (events.SubjectCalled("ada", "", "m.t", 2, "x-y"), "INFO", "ada called m.t: failed [x-y] in 2000 ms"),
    (events.ConnectionOpened("m", URL, 0.0125), "INFO", f"m: connected to {URL} in 12 ms"),
    (events.ConnectionClosed("m", URL, "cut", remote=True), "INFO", f"m: {URL}: cut"),
    (events.ConnectionClosed("m", URL, "closed", remote=False), "DEBUG", f"m: {URL}: closed"),
    (events.DiscoverySucceeded("m", 3), "INFO", "m: 3 tools discovered"),
    (
        events.DiscoveryFailed("m", "refused", 1, unreachable=True),
        "WARNING",
        "m: discovery failed: refused; will retry",
    ),
    (events.OutageEnded("m", 2.25), "WARNING", "m works again after 2.2 s"),
    (
        events.PredicateFailed("m", "reply.match", "it is no number."),
        "WARNING",
        "m: reply.match counts as false: it is no number. Check the kind of the value first. [predicate-failed]",
    ),
    (events.WarningIssued("careful"), "WARNING", "careful"),
    (events.MessageSendFailed("m", "heartbeat", "closed"), "INFO", "m: heartbeat was not sent: closed"),
    (events.MessageSent("m", '{"a": 1}'), "DEBUG", 'm > {"a": 1}'),
    (events.MessageReceived("m", "hello", "reply"), "DEBUG", "m < (reply) hello"),
    (
        events.SharedStoreLost("redis://r/", "refused.", "store-away"),
        "WARNING",
        "redis://r/ is not used: refused. This replica goes on without it [store-away]",
    ),
    (events.SharedStoreBack("redis://r/", 1.25), "WARNING", "redis://r/ is used again after 1.2 s"),
    (
        feed_events.FeedOpened("m.f", "{}", 0.5, reconnected=False),
        "INFO",
        "feed m.f {} is open after 500 ms",
    ),
    (
        feed_events.FeedOpened("m.f", "{}", 0.5, reconnected=True),
        "INFO",
        "feed m.f {} is open again after 500 ms",
    ),
    (feed_events.FeedOwned("m.f", "{}", taken_over=False), "INFO", "feed m.f {} is kept open by this replica"),
    (
        feed_events.FeedOwned("m.f", "{}", taken_over=True),
        "INFO",
        "feed m.f {} is kept open by this replica, after another one",
    ),
    (INTERRUPTED, "WARNING", "feed m.f {} receives no events: refused [connect-failed]; opened again in 4.2 s"),
    (feed_events.FeedClosed("m.f", "{}", "it is not read"), "INFO", "feed m.f {} is closed: it is not read"),
    (
        feed_events.FeedGapFound("m.f", "{}", 7, "it was away"),
        "INFO",
        "feed m.f {} has a gap after event 7: it was away",
    ),
    (
        feed_events.FeedEventInvalid("m.f", "no number", "x-y"),
        "INFO",
        "feed m.f: an event was left out: no number [x-y]",
    ),
]


@pytest.mark.parametrize(("event", "level", "message"), LOGGED, ids=[each[2] for each in LOGGED])
def test_an_event_is_a_line_of_its_level(
    capsys: pytest.CaptureFixture[str], event: events.Event, level: str, message: str
) -> None:
    configure_logging("debug")
    log_event(event)
    time, shown_level, text = capsys.readouterr().err.rstrip("\n").split(" ", 2)
    assert (shown_level, text) == (level, message)
    assert len(time) == len("12:34:56")
    configure_logging("debug", as_json=True)
    log_event(event)
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["message"], line["event"]) == (level.lower(), message, event_name(event))
    assert {*line} == {"time", "level", "message", "event", *event.__struct_fields__}


@pytest.mark.parametrize(
    "event",
    [
        events.RequestSent("m.t", URL, 1),
        events.HttpRequestFinished("m", "GET", URL, 200),
        events.MatchExplained("m", ("reply.match holds",)),
        feed_events.FeedEventAdded("m.f", 1),
        feed_events.FeedEventsEvicted("m.f", 1),
        feed_events.FeedRead("m.f", 1, 0.5),
    ],
    ids=event_name,
)
def test_events_of_every_message_are_not_logged(capsys: pytest.CaptureFixture[str], event: events.Event) -> None:
    configure_logging("debug")
    log_event(event)
    assert capsys.readouterr().err == ""


def test_messages_are_not_made_for_a_log_without_them(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    redacted: list[str] = []

    def redact(text: str) -> str:
        redacted.append(text)
        return text

    for event in (events.MessageSent("m", "x"), events.MessageReceived("m", "x", "reply")):
        log_event(event, redact)
    assert (redacted, capsys.readouterr().err) == ([], "")


@pytest.mark.parametrize("event", [INTERRUPTED, events.DiscoveryFailed("m", "refused", 1, unreachable=True)])
def test_an_outage_that_goes_on_is_no_warning(capsys: pytest.CaptureFixture[str], event: events.Event) -> None:
    configure_logging("info")
    observe = log_observer(str)
    observe(event)
    observe(event)
    log_event(event, is_repeated=True)
    levels = [line.split(" ")[1] for line in capsys.readouterr().err.splitlines()]
    assert levels == ["WARNING", "INFO", "INFO"]


def test_the_observer_removes_secrets_from_messages(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("debug")
    observe = log_observer(lambda text: text.replace("secret", "***"))
    observe(events.MessageSent("m", "a secret"))
    observe(events.MessageReceived("m", "a secret", "reply"))
    assert [line.split(" ", 2)[2] for line in capsys.readouterr().err.splitlines()] == [
        "m > a ***",
        "m < (reply) a ***",
    ]


@pytest.mark.parametrize(("level", "shown"), [("error", 1), ("warning", 1), ("info", 2), ("debug", 3)])
def test_the_level_of_the_log_does_not_cut_the_audit(
    capsys: pytest.CaptureFixture[str], level: str, shown: int
) -> None:
    configure_logging(level)
    log_event(events.SubjectCalled("ada", "", "m.t", 0.5, None))
    log_event(events.CallFinished("m.t", 0.5, None))
    log_event(events.MessageSent("m", "x"))
    assert len(capsys.readouterr().err.splitlines()) == shown


def test_the_lines_of_other_libraries_come_once_and_from_warnings_on(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("debug")
    configure_logging("debug")
    for name in ("uvicorn.error", "opentelemetry.sdk", "asyncio"):
        logging.getLogger(name).warning("trouble")
    logging.getLogger("uvicorn.error").info("chatter")
    logging.getLogger("opentelemetry.sdk").debug("chatter")
    logging.getLogger("mcp.server").error("an error of a request")
    assert [line.split(" ", 1)[1] for line in capsys.readouterr().err.splitlines()] == ["WARNING trouble"] * 3


def test_a_log_of_errors_leaves_out_warnings_of_the_web_server(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("error")
    logging.getLogger("uvicorn").warning("trouble")
    logging.getLogger("uvicorn").error("worse")
    assert [line.split(" ", 1)[1] for line in capsys.readouterr().err.splitlines()] == ["ERROR worse"]


def test_handlers_of_others_stay(capsys: pytest.CaptureFixture[str]) -> None:
    other = logging.NullHandler()
    root = logging.getLogger()
    root.addHandler(other)
    configure_logging("warning")
    report_crashes(str)
    assert other in root.handlers
    assert len([each for each in root.handlers if type(each).__module__ == module.__name__]) == 1


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hooks be those of the interpreter, until the test ends."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)


def crash(kind: type[BaseException], hook: str) -> None:
    error = kind("a secret")
    if hook == "main":
        sys.excepthook(kind, error, None)
    elif hook == "thread":
        threading.excepthook(threading.ExceptHookArgs((kind, error, None, None)))
    else:
        sys.unraisablehook(_Unraisable(kind, error))  # type: ignore[arg-type]


class _Unraisable:
    """What the interpreter passes to `sys.unraisablehook`."""

    def __init__(self, kind: type[BaseException], error: BaseException | None) -> None:
        self.exc_type, self.exc_value, self.exc_traceback = kind, error, None
        self.err_msg = self.object = None


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("hook", ["main", "thread", "finalizer"])
@pytest.mark.parametrize("start", ["log", "crashes only"])
def test_an_exception_that_nothing_catches_is_a_line_without_secrets(
    capsys: pytest.CaptureFixture[str], hook: str, start: str
) -> None:
    def guard(text: str) -> str:
        return text.replace("secret", "***")

    if start == "log":
        configure_logging("error", guard)
    else:
        report_crashes(guard)
    crash(ValueError, hook)
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.endswith(" CRITICAL internal error")
    assert rest[-1] == "    ValueError: a ***"
    for quiet in (KeyboardInterrupt, SystemExit):
        crash(quiet, hook)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("hooks")
def test_an_exception_without_a_value_is_logged_by_its_class(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("error")
    sys.unraisablehook(_Unraisable(ValueError, None))  # type: ignore[arg-type]
    assert capsys.readouterr().err.splitlines()[-1] == "    ValueError"


@pytest.mark.usefixtures("hooks")
def test_hooks_of_others_stay_and_that_of_the_start_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    from utcp_ws_mcp.__main__ import report_crash_without_text

    def other(*_: object) -> None:
        """Do nothing."""

    for owner in (sys, threading):
        monkeypatch.setattr(owner, "excepthook", other)
    monkeypatch.setattr(sys, "unraisablehook", other)
    configure_logging("error")
    assert (sys.excepthook, sys.unraisablehook, threading.excepthook) == (other, other, other)
    monkeypatch.setattr(sys, "excepthook", report_crash_without_text)
    configure_logging("error")
    assert sys.excepthook is not report_crash_without_text


def test_names_of_events_have_underscores() -> None:
    assert event_name(events.SharedStoreLost("", "", "")) == "shared_store_lost"


TRACED: list[tuple[events.Event, str]] = [
    (events.ConnectionOpened("m", URL, 0.0125), f"= connected to {URL} in 12 ms"),
    (events.ConnectionClosed("m", URL, "cut", remote=True), f"= {URL}: cut"),
    (events.HttpRequestFinished("m", "POST", URL, 201), f"= POST {URL} was answered with HTTP 201"),
    (events.MessageSent("m", "hi"), "> hi"),
    (events.MessageSent("m", "hi", "on_connect[0]"), "> (on_connect[0]) hi"),
    (events.MessageReceived("m", "hi", "reply"), "< (reply) hi"),
    (events.MessageReceived("m", b"\x00\xff", "reply"), "< (reply) 2 bytes of binary data, 0x00ff"),
    (events.MessageSendFailed("m", "heartbeat", "closed"), "! heartbeat was not sent: closed"),
    (events.DiscoveryFailed("m", "refused", 1, unreachable=True), "! refused"),
    (events.WarningIssued("careful"), "! careful"),
    (
        events.PredicateFailed("m", "reply.match", "it is no number."),
        "! m: reply.match counts as false: it is no number. Check the kind of the value first. [predicate-failed]",
    ),
    (feed_events.FeedOpened("m.f", "{}", 0.5, reconnected=False), "= feed m.f {} is open"),
    (feed_events.FeedOpened("m.f", "{}", 0.5, reconnected=True), "= feed m.f {} is open again"),
    (feed_events.FeedEventAdded("m.f", 7), "= feed m.f has event 7"),
    (INTERRUPTED, "! feed m.f {} receives no events: refused. Opened again in 4.2 s."),
    (feed_events.FeedClosed("m.f", "{}", "unread"), "= feed m.f {} is closed: unread"),
    (feed_events.FeedGapFound("m.f", "{}", 7, "away"), "! feed m.f {} has a gap after event 7: away"),
    (feed_events.FeedEventInvalid("m.f", "no number", "x-y"), "! feed m.f: an event was left out: no number"),
]


def traced(event: events.Event, **options: object) -> str:
    out = io.StringIO()
    Trace(str, out, **options)(event)  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize(("event", "shown"), TRACED, ids=[each[1] for each in TRACED])
def test_an_event_is_a_line_of_the_trace_with_its_time(event: events.Event, shown: str) -> None:
    line = traced(event)
    assert line[8:] == f" {shown}\n"
    assert 0 <= float(line[:8]) < 60


def test_other_events_are_not_traced() -> None:
    assert traced(events.RequestSent("m.t", URL, 1)) == traced(feed_events.FeedRead("m.f", 1, 0.5)) == ""


def test_the_rules_that_decided_have_no_time() -> None:
    assert traced(events.MatchExplained("m", ("a holds", "b fails"))) == (
        f"{' ' * 8}   · a holds\n{' ' * 8}   · b fails\n"
    )


@pytest.mark.parametrize(("length", "lines"), [(100 - len('{"a": ""}'), 1), (101 - len('{"a": ""}'), 3)])
def test_json_of_more_than_a_hundred_characters_is_indented(length: int, lines: int) -> None:
    shown = traced(events.MessageSent("m", json.dumps({"a": "é" * length}, ensure_ascii=False)))
    others = shown.splitlines()[1:]
    assert len(others) + 1 == lines
    assert all(line.startswith(" " * 11) for line in others)
    assert [len(line) - len(line.lstrip()) for line in others] in ([], [13, 11])
    assert json.loads(shown[11:]) == {"a": "é" * length}
    assert ("é" * length) in shown


def test_an_empty_line_before_json_is_shown() -> None:
    first, second = traced(events.MessageSent("m", '\n{"a":1}')).splitlines()
    assert (first[8:], second) == (" > ", f'{" " * 11}{{"a": 1}}')


def test_a_message_is_cut_at_the_length_of_a_trace() -> None:
    for length in (MAX_TRACE_LENGTH, MAX_TRACE_LENGTH + 1):
        assert traced(events.MessageSent("m", "x" * length))[11:] == "x" * MAX_TRACE_LENGTH + "\n"


@pytest.mark.parametrize("message", ["[" * 100_000, "{"])
def test_a_text_that_is_no_json_is_shown_as_it_is(message: str) -> None:
    assert traced(events.MessageSent("m", message))[11:] == f"{message[:MAX_TRACE_LENGTH]}\n"


def test_a_trace_removes_secrets_of_the_endpoint_and_credentials_of_all_lines() -> None:
    out = io.StringIO()
    trace = Trace(lambda text: text.replace("room", "-"), out, lambda text: text.replace("token", "***"))
    trace(events.MessageReceived("m", "room token", "reply"))
    trace(events.WarningIssued("room token"))
    trace(events.MatchExplained("m", ("room token",)))
    assert [line[11:] for line in out.getvalue().splitlines()] == ["(reply) - ***", "room ***", "· - ***"]
    alone = io.StringIO()
    Trace(lambda text: text.replace("room", "-"), alone)(events.WarningIssued("room"))
    assert alone.getvalue().endswith("! -\n")


def test_one_observer_gets_the_events_itself_and_several_in_order() -> None:
    seen: list[str] = []
    event = events.WarningIssued("x")
    alone = seen.append
    assert events.broadcast([alone]) is alone  # type: ignore[list-item]
    events.broadcast([lambda _: seen.append("a"), lambda _: seen.append("b")])(event)
    events.broadcast([])(event)
    assert seen == ["a", "b"]


def test_a_selective_observer_gets_all_but_the_ignored_types() -> None:
    seen: list[events.Event] = []
    observe = events.SelectiveObserver(seen.append, frozenset({events.MessageSent}))
    kept = events.WarningIssued("x")
    for event in (events.MessageSent("m", "x"), kept):
        observe(event)
    assert seen == [kept]
    assert events.ignores(observe, events.MessageSent)
    assert not events.ignores(observe, events.MessageSent, events.WarningIssued)
    assert not events.ignores(seen.append, events.MessageSent)


@pytest.mark.parametrize(("length", "is_cut"), [(1000, False), (1001, True)])
def test_a_message_is_cut_at_the_length_of_the_log(
    capsys: pytest.CaptureFixture[str], length: int, is_cut: bool
) -> None:
    configure_logging("debug")
    log_event(events.MessageSent("m", "x" * length))
    shown = capsys.readouterr().err.partition(" > ")[2].rstrip("\n")
    assert (shown != "x" * length) is is_cut
    assert shown.startswith("x" * 1000)
    assert "x" * 1001 not in shown


def test_an_observer_of_types_gets_only_those() -> None:
    seen: list[events.Event] = []
    observe = events.TypedObserver({events.WarningIssued: seen.append})
    warning = events.WarningIssued("x")
    for event in (events.MessageSent("m", "x"), warning):
        observe(event)
    assert seen == [warning]
    assert events.ignores(observe, events.MessageSent)


def test_an_exception_of_an_observer_reaches_who_asked_for_it() -> None:
    failed: list[Exception] = []

    def fail(event: events.Event) -> None:
        raise ValueError

    event = events.WarningIssued("x")
    events.Broadcast([fail], failed.append)(event)
    assert [type(error) for error in failed] == [ValueError]
    with pytest.raises(ValueError):
        events.Broadcast([fail])(event)


def test_observers_of_observers_are_asked_once_what_they_want() -> None:
    seen: list[str] = []
    selective = events.SelectiveObserver(lambda _: seen.append("selective"), frozenset({events.MessageSent}))
    inner = events.Broadcast([selective, lambda _: seen.append("plain")])
    outer = events.Broadcast([inner, events.TypedObserver({events.MessageSent: lambda _: seen.append("typed")})])
    outer(events.MessageSent("m", "x"))
    outer(events.WarningIssued("x"))
    assert seen == ["plain", "typed", "selective", "plain"]


def test_an_attribute_of_an_observer_of_the_caller_means_nothing() -> None:
    class Observer:
        def __init__(self) -> None:
            self.handlers = [self]
            self.seen: list[events.Event] = []

        def __call__(self, event: events.Event) -> None:
            self.seen.append(event)

    observe, warning = Observer(), events.WarningIssued("x")
    assert not events.ignores(observe, events.WarningIssued)
    events.Broadcast([observe])(warning)
    assert observe.seen == [warning]


CALLS_AND_MESSAGES = (events.RequestSent, events.MessageSent, events.MessageReceived, events.CallFinished)


@pytest.mark.parametrize(("level", "ignored"), [("debug", 0), ("info", 3), ("warning", 4)])
def test_the_observer_of_the_log_ignores_what_the_level_leaves_out(level: str, ignored: int) -> None:
    configure_logging(level)
    observe = log_observer(str)
    assert [events.ignores(observe, kind) for kind in CALLS_AND_MESSAGES].count(True) == ignored
