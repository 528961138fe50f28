"""Observers that write to stderr: log lines for operators, and the trace of a conversation for authors of manifests."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from typing import Final, TextIO

from ..core.codecs.message import excerpt
from ..manifest.secret_names import redact_by_key
from . import events

logger = logging.getLogger("utcp_ws_mcp")
MAX_TRACE_LENGTH: Final = 20_000
"""Characters of a message in a trace."""

MAX_LOG_LENGTH: Final = 1_000
"""Characters of a message in the log."""

_CONTROL_CHAR_SYMBOLS: Final[dict[int, int | str]] = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"},
    **{code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)},
}
"""Visible symbols for control characters: an endpoint must not control the terminal, and separators can be read."""


def escape_control_chars(text: str) -> str:
    """Return the text with visible symbols for control characters, except tabs and line breaks."""
    return text.translate(_CONTROL_CHAR_SYMBOLS)


def configure_logging(level: str, redact: Callable[[str], str] = str, *, as_json: bool = False) -> None:
    """Log to stderr, one line per record, as text or as JSON objects, with secrets redacted."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter(redact) if as_json else _RedactingFormatter(redact))
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
    logging.getLogger("mcp").addHandler(logging.NullHandler())
    for name in ("uvicorn", "opentelemetry"):
        library = logging.getLogger(name)
        library.handlers[:], library.propagate = [handler], False
        library.setLevel(max(logger.level, logging.WARNING))


class _RedactingFormatter(logging.Formatter):
    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Return a line without secrets."""
        return self._redact(super().format(record))


class _JsonFormatter(_RedactingFormatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return a JSON object: time (UTC, RFC 3339), level, message, the event with its fields, and a traceback."""
        timestamp = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {"time": timestamp, "level": record.levelname.lower(), "message": record.getMessage()}
        event = getattr(record, "event", None)
        if event is not None:
            line |= {"event": event_name(event), **_event_fields(event)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return self._redact(json.dumps(line, ensure_ascii=False))


def event_name(event: events.Event) -> str:
    """Return the name of an event in the log: the name of its class in snake_case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()


def _event_fields(event: events.Event) -> dict[str, object]:
    """Return the fields of an event, except the text of a message, which is already in the line, and cut there."""
    named = {field.name: getattr(event, field.name) for field in fields(event)}
    return {name: value for name, value in named.items() if name != "message"}


def log_event(event: events.Event, redact: Callable[[str], str] = str) -> None:
    """Log an event. `redact` removes secrets from a message of an endpoint before it is cut."""
    extra = {"event": event}
    match event:
        case events.CallFinished(tool, seconds, None):
            logger.info("%s answered in %.0f ms", tool, seconds * 1000, extra=extra)
        case events.CallFinished(tool, seconds, error):
            logger.info("%s failed after %.0f ms: %s", tool, seconds * 1000, error, extra=extra)
        case events.ConnectionOpened(manual, address, seconds):
            logger.info("%s: connected to %s in %.0f ms", manual, address, seconds * 1000, extra=extra)
        case events.ConnectionClosed(manual, address, reason, remote):
            logger.log(logging.INFO if remote else logging.DEBUG, "%s: %s: %s", manual, address, reason, extra=extra)
        case events.DiscoverySucceeded(manual, tools):
            logger.info("%s: %d tools discovered", manual, tools, extra=extra)
        case events.DiscoveryFailed(manual, reason):
            logger.warning("%s: discovery failed: %s; will retry", manual, reason, extra=extra)
        case events.WarningIssued(text):
            logger.warning("%s", text, extra=extra)
        case events.MessageSendFailed(manual, purpose, reason):
            logger.info("%s: %s was not sent: %s", manual, purpose, reason, extra=extra)
        case events.MessageSent() | events.MessageReceived() if logger.isEnabledFor(logging.DEBUG):
            _log_message(event, redact)


def _log_message(event: events.MessageSent | events.MessageReceived, redact: Callable[[str], str]) -> None:
    shown = excerpt(event.message, MAX_LOG_LENGTH, lambda text: redact_by_key(redact(text)))
    extra = {"event": event}
    if isinstance(event, events.MessageSent):
        logger.debug("%s > %s", event.manual, shown, extra=extra)
    else:
        logger.debug("%s < (%s) %s", event.manual, event.role, shown, extra=extra)


class Trace:
    """An observer that shows a conversation: `>` sent, `<` received with its role, `=` the connection, `!` a warning.

    `·` marks the rules that decided, if the connection issues MatchExplained.
    """

    def __init__(self, redact: Callable[[str], str], out: TextIO) -> None:
        self._redact = redact
        self._out = out
        self._started = time.monotonic()

    def __call__(self, event: events.Event) -> None:
        """Show an event."""
        match event:
            case events.ConnectionOpened(_, address, seconds):
                self._print("=", f"connected to {address} in {seconds * 1000:.0f} ms")
            case events.ConnectionClosed(_, address, reason, _):
                self._print("=", f"{address}: {reason}")
            case events.HttpRequestFinished(_, method, address, status):
                self._print("=", f"{method} {address} was answered with HTTP {status}")
            case events.MessageSent(_, message, purpose):
                self._print_message(">", purpose, message)
            case events.MessageReceived(_, message, role):
                self._print_message("<", role, message)
            case events.MatchExplained(_, reasons):
                for reason in reasons:
                    self._print(" ", redact_by_key(f"· {reason}"), stamp=" " * 8)
            case events.MessageSendFailed(_, purpose, reason):
                self._print("!", f"{purpose} was not sent: {reason}")
            case events.DiscoveryFailed(_, text) | events.WarningIssued(text):
                self._print("!", text)

    def _print_message(self, sigil: str, label: str, message: str | bytes) -> None:
        shown = _format_message(message, self._redact)
        self._print(sigil, f"({label}) {shown}" if label else shown)

    def _print(self, sigil: str, text: str, stamp: str | None = None) -> None:
        stamp = f"{stamp or f'{time.monotonic() - self._started:8.3f}'} {sigil} "
        lines = escape_control_chars(self._redact(text)[:MAX_TRACE_LENGTH]).split("\n")
        indented = ("\n" + " " * len(stamp)).join(lines)
        print(stamp + indented, file=self._out, flush=True)


def _format_message(message: str | bytes, redact: Callable[[str], str]) -> str:
    """Return a message for a trace: JSON is indented if it is long, binary data is cut to its first bytes."""
    if isinstance(message, bytes):
        return excerpt(message, redact=lambda text: redact_by_key(redact(text)))
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        return redact_by_key(message)
    text = redact_by_key(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 100 else redact_by_key(json.dumps(value, ensure_ascii=False, indent=2))
