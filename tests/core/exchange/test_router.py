"""The order in which the rules of a connection, its login and its exchanges see a message."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.message import Message, decode
from utcp_ws_mcp.core.exchange.connection_state import ConnectionState
from utcp_ws_mcp.core.exchange.dispatcher import Dispatcher
from utcp_ws_mcp.core.exchange.reply_rules import Role
from utcp_ws_mcp.core.exchange.router import MessageRouter
from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import VariableResolver

AMBIENT = Ambient(None, None)  # type: ignore[arg-type]
MANIFEST = {
    "name": "m",
    "url": "wss://m.example.com/",
    "request_id": "counter",
    "reply": {"match": "message.id == request_id"},
    "reconnect_when": "message.bye is defined",
    "fail_when": "message.fatal is defined",
    "capture": [{"match": "message.token is defined", "set": {"token": "message.token"}}],
    "auto_reply": [{"match": "message.ping is defined", "send": {"pong": "{{ session.token }}"}}],
    "tools": [{"name": "t"}],
}


class Step:
    """A step of the login that takes every message."""

    def __init__(self) -> None:
        self.finished = False
        self.seen: list[Any] = []

    def accept(self, message: Message) -> tuple[str, ...]:
        self.seen.append(message.value)
        return ("seen",)


class Routing:
    """A router with one exchange whose request has the ID 1; `happened` are its callbacks."""

    def __init__(self, *, trace_rules: bool = False) -> None:
        (entry,) = load_document(MANIFEST, VariableResolver([{}]), "m", PurePath()).entries
        ((tool,), _) = compile_entry(entry)
        self.happened: list[str] = []
        self.state = ConnectionState(tool.compiled_template.handshake.connection_rules, AMBIENT, {}, {})
        self.dispatcher = Dispatcher("counter", str)
        self.router = MessageRouter(
            self.state,
            self.dispatcher,
            lambda: self.happened.append("draining"),
            lambda: self.happened.append("unsolicited"),
            trace_rules=trace_rules,
        )
        scope = Scope(AMBIENT, {"args": {}, "tool": "t", "vars": {}, "session": self.state.values})
        self.exchange = self.dispatcher.open(tool.rules, scope)

    def route(self, text: str, login: Step | None = None) -> Role:
        return self.router.route(decode(text), login)[0]


@pytest.mark.parametrize(
    ("text", "role", "happened", "reusable"),
    [
        ('{"id": 1}', Role.REPLY, [], True),
        ('{"id": 1, "bye": 1}', Role.REPLY, ["draining"], False),
        ('{"id": 1, "fatal": 1}', Role.SESSION_FAILED, ["draining"], False),
        ('{"id": 1, "ping": 1}', Role.AUTO_REPLIED, [], True),
        ('{"id": 2}', Role.DROPPED, [], True),
    ],
)
def test_the_rules_of_the_connection_come_first(text: str, role: Role, happened: list[str], reusable: bool) -> None:
    routing = Routing()
    assert (routing.route(text), routing.happened) == (role, happened)
    assert routing.dispatcher.availability.reusable is reusable


def test_a_login_sees_what_is_not_answered_automatically_and_ends_no_session() -> None:
    routing, step = Routing(), Step()
    roles = [routing.route(text, step) for text in ('{"id": 1, "bye": 1, "fatal": 1}', '{"ping": 1}')]
    assert (roles, step.seen, routing.happened) == (
        [Role.LOGIN, Role.AUTO_REPLIED],
        [{"id": 1, "bye": 1, "fatal": 1}],
        [],
    )
    assert not routing.exchange.received


def test_an_automatic_reply_has_what_its_message_brings() -> None:
    routing = Routing()
    routing.route('{"ping": 1, "token": "t"}')
    assert routing.dispatcher.outbox == [("auto_reply", {"pong": "t"})]


def test_what_comes_without_a_request_after_a_reply_is_unsolicited() -> None:
    routing = Routing()
    assert [routing.route(text) for text in ('{"id": 1}', '{"news": 1}')] == [Role.REPLY, Role.DROPPED]
    assert routing.happened == ["unsolicited"]


def test_rules_are_explained_only_for_a_trace() -> None:
    message = '{"id": 1, "token": "t"}'
    assert Routing().router.route(decode(message)) == (Role.REPLY, ())
    role, reasons = Routing(trace_rules=True).router.route(decode(message))
    assert role is Role.REPLY
    assert any("reply.match holds" in reason for reason in reasons)
    assert Routing(trace_rules=True).router.route(decode("{}"), Step())[1][-1] == "seen"


def reasons_for(message: str, login: Step | None = None) -> tuple[str, ...]:
    return Routing(trace_rules=True).router.route(decode(message), login)[1]


def test_a_trace_has_the_rules_of_the_connection_and_those_of_the_call() -> None:
    capture, saved, match = reasons_for('{"id": 1, "token": "t"}')
    assert capture.startswith("capture[0].match holds")
    assert saved.startswith("session.token is now")
    assert match.startswith("reply.match holds")


def test_a_trace_says_why_a_message_reaches_no_call() -> None:
    assert [line.partition(":")[0] for line in reasons_for('{"fatal": 1}')] == [
        "fail_when holds",
        "all calls on the connection fail",
    ]
    assert [" ".join(line.split()[:3]).rstrip(":") for line in reasons_for('{"ping": 1, "token": "t"}')] == [
        "capture[0].match holds: message.token",
        "session.token is now",
        "auto_reply[0].match holds: message.ping",
    ]


def test_a_trace_of_the_login_asks_no_rule_that_ends_the_session() -> None:
    assert reasons_for('{"bye": 1, "fatal": 1}', Step()) == ("seen",)


def test_a_message_that_the_connection_answers_may_explain_why_a_call_waits() -> None:
    routing = Routing()
    routing.route('{"ping": 1, "token": "t"}')
    assert routing.dispatcher.messages.count == 1
    noted = routing.dispatcher.messages.since(0)
    assert noted is not None
    assert noted[1] is Role.AUTO_REPLIED


def test_a_call_sees_the_values_that_were_captured_when_its_message_came() -> None:
    routing = Routing()
    routing.route('{"id": 1, "token": "t"}')
    routing.route('{"token": "later"}')
    assert [message.session for message in routing.exchange.received] == [{"token": "t"}]
