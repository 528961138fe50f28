"""What a connection captures of messages, and what it does with one before any call sees it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.binary import Binary
from utcp_ws_mcp.core.codecs.message import decode
from utcp_ws_mcp.core.exchange.connection_state import MIN_HEARTBEAT_INTERVAL, ConnectionState
from utcp_ws_mcp.core.expressions.expression import Expression
from utcp_ws_mcp.core.expressions.paths import UNDEFINED
from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import VariableResolver


def state_of(values: dict[str, Any] | None = None, unsent: list[str] | None = None, **fields: Any) -> ConnectionState:
    document = [{"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], **fields}]
    (entry,) = load_document(document, VariableResolver([]), "m.json", PurePath()).entries
    (tool,), problems = compile_entry(entry)
    assert problems == []
    ambient = Ambient(lambda: datetime(2030, 1, 1, tzinfo=UTC), bytes)
    rules = tool.compiled_template.handshake.connection_rules
    notes = [] if unsent is None else unsent
    return ConnectionState(rules, ambient, {} if values is None else values, {}, lambda *note: notes.append(note[0]))


class Notes:
    """What a state reports: messages that were not sent, predicates that failed, messages that were left out."""

    def __init__(self, values: dict[str, Any] | None = None, **fields: Any) -> None:
        self.unsent: list[tuple[str, str]] = []
        self.failed: list[tuple[str, str]] = []
        self.left_out: list[str] = []
        rules = state_of(**fields).rules
        ambient = Ambient(lambda: datetime(2030, 1, 1, tzinfo=UTC), bytes, lambda text: text.replace("s3cret", "*"))
        self.state = ConnectionState(
            rules,
            ambient,
            {} if values is None else values,
            {"room": "ops"},
            lambda *note: self.unsent.append(note),
            lambda *note: self.failed.append(note),
        )

    def disconnect(self) -> list[tuple[str, Any]]:
        def note_left_out(field: str, when: Expression, scope: Scope) -> None:
            self.left_out.append(f"{field}: {when.source} with {scope['request_id']}")

        return list(self.state.disconnect_messages(lambda: {"request_id": 7}, note_left_out))


def process(state: ConnectionState, value: Any) -> tuple[bool, list[Any]]:
    sent: list[Any] = []
    return state.process(decode(json.dumps(value)), sent.append), sent


KEPT: dict[str, tuple[str, Any, Any]] = {
    "a new value": ("message.seq", {"seq": 2}, 2),
    "null": ("message.seq", {"seq": None}, None),
    "false": ("message.seq", {"seq": False}, False),
    "a missing member": ("message.seq", {}, 1),
    "a member of a missing member": ("message.a.seq", {}, 1),
    "an expression that fails": ("message.seq | int + 1", {"seq": "x"}, 1),
    "a filter that fails": ("message.seq | from_json", {"seq": "{"}, 1),
}


@pytest.mark.parametrize(("source", "message", "after"), KEPT.values(), ids=KEPT)
def test_a_value_is_kept_until_a_message_has_another(source: str, message: Any, after: Any) -> None:
    state = state_of({"seq": 1}, capture=[{"match": "true", "set": {"seq": source}}])
    assert process(state, message) == (False, [])
    assert state.values == {"seq": after}


def test_the_values_behind_one_that_is_missing_are_captured() -> None:
    state = state_of(capture=[{"match": "true", "set": {"a": "message.a", "b": "message.b"}}])
    process(state, {"b": 2})
    assert state.values == {"b": 2}


def test_only_a_message_that_matches_is_captured() -> None:
    state = state_of(capture=[{"match": "message.type == 'seq'", "set": {"seq": "message.seq"}}])
    process(state, {"type": "other", "seq": 1})
    assert state.values == {}


def test_a_snapshot_does_not_change_and_is_made_again_after_a_change() -> None:
    state = state_of(capture=[{"match": "true", "set": {"seq": "message.seq"}}])
    process(state, {"seq": 1})
    first = state.snapshot()
    assert state.snapshot() is first
    process(state, {"seq": True})
    assert (first, state.snapshot()) == ({"seq": 1}, {"seq": True})
    assert state.snapshot()["seq"] is True


REPLY = {"match": "message.type == 'ping'", "send": {"pong": "{{ message.n }}"}}


@pytest.mark.parametrize(("keep", "consumed"), [({}, True), ({"keep": True}, False), ({"keep": False}, True)])
def test_a_message_that_is_answered_is_seen_by_calls_only_if_the_rule_says_so(keep: Any, consumed: bool) -> None:
    state = state_of(auto_reply=[{**REPLY, **keep}])
    assert process(state, {"type": "ping", "n": 1}) == (consumed, [{"pong": 1}])
    assert process(state, {"type": "other"}) == (False, [])


def test_an_answer_that_lacks_a_value_is_noted_and_the_message_counts_as_answered() -> None:
    unsent: list[str] = []
    state = state_of(unsent=unsent, auto_reply=[REPLY])
    assert process(state, {"type": "ping"}) == (True, [])
    assert unsent == ["auto_reply"]


def test_the_first_rule_that_matches_answers() -> None:
    state = state_of(auto_reply=[REPLY, {"match": "true", "send": "second"}])
    assert process(state, {"type": "ping", "n": 1}) == (True, [{"pong": 1}])
    assert process(state, {}) == (True, ["second"])


INTERVALS: dict[str, tuple[Any, float | None]] = {
    "a number": (25, 25.0),
    "a fraction": (0.5, 0.5),
    "the shortest": (MIN_HEARTBEAT_INTERVAL, MIN_HEARTBEAT_INTERVAL),
    "too short": (0.001, MIN_HEARTBEAT_INTERVAL),
    "zero": (0, None),
    "less than zero": (-1, None),
    "true": (True, None),
    "a text": ("25", None),
    "null": (None, None),
}


@pytest.mark.parametrize(("asked", "seconds"), INTERVALS.values(), ids=INTERVALS)
def test_an_endpoint_asks_for_heartbeats_in_seconds(asked: Any, seconds: float | None) -> None:
    state = state_of({"every": asked}, heartbeat={"every": "session.every", "send": "ping"})
    assert state.heartbeat_interval() == seconds


def test_without_the_value_that_it_names_there_is_no_heartbeat() -> None:
    assert state_of(heartbeat={"every": "session.every", "send": "ping"}).heartbeat_interval() is None
    assert state_of().heartbeat_interval() is None


@pytest.mark.parametrize("shown", [{}, {"why": None}, {"why": ""}], ids=repr)
def test_a_failure_without_a_text_shows_its_message(shown: Any) -> None:
    state = state_of(fail_when="message.failed", fail_message="message.why")
    message = {"failed": True, **shown}
    assert "failed" in (state.failure(decode(json.dumps(message))) or "")
    assert "because" in (state.failure(decode(json.dumps({"failed": True, "why": "because"}))) or "")
    assert "failed" not in (state.failure(decode(json.dumps({"failed": True, "why": "because"}))) or "")
    assert state.failure(decode('{"failed": false, "why": "because"}')) is None
    assert state_of().failure(decode(json.dumps(message))) is None


@pytest.mark.parametrize("value", [None, False, 0])
def test_a_snapshot_has_a_value_that_counts_as_nothing(value: Any) -> None:
    state = state_of(capture=[{"match": "true", "set": {"seq": "message.seq"}}])
    assert state.snapshot() == {}
    process(state, {"seq": value})
    assert state.snapshot() == {"seq": value}


def test_a_snapshot_keeps_the_values_that_a_message_does_not_change() -> None:
    state = state_of({"a": 1, "b": 2}, capture=[{"match": "true", "set": {"b": "message.b"}}])
    assert state.snapshot() == {"a": 1, "b": 2}
    process(state, {"b": 3})
    assert state.snapshot() == {"a": 1, "b": 3}


def test_bytes_are_captured_such_that_filters_know_them() -> None:
    state = state_of(capture=[{"match": "true", "set": {"data": "message"}}])
    assert state.process(decode(b"\xff\x00"), lambda _: None) is False
    assert type(state.values["data"]) is Binary
    assert state.values["data"] == b"\xff\x00"
    process(state, "text")
    assert type(state.values["data"]) is str


def test_a_captured_value_that_doubles_with_each_message_has_a_bound() -> None:
    capture = [{"match": "true", "set": {"value": "[session.value, session.value]"}}]
    state = state_of({"value": "x" * (20 << 20)}, capture=capture)
    process(state, {})
    once = state.values["value"]
    process(state, {})
    assert [len(text) for text in once] == [20 << 20] * 2
    assert state.values["value"] is once, "the next one would have 80 MiB, of which 64 are allowed"


def test_captured_values_are_known_to_the_rules() -> None:
    notes = Notes({"user": "ada"}, reconnect_when="message.to == session.user")
    assert [notes.state.should_drain(decode(json.dumps({"to": name}))) for name in ("ada", "bob")] == [True, False]


def test_without_rules_nothing_ends_the_session() -> None:
    state = state_of()
    message = decode('{"bye": 1}')
    assert (state.should_drain(message), state.failure(message), state.is_heartbeat_reply(message)) == (
        False,
        None,
        False,
    )
    assert process(state, {"bye": 1}) == (False, [])


FAILING = "message.text | from_json"
PREDICATES: dict[str, tuple[Any, str]] = {
    "capture": ({"capture": [{"match": FAILING, "set": {"a": "message"}}]}, "capture"),
    "auto_reply": ({"auto_reply": [{"match": FAILING, "send": "x"}]}, "auto_reply"),
    "reconnect_when": ({"reconnect_when": FAILING}, "reconnect_when"),
    "fail_when": ({"fail_when": FAILING}, "fail_when"),
    "heartbeat.expect": ({"heartbeat": {"every": 1, "send": "p", "expect": FAILING}}, "heartbeat.expect"),
}


@pytest.mark.parametrize(("fields", "name"), PREDICATES.values(), ids=PREDICATES)
def test_a_predicate_that_cannot_be_evaluated_does_not_hold_and_is_reported(fields: Any, name: str) -> None:
    notes = Notes(**fields)
    notes.state.heartbeat_pending = True
    message = decode('{"text": "{"}')
    assert notes.state.process(message, notes.unsent.append) is False
    assert (notes.state.should_drain(message), notes.state.failure(message)) == (False, None)
    assert notes.state.is_heartbeat_reply(message) is False
    [(field, reason)] = notes.failed
    assert field == name
    assert FAILING in reason
    assert notes.state.failures == {FAILING: f"a predicate of the connection: {reason}"}
    assert (notes.unsent, notes.state.values) == ([], {})


def test_the_reason_of_an_answer_that_cannot_be_rendered_is_reported() -> None:
    notes = Notes(auto_reply=[REPLY])
    assert notes.state.process(decode('{"type": "ping"}'), notes.unsent.append) is True
    [(field, reason)] = notes.unsent
    assert field == "auto_reply"
    assert "message.n" in reason


FAILURES: dict[str, tuple[Any, str]] = {
    "a text": ({"text": "closed by the operator"}, "“closed by the operator”"),
    "an object": ({"text": {"code": 5}}, '“{"code":5}”'),
    "a secret": ({"text": "bad key s3cret"}, "“bad key *”"),
    "zero": ({"text": 0}, "“0”"),
}


@pytest.mark.parametrize(("message", "shown"), FAILURES.values(), ids=FAILURES)
def test_a_failure_shows_what_the_endpoint_said(message: Any, shown: str) -> None:
    notes = Notes(fail_when="message.text is defined", fail_message="message.text")
    failure = notes.state.failure(decode(json.dumps(message)))
    assert failure is not None
    assert shown in failure


def test_a_failure_without_a_rule_for_its_text_shows_the_message() -> None:
    failure = Notes(fail_when="message.text is defined").state.failure(decode('{"text":  "x"}'))
    assert failure is not None
    assert '“{"text":  "x"}”' in failure


IDENTITIES: dict[str, tuple[Any, str | None]] = {
    "a text": ({"id": "a"}, '"a"'),
    "an object, in any order": ({"id": {"b": 1, "a": 2}}, '{"a": 2, "b": 1}'),
    "null": ({"id": None}, "null"),
    "bytes": ({"id": b"\xff"}, '"ff"'),
    "nothing": ({}, None),
}


@pytest.mark.parametrize(("values", "identity"), IDENTITIES.values(), ids=IDENTITIES)
def test_a_session_is_identified_by_what_was_captured(values: Any, identity: str | None) -> None:
    captures = [{"match": "true", "set": {"id": "message.id"}}]
    assert state_of(values, capture=captures, session_identity="session.id").session_identity() == identity
    assert state_of(values, capture=captures).session_identity() is None


# --- the end of a connection ---

DISCONNECT_MESSAGES = [
    {"send": {"bye": "{{ session.user }}", "id": "{{ request_id }}"}},
    {"send": "off", "when": "session.user == 'ada'"},
    {"send": "{{ session.text | from_json }}"},
    {"send": "last"},
]


def test_the_messages_of_the_end_are_sent_in_order_and_one_that_does_not_apply_is_left_out() -> None:
    notes = Notes({"user": "bob", "text": "{"}, on_disconnect=DISCONNECT_MESSAGES)
    assert notes.disconnect() == [("on_disconnect[0]", {"bye": "bob", "id": 7}), ("on_disconnect[3]", "last")]
    assert notes.left_out == ["on_disconnect[1]: session.user == 'ada' with 7"]
    [(field, reason)] = notes.unsent
    assert field == "on_disconnect[2]"
    assert "from_json" in reason


def test_a_message_of_the_end_is_sent_where_its_condition_holds() -> None:
    notes = Notes({"user": "ada", "text": "1"}, on_disconnect=DISCONNECT_MESSAGES)
    assert [message for _, message in notes.disconnect()] == [{"bye": "ada", "id": 7}, "off", 1, "last"]
    assert (notes.left_out, notes.unsent) == ([], [])
    assert list(state_of({"user": "bob"}, on_disconnect=DISCONNECT_MESSAGES[1:2]).disconnect_messages(dict)) == []


def test_a_condition_of_the_end_that_cannot_be_evaluated_is_reported_with_its_place() -> None:
    notes = Notes({"text": "{"}, on_disconnect=[{"send": "x"}, {"send": "y", "when": "session.text | from_json"}])
    assert [field for field, _ in notes.disconnect()] == ["on_disconnect[0]"]
    assert [field for field, _ in notes.failed] == ["on_disconnect[1].when"]


# --- heartbeats ---


def test_a_message_answers_the_heartbeat_only_while_one_is_unanswered() -> None:
    state = state_of(heartbeat={"every": 1, "send": "p", "expect": "message.pong == request_id"})
    state.heartbeat_id = 7
    pong = decode('{"pong": 7}')
    assert state.is_heartbeat_reply(pong) is False
    state.heartbeat_pending = True
    assert [state.is_heartbeat_reply(each) for each in (pong, decode('{"pong": 6}'))] == [True, False]


def test_a_heartbeat_without_an_answer_is_answered_by_nothing() -> None:
    state = state_of(heartbeat={"every": 1, "send": "p"})
    state.heartbeat_pending = True
    assert state.is_heartbeat_reply(decode('{"pong": 7}')) is False
    assert (state.heartbeat_id, state.heartbeat_interval()) == (UNDEFINED, 1.0)


def test_heartbeats_are_at_least_fifty_milliseconds_apart() -> None:
    assert state_of({"every": 0.01}, heartbeat={"every": "session.every", "send": "p"}).heartbeat_interval() == 0.05
