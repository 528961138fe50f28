"""Reply rules: what a message is to an exchange, and which part of it is the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, StrEnum
from typing import Any, ClassVar

from ...manifest.models.call_template import CallTemplate
from ...manifest.models.reply import Reply, Stream
from ...manifest.presets import read_bare_reply
from ...records import Record, force_setattr, replace
from ..codecs.message import Message
from ..diagnostics import Diagnostics
from ..expressions.analysis import find_correlation_path
from ..expressions.expression import EvaluationError, Expression, compile_expression
from ..expressions.let_bindings import LetBindings, compile_let_bindings
from ..expressions.paths import UNDEFINED, Path, value_at
from ..expressions.scope import CALL_REPLY_NAMES
from ..templates.compiler import Compiler
from ..templates.nodes import Node
from .stream_rules import COMPUTABLE_BOUNDS, StreamRules


class Role(StrEnum):
    """What a message was classified as; the values are shown in traces and logs."""

    REPLY = "reply"
    ITEM = "item"
    END = "end"
    ERROR = "error"
    ACK = "ack"
    AUTO_REPLIED = "auto-replied"
    HEARTBEAT = "heartbeat"
    LOGIN = "login"
    IGNORED = "ignored"
    HELD = "held"
    DROPPED = "dropped"
    SESSION_FAILED = "session failed"


class Concurrency(Enum):
    """How exchanges of these rules use a connection.

    MULTIPLEXED: many at once, distinguished by their correlation id. EXCLUSIVE: one at a time, and the connection is
    closed when an exchange does not end with its own reply.
    """

    MULTIPLEXED = "multiplexed"
    EXCLUSIVE = "exclusive"


class AutoReplyRule(Record):
    """A message that is answered automatically, and its answer; with `keep` it is a reply or an item as well."""

    match: Expression
    reply: Node
    keep: bool


AutoReplies = tuple[AutoReplyRule, ...]


class ReplyRules(Record):
    """The compiled `let`, `reply`, `ignore`, `stream` and own `auto_reply` of one tool.

    Args:
        no_reply: Whether the call ends when its message is sent.
        listen_only: Whether no message is sent: the messages are unsolicited, or an HTTP request causes them.
        sends_http: Whether HTTP requests are sent before the message.
        correlation_path: Where the correlation id is in a message, if `match` shows it.
        match_beside_id: What `match` demands of a message besides that id; None: nothing.
        answers_all: Whether a message is the reply to each exchange for which `match` is true, not to the first only.
        result_is_optional: Whether a message of which `result` selects nothing is itself the result.
        cancel_reply: The message that ends a call before its reply.
        cancel_stream: The message that ends an open stream.
        opened: The rules after the reply that opens the stream, if they differ.

    Attributes:
        has_subscribe_reply: Whether a reply comes before the stream that it opens.
        takes_first_message: Whether the first message after the request is the reply, whatever it says.
        is_unproven_reply: Whether nothing in the manifest separates the first message from unsolicited ones.
        result_expression: What selects the result or the stream's item of a message; None: it is the message itself.
    """

    not_in_repr: ClassVar = ("has_subscribe_reply", "takes_first_message", "is_unproven_reply", "result_expression")
    no_reply: bool = False
    listen_only: bool = False
    sends_http: bool = False
    match: Expression | None = None
    correlation_path: Path | None = None
    match_beside_id: Expression | None = None
    answers_all: bool = False
    concurrency: Concurrency = Concurrency.EXCLUSIVE
    error: Expression | None = None
    error_message: Expression | None = None
    result: Expression | None = None
    result_is_optional: bool = False
    ack: Expression | None = None
    ignore: tuple[Expression, ...] = ()
    auto_replies: AutoReplies = ()
    stream: StreamRules | None = None
    let_bindings: LetBindings = ()
    cancel_reply: Node | None = None
    cancel_stream: Node | None = None
    opened: ReplyRules | None = None
    has_subscribe_reply: bool = False
    takes_first_message: bool = False
    is_unproven_reply: bool = False
    result_expression: Expression | None = None

    @property
    def late_replies_are_recognized(self) -> bool:
        """Return whether a reply that comes late cannot be assigned to another call."""
        by_id = self.match is not None and "request_id" in self.match.names
        return self.concurrency is Concurrency.MULTIPLEXED and (by_id or self.no_reply or self.listen_only)

    def __post_init__(self) -> None:
        # Asked for each message, so they are computed once.
        stream = self.stream
        watches = stream is not None and stream.match is not None
        first = self.match is None and not (self.listen_only or self.no_reply or watches)
        subscribes = watches and self.match is not None and not self.listen_only
        force_setattr(self, "has_subscribe_reply", subscribes)
        force_setattr(self, "takes_first_message", first)
        force_setattr(self, "is_unproven_reply", first and not self.ignore)
        selected = stream.item if stream is not None and (stream.item or watches) else self.result
        force_setattr(self, "result_expression", selected)

    @property
    def never_sends(self) -> bool:
        """Return whether nothing is ever sent, so that no late reply to it can arrive."""
        sends = self.sends_http or self.auto_replies or self.cancel_stream is not None
        return self.listen_only and not sends

    def is_ignored(self, scope: Mapping[str, Any]) -> bool:
        """Return whether the message in `scope` never answers anything."""
        return any(predicate.is_true(scope) for predicate in self.ignore)

    def is_error(self, scope: Mapping[str, Any]) -> bool:
        """Return whether the message in `scope` reports a failure."""
        return self.error is not None and self.error.is_true(scope)

    def is_ack(self, scope: Mapping[str, Any]) -> bool:
        """Return whether the message in `scope` belongs to the exchange and only confirms receipt."""
        return self.ack is not None and self.ack.is_true(scope)

    def field_of(self, source: str) -> str:
        """Return the field in which a predicate is written."""
        fields = {"reply.match": self.match, "reply.error": self.error, "reply.ack": self.ack}
        fields |= {f"ignore[{index}]": predicate for index, predicate in enumerate(self.ignore)}
        fields |= {f"auto_reply[{index}].match": rule.match for index, rule in enumerate(self.auto_replies)}
        if self.stream is not None:
            fields["stream.match"] = self.stream.match
            fields |= {f"stream.until[{index}]": predicate for index, predicate in enumerate(self.stream.until)}
        found = (name for name, predicate in fields.items() if predicate is not None and predicate.source == source)
        return next(found, "a predicate of the connection")

    def extract(self, scope_for: Callable[[Message], Mapping[str, Any]], message: Message) -> Any:
        """Return the result or the stream's item of a message; the message itself where no expression is written.

        Args:
            scope_for: Returns the names for expressions on a message. A path in the message needs none.
            message: The message.

        Raises:
            EvaluationError: where the expression cannot be evaluated, or has no value on this message.
        """
        expression = self.result_expression
        if expression is None:
            return message.payload
        if (path := expression.path) is not None and path[0] == "message":
            value = value_at(message.value, path[1:])
        else:
            value = expression.evaluate(scope_for(message))
        if value is UNDEFINED and self.result_is_optional:
            return message.payload
        if value is UNDEFINED:
            field = "stream.item" if self.stream is not None and expression is self.stream.item else "reply.result"
            fix = ' Let "reply.ack" hold for messages that are no items.' if field == "stream.item" else ""
            missing = f"{field}: {expression.source} is missing from the reply.{fix}"
            raise EvaluationError(missing, code="result-missing")
        return value

    def error_text(self, scope: Mapping[str, Any]) -> Any:
        """Return the value of `error_message`, or None."""
        value = UNDEFINED if self.error_message is None else self.error_message.evaluate_or_undefined(scope)
        return None if value is UNDEFINED else value


def compile_reply_rules(
    template: CallTemplate,
    compiler: Compiler,
    own_auto_reply: bool,
    is_local: Callable[[str], bool],
    diagnostics: Diagnostics,
) -> ReplyRules:
    """Compile the reply rules of a call template.

    Args:
        template: The call template with everything that it inherits.
        compiler: Compiles the messages of `auto_reply`.
        own_auto_reply: Whether the `auto_reply` of the template holds for its exchanges only, not for the connection.
        is_local: Returns whether the manifest wrote a field; what the network wrote may only look up and compare.
        diagnostics: Collects what is wrong.
    """
    fields = _FieldCompiler(is_local, diagnostics)
    reply = template.reply
    rules = ReplyRules(
        no_reply=reply.none,
        listen_only=template.listen,
        sends_http=bool(template.before_message),
        match=fields.one("reply.match", reply.match),
        answers_all=reply.answers_all,
        error=fields.one("reply.error", reply.error),
        error_message=fields.one("reply.error_message", reply.error_message),
        result=fields.one("reply.result", reply.result),
        ack=fields.one("reply.ack", reply.ack),
        ignore=fields.all("ignore", template.ignore),
        auto_replies=compile_auto_replies(template, compiler, compiler, diagnostics) if own_auto_reply else (),
        stream=_compile_stream(template.stream, fields),
        let_bindings=compile_let_bindings(template, diagnostics, local=is_local("let")),
    )
    if template.reply == Reply() and not (template.stream.on or template.listen):
        rules = _with_utcp_reply(rules)
    return with_correlation(rules, concurrent=reply.concurrent or reply.answers_all)


def _with_utcp_reply(rules: ReplyRules) -> ReplyRules:
    """Return the rules of a reply of which nothing is written: UTCP's messages mean what UTCP says.

    A call through UTCP gets the error of a `tool_error` in every dialect, and the result of a `tool_response`.
    """
    fields = _FieldCompiler(lambda _: True, Diagnostics(""))
    written = {key: fields.one(f"reply.{key}", source) for key, source in read_bare_reply().items()}
    return replace(
        rules,
        error=written["error"],
        error_message=written["error_message"],
        ack=written["ack"],
        result=written["result"],
        result_is_optional=True,
    )


def with_stream(rules: ReplyRules, template: CallTemplate) -> ReplyRules:
    """Return the rules of a tool with the stream of another template, which is its own with a stream turned on.

    The rules that the template adds are those of a preset, so they are trusted.
    """
    return replace(rules, stream=_compile_stream(template.stream, _FieldCompiler(lambda _: True, Diagnostics(""))))


def compile_auto_replies(
    template: CallTemplate, match: Compiler, send: Compiler, diagnostics: Diagnostics
) -> AutoReplies:
    """Compile the messages that are answered automatically, with their answers.

    Args:
        template: The call template.
        match: Has the names for the predicates.
        send: Has the names for the answers.
        diagnostics: Collects what is wrong.
    """
    rules = []
    for index, rule in enumerate(template.auto_reply):
        with diagnostics.collect(f"auto_reply[{index}]"):
            hidden = frozenset() if match.is_local else {"vars"}
            predicate = compile_expression(rule.match, (match.names | {"message"}) - hidden, local=match.is_local)
            answer = replace(send, names=(send.names | {"message"}) - hidden).message(rule.send)
            rules.append(AutoReplyRule(predicate, answer, rule.keep))
    return tuple(rules)


class _FieldCompiler(Record):
    """Compiles the expressions of a call template, each as trusted as the source of its field."""

    is_local: Callable[[str], bool]
    diagnostics: Diagnostics

    def one(self, key: str, source: str | None) -> Expression | None:
        """Return the expression at a path such as `reply.match`, or None where there is none or a wrong one."""
        if source is None:
            return None
        local = self.is_local(key.partition(".")[0])
        with self.diagnostics.collect(key):
            return compile_expression(source, CALL_REPLY_NAMES if local else CALL_REPLY_NAMES - {"vars"}, local=local)
        return None

    def all(self, key: str, sources: Iterable[str]) -> tuple[Expression, ...]:
        """Return the expressions of a list."""
        return tuple(expression for source in sources if (expression := self.one(key, source)))


def _compile_stream(stream: Stream, fields: _FieldCompiler) -> StreamRules | None:
    if not stream.on:
        return None
    sources = {name: bound for name in COMPUTABLE_BOUNDS if isinstance(bound := getattr(stream, name), str)}
    bounds = {name: fields.one(f"stream.{name}", source) for name, source in sources.items()}
    return StreamRules(
        match=fields.one("stream.match", stream.match),
        until=fields.all("stream.until", stream.until),
        item=fields.one("stream.item", stream.item),
        bounds=stream,
        computed_bounds={name: bound for name, bound in bounds.items() if bound is not None},
    )


def with_correlation(rules: ReplyRules, *, concurrent: bool) -> ReplyRules:
    """Return the rules with how their exchanges use a connection, and where the correlation id is in a message.

    `concurrent`: the manifest says that `match` distinguishes the replies of calls without an id.
    """
    if rules.no_reply or (rules.listen_only and rules.stream and rules.stream.match):
        return replace(rules, concurrency=Concurrency.MULTIPLEXED)
    if rules.match is None or "request_id" not in rules.match.names:
        return replace(rules, concurrency=Concurrency.MULTIPLEXED) if concurrent and rules.match else rules
    path, others = find_correlation_path(rules.match.source)
    beside = compile_expression(others, frozenset(rules.match.names)) if others else None
    return replace(rules, concurrency=Concurrency.MULTIPLEXED, correlation_path=path, match_beside_id=beside)
