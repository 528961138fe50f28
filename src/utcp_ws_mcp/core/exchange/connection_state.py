"""The state of one connection: its captured values, and what it does with a message before any call sees it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ...errors import quote_endpoint
from ..captures import Captures
from ..codecs.binary import as_binary
from ..codecs.message import Message, excerpt, to_json_safe
from ..connection_rules import ConnectionRules
from ..expressions.expression import EvaluationError, Expression
from ..expressions.paths import UNDEFINED
from ..expressions.scope import Ambient, Scope
from ..templates.nodes import RenderError
from .result import as_text

RECONNECTED: Final = "reconnected"
"""The value of `session` that says that the session is another than that of the connection before."""

MIN_HEARTBEAT_INTERVAL: Final = 0.05
"""Seconds between two heartbeats at least, whatever the endpoint's greeting asks for."""


class ConnectionState:
    """The captured values of a connection, with the rules that read and write them.

    Args:
        rules: The compiled rules of the connection.
        ambient: Time and randomness.
        values: The captured values, `session` in expressions; they change while the connection is open.
        arguments: Those of the call that opened the connection; only calls with the same ones share it.
        on_send_failed: Gets the purpose of each message that was due and could not be rendered, and the reason.
        on_predicate_failed: Gets the field of a predicate that could not be evaluated, and the reason.

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
        on_predicate_failed: Callable[[str, str], None] = lambda field, reason: None,
    ) -> None:
        self.rules = rules
        self.values = values
        self.on_send_failed = on_send_failed
        self._on_predicate_failed = on_predicate_failed
        self.heartbeat_id: Any = UNDEFINED
        self.heartbeat_pending = False
        self._snapshot: dict[str, Any] = {}
        self._scope = Scope(ambient, {"session": values, "args": arguments, "vars": dict(rules.variables), "tool": ""})

    @property
    def redact(self) -> Callable[[str], str]:
        """Remove secrets from a text that will be cut."""
        return self._scope.ambient.redact

    @property
    def failures(self) -> dict[str, str]:
        """Return why predicates of the connection could not be evaluated, by their source."""
        return {source: f"a predicate of the connection: {why}" for source, why in self._scope.failures.items()}

    def scope(self, **names: Any) -> Scope:
        """Return the names for templates and expressions on this connection."""
        return self._scope.with_values(**names)

    def snapshot(self) -> Mapping[str, Any]:
        """Return the captured values as they are now; the result does not change with them."""
        known, values = self._snapshot, self.values
        # By identity: 1, 1.0 and true are equal in Python, and a large value is not compared.
        if len(known) != len(values) or (
            values and any(known.get(name) is not value for name, value in values.items())
        ):
            self._snapshot = dict(values)
        return self._snapshot

    def process(
        self, message: Message, send: Callable[[Any], None], ids: Callable[[], Mapping[str, Any]] = dict
    ) -> bool:
        """Capture values of a message, and answer it if an `auto_reply` says so.

        Args:
            message: A message that has just arrived.
            send: Gets the value to answer with.
            ids: Returns the functions by which an answer takes an ID of its own, by their names.

        Returns:
            Whether that was all: no call sees the message, because it was answered and the rule does not keep it.
        """
        rules = self.rules
        if not rules.captures and not rules.auto_replies:
            return False
        scope = self.scope(message=message.value)
        # Captures come first: the automatic reply may need what the same message brings.
        for predicate, captures in rules.captures:
            if self._holds("capture", predicate, scope):
                self.capture(captures, scope)
        for rule in rules.auto_replies:
            if self._holds("auto_reply", rule.match, scope):
                try:
                    send(rule.reply.render(scope.with_values(**ids()).with_frozen_time()))
                except RenderError as error:
                    self.on_send_failed("auto_reply", str(error))
                return not rule.keep
        return False

    def _holds(self, field: str, predicate: Expression, scope: Scope) -> bool:
        """Return whether a predicate is true. One that cannot be evaluated is not, and that is reported."""
        try:
            return predicate.decide(scope)
        except EvaluationError as error:
            scope.failures.setdefault(predicate.source, str(error))
            self._on_predicate_failed(field, str(error))
            return False

    def capture(self, captures: Captures, scope: Scope) -> None:
        """Save values; one that the message lacks keeps its earlier value."""
        for name, expression in captures:
            value = expression.evaluate_or_undefined(scope, check_size=True)  # it may double with each message
            if value is not UNDEFINED:
                self.values[name] = as_binary(value)

    def should_drain(self, message: Message) -> bool:
        """Return whether a message says that the connection is of no use for further calls (`reconnect_when`)."""
        predicate = self.rules.reconnect_when
        return predicate is not None and self._holds("reconnect_when", predicate, self.scope(message=message.value))

    def failure(self, message: Message) -> str | None:
        """Return why a message fails every call (`fail_when`), or None where it does not."""
        predicate, text = self.rules.fail_when, self.rules.fail_message
        scope = self.scope(message=message.value) if predicate is not None else None
        if predicate is None or scope is None or not self._holds("fail_when", predicate, scope):
            return None
        value = UNDEFINED if text is None else text.evaluate_or_undefined(scope)
        has_text = value is not UNDEFINED and value is not None and value != ""
        shown = excerpt(as_text(value) if has_text else message.for_display, redact=self.redact)
        return quote_endpoint(shown)

    def session_identity(self) -> str | None:
        """Return what identifies the session (`session_identity`) as JSON text, or None where nothing does."""
        expression = self.rules.session_identity
        value = UNDEFINED if expression is None else expression.evaluate_or_undefined(self._scope)
        return None if value is UNDEFINED else json.dumps(to_json_safe(value), sort_keys=True)

    def disconnect_messages(
        self,
        template_values: Callable[[], dict[str, Any]],
        on_left_out: Callable[[str, Expression, Scope], None] = lambda field, when, scope: None,
    ) -> Iterator[tuple[str, Any]]:
        """Yield the field and the value of each message of `on_disconnect` that applies.

        Args:
            template_values: Returns the names that a template may use beside those of the state, with a new request id.
            on_left_out: Gets the field of each message whose `when` is not true, and why.
        """
        for index, message in enumerate(self.rules.on_disconnect):
            field, scope = f"on_disconnect[{index}]", self.scope(**template_values())
            if message.when is not None and not self._holds(f"{field}.when", message.when, scope):
                on_left_out(field, message.when, scope)
                continue
            try:
                yield field, message.send.render(scope.with_frozen_time())
            except RenderError as error:
                self.on_send_failed(field, str(error))

    def heartbeat_scope(self, message: Message) -> Scope:
        """Return the names for `heartbeat.expect`."""
        return self.scope(message=message.value, request_id=self.heartbeat_id)

    def is_heartbeat_reply(self, message: Message) -> bool:
        """Return whether a message may answer the heartbeat that was sent last and is not answered yet."""
        expect = self.rules.heartbeat.expect if self.rules.heartbeat else None
        if not self.heartbeat_pending or expect is None:
            return False
        return self._holds("heartbeat.expect", expect, self.heartbeat_scope(message))

    def heartbeat_interval(self) -> float | None:
        """Return the seconds between two heartbeats, or None where there are none, or `every` gives no number."""
        heartbeat = self.rules.heartbeat
        if heartbeat is None:
            return None
        seconds = heartbeat.every.evaluate_or_undefined(self._scope)
        usable = isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0
        return max(float(seconds), MIN_HEARTBEAT_INTERVAL) if usable else None
