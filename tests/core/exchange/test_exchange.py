import pytest

from tests.core.exchange.test_dispatcher import Wire
from utcp_ws_mcp.core.codecs.message import Message
from utcp_ws_mcp.core.exchange.exchange import CloseInfo, EarlyMessages, correlation_id_at
from utcp_ws_mcp.core.exchange.reply_rules import Role

ITEM, ACK, END, IGNORED, ERROR = Role.ITEM, Role.ACK, Role.END, Role.IGNORED, Role.ERROR
RULES = {"reply": {"ack": "message.ack", "error": "message.error"}, "ignore": "message.noise"}
TWO_ENDS = ["message.one", "message.two"]

# name: `stream`, messages, their roles, how many are items, what ended the stream
STREAMS = {
    "an item": ({"until": "message.end"}, [{"n": 1}], [ITEM], 1, None),
    "an acknowledgement": ({"until": "message.end"}, [{"ack": 1}], [ACK], 0, None),
    "the end": ({"until": "message.end"}, [{"end": 1}], [END], 0, "until"),
    "the end is an item": ({"until": "message.end", "include_last": True}, [{"end": 1}], [END], 1, "until"),
    "the end is also an acknowledgement": ({"until": "message.end"}, [{"end": 1, "ack": 1}], [END], 0, "until"),
    "what is ignored is no end": ({"until": "message.end"}, [{"end": 1, "noise": 1}], [IGNORED], 0, None),
    "an error is no end": ({"until": "message.end"}, [{"end": 1, "error": 1}], [ERROR], 1, None),
    "one of two ends": ({"until": TWO_ENDS}, [{"one": 1}, {"n": 1}], [ACK, ITEM], 1, None),
    "one of two ends is an item": ({"until": TWO_ENDS, "include_last": True}, [{"one": 1}], [ITEM], 1, None),
    "one end twice": ({"until": TWO_ENDS}, [{"one": 1}, {"one": 1}], [ACK, ACK], 0, None),
    "both ends": ({"until": TWO_ENDS}, [{"two": 1}, {"one": 1}], [ACK, END], 0, "until"),
    "both ends at once": ({"until": TWO_ENDS}, [{"two": 1, "one": 1}], [END], 0, "until"),
    "max_items": ({"until": "message.end", "max_items": 1}, [{"n": 1}], [ITEM], 1, "max_items"),
    "the end is not counted": (
        {"until": "message.end", "max_items": 1},
        [{"ack": 1}, {"end": 1}],
        [ACK, END],
        0,
        "until",
    ),
    "one end is counted": (
        {"until": TWO_ENDS, "include_last": True, "max_items": 1},
        [{"one": 1}],
        [ITEM],
        1,
        "max_items",
    ),
    "max_items of more": ({"until": "message.end", "max_items": 2}, [{"n": 1}], [ITEM], 1, None),
    "max_bytes": ({"until": "message.end", "max_bytes": 8}, [{"n": 1}], [ITEM], 1, "max_bytes"),
    "max_bytes of several": ({"until": "message.end", "max_bytes": 16}, [{"n": 1}] * 2, [ITEM] * 2, 2, "max_bytes"),
    "max_bytes of more": ({"until": "message.end", "max_bytes": 17}, [{"n": 1}] * 2, [ITEM] * 2, 2, None),
}


@pytest.mark.parametrize(("stream", "messages", "roles", "items", "end"), STREAMS.values(), ids=STREAMS)
def test_a_message_of_a_stream_is_an_item_an_acknowledgement_or_the_end(stream, messages, roles, items, end):
    wire = Wire()
    exchange = wire.open({**RULES, "stream": stream})

    assert [wire.receive(message) for message in messages] == roles
    assert len(exchange.received) == items
    assert exchange.end == end
    assert exchange.finished is (end is not None or ERROR in roles)


@pytest.mark.parametrize(
    ("bounds", "kept"), [((3, 100), "cde"), ((9, 4), "de"), ((9, 1), "e")], ids=["count", "bytes", "one is kept"]
)
def test_early_messages_keep_the_newest_within_their_bounds_and_count_the_others(
    bounds: tuple[int, int], kept: str
) -> None:
    early = EarlyMessages(*bounds)
    for text in "abcde":
        early.add(Message(text * 2, text * 2))
    assert [message.raw[0] for message in early] == list(kept)
    assert early.dropped == 5 - len(kept)
    assert len(list(early.take())) == len(kept)
    assert list(early) == []


# --- bounds of early messages, as the documentation of streams says ---

SUBSCRIBING = {"reply": {"match": "message.id == request_id"}, "stream": {"match": "message.n is defined"}}


def test_sixty_four_messages_are_kept_until_the_reply_that_opens_a_stream_has_come():
    wire = Wire()
    exchange = wire.open(SUBSCRIBING)
    assert {wire.receive({"n": number}) for number in range(65)} == {Role.HELD}
    wire.receive({"id": 1})
    assert [message.value["n"] for message in exchange.received] == list(range(1, 65))
    assert exchange.early_messages.dropped == 1


@pytest.mark.parametrize(("last", "kept"), [(4 << 20, 4), ((4 << 20) + 1, 3)], ids=["16 MiB", "one byte more"])
def test_early_messages_have_at_most_sixteen_mebibytes(last, kept):
    early = EarlyMessages()
    for length in (*[4 << 20] * 3, last):
        early.add(Message("x" * length, None))
    assert (len(list(early)), early.dropped) == (kept, 4 - kept)


def test_early_messages_that_were_removed_count_no_more():
    early = EarlyMessages(max_count=9, max_bytes=4)
    for text in ("aaa", "b", "cc", "d"):
        early.add(Message(text, text))
    assert [message.raw for message in early] == ["b", "cc", "d"]


# --- opening a stream ---


def test_what_came_early_is_classified_as_if_it_came_after_the_reply():
    wire = Wire()
    stream = {"match": "message.of == reply.key", "until": "message.done", "item": "message.n"}
    exchange = wire.open({"reply": {"match": "message.id == request_id"}, "stream": stream})
    for value in ({"of": "a", "n": 1}, {"of": "b", "n": 2}, {"of": "a", "done": 1}, {"of": "a", "n": 3}):
        assert wire.receive(value) is Role.HELD
    assert wire.receive({"id": 1, "key": "a"}) is Role.REPLY
    assert [message.value for message in exchange.received] == [{"of": "a", "n": 1}]
    assert (exchange.end, exchange.finished, exchange.replied, len(wire.exchanges)) == ("until", True, True, 0)
    assert exchange.scope["reply"] == {"id": 1, "key": "a"}


def test_a_stream_of_which_only_later_messages_are_items_keeps_none():
    wire = Wire()
    exchange = wire.open({**SUBSCRIBING, "stream": {**SUBSCRIBING["stream"], "after_reply": True}})
    assert wire.receive({"n": 1}) is Role.DROPPED
    wire.receive({"id": 1})
    assert wire.receive({"n": 2}) is Role.ITEM
    assert [message.value for message in exchange.received] == [{"n": 2}]


def test_an_item_of_one_stream_may_be_an_early_one_of_another():
    wire = Wire()
    first = wire.open(SUBSCRIBING)
    wire.receive({"id": 1})
    second = wire.open(SUBSCRIBING)
    assert wire.receive({"n": 1}) is Role.ITEM
    assert wire.receive({"n": 2, "id": 9}) is Role.ITEM
    wire.receive({"id": 2})
    assert [len(each.received) for each in (first, second)] == [2, 2]


def test_the_reply_to_another_request_is_no_early_message():
    wire = Wire()
    call = wire.open({"reply": {"match": "message.id == request_id"}})
    stream = wire.open(SUBSCRIBING)
    assert wire.receive({"id": 1, "n": 1}) is Role.REPLY
    wire.receive({"id": 2})
    assert (call.finished, len(stream.received)) == (True, 0)


def test_a_refused_subscription_has_no_items():
    wire = Wire()
    exchange = wire.open({**SUBSCRIBING, "reply": {**SUBSCRIBING["reply"], "error": "message.error is defined"}})
    wire.receive({"n": 1})
    assert wire.receive({"id": 1, "error": 1}) is Role.ERROR
    assert (exchange.replied, exchange.finished, len(exchange.received)) == (False, True, 1)


# --- predicates that cannot be evaluated ---

FAILING = "message.text | from_json"
BROKEN = {"text": "{"}
FAILED_RULES = {
    "reply.error": ({"reply": {"error": FAILING}}, f"reply.error: the expression '{FAILING}' failed"),
    "reply.ack": ({"reply": {"ack": FAILING}}, f"reply.ack: the expression '{FAILING}' failed"),
    "ignore": ({"ignore": ["message.a", FAILING]}, f"ignore[1]: the expression '{FAILING}' failed"),
    "stream.until": (
        {"stream": {"until": ["message.a", FAILING]}},
        f"stream.until[1]: the expression '{FAILING}' failed",
    ),
}


@pytest.mark.parametrize(("rules", "reason"), FAILED_RULES.values(), ids=FAILED_RULES)
def test_a_message_that_a_rule_cannot_be_evaluated_on_is_an_error_that_names_the_rule(rules, reason):
    wire = Wire()
    exchange = wire.open(rules)
    assert wire.receive(BROKEN) is Role.ERROR
    assert exchange.failed_rule.startswith(reason)
    assert (exchange.finished, exchange.end, wire.woken(exchange)) == (True, None, 1)
    assert exchange.error is exchange.received[-1]
    assert exchange.error.value == BROKEN


def test_an_error_reply_and_an_ignored_message_need_no_other_rule():
    wire = Wire()
    exchange = wire.open({"reply": {"error": "message.error"}, "ignore": [FAILING, "message.noise"]})
    assert wire.receive({**BROKEN, "noise": 1}) is Role.IGNORED
    assert (exchange.finished, exchange.failed_rule, wire.woken(exchange)) == (False, "", 0)
    assert wire.receive({**BROKEN, "error": 1}) is Role.ERROR
    assert (exchange.finished, exchange.failed_rule) == (True, "")


UNREADABLE = {
    "a reply that opens a stream": (
        {"reply": {**SUBSCRIBING["reply"], "ack": FAILING}, "stream": SUBSCRIBING["stream"]},
        {},
    ),
    "the end of a stream": ({"stream": {"until": ["message.end", FAILING]}}, {"end": 1}),
    "an acknowledgement": ({"reply": {"ack": "message.ack"}, "ignore": FAILING}, {"ack": 1}),
}


@pytest.mark.parametrize(("rules", "fields"), UNREADABLE.values(), ids=UNREADABLE)
def test_the_caller_gets_the_message_that_cannot_be_classified_whatever_else_it_may_be(rules, fields):
    wire = Wire()
    exchange = wire.open(rules)
    assert wire.receive({**BROKEN, "id": 1, **fields}) is Role.ERROR
    assert exchange.received[-1] is exchange.error
    assert len(wire.exchanges) == 0


def test_a_rule_that_failed_on_one_message_does_not_fail_the_next_one():
    wire = Wire()
    exchange = wire.open({"ignore": [FAILING, "message.noise"]})
    assert wire.receive({**BROKEN, "noise": 1}) is Role.IGNORED
    assert wire.receive({"text": "0"}) is Role.REPLY
    assert exchange.error is None


# --- states ---

CLOSED_WELL = CloseInfo(1000, "bye")
COMPLETE = {
    "until": ({"until": "message.done"}, [{"done": 1}], None, True),
    "max_items": ({"until": "message.done", "max_items": 1}, [{"n": 1}], None, False),
    "still open": ({"until": "message.done"}, [{"n": 1}], None, False),
    "closed, with another end": ({"until": "message.done"}, [{"n": 1}], CLOSED_WELL, False),
    "closed, without another end": ({"match": "message.n"}, [{"n": 1}], CLOSED_WELL, True),
    "closed, as its end": ({"until": "message.done", "until_close": True}, [], CloseInfo(1006, ""), True),
    "closed, nothing came": ({"match": "message.n"}, [], CLOSED_WELL, False),
}


@pytest.mark.parametrize(("stream", "messages", "close", "complete"), COMPLETE.values(), ids=COMPLETE)
def test_a_stream_is_complete_if_it_ended_by_itself(stream, messages, close, complete):
    wire = Wire()
    exchange = wire.open({"listen": True, "stream": stream})
    for message in messages:
        wire.receive(message)
    if close is not None:
        wire.exchanges.connection_lost(close)
    assert exchange.is_complete is complete


def test_a_call_without_a_stream_is_no_complete_stream():
    wire = Wire()
    exchange = wire.open()
    wire.receive("reply")
    assert not exchange.is_complete


def test_expressions_see_the_captured_values_that_their_message_was_recognized_with():
    exchange = Wire().open()
    exchange.scope["session"] = {"now": 1}
    message = Message("x", "x")
    assert exchange.scope_for(message)["session"] == {"now": 1}
    scope = exchange.scope_for(message.with_session({"then": 2}))
    assert (scope["session"], scope["message"], exchange.scope["session"]) == ({"then": 2}, "x", {"now": 1})


def test_an_exchange_that_fails_is_finished_and_wakes_its_caller():
    wire = Wire()
    for fail, state in (
        (lambda each: each.fail("crashed"), ("crashed", False, False)),
        (lambda each: each.fail_unproven(), ("", True, False)),
        (lambda each: each.fail_flooded(), ("", False, True)),
    ):
        exchange = wire.open(SUBSCRIBING)
        assert (exchange.failure, exchange.is_unproven, exchange.is_flooded, exchange.finished) == (
            "",
            False,
            False,
            False,
        )
        fail(exchange)
        assert (exchange.failure, exchange.is_unproven, exchange.is_flooded) == state
        assert (exchange.finished, wire.woken(exchange)) == (True, 1)


def test_a_new_exchange_has_got_nothing():
    exchange = Wire().open({"stream": {"until": "message.done"}})
    assert (exchange.error_is_shared, exchange.sent, exchange.replied, exchange.until_seen) == (
        False,
        False,
        False,
        set(),
    )
    assert (exchange.item_count, exchange.byte_count, exchange.skipped, exchange.mistyped_id) == (0, 0, None, None)
    assert repr(exchange).find("wake") == -1


def test_items_are_counted_with_their_bytes():
    wire = Wire()
    exchange = wire.open({"stream": {"until": "message.done"}})
    for text in ("ab", "ü"):
        wire.receive(text)
    assert (exchange.item_count, exchange.byte_count) == (2, 4)


def test_what_was_ignored_or_confirmed_last_is_remembered_with_its_role():
    wire = Wire()
    exchange = wire.open(RULES)
    for value, role in (({"noise": 1}, IGNORED), ({"ack": 1}, ACK)):
        wire.receive(value)
        message, found = exchange.skipped
        assert (message.value, found) == (value, role)
    assert wire.woken(exchange) == 0


IDS = {
    "a number": ({"id": 1}, 1),
    "a whole float": ({"id": 2.0}, 2),
    "a fraction": ({"id": 1.5}, None),
    "infinity": ({"id": float("inf")}, None),
    "a text": ({"id": "1"}, "1"),
    "true": ({"id": True}, None),
    "null": ({"id": None}, None),
    "an array": ({"id": [1]}, None),
    "nothing": ({}, None),
    "no object": ("id", None),
}


@pytest.mark.parametrize(("value", "found"), IDS.values(), ids=IDS)
def test_a_correlation_id_is_a_whole_number_or_a_text(value, found):
    request_id = correlation_id_at(Message("", value), ("id",))
    assert (request_id, type(request_id)) == (found, type(found))


# --- what match demands beside the id ---

NO_METHOD = "message.id == request_id and message.method is not defined"
SAME_ROOM = "message.room == args.room and message.id == request_id"

BESIDE_ID = {
    "of the message alone": (NO_METHOD, {}, {}, Role.REPLY),
    "of the message alone, not": (NO_METHOD, {}, {"method": "m"}, Role.DROPPED),
    "of an argument": (SAME_ROOM, {"room": "a"}, {"room": "a"}, Role.REPLY),
    "of an argument, not": (SAME_ROOM, {"room": "a"}, {"room": "b"}, Role.DROPPED),
}


@pytest.mark.parametrize(("match", "args", "members", "role"), BESIDE_ID.values(), ids=BESIDE_ID)
def test_a_message_with_the_id_must_fit_the_rest_of_match(match, args, members, role):
    wire = Wire()
    wire.open({"reply": {"match": match}}, **args)

    assert wire.receive({"id": 1, **members}) is role


def test_a_rest_of_match_that_cannot_be_evaluated_is_noted_as_match():
    wire = Wire()
    exchange = wire.open({"reply": {"match": "message.id == request_id and message.n + 1 > 0"}})

    assert wire.receive({"id": 1, "n": "x"}) is Role.DROPPED
    ((source, _),) = exchange.scope.failures.items()
    assert exchange.rules.field_of(source) == "reply.match"
