"""Compressed messages: each on its own, or a whole connection as one stream; with a bound on what they inflate to."""

from __future__ import annotations

import gzip
import json
import random
import tracemalloc
import zlib
from typing import Any

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.compression import MAX_STREAMS, StreamInflater, load_method
from utcp_ws_mcp.core.codecs.framing import Framer, make_framer
from utcp_ws_mcp.core.codecs.message import MessageTooLarge, UndecodableStream
from utcp_ws_mcp.manifest.models.framing import Framing

BITS = {"gzip": 31, "zlib": 15, "deflate": -15}
METHODS: list[Any] = [*BITS, "zstd"]
FUZZ = settings(max_examples=100, deadline=None, database=None)


def framer(method: Any, *, max_bytes: int = 1 << 20, **more: Any) -> Framer:
    settings = {key: more.pop(key) for key in ("context", "send", "nested") if key in more}
    return make_framer(Framing(compression={"method": method, **settings}, **more), max_bytes=max_bytes)  # type: ignore[arg-type]


def values(peer: Framer, *raw: str | bytes) -> list[Any]:
    return [message.value for each in raw for message in peer.decode(each)]


def pack(method: str, data: bytes, flush: int = zlib.Z_FINISH) -> bytes:
    if method == "zstd":
        compressor = zstd.ZstdCompressor()
        return compressor.compress(data, compressor.FLUSH_FRAME if flush == zlib.Z_FINISH else compressor.FLUSH_BLOCK)
    deflater = zlib.compressobj(wbits=BITS[method])
    return deflater.compress(data) + deflater.flush(flush)


@pytest.mark.parametrize("method", METHODS)
def test_compressed_messages_are_read_with_every_codec(method: Any) -> None:
    assert values(framer(method), pack(method, b'{"a":1}')) == [{"a": 1}]
    assert values(framer(method), pack(method, b"pong")) == ["pong"]
    assert values(framer(method), pack(method, b"\xff")) == [b"\xff"]
    assert values(framer(method, codec="text"), pack(method, b'{"a":1}')) == ['{"a":1}']
    assert values(framer(method, codec="binary"), pack(method, b"ab")) == [b"ab"]
    assert values(framer(method, codec="msgpack"), pack(method, b"\x81\xa1a\x01")) == [{"a": 1}]
    assert values(framer(method, separator="\n"), pack(method, b'{"a":1}\n[2]\n')) == [{"a": 1}, [2]]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("raw", ["text", '{"a":1}', b"\xff\xfe", b"", b"plain"])
def test_a_message_that_is_not_compressed_stays_as_it_is(method: Any, raw: str | bytes) -> None:
    assert values(framer(method, codec="binary" if isinstance(raw, bytes) else "text"), raw) == [raw]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cut", [1, 5])
def test_a_damaged_message_is_never_taken_for_a_whole_one(method: Any, cut: int) -> None:
    whole = pack(method, b'{"a": "some text that is long enough"}' * 3)
    assert values(framer(method, codec="binary"), whole[:-cut]) == [whole[:-cut]]
    if method != "gzip":
        assert values(framer(method, codec="binary"), whole + b"x") == [whole + b"x"]


def test_what_was_flushed_and_not_finished_is_whole() -> None:
    assert values(framer("deflate"), pack("deflate", b'{"a":1}', zlib.Z_SYNC_FLUSH)) == [{"a": 1}]


def test_several_members_of_gzip_are_one_message() -> None:
    assert values(framer("gzip"), gzip.compress(b'{"a":') + gzip.compress(b"1}")) == [{"a": 1}]
    many = gzip.compress(b"x") * (MAX_STREAMS + 1)
    assert values(framer("gzip", codec="binary"), many) == [many]


@pytest.mark.parametrize("method", METHODS)
def test_messages_are_sent_compressed_only_if_the_manifest_says_so(method: Any) -> None:
    assert framer(method).encode({"a": 1}) == ['{"a":1}']
    (sent,) = framer(method, send=True).encode({"a": 1})
    assert isinstance(sent, bytes)
    plain = zstd.decompress(sent) if method == "zstd" else zlib.decompress(sent, BITS[method])
    assert plain == b'{"a":1}'
    assert framer(method, send=True).for_display(sent) == '{"a":1}'


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("context", ["message", "connection"])
def test_a_bomb_is_refused_in_bounded_memory(method: Any, context: Any) -> None:
    bomb = pack(method, bytes(50_000_000), zlib.Z_SYNC_FLUSH)
    peer = framer(method, context=context, max_bytes=100_000)
    tracemalloc.start()
    with pytest.raises(MessageTooLarge):
        values(peer, bomb)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_the_bound_holds_for_all_bodies_of_a_message_together() -> None:
    body = pack("zlib", bytes(60_000))
    frame, settings = len(body).to_bytes(4) + body, {"length": {"size": 4}, "max_bytes": 100_000, "codec": "binary"}
    with pytest.raises(MessageTooLarge):
        values(framer("zlib", **settings), frame * 2)
    assert values(framer("zlib", **settings), frame, frame) == [bytes(60_000)] * 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [99, 100, 101])
def test_exactly_as_many_bytes_as_allowed_are_inflated(method: Any, size: int) -> None:
    peer = framer(method, codec="binary", max_bytes=100)
    if size > 100:
        with pytest.raises(MessageTooLarge):
            values(peer, pack(method, bytes(size)))
    else:
        assert values(peer, pack(method, bytes(size))) == [bytes(size)]


@pytest.mark.parametrize("method", METHODS)
def test_a_connection_that_is_one_stream_is_read_message_by_message(method: Any) -> None:
    server = framer(method, context="connection", send=True)
    client = framer(method, context="connection")
    for value in ({"op": 10}, {"op": 11, "text": "x" * 1000}, [1]):
        (sent,) = server.encode(value)
        assert values(client, sent) == [value]
    assert values(client, "text is not compressed") == ["text is not compressed"]


def test_a_message_of_a_compressed_connection_may_come_in_several_messages() -> None:
    (sent,) = framer("zlib", context="connection", send=True).encode({"a": "b" * 50})
    assert isinstance(sent, bytes)
    client = framer("zlib", context="connection")
    assert values(client, sent[:3], sent[3:9]) == []
    assert values(client, sent[9:]) == [{"a": "b" * 50}]


def test_a_damaged_stream_ends_the_connection() -> None:
    client = framer("zlib", context="connection")
    with pytest.raises(UndecodableStream, match="damaged"):
        values(client, b"not compressed")


def test_a_stream_of_nothing_but_ends_is_refused() -> None:
    client = framer("gzip", context="connection")
    with pytest.raises(UndecodableStream, match=f"{MAX_STREAMS} compressed streams"):
        values(client, gzip.compress(b"") * (MAX_STREAMS + 1))


def frame(kind: int, body: bytes) -> bytes:
    return (16 + len(body)).to_bytes(4) + (16).to_bytes(2) + (2).to_bytes(2) + kind.to_bytes(4) + bytes(4) + body


def test_bodies_behind_a_header_may_inflate_to_messages_with_headers() -> None:
    peer = framer("zlib", nested=True, header=16, length={"size": 4, "counts": "all"})
    inner = frame(5, b'{"cmd":"A"}') + frame(5, b'{"cmd":"B"}')
    got = values(peer, frame(8, b'{"code":0}') + frame(5, pack("zlib", inner)))
    assert [(each["header"][11], each["body"]) for each in got] == [
        (8, {"code": 0}),
        (5, {"cmd": "A"}),
        (5, {"cmd": "B"}),
    ]


def test_a_header_without_a_length_is_in_front_of_a_compressed_body() -> None:
    peer = framer("deflate", header=2, send=True)
    assert values(peer, b"\x01\x02" + pack("deflate", b'{"a":1}')) == [{"header": b"\x01\x02", "body": {"a": 1}}]
    (sent,) = peer.encode({"header": b"\x03\x04", "body": {"b": 2}})
    assert values(peer, sent) == [{"header": b"\x03\x04", "body": {"b": 2}}]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@FUZZ
@given(st.lists(json_values.filter(lambda value: isinstance(value, dict | list)), max_size=5), st.data())
def test_what_one_side_sends_the_other_side_reads(sent_values: list[Any], data: st.DataObject) -> None:
    method = data.draw(st.sampled_from(METHODS))
    context = data.draw(st.sampled_from(["message", "connection"]))
    server = framer(method, context=context, send=True)
    client = framer(method, context=context)
    sent = [message for value in sent_values for message in server.encode(value)]

    assert values(client, *sent) == sent_values


@FUZZ
@given(
    st.lists(
        st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1, max_size=9), max_size=6
    ),
    st.sampled_from(METHODS),
    st.data(),
)
def test_a_compressed_stream_gives_the_same_messages_wherever_it_is_cut(
    texts: list[str], method: str, data: st.DataObject
) -> None:
    stream = pack(method, "".join(f"{text}\n" for text in texts).encode(), zlib.Z_SYNC_FLUSH)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    client = framer(method, context="connection", codec="text", separator="\n", spans_messages=True)
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert values(client, *parts) == texts


@FUZZ
@given(st.binary(max_size=80) | st.text(max_size=40), st.sampled_from(METHODS), st.booleans())
def test_hostile_input_gives_messages_or_ends_the_connection(raw: str | bytes, method: Any, nested: bool) -> None:
    peers = [
        framer(method),
        framer(method, nested=nested, length={"size": 1}, header=2, max_bytes=1000),
        framer(method, context="connection", max_bytes=1000),
    ]
    for peer in peers:
        try:
            values(peer, raw, raw)
        except (MessageTooLarge, UndecodableStream):
            continue


def test_json_in_the_middle_of_a_character_is_read_whole() -> None:
    text = json.dumps({"a": "é"}, ensure_ascii=False).encode()
    assert values(framer("gzip"), gzip.compress(text)) == [{"a": "é"}]


@pytest.mark.parametrize("method", METHODS)
def test_a_message_is_whole_only_with_its_last_byte(method: Any) -> None:
    data = pack(method, b"some text")
    assert load_method(method).inflate(data, 9) == b"some text"
    assert load_method(method).inflate(data[:-1], 9) is None
    assert load_method(method).inflate(b"", 9) is None
    assert load_method(method).inflate(load_method(method).deflate(b""), 0) == b""
    with pytest.raises(MessageTooLarge):
        load_method(method).inflate(data, 8)


def test_members_count_together_and_up_to_64() -> None:
    member = gzip.compress(b"ab")
    assert load_method("gzip").inflate(member * MAX_STREAMS, 128) == b"ab" * MAX_STREAMS
    assert load_method("gzip").inflate(member * (MAX_STREAMS + 1), 999) is None
    with pytest.raises(MessageTooLarge):
        load_method("gzip").inflate(member * 3, 5)
    assert load_method("zlib").inflate(pack("zlib", b"a") * 2, 99) is None


@pytest.mark.parametrize("name", METHODS)
def test_each_stream_counts_with_its_own_size(name: Any) -> None:
    method, sizes = load_method(name), (1, 9, 9)
    data = b"".join(method.deflate(bytes(size)) for size in sizes)
    assert StreamInflater(method).inflate(data, 19) == bytes(19)
    with pytest.raises(MessageTooLarge):
        StreamInflater(method).inflate(data, 18)
    if method.is_sequence:
        assert method.inflate(data, 19) == bytes(19)
        with pytest.raises(MessageTooLarge):
            method.inflate(data, 18)


@pytest.mark.parametrize("method", METHODS)
def test_a_message_may_refer_to_what_was_32_kib_before(method: Any) -> None:
    block = random.Random(1).randbytes(32_000)
    packed = pack(method, block * 2)
    assert len(packed) < 40_000
    assert load_method(method).inflate(packed, 64_000) == block * 2


@pytest.mark.parametrize("method", METHODS)
def test_streams_in_one_message_count_together_and_up_to_64(method: Any) -> None:
    stream = pack(method, b"ab")
    assert StreamInflater(load_method(method)).inflate(stream * 3, 6) == b"ababab"
    assert StreamInflater(load_method(method)).inflate(stream * MAX_STREAMS, 999) == b"ab" * MAX_STREAMS
    with pytest.raises(MessageTooLarge):
        StreamInflater(load_method(method)).inflate(stream * 3, 5)
    with pytest.raises(UndecodableStream, match="one message holds more than 64 compressed streams"):
        StreamInflater(load_method(method)).inflate(stream * (MAX_STREAMS + 1), 999)


@pytest.mark.parametrize("method", METHODS)
def test_a_stream_goes_on_in_the_next_message_or_ends_there(method: Any) -> None:
    inflater, stream = StreamInflater(load_method(method)), pack(method, b"ab")
    assert inflater.inflate(stream[:-1], 9) + inflater.inflate(stream[-1:], 9) == b"ab"
    assert inflater.inflate(stream, 9) == b"ab"
    assert inflater.inflate(b"", 9) == b""
    with pytest.raises(UndecodableStream, match="the compressed stream is damaged, or compressed in another format"):
        inflater.inflate(b"\xff\xff\xff\xff", 9)


@pytest.mark.parametrize("method", METHODS)
def test_each_message_of_a_stream_is_flushed(method: Any) -> None:
    deflater, inflater = load_method(method).open_deflater(), StreamInflater(load_method(method))
    for data in (b"a", b"", b"b" * 100):
        piece = deflater(data)
        assert piece.endswith(b"\x00\x00\xff\xff") or not data or method == "zstd"
        assert inflater.inflate(piece, 100) == data


def test_what_is_left_behind_nested_messages_is_given_as_it_is() -> None:
    peer = framer("zlib", nested=True, header=16, length={"size": 4, "counts": "all"})
    (inner, rest) = values(peer, frame(5, pack("zlib", frame(5, b"{}") + b"rest")))
    assert (inner["body"], rest) == ({}, b"rest")
