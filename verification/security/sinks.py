"""S16: no place where bytes leave holds a credential, in any form that our own filters make of it.

An endpoint gets a credential and returns it in the form that each filter of expressions gives, also of two in a row, in
every way: a result, an error, items of a stream, a close reason, a refused upgrade, the texts of its manual. The real
process serves it over stdio and over HTTP, the command line calls it with a trace and records a draft, and the library
calls it with metrics and spans. Everything that leaves is searched for each form. DRIVEN names what produces the bytes
of each sink in the list of tests/observability/test_sinks.py; a test compares the two lists.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx2
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from utcp_ws_mcp import BridgeError
from utcp_ws_mcp.core.expressions.expression import EvaluationError, Expression
from utcp_ws_mcp.core.expressions.filters import FILTERS
from utcp_ws_mcp.core.expressions.scope import MESSAGE_NAMES
from utcp_ws_mcp.core.expressions.vocabulary import BUILTIN_FILTERS
from utcp_ws_mcp.errors import InvalidTemplate
from utcp_ws_mcp.observability.events import broadcast
from utcp_ws_mcp.observability.metrics import GaugeSource, MetricsObserver, PrometheusRegistry
from utcp_ws_mcp.observability.opentelemetry import SpanObserver
from utcp_ws_mcp.observability.redaction import Redactor
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .bridge_fixture import JSONObject, open_bridge
from .endpoint import Endpoint, endpoint, manual_of
from .expressions import scope
from .http_service import TOKEN

ONE_WAY: Final = frozenset(
    {"md5", "sha1", "sha256", "sha512", "crc32", "hmac_sha1", "hmac_sha256", "hmac_sha512", "jwt"}
)
"""Filters from whose output the credential cannot be computed."""

PARTIAL: Final = frozenset({"first", "last", "truncate", "unpack", "part", "pieces", "batch", "slice", "list", "sort"})
"""Filters that return less than the credential, or its characters one by one."""

WAYS: Final[Mapping[str, JSONObject]] = {
    "json": {"response_format": "json"},
    "text": {"response_format": "text"},
    "error": {"reply": {"error": "true", "error_message": "message.text"}},
    "fault": {"reply": {"error": "true"}},
    "stream": {"stream": True},
    "close": {},
    "refused": {},
    "discovery": {},
}
"""The behavior of the endpoint at each path, with the fields of the call template for it."""

DRIVEN: Final[Mapping[str, str]] = {
    "cli.terminal: click.echo": "call",
    "cli.terminal: out.buffer.write": "call",
    "cli.call: output.write_bytes": "call",
    "cli.record: new.write": "draft",
    "observability.logging: print": "http",
    "observability.trace: print": "call",
    "observability.opentelemetry: self._tracer.start_span": "spans",
    "observability.opentelemetry: span.add_event": "spans",
    "observability.opentelemetry: span.set_attribute": "spans",
    "observability.opentelemetry: span.set_status": "spans",
    "server.stdio.outbound: self._writer.write": "stdio",
    "server.stdio.writer: os.write": "stdio",
    "server.http.app: PlainTextResponse": "http",
    "server.http.app: Response": "http",
    "server.http.app: self._manager.handle_request": "http",
    "server.http.batch: self._response.write": "http",
    "server.http.fast_response: cycle.transport.write": "http",
    "files: file.write": "files",
}


def forms(secret: str) -> dict[str, str]:
    """Return the credential in the form of each filter, and of pairs of those that give text, if it can be undone."""
    single = {name: text for name in _filters() if (text := _apply(secret, name)) is not None}
    pairs = {
        f"{one} | {other}": text
        for one in ("base64", "hex", "urlencode", "to_json", "escape", "reverse", "upper")
        for other in ("base64", "hex", "urlencode", "to_json", "tojson", "escape", "lower")
        if (text := _apply(secret, f"{one} | {other}")) is not None and (one, other) != ("upper", "lower")
    }
    return {"as it is": secret, **single, **pairs}


SEARCHED_PAIRS: Final = frozenset(
    {"to_json | to_json", "to_json | tojson", "urlencode | urlencode", "to_json | urlencode"}
)
ESCAPED_PAIRS: Final = frozenset({"to_json | escape", "escape | urlencode", "urlencode | to_json", "escape | to_json"})
"""Pairs that SECURITY.md promises: escapes in escapes. Others, such as base64 in base64, are shown as they came."""


def _filters() -> Iterator[str]:
    names = BUILTIN_FILTERS | {name for name in FILTERS if not name.startswith("_")}
    yield from sorted(names - ONE_WAY - PARTIAL)


def _apply(secret: str, filters: str) -> str | None:
    try:
        expression = Expression(f"message | {filters}", MESSAGE_NAMES)
        value = expression.evaluate(scope().with_values(message=secret))
    except (InvalidTemplate, EvaluationError):
        return None
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) and len(value) >= len(secret) else None


def searched_forms(secret: str) -> dict[str, str]:
    """Return the forms in which the credential must not leave."""
    pairs = SEARCHED_PAIRS | ESCAPED_PAIRS
    return {name: text for name, text in forms(secret).items() if "|" not in name or name in pairs}


class Echo:
    """An endpoint that returns the credential in all forms."""

    def __init__(self, encoded: Sequence[str]) -> None:
        self._encoded = encoded

    async def answer(self, connection: ServerConnection, message: Any) -> None:
        """Answer in the way of the path."""
        assert connection.request is not None
        way = connection.request.path.strip("/")
        text = " ".join(self._encoded)
        if way == "discovery" and message == {"type": "utcp"}:
            schema = {"type": "object", "description": text, "properties": {"a": {"default": text, "enum": [text]}}}
            named = [{"name": each, "description": "x"} for each in self._encoded]
            await connection.send(json.dumps(manual_of({"name": "t", "description": text, "inputs": schema}, *named)))
        elif way == "close":
            await connection.close(4001, self._encoded[0])
        elif way == "stream":
            for each in self._encoded:
                await connection.send(json.dumps({"text": each}))
            await connection.send(json.dumps({"type": "tool_error", "error": text}))
        elif way == "text":
            await connection.send(text)
        else:
            await connection.send(json.dumps({"text": text, "each": self._encoded, **dict.fromkeys(self._encoded, 1)}))

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse the upgrade of one path, with the credential in the response."""
        if request.path != "/refused":
            return None
        text = " ".join(each for each in self._encoded if each.isascii() and each.isprintable())
        return Response(401, text[:200], Headers({"WWW-Authenticate": text[:200]}), text.encode())


def document(served: Endpoint) -> list[JSONObject]:
    """Return a call template for each way."""
    auth = {"auth_type": "api_key", "api_key": "${API_KEY}", "var_name": "X-Key"}
    common = {"auth": auth, "timeout": 5, "pin": "tofu"}
    return [
        {"name": way, "url": f"{served.url}{way}", **common, **fields}
        | ({} if way == "discovery" else {"tools": [{"name": "t"}]})
        for way, fields in WAYS.items()
    ]


async def measure(size: Size) -> Sequence[Figure]:
    """Collect what leaves, and search it."""
    letters = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789"
    secret = "".join(size.random().choices(letters, k=16)) + '+/"<&=%\\x9'
    searched = searched_forms(secret)
    echo = Echo(list(searched.values()))
    with TemporaryDirectory() as name:
        folder = Path(name)
        async with endpoint(echo.answer, process_request=echo.refuse) as served:
            templates = document(served)
            (folder / "manifest.json").write_text(json.dumps(templates))
            (folder / ".env").write_text(f"API_KEY='{secret}'\n")
            environ = {"PATH": os.environ["PATH"], "UTCP_WS_MCP_STATE_DIR": name, "UTCP_WS_MCP_TOKEN": TOKEN}
            sinks = {"stdio": await over_stdio(folder, environ), "http": await over_http(folder, environ)}
            sinks["call"] = await by_call(folder, environ)
            sinks["draft"] = await by_record(folder, environ, served)
            sinks |= await by_library(templates, secret)
        written = [file for file in folder.rglob("*") if file.is_file() and file.name not in (".env", "manifest.json")]
        sinks["files"] = b"\n".join(file.read_bytes() for file in written)
    return [_figure(sink, data.decode("utf-8", "replace"), searched) for sink, data in sinks.items()]


def _figure(sink: str, text: str, searched: Mapping[str, str]) -> Figure:
    shown = {text, text.replace("\\\\", "\\").replace('\\"', '"')}
    found = [name for name, form in searched.items() if any(form in each for each in shown)]
    result = f"{len(found)} of {len(searched)} in {len(text):,} characters" + "".join(f"; {each}" for each in found[:5])
    return Figure("S16", f"forms of a credential in: {sink}", result, "0", not found and len(text) > 0)


async def over_stdio(folder: Path, environ: Mapping[str, str]) -> bytes:
    """Return what a host reads, and the log."""
    command = ("-m", "utcp_ws_mcp", "serve", str(folder / "manifest.json"), "--log-level", "debug")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdin=PIPE, stdout=PIPE, stderr=(folder / "stdio.log").open("wb"), env=dict(environ)
    )
    assert process.stdin is not None
    assert process.stdout is not None
    lines = [_initialize(), {"jsonrpc": "2.0", "method": "notifications/initialized"}, *_requests()]
    for line in lines:
        process.stdin.write(json.dumps(line).encode() + b"\n")
    read, waited = bytearray(), {line["id"] for line in lines if "id" in line}
    async with asyncio.timeout(60):
        while waited:
            chunk = await process.stdout.read(1 << 16)
            assert chunk, "the process ended"
            read += chunk
            waited = {each for each in waited if b'"id":%d' % each not in bytes(read).replace(b'"id": ', b'"id":')}
    process.stdin.close()
    await process.wait()
    return bytes(read)


def _initialize() -> JSONObject:
    opened = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "host", "version": "1"}}
    return {"jsonrpc": "2.0", "id": 1000, "method": "initialize", "params": opened}


def _requests() -> list[JSONObject]:
    requests: list[tuple[str, JSONObject]] = [("tools/list", {}), ("resources/list", {})]
    for number, way in enumerate(WAYS):
        arguments = {"name": f"{way}_t", "arguments": {}, "_meta": {"progressToken": f"p{number}"}}
        requests.append(("tools/call", arguments))
    requests.append(("tools/list", {}))
    return [
        {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        for number, (method, params) in enumerate(requests, 2000)
    ]


async def over_http(folder: Path, environ: Mapping[str, str]) -> bytes:
    """Return all bodies that an HTTP client reads, with those of /metrics and /healthz, and the log."""
    command = ("-m", "utcp_ws_mcp", "serve", str(folder / "manifest.json"), "--http", "127.0.0.1:0")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--log-level", "debug", stdin=DEVNULL, stderr=PIPE, env=dict(environ)
    )
    assert process.stderr is not None
    line = b""
    log = bytearray()
    while b"http://" not in line:
        line = await process.stderr.readline()
        log += line
    url = "http://" + line.decode().partition("http://")[2].split("/")[0]
    reading = asyncio.create_task(process.stderr.read())
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"}
    bodies = []
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        opened = await client.post("/mcp", json=_initialize())
        session = {"Mcp-Session-Id": opened.headers.get("mcp-session-id", ""), "MCP-Protocol-Version": "2025-11-25"}
        for request in ({"jsonrpc": "2.0", "method": "notifications/initialized"}, *_requests()):
            bodies += [(await client.post("/mcp", json=request, headers=session)).content]
        for path in ("/metrics", "/healthz", "/nothing"):
            bodies += [(await client.get(path)).content]
    process.terminate()
    await process.wait()
    return b"\n".join([*bodies, bytes(log), await reading])


async def by_call(folder: Path, environ: Mapping[str, str]) -> bytes:
    """Return what `call` prints with a trace, and what it writes."""
    data = b""
    for way in ("json", "fault", "stream", "refused"):
        options = ("--trace", "--output", str(folder / f"{way}.out")) if way == "json" else ("--trace",)
        command = ("-m", "utcp_ws_mcp", "call", str(folder / "manifest.json"), f"{way}.t", *options)
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=dict(environ)
        )
        data += b"\n".join(await process.communicate())
    return data


async def by_record(folder: Path, environ: Mapping[str, str], served: Endpoint) -> bytes:
    """Return what `record` prints, and its draft."""
    draft = folder / "draft.json"
    command = ("-m", "utcp_ws_mcp", "record", f"{served.url}json", "--header", "X-Key: ${API_KEY}", "--idle", "0.3")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command, "--env-file", str(folder / ".env"), "--output", str(draft)),
        stdin=PIPE, stdout=PIPE, stderr=PIPE, env=dict(environ),
    )  # fmt: skip
    printed = await process.communicate(b'{"id": 1, "action": "get"}\n')
    return b"\n".join([*printed, draft.read_bytes() if draft.exists() else b""])


async def by_library(templates: Sequence[JSONObject], secret: str) -> dict[str, bytes]:
    """Return the metrics and the spans of calls."""
    redactor, spans, tracing = Redactor(), InMemorySpanExporter(), TracerProvider()
    registry = PrometheusRegistry(GaugeSource(guard=redactor.guard))
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    from opentelemetry import trace

    trace.set_tracer_provider(tracing)
    observers = (MetricsObserver(registry.record), SpanObserver(redactor.guard))
    environ = {"API_KEY": secret}
    async with open_bridge(templates, environ=environ, observe=broadcast(observers), redactor=redactor) as bridge:
        await bridge.wait_discovered(5)
        for name in list(bridge.tools):
            try:
                await bridge.call_tool(name)
            except BridgeError:
                continue
    exported = "".join(span.to_json() for span in spans.get_finished_spans())
    return {"metrics": registry.render().encode(), "spans": exported.encode()}


if __name__ == "__main__":
    run(measure)
