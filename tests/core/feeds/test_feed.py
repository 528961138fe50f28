"""What a message contributes to a feed: its data, key and position."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.message import Message
from utcp_ws_mcp.core.feeds.feed import FeedEvent
from utcp_ws_mcp.errors import InvalidReply

from .test_compiler import ask, feed_of

SAID: dict[str, Any] = {"name": "said", "match": "true"}


def read(fields: Any, value: Any, **args: Any) -> FeedEvent:
    feed = feed_of({**SAID, **fields})
    exchange = ask(feed.subscription, **args)[1]
    return feed.read_event(exchange, Message("as it came", value))


EVENTS: dict[str, tuple[Any, Any, FeedEvent]] = {
    "the whole message": ({}, {"a": [1, "ü"]}, FeedEvent('{"a":[1,"ü"]}', None, None)),
    "a part": ({"item": "message.a"}, {"a": [1]}, FeedEvent("[1]", None, None)),
    "null": ({"item": "message.a"}, {"a": None}, FeedEvent("null", None, None)),
    "a computed value": ({"item": "message.a ~ args.x"}, {"a": 1}, FeedEvent('"1x"', None, None)),
    "a key": ({"key": "message.k"}, {"k": "A"}, FeedEvent('{"k":"A"}', '"A"', None)),
    "a key that is zero": ({"key": "message.k"}, {"k": 0}, FeedEvent('{"k":0}', "0", None)),
    "a position": ({"position": "message.n"}, {"n": 7}, FeedEvent('{"n":7}', None, 7)),
    "a position that is zero": ({"position": "message.n"}, {"n": 0}, FeedEvent('{"n":0}', None, 0)),
    "bytes": ({}, b"\xff\x00", FeedEvent('"ff00"', None, None)),
    "bytes in a key": ({"key": "message"}, b"\xff", FeedEvent('"ff"', '"ff"', None)),
    "a number that JSON has not": ({}, [float("inf")], FeedEvent('["Infinity"]', None, None)),
    "all": (
        {"item": "message.d", "key": "message.k", "position": "message.n"},
        {"d": 1, "k": 2, "n": 3},
        FeedEvent("1", "2", 3),
    ),
}


@pytest.mark.parametrize(("fields", "value", "event"), EVENTS.values(), ids=EVENTS)
def test_an_event_has_what_the_feed_takes_of_its_message(fields: Any, value: Any, event: FeedEvent) -> None:
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


@pytest.mark.parametrize(("fields", "reason"), MISSING.values(), ids=MISSING)
def test_an_event_without_what_the_feed_takes_is_an_error_that_names_the_field(fields: Any, reason: str) -> None:
    with pytest.raises(InvalidReply) as failed:
        read(fields, {"null": None})
    assert reason in failed.value.message
    assert "m.said" in failed.value.message
    assert failed.value.code == "result-missing"


def test_a_value_that_cannot_be_computed_is_an_error_with_its_code() -> None:
    with pytest.raises(InvalidReply, match="message.a - 1") as failed:
        read({"item": "message.a - 1"}, {"a": "x"})
    assert failed.value.code == "expression-failed"
