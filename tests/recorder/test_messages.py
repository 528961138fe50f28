"""What is seen in recorded messages: kinds, paths, and predicates that distinguish them."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.core.expressions.paths import UNDEFINED
from utcp_ws_mcp.recorder.messages import (
    distinguishing_predicate,
    kind_predicate,
    leaves,
    literal,
    message_kind,
    path_expression,
    unescape,
    value_at,
    with_value,
)

KINDS: dict[str, tuple[Any, Any]] = {
    "the most usual key first": ({"op": "a", "type": "b"}, (("type",), "b")),
    "a number": ({"op": 0}, (("op",), 0)),
    "the largest number that every host holds": ({"op": 2**53 - 1}, (("op",), 2**53 - 1)),
    "a larger number is no kind": ({"op": 2**53}, None),
    "a boolean says nothing": ({"type": True, "op": "a"}, (("op",), "a")),
    "an object says nothing": ({"type": {}}, None),
    "the name at the beginning of a list": (["join", 1], ((0,), "join")),
    "a list of one": (["join"], None),
    "a list of numbers": ([1, 2], None),
    "a list of sentences": (["no name", 1], None),
    "text": ("hello", None),
}


@pytest.mark.parametrize(("message", "kind"), KINDS.values(), ids=KINDS)
def test_the_kind_of_a_message_is_a_name_or_a_number(message: Any, kind: Any) -> None:
    assert message_kind(message) == kind


PREDICATES = {
    "its kind": ({"type": "a"}, "message.type == 'a'"),
    "its first key": ({"n": 1, "m": 2}, "message.n is defined"),
    "text": ("hello", "message is string"),
    "an empty object": ({}, "message is defined"),
    "a list without a name": ([1, 2], "message is defined"),
}


@pytest.mark.parametrize(("message", "predicate"), PREDICATES.values(), ids=PREDICATES)
def test_a_message_without_a_kind_has_a_predicate_as_well(message: Any, predicate: str) -> None:
    assert kind_predicate(message) == predicate


WORD, SENTENCE = "w" * 40, "w" * 41
DISTINGUISHED: dict[str, tuple[list[Any], list[Any], str | None]] = {
    "the kind first": ([{"a": "x", "type": "t"}], [{"a": "y", "type": "u"}], "message.type == 't'"),
    "a word, where the kind is that of others": (
        [{"a": "x", "type": "t"}],
        [{"a": "y", "type": "t"}],
        "message.a == 'x'",
    ),
    "a boolean": ([{"ok": True}], [{"ok": False}], "message.ok == true"),
    "a boolean that is false": ([{"ok": False}], [{"ok": True}], "message.ok == false"),
    "a boolean is no number": ([{"ok": True}], [{"ok": 1}], "message.ok == true"),
    "a text of 40 characters": ([{"a": WORD}], [{"a": "y"}], f"message.a == '{WORD}'"),
    "a text of 41 characters is no word": ([{"a": SENTENCE}], [{"a": "y"}], None),
    "a number is no word": ([{"a": 1}], [{"a": 2}], None),
    "a text that not all share": ([{"a": "x"}, {"a": "y"}], [{"a": "z"}], None),
    "a key that only they have": ([{"a": 1}, {"a": 2}], [{"b": 1}], "message.a is defined"),
    "a key below": ([{"a": {"b": 1}}], [{"a": {"c": 1}}], "message.a.b is defined"),
    "a key that one of them lacks": ([{"a": 1, "b": 1}, {"b": 2}], [{"c": 1}], "message.b is defined"),
    "nothing": ([{"a": 1}], [{"a": 1}], None),
}


@pytest.mark.parametrize(("wanted", "others", "predicate"), DISTINGUISHED.values(), ids=DISTINGUISHED)
def test_messages_are_distinguished_by_what_they_share_and_no_other_has(
    wanted: list[Any], others: list[Any], predicate: str | None
) -> None:
    assert distinguishing_predicate(wanted, others) == predicate


def test_a_list_is_one_value_except_at_the_root() -> None:
    assert list(leaves({"a": [1, 2], "b": {}})) == [(("a",), [1, 2]), (("b",), {})]
    assert list(leaves([1, {"a": 2}])) == [((0,), 1), ((1, "a"), 2)]
    assert list(leaves("text")) == [((), "text")]


@pytest.mark.parametrize("path", [("b",), (0,), ("a", 2), ("a", "x"), ("a", 0, "x")])
def test_what_is_not_there_is_undefined(path: Any) -> None:
    assert value_at({"a": [1, 2]}, ("a", 1)) == 2
    assert value_at({"a": [1, 2]}, path) is UNDEFINED


REPLACED = {
    "all of it": ((), 0),
    "a key": (("a",), {"a": 0, "b": "t"}),
    "an item": (("a", 1), {"a": [1, 0], "b": "t"}),
    "below a text": (("b", "c"), {"a": [1, 2], "b": "t"}),
    "a key that is not there": (("c",), {"a": [1, 2], "b": "t"}),
}


@pytest.mark.parametrize(("path", "message"), REPLACED.values(), ids=REPLACED)
def test_a_value_is_replaced_at_a_path(path: Any, message: Any) -> None:
    assert with_value({"a": [1, 2], "b": "t"}, path, 0) == message


def test_a_path_and_a_text_are_written_as_expressions() -> None:
    assert path_expression(("a", 0, "b c", "d")) == "message.a[0]['b c'].d"
    assert literal("it's \\ a\nb\r") == r"'it\'s \\ a\nb\r'"
    assert literal("${A} $A vars.a") == r"'\u0024{A} $A \u0076ars.a'"
    assert literal(1.5) == "1.5"


ESCAPES = {r"\r\n": "\r\n", r"\t": "\t", r"\0": "\0", r"\\": "\\", r"\x41\xfF": "A\xff", r"\x4": r"\x4", r"\a": r"\a"}


@pytest.mark.parametrize(("line", "text"), ESCAPES.items())
def test_an_escape_sequence_stands_for_one_character(line: str, text: str) -> None:
    assert unescape(line) == text
