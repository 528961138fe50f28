"""Exchanges whose HTTP requests come first: what waits for them, and how much of it."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.message import Message
from utcp_ws_mcp.core.exchange.exchange import CloseInfo, Exchange
from utcp_ws_mcp.core.exchange.held import MAX_HELD_BYTES, MAX_HELD_MESSAGES, HeldExchanges
from utcp_ws_mcp.core.exchange.reply_rules import Role

from .test_dispatcher import BY_ID, Wire, received_by
from .test_match_index import make_exchange, rules_of

HTTP = {"before_message": [{"http": {"url": "https://a.example/"}, "capture": {"key": "body.key"}}]}
BY_KEY = {**HTTP, "reply": {"match": "message.key == let.key"}}


def message(text: str = "x") -> Message:
    return Message(text, text)


def held(*exchanges: Exchange) -> HeldExchanges:
    found = HeldExchanges()
    for exchange in exchanges:
        found.add(exchange)
    return found


def new_exchange() -> Exchange:
    return make_exchange(rules_of(BY_KEY))


def test_every_exchange_that_is_held_gets_the_messages_of_its_time() -> None:
    first, second = new_exchange(), new_exchange()
    exchanges = held(first)
    exchanges.note(message("a"))
    exchanges.add(second)
    exchanges.note(message("b"))
    assert (len(exchanges), list(exchanges)) == (2, [first, second])
    assert [each.raw for each in exchanges.remove(first)] == ["a", "b"]
    assert [each.raw for each in exchanges.remove(second)] == ["b"]
    assert (len(exchanges), exchanges.remove(first)) == (0, [])


@pytest.mark.parametrize(
    ("messages", "flooded"),
    [
        ([message()] * MAX_HELD_MESSAGES, False),
        ([message()] * (MAX_HELD_MESSAGES + 1), True),
        ([message("x" * (MAX_HELD_BYTES // 4))] * 4, False),
        ([message("x" * (MAX_HELD_BYTES // 4))] * 4 + [message()], True),
    ],
    ids=["as many as allowed", "one too many", "as many bytes as allowed", "one byte too many"],
)
def test_an_exchange_for_which_too_much_waits_fails(messages: list[Message], flooded: bool) -> None:
    assert (MAX_HELD_MESSAGES, MAX_HELD_BYTES) == (1024, 64 << 20)
    exchange = new_exchange()
    exchanges = held(exchange)
    for each in messages:
        exchanges.note(each)
    assert (exchange.is_flooded, exchange.finished) == (flooded, flooded)
    assert len(exchanges.remove(exchange)) == (0 if flooded else len(messages))


def test_an_exchange_that_has_failed_does_not_end_the_waiting_of_others() -> None:
    first, second = new_exchange(), new_exchange()
    first.finished = True
    exchanges = held(first, second)
    exchanges.note(message())
    assert [len(exchanges.remove(each)) for each in (first, second)] == [0, 1]


# --- in a dispatcher ---


def released(wire: Wire, exchange: Exchange, **values: Any) -> Exchange:
    wire.exchanges.release(exchange, values)
    return exchange


def test_a_message_that_came_before_the_response_is_the_reply_if_the_response_says_so() -> None:
    wire = Wire()
    exchange = wire.open({**BY_KEY, "let": {"n": "7"}})
    assert [wire.receive({"key": key}) for key in ("a", "b")] == [Role.HELD, Role.HELD]
    assert (len(wire.exchanges), exchange.finished) == (1, False)
    released(wire, exchange, key="b")
    assert received_by(exchange) == [{"key": "b"}]
    assert exchange.scope["let"] == {"n": 7, "key": "b"}
    assert len(wire.exchanges) == 0


def test_an_exchange_that_was_released_gets_what_comes_later() -> None:
    wire = Wire()
    exchange = released(wire, wire.open(BY_KEY), key="a")
    assert [wire.receive({"key": key}) for key in ("b", "a")] == [Role.DROPPED, Role.REPLY]
    assert received_by(exchange) == [{"key": "a"}]


def test_only_one_of_the_messages_that_waited_is_the_reply() -> None:
    wire = Wire()
    exchange = wire.open(BY_KEY)
    for number in (1, 2):
        wire.receive({"key": "a", "n": number})
    assert received_by(released(wire, exchange, key="a")) == [{"key": "a", "n": 1}]


def test_what_came_before_the_request_is_not_the_first_message_after_it() -> None:
    wire = Wire()
    exchange = wire.open(HTTP)
    wire.receive("early")
    released(wire, exchange, key="a")
    assert not exchange.finished
    assert wire.receive("reply") is Role.REPLY


def test_a_message_for_another_exchange_waits_for_the_held_one_too() -> None:
    wire = Wire()
    exchange, other = wire.open(BY_KEY), wire.open(BY_ID)
    assert wire.receive({"id": other.request_id, "key": "a"}) is Role.REPLY
    assert received_by(released(wire, exchange, key="a")) == [{"id": 2, "key": "a"}]


def test_a_held_exchange_that_has_finished_stays_so() -> None:
    wire = Wire()
    exchange = wire.open(BY_KEY)
    wire.receive({"key": "a"})
    wire.exchanges.cancel(exchange)
    released(wire, exchange, key="a")
    assert (received_by(exchange), len(wire.exchanges)) == ([], 0)


def test_the_end_of_the_connection_settles_a_held_exchange() -> None:
    wire = Wire()
    exchange = wire.open(BY_KEY)
    wire.exchanges.connection_lost(CloseInfo(1006, "gone"))
    assert (exchange.close_info, wire.exchanges.lost, len(wire.exchanges)) == (CloseInfo(1006, "gone"), 1, 0)
    assert wire.woken(exchange) == 1


def test_the_failure_of_the_session_settles_a_held_exchange() -> None:
    wire = Wire()
    exchange, other = wire.open(BY_KEY), wire.open(BY_ID)
    wire.exchanges.fail_all("crashed")
    assert [each.failure for each in (exchange, other)] == ["crashed"] * 2
    assert (wire.exchanges.failure, wire.exchanges.failure_reported, len(wire.exchanges)) == ("crashed", True, 0)
    assert not wire.availability.reusable


def test_a_held_exchange_that_is_taken_back_keeps_its_number() -> None:
    wire = Wire()
    exchange = wire.open({**BY_KEY, "request_id": "counter"})
    wire.exchanges.take_back(exchange)
    assert wire.open(BY_ID).request_id == 2, "its requests may have used the number"
