"""Route what arrives on a connection: its own rules come first, then the login while it runs, then the exchanges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..codecs.message import Message
from .connection_state import ConnectionState
from .dispatcher import Dispatcher
from .reply_rules import Role

Routed = tuple[Role, tuple[str, ...]]
"""How a message was classified, and why if rules are traced."""


class LoginStep(Protocol):
    """A step of `on_connect` that waits for a message. `finished`: it wants no more messages."""

    finished: bool

    def accept(self, message: Message) -> tuple[str, ...]:
        """Evaluate a message; return the explanation of the decision, if rules are traced."""


class MessageRouter:
    """Routes the messages of one connection.

    Args:
        state: The captured values and the rules of the connection.
        dispatcher: The exchanges on it.
        on_draining: Called when a message says that the connection is of no use for further calls.
        on_unsolicited: Called when a message came without a request.
        trace_rules: Whether the rules that decided are explained.
    """

    def __init__(
        self,
        state: ConnectionState,
        dispatcher: Dispatcher,
        on_draining: Callable[[], None] = lambda: None,
        on_unsolicited: Callable[[], None] = lambda: None,
        *,
        trace_rules: bool = False,
    ) -> None:
        self._state = state
        self._dispatcher = dispatcher
        self._on_draining = on_draining
        self._on_unsolicited = on_unsolicited
        self._trace_rules = trace_rules

    def route(self, message: Message, login: LoginStep | None = None) -> Routed:
        """Pass a message to the step of the login that runs, or to the dispatcher."""
        state, dispatcher = self._state, self._dispatcher
        explanation: tuple[str, ...] = ()
        if state.rules.concerns_messages:  # those of most connections do not
            role, explanation = self._apply_connection_rules(message, is_login=login is not None)
            if role is not None:
                return role, explanation
            message = message.with_session(state.snapshot())
        if login is not None:
            return Role.LOGIN, explanation + login.accept(message)
        if self._trace_rules:
            from .trace import explain_for_exchanges  # only for --trace

            explanation += explain_for_exchanges(state, dispatcher, message)
        is_heartbeat_reply = state.heartbeat_pending and state.is_heartbeat_reply(message)
        role = dispatcher.receive(message, may_answer_heartbeat=is_heartbeat_reply)
        if dispatcher.unsolicited.last is message:
            self._on_unsolicited()
        return role, explanation

    def _apply_connection_rules(self, message: Message, *, is_login: bool) -> tuple[Role | None, tuple[str, ...]]:
        """Apply the rules of the connection to a message; the role is None for one that goes on to a call."""
        state, dispatcher, traced = self._state, self._dispatcher, None
        if self._trace_rules:
            from .trace import explain_for_connection  # only for --trace

            traced = explain_for_connection(state, message, login=is_login)
        # Before anything else: a call that this message answers must not release the connection to a further call.
        if not is_login and state.should_drain(message):
            dispatcher.availability.end_session()
            self._on_draining()
        if not is_login and (failure := state.failure(message)) is not None:
            dispatcher.fail_all(failure)
            self._on_draining()
            return Role.SESSION_FAILED, traced.settled({}) if traced else ()
        is_consumed = state.process(message, dispatcher.add_auto_reply, lambda: dispatcher.ids.functions)
        explanation = traced.settled(state.values) if traced else ()
        if is_consumed:
            dispatcher.messages.note(message, Role.AUTO_REPLIED)
        return Role.AUTO_REPLIED if is_consumed else None, explanation
