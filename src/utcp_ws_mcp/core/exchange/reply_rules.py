"""Classify one message for one exchange, and take the result out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final

from ...manifest.models.call_template import CallTemplate, Reply, Stream
from ..codecs.message import Message
from ..diagnostics import Diagnostics
from ..expressions.expression import EvaluationError, Expression, compile_expression
from ..expressions.let_bindings import LetBindings, compile_let_bindings
from ..expressions.paths import UNDEFINED, Path
from ..expressions.scope import CALL_REPLY_NAMES, MESSAGE_NAMES
from ..templates.compiler import Compiler
from ..templates.nodes import Node, RenderError
from .correlation import find_correlation_path


class Role(Enum):
    """What a message was taken for."""

    REPLY = "reply"
    ITEM = "item"
    END = "end"
    ERROR = "fault"
    ACK = "acknowledgement"
    AUTO_REPLIED = "answered"
    HEARTBEAT = "heartbeat"
    LOGIN = "login"
    IGNORED = "ignored"
    BUFFERED = "kept"
    DROPPED = "dropped"


class Concurrency(Enum):
    """How exchanges of these rules use a connection.

    SHARED: many at once, told apart by their correlation id. OWNED: one at a time, and the connection is thrown
    away when an exchange does not end with its own reply.
    """

    MULTIPLEXED = "shared"
    EXCLUSIVE = "owned"


COMPUTABLE_BOUNDS: Final = ("max_items", "max_seconds", "idle_seconds")
"""Bounds of a stream that may be expressions."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """The bounds of one stream: a count, and seconds (None: those of the call, and none)."""

    max_items: int
    max_seconds: float | None
    idle_seconds: float | None


@dataclass(frozen=True, slots=True)
class StreamRules:
    """Where a stream's items and its end are, and its bounds.

    The stream ends when each predicate of `until` has held for a message. With `match`, the items are the messages
    for which it holds; the reply to the request comes first, and is known as `reply`.
    """

    match: Expression | None
    until: tuple[Expression, ...]
    item: Expression | None
    bounds: Stream
    computed_bounds: Mapping[str, Expression] = field(default_factory=dict)

    def limits(self, scope: Mapping[str, Any]) -> StreamLimits:
        """The bounds of one exchange.

        Raises:
            Unfilled: where an expression gives no number above zero.
        """
        values = {name: getattr(self.bounds, name) for name in COMPUTABLE_BOUNDS}
        for name, expression in self.computed_bounds.items():
            try:
                value = expression.evaluate(scope)
            except EvaluationError as failed:
                raise RenderError(str(failed)) from None
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise RenderError(f"stream.{name}: {expression.source} is no number above zero")
            values[name] = value
        return StreamLimits(int(values["max_items"]), values["max_seconds"], values["idle_seconds"])


@dataclass(frozen=True, slots=True)
class AutoReplyRule:
    """A message that is answered at once, and what answers it; `keep`: it is a reply or an item all the same."""

    match: Expression
    reply: Node
    keep: bool


AutoReplies = tuple[AutoReplyRule, ...]


@dataclass(frozen=True, slots=True)
class ReplyRules:
    """The compiled `let`, `reply`, `ignore`, `stream` and own `auto_reply` of one tool.

    `id_path` is where in a message the correlation id stands, if `match` says so; `by_id_alone` if it says no more.
    `none`: nothing answers. `unasked`: nothing is sent, messages just come.
    """

    no_reply: bool = False
    listen_only: bool = False
    match: Expression | None = None
    correlation_path: Path | None = None
    match_is_id_only: bool = False
    concurrency: Concurrency = Concurrency.EXCLUSIVE
    error: Expression | None = None
    error_message: Expression | None = None
    result: Expression | None = None
    ack: Expression | None = None
    ignore: tuple[Expression, ...] = ()
    auto_replies: AutoReplies = ()
    stream: StreamRules | None = None
    let_bindings: LetBindings = ()

    @property
    def has_subscribe_reply(self) -> bool:
        """Whether a reply comes before the stream that it opens."""
        return (
            self.stream is not None
            and self.stream.match is not None
            and self.match is not None
            and not self.listen_only
        )

    @property
    def never_sends(self) -> bool:
        """Whether nothing is ever sent, so that nothing can come later because of it."""
        return self.listen_only and not self.auto_replies and (self.stream is None or self.stream.bounds.cancel is None)

    def is_ignored(self, scope: Mapping[str, Any]) -> bool:
        """Whether the message in `scope` never answers anything."""
        return any(predicate.is_true(scope) for predicate in self.ignore)

    def is_error(self, scope: Mapping[str, Any]) -> bool:
        """Whether the message in `scope` reports a failure."""
        return self.error is not None and self.error.is_true(scope)

    def is_ack(self, scope: Mapping[str, Any]) -> bool:
        """Whether the message in `scope` belongs to the exchange and says nothing."""
        return self.ack is not None and self.ack.is_true(scope)

    def extract(self, scope: Mapping[str, Any], message: Message) -> Any:
        """The result or the stream's item of a message; the message itself where no expression says otherwise.

        Raises:
            ExpressionFailed: where the expression cannot be evaluated, or has no value on this message.
        """
        expression = self.result
        if self.stream is not None:
            expression = self.stream.item or (None if self.stream.match else self.result)
        if expression is None:
            return message.payload
        value = expression.evaluate(scope)
        if value is UNDEFINED:
            raise EvaluationError(f"the reply has no {expression.source}")
        return value

    def error_text(self, scope: Mapping[str, Any]) -> Any:
        """What `error_message` finds, or None."""
        value = UNDEFINED if self.error_message is None else self.error_message.evaluate_or_undefined(scope)
        return None if value is UNDEFINED else value


_UTCP_REPLY = Reply(error="message.type == 'tool_error'", error_message="message.error")
_UTCP_UNTIL = ("message.type == 'stream_end'",)
_UTCP_ITEM = "message.result if message.type == 'tool_response' else message"


def _is_utcp_framed(template: CallTemplate) -> bool:
    """Whether a stream says nothing of its messages: then they are framed as UTCP frames them."""
    stream = template.stream
    silent = not stream.until and stream.item is None and stream.match is None
    return stream.on and silent and template.reply == Reply() and template.message is not False


def compile_reply_rules(
    template: CallTemplate,
    compiler: Compiler,
    own_auto_reply: bool,
    is_local: Callable[[str], bool],
    diagnostics: Diagnostics,
) -> ReplyRules:
    """The rules of a call template. `local(field)` tells whether the manifest wrote a field, or the network.

    `own_auto_reply`: the template's `auto_reply` holds for its exchanges only.
    """
    stream = template.stream
    framed = _is_utcp_framed(template)
    reply = _UTCP_REPLY if framed else template.reply

    def compiled(key: str, source: str | None, trusted: bool = False) -> Expression | None:
        if source is None:
            return None
        mine = trusted or is_local(key.split(".", maxsplit=1)[0])
        with diagnostics.collect(key):
            return compile_expression(source, CALL_REPLY_NAMES if mine else CALL_REPLY_NAMES - {"vars"}, local=mine)
        return None

    def listed(key: str, sources: tuple[str, ...]) -> tuple[Expression, ...]:
        return tuple(expression for source in sources if (expression := compiled(key, source)))

    rules = ReplyRules(
        no_reply=reply.none,
        listen_only=template.message is False,
        match=compiled("reply.match", reply.match),
        error=compiled("reply.error", reply.error),
        error_message=compiled("reply.error_message", reply.error_message),
        result=compiled("reply.result", reply.result),
        ack=compiled("reply.ack", reply.ack),
        ignore=listed("ignore", template.ignore),
        auto_replies=compile_auto_replies(template, compiler, diagnostics) if own_auto_reply else (),
        let_bindings=compile_let_bindings(template, diagnostics, local=is_local("let")),
    )
    if stream.on:
        rules = replace(rules, stream=_compile_stream_rules(stream, framed, compiled, listed))
    return _with_correlation(rules)


def _compile_stream_rules(
    stream: Stream,
    framed: bool,
    compiled: Callable[..., Expression | None],
    listed: Callable[[str, tuple[str, ...]], tuple[Expression, ...]],
) -> StreamRules:
    until = listed("stream.until", _UTCP_UNTIL if framed else stream.until)
    item = compiled("stream.item", _UTCP_ITEM if framed else stream.item, trusted=framed)
    match = compiled("stream.match", stream.match)
    written = {name: source for name in COMPUTABLE_BOUNDS if isinstance(source := getattr(stream, name), str)}
    bounds = {name: bound for name in written if (bound := compiled(f"stream.{name}", written[name])) is not None}
    return StreamRules(match, until, item, stream, bounds)


def with_utcp_framing(rules: ReplyRules, template: CallTemplate) -> ReplyRules:
    """The rules for a caller who wants a stream, of a tool that may be one and has not said so: as UTCP frames it."""
    has_envelope = template.stream.until == _UTCP_UNTIL
    may_stream = has_envelope or template.reply == Reply()
    if rules.stream is not None or rules.no_reply or rules.listen_only or not may_stream:
        return rules

    def compiled(source: str | None) -> Expression:
        assert source is not None
        return compile_expression(source, MESSAGE_NAMES)

    until = tuple(map(compiled, _UTCP_UNTIL))
    if has_envelope:
        return replace(rules, stream=StreamRules(None, until, None, Stream()))
    return replace(
        rules,
        error=compiled(_UTCP_REPLY.error),
        error_message=compiled(_UTCP_REPLY.error_message),
        stream=StreamRules(None, until, compiled(_UTCP_ITEM), Stream()),
    )


def compile_auto_replies(template: CallTemplate, compiler: Compiler, diagnostics: Diagnostics) -> AutoReplies:
    """The messages that are answered at once, with what answers them."""
    rules = []
    for index, rule in enumerate(template.auto_reply):
        with diagnostics.collect(f"auto_reply[{index}]"):
            names = (compiler.names | {"message"}) - (frozenset() if compiler.is_local else {"vars"})
            answer = replace(compiler, names=names)
            match = compile_expression(rule.match, names, local=compiler.is_local)
            rules.append(AutoReplyRule(match, answer.message(rule.send), rule.keep))
    return tuple(rules)


def _with_correlation(rules: ReplyRules) -> ReplyRules:
    """Find out whether `match` ties messages to one exchange, and where the id stands."""
    if rules.no_reply or (rules.listen_only and rules.stream and rules.stream.match):
        return replace(rules, concurrency=Concurrency.MULTIPLEXED)
    if rules.match is None or "request_id" not in rules.match.names:
        return rules
    path, alone = find_correlation_path(rules.match.source)
    return replace(rules, concurrency=Concurrency.MULTIPLEXED, correlation_path=path, match_is_id_only=alone)
