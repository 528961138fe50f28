"""Classify one message for one exchange, and take the result out of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from ..manifest.models import CallTemplate, Reply, Stream
from .codec import Message
from .expression import LITERAL, UNDEFINED, Expression, ExpressionFailed, Path, parse_path
from .scope import REPLY_NAMES


class Role(Enum):
    """What a message was taken for."""

    REPLY = "reply"
    ITEM = "item"
    END = "end"
    FAULT = "fault"
    ACKNOWLEDGEMENT = "acknowledgement"
    IGNORED = "ignored"
    DROPPED = "dropped"


class Sharing(Enum):
    """How exchanges of these rules use a connection.

    SHARED: many at once, told apart by their correlation id. OWNED: one at a time, and the connection is thrown
    away when an exchange does not end with its own reply.
    """

    SHARED = "shared"
    OWNED = "owned"


@dataclass(frozen=True, slots=True)
class StreamRules:
    """Where a stream's items and its end are, and its bounds."""

    until: Expression | None
    item: Expression | None
    bounds: Stream


@dataclass(frozen=True, slots=True)
class Rules:
    """The compiled `reply`, `ignore` and `stream` of one tool.

    `id_path` is where in a message the correlation id stands, if `match` says so; `by_id_alone` if it says no more.
    """

    match: Expression | None = None
    id_path: Path | None = None
    by_id_alone: bool = False
    sharing: Sharing = Sharing.OWNED
    error: Expression | None = None
    error_message: Expression | None = None
    result: Expression | None = None
    skip: Expression | None = None
    ignore: tuple[Expression, ...] = ()
    stream: StreamRules | None = None

    def ignores(self, scope: Mapping[str, Any]) -> bool:
        """Whether the message in `scope` never answers anything."""
        return any(predicate.holds(scope) for predicate in self.ignore)

    def classify(self, scope: Mapping[str, Any]) -> Role:
        """What the message in `scope` means to the exchange that it belongs to."""
        if self.error and self.error.holds(scope):
            return Role.FAULT
        if self.skip and self.skip.holds(scope):
            return Role.ACKNOWLEDGEMENT
        if self.stream is None:
            return Role.REPLY
        return Role.END if self.stream.until and self.stream.until.holds(scope) else Role.ITEM

    def take(self, scope: Mapping[str, Any], message: Message) -> Any:
        """The result or the stream's item of a message: the raw message where no expression says otherwise.

        Raises:
            ExpressionFailed: where the expression cannot be evaluated, or has no value on this message.
        """
        expression = (self.stream.item if self.stream else None) or self.result
        if expression is None:
            return message.raw
        value = expression.evaluate(scope)
        if value is UNDEFINED:
            raise ExpressionFailed(f"the reply has no {expression.source}")
        return value

    def fault_message(self, scope: Mapping[str, Any]) -> Any:
        """What `error_message` finds, or None."""
        if self.error_message is None:
            return None
        try:
            value = self.error_message.evaluate(scope)
        except ExpressionFailed:
            return None
        return None if value is UNDEFINED else value


UTCP_STREAM = Reply(error="message.type == 'tool_error'", error_message="message.error")
_UTCP_UNTIL = "message.type == 'stream_end'"
_UTCP_ITEM = "message.result if message.type == 'tool_response' else message"


def compile_rules(template: CallTemplate, *, local: bool) -> Rules:
    """The rules of a call template; where they are not `local`, expressions may only look up and compare.

    Raises:
        InvalidTemplate: where an expression cannot be read.
    """
    plain_stream = template.stream.on and template.stream.until is None and template.stream.item is None
    plain_stream = plain_stream and template.reply == Reply()
    reply = UTCP_STREAM if plain_stream else template.reply
    names = REPLY_NAMES if local else REPLY_NAMES - {"vars"}

    def compiled(source: str | None, trusted: bool = local) -> Expression | None:
        return None if source is None else Expression(source, names, local=trusted)

    rules = Rules(
        match=compiled(reply.match),
        error=compiled(reply.error),
        error_message=compiled(reply.error_message),
        result=compiled(reply.result),
        skip=compiled(reply.skip),
        ignore=tuple(Expression(source, names, local=local) for source in template.ignore),
    )
    if template.stream.on:
        until, item = template.stream.until, template.stream.item
        if plain_stream:
            until, item = _UTCP_UNTIL, _UTCP_ITEM
        item_rule = compiled(item, local or plain_stream)
        rules = replace(rules, stream=StreamRules(compiled(until), item_rule, template.stream))
    return _with_correlation(rules)


_TERM = re.compile(r"\s*(\S+)\s*==\s*(\S+)\s*\Z")


def _with_correlation(rules: Rules) -> Rules:
    """Find out whether `match` ties messages to one exchange, and where the id stands."""
    if rules.match is None or "request_id" not in rules.match.names:
        return rules
    terms = _conjunction(rules.match.source)
    paths = [path for term in terms if (path := _id_path(term))]
    if not paths:
        return replace(rules, sharing=Sharing.SHARED)
    return replace(rules, sharing=Sharing.SHARED, id_path=paths[0], by_id_alone=len(terms) == 1)


def _conjunction(source: str) -> list[str]:
    """The terms of `a and b and c`, string literals emptied; an expression that may be anything else is one term."""
    bare = LITERAL.sub("''", source)
    return [bare] if re.search(r"\b(or|if|else|not)\b|[()]", bare) else re.split(r"\s+and\s+", bare)


def _id_path(term: str) -> Path | None:
    """The path that a term `message.id == request_id` compares with the correlation id."""
    found = _TERM.match(term)
    sides = found.groups() if found else ()
    for side, other in (sides, sides[::-1]) if sides else ():
        path = parse_path(side)
        if other == "request_id" and path and path[0] == "message" and len(path) > 1:
            return path[1:]
    return None
