"""`limits.max_connections` holds for all connections with the same URL, headers and login, however else they differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import PATIENCE, Peer, bridge_to, entry, peer
from utcp_ws_mcp import Bridge

RPC = {"preset": "jsonrpc2", "limits": {"max_connections": 1}}


class Counting:
    """An endpoint that notes how many connections were open at once, and answers when the test says so."""

    def __init__(self) -> None:
        self.open = 0
        self.most = 0
        self.hold = anyio.Event()
        self.hold.set()

    async def greet(self, connection: Any) -> None:
        self.open += 1
        self.most = max(self.most, self.open)

    async def answer(self, seen: Peer, connection: Any, message: Any) -> None:
        if message["method"] == "slow":
            await self.hold.wait()
        await connection.send(json.dumps({"id": message["id"], "result": message["method"]}))


async def serve(counting: Counting, seen: Peer) -> None:
    """Count the connections that have ended."""
    while True:
        await seen.until(lambda: len(seen.closed) > len(seen.upgrades) - counting.open)
        counting.open -= 1


async def call_all(bridge: Bridge, *tools: str) -> dict[str, Any]:
    results: dict[str, Any] = {}

    async def call(index: int, tool: str) -> None:
        results[f"{index} {tool}"] = await bridge.call_tool(f"m.{tool}")

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as calls:
            for index, tool in enumerate(tools):
                calls.start_soon(call, index, tool)
    return results


DIFFERENCES = {
    "without keep_alive": {"keep_alive": False},
    "another request_id": {"request_id": "string_counter"},
    "another heartbeat": {"heartbeat": {"every": 9, "send": "x"}},
    "another subprotocol": {"reconnect_when": "message.bye"},
    "an own capture": {"capture": [{"match": "message.a", "set": {"a": "message.a"}}]},
    "an argument of its rules": {"reconnect_when": "message.bye == args.topic"},
}


@pytest.mark.parametrize("difference", DIFFERENCES.values(), ids=DIFFERENCES)
async def test_the_limit_holds_over_tools_whose_connections_differ(tmp_path: Path, difference: dict[str, Any]) -> None:
    counting = Counting()
    other = {"name": "other", "tool_call_template": difference}
    async with peer(counting.answer, greet=counting.greet) as seen:
        async with anyio.create_task_group() as tasks, bridge_to(tmp_path, entry(seen, "t", other, **RPC)) as bridge:
            tasks.start_soon(serve, counting, seen)
            for _ in range(3):
                results = await call_all(bridge, "t", "other", "t", "other", "other", "t")
                assert [name.split()[1] for name in sorted(results)] == ["t", "other", "t", "other", "other", "t"]
            tasks.cancel_scope.cancel()
    assert counting.most == 1


@pytest.mark.parametrize(
    "difference",
    [{"headers": {"X-A": "1"}}, {"url": "ws://localhost:{port}/other"}, {"on_connect": [{"send": {"hello": 1}}]}],
    ids=["headers", "url", "login"],
)
async def test_the_limit_is_that_of_one_client_at_one_url(tmp_path: Path, difference: dict[str, Any]) -> None:
    counting = Counting()
    counting.hold = anyio.Event()
    other = {"name": "other"}

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if "method" in message:
            await counting.answer(seen, connection, message)
            counting.hold.set()

    async with peer(answer, greet=counting.greet) as seen:
        difference = json.loads(json.dumps(difference).replace("{port}", str(seen.port)))
        tools = [{"name": "slow"}, {**other, "tool_call_template": difference}]
        async with bridge_to(tmp_path, entry(seen, *tools, **RPC)) as bridge:
            assert len(await call_all(bridge, "slow", "other")) == 2
    assert counting.most == 2


async def test_a_call_that_waits_for_the_place_of_others_is_not_starved(tmp_path: Path) -> None:
    counting = Counting()
    alone = {"name": "alone", "tool_call_template": {"keep_alive": False}}
    async with peer(counting.answer, greet=counting.greet) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", alone, **RPC)) as bridge:
            done = anyio.Event()

            async def keep_busy() -> None:
                while not done.is_set():
                    await bridge.call_tool("m.t")

            with anyio.fail_after(PATIENCE):
                async with anyio.create_task_group() as tasks:
                    for _ in range(5):
                        tasks.start_soon(keep_busy)
                    await seen.until(lambda: len(seen.received) > 10)
                    assert await bridge.call_tool("m.alone") == "alone"
                    done.set()
