"""Lengths in text: between two texts or in a header, in bytes, code points or code units of UTF-16."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.framing import Framer, make_framer
from utcp_ws_mcp.core.codecs.message import MessageTooLarge, RejectedValue, UndecodableStream
from utcp_ws_mcp.core.codecs.splitting import Frame
from utcp_ws_mcp.core.codecs.text_splitting import TextLengthSplitter
from utcp_ws_mcp.core.codecs.text_units import UNITS
from utcp_ws_mcp.manifest.models.framing import Framing

Unit = Literal["bytes", "code_points", "utf16"]
FUZZ = settings(max_examples=200, deadline=None, database=None)
TEXT = "aé€😀"
"""Characters of one to four bytes in UTF-8; the last is a surrogate pair in UTF-16."""


def framer(max_bytes: int = 1 << 20, **framing: Any) -> Framer:
    return make_framer(Framing(**framing), max_bytes=max_bytes)


def values(peer: Framer, *raw: str | bytes) -> list[Any]:
    return [message.value for each in raw for message in peer.decode(each)]


def splitter(limit: int = 100, *, spans: bool = True, **length: Any) -> TextLengthSplitter:
    return TextLengthSplitter(Framing(length={"between": ["<", ">"], **length}, spans_messages=spans), limit)


def frames(peer: TextLengthSplitter, *pieces: bytes | str) -> list[list[Frame]]:
    return [[*peer.feed(piece.encode() if isinstance(piece, str) else piece)] for piece in pieces]


@pytest.mark.parametrize(("unit", "count"), [("bytes", 10), ("code_points", 4), ("utf16", 5)])
def test_a_length_counts_what_its_unit_says(unit: Unit, count: int) -> None:
    between = framer(codec="text", length={"between": ["<", ">"], "unit": unit})
    line = framer(codec="text", separator="\n", length={"pattern": r"^L (\d+)$", "unit": unit})

    assert between.encode(TEXT) == [f"<{count}>{TEXT}"]
    assert values(between, f"<{count}>{TEXT}<1>x") == [TEXT, "x"]
    assert line.encode({"header": "L 0", "body": TEXT}) == [f"L {count}\n{TEXT}"]
    assert values(line, f"L {count}\n{TEXT}OK\n") == [
        {"header": f"L {count}", "body": TEXT},
        {"header": "OK", "body": None},
    ]


@pytest.mark.parametrize("unit", UNITS)
@FUZZ
@given(st.text(max_size=30))
def test_units_count_as_the_languages_do_that_have_them(unit: str, text: str) -> None:
    counts = {"bytes": len(text.encode()), "code_points": len(text), "utf16": len(text.encode("utf-16-le")) // 2}
    assert UNITS[unit].count(text.encode()) == counts[unit]
    assert UNITS[unit].advance(bytearray(b"#" + text.encode() + b"#"), 1, counts[unit]) == (1 + len(text.encode()), 0)


@pytest.mark.parametrize(("text", "count"), [("\x7f\x80", 2), ("\u07ff\u0800", 2), ("\uffff", 1), ("\U00010000", 2)])
def test_code_points_above_u_ffff_are_two_units_in_utf16(text: str, count: int) -> None:
    assert UNITS["utf16"].count(text.encode()) == count
    assert UNITS["code_points"].count(text.encode()) == len(text)


def test_bytes_that_have_not_arrived_are_missing() -> None:
    assert UNITS["bytes"].advance(bytearray(b"abc"), 1, 2) == (3, 0)
    assert UNITS["bytes"].advance(bytearray(b"abc"), 1, 9) == (3, 7)


@pytest.mark.parametrize("unit", ["code_points", "utf16"])
def test_what_has_not_arrived_is_missing(unit: str) -> None:
    data = bytearray(TEXT.encode())
    width = {"code_points": 4, "utf16": 5}[unit]
    assert UNITS[unit].advance(data, 0, width) == (10, 0)
    assert UNITS[unit].advance(data, 0, width + 7) == (10, 7)
    assert UNITS[unit].advance(data, 1, 2) == (6, 0)
    assert UNITS[unit].advance(data, 10, 3) == (10, 3)
    assert UNITS[unit].advance(data, 3, 0) == (3, 0)


@pytest.mark.parametrize("front", ["", "a", "é", "😀", "aé€😀" * 9])
def test_half_of_a_surrogate_pair_is_no_end(front: str) -> None:
    units = len(front.encode("utf-16-le")) // 2 + 1
    data = bytearray((front + "😀b").encode())
    with pytest.raises(RejectedValue, match="^a length ends inside of a character$"):
        UNITS["utf16"].advance(data, 0, units)
    assert UNITS["utf16"].advance(data, 0, units + 1) == (len(data) - 1, 0)
    assert UNITS["code_points"].advance(data, 0, len(front) + 1) == (len(data) - 1, 0)


def test_a_body_that_is_no_text_has_no_characters() -> None:
    peer = framer(length={"between": ["<", ">"], "unit": "code_points"})
    with pytest.raises(RejectedValue, match="the body is no text") as refused:
        peer.encode(b"\xff")
    assert refused.value.code == "invalid-packet"
    assert framer(length={"between": ["<", ">"]}).encode(b"\xff") == [b"<1>\xff"]


def test_messages_behind_a_length_have_no_header() -> None:
    peer = framer(length={"between": ["~m~", "~m~"], "unit": "utf16"})
    assert peer.encode({"m": "😀"}) == ['~m~10~m~{"m":"😀"}']
    assert peer.encode("~h~1") == ["~m~4~m~~h~1"]
    assert values(peer, '~m~10~m~{"m":"😀"}~m~4~m~~h~1~m~0~m~') == [{"m": "😀"}, "~h~1", ""]


def test_a_header_whose_length_is_left_out_has_no_body() -> None:
    peer = framer(codec="text", separator="\n", length={"pattern": r"^L(?: (\d+))?$"})
    assert values(peer, "L\nL 1\na") == [{"header": "L", "body": None}, {"header": "L 1", "body": "a"}]


def test_a_netstring_has_a_length_in_front_and_a_trailer() -> None:
    peer = framer(codec="binary", length={"between": ["", ":"], "trailer": ","})
    assert peer.encode(b"hello\xff") == [b"6:hello\xff,"]
    assert values(peer, b"6:hello\xff,0:,") == [b"hello\xff", b""]


@pytest.mark.parametrize("codec", ["json", "text", "stomp"])
def test_text_is_sent_as_text_and_shown_as_it_was_sent(codec: str) -> None:
    value: Any = {"command": "SEND", "headers": {}, "body": "é"} if codec == "stomp" else "é"
    (sent,) = framer(codec=codec, length={"between": ["<", ">"], "unit": "utf16"}).encode(value)
    assert isinstance(sent, str)
    assert framer(codec=codec, length={"between": ["<", ">"], "unit": "utf16"}).for_display(sent) == sent


def test_texts_and_characters_may_be_cut_anywhere() -> None:
    data = "<2>€é<0><1>😀".encode()
    pieces = [bytes([byte]) for byte in data]
    got = [frame for found in frames(splitter(unit="code_points"), *pieces) for frame in found]
    assert got == [Frame("€é".encode()), Frame(b""), Frame("😀".encode())]


@pytest.mark.parametrize("data", ["x", "<x", "<>", "<1x", "<1234567890123", "<-1>", "<1>ax", "<٣>"])
def test_what_cannot_begin_a_message_ends_a_stream_at_once(data: str) -> None:
    with pytest.raises(UndecodableStream, match="length of a message"):
        frames(splitter(), data)


def test_the_longest_length_has_twelve_digits() -> None:
    peer = splitter(limit=10**12)
    assert frames(peer, "<" + "0" * 11, "1", ">a") == [[], [], [Frame(b"a")]]
    assert frames(peer, "<123456789012", ">a") == [[], []]


def test_what_is_no_message_is_given_as_it_is() -> None:
    peer = splitter(spans=False, unit="utf16")
    assert frames(peer, "<1>a<5>b", "<1>a", "busy", b"<1>\xff<1>", "") == [
        [Frame(b"a"), Frame(b"<5>b", whole=False)],
        [Frame(b"a")],
        [Frame(b"busy", whole=False)],
        [Frame(b"<1>\xff<1>", whole=False)],
        [],
    ]


def test_what_is_left_of_a_text_message_is_text() -> None:
    peer = framer(length={"between": ["<", ">"], "unit": "utf16"})
    assert values(peer, "busy", "<1>a<5>😀", b"busy", b"<1>\xff") == ["busy", "a", "<5>😀", b"busy", b"<1>\xff"]
    line = framer(separator="\n", length={"pattern": r"^L (\d+)$"})
    assert values(line, "L 3\né", b"L 3\nab") == ["L 3\né", b"L 3\nab"]


def test_a_pair_that_a_length_divides_ends_a_stream() -> None:
    with pytest.raises(UndecodableStream, match="^a length ends inside of a character$"):
        frames(splitter(unit="utf16"), "<1>😀")
    assert frames(splitter(unit="utf16", spans=False), "<1>😀") == [[Frame("<1>😀".encode(), whole=False)]]


@pytest.mark.parametrize("unit", UNITS)
def test_a_body_may_be_as_long_as_the_limit_in_bytes(unit: Unit) -> None:
    units = {"bytes": 12, "code_points": 3, "utf16": 6}[unit]
    assert frames(splitter(12, unit=unit), f"<{units}>😀😀😀") == [[Frame("😀😀😀".encode())]]
    with pytest.raises(MessageTooLarge):
        frames(splitter(11, unit=unit), f"<{units}>😀😀😀")
    with pytest.raises(MessageTooLarge):
        frames(splitter(11, unit=unit), "<12>")
    assert frames(splitter(11, unit=unit), "<11>") == [[]]


@pytest.mark.parametrize("unit", ["code_points", "utf16"])
def test_a_body_that_outgrows_the_limit_ends_before_it_is_whole(unit: Unit) -> None:
    peer = splitter(9, unit=unit)
    assert frames(peer, "<9>" + "€" * 3) == [[]]
    with pytest.raises(MessageTooLarge):
        frames(peer, "€")


def test_a_compressed_connection_carries_characters() -> None:
    framing = {
        "compression": {"method": "zlib", "context": "connection", "send": True},
        "length": {"between": ["<", ">"], "unit": "utf16"},
    }
    server, client = framer(**framing), framer(**framing)
    for value in ({"name": "Société 😀"}, "😀"):
        assert values(client, *server.encode(value)) == [value]


def test_bytes_that_are_no_text_end_a_stream_of_characters() -> None:
    peer = splitter(unit="code_points")
    assert frames(peer, "<2>é".encode(), b"\xc3") == [[], []]
    with pytest.raises(UndecodableStream, match="^it is no text, so that its characters cannot be counted$"):
        frames(peer, b"x")
    assert frames(splitter(unit="bytes"), b"<1>\xff") == [[Frame(b"\xff")]]


def test_a_trailer_follows_the_characters_of_a_body() -> None:
    peer = splitter(unit="utf16", trailer="é")
    assert frames(peer, "<2>😀", "é<0>é") == [[], [Frame("😀".encode()), Frame(b"")]]
    with pytest.raises(UndecodableStream, match="not the trailer"):
        frames(peer, "<1>ax!")


characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters | st.sampled_from("<>~m0123456789😀é€"), max_size=8)
BETWEEN = [("<", ">"), ("~m~", "~m~"), ("", ":"), ("\ufffd", "\ufffd"), ("😀", "é")]


@FUZZ
@given(st.lists(texts, max_size=6), st.sampled_from(sorted(UNITS)), st.sampled_from(BETWEEN), texts, st.data())
def test_a_stream_gives_the_same_messages_wherever_it_is_cut(
    bodies: list[str], unit: str, between: tuple[str, str], trailer: str, data: st.DataObject
) -> None:
    framing: dict[str, Any] = {"codec": "text", "length": {"between": between, "unit": unit, "trailer": trailer}}
    writer, reader = framer(**framing), framer(spans_messages=True, **framing)
    sent = "".join(part for body in bodies for part in writer.encode(body) if isinstance(part, str))
    stream = sent.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert values(framer(**framing), sent) == bodies
    assert values(reader, *parts) == bodies


@FUZZ
@given(st.lists(texts, max_size=6), st.sampled_from(["code_points", "utf16"]), st.data())
def test_a_header_line_counts_characters_wherever_the_stream_is_cut(
    bodies: list[str], unit: str, data: st.DataObject
) -> None:
    framing: dict[str, Any] = {"codec": "text", "separator": "\n", "length": {"pattern": r"^L (\d+)$", "unit": unit}}
    writer, reader = framer(**framing), framer(spans_messages=True, **framing)
    sent = [part for body in bodies for part in writer.encode({"header": "L 0", "body": body})]
    stream = "".join(part for part in sent if isinstance(part, str)).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert [value["body"] for value in values(reader, *parts)] == bodies


@FUZZ
@given(
    st.lists(st.binary(max_size=20) | texts.map(lambda text: f"<{len(text)}>{text}".encode()), max_size=4),
    st.sampled_from(sorted(UNITS)),
    st.booleans(),
)
def test_hostile_input_gives_frames_or_ends_the_connection(pieces: list[bytes], unit: str, spans: bool) -> None:
    try:
        got = [frame for found in frames(splitter(50, spans=spans, unit=unit), *pieces) for frame in found]
    except (MessageTooLarge, UndecodableStream):
        assert spans
        return
    assert sum(len(frame.body or b"") for frame in got) <= sum(len(piece) for piece in pieces)


@pytest.mark.parametrize("unit", ["code_points", "utf16"])
def test_a_long_body_in_many_pieces_is_counted_once(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0
    count = UNITS[unit]._begun  # type: ignore[attr-defined]

    class Counting(type(UNITS[unit]), frozen=True):  # type: ignore[misc]
        def _begun(self, data: bytes) -> int:
            nonlocal seen
            seen += len(data)
            return int(count(data))

    monkeypatch.setitem(UNITS, unit, Counting(has_pairs=unit == "utf16"))  # type: ignore[arg-type]
    body = ("é😀x" * 2000).encode()
    length = len("é😀x" * 2000) + (2000 if unit == "utf16" else 0)
    peer = splitter(1 << 20, unit=unit)
    pieces = [body[start : start + 50] for start in range(0, len(body), 50)]

    assert frames(peer, f"<{length}>", *pieces)[-1] == [Frame(body)]
    assert seen <= len(body) + 4


def test_json_with_characters_of_all_sizes_is_read_behind_lengths_of_javascript() -> None:
    messages = [{"m": "qsd", "p": ["é", {"n": "Société 😀", "lp": 1.5}]}, {"m": "€"}]
    texts = [json.dumps(message, ensure_ascii=False) for message in messages]
    sent = "".join(f"~m~{len(text.encode('utf-16-le')) // 2}~m~{text}" for text in texts)
    assert values(framer(length={"between": ["~m~", "~m~"], "unit": "utf16"}), sent) == messages
