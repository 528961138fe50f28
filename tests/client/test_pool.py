"""Who uses which connection."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from websockets.asyncio.server import ServerConnection

from tests.peer import PATIENCE, Peer, bridge_to, echo, entry, jsonrpc, peer, silent
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.client.pool.state import MAX_CONNECTIONS_PER_MANUAL
from utcp_ws_mcp.errors import BridgeError, CallTimeout, ConnectionLost, HandshakeRejected
from utcp_ws_mcp.observability.events import ConnectionClosed, Event, MessageSent

RPC = {"preset": "jsonrpc2"}


async def call_often(bridge: Bridge, tool: str, times: int, **arguments: Any) -> list[Any]:
    """Many calls at once."""
    results: list[Any] = []

    async def call() -> None:
        results.append(await bridge.call_tool(tool, arguments))

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as calls:
            for _ in range(times):
                calls.start_soon(call)
    return results


async def test_a_hundred_cold_calls_make_one_upgrade(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        assert len(await call_often(bridge, "m.t", 100)) == 100
        assert len(seen.upgrades) == 1


async def test_no_more_exchanges_are_in_flight_than_the_limit_allows(tmp_path: Path) -> None:
    most = 0
    waiting: list[Any] = []

    async def in_threes(seen: Peer, connection: Any, message: Any) -> None:
        nonlocal most
        waiting.append(message)
        most = max(most, len(waiting))
        if len(waiting) == 3:
            for request in list(waiting):
                waiting.remove(request)
                await connection.send(json.dumps({"id": request["id"], "result": 1}))

    template = {**RPC, "limits": {"max_in_flight": 3}}
    async with peer(in_threes) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        assert len(await call_often(bridge, "m.t", 12)) == 12
    assert most == 3


async def test_exchanges_without_ids_never_share_a_connection(tmp_path: Path) -> None:
    busy: dict[Any, int] = {}
    overlaps = 0

    async def slow_echo(seen: Peer, connection: Any, message: Any) -> None:
        nonlocal overlaps
        busy[connection] = busy.get(connection, 0) + 1
        overlaps += busy[connection] > 1
        await anyio.lowlevel.checkpoint()
        await connection.send(json.dumps(message))
        busy[connection] -= 1

    template = {"response_format": "json", "limits": {"max_connections": 3}}
    async with peer(slow_echo) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        assert await call_often(bridge, "m.t", 30, n=1) == [{"n": 1}] * 30
        assert 1 < len(seen.upgrades) <= 3
    assert not overlaps


async def test_without_keep_alive_each_exchange_has_a_connection_of_its_own(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", keep_alive=False, **RPC)) as bridge:
        await call_often(bridge, "m.t", 6)
        await seen.until(lambda: not seen.open)
        assert len(seen.upgrades) == 6
        assert {code for code, _ in seen.closed} == {1000}


async def test_header_fields_become_headers_and_separate_connections(tmp_path: Path) -> None:
    template = {"header_fields": ["X-Tenant"], **RPC, "message": {"id": "{{ request_id }}", "params": {}}}
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        for tenant in ("a", "b", "a", "b"):
            await bridge.call_tool("m.t", {"X-Tenant": tenant})
    assert [upgrade.headers["X-Tenant"] for upgrade in seen.upgrades] == ["a", "b"]


async def test_header_fields_stay_out_of_the_message(tmp_path: Path) -> None:
    template = {"header_fields": ["X-Tenant"], "response_format": "json"}
    async with peer(echo) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        assert await bridge.call_tool("m.t", {"X-Tenant": "a", "n": 1}) == {"n": 1}


async def test_an_idle_connection_gives_way_to_one_with_other_headers(tmp_path: Path) -> None:
    template = {"header_fields": ["X-Tenant"], "limits": {"max_connections": 1}, **RPC}
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        for tenant in range(MAX_CONNECTIONS_PER_MANUAL + 5):
            await bridge.call_tool("m.t", {"X-Tenant": str(tenant)})
        assert len(seen.upgrades) == MAX_CONNECTIONS_PER_MANUAL + 5
        await seen.until(lambda: len(seen.open) == MAX_CONNECTIONS_PER_MANUAL)


async def test_call_templates_with_the_same_url_never_share(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen:
        document = [entry(seen, "t", **RPC), {**entry(seen, "t", **RPC), "name": "other"}]
        async with bridge_to(tmp_path, document) as bridge:
            await bridge.call_tool("m.t")
            await bridge.call_tool("other.t")
            assert len(seen.upgrades) == 2


@pytest.mark.parametrize(
    "difference",
    [
        {"headers": {"X-A": "1"}},
        {"protocol": "chat"},
        {"auth": {"auth_type": "basic", "username": "u", "password": "p"}},
        {"limits": {"max_message_bytes": 5000}},
        {"network": {"allow": ["private"]}},
        {"request_id": "string_counter"},
        {"url": "ws://localhost:{port}/other"},
    ],
    ids=lambda difference: next(iter(difference)),
)
async def test_tools_whose_upgrades_differ_do_not_share(tmp_path: Path, difference: dict[str, Any]) -> None:
    async with peer(jsonrpc, select_subprotocol=lambda connection, offered: next(iter(offered), None)) as seen:
        if "url" in difference:
            difference = {"url": difference["url"].format(port=seen.port)}
        tools = ["plain", {"name": "other", "tool_call_template": difference}, "same"]
        async with bridge_to(tmp_path, entry(seen, *tools, **RPC)) as bridge:
            for tool in ("plain", "other", "same"):
                await bridge.call_tool(f"m.{tool}")
            assert len(seen.upgrades) == 2


async def test_all_calls_that_wait_for_a_connection_get_the_reason_why_there_is_none(tmp_path: Path) -> None:
    errors: list[str] = []
    async with bridge_to(tmp_path, {"name": "m", "url": "ws://127.0.0.1:9/", "tools": [{"name": "t"}]}) as bridge:

        async def call() -> None:
            with pytest.raises(BridgeError) as failed:
                await bridge.call_tool("m.t")
            errors.append(str(failed.value))

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as calls:
                for _ in range(20):
                    calls.start_soon(call)
    assert len(errors) == 20
    assert len(set(errors)) == 1


async def test_calls_right_after_a_failed_write_take_a_new_connection(tmp_path: Path) -> None:
    """Seen with RST under 16 calls in flight (`python -m verification.reliability.killed_connections`)."""
    lost = 0

    async def call() -> None:
        nonlocal lost
        try:
            await bridge.call_tool("m.t")
        except ConnectionLost:
            lost += 1

    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        await bridge.call_tool("m.t")
        (pooled,) = bridge._pool_manager.pool("m").connections
        pooled.connection._websocket.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as calls:
                for _ in range(4):
                    calls.start_soon(call)
    assert lost <= 1
    assert len(seen.upgrades) == 2


async def test_a_cancelled_waiter_does_not_keep_the_place(tmp_path: Path) -> None:
    release = anyio.Event()

    async def wait_once(seen: Peer, connection: Any, message: Any) -> None:
        if len(seen.received) == 1:
            await release.wait()
        await connection.send(json.dumps(message))

    template = {"limits": {"max_connections": 1}, "response_format": "json"}
    async with peer(wait_once) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bridge.call_tool, "m.t", {"n": 1})
            await seen.until(lambda: len(seen.received) == 1)
            async with anyio.create_task_group() as impatient:
                impatient.start_soon(bridge.call_tool, "m.t", {"n": 2})
                await anyio.wait_all_tasks_blocked()
                impatient.cancel_scope.cancel()
            release.set()
        assert await bridge.call_tool("m.t", {"n": 3}) == {"n": 3}
        assert [message["n"] for message in seen.received] == [1, 3]


async def test_closing_the_bridge_says_going_away_and_ends_every_call(tmp_path: Path) -> None:
    async def never(seen: Peer, connection: Any, message: Any) -> None:
        await connection.wait_closed()

    errors: list[BaseException] = []
    async with peer(never) as seen:

        async def call(bridge: Bridge) -> None:
            with pytest.raises(ConnectionLost) as lost:
                await bridge.call_tool("m.t")
            errors.append(lost.value)

        async with anyio.create_task_group() as calls:
            async with bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
                calls.start_soon(call, bridge)
                await seen.until(lambda: len(seen.received) == 1)
        await seen.until(lambda: len(seen.closed) == 1)
    assert seen.closed[0][0] == 1001
    assert len(errors) == 1


@asynccontextmanager
async def deaf_peer(**options: Any) -> AsyncIterator[Peer]:
    """A peer that reads nothing after the upgrade, and so answers no ping."""

    async def stop_reading(connection: ServerConnection) -> None:
        connection.transport.pause_reading()

    async with peer(silent, greet=stop_reading, max_size=None, **options) as seen:
        try:
            yield seen
        finally:
            for connection in seen.open:
                connection.transport.abort()


class Calling(list[Event]):
    """Events of a bridge; sets `called` when a request has been written."""

    def __init__(self, called: anyio.Event) -> None:
        super().__init__()
        self._called = called

    def append(self, event: Event) -> None:
        if isinstance(event, MessageSent):
            self._called.set()


MUCH = "x" * (12 << 20)
"""More than the buffers of both ends hold."""


async def test_a_peer_that_reads_nothing_does_not_hold_up_the_close_of_the_bridge(tmp_path: Path) -> None:
    ends = {"ping_interval": PATIENCE / 2, "ping_timeout": PATIENCE}  # a bridge that waits is let go
    with anyio.move_on_after(PATIENCE) as waiting:
        async with deaf_peer(**ends) as seen:
            async with bridge_to(tmp_path, entry(seen, "t", timeout=0.2, **RPC)) as bridge:
                with pytest.raises(CallTimeout):
                    await bridge.call_tool("m.t", {"much": MUCH})
    assert not waiting.cancel_called


async def test_a_peer_that_stops_reading_in_the_middle_of_a_message_loses_the_connection(tmp_path: Path) -> None:
    pings = {"limits": {"ping_interval": 0.05, "ping_timeout": 0.05}}
    async with (
        deaf_peer() as seen,
        bridge_to(tmp_path, entry(seen, "t", **pings, **RPC)) as bridge,
    ):
        with anyio.fail_after(PATIENCE), pytest.raises(ConnectionLost, match="stopped reading"):
            await bridge.call_tool("m.t", {"much": MUCH})


async def test_a_peer_that_reads_slowly_keeps_the_connection(tmp_path: Path) -> None:
    async def read_slowly(connection: ServerConnection) -> None:
        reading.start_soon(pause_now_and_then, connection.transport)

    async def pause_now_and_then(transport: Any) -> None:
        while not transport.is_closing():
            transport.pause_reading()
            await anyio.sleep(0.005)
            transport.resume_reading()
            for _ in range(2):  # one chunk
                await anyio.lowlevel.checkpoint()

    pings = {"limits": {"ping_timeout": 0.1}}
    async with anyio.create_task_group() as reading:
        async with (
            peer(jsonrpc, greet=read_slowly, max_size=None) as seen,
            bridge_to(tmp_path, entry(seen, "t", **pings, **RPC)) as bridge,
        ):
            sent = {"much": MUCH}
            assert await bridge.call_tool("m.t", sent) == sent
            assert len(seen.upgrades) == 1


async def test_a_peer_that_speaks_before_it_reads_a_big_request_keeps_the_connection(tmp_path: Path) -> None:
    async def speak_first(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await called.wait()
        await connection.send(json.dumps({"event": "news"}))
        connection.transport.resume_reading()

    called = anyio.Event()
    async with (
        peer(jsonrpc, greet=speak_first, max_size=None) as seen,
        bridge_to(tmp_path, entry(seen, "t", **RPC), events=Calling(called)) as bridge,
    ):
        sent = {"much": MUCH}
        with anyio.fail_after(PATIENCE):
            assert await bridge.call_tool("m.t", sent) == sent


async def test_a_call_that_needs_a_connection_for_itself_does_not_wait_for_one_that_it_can_never_have(
    tmp_path: Path,
) -> None:  # found by seed 197811396029 of reliability.simulation_runs
    refusing: list[bool] = []

    def refuse(connection: Any, request: Any) -> Any:
        return connection.respond(503, "no more") if refusing else None

    async def answer_alone(seen: Peer, connection: Any, message: Any) -> None:
        if "id" not in message:
            await connection.send("done")

    alone = {"name": "alone", "tool_call_template": {"message": {"do": "it"}, "reply": None, "timeout": PATIENCE}}
    by_id = {"message": {"id": "{{ request_id }}"}, "reply": {"match": "message.id == request_id"}, "timeout": 0.05}
    async with (
        peer(answer_alone, process_request=refuse) as seen,
        bridge_to(tmp_path, entry(seen, "shared", alone, **by_id)) as bridge,
    ):
        with pytest.raises(CallTimeout):
            await bridge.call_tool("m.shared")
        refusing.append(True)
        with pytest.raises(HandshakeRejected):
            await bridge.call_tool("m.alone")
        refusing.clear()
        assert await bridge.call_tool("m.alone") == "done"


async def test_calls_that_only_listen_always_get_a_new_connection(tmp_path: Path) -> None:
    async def greet(connection: ServerConnection) -> None:
        await connection.send("welcome")

    template = {"listen": True, "limits": {"max_connections": 2}}
    async with peer(silent, greet=greet) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        with anyio.fail_after(PATIENCE):
            assert [await bridge.call_tool("m.t") for _ in range(5)] == ["welcome"] * 5
        assert await call_often(bridge, "m.t", 8) == ["welcome"] * 8
        assert len(seen.upgrades) == 13
        assert len(seen.open) <= 2


async def test_a_call_that_listens_in_vain_does_not_speak_of_a_reply(tmp_path: Path) -> None:
    async with peer(silent) as seen, bridge_to(tmp_path, entry(seen, "t", listen=True, timeout=0.1)) as bridge:
        with pytest.raises(CallTimeout, match="timed out after 0.1 s waiting for a message that matches"):
            await bridge.call_tool("m.t")


async def test_a_call_that_only_listens_is_none_of_those_that_may_be_in_flight(tmp_path: Path) -> None:
    stream = {"match": "message.event", "max_items": 1}
    listener = {"name": "watch", "tool_call_template": {"listen": True, "stream": stream}}

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await jsonrpc(seen, connection, message)
        if message["method"] == "ring":
            await connection.send(json.dumps({"event": "rung"}))

    limits = {"limits": {"max_in_flight": 1, "max_connections": 1}}
    heard: list[Any] = []
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "ring", "t", listener, **RPC, **limits)) as bridge:

        async def watch() -> None:
            heard.append((await bridge.call_tool("m.watch")).items)

        async with anyio.create_task_group() as calls:
            await bridge.call_tool("m.t", {"n": 1})
            calls.start_soon(watch)
            calls.start_soon(watch)
            await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(PATIENCE):
                assert await bridge.call_tool("m.t", {"n": 2}) == {"n": 2}
                await bridge.call_tool("m.ring")
        assert heard == [({"event": "rung"},)] * 2
        assert len(seen.upgrades) == 1


CLOSED = "closed by utcp-ws-mcp"
LATE = f"{CLOSED}: a late reply to an ended call could be assigned to another call"
CLOSE_REASONS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "given up": ({"timeout": 0.3}, [LATE, CLOSED]),
    "cut short": ({"stream": {"max_items": 1}}, [LATE, LATE]),
    "ended": (
        {"reconnect_when": "message.n == 0"},
        [f"{CLOSED}: the session has ended", CLOSED],
    ),
}


@pytest.mark.parametrize(("template", "reasons"), CLOSE_REASONS.values(), ids=CLOSE_REASONS)
async def test_a_connection_that_is_thrown_away_is_reported_with_the_reason(
    tmp_path: Path, template: dict[str, Any], reasons: list[str]
) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if "timeout" not in template or message["n"]:
            await connection.send(json.dumps(message))

    events: list[Event] = []
    async with peer(answer) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", **template), events=events) as bridge:
            for n in range(2):
                with suppress(CallTimeout):
                    await bridge.call_tool("m.t", {"n": n})
            await seen.until(lambda: len(seen.closed) == sum(reason != CLOSED for reason in reasons))
    closed = [event.reason for event in events if isinstance(event, ConnectionClosed)]
    assert closed == reasons


async def test_a_connection_that_makes_way_for_one_with_other_arguments_is_reported_with_the_reason(
    tmp_path: Path,
) -> None:
    events: list[Event] = []
    async with peer(jsonrpc) as seen:
        document = {**entry(seen, "t", **RPC), "url": seen.url + "{{ args.room }}"}
        async with bridge_to(tmp_path, document, events=events) as bridge:
            for room in range(MAX_CONNECTIONS_PER_MANUAL + 1):
                await bridge.call_tool("m.t", {"room": room})
            await seen.until(lambda: len(seen.closed) == 1)
    closed = [event.reason for event in events if isinstance(event, ConnectionClosed)]
    assert closed[0] == "closed by utcp-ws-mcp: a call needs another connection"
