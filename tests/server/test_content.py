"""Results as blocks: which kind of block binary data is, and what is structured content."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from utcp_ws_mcp import StreamResult
from utcp_ws_mcp.core.codecs.json_text import parse
from utcp_ws_mcp.core.limits import MAX_MESSAGE_DEPTH
from utcp_ws_mcp.server.content import (
    binary_block,
    json_text,
    media_type,
    result_blocks,
    text_block,
    without_audio_blocks,
)

MEDIA_TYPES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"RIFF1234WEBP": "image/webp",
    b"ID3": "audio/mpeg",
    b"\xff\xfb": "audio/mpeg",
    b"OggS": "audio/ogg",
    b"fLaC": "audio/flac",
    b"RIFF1234WAVE": "audio/wav",
    b"%PDF-": "application/pdf",
    b"PK\x03\x04": "application/zip",
    b"\x1f\x8b": "application/gzip",
    b"RIFF1234AVI ": "application/octet-stream",
    b"RIFF123WAVE": "application/octet-stream",
    b"\x89PNG": "application/octet-stream",
    b"": "application/octet-stream",
}


def kind_of(media: str) -> str:
    return media.partition("/")[0] if media.startswith(("image/", "audio/")) else "resource"


@pytest.mark.parametrize(("data", "media"), MEDIA_TYPES.items())
def test_the_first_bytes_say_what_data_is(data: bytes, media: str) -> None:
    assert media_type(data) == media
    assert media_type(data + b"rest") == media
    block = binary_block(data, 3)
    encoded = base64.b64encode(data).decode()
    expected: dict[str, Any] = {"type": kind_of(media), "data": encoded, "mimeType": media}
    if kind_of(media) == "resource":
        resource = {"uri": "websocket:message/3", "mimeType": media, "blob": encoded}
        expected = {"type": "resource", "resource": resource}
    assert block == expected


def test_the_manifest_says_better_what_data_is() -> None:
    assert binary_block(b"OggS", kind="image/svg+xml") == {
        "type": "image",
        "data": "T2dnUw==",
        "mimeType": "image/svg+xml",
    }
    ((block,), structured) = result_blocks(b"OggS", "text/csv")
    assert (block["resource"], structured) == (
        {"uri": "websocket:message/1", "mimeType": "text/csv", "blob": "T2dnUw=="},
        None,
    )


def test_audio_is_an_embedded_resource_where_there_is_no_block_for_it() -> None:
    image, audio, text = binary_block(b"GIF89a"), binary_block(b"OggS"), text_block("x")
    assert without_audio_blocks([image, audio, text]) == [
        image,
        {
            "type": "resource",
            "resource": {"uri": "websocket:message/2", "mimeType": "audio/ogg", "blob": "T2dnUw=="},
        },
        text,
    ]


@pytest.mark.parametrize("is_parsed", [True, False])
@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, "é"]}, [1], 5, True, None])
def test_json_is_a_text_and_structured_content(value: Any, is_parsed: bool) -> None:
    ((block,), structured) = result_blocks(value, is_parsed=is_parsed)
    assert block == {"type": "text", "text": structured}
    assert structured is not None
    assert json.loads(structured) == value


def test_a_text_is_a_text_only() -> None:
    assert result_blocks("a\ud800") == ([{"type": "text", "text": "a\ufffd"}], None)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("is_parsed", [True, False])
def test_json_is_written_up_to_the_depth_of_messages(is_parsed: bool) -> None:
    assert (
        json_text(nested(MAX_MESSAGE_DEPTH), is_parsed=is_parsed)
        == "[" * MAX_MESSAGE_DEPTH + "1" + "]" * MAX_MESSAGE_DEPTH
    )
    deeper = json_text(nested(MAX_MESSAGE_DEPTH + 1), is_parsed=is_parsed)
    assert deeper.count("[") <= MAX_MESSAGE_DEPTH
    assert "nested too deeply" in deeper


def stream(**value: Any) -> StreamResult:
    return StreamResult(value, items=(), end=None)


PNG, OGG = b"\x89PNG\r\n\x1a\n", b"OggS"


@pytest.mark.parametrize(
    ("result", "text", "binary"),
    [
        (stream(items=[1, 2], end="until"), {"items": [1, 2], "end": "until"}, []),
        (stream(item="x", end=None), {"item": "x", "end": None}, []),
        (
            stream(items=["a", OGG, b"\x00", PNG], end=None),
            {"items": ["a", "4 bytes", "1 bytes", "8 bytes"], "end": None},
            [("audio", 2), ("resource", 3), ("image", 4)],
        ),
        (stream(item=OGG, end=None), {"item": "4 bytes", "end": None}, [("audio", 1)]),
        (stream(data=b"\x00", end=None), {"data": "1 bytes", "end": None}, [("resource", 1)]),
    ],
)
def test_the_binary_items_of_a_stream_follow_its_json(
    result: StreamResult, text: Any, binary: list[tuple[str, int]]
) -> None:
    (first, *blocks), structured = result_blocks(result)
    assert json.loads(first["text"]) == text
    assert structured == (None if binary else first["text"])
    assert [block["type"] for block in blocks] == [kind for kind, _ in binary]
    for block, (kind, number) in zip(blocks, binary, strict=True):
        if kind == "resource":
            assert block["resource"]["uri"] == f"websocket:message/{number}"


def test_the_items_of_a_stream_have_the_media_type_of_the_manifest() -> None:
    blocks, _ = result_blocks(stream(items=[OGG], end=None), "image/x-own")
    assert blocks[1]["mimeType"] == "image/x-own"


def test_the_items_of_a_stream_without_binary_data_are_described_as_they_are() -> None:
    blocks, structured = result_blocks(stream(items=[{"a": 1}, ["b"], "c"], end=None), is_parsed=True)
    assert structured == blocks[0]["text"]
    assert json.loads(structured or "")["items"] == [{"a": 1}, ["b"], "c"]


NUMBERS: dict[str, str] = {
    "9007199254740993": "9007199254740993",
    "-18446744073709551617": "-18446744073709551617",
    f"1{'0' * 59}7": f"1{'0' * 59}7",
    "0.12345678901234567890": "0.12345678901234568",
    "1e400": '"Infinity"',
}


@pytest.mark.parametrize(("number", "written"), NUMBERS.items())
@pytest.mark.parametrize("is_parsed", [True, False])
def test_integers_keep_all_digits_and_fractions_those_of_double_precision(
    number: str, written: str, is_parsed: bool
) -> None:
    assert json_text(parse(f"[{number}]"), is_parsed=is_parsed) == f"[{written}]"
