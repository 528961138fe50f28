"""How a message is classified, explained by the rules that decide."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.message import Message
from utcp_ws_mcp.core.exchange.connection_state import ConnectionState
from utcp_ws_mcp.core.exchange.dispatcher import Dispatcher
from utcp_ws_mcp.core.exchange.trace import (
    explain_captures,
    explain_for_connection,
    explain_for_exchanges,
    explain_http_step,
    explain_left_out,
    explain_query,
    explain_step,
    explain_when,
)
from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.core.tools.tool import CompiledTool
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import VariableResolver
from utcp_ws_mcp.records import replace

AMBIENT = Ambient(lambda: datetime(2030, 1, 1, tzinfo=UTC), bytes)
BY_ID = {"match": "message.id == request_id"}


def compiled(fields: dict[str, Any]) -> CompiledTool:
    document = [{"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], **fields}]
    (entry,) = load_document(document, VariableResolver([{"KEY": "a-secret"}]), "m.json", PurePath()).entries
    (plan,), problems = compile_entry(entry)
    assert problems == []
    return plan


def explained(fields: dict[str, Any], value: Any, calls: int = 1) -> list[str]:
    plan, numbers = compiled(fields), itertools.count(1)
    session = ConnectionState(plan.compiled_template.handshake.connection_rules, AMBIENT, {}, {})
    session.heartbeat_pending = True
    exchanges = Dispatcher("counter", lambda: str(next(numbers)))
    for _ in range(calls):
        exchanges.open(plan.rules, Scope(AMBIENT, {"args": {"q": "Oslo"}, "session": {}}))
    message = Message("raw", value)
    before = repr(exchanges), dict(session.values)
    lines = list(explain_for_connection(session, message, login=False).settled(session.values))
    assert (repr(exchanges), session.values) == before
    if session.failure(message) is not None or session.process(message, lambda _: None):
        return lines
    message = replace(message, session=session.snapshot())
    before = repr(exchanges), dict(session.values)
    lines += explain_for_exchanges(session, exchanges, message)
    assert (repr(exchanges), session.values) == before
    return lines


CASES: dict[str, tuple[dict[str, Any], Any, list[str]]] = {
    "no rule at all": ({}, "hi", ["the first message after the request that is not ignored"]),
    "an id that fits": (
        {"reply": BY_ID},
        {"id": 1},
        ["reply.match holds: message.id == request_id (message.id is 1, request_id is 1)"],
    ),
    "an id that does not fit": (
        {"reply": BY_ID},
        {"id": 7},
        ["reply.match does not hold: message.id == request_id (message.id is 7, request_id is 1)"],
    ),
    "an id that is not there": (
        {"reply": BY_ID},
        {},
        ["reply.match does not hold: message.id == request_id (message.id is not there, request_id is 1)"],
    ),
    "an argument": (
        {"reply": {"match": "message.city == args.q"}},
        {"city": "Oslo"},
        ['reply.match holds: message.city == args.q (message.city is "Oslo", args.q is "Oslo")'],
    ),
    "a message that retires the connection": (
        {"reply": BY_ID, "reconnect_when": "message.type == 'bye'"},
        {"type": "bye"},
        [
            "reconnect_when holds: message.type == 'bye'",
            "the next call opens another connection",
            "reply.match does not hold",
        ],
    ),
    "a message that fails all calls": (
        {"reply": BY_ID, "fail_when": "message.event == 'crashed'"},
        {"event": "crashed"},
        [
            "fail_when holds: message.event == 'crashed' (message.event is \"crashed\")",
            "all calls on the connection fail",
        ],
    ),
    "an ignored message": (
        {"ignore": ["message.a", "message.type == 'tick'"]},
        {"type": "tick"},
        ["ignore[1] holds: message.type == 'tick' (message.type is \"tick\")"],
    ),
    "a filter that fails": (
        {"ignore": "message.n | from_json"},
        {"n": "{"},
        ["ignore[0] does not hold: the expression", "the first message after the request that is not ignored"],
    ),
    "a comparison of the wrong types": (
        {"reply": {"match": "message.a + 1 == 2"}},
        {"a": "x"},
        ["reply.match does not hold: the expression 'message.a + 1 == 2' failed: "],
    ),
    "a failure": (
        {"reply": {**BY_ID, "error": "message.error", "error_message": "message.error.text"}},
        {"id": 1, "error": {"code": 5}},
        [
            "reply.match holds",
            'reply.error holds: message.error (message.error is {"code":5})',
            "reply.error_message has no value, so the whole message is shown: the message has no message.error.text",
        ],
    ),
    "an acknowledgement": (
        {"reply": {**BY_ID, "ack": "message.ack"}},
        {"id": 1, "ack": True},
        ["reply.match holds", "reply.ack holds: message.ack (message.ack is true)"],
    ),
    "the end of a stream": (
        {"stream": {"until": "message.done"}, "reply": {"result": "message"}},
        {"done": 1},
        ["stream.until[0] holds: message.done (message.done is 1)"],
    ),
    "an item of a stream": ({"stream": {"until": "message.done"}, "reply": {"result": "message"}}, {"n": 1}, []),
    "a watched message": (
        {"listen": True, "stream": {"match": "message.type == args.q"}},
        {"type": "Bergen"},
        ["stream.match does not hold"],
    ),
    "an end that is no message of the stream": (
        {"listen": True, "stream": {"match": "message.type == args.q", "until": "message.done"}},
        {"done": 1},
        ["stream.match does not hold", "stream.until[0] would hold, and is only asked where stream.match holds"],
    ),
    "a value that is kept, and one that is not": (
        {"capture": [{"match": "message.s", "set": {"seq": "message.s", "x": "message.x"}}]},
        {"s": "n" * 80},
        [
            "capture[0].match holds",
            f'session.seq is now "{"n" * 59}…',
            "capture[0].set.x keeps nothing: the message has no message.x",
            "the first message",
        ],
    ),
    "a message that is answered": (
        {"auto_reply": [{"match": "message == 'ping'", "send": "pong"}]},
        "ping",
        ["auto_reply[0].match holds: message == 'ping'"],
    ),
    "a message that a tool answers": (
        {"tools": [{"name": "t", "tool_call_template": {"auto_reply": [{"match": "message.ask", "send": "yes"}]}}]},
        {"ask": 1},
        ["auto_reply[0].match holds: message.ask (message.ask is 1)"],
    ),
    "a method of a value": (
        {"ignore": "message.topic.startswith('a')"},
        {"topic": "a/b"},
        ["ignore[0] holds: message.topic.startswith('a') (message.topic is \"a/b\")"],
    ),
    "an answer to a heartbeat": (
        {"heartbeat": {"every": 5, "send": "p", "expect": "message.pong"}},
        {"pong": 1},
        ["heartbeat.expect holds: message.pong (message.pong is 1)"],
    ),
}


@pytest.mark.parametrize(("fields", "value", "lines"), CASES.values(), ids=CASES)
def test_the_rules_that_decide_are_named(fields: dict[str, Any], value: Any, lines: list[str]) -> None:
    said = explained(fields, value)
    assert len(said) == len(lines), said
    assert [line.startswith(start) for line, start in zip(said, lines, strict=True)] == [True] * len(said), said


def test_a_method_is_not_shown_as_a_value_that_is_missing() -> None:
    assert explained({"ignore": "message.startswith('a')"}, "abc") == ["ignore[0] holds: message.startswith('a')"]


def test_a_message_that_no_call_waits_for_says_so() -> None:
    assert explained({}, "hi", calls=0) == ["no call waits for it"]


def test_of_many_calls_only_some_are_explained() -> None:
    said = explained({"reply": BY_ID}, {"id": 9}, calls=5)
    assert [line[:11] for line in said] == ["reply.match"] * 3 + ["and the rul"]
    assert said[-1] == "and the rules of 2 calls more"
    assert [line[:11] for line in explained({"reply": BY_ID}, {"id": 9}, calls=3)] == ["reply.match"] * 3


def test_a_secret_variable_is_never_looked_up() -> None:
    said = explained({"reply": {"match": "message.key == vars.KEY or message.x"}}, {"x": 1})
    (line,) = said
    assert line.endswith("message.key == vars.KEY or message.x (message.key is not there, message.x is 1)")


def test_a_step_of_a_login_says_what_it_made_of_a_message() -> None:
    steps = [
        {"expect": "message.hi", "capture": {"who": "message.hi"}, "fail": "message.no"},
        {"send": "x", "when": "session.who == 'ada'"},
    ]
    plan = compiled({"on_connect": steps})
    first, second = plan.compiled_template.handshake.connection_rules.on_connect

    def scope(message: Any) -> Scope:
        return Scope(AMBIENT, {"session": {"who": "bob"}, "message": message})

    assert explain_step(first, 0, scope({"hi": "bob"})) == (
        'on_connect[0].expect holds: message.hi (message.hi is "bob")',
    )
    assert explain_captures(first.captures, "on_connect[0]", scope({"hi": "bob"}), {"who": "eve"}) == (
        'session.who is now "eve"',
    )
    assert explain_captures(first.captures, "on_connect[0]", scope({"hi": None}), {}) == (
        "on_connect[0].capture.who keeps nothing: the message has no message.hi",
    )
    assert explain_step(first, 0, scope({"no": 1})) == ("on_connect[0].fail holds: message.no (message.no is 1)",)
    assert explain_when(second, 1, scope(None)) == (
        "on_connect[1].when does not hold: session.who == 'ada' (session.who is \"bob\")",
        "on_connect[1] is left out",
    )


def test_an_item_for_a_stream_that_has_ended_is_said_to_be_delivered_in_vain() -> None:
    plan = compiled({"reply": BY_ID, "stream": {"match": "message.n is defined", "max_items": 1}})
    state = ConnectionState(plan.compiled_template.handshake.connection_rules, AMBIENT, {}, {})
    exchanges = Dispatcher("counter", lambda: "")
    exchanges.open(plan.rules, Scope(AMBIENT, {"args": {}, "session": {}}))
    for value in ({"id": 1}, {"n": 1}):
        exchanges.receive(Message("raw", value))
    lines = explain_for_exchanges(state, exchanges, Message("raw", {"n": 2}))
    assert lines[0] == "no call waits for it"
    assert "it is an item of a stream that max_items has ended: no call gets it" in lines[1]
    assert len(explain_for_exchanges(state, exchanges, Message("raw", {"other": 2}))) == 1


HELD = [{"key": "a", "n": 1}, {"key": "b"}]
REPLIES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a reply that opens the stream": (
        {"id": 1, "key": "a"},
        [
            "reply.match holds: message.id == request_id (message.id is 1, request_id is 1)",
            'held message: stream.match holds: message.key == reply.key (message.key is "a", reply.key is "a")',
            'held message: stream.match does not hold: message.key == reply.key (message.key is "b", reply.key is "a")',
        ],
    ),
    "an error": (
        {"id": 1, "key": "a", "error": 0},
        [
            "reply.match holds: message.id == request_id (message.id is 1, request_id is 1)",
            "reply.error holds: message.error is defined (message.error is 0)",
        ],
    ),
    "an acknowledgement": (
        {"id": 1, "key": "a", "ack": 0},
        [
            "reply.match holds: message.id == request_id (message.id is 1, request_id is 1)",
            "reply.ack holds: message.ack is defined (message.ack is 0)",
        ],
    ),
    "that of another call": (
        {"id": 2, "key": "a"},
        ["reply.match does not hold: message.id == request_id (message.id is 2, request_id is 1)"],
    ),
}


@pytest.mark.parametrize(("reply", "lines"), REPLIES.values(), ids=REPLIES)
def test_a_reply_that_opens_a_stream_says_what_it_makes_of_the_messages_held_for_it(
    reply: dict[str, Any], lines: list[str]
) -> None:
    rules = {**BY_ID, "error": "message.error is defined", "ack": "message.ack is defined"}
    plan = compiled({"reply": rules, "stream": {"match": "message.key == reply.key"}})
    state = ConnectionState(plan.compiled_template.handshake.connection_rules, AMBIENT, {}, {})
    exchanges = Dispatcher("counter", lambda: "")
    exchanges.open(plan.rules, Scope(AMBIENT, {"args": {}, "session": {}}))
    for value in HELD:
        exchanges.receive(Message("raw", value))
    assert list(explain_for_exchanges(state, exchanges, Message("raw", reply))) == lines


def said_of_capture(value: str, ambient: Ambient = AMBIENT, key: str = "who") -> str:
    plan = compiled({"on_connect": [{"expect": "message.v", "capture": {key: "message.v"}}]})
    (step,) = plan.compiled_template.handshake.connection_rules.on_connect
    scope = Scope(ambient, {"session": {}, "message": {"v": value}})
    (line,) = explain_captures(step.captures, "on_connect[0]", scope, {key: value})
    return line


@pytest.mark.parametrize(("length", "shown"), [(58, "x" * 58 + '"'), (59, "x" * 59 + "…"), (500, "x" * 59 + "…")])
def test_a_value_is_shown_up_to_60_characters(length: int, shown: str) -> None:
    assert said_of_capture("x" * length) == f'session.who is now "{shown}'


def test_a_secret_is_removed_before_a_value_is_cut() -> None:
    ambient = replace(AMBIENT, redact=lambda text: text.replace("s3cret-token", "*"))
    for before in range(48, 62):
        assert "s3" not in said_of_capture("." * before + "s3cret-token" + "." * 80, ambient).replace("session", "")


def test_a_value_whose_name_says_that_it_is_a_secret_is_not_shown() -> None:
    assert "hunter" not in said_of_capture("hunter", key="password")


def test_a_captured_value_is_known_to_the_captures_behind_it() -> None:
    captures = {"a": "message.v", "b": "session.a + 1", "c": "message.none", "d": "session.c"}
    plan = compiled({"capture": [{"match": "message.v is defined", "set": captures}]})
    session = ConnectionState(plan.compiled_template.handshake.connection_rules, AMBIENT, {}, {})
    lines = list(explain_for_connection(session, Message("raw", {"v": 1}), login=False).settled({"a": 1, "b": 2}))
    assert lines == [
        "capture[0].match holds: message.v is defined (message.v is 1)",
        "session.a is now 1",
        "session.b is now 2",
        "capture[0].set.c keeps nothing: the message has no message.none",
        "capture[0].set.d keeps nothing: the message has no session.c",
    ]


# --- what is explained beside a message of a call ---


def state_of(plan: CompiledTool, **values: Any) -> ConnectionState:
    return ConnectionState(plan.compiled_template.handshake.connection_rules, AMBIENT, values, {})


def test_the_rules_of_the_session_are_not_asked_while_the_login_runs() -> None:
    plan = compiled({"fail_when": "message.a", "capture": [{"match": "message.a", "set": {"x": "message.a"}}]})
    said = {
        login: explain_for_connection(state_of(plan), Message("raw", {"a": 1}), login=login).settled({})
        for login in (True, False)
    }
    assert said[True] == ("capture[0].match holds: message.a (message.a is 1)", "session.x is now 1")
    assert said[False] == ("fail_when holds: message.a (message.a is 1)", "all calls on the connection fail")


def test_a_message_that_ends_the_session_is_explained_by_the_other_rules_too() -> None:
    plan = compiled({"reconnect_when": "message.bye", "auto_reply": [{"match": "message.bye", "send": "bye"}]})
    lines = explain_for_connection(state_of(plan), Message("raw", {"bye": 1}), login=False).settled({})
    assert lines == (
        "reconnect_when holds: message.bye (message.bye is 1)",
        "the next call opens another connection",
        "auto_reply[0].match holds: message.bye (message.bye is 1)",
    )


def test_the_first_auto_reply_that_holds_is_the_last_that_is_explained() -> None:
    replies = [{"match": f"message.{name}", "send": name} for name in "abc"]
    lines = explain_for_connection(
        state_of(compiled({"auto_reply": replies})), Message("raw", {"b": 1, "c": 1}), login=False
    )
    assert lines.settled({}) == ("auto_reply[1].match holds: message.b (message.b is 1)",)


@pytest.mark.parametrize("keep", [True, False])
def test_a_message_that_a_tool_answers_is_explained_further_if_the_rule_keeps_it(keep: bool) -> None:
    replies = [{"match": "message.ask", "send": "yes", "keep": keep}]
    fields = {
        "tools": [{"name": "t", "tool_call_template": {"auto_reply": replies}}],
        "reply": {"match": "message.ask"},
    }
    lines = explained(fields, {"ask": 1})
    assert lines == ["auto_reply[0].match holds: message.ask (message.ask is 1)"] + (
        ["reply.match holds: message.ask (message.ask is 1)"] if keep else []
    )


def test_a_value_that_was_saved_is_shown_as_it_was_saved() -> None:
    plan = compiled({"capture": [{"match": "true", "set": {"x": "message.a", "y": "message.b"}}]})
    explanation = explain_for_connection(state_of(plan), Message("raw", {"a": 1, "b": 2}), login=False)
    assert explanation.settled({"y": 3})[1:] == ("session.x is now 1", "session.y is now 3")


def test_a_capture_that_cannot_be_computed_says_why() -> None:
    plan = compiled({"capture": [{"match": "true", "set": {"x": "message.a - 1"}}]})
    lines = explain_for_connection(state_of(plan), Message("raw", {"a": "x"}), login=False).settled({})
    assert lines[1].startswith("capture[0].set.x keeps nothing: the expression 'message.a - 1' failed: ")


def test_a_capture_sees_the_values_that_were_captured_before() -> None:
    plan = compiled({"capture": [{"match": "true", "set": {"x": "session.old ~ message.a", "y": "session.x"}}]})
    lines = explain_for_connection(state_of(plan, old="o"), Message("raw", {"a": 1}), login=False).settled({})
    assert lines[1:] == ('session.x is now "o1"', 'session.y is now "o1"')


def test_the_reply_that_opens_a_stream_does_not_end_it() -> None:
    fields = {"reply": {**BY_ID, "ack": "message.ack"}, "stream": {"match": "message.n", "until": "message.done"}}
    assert explained(fields, {"id": 1, "done": 1}) == [
        "reply.match holds: message.id == request_id (message.id is 1, request_id is 1)"
    ]
    assert explained(fields, {"id": 1, "done": 1, "ack": 1})[1:] == ["reply.ack holds: message.ack (message.ack is 1)"]


HEARTBEAT = {"heartbeat": {"every": 5, "send": "p", "expect": "message.pong == request_id"}}


def test_a_heartbeat_that_a_call_takes_is_explained_by_the_rules_of_the_call() -> None:
    plan = compiled({**HEARTBEAT, "reply": {"match": "message.pong"}})
    state, exchanges = state_of(plan), Dispatcher("counter", str)
    state.heartbeat_pending, state.heartbeat_id = True, 7
    message = Message("raw", {"pong": 7})
    assert explain_for_exchanges(state, exchanges, message) == (
        "heartbeat.expect holds: message.pong == request_id (message.pong is 7, request_id is 7)",
    )
    exchanges.open(plan.rules, Scope(AMBIENT, {"args": {}, "session": {}}))
    assert explain_for_exchanges(state, exchanges, message) == (
        "heartbeat.expect holds, but the message is the reply to a request",
        "reply.match holds: message.pong (message.pong is 7)",
    )
    state.heartbeat_pending = False
    assert explain_for_exchanges(state, exchanges, message) == ("reply.match holds: message.pong (message.pong is 7)",)


def test_what_the_last_call_ignores_is_explained_after_its_reply() -> None:
    plan = compiled({"ignore": "message.tick"})
    exchanges = Dispatcher("counter", str)
    exchanges.open(plan.rules, Scope(AMBIENT, {"args": {}, "session": {}}))
    exchanges.receive(Message("raw", {"reply": 1}))
    assert explain_for_exchanges(state_of(plan), exchanges, Message("raw", {"tick": 1})) == (
        "ignore[0] holds: message.tick (message.tick is 1)",
    )
    assert explain_for_exchanges(state_of(plan), exchanges, Message("raw", {"other": 1})) == ("no call waits for it",)


def test_the_rules_of_each_call_are_explained() -> None:
    lines = explained({"reply": BY_ID}, {"id": 2}, calls=2)
    assert [line.partition(":")[0] for line in lines] == ["reply.match does not hold", "reply.match holds"]


@pytest.mark.parametrize("value", [True, 1.5])
def test_an_id_of_another_type_says_so_where_the_predicate_would_take_it(value: Any) -> None:
    (line,) = explained({"reply": {**BY_ID, "error": "message.id"}}, {"id": value})
    assert (
        line == "reply.match does not hold: message.id == request_id (the id is of another type than request_id)"
    ) is (value is True)


def test_the_item_of_a_stream_is_explained_by_its_own_match_once_the_stream_is_open() -> None:
    plan = compiled({"reply": BY_ID, "stream": {"match": "message.n", "until": "message.done"}})
    state, exchanges = state_of(plan), Dispatcher("counter", str)
    exchanges.open(plan.rules, Scope(AMBIENT, {"args": {}, "session": {}}))
    assert explain_for_exchanges(state, exchanges, Message("raw", {"n": 1}))[0].startswith("reply.match does not hold")
    exchanges.receive(Message("raw", {"id": 1}))
    assert explain_for_exchanges(state, exchanges, Message("raw", {"n": 1})) == (
        "stream.match holds: message.n (message.n is 1)",
    )
    assert explain_for_exchanges(state, exchanges, Message("raw", {"n": 1, "done": 1})) == (
        "stream.match holds: message.n (message.n is 1)",
        "stream.until[0] holds: message.done (message.done is 1)",
    )
    assert explain_for_exchanges(state, exchanges, Message("raw", {"id": 1})) == (
        "stream.match does not hold: message.n (message.n is not there)",
    )


def test_every_end_of_a_stream_is_explained_and_its_items_are_no_first_messages() -> None:
    fields = {"stream": {"until": ["message.a", "message.b"]}, "reply": {"ack": "message.ack", "result": "message"}}
    assert explained(fields, {"a": 1, "b": 2, "ack": 3}) == [
        "stream.until[0] holds: message.a (message.a is 1)",
        "stream.until[1] holds: message.b (message.b is 2)",
    ]
    assert explained(fields, {"ack": 3}) == ["reply.ack holds: message.ack (message.ack is 3)"]
    assert explained(fields, {"c": 3}) == []


ERROR_TEXTS: dict[str, tuple[Any, list[str]]] = {
    "no expression": (None, []),
    "a text": ("message.error.text", []),
    "null": ("message.error.null", []),
    "nothing": (
        "message.text",
        ["reply.error_message has no value, so the whole message is shown: the message has no message.text"],
    ),
    "a failure": (
        "message.error - 1",
        ["reply.error_message has no value, so the whole message is shown: the expression 'message.error - 1' failed"],
    ),
}


@pytest.mark.parametrize(("expression", "lines"), ERROR_TEXTS.values(), ids=ERROR_TEXTS)
def test_an_error_text_that_is_missing_is_explained(expression: str | None, lines: list[str]) -> None:
    fields = {"reply": {"error": "message.error is defined", "error_message": expression}}
    _, *said = explained(fields, {"error": {"text": "no", "null": None}})
    assert [each.startswith(start) for each, start in zip(said, lines, strict=True)] == [True] * len(lines), said


def test_a_stream_whose_caller_left_is_said_to_get_its_items_in_vain() -> None:
    plan = compiled({"reply": BY_ID, "stream": {"match": "message.n is defined"}})
    exchanges = Dispatcher("counter", str)
    exchange = exchanges.open(plan.rules, Scope(AMBIENT, {"args": {}, "session": {}}))
    exchanges.receive(Message("raw", {"id": 1}))
    exchanges.cancel(exchange)
    _, line = explain_for_exchanges(state_of(plan), exchanges, Message("raw", {"n": 2}))
    assert line == (
        "it is an item of a stream whose caller has left: no call gets it, and an endpoint that waits for no "
        "acknowledgement counts it as delivered"
    )


SEVERAL = {"match": "request_id in message.ids"}
HOLDS = "reply.match holds: request_id in message.ids (request_id is {}, message.ids is [1,2])"


def test_of_several_calls_the_one_that_is_answered_is_named() -> None:
    assert explained({"reply": SEVERAL}, {"ids": [1, 2]}, calls=2) == [
        HOLDS.format(1),
        HOLDS.format(2),
        "it answers another call, and every call for which reply.match holds only with reply.answers_all",
    ]


def test_a_message_that_answers_all_says_so() -> None:
    assert explained({"reply": {**SEVERAL, "answers_all": True}}, {"ids": [1, 2]}, calls=2) == [
        HOLDS.format(1),
        HOLDS.format(2),
        "it answers this call, too (reply.answers_all)",
    ]


def traced(value: Any, *several: dict[str, Any]) -> tuple[str, ...]:
    """What a trace says of a message for which calls of these tools wait."""
    plans = [compiled(fields) for fields in several]
    exchanges = Dispatcher("counter", str)
    for plan in plans:
        exchanges.open(plan.rules, Scope(AMBIENT, {"args": {}, "session": {}}))
    return explain_for_exchanges(state_of(plans[0]), exchanges, Message("raw", value))


FEED = {"listen": True, "stream": {"match": "message.topic == 'a'"}, "reply": {"error": "message.error"}}


def test_a_message_that_is_not_the_reply_says_why() -> None:
    assert traced({"topic": "a"}, FEED, {})[-1] == (
        "it is an item of a stream, and so not the reply to a request without reply.match"
    )
    lines = traced({"topic": "a", "id": 2, "error": 1}, FEED, {"reply": {**BY_ID, "error": "message.error"}})
    assert lines[1] == "it is the error reply to a request, and so no error of this stream"
    assert [line.partition(":")[0] for line in lines] == [
        "stream.match holds",
        "it is the error reply to a request, and so no error of this stream",
        "reply.match holds",
        "reply.error holds",
    ]


def test_an_item_of_several_streams_that_have_ended_is_explained_once() -> None:
    plan = compiled({"listen": True, "stream": {"match": "message.n is defined", "max_items": 1}})
    exchanges = Dispatcher("counter", str)
    for _ in range(2):
        exchanges.open(plan.rules, Scope(AMBIENT, {"args": {}, "session": {}}))
    exchanges.receive(Message("raw", {"n": 1}))
    assert len(explain_for_exchanges(state_of(plan), exchanges, Message("raw", {"n": 2}))) == 2


# --- steps ---

LOGIN = {
    "http": {"url": "https://a.example/token"},
    "capture": {"token": "body.t", "other": "body.o"},
}


def test_the_response_to_a_request_says_what_was_saved_or_why_it_fails() -> None:
    plan = compiled({"before_connect": [LOGIN]})
    (step,) = plan.compiled_template.handshake.connection_rules.before_connect
    refused = Scope(AMBIENT, {"session": {}, "status": 401, "body": {"t": "x"}})
    assert explain_http_step(step, "before_connect[0]", refused) == ("before_connect[0].fail holds: status >= 300",)
    answered = Scope(AMBIENT, {"session": {}, "status": 200, "body": {"t": "x"}})
    assert explain_http_step(step, "before_connect[0]", answered) == (
        'session.token is now "x"',
        "before_connect[0].capture.other keeps nothing: the message has no body.o",
    )


def test_a_response_can_be_explained_before_there_is_a_session() -> None:
    (step,) = compiled({"before_connect": [LOGIN]}).compiled_template.handshake.connection_rules.before_connect
    lines = explain_http_step(step, "before_connect[0]", Scope(AMBIENT, {"status": 200, "body": {"t": "x", "o": "y"}}))
    assert [line.partition(" ")[0] for line in lines] == ["session.token", "session.other"]


def test_a_message_of_the_end_that_is_left_out_says_so() -> None:
    plan = compiled({"on_disconnect": [{"send": "bye", "when": "session.user == 'ada'"}]})
    (message,) = plan.compiled_template.handshake.connection_rules.on_disconnect
    assert message.when is not None
    scope = Scope(AMBIENT, {"session": {"user": "bob"}})
    assert explain_left_out("on_disconnect[0]", message.when, scope) == (
        "on_disconnect[0].when does not hold: session.user == 'ada' (session.user is \"bob\")",
        "on_disconnect[0] is left out",
    )


def test_a_step_of_a_login_that_is_not_answered_yet_says_what_it_waits_for() -> None:
    plan = compiled(
        {"on_connect": [{"expect": "message.hi", "fail": "message.no"}, {"send": "x", "when": "session.a"}]}
    )
    first, second = plan.compiled_template.handshake.connection_rules.on_connect
    scope = Scope(AMBIENT, {"session": {"a": 1}, "message": {}})
    assert explain_step(first, 4, scope) == (
        "on_connect[4].expect does not hold: message.hi (message.hi is not there)",
    )
    assert explain_when(first, 0, scope) == ()
    (plain,) = compiled(
        {"on_connect": [{"expect": "message.hi"}]}
    ).compiled_template.handshake.connection_rules.on_connect
    assert explain_step(plain, 0, scope) == (
        "on_connect[0].expect does not hold: message.hi (message.hi is not there)",
    )
    assert explain_when(second, 1, scope) == ("on_connect[1].when holds: session.a (session.a is 1)",)


# --- values ---

VALUES: dict[str, tuple[str, Any, str]] = {
    "an element": ("message.a[0] == 1", {"a": [1]}, " (message.a[0] is 1)"),
    "a member of an element": ("message.a[1].b == 1", {"a": [0, {"b": 1}]}, " (message.a[1].b is 1)"),
    "the whole message": ("message == 1", 1, ""),
    "bytes": ("message.a is defined", {"a": b"\x00\xff"}, ' (message.a is "<2 bytes: 0x00ff>")'),
    "null": ("message.a is none", {"a": None}, " (message.a is null)"),
    "a value of the session": ("session.s == message.a", {"a": None}, " (session.s is not there, message.a is null)"),
}


@pytest.mark.parametrize(("match", "value", "shown"), VALUES.values(), ids=VALUES)
def test_the_values_that_a_predicate_looked_at_are_shown(match: str, value: Any, shown: str) -> None:
    (line,) = explained({"reply": {"match": match}}, value)
    assert line.partition(match)[2] == shown


@pytest.mark.parametrize(
    ("query", "lines"),
    [
        ("", ()),
        ("a=1&b=x%20y", ('query is {"a":"1","b":"x y"}',)),
        ("a=1&a=2&a=3&b=", ('query is {"a":["1","2","3"],"b":""}',)),
        ("access_token=0123456789&q=hunter2", ('query is {"access_token":"***","q":"[removed]"}',)),
    ],
)
def test_the_parameters_of_a_url_are_shown_without_secrets(query: str, lines: tuple[str, ...]) -> None:
    assert explain_query("query", query, lambda text: text.replace("hunter2", "[removed]")) == lines
