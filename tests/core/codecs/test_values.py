"""Codecs without state: what they make of text and bytes, and which message they keep beside the value."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.message import RejectedValue
from utcp_ws_mcp.core.codecs.values import BinaryCodec, JsonCodec, PackedCodec, Payload, TextCodec

READ: list[tuple[Any, Payload, list[tuple[Payload, Any]]]] = [
    (JsonCodec(), '{"a":1}', [('{"a":1}', {"a": 1})]),
    (JsonCodec(), "{}[]", [("{}", {}), ("[]", [])]),
    (JsonCodec(), b"{}", [(b"{}", b"{}")]),
    (JsonCodec("json"), b"{}", [("{}", {})]),
    (JsonCodec("json"), b"[1]", [("[1]", [1])]),
    (JsonCodec("json"), b"{}[]", [("{}", {}), ("[]", [])]),
    (JsonCodec("json"), b"\xef\xbb\xbf \t\r\n\0\x1e{}", [("\ufeff \t\r\n\0\x1e{}", {})]),
    (JsonCodec("json"), b"1", [(b"1", b"1")]),
    (JsonCodec("json"), b"", [(b"", b"")]),
    (JsonCodec("json"), b"{x", [(b"{x", b"{x")]),
    (JsonCodec("json"), b"{\xff}", [(b"{\xff}", b"{\xff}")]),
    (JsonCodec("json"), b" " * 15 + b"{}", [(" " * 15 + "{}", {})]),
    (JsonCodec("json"), b" " * 16 + b"{}", [(b" " * 16 + b"{}", b" " * 16 + b"{}")]),
    (JsonCodec("text"), b"1", [("1", 1)]),
    (JsonCodec("text"), b"hello", [("hello", "hello")]),
    (JsonCodec("text"), b"{}[]", [("{}", {}), ("[]", [])]),
    (JsonCodec("text"), b"\xff", [(b"\xff", b"\xff")]),
    (TextCodec(), "1", [("1", "1")]),
    (TextCodec(), b"\xc3\xa9\xff", [("é\ufffd", "é\ufffd")]),
    (BinaryCodec(), b"\xff", [(b"\xff", b"\xff")]),
    (BinaryCodec(), "é", [(b"\xc3\xa9", b"\xc3\xa9")]),
    (BinaryCodec(), "\ud800", [(b"?", b"?")]),
]


@pytest.mark.parametrize(("codec", "raw", "messages"), READ)
def test_a_message_is_read_with_the_text_that_it_was(codec: Any, raw: Payload, messages: Any) -> None:
    assert [(message.raw, message.value) for message in codec.decode(raw)] == messages


WRITTEN: list[tuple[Any, Any, Payload]] = [
    (JsonCodec(), {"a": "é"}, '{"a":"é"}'),
    (JsonCodec(), "x", "x"),
    (JsonCodec(), b"x", b"x"),
    (TextCodec(), [1], "[1]"),
    (TextCodec(), b"x", b"x"),
    (BinaryCodec(), "é", b"\xc3\xa9"),
    (BinaryCodec(), [1], b"[1]"),
    (BinaryCodec(), b"x", b"x"),
]


@pytest.mark.parametrize(("codec", "value", "raw"), WRITTEN)
def test_a_value_is_written(codec: Any, value: Any, raw: Payload) -> None:
    assert codec.encode(value) == [raw]


def failing(_: object) -> Any:
    raise OSError("secret")


def test_a_packed_value_was_decoded_and_text_is_json() -> None:
    codec = PackedCodec(lambda value: b"packed", lambda data: {"of": data})
    (packed,), (text,) = codec.decode(b"x"), codec.decode('{"a":1}')
    assert (packed.raw, packed.value, packed.decoded) == (b"x", {"of": b"x"}, True)
    assert (text.raw, text.value, text.decoded) == ('{"a":1}', {"a": 1}, False)
    assert codec.encode(5) == [b"packed"]


def test_a_value_that_cannot_be_packed_is_refused_without_the_words_of_the_library() -> None:
    with pytest.raises(RejectedValue, match=r"^the codec cannot encode this value \(OSError\)\.$") as refused:
        PackedCodec(failing, failing).encode(1)
    assert refused.value.code == "not-json"


def test_bytes_that_cannot_be_unpacked_are_themselves_and_not_decoded() -> None:
    (message,) = PackedCodec(failing, failing).decode(b"x")
    assert (message.raw, message.value, message.decoded) == (b"x", b"x", False)
