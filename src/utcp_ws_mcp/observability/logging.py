"""Observers that write to stderr: one line for each call, and the conversation of one call for a person."""

from __future__ import annotations

import json
import logging
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
"""Characters of one traced message."""

_CONTROL_CHAR_SYMBOLS: Final[dict[int, int | str]] = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"},
    **{code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)},
}
"""How control characters are shown: separators can be read so, and a terminal obeys none that an endpoint sends."""


def escape_control_chars(text: str) -> str:
    """The text for a terminal: with symbols for control characters, but for tabs and line breaks."""
    return text.translate(_CONTROL_CHAR_SYMBOLS)


def configure_logging(level: str, redact: Callable[[str], str] = str, *, as_json: bool = False) -> None:
    """Log to stderr in one line each, as text or as JSON objects, secrets taken out."""
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
        """A line without secrets."""
        return self._redact(super().format(record))


class _JsonFormatter(_RedactingFormatter):
    def format(self, record: logging.LogRecord) -> str:
        """An object: time (UTC, RFC 3339), level, message, the event's own fields, and a defect's traceback."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {"time": time, "level": record.levelname.lower(), "message": record.getMessage()}
        happened = getattr(record, "happened", None)
        if happened is not None:
            line |= {"event": type(happened).__name__.lower(), **_event_fields(happened)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return self._redact(json.dumps(line, ensure_ascii=False))


def _event_fields(event: events.Event) -> dict[str, object]:
    """The fields of an event, but for the text of a message: that is cut to size in the line's own message."""
    named = {field.name: getattr(event, field.name) for field in fields(event)}
    return {name: value for name, value in named.items() if name != "message"}


def log_event(event: events.Event) -> None:
    """An observer for the log."""
    extra = {"happened": event}
    match event:
        case events.CallFinished(tool, seconds, None):
            logger.info("%s answered in %.0f ms", tool, seconds * 1000, extra=extra)
        case events.CallFinished(tool, seconds, error):
            logger.info("%s failed after %.0f ms: %s", tool, seconds * 1000, error, extra=extra)
        case events.ConnectionOpened(manual, address, seconds):
            logger.info("%s: connected to %s in %.0f ms", manual, address, seconds * 1000, extra=extra)
        case events.ConnectionClosed(manual, address, why, by_peer):
            logger.log(logging.INFO if by_peer else logging.DEBUG, "%s: %s: %s", manual, address, why, extra=extra)
        case events.DiscoverySucceeded(manual, tools):
            logger.info("%s: %d tools discovered", manual, tools, extra=extra)
        case events.DiscoveryFailed(manual, why):
            logger.warning("%s: no tools yet: %s; it is asked again", manual, why, extra=extra)
        case events.WarningIssued(text):
            logger.warning("%s", text, extra=extra)
        case events.MessageSendFailed(manual, what, why):
            logger.info("%s: %s was not sent: %s", manual, what, why, extra=extra)
        case events.MessageSent() | events.MessageReceived() if logger.isEnabledFor(logging.DEBUG):
            _log_message(event)


def _log_message(event: events.MessageSent | events.MessageReceived) -> None:
    extra, shown = {"happened": event}, redact_by_key(excerpt(event.message, 1000))
    if isinstance(event, events.MessageSent):
        logger.debug("%s > %s", event.manual, shown, extra=extra)
    else:
        logger.debug("%s < (%s) %s", event.manual, event.role, shown, extra=extra)


class Trace:
    """An observer that shows a conversation: `>` sent, `<` received and what it was taken for, `=` the connection.

    `·` stands before the rules that decided, where observers hear of them.
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
            case events.ConnectionClosed(_, address, why, _):
                self._print("=", f"{address}: {why}")
            case events.HttpRequestFinished(_, method, address, status):
                self._print("=", f"{method} {address} was answered with HTTP {status}")
            case events.MessageSent(_, message, what):
                self._print(">", f"({what}) {_format_message(message)}" if what else _format_message(message))
            case events.MessageReceived(_, message, role):
                self._print("<", f"({role}) {_format_message(message)}" if role else _format_message(message))
            case events.MatchExplained(_, reasons):
                for reason in reasons:
                    self._print(" ", redact_by_key(f"· {reason}"), stamp=" " * 8)
            case events.MessageSendFailed(_, what, why):
                self._print("!", f"{what} was not sent: {why}")
            case events.DiscoveryFailed(_, text) | events.WarningIssued(text):
                self._print("!", text)

    def _print(self, sigil: str, text: str, stamp: str | None = None) -> None:
        stamp = f"{stamp or f'{time.monotonic() - self._started:8.3f}'} {sigil} "
        lines = escape_control_chars(self._redact(text)[:MAX_TRACE_LENGTH]).split("\n")
        indented = ("\n" + " " * len(stamp)).join(lines)
        print(stamp + indented, file=self._out, flush=True)


def _format_message(message: str | bytes) -> str:
    if isinstance(message, bytes):
        return redact_by_key(excerpt(message))
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        return redact_by_key(message)
    text = redact_by_key(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 100 else redact_by_key(json.dumps(value, ensure_ascii=False, indent=2))
