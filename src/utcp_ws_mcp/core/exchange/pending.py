"""The table of the exchanges that are not finished, and its indexes."""

from __future__ import annotations

import re
from typing import Final

from ..codecs.message import Message
from ..expressions.paths import Path, value_at
from .exchange import Exchange, correlation_id_at
from .match_index import MatchIndex

_Set = dict[Exchange, None]
"""A set that keeps the order of insertion: the exchange that was opened first is asked first."""


_NO_ID: Final = "\x00 no request has this id"
_NUMBER = re.compile(r"[1-9][0-9]{0,17}\Z")
"""The text of a counter."""


class PendingExchanges:
    """The pending exchanges of one connection.

    `add`, `update` and `remove` alone keep the indexes: each is derived from the rules of an exchange and from whether
    its reply has come. A message is looked up by its correlation id in constant time, and is compared with those
    exchanges only that cannot be found by an id.

    Attributes:
        all: Every exchange, in the order of opening.
        unkeyed: Exchanges that no correlation id finds.
        with_auto_replies: Exchanges that answer messages automatically.
        awaiting_subscription: Exchanges whose stream begins after a reply that has not come.
    """

    def __init__(self) -> None:
        self.all: _Set = {}
        self.unkeyed = MatchIndex()
        self.with_auto_replies: _Set = {}
        self.awaiting_subscription: _Set = {}
        self._by_correlation_id: dict[Path, dict[int | str, Exchange]] = {}

    def add(self, exchange: Exchange) -> None:
        """Add an exchange that has just been opened."""
        self.all[exchange] = None
        if exchange.rules.auto_replies:
            self.with_auto_replies[exchange] = None
        if exchange.rules.has_subscribe_reply:
            self.awaiting_subscription[exchange] = None
        path = exchange.rules.correlation_path
        if path is None:
            self.unkeyed.add(exchange)
        else:
            self._by_correlation_id.setdefault(path, {})[exchange.request_id] = exchange

    def update(self, exchange: Exchange) -> None:
        """Index an exchange again: it has finished, or its stream has begun, whose items carry no correlation id."""
        if exchange.finished:
            self.remove(exchange)
        elif exchange in self.awaiting_subscription and not exchange.awaits_subscription:
            del self.awaiting_subscription[exchange]
            self._remove_key(exchange)
            self.unkeyed.add(exchange)

    def remove(self, exchange: Exchange) -> None:
        """Remove an exchange, if it is still there."""
        for index in (self.all, self.with_auto_replies, self.awaiting_subscription):
            index.pop(exchange, None)
        if not self._remove_key(exchange):
            self.unkeyed.discard(exchange)

    def find_by_correlation_id(self, message: Message) -> Exchange | None:
        """Return the exchange whose correlation id is in a message, if its `match` says no more, or is true."""
        for path, exchanges in self._by_correlation_id.items():
            request_id = correlation_id_at(message, path)
            found = exchanges.get(request_id) if request_id is not None else None
            if found is not None and found.holds_beside_id(message):
                return found
        return None

    def find_matching(self, message: Message) -> tuple[list[Exchange], bool]:
        """Return the exchanges that a message belongs to: those that it replies to, then streams.

        It replies to one, and to others only if their rules say that one message answers all that match. The second
        value is true for an error that names no request: then these are all that it may mean.
        """
        by_id = self.find_by_correlation_id(message)
        matching = self.unkeyed.find(message)
        if not matching:
            return [] if by_id is None else [by_id], False
        streams = [exchange for exchange in matching if exchange.watches]
        others = [exchange for exchange in matching if not exchange.watches]
        replied_to = by_id
        if replied_to is None:
            # An item of a stream may also be the reply to a request whose `match` says so, such as the echo of what
            # was said in a room that is watched. A request without `match` is replied to by no item.
            replied_to = next((exchange for exchange in others if exchange.rules.match or not streams), None)
            if replied_to is not None and _is_unnamed_error(others, replied_to, message):
                return [each for each in matching if each.rules.is_error(each.scope_for(message))], True
        if replied_to is None:
            return streams, False
        # The error reply to one call is no error of the streams that watch.
        watching = [each for each in streams if not each.rules.is_error(each.scope_for(message))]
        return [replied_to, *_answered_with(replied_to, others), *watching], False

    def find_by_mistyped_id(self, message: Message) -> tuple[Exchange, int | str] | None:
        """Return the exchange whose id a message has as another JSON type, `"1"` for 1 or 1 for `"1"`, with that id."""
        for path, exchanges in self._by_correlation_id.items():
            request_id = correlation_id_at(message, path)
            other = int(request_id) if isinstance(request_id, str) and _NUMBER.match(request_id) else str(request_id)
            if (exchange := exchanges.get(other)) is not None:
                assert request_id is not None
                return exchange, request_id
        return None

    def meant_by_null_id(self, message: Message) -> list[Exchange]:
        """Return the exchanges that an error reply with the id null may mean: those of which nothing was answered.

        A server cannot repeat the id of a request that it could not read (JSON-RPC 2.0, section 5).
        """
        return [
            exchange
            for path, exchanges in self._by_correlation_id.items()
            if value_at(message.value, path) is None
            for exchange in exchanges.values()
            if not exchange.item_count and exchange.is_error_for_any_id(message, None)
        ]

    def has_correlation_id(self, message: Message) -> bool:
        """Return whether a message carries an id where a reply to any exchange so far would carry its own."""
        return any(correlation_id_at(message, path) is not None for path in self._by_correlation_id)

    def _remove_key(self, exchange: Exchange) -> bool:
        """Let no correlation id find an exchange; return whether one did."""
        path = exchange.rules.correlation_path
        # The dictionary of the path stays: `has_correlation_id` needs it for replies that come late.
        keyed = self._by_correlation_id.get(path) if path is not None else None
        return keyed is not None and keyed.pop(exchange.request_id, None) is not None


def is_selected_by_request(matched: list[Exchange]) -> bool:
    """Return whether one of the exchanges that a message belongs to selects it by the `match` of its reply."""
    return any(exchange.rules.match is not None and not exchange.watches for exchange in matched)


def _answered_with(first: Exchange, requests: list[Exchange]) -> list[Exchange]:
    """Return the requests that a message answers besides the first one; note at the others that it matched."""
    answered = []
    for exchange in requests:
        if exchange is first:
            continue
        if exchange.rules.answers_all:
            answered.append(exchange)
        else:
            exchange.passed_over = True
    return answered


def _is_unnamed_error(requests: list[Exchange], first: Exchange, message: Message) -> bool:
    """Return whether a message is an error that names no request, although `match` holds for these."""
    is_ambiguous = len(requests) > 1 and not all(each.rules.answers_all for each in requests)
    several = is_ambiguous and first.rules.is_error(first.scope_for(message))
    return several or first.is_error_for_any_id(message, _NO_ID)
