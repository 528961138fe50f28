"""What the error of a timeout advises: where the ID of the request was, which predicate failed, which codec to set."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from utcp_ws_mcp.client.timeout_hint import (
    hint_for,
    last_message_for,
    other_field_hint,
    passed_over_hint,
    undecoded_hint,
)
from utcp_ws_mcp.core.codecs.message import Message
from utcp_ws_mcp.core.exchange.reply_rules import Role
from utcp_ws_mcp.core.expressions.expression import compile_expression


def message(value: Any) -> Message:
    return Message(json.dumps(value), value)


def exchange(mistyped: Any = None, failures: dict[str, str] | None = None, **fields: Any) -> Any:
    rules = SimpleNamespace(field_of=lambda source: f"reply.{source}", correlation_path=fields.pop("path", ("id",)))
    scope = SimpleNamespace(failures=failures or {})
    return SimpleNamespace(mistyped_id=mistyped, scope=scope, rules=rules, request_id=7, **fields)


# Predicates and types


@pytest.mark.parametrize(
    ("mistyped", "hint"),
    [
        (None, ""),
        (
            "7",
            (
                'A reply had the id "7", a string, where that of the request is a number. '
                'Set "request_id": "string_counter".'
            ),
        ),
        (7, 'A reply had the id 7, a number, where that of the request is a string. Set "request_id": "counter".'),
    ],
)
def test_an_id_of_another_type_is_named_with_the_setting(mistyped: Any, hint: str) -> None:
    assert hint_for(exchange(mistyped), {}) == hint


def test_two_predicates_that_failed_are_shown_and_those_of_the_call_replace_those_of_the_connection() -> None:
    failed = exchange(failures={"match": "mine", "error": "mine, too"})
    assert hint_for(failed, {}) == "reply.match: mine reply.error: mine, too"
    assert hint_for(failed, {"match": "of the connection"}) == "reply.match: mine reply.error: mine, too"
    assert hint_for(failed, {"ignore": "ignore: x"}) == "ignore: x reply.match: mine"
    assert hint_for(exchange(), {"a": "1", "b": "2", "c": "3"}) == "1 2"


# The last message


@pytest.mark.parametrize(
    ("since", "skipped", "expected"),
    [
        (("m", Role.DROPPED), None, ("m", "did not match")),
        (("m", Role.IGNORED), ("s", Role.ACK), ("m", "was ignored (ignore)")),
        (None, ("s", Role.ACK), ("s", "only confirms receipt (reply.ack)")),
        (None, None, (None, "did not match")),
    ],
)
def test_the_last_message_is_shown_with_what_became_of_it(since: Any, skipped: Any, expected: Any) -> None:
    asked: list[int] = []

    def answer(count: int) -> Any:
        asked.append(count)
        return since

    connection: Any = SimpleNamespace(dispatcher=SimpleNamespace(messages=SimpleNamespace(since=answer)))
    assert last_message_for(connection, exchange(opened_after=4, skipped=skipped)) == expected
    assert asked == [4]


# Another field


def field_hint(value: Any, fate: str = "did not match", **fields: Any) -> str:
    return other_field_hint(exchange(**fields), None if value is None else message(value), fate)


def named(path: str) -> str:
    return (
        f"It has the ID of the request in message{path}. If it is the reply, compare that: "
        f'"match": "message{path} == request_id".'
    )


LONG = "k" * 40


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"ref": 7}, ".ref"),
        ({"ref": 7.0}, ".ref"),
        ([1, 7], "[1]"),
        ({"a": {"b": {"c": {"d": 7}}}}, ".a.b.c.d"),
        ([[[[7]]]], "[0][0][0][0]"),
        ({"a": {"x": 7}, "b": 7}, ".b"),
        ({LONG: 7}, f".{LONG}"),
        ([0] * 199 + [7], "[199]"),
        ({**{f"a{number}": 0 for number in range(199)}, "z": 7}, ".z"),
        ([[0] * 100, [0] * 99 + [7]], "[1][99]"),
    ],
    ids=str,
)
def test_the_field_that_has_the_id_is_named(value: Any, path: str) -> None:
    assert field_hint(value) == named(path)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"id": 7, "x": 7},
        {"ref": 8},
        {"ref": "7"},
        {"ref": True},
        {"a": {"b": {"c": {"d": {"e": 7}}}}},
        {"not a name": 7},
        {f"{LONG}k": 7},
        {"1a": 7},
        {"ü": 7},
        [0] * 200 + [7],
        {**{f"a{number}": 0 for number in range(200)}, "z": 7},
        [[0] * 100, [0] * 100, [7]],
        "7",
    ],
    ids=str,
)
def test_no_field_is_named_where_the_id_is_in_its_place_or_is_not_found(value: Any) -> None:
    assert field_hint(value) == ""


def test_no_field_is_named_if_there_is_another_explanation() -> None:
    assert field_hint({"ref": 7}, fate="was ignored (ignore)") == ""
    assert field_hint({"ref": 7}, path=None) == ""
    assert field_hint({"ref": 7}, mistyped="7") == ""


# Binary messages


@pytest.mark.parametrize(
    ("raw", "codec", "decoded", "hint"),
    [
        (b'{"a": 1}', "json", False, 'so that rules see bytes, not JSON. Set "send_as": "binary"'),
        (b"hello", "json", False, 'so that rules see bytes, not text. Set "framing": {"codec": "text"}.'),
        (b"\x81\xff", "json", False, "If it is MessagePack, CBOR or Protobuf, set the codec of"),
        (b"hello", "json", True, None),
        (b"hello", "binary", False, None),
        ("hello", "json", False, None),
    ],
)
def test_a_binary_message_is_named_with_the_codec_that_reads_it(
    raw: Any, codec: str, decoded: bool, hint: str | None
) -> None:
    rules = SimpleNamespace(framing=SimpleNamespace(codec=codec))
    connection: Any = SimpleNamespace(state=SimpleNamespace(rules=rules), explain_misfit=lambda message: "")
    found = undecoded_hint(connection, Message(raw, raw, decoded))
    assert (found == "") if hint is None else (hint in found)
    assert found == "" or found.startswith("The message is binary")
    assert undecoded_hint(connection, None) == ""


def test_a_length_that_does_not_fit_is_named_instead_of_a_codec() -> None:
    connection: Any = SimpleNamespace(explain_misfit=lambda message: f"It would fit {message.raw}.")
    assert undecoded_hint(connection, Message(b"x", b"x")) == "It would fit b'x'."


# Several calls


@pytest.mark.parametrize(
    ("match", "passed_over", "is_advised"),
    [
        ("request_id in message.ids", True, True),
        ("message.key == args.key", True, True),
        ("message.serial <= let.serial", True, True),
        ("message.type == 'ok'", True, False),
        ("request_id in message.ids", False, False),
        (None, True, False),
    ],
)
def test_a_call_whose_match_was_true_for_the_answer_to_another_learns_of_answers_all(
    match: str | None, passed_over: bool, is_advised: bool
) -> None:
    names = frozenset({"request_id", "args", "let", "message"})
    waiting: Any = SimpleNamespace(
        passed_over=passed_over, rules=SimpleNamespace(match=match and compile_expression(match, names))
    )
    hint = passed_over_hint(waiting)
    assert hint == "" or hint.endswith('If one message answers several calls, set "answers_all": true in "reply".')
    assert bool(hint) is is_advised
