"""The state of one connection: its captured values, and what it does with a message before any call sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from ..codecs.message import Message
from ..connection_rules import Captures, CompiledDisconnectMessage, CompiledLoginStep, ConnectionRules
from ..expressions.filters import Binary
from ..expressions.paths import UNDEFINED
from ..expressions.scope import Ambient, Scope
from ..templates.nodes import RenderError
from .inbox import Inbox

MIN_HEARTBEAT_INTERVAL: Final = 0.05
"""Seconds between two heartbeats at least, whatever the endpoint's greeting asks for."""


class ConnectionState:
    """The captured values of a connection, with the rules that read and write them.

    Args:
        rules: The compiled rules of the connection.
        ambient: Time and randomness.
        values: The captured values, `session` in expressions. A change replaces them: messages keep the values that
            they were recognized with.
        arguments: Those of the call that opened the connection; only calls with the same ones share it.
        on_send_failed: Gets the purpose of each message that was due and could not be rendered, and the reason.

    Attributes:
        heartbeat_id: The request id of the last heartbeat.
        heartbeat_pending: Whether a heartbeat was sent that must be answered and was not.
    """

    def __init__(
        self,
        rules: ConnectionRules,
        ambient: Ambient,
        values: dict[str, Any],
        arguments: dict[str, Any],
        on_send_failed: Callable[[str, str], None] = lambda purpose, reason: None,
    ) -> None:
        self.rules = rules
        self.values = values
        self.on_send_failed = on_send_failed
        self.heartbeat_id: Any = UNDEFINED
        self.heartbeat_pending = False
        self._scope = Scope(ambient, {"args": arguments, "vars": dict(rules.variables), "tool": ""})

    @property
    def redact(self) -> Callable[[str], str]:
        """Remove secrets from a text that will be cut."""
        return self._scope.ambient.redact

    def scope(self, **names: Any) -> Scope:
        """Return the names for templates and expressions on this connection."""
        return self._scope.with_values(session=self.values, **names)

    def process(self, message: Message, send: Callable[[Any], None]) -> bool:
        """Capture values of a message, and answer it if an `auto_reply` says so.

        Args:
            message: A message that has just arrived.
            send: Gets the value to answer with.

        Returns:
            Whether that was all: no call sees the message, because it was answered and the rule does not keep it.
        """
        rules = self.rules
        if not rules.captures and not rules.auto_replies:
            return False
        scope = self.scope(message=message.value)
        # Captures come first: the automatic reply may need what the same message brings.
        for predicate, captures in rules.captures:
            if predicate.is_true(scope):
                scope = self.capture(captures, scope)
        for rule in rules.auto_replies:
            if rule.match.is_true(scope):
                try:
                    send(rule.reply.render(scope.with_frozen_time()))
                except RenderError as error:
                    self.on_send_failed("auto_reply", str(error))
                return not rule.keep
        return False

    def capture(self, captures: Captures, scope: Scope) -> Scope:
        """Save values; one that the message lacks keeps its earlier value. Return the scope with the new values."""
        values = dict(self.values)
        scope = scope.with_values(session=values)
        for name, expression in captures:
            value = expression.evaluate_or_undefined(scope)
            if value is not UNDEFINED:
                # Filters recognize bytes by this type.
                values[name] = Binary(value) if type(value) is bytes else value
        self.values = values
        return scope

    def should_drain(self, message: Message) -> bool:
        """Return whether a message says that the connection is of no use for further calls (`reconnect_when`)."""
        predicate = self.rules.reconnect_when
        return predicate is not None and predicate.is_true(self.scope(message=message.value))

    def applies(self, step: CompiledLoginStep | CompiledDisconnectMessage, scope: Scope) -> bool:
        """Return whether the `when` of a step is true, or the step has none."""
        return step.when is None or step.when.is_true(scope)

    def disconnect_messages(self, template_values: Callable[[], dict[str, Any]]) -> Iterator[tuple[str, Any]]:
        """Yield the field and the value of each message of `on_disconnect` that applies.

        `template_values` returns the names that a template may use beside those of the state, with a new request id.
        """
        for index, message in enumerate(self.rules.on_disconnect):
            field, scope = f"on_disconnect[{index}]", self.scope(**template_values())
            if not self.applies(message, scope):
                continue
            try:
                yield field, message.send.render(scope.with_frozen_time())
            except RenderError as error:
                self.on_send_failed(field, str(error))

    def make_inbox(self) -> Inbox | None:
        """Return a new inbox for the connection, or None if its manifest has none."""
        settings = self.rules.inbox
        if settings is None:
            return None
        return Inbox(settings.size, lambda message: settings.match.is_true(self.scope(message=message.value)))

    def heartbeat_scope(self, message: Message) -> Scope:
        """Return the names for `heartbeat.expect`."""
        return self.scope(message=message.value, request_id=self.heartbeat_id)

    def is_heartbeat_reply(self, message: Message) -> bool:
        """Return whether a message may answer the heartbeat that was sent last and is not answered yet."""
        expect = self.rules.heartbeat.expect if self.rules.heartbeat else None
        return self.heartbeat_pending and expect is not None and expect.is_true(self.heartbeat_scope(message))

    def heartbeat_interval(self) -> float | None:
        """Return the seconds between two heartbeats, or None where there are none, or `every` gives no number."""
        heartbeat = self.rules.heartbeat
        if heartbeat is None:
            return None
        seconds = heartbeat.every.evaluate_or_undefined(self.scope())
        usable = isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0
        return max(float(seconds), MIN_HEARTBEAT_INTERVAL) if usable else None
