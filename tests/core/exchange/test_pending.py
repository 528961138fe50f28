"""The table of pending exchanges: by their ids, in their order, and what an error may mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.message import Message, decode
from utcp_ws_mcp.core.exchange.exchange import Exchange
from utcp_ws_mcp.core.exchange.pending import PendingExchanges, is_selected_by_request
from utcp_ws_mcp.core.exchange.reply_rules import ReplyRules
from utcp_ws_mcp.records import replace

from .test_dispatcher import BY_ID, BY_ID_AND_KIND, BY_KIND, WATCHING, Wire, rules_of
from .test_match_index import make_exchange

BY_OTHER = {"reply": {"match": "message.meta.id == request_id"}}
SUBSCRIBING = {"reply": {"match": "message.id == request_id"}, "stream": {"match": "message.topic == 'a'"}}
ANSWERING = {"tools": [{"name": "t", "tool_call_template": {"auto_reply": [{"match": "message.ask", "send": "x"}]}}]}


def pending(*fields: Any) -> tuple[PendingExchanges, list[Exchange]]:
    """Return a table with exchanges whose ids are 1, 2, 3 …"""
    table, exchanges = PendingExchanges(), []
    for number, each in enumerate(fields, 1):
        made = make_exchange(rules_of(each))
        exchanges.append(Exchange(made.rules, made.scope.with_values(request_id=number), number))
        table.add(exchanges[-1])
    return table, exchanges


def message(value: Any) -> Message:
    return decode(json.dumps(value))


def test_exchanges_are_kept_in_the_order_of_opening_until_they_are_removed() -> None:
    table, exchanges = pending(BY_ID, {}, WATCHING)
    assert (len(table.all), list(table.all)) == (3, exchanges)
    for exchange in list(table.all):
        table.remove(exchange)
    assert (len(table.all), list(table.all)) == (0, [])
    table.remove(exchanges[0])


def test_every_index_forgets_an_exchange_that_is_removed() -> None:
    table, exchanges = pending({**SUBSCRIBING, **ANSWERING}, BY_KIND)
    assert list(table.with_auto_replies) == list(table.awaiting_subscription) == exchanges[:1]
    for exchange in exchanges:
        exchange.finished = True
        table.update(exchange)
    assert (len(table.all), len(table.with_auto_replies), len(table.awaiting_subscription)) == (0, 0, 0)
    assert table.find_by_correlation_id(message({"id": 1})) is None
    assert table.find_matching(message({"kind": "answer"})) == ([], False)


def test_a_stream_that_has_begun_is_found_by_its_items_and_no_longer_by_its_id() -> None:
    table, (exchange,) = pending(SUBSCRIBING)
    assert table.find_matching(message({"topic": "a"})) == ([], False)
    assert table.find_matching(message({"id": 1})) == ([exchange], False)
    exchange.replied = True
    table.update(exchange)
    assert table.find_matching(message({"topic": "a"})) == ([exchange], False)
    assert table.find_matching(message({"id": 1})) == ([], False)
    assert len(table.awaiting_subscription) == 0
    assert table.has_correlation_id(message({"id": 9})), "a late reply would carry its id there"


def test_an_exchange_that_goes_on_stays_where_it_is() -> None:
    table, exchanges = pending(SUBSCRIBING, BY_ID)
    for exchange in exchanges:
        table.update(exchange)
    assert list(table.awaiting_subscription) == exchanges[:1]
    assert table.find_by_correlation_id(message({"id": 2})) is exchanges[1]


def test_ids_in_several_places_are_looked_up_in_each() -> None:
    table, (first, second, third) = pending(BY_ID, BY_OTHER, BY_ID_AND_KIND)
    assert table.find_by_correlation_id(message({"id": 1})) is first
    assert table.find_by_correlation_id(message({"id": 9, "meta": {"id": 2}})) is second
    assert table.find_by_correlation_id(message({"id": 3, "kind": "event", "meta": {"id": 2}})) is second
    assert table.find_by_correlation_id(message({"id": 3, "kind": "answer"})) is third
    assert table.find_by_correlation_id(message({"id": 3})) is None
    assert table.find_by_correlation_id(message({"meta": {}})) is None


@pytest.mark.parametrize(
    ("value", "carried"),
    [({"id": 1}, True), ({"id": "x"}, True), ({"meta": {"id": 0}}, True), ({"id": None}, False), ({}, False)],
)
def test_a_message_carries_an_id_where_a_reply_would(value: Any, carried: bool) -> None:
    table, _ = pending(BY_ID, BY_OTHER)
    assert table.has_correlation_id(message(value)) is carried
    assert not PendingExchanges().has_correlation_id(message(value))


MISTYPED: dict[str, tuple[Any, Any, Any]] = {
    "a text for a number": (7, {"id": "7"}, "7"),
    "a number for a text": ("7", {"id": 7}, 7),
    "a whole float for a text": ("7", {"id": 7.0}, 7),
    "eighteen digits": (int("9" * 18), {"id": "9" * 18}, "9" * 18),
    "nineteen digits": (int("9" * 19), {"id": "9" * 19}, None),
    "a zero before it": (7, {"id": "07"}, None),
    "zero": (0, {"id": "0"}, None),
    "a line break behind it": (7, {"id": "7\n"}, None),
    "the id itself": (7, {"id": 7}, None),
    "no id": (7, {}, None),
    "null": (7, {"id": None}, None),
}


@pytest.mark.parametrize(("request_id", "value", "found"), MISTYPED.values(), ids=MISTYPED)
def test_an_id_of_the_other_type_is_recognized(request_id: Any, value: Any, found: Any) -> None:
    table, exchange = PendingExchanges(), make_exchange(rules_of(BY_ID))
    exchange.request_id = request_id
    table.add(exchange)
    assert table.find_by_mistyped_id(message(value)) == (None if found is None else (exchange, found))


ERROR = {"match": "message.id == request_id and message.method is not defined", "error": "message.error is defined"}


def test_an_error_with_the_id_null_means_the_requests_that_have_got_nothing() -> None:
    stream = {"reply": ERROR, "stream": {"until": "message.done"}}
    table, (first, second, third) = pending({"reply": ERROR}, stream, {"reply": ERROR})
    assert table.meant_by_null_id(message({"id": None, "error": 1})) == [first, second, third]
    second.item_count = 1
    assert table.meant_by_null_id(message({"id": None, "error": 1})) == [first, third]
    assert table.meant_by_null_id(message({"error": 1})) == []
    assert table.meant_by_null_id(message({"id": None})) == []


def test_a_request_takes_the_error_of_its_own_and_streams_the_items() -> None:
    watching = {**WATCHING, "reply": {"error": "message.error is defined"}}
    table, (stream, call) = pending(
        watching, {"reply": {"match": "message.to == request_id", "error": "message.error"}}
    )
    assert table.find_matching(message({"to": 2, "topic": "a"})) == ([call, stream], False)
    assert table.find_matching(message({"to": 2, "topic": "a", "error": 1})) == ([call], False)
    assert table.find_matching(message({"topic": "a"})) == ([stream], False)


def test_a_request_without_a_match_takes_what_no_stream_watches() -> None:
    table, (call, stream) = pending({}, WATCHING)
    assert table.find_matching(message({"topic": "a"})) == ([stream], False)
    assert table.find_matching(message({"topic": "b"})) == ([call], False)


SELECTED: dict[str, tuple[list[Any], bool]] = {
    "a request with a match": ([BY_KIND], True),
    "a request without": ([{}], False),
    "a stream that watches": ([WATCHING], False),
    "a subscription that waits for its reply": ([SUBSCRIBING], True),
    "a stream, then a request": ([WATCHING, BY_KIND], True),
    "nothing": ([], False),
}


@pytest.mark.parametrize(("fields", "selected"), SELECTED.values(), ids=SELECTED)
def test_a_request_selects_a_message_by_the_match_of_its_reply(fields: list[Any], selected: bool) -> None:
    assert is_selected_by_request(pending(*fields)[1]) is selected


def test_an_exchange_whose_rules_change_with_its_reply_answers_by_the_rules_it_has_then() -> None:
    wire = Wire()
    exchange = wire.open(SUBSCRIBING)
    opened: ReplyRules = replace(exchange.rules, error=rules_of({"reply": {"error": "message.bad"}}).error)
    exchange.rules = replace(exchange.rules, opened=opened)
    wire.receive({"id": 1, "bad": 1})
    assert (exchange.error, exchange.rules) == (None, opened)
    wire.receive({"topic": "a", "bad": 1})
    assert exchange.error is not None
