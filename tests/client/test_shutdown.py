"""A bridge that is closed while calls run: each ends with an error that says what became of its request."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.peer import PATIENCE, Peer, bridge_to, echo, entry, peer, silent
from utcp_ws_mcp import Bridge, NetworkError
from utcp_ws_mcp.errors import ConnectionLost, Outcome
from utcp_ws_mcp.observability import events

RPC = {"preset": "jsonrpc2"}


class Calls:
    """Calls that run while their bridge is closed, and how they ended."""

    def __init__(self) -> None:
        self.errors: list[NetworkError] = []
        self.item = anyio.Event()

    async def make(self, bridge: Bridge, name: str) -> None:
        with pytest.raises(NetworkError) as failed:
            await bridge.call_tool(name, on_item=self.note)
        self.errors.append(failed.value)

    async def note(self, item: Any) -> None:
        self.item.set()


@asynccontextmanager
async def ending(folder: Path, document: Any, *names: str) -> AsyncIterator[tuple[Callable[[str], None], Calls]]:
    """Start a call of each name; the bridge is closed after the block, and the calls must end.

    What is given starts another call.
    """
    calls = Calls()
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as running, bridge_to(folder, document) as bridge:
            for name in names:
                running.start_soon(calls.make, bridge, name)
            yield partial(running.start_soon, calls.make, bridge), calls


async def test_a_call_that_waits_for_its_reply_may_have_been_executed(tmp_path: Path) -> None:
    async with peer(silent) as seen:
        async with ending(tmp_path, entry(seen, "t", **RPC), "m.t") as (_, calls):
            await seen.until(lambda: len(seen.received) == 1)
    assert [error.outcome for error in calls.errors] == [Outcome.MAYBE_EXECUTED]


async def test_a_stream_is_not_complete_because_the_bridge_goes(tmp_path: Path) -> None:
    async def begin(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"item": 1}))

    async with peer(begin) as seen:
        document = entry(seen, "t", response_format="json", stream={"until": "message.done"})
        async with ending(tmp_path, document, "m.t") as (_, calls):
            await calls.item.wait()
    (lost,) = calls.errors
    assert isinstance(lost, ConnectionLost)
    assert lost.outcome is Outcome.MAYBE_EXECUTED


async def test_an_idempotent_request_is_not_repeated_when_the_bridge_goes(tmp_path: Path) -> None:
    async with peer(silent) as seen:
        tool = {"name": "t", "idempotent": True}
        async with ending(tmp_path, entry(seen, tool, timeout=600, **RPC), "m.t") as (_, calls):
            await seen.until(lambda: len(seen.received) == 1)
        assert len(seen.received) == 1
    assert [error.outcome for error in calls.errors] == [Outcome.MAYBE_EXECUTED]


async def test_a_call_that_waits_for_its_tool_was_not_sent(tmp_path: Path) -> None:
    async with peer(silent) as seen:
        async with ending(tmp_path, entry(seen), "m.t", "m.t") as (_, calls):
            await seen.until(lambda: len(seen.received) == 1)
    assert [error.outcome for error in calls.errors] == [Outcome.NOT_SENT] * 2


async def test_a_closed_bridge_says_so(tmp_path: Path) -> None:
    async with peer(echo) as seen:
        async with bridge_to(tmp_path, [entry(seen, "t"), entry(seen) | {"name": "asked"}]) as bridge:
            pass
        for name in ("m.t", "asked.t"):
            with pytest.raises(ConnectionLost, match="utcp-ws-mcp is shutting down") as lost:
                await bridge.call_tool(name)
            assert lost.value.outcome is Outcome.NOT_SENT


async def test_a_call_that_keeps_to_the_rate_is_not_sent_after_the_bridge_has_gone(
    tmp_path: Path,
) -> None:  # found by seed 140719343032 of reliability.simulation_runs
    async with peer(silent) as seen:
        silently = {"listen": True, "stream": True, "on_connect": [{"send": "hello"}]}
        tools = ["t", {"name": "watch", "tool_call_template": silently}]
        document = entry(seen, *tools, keep_alive=False, limits={"requests_per_second": 2})
        async with ending(tmp_path, document, "m.t") as (start, calls):
            await seen.until(lambda: len(seen.received) == 1)
            start("m.watch")
            await seen.until(lambda: len(seen.received) == 2)
    assert [error.outcome for error in calls.errors] == [Outcome.MAYBE_EXECUTED, Outcome.NOT_SENT]


@pytest.mark.parametrize("turns", range(0, 40, 2))
async def test_an_endpoint_that_is_asked_for_its_tools_then_has_not_failed(tmp_path: Path, turns: int) -> None:
    happened: list[events.Event] = []
    async with peer(silent) as seen, bridge_to(tmp_path, entry(seen), events=happened):
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
    assert [event for event in happened if isinstance(event, events.DiscoveryFailed)] == []
