"""Feeds as MCP resources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.peer import Peer, bridge_to, peer, silent
from utcp_ws_mcp.server.resources import EndpointResources

FEED = {
    "name": "said",
    "inputs": {"type": "object", "properties": {"floor": {"type": "integer"}}, "required": ["floor"]},
    "match": "message.floor == args.floor",
    "item": "message.text",
}


def manifest(seen: Peer) -> dict[str, Any]:
    return {"name": "m", "url": seen.url, "feeds": [FEED], "tools": []}


def read(resources: EndpointResources, uri: str) -> Any:
    text = resources.read(uri)
    return None if text is None else json.loads(text)


async def test_a_feed_is_listed_and_read_by_cursor(tmp_path: Path) -> None:
    async def greet(connection: Any) -> None:
        await connection.send(json.dumps({"floor": 3, "text": "a"}))

    async with peer(silent, greet=greet) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        resources = EndpointResources(bridge)
        listed = read(resources, "utcp-ws://feeds")
        assert [(each["name"], each["uri"], each["open"]) for each in listed] == [
            ("m.said", "utcp-ws://feeds/m/said", [])
        ]
        uri = f"{listed[0]['uri']}?floor=3"
        first = read(resources, uri)
        assert (first["events"], first["state"]) == ([], "opening")
        with anyio.fail_after(10):
            while not (page := read(resources, f"{uri}&cursor={first['cursor']}"))["events"]:
                await checkpoint()
        assert [event["data"] for event in page["events"]] == ["a"]
        assert read(resources, f"{uri}&cursor={page['cursor']}")["events"] == []
        assert read(resources, "utcp-ws://feeds")[0]["open"][0]["events"] == 1


async def test_a_resource_has_only_the_events_that_fulfil_its_condition(tmp_path: Path) -> None:
    async def greet(connection: Any) -> None:
        for number in range(6):
            await connection.send(json.dumps({"floor": 3, "text": number}))

    async with peer(silent, greet=greet) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        resources, uri = EndpointResources(bridge), "utcp-ws://feeds/m/said?floor=3"
        start = read(resources, uri)["cursor"]
        with anyio.fail_after(10):
            while len(read(resources, f"{uri}&cursor={start}")["events"]) < 6:
                await checkpoint()
        page = read(resources, f"{uri}&cursor={start}&where=data%20%3E%201&max_events=2")
        assert [event["data"] for event in page["events"]] == [2, 3]
        assert page["has_more"]
        page = read(resources, f"{uri}&cursor={page['cursor']}&where=data%20%3E%201")
        assert [event["data"] for event in page["events"]] == [4, 5]
        assert [event["data"] for event in read(resources, f"{uri}&where=data%20%3D%3D%200")["events"]] == [0]
        assert read(resources, f"{uri}&where=data%20%3E%209")["events"] == []
        failing = read(resources, f"{uri}&where=1%20in%20data")
        assert failing["events"] == []
        assert failing["hint"].startswith("6 events were left out, because where cannot be evaluated there")


async def test_a_feed_says_how_often_it_was_opened_again_and_what_it_left_out(tmp_path: Path) -> None:
    said = [{"floor": 3, "text": "a", "n": 1}, {"floor": 3, "text": "a", "n": 1}, {"floor": 3, "n": 2}]

    async def greet(connection: Any) -> None:
        for message in said:
            await connection.send(json.dumps(message))

    feed = {**FEED, "position": "message.n"}
    async with (
        peer(silent, greet=greet) as seen,
        bridge_to(tmp_path, {**manifest(seen), "feeds": [feed]}) as bridge,
    ):
        resources, counters = EndpointResources(bridge), ("events", "duplicates", "invalid", "reconnects")

        async def until(*expected: int) -> None:
            with anyio.fail_after(10):
                while [read(resources, "utcp-ws://feeds")[0]["open"][0][key] for key in counters] != [*expected]:
                    await checkpoint()

        read(resources, "utcp-ws://feeds/m/said?floor=3")
        await until(1, 1, 1, 0)
        said[:] = [{"floor": 3, "text": "b", "n": 4}]
        await seen.open[0].close(1012)
        await until(2, 1, 1, 1)


@pytest.mark.parametrize("query", ["", "?floor=x", "?floor=3&cursor=nonsense"])
async def test_a_wrong_parameter_is_named(tmp_path: Path, query: str) -> None:
    async with peer(silent) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        problem = read(EndpointResources(bridge), f"utcp-ws://feeds/m/said{query}")["problem"]
        assert "floor" in problem or "cursor" in problem


@pytest.mark.parametrize("uri", ["/m", "/m/other", "/m/said/x", "/", "/m/said_events"])
async def test_another_uri_is_no_feed(tmp_path: Path, uri: str) -> None:
    async with peer(silent) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        assert EndpointResources(bridge).read(f"utcp-ws://feeds{uri}") is None


async def test_a_feed_is_there_only_for_callers_who_may_use_its_tool(tmp_path: Path) -> None:
    def no_feed(tool: Any) -> bool:
        return tool.feed is None

    async with peer(silent) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        resources, uri = EndpointResources(bridge), "utcp-ws://feeds/m/said?floor=3"
        assert read(resources, uri)["state"] == "opening"
        assert uri in [each["uri"] for each in resources.listed()]
        assert len(resources.templates()) == 2
        assert resources.read(uri, no_feed) is None
        assert json.loads(resources.read("utcp-ws://feeds", no_feed) or "") == []
        assert uri not in [each["uri"] for each in resources.listed(no_feed)]
        assert len(resources.templates(no_feed)) == 1
        assert (resources.is_visible(uri, lambda tool: True), resources.is_visible(uri, no_feed)) == (True, False)
