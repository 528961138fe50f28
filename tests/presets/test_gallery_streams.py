"""Manifests of the gallery that were written from documentation: run against peers that follow that documentation."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.peer import Peer, peer
from utcp_ws_mcp import Bridge, ToolError

MANIFESTS = Path(__file__).parents[2] / "manifests"
ENVIRON = {"OPENAI_API_KEY": "sk-test", "DEEPGRAM_API_KEY": "dg-test"}


def moved(name: str, folder: Path, seen: Peer, old: str) -> Path:
    """A manifest with the peer in the place of the API."""
    text = (MANIFESTS / f"{name}.json").read_text()
    assert old in text
    target = folder / "m.json"
    target.write_text(text.replace(old, f"ws://127.0.0.1:{seen.port}"))
    return target


async def ethereum(seen: Peer, connection: Any, message: Any) -> None:
    async def send(**fields: Any) -> None:
        await connection.send(json.dumps({"jsonrpc": "2.0", **fields}))

    match message["method"]:
        case "eth_blockNumber":
            await send(id=message["id"], result="0x10")
        case "eth_subscribe":
            await send(id=message["id"], result="0xabc")
            for number in range(5):
                await send(method="eth_subscription", params={"subscription": "0xabc", "result": {"number": number}})
        case "eth_unsubscribe":
            await send(id=message["id"], result=True)
        case _:
            await send(id=message["id"], error={"code": -32602, "message": "invalid argument"})


async def test_ethereum_reads_and_watches(tmp_path: Path) -> None:
    async with peer(ethereum) as seen:
        file = moved("ethereum", tmp_path, seen, "${ETHEREUM_URL:-ws://127.0.0.1:8546/}")
        async with Bridge.open(file, environ=ENVIRON) as bridge:
            assert await bridge.call_tool("ethereum.block_number") == "0x10"
            blocks = await bridge.call_tool("ethereum.watch_blocks", {"count": 2})
            with pytest.raises(ToolError, match="invalid argument"):
                await bridge.call_tool("ethereum.get_block", {})
            await seen.until(lambda: any(each["method"] == "eth_unsubscribe" for each in seen.received))
    assert blocks.items == ({"number": 0}, {"number": 1})
    assert next(each for each in seen.received if each["method"] == "eth_unsubscribe")["params"] == ["0xabc"]


async def kraken(seen: Peer, connection: Any, message: Any) -> None:
    params = message.get("params", {})
    known = "XXX" not in str(params)
    reply = {"method": message["method"], "req_id": message["req_id"], "success": known}
    await connection.send(json.dumps(reply if known else {**reply, "error": "Currency pair not supported XXX/USD"}))
    if message["method"] == "subscribe" and known:
        await connection.send(json.dumps({"channel": "heartbeat"}))
        data = [{"symbol": params["symbol"][0], "last": 5}]
        await connection.send(json.dumps({"channel": params["channel"], "type": "snapshot", "data": data}))


async def test_kraken_gives_the_snapshot_and_ends_the_subscription(tmp_path: Path) -> None:
    async def greet(connection: Any) -> None:
        await connection.send(json.dumps({"channel": "status", "type": "update", "data": [{"system": "online"}]}))

    async with peer(kraken, greet=greet) as seen:
        async with Bridge.open(moved("kraken", tmp_path, seen, "wss://ws.kraken.com"), environ={}) as bridge:
            ticker = await bridge.call_tool("kraken.ticker", {"symbol": "BTC/USD"})
            with pytest.raises(ToolError, match="not supported"):
                await bridge.call_tool("kraken.ticker", {"symbol": "XXX/USD"})
            await seen.until(lambda: len(seen.received) == 3)
    assert ticker.value["item"] == {"symbol": "BTC/USD", "last": 5}
    assert seen.received[1]["method"] == "unsubscribe"


async def test_kraken_subscriptions_do_not_end_each_other(tmp_path: Path) -> None:
    connections = []

    async def remembering(seen: Peer, connection: Any, message: Any) -> None:
        if message["method"] == "subscribe":
            connections.append(connection)
        await kraken(seen, connection, message)

    async with peer(remembering) as seen:
        async with Bridge.open(moved("kraken", tmp_path, seen, "wss://ws.kraken.com"), environ={}) as bridge:
            calls = (bridge.call_tool("kraken.ticker", {"symbol": "BTC/USD"}) for _ in range(2))
            await asyncio.gather(*calls)
    assert connections[0] is not connections[1]


async def openai(seen: Peer, connection: Any, message: Any) -> None:
    async def send(kind: str, **fields: Any) -> None:
        await connection.send(json.dumps({"type": kind, **fields}))

    if message["type"] == "session.update":
        await send("session.updated")
        return
    await send("response.created", response={"id": "r"})
    for delta in ("Hel", "lo"):
        await send("response.output_text.delta", response_id="r", delta=delta)
    await send("response.done", response={"id": "r", "status": "completed"})


async def test_openai_realtime_collects_the_answer_as_text(tmp_path: Path) -> None:
    async def greet(connection: Any) -> None:
        await connection.send(json.dumps({"type": "session.created"}))

    async with peer(openai, greet=greet) as seen:
        file = moved("openai-realtime", tmp_path, seen, "wss://api.openai.com")
        async with Bridge.open(file, environ=ENVIRON) as bridge:
            for _ in range(2):
                answer = await bridge.call_tool("openai_realtime.ask", {"question": "Hi?"})
                assert answer.value == {"text": "Hello", "end": "until", "complete": True}
    assert seen.upgrades[0].headers["Authorization"] == "Bearer sk-test"


async def deepgram(seen: Peer, connection: Any, message: Any) -> None:
    if isinstance(message, bytes):
        return
    for text, final in (("", True), ("hello", False), ("hello world", True)):
        alternatives = {"alternatives": [{"transcript": text}]}
        await connection.send(json.dumps({"type": "Results", "is_final": final, "channel": alternatives}))
    await connection.send(json.dumps({"type": "Metadata", "duration": 1.0}))


async def test_deepgram_sends_the_audio_and_takes_the_final_text(tmp_path: Path) -> None:
    async with peer(deepgram) as seen:
        file = moved("deepgram", tmp_path, seen, "wss://api.deepgram.com")
        async with Bridge.open(file, environ=ENVIRON) as bridge:
            audio = base64.b64encode(b"\x00\xffRIFF").decode()
            result = await bridge.call_tool("deepgram.transcribe", {"audio": audio})
    assert result.value["text"] == "hello world "
    assert seen.received == [b"\x00\xffRIFF", {"type": "CloseStream"}]
    assert seen.upgrades[0].path == "/v1/listen?model=nova-3&language=en&smart_format=true"
    assert seen.upgrades[0].headers["Authorization"] == "Token dg-test"
