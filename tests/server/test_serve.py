"""`serve` as a whole in this process: what the options turn on, and what is on the page of metrics."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from tests.peer import PATIENCE, Peer, entry, jsonrpc, peer
from tests.server.http.test_app import POST, initialize
from tests.server.stdio.pipes import INITIALIZE, StandardPipes, kept_signal_handlers, standard_descriptors
from tests.server.stdio.test_transport import MODERN
from utcp_ws_mcp import load_manifest
from utcp_ws_mcp.client.manifest_files import LoadedManifest
from utcp_ws_mcp.observability.events import CallFinished
from utcp_ws_mcp.observability.metrics import CONNECTION_COUNT
from utcp_ws_mcp.server.auth.caller_variables import CallerVariables
from utcp_ws_mcp.server.http.app import run_http_server
from utcp_ws_mcp.server.http.config import HttpOptions
from utcp_ws_mcp.server.run import ServeOptions, serve_http, serve_stdio
from utcp_ws_mcp.server.sdk_server import SdkServer
from utcp_ws_mcp.server.stdio.fast_path import FastPath

RPC = {"preset": "jsonrpc2"}
SECRET = "s3cret-of-the-manifest"


def loaded(folder: Path, document: Any, **options: Any) -> list[LoadedManifest]:
    file = folder / "manifest.json"
    file.write_text(json.dumps(document))
    return [load_manifest(file, environ={"KEY": SECRET}, **options)]


class Terminal(io.StringIO):
    """Standard error, and whether something that a test waits for was written to it."""

    def __init__(self, pattern: str) -> None:
        super().__init__()
        self._pattern = pattern
        self.found = anyio.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        if re.search(self._pattern, self.getvalue()):
            self.found.set()
        return written

    async def wait(self) -> str:
        """Return what the pattern has matched."""
        with anyio.fail_after(PATIENCE):
            await self.found.wait()
        found = re.search(self._pattern, self.getvalue())
        assert found is not None
        return found.group()


async def served_on_stdio(manifests: list[LoadedManifest], options: ServeOptions, *requests: Any) -> list[Any]:
    """Return the answers to requests, which are sent one after the other."""
    pipes, answers = StandardPipes(), []
    codes: list[int] = []

    async def serve() -> None:
        codes.append(await serve_stdio(manifests, options))

    opening = {"id": 0, "method": "initialize", "params": INITIALIZE}
    with standard_descriptors(pipes.stdin, pipes.stdout, pipes.stderr), kept_signal_handlers():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            for request in (opening, *requests):
                os.write(pipes.to_stdin, json.dumps({"jsonrpc": "2.0", **request}).encode() + b"\n")
                with anyio.fail_after(PATIENCE):
                    await anyio.wait_readable(pipes.from_stdout)
                answers.append(json.loads(os.read(pipes.from_stdout, 1 << 20)))
            os.close(pipes.to_stdin)
    pipes.close(pipes.to_stdin)
    assert codes == [0]
    return answers[1:]


CALL = {"id": 2, "method": "tools/call", "params": {"name": "m_t", "arguments": {"n": 1}}}
LIST = {"id": 1, "method": "tools/list"}


async def test_the_tools_are_served_to_a_host_on_stdio(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen:
        manifests = loaded(tmp_path, entry(seen, "t", **RPC))
        listed, called = await served_on_stdio(manifests, ServeOptions(), LIST, CALL)
    assert [tool["name"] for tool in listed["result"]["tools"]] == ["m_t"]
    assert called["result"]["structuredContent"] == {"n": 1}
    assert [closed[0] for closed in seen.closed] == [1001]


async def test_with_meta_tools_the_host_sees_the_three_that_find_the_others(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen:
        manifests = loaded(tmp_path, entry(seen, "t", **RPC))
        (listed,) = await served_on_stdio(manifests, ServeOptions(meta_tools=True), LIST)
    assert {tool["name"] for tool in listed["result"]["tools"]} == {"search_tools", "describe_tool", "call_tool"}


@pytest.mark.parametrize(("fast_path", "used"), [(True, True), (False, False)])
async def test_the_fast_path_on_stdio_can_be_turned_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast_path: bool, used: bool
) -> None:
    handled: list[str] = []
    handle = FastPath.try_handle

    def noted(self: FastPath, message: dict[str, Any]) -> bool:
        handled.append(message["method"])
        return handle(self, message)

    monkeypatch.setattr(FastPath, "try_handle", noted)
    async with peer(jsonrpc) as seen:
        manifests = loaded(tmp_path, entry(seen, "t", **RPC))
        await served_on_stdio(manifests, ServeOptions(fast_path=fast_path), LIST)
    assert bool(handled) is used


@pytest.mark.parametrize("is_terminal", [True, False])
async def test_a_person_at_a_terminal_learns_that_a_host_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_terminal: bool
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr(sys, "stdin", terminal)
    async with peer(jsonrpc) as seen:
        await served_on_stdio(loaded(tmp_path, entry(seen, "t", **RPC)), ServeOptions())
    said = "utcp-ws-mcp waits for an MCP host on stdin; try `utcp-ws-mcp tools` instead\n"
    assert (said in capsys.readouterr().err) is is_terminal


async def test_the_log_has_the_level_and_the_form_of_the_options_and_no_credential(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refuse(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"id": message["id"], "error": {"message": f"no {SECRET}"}}))

    async with peer(refuse) as seen:
        manifests = loaded(tmp_path, entry(seen, "t", headers={"x-key": "${KEY}"}, **RPC))
        await served_on_stdio(manifests, ServeOptions(log_level="info", json_logs=True), CALL)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (finished,) = [line for line in lines if line.get("event") == "call_finished"]
    assert (finished["tool"], finished["level"]) == ("m.t", "info")
    assert finished["error"].startswith("the endpoint said: no ***")
    assert SECRET not in json.dumps(lines)


async def test_an_edited_manifest_is_served_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def edit_then_answer(seen: Peer, connection: Any, message: Any) -> None:
        loaded(tmp_path, entry(seen, "edited", **RPC))
        with anyio.fail_after(PATIENCE):
            while "reloaded" not in terminal.getvalue():
                await anyio.lowlevel.checkpoint()
        await jsonrpc(seen, connection, message)

    monkeypatch.setattr("utcp_ws_mcp.server.reload.POLL_INTERVAL", 0)
    monkeypatch.setattr(sys, "stderr", terminal := io.StringIO())
    async with peer(edit_then_answer) as seen:
        manifests = loaded(tmp_path, entry(seen, "t", **RPC))
        options = ServeOptions(log_level="info")
        _, listed = await served_on_stdio(manifests, options, CALL, LIST)
    assert [tool["name"] for tool in listed["result"]["tools"]] == ["m_edited"]


@asynccontextmanager
async def served_over_http(
    manifests: list[LoadedManifest], options: ServeOptions, monkeypatch: pytest.MonkeyPatch, **http: Any
) -> AsyncIterator[tuple[str, httpx2.AsyncClient]]:
    """The URL of the server, and a client of it."""
    terminal = Terminal(r"http://\S+")
    monkeypatch.setattr(sys, "stderr", terminal)
    codes: list[int] = []

    async def serve() -> None:
        codes.append(await serve_http(manifests, options, HttpOptions(address="0", no_auth=True, **http)))

    with kept_signal_handlers():
        signal.signal(signal.SIGTERM, lambda *_: None)
        async with anyio.create_task_group() as tasks, httpx2.AsyncClient(headers=POST, timeout=PATIENCE) as client:
            tasks.start_soon(serve)
            yield await terminal.wait(), client
            signal.raise_signal(signal.SIGTERM)
    assert codes == [0]
    assert terminal.getvalue().startswith("utcp-ws-mcp serves http://127.0.0.1:")


def modern(request: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a request of 2026-07-28 with its headers."""
    params = request.get("params", {})
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": request["method"]}
    if "name" in params:
        headers["mcp-name"] = params["name"]
    return {"jsonrpc": "2.0", **request, "params": {**params, "_meta": MODERN}}, headers


async def test_the_tools_are_served_over_http_with_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with peer(jsonrpc) as seen:
        manifests = loaded(tmp_path, entry(seen, "t", **RPC))
        async with served_over_http(manifests, ServeOptions(), monkeypatch) as (url, http):
            call, headers = modern(CALL)
            called = (await http.post(url, json=call, headers=headers)).json()
            opened = (await http.post(url, json=initialize())).text
            metrics = (await http.get(url.replace("/mcp", "/metrics"))).text
    assert called["result"]["structuredContent"] == {"n": 1}
    assert '"protocolVersion":"2025-11-25"' in opened
    assert 'utcp_ws_connections{manual="m",state="idle"} 1' in metrics
    assert re.search(r'utcp_ws_calls_total\{.*tool="m\.t".*\} 1', metrics)
    assert [closed[0] for closed in seen.closed] == [1001]


async def test_callers_bring_their_values_in_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = CallerVariables({"KEY": "x-key"})
    async with peer(jsonrpc) as seen:
        document = entry(seen, "t", headers={"x-key": "${caller:KEY}"}, **RPC)
        manifests = loaded(tmp_path, document, callers=variables.stand_ins)
        async with served_over_http(manifests, ServeOptions(), monkeypatch, caller_variables=variables) as (url, http):
            call, headers = modern(CALL)
            called = (await http.post(url, json=call, headers={**headers, "x-key": "of-the-caller"})).json()
            metrics = (await http.get(url.replace("/mcp", "/metrics"))).text
    assert called["result"]["structuredContent"] == {"n": 1}
    assert [request.headers["x-key"] for request in seen.upgrades] == ["of-the-caller"]
    assert 'utcp_ws_connections{manual="m",state="idle"} 1' in metrics


class Exported:
    """What would be exported: takes the place of OpenTelemetry, whose providers belong to the process."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.gauges: list[Any] = []
        self.has_ended = False

    @contextmanager
    def telemetry(self, guard: Any, gauges: Any, guard_names: Any) -> Iterator[Any]:
        assert (guard(SECRET), guard_names(SECRET)) == ("***", "***")
        assert gauges.guard == guard_names

        def observe(event: Any) -> None:
            self.events.append(event)
            self.gauges = list(gauges.measurements())

        yield observe
        self.has_ended = True


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Exported:
    exported = Exported()
    monkeypatch.setattr("utcp_ws_mcp.observability.opentelemetry.telemetry", exported.telemetry)
    return exported


async def test_on_stdio_the_sdk_answers_if_spans_are_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: Exported
) -> None:
    monkeypatch.setattr(FastPath, "try_handle", None)
    async with peer(jsonrpc) as seen:
        manifests = loaded(tmp_path, entry(seen, "t", headers={"x-key": "${KEY}"}, **RPC))
        (called,) = await served_on_stdio(manifests, ServeOptions(otel=True), CALL)
    assert called["result"]["structuredContent"] == {"n": 1}
    assert [event.tool for event in exported.events if isinstance(event, CallFinished)] == ["m.t"]
    assert (CONNECTION_COUNT, ("m", "idle"), 0) in exported.gauges
    assert exported.has_ended


@pytest.mark.parametrize("otel", [False, True])
async def test_over_http_the_sdk_answers_with_spans_only_if_they_are_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: Exported, otel: bool
) -> None:
    servers: list[SdkServer] = []
    fast: list[bool] = []

    async def noted(server: SdkServer, *args: Any, fast_path: bool) -> None:
        servers.append(server)
        fast.append(fast_path)
        await run_http_server(server, *args, fast_path=fast_path)

    monkeypatch.setattr("utcp_ws_mcp.server.http.app.run_http_server", noted)
    async with peer(jsonrpc) as seen:
        manifests = loaded(tmp_path, entry(seen, "t", headers={"x-key": "${KEY}"}, **RPC))
        async with served_over_http(manifests, ServeOptions(otel=otel), monkeypatch) as (url, http):
            call, headers = modern(CALL)
            called = (await http.post(url, json=call, headers=headers)).json()
            metrics = (await http.get(url.replace("/mcp", "/metrics"))).text
    assert called["result"]["structuredContent"] == {"n": 1}
    assert 'tool="m.t"' in metrics
    assert fast == [not otel]
    assert [bool(server.server.middleware) for server in servers] == [otel]
    assert [event.tool for event in exported.events if isinstance(event, CallFinished)] == (["m.t"] if otel else [])
    assert exported.has_ended is otel


async def test_the_fast_path_over_http_can_be_turned_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast: list[bool] = []

    async def noted(*args: Any, fast_path: bool) -> None:
        fast.append(fast_path)
        await run_http_server(*args, fast_path=fast_path)

    monkeypatch.setattr("utcp_ws_mcp.server.http.app.run_http_server", noted)
    async with peer(jsonrpc) as seen:
        manifests = loaded(tmp_path, entry(seen, "t", **RPC))
        async with served_over_http(manifests, ServeOptions(fast_path=False), monkeypatch):
            pass
    assert fast == [False]
