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
