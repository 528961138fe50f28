"""Whether a further exchange may start on a connection, after what has happened on it."""

import pytest

from utcp_ws_mcp.core.exchange.availability import LATE_REPLIES_POSSIBLE, SESSION_ENDED, UNSOLICITED_MESSAGE
from utcp_ws_mcp.core.exchange.exchange import CloseInfo
from utcp_ws_mcp.core.exchange.reply_rules import Role

from .test_dispatcher import BY_ID, BY_KIND, STREAM, WATCHING, Wire

# What happens to an exchange; whether a further one may start, and why perhaps not.
ENDS = {
    "exclusive, by its reply": ({}, ["reply"], True, ""),
    "exclusive, cancelled": ({}, ["cancel"], False, LATE_REPLIES_POSSIBLE),
    "exclusive, discarded": ({}, ["discard"], True, ""),
    "exclusive, replied to twice": ({}, ["reply", "reply"], True, ""),
    "exclusive, after what it does not ignore": (
        {"ignore": "message == 'PING'"},
        ["reply", "x"],
        False,
        UNSOLICITED_MESSAGE,
    ),
    "exclusive, that only listens, cancelled": ({"listen": True, "stream": True}, ["cancel"], False, ""),
    "multiplexed, by its reply": (BY_ID, [{"id": 1}], True, ""),
    "multiplexed, cancelled": (BY_ID, ["cancel"], True, LATE_REPLIES_POSSIBLE),
    "multiplexed, that only watches, cancelled": (WATCHING, ["cancel"], True, ""),
    "the session has ended": (BY_ID, ["end"], False, SESSION_ENDED),
    "cancelled, then the session has ended": (BY_ID, ["cancel", "end"], False, SESSION_ENDED),
    "lost": (BY_ID, ["lose"], False, ""),
}


@pytest.mark.parametrize(("rules", "steps", "reusable", "reason"), ENDS.values(), ids=ENDS)
def test_how_an_exchange_ends_decides_whether_a_further_one_may_start(rules, steps, reusable, reason):
    wire = Wire()
    exchange = wire.open(rules)
    happen = {
        "cancel": lambda: wire.exchanges.cancel(exchange),
        "discard": lambda: wire.exchanges.discard(exchange),
        "end": wire.availability.end_session,
        "lose": lambda: wire.exchanges.connection_lost(CloseInfo(1006, "gone")),
    }
    for step in steps:
        act = happen.get(step) if isinstance(step, str) else None
        act() if act else wire.receive(step)

    assert (wire.availability.reusable, wire.availability.unusable_reason) == (reusable, reason)


FAILING_STREAM = {"reply": {"error": "message.error is defined"}, "stream": {"until": "message.x"}}

REUSE = {
    "shared, after a timeout": (BY_ID, ["abandon"], True),
    "shared, after a foreign message": (BY_ID, [{"id": 9}], True),
    "owned, after its reply": ({}, ["reply"], True),
    "owned, after a timeout": ({}, ["abandon"], False),
    "owned, after its reply and another message": ({}, ["reply", "another"], True),
    "owned, after its reply, twice": ({}, ["reply", "reply"], True),
    "owned with ignore, after what it does not ignore": ({"ignore": "message == 'PING'"}, ["reply", "x"], False),
    "owned with match, after its reply": (BY_KIND, [{"kind": "answer"}], True),
    "owned with match, after an event": (BY_KIND, [{"kind": "event"}], True),
    "owned with match, after a timeout": (BY_KIND, ["abandon"], False),
    "owned, after a failure": ({"reply": {"error": "message.error is defined"}}, [{"error": 1}], True),
    "owned, after what it ignores": ({"ignore": "message == 'PING'"}, ["PING", "reply", "PING"], True),
    "owned, after its acknowledgement": ({"reply": {"ack": "message == 'ACK'"}}, ["ACK", "reply"], True),
    "an owned stream, after its end": ({"stream": {"until": "message == 'END'"}}, ["a", "END"], True),
    "an owned stream, cut by a limit": ({"stream": {"until": "message.x", "max_items": 1}}, ["a"], False),
    "an owned stream, after a cancel": ({"stream": {"until": "message.x"}}, ["a", "abandon"], False),
    "an owned stream, refused": (FAILING_STREAM, [{"error": 1}], True),
    "an owned stream, failed after an item": (FAILING_STREAM, ["a", {"error": 1}], False),
    "an owned stream, failed at its end": (FAILING_STREAM, ["a", {"error": 1, "x": 1}], True),
    "an owned stream without an end, failed after an item": (
        {**FAILING_STREAM, "stream": {"idle_seconds": 1}},
        ["a", {"error": 1}],
        False,
    ),
    "owned, after a message that cannot be classified": ({"ignore": "message.startswith('x')"}, [{"n": 1}], False),
}


@pytest.mark.parametrize(("rules", "happens", "reusable"), REUSE.values(), ids=REUSE)
def test_a_connection_is_reusable_while_its_next_message_can_be_recognized(rules, happens, reusable):
    wire = Wire()
    exchange = wire.open(rules)

    for each in happens:
        wire.exchanges.cancel(exchange) if each == "abandon" else wire.receive(each)

    assert wire.availability.reusable is reusable


def test_a_greeting_before_the_first_request_costs_no_trust():
    wire = Wire()

    assert wire.receive("hello") is Role.DROPPED
    assert wire.availability.reusable


def test_a_shared_stream_that_a_limit_cut_is_counted_because_its_items_still_come():
    wire = Wire()
    exchange = wire.open({**STREAM, "stream": {"until": "message.done", "max_items": 1}})
    wire.receive({"id": 1})
    wire.exchanges.cancel(exchange)

    assert exchange.end == "max_items"
    assert wire.availability.incomplete == 1


@pytest.mark.parametrize(
    ("act", "reason", "woken"),
    [("end_session", SESSION_ENDED, 1), ("retire", UNSOLICITED_MESSAGE, 0)],
)
def test_exchanges_that_are_pending_go_on_and_learn_of_the_end_of_the_session(act, reason, woken):
    wire = Wire()
    exchange = wire.open(BY_ID)
    getattr(wire.availability, act)()
    assert (wire.availability.reusable, wire.availability.unusable_reason) == (False, reason)
    assert (wire.woken(exchange), exchange.finished) == (woken, False)
    assert wire.availability.feeds_must_leave is bool(woken)
    assert wire.receive({"id": 1}) is Role.REPLY


def test_the_first_reason_is_shown_unless_the_session_has_ended():
    wire = Wire()
    wire.availability.retire()
    exchange = wire.open(BY_ID)
    wire.exchanges.cancel(exchange)
    assert wire.availability.unusable_reason == UNSOLICITED_MESSAGE
    wire.availability.end_session()
    wire.availability.retire()
    assert wire.availability.unusable_reason == SESSION_ENDED


def test_a_connection_that_no_call_may_use_wakes_what_is_pending_when_its_place_is_needed():
    wire = Wire()
    given_up, waiting = wire.open(BY_ID), wire.open(BY_ID)
    wire.exchanges.cancel(given_up)
    wire.availability.retire()
    assert (wire.availability.reusable, wire.availability.feeds_must_leave, wire.woken(waiting)) == (False, False, 0)
    wire.availability.vacate()
    assert (wire.availability.feeds_must_leave, wire.woken(waiting), waiting.finished) == (True, 1, False)
    wire.exchanges.cancel(wire.open(BY_ID))
    assert not wire.availability.reusable
