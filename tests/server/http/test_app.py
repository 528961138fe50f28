"""MCP over HTTP, driven by the SDK's own client in both protocol eras."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from sse_starlette.sse import _shutdown_watcher

from tests.client.test_discovery import announces, manual
from tests.peer import PATIENCE, Peer, bridge_to, entry, jsonrpc, peer, silent
from tests.server.stdio.test_transport import MODERN
from utcp_ws_mcp.observability.metrics import MetricsObserver, PrometheusRegistry
from utcp_ws_mcp.server.http import app as http_app
from utcp_ws_mcp.server.http.app import metrics_routes, run_http_server
from utcp_ws_mcp.server.http.config import HttpOptions, bind_listener
from utcp_ws_mcp.server.sdk_server import SdkServer
from utcp_ws_mcp.server.tools import ToolService

RPC = {"preset": "jsonrpc2"}
TOKEN = "s3cret-token"
ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"], ids=["2026-07-28", "handshake"])
BEARER = {"Authorization": f"Bearer {TOKEN}"}
POST = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def initialize(number: int = 1) -> dict[str, Any]:
    info = {"name": "test", "version": "1"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
    return {"jsonrpc": "2.0", "id": number, "method": "initialize", "params": params}


@asynccontextmanager
async def served(folder: Path, document: Any, *, fast_path: bool = True, **options: Any) -> AsyncIterator[str]:
    """The URL of a server, which a signal ends."""
    registry, started, url = PrometheusRegistry(), anyio.Event(), ""

    def announce(where: str) -> None:
        nonlocal url
        url = where
        started.set()

    options_of_serve = HttpOptions(**{"address": "0", "token": TOKEN, **options})
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(bind_listener(options_of_serve))
        bridge = await stack.enter_async_context(bridge_to(folder, document, observe=MetricsObserver(registry.record)))
        tasks = await stack.enter_async_context(anyio.create_task_group())
        routes = metrics_routes(registry)
        server = SdkServer(ToolService(bridge), is_stateless=listener.stateless)
        serve = partial(run_http_server, fast_path=fast_path)
        tasks.start_soon(serve, server, listener, routes, announce)
        with anyio.fail_after(PATIENCE):
            await started.wait()
        try:
            yield url
        finally:
            signal.raise_signal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, before)


@asynccontextmanager
async def client_of(url: str, mode: str, **options: Any) -> AsyncIterator[Client]:
    async with httpx2.AsyncClient(headers=BEARER, timeout=PATIENCE) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode, **options) as client:
            yield client


@ERAS
async def test_tools_are_listed_and_called(tmp_path: Path, mode: str) -> None:
    async with peer(jsonrpc) as seen, served(tmp_path, entry(seen, "t", **RPC)) as url:
        async with client_of(url, mode) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["m_t"]
            result = await client.call_tool("m_t", {"n": 1})
    assert result.structured_content == {"n": 1}
    assert [closed[0] for closed in seen.closed] == [1001]


@ERAS
async def test_a_client_learns_that_its_request_is_too_large(tmp_path: Path, mode: str) -> None:
    async with peer(jsonrpc) as seen, served(tmp_path, entry(seen, "t", **RPC)) as url, client_of(url, mode) as client:
        with pytest.raises(MCPError, match="the body has more than 4,194,304 bytes"):
            await client.call_tool("m_t", {"n": "x" * (4 << 20)})
        assert (await client.call_tool("m_t", {"n": 1})).structured_content == {"n": 1}


@ERAS
async def test_a_call_does_not_list_the_tools(tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with peer(jsonrpc) as seen, served(tmp_path, entry(seen, "t", **RPC)) as url, client_of(url, mode) as client:
        await client.list_tools()
        monkeypatch.setattr(ToolService, "list_tools", None)
        assert (await client.call_tool("m_t", {"n": 1})).structured_content == {"n": 1}


async def test_arguments_that_clients_repeat_in_headers_must_agree(tmp_path: Path) -> None:
    tool = {"name": "t", "inputs": {"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}}
    params = {"name": "m_t", "arguments": {"region": "eu"}, "_meta": MODERN}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "m_t"}
    async with peer(jsonrpc) as seen, httpx2.AsyncClient(headers={**POST, **BEARER, **headers}) as http:
        async with served(tmp_path, entry(seen, tool, **RPC)) as url:
            right = await http.post(url, json=call, headers={"Mcp-Param-Region": "eu"})
            wrong = await http.post(url, json=call, headers={"Mcp-Param-Region": "us"})
    assert [right.status_code, wrong.status_code] == [200, 400]
    assert len(seen.received) == 1


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.parametrize(
    ("body", "code", "request_id"),
    [
        (b'{"jsonrpc": "2.0", "id": 7, "method": 5}', -32600, 7),
        (b'{"jsonrpc": "2.0", "id": "x"}', -32600, "x"),
        (b'{"id": 7, "method": "ping"}', -32600, 7),
        (b'{"jsonrpc": "2.0", "id": 7, "method": "ping", "params": []}', -32600, 7),
        (b'[{"jsonrpc": "2.0", "id": 7, "method": "ping"}]', -32600, None),
        (b"5", -32600, None),
        (b'{"jsonrpc": "2.0", "id": 7,', -32700, None),
    ],
    ids=["method", "no method", "no version", "parameters", "batch of a revision without them", "number", "no JSON"],
)
async def test_what_is_no_request_is_answered_as_on_stdio(
    tmp_path: Path, body: bytes, code: int, request_id: Any, fast_path: bool
) -> None:
    headers = {**POST, **BEARER, "MCP-Protocol-Version": "2025-11-25"}
    async with peer(jsonrpc) as seen, served(tmp_path, entry(seen, "t", **RPC), fast_path=fast_path) as url:
        async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE) as http:
            response = await http.post(url, content=body)
    answer = response.json()
    assert (response.status_code, answer["id"], answer["error"]["code"]) == (400, request_id, code)
    assert "pydantic" not in answer["error"]["message"]


@ERAS
async def test_clients_without_sessions_are_served_too(tmp_path: Path, mode: str) -> None:
    async with peer(jsonrpc) as seen, served(tmp_path, entry(seen, "t", **RPC), stateless=True) as url:
        async with client_of(url, mode) as client:
            assert (await client.call_tool("m_t", {"n": 1})).structured_content == {"n": 1}


@ERAS
async def test_each_item_of_a_stream_is_progress_at_once(tmp_path: Path, mode: str) -> None:
    go_on = anyio.Event()
    notified: list[str | None] = []

    async def stream(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"id": message["id"], "result": 1}))
        await go_on.wait()
        await connection.send(json.dumps({"id": message["id"], "result": 2, "done": True}))

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        notified.append(message)
        go_on.set()

    document = {**RPC, "stream": {"until": "message.done"}}
    async with peer(stream) as seen, served(tmp_path, entry(seen, "t", **document)) as url:
        async with client_of(url, mode) as client:
            with anyio.fail_after(PATIENCE):
                await client.call_tool("m_t", {}, progress_callback=progress)
    assert notified[0] == "1"


@ERAS
async def test_changes_of_the_tools_are_announced(tmp_path: Path, mode: str) -> None:
    speak, changed = anyio.Event(), anyio.Event()

    async def late(seen: Peer, connection: Any, message: Any) -> None:
        await speak.wait()
        await connection.send(json.dumps(manual("late")))

    async def on_message(message: Any) -> None:
        if "list_changed" in repr(message) or "ListChanged" in type(message).__name__:
            changed.set()

    async with peer(late) as slow, peer(announces(manual("a"))) as quick:
        document = [{**entry(slow), "name": "slow"}, entry(quick)]
        async with served(tmp_path, document) as url, client_of(url, mode, message_handler=on_message) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["m_a"]
            with anyio.fail_after(PATIENCE):
                if mode == "legacy":
                    speak.set()
                    await changed.wait()
                else:
                    async with client.listen(tools_list_changed=True) as events:
                        speak.set()
                        await anext(aiter(events))
            assert [tool.name for tool in (await client.list_tools()).tools] == ["slow_late", "m_a"]


@ERAS
async def test_a_client_that_gives_up_cancels_its_call(tmp_path: Path, mode: str) -> None:
    async def endless(seen: Peer, connection: Any, message: Any) -> None:
        if message.get("method") != "cancel":
            await connection.send(json.dumps({"id": message["id"], "result": 1}))

    document = {**RPC, "stream": {"cancel": {"method": "cancel", "id": "{{ request_id }}"}}}
    async with peer(endless) as seen, served(tmp_path, entry(seen, "t", **document)) as url:
        async with client_of(url, mode) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "m_t", {})
                await seen.until(lambda: len(seen.received) == 1)
                tasks.cancel_scope.cancel()
            await seen.until(lambda: len(seen.received) == 2)
    assert seen.received[1]["method"] == "cancel"


@ERAS
async def test_a_call_in_flight_is_answered_before_the_end(tmp_path: Path, mode: str) -> None:
    go_on = anyio.Event()
    results: list[Any] = []

    async def slow(seen: Peer, connection: Any, message: Any) -> None:
        await go_on.wait()
        await jsonrpc(seen, connection, message)

    async with peer(slow) as seen:
        async with anyio.create_task_group() as tasks, served(tmp_path, entry(seen, "t", **RPC)) as url:

            async def call() -> None:
                async with client_of(url, mode) as client:
                    await client.list_tools()
                    results.append((await client.call_tool("m_t", {"n": 1})).structured_content)

            tasks.start_soon(call)
            await seen.until(lambda: len(seen.received) == 1)
            signal.raise_signal(signal.SIGTERM)
            await let_sse_starlette_see_the_signal()
            go_on.set()
    assert results == [{"n": 1}]


async def let_sse_starlette_see_the_signal() -> None:
    """Do now what sse-starlette does each half second: look for a server that stops, whose streams it would end."""
    with anyio.move_on_after(0):
        await _shutdown_watcher()


async def test_a_second_signal_ends_what_the_first_would_wait_for(tmp_path: Path) -> None:
    ended = anyio.Event()
    answers: list[str] = []
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "m_t", "arguments": {}}}
    async with peer(silent) as seen, httpx2.AsyncClient(headers={**BEARER, **POST}, timeout=PATIENCE) as http:

        async def call_in_vain(url: str) -> None:
            with suppress(httpx2.HTTPError):  # the connection may be cut before the answer is complete
                answer = await http.post(url, json=call, headers={"MCP-Protocol-Version": "2025-11-25"})
                answers.append(answer.text)
            ended.set()

        async with anyio.create_task_group() as tasks:
            async with served(tmp_path, entry(seen, "t", **RPC), stateless=True) as url:
                tasks.start_soon(call_in_vain, url)
                await seen.until(lambda: len(seen.received) == 1)
                signal.raise_signal(signal.SIGTERM)
                await anyio.wait_all_tasks_blocked()
                assert not ended.is_set()
            with anyio.fail_after(PATIENCE):
                await ended.wait()
    assert not any('"result"' in answer for answer in answers)


async def test_streams_that_clients_hold_open_do_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_app, "GRACEFUL_SHUTDOWN_TIMEOUT", 1000)
    async with peer(jsonrpc) as seen, httpx2.AsyncClient(headers={**POST, **BEARER}, timeout=PATIENCE) as http:
        with anyio.fail_after(PATIENCE):
            async with AsyncExitStack() as stack:
                url = await stack.enter_async_context(served(tmp_path, entry(seen, "t", **RPC)))
                session = {"Mcp-Session-Id": (await http.post(url, json=initialize())).headers["mcp-session-id"]}
                standing = await stack.enter_async_context(http.stream("GET", url, headers=session))
                assert standing.status_code == 200
                client = await stack.enter_async_context(client_of(url, "auto"))
                listening = await stack.enter_async_context(client.listen(tools_list_changed=True))
                signal.raise_signal(signal.SIGTERM)
                assert [line async for line in standing.aiter_lines() if line.startswith("data")] == []
                assert [event async for event in listening] == []


async def test_requests_without_access_are_rejected_before_any_handler(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, served(tmp_path, entry(seen, "t", **RPC)) as url, httpx2.AsyncClient() as http:
        for headers, expected in (
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({**BEARER, "Host": "evil.example"}, 421),
            ({**BEARER, "Origin": "http://evil.example"}, 403),
            ({**BEARER, "Content-Type": "text/plain"}, 415),
        ):
            refused = await http.post(url, headers={**POST, **headers}, json=initialize())
            assert refused.status_code == expected
            assert "mcp-session-id" not in refused.headers
        assert (await http.post(f"{url}?token={TOKEN}", headers=POST, json=initialize())).status_code == 401
        assert (await http.options(url, headers=BEARER)).headers["allow"] == "POST, GET, DELETE"
        assert (await http.get(url.replace("/mcp", "/"), headers=BEARER)).status_code == 404
    assert not seen.upgrades


async def test_a_session_over_the_cap_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, served(tmp_path, entry(seen, "t", **RPC), max_sessions=2) as url:
        async with httpx2.AsyncClient(headers={**POST, **BEARER}) as http:
            opened = [await http.post(url, json=initialize(number)) for number in range(3)]
            assert [answer.status_code for answer in opened] == [200, 200, 503]
            session = {"Mcp-Session-Id": opened[0].headers["mcp-session-id"]}
            assert (await http.delete(url, headers=session)).status_code == 200
            assert (await http.post(url, json=initialize())).status_code == 200


async def test_health_needs_no_access_and_metrics_none_on_loopback(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, served(tmp_path, entry(seen, "t", **RPC)) as url:
        async with client_of(url, "auto") as client, httpx2.AsyncClient() as http:
            await client.call_tool("m_t", {"n": 1})
            health = await http.get(url.replace("/mcp", "/healthz"), headers={"Host": "10.0.0.7"})
            metrics = await http.get(url.replace("/mcp", "/metrics"))
            posted = await http.post(url.replace("/mcp", "/metrics"), json={})
            foreign = await http.get(url.replace("/mcp", "/metrics"), headers={"Host": "evil.example"})
    assert (health.status_code, health.text) == (200, "ok\n")
    assert 'utcp_ws_calls_total{error_type="",tool="m.t"} 1' in metrics.text
    assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert posted.status_code == 405
    assert foreign.status_code == 421


async def test_a_server_is_ready_when_the_discovery_of_each_manual_has_succeeded_or_failed_once(tmp_path: Path) -> None:
    async def refuse(seen: Peer, connection: Any, message: Any) -> None:
        await announced.wait()
        await connection.close()

    announced = anyio.Event()
    async with peer(refuse) as seen, served(tmp_path, entry(seen)) as url, httpx2.AsyncClient() as http:
        ready, elsewhere = url.replace("/mcp", "/readyz"), {"Host": "10.0.0.7"}
        waiting = await http.get(ready, headers=elsewhere)
        announced.set()
        with anyio.fail_after(PATIENCE):
            while (answer := await http.get(ready, headers=elsewhere)).status_code == 503:
                await anyio.sleep(0.02)
    assert (waiting.status_code, waiting.text) == (503, "waits for manuals\n")
    assert (answer.status_code, answer.text) == (200, "ready\n")


async def test_metrics_need_the_token_if_other_machines_can_reach_them(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen:
        options = {"address": "0.0.0.0:0", "allowed_hosts": ["mcp.example"]}
        async with served(tmp_path, entry(seen, "t", **RPC), **options) as url, httpx2.AsyncClient() as http:
            metrics = url.replace("0.0.0.0", "127.0.0.1").replace("/mcp", "/metrics")
            host = {"Host": "mcp.example"}
            assert (await http.get(metrics, headers=host)).status_code == 401
            assert (await http.get(metrics, headers={**host, **BEARER})).status_code == 200


async def test_a_web_page_of_an_allowed_origin_may_ask_and_read(tmp_path: Path) -> None:
    page, asks = {"Origin": "https://app.example"}, {"Access-Control-Request-Method": "POST"}
    async with peer(jsonrpc) as seen, httpx2.AsyncClient() as http:
        async with served(tmp_path, entry(seen, "t", **RPC), allowed_origins=["https://app.example"]) as url:
            before = await http.options(url, headers={**page, **asks})
            answer = await http.post(url, headers={**POST, **BEARER, **page}, json=initialize())
            refused = await http.post(url, headers={**POST, **page}, json=initialize())
            foreign = await http.options(url, headers={**asks, "Origin": "https://evil.example"})
            plain = await http.post(url, headers={**POST, **BEARER}, json=initialize())
    assert before.status_code == 200
    assert "Authorization" in before.headers["access-control-allow-headers"]
    allowed = [each.headers.get("access-control-allow-origin") for each in (before, answer, refused, foreign, plain)]
    assert allowed == [*["https://app.example"] * 3, None, None]
    assert "Mcp-Session-Id" in answer.headers["access-control-expose-headers"]
    assert [answer.status_code, refused.status_code, foreign.status_code] == [200, 401, 403]
