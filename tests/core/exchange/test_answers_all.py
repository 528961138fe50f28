"""One message that answers several calls: `reply.answers_all`."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.message import decode
from utcp_ws_mcp.core.exchange.reply_rules import Concurrency, Role

from .test_dispatcher import BY_ID, FUZZ, WATCHING, Wire, received_by, rules_of

RANGE = "message.serial <= let.serial and let.serial < message.serial + message.count"
ACKNOWLEDGED = {
    "let": {"serial": "counter() - 1"},
    "reply": {"match": RANGE, "answers_all": True, "error": "message.action == 'nack'"},
}
"""The protocol of Ably: one message acknowledges a range of requests, which the client numbers from 0."""

LISTED = {"reply": {"match": "request_id in message.ids", "answers_all": True}}
FIRST = {"reply": {"match": "request_id in message.ids"}}
IN_ORDER = {"reply": {"match": "message.type == 'ok'", "concurrent": True}}


def got(*exchanges):
    return [len(exchange.received) for exchange in exchanges]


def test_a_message_answers_each_call_for_which_match_is_true():
    wire = Wire()
    calls = [wire.open(ACKNOWLEDGED) for _ in range(5)]

    assert wire.receive({"serial": 1, "count": 3}) is Role.REPLY
    assert got(*calls) == [0, 1, 1, 1, 0]
    assert [call.finished for call in calls] == [False, True, True, True, False]
    assert [wire.woken(call) for call in calls] == [0, 1, 1, 1, 0]
    assert wire.receive({"serial": 0, "count": 5}) is Role.REPLY
    assert got(*calls) == [1, 1, 1, 1, 1]
    assert (len(wire.exchanges), wire.exchanges.dropped) == (0, 0)


def test_without_the_field_it_answers_the_first():
    wire = Wire()
    first, second = wire.open(FIRST), wire.open(FIRST)

    assert wire.receive({"ids": [2, 1]}) is Role.REPLY
    assert got(first, second) == [1, 0]
    assert wire.receive({"ids": [2, 1]}) is Role.REPLY
    assert got(first, second) == [1, 1]


def test_replies_that_name_no_call_are_assigned_in_the_order_of_the_calls():
    wire = Wire()
    first, second = wire.open(IN_ORDER), wire.open(IN_ORDER)

    wire.receive({"type": "ok", "n": 1})
    wire.receive({"type": "ok", "n": 2})
    assert [received_by(each) for each in (first, second)] == [[{"type": "ok", "n": 1}], [{"type": "ok", "n": 2}]]


def test_a_refusal_of_several_calls_is_the_error_of_each_of_them():
    wire = Wire()
    calls = [wire.open(ACKNOWLEDGED) for _ in range(4)]

    assert wire.receive({"action": "nack", "serial": 0, "count": 2}) is Role.ERROR
    assert [call.error is not None for call in calls] == [True, True, False, False]
    assert not any(call.error_is_shared for call in calls)
    assert wire.receive({"action": "ack", "serial": 2, "count": 2}) is Role.REPLY
    assert [call.error is None for call in calls[2:]] == [True, True]


def test_an_error_for_which_match_is_true_whatever_the_id_names_none_of_them():
    wire = Wire()
    rules = {
        "reply": {
            "match": "message.error is defined or request_id in message.ids",
            "answers_all": True,
            "error": "message.error is defined",
        }
    }
    calls = [wire.open(rules), wire.open(rules)]

    assert wire.receive({"error": "overloaded"}) is Role.ERROR
    assert [(len(call.received), call.error_is_shared) for call in calls] == [(1, True)] * 2


def test_the_reply_to_another_request_answers_them_as_well():
    wire = Wire()
    by_id, listed, other = wire.open(BY_ID), wire.open(LISTED), wire.open(LISTED)

    assert wire.receive({"id": 1, "ids": [1, 2]}) is Role.REPLY
    assert got(by_id, listed, other) == [1, 1, 0]


def test_of_the_calls_of_other_tools_it_answers_the_first():
    wire = Wire()
    one, listed, two = wire.open(FIRST), wire.open(LISTED), wire.open(FIRST)

    assert wire.receive({"ids": [1, 2, 3]}) is Role.REPLY
    assert got(one, listed, two) == [1, 1, 0]


def test_a_call_that_came_first_answers_no_call_of_another_tool_behind_it():
    wire = Wire()
    listed, behind = wire.open(LISTED), wire.open(FIRST)

    assert wire.receive({"ids": [1, 2]}) is Role.REPLY
    assert got(listed, behind) == [1, 0]


def test_streams_that_watch_get_the_message_once():
    wire = Wire()
    watching = wire.open(WATCHING)
    calls = [wire.open(LISTED), wire.open(LISTED)]

    assert wire.receive({"ids": [2, 3], "topic": "a"}) is Role.REPLY
    assert got(watching, *calls) == [1, 1, 1]


def test_a_message_opens_each_stream_that_it_answers():
    wire = Wire()
    rules = {**LISTED, "stream": {"match": "message.for in [0, request_id]"}}
    streams = [wire.open(rules), wire.open(rules)]

    assert wire.receive({"for": 1, "early": True}) is Role.HELD
    assert wire.receive({"ids": [1, 2]}) is Role.REPLY
    assert [stream.replied for stream in streams] == [True, True]
    assert got(*streams) == [1, 0]
    assert wire.receive({"for": 0}) is Role.ITEM
    assert got(*streams) == [2, 1]


def test_an_item_belongs_to_each_stream_whose_match_is_true():
    wire = Wire()
    streams = [wire.open({**LISTED, "stream": {"until": "message.done"}}) for _ in range(3)]

    assert wire.receive({"ids": [1, 3]}) is Role.ITEM
    assert wire.receive({"ids": [1, 2], "done": True}) is Role.END
    assert got(*streams) == [1, 0, 1]
    assert [stream.finished for stream in streams] == [True, True, False]


def test_a_call_whose_caller_left_gets_nothing():
    wire = Wire()
    left, waiting = wire.open(ACKNOWLEDGED), wire.open(ACKNOWLEDGED)
    wire.exchanges.cancel(left)

    assert wire.receive({"serial": 0, "count": 2}) is Role.REPLY
    assert got(left, waiting) == [0, 1]


def test_an_acknowledgement_of_receipt_leaves_each_call_open():
    wire = Wire()
    rules = {"reply": {**LISTED["reply"], "ack": "message.queued"}}
    calls = [wire.open(rules), wire.open(rules)]

    assert wire.receive({"ids": [1, 2], "queued": True}) is Role.ACK
    assert [call.finished for call in calls] == [False, False]
    assert wire.receive({"ids": [2, 1]}) is Role.REPLY
    assert [call.finished for call in calls] == [True, True]


def test_an_answer_to_a_heartbeat_that_is_also_a_reply_reaches_each_call():
    wire = Wire()
    calls = [wire.open(LISTED), wire.open(LISTED)]
    message = {"ids": [1, 2]}

    assert wire.exchanges.receive(decode(json.dumps(message)), may_answer_heartbeat=True) is Role.REPLY
    assert got(*calls) == [1, 1]


@pytest.mark.parametrize("match", [RANGE, "request_id in message.ids", "message.key == args.key"])
def test_calls_share_a_connection_without_a_further_field(match):
    rules = rules_of({"let": {"serial": "counter()"}, "reply": {"match": match, "answers_all": True}})
    assert (rules.concurrency, rules.answers_all) == (Concurrency.MULTIPLEXED, True)
    assert not rules_of(FIRST).answers_all


def test_a_call_that_an_earlier_one_was_preferred_to_knows_of_it():
    wire = Wire()
    first, second, third = wire.open(FIRST), wire.open(FIRST), wire.open(FIRST)

    wire.receive({"ids": [1, 2]})
    assert [each.passed_over for each in (first, second, third)] == [False, True, False]


@FUZZ
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5)), max_size=12), st.integers(1, 12))
def test_each_call_gets_the_first_message_whose_range_it_is_in(ranges, count):
    wire = Wire()
    calls = [wire.open(ACKNOWLEDGED) for _ in range(count)]
    expected = {}
    for serial, length in ranges:
        wire.receive({"serial": serial, "count": length})
        for number in range(serial, serial + length):
            expected.setdefault(number, {"serial": serial, "count": length})

    for number, call in enumerate(calls):
        assert received_by(call) == [expected[number] for _ in range(number in expected)]
    assert len(wire.exchanges) == sum(number not in expected for number in range(count))
