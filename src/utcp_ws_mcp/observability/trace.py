"""The trace: a conversation as authors of manifests read it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Final, TextIO

from ..core.codecs.message import excerpt
from ..errors import end_sentence
from ..manifest.invisible import escape_invisible
from ..manifest.secret_names import redact_by_key
from . import events
from .logging import warning_text

MAX_TRACE_LENGTH: Final = 20_000
"""Characters of a message in a trace."""


class Trace:
    """An observer that shows a conversation: `>` sent, `<` received with its role, `=` the connection, `!` a warning.

    `·` marks the rules that decided, if the connection issues MatchExplained.
    """

    def __init__(self, redact: Callable[[str], str], out: TextIO, guard: Callable[[str], str] | None = None) -> None:
        """Show a conversation.

        Args:
            redact: Removes secrets from texts of the endpoint.
            out: Where the trace is written.
            guard: Removes credentials from every line; `redact` by default.
        """
        self._redact = redact
        self._out = out
        self._guard = guard or redact
        self._started = time.monotonic()

    def __call__(self, event: events.Event) -> None:
        """Show an event."""
        match event:
            case events.ConnectionOpened() | events.ConnectionClosed():
                self._print("=", _connection_text(event))
            case events.HttpRequestFinished(_, method, address, status):
                self._print("=", f"{method} {address} was answered with HTTP {status}")
            case events.MessageSent(_, message, purpose):
                self._print_message(">", purpose, message)
            case events.MessageReceived(_, message, role):
                self._print_message("<", role, message)
            case events.MatchExplained(_, reasons):
                for reason in reasons:
                    self._print(" ", redact_by_key(self._redact(f"· {reason}")), stamp=" " * 8)
            case events.MessageSendFailed(_, what, reason):
                self._print("!", f"{what} was not sent: {reason}")
            case events.DiscoveryFailed(_, text) | events.WarningIssued(text):
                self._print("!", text)
            case events.PredicateFailed():
                self._print("!", warning_text(event))
            case _:
                self._show_feed_event(event)

    def _show_feed_event(self, event: events.Event) -> None:
        if not isinstance(event, events.FeedEvent):
            return
        from . import feed_events

        match event:
            case feed_events.FeedOpened(feed, arguments, _, reconnected):
                self._print("=", f"feed {feed} {arguments} is open{' again' if reconnected else ''}")
            case feed_events.FeedEventAdded(feed, offset):
                self._print("=", f"feed {feed} has event {offset}")
            case feed_events.FeedInterrupted(feed, arguments, reason, _, _, retry_in):
                again = f"{end_sentence(reason)} Opened again in {retry_in:.1f} s."
                self._print("!", f"feed {feed} {arguments} receives no events: {again}")
            case feed_events.FeedClosed(feed, arguments, reason):
                self._print("=", f"feed {feed} {arguments} is closed: {reason}")
            case feed_events.FeedGapFound(feed, arguments, after, reason):
                self._print("!", f"feed {feed} {arguments} has a gap after event {after}: {reason}")
            case feed_events.FeedEventInvalid(feed, reason):
                self._print("!", f"feed {feed}: an event was left out: {reason}")

    def _print_message(self, sigil: str, label: str, message: str | bytes) -> None:
        shown = _format_message(message, self._redact)
        self._print(sigil, f"({label}) {shown}" if label else shown)

    def _print(self, sigil: str, text: str, stamp: str | None = None) -> None:
        stamp = f"{stamp or f'{time.monotonic() - self._started:8.3f}'} {sigil} "
        lines = escape_invisible(self._guard(text)[:MAX_TRACE_LENGTH]).split("\n")
        indented = ("\n" + " " * len(stamp)).join(lines)
        print(stamp + indented, file=self._out, flush=True)


def _format_message(message: str | bytes, redact: Callable[[str], str]) -> str:
    """Return a message for a trace: JSON is indented if it is long, binary data is cut to its first bytes."""
    if isinstance(message, bytes):
        return excerpt(message, redact=lambda text: redact_by_key(redact(text)))
    message = redact(message)
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        return redact_by_key(message)
    # An empty line in front of JSON may belong to a protocol that is text.
    before = message[: len(message) - len(message.lstrip())]
    text = redact_by_key(json.dumps(value, ensure_ascii=False))
    return before + (text if len(text) <= 100 else redact_by_key(json.dumps(value, ensure_ascii=False, indent=2)))


def _connection_text(event: events.ConnectionOpened | events.ConnectionClosed) -> str:
    if isinstance(event, events.ConnectionClosed):
        return f"{event.address}: {event.reason}"
    return f"connected to {event.address} in {event.seconds * 1000:.0f} ms"
