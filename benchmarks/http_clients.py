"""`python -m benchmarks.http_clients`: memory of 1,000 idle HTTP clients, and progress over HTTP per second."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from .command import Size, run
from .comparison import Comparison, Target
from .environment import OURS, BenchmarkEnvironment, benchmark_environment
from .http import BARE, META, cpu_seconds, request_head, servers

SOURCES: Final = 8
"""Addresses from which clients connect: a server may limit the connections of each."""

PATIENCE: Final = 60.0
_HANDSHAKE: Final = "2025-11-25"
_INITIALIZE: Final = {
    "protocolVersion": _HANDSHAKE,
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "1"},
}


def measure(size: Size) -> Sequence[Comparison]:
    """Compare with the SDK's server."""
    with benchmark_environment() as environment:
        return [
            _idle(environment, size.of(3, 1), size.of(1000, 20), sessions=False),
            _idle(environment, size.of(3, 1), size.of(1000, 20), sessions=True),
            _progress(environment, size.of(10, 1), size.of(1000, 20)),
        ]


def _idle(environment: BenchmarkEnvironment, rounds: int, clients: int, *, sessions: bool) -> Comparison:
    """Measure clients that have called once and stay: with a connection, or with a session and an event stream."""
    taken = defaultdict(list)
    for _ in range(rounds):
        with servers(environment, BARE) as running:
            for label, (port, process) in running.items():
                with _clients(port, 1, sessions=sessions):
                    before = _memory(process.pid)
                    with _clients(port, clients, sessions=sessions):
                        taken[label].append(_memory(process.pid) - before)
    kind = (
        f"sessions of {_HANDSHAKE} with an event stream" if sessions else "connections of 2026-07-28 that called once"
    )
    return Comparison(f"memory of {clients:,} idle {kind}", "MiB", OURS, taken, targets={BARE: Target(1.25)})


@contextmanager
def _clients(port: int, count: int, *, sessions: bool) -> Iterator[None]:
    with ExitStack() as stack:
        for number in range(count):
            source = f"127.0.0.{2 + number % SOURCES}"
            if sessions:
                _open_session(stack, port, source)
            else:
                _call_once(stack.enter_context(closing(_connect(port, source))), port)
        yield


def _connect(port: int, source: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0))


def _call_once(connection: socket.socket, port: int) -> None:
    params = {"name": "m0_t0", "arguments": {"n": 1}, "_meta": META}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    connection.sendall(request_head(port, "m0_t0", len(body)) + body)
    response = http.client.HTTPResponse(connection)
    response.begin()
    if response.status != 200 or b'"isError":true' in response.read():
        raise RuntimeError(f"a call failed: HTTP {response.status}")


def _open_session(stack: ExitStack, port: int, source: str) -> None:
    """Open a session, and the stream on which its client waits for notifications."""
    connect = partial(http.client.HTTPConnection, "127.0.0.1", port, PATIENCE, (source, 0))
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    with closing(connect()) as opening:
        body = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": _INITIALIZE})
        opening.request("POST", "/mcp", body, headers)
        answer = opening.getresponse()
        answer.read()
        session = {"Mcp-Session-Id": answer.headers["mcp-session-id"], "MCP-Protocol-Version": _HANDSHAKE}
        note = json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"})
        opening.request("POST", "/mcp", note, {**headers, **session})
        opening.getresponse().read()
    waiting = stack.enter_context(closing(connect()))
    waiting.request("GET", "/mcp", headers={"Accept": "text/event-stream", **session})
    if (status := waiting.getresponse().status) != 200:
        raise RuntimeError(f"no event stream: HTTP {status}")


def _memory(pid: int) -> int:
    """Return the resident memory in bytes."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _progress(environment: BenchmarkEnvironment, rounds: int, items: int) -> Comparison:
    rate, used = defaultdict(list), defaultdict(list)
    with servers(environment, BARE) as running:
        for number in range(rounds + 1):
            for label, (port, process) in running.items():
                before, seconds = cpu_seconds(process.pid), _time_stream(port, items)
                if number:  # the first round warms up
                    rate[label].append(items / seconds)
                    used[label].append((cpu_seconds(process.pid) - before) / items)
    what = f"progress notifications a second over HTTP, {items:,} in a stream"
    notes = {BARE: "counts, without an endpoint"}
    return Comparison(what, "/s", OURS, rate, used, {BARE: Target(0.5, at_least=True)}, notes)


def _time_stream(port: int, items: int) -> float:
    """Return the seconds of a call whose items are sent as progress.

    Raises:
        RuntimeError: if a notification is missing.
    """
    meta = {**META, "progressToken": "stream"}
    params: dict[str, Any] = {"name": "s0_t0", "arguments": {"items": items}, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    with closing(_connect(port, "127.0.0.1")) as connection:
        began = perf_counter()
        connection.sendall(request_head(port, "s0_t0", len(body)) + body)
        response = http.client.HTTPResponse(connection)
        response.begin()
        text = response.read()
        seconds = perf_counter() - began
    if text.count(b'"notifications/progress"') != items or b'"isError":true' in text:
        raise RuntimeError(f"notifications are missing: {text[-500:]!r}")
    return seconds


if __name__ == "__main__":
    run(measure)
