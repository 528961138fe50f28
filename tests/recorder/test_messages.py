"""What is seen in recorded messages: kinds, paths, and predicates that distinguish them."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.core.expressions.paths import UNDEFINED
from utcp_ws_mcp.recorder.messages import (
    Mark,
    RecordedMessage,
    alike,
    distinguishing_predicate,
    is_plain,
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
    "a list whose name is too long": (["a" * 101, 1], None),
    "text": ("hello", None),
    "below a key that holds it": ({"header": {"type": "a"}}, (("header", "type"), "a")),
    "below a key that holds none": ({"header": {"x": 1}, "call": {"op": 1}}, (("call", "op"), 1)),
    "a kind as the name of a request": ({"request": "a"}, (("request",), "a")),
    "below another key": ({"body": {"type": "a"}}, None),
    "below a list": ({"header": [{"type": "a"}]}, None),
    "a text of 100 characters": ({"type": "a" * 100}, (("type",), "a" * 100)),
    "a text of 101 characters": ({"type": "a" * 101}, None),
    "a text with what is invisible": ({"type": "a\u202e"}, None),
    "the smallest number that every host holds": ({"op": -(2**53) + 1}, (("op",), -(2**53) + 1)),
    "a smaller number is no kind": ({"op": -(2**53)}, None),
    "a decimal is no kind": ({"op": 1.5}, None),
}


@pytest.mark.parametrize(("message", "kind"), KINDS.values(), ids=KINDS)
def test_the_kind_of_a_message_is_a_name_or_a_number(message: Any, kind: Any) -> None:
    assert message_kind(message) == kind


PREDICATES = {
    "its kind": ({"type": "a"}, "message.type == 'a'"),
    "its first key": ({"n": 1, "m": 2}, "message.n is defined"),
    "its first key that is plain": ({"a\n": 1, "x" * 101: 1, "m n": 2}, "message['m n'] is defined"),
    "no key that is plain": ({"a\n": 1}, "message is defined"),
    "bytes": (b"a", "message is defined"),
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
    "a kind that not all share": (
        [{"type": "t", "a": 1}, {"type": "u", "a": 2}],
        [{"b": 1}],
        "message.type is defined",
    ),
    "a kind with the value of a boolean": ([{"type": 1}], [{"type": True}], "message.type == 1"),
    "a kind that is a number": ([{"op": 1}], [{"op": 2}], "message.op == 1"),
    "a text below the name of a secret": ([{"token": {"x": "a"}}], [{"token": {"x": "b"}}], None),
    "an ID in hexadecimal": ([{"a": "0123456789abcdef"}], [{"a": "0"}], None),
    "an ID in capital letters with dashes": ([{"a": "0123-4567-89AB-CDEF"}], [{"a": "0"}], None),
    "a short text in hexadecimal": ([{"a": "0123456789abcde"}], [{"a": "0"}], "message.a == '0123456789abcde'"),
    "a text in hexadecimal without a digit": (
        [{"a": "abcdef-abcdef-abc"}],
        [{"a": "0"}],
        "message.a == 'abcdef-abcdef-abc'",
    ),
    "a text that begins in hexadecimal": (
        [{"a": "0123456789abcdefg"}],
        [{"a": "0"}],
        "message.a == '0123456789abcdefg'",
    ),
    "a text with what is invisible": ([{"a": "x\u200b"}], [{"a": "y"}], None),
    "a key at the root first": ([{"a": {"b": 1}, "c": 1}], [{"d": 1}], "message.a is defined"),
    "a key that is not plain": ([{"a\n": 1}], [{"d": 1}], None),
    "an item of a list": ([["x", 1]], [["y", 1]], "message[0] == 'x'"),
    "an item that the others have not": ([[1, 2]], [[1]], None),
    "a key in a list": ([[1, {"a": 1}]], [[1]], "message[1].a is defined"),
    "texts": (["a"], ["b"], None),
    "no others": ([{"n": 1}], [], "message.n is defined"),
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
    assert list(leaves([])) == []
    assert list(leaves([[1]])) == [((0,), [1])]
    assert list(leaves({"a\n": 1, "b": {"c" * 101: 1, "d": 2}})) == [(("b", "d"), 2)]


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
    "an item that is not there": (("a", 2), {"a": [1, 2], "b": "t"}),
}


def test_a_value_is_replaced_several_levels_down() -> None:
    assert with_value([{"a": [{"b": 1}]}], (0, "a", 0, "b"), 2) == [{"a": [{"b": 2}]}]


@pytest.mark.parametrize(("path", "message"), REPLACED.values(), ids=REPLACED)
def test_a_value_is_replaced_at_a_path(path: Any, message: Any) -> None:
    assert with_value({"a": [1, 2], "b": "t"}, path, 0) == message


def test_a_path_and_a_text_are_written_as_expressions() -> None:
    assert path_expression(("a", 0, "b c", "d")) == "message.a[0]['b c'].d"
    assert literal("it's \\ a\nb\r") == r"'it\'s \\ a\nb\r'"
    assert literal("${A} $A vars.a") == r"'\u0024{A} $A \u0076ars.a'"
    assert literal(1.5) == "1.5"
    assert literal("$[vars{vars[vars") == r"'\u0024[\u0076ars{\u0076ars[vars'"
    assert path_expression(("é", "1a", "_a", -1)) == "message['é']['1a']._a[-1]"
    assert path_expression(()) == "message"


ESCAPES = {r"\r\n": "\r\n", r"\t": "\t", r"\0": "\0", r"\\": "\\", r"\x41\xfF": "A\xff", r"\x4": r"\x4", r"\a": r"\a"}


@pytest.mark.parametrize(("line", "text"), ESCAPES.items())
def test_an_escape_sequence_stands_for_one_character(line: str, text: str) -> None:
    assert unescape(line) == text


@pytest.mark.parametrize("mark", [None, Mark.EVENT])
def test_messages_are_alike_if_they_have_one_kind_and_no_person_says_more(mark: Mark | None) -> None:
    others = [RecordedMessage(False, {"type": "a", "n": 1}), RecordedMessage(False, "text")]
    assert alike(RecordedMessage(False, {"type": "a"}, mark), others) is (mark is None)
    assert not alike(RecordedMessage(False, {"type": "b"}, mark), others)
    assert not alike(RecordedMessage(False, "text", mark), others)
    assert not alike(RecordedMessage(False, {"type": "a"}, mark), [])


@pytest.mark.parametrize(("value", "is_json"), [({}, True), ([], True), ("{}", False), (b"", False)])
def test_an_object_or_a_list_is_json(value: Any, is_json: bool) -> None:
    assert RecordedMessage(True, value).is_json is is_json


@pytest.mark.parametrize(
    ("text", "plain"), [("a" * 100, True), ("a" * 101, False), ("a b", True), ("a\n", False), ("\u202e", False)]
)
def test_a_text_is_plain_if_it_is_short_and_visible(text: str, plain: bool) -> None:
    assert is_plain(text) is plain
    assert is_plain("a" * 7, 7)
    assert not is_plain("a" * 8, 7)
