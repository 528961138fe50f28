"""The time of a stream: it counts while the stream runs, and a stream that never began has not ended well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import Peer, bridge_to, echo, entry, peer, silent
from utcp_ws_mcp import Bridge, CallTimeout
from utcp_ws_mcp.bridge import Streamed
from utcp_ws_mcp.errors import Outcome

SUBSCRIBES = {"preset": "jsonrpc2", "stream": {"match": "message.event is defined", "item": "message.event"}}


async def _call_after_a_wait(bridge: Bridge) -> Streamed:
    """Call a tool that has waited twenty seconds for its connection."""
    plan, since = bridge.tools["m.t"], anyio.current_time() - 20
    result: Streamed = await bridge._caller.call(plan, {}, None, since)
    return result


async def test_waiting_for_a_connection_takes_no_time_from_a_stream(tmp_path: Path) -> None:
    stream = {"response_format": "text", "stream": {"max_items": 1, "max_seconds": 10}}
    async with peer(echo) as seen, bridge_to(tmp_path, entry(seen, "t", message="tick", **stream)) as bridge:
        streamed = await _call_after_a_wait(bridge)
    assert (streamed.items, streamed.end) == (("tick",), "max_items")


async def test_the_time_of_a_subscription_begins_with_the_reply_that_opens_it(tmp_path: Path) -> None:
    async def confirm(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"id": message["id"], "result": "ok"}))
        await connection.send(json.dumps({"event": 1}))

    limits = {**SUBSCRIBES["stream"], "max_items": 1, "max_seconds": 10}
    subscribes = {**SUBSCRIBES, "stream": limits}
    async with peer(confirm) as seen, bridge_to(tmp_path, entry(seen, "t", **subscribes)) as bridge:
        assert (await _call_after_a_wait(bridge)).items == (1,)


@pytest.mark.parametrize("bound", ["max_seconds", "idle_seconds"])
async def test_a_subscription_that_nobody_confirms_times_out_and_is_no_empty_stream(tmp_path: Path, bound: str) -> None:
    subscribes = {**SUBSCRIBES, "stream": {**SUBSCRIBES["stream"], bound: 0.05}, "timeout": 0.2}
    async with peer(silent) as seen, bridge_to(tmp_path, entry(seen, "t", **subscribes)) as bridge:
        with pytest.raises(CallTimeout, match="no reply came within") as timeout:
            await bridge.call_tool("m.t")
    assert timeout.value.outcome is Outcome.PERHAPS_EXECUTED
