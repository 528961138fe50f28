"""Which messages end at the endpoint what a call began: `reply.cancel` and `stream.cancel`."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.core.exchange.cancellation import MAX_ABANDONED
from utcp_ws_mcp.core.exchange.exchange import CloseInfo, Exchange
from utcp_ws_mcp.core.exchange.reply_rules import Role

from .test_dispatcher import BY_ID, Wire

STOP = {"reply": {**BY_ID["reply"], "error": "message.error is defined", "cancel": {"stop": "{{ request_id }}"}}}
LEAVE = {"leave": "{{ args.topic }}", "id": "{{ next_id() }}"}
STREAM = {**STOP, "stream": {"until": "message.done", "max_items": 2, "cancel": LEAVE}}
WATCH = {**STOP, "stream": {"match": "message.topic == args.topic", "until": "message.done", "cancel": LEAVE}}
FAILED = {"id": 1, "error": "no"}


def leave(wire: Wire, exchange: Exchange) -> list[tuple[str, Any]]:
    """Return what is sent when the caller of an exchange leaves."""
    due = wire.exchanges.cancellations.end(exchange)
    wire.exchanges.cancel(exchange)
    return due


def subscribed(wire: Wire, fields: Any = WATCH, topic: str = "a") -> Exchange:
    exchange = wire.open(fields, topic=topic)
    assert wire.receive({"id": exchange.request_id}) is Role.REPLY
    return exchange


LEFT: dict[str, tuple[Any, list[Any], list[tuple[str, Any]]]] = {
    "before the reply": (STOP, [], [("reply.cancel", {"stop": 1})]),
    "before the reply, without a message": (BY_ID, [], []),
    "after the reply": (STOP, [{"id": 1}], []),
    "after an error reply": (STOP, [FAILED], []),
    "a stream, before its first item": (STREAM, [], [("stream.cancel", {"leave": "a", "id": 2})]),
    "a stream, after an item": (STREAM, [{"id": 1}], [("stream.cancel", {"leave": "a", "id": 2})]),
    "a stream, at a limit": (STREAM, [{"id": 1}, {"id": 1}], [("stream.cancel", {"leave": "a", "id": 2})]),
    "a stream, after its end": (STREAM, [{"id": 1, "done": True}], []),
    "a stream, after an error": (STREAM, [FAILED], []),
    "a subscription, before its reply": (WATCH, [], [("reply.cancel", {"stop": 1})]),
    "a subscription, after its reply": (WATCH, [{"id": 1}], [("stream.cancel", {"leave": "a", "id": 2})]),
    "a subscription, after its end": (WATCH, [{"id": 1}, {"topic": "a", "done": 1}], []),
    "a subscription, after its refusal": (WATCH, [FAILED], []),
}


@pytest.mark.parametrize(("fields", "before", "sent"), LEFT.values(), ids=LEFT)
def test_a_caller_that_leaves_ends_what_its_call_began(
    fields: Any, before: list[Any], sent: list[tuple[str, Any]]
) -> None:
    wire = Wire()
    exchange = wire.open(fields, topic="a")
    for message in before:
        wire.receive(message)
    assert leave(wire, exchange) == sent
    assert wire.exchanges.outbox == []


@pytest.mark.parametrize(
    ("bounds", "items"), [({"max_items": 1}, 1), ({"max_bytes": 30}, 2)], ids=["max_items", "max_bytes"]
)
def test_a_stream_that_a_bound_ended_is_ended_at_the_endpoint(bounds: Any, items: int) -> None:
    wire = Wire()
    exchange = wire.open({**STOP, "stream": {"until": "message.done", "cancel": {"leave": 1}, **bounds}})
    for _ in range(items):
        wire.receive({"id": 1, "text": "item"})
    assert exchange.finished
    assert leave(wire, exchange) == [("stream.cancel", {"leave": 1})]


@pytest.mark.parametrize("fields", [STOP, STREAM, WATCH], ids=["call", "stream", "subscription"])
def test_nothing_is_sent_for_an_exchange_that_a_lost_connection_has_settled(fields: Any) -> None:
    wire = Wire()
    exchange = wire.open(fields, topic="a")
    wire.exchanges.connection_lost(CloseInfo(1006, "gone"))
    assert leave(wire, exchange) == []


def test_the_values_of_a_cancel_message_are_those_of_the_call_with_its_request() -> None:
    wire = Wire()
    exchange = wire.open({"reply": {"match": "message.ok", "cancel": "{{ request.do }} {{ args.topic }}"}}, topic="a")
    exchange.request = {"do": "draw"}
    assert leave(wire, exchange) == [("reply.cancel", "draw a")]


def test_a_cancel_message_of_null_is_not_sent() -> None:
    wire = Wire()
    cancel = "{{ {'stop': request_id} if request.do == 'draw' else none }}"
    exchange = wire.open({"reply": {"match": "message.ok", "cancel": cancel}})
    exchange.request = {"do": "look"}
    assert leave(wire, exchange) == []


def test_several_messages_can_end_a_stream() -> None:
    wire = Wire()
    cancel = {"$each": "{{ args.topics }}", "$template": {"leave": "{{ item }}"}}
    exchange = wire.open({"stream": {"until": "message.done", "cancel": cancel}}, topics=["a", "b"])
    assert leave(wire, exchange) == [("stream.cancel", {"leave": "a"}), ("stream.cancel", {"leave": "b"})]


def test_the_field_of_a_cancel_message_that_cannot_be_rendered_is_reported_with_the_reason() -> None:
    wire = Wire()
    exchange = wire.open({"reply": {"match": "message.ok", "cancel": "{{ args.text | from_json }}"}}, text="{")
    assert leave(wire, exchange) == []
    [(field, reason)] = wire.unsent
    assert field == "reply.cancel"
    assert "from_json" in reason


# --- subscriptions that streams share ---


def test_of_streams_with_one_subscription_the_last_one_ends_it() -> None:
    wire = Wire()
    first, second = subscribed(wire), subscribed(wire)
    assert leave(wire, first) == []
    assert leave(wire, second) == [("stream.cancel", {"leave": "a", "id": 3})]


def test_a_stream_with_a_subscription_of_its_own_ends_it_although_others_are_open() -> None:
    wire = Wire()
    first, second = subscribed(wire), subscribed(wire, topic="b")
    assert leave(wire, first) == [("stream.cancel", {"leave": "a", "id": 3})]
    assert leave(wire, second) == [("stream.cancel", {"leave": "b", "id": 4})]


def test_a_stream_that_has_ended_shares_its_subscription_no_longer() -> None:
    wire = Wire()
    first, second = subscribed(wire), subscribed(wire)
    wire.exchanges.discard(second)
    assert leave(wire, first) == [("stream.cancel", {"leave": "a", "id": 3})]


def test_streams_without_a_match_share_nothing() -> None:
    wire = Wire()
    fields = {**STOP, "stream": {"until": "message.done", "cancel": {"leave": 1}}}
    first, second = wire.open(fields), wire.open(fields)
    assert [leave(wire, each) for each in (first, second)] == [[("stream.cancel", {"leave": 1})]] * 2


def test_a_subscription_is_not_ended_while_a_stream_that_may_share_it_waits_for_its_reply() -> None:
    wire = Wire()
    first, waiting = subscribed(wire), wire.open(WATCH, topic="b")
    assert leave(wire, first) == []
    wire.receive({"id": waiting.request_id})
    assert wire.exchanges.outbox == [("stream.cancel", {"leave": "a", "id": 3})]


def test_a_held_back_message_is_dropped_where_the_stream_that_waited_shares_the_subscription() -> None:
    wire = Wire()
    first, waiting = subscribed(wire), wire.open(WATCH, topic="a")
    leave(wire, first)
    wire.receive({"id": waiting.request_id})
    assert wire.exchanges.outbox == []
    assert leave(wire, waiting) == [("stream.cancel", {"leave": "a", "id": 3})]


def test_a_held_back_message_is_sent_once() -> None:
    wire = Wire()
    first, second, third = subscribed(wire), wire.open(WATCH, topic="b"), wire.open(WATCH, topic="c")
    leave(wire, first)
    assert wire.exchanges.outbox == []
    wire.receive({"id": second.request_id})
    assert wire.exchanges.outbox == [], "the third may still share the subscription"
    wire.receive({"id": third.request_id})
    assert wire.exchanges.outbox == [("stream.cancel", {"leave": "a", "id": 4})]


def test_of_several_messages_only_those_are_sent_that_end_no_other_stream() -> None:
    wire = Wire()
    cancel = {"$each": "{{ args.topics }}", "$template": {"leave": "{{ item }}", "id": "{{ next_id() }}"}}
    fields = {**STOP, "stream": {"match": "message.topic in args.topics", "cancel": cancel}}
    first, second = wire.open(fields, topics=["a", "b"]), wire.open(fields, topics=["b", "c"])
    for exchange in (first, second):
        wire.receive({"id": exchange.request_id})
    assert [message["leave"] for _, message in leave(wire, first)] == ["a"]
    assert [message["leave"] for _, message in leave(wire, second)] == ["b", "c"]


CHANGING = ["{{ now }}", "{{ uuid() }}", "{{ counter() }}", "{{ next_id() }}"]


@pytest.mark.parametrize("value", CHANGING)
def test_what_differs_each_time_does_not_make_another_subscription(value: str) -> None:
    wire = Wire()
    fields = {**WATCH, "stream": {**WATCH["stream"], "cancel": {"leave": "{{ args.topic }}", "n": value}}}
    first, second = subscribed(wire, fields), subscribed(wire, fields)
    assert leave(wire, first) == []
    assert len(leave(wire, second)) == 1


def test_streams_whose_cancel_messages_cannot_be_rendered_share_no_subscription() -> None:
    wire = Wire()
    fields = {**WATCH, "stream": {**WATCH["stream"], "cancel": "{{ args.topic | from_json }}"}}
    first, second = subscribed(wire, fields), subscribed(wire, fields)
    assert [leave(wire, first), leave(wire, second)] == [[], []]
    assert [field for field, _ in wire.unsent] == ["stream.cancel"] * 2


def test_streams_whose_cancel_message_is_null_share_no_subscription() -> None:
    wire = Wire()
    cancel = "{{ {'leave': args.topic} if args.topic == 'b' else none }}"
    fields = {**WATCH, "stream": {**WATCH["stream"], "cancel": cancel}}
    first, second, third = (subscribed(wire, fields, topic) for topic in "aab")
    assert [leave(wire, each) for each in (first, second, third)] == [[], [], [("stream.cancel", {"leave": "b"})]]


def test_a_stream_that_shares_nothing_sends_its_message_although_a_subscription_is_open() -> None:
    wire = Wire()
    stream, waiting = (
        wire.open({"stream": {"until": "message.done", "cancel": {"leave": 1}}}),
        wire.open(WATCH, topic="a"),
    )
    assert leave(wire, stream) == [("stream.cancel", {"leave": 1})]
    assert not waiting.finished


def test_a_stream_that_shares_nothing_sends_equal_messages_as_often_as_they_are_written() -> None:
    wire = Wire()
    cancel = {"$each": "{{ args.topics }}", "$template": {"leave": "{{ item }}"}}
    stream = {"match": "message.topic in args.topics", "cancel": cancel}
    exchange = wire.open({"listen": True, "keep_alive": False, "stream": stream}, topics=["a", "a"])
    assert leave(wire, exchange) == [("stream.cancel", {"leave": "a"})] * 2


def test_a_stream_without_a_cancel_message_shares_no_subscription() -> None:
    wire = Wire()
    without = {**WATCH, "stream": {"match": "message.topic == args.topic"}}
    first, second = subscribed(wire), subscribed(wire, without)
    assert leave(wire, first) == [("stream.cancel", {"leave": "a", "id": 3})]
    assert leave(wire, second) == []


def test_cancel_messages_are_equal_whatever_the_order_of_their_members() -> None:
    wire = Wire()
    cancels = ({"leave": "{{ args.topic }}", "now": True}, {"now": True, "leave": "{{ args.topic }}"})
    first, second = (subscribed(wire, {**WATCH, "stream": {**WATCH["stream"], "cancel": each}}) for each in cancels)
    assert leave(wire, first) == []
    assert len(leave(wire, second)) == 1


def test_a_cancel_message_that_depends_on_the_time_alone_ends_its_own_stream_only() -> None:
    wire = Wire()
    cancel = "{{ {'leave': args.topic} if now_s > 1000 else none }}"
    first, second = (subscribed(wire, {**WATCH, "stream": {**WATCH["stream"], "cancel": cancel}}) for _ in range(2))
    assert [leave(wire, each) for each in (first, second)] == [[("stream.cancel", {"leave": "a"})]] * 2


@pytest.mark.parametrize("fields", [STREAM, WATCH], ids=["a stream", "a subscription"])
def test_an_open_stream_whose_caller_leaves_is_finished(fields: Any) -> None:
    wire = Wire()
    exchange = subscribed(wire, WATCH) if fields is WATCH else wire.open(fields, topic="a")
    leave(wire, exchange)
    assert (exchange.finished, len(wire.exchanges)) == (True, 0)
    assert not wire.exchanges.cancellations.is_abandoned(exchange)


# --- subscriptions whose callers leave before the reply ---


def test_a_subscription_that_was_left_before_its_reply_is_ended_when_the_reply_comes() -> None:
    wire = Wire()
    exchange = wire.open({**WATCH, "reply": BY_ID["reply"]}, topic="a")
    assert leave(wire, exchange) == []
    assert (exchange.finished, wire.exchanges.cancellations.is_abandoned(exchange)) == (False, True)
    assert wire.receive({"id": 1}) is Role.REPLY
    assert wire.exchanges.outbox == [("stream.cancel", {"leave": "a", "id": 2})]
    assert (exchange.finished, wire.exchanges.cancellations.is_abandoned(exchange)) == (True, False)
    assert wire.receive({"topic": "a"}) is Role.DROPPED


def test_a_subscription_that_was_left_and_is_refused_begins_nothing() -> None:
    wire = Wire()
    exchange = wire.open(WATCH, topic="a")
    leave(wire, exchange)
    assert wire.receive(FAILED) is Role.ERROR
    assert wire.exchanges.outbox == []
    assert not wire.exchanges.cancellations.is_abandoned(exchange)


def test_a_confirmation_does_not_open_a_subscription_that_was_left() -> None:
    wire = Wire()
    exchange = wire.open({**WATCH, "reply": {**BY_ID["reply"], "ack": "message.ack"}}, topic="a")
    leave(wire, exchange)
    assert wire.receive({"id": 1, "ack": True}) is Role.ACK
    assert (exchange.finished, wire.exchanges.outbox) == (False, [])
    wire.receive({"id": 1})
    assert wire.exchanges.outbox == [("stream.cancel", {"leave": "a", "id": 2})]


def test_the_refusal_of_a_subscription_that_was_left_releases_what_was_held_back_for_it() -> None:
    wire = Wire()
    first, waiting = subscribed(wire), wire.open(WATCH, topic="a")
    assert leave(wire, first) == []
    assert leave(wire, waiting) == [("reply.cancel", {"stop": 2}), ("stream.cancel", {"leave": "a", "id": 3})]
    assert wire.receive({"id": waiting.request_id, "error": "no"}) is Role.ERROR
    assert wire.exchanges.outbox == []


@pytest.mark.parametrize("fields", [STOP, {**WATCH, "stream": {"match": "message.topic == args.topic"}}])
def test_a_call_without_a_message_that_ends_its_stream_is_finished_when_its_caller_leaves(fields: Any) -> None:
    wire = Wire()
    exchange = wire.open(fields, topic="a")
    leave(wire, exchange)
    assert (exchange.finished, len(wire.exchanges)) == (True, 0)


def test_of_too_many_subscriptions_that_were_left_the_oldest_are_forgotten() -> None:
    wire = Wire()
    exchanges = [wire.open(WATCH, topic=f"t{number}") for number in range(MAX_ABANDONED + 2)]
    for exchange in exchanges:
        leave(wire, exchange)
    assert MAX_ABANDONED == len(wire.exchanges) == 64
    assert [exchange.finished for exchange in exchanges] == [True] * 2 + [False] * MAX_ABANDONED
    assert not wire.exchanges.cancellations.is_abandoned(exchanges[1])
    assert wire.receive({"id": exchanges[1].request_id}) is Role.HELD
    assert wire.receive({"id": exchanges[2].request_id}) is Role.REPLY
    assert [message["leave"] for _, message in wire.exchanges.outbox] == ["t2"]


def test_a_subscription_that_was_left_counts_neither_as_lost_nor_as_reported() -> None:
    wire = Wire()
    left, waiting = wire.open(WATCH, topic="a"), wire.open(WATCH, topic="b")
    leave(wire, left)
    wire.exchanges.connection_lost(CloseInfo(1006, "gone"))
    assert wire.exchanges.lost == 1
    assert waiting.close_info == CloseInfo(1006, "gone")

    wire = Wire()
    left = wire.open(WATCH, topic="a")
    leave(wire, left)
    wire.exchanges.fail_all("crashed")
    assert (wire.exchanges.failure, wire.exchanges.failure_reported) == ("crashed", False)
