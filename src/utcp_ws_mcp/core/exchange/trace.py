"""Explain how a message is classified: which rules are true or false, and which cannot be evaluated (for `--trace`).

Nothing here changes the state: every predicate is evaluated a second time, before the message is classified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from ...manifest.secret_names import redact_by_key
from ..captures import Captures
from ..codecs.message import Message, encode_json, mark_bytes, redact_beginning, to_json_safe
from ..connection_rules import CompiledLoginStep
from ..expressions.analysis import find_references
from ..expressions.expression import EvaluationError, Expression
from ..expressions.paths import UNDEFINED, value_at
from ..expressions.scope import Scope
from ..http_steps import CompiledHttpStep
from .connection_state import ConnectionState
from .dispatcher import Dispatcher
from .exchange import Exchange
from .reply_rules import AutoReplies, ReplyRules

MAX_VALUE_LENGTH: Final = 60
"""Characters of a value that are shown."""

MAX_EXCHANGES: Final = 3
"""Exchanges whose rules are explained for one message."""

_SHOWN_OWNERS: Final = frozenset({"message", "session", "args", "let", "reply"})
"""Names whose members are shown; `vars` is not among them, because variables hold credentials."""


def explain_for_connection(state: ConnectionState, message: Message, *, login: bool) -> Explanation:
    """Explain a message by the rules of its connection: `reconnect_when`, `capture` and `auto_reply`.

    Args:
        state: The state of the connection, before it has processed the message.
        message: The message.
        login: Whether the login runs; `reconnect_when` is asked only after it.

    Returns:
        The explanation; `settled` returns its lines once the state has processed the message.
    """
    explanation = Explanation(state.scope(message=message.value))
    if login or not explanation.ends_session(state):
        explanation.add_captures(state)
        explanation.is_auto_replied(state.rules.auto_replies)
    return explanation


def explain_for_exchanges(state: ConnectionState, dispatcher: Dispatcher, message: Message) -> tuple[str, ...]:
    """Explain a message by the rules of the exchanges on its connection and the heartbeat.

    Args:
        state: The state of the connection, after it has processed the message.
        dispatcher: The exchanges, before the message is delivered.
        message: The message.

    Returns:
        Lines for people.
    """
    explanation = Explanation(state.scope(message=message.value))
    heartbeat = state.rules.heartbeat
    if heartbeat and heartbeat.expect and state.is_heartbeat_reply(message):
        answered = Explanation(state.heartbeat_scope(message))
        answered.evaluate("heartbeat.expect", heartbeat.expect)
        if not dispatcher.takes_heartbeat_reply(message):
            return tuple(answered.lines)
        explanation.add("heartbeat.expect holds, but the message is the reply to a request")
    pending, recipients = list(dispatcher.pending()), dispatcher.recipients(message)
    for exchange in pending[:MAX_EXCHANGES]:
        explanation.lines += _explain_exchange(exchange, message, recipients)
    if len(pending) > MAX_EXCHANGES:
        explanation.add(f"and the rules of {len(pending) - MAX_EXCHANGES} calls more")
    if not pending:
        last = dispatcher.last_exclusive
        ignoring = Explanation(last.scope_for(message)) if last else explanation
        if last is None or not ignoring.is_ignored(last.rules):
            explanation.add("no call waits for it")
            explanation.lines += _explain_ended_stream(dispatcher, message)
        elif last:
            explanation.lines += ignoring.lines
    return tuple(explanation.lines)


def explain_http_step(step: CompiledHttpStep, path: str, scope: Scope) -> tuple[str, ...]:
    """Explain the response to a request of `before_connect`; `path` names the step."""
    explanation = Explanation(scope)
    if not explanation.evaluate(f"{path}.fail", step.fail):
        explanation.captured(f"{path}.capture", step.captures)
    return tuple(explanation.lines)


def explain_query(path: str, query: str, redact: Callable[[str], str]) -> tuple[str, ...]:
    """Return the query parameters with which a URL is requested, if it has any.

    Args:
        path: What names the field.
        query: The query of the URL, without its question mark.
        redact: Removes secrets from a text.
    """
    parameters: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        parameters[name] = value if name not in parameters else [*_as_list(parameters[name]), value]
    return (f"{path} is {redact_by_key(redact(encode_json(parameters)))}",) if parameters else ()


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def explain_captures(captures: Captures, path: str, scope: Scope, saved: Mapping[str, Any]) -> tuple[str, ...]:
    """Explain what a step of `on_connect` has saved; `saved` are the values, which are not computed again."""
    explanation = Explanation(scope)
    explanation.captured(f"{path}.capture", captures, saved)
    return tuple(explanation.lines)


def explain_left_out(field: str, when: Expression, scope: Scope) -> tuple[str, ...]:
    """Explain why a message of `on_disconnect` is not sent."""
    explanation = Explanation(scope)
    explanation.evaluate(f"{field}.when", when, include_false=True)
    explanation.add(f"{field} is left out")
    return tuple(explanation.lines)


def explain_step(step: CompiledLoginStep, index: int, scope: Scope) -> tuple[str, ...]:
    """Explain a message by a step of `on_connect` that waits for one; `index` is its place."""
    explanation = Explanation(scope)
    if step.fail is None or not explanation.evaluate(f"on_connect[{index}].fail", step.fail):
        assert step.expect is not None
        explanation.evaluate(f"on_connect[{index}].expect", step.expect, include_false=True)
    return tuple(explanation.lines)


def explain_when(step: CompiledLoginStep | CompiledHttpStep, index: int, scope: Scope) -> tuple[str, ...]:
    """Explain whether a step of `on_connect` is run."""
    explanation = Explanation(scope)
    if step.when is not None and not explanation.evaluate(f"on_connect[{index}].when", step.when, include_false=True):
        explanation.add(f"on_connect[{index}] is left out")
    return tuple(explanation.lines)


class Explanation:
    """The lines about one message. Its methods evaluate rules as the dispatcher will, and add what they find."""

    def __init__(self, scope: Scope) -> None:
        self.lines: list[str] = []
        self._kept: list[tuple[int, str]] = []
        self._scope = scope

    def add(self, line: str) -> None:
        """Add a line."""
        self.lines.append(line)

    def evaluate(self, name: str, predicate: Expression, *, include_false: bool = False) -> bool:
        """Return whether a predicate is true; add a line if it is, or cannot be evaluated, or `include_false`."""
        try:
            value = predicate.evaluate(self._scope)
        except EvaluationError as error:
            self.add(f"{name} does not hold: {error}")
            return False
        holds = bool(value)
        if holds or include_false:
            self.add(
                f"{name} {'holds' if holds else 'does not hold'}: {predicate.source}{self._format_values(predicate)}"
            )
        return holds

    def is_ignored(self, rules: ReplyRules) -> bool:
        """Return whether one of `ignore` is true."""
        return any(self.evaluate(f"ignore[{index}]", predicate) for index, predicate in enumerate(rules.ignore))

    def is_auto_replied(self, rules: AutoReplies) -> bool:
        """Return whether an `auto_reply` answers the message, and no call sees it."""
        for index, rule in enumerate(rules):
            if self.evaluate(f"auto_reply[{index}].match", rule.match):
                return not rule.keep
        return False

    def ends_session(self, state: ConnectionState) -> bool:
        """Add what a message says of the session; return whether no other rule sees the message."""
        rules = state.rules
        if rules.reconnect_when is not None and self.evaluate("reconnect_when", rules.reconnect_when):
            self.add("the next call opens another connection")
        if rules.fail_when is None or not self.evaluate("fail_when", rules.fail_when):
            return False
        self.add("all calls on the connection fail")
        return True

    def add_captures(self, state: ConnectionState) -> None:
        """Add what `capture` saves of the message; the rules that follow see the values."""
        for index, (predicate, captures) in enumerate(state.rules.captures):
            if self.evaluate(f"capture[{index}].match", predicate):
                self.captured(f"capture[{index}].set", captures)

    def settled(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the lines with the values that were really saved: a time or a random number differs each time."""
        for line, key in self._kept:
            if key in values:
                self.lines[line] = self._describe(f"session.{key} is now ", values[key])
        return tuple(self.lines)

    def captured(self, name: str, captures: Captures, saved: Mapping[str, Any] | None = None) -> None:
        """Add which values of the message are saved, and which are missing; what follows sees the values.

        `saved` are the values of a step, which saves no null; None: they are not known yet.
        """
        session = dict(self._scope["session"] or {})
        self._scope = self._scope.with_values(session=session)
        for key, expression in captures:
            if saved is not None and key in saved:
                self.add(self._describe(f"session.{key} is now ", saved[key]))
                continue
            try:
                value = expression.evaluate(self._scope)
            except EvaluationError as error:
                self.add(f"{name}.{key} keeps nothing: {error}")
                continue
            if value is UNDEFINED or saved is not None:
                self.add(f"{name}.{key} keeps nothing: the message has no {expression.source}")
            else:
                session[key] = value
                self._kept.append((len(self.lines), key))
                self.add(self._describe(f"session.{key} is now ", value))

    def error_text(self, error_message: Expression | None) -> None:
        """Add why `error_message` selects no text for the error reply."""
        if error_message is None:
            return
        try:
            if error_message.evaluate(self._scope) is not UNDEFINED:
                return
            reason = f"the message has no {error_message.source}"
        except EvaluationError as error:
            reason = str(error)
        self.add(f"reply.error_message has no value, so the whole message is shown: {reason}")

    def not_evaluated(self, until: Iterable[Expression]) -> None:
        """Add the ends of a stream that would be true, if the message belonged to the stream."""
        for index, predicate in enumerate(until):
            if predicate.is_true(self._scope):
                self.add(f"stream.until[{index}] would hold, and is only asked where stream.match holds")

    def _format_values(self, predicate: Expression) -> str:
        """Return the values that a predicate looked at."""
        paths = [
            path
            for path in find_references(predicate.source)
            if path == ("request_id",) or (path[0] in _SHOWN_OWNERS and len(path) > 1)
        ]
        shown = [self._describe(f"{_format_path(path)} is ", value_at(self._scope, path)) for path in paths]
        return f" ({', '.join(shown)})" if shown else ""

    def _describe(self, prefix: str, value: Any) -> str:
        """Return a value after what names it, redacted and then cut: the name may say that the value is a secret."""
        if value is UNDEFINED:
            return f"{prefix}not there"
        limit, redact = len(prefix) + MAX_VALUE_LENGTH, self._scope.ambient.redact
        shown_value = prefix + encode_json(to_json_safe(value, show_bytes=mark_bytes))
        text = redact_beginning(shown_value, limit, lambda shown: redact_by_key(redact(shown)))
        return text if len(text) <= limit else text[:limit] + "…"


def _explain_exchange(exchange: Exchange, message: Message, recipients: list[Exchange]) -> Iterator[str]:
    """Explain a message by the rules of one call; `recipients` are those that get it."""
    rules, explanation = exchange.rules, Explanation(exchange.scope_for(message))
    if (
        not explanation.is_auto_replied(rules.auto_replies)
        and _explain_match(exchange, message, explanation)
        and _explain_order(exchange, recipients, explanation)
        and not explanation.is_ignored(rules)
    ):
        _explain_role(exchange, explanation)
        if exchange.awaits_subscription:
            _explain_held(exchange, message, explanation)
    yield from explanation.lines


def _explain_ended_stream(dispatcher: Dispatcher, message: Message) -> Iterator[str]:
    """Explain a message that came for a stream after its end: the endpoint may count it as delivered."""
    for exchange in dispatcher.ended_streams:
        if exchange.matches(message):
            why = f"that {exchange.end} has ended" if exchange.end else "whose caller has left"
            yield (
                f"it is an item of a stream {why}: no call gets it, and an endpoint that waits for no acknowledgement "
                "counts it as delivered"
            )
            return


def _explain_match(exchange: Exchange, message: Message, explanation: Explanation) -> bool:
    """Return whether the message belongs to the call."""
    stream = exchange.rules.stream
    if exchange.in_stream and stream and stream.match:
        matches = explanation.evaluate("stream.match", stream.match, include_false=True)
        if not matches:
            explanation.not_evaluated(stream.until)
        return matches
    match = exchange.rules.match
    if match is None:
        return True
    if not exchange.carries_id(message) and match.is_true(exchange.scope_for(message)):
        # MiniJinja compares more loosely than the dispatcher: true equals 1.
        explanation.add(f"reply.match does not hold: {match.source} (the id is of another type than request_id)")
        return False
    return explanation.evaluate("reply.match", match, include_false=True)


def _explain_order(exchange: Exchange, recipients: list[Exchange], explanation: Explanation) -> bool:
    """Return whether a call gets a message that matches, although it may answer another one as well."""
    if exchange not in recipients:
        explanation.add(_why_not(exchange))
        return False
    if exchange.rules.answers_all and not exchange.watches and exchange is not recipients[0]:
        explanation.add("it answers this call, too (reply.answers_all)")
    return True


def _why_not(exchange: Exchange) -> str:
    """Return why a call does not get a message that matches."""
    if exchange.watches:
        return "it is the error reply to a request, and so no error of this stream"
    if exchange.rules.match is None:
        return "it is an item of a stream, and so not the reply to a request without reply.match"
    return "it answers another call, and every call for which reply.match holds only with reply.answers_all"


def _explain_role(exchange: Exchange, explanation: Explanation) -> None:
    """Explain what the message is for the call that it belongs to."""
    rules = exchange.rules
    if rules.error is not None and explanation.evaluate("reply.error", rules.error):
        explanation.error_text(rules.error_message)
        return
    if exchange.in_stream and rules.stream is not None:
        ends = [explanation.evaluate(f"stream.until[{index}]", each) for index, each in enumerate(rules.stream.until)]
        if any(ends):
            return
    if rules.ack is not None and explanation.evaluate("reply.ack", rules.ack):
        return
    if rules.match is None and not exchange.in_stream:
        explanation.add("the first message after the request that is not ignored")


def _explain_held(exchange: Exchange, reply: Message, explanation: Explanation) -> None:
    """Explain what the reply that opens a stream makes of the messages that were held for it."""
    stream, rules = exchange.rules.stream, exchange.rules
    scope = exchange.scope_for(reply)
    if stream is None or stream.match is None or rules.is_error(scope) or rules.is_ack(scope):
        return
    for held in exchange.early_messages or ():
        earlier = Explanation(exchange.scope_for(held).with_values(reply=reply.value))
        earlier.evaluate("stream.match", stream.match, include_false=True)
        for line in earlier.lines:
            explanation.add(f"held message: {line}")


def _format_path(path: tuple[str | int, ...]) -> str:
    return str(path[0]) + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path[1:])
