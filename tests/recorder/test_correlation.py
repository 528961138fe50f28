"""Which messages answer which: correlation IDs, order, marks, and the late answer to a login."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recorder.conversations import conversation, exchange
from utcp_ws_mcp.recorder.correlation import (
    Conversation,
    CorrelationIds,
    analyze,
    find_correlation_ids,
    take_late_answers,
)


def ids_of(*lines: str) -> tuple[Any, Any, str] | None:
    ids = find_correlation_ids(conversation(*lines))
    return (ids.sent, ids.received, ids.kind) if ids else None


def twice(sent: str, received: str, first: Any = 1, second: Any = 2) -> tuple[str, ...]:
    """Two requests and their replies, with `@` in place of the ID."""
    return tuple(line.replace("@", str(each)) for each in (first, second) for line in (f"> {sent}", f"< {received}"))


A_ID, B_ID = '"a1b2c3"', '"z9b2c4"'
IDS: dict[str, tuple[tuple[str, ...], Any]] = {
    "nothing": ((), None),
    "one request and its reply": (('> {"id": 1}', '< {"id": 1}'), (("id",), ("id",), "counter")),
    "an ID of an acknowledgement": (('> {"ackId": 1}', '< {"ackId": 1}'), (("ackId",), ("ackId",), "counter")),
    "another ID": (('> {"id": 1}', '< {"id": 2}'), None),
    "an ID that came before": (('< {"id": 1}', '> {"id": 1}'), None),
    "an ID that was sent only": (('> {"id": 1}', '> {"re": 1}'), None),
    "half of them answered": (('> {"id": 1}', '< {"id": 1}', '> {"id": 2}'), (("id",), ("id",), "counter")),
    "less than half of them answered": (('> {"id": 1}', '< {"id": 1}', '> {"id": 2}', '> {"id": 3}'), None),
    "another name in the reply": (('> {"id": 1}', '< {"re": 1}'), (("id",), ("re",), "counter")),
    "the same name rather than another": (('> {"id": 1}', '< {"re": 1, "id": 1}'), (("id",), ("id",), "counter")),
    "an ID below": (('> {"m": {"ref": 1}}', '< {"h": {"ref": 1}}'), (("m", "ref"), ("h", "ref"), "counter")),
    "a text": (('> {"id": "x"}', '< {"id": "x"}'), (("id",), ("id",), "uuid")),
    "a text of digits": (('> {"id": "7"}', '< {"id": "7"}'), (("id",), ("id",), "string_counter")),
    "an empty text": (('> {"id": ""}', '< {"id": ""}'), None),
    "a boolean": (('> {"id": true}', '< {"id": true}'), None),
    "an object": (('> {"id": {}}', '< {"id": {}}'), None),
    "an ID that was sent twice": (twice('{"id": @}', '{"id": @}', 1, 1), None),
    "an ID that messages of two kinds have": (
        ('> {"id": 1, "op": "a"}', '< {"id": 1}', '> {"id": 1, "op": "b"}', '< {"id": 1}'),
        (("id",), ("id",), "counter"),
    ),
    "an ID that is no name of one": (twice('{"zork": @}', '{"zork": @}', A_ID, B_ID), (("zork",), ("zork",), "uuid")),
    "one such ID": (('> {"zork": "a1b2c3"}', '< {"zork": "a1b2c3"}'), None),
    "words": (twice('{"zork": @}', '{"zork": @}', '"Oslo"', '"Rome"'), None),
    "long words without digits": (twice('{"zork": @}', '{"zork": @}', '"abcdef"', '"ghijkl"'), None),
    "short texts with digits": (twice('{"zork": @}', '{"zork": @}', '"abcd1"', '"abcd2"'), None),
    "long texts": (twice('{"zork": @}', '{"zork": @}', f'"{"a1" * 32}"', f'"{"b1" * 32}"'), (("zork",), ("zork",),
        "uuid")),
    "too long texts": (twice('{"zork": @}', '{"zork": @}', f'"{"a1" * 32}a"', f'"{"b1" * 32}b"'), None),
    "texts and numbers": (twice('{"zork": @}', '{"zork": @}', A_ID, 17), None),
    "two numbers that count": (twice('{"zork": @}', '{"zork": @}', 1, 2), None),
    "three numbers that count": (
        (*twice('{"zork": @}', '{"zork": @}', 1, 2), '> {"zork": 3}', '< {"zork": 3}'),
        (("zork",), ("zork",), "counter"),
    ),
    "three numbers that do not": ((*twice('{"zork": @}', '{"zork": @}', 1, 2), '> {"zork": 4}', '< {"zork": 4}'), None),
    "one such ID without an answer": (
        ('> {"zork": "a1b2c3"}', '< {"zork": "a1b2c3"}', '> {"zork": "z9b2c4"}'), None,
    ),
    "the name of an ID rather than another": (
        ('> {"zork": "a1b2c3", "id": 1}', '< {"zork": "a1b2c3", "id": 1}', '> {"zork": "z9b2c4", "id": 2}',
         '< {"zork": "z9b2c4"}'),
        (("id",), ("id",), "counter"),
    ),
    "what is answered more often": (
        ('> {"id": 1, "ref": "a"}', '< {"ref": "a", "id": 1}', '> {"id": 2, "ref": "b"}', '< {"ref": "b"}'),
        (("ref",), ("ref",), "uuid"),
    ),
    "the first of two": (twice('{"id": @, "ref": "r@"}', '{"id": @, "ref": "r@"}'), (("id",), ("id",), "counter")),
    "an item of a list": (twice('[@, "a"]', '[@, "b"]'), ((0,), (0,), "counter")),
    "the third item of a list": (twice('["a", 0, @]', '["b", 0, @]'), ((2,), (2,), "counter")),
    "the fourth item of a list": (twice('["a", 0, 0, @]', '["b", 0, 0, @]'), None),
    "an item of a list, once": (('> [1, "a"]', '< [1, "b"]'), None),
    "a key in a list": (('> ["a", {"id": 1}]', '< ["b", {"id": 1}]'), ((1, "id"), (1, "id"), "counter")),
    "a key in a list, far behind": (
        ('> ["a", 0, 0, 0, {"id": 1}]', '< {"id": 1}'), ((4, "id"), ("id",), "counter"),
    ),
    "text": (("> 1", "< 1"), None),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "ids"), IDS.values(), ids=IDS)
def test_ids_are_what_most_requests_contain_and_their_replies_repeat(lines: tuple[str, ...], ids: Any) -> None:
    assert ids_of(*lines) == ids


def grouped(recorded: Conversation) -> list[tuple[Any, list[Any], list[Any]]]:
    return [
        (each.request.value, [reply.value for reply in each.replies], [event.value for event in each.events])
        for each in recorded.exchanges
    ]


def grouped_lines(*lines: str) -> tuple[list[tuple[Any, list[Any], list[Any]]], list[Any]]:
    recorded = analyze(conversation(*lines))
    return grouped(recorded), [each.value for each in recorded.unsolicited]


def test_nothing_that_came_before_the_first_request_answers_it() -> None:
    recorded = analyze(conversation('< {"hi": 1}', '< {"n": 1}', '< {"n": 2}', '> {"id": 1}', '< {"id": 1}'))
    assert recorded.greeting is not None
    assert recorded.greeting.value == {"hi": 1}
    assert [each.value for each in recorded.unsolicited] == [{"n": 1}, {"n": 2}]
    assert grouped(recorded) == [({"id": 1}, [{"id": 1}], [])]
    assert recorded.ids == CorrelationIds(("id",), ("id",), "counter")
    assert not recorded.exchanges[0].order_matters


def test_a_conversation_that_begins_with_a_request_has_no_greeting() -> None:
    recorded = analyze(conversation("> a", "< b"))
    assert (recorded.greeting, list(recorded.unsolicited), recorded.ids) == (None, [], None)
    assert recorded.exchanges[0].order_matters


def test_a_conversation_without_a_request_has_no_exchange() -> None:
    recorded = analyze(conversation("< a", "< b"))
    assert recorded.greeting is not None
    assert recorded.greeting.value == "a"
    assert [each.value for each in recorded.unsolicited] == ["b"]
    assert list(recorded.exchanges) == []
    assert analyze([]) == Conversation(None, [], [], None)


TWO = ('> {"id": 1}', '> {"id": 2}')
GROUPS: dict[str, tuple[tuple[str, ...], Any, Any]] = {
    "replies in another order": (
        (*TWO, '< {"id": 2}', '< {"id": 1}'),
        [({"id": 1}, [{"id": 1}], []), ({"id": 2}, [{"id": 2}], [])],
        [],
    ),
    "several replies": (
        (*TWO, '< {"id": 2}', '< {"id": 1, "a": 1}', '< {"id": 1}'),
        [({"id": 1}, [{"id": 1, "a": 1}, {"id": 1}], []), ({"id": 2}, [{"id": 2}], [])],
        [],
    ),
    "an event behind a reply": (
        (*TWO, '< {"id": 2}', '< {"id": 1}', '< {"e": 1}'),
        [({"id": 1}, [{"id": 1}], []), ({"id": 2}, [{"id": 2}], [{"e": 1}])],
        [{"e": 1}],
    ),
    "an unknown ID": (
        (*TWO, '< {"id": 2}', '< {"id": 1}', '< {"id": 3}'),
        [({"id": 1}, [{"id": 1}], []), ({"id": 2}, [{"id": 2}], [{"id": 3}])],
        [{"id": 3}],
    ),
    "a request without an ID takes what comes nowhere else": (
        ('> {"id": 1}', '< {"id": 1}', '> {"ping": 1}', '< {"pong": 1}', '< {"e": 1}'),
        [({"id": 1}, [{"id": 1}], []), ({"ping": 1}, [{"pong": 1}], [{"e": 1}])],
        [{"e": 1}],
    ),
    "a request without an ID leaves the kind that comes elsewhere": (
        ('> {"id": 1}', '< {"id": 1}', '< {"e": 1}', '> {"ping": 1}', '< {"e": 2}', '< {"pong": 1}'),
        [({"id": 1}, [{"id": 1}], [{"e": 1}]), ({"ping": 1}, [{"pong": 1}], [{"e": 2}])],
        [{"e": 1}, {"e": 2}],
    ),
    "a marked reply without an ID": (
        ('> {"id": 1}', '< {"id": 1}', '> {"id": 2}', '<R {"x": 1}', '<X {"y": 1}'),
        [({"id": 1}, [{"id": 1}], []), ({"id": 2}, [{"x": 1}, {"y": 1}], [])],
        [],
    ),
    "a marked event with an ID": (
        ('> {"id": 1}', '< {"id": 1}', '<E {"id": 1, "type": "p"}', '< {"id": 1, "type": "p", "n": 2}'),
        [({"id": 1}, [{"id": 1}], [{"id": 1, "type": "p"}, {"id": 1, "type": "p", "n": 2}])],
        [{"id": 1, "type": "p"}, {"id": 1, "type": "p", "n": 2}],
    ),
    "a marked event behind a request without an ID": (
        ('> {"id": 1}', '< {"id": 1}', '> {"ping": 1}', '<E {"pong": 1}'),
        [({"id": 1}, [{"id": 1}], []), ({"ping": 1}, [], [{"pong": 1}])],
        [{"pong": 1}],
    ),
    "the same ID in a message of another kind": (
        ('> {"id": 1, "op": "a"}', '< {"id": 1, "n": 1}', '> {"id": 1, "op": "b"}', '< {"id": 1, "n": 2}'),
        [({"id": 1, "op": "a"}, [{"id": 1, "n": 1}], []), ({"id": 1, "op": "b"}, [{"id": 1, "n": 2}], [])],
        [],
    ),
}


@pytest.mark.parametrize(("lines", "groups", "unsolicited"), GROUPS.values(), ids=GROUPS)
def test_a_message_with_the_id_of_a_request_answers_it(lines: tuple[str, ...], groups: Any, unsolicited: Any) -> None:
    assert grouped_lines(*lines) == (groups, unsolicited)


def test_an_exchange_says_that_its_reply_has_no_id() -> None:
    recorded = analyze(
        conversation('> {"id": 1}', '< {"id": 1}', '> {"ping": 1}', '< {"pong": 1}', '> {"x": 1}', '<R {"y": 1}')
    )
    assert [each.by_order for each in recorded.exchanges] == [False, True, True]


def test_an_id_can_be_at_a_second_path_of_a_reply() -> None:
    ids = CorrelationIds((1,), (1,), "counter", ((2,),))
    recorded = analyze(conversation("> [48, 1]", "> [48, 2]", '< [8, "x", 2]', '< [50, 1, "y"]'), ids)
    assert grouped(recorded) == [([48, 1], [[50, 1, "y"]], []), ([48, 2], [[8, "x", 2]], [])]
    assert recorded.ids is ids


ORDERED: dict[str, tuple[tuple[str, ...], Any, Any]] = {
    "the first message is the reply": (
        ("> a", "< b", "< c", "> d", "< e"), [("a", ["b"], ["c"]), ("d", ["e"], [])], ["c"],
    ),
    "a heartbeat of the endpoint is no reply": (
        ('> {"op": "add"}', '< {"op": "KEEPALIVE"}', '< {"op": "added"}', '> {"op": "get"}', '< {"op": "KEEPALIVE"}'),
        [
            ({"op": "add"}, [{"op": "added"}], []),
            ({"op": "get"}, [], []),
        ],
        [{"op": "KEEPALIVE"}, {"op": "KEEPALIVE"}],
    ),
    "a heartbeat of the client is answered by the endpoint's": (
        ('> {"op": "ping"}', '< {"op": "pong"}', '> {"op": "ping"}', '< {"op": "pong"}'),
        [({"op": "ping"}, [{"op": "pong"}], []), ({"op": "ping"}, [{"op": "pong"}], [])],
        [],
    ),
    "one heartbeat may be a reply": (
        ('> {"op": "are you there"}', '< {"op": "pong"}'), [({"op": "are you there"}, [{"op": "pong"}], [])], [],
    ),
    "a kind that came before is no reply": (
        ('< {"hi": 1}', '< {"type": "tick"}', "> a", '< {"type": "tick", "n": 1}', '< {"type": "v"}'),
        [("a", [{"type": "v"}], [{"type": "tick", "n": 1}])], [{"type": "tick"}, {"type": "tick", "n": 1}],
    ),
    "a kind that only comes as the second is no reply": (
        ("> a", '< {"type": "v"}', '< {"type": "tick"}', "> b", '< {"type": "tick"}', '< {"type": "v"}'),
        [("a", [{"type": "v"}], [{"type": "tick"}]), ("b", [{"type": "tick"}], [{"type": "v"}])],
        [{"type": "tick"}, {"type": "v"}],
    ),
    "a kind that comes second, and without a reply": (
        ("> a", '< {"type": "v"}', '< {"type": "tick"}', "> b"),
        [("a", [{"type": "v"}], [{"type": "tick"}]), ("b", [], [])], [{"type": "tick"}],
    ),
    "no answer": (("> a", "> b", "< c"), [("a", [], []), ("b", ["c"], [])], []),
    "only events": (
        ('< {"hi": 1}', '< {"type": "tick"}', "> a", '< {"type": "tick"}'),
        [("a", [], [{"type": "tick"}])], [{"type": "tick"}, {"type": "tick"}],
    ),
    "a message without a kind": (
        ('< {"hi": 1}', '< {"n": 1}', "> a", '< {"n": 2}'), [("a", [{"n": 2}], [])], [{"n": 1}],
    ),
    "a marked reply": (
        ("> a", '< {"type": "x"}', '<R {"type": "y"}', '<X {"type": "z"}'),
        [("a", [{"type": "y"}, {"type": "z"}], [{"type": "x"}])], [{"type": "x"}],
    ),
    "a marked event": (("> a", "<E b", "< c"), [("a", ["c"], ["b"])], ["b"]),
    "a message of another kind behind a marked event": (
        ("> a", '<E {"type": "x"}', '< {"type": "y"}'), [("a", [{"type": "y"}], [{"type": "x"}])], [{"type": "x"}],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "groups", "unsolicited"), ORDERED.values(), ids=ORDERED)
def test_without_ids_the_first_message_that_is_no_event_answers(
    lines: tuple[str, ...], groups: Any, unsolicited: Any
) -> None:
    assert grouped_lines(*lines) == (groups, unsolicited)


LOGIN = {"login": 1}


def late(*exchanges: Any) -> list[tuple[Any, list[Any], list[Any]]]:
    take_late_answers(exchanges, lambda value: value == LOGIN)
    return grouped(Conversation(None, exchanges, [], None))


def test_a_login_takes_the_first_of_two_messages_behind_the_next_request() -> None:
    login, following = exchange(LOGIN), exchange("b", "welcome", events=("value", "more"), order_matters=True)
    assert late(login, following) == [(LOGIN, ["welcome"], []), ("b", ["value"], ["more"])]
    assert login.by_order

    login, following = exchange(LOGIN), exchange("b", "value", events=("welcome", "more"))
    assert late(login, following) == [(LOGIN, ["welcome"], []), ("b", ["value"], ["more"])]
    assert login.by_order


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (exchange("no login"), exchange("b", "v", events=("e",))),
        (exchange(LOGIN, "ok"), exchange("b", "v", events=("e",))),
        (exchange(LOGIN), exchange("b", "v")),
        (exchange(LOGIN), exchange("b", events=("e",))),
    ],
    ids=["no login", "an answered login", "one message", "no reply"],
)
def test_other_answers_stay_where_they_are(first: Any, second: Any) -> None:
    before = grouped(Conversation(None, [first, second], [], None))
    assert late(first, second) == before


def test_a_login_behind_one_that_was_answered_gets_its_late_answer_too() -> None:
    exchanges = exchange(LOGIN, "ok"), exchange(LOGIN), exchange("b", "v", events=("late",))
    assert late(*exchanges) == [(LOGIN, ["ok"], []), (LOGIN, ["late"], []), ("b", ["v"], [])]


def test_only_a_login_gets_a_late_answer() -> None:
    lines = conversation('> {"id": 1, "op": "a"}', '> {"id": 2, "op": "b"}', '< {"n": 1}', '< {"id": 2}')
    assert grouped(analyze(lines))[1] == ({"id": 2, "op": "b"}, [{"id": 2}], [{"n": 1}])
    assert grouped(analyze(lines, is_login=lambda value: value["op"] == "a"))[0] == (
        {"id": 1, "op": "a"}, [{"n": 1}], [],
    )  # fmt: skip
