"""Where messages end: bounds of what is buffered, and of the headers and lengths of one message."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.core.codecs import splitting
from utcp_ws_mcp.core.codecs.binary_splitting import BinarySplitter
from utcp_ws_mcp.core.codecs.message import MessageTooLarge, RejectedValue, UndecodableStream
from utcp_ws_mcp.core.codecs.splitting import DelimiterSplitter, Frame
from utcp_ws_mcp.core.codecs.text_splitting import TextLengthSplitter, compile_length_pattern
from utcp_ws_mcp.errors import InvalidTemplate
from utcp_ws_mcp.manifest.models.framing import Framing


def binary(limit: int = 100, **framing: Any) -> BinarySplitter:
    return BinarySplitter(Framing(**framing), limit)


def text(limit: int = 100, **framing: Any) -> TextLengthSplitter:
    length = {"pattern": r"^L (\S+)", **{key: framing.pop(key) for key in ("trailer", "unit") if key in framing}}
    return TextLengthSplitter(Framing(**{"separator": "\r\n", "length": length, **framing}), limit)


def test_a_separator_may_be_cut_anywhere() -> None:
    splitter = DelimiterSplitter("<->")
    assert [splitter.feed(piece) for piece in ("a<", "-", ">b", "<->c<->", "d", "<-", "x", "<->")] == [
        [],
        [],
        ["a"],
        ["b", "c"],
        [],
        [],
        [],
        ["d<-x"],
    ]


@pytest.mark.parametrize("rest", [10, 11])
def test_a_message_is_joined_up_to_its_bound(monkeypatch: pytest.MonkeyPatch, rest: int) -> None:
    monkeypatch.setattr(splitting, "MAX_JOINED_LENGTH", 10)
    splitter = DelimiterSplitter(b";")
    assert splitter.feed(b"a;" + b"x" * rest) == ([b"a"] if rest == 10 else [b"a", b"x" * 11])
    assert splitter.feed(b";") == ([b"x" * 10] if rest == 10 else [b""])
    assert splitter.feed(b"y" * 5) == []
    assert splitter.feed(b"y" * 5) == []
    assert splitter.feed(b"z") == [b"y" * 10 + b"z"]
    assert splitter.feed(b"end;") == [b"end"]


def test_16_mib_are_joined() -> None:
    assert splitting.MAX_JOINED_LENGTH == 16 << 20


def test_bytes_with_and_without_a_header_are_frames() -> None:
    assert [*binary(header=2).feed(b"abcd")] == [Frame(b"cd", b"ab")]
    assert [*binary(header=2).feed(b"ab")] == [Frame(b"", b"ab")]
    assert [*binary(header=2).feed(b"a")] == [Frame(b"a", whole=False)]
    assert [*binary(length={"size": 1}).feed(b"\x01a\x00\x02b")] == [
        Frame(b"a"),
        Frame(b""),
        Frame(b"\x02b", whole=False),
    ]


def test_what_is_incomplete_waits_where_messages_span_messages() -> None:
    splitter = binary(header=3, length={"size": 2, "at": 1}, spans_messages=True)
    assert [*splitter.feed(b"h\x00")] == []
    assert [*splitter.feed(b"\x02a")] == []
    assert [*splitter.feed(b"bH\x00\x00")] == [Frame(b"ab", b"h\x00\x02"), Frame(b"", b"H\x00\x00")]


SIZES: list[Any] = [
    {"size": 1},
    {"size": "varint"},
    {"size": 2, "endian": "little"},
    {"size": 1, "counts": "all"},
    {"size": 1, "at": 1, "counts": "from_length"},
]


@pytest.mark.parametrize("length", SIZES, ids=str)
def test_a_body_may_be_as_long_as_the_limit(length: Any) -> None:
    frame = binary(length=length).join(bytes(100), None)
    above = binary(length=length).join(bytes(101), None)
    assert [*binary(length=length).feed(frame)] == [Frame(bytes(100))]
    assert [*binary(length=length, spans_messages=True).feed(frame)] == [Frame(bytes(100))]
    assert [*binary(length=length).feed(above)] == [Frame(above, whole=False)]
    with pytest.raises(MessageTooLarge):
        [*binary(length=length, spans_messages=True).feed(above)]


def test_a_length_may_count_nothing_but_the_header() -> None:
    length = {"size": 1, "counts": "all"}
    assert [*binary(length=length).feed(b"\x01\x02a")] == [Frame(b""), Frame(b"a")]
    assert [*binary(length=length).feed(b"\x00")] == [Frame(b"\x00", whole=False)]
    with pytest.raises(UndecodableStream, match="the length of a message is less than that of its header"):
        [*binary(length=length, spans_messages=True).feed(b"\x00")]


def test_a_length_of_variable_size_has_up_to_five_bytes() -> None:
    splitter = binary(length={"size": "varint"}, spans_messages=True)
    assert [*splitter.feed(b"\x81\x80\x80\x80")] == []
    assert [*splitter.feed(b"\x00a")] == [Frame(b"a")]
    with pytest.raises(UndecodableStream, match="a length has more than 5 bytes"):
        [*splitter.feed(b"\x81\x80\x80\x80\x80")]


def test_a_header_may_be_text_of_its_size() -> None:
    splitter = binary(header=2, length={"size": 1, "at": 1})
    assert splitter.join(b"abc", "hx") == b"h\x03abc"
    assert splitter.join(b"abc", None) == b"\x00\x03abc"
    with pytest.raises(RejectedValue, match="^the header has 3 bytes instead of 2[.]$") as refused:
        splitter.join(b"", "abc")
    assert refused.value.code == "invalid-packet"


def test_a_message_too_long_for_its_length_is_refused_with_its_size() -> None:
    splitter = binary(length={"size": 1, "counts": "all"})
    assert splitter.join(bytes(254), None)[:1] == b"\xff"
    with pytest.raises(RejectedValue, match="^the message has 256 bytes, too many for a length of 1 bytes[.]$"):
        splitter.join(bytes(255), None)


# --- Headers in text ---


def test_frames_of_text_are_found() -> None:
    data = b"L 2\r\nab\r\n\r\nhello\r\nL 0\r\nrest"
    assert [*text(spans_messages=True).feed(data)] == [Frame(b"ab", "L 2"), Frame(None, "hello"), Frame(b"", "L 0")]
    assert [*text().feed(data)][-1] == Frame(None, "rest", whole=False)


def test_a_separator_and_a_trailer_may_be_cut() -> None:
    splitter = text(trailer="!!", spans_messages=True)
    pieces = (b"L", b" 1\r", b"\na", b"!", b"!L 1\r\nb!!hi\r", b"\n")
    assert [[*splitter.feed(piece)] for piece in pieces] == [
        [],
        [],
        [],
        [],
        [Frame(b"a", "L 1"), Frame(b"b", "L 1")],
        [Frame(None, "hi")],
    ]


def test_a_wrong_trailer_ends_the_stream_with_its_reason() -> None:
    with pytest.raises(UndecodableStream, match="^the text behind a body is not the trailer$"):
        [*text(trailer="!", spans_messages=True).feed(b"L 1\r\na?")]
    assert [*text(trailer="!").feed(b"L 1\r\na?")] == [Frame(b"L 1\r\na?", whole=False)]


@pytest.mark.parametrize("number", ["x", "-1", "1.5", "1234567890123", "\u0663"])
def test_a_length_that_is_no_number_of_up_to_twelve_digits_ends_the_stream(number: str) -> None:
    with pytest.raises(UndecodableStream, match="^the length in a header is not a number$"):
        [*text(spans_messages=True).feed(f"L {number}\r\n".encode())]


@pytest.mark.parametrize(("size", "is_taken"), [(100, True), (101, False)])
def test_a_header_may_announce_as_much_as_the_limit(size: int, is_taken: bool) -> None:
    data = f"L {size}\r\n".encode() + bytes(size)
    assert [*text().feed(data)] == [Frame(bytes(size), f"L {size}")]
    if is_taken:
        assert [*text(spans_messages=True).feed(data)] == [Frame(bytes(size), f"L {size}")]
    else:
        with pytest.raises(MessageTooLarge):
            [*text(spans_messages=True).feed(data)]


def test_a_header_is_searched_up_to_64_kib() -> None:
    splitter = text(spans_messages=True)
    assert [*splitter.feed(b"x" * 65_536)] == []
    assert [*splitter.feed(b"\r\n")] == [Frame(None, "x" * 65_536)]
    with pytest.raises(UndecodableStream, match="^a header has more than 65,536 bytes$"):
        [*splitter.feed(b"x" * 65_537)]


def test_what_is_left_of_a_message_does_not_begin_the_next_one() -> None:
    splitter = text()
    assert [*splitter.feed(b"L 5\r\nab")] == [Frame(b"L 5\r\nab", whole=False)]
    assert [*splitter.feed(b"L 5")] == [Frame(b"L 5", whole=False)]
    assert [*splitter.feed(b"no length \xff")] == [Frame(None, "no length \ufffd", whole=False)]
    assert [*splitter.feed(b"")] == []
    assert [*splitter.feed(b"L 1\r\nz")] == [Frame(b"z", "L 1")]


def test_the_length_is_written_into_a_header() -> None:
    splitter = text(trailer="!")
    assert splitter.join(b"abc", "L 0 more") == b"L 3 more\r\nabc!"
    assert splitter.join(b"", b"L ? \xff") == "L 0 \ufffd\r\n!".encode()
    assert splitter.join(None, "é") == "é\r\n".encode()
    for header in (None, "", "M 0"):
        with pytest.raises(RejectedValue, match="length.pattern does not match it") as refused:
            splitter.join(b"", header)
        assert refused.value.code == "invalid-packet"


def test_a_pattern_needs_one_group() -> None:
    assert compile_length_pattern("L (.)").groups == 1
    with pytest.raises(InvalidTemplate) as refused:
        compile_length_pattern("L .")
    assert refused.value.code == "invalid-framing"
    with pytest.raises(InvalidTemplate) as refused:
        compile_length_pattern("(")
    assert refused.value.code == "pattern-not-allowed"
