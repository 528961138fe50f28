"""Messages that carry several events, from a real socket to the SDK's client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from tests.peer import PATIENCE, Peer, bridge_to, peer
from tests.server.sides import BOTH_ERAS, session_client

pytestmark = BOTH_ERAS
FEED = {
    "name": "trades",
    "open": [{"send": {"op": "subscribe"}}, {"expect": "message.event == 'subscribed'"}],
    "match": "message.arg.channel == 'trades'",
    "item": "message.data",
    "flat": True,
    "key": "item.instId",
    "position": "message.seq",
    "resume": [
        {"send": {"op": "replay", "after": "{{ position }}"}},
        {"expect": "message.event == 'replayed'"},
    ],
    "close": None,
}


def trades(seq: int, *prices: float, symbol: str = "BTC-USDT") -> str:
    data = [{"instId": symbol, "px": price} for price in prices]
    return json.dumps({"arg": {"channel": "trades"}, "seq": seq, "data": data})


class Exchange:
    """A server that replays the messages behind a position."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    async def answer(self, seen: Peer, connection: Any, message: Any) -> None:
        if message["op"] == "subscribe":
            await connection.send('{"event": "subscribed"}')
            return
        for text in self.messages:
            if json.loads(text)["seq"] > message["after"]:
                await connection.send(text)
        await connection.send('{"event": "replayed"}')

    async def send(self, seen: Peer, *messages: str) -> None:
        self.messages += messages
        for text in messages:
            await seen.open[-1].send(text)


async def read(client: Client, tool: str, **arguments: Any) -> Any:
    with anyio.fail_after(PATIENCE):
        result = await client.call_tool(tool, arguments)
    assert not result.is_error
    return result.structured_content


async def follow(client: Client, cursor: str, count: int, **arguments: Any) -> tuple[list[Any], str]:
    """Return the next events as (offset, price), and the cursor behind them."""
    events: list[Any] = []
    while len(events) < count:
        page = await read(client, "m_trades_events", cursor=cursor, wait_seconds=9, **arguments)
        assert (page["missed"], page["gaps"]) == (0, [])
        events += [(event["offset"], event["data"]["px"]) for event in page["events"]]
        cursor = page["cursor"]
    return events, cursor


async def test_each_element_of_a_message_is_an_event_for_a_client(tmp_path: Path, mode: str) -> None:
    server = Exchange()
    async with peer(server.answer) as seen:
        document = {"name": "m", "url": seen.url, "feeds": [FEED]}
        async with bridge_to(tmp_path, document) as bridge, session_client(bridge, mode) as client:
            start = (await read(client, "m_trades_events"))["cursor"]
            await server.send(seen, trades(1, 10, 10, 12), trades(2), trades(3, 7, symbol="ETH-USDT"))
            assert await follow(client, start, 4) == ([(1, 10), (2, 10), (3, 12), (4, 7)], start[:-3] + "4.0")
            first = await read(client, "m_trades_events", cursor=start, max_events=2)
            assert ([event["offset"] for event in first["events"]], first["has_more"]) == ([1, 2], True)
            dear = await read(client, "m_trades_events", cursor=start, where="data.px > 10")
            assert [event["data"] for event in dear["events"]] == [{"instId": "BTC-USDT", "px": 12}]
            newest = await read(client, "m_trades_latest")
            assert [(value["key"], value["data"]["px"]) for value in newest["values"]] == [
                ("BTC-USDT", 12),
                ("ETH-USDT", 7),
            ]


async def test_after_a_reconnection_no_element_is_repeated_and_none_is_lost(tmp_path: Path, mode: str) -> None:
    server = Exchange()
    async with peer(server.answer) as seen:
        document = {"name": "m", "url": seen.url, "feeds": [FEED]}
        async with bridge_to(tmp_path, document) as bridge, session_client(bridge, mode) as client:
            start = (await read(client, "m_trades_events"))["cursor"]
            await server.send(seen, trades(1, 10, 11), trades(2))
            _, cursor = await follow(client, start, 2)
            server.messages += [trades(3, 12, 13), trades(4), trades(5, 14)]
            await seen.open[-1].close(1012, "restart")
            assert (await follow(client, cursor, 3))[0] == [(3, 12), (4, 13), (5, 14)]
            assert {"op": "replay", "after": 2} in seen.received
