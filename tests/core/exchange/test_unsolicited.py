"""What the endpoint sends without a request, and the last messages that no call got."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.message import Message
from utcp_ws_mcp.core.exchange.availability import UNSOLICITED_MESSAGE
from utcp_ws_mcp.core.exchange.last_messages import FATES, LastMessages
from utcp_ws_mcp.core.exchange.reply_rules import Role
from utcp_ws_mcp.core.exchange.unsolicited import REMEMBERED_MESSAGES, UnsolicitedMessages

from .test_dispatcher import BY_ID, BY_KIND, Wire

ANSWERS = [Role.REPLY, Role.ITEM, Role.END, Role.ERROR, Role.ACK]


def message(text: str) -> Message:
    return Message(text, text)


def delivered(role: Role = Role.REPLY, *texts: str, is_first_message: bool = True) -> UnsolicitedMessages:
    messages = UnsolicitedMessages()
    for text in texts or ("reply",):
        messages.note_delivered(message(text), role, is_first_message=is_first_message)
    return messages


@pytest.mark.parametrize("role", Role)
def test_the_greeting_is_over_when_a_request_was_answered(role: Role) -> None:
    messages = delivered(role)
    assert messages.greeting_is_over is (role in ANSWERS)
    messages.note_dropped(message("tick"), is_late=False)
    assert (messages.last is not None) is (role in ANSWERS)


def test_the_greeting_stays_over() -> None:
    messages = delivered(Role.REPLY)
    messages.note_delivered(message("x"), Role.IGNORED, is_first_message=False)
    assert messages.greeting_is_over


def test_a_greeting_and_a_late_reply_are_not_unsolicited() -> None:
    messages = UnsolicitedMessages()
    messages.note_dropped(message("hello"), is_late=False)
    assert (messages.last, messages.is_suspect) == (None, False)
    messages = delivered()
    messages.note_dropped(message("late"), is_late=True)
    assert (messages.last, messages.is_suspect) == (None, False)


def test_the_first_copy_of_a_reply_makes_the_next_message_suspect_and_the_second_is_unsolicited() -> None:
    messages, copy = delivered(), message("reply")
    messages.note_dropped(copy, is_late=False)
    assert (messages.last, messages.is_suspect) == (None, True)
    messages.note_dropped(copy, is_late=False)
    assert messages.last is copy


def test_a_copy_that_may_be_late_is_no_copy() -> None:
    messages = delivered()
    messages.note_dropped(message("reply"), is_late=True)
    assert (messages.last, messages.is_suspect) == (None, False)


def test_a_reply_that_was_selected_is_not_remembered_as_one() -> None:
    messages, copy = delivered(is_first_message=False), message("reply")
    messages.note_dropped(copy, is_late=False)
    assert (messages.last, messages.is_suspect) == (copy, False)


@pytest.mark.parametrize("kind", ["replies", "dropped messages"])
def test_only_the_last_sixteen_are_recognized(kind: str) -> None:
    assert REMEMBERED_MESSAGES == 16
    texts = [str(number) for number in range(17)]
    if kind == "replies":
        for text, suspect in ((texts[0], False), (texts[1], True)):
            messages = delivered(Role.REPLY, *texts)
            messages.note_dropped(message(text), is_late=False)
            assert messages.is_suspect is suspect
    else:
        messages = UnsolicitedMessages()
        for text in texts:
            messages.note_dropped(message(text), is_late=False)
        assert [messages.note_repeated(message(text)) for text in texts[:2]] == [False, True]


def test_a_message_that_came_without_a_request_before_is_recognized() -> None:
    messages, tick = UnsolicitedMessages(), message("tick")
    assert messages.note_repeated(tick) is False
    assert messages.last is None
    messages.note_dropped(tick, is_late=False)
    assert messages.note_repeated(tick) is True
    assert messages.last is tick


# --- in a dispatcher ---


def test_what_came_without_a_request_before_is_no_reply_to_a_request_that_takes_anything() -> None:
    wire = Wire()
    wire.receive("tick")
    exchange = wire.open()
    assert wire.receive("tick") is Role.DROPPED
    assert (exchange.is_unproven, exchange.finished, len(exchange.received)) == (True, True, 0)
    assert (wire.woken(exchange), len(wire.exchanges)) == (1, 0)


@pytest.mark.parametrize("rules", [{"ignore": "message == 'PING'"}, {"reply": {"match": "message == 'tick'"}}])
def test_a_request_that_says_what_is_no_reply_takes_it(rules: Any) -> None:
    wire = Wire()
    wire.receive("tick")
    wire.open(rules)
    assert wire.receive("tick") is Role.REPLY


@pytest.mark.parametrize(
    ("rules", "retired"),
    [({"ignore": "message == 'PING'"}, True), ({}, False), ({"ignore": "message == 'PING'", **BY_KIND}, False)],
    ids=["with ignore", "without rules", "with match"],
)
def test_another_message_after_a_reply_may_be_a_second_reply(rules: Any, retired: bool) -> None:
    wire = Wire()
    wire.open(rules)
    wire.receive({"kind": "answer"})
    wire.receive({"kind": "news"})
    assert wire.availability.unusable_reason == (UNSOLICITED_MESSAGE if retired else "")


def test_a_message_after_a_call_that_was_given_up_may_be_its_reply() -> None:
    wire = Wire()
    given_up = wire.open(BY_ID)
    wire.open()
    wire.exchanges.cancel(given_up)
    wire.receive("reply")
    wire.receive("another")
    assert not wire.availability.reusable


# --- the last messages that no call got ---

NOTED = {
    "dropped": ([Role.DROPPED], 0, True),
    "held": ([Role.HELD], 0, True),
    "dropped, then a reply": ([Role.DROPPED, Role.REPLY], 0, False),
    "dropped, then ignored": ([Role.DROPPED, Role.IGNORED], 0, False),
    "dropped, then answered": ([Role.DROPPED, Role.AUTO_REPLIED], 0, True),
    "answered, then dropped": ([Role.AUTO_REPLIED, Role.DROPPED], 1, True),
    "answered": ([Role.AUTO_REPLIED], 0, False),
    "a heartbeat": ([Role.HEARTBEAT], 0, False),
    "a reply": ([Role.REPLY], None, False),
    "two of the same kind": ([Role.DROPPED, Role.DROPPED], 1, True),
    "of two kinds": ([Role.AUTO_REPLIED, Role.HEARTBEAT], 1, False),
    "nothing": ([], None, False),
}


@pytest.mark.parametrize(("roles", "shown", "explains"), NOTED.values(), ids=NOTED)
def test_the_last_message_that_no_call_expected_may_explain_why_one_waits(
    roles: list[Role], shown: int | None, explains: bool
) -> None:
    messages, noted = LastMessages(), [message(str(number)) for number in range(len(roles))]
    for each, role in zip(noted, roles, strict=True):
        messages.note(each, role)
    assert messages.count == len(roles)
    assert messages.since(0) == (None if shown is None else (noted[shown], roles[shown]))
    assert (messages.explains_close is not None) is explains


def test_only_messages_after_the_request_explain_why_it_waits() -> None:
    messages = LastMessages()
    taken, dropped = message("taken"), message("dropped")
    messages.note(dropped, Role.DROPPED)
    messages.note(taken, Role.HEARTBEAT)
    assert [messages.since(count) for count in (0, 1, 2)] == [
        (dropped, Role.DROPPED),
        (taken, Role.HEARTBEAT),
        None,
    ]


def test_a_message_of_the_login_is_unexpected_unless_its_step_takes_it() -> None:
    messages = LastMessages()
    messages.note_login_message(message("a"), expected=False)
    assert messages.explains_close is not None
    messages.note_login_message(message("b"), expected=True)
    assert (messages.explains_close, messages.count) == (None, 2)
    assert messages.since(1) is None


def test_every_fate_of_a_message_that_answers_no_call_names_its_field() -> None:
    assert {role.value: text.partition("(")[2] for role, text in FATES.items()} == {
        "ignored": "ignore)",
        "ack": "reply.ack)",
        "auto-replied": "auto_reply)",
        "heartbeat": "heartbeat.expect)",
    }
