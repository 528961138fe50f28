"""Compressed, framed and repeated messages over real connections: what the server gets, and what ends a connection."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import Peer, bridge_to, entry, peer, silent
from utcp_ws_mcp import load_manifest
from utcp_ws_mcp.errors import (
    CallTimeout,
    ConnectError,
    ConnectionLost,
    InvalidArguments,
    InvalidManifest,
    MessageTooBig,
)
from utcp_ws_mcp.server.content import result_blocks

BITS = {"gzip": 31, "zlib": 15, "deflate": -15}


def pack(method: str, data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=BITS[method])
    return deflater.compress(data) + deflater.flush()


@pytest.mark.parametrize("method", list(BITS))
async def test_a_compressed_reply_is_the_result(tmp_path: Path, method: str) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(pack(method, json.dumps({"id": message["id"], "result": "é"}).encode()))

    template = {"preset": "jsonrpc2", "framing": {"compression": method}}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        assert await bridge.call_tool("m.t") == "é"
    assert seen.received[0]["method"] == "t"


async def test_requests_are_compressed_if_the_manifest_says_so(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        request = json.loads(zlib.decompress(message))
        await connection.send(json.dumps({"id": request["id"], "result": request["method"]}))

    template = {"preset": "jsonrpc2", "framing": {"compression": {"method": "zlib", "send": True}}}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        assert await bridge.call_tool("m.t") == "t"


@pytest.mark.parametrize("context", ["message", "connection"])
async def test_a_bomb_fails_its_calls_and_the_next_connection_works(tmp_path: Path, context: str) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        size = 5_000_000 if message["q"] == "bomb" else 3
        deflater = zlib.compressobj()
        body = json.dumps("x" * size).encode()
        await connection.send(deflater.compress(b"[" + body + b"]") + deflater.flush(zlib.Z_SYNC_FLUSH))

    framing = {"compression": {"method": "zlib", "context": context}}
    template = {"framing": framing, "limits": {"max_message_bytes": 100_000}}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        with pytest.raises(MessageTooBig, match="100,000"):
            await bridge.call_tool("m.t", {"q": "bomb"})
        assert await bridge.call_tool("m.t", {"q": "ok"}) == '["xxx"]'


async def test_a_stream_that_cannot_be_decoded_fails_its_calls_with_the_reason(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(b"not compressed")

    framing = {"compression": {"method": "zlib", "context": "connection"}}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", framing=framing)) as bridge:
        with pytest.raises(ConnectionLost, match="does not fit the framing of the manifest: the compressed stream is"):
            await bridge.call_tool("m.t")


FITS = r'It would with "unit": "utf16" or "unit": "code_points"\.'


@pytest.mark.parametrize("spans", [False, True])
async def test_a_length_that_counts_otherwise_is_named_by_the_error_of_a_call(tmp_path: Path, spans: bool) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send('~m~9~m~{"a":"é"}')

    framing = {"length": {"between": ["~m~", "~m~"]}, "spans_messages": spans}
    template = {"framing": framing, "reply": {"match": "message.a is defined"}, "timeout": 0.5}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        with pytest.raises(ConnectionLost if spans else CallTimeout, match=FITS):
            await bridge.call_tool("m.t")


async def test_a_length_that_counts_otherwise_is_named_by_the_error_of_a_login(tmp_path: Path) -> None:
    async def greet(connection: Any) -> None:
        await connection.send('~m~9~m~{"a":"é"}')

    login = [{"expect": "message.a is defined", "timeout": 0.3}]
    template = {"framing": {"length": {"between": ["~m~", "~m~"]}}, "on_connect": login}
    async with peer(silent, greet=greet) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        with pytest.raises(ConnectError, match=FITS):
            await bridge.call_tool("m.t")


async def test_a_length_that_counts_otherwise_is_named_by_the_state_of_a_feed(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send('~m~9~m~{"a":"é"}')

    opening = [{"send": "open"}, {"expect": "message.a is defined", "timeout": 0.3}]
    feed = {"name": "f", "open": opening, "match": "true"}
    template = {"framing": {"length": {"between": ["~m~", "~m~"]}}, "feeds": [feed]}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, **template)) as bridge:
        state = (await bridge.call_tool("m.f_events"))["state"]
    assert re.search(FITS, state)


async def test_a_login_in_another_framing_is_possible(tmp_path: Path) -> None:
    import msgpack

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if len(seen.received) == 1:
            await connection.send(b"{}\x1e")
            return
        size, packed = message[0], message[1:]
        assert size == len(packed)
        _, _, call_id, target, arguments = msgpack.unpackb(packed)
        reply = msgpack.packb([3, {}, call_id, 3, [target, arguments]])
        ping = msgpack.packb([6])
        await connection.send(bytes([len(ping)]) + ping + bytes([len(reply)]) + reply)

    template = {
        "framing": {"codec": "msgpack", "length": {"size": "varint"}},
        "send_as": "binary",
        "request_id": "string_counter",
        "on_connect": [
            {"send": {"$raw": '{"protocol":"messagepack","version":1}\u001e'}},
            {"expect": "message | utf8 == '{}\\x1e'", "fail": "'error' in message | utf8"},
        ],
        "message": [1, {}, "{{ request_id }}", "{{ tool }}", ["{{ args.a }}"]],
        "reply": {"match": "message[2] == request_id", "result": "message[4]"},
    }
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "add", **template)) as bridge:
        assert await bridge.call_tool("m.add", {"a": 7}) == ["add", [7]]
    assert seen.received[0] == b'{"protocol":"messagepack","version":1}\x1e'


NATS = {
    "framing": {
        "separator": "\r\n",
        "length": {"pattern": r"^(?:PUB|MSG) .* (\d+)$", "trailer": "\r\n"},
        "spans_messages": True,
    },
    "send_as": "binary",
}


async def test_a_length_in_a_header_line_keeps_line_breaks_in_the_body(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        data = b"+OK\r\nMSG answers 1 " + str(len(message) - 12).encode() + b"\r\n" + message[10:] + b"PING\r\n"
        for start in range(0, len(data), 3):
            await connection.send(data[start : start + 3])

    message = {"header": "PUB a 0", "body": "{{ args.text }}"}
    reply = {"match": "message.header.startswith('MSG')", "result": "message.body"}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", message=message, reply=reply, **NATS)) as it:
        assert await it.call_tool("m.t", {"text": "one\r\ntwo\r\nMSG x 1 3\r\nabc"}) == "one\r\ntwo\r\nMSG x 1 3\r\nabc"


async def test_an_argument_of_any_length_is_sent_in_pieces(tmp_path: Path) -> None:
    parts: list[bytes] = []

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if isinstance(message, bytes):
            parts.append(message)
        elif message == {"type": "end"}:
            await connection.send(json.dumps({"bytes": sum(map(len, parts))}))

    template = {
        "message": {"type": "start"},
        "then": [{"$each": "{{ args.audio | unbase64 | pieces(65536) }}"}, {"type": "end"}],
        "reply": {"result": "message.bytes"},
    }
    audio = bytes(range(256)) * 1600
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        assert await bridge.call_tool("m.t", {"audio": base64.b64encode(audio).decode()}) == len(audio)
    assert b"".join(parts) == audio
    assert [len(part) for part in parts] == [65536] * 6 + [16384]


async def test_fixed_slices_that_do_not_hold_an_argument_fail_before_anything_is_sent(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send('{"ok": true}')

    slices = [f"{{{{ args.audio | part({start}, {start + 4}) }}}}" for start in (0, 4, 8)]
    template = {"message": slices[0], "then": slices[1:]}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        with pytest.raises(InvalidArguments, match=r"only the first 12 of it") as refused:
            await bridge.call_tool("m.t", {"audio": "x" * 13})
        assert seen.received == []
        assert refused.value.code == "argument-cut"


async def test_each_name_is_subscribed_and_unsubscribed(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if message.get("subscribe"):
            await connection.send(json.dumps({"of": message["subscribe"]}))

    template = {
        "message": {"$each": "{{ args.names }}", "$template": {"subscribe": "{{ item }}"}},
        "stream": {
            "item": "message.of",
            "max_items": "args.names | length",
            "cancel": {"$each": "{{ args.names }}", "$template": {"unsubscribe": "{{ item }}"}},
        },
    }
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        result = await bridge.call_tool("m.t", {"names": ["a", "b", "c"]})
        await seen.until(lambda: len(seen.received) == 6)
    assert sorted(result.items) == ["a", "b", "c"]
    assert seen.received == [
        *({"subscribe": name} for name in "abc"),
        *({"unsubscribe": name} for name in "abc"),
    ]


async def test_a_request_without_any_message_fails(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send("{}")

    message = {"$each": "{{ args.names }}", "$template": {"subscribe": "{{ item }}"}}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", message=message)) as bridge:
        with pytest.raises(InvalidArguments, match="nothing to send") as refused:
            await bridge.call_tool("m.t", {"names": []})
        assert refused.value.code == "nothing-to-send"
        assert await bridge.call_tool("m.t", {"names": ["a"]}) == "{}"


@pytest.mark.parametrize(
    ("kind", "block"),
    [
        ("audio/pcm;rate=24000", {"type": "audio", "data": "AAECAw==", "mimeType": "audio/pcm;rate=24000"}),
        ("image/x-raw", {"type": "image", "data": "AAECAw==", "mimeType": "image/x-raw"}),
        (
            "model/gltf-binary",
            {
                "type": "resource",
                "resource": {"uri": "websocket:message/1", "mimeType": "model/gltf-binary", "blob": "AAECAw=="},
            },
        ),
    ],
)
async def test_binary_pieces_are_one_block_of_their_media_type(tmp_path: Path, kind: str, block: Any) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(b"\0\1")
        await connection.send(b"\2\3")
        await connection.send('{"done": true}')

    template = {"stream": {"until": "message.done", "collect": "bytes"}, "media_type": kind}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        result = await bridge.call_tool("m.t")
        assert result.value == {"data": b"\0\1\2\3", "end": "until", "complete": True}
        blocks, structured = result_blocks(result, bridge.tools["m.t"].template.media_type)
    assert blocks[1:] == [block]
    assert json.loads(blocks[0]["text"]) == {"data": "4 bytes", "end": "until", "complete": True}
    assert structured is None


async def test_objects_in_one_message_with_nothing_between_reach_their_calls(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        event, reply = {"event": 1}, {"id": message["id"], "result": message["method"]}
        await connection.send(json.dumps(event) + json.dumps(reply) + "\0")

    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", preset="jsonrpc2")) as bridge:
        assert await bridge.call_tool("m.t") == "t"


async def test_a_name_that_two_streams_watch_is_unsubscribed_by_the_last_of_them(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if "subscribe" in message:
            await connection.send(json.dumps({"ok": message["id"]}))

    template = {
        "request_id": "counter",
        "message": {"id": "{{ request_id }}", "subscribe": "{{ args.names }}"},
        "reply": {"match": "message.ok == request_id"},
        "stream": {
            "match": "message.name in args.names",
            "item": "message.name",
            "max_items": 1,
            "cancel": {"$each": "{{ args.names }}", "$template": {"unsubscribe": "{{ item }}"}},
        },
    }
    results: list[Any] = []
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:

        async def watch(*names: str) -> None:
            results.append((await bridge.call_tool("m.t", {"names": names})).items)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch, "a", "b")
            tasks.start_soon(watch, "b", "c")
            await seen.until(lambda: len(seen.received) == 2)
            await seen.open[0].send('{"name": "a"}')
            await seen.until(lambda: len(seen.received) == 3)
            assert seen.received[2:] == [{"unsubscribe": "a"}]
            await seen.open[0].send('{"name": "c"}')
        await seen.until(lambda: len(seen.received) == 5)
    assert seen.received[3:] == [{"unsubscribe": "b"}, {"unsubscribe": "c"}]
    assert results == [("a",), ("c",)]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"schema": "none.proto"}, "framing.protobuf.schema: cannot read the file 'none.proto'"),
        ({"receive": "M"}, "framing.protobuf.receive: the schema 'm.proto' has no message type 'M'"),
        ({"send": "a.N"}, "framing.protobuf.send: the schema 'm.proto' has no message type 'a.N'"),
    ],
)
def test_a_schema_that_cannot_be_used_is_reported_where_it_is_written(
    tmp_path: Path, change: dict[str, str], problem: str
) -> None:
    (tmp_path / "m.proto").write_text('syntax = "proto3"; package a; message M { int32 x = 1; }')
    protobuf = {"schema": "m.proto", "receive": "a.M", **change}
    document = {
        "url": "wss://a.example/",
        "framing": {"codec": "protobuf", "protobuf": protobuf},
        "tools": [{"name": "t"}],
    }
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(document))
    with pytest.raises(InvalidManifest) as invalid:
        load_manifest(file, environ={})
    assert len(invalid.value.problems) == 1
    assert problem in str(invalid.value.problems[0])


async def test_protobuf_messages_are_sent_and_received(tmp_path: Path) -> None:
    (tmp_path / "m.proto").write_text(
        'syntax = "proto3"; package a; message Q { uint64 id = 1; string name = 2; } message R { uint64 id = 1; }'
    )

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(message[:2])

    template = {
        "framing": {"codec": "protobuf", "protobuf": {"schema": "m.proto", "send": "a.Q", "receive": "a.R"}},
        "request_id": "string_counter",
        "message": {"id": "{{ request_id }}", "name": "{{ args.name }}"},
        "reply": {"match": "message.id == request_id"},
    }
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        assert await bridge.call_tool("m.t", {"name": "é"}) == {"id": "1"}
    assert seen.received == [b"\x08\x01\x12\x02\xc3\xa9"]
