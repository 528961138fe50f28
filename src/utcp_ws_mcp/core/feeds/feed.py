"""A feed, compiled: what opens it on a connection, which messages are its events, and what its readers see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ...errors import InvalidReply
from ...manifest.models.feed import Feed
from ...records import Record
from ..codecs.message import Message, encode_json, to_json_safe
from ..exchange.exchange import Exchange
from ..exchange.reply_rules import ReplyRules
from ..expressions.expression import EvaluationError, Expression
from ..expressions.paths import UNDEFINED
from ..handshake_request import HandshakeTemplate
from ..templates.nodes import Node

FeedToolKind = Literal["events", "latest"]


class FeedRequest(Record):
    """Messages that are sent together, and the reply to them, if `rules.match` expects one.

    `timeout` is in seconds.
    """

    messages: tuple[Node, ...]
    rules: ReplyRules
    timeout: float


class CompiledFeed(Record):
    """One feed of one manual.

    Attributes:
        manual: The name of the manual.
        definition: The feed as the manifest describes it.
        handshake: The connection.
        opening: The requests before the one that subscribes.
        subscription: The last request of `open`; its stream are the events.
        resume: The requests after it on later connections.
        item: The data of an event; None for the whole message.
        key: What an event is about; None without keys.
        position: Where an event is at the endpoint; None if the endpoint has no positions.
        argument_names: The arguments of the feed, without those of its tools.
    """

    manual: str
    definition: Feed
    handshake: HandshakeTemplate
    opening: tuple[FeedRequest, ...]
    subscription: FeedRequest
    resume: tuple[FeedRequest, ...]
    item: Expression | None
    key: Expression | None
    position: Expression | None
    argument_names: frozenset[str]

    @property
    def full_name(self) -> str:
        """Return `manual.feed`, unique in a bridge."""
        return f"{self.manual}.{self.definition.name}"

    @property
    def final_close_codes(self) -> tuple[int, ...]:
        """Return the close codes after which the feed is not opened again soon: those of its connection."""
        return self.handshake.template.final_close_codes

    def read_event(self, exchange: Exchange, message: Message) -> FeedEvent:
        """Return the event that a message contains.

        Raises:
            InvalidReply: if its data, key or position cannot be computed.
        """
        scope = exchange.scope_for(message)
        try:
            # Conditions of readers look into the data, so a whole message is its value, not its text.
            data = message.value if self.item is None else self._value(self.item, scope, "item")
            key = None if self.key is None else self._required(self.key, scope, "key")
            position = None if self.position is None else self._required(self.position, scope, "position")
        except EvaluationError as error:
            raise InvalidReply(self.full_name, str(error), "", code=error.code) from None
        return FeedEvent(_json(data), None if key is None else _json(key), position)

    def _required(self, expression: Expression, scope: Mapping[str, Any], field: str) -> Any:
        value = self._value(expression, scope, field)
        if value is None:
            raise EvaluationError(f"{field}: {expression.source} is null in the event.", code="result-missing")
        return value

    def _value(self, expression: Expression, scope: Mapping[str, Any], field: str) -> Any:
        value = expression.evaluate(scope)
        if value is UNDEFINED:
            message = f"{field}: {expression.source} is missing from the event. Change {field!r} of the feed."
            raise EvaluationError(message, code="result-missing")
        return value


class FeedEvent(Record):
    """What a message contributes to a feed: its data and key as JSON texts, and its position."""

    data: str
    key: str | None
    position: Any


class FeedTool(Record):
    """What a tool does that belongs to a feed."""

    feed: CompiledFeed
    kind: FeedToolKind


def _json(value: Any) -> str:
    try:
        return encode_json(value)
    except (TypeError, ValueError):
        return encode_json(to_json_safe(value))
