"""What a connection captures of messages, and what it does with one before any call sees it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.message import decode
from utcp_ws_mcp.core.exchange.connection_state import MIN_HEARTBEAT_INTERVAL, ConnectionState
from utcp_ws_mcp.core.expressions.scope import Ambient
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
