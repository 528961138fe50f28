"""What is known on one connection, and how it reacts to every incoming message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..codecs.message import Message
from ..connection_rules import Captures, Conduct, GoodbyePlan, StepPlan
from ..expressions.filters import Binary
from ..expressions.paths import UNDEFINED
from ..expressions.scope import Ambient, Scope
from ..templates.nodes import Unfilled
from .inbox import Inbox


class Session:
    """The captured values of a connection (`session` in expressions), and its conduct.

    `arguments` are those of the call that opened it; only calls with the same ones share the connection.
    `unsent` is told of a message that was due and could not be made: what it was, and why. `beat_id` is the id of the
    last heartbeat.
    """

    def __init__(self, conduct: Conduct, ambient: Ambient, values: dict[str, Any], arguments: dict[str, Any]) -> None:
        self.conduct = conduct
        self.values = values
        self.unsent: Callable[[str, str], None] = lambda what, why: None
        self.beat_id: Any = UNDEFINED
        self._scope = Scope(
            ambient, {"session": values, "args": arguments, "vars": dict(conduct.variables), "tool": ""}
        )

    def scope(self, **names: Any) -> Scope:
        """The names for templates and expressions on this connection."""
        return self._scope.extended(**names)

    def react(self, message: Message, send: Callable[[Any], None]) -> bool:
        """Keep what is to be kept of a message, and answer it if it is to be answered at once; whether that was all."""
        conduct = self.conduct
        if not conduct.captures and not conduct.auto_replies:
            return False
        scope = self.scope(message=message.value)
        for predicate, captures in conduct.captures:
            if predicate.holds(scope):
                self.capture(captures, scope)
        for rule in conduct.auto_replies:
            if rule.match.holds(scope):
                try:
                    send(rule.answer.render(scope.at_once()))
                except Unfilled as unfilled:
                    self.unsent("auto_reply", str(unfilled))
                return not rule.keep
        return False

    def capture(self, captures: Captures, scope: Scope) -> None:
        """Keep values; one that a message does not have stays as it was."""
        for name, expression in captures:
            value = expression.find(scope)
            if value is not UNDEFINED:
                self.values[name] = Binary(value) if type(value) is bytes else value

    def retires(self, message: Message) -> bool:
        """Whether a message says that the connection is of no more use for new calls."""
        retire = self.conduct.retire
        return retire is not None and retire.holds(self.scope(message=message.value))

    def wants(self, step: StepPlan | GoodbyePlan, scope: Scope) -> bool:
        """Whether a step is to be done."""
        return step.when is None or step.when.holds(scope)

    def inbox(self) -> Inbox | None:
        """A new inbox for the connection, if it has one."""
        plan = self.conduct.inbox
        if plan is None:
            return None
        return Inbox(plan.size, lambda message: plan.match.holds(self.scope(message=message.value)))

    def beat_scope(self, message: Message) -> Scope:
        """The names for `heartbeat.expect`."""
        return self.scope(message=message.value, request_id=self.beat_id)

    def answers_heartbeat(self, message: Message) -> bool:
        """Whether a message answers a heartbeat; before the first one, none can be told by an id."""
        expect = self.conduct.heartbeat.expect if self.conduct.heartbeat else None
        if expect is None or (self.beat_id is UNDEFINED and "request_id" in expect.names):
            return False
        return expect.holds(self.beat_scope(message))

    def interval(self) -> float | None:
        """Seconds between two heartbeats, or None where there is none (or the greeting did not say)."""
        heartbeat = self.conduct.heartbeat
        if heartbeat is None:
            return None
        seconds = heartbeat.every.find(self._scope)
        usable = isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0
        return max(float(seconds), SHORTEST_INTERVAL) if usable else None


SHORTEST_INTERVAL = 0.05
"""Seconds; a greeting that asks for more heartbeats is not obeyed."""
