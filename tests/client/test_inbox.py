"""`inbox`: what came while no call listened waits for the next one that does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.peer import Peer, bridge_to, entry, jsonrpc, peer
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.observability.events import Event, MessageReceived

CHAT = {"preset": "jsonrpc2", "inbox": {"match": "message.from is defined"}}


def listening(name: str, match: str = "message.from is defined", **stream: Any) -> dict[str, Any]:
    return {
        "name": name,
        "tool_call_template": {"listen": True, "stream": {"match": match, "max_seconds": 0.05, **stream}},
    }


async def chatty(seen: Peer, connection: Any, message: Any) -> None:
    """Answer a request, and say what it asks for after that."""
    await jsonrpc(seen, connection, message)
    for said in message["params"].get("say", []):
        await connection.send(json.dumps(said))


def said(number: int, who: str = "ada") -> dict[str, Any]:
    return {"from": who, "n": number}


async def kept(events: list[Event], bridge: Bridge, count: int) -> None:
    """Wait until so many messages were kept: a round trip later everything before it has come."""
    await bridge.call_tool("m.say", {})
    assert sum(isinstance(event, MessageReceived) and event.role == "buffered" for event in events) == count


async def test_what_came_between_two_calls_is_given_to_the_next_one_that_listens(tmp_path: Path) -> None:
    events: list[Event] = []
    async with peer(chatty) as seen:
        document = entry(seen, "say", listening("read"), **CHAT)
        async with bridge_to(tmp_path, document, events=events) as bridge:
            await bridge.call_tool("m.say", {"say": [said(1), {"noise": 1}, said(2)]})
            await kept(events, bridge, 2)
            assert (await bridge.call_tool("m.read")).items == (said(1), said(2))
            assert (await bridge.call_tool("m.read")).items == ()


async def test_a_call_that_has_enough_leaves_the_rest_for_others(tmp_path: Path) -> None:
    events: list[Event] = []
    tools = ("say", listening("one", max_items=1), listening("of_bob", "message.from == 'bob'"), listening("read"))
    async with peer(chatty) as seen, bridge_to(tmp_path, entry(seen, *tools, **CHAT), events=events) as bridge:
        await bridge.call_tool("m.say", {"say": [said(1), said(2), said(3, "bob"), said(4)]})
        await kept(events, bridge, 4)
        assert (await bridge.call_tool("m.of_bob")).items == (said(3, "bob"),)
        assert (await bridge.call_tool("m.one")).items == (said(1),)
        assert (await bridge.call_tool("m.read")).items == (said(2), said(4))


async def test_the_oldest_give_way(tmp_path: Path) -> None:
    events: list[Event] = []
    document = {**CHAT, "inbox": {"match": "message.from is defined", "size": 2}}
    async with peer(chatty) as seen:
        async with bridge_to(tmp_path, entry(seen, "say", listening("read"), **document), events=events) as bridge:
            await bridge.call_tool("m.say", {"say": [said(1), said(2), said(3)]})
            await kept(events, bridge, 3)
            assert (await bridge.call_tool("m.read")).items == (said(2), said(3))


@pytest.mark.parametrize("ignore", [[], ["message.from is defined"]], ids=["between calls", "ignored by a call"])
async def test_an_api_without_ids_keeps_its_events_too(tmp_path: Path, ignore: list[str]) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if ignore:
            await connection.send(json.dumps(said(1)))
        await connection.send(json.dumps({"echo": message}))
        if not ignore:
            await connection.send(json.dumps(said(1)))

    document = {"inbox": CHAT["inbox"], "ignore": ignore, "message": "{{ args }}", "response_format": "json"}
    read = listening("read")
    read["tool_call_template"]["ignore"] = []
    async with peer(answer) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", read, **document)) as bridge:
            assert await bridge.call_tool("m.t", {"n": 1}) == {"echo": {"n": 1}}
            assert await bridge.call_tool("m.t", {"n": 2}) == {"echo": {"n": 2}}
            items = (await bridge.call_tool("m.read")).items
            assert set(map(json.dumps, items)) == {json.dumps(said(1))}
            assert len(items) == 2
            assert len(seen.upgrades) == 1


@pytest.mark.parametrize("bound", [{"max_seconds": 0.05}, {"max_items": 1}], ids=["in time", "with enough"])
async def test_a_call_that_listened_leaves_its_connection_to_the_others(tmp_path: Path, bound: dict[str, Any]) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"echo": message}))
        await connection.send(json.dumps(said(1)))

    document = {"inbox": CHAT["inbox"], "message": "{{ args }}", "response_format": "json"}
    async with peer(answer) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", listening("read", **bound), **document)) as bridge:
            for n in range(3):
                assert await bridge.call_tool("m.t", {"n": n}) == {"echo": {"n": n}}
                assert (await bridge.call_tool("m.read")).items == (said(1),)
            assert len(seen.upgrades) == 1
