"""A session with a host: lines that are no messages, what the host waits for, and the end."""

from __future__ import annotations

import json
import threading
from itertools import cycle
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from tests.peer import PATIENCE, Peer, entry, jsonrpc, peer, silent
from tests.server.stdio.pipes import INITIALIZE, PipeHost, host_in_process
from tests.server.stdio.test_fast_path import enveloped
from utcp_ws_mcp.server.stdio import sdk_fallback
from utcp_ws_mcp.server.stdio import session as module
from utcp_ws_mcp.server.stdio.outbound import StdioOutbound

RPC = {"preset": "jsonrpc2"}


def call(number: Any, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": "m_t", "arguments": arguments}}


@pytest.mark.parametrize(
    ("line", "code", "request_id"),
    [
        (b"hello", -32700, None),
        (b'{"jsonrpc": "2.0", "id": 7}', -32600, 7),
        (b'{"jsonrpc": "1.0", "id": "x", "method": "ping"}', -32600, "x"),
        (b"[]", -32600, None),
        (b"[" * 100_000, -32700, None),
        (b'{"jsonrpc": "2.0", "id": 8, "method": 5}', -32600, 8),
        (b"\xff\xfe", -32700, None),
        (b"Content-Length: 20", -32700, None),
    ],
    ids=["text", "no method", "old version", "batch", "deep", "method no string", "no utf-8", "header"],
)
async def test_a_line_that_is_no_json_rpc_is_answered_and_the_next_one_works(
    tmp_path: Path, line: bytes, code: int, request_id: Any
) -> None:
    async with peer(jsonrpc) as seen, host_in_process(tmp_path, entry(seen, "t", **RPC)) as host:
        await host.initialize()
        await host.send(line)
        refused = await host.receive()
        assert (refused["error"]["code"], refused["id"]) == (code, request_id)
        assert "result" in await host.request(9, "tools/list")


PADDING = [b"\xef\xbb\xbf", b"\0", b"\0\0 \t", b"\r\n\n \n\0\n", b"\x1b\x07", b"\xef\xbb\xbf\n\xef\xbb\xbf "]


@pytest.mark.parametrize(
    ("before", "after"),
    [*zip(PADDING, cycle([b"", b"\r", b"\0"]), strict=False)],
    ids=lambda padding: repr(padding)[2:-1],
)
async def test_padding_around_a_line_is_ignored(tmp_path: Path, before: bytes, after: bytes) -> None:
    async with peer(jsonrpc) as seen, host_in_process(tmp_path, entry(seen, "t", **RPC)) as host:
        opening = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": INITIALIZE}
        listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        unknown = {"jsonrpc": "2.0", "id": 2, "method": "no/such"}
        await host.send(*(before + json.dumps(message).encode() + after for message in (opening, listing, unknown)))
        answers = {answer["id"]: answer for answer in [await host.receive() for _ in range(3)]}
    assert ["result" in answers[0], "result" in answers[1], answers[2]["error"]["code"]] == [True, True, -32601]


@pytest.mark.parametrize("line", [b"", b" \t", b"\0\0", b'{"jsonrpc": "2.0", "id": 5, "result": {}}'])
async def test_a_blank_line_and_a_response_get_no_answer(tmp_path: Path, line: bytes) -> None:
    async with peer(jsonrpc) as seen, host_in_process(tmp_path, entry(seen, "t", **RPC)) as host:
        await host.initialize()
        await host.send(line)
        assert (await host.request(9, "ping"))["id"] == 9


async def test_calls_that_run_are_answered_before_the_session_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DRAIN_TIMEOUT", 0)
    async with peer(silent) as seen, host_in_process(tmp_path, entry(seen, "t", **RPC)) as host:
        await host.initialize()
        await host.send(call(1), call("two"))
        await seen.until(lambda: len(seen.received) == 2)
        left = await host.end()
    assert {answer["id"]: answer["result"]["isError"] for answer in left} == {1: True, "two": True}


async def test_a_call_may_finish_after_the_host_has_closed_its_end(tmp_path: Path) -> None:
    release = anyio.Event()

    async def held(seen: Peer, connection: Any, message: Any) -> None:
        await release.wait()
        await jsonrpc(seen, connection, message)

    async with peer(held) as seen, host_in_process(tmp_path, entry(seen, "t", **RPC)) as host:
        await host.initialize()
        await host.send(call(1, n=1))
        await seen.until(lambda: len(seen.received) == 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, release.set)  # after stdin is closed
            (answer,) = await host.end()
    assert answer["result"]["structuredContent"] == {"n": 1}


async def test_a_request_that_needs_the_sdk_is_answered_although_its_import_is_slow_and_stdin_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_now, import_sdk, wait_idle = threading.Event(), sdk_fallback._import_sdk, StdioOutbound.wait_idle
    waits: list[bool] = []

    async def watched(outbound: StdioOutbound, timeout: float) -> None:
        waits.append(import_now.is_set())
        await wait_idle(outbound, timeout)

    async def let_import(host: PipeHost) -> None:
        await host.session._ended.wait()
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        import_now.set()

    monkeypatch.setattr(sdk_fallback, "_import_sdk", lambda: import_now.wait(PATIENCE) and import_sdk())
    monkeypatch.setattr(StdioOutbound, "wait_idle", watched)
    async with peer(jsonrpc) as seen, host_in_process(tmp_path, entry(seen, "t", **RPC)) as host:
        await host.send({"jsonrpc": "2.0", "id": 1, "method": "ping"})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(let_import, host)
            (answer,) = await host.end()
    assert answer == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert all(waits)


@pytest.fixture
def endless_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the end of a session wait without a limit for what it has to answer."""
    monkeypatch.setattr(module, "DRAIN_TIMEOUT", 1e9)
    monkeypatch.setattr(module, "FINAL_REPLIES_TIMEOUT", 1e9)


@pytest.mark.usefixtures("endless_waits")
@pytest.mark.parametrize("fast_path", [True, False], ids=["fast", "sdk"])
async def test_a_session_whose_requests_are_answered_ends_at_once(tmp_path: Path, fast_path: bool) -> None:
    async with peer(jsonrpc) as seen:
        document = entry(seen, "t", **RPC)
        async with host_in_process(tmp_path, document, fast_path=fast_path) as host:
            await host.initialize()
            await host.send(call(1, n=1))
            assert (await host.receive())["id"] == 1
            assert (await host.request(2, "no/such"))["id"] == 2
            assert (await host.request(3, "tools/list"))["id"] == 3
            assert await host.end() == []
            await seen.until(lambda: len(seen.closed) == 1)


@pytest.mark.usefixtures("endless_waits")
@pytest.mark.parametrize("request_id", [1, "one"])
@pytest.mark.parametrize("fast_path", [True, False], ids=["fast", "sdk"])
async def test_the_end_does_not_wait_for_a_cancelled_request(
    tmp_path: Path, request_id: int | str, fast_path: bool
) -> None:
    async with peer(silent) as seen:
        async with host_in_process(tmp_path, entry(seen, "t", **RPC), fast_path=fast_path) as host:
            await host.initialize()
            await host.send(call(request_id))
            await seen.until(lambda: len(seen.received) == 1)
            await host.notify("notifications/cancelled", requestId=[1])
            await host.notify("notifications/cancelled", requestId=request_id)
            assert [each for each in await host.end() if "result" in each] == []


@pytest.mark.usefixtures("endless_waits")
@pytest.mark.parametrize("fast_path", [True, False], ids=["fast", "sdk"])
async def test_a_subscription_is_answered_at_the_end_which_does_not_wait_for_it(
    tmp_path: Path, fast_path: bool
) -> None:
    listen = {"id": "s", "method": "subscriptions/listen", "params": {"notifications": {"toolsListChanged": True}}}
    async with peer(silent) as seen:
        async with host_in_process(tmp_path, entry(seen, "t", **RPC), fast_path=fast_path) as host:
            await host.send({"jsonrpc": "2.0", **enveloped(listen)})
            assert (await host.receive())["method"] == "notifications/subscriptions/acknowledged"
            left = await host.end()
    assert [answer["id"] for answer in left] == ["s"]
