"""A feed, compiled: what opens it on a connection, which messages are its events, and what its readers see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from ...errors import InvalidReply
from ...manifest.models.feed import Feed
from ...records import Record
from ..codecs.message import Message, encode_json, to_json_safe
from ..exchange.exchange import Exchange
from ..exchange.reply_rules import ReplyRules
from ..expressions.expression import EvaluationError, Expression
from ..expressions.paths import UNDEFINED
from ..expressions.scope import Scope
from ..handshake_request import HandshakeTemplate
from ..templates.nodes import Node
from .query import FeedQuery

FeedToolKind = Literal["events", "latest"]

MAX_ELEMENTS: Final = 10_000
"""Events of one message."""

ELEMENTS_AT_ONCE: Final = 200
"""Elements of a list whose events are computed in one go, while nothing else runs: about two milliseconds."""


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
        query: The parameters of the URL of a connection of its own; None for a feed that shares one with calls.
        opening: The requests before the one that subscribes.
        subscription: The last request of `open`; its stream are the events.
        resume: The requests after it on later connections.
        item: The data of an event, or of several if the feed is flat; None for the whole message.
        key: What an event is about; None without keys.
        position: Where a message is at the endpoint; None if the endpoint has no positions.
        argument_names: The arguments of the feed, without those of its tools.
    """

    manual: str
    definition: Feed
    handshake: HandshakeTemplate
    query: FeedQuery | None
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
    def resumes_in_url(self) -> bool:
        """Return whether the URL of a later connection says where the events go on."""
        return self.query is not None and bool(self.query.with_position)

    @property
    def final_close_codes(self) -> tuple[int, ...]:
        """Return the close codes after which the feed is not opened again soon: those of its connection."""
        return self.handshake.template.final_close_codes

    def read_message(self, exchange: Exchange, message: Message) -> FeedMessage:
        """Return the events that a message contains; those whose key cannot be computed are errors.

        Of a long list, they are the first ELEMENTS_AT_ONCE; `read_rest` adds the others.

        Raises:
            InvalidReply: if its data or its position cannot be computed, or it has too many events.
        """
        scope = exchange.scope_for(message)
        try:
            # Conditions of readers look into the data, so a whole message is its value, not its text.
            data = message.value if self.item is None else self._value(self.item, scope, "item")
            position = None if self.position is None else self._required(self.position, scope, "position")
            elements = self._elements(data) if self.definition.flat else (data,)
        except EvaluationError as error:
            raise self._invalid(error) from None
        return self._read(elements, scope, position)

    def read_rest(self, message: FeedMessage) -> FeedMessage:
        """Return a message with the events of its next elements, where `rest` has some."""
        assert message.rest is not None
        more = self._read(message.rest.elements, message.rest.scope, message.position)
        return FeedMessage(message.events + more.events, message.position, message.errors + more.errors, more.rest)

    def _read(self, elements: Sequence[Any], scope: Scope, position: Any) -> FeedMessage:
        rest = None
        if len(elements) > ELEMENTS_AT_ONCE:
            rest = UnreadElements(elements[ELEMENTS_AT_ONCE:], scope)
            elements = elements[:ELEMENTS_AT_ONCE]
        events: list[FeedEvent] = []
        errors: list[InvalidReply] = []
        for element in elements:
            try:
                key = None if self.key is None else self._key(self.key, element, scope)
                events.append(FeedEvent(_json(element), key))
            except EvaluationError as error:
                errors.append(self._invalid(error))
        return FeedMessage(tuple(events), position, tuple(errors), rest)

    def _elements(self, data: Any) -> Sequence[Any]:
        """Return the data of each event; what is no list is one event, as an item of a stream with `flat` is one."""
        if not isinstance(data, list | tuple):
            return (data,)
        if len(data) > MAX_ELEMENTS:
            message = f"item: the list has {len(data):,} elements, and at most {MAX_ELEMENTS:,} are events."
            raise EvaluationError(message, code="value-too-large")
        return data

    def _key(self, key: Expression, element: Any, scope: Scope) -> str:
        scope["item"] = element
        return _json(self._required(key, scope, "key"))

    def _invalid(self, error: EvaluationError) -> InvalidReply:
        return InvalidReply(self.full_name, str(error), "", code=error.code)

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
    """An event of a message: its data and key as JSON texts."""

    data: str
    key: str | None


class UnreadElements(Record):
    """The elements of a list whose events are not computed yet, and the names for their keys."""

    elements: Sequence[Any]
    scope: Scope


class FeedMessage(Record):
    """What a message contributes to a feed.

    Attributes:
        events: Its events, in order: one, or any number if the feed is flat.
        position: Where the message is at the endpoint, with all its events.
        errors: Why further events are left out.
        rest: What is not read yet of a long list.
    """

    events: tuple[FeedEvent, ...]
    position: Any = None
    errors: tuple[InvalidReply, ...] = ()
    rest: UnreadElements | None = None


class FeedTool(Record):
    """What a tool does that belongs to a feed."""

    feed: CompiledFeed
    kind: FeedToolKind


def _json(value: Any) -> str:
    try:
        return encode_json(value)
    except (TypeError, ValueError):
        return encode_json(to_json_safe(value))
