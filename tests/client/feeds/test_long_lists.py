"""The events of a long list become events of a flat feed in parts, over real connections."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import PATIENCE, Peer, bridge_to, entry, jsonrpc, peer
from utcp_ws_mcp.client.feeds import keeper
from utcp_ws_mcp.core.feeds import feed
from utcp_ws_mcp.observability.events import Event, MessageReceived

COUNT = 2000
FLAT = {"name": "f", "open": [{"send": {"op": "go"}}], "match": "message.rows is defined", "item": "message.rows"}


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "ELEMENTS_AT_ONCE", 10)
    monkeypatch.setattr(keeper, "EVENTS_IN_A_ROW", 10)


def flat_feed(seen: Peer, **fields: Any) -> dict[str, Any]:
    return entry(seen, feeds=[{**FLAT, "flat": True, "size": 100_000, **fields}], tools=[])


def rows(first: int) -> str:
    return json.dumps({"rows": [*range(first, first + COUNT)]})


async def test_a_call_at_another_endpoint_is_answered_while_a_long_list_is_added(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(rows(0))

    arrived = anyio.Event()

    def observe(event: Event) -> None:
        if isinstance(event, MessageReceived) and event.manual == "m":
            arrived.set()

    async with peer(answer) as seen, peer(jsonrpc) as other:
        calm = {**entry(other, "t", preset="jsonrpc2"), "name": "other"}
        async with bridge_to(tmp_path, [flat_feed(seen), calm], observe=observe) as bridge:
            await bridge.call_tool("other.t")
            with anyio.fail_after(PATIENCE):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(bridge.call_tool, "m.f_events", {"wait_seconds": 5})
                    await arrived.wait()
                    await bridge.call_tool("other.t")
                    live = bridge.feed_instances()[0].live
                    assert live.buffer.end.offset < COUNT
                while live.buffer.end.offset < COUNT:
                    await anyio.sleep(0.001)
            page = await bridge.call_tool("m.f_events", {"max_events": 1000})
    assert [event["data"] for event in page["events"]] == [*range(1000, COUNT)]


async def test_what_an_endpoint_sends_while_a_long_list_is_added_waits_in_the_socket(tmp_path: Path) -> None:
    messages = 60

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        for number in range(messages):
            await connection.send(rows(number * COUNT))

    received = 0

    async with peer(answer) as seen:
        behind: list[int] = []

        def observe(event: Event) -> None:
            nonlocal received
            if isinstance(event, MessageReceived):
                received += 1
                lives = [instance.live for instance in bridge.feed_instances()]
                behind.append(received - (lives[0].buffer.end.offset // COUNT if lives else 0))

        async with bridge_to(tmp_path, flat_feed(seen), observe=observe) as bridge:
            await bridge.call_tool("m.f_events")
            live = bridge.feed_instances()[0].live
            with anyio.fail_after(PATIENCE):
                while live.buffer.end.offset < messages * COUNT:
                    await anyio.sleep(0.001)
    assert max(behind) < messages / 2
