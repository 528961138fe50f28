"""Feeds that calls open: what a call causes is there for the reader, however late it reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import Peer, bridge_to, entry, jsonrpc, peer
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.errors import CallTimeout

SAID = {"name": "said", "match": "message.from is defined", "item": None, "start": "first_call"}
CHAT = {"preset": "jsonrpc2", "feeds": [SAID]}


def in_rooms(**feed: Any) -> dict[str, Any]:
    inputs = {"type": "object", "properties": {"room": {"type": "string"}}, "required": ["room"]}
    return {**SAID, "inputs": inputs, "match": "message.room == args.room and message.from is defined", **feed}


async def chatty(seen: Peer, connection: Any, message: Any) -> None:
    """Answer a request, and say what it asks for after that."""
    await jsonrpc(seen, connection, message)
    for said in message["params"].get("say", []):
        await connection.send(json.dumps(said))


def said(number: int, **more: Any) -> dict[str, Any]:
    return {"from": "ada", "n": number, **more}


async def read(bridge: Bridge, **arguments: Any) -> list[Any]:
    result = await bridge.call_tool("m.said_events", arguments)
    return [event["data"] for event in result["events"]]


async def test_what_a_call_causes_is_there_for_a_later_reader(tmp_path: Path) -> None:
    async with peer(chatty) as seen, bridge_to(tmp_path, entry(seen, "say", **CHAT)) as bridge:
        await bridge.call_tool("m.say", {"say": [said(1), {"noise": 1}, said(2)]})
        await bridge.call_tool("m.say", {})
        assert await read(bridge) == [said(1), said(2)]
        assert await read(bridge, where="data.n == 2") == [said(2)]
        assert len(seen.upgrades) == 1


async def test_a_feed_that_its_first_read_opens_is_opened_by_no_call(tmp_path: Path) -> None:
    document = {**CHAT, "feeds": [{**SAID, "start": "first_use"}]}
    async with peer(chatty) as seen, bridge_to(tmp_path, entry(seen, "say", **document)) as bridge:
        await bridge.call_tool("m.say", {"say": [said(1)]})
        await bridge.call_tool("m.say", {})
        assert await read(bridge) == []


async def test_a_streaming_call_opens_it_too(tmp_path: Path) -> None:
    async with peer(chatty) as seen, bridge_to(tmp_path, entry(seen, "say", **CHAT)) as bridge:
        results = [item async for item in bridge.call_tool_streaming("m.say", {"say": [said(1)]})]
        await bridge.call_tool("m.say", {})
        assert (len(results), await read(bridge)) == (1, [said(1)])


async def test_a_call_opens_the_feed_of_its_own_arguments(tmp_path: Path) -> None:
    document = {**CHAT, "feeds": [in_rooms()]}
    async with peer(chatty) as seen, bridge_to(tmp_path, entry(seen, "say", **document)) as bridge:
        await bridge.call_tool("m.say", {"say": [said(1, room="a")]})  # without the argument of the feed
        await bridge.call_tool("m.say", {"room": "a", "say": [said(2, room="a"), said(3, room="b")]})
        await bridge.call_tool("m.say", {})
        assert await read(bridge, room="a") == [said(2, room="a")]
        assert await read(bridge, room="b") == []


async def test_a_call_whose_feed_cannot_be_followed_goes_on(tmp_path: Path) -> None:
    document = {**CHAT, "feeds": [in_rooms(max_instances=1)]}
    async with peer(chatty) as seen, bridge_to(tmp_path, entry(seen, "say", **document)) as bridge:
        await bridge.call_tool("m.say", {"room": "a"})
        with anyio.fail_after(10):
            assert await bridge.call_tool("m.say", {"room": "b"}) == {"room": "b"}
            assert await bridge.call_tool("m.say", {"room": 7}) == {"room": 7}


async def test_a_feed_leaves_a_connection_that_no_call_may_use(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if message["key"] != "silent":
            await connection.send(json.dumps({"key": message["key"]}))
        await connection.send(json.dumps(said(len(seen.upgrades))))

    fields = {
        "message": "{{ args }}",
        "response_format": "json",
        "reply": {"match": "message.key == args.key", "concurrent": True},
        "limits": {"max_connections": 1},
        "feeds": [{**SAID, "start": "first_use"}],
    }
    silent = {"name": "silent", "tool_call_template": {"timeout": 0.1}}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "ask", silent, **fields)) as bridge:
        cursor = (await bridge.call_tool("m.said_events"))["cursor"]
        with pytest.raises(CallTimeout):
            await bridge.call_tool("m.silent", {"key": "silent"})
        with anyio.fail_after(10):
            assert await bridge.call_tool("m.ask", {"key": "a"}) == {"key": "a"}
            gaps: list[Any] = []
            while not gaps:
                result = await bridge.call_tool("m.said_events", {"cursor": cursor})
                gaps, cursor = result["gaps"], result["cursor"]
            await bridge.call_tool("m.ask", {"key": "a"})
            result = await bridge.call_tool("m.said_events", {"cursor": cursor})
        assert [event["data"]["n"] for event in result["events"]] == [2]
        assert "a late reply to an ended call" in gaps[0]["reason"]


async def test_a_feed_to_which_nothing_confirms_a_replay_leaves_the_only_connection_to_calls(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if "key" in message:
            await connection.send(json.dumps({"key": message["key"]}))
            await connection.send(json.dumps(said(len(seen.upgrades))))

    resume = [{"send": {"after": "{{ position }}"}}, {"expect": "message.replayed", "timeout": 0.05}]
    fields = {
        "message": "{{ args }}",
        "response_format": "json",
        "reply": {"match": "message.key == args.key", "concurrent": True},
        "limits": {"max_connections": 1},
        "feeds": [{**SAID, "start": "first_use", "position": "message.n", "resume": resume}],
    }
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "ask", **fields)) as bridge:
        with anyio.fail_after(10):
            cursor = (await bridge.call_tool("m.said_events"))["cursor"]
            await bridge.call_tool("m.ask", {"key": "a"})
            await seen.open[0].close(1012)
            reasons: list[str] = []
            while not any("does not replay" in reason for reason in reasons):
                result = await bridge.call_tool("m.said_events", {"cursor": cursor})
                reasons, cursor = [gap["reason"] for gap in result["gaps"]], result["cursor"]
            assert await bridge.call_tool("m.ask", {"key": "b"}) == {"key": "b"}


async def test_a_feed_that_is_refused_fails_no_call(tmp_path: Path) -> None:
    refused = [{"send": {"id": 0, "params": {}, "method": "x"}}, {"expect": "message.id == 0", "fail": "true"}]
    document = {**CHAT, "feeds": [{**SAID, "open": refused}]}
    async with peer(chatty) as seen, bridge_to(tmp_path, entry(seen, "say", **document)) as bridge:
        assert await bridge.call_tool("m.say", {"a": 1}) == {"a": 1}
        assert "waiting" in (await bridge.call_tool("m.said_events"))["state"]
