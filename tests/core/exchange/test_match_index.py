"""An index finds the exchanges that a message matches, without asking the others."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.exchange.test_dispatcher import Wire, rules_of
from utcp_ws_mcp.core.codecs.message import Message, decode
from utcp_ws_mcp.core.exchange.exchange import Exchange
from utcp_ws_mcp.core.exchange.match_index import MatchIndex
from utcp_ws_mcp.core.expressions.scope import Ambient, Scope

MATCHES = [
    "message.channel == args.channel",
    "args.channel == message.channel",
    "message.type == 'tick' and message.channel == args.channel",
    "message.data.channel == args.channel and message.type == 'tick'",
    "message.type == 'tick'",
    "message.type == 'tick' or message.channel == args.channel",
    "message.channel | length == 2 and message.channel == args.channel",
    "message.channel == args.channel and message.n > args.n",
    "message.channel == session.channel",
    "message.get == args.channel",
    "message.channel",
]
RULES = [rules_of({"listen": True, "stream": {"match": match}}) for match in MATCHES]
VALUE = st.sampled_from(["a", "b", "1", "", 1, 1.0, True, 2**60, None, [], {}, ["a"]])
MESSAGE = st.one_of(
    VALUE,
    st.fixed_dictionaries(
        {},
        optional={
            "channel": VALUE,
            "type": st.sampled_from(["tick", "other"]),
            "data": VALUE | st.fixed_dictionaries({"channel": VALUE}),
            "get": VALUE,
            "n": st.sampled_from([1, "1"]),
        },
    ),
)


def make_exchange(rules, **args):
    return Exchange(rules, Scope(Ambient(lambda: datetime(2030, 1, 1, tzinfo=UTC), bytes), {"args": args}), 1)


@given(
    opened=st.lists(st.tuples(st.sampled_from(RULES), VALUE, st.booleans()), max_size=6),
    values=st.lists(MESSAGE, min_size=1, max_size=4),
)
@settings(max_examples=200, deadline=None, database=None)
def test_the_same_exchanges_are_found_in_the_same_order_as_by_asking_all(opened, values):
    index, kept = MatchIndex(), []
    for rules, channel, stays in opened:
        exchange = make_exchange(rules, channel=channel, n=1)
        index.add(exchange)
        if stays:
            kept.append(exchange)
        else:
            index.discard(exchange)

    for value in values:
        message = Message(json.dumps(value), value, session={"channel": "a"})
        assert index.find(message) == [exchange for exchange in kept if exchange.matches(message)]


SELECTIVE = [0, 1, 2, 3]


@pytest.mark.parametrize("number", SELECTIVE, ids=[MATCHES[number] for number in SELECTIVE])
def test_only_exchanges_with_the_value_of_the_message_are_asked(number, monkeypatch):
    index, asked = MatchIndex(), []
    exchanges = [make_exchange(RULES[number], channel=f"c{count}") for count in range(100)]
    for exchange in exchanges:
        index.add(exchange)
    ask = Exchange.matches
    monkeypatch.setattr(Exchange, "matches", lambda self, message: asked.append(self) or ask(self, message))

    found = index.find(decode('{"type": "tick", "channel": "c7", "data": {"channel": "c7"}}'))

    assert found == asked == [exchanges[7]]


def test_a_term_behind_one_that_can_fail_hides_no_failure(monkeypatch):
    index, asked = MatchIndex(), []
    exchange = make_exchange(rules_of({"listen": True, "stream": {"match": MATCHES[6]}}), channel="a")
    index.add(exchange)
    ask = Exchange.matches
    monkeypatch.setattr(Exchange, "matches", lambda self, message: asked.append(self) or ask(self, message))

    assert index.find(decode('{"channel": 5}')) == []
    assert asked == [exchange]


def test_a_reply_asks_none_of_many_subscriptions(monkeypatch):
    subscribe = {
        "reply": {"match": "message.id == request_id", "result": "message.result"},
        "stream": {"match": "message.params.subscription == reply.result"},
    }
    wire = Wire()
    streams = [wire.open(subscribe) for _ in range(100)]
    for number, stream in enumerate(streams):
        wire.receive({"id": stream.request_id, "result": f"s{number}"})
    call = wire.open({"reply": {"match": "message.id == request_id"}})
    asked = []
    ask = Exchange.matches
    monkeypatch.setattr(Exchange, "matches", lambda self, message: asked.append(self) or ask(self, message))

    wire.receive({"id": call.request_id, "result": 1})
    wire.receive({"params": {"subscription": "s50"}})

    assert call.finished
    assert [len(stream.received) for stream in streams].index(1) == 50
    assert asked == [streams[50]]


def asked_by(index, message, monkeypatch):
    """Return the exchanges that are asked about a message."""
    asked, ask = [], Exchange.matches
    monkeypatch.setattr(Exchange, "matches", lambda self, message: asked.append(self) or ask(self, message))
    index.find(message)
    monkeypatch.setattr(Exchange, "matches", ask)
    return asked


SELECTED = {
    "an argument": ("message.a == args.channel", {"a": "c1"}, [1]),
    "an argument, the other way round": ("args.channel == message.a", {"a": "c1"}, [1]),
    "the last of three": ("message.t == 't' and message.x == 'x' and message.a == args.channel", {"a": "c1"}, [1]),
    "the first of three": ("message.a == args.channel and message.t == 't' and message.x == 'x'", {"a": "c1"}, [1]),
    "the second of three": ("message.t == 't' and message.a == args.channel and message.x == 'x'", {"a": "c1"}, [1]),
    "a literal": ("message.t == 't'", {"t": "t"}, [0, 1, 2]),
    "another literal": ("message.t == 't'", {"t": "u"}, []),
    "an integer": ("message.a == args.number", {"a": 1}, [1]),
    "a float, which may equal an integer": ("message.a == args.number", {"a": 1.0}, [0, 1, 2]),
    "true, which may equal one": ("message.a == args.number", {"a": True}, [0, 1, 2]),
    "null": ("message.a == args.number", {"a": None}, []),
    "an object": ("message.a == args.number", {"a": {}}, []),
    "an array": ("message.a == args.number", {"a": []}, []),
    "nothing": ("message.a == args.number", {}, []),
    "the id of the request": ("message.a == request_id", {"a": 1}, [0, 1, 2]),
    "a value of the session, which may change": ("message.a == session.channel", {"a": "c1"}, [0, 1, 2]),
    "two parts of the message": ("message.a == message.b", {"a": 1}, [0, 1, 2]),
    "two arguments": ("args.channel == args.channel", {"a": 1}, [0, 1, 2]),
    "another comparison": ("message.a >= args.number", {"a": 1}, [0, 1, 2]),
    "an alternative": ("message.a == args.channel or message.b", {"a": "c1"}, [0, 1, 2]),
    "behind a term that may fail": ("message.b | int == 1 and message.a == args.channel", {"a": "c1"}, [0, 1, 2]),
    "before a term that may fail": ("message.a == args.channel and message.b | int == 1", {"a": "c1"}, [1]),
    "a computed value": ("message.a == args.channel ~ ''", {"a": "c1"}, [0, 1, 2]),
    "a literal of another type": ("message.a == none and message.b == args.channel", {"b": "c1"}, [1]),
    "a fraction": ("message.a == args.number and message.b == 0.5", {"a": 1, "b": 0.5}, [1]),
}


@pytest.mark.parametrize(("match", "message", "asked"), SELECTED.values(), ids=SELECTED)
def test_the_exchanges_that_are_asked_are_those_whose_values_the_message_may_have(match, message, asked, monkeypatch):
    index = MatchIndex()
    rules = rules_of({"listen": True, "stream": {"match": match}})
    exchanges = [make_exchange(rules, channel=f"c{number}", number=number) for number in range(3)]
    for exchange in exchanges:
        index.add(exchange)
    found = asked_by(index, decode(json.dumps(message)), monkeypatch)
    assert [exchanges.index(exchange) for exchange in found] == asked


@pytest.mark.parametrize(("number", "asked"), [(2**53 - 1, 0), (2**53, 1), (-(2**53) + 1, 0), (1.5, 1), ([1], 1)])
def test_a_value_that_is_compared_less_exactly_is_never_looked_up(number, asked, monkeypatch):
    index = MatchIndex()
    index.add(make_exchange(rules_of({"listen": True, "stream": {"match": "message.a == args.n"}}), n=number))
    assert len(asked_by(index, decode('{"a": "other"}'), monkeypatch)) == asked


def test_an_argument_that_is_missing_is_not_looked_up(monkeypatch):
    index = MatchIndex()
    rules = rules_of({"listen": True, "stream": {"match": "message.a == args.none and message.b == args.channel"}})
    exchange = make_exchange(rules, channel="c")
    index.add(exchange)
    assert asked_by(index, decode('{"b": "c"}'), monkeypatch) == [exchange]
    assert asked_by(index, decode('{"b": "d"}'), monkeypatch) == []


def test_a_value_of_an_odd_type_does_not_hide_the_next_term(monkeypatch):
    index = MatchIndex()
    rules = rules_of({"listen": True, "stream": {"match": "message.a == args.text.x and message.b == args.channel"}})
    exchange = make_exchange(rules, channel="c", text=object())
    index.add(exchange)
    assert asked_by(index, decode('{"b": "c"}'), monkeypatch) == [exchange]


def test_an_exchange_keeps_its_place_when_it_is_indexed_again():
    index = MatchIndex()
    rules = [rules_of({"listen": True, "stream": {"match": match}}) for match in ("message.a", "message.a == args.a")]
    exchanges = [make_exchange(rules[number % 2], a=1) for number in range(4)]
    for exchange in exchanges:
        index.add(exchange)
    index.add(exchanges[0])
    index.add(exchanges[1])
    assert index.find(decode('{"a": 1}')) == exchanges
    assert [index.discard(exchange) for exchange in exchanges] == [0, 1, 2, 3]
    assert [index.discard(exchange) for exchange in exchanges] == [None] * 4
    assert index.find(decode('{"a": 1}')) == []
    index.add(exchanges[3])
    assert index.find(decode('{"a": 1}')) == [exchanges[3]]


def test_parts_of_a_message_that_no_exchange_compares_any_more_are_forgotten():
    index = MatchIndex()
    rules = rules_of({"listen": True, "stream": {"match": "message.a == args.a"}})
    first, second, third = (make_exchange(rules, a=value) for value in ("x", "x", "y"))
    for exchange in (first, second, third):
        index.add(exchange)
    index.discard(first)
    assert index.find(decode('{"a": "x"}')) == [second]
    index.discard(second)
    assert [index.find(decode(json.dumps({"a": value}))) for value in "xy"] == [[], [third]]
    index.discard(third)
    assert index.find(decode('{"a": "y"}')) == []


def test_exchanges_that_are_found_in_different_ways_are_in_the_order_of_opening():
    index = MatchIndex()
    matches = ("message.b == args.b", "message.a", "message.a == args.a", "message.b", "message.b == args.b")
    exchanges = [make_exchange(rules_of({"listen": True, "stream": {"match": match}}), a=1, b=2) for match in matches]
    for exchange in exchanges:
        index.add(exchange)
    assert index.find(decode('{"a": 1, "b": 2}')) == exchanges


def test_a_value_of_the_session_is_compared_as_it_is_when_the_message_comes():
    index = MatchIndex()
    exchange = make_exchange(rules_of({"listen": True, "stream": {"match": "message.a == session.channel"}}))
    exchange.scope["session"] = {"channel": "before"}
    index.add(exchange)
    message = decode('{"a": "after"}').with_session({"channel": "after"})
    assert index.find(message) == [exchange]
    assert index.find(decode('{"a": "before"}').with_session({"channel": "after"})) == []
