"""Errors that name no request, ids of another JSON type, heartbeats, and unsolicited messages."""

import json

import pytest

from utcp_ws_mcp.core.codecs.message import decode
from utcp_ws_mcp.core.exchange.reply_rules import Role

from .test_dispatcher import BY_ID, BY_TOPIC, WATCHING, Wire, received_by

JSON_RPC = {
    "reply": {
        "match": "message.id == request_id and message.method is not defined",
        "error": "message.error is defined",
    }
}
# As STOMP: a receipt names its request, an error may name none.
ERROR = "message.command == 'ERROR'"
STOMP = {
    "reply": {
        "match": f"message.receipt == request_id or ({ERROR} and message.receipt is not defined)",
        "error": ERROR,
    }
}
STOMP_STREAM = {"listen": True, "reply": {"error": ERROR}, "stream": {"match": f"message.sub == 1 or {ERROR}"}}
SUBSCRIBED = {**BY_ID, "reply": {**JSON_RPC["reply"]}, "stream": {"until": "message.done"}}

# The rules of the exchanges, what is answered before, the error, which exchanges fail, and whether it is said to be
# uncertain which of them it means.
ERRORS = {
    "null, one in flight": ([JSON_RPC], [], {"id": None, "error": 1}, [1], False),
    "null, two in flight": ([JSON_RPC, JSON_RPC], [], {"id": None, "error": 1}, [1, 2], True),
    "null, the other has been answered": ([JSON_RPC, JSON_RPC], [{"id": 1}], {"id": None, "error": 1}, [2], False),
    "null, the other was given up": ([JSON_RPC, JSON_RPC], ["abandon"], {"id": None, "error": 1}, [2], True),
    "null, but no error": ([JSON_RPC], [], {"id": None, "result": 1}, [], False),
    "null, but a notification": ([JSON_RPC], [], {"id": None, "method": "m", "error": 1}, [], False),
    "null, but no field for errors": ([BY_ID], [], {"id": None, "error": 1}, [], False),
    "no id at all": ([JSON_RPC], [], {"error": 1}, [], False),
    "null, a stream that has begun": ([SUBSCRIBED, JSON_RPC], [{"id": 1}], {"id": None, "error": 1}, [2], False),
    "null, a stream that has not begun": ([SUBSCRIBED, JSON_RPC], [], {"id": None, "error": 1}, [1, 2], True),
    "unnamed, one in flight": ([STOMP], [], {"command": "ERROR"}, [1], False),
    "unnamed, two in flight": ([STOMP, STOMP], [], {"command": "ERROR"}, [1, 2], True),
    "unnamed, one in flight and a stream": ([STOMP_STREAM, STOMP], [], {"command": "ERROR"}, [1, 2], True),
    "named, two in flight": ([STOMP, STOMP], [], {"command": "ERROR", "receipt": 2}, [2], False),
    "named, and a stream": ([STOMP_STREAM, STOMP], [], {"command": "ERROR", "receipt": 2}, [2], False),
}


@pytest.mark.parametrize(("rules", "before", "error", "failed", "shared"), ERRORS.values(), ids=ERRORS)
def test_an_error_that_names_no_request_fails_all_that_it_may_mean(rules, before, error, failed, shared):
    wire = Wire()
    exchanges = [wire.open(each) for each in rules]
    for each in before:
        wire.exchanges.cancel(exchanges[0]) if each == "abandon" else wire.receive(each)

    assert (wire.receive(error) is Role.ERROR) is bool(failed)
    assert [number for number, each in enumerate(exchanges, 1) if each.error is not None] == failed
    assert {each.error_is_shared for each in exchanges if each.error is not None} == ({shared} if failed else set())


IDS = {
    "1.0 is 1": ("counter", {"id": 1.0}, True, None),
    "1.5 is not": ("counter", {"id": 1.5}, False, None),
    "a text": ("counter", {"id": "1"}, False, "1"),
    "a number": ("string_counter", {"id": 1}, False, 1),
    "a float": ("string_counter", {"id": 1.0}, False, 1),
    "true": ("counter", {"id": True}, False, None),
    "another text": ("counter", {"id": "2"}, False, None),
    "a long text": ("counter", {"id": "1" * 5000}, False, None),
    "a text that begins with zero": ("counter", {"id": "01"}, False, None),
}


@pytest.mark.parametrize(("kind", "message", "answers", "mistyped"), IDS.values(), ids=IDS)
def test_an_id_is_a_number_or_a_text_and_the_other_one_is_noticed(kind, message, answers, mistyped):
    wire = Wire(kind)
    exchange = wire.open(JSON_RPC)
    wire.receive(message)

    assert (exchange.finished, exchange.mistyped_id) == (answers, mistyped)


PONG = {"type": "pong"}
BY_PONG = {"reply": {"match": "message.type == 'pong'"}}
PONG_BY_ID = {"reply": {"match": "message.id == request_id and message.type == 'pong'"}}
WATCHING_PONGS = {"listen": True, "stream": {"match": "message.type == 'pong'"}}

# The rules of the exchanges, whether a heartbeat waits, the message, its role, and who gets it.
HEARTBEATS = {
    "a request waits for it": ([BY_PONG], True, PONG, Role.REPLY, [1]),
    "a request waits for its id": ([PONG_BY_ID], True, {**PONG, "id": 1}, Role.REPLY, [1]),
    "a request waits for another id": ([PONG_BY_ID], True, {**PONG, "id": 7}, Role.HEARTBEAT, []),
    "a request takes anything": ([{}], True, PONG, Role.HEARTBEAT, []),
    "no heartbeat waits": ([{}], False, PONG, Role.REPLY, [1]),
    "a stream watches": ([WATCHING_PONGS], True, PONG, Role.HEARTBEAT, [1]),
    "a stream watches something else": ([WATCHING], True, PONG, Role.HEARTBEAT, []),
    "no exchange": ([], True, PONG, Role.HEARTBEAT, []),
}


@pytest.mark.parametrize(("rules", "waits", "message", "role", "got"), HEARTBEATS.values(), ids=HEARTBEATS)
def test_a_heartbeat_takes_only_what_no_request_selects(rules, waits, message, role, got):
    wire = Wire()
    exchanges = [wire.open(each) for each in rules]

    assert wire.exchanges.receive(decode(json.dumps(message)), may_answer_heartbeat=waits) is role
    assert [number for number, each in enumerate(exchanges, 1) if each.received] == got


UNSOLICITED = {
    "before the first request": ([], {"hello": 1}, False),
    "after it": ([BY_ID], {"tick": 1}, True),
    "a late reply": ([BY_ID], {"id": 1}, False),
    "what may be one": ([BY_TOPIC], {"topic": "r/1"}, True),
    "the same reply again": ([{}], "reply", False),
    "another message after the reply": ([{}], "more", True),
    "what the last call ignores": ([{"ignore": "message == 'PING'"}], "PING", False),
}


@pytest.mark.parametrize(("rules", "message", "unsolicited"), UNSOLICITED.values(), ids=UNSOLICITED)
def test_an_unsolicited_message_is_remembered(rules, message, unsolicited):
    wire = Wire()
    for each in rules:
        exchange = wire.open(each)
        wire.receive({"id": 1, "topic": "r/1"} if exchange.rules.match else "reply")
    wire.receive(message)

    assert (wire.exchanges.unsolicited.last is not None) is unsolicited


# Rules, what happens before the last request, what comes after it, and which message and role its timeout can show.
SHOWN = {
    "no id": (BY_ID, [], [{"error": "bad token"}], ({"error": "bad token"}, Role.DROPPED)),
    "the id of no request": (BY_ID, [], [{"id": 7}], ({"id": 7}, Role.DROPPED)),
    "before the first request": (BY_ID, ["hello"], [], ("hello", Role.DROPPED)),
    "before a later request": (BY_ID, ["open", {"tick": 1}], [], None),
    "after an earlier timeout": (BY_ID, ["open", "abandon"], [{"tick": 1}], ({"tick": 1}, Role.DROPPED)),
    "a late reply to another": (BY_ID, ["open", "abandon"], [{"id": 1}], ({"id": 1}, Role.DROPPED)),
    "before the reply to another": (BY_ID, ["open"], [{"tick": 1}, {"id": 1}], ({"tick": 1}, Role.DROPPED)),
    "what is ignored": ({"ignore": "message == 'PING'"}, [], ["PING"], ("PING", Role.IGNORED)),
    "an acknowledgement": ({"reply": {"ack": "message == 'OK'"}}, [], ["OK"], ("OK", Role.ACK)),
    "an acknowledgement, then something else": (
        {"reply": {"match": "message.id == request_id", "ack": "message.ok"}},
        [],
        [{"id": 1, "ok": 1}, {"x": 1}],
        ({"x": 1}, Role.DROPPED),
    ),
    "nothing": (BY_ID, [], [], None),
}


@pytest.mark.parametrize(("rules", "before", "after", "shown"), SHOWN.values(), ids=SHOWN)
def test_a_timeout_can_show_the_last_message_that_did_not_answer(rules, before, after, shown):
    wire = Wire()
    opened = []
    for each in before:
        if each == "open":
            opened.append(wire.open(rules))
        elif each == "abandon":
            wire.exchanges.cancel(opened[-1])
        else:
            wire.receive(each)
    exchange = wire.open(rules)
    for each in after:
        wire.receive(each)

    found = wire.exchanges.messages.since(exchange.opened_after) or exchange.skipped
    assert (found and (found[0].value, found[1])) == shown


def test_what_came_last_explains_a_close_until_a_further_request_or_a_reply():
    wire = Wire()
    wire.open(BY_ID)
    wire.receive({"tick": 1})
    assert wire.exchanges.messages.explains_close is not None
    wire.open(BY_ID)
    assert wire.exchanges.messages.explains_close is None
    wire.receive({"tick": 2})
    wire.receive({"id": 2})
    assert wire.exchanges.messages.explains_close is None


def test_a_reply_to_a_subscription_goes_to_it_although_others_watch():
    wire = Wire()
    subscribing = {"reply": {"match": "message.to in [request_id]"}, "stream": {"match": "message.topic == 'a'"}}
    first, second = wire.open(subscribing), wire.open(subscribing)
    wire.receive({"to": 1})
    assert wire.receive({"to": 2, "topic": "a"}) is Role.REPLY
    assert (first.replied, second.replied, received_by(first)) == (True, True, [{"to": 2, "topic": "a"}])
