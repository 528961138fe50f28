"""APIs whose messages are framed in their own way, called by the SDK's client through the real program.

Each endpoint is a strict imitation: it closes the connection, with the reason, at the first message that the real one
would not understand.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from websockets.asyncio.server import ServerConnection

from tests.peer import Peer, peer

BOTH_ERAS = pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])


@asynccontextmanager
async def host_of(folder: Path, document: Any, mode: str = "auto") -> AsyncIterator[Client]:
    """A client of the program, which serves a manifest over stdio."""
    file = folder / "manifest.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    command = ["-m", "utcp_ws_mcp", "serve", str(file)]
    transport = stdio_client(StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ)))
    async with Client(transport, mode=mode) as client:
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    """The value of a call that succeeds."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result
    return result.structured_content


# --- Quotes as TradingView sends them: text behind a length in UTF-16 code units ---


def framed(text: str) -> str:
    """Return a message as JavaScript writes it: "~m~" + text.length + "~m~" + text."""
    return f"~m~{len(text.encode('utf-16-le')) // 2}~m~{text}"


def unframed(raw: str) -> list[str]:
    """Return the messages in a WebSocket message, as JavaScript cuts them: by UTF-16 code units."""
    assert isinstance(raw, str), "binary message"
    units, texts = raw.encode("utf-16-le"), []
    mark = "~m~".encode("utf-16-le")
    while units:
        assert units.startswith(mark), "no ~m~ in front of a length"
        length, _, rest = units[len(mark) :].partition(mark)
        size = 2 * int(length.decode("utf-16-le"))
        assert len(rest) >= size, "a length beyond the end"
        texts.append(rest[:size].decode("utf-16-le"))
        units = rest[size:]
    return texts


QUOTES: dict[str, list[dict[str, Any]]] = {
    "EURONEXT:GLE": [{"lp": 61.5, "description": "Société Générale"}, {"ch": -0.25, "short_name": "GLE 🥐"}],
    "TEST:😀É": [{"lp": 1, "description": "𝒳 €"}, {"ch": 0}],
}


class QuoteServer:
    """TradingView's side of a connection: heartbeats between the quotes, which go on only when they are answered."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.answered: list[str] = []
        self._state: dict[ServerConnection, dict[str, Any]] = {}

    async def greet(self, connection: ServerConnection) -> None:
        self._state[connection] = {"authorized": False, "sessions": set(), "beats": 0, "later": {}}
        hello = {"session_id": "<0.9.8>_ams1", "timestamp": 1764580000, "release": "r", "protocol": "json"}
        await connection.send(framed(json.dumps(hello)))

    async def answer(self, seen: Peer, connection: ServerConnection, message: Any) -> None:
        try:
            for text in unframed(message):
                await self._take(connection, text)
        except (AssertionError, ValueError, KeyError) as problem:
            self.problems.append(repr(problem))
            error = {"m": "protocol_error", "p": [repr(problem)]}
            await connection.send(framed(json.dumps(error)))
            await connection.close(1002)

    async def _take(self, connection: ServerConnection, text: str) -> None:
        state = self._state[connection]
        if text.startswith("~h~"):
            await connection.send(state["later"].pop(text))
            self.answered.append(text)
            return
        request = json.loads(text)
        method, (session, *more) = request["m"], request["p"]
        if method == "set_auth_token":
            state["authorized"] = session == "unauthorized_user_token"
        elif method == "quote_create_session":
            assert state["authorized"], "no token"
            assert session not in state["sessions"], "a session twice"
            state["sessions"].add(session)
        elif method == "quote_add_symbols":
            assert session in state["sessions"], "no session"
            for symbol in more:
                await self._quote(connection, state, session, symbol)
        else:
            assert method == "quote_delete_session", "an unknown method"
            state["sessions"].remove(session)

    async def _quote(self, connection: ServerConnection, state: dict[str, Any], session: str, symbol: str) -> None:
        def event(method: str, *values: Any) -> str:
            return framed(json.dumps({"m": method, "p": [session, *values]}, ensure_ascii=False))

        if symbol not in QUOTES:
            await connection.send(
                event("qsd", {"n": symbol, "s": "error", "errmsg": f"no symbol {symbol} 😕", "v": {}})
            )
            return
        first, second = [event("qsd", {"n": symbol, "s": "ok", "v": values}) for values in QUOTES[symbol]]
        state["beats"] += 1
        beat = f"~h~{state['beats']}"
        state["later"][beat] = second + event("quote_completed", symbol)
        await connection.send(first + framed(beat))


def quotes(seen: Peer) -> dict[str, Any]:
    """The manifest."""
    session, symbol = "qs_{{ request_id }}", {"type": "object", "properties": {"symbol": {"type": "string"}}}
    watched = "qs_{{ args.symbol | sha256 | hex }}"
    return {
        "name": "quotes",
        "url": seen.url,
        "framing": {"length": {"between": ["~m~", "~m~"], "unit": "utf16"}},
        "on_connect": [
            {"expect": "message.session_id is defined"},
            {"send": {"m": "set_auth_token", "p": ["unauthorized_user_token"]}},
        ],
        "auto_reply": [{"match": "message is string and message is startingwith('~h~')", "send": "{{ message }}"}],
        "tools": [
            {
                "name": "quote",
                "description": "The quote of a symbol.",
                "inputs": {**symbol, "required": ["symbol"]},
                "tool_call_template": {
                    "message": {"m": "quote_create_session", "p": [session]},
                    "then": [{"m": "quote_add_symbols", "p": [session, "{{ args.symbol }}"]}],
                    "reply": {
                        "match": "message.p[0] == 'qs_' ~ request_id",
                        "error": "message.p[1].s == 'error'",
                        "error_message": "message.p[1].errmsg",
                    },
                    "stream": {
                        "until": "message.m == 'quote_completed'",
                        "item": "message.p[1].v",
                        "cancel": {"m": "quote_delete_session", "p": [session]},
                    },
                },
            }
        ],
        "feeds": [
            {
                "name": "changes",
                "description": "The changes of a quote.",
                "inputs": {**symbol, "required": ["symbol"]},
                "open": [
                    {"send": {"m": "quote_create_session", "p": [watched]}},
                    {"send": {"m": "quote_add_symbols", "p": [watched, "{{ args.symbol }}"]}},
                ],
                "match": "message.m == 'qsd' and message.p[0] == 'qs_' ~ (args.symbol | sha256 | hex)",
                "item": "message.p[1].v",
                "close": {"m": "quote_delete_session", "p": [watched]},
            }
        ],
    }


@BOTH_ERAS
async def test_quotes_behind_lengths_in_utf16_reach_the_host(tmp_path: Path, mode: str) -> None:
    server = QuoteServer()
    async with peer(server.answer, greet=server.greet) as seen, host_of(tmp_path, quotes(seen), mode) as client:
        for symbol, values in QUOTES.items():
            quote = await call(client, "quotes_quote", symbol=symbol)
            assert (quote["items"], quote["end"]) == (values, "until")
            events = await call(client, "quotes_changes_events", symbol=symbol, wait_seconds=5)
            assert [event["data"] for event in events["events"]] == values[: len(events["events"])] != []
        refused = await client.call_tool("quotes_quote", {"symbol": "NO:É😀"})
        assert refused.is_error
        assert "no symbol NO:É😀 😕" in refused.content[0].text
    assert server.problems == []
    assert set(server.answered) == {"~h~1", "~h~2", "~h~3", "~h~4"}


# --- Discord's gateway with transport compression: one stream for the whole connection ---


class Gateway:
    """Discord's side: each connection has one compressor, which is flushed behind each message."""

    def __init__(self, compression: str) -> None:
        self.compression = compression
        self.problems: list[str] = []
        self._flush: dict[ServerConnection, Callable[[bytes], bytes]] = {}

    def _compressor(self) -> Callable[[bytes], bytes]:
        if self.compression == "zstd-stream":
            frame = zstd.ZstdCompressor(level=6)
            return lambda data: frame.compress(data, frame.FLUSH_BLOCK)
        stream = zlib.compressobj()
        return lambda data: stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)

    async def send(self, connection: ServerConnection, **message: Any) -> None:
        packed = self._flush[connection](json.dumps(message, ensure_ascii=False).encode())
        await connection.send(packed)

    async def greet(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        if f"compress={self.compression}" not in connection.request.path:
            self.problems.append(connection.request.path)
        self._flush[connection] = self._compressor()
        await self.send(connection, op=10, d={"heartbeat_interval": 41250}, s=None, t=None)

    async def answer(self, seen: Peer, connection: ServerConnection, message: Any) -> None:
        data = message["d"]
        if message["op"] == 2:
            await self.send(connection, op=0, t="READY", s=1, d={"v": 10, "user": {"username": "bot 🤖"}})
        elif message["op"] == 1:
            await self.send(connection, op=11)
        elif message["op"] == 8:
            post = {
                "id": "1",
                "channel_id": "2",
                "content": "hé 😀" * 9,
                "timestamp": "t",
                "author": {"username": "ada"},
            }
            await self.send(connection, op=0, t="MESSAGE_CREATE", s=2, d=post)
            members = [{"nick": f"ada {number} 😀"} for number in range(data["limit"])]
            chunk = {"guild_id": data["guild_id"], "nonce": data["nonce"], "members": members}
            await self.send(connection, op=0, t="GUILD_MEMBERS_CHUNK", s=3, d=chunk)
        else:
            self.problems.append(repr(message))


@pytest.mark.parametrize("method", ["zlib", "zstd"])
async def test_one_compressed_stream_for_a_connection_reaches_the_host(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "token-of-discord")
    gateway = Gateway(f"{method}-stream")
    document = json.loads((Path(__file__).parents[2] / "manifests" / "discord.json").read_text(encoding="utf-8"))
    async with peer(gateway.answer, greet=gateway.greet) as seen:
        document["url"] = f"{seen.url}?v=10&encoding=json&compress={gateway.compression}"
        document["framing"] = {"compression": {"method": method, "context": "connection"}}
        async with host_of(tmp_path, document) as client:
            for limit in (100, 1, 100):
                found = await call(client, "discord_search_members", guild="1" * 18, limit=limit)
                assert found == [{"nick": f"ada {number} 😀"} for number in range(limit)]
            await seen.open[0].close(1001)
            assert len(await call(client, "discord_search_members", guild="1" * 18, limit=3)) == 3
    assert gateway.problems == []
    assert len(seen.upgrades) == 2


# --- Bilibili's live rooms: several packets in one WebSocket message, and in what a packet inflates to ---

HEADER = struct.Struct(">IHHII")
"""Bytes of the packet, bytes of the header, version of the body, operation, sequence."""


def packet(operation: int, body: bytes, version: int = 1) -> bytes:
    return HEADER.pack(HEADER.size + len(body), HEADER.size, version, operation, 1) + body


class Room:
    """The side of a live room: it answers the login, then sends comments, plain and in a compressed packet."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    async def answer(self, seen: Peer, connection: ServerConnection, message: Any) -> None:
        try:
            size, header_size, version, operation, sequence = HEADER.unpack(message[: HEADER.size])
            assert (size, header_size, version, sequence) == (len(message), 16, 1, 1)
            assert operation == 7
            assert json.loads(message[16:]) == {"roomid": 7, "protover": 2}
        except (AssertionError, ValueError, struct.error) as problem:
            self.problems.append(repr(problem))
            await connection.close(1002)
            return
        comments = [
            json.dumps({"cmd": "DANMU_MSG", "info": [[0], f"弹幕 {number} 😀"]}).encode() for number in range(4)
        ]
        popularity = packet(3, (12345).to_bytes(4))
        await connection.send(packet(8, b'{"code":0}') + popularity + packet(5, comments[0], 0))
        inner = b"".join(packet(5, comment, 0) for comment in comments[1:])
        await connection.send(packet(5, zlib.compress(inner), 2))


async def test_several_packets_in_one_message_reach_the_host(tmp_path: Path) -> None:
    room = Room()
    async with peer(room.answer) as seen:
        login = {"header": "{{ [0, 16, 1, 7, 1] | pack('>IHHII') }}", "body": {"roomid": 7, "protover": 2}}
        document = {
            "name": "room",
            "url": seen.url,
            "framing": {
                "header": 16,
                "length": {"size": 4, "counts": "all"},
                "compression": {"method": "zlib", "nested": True},
            },
            "feeds": [
                {
                    "name": "comments",
                    "description": "Comments in the room.",
                    "open": [{"send": login}, {"expect": "(message.header | unpack('>IHHII'))[3] == 8"}],
                    "match": "message.body.cmd == 'DANMU_MSG'",
                    "item": "message.body.info[1]",
                }
            ],
        }
        async with host_of(tmp_path, document) as client:
            comments: list[str] = []
            cursor: dict[str, str] = {}
            while len(comments) < 4:
                page = await call(client, "room_comments_events", wait_seconds=5, **cursor)
                assert not page["timed_out"]
                comments += [event["data"] for event in page["events"]]
                cursor = {"cursor": page["cursor"]}
    assert comments == [f"弹幕 {number} 😀" for number in range(4)]
    assert room.problems == []


# --- Speech recognition of Volcengine: a header that says its length, with an optional field behind it ---


class Recognizer:
    """The side of the recognizer: JSON and audio in, JSON out; the number of an answer is optional."""

    def __init__(self, *, numbered: bool) -> None:
        self.problems: list[str] = []
        self._numbered = numbered
        self._bytes = 0

    def reply(self, kind: int, flags: int, fields: bytes, payload: bytes) -> bytes:
        return bytes([0x11, kind << 4 | flags, 0x10, 0]) + fields + len(payload).to_bytes(4) + payload

    async def answer(self, seen: Peer, connection: ServerConnection, message: bytes) -> None:
        header_size, kind, flags = 4 * (message[0] & 15), message[1] >> 4, message[1] & 15
        place = header_size + (4 if flags & 1 else 0)
        payload = message[place + 4 :]
        if message[0] >> 4 != 1 or int.from_bytes(message[place : place + 4]) != len(payload):
            self.problems.append(message.hex())
            error = self.reply(15, 0, (45000001).to_bytes(4), "格式错误".encode())
            await connection.send(error)
        elif kind == 1:
            self._bytes = 0
            assert json.loads(payload)["audio"] == {"format": "pcm"}
        else:
            self._bytes += len(payload)
            text = json.dumps({"result": {"text": f"{self._bytes} bytes, 你好 😀"}}, ensure_ascii=False).encode()
            if flags & 2:
                number = (-2).to_bytes(4, signed=True) if self._numbered else b""
                await connection.send(self.reply(9, 3 if self._numbered else 2, number, text))


@pytest.mark.parametrize("numbered", [True, False])
async def test_a_header_of_variable_length_is_read_by_expressions(tmp_path: Path, *, numbered: bool) -> None:
    recognizer = Recognizer(numbered=numbered)
    async with peer(recognizer.answer) as seen:
        document = {
            "name": "speech",
            "url": seen.url,
            "framing": {"codec": "binary"},
            "let": {"start": "{'audio': {'format': 'pcm'}} | to_json"},
            "message": "{{ [[17, 16, 16, 0, let.start | byte_length] | pack('>4BI'), let.start] | bytes }}",
            "then": [
                {
                    "$each": "{{ args.audio | unbase64 | pieces(4) }}",
                    "$template": "{{ [[17, 32, 0, 0, item | byte_length] | pack('>4BI'), item] | bytes }}",
                },
                "{{ [17, 34, 0, 0, 0] | pack('>4BI') }}",
            ],
            "reply": {
                "error": "message[1] // 16 == 15",
                "error_message": "message | part(12) | utf8",
                "result": "(message | part(4 * (message[0] % 16) + (8 if message[1] % 2 else 4)) | from_json).result",
            },
            "tools": [{"name": "recognize", "inputs": {"type": "object", "properties": {"audio": {"type": "string"}}}}],
        }
        async with host_of(tmp_path, document) as client:
            result = await client.call_tool("speech_recognize", {"audio": "AAECAwQF"})
            assert not result.is_error, result
            assert result.structured_content == {"text": "6 bytes, 你好 😀"}
    assert recognizer.problems == []
