"""What is inferred about replies: results, errors, acknowledgements, streams, subscriptions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recorder.conversations import conversation, exchange, received
from utcp_ws_mcp.recorder.correlation import Conversation, CorrelationIds, RecordedExchange
from utcp_ws_mcp.recorder.messages import Mark, RecordedMessage
from utcp_ws_mcp.recorder.replies import (
    MAX_IGNORED,
    error_rules,
    find_errors,
    infer_reply_rules,
    subscribes,
    take_acknowledgements,
    tool_rules,
)

IDS = CorrelationIds(("id",), ("re",), "counter")
ERROR = {"error": "message.error is defined and message.error"}


def talk(
    *exchanges: RecordedExchange, ids: CorrelationIds | None = None, unsolicited: tuple[Any, ...] = ()
) -> Conversation:
    return Conversation(None, exchanges, received(*unsolicited), ids)


ERRORS: dict[str, tuple[Any, Any]] = {
    "an object": ({"error": {"code": 1}}, {**ERROR, "error_message": "message.error"}),
    "an object with a text": ({"error": {"reason": "no"}}, {**ERROR, "error_message": "message.error.reason"}),
    "the most usual text first": (
        {"error": {"reason": "no", "message": "no"}}, {**ERROR, "error_message": "message.error.message"},
    ),
    "a text that is a number": ({"error": {"message": 5}}, {**ERROR, "error_message": "message.error"}),
    "a text": ({"error": "no"}, {**ERROR, "error_message": "message.error"}),
    "a number": ({"error": 0}, None),
    "no error": ({"error": None}, None),
    "false": ({"error": False}, None),
    "an empty text": ({"error": ""}, None),
    "a kind": ({"type": "error"}, {"error": "message.type == 'error'"}),
    "a kind in capital letters": ({"op": "ERR", "msg": "no"}, {
        "error": "message.op == 'ERR'", "error_message": "message.msg",
    }),
    "a kind below": ({"header": {"type": "failure"}}, {"error": "message.header.type == 'failure'"}),
    "another kind": ({"type": "errors"}, None),
    "no success": ({"success": False, "reason": "no"}, {
        "error": "message.success == false", "error_message": "message.reason",
    }),
    "not ok": ({"ok": False}, {"error": "message.ok == false"}),
    "success": ({"success": True, "ok": True}, None),
    "success that is a number": ({"success": 0}, None),
    "a code": ({"error_code": 5}, {"error": "message.error_code"}),
    "a list of errors": ({"errors": [1]}, {"error": "message.errors"}),
    "an empty list of errors": ({"errors": []}, None),
    "a status": ({"status": 400}, {"error": "message.status >= 400"}),
    "a high status": ({"code": 599, "data": {"details": "no"}}, {
        "error": "message.code >= 400", "error_message": "message.data.details",
    }),
    "a low status": ({"status": 399}, None),
    "a number that is no status": ({"code": 600}, None),
    "a status that is a text": ({"status": "404"}, None),
    "a text in what holds the result": ({"ok": False, "payload": {"text": "no"}}, {
        "error": "message.ok == false", "error_message": "message.payload.text",
    }),
    "the text at the root first": ({"ok": False, "result": {"msg": "a"}, "detail": "b"}, {
        "error": "message.ok == false", "error_message": "message.detail",
    }),
    "a word in a list": ([3, "ERROR", "x"], {"error": "message[1] == 'ERROR'"}),
    "a word as the third item": ([3, 1, "err"], {"error": "message[2] == 'err'"}),
    "a word as the fourth item": ([3, 1, 2, "error"], None),
    "a list": ([3, "ok"], None),
    "text that says so": ("error", None),
    "an object without any": ({"n": 1}, None),
}  # fmt: skip


@pytest.mark.parametrize(("value", "rules"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_recognized_by_its_fields(value: Any, rules: Any) -> None:
    assert error_rules(value) == rules


def test_errors_are_those_that_are_marked_and_their_kind_and_what_looks_like_one() -> None:
    replies = conversation(
        '< {"error": "no"}', '<X {"type": "refused"}', '< {"type": "refused", "n": 2}', '< {"type": "fine"}',
        '<R {"error": "marked as a reply"}', '< {"n": 1}', '<X {"n": 2}',
    )  # fmt: skip
    assert find_errors(replies) == [replies[index] for index in (1, 6, 0, 2)]


SUBSCRIPTIONS: dict[str, tuple[Any, bool]] = {
    "a text": ("SUBSCRIBE news", True),
    "a word of a text": ("please watch news", True),
    "a text without one": ("GET news", False),
    "the end of a word": ("unsubscribe", False),
    "a value": ({"op": "sub", "n": 1}, True),
    "a value below": ({"op": {"do": "listen"}}, True),
    "a key": ({"id": 1, "follow": {"a": 1}}, True),
    "a key with words": ({"entity/observe": 1}, True),
    "a method with words": ({"method": "eth.monitor"}, True),
    "a method with an underscore": ({"method": "eth_stream"}, True),
    "a method with a colon": ({"method": "a:join"}, True),
    "an item of a list": ([1, "JOIN"], True),
    "numbers": ([1, 2], False),
    "an object": ({"op": "get"}, False),
    "bytes": (b"subscribe", False),
}


@pytest.mark.parametrize(("value", "is_subscription"), SUBSCRIPTIONS.values(), ids=SUBSCRIPTIONS)
def test_a_request_subscribes_if_a_word_says_so(value: Any, is_subscription: bool) -> None:
    assert subscribes(value) is is_subscription


ACCEPTED, DONE = {"id": 1, "status": "accepted"}, {"id": 1, "status": "done", "value": 2}
ACKNOWLEDGED: dict[str, tuple[list[Any], bool]] = {
    "accepted, then done": ([ACCEPTED, DONE], True),
    "a flag that says so": ([{"id": 1, "ack": True}, {"id": 1}], True),
    "a flag that says so, and is false": ([{"id": 1, "ack": False}, {"id": 1}], False),
    "a key of a result in the first": ([{"id": 1, "status": "accepted", "data": 1}, {"id": 1, "n": 2}], False),
    "three fields": ([{"id": 1, "a": 1, "status": "ok"}, {"id": 1, "x": 1}], True),
    "four fields": ([{"id": 1, "a": 1, "b": 2, "status": "ok"}, {"id": 1, "x": 1}], False),
    "a word that only begins like ok": ([{"id": 1, "status": "okay"}, {"id": 1}], False),
    "another status, and as many fields": ([{"id": 1, "state": "a"}, {"id": 1, "state": "b"}], True),
    "another status, and fewer fields": ([{"id": 1, "state": "a", "n": 1}, {"id": 1, "state": "b"}], False),
    "the same status": ([{"id": 1, "state": "a"}, {"id": 1, "state": "a", "n": 1}], False),
    "another status, and the same fields": (
        [{"id": 1, "state": "a", "n": 1, "m": 1}, {"id": 1, "state": "b", "n": 2, "m": 2}], True,
    ),
    "another status, and a field that only the first has": (
        [{"id": 1, "state": "a", "n": 1}, {"id": 1, "state": "b", "m": 2}], False,
    ),
    "another status, two fields, and one that only the first has": (
        [{"state": "a", "n": 1}, {"state": "b", "m": 2}], True,
    ),
    "accepted, then an error": ([ACCEPTED, {"id": 1, "error": "no"}], True),
    "another status, then an error": ([{"id": 1, "state": "a"}, {"id": 1, "state": "b", "error": "no"}], False),
    "texts": (["accepted", "done"], False),
    "lists": ([["accepted", 1], ["done", 1]], False),
    "one reply": ([ACCEPTED], False),
    "three replies": ([ACCEPTED, DONE, DONE], False),
}  # fmt: skip


@pytest.mark.parametrize(("replies", "has_ack"), ACKNOWLEDGED.values(), ids=ACKNOWLEDGED)
def test_the_first_of_two_replies_is_an_acknowledgement_if_it_brings_nothing(replies: list[Any], has_ack: bool) -> None:
    one = exchange({"op": "get"}, *replies)
    take_acknowledgements([one])
    assert (one.ack.value if one.ack else None) == (replies[0] if has_ack else None)
    assert [each.value for each in one.replies] == replies[has_ack:]


@pytest.mark.parametrize("mark", [Mark.REPLY, Mark.ERROR])
def test_a_marked_reply_is_what_a_person_says(mark: Mark) -> None:
    one = exchange({"op": "get"}, ACCEPTED)
    one.replies.append(RecordedMessage(False, DONE, mark))
    take_acknowledgements([one, two := exchange({"op": "get"}, ACCEPTED, DONE)])
    assert one.ack is None
    assert two.ack is not None


BY_ORDER: dict[str, tuple[RecordedExchange, bool]] = {
    "accepted, then the result": (exchange({"op": "get"}, ACCEPTED, events=(DONE,), order_matters=True), True),
    "with IDs": (exchange({"op": "get"}, ACCEPTED, events=(DONE,)), False),
    "a result, then an event": (exchange({"op": "get"}, DONE, events=(ACCEPTED,), order_matters=True), False),
    "a subscription": (exchange({"op": "watch"}, ACCEPTED, events=(DONE,), order_matters=True), False),
    "two events": (exchange({"op": "get"}, ACCEPTED, events=(DONE, DONE), order_matters=True), False),
    "no reply": (exchange({"op": "get"}, events=(ACCEPTED,), order_matters=True), False),
    "no event": (exchange({"op": "get"}, ACCEPTED, order_matters=True), False),
}


@pytest.mark.parametrize(("one", "has_ack"), BY_ORDER.values(), ids=BY_ORDER)
def test_without_ids_the_event_behind_an_acknowledgement_is_the_result(one: RecordedExchange, has_ack: bool) -> None:
    before = (one.ack, list(one.replies), list(one.events))
    take_acknowledgements([one])
    if has_ack:
        assert one.ack == before[1][0]
        assert (one.replies, one.events) == (before[2], [])
    else:
        assert (one.ack, one.replies, one.events) == before


def get(*replies: Any, **fields: Any) -> RecordedExchange:
    return exchange({"op": "get"}, *replies, **fields)


INFERRED: dict[str, tuple[Conversation, dict[str, Any]]] = {
    "nothing": (talk(), {}),
    "a request without an answer": (talk(get()), {}),
    "IDs": (talk(get({"re": 1}), ids=IDS), {"reply": {"match": "message.re == request_id"}, "response_format": "json"}),
    "a result in each": (
        talk(get({"data": 1}), get({"data": 2, "result": 1})),
        {"reply": {"result": "message.data"}, "response_format": "json"},
    ),
    "no common result": (talk(get({"data": 1}), get({"result": 1})), {"response_format": "json"}),
    "a result beside an error": (
        talk(get({"data": 1}), get({"error": "no"})),
        {"reply": {**ERROR, "error_message": "message.error", "result": "message.data"}, "response_format": "json"},
    ),
    "the result of the first reply only": (
        talk(get({"data": 1}, {"n": 1})), {"reply": {"result": "message.data"}, "response_format": "json"},
    ),
    "replies by order do not count": (talk(get({"data": 1}, by_order=True)), {"response_format": "json"}),
    "texts": (talk(get("a"), get("b")), {"response_format": "text"}),
    "texts and JSON": (talk(get("a"), get({"n": 1})), {}),
    "bytes": (talk(get(b"a")), {}),
    "lists": (talk(get([1])), {"response_format": "json"}),
    "events": (
        talk(get({"data": 1}), unsolicited=({"type": "tick"}, {"type": "tick"}, {"type": "tock"}, "text", [1, 2])),
        {
            "reply": {"result": "message.data"}, "ignore": ["message.type == 'tick'", "message.type == 'tock'"],
            "response_format": "json",
        },
    ),
    "events that look like the reply": (
        talk(get({"type": "a"}), unsolicited=({"type": "a", "n": 1},)), {"response_format": "json"},
    ),
    "events where IDs tell them apart": (
        talk(get({"re": 1}), ids=IDS, unsolicited=({"type": "tick"},)),
        {"reply": {"match": "message.re == request_id"}, "response_format": "json"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("recorded", "fields"), INFERRED.values(), ids=INFERRED)
def test_the_rules_of_all_tools_are_those_that_hold_for_each_reply(
    recorded: Conversation, fields: dict[str, Any]
) -> None:
    assert infer_reply_rules(recorded) == fields


PING, ASKED = {"re": 2, "method": "ping", "q": 1}, {"re": 4, "method": "who", "q": 2}
OWN_REQUESTS: dict[str, tuple[Conversation, str]] = {
    "a key that only they have": (
        talk(get({"re": 1, "result": 3}), get({"re": 2, "error": "no"}), ids=IDS, unsolicited=(PING, ASKED)),
        " and message.method is not defined",
    ),
    "the key of their kind first": (
        talk(get({"re": 1, "q": 2}), ids=IDS, unsolicited=({"re": 2, "x": 1, "method": "ping"},)),
        " and message.method is not defined",
    ),
    "any other key": (
        talk(get({"re": 1, "n": 2}), ids=IDS, unsolicited=({"re": 2, "ask": 1},)), " and message.ask is not defined",
    ),
    "their kind": (
        talk(get({"re": 1, "type": "a"}), get({"re": 2, "type": "b"}), ids=IDS, unsolicited=({"re": 1, "type": "q"},)),
        " and not (message.type == 'q')",
    ),
    "a flag": (
        talk(get({"re": 1, "asks": False}), ids=IDS, unsolicited=({"re": 1, "asks": True},)),
        " and not (message.asks == true)",
    ),
    "what all replies have": (
        talk(get({"re": 1, "type": "r"}), ids=IDS, unsolicited=({"re": 1, "type": "a"}, {"re": 2, "type": "b"})),
        " and message.type == 'r'",
    ),
    "the greeting": (
        Conversation(received(PING)[0], [get({"re": 1})], [], IDS), " and message.method is not defined",
    ),
    "the answer to a request without an ID": (
        talk(get({"re": 1}), get(PING, by_order=True), ids=IDS), " and message.method is not defined",
    ),
    "nothing": (talk(get({"re": 1, "n": 1}), ids=IDS, unsolicited=({"re": 2, "n": 2},)), ""),
    "no ID": (talk(get({"re": 1}), ids=IDS, unsolicited=({"method": "ping", "re": None},)), ""),
    "an ID of another type": (talk(get({"re": 1}), ids=IDS, unsolicited=({"method": "ping", "re": "2"},)), ""),
    "random IDs": (
        talk(get({"re": "a"}), ids=CorrelationIds(("id",), ("re",), "uuid"), unsolicited=({"method": "p", "re": "b"},)),
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("recorded", "term"), OWN_REQUESTS.values(), ids=OWN_REQUESTS)
def test_a_request_of_the_endpoint_with_a_number_of_its_own_is_no_reply(recorded: Conversation, term: str) -> None:
    assert infer_reply_rules(recorded)["reply"]["match"] == f"message.re == request_id{term}"


def test_a_draft_ignores_a_bounded_number_of_kinds() -> None:
    kinds = tuple({"type": f"t{number}"} for number in range(MAX_IGNORED + 1))
    ignored = infer_reply_rules(talk(get({"n": 1}), unsolicited=kinds))["ignore"]
    assert ignored == [f"message.type == 't{number}'" for number in range(50)]


def marked_error(*values: Any) -> RecordedExchange:
    errors = [RecordedMessage(False, value, Mark.ERROR) for value in values]
    return RecordedExchange(RecordedMessage(True, {"op": "get"}), errors)


def test_an_error_that_only_a_person_recognizes_is_distinguished_from_the_results() -> None:
    bad = marked_error({"state": "bad", "data": {"text": "no"}})
    worse = marked_error({"state": "bad", "msg": "no"})
    assert infer_reply_rules(talk(get({"state": "good"}), bad, worse))["reply"] == {
        "error": "message.state == 'bad'",
        "error_message": "message.data.text",
    }
    assert "reply" not in infer_reply_rules(talk(get({"n": 1}), marked_error({"n": 2})))


def rules_of(*group: RecordedExchange, ids: CorrelationIds | None = None, **arguments: Any) -> dict[str, Any]:
    others = arguments.pop("others", ())
    return tool_rules(group, talk(*group, *others, ids=ids), {(key,): name for key, name in arguments.items()})


def test_a_tool_without_an_answer_waits_for_none() -> None:
    assert rules_of(get(), get()) == {"reply": "none"}
    assert rules_of(get(), get({"n": 1})) == {}


def test_an_acknowledgement_is_distinguished_from_the_result() -> None:
    one = get(DONE)
    one.ack = RecordedMessage(False, ACCEPTED)
    assert rules_of(one) == {"reply": {"ack": "message.status == 'accepted'"}}
    one.ack = RecordedMessage(False, DONE)
    assert rules_of(one) == {}


def test_a_reply_without_an_id_is_matched_by_its_kind() -> None:
    by_order = {"ids": IDS}
    assert rules_of(get({"type": "pong", "data": 1}, by_order=True), **by_order) == {
        "reply": {"match": "message.type == 'pong'", "result": "message.data"}
    }
    assert rules_of(get({"type": "pong"}, by_order=True), **by_order) == {
        "reply": {"match": "message.type == 'pong'", "result": "message"}
    }


def test_an_error_without_an_id_belongs_to_the_tool_that_waits() -> None:
    refused = get({"type": "error", "msg": "no"}, by_order=True)
    rules = {"error": "message.type == 'error'", "error_message": "message.msg"}
    assert rules_of(refused, ids=IDS) == {
        "reply": {"match": "message.re == request_id or message.type == 'error'", **rules}
    }
    assert rules_of(refused) == {"reply": rules}


def test_an_error_without_an_id_that_looks_like_a_result_has_no_rule() -> None:
    bad = marked_error({"n": 2})
    bad.by_order = True
    assert rules_of(bad, ids=IDS, others=(get({"n": 1}),)) == {}


ITEM, LAST = {"id": 1, "type": "item", "n": 1}, {"id": 1, "type": "end"}
BY_ID = CorrelationIds(("id",), ("id",), "counter")
COMMENT = {"$comment": "A request had several replies."}
STREAMS: dict[str, tuple[list[Any], CorrelationIds | None, dict[str, Any]]] = {
    "an end that says nothing else": ([ITEM, LAST], BY_ID, {"until": "message.type == 'end'"}),
    "an end with a value": (
        [ITEM, {**LAST, "total": 1}], BY_ID,
        {"until": "message.type == 'end'", "include_last": True, "item": "message"},
    ),
    "an end with another ID": (
        [ITEM, LAST], None, {"until": "message.type == 'end'", "include_last": True, "item": "message"},
    ),
    "an end with a second ID": (
        [[1, "item", 5], [1, "end", 5]], CorrelationIds((0,), (0,), "counter", ((2,),)), {},
    ),
    "no end": ([ITEM, ITEM], BY_ID, {}),
    "an end by a flag": ([{"n": 1, "more": True}, {"more": False}], None, {"until": "message.more == false"}),
    "an end whose status is an object": ([{"n": 1, "status": {}}, {"status": {"a": 1}}], None, {}),
    "an end whose status is a number": ([{"n": 1, "status": 1}, {"status": 2}], None, {}),
    "an end by a word in a list": ([["item", 1], ["end", 1]], None, {
        "until": "message[0] == 'end'", "include_last": True, "item": "message",
    }),
    "an end by a kind below": (
        [{"id": 1, "header": {"type": "item"}}, {"id": 1, "header": {"type": "end"}}], BY_ID,
        {"until": "message.header.type == 'end'"},
    ),
    "texts": (["a", "b"], None, {}),
}  # fmt: skip


@pytest.mark.parametrize(("replies", "ids", "stream"), STREAMS.values(), ids=STREAMS)
def test_several_replies_are_a_stream_that_ends_with_another_kind(
    replies: list[Any], ids: CorrelationIds | None, stream: dict[str, Any]
) -> None:
    assert rules_of(get(replies[-1]), get(*replies), ids=ids) == {"stream": {**COMMENT, **stream, "max_seconds": 10}}


def watch(*replies: Any, events: tuple[Any, ...], **fields: Any) -> RecordedExchange:
    return exchange({"op": "watch", **fields}, *replies, events=events)


BOUNDS = {"max_items": 10, "max_seconds": 10}
TICK = {"type": "tick", "data": 1}
WATCHES: dict[str, tuple[RecordedExchange, dict[str, Any]]] = {
    "events of one kind": (watch({"ok": 1}, events=(TICK,)), {"match": "message.type == 'tick'",
        "item": "message.data"}),
    "the most frequent kind": (
        watch({"ok": 1}, events=({"type": "a"}, TICK, TICK)), {"match": "message.type == 'tick'",
            "item": "message.data"},
    ),
    "the first of two kinds": (watch({"ok": 1}, events=({"type": "a"}, TICK)), {"match": "message.type == 'a'"}),
    "a kind that is that of the reply": (
        watch({"type": "tick"}, events=({"type": "tick", "live": True},)), {"match": "message.live == true"},
    ),
    "a kind that is that of the second reply": (
        watch({"ok": 1}, {"type": "tick"}, events=({"type": "tick", "live": True},)),
            {"match": "message.type == 'tick'"},
    ),
    "the same as the reply": (
        watch({"type": "tick", "data": 2}, events=(TICK,)), {"match": "message.type == 'tick'", "item": "message.data"},
    ),
    "an argument that comes again": (
        watch({"ok": 1}, events=({"type": "t", "on": "news"},), room="news"),
        {"match": "message.type == 't' and message.on == args.room_name"},
    ),
    "an argument that comes again in half of the events": (
        watch({"ok": 1}, events=({"type": "t", "on": "news"}, {"type": "t", "on": "x"}), room="news"),
        {"match": "message.type == 't'"},
    ),
    "an argument that comes again in two of three": (
        watch({"ok": 1}, events=(*({"type": "t", "on": "news"},) * 2, {"type": "t", "on": "x"}), room="news"),
        {"match": "message.type == 't' and message.on == args.room_name"},
    ),
    "a number that is an argument": (
        watch({"ok": 1}, events=({"type": "t", "on": 7},), room=7), {"match": "message.type == 't'"},
    ),
    "the result that comes again": (
        watch({"result": "s1"}, events=({"type": "t", "sub": "s1"},)),
        {"match": "message.type == 't' and message.sub == reply.result"},
    ),
    "a number in a result that comes again": (
        watch({"result": {"a": 1, "value": 7}}, events=({"type": "t", "message": 7},)),
        {"match": "message.type == 't' and message.message == reply.result.value"},
    ),
    "a field of a reply that is no result": (
        watch({"sub": "s1"}, events=({"type": "t", "sub": "s1"},)), {"match": "message.type == 't'"},
    ),
    "a result that is true": (
        watch({"result": True}, events=({"type": "t", "live": True},)), {"match": "message.type == 't'"},
    ),
    "another result": (
        watch({"result": "s1"}, events=({"type": "t", "sub": "s2"},)), {"match": "message.type == 't'"},
    ),
    "a reply that is a text": (watch("ok", events=({"type": "t", "sub": "ok"},)), {"match": "message.type == 't'"}),
}  # fmt: skip


@pytest.mark.parametrize(("one", "stream"), WATCHES.values(), ids=WATCHES)
def test_the_events_after_a_subscription_are_its_stream(one: RecordedExchange, stream: dict[str, Any]) -> None:
    assert rules_of(one, ids=IDS, room="room_name") == {"stream": {**stream, **BOUNDS}}


def test_a_subscription_without_ids_ignores_nothing() -> None:
    one = watch({"ok": 1}, events=(TICK,))
    assert rules_of(one) == {
        "stream": {"match": "message.type == 'tick'", "item": "message.data", **BOUNDS},
        "ignore": [],
    }
    assert "ignore" not in rules_of(get({"type": "a"}, {"type": "b"}))


def test_events_after_a_request_that_subscribes_to_nothing_are_no_stream() -> None:
    assert rules_of(get({"ok": 1}, events=(TICK,))) == {}
    assert rules_of(watch({"ok": 1}, events=())) == {}
