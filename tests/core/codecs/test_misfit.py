"""What is said of a WebSocket message that does not consist of whole messages."""

from __future__ import annotations

import json
import struct
import zlib
from contextlib import suppress
from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.framing import MAX_UNFIT_BYTES, Framer, make_framer
from utcp_ws_mcp.core.codecs.message import Message, MessageTooLarge, UndecodableStream
from utcp_ws_mcp.manifest.models.framing import Framing

TRADINGVIEW = {"between": ["~m~", "~m~"]}
NETSTRING = {"between": ["", ":"], "trailer": ","}
CONTENT_LENGTH = {"pattern": r"Content-Length: (\d+)"}
LINE = "\r\n\r\n"
ACCENT = '{"a":"é"}'
SMILE = '{"a":"😀"}'
CHARACTERS = '"unit": "utf16" or "unit": "code_points"'
HASHES = '"between": ["#","#"]'


def framer(length: Any, **framing: Any) -> Framer:
    return make_framer(Framing(length=length, **framing), max_bytes=1 << 20)


def explained(peer: Framer, *raw: str | bytes) -> str:
    """What is said of the last message of all that some WebSocket messages hold."""
    last: Message | None = None
    with suppress(UndecodableStream, MessageTooLarge):
        for each in raw:
            for message in peer.decode(each):
                last = message
    return peer.explain_misfit(last)


def suggested(fields: str) -> str:
    return f'A WebSocket message does not fit "length" of "framing". It would with {fields}.'


FITTING: dict[str, tuple[Any, dict[str, Any], str | bytes, str]] = {
    "characters, of which none is a pair": (
        TRADINGVIEW, {}, f"~m~9~m~{ACCENT}~m~2~m~{{}}", CHARACTERS
    ),
    "code points": (TRADINGVIEW, {}, f"~m~9~m~{SMILE}", '"unit": "code_points"'),
    "code units of UTF-16": (TRADINGVIEW, {}, f"~m~10~m~{SMILE}", '"unit": "utf16"'),
    "bytes": ({**TRADINGVIEW, "unit": "utf16"}, {}, f"~m~10~m~{ACCENT}", '"unit": "bytes"'),
    "text that is no JSON": (TRADINGVIEW, {"codec": "text"}, "~m~1~m~é", CHARACTERS),
    "a trailer behind characters": (NETSTRING, {}, f"9:{ACCENT},", CHARACTERS),
    "a header of lines": (
        CONTENT_LENGTH, {"separator": LINE}, f"Content-Length: 9{LINE}{ACCENT}", CHARACTERS
    ),
    "a header of lines that announces too much": (
        {**CONTENT_LENGTH, "unit": "utf16"}, {"separator": LINE}, f"Content-Length: 10{LINE}{ACCENT}", '"unit": "bytes"'
    ),
    "other texts around": (
        {"between": ["~m~", "~"]}, {}, "~j~2~j~{}~j~7~j~{\"a\":1}", '"between": ["~j~","~j~"]'
    ),
    "no text in front": (TRADINGVIEW, {}, '2:{}7:{"a":1}', '"between": ["",":"]'),
    "other texts around characters": (
        TRADINGVIEW, {}, f"#9#{ACCENT}", f'{HASHES}, "unit": "utf16" or {HASHES}, "unit": "code_points"'
    ),
    "all bytes": ({"size": 4}, {}, struct.pack(">I", 11) + b'{"a":1}', '"counts": "all"'),
    "the body alone": ({"size": 4, "counts": "all"}, {}, struct.pack(">I", 7) + b'{"a":1}', '"counts": "body"'),
    "the rest, with a header": (
        {"size": 2}, {"header": 4}, struct.pack(">HH", 9, 5) + b'{"a":1}', '"counts": "rest"'
    ),
    "the rest from the length on": (
        {"size": 4, "at": 1}, {"header": 5}, b"T" + struct.pack(">I", 11) + b'{"a":1}', '"counts": "from_length"'
    ),
    "the other byte order": ({"size": 4}, {}, struct.pack("<I", 7) + b'{"a":1}', '"endian": "little"'),
    "another size": ({"size": 4}, {}, struct.pack(">H", 7) + b'{"a":1}', '"size": 2'),
    "another size and byte order": (
        {"size": 4}, {}, struct.pack("<H", 7) + b'{"a":1}', '"size": 2, "endian": "little"'
    ),
    "no variable size": (
        {"size": "varint"}, {}, struct.pack("<H", 300) + b"[%298d]" % 1, '"size": 2, "endian": "little"'
    ),
    "bodies that are compressed": (
        {"size": 4}, {"compression": "zlib"}, struct.pack("<I", 15) + zlib.compress(b'{"a":1}'), '"endian": "little"'
    ),
    "MessagePack": ({"size": 2}, {"codec": "msgpack"}, struct.pack("<H", 4) + b"\x81\xa1a\x01", '"endian": "little"'),
    "bytes of any kind": ({"size": 2}, {"codec": "binary"}, struct.pack("<H", 3) + b"xyz", '"endian": "little"'),
}  # fmt: skip


GOES_ON = {"a header of lines", "no variable size"}
"""Where the rest may be the beginning of another message, if messages span WebSocket messages."""


@pytest.mark.parametrize(("length", "framing", "raw", "fields"), FITTING.values(), ids=FITTING)
def test_the_length_that_would_have_fitted_is_suggested(
    length: Any, framing: Any, raw: str | bytes, fields: str
) -> None:
    assert explained(framer(length, **framing), raw) == suggested(fields)
    changes = json.loads("{" + fields.split(" or ", 1)[0] + "}")
    assert explained(framer({**length, **changes}, **framing), raw) == ""


@pytest.mark.parametrize("case", sorted(FITTING.keys() - GOES_ON))
def test_it_is_also_suggested_where_messages_span_websocket_messages(case: str) -> None:
    length, framing, raw, fields = FITTING[case]
    assert explained(framer(length, spans_messages=True, **framing), raw) == suggested(fields)


def test_a_message_that_swallowed_the_beginning_of_the_next_one_is_explained_by_that_one() -> None:
    peer = framer({**TRADINGVIEW, "unit": "utf16"}, spans_messages=True)
    assert explained(peer, f"~m~13~m~{ACCENT[:-1]},1:2}}", f"~m~10~m~{ACCENT}") == suggested('"unit": "bytes"')


@pytest.mark.parametrize(
    ("length", "raw", "why"),
    [
        (TRADINGVIEW, '{"hello":1}', "the text around the length of a message is missing"),
        (TRADINGVIEW, "~m~x~m~{}", "the length of a message is not a number"),
        (TRADINGVIEW, "~m~30~m~{}", "a length announces more than what follows it"),
        (NETSTRING, "2:{};", "the text behind a body is not the trailer"),
        ({"size": 4}, b"\xff\xff\xff\xff{}", "the length of a message is over the limit"),
        ({"size": 1, "counts": "all"}, b"\0\xff", "the length of a message is less than that of its header"),
    ],
)
def test_what_fits_no_length_is_said_to_be_the_rest_of_a_message(length: Any, raw: str | bytes, why: str) -> None:
    sentence = f'It is the rest of a WebSocket message that does not fit "length" of "framing": {why}.'
    assert explained(framer(length), raw) == sentence


def test_a_rest_that_is_not_the_last_message_is_not_explained() -> None:
    assert explained(framer(TRADINGVIEW), "greeting", "~m~2~m~{}") == ""
    assert explained(framer(TRADINGVIEW), "greeting", "~m~2~m~hi") == ""


def test_a_message_whose_end_is_awaited_is_explained_with_its_size() -> None:
    sentence = "The end of a message is missing: only 10 bytes of it came."
    assert explained(framer(TRADINGVIEW, spans_messages=True), "~m~30~m~{}"[:10]) == sentence
    assert explained(framer({"size": 4}, spans_messages=True), b"\0\0\0\x09abcdef") == sentence
    assert explained(framer({"size": 4}, spans_messages=True), b"\0") == sentence.replace("10 bytes", "1 byte")


@pytest.mark.parametrize(
    ("framing", "raw"),
    [
        ({"length": TRADINGVIEW}, "~m~2~m~{}"),
        ({"length": TRADINGVIEW, "spans_messages": True}, "~m~2~m~{}"),
        ({"header": 4}, b"abc"),
        ({"separator": "\n"}, "x"),
        ({}, "x"),
    ],
)
def test_nothing_is_said_where_all_fits_or_nothing_has_a_length(framing: Any, raw: str | bytes) -> None:
    assert explained(make_framer(Framing(**framing)), raw) == ""


def test_of_a_long_message_only_the_beginning_is_kept() -> None:
    peer = framer({"size": 4})
    assert explained(peer, struct.pack("<I", MAX_UNFIT_BYTES - 4) + b"[" + b"1" * (MAX_UNFIT_BYTES - 6) + b"]") != ""
    assert explained(peer, struct.pack("<I", MAX_UNFIT_BYTES - 3) + b"[" + b"1" * (MAX_UNFIT_BYTES - 5) + b"]") == ""
