"""What a message contributes to a feed: its data, key and position."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.message import Message
from utcp_ws_mcp.core.feeds.feed import ELEMENTS_AT_ONCE, MAX_ELEMENTS, FeedEvent, FeedMessage
from utcp_ws_mcp.errors import InvalidReply

from .test_compiler import ask, feed_of

SAID: dict[str, Any] = {"name": "said", "match": "true"}


def read(fields: Any, value: Any, **args: Any) -> FeedMessage:
    feed = feed_of({**SAID, **fields})
    exchange = ask(feed.subscription, **args)[1]
    found = feed.read_message(exchange, Message("as it came", value))
    while found.rest is not None:
        found = feed.read_rest(found)
    return found


def of(data: str, key: str | None, position: Any) -> FeedMessage:
    return FeedMessage((FeedEvent(data, key),), position)


EVENTS: dict[str, tuple[Any, Any, FeedMessage]] = {
    "the whole message": ({}, {"a": [1, "ü"]}, of('{"a":[1,"ü"]}', None, None)),
    "a part": ({"item": "message.a"}, {"a": [1]}, of("[1]", None, None)),
    "null": ({"item": "message.a"}, {"a": None}, of("null", None, None)),
    "a computed value": ({"item": "message.a ~ args.x"}, {"a": 1}, of('"1x"', None, None)),
    "a key": ({"key": "message.k"}, {"k": "A"}, of('{"k":"A"}', '"A"', None)),
    "a key that is zero": ({"key": "message.k"}, {"k": 0}, of('{"k":0}', "0", None)),
    "a position": ({"position": "message.n"}, {"n": 7}, of('{"n":7}', None, 7)),
    "a position that is zero": ({"position": "message.n"}, {"n": 0}, of('{"n":0}', None, 0)),
    "bytes": ({}, b"\xff\x00", of('"ff00"', None, None)),
    "bytes in a key": ({"key": "message"}, b"\xff", of('"ff"', '"ff"', None)),
    "a number that JSON has not": ({}, [float("inf")], of('["Infinity"]', None, None)),
    "all": (
        {"item": "message.d", "key": "message.k", "position": "message.n"},
        {"d": 1, "k": 2, "n": 3},
        of("1", "2", 3),
    ),
}


@pytest.mark.parametrize(("fields", "value", "event"), EVENTS.values(), ids=EVENTS)
def test_an_event_has_what_the_feed_takes_of_its_message(fields: Any, value: Any, event: FeedMessage) -> None:
    assert read(fields, value, x="x") == event


MISSING: dict[str, tuple[Any, str]] = {
    "item": ({"item": "message.x"}, "item: message.x is missing from the event. Change 'item' of the feed."),
    "key": ({"key": "message.x"}, "key: message.x is missing from the event. Change 'key' of the feed."),
    "position": (
        {"position": "message.x"},
        "position: message.x is missing from the event. Change 'position' of the feed.",
    ),
    "a key that is null": ({"key": "message.null"}, "key: message.null is null in the event."),
    "a position that is null": ({"position": "message.null"}, "position: message.null is null in the event."),
}


def failure_of(fields: Any, value: Any) -> InvalidReply:
    """Return why a message is no event: itself, or its only element."""
    try:
        found = read(fields, value)
    except InvalidReply as error:
        return error
    assert found.events == ()
    (error,) = found.errors
    return error


@pytest.mark.parametrize(("fields", "reason"), MISSING.values(), ids=MISSING)
def test_an_event_without_what_the_feed_takes_is_an_error_that_names_the_field(fields: Any, reason: str) -> None:
    error = failure_of(fields, {"null": None})
    assert reason in error.message
    assert "m.said" in error.message
    assert error.code == "result-missing"


def test_a_value_that_cannot_be_computed_is_an_error_with_its_code() -> None:
    with pytest.raises(InvalidReply, match="message.a - 1") as failed:
        read({"item": "message.a - 1"}, {"a": "x"})
    assert failed.value.code == "expression-failed"


ROWS = {"d": [{"k": "A", "n": 1}, {"k": "B", "n": 2}], "k": "M", "n": 7}
A, B = '{"k":"A","n":1}', '{"k":"B","n":2}'
FLAT: dict[str, tuple[Any, Any, FeedMessage]] = {
    "a list": ({}, ROWS, FeedMessage((FeedEvent(A, None), FeedEvent(B, None)))),
    "a list that is not taken apart": ({"flat": False}, ROWS, FeedMessage((FeedEvent(f"[{A},{B}]", None),))),
    "a whole message": ({"item": None}, [1, [2]], FeedMessage((FeedEvent("1", None), FeedEvent("[2]", None)))),
    "an empty list": ({"position": "message.n"}, {"d": [], "n": 7}, FeedMessage((), 7)),
    "what is no list": ({}, {"d": {"k": "A"}}, FeedMessage((FeedEvent('{"k":"A"}', None),))),
    "null": ({}, {"d": None}, FeedMessage((FeedEvent("null", None),))),
    "null that an expression replaces": ({"item": "message.d or []"}, {"d": None}, FeedMessage(())),
    "a text": ({}, {"d": "ab"}, FeedMessage((FeedEvent('"ab"', None),))),
    "a list that an expression makes": (
        {"item": "message.d | map(attribute='n') | list"},
        ROWS,
        FeedMessage((FeedEvent("1", None), FeedEvent("2", None))),
    ),
    "a key of each element": ({"key": "item.k"}, ROWS, FeedMessage((FeedEvent(A, '"A"'), FeedEvent(B, '"B"')))),
    "a key of the message": ({"key": "message.k"}, ROWS, FeedMessage((FeedEvent(A, '"M"'), FeedEvent(B, '"M"')))),
    "one position of all": ({"position": "message.n"}, ROWS, FeedMessage((FeedEvent(A, None), FeedEvent(B, None)), 7)),
}


@pytest.mark.parametrize(("fields", "value", "message"), FLAT.values(), ids=FLAT)
def test_each_element_of_a_list_is_an_event_of_a_flat_feed(fields: Any, value: Any, message: FeedMessage) -> None:
    assert read({"flat": True, "item": "message.d", **fields}, value) == message


def test_the_key_of_any_feed_sees_the_data_of_the_event_as_item() -> None:
    assert read({"item": "message.d", "key": "item.k ~ message.n"}, {"d": {"k": "A"}, "n": 7}).events[0].key == '"A7"'
    assert read({"key": "item.k"}, {"k": "A"}).events[0].key == '"A"'


def test_an_element_without_a_key_is_left_out_and_the_others_are_events() -> None:
    rows = [{"k": "A"}, {}, {"k": "B"}, {"k": None}]
    found = read({"flat": True, "item": "message.d", "key": "item.k", "position": "message.n"}, {"d": rows, "n": 7})
    assert [event.key for event in found.events] == ['"A"', '"B"']
    assert found.position == 7
    assert ["item.k is missing" in error.message for error in found.errors] == [True, False]
    assert "key: item.k is null" in found.errors[1].message


@pytest.mark.parametrize("count", [ELEMENTS_AT_ONCE - 1, ELEMENTS_AT_ONCE, ELEMENTS_AT_ONCE + 1, 3 * ELEMENTS_AT_ONCE])
def test_the_events_of_a_long_list_are_read_in_parts(count: int) -> None:
    feed = feed_of({**SAID, "flat": True, "item": "message.d", "key": "item.k", "position": "message.n"})
    rows = [{"k": number} if number % 150 else {} for number in range(count)]
    found = feed.read_message(ask(feed.subscription)[1], Message("", {"d": rows, "n": 7}))
    parts = [found]
    while found.rest is not None:
        found = feed.read_rest(found)
        parts.append(found)
    keys = [str(number) for number in range(count) if number % 150]
    assert [event.key for event in found.events] == keys
    assert (found.position, len(found.errors)) == (7, count - len(keys))
    seen = [len(part.events) + len(part.errors) for part in parts]
    assert seen == [*range(ELEMENTS_AT_ONCE, count, ELEMENTS_AT_ONCE), count]


def test_a_list_of_more_than_10000_elements_is_an_error() -> None:
    assert len(read({"flat": True}, [0] * MAX_ELEMENTS).events) == MAX_ELEMENTS == 10_000
    with pytest.raises(InvalidReply, match="the list has 10,001 elements, and at most 10,000 are events") as failed:
        read({"flat": True}, [0] * (MAX_ELEMENTS + 1))
    assert failed.value.code == "value-too-large"
    assert len(read({}, [0] * (MAX_ELEMENTS + 1)).events) == 1
