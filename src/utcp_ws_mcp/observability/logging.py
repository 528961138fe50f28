"""The log: lines for operators on stderr."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TextIO

from ..core.codecs.message import excerpt, to_json_safe
from ..manifest.invisible import escape_in_json, escape_invisible
from ..manifest.secret_names import redact_by_key
from . import events
from .events import Observer, SelectiveObserver
from .redaction import redact_strings

if TYPE_CHECKING:
    from .outages import Outages

logger = logging.getLogger("utcp_ws_mcp")
audit_logger = logging.getLogger("utcp_ws_mcp.audit")
MAX_LOG_LENGTH: Final = 1_000
"""Characters of a message in the log."""

_SILENT_LIBRARIES: Final = ("mcp",)
"""Loggers whose records are dropped: they repeat requests, and errors reach the host anyway."""

_OWN_HANDLERS: Final = ("uvicorn", "opentelemetry")
"""Loggers that would have handlers of their own."""


def configure_logging(
    level: str,
    guard: Callable[[str], str] = str,
    *,
    as_json: bool = False,
    audit_guard: Callable[[str], str] | None = None,
) -> None:
    """Log to stderr, one record per line, as text or as JSON objects, without credentials.

    `audit_guard` removes them from the lines of the audit; by default `guard` does.
    Warnings of all libraries are logged in the same form, also those of the event loop and of the interpreter.
    """
    handler = StderrHandler()
    handler.setFormatter((_JsonFormatter if as_json else LineFormatter)(guard, audit_guard))
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
    audit_logger.setLevel(logging.INFO)  # whatever the level of the log is: an audit is complete or worth nothing
    _handle_others(handler)
    for name in _SILENT_LIBRARIES:
        silent = logging.getLogger(name)
        silent.handlers[:], silent.propagate = [logging.NullHandler()], False
    for name in _OWN_HANDLERS:
        library = logging.getLogger(name)
        library.handlers[:], library.propagate = [handler], False
        library.setLevel(max(logger.level, logging.WARNING))
    logging.captureWarnings(capture=True)


def announce(text: str, level: int) -> None:
    """Write a text to stderr whatever the level of the log is, as an object if the log consists of them.

    Without it, an operator would not know why there are no tools. `text` has no credentials.
    """
    if any(isinstance(handler.formatter, _JsonFormatter) for handler in logger.handlers):
        logger.handle(logger.makeRecord(logger.name, level, "", 0, text, (), None))
    else:
        print(escape_invisible(text), file=sys.stderr)


def report_crashes(guard: Callable[[str], str]) -> None:
    """Write tracebacks of defects as the log would, for commands that have no log."""
    handler = StderrHandler()
    handler.setFormatter(LineFormatter(guard))
    _handle_others(handler)


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what is stderr at the time: a program or a test may replace it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Where records are written."""
        return sys.stderr


def _handle_others(handler: logging.Handler) -> None:
    """Pass to a handler what other loggers log, and exceptions that nothing catches.

    The event loop, libraries and the interpreter would write these to stderr as they are. Handlers and hooks of others
    stay in place.
    """
    root = logging.getLogger()
    root.handlers[:] = [*(each for each in root.handlers if not isinstance(each, StderrHandler)), handler]
    if sys.excepthook is sys.__excepthook__ or getattr(sys.excepthook, "knows_no_secrets", False):
        sys.excepthook = _log_crash
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = lambda failed: _log_crash(failed.exc_type, failed.exc_value, failed.exc_traceback)
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = lambda failed: _log_crash(failed.exc_type, failed.exc_value, failed.exc_traceback)


def _log_crash(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        logging.getLogger().critical("internal error", exc_info=(kind, error or kind(), traceback))


class LineFormatter(logging.Formatter):
    """Formats a record as one line of text; a traceback follows in lines that are indented."""

    def __init__(self, guard: Callable[[str], str], audit_guard: Callable[[str], str] | None = None) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")
        self._guards = {audit_logger.name: audit_guard or guard}
        self._guard = guard

    def _guard_of(self, record: logging.LogRecord) -> Callable[[str], str]:
        return self._guards.get(record.name, self._guard)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802, D102  # the name of the library
        record.message = _visible_line(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802, D102
        return "\n".join(f"    {_visible_line(line)}" for line in super().formatException(ei).split("\n"))

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record without credentials."""
        # Another handler may have left its form of the traceback in the record.
        record.exc_text = None
        return self._guard_of(record)(super().format(record))


def _visible_line(text: str) -> str:
    """Return a text on one line, so that no endpoint writes a line of the log."""
    return escape_invisible(text).replace("\n", "␊")


class _JsonFormatter(LineFormatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return a JSON object: time (UTC, RFC 3339), level, message, the event with its fields, and a traceback."""
        timestamp = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {"time": timestamp, "level": record.levelname.lower(), "message": record.getMessage()}
        event = getattr(record, "event", None)
        if event is not None:
            line |= {"event": event_name(event), **_event_fields(event)}
        if record.exc_info:
            line["traceback"] = logging.Formatter.formatException(self, record.exc_info)
        return escape_in_json(
            json.dumps(redact_strings(to_json_safe(line), self._guard_of(record)), ensure_ascii=False)
        )


def event_name(event: events.Event) -> str:
    """Return the name of an event in the log: the name of its class in snake_case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()


def _event_fields(event: Any) -> dict[str, object]:
    """Return the fields of an event, except the text of a message, which is already in the line, and cut there."""
    named = {name: getattr(event, name) for name in event.__struct_fields__}
    return {name: value for name, value in named.items() if name != "message"}


_OF_OUTAGES: Final = (events.DiscoveryFailed, events.DiscoverySucceeded, events.FeedEvent)
_OF_MESSAGES: Final = frozenset({events.RequestSent, events.MessageSent, events.MessageReceived})


def log_observer(redact: Callable[[str], str]) -> Observer:
    """Return the observer that logs events. It ignores those of each call and message that the level leaves out."""
    ignored: frozenset[type] = frozenset() if logger.isEnabledFor(logging.DEBUG) else _OF_MESSAGES
    ignored |= frozenset() if logger.isEnabledFor(logging.INFO) else {events.CallFinished}
    return SelectiveObserver(_Log(redact), ignored)


class _Log:
    """Logs events, with one warning for each outage."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact

    def __call__(self, event: events.Event) -> None:
        if not isinstance(event, _OF_OUTAGES):
            log_event(event, self._redact)
            return
        noted = self._outages.note(event)
        log_event(event, self._redact, is_repeated=noted.is_repeated)
        if noted.ended is not None:
            log_event(noted.ended)

    @cached_property
    def _outages(self) -> Outages:
        from .outages import Outages  # a start without feeds and discovery does not need it

        return Outages()


def log_event(event: events.Event, redact: Callable[[str], str] = str, *, is_repeated: bool = False) -> None:
    """Log an event.

    Args:
        event: The event.
        redact: Removes secrets from a message of an endpoint before it is cut.
        is_repeated: Whether the outage that the event reports is known already.
    """
    extra = {"event": event}
    level = logging.INFO if is_repeated else logging.WARNING
    match event:
        case events.CallFinished(tool, seconds, error):
            outcome = "answered in" if error is None else "failed after"
            detail = "" if error is None else f": {error}"
            logger.info("%s %s %.0f ms%s", tool, outcome, seconds * 1000, detail, extra=extra)
        case events.SubjectCalled():
            _log_audit(event)
        case events.ConnectionOpened(manual, address, seconds):
            logger.info("%s: connected to %s in %.0f ms", manual, address, seconds * 1000, extra=extra)
        case events.ConnectionClosed(manual, address, reason, remote):
            logger.log(logging.INFO if remote else logging.DEBUG, "%s: %s: %s", manual, address, reason, extra=extra)
        case events.DiscoverySucceeded(manual, tools):
            logger.info("%s: %d tools discovered", manual, tools, extra=extra)
        case events.DiscoveryFailed() | events.OutageEnded() | events.PredicateFailed() | events.WarningIssued():
            logger.log(level, "%s", warning_text(event), extra=extra)
        case events.MessageSendFailed(manual, purpose, reason):
            logger.info("%s: %s was not sent: %s", manual, purpose, reason, extra=extra)
        case events.MessageSent() | events.MessageReceived() if logger.isEnabledFor(logging.DEBUG):
            _log_message(event, redact)
        case _:
            _log_fleet_event(event, extra)
            _log_feed_event(event, extra, level)


def _log_fleet_event(event: events.Event, extra: dict[str, Any]) -> None:
    match event:
        case events.SharedStoreLost(address, reason, code):
            text = "%s is not used: %s. This replica goes on without it [%s]"
            logger.warning(text, address, reason.rstrip("."), code, extra=extra)
        case events.SharedStoreBack(address, seconds):
            logger.warning("%s is used again after %.1f s", address, seconds, extra=extra)


def _log_feed_event(event: events.Event, extra: dict[str, Any], level: int) -> None:
    if not isinstance(event, events.FeedEvent):
        return
    from . import feed_events

    match event:
        case feed_events.FeedOpened(feed, arguments, seconds, reconnected):
            again = " again" if reconnected else ""
            logger.info("feed %s %s is open%s after %.0f ms", feed, arguments, again, seconds * 1000, extra=extra)
        case feed_events.FeedOwned(feed, arguments, taken_over):
            after = ", after another one" if taken_over else ""
            logger.info("feed %s %s is kept open by this replica%s", feed, arguments, after, extra=extra)
        case feed_events.FeedInterrupted(feed, arguments, reason, code, _, retry_in):
            text = "feed %s %s receives no events: %s [%s]; opened again in %.1f s"
            logger.log(level, text, feed, arguments, reason, code, retry_in, extra=extra)
        case feed_events.FeedClosed(feed, arguments, reason):
            logger.info("feed %s %s is closed: %s", feed, arguments, reason, extra=extra)
        case feed_events.FeedGapFound(feed, arguments, after, reason):
            logger.info("feed %s %s has a gap after event %d: %s", feed, arguments, after, reason, extra=extra)
        case feed_events.FeedEventInvalid(feed, reason, code):
            logger.info("feed %s: an event was left out: %s [%s]", feed, reason, code, extra=extra)


def warning_text(
    event: events.DiscoveryFailed | events.OutageEnded | events.PredicateFailed | events.WarningIssued,
) -> str:
    """Return what a warning says."""
    match event:
        case events.DiscoveryFailed(manual, reason):
            return f"{manual}: discovery failed: {reason}; will retry"
        case events.OutageEnded(name, seconds):
            return f"{name} works again after {seconds:.1f} s"
        case events.PredicateFailed(manual, field, reason):
            fix = "Check the kind of the value first. [predicate-failed]"
            return f"{manual}: {field} counts as false: {reason} {fix}"
        case events.WarningIssued(text):
            return text


def _log_audit(event: events.SubjectCalled) -> None:
    outcome = f"failed [{event.error_code}]" if event.error_code else "answered"
    who = f"{event.subject} ({event.client})" if event.client else event.subject
    audit_logger.info(
        "%s called %s: %s in %.0f ms", who, event.tool, outcome, event.seconds * 1000, extra={"event": event}
    )


def _log_message(event: events.MessageSent | events.MessageReceived, redact: Callable[[str], str]) -> None:
    shown = excerpt(event.message, MAX_LOG_LENGTH, lambda text: redact_by_key(redact(text)))
    extra = {"event": event}
    if isinstance(event, events.MessageSent):
        logger.debug("%s > %s", event.manual, shown, extra=extra)
    else:
        logger.debug("%s < (%s) %s", event.manual, event.role, shown, extra=extra)
