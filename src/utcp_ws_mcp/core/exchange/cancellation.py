"""End at the endpoint what a call began and no longer waits for: `reply.cancel` and `stream.cancel`.

| a call ends … | sent |
| --- | --- |
| before its reply, or before the reply that opens its stream | `reply.cancel` |
| while its stream is open, or at a limit of it | `stream.cancel` |
| before the reply that opens its stream, and the reply comes later | `stream.cancel`, when it comes |
| by its reply, an error reply or the end of its stream | nothing |
| and only listened, on a connection that others use | nothing: it began nothing |

Streams with `stream.match` whose cancel messages are equal share a subscription at the endpoint: the message would end
all of them. The last of them that ends sends it; of several messages (`$each`), each on its own. Whether a stream that
waits for its reply shares one is known when the reply has come, so a message that could end it is held back until then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from ...records import replace
from ..codecs.message import MessageList, to_json_safe
from ..expressions.scope import Scope
from ..templates.nodes import Node, RenderError
from .exchange import Exchange

TRUNCATED: Final = ("max_items", "max_bytes")
"""Ends of a stream after which more of it may come."""

MAX_ABANDONED: Final = 64
"""Streams on one connection that were given up before the reply that opens them; the oldest are forgotten first."""

OnSendFailed = Callable[[str, str], None]
CancelMessage = tuple[str, Any]
"""The field that a message comes from, and its value."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Cancellations:
    """What the calls of one connection began, and the messages that end it.

    Args:
        on_send_failed: Gets the field of each message that cannot be rendered, and the reason.
    """

    def __init__(self, on_send_failed: OnSendFailed) -> None:
        self._on_send_failed = on_send_failed
        self._open: dict[Exchange, None] = {}
        self._abandoned: dict[Exchange, None] = {}
        self._held_back: dict[str, tuple[Exchange, int]] = {}

    def begin(self, exchange: Exchange) -> None:
        """Note a stream that may share its subscription."""
        if _subscribes(exchange):
            self._open[exchange] = None

    def end(self, exchange: Exchange) -> list[CancelMessage]:
        """Return what to send because the caller of an exchange has left."""
        self._open.pop(exchange, None)
        messages: list[CancelMessage] = []
        is_over = exchange.finished and exchange.end not in TRUNCATED
        if exchange.close_info is None and not is_over:
            if exchange.in_stream:
                messages += self._end_stream(exchange)
            else:
                messages += self._render("reply.cancel", exchange.rules.cancel_reply, exchange)
        return messages + self._release() if self._held_back else messages

    def forget(self, exchange: Exchange) -> None:
        """Forget an exchange for which nothing can come any more."""
        self._open.pop(exchange, None)

    def abandon(self, exchange: Exchange) -> bool:
        """Keep a stream that its caller left before the reply that opens it; return whether it is kept."""
        if not exchange.awaits_subscription or exchange.rules.cancel_stream is None:
            return False
        self._abandoned[exchange] = None
        return True

    def forgotten(self) -> Iterator[Exchange]:
        """Yield the abandoned streams that are too many, and forget them."""
        while len(self._abandoned) > MAX_ABANDONED:
            oldest = next(iter(self._abandoned))
            del self._abandoned[oldest]
            yield oldest

    def opened(self, exchange: Exchange) -> list[CancelMessage]:
        """Return what to send because the reply that opens a stream has come, or its refusal."""
        if exchange not in self._abandoned:
            return self._release()
        del self._abandoned[exchange]
        messages = self._end_stream(exchange) if exchange.in_stream else []
        return [*messages, *self._release()]

    def is_abandoned(self, exchange: Exchange) -> bool:
        """Return whether the caller of an exchange left before the reply that opens its stream."""
        return exchange in self._abandoned

    def _end_stream(self, exchange: Exchange) -> list[CancelMessage]:
        if not _subscribes(exchange) or not self._open:
            return self._render("stream.cancel", exchange.rules.cancel_stream, exchange)
        # Rendered when it is sent: an id that was taken now would come after higher ones, or never.
        self._held_back |= {identity: (exchange, index) for index, identity in enumerate(_identities(exchange))}
        return []

    def _release(self) -> list[CancelMessage]:
        """Return the held-back messages that now end no other stream; drop those that another one will send."""
        if not self._held_back:
            return []
        for identity in {identity for each in self._open if each.in_stream for identity in _identities(each)}:
            self._held_back.pop(identity, None)
        if any(not each.in_stream for each in self._open):
            return []
        released: dict[Exchange, set[int]] = {}
        for exchange, index in self._held_back.values():
            released.setdefault(exchange, set()).add(index)
        self._held_back = {}
        return [
            message
            for exchange, indexes in released.items()
            for index, message in enumerate(self._render("stream.cancel", exchange.rules.cancel_stream, exchange))
            if index in indexes
        ]

    def _render(self, field: str, template: Node | None, exchange: Exchange) -> list[CancelMessage]:
        """Return the messages, or nothing where the value is null or cannot be rendered."""
        if template is None:
            return []
        try:
            value = template.render(_cancel_scope(exchange).with_frozen_time())
        except RenderError as error:
            self._on_send_failed(field, str(error))
            return []
        return [(field, each) for each in _as_messages(value)]


def _subscribes(exchange: Exchange) -> bool:
    """Return whether a stream watches what the endpoint sends to all who subscribed."""
    rules = exchange.rules
    return rules.cancel_stream is not None and bool(rules.stream and rules.stream.match)


def _cancel_scope(exchange: Exchange) -> Scope:
    return exchange.scope.with_values(request=exchange.request)


def _as_messages(value: Any) -> list[Any]:
    """Return the messages that a template gave: none if it is null, several for `$each`."""
    return value if isinstance(value, MessageList) else [] if value is None else [value]


def _identities(exchange: Exchange) -> list[str]:
    """Return the cancel messages of a stream without what differs each time they are made."""
    assert exchange.rules.cancel_stream is not None
    scope = _cancel_scope(exchange)
    constant = replace(scope.ambient, now=lambda: _EPOCH, random=bytes)
    values = {**scope, "next_id": lambda: 0, "counter": lambda *_: 0}
    try:
        value = exchange.rules.cancel_stream.render(Scope(constant, values))
    except RenderError:
        return [f"{id(exchange)}"]
    return [json.dumps(to_json_safe(each), sort_keys=True) for each in _as_messages(value)] or [f"{id(exchange)}"]
