"""The time of a stream: it counts while the stream runs, and a stream that never began has not ended well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import Peer, bridge_to, echo, entry, peer, silent
from utcp_ws_mcp import Bridge, CallTimeout, InvalidArguments, StreamResult, ToolError
from utcp_ws_mcp.errors import Outcome

SUBSCRIBES = {"preset": "jsonrpc2", "stream": {"match": "message.event is defined", "item": "message.event"}}


async def _call_after_a_wait(bridge: Bridge) -> StreamResult:
    """Call a tool that has waited twenty seconds for its connection."""
    plan, since = bridge.tools["m.t"], anyio.current_time() - 20
    result: StreamResult = await bridge._call_runner.call(bridge._pool_manager.pool(plan.manual), plan, {}, None, since)
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
async def test_a_subscription_that_is_not_confirmed_times_out_and_is_no_empty_stream(
    tmp_path: Path, bound: str
) -> None:
    subscribes = {**SUBSCRIBES, "stream": {**SUBSCRIBES["stream"], bound: 0.05}, "timeout": 0.2}
    async with peer(silent) as seen, bridge_to(tmp_path, entry(seen, "t", **subscribes)) as bridge:
        with pytest.raises(CallTimeout, match="timed out after") as timeout:
            await bridge.call_tool("m.t")
    assert timeout.value.outcome is Outcome.MAYBE_EXECUTED


BY_ID = {"match": "message.id == request_id", "error": "message.error is defined", "error_message": "message.error"}
ASK = {"id": "{{ request_id }}", "do": "{{ tool }}"}


async def test_the_fault_of_one_call_is_none_of_those_that_watch(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if message["do"] == "watch":
            await connection.send(json.dumps({"id": message["id"], "ok": True}))
        else:
            await connection.send(json.dumps({"id": message["id"], "room": "r", "error": "muted"}))
            await connection.send(json.dumps({"room": "r", "text": "hello"}))

    stream = {"match": "message.room == 'r'", "item": "message.text", "max_items": 1}
    watch = {"name": "watch", "tool_call_template": {"stream": stream}}
    watched: list[Any] = []
    async with (
        peer(answer) as seen,
        bridge_to(tmp_path, entry(seen, watch, "say", message=ASK, reply=BY_ID)) as bridge,
    ):

        async def look() -> None:
            watched.append(await bridge.call_tool("m.watch"))

        async with anyio.create_task_group() as calls:
            calls.start_soon(look)
            await seen.until(lambda: len(seen.received) == 1)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(ToolError, match="muted"):
                await bridge.call_tool("m.say")
    assert watched[0].items == ("hello",)


@pytest.mark.parametrize("broken", [{"let": {"n": "args.k | unhex"}}, {"stream": {"max_items": "args.k"}}])
async def test_a_connection_whose_listener_could_not_begin_serves_the_next_call(
    tmp_path: Path, broken: dict[str, Any]
) -> None:
    listen = {"listen": True, **broken, "stream": {"until": "message.x", **broken.get("stream", {})}}
    tools = ({"name": "listen", "tool_call_template": listen}, "t")
    template = {"limits": {"max_connections": 1}, "timeout": 2, "response_format": "json"}
    async with peer(echo) as seen, bridge_to(tmp_path, entry(seen, *tools, **template)) as bridge:
        with pytest.raises(InvalidArguments):
            await bridge.call_tool("m.listen", {"k": "-1"})
        assert await bridge.call_tool("m.t", {"n": 1}) == {"n": 1}


@pytest.mark.parametrize("by", ["a close", "a message"])
async def test_a_watch_does_not_begin_on_a_connection_that_has_ended(tmp_path: Path, by: str) -> None:
    opened: list[Any] = []

    async def greet(connection: Any) -> None:
        opened.append(connection)

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"id": message["id"]}))

    watch = {"listen": True, "reply": {}, "stream": {"match": "message.ev", "max_items": 1}}
    template = {"message": ASK, "reply": BY_ID, "limits": {"requests_per_second": 2}, "reconnect_when": "message.bye"}
    tools = ("t", {"name": "watch", "tool_call_template": watch})
    async with peer(answer, greet=greet) as seen, bridge_to(tmp_path, entry(seen, *tools, **template)) as bridge:
        await bridge.call_tool("m.t")
        async with anyio.create_task_group() as calls:
            calls.start_soon(bridge.call_tool, "m.watch")
            await anyio.wait_all_tasks_blocked()
            await (opened[0].close() if by == "a close" else opened[0].send(json.dumps({"bye": 1})))
            await seen.until(lambda: len(opened) == 2)
            calls.cancel_scope.cancel()
