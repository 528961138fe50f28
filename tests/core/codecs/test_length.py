"""Messages that end where a length says: a binary one in front of them, or a number in the text of a header."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.framing import Framer, make_framer
from utcp_ws_mcp.core.codecs.message import MessageTooLarge, RejectedValue, UndecodableStream, UnframedMessage
from utcp_ws_mcp.core.codecs.text_splitting import compile_length_pattern
from utcp_ws_mcp.errors import InvalidTemplate
from utcp_ws_mcp.manifest.models.framing import Framing

FUZZ = settings(max_examples=100, deadline=None, database=None)


def framer(send_as: str | None = None, max_bytes: int = 1 << 20, **framing: Any) -> Framer:
    return make_framer(Framing(**framing), send_as, max_bytes=max_bytes)


def values(peer: Framer, *raw: str | bytes) -> list[Any]:
    return [message.value for each in raw for message in peer.decode(each)]


LENGTHS: dict[str, tuple[dict[str, Any], str]] = {
    "1 byte": ({"length": {"size": 1}}, "02 6869"),
    "2 bytes": ({"length": {"size": 2}}, "0002 6869"),
    "3 bytes": ({"length": {"size": 3}}, "000002 6869"),
    "4 bytes": ({"length": {"size": 4}}, "00000002 6869"),
    "8 bytes": ({"length": {"size": 8}}, "0000000000000002 6869"),
    "little endian": ({"length": {"size": 4, "endian": "little"}}, "02000000 6869"),
    "of all bytes": ({"length": {"size": 4, "counts": "all"}}, "00000006 6869"),
    "from the length": ({"length": {"size": 2, "at": 1, "counts": "from_length"}}, "00 0004 6869"),
    "a varint": ({"length": {"size": "varint"}}, "02 6869"),
}


@pytest.mark.parametrize(("framing", "data"), LENGTHS.values(), ids=LENGTHS)
def test_a_length_is_written_and_read_in_front_of_each_message(framing: dict[str, Any], data: str) -> None:
    peer, frame = framer(codec="text", **framing), bytes.fromhex(data)

    assert peer.encode("hi") == [frame]
    assert values(peer, frame) == ["hi"]
    assert values(peer, frame * 3) == ["hi", "hi", "hi"]
    assert peer.for_display(frame) == "hi"


HEADERS: dict[str, tuple[dict[str, Any], str, str]] = {
    "without a length": ({"header": 3}, "aabbcc 6869", "aabbcc"),
    "in front of a length": ({"header": 6, "length": {"size": 4, "at": 2}}, "aabb 00000002 6869", "aabb00000002"),
    "behind a length": ({"header": 6, "length": {"size": 4}}, "00000002 aabb 6869", "00000002aabb"),
    "behind a length of the rest": (
        {"header": 6, "length": {"size": 4, "counts": "rest"}},
        "00000004 aabb 6869",
        "00000004aabb",
    ),
    "around a length that counts itself and the rest": (
        {"header": 7, "length": {"size": 4, "at": 1, "counts": "from_length"}},
        "aa 00000008 bbcc 6869",
        "aa00000008bbcc",
    ),
    "in a length of all": (
        {"header": 6, "length": {"size": 2, "at": 1, "counts": "all"}},
        "aa 0008 bbccdd 6869",
        "aa0008bbccdd",
    ),
    "in front of a varint": ({"header": 1, "length": {"size": "varint"}}, "aa 02 6869", "aa"),
}


@pytest.mark.parametrize(("framing", "data", "header"), HEADERS.values(), ids=HEADERS)
def test_a_header_is_beside_the_body(framing: dict[str, Any], data: str, header: str) -> None:
    peer, frame = framer(codec="text", **framing), bytes.fromhex(data)
    value = {"header": bytes.fromhex(header), "body": "hi"}

    assert values(peer, frame) == [value]
    assert peer.encode(value) == [frame]


def test_a_header_that_is_left_out_has_zeros_and_the_length() -> None:
    peer = framer(header=6, length={"size": 4, "at": 2})
    assert peer.encode({"body": {"a": 1}}) == [b'\0\0\0\0\0\x07{"a":1}']
    assert peer.encode({"header": b"\1\2\0\0\0\0"}) == [b"\1\2\0\0\0\0"]


@pytest.mark.parametrize("value", [{"header": b"\0", "body": 1}, "text", {"header": 3, "body": 1}, [1]])
def test_a_value_without_the_header_of_the_framing_is_refused(value: Any) -> None:
    with pytest.raises(RejectedValue, match="header"):
        framer(header=6).encode(value)


def test_a_body_that_is_too_long_for_its_length_is_refused() -> None:
    assert framer(codec="binary", length={"size": 1}).encode(bytes(255)) == [b"\xff" + bytes(255)]
    with pytest.raises(RejectedValue, match="too many for a length of 1 bytes"):
        framer(codec="binary", length={"size": 1}).encode(bytes(256))


def test_a_long_varint_has_seven_bits_in_each_byte() -> None:
    peer = framer(codec="binary", length={"size": "varint"})
    (sent,) = peer.encode(bytes(300))
    assert isinstance(sent, bytes)
    assert sent[:2] == b"\xac\x02"
    assert values(peer, sent) == [bytes(300)]


@pytest.mark.parametrize("codec", ["json", "msgpack", "cbor", "text", "binary"])
def test_every_codec_is_framed(codec: Any) -> None:
    peer = framer(codec=codec, length={"size": 4})
    value = {"text": "a", "binary": b"b"}.get(codec, {"id": 1})
    assert values(peer, *peer.encode(value)) == [value]


def test_text_messages_have_no_binary_length() -> None:
    assert values(framer(codec="msgpack", length={"size": "varint"}), "{}") == [{}]


@pytest.mark.parametrize("rest", ["00", "00000003 6869", "ffffffff 6869"])
def test_what_is_no_message_is_given_as_it_is(rest: str) -> None:
    data = bytes.fromhex(rest)
    peer = framer(codec="text", length={"size": 4})
    assert values(peer, b"\0\0\0\x02hi" + data) == ["hi", data]
    assert values(peer, b"\0\0\0\x02hi") == ["hi"]


def test_a_length_that_is_impossible_ends_a_stream() -> None:
    stream: dict[str, Any] = {"codec": "binary", "spans_messages": True}
    with pytest.raises(UndecodableStream, match="less than that of its header"):
        values(framer(length={"size": 4, "counts": "all"}, **stream), b"\0\0\0\x03")
    with pytest.raises(UndecodableStream, match="more than 5 bytes"):
        values(framer(length={"size": "varint"}, **stream), b"\xff" * 6)
    with pytest.raises(MessageTooLarge):
        values(framer(length={"size": 4}, max_bytes=1000, **stream), b"\0\0\x03\xe9")


@FUZZ
@given(st.lists(st.binary(max_size=6), max_size=8), st.sampled_from(sorted({**LENGTHS, **HEADERS})), st.data())
def test_a_stream_gives_the_same_messages_wherever_it_is_cut(
    bodies: list[bytes], name: str, data: st.DataObject
) -> None:
    framing = {**LENGTHS, **HEADERS}[name][0]
    if "length" not in framing:
        return
    writer, reader = framer(codec="binary", **framing), framer(codec="binary", spans_messages=True, **framing)
    sent = [{"body": body} if "header" in framing else body for body in bodies]
    stream = b"".join(part for value in sent for part in writer.encode(value) if isinstance(part, bytes))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    got = values(reader, *parts)

    assert [value["body"] if "header" in framing else value for value in got] == bodies


def test_an_unframed_message_is_sent_as_it_is() -> None:
    peer = framer(codec="msgpack", length={"size": "varint"})
    assert peer.encode(UnframedMessage('{"protocol":"messagepack"}\x1e')) == ['{"protocol":"messagepack"}\x1e']
    assert peer.encode(UnframedMessage(b"\xff")) == [b"\xff"]
    assert framer("binary", separator="\n").encode(UnframedMessage("x")) == [b"x"]


# --- A number in the text of a header ---

NATS: dict[str, Any] = {
    "separator": "\r\n",
    "length": {"pattern": r"^(?:PUB|MSG) .* (\d+)$", "trailer": "\r\n"},
    "spans_messages": True,
}
CONTENT_LENGTH: dict[str, Any] = {"separator": "\r\n\r\n", "length": {"pattern": r"Content-Length: (\d+)"}}


def test_a_body_follows_a_header_that_has_its_length() -> None:
    data = b'INFO {"a":1}\r\n+OK\r\nMSG a.b 1 5\r\nhe\r\no\r\nMSG c 1 7\r\n{"x":2}\r\nPING\r\n'
    assert values(framer(**NATS), data) == [
        {"header": 'INFO {"a":1}', "body": None},
        {"header": "+OK", "body": None},
        {"header": "MSG a.b 1 5", "body": "he\r\no"},
        {"header": "MSG c 1 7", "body": {"x": 2}},
        {"header": "PING", "body": None},
    ]


def test_the_length_is_filled_in_where_the_pattern_finds_it() -> None:
    peer = framer(**NATS)
    assert peer.encode({"header": "PUB a.b 0", "body": "héllo"}) == ["PUB a.b 6\r\nhéllo\r\n"]
    assert peer.encode({"header": "PUB a 0", "body": b"\xff"}) == [b"PUB a 1\r\n\xff\r\n"]
    assert peer.encode("PONG") == ["PONG\r\n"]
    assert peer.encode({"header": "SUB a 1"}) == ["SUB a 1\r\n"]
    assert framer("binary", **NATS).encode("PONG") == [b"PONG\r\n"]
    lsp = framer(**CONTENT_LENGTH)
    assert lsp.encode({"header": "Content-Length: 0", "body": {"id": 1}}) == ['Content-Length: 8\r\n\r\n{"id":1}']
    with pytest.raises(RejectedValue, match="no place for the length"):
        lsp.encode({"header": "Content-Type: x", "body": {}})
    with pytest.raises(RejectedValue, match='"header": text'):
        lsp.encode({"id": 1})


def test_an_empty_body_is_one() -> None:
    assert values(framer(**NATS), b"MSG a 1 0\r\n\r\nPING\r\n") == [
        {"header": "MSG a 1 0", "body": ""},
        {"header": "PING", "body": None},
    ]


def test_an_empty_line_between_messages_is_none() -> None:
    assert values(framer(**NATS), b"\r\nPING\r\n\r\n") == [{"header": "PING", "body": None}]
    assert values(framer(**CONTENT_LENGTH), b"\r\n\r\n") == []


def test_text_and_binary_messages_are_framed_alike() -> None:
    peer, body = framer(**CONTENT_LENGTH), '{"a":"é"}'
    header = f"Content-Length: {len(body.encode())}"
    for raw in (f"{header}\r\n\r\n{body}", f"{header}\r\n\r\n{body}".encode()):
        assert values(peer, raw) == [{"header": header, "body": {"a": "é"}}]


def test_without_spans_the_rest_of_a_message_is_given_as_it_is() -> None:
    alone = NATS | {"spans_messages": False}
    assert values(framer(**alone), b"PING") == [{"header": "PING", "body": None}]
    assert values(framer(**alone), b"MSG a 1 9\r\nhel") == [b"MSG a 1 9\r\nhel"]
    assert values(framer(**alone), b"MSG a 1 9") == [b"MSG a 1 9"]
    assert values(framer(**alone), b"MSG a 1 1\r\nxyz\r\n") == [b"MSG a 1 1\r\nxyz\r\n"]


def test_a_stream_that_does_not_fit_ends_the_connection() -> None:
    with pytest.raises(UndecodableStream, match="trailer"):
        values(framer(**NATS), b"MSG a 1 1\r\nxyz\r\n")
    assert values(framer(**NATS), b"x" * 65_536) == []
    with pytest.raises(UndecodableStream, match="header has more than 65,536 bytes"):
        values(framer(**NATS), b"x" * 65_537)
    with pytest.raises(MessageTooLarge):
        values(framer(max_bytes=1000, **NATS), b"MSG a 1 1001\r\n")
    with pytest.raises(UndecodableStream, match="not a number"):
        values(framer(**NATS | {"length": {"pattern": "^MSG (.*)$"}}), b"MSG x\r\n")


@pytest.mark.parametrize(
    ("pattern", "message"), [("(", "regular expression"), ("x", "0 groups"), ("(a)(b)", "2 groups")]
)
def test_a_pattern_that_finds_no_length_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(InvalidTemplate, match=message):
        compile_length_pattern(pattern)


@FUZZ
@given(st.lists(st.text(max_size=6), max_size=6), st.data())
def test_a_text_stream_gives_the_same_messages_wherever_it_is_cut(bodies: list[str], data: st.DataObject) -> None:
    writer, reader = framer(codec="text", **NATS), framer(codec="text", **NATS)
    sent = [part for body in bodies for part in writer.encode({"header": "PUB a 0", "body": body})]
    stream = b"".join(part.encode() if isinstance(part, str) else part for part in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert [value["body"] for value in values(reader, *parts)] == bodies


@FUZZ
@given(st.binary(max_size=60) | st.text(max_size=40), st.booleans())
def test_hostile_input_gives_messages_or_ends_the_connection(raw: str | bytes, spans: bool) -> None:
    framings = [each[0] for each in LENGTHS.values()] + [each[0] for each in HEADERS.values()] + [NATS, CONTENT_LENGTH]
    for framing in framings:
        peer = framer(max_bytes=1000, **{**framing, "spans_messages": spans and "length" in framing})
        try:
            values(peer, raw, raw)
        except (MessageTooLarge, UndecodableStream):
            continue
