import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.message import decode
from utcp_ws_mcp.core.exchange.availability import SESSION_ENDED
from utcp_ws_mcp.core.exchange.dispatcher import Dispatcher
from utcp_ws_mcp.core.exchange.exchange import CloseInfo, Exchange
from utcp_ws_mcp.core.exchange.reply_rules import Role
from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.templates.nodes import RenderError
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import VariableResolver

FUZZ = settings(max_examples=200, deadline=None, database=None)
BY_ID = {"reply": {"match": "message.id == request_id"}}
BY_ID_AND_KIND = {"reply": {"match": "message.id == request_id and message.kind == 'answer'"}}
KIND_AND_BY_ID = {"reply": {"match": "message.kind == 'answer' and request_id == message.id"}}
BY_TOPIC = {"reply": {"match": "message.topic == 'r/' ~ request_id"}}
BY_KIND = {"reply": {"match": "message.kind == 'answer'"}}
STREAM = {"reply": {"match": "message.id == request_id"}, "stream": {"until": "message.done"}}


def rules_of(fields):
    document = [{"name": "m", "url": "wss://a.example/", "tools": [{"name": "t"}], **fields}]
    (entry,) = load_document(document, VariableResolver([]), "m.json", PurePath()).entries
    (plan,), _ = compile_entry(entry)
    return plan.rules


class Wire:
    """The exchanges of one connection, fed with values, and the wakes of each exchange counted.

    `unsent`: the field of each message that could not be rendered, and the reason.
    """

    def __init__(self, id_kind="counter"):
        numbers = itertools.count(1)
        self.unsent = []
        self.exchanges = Dispatcher(id_kind, lambda: f"uuid-{next(numbers)}", lambda *note: self.unsent.append(note))
        self.availability = self.exchanges.availability
        start, ticks = datetime(2030, 1, 1, tzinfo=UTC), itertools.count()
        self.ambient = Ambient(lambda: start + timedelta(seconds=next(ticks)), lambda n: next(ticks).to_bytes(n))
        self.wakes = {}

    def open(self, rules=None, **args):
        exchange = self.exchanges.open(rules_of(rules or {}), Scope(self.ambient, {"args": args}))
        self.wakes[id(exchange)] = 0
        exchange.wake = lambda: self.wakes.update({id(exchange): self.wakes[id(exchange)] + 1})
        return exchange

    def receive(self, value):
        return self.exchanges.receive(decode(value if isinstance(value, str | bytes) else json.dumps(value)))

    def woken(self, exchange):
        return self.wakes[id(exchange)]


def received_by(exchange):
    return [message.value for message in exchange.received]


# --- correlation ids ---


@pytest.mark.parametrize(
    ("kind", "ids"),
    [("counter", [1, 2, 3]), ("string_counter", ["1", "2", "3"]), ("uuid", ["uuid-1", "uuid-2", "uuid-3"])],
)
def test_ids_are_given_in_the_order_of_opening(kind, ids):
    wire = Wire(kind)
    exchanges = [wire.open(BY_ID) for _ in range(3)]

    assert [exchange.request_id for exchange in exchanges] == ids
    assert [exchange.scope["request_id"] for exchange in exchanges] == ids


def test_an_argument_cannot_set_the_correlation_id():
    exchange = Wire().open(BY_ID, request_id=99)

    assert exchange.scope["request_id"] == 1


def test_counter_counts_on_the_connection():
    wire = Wire()
    first, second = wire.open(), wire.open()

    assert [first.scope["counter"](), second.scope["counter"](), first.scope["counter"]()] == [1, 2, 3]


ANSWERS = {
    "the id": (BY_ID, {"id": 1}, True),
    "a text of the id": (BY_ID, {"id": "1"}, False),
    "true": (BY_ID, {"id": True}, False),
    "another id": (BY_ID, {"id": 2}, False),
    "no id": (BY_ID, {"jd": 1}, False),
    "an id that is an object": (BY_ID, {"id": {"id": 1}}, False),
    "an id that is an array": (BY_ID, {"id": [1]}, False),
    "a text": (BY_ID, "id 1", False),
    "an array": (BY_ID, [1], False),
    "a number": (BY_ID, "1", False),
    "bytes": (BY_ID, b'{"id": 1}', False),
    "the id and its kind": (BY_ID_AND_KIND, {"id": 1, "kind": "answer"}, True),
    "the id and another kind": (BY_ID_AND_KIND, {"id": 1, "kind": "event"}, False),
    "a kind and the id": (KIND_AND_BY_ID, {"id": 1, "kind": "answer"}, True),
    "another kind and the id": (KIND_AND_BY_ID, {"id": 1, "kind": "event"}, False),
    "true and its kind": (KIND_AND_BY_ID, {"id": True, "kind": "answer"}, False),
    "a text of the id and its kind": (KIND_AND_BY_ID, {"id": "1", "kind": "answer"}, False),
    "a topic": (BY_TOPIC, {"topic": "r/1"}, True),
    "another topic": (BY_TOPIC, {"topic": "r/11"}, False),
    "the kind": (BY_KIND, {"kind": "answer"}, True),
    "another kind alone": (BY_KIND, {"kind": "event"}, False),
    "anything": ({}, {"any": "thing"}, True),
    "any text": ({}, "text", True),
}


@pytest.mark.parametrize(("rules", "value", "answers"), ANSWERS.values(), ids=ANSWERS)
def test_a_message_answers_the_exchange_that_it_matches_or_is_dropped(rules, value, answers):
    wire = Wire()
    exchange = wire.open(rules)

    assert wire.receive(value) is (Role.REPLY if answers else Role.DROPPED)
    assert exchange.finished is answers
    assert len(exchange.received) == wire.woken(exchange) == int(answers)
    assert wire.exchanges.dropped == int(not answers)
    assert len(wire.exchanges) == int(not answers)


def test_an_id_of_text_is_not_answered_by_its_number():
    wire = Wire("string_counter")
    exchange = wire.open(BY_ID)

    assert wire.receive({"id": 1}) is Role.DROPPED
    assert wire.receive({"id": "1"}) is Role.REPLY
    assert received_by(exchange) == [{"id": "1"}]


def test_replies_in_any_order_reach_their_exchanges():
    wire = Wire()
    exchanges = [wire.open(BY_ID) for _ in range(3)]

    for request_id in (3, 1, 2):
        wire.receive({"id": request_id, "n": request_id})

    assert [received_by(exchange) for exchange in exchanges] == [[{"id": n, "n": n}] for n in (1, 2, 3)]


def test_exchanges_with_ids_in_different_places_stand_side_by_side():
    wire = Wire()
    one, two = wire.open(BY_ID), wire.open({"reply": {"match": "message.meta.id == request_id"}})
    three = wire.open(BY_TOPIC)

    assert [wire.receive(value) for value in ({"topic": "r/3"}, {"meta": {"id": 2}}, {"id": 1})] == [Role.REPLY] * 3
    assert [received_by(each) for each in (one, two, three)] == [[{"id": 1}], [{"meta": {"id": 2}}], [{"topic": "r/3"}]]


# --- the decision table of the module ---

WATCHING = {"listen": True, "stream": {"match": "message.topic == 'a'"}}
WATCHING_TOO = {"listen": True, "stream": {"match": "message.topic is defined"}}
PONG = {"auto_reply": [{"match": "message.ping is defined", "send": {"pong": 1}}]}
ANSWERING = {"tools": [{"name": "t", "tool_call_template": PONG}]}
SUBSCRIBING = {"reply": {"match": "message.id == request_id"}, "stream": {"match": "message.topic == 'a'"}}
FAILING = {"reply": {"match": "message.id == request_id", "error": "message.error is defined"}}
WATCHING_ERRORS = {**WATCHING, "reply": {"error": "message.error is defined"}}

# name: rules of the exchanges in the order of opening, a message, its role, which exchanges get it, whether the
# connection is reusable afterwards.
DECISIONS = {
    "auto_reply, exclusive": ([ANSWERING], {"ping": 1}, Role.AUTO_REPLIED, [], True),
    "auto_reply, multiplexed": ([{**BY_ID, **ANSWERING}], {"ping": 1, "id": 1}, Role.AUTO_REPLIED, [], True),
    "the id": ([BY_ID, BY_ID], {"id": 2}, Role.REPLY, [2], True),
    "the id, and a stream": ([WATCHING, BY_ID], {"id": 2, "topic": "a"}, Role.REPLY, [1, 2], True),
    "the id of an error reply, and a stream": (
        [WATCHING_ERRORS, FAILING],
        {"id": 2, "topic": "a", "error": 1},
        Role.ERROR,
        [2],
        True,
    ),
    "match of one, exclusive": ([BY_KIND], {"kind": "answer"}, Role.REPLY, [1], True),
    "match of two": ([BY_KIND, BY_KIND], {"kind": "answer"}, Role.REPLY, [1], True),
    "match, and a stream": ([WATCHING, BY_TOPIC], {"topic": "r/2"}, Role.REPLY, [2], True),
    "match and the id": ([BY_TOPIC, BY_ID], {"topic": "r/1", "id": 2}, Role.REPLY, [2], True),
    "streams": ([WATCHING, WATCHING_TOO, WATCHING_ERRORS], {"topic": "a"}, Role.ITEM, [1, 2, 3], True),
    "a stream, but no match": ([{}, WATCHING], {"topic": "a"}, Role.ITEM, [2], True),
    "no match": ([{}, WATCHING], {"topic": "b"}, Role.REPLY, [1], True),
    "nothing, multiplexed": ([BY_ID, WATCHING], {"id": 9}, Role.DROPPED, [], True),
    "nothing, exclusive with match": ([BY_KIND], {"kind": "event"}, Role.DROPPED, [], True),
    "nothing, but a subscription is awaited": ([SUBSCRIBING], {"topic": "a"}, Role.HELD, [], True),
}


@pytest.mark.parametrize(("rules", "message", "role", "got", "reusable"), DECISIONS.values(), ids=DECISIONS)
def test_the_decision_table_says_which_exchanges_get_a_message(rules, message, role, got, reusable):
    wire = Wire()
    exchanges = [wire.open(each) for each in rules]

    assert wire.receive(message) is role
    assert [number for number, exchange in enumerate(exchanges, 1) if exchange.received] == got
    assert wire.availability.reusable is reusable


@pytest.mark.parametrize(("kind", "ids"), [("counter", [1, 2, 2]), ("string_counter", ["1", "2", "2"])])
def test_a_request_that_was_not_sent_leaves_its_number_to_the_next(kind, ids):
    wire = Wire(kind)
    first, unsent = wire.open(BY_ID), wire.open(BY_ID)
    wire.exchanges.take_back(unsent)
    assert [first.request_id, unsent.request_id, wire.open(BY_ID).request_id] == ids
    assert unsent.finished


@pytest.mark.parametrize("kind", ["counter", "string_counter", "uuid"])
def test_a_request_that_was_not_sent_leaves_what_counter_returned_to_the_next(kind):
    wire, rules = Wire(kind), {"let": {"first": "counter()", "id": "next_id()", "second": "counter()"}}
    wire.open(rules)
    unsent = wire.open(rules)
    assert (unsent.scope["let"]["first"], unsent.scope["let"]["second"], unsent.scope["counter"]()) == (3, 4, 5)
    wire.exchanges.take_back(unsent)
    assert wire.open(rules).scope["let"]["first"] == 3


def test_a_request_whose_values_cannot_be_computed_leaves_what_counter_returned_to_the_next():
    wire = Wire()
    with pytest.raises(RenderError):
        wire.open({"let": {"serial": "counter()", "n": "args.text | from_json"}}, text="{")
    assert wire.open(BY_ID).scope["counter"]() == 1


def test_a_request_whose_values_cannot_be_computed_takes_no_number():
    wire = Wire()
    with pytest.raises(RenderError):
        wire.open({"let": {"n": "args.text | from_json"}}, text="{")
    assert wire.open(BY_ID).request_id == 1


def test_a_reply_with_an_id_is_compared_with_no_exchange(monkeypatch):
    compared = []
    wire = Wire()
    exchanges = [wire.open(BY_ID) for _ in range(100)]
    monkeypatch.setattr(Exchange, "matches", lambda exchange, message: compared.append(exchange))

    assert wire.receive({"id": 50}) is Role.REPLY
    assert exchanges[49].finished
    assert compared == []


# --- late, doubled, foreign ---


def test_a_late_reply_after_a_timeout_is_dropped():
    wire = Wire()
    late, waiting = wire.open(BY_ID), wire.open(BY_ID)
    wire.exchanges.cancel(late)

    assert wire.receive({"id": 1}) is Role.DROPPED
    assert received_by(late) == []
    assert not waiting.finished
    assert (wire.exchanges.dropped, wire.availability.incomplete, wire.availability.reusable) == (1, 1, True)


def test_the_second_of_two_equal_replies_is_dropped():
    wire = Wire()
    exchange = wire.open(BY_ID)

    assert [wire.receive({"id": 1}), wire.receive({"id": 1})] == [Role.REPLY, Role.DROPPED]
    assert received_by(exchange) == [{"id": 1}]
    assert wire.woken(exchange) == 1


def test_a_request_that_was_not_sent_leaves_nothing_behind():
    wire = Wire()
    exchange = wire.open()
    wire.exchanges.discard(exchange)

    assert exchange.finished
    assert len(wire.exchanges) == 0
    assert (wire.availability.incomplete, wire.availability.reusable) == (0, True)


def test_abandoning_a_finished_exchange_changes_nothing():
    wire = Wire()
    exchange = wire.open()
    wire.receive("reply")
    wire.exchanges.cancel(exchange)

    assert (wire.availability.incomplete, wire.availability.reusable) == (0, True)


def test_what_an_exchange_ignores_reaches_no_other_exchange():
    wire = Wire()
    exchange = wire.open({"ignore": "message == 'PING'"})

    assert wire.receive("PING") is Role.IGNORED
    assert not exchange.finished
    assert wire.receive("reply") is Role.REPLY
    assert wire.receive("PING") is Role.IGNORED
    assert (received_by(exchange), wire.exchanges.dropped, wire.woken(exchange)) == (["reply"], 0, 1)


def test_an_acknowledgement_leaves_the_exchange_open():
    wire = Wire()
    exchange = wire.open({"reply": {"match": "message.id == request_id", "ack": "message.ack"}})

    assert wire.receive({"id": 1, "ack": True}) is Role.ACK
    assert not exchange.finished
    assert wire.receive({"id": 1}) is Role.REPLY
    assert received_by(exchange) == [{"id": 1}]


def test_a_failure_settles_the_exchange_as_one():
    wire = Wire()
    exchange = wire.open({"reply": {"match": "message.id == request_id", "error": "message.error is defined"}})

    assert wire.receive({"id": 1, "error": "no"}) is Role.ERROR
    assert (exchange.finished, bool(exchange.error), received_by(exchange)) == (True, True, [{"id": 1, "error": "no"}])


# --- streams ---


def run_stream(messages, **bounds):
    wire = Wire()
    exchange = wire.open({**STREAM, "stream": {"until": "message.done", **bounds}})
    roles = [wire.receive({"id": 1, **message}) for message in messages]
    return exchange, roles, wire


ITEM, END, DROPPED = Role.ITEM, Role.END, Role.DROPPED
STREAMS = {
    "until": ({}, [{"n": 1}, {"n": 2}, {"done": 1}, {"n": 3}], [ITEM, ITEM, END, DROPPED], 2, "until"),
    "with its last message": ({"include_last": True}, [{"n": 1}, {"done": 1}], [ITEM, END], 2, "until"),
    "at once": ({}, [{"done": 1}], [END], 0, "until"),
    "max_items": ({"max_items": 2}, [{"n": 1}, {"n": 2}, {"n": 3}], [ITEM, ITEM, DROPPED], 2, "max_items"),
    "max_bytes": ({"max_bytes": 20}, [{"n": 1}, {"n": 2}, {"n": 3}], [ITEM, ITEM, DROPPED], 2, "max_bytes"),
    "the end before the limit": ({"max_items": 2}, [{"n": 1}, {"done": 1}], [ITEM, END], 1, "until"),
    "the last message beyond the limit": (
        {"max_items": 1, "include_last": True},
        [{"done": 1}],
        [END],
        1,
        "until",
    ),
}


@pytest.mark.parametrize(("bounds", "messages", "roles", "items", "end"), STREAMS.values(), ids=STREAMS)
def test_a_stream_ends_where_it_should(bounds, messages, roles, items, end):
    exchange, found, wire = run_stream(messages, **bounds)

    assert found == roles
    assert (len(exchange.received), exchange.item_count, exchange.end, exchange.finished) == (items, items, end, True)
    assert len(wire.exchanges) == 0


def test_a_stream_that_goes_on_has_no_end():
    exchange, _, wire = run_stream([{"n": 1}, {"n": 2}])

    assert (exchange.finished, exchange.end, bool(exchange.error)) == (False, None, False)
    assert wire.woken(exchange) == 2


def test_a_failure_ends_a_stream_and_is_no_item():
    wire = Wire()
    exchange = wire.open(
        {
            "reply": {"match": "message.id == request_id", "error": "message.error is defined"},
            "stream": True,
        }
    )
    roles = [wire.receive({"id": 1}), wire.receive({"id": 1, "error": "no"})]

    assert roles == [Role.ITEM, Role.ERROR]
    assert (exchange.finished, bool(exchange.error), exchange.end, exchange.item_count) == (True, True, None, 1)


WATCH = {"listen": True, "stream": {"match": "message.said is defined"}}


def test_an_event_that_is_also_the_reply_to_a_request_reaches_both():
    wire = Wire()
    watch, say = wire.open(WATCH), wire.open({"reply": {"match": "message.label == '' ~ request_id"}})

    assert wire.receive({"said": "hi", "label": "2"}) is Role.REPLY
    assert (received_by(watch), received_by(say)) == ([{"said": "hi", "label": "2"}], [{"said": "hi", "label": "2"}])
    assert (watch.finished, say.finished) == (False, True)


@pytest.mark.parametrize("reply", [BY_ID, BY_ID_AND_KIND])
def test_an_event_that_answers_a_request_by_its_id_is_an_item_of_the_streams_that_watch_it_too(reply):
    wire = Wire()
    watch, say, other = wire.open(WATCH), wire.open(reply), wire.open(reply)
    event = {"said": "hi", "id": 2, "kind": "answer"}
    assert wire.receive(event) is Role.REPLY
    assert (received_by(watch), received_by(say), received_by(other)) == ([event], [event], [])
    assert (watch.finished, say.finished) == (False, True)


def test_an_event_is_no_reply_to_a_request_that_takes_any_message():
    wire = Wire()
    watch, ask = wire.open(WATCH), wire.open()

    assert wire.receive({"said": "hi"}) is Role.ITEM
    assert (len(watch.received), len(ask.received)) == (1, 0)


def test_max_bytes_counts_bytes():
    wire = Wire()
    exchange = wire.open({"stream": {"until": "message.done", "max_bytes": 20}})
    wire.receive("ü" * 10)

    assert exchange.end == "max_bytes"


# --- the end of the connection ---

CLOSES = {
    "a reply is lost, normally": ({}, 1000, None, True),
    "a reply is lost, going away": ({}, 1001, None, True),
    "a reply is lost without a close": ({}, 1006, None, True),
    "a stream ends, normally": (STREAM, 1000, "closed", False),
    "a stream ends, going away": (STREAM, 1001, "closed", False),
    "a stream is lost without a close": (STREAM, 1006, None, True),
    "a stream is lost by an error": (STREAM, 1011, None, True),
    "a stream is lost by a restart": (STREAM, 1012, None, True),
    "a stream is lost without a code": (STREAM, 1005, None, True),
}


@pytest.mark.parametrize(("rules", "code", "end", "lost"), CLOSES.values(), ids=CLOSES)
def test_a_connection_that_closes_settles_every_exchange(rules, code, end, lost):
    wire = Wire()
    exchange = wire.open(rules)
    before = 0
    if rules is STREAM:
        wire.receive({"id": exchange.request_id, "n": 1})
        before = wire.woken(exchange)
    close = CloseInfo(code, "closed")
    wire.exchanges.connection_lost(close)

    assert exchange.finished
    assert (exchange.end, exchange.close_info) == (end, close if lost else None)
    assert wire.woken(exchange) == before + 1
    assert (len(wire.exchanges), wire.availability.reusable) == (0, False)


@pytest.mark.parametrize("code", [1000, 1001])
def test_a_stream_of_which_nothing_came_before_the_close_is_lost(code):  # found by seed 3487 of reliability.simulated
    wire = Wire()
    exchange = wire.open(STREAM)
    wire.exchanges.connection_lost(CloseInfo(code, "closed"))

    assert (exchange.end, exchange.close_info) == (None, CloseInfo(code, "closed"))


def test_a_reply_before_the_close_is_kept():
    wire = Wire()
    answered, waiting = wire.open(BY_ID), wire.open(BY_ID)
    wire.receive({"id": 1})
    wire.exchanges.connection_lost(CloseInfo(1006, "gone"))

    assert (answered.close_info, received_by(answered)) == (None, [{"id": 1}])
    assert waiting.close_info == CloseInfo(1006, "gone")
    assert wire.woken(answered) == 1


def test_items_before_the_close_are_kept():
    exchange, _, wire = run_stream([{"n": 1}, {"n": 2}])
    wire.exchanges.connection_lost(CloseInfo(1006, "gone"))

    assert exchange.item_count == len(exchange.received) == 2


def test_exchanges_show_how_they_stand():
    wire = Wire()
    wire.open(BY_ID)
    wire.receive({"id": 9})

    assert repr(wire.exchanges) == "<Dispatcher pending=1 dropped=1 reusable=True>"


# --- any order of events ---

operations = st.lists(
    st.tuples(st.sampled_from(["open", "reply", "duplicate", "foreign", "abandon", "close"]), st.integers(0, 7)),
    max_size=30,
)
FOREIGN = [{"id": 99}, {"id": "1"}, {"id": True}, {}, "text", [1], {"id": None}, {"kind": "answer"}]


@FUZZ
@given(
    operations,
    st.lists(st.sampled_from([BY_ID, BY_ID_AND_KIND, KIND_AND_BY_ID, BY_TOPIC]), min_size=8, max_size=8),
    st.sampled_from(["counter", "string_counter", "uuid"]),
)
def test_a_reply_reaches_only_its_own_exchange_and_settles_it_once(steps, kinds, id_kind):
    wire = Wire(id_kind)
    opened, answered, abandoned, received, closed = [], set(), set(), 0, False
    for step, number in steps:
        exchange = opened[number] if number < len(opened) else None
        if step == "open" and len(opened) < len(kinds) and not closed:
            opened.append(wire.open(kinds[len(opened)]))
        elif step in ("reply", "duplicate") and exchange is not None:
            if number not in answered | abandoned and not closed:
                answered.add(number)
            for _ in range(2 if step == "duplicate" else 1):
                wire.receive(answer_to(exchange, number))
                received += 1
        elif step == "foreign" and id_kind != "string_counter":
            wire.receive(FOREIGN[number])
            received += 1
        elif step == "abandon" and exchange is not None:
            wire.exchanges.cancel(exchange)
            abandoned |= {number} - answered if not closed else set()
        elif step == "close":
            wire.exchanges.connection_lost(CloseInfo(1006, "gone"))
            closed = True

    for number, exchange in enumerate(opened):
        assert received_by(exchange) == ([answer_to(exchange, number)] if number in answered else [])
        assert exchange.finished is (closed or number in answered | abandoned)
        assert wire.woken(exchange) <= 1
        assert (exchange.close_info is not None) is (closed and number not in answered | abandoned)
    assert wire.exchanges.dropped == received - len(answered)
    assert wire.availability.incomplete == len(abandoned)
    assert len(wire.exchanges) == sum(not exchange.finished for exchange in opened)


def answer_to(exchange, number):
    return {"id": exchange.request_id, "kind": "answer", "topic": f"r/{exchange.request_id}", "number": number}


@FUZZ
@given(st.lists(st.sampled_from(["call", "reply", "event", "abandon", "late"]), max_size=40))
def test_a_connection_that_an_exchange_owns_never_gives_it_the_reply_to_another(steps):
    """The endpoint answers in the order of requests; the pool opens an exchange on an idle, reusable one only."""
    wire, unanswered, current, served = Wire(), [], None, {}
    for step in steps:
        if step == "call" and (current is None or current.finished):
            if not wire.availability.reusable:
                wire, unanswered = Wire(), []
            current = wire.open()
            served[id(current)] = (current, len(served))
            unanswered.append(len(served) - 1)
        elif step in ("reply", "late") and unanswered:
            wire.receive({"to": unanswered.pop(0)})
        elif step == "event" and (current is None or current.finished):
            wire.receive({"event": 1})
        elif step == "abandon" and current is not None:
            wire.exchanges.cancel(current)

    for exchange, number in served.values():
        assert received_by(exchange) in ([], [{"to": number}])


# --- counts, numbers and what is sent ---


def test_exchanges_and_dropped_messages_are_counted():
    wire = Wire()
    assert (wire.exchanges.opened, wire.exchanges.dropped, wire.exchanges.lost, wire.availability.incomplete) == (
        0,
        0,
        0,
        0,
    )
    for _ in range(2):
        wire.open(BY_ID)
    for _ in range(2):
        wire.receive({"id": 9})
    assert (wire.exchanges.opened, wire.exchanges.dropped) == (2, 2)
    assert [each.request_id for each in wire.exchanges.pending()] == [1, 2]


def test_an_exchange_knows_how_many_messages_came_before_it_apart_from_the_greeting():
    wire = Wire()
    wire.receive("hello")
    first = wire.open(BY_ID)
    wire.receive({"id": 1})
    assert (first.opened_after, wire.open(BY_ID).opened_after) == (-1, 2)


@pytest.mark.parametrize(("kind", "ids"), [("counter", [1, 2, 3]), ("string_counter", ["1", "2", "3"])])
def test_a_further_id_is_of_the_same_kind(kind, ids):
    wire = Wire(kind)
    first = wire.open(BY_ID)
    assert [first.request_id, first.scope["next_id"](), wire.open(BY_ID).request_id] == ids


def test_a_request_with_a_uuid_that_was_not_sent_gives_nothing_back():
    wire = Wire("uuid")
    unsent = wire.open(BY_ID)
    wire.exchanges.take_back(unsent)
    assert (unsent.finished, wire.open(BY_ID).request_id) == (True, "uuid-2")


def test_a_stream_whose_bound_cannot_be_computed_takes_no_number():
    wire = Wire()
    with pytest.raises(RenderError):
        wire.open({"stream": {"until": "message.done", "max_items": "args.n"}}, n=0)
    assert (wire.open(BY_ID).request_id, len(wire.exchanges)) == (1, 1)


def test_a_bound_of_a_stream_is_that_of_its_arguments():
    wire = Wire()
    exchange = wire.open({"stream": {"until": "message.done", "max_items": "args.n"}}, n=2)
    assert [wire.receive("a"), wire.receive("b")] == [Role.ITEM, Role.ITEM]
    assert exchange.end == "max_items"


ASKED = [{"match": "message.ask", "send": {"answer": "{{ message.ask }}"}}, {"match": "message.ask", "send": "second"}]


def asking(*replies, **fields):
    return {"tools": [{"name": "t", "tool_call_template": {"auto_reply": list(replies)}}], **fields}


@pytest.mark.parametrize("keep", [False, True])
def test_the_first_rule_that_matches_answers_and_may_keep_the_message(keep):
    wire = Wire()
    exchange, other = wire.open(asking({**ASKED[0], "keep": keep}, ASKED[1], **BY_KIND)), wire.open(asking(*ASKED))
    assert wire.receive({"ask": 1, "kind": "answer"}) is (Role.REPLY if keep else Role.AUTO_REPLIED)
    assert wire.exchanges.outbox == [("auto_reply", {"answer": 1})]
    assert (exchange.sent, exchange.finished, other.sent, other.finished) == (True, keep, False, False)


def test_a_finished_exchange_answers_no_more():
    wire = Wire()
    wire.open(asking(*ASKED))
    assert [wire.receive("reply"), wire.receive({"ask": 1})] == [Role.REPLY, Role.DROPPED]
    assert wire.exchanges.outbox == []


def test_an_answer_that_cannot_be_rendered_is_reported_and_the_message_counts_as_answered():
    wire = Wire()
    exchange = wire.open(asking({"match": "message.ask", "send": "{{ message.text | from_json }}"}))
    assert wire.receive({"ask": 1, "text": "{"}) is Role.AUTO_REPLIED
    assert (exchange.sent, exchange.finished, wire.exchanges.outbox) == (False, False, [])
    [(field, reason)] = wire.unsent
    assert field == "auto_reply"
    assert "from_json" in reason


def test_messages_wait_for_no_stream_when_their_exchange_has_ended():
    wire = Wire()
    exchange = wire.open(SUBSCRIBING)
    wire.exchanges.discard(exchange)
    assert wire.receive({"topic": "a"}) is Role.DROPPED


# --- when a connection takes no further exchange ---


def test_a_failure_of_the_session_settles_every_exchange_with_its_reason():
    wire = Wire()
    exchanges = [wire.open(BY_ID), wire.open(WATCHING)]
    assert (wire.exchanges.failure, wire.exchanges.failure_reported) == ("", False)
    wire.exchanges.fail_all("crashed")
    assert [(each.failure, each.finished) for each in exchanges] == [("crashed", True)] * 2
    assert (wire.exchanges.failure, wire.exchanges.failure_reported) == ("crashed", True)
    assert (wire.availability.unusable_reason, wire.availability.reusable) == (SESSION_ENDED, False)
    assert len(wire.exchanges) == 0
    wire.exchanges.fail_all("again")
    assert (wire.exchanges.failure, wire.exchanges.failure_reported) == ("again", False)


def test_exchanges_that_the_end_of_the_connection_settles_are_counted():
    wire = Wire()
    for rules in (BY_ID, BY_ID, WATCHING):
        wire.open(rules)
    wire.receive({"id": 1})
    wire.exchanges.connection_lost(CloseInfo(1006, "gone"))
    assert (wire.exchanges.lost, wire.availability.reusable, wire.exchanges.dropped) == (2, False, 0)


def test_a_stream_that_ended_early_is_remembered_and_the_oldest_of_many_is_forgotten():
    wire = Wire()
    streams = [wire.open(WATCHING) for _ in range(9)]
    call = wire.open(BY_ID)
    for exchange in (*streams, call):
        wire.exchanges.cancel(exchange)
    assert list(wire.exchanges.ended_streams) == streams[1:]


def test_a_stream_that_the_endpoint_ended_is_not_remembered():
    _, _, wire = run_stream([{"done": 1}])
    assert list(wire.exchanges.ended_streams) == []
    _, _, wire = run_stream([{"n": 1}], max_items=1)
    assert len(wire.exchanges.ended_streams) == 1


def test_a_watched_stream_that_a_limit_ends_leaves_the_connection_to_others():
    wire = Wire()
    wire.open({"listen": True, "stream": {"match": "message.n is defined", "max_items": 1}})
    assert wire.receive({"n": 1}) is Role.ITEM
    assert (wire.availability.incomplete, wire.availability.reusable) == (0, True)
    assert wire.availability.unusable_reason == ""


# --- heartbeats ---

TAKES = {
    "a request selects it": ([BY_KIND], {"kind": "answer"}, True),
    "a request selects something else": ([BY_KIND], {"kind": "pong"}, False),
    "a request takes anything": ([{}], {"kind": "pong"}, False),
    "a stream watches it": ([WATCHING], {"topic": "a"}, False),
    "a request has its id": ([BY_ID], {"id": 1}, True),
    "nothing waits": ([], {"id": 1}, False),
}


@pytest.mark.parametrize(("rules", "message", "takes"), TAKES.values(), ids=TAKES)
def test_a_request_takes_the_answer_to_a_heartbeat_if_its_match_says_so(rules, message, takes):
    wire = Wire()
    for each in rules:
        wire.open(each)
    assert wire.exchanges.takes_heartbeat_reply(decode(json.dumps(message))) is takes
