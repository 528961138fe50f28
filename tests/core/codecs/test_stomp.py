"""STOMP 1.2 frames, with the examples of its specification (https://stomp.github.io/stomp-specification-1.2.html)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.message import RejectedValue
from utcp_ws_mcp.core.codecs.stomp import StompCodec

EXAMPLES = [
    ("CONNECT\naccept-version:1.2\nhost:stomp.github.org\n\n\0", "CONNECT", {"host": "stomp.github.org"}, ""),
    ("SEND\ndestination:/queue/a\nreceipt:message-12345\n\nhello queue a\0", "SEND", {}, "hello queue a"),
    ("MESSAGE\nfoo:World\nfoo:Hello\n\n\0", "MESSAGE", {"foo": "World"}, ""),
    ("RECEIPT\nreceipt-id:77\n\0", None, {}, ""),
    ("RECEIPT\r\nreceipt-id:message-12345\r\n\r\n\0\r\n", "RECEIPT", {"receipt-id": "message-12345"}, ""),
    ("MESSAGE\nsubscription:0\ncontent-type:text/plain\n\nhello\0\n\n", "MESSAGE", {"subscription": "0"}, "hello"),
]
"""A frame, its command (None: it is none, the blank line is missing), some of its headers, its body."""


def decode(*parts: str | bytes) -> list[Any]:
    codec = StompCodec()
    return [message.value for part in parts for message in codec.decode(part)]


@pytest.mark.parametrize(("text", "command", "headers", "body"), EXAMPLES)
def test_a_frame_of_the_specification_is_read(text: str, command: str | None, headers: Any, body: str) -> None:
    (frame,) = decode(text)
    if command is None:
        assert frame == text.rstrip("\0")
    else:
        assert (frame["command"], frame["body"]) == (command, body)
        assert headers.items() <= frame["headers"].items()


def test_headers_are_escaped_except_in_connect() -> None:
    codec = StompCodec()
    value = {"command": "SEND", "headers": {"a:b": "c\\d\r\n"}}
    assert codec.encode(value) == ["SEND\na\\cb:c\\\\d\\r\\n\n\n\0"]
    assert decode(codec.encode(value)[0]) == [{**value, "body": ""}]
    assert codec.encode({"command": "CONNECT", "headers": {"passcode": "a:b\\"}}) == ["CONNECT\npasscode:a:b\\\n\n\0"]
    with pytest.raises(ValueError, match="line break"):
        codec.encode({"command": "CONNECT", "headers": {"login": "a\nadmin:true"}})


def test_an_undefined_escape_makes_no_frame() -> None:
    assert decode("MESSAGE\na:b\\t\n\n\0") == ["MESSAGE\na:b\\t\n\n"]
    assert decode("MESSAGE\na:b\\\n\n\0") == ["MESSAGE\na:b\\\n\n"]


def test_the_length_counts_bytes_so_that_a_body_may_hold_nul() -> None:
    (text,) = StompCodec().encode({"command": "SEND", "body": "h\u00e9\0\r\n"})
    assert text == "SEND\ncontent-length:6\n\nh\u00e9\0\r\n\0"
    assert decode(text)[0]["body"] == "h\u00e9\0\r\n"


def test_a_body_of_bytes_makes_a_binary_message() -> None:
    (data,) = StompCodec().encode({"command": "SEND", "body": b"\xff\0"})
    assert data == b"SEND\ncontent-length:2\n\n\xff\0\0"
    assert decode(data)[0]["body"] == b"\xff\0"


def test_a_body_that_is_no_text_is_json() -> None:
    assert StompCodec().encode({"command": "SEND", "headers": {"n": 1}, "body": {"a": [1]}}) == [
        'SEND\nn:1\ncontent-length:9\n\n{"a":[1]}\0'
    ]


@pytest.mark.parametrize("wrong", [None, "x", {}, {"command": 1}, [], {"command": "SEND", "body": float("nan")}])
def test_what_is_no_frame_cannot_be_sent(wrong: Any) -> None:
    with pytest.raises(ValueError, match="STOMP frame|JSON"):
        StompCodec().encode(wrong)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_heart_beat_is_an_end_of_line(end: str) -> None:
    assert StompCodec().encode(end) == ["\n"]
    assert decode(end, end + end) == ["\n", "\n"]


def test_several_frames_in_a_message_and_one_in_several() -> None:
    one, two = "MESSAGE\nn:1\n\na\0", "MESSAGE\nn:2\ncontent-length:3\n\nb\0c\0\n"
    assert [frame["body"] for frame in decode(one + "\n" + two + one)] == ["a", "b\0c", "a"]
    for cut in range(1, len(one + two)):
        text = one + two
        assert [frame["body"] for frame in decode(text[:cut], text[cut:]) if frame != "\n"] == ["a", "b\0c"]


def test_what_is_no_frame_is_its_own_value_and_the_next_frame_is_read() -> None:
    assert decode("hello", '{"a":1}', "RECEIPT\n\n\0") == [
        "hello",
        '{"a":1}',
        {"command": "RECEIPT", "headers": {}, "body": ""},
    ]


@pytest.mark.parametrize(("size", "delivered"), [((16 << 20) - 1, 0), (16 << 20, 1)])
def test_an_incomplete_frame_is_buffered_up_to_16_mib(size: int, delivered: int) -> None:
    start = b"MESSAGE\n\n"
    assert len(decode(start + b"x" * (size - len(start)))) == delivered


@given(st.lists(st.one_of(st.binary(max_size=40), st.text("\0\r\n:\\aMESSAGEcontent-length0123456789", max_size=40))))
def test_hostile_input_never_raises(parts: list[str | bytes]) -> None:
    decode(*parts)


def test_many_small_frames_take_no_long() -> None:
    assert len(decode("A\n\n\0" * 100_000)) == 100_000


NO_FRAME = 'the value is not a STOMP frame. Write {"command": …, "headers": {…}, "body": …}.'
REFUSED: dict[str, tuple[Any, str]] = {
    "a text": ("x", NO_FRAME),
    "a number": (5, NO_FRAME),
    "no command": ({"headers": {}}, NO_FRAME),
    "a command that is no text": ({"command": 1}, NO_FRAME),
    "small letters": ({"command": "send"}, "the command of a STOMP frame is not a word of capital letters."),
    "33 letters": ({"command": "A" * 33}, "the command of a STOMP frame is not a word of capital letters."),
    "two lines": ({"command": "SEND\n"}, "the command of a STOMP frame is not a word of capital letters."),
    "a NUL in a name": (
        {"command": "SEND", "headers": {"a\0": "b"}},
        "a header of a STOMP frame contains NUL. Remove it.",
    ),
    "a NUL in a header": (
        {"command": "CONNECT", "headers": {"a": "\0"}},
        "a header of a STOMP frame contains NUL. Remove it.",
    ),
    "a line feed": (
        {"command": "CONNECT", "headers": {"a": "\n"}},
        "a header of CONNECT contains a line break. Remove it.",
    ),
    "a carriage return": (
        {"command": "CONNECTED", "headers": {"a": "\r"}},
        "a header of CONNECT contains a line break. Remove it.",
    ),
}


@pytest.mark.parametrize(("value", "message"), REFUSED.values(), ids=REFUSED)
def test_a_frame_that_cannot_be_sent_is_refused_with_its_reason(value: Any, message: str) -> None:
    with pytest.raises(RejectedValue) as refused:
        StompCodec().encode(value)
    assert (str(refused.value), refused.value.code) == (message, "invalid-packet")


WRITTEN: dict[str, tuple[Any, str | bytes]] = {
    "nothing but a command": ({"command": "A" * 32}, "A" * 32 + "\n\n\0"),
    "no headers": ({"command": "SEND", "headers": None, "body": "a"}, "SEND\ncontent-length:1\n\na\0"),
    "its own length": (
        {"command": "SEND", "headers": {"content-length": 9}, "body": "a"},
        "SEND\ncontent-length:9\n\na\0",
    ),
    "headers that are no text": (
        {"command": "SEND", "headers": {1: True, "b": None}},
        "SEND\n1:true\nb:null\n\n\0",
    ),
    "bytes without headers": ({"command": "SEND", "body": b""}, b"SEND\n\n\0"),
    "a heart-beat of two characters": ("\r\n", "\n"),
}


@pytest.mark.parametrize(("value", "raw"), WRITTEN.values(), ids=WRITTEN)
def test_a_frame_is_written(value: Any, raw: str | bytes) -> None:
    assert StompCodec().encode(value) == [raw]


@pytest.mark.parametrize("raw", ["\n", b"\r\n", "\n\n\r\n", ""])
def test_a_heart_beat_is_the_value_of_one_line_end(raw: str | bytes) -> None:
    (message,) = StompCodec().decode(raw)
    assert (message.raw, message.value, message.decoded) == (raw, "\n", True)


READ: dict[str, tuple[str | bytes, dict[str, Any]]] = {
    "two line ends": ("A\r\n\r\nb\0", {"command": "A", "headers": {}, "body": "b"}),
    "a header that is empty": ("A\nx:\ny\n\n\0", {"command": "A", "headers": {"x": "", "y": ""}, "body": ""}),
    "colons in a header": (
        "CONNECTED\nx:a:b\\c\n\n\0",
        {"command": "CONNECTED", "headers": {"x": "a:b\\c"}, "body": ""},
    ),
    "escapes": ("A\n\\c:\\n\\r\\\\\n\n\0", {"command": "A", "headers": {":": "\n\r\\"}, "body": ""}),
    "bytes": (b"A\n\n\xff\0", {"command": "A", "headers": {}, "body": b"\xff"}),
    "a length that is none": (
        "A\ncontent-length:x\n\nbody\0",
        {"command": "A", "headers": {"content-length": "x"}, "body": "body"},
    ),
    "a length of ten digits": (
        "A\ncontent-length:0000000001\n\nbody\0",
        {"command": "A", "headers": {"content-length": "0000000001"}, "body": "body"},
    ),
    "a length below that of the body": (
        "A\ncontent-length:2\n\nbody\0",
        {"command": "A", "headers": {"content-length": "2"}, "body": "bo"},
    ),
    "a length in the body": (
        "A\n\n\ncontent-length:9\n\0",
        {"command": "A", "headers": {}, "body": "\ncontent-length:9\n"},
    ),
}


@pytest.mark.parametrize(("raw", "frame"), READ.values(), ids=READ)
def test_a_frame_is_read(raw: str | bytes, frame: dict[str, Any]) -> None:
    (message,) = StompCodec().decode(raw)
    assert (message.value, message.decoded) == (frame, True)


@pytest.mark.parametrize("text", ["a\n\nb", "MESSAGE", "A" * 33 + "\n\n", "1A\n\n", "A\nx:\\q\n\n"])
def test_what_is_no_frame_was_not_decoded(text: str) -> None:
    (message,) = StompCodec().decode(text + "\0")
    assert (message.raw, message.value, message.decoded) == (text, text, False)


def test_lines_between_frames_are_skipped_and_what_is_incomplete_waits() -> None:
    codec = StompCodec()
    first = [*codec.decode("\r\n\nA\n\nx\0\n\r\nB\n\ny")]
    assert [message.value["body"] for message in first] == ["x"]
    assert first[0].raw == "A\n\nx"
    assert [message.value["body"] for message in codec.decode("z\0\n")] == ["yz"]
    assert [message.value for message in codec.decode("\n")] == ["\n"]
