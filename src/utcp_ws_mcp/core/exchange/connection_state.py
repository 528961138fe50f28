"""What is known on one connection, and how it reacts to every incoming message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..codecs.message import Message
from ..connection_rules import Captures, CompiledDisconnectMessage, CompiledLoginStep, ConnectionRules
from ..expressions.filters import Binary
from ..expressions.paths import UNDEFINED
from ..expressions.scope import Ambient, Scope
from ..templates.nodes import RenderError
from .inbox import Inbox


class ConnectionState:
    """The captured values of a connection (`session` in expressions), and its conduct.

    `arguments` are those of the call that opened it; only calls with the same ones share the connection.
    `unsent` is told of a message that was due and could not be made: what it was, and why. `beat_id` is the id of the
    last heartbeat.
    """

    def __init__(
        self, rules: ConnectionRules, ambient: Ambient, values: dict[str, Any], arguments: dict[str, Any]
    ) -> None:
        self.rules = rules
        self.values = values
        self.on_send_failed: Callable[[str, str], None] = lambda what, why: None
        self.heartbeat_id: Any = UNDEFINED
        self._scope = Scope(ambient, {"session": values, "args": arguments, "vars": dict(rules.variables), "tool": ""})

    @property
    def redact(self) -> Callable[[str], str]:
        """Remove secrets from a text that will be cut."""
        return self._scope.ambient.redact

    def scope(self, **names: Any) -> Scope:
        """The names for templates and expressions on this connection."""
        return self._scope.with_values(**names)

    def process(self, message: Message, send: Callable[[Any], None]) -> bool:
        """Keep what is to be kept of a message, and answer it if it is to be answered at once; whether that was all."""
        conduct = self.rules
        if not conduct.captures and not conduct.auto_replies:
            return False
        scope = self.scope(message=message.value)
        for predicate, captures in conduct.captures:
            if predicate.is_true(scope):
                self.capture(captures, scope)
        for rule in conduct.auto_replies:
            if rule.match.is_true(scope):
                try:
                    send(rule.reply.render(scope.with_frozen_time()))
                except RenderError as unfilled:
                    self.on_send_failed("auto_reply", str(unfilled))
                return not rule.keep
        return False

    def capture(self, captures: Captures, scope: Scope) -> None:
        """Keep values; one that a message does not have stays as it was."""
        for name, expression in captures:
            value = expression.evaluate_or_undefined(scope)
            if value is not UNDEFINED:
                self.values[name] = Binary(value) if type(value) is bytes else value

    def should_drain(self, message: Message) -> bool:
        """Whether a message says that the connection is of no more use for new calls."""
        retire = self.rules.reconnect_when
        return retire is not None and retire.is_true(self.scope(message=message.value))

    def applies(self, step: CompiledLoginStep | CompiledDisconnectMessage, scope: Scope) -> bool:
        """Whether a step is to be done."""
        return step.when is None or step.when.is_true(scope)

    def make_inbox(self) -> Inbox | None:
        """A new inbox for the connection, if it has one."""
        plan = self.rules.inbox
        if plan is None:
            return None
        return Inbox(plan.size, lambda message: plan.match.is_true(self.scope(message=message.value)))

    def heartbeat_scope(self, message: Message) -> Scope:
        """The names for `heartbeat.expect`."""
        return self.scope(message=message.value, request_id=self.heartbeat_id)

    def is_heartbeat_reply(self, message: Message) -> bool:
        """Whether a message answers a heartbeat; before the first one, none can be told by an id."""
        expect = self.rules.heartbeat.expect if self.rules.heartbeat else None
        if expect is None or (self.heartbeat_id is UNDEFINED and "request_id" in expect.names):
            return False
        return expect.is_true(self.heartbeat_scope(message))

    def heartbeat_interval(self) -> float | None:
        """Seconds between two heartbeats, or None where there is none (or the greeting did not say)."""
        heartbeat = self.rules.heartbeat
        if heartbeat is None:
            return None
        seconds = heartbeat.every.evaluate_or_undefined(self._scope)
        usable = isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0
        return max(float(seconds), MIN_HEARTBEAT_INTERVAL) if usable else None


MIN_HEARTBEAT_INTERVAL = 0.05
"""Seconds; a greeting that asks for more heartbeats is not obeyed."""
