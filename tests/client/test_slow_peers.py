"""Calls to a peer that does not read: they end at their deadline, and leave nothing behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import PATIENCE, Peer, bridge_to, entry, jsonrpc, peer
from utcp_ws_mcp import CallTimeout
from utcp_ws_mcp.client.pool.circuit_breaker import FAILURE_THRESHOLD
from utcp_ws_mcp.errors import ConnectionLost, Outcome

from .test_pool import MUCH, Calling, deaf_peer


async def test_a_request_without_a_reply_that_the_peer_does_not_read_is_no_success(tmp_path: Path) -> None:
    async with deaf_peer() as seen, bridge_to(tmp_path, entry(seen, "t", reply="none", timeout=0.2)) as bridge:
        with pytest.raises(CallTimeout, match="waiting for the endpoint to read the request") as failed:
            await bridge.call_tool("m.t", {"much": MUCH})
        assert failed.value.outcome is Outcome.MAYBE_EXECUTED


async def test_a_call_that_waits_to_send_times_out_unsent(tmp_path: Path) -> None:
    called = anyio.Event()
    tools = [{"name": "t"}, {"name": "late", "tool_call_template": {"timeout": 0.2}}]
    async with deaf_peer() as seen, anyio.create_task_group() as calls:
        document = entry(seen, *tools, timeout=PATIENCE, preset="jsonrpc2")
        async with bridge_to(tmp_path, document, events=Calling(called)) as bridge:
            calls.start_soon(bridge.call_tool, "m.t", {"much": MUCH})
            await called.wait()
            with pytest.raises(CallTimeout) as failed:
                await bridge.call_tool("m.late")
            assert failed.value.outcome is Outcome.NOT_SENT
            calls.cancel_scope.cancel()


@pytest.mark.parametrize("waiting", ["to have sent", "to send"])
async def test_a_call_that_is_cancelled_while_it_waits_gives_its_connection_back(tmp_path: Path, waiting: str) -> None:
    called = anyio.Event()
    async with deaf_peer() as seen:
        document = entry(seen, "t", reply="none", timeout=PATIENCE)
        async with bridge_to(tmp_path, document, events=Calling(called)) as bridge:
            async with anyio.create_task_group() as calls:
                calls.start_soon(bridge.call_tool, "m.t", {"much": MUCH})
                await called.wait()
                if waiting == "to send":
                    calls.start_soon(bridge.call_tool, "m.t", {})
                    await anyio.wait_all_tasks_blocked()
                calls.cancel_scope.cancel()
            assert bridge.stats("m").used == 0


async def test_a_message_over_a_connection_ends_the_count_of_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utcp_ws_mcp.client.pool.executor.random.random", lambda: 1.0)

    async def answer_or_hang_up(seen: Peer, connection: Any, message: Any) -> None:
        if message["params"]["n"]:
            await jsonrpc(seen, connection, message)
        else:
            await connection.close(1011)

    template = {"keep_alive": False, "timeout": 2, "preset": "jsonrpc2"}
    async with peer(answer_or_hang_up) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        for n in range(3):
            for _ in range(FAILURE_THRESHOLD - 1):
                with pytest.raises(ConnectionLost):
                    await bridge.call_tool("m.t", {"n": 0})
            assert await bridge.call_tool("m.t", {"n": n + 1}) == {"n": n + 1}
        assert len(seen.upgrades) == 3 * FAILURE_THRESHOLD
