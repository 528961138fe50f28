"""Zstandard: frames in a row, streams without a mark at the end of a message, bounds of windows, and its package."""

from __future__ import annotations

import struct
import sys
import tracemalloc
from types import ModuleType
from typing import Any

import pytest
from backports import zstd

from utcp_ws_mcp.core.codecs.compression import MAX_STREAMS, StreamInflater, load_method
from utcp_ws_mcp.core.codecs.framing import Framer, make_framer
from utcp_ws_mcp.core.codecs.message import MessageTooLarge, UndecodableStream
from utcp_ws_mcp.core.codecs.zstd import MAX_WINDOW_LOG, PIECE
from utcp_ws_mcp.errors import InvalidTemplate
from utcp_ws_mcp.manifest.models.framing import Framing

SKIPPABLE = struct.pack("<II", 0x184D2A50, 3) + b"any"
"""A skippable frame (RFC 8878 §3.1.2)."""


def framer(max_bytes: int = 1 << 20, *, codec: Any = "json", **compression: Any) -> Framer:
    return make_framer(Framing(codec=codec, compression={"method": "zstd", **compression}), max_bytes=max_bytes)  # type: ignore[arg-type]


def values(peer: Framer, *raw: str | bytes) -> list[Any]:
    return [message.value for each in raw for message in peer.decode(each)]


def with_window(log: int, data: bytes) -> bytes:
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: log})
    return compressor.compress(data) + compressor.flush()


def test_frames_in_a_row_are_one_message() -> None:
    frame = zstd.compress(b'{"a":') + SKIPPABLE + zstd.compress(b"1}")
    assert values(framer(), frame) == [{"a": 1}]
    method = load_method("zstd")
    assert method.inflate(zstd.compress(b"ab") * MAX_STREAMS, 128) == b"ab" * MAX_STREAMS
    assert method.inflate(zstd.compress(b"a") * (MAX_STREAMS + 1), 999) is None
    with pytest.raises(MessageTooLarge):
        method.inflate(zstd.compress(b"ab") * 3, 5)


def test_a_message_whose_frame_goes_on_is_not_whole() -> None:
    compressor = zstd.ZstdCompressor()
    flushed = compressor.compress(b"some text", compressor.FLUSH_BLOCK)
    assert values(framer(codec="binary"), flushed) == [flushed]


def test_each_message_of_a_connection_is_a_piece_of_one_frame() -> None:
    compressor = zstd.ZstdCompressor(level=6)
    client = framer(context="connection")
    first = compressor.compress(b'{"op":10,"d":{"heartbeat_interval":41250}}', compressor.FLUSH_BLOCK)
    again = compressor.compress(b'{"op":10,"d":{"heartbeat_interval":41250}}', compressor.FLUSH_BLOCK)

    assert len(again) < len(first) / 2  # it refers to what came before
    assert values(client, first, again) == [{"op": 10, "d": {"heartbeat_interval": 41250}}] * 2
    assert values(client, compressor.flush() + zstd.compress(b"[1]")) == [[1]]


def test_a_damaged_stream_ends_the_connection() -> None:
    with pytest.raises(UndecodableStream, match="^the compressed stream is damaged, or compressed in another format$"):
        values(framer(context="connection"), b"not compressed")


@pytest.mark.parametrize("log", [10, MAX_WINDOW_LOG])
def test_a_window_of_8_mib_is_allowed(log: int) -> None:
    assert load_method("zstd").inflate(with_window(log, b"x" * 2000), 2000) == b"x" * 2000


def test_a_larger_window_is_refused_before_anything_is_inflated() -> None:
    data = with_window(MAX_WINDOW_LOG + 1, b'{"a":1}')
    assert values(framer(), data) == [data]
    with pytest.raises(UndecodableStream):
        values(framer(context="connection"), data)
    assert MAX_WINDOW_LOG == 23


def test_a_frame_that_needs_a_dictionary_is_given_as_it_is() -> None:
    dictionary = zstd.train_dict([b"some text %d" % number for number in range(1000)], 1000)
    data = zstd.compress(b"some text", zstd_dict=dictionary)
    assert values(framer(codec="binary"), data) == [data]


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 1])
def test_a_large_message_is_inflated_in_pieces(size: int) -> None:
    data, method = with_window(20, b"x" * size), load_method("zstd")
    assert method.inflate(data, size) == b"x" * size
    assert StreamInflater(method).inflate(data, size) == b"x" * size
    for refusing in (method, StreamInflater(method)):
        with pytest.raises(MessageTooLarge):
            refusing.inflate(data, size - 1)


@pytest.mark.parametrize("context", ["message", "connection"])
def test_a_bomb_is_held_once(context: str) -> None:
    peer, limit = framer(max_bytes=8 * PIECE, context=context), 8 * PIECE
    bomb = with_window(20, bytes(64 * PIECE))
    tracemalloc.start()
    with pytest.raises(MessageTooLarge):
        values(peer, bomb)
    assert tracemalloc.get_traced_memory()[1] < limit + 3 * PIECE
    tracemalloc.stop()


def test_without_its_package_the_framing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("compression", "backports", "backports.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InvalidTemplate, match=r"^the compression 'zstd' needs the extra 'zstd'.*\[zstd\]'") as refused:
        framer()
    assert refused.value.code == "extra-not-installed"


def test_the_module_of_the_standard_library_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    package, used = ModuleType("compression"), ModuleType("compression.zstd")
    used.__dict__.update({name: getattr(zstd, name) for name in zstd.__all__})
    used.compress = lambda data: b"by the standard library"  # type: ignore[attr-defined]
    package.zstd = used  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "compression", package)
    monkeypatch.setitem(sys.modules, "compression.zstd", used)
    assert load_method("zstd").deflate(b"") == b"by the standard library"
