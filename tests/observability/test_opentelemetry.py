"""Traces and metrics of a running server, as a collector receives them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.peer import PATIENCE, entry, jsonrpc, peer
from tests.server.stdio.test_transport import MODERN, RPC, host_of

sdk = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
metrics_service = pytest.importorskip("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@contextmanager
def collector() -> Iterator[tuple[str, dict[str, list[bytes]]]]:
    """A collector on loopback: its URL, and the bodies that came, by path."""
    bodies: dict[str, list[bytes]] = {"/v1/traces": [], "/v1/metrics": []}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies[self.path].append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", bodies
        server.shutdown()
        thread.join()


def settings(url: str) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_SERVICE_NAME": "mine", "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}


async def test_a_call_continues_the_trace_of_its_client_down_to_the_websocket(tmp_path: Path) -> None:
    with collector() as (url, bodies):
        async with peer(jsonrpc) as seen:
            async with host_of(tmp_path, entry(seen, "t", **RPC), "--otel", **settings(url)) as host:
                meta = {**MODERN, "traceparent": f"00-{TRACE}-{PARENT}-01"}
                assert "result" in await host.request(1, "tools/call", name="m_t", arguments={"n": 1}, _meta=meta)
                await host.process.stdin.aclose()
                assert (await host.ended())[0] == 0
    spans, service = spans_of(bodies["/v1/traces"])
    assert service == "mine"
    request, call, connect = (spans[name] for name in ("tools/call m_t", "m.t", "connect m"))
    assert request.trace_id.hex() == TRACE
    assert request.parent_span_id.hex() == PARENT
    assert {call.trace_id, connect.trace_id} == {request.trace_id}
    assert {call.parent_span_id, connect.parent_span_id} == {request.span_id}
    assert [event.name for event in call.events] == ["request sent"]
    assert facts(call)["url.full"] == seen.url
    assert {"utcp_ws_calls", "utcp_ws_call_duration_seconds", "utcp_ws_connections"} <= metrics_of(
        bodies["/v1/metrics"]
    )


async def test_a_feed_has_spans_of_its_opening_its_life_and_its_gaps(tmp_path: Path) -> None:
    feed = {"name": "f", "match": "message.n is defined", "start": "start"}
    with collector() as (url, bodies):
        async with peer(jsonrpc) as seen:
            document = {"name": "m", "url": seen.url, "feeds": [feed]}
            async with host_of(tmp_path, document, "--otel", **settings(url)) as host:

                async def read(**arguments: object) -> dict[str, Any]:
                    answer = await host.request(1, "tools/call", name="m_f_events", arguments=arguments, _meta=MODERN)
                    content: dict[str, Any] = answer["result"]["structuredContent"]
                    return content

                with anyio.fail_after(PATIENCE):
                    while (await read(wait_seconds=0))["state"] != "open":
                        pass
                    await seen.open[0].send('{"n": 1}')
                    await seen.open[0].close(1012, "restart")
                    while not (await read(cursor="none-0.0", wait_seconds=9))["gaps"]:
                        pass
                await host.process.stdin.aclose()
                assert (await host.ended())[0] == 0
    spans, _ = spans_of(bodies["/v1/traces"])
    assert facts(spans["gap m.f"])["utcp.feed"] == "m.f"
    assert facts(spans["feed m.f"])["error.type"] == "connection-lost"
    assert "open m.f" in spans
    assert {"utcp_ws_feed_events", "utcp_ws_feed_gaps"} <= metrics_of(bodies["/v1/metrics"])


async def test_over_http_a_trace_is_continued_too(tmp_path: Path) -> None:
    meta = {**MODERN, "traceparent": f"00-{TRACE}-{PARENT}-01"}
    params = {"name": "m_t", "arguments": {"n": 1}, "_meta": meta}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "m_t",
    }
    with collector() as (url, bodies):
        async with peer(jsonrpc) as seen:
            (tmp_path / "manifest.json").write_text(json.dumps(entry(seen, "t", **RPC)))
            options = ["--http", "0", "--no-auth", "--otel"]
            command = [sys.executable, "-m", "utcp_ws_mcp", "serve", str(tmp_path / "manifest.json"), *options]
            async with await anyio.open_process(
                command, stderr=subprocess.PIPE, env={**os.environ, **settings(url)}
            ) as server:
                said = (await BufferedByteReceiveStream(server.stderr).receive_until(b"\n", 1000)).decode()
                async with httpx2.AsyncClient(headers=headers) as http:
                    assert (await http.post(said.split()[-1], json=call)).status_code == 200
                server.terminate()
                assert await server.wait() == 0
    spans, _ = spans_of(bodies["/v1/traces"])
    assert spans["tools/call m_t"].parent_span_id.hex() == PARENT
    assert spans["m.t"].parent_span_id == spans["tools/call m_t"].span_id


async def test_a_failed_call_is_an_error_in_its_span(tmp_path: Path) -> None:
    with collector() as (url, bodies):
        document = {"name": "m", "url": "ws://127.0.0.1:1/", "tools": [{"name": "t"}]}
        async with host_of(tmp_path, document, "--otel", **settings(url)) as host:
            await host.request(1, "tools/call", name="m_t", arguments={}, _meta=MODERN)
            await host.process.stdin.aclose()
            assert (await host.ended())[0] == 0
    span = spans_of(bodies["/v1/traces"])[0]["m.t"]
    assert facts(span)["error.type"] == "ConnectError"
    assert "cannot connect to ws://127.0.0.1:1/" in span.status.message


async def test_a_collector_that_is_away_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen:
        options = settings("http://127.0.0.1:1")
        async with host_of(tmp_path, entry(seen, "t", **RPC), "--otel", **options) as host:
            assert "result" in await host.request(1, "tools/call", name="m_t", arguments={"n": 1}, _meta=MODERN)
            await host.process.stdin.aclose()
            assert (await host.ended())[0] == 0


def test_without_the_extra_the_sentence_names_it(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text('{"name": "m", "url": "ws://127.0.0.1:1/", "tools": [{"name": "t"}]}')
    hidden = "import sys; sys.modules['opentelemetry.sdk'] = None; from utcp_ws_mcp.cli.main import main; main()"
    command = [sys.executable, "-c", hidden, str(file), "--otel"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    message = "--otel needs the extra 'otel', which is not installed. Run pip install 'utcp-ws-mcp[otel]'."
    assert done.stderr == f"{message} [extra-not-installed]\n"


def test_nothing_of_it_is_loaded_without_the_option(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text('{"name": "m", "url": "ws://127.0.0.1:1/", "tools": [{"name": "t"}]}')
    watched = (
        "utcp_ws_mcp.observability.opentelemetry",
        "utcp_ws_mcp.observability.metrics",
        "utcp_ws_mcp.server.http.app",
        "opentelemetry.sdk",
    )
    shown = f"print([name for name in {watched!r} if name in sys.modules], file=sys.stderr)"
    program = f"import atexit, sys; atexit.register(lambda: {shown}); from utcp_ws_mcp.cli.main import main; main()"
    command = [sys.executable, "-c", program, str(file)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert done.stderr == "[]\n"


def spans_of(bodies: list[bytes]) -> tuple[dict[str, Any], str]:
    """The spans by name, and the name of the service."""
    resources = [
        resource for body in bodies for resource in sdk.ExportTraceServiceRequest.FromString(body).resource_spans
    ]
    named = {attribute.key: attribute.value.string_value for attribute in resources[0].resource.attributes}
    spans = {span.name: span for resource in resources for scope in resource.scope_spans for span in scope.spans}
    return spans, named["service.name"]


def facts(span: Any) -> dict[str, str]:
    return {attribute.key: attribute.value.string_value for attribute in span.attributes}


def metrics_of(bodies: list[bytes]) -> set[str]:
    requests = [metrics_service.ExportMetricsServiceRequest.FromString(body) for body in bodies]
    scopes = [scope for request in requests for each in request.resource_metrics for scope in each.scope_metrics]
    return {metric.name for scope in scopes for metric in scope.metrics}
