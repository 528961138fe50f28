"""`python -m benchmarks.http`: calls of 2026-07-28 per second over HTTP, one at a time, 32 and 200 at once."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .command import Size, run
from .comparison import Comparison, Target
from .environment import OURS, TEMPLATES, BenchmarkEnvironment, benchmark_environment
from .fixtures import INPUT_SCHEMA
from .wrk import Wrk

BARE = "the SDK's bare HTTP server, does nothing"
TUNED = "the same with httptools and uvloop"
COMMANDS: Final = {
    BARE: ("-m", "benchmarks.servers.bare_http", "h11", "asyncio"),
    TUNED: ("-m", "benchmarks.servers.bare_http", "httptools", "uvloop"),
}
"""The SDK's server with what its package installs, and with the libraries that uvicorn would use if they were there."""

MINIMUM: Final = {1: 2.0, 32: 5.0, 200: 5.0}
"""The least ratio to the bare server, by connections that call at once."""

SECONDS: Final = 1
"""Seconds of a load."""

START_TIMEOUT: Final = 60.0
META: Final = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
}
_BODY: Final = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "m0_t0", "arguments": {"n": 1, "text": "x"}, "_meta": META},
    }
).encode()


def measure(size: Size) -> Sequence[Comparison]:
    """Compare with the SDK's server for each number of connections."""
    rounds = size.of(5, 0)
    rate: dict[int, defaultdict[str, list[float]]] = {connections: defaultdict(list) for connections in MINIMUM}
    cpu: dict[int, defaultdict[str, list[float]]] = {connections: defaultdict(list) for connections in MINIMUM}
    with benchmark_environment() as environment, servers(environment, *COMMANDS) as ports:
        wrk = Wrk(environment.folder, _BODY, call_headers("m0_t0"))
        for number in range(rounds + 1):
            for connections in MINIMUM:
                for label, (port, process) in ports.items():
                    before = cpu_seconds(process.pid)
                    load = wrk.run(f"http://127.0.0.1:{port}/mcp", connections, SECONDS)
                    if number or size.smoke:  # the first round warms up
                        rate[connections][label].append(load.calls / load.seconds)
                        cpu[connections][label].append((cpu_seconds(process.pid) - before) / load.calls)
    comparisons = [
        Comparison(
            f"calls over HTTP, {_at_once(connections)}",
            "/s",
            OURS,
            rate[connections],
            cpu[connections],
            {BARE: Target(minimum, at_least=True)},
        )
        for connections, minimum in MINIMUM.items()
    ]
    ours = {_at_once(connections): rates[OURS] for connections, rates in rate.items()}
    few, many = list(ours)[-2:]
    crowd = {few: Target(0.9, at_least=True)}
    return [*comparisons, Comparison("calls over HTTP as clients grow", "/s", many, ours, targets=crowd)]


def _at_once(connections: int) -> str:
    return f"{connections} at once"


@contextmanager
def servers(environment: BenchmarkEnvironment, *bare: str) -> Iterator[dict[str, tuple[int, subprocess.Popen[bytes]]]]:
    """Run ours and others of `COMMANDS` until the block ends; yield their ports and processes by label."""
    manifest = environment.folder / "http.json"
    common = {"limits": {"max_in_flight": 2000}, "tools": [{"name": "t0", "inputs": INPUT_SCHEMA}]}
    kinds = {"m0": TEMPLATES["replies"], "s0": TEMPLATES["streams"]}
    manifest.write_text(
        json.dumps([{"name": name, "url": environment.url(name), **common, **kind} for name, kind in kinds.items()])
    )
    options = ("--no-auth", "--max-sessions", "5000", "--http")
    commands = {OURS: ("-m", "utcp_ws_mcp", str(manifest), *options)} | {label: COMMANDS[label] for label in bare}
    with (environment.folder / "http.log").open("wb") as log:
        running = {
            label: (port, subprocess.Popen([sys.executable, *command, str(port)], stderr=log))
            for label, command in commands.items()
            for port in [_free_port()]
        }
        try:
            for port, _ in running.values():
                _wait_until_served(port)
            yield running
        finally:
            for _, process in running.values():
                process.terminate()
                process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _wait_until_served(port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1)
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def call_headers(tool: str) -> dict[str, str]:
    """Return the headers of a call of 2026-07-28."""
    return {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
    }


def request_head(port: int, tool: str, length: int) -> bytes:
    """Return the head of a call of 2026-07-28 whose body has a length."""
    head = {"Host": f"127.0.0.1:{port}", **call_headers(tool), "Content-Length": str(length)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"POST /mcp HTTP/1.1\r\n{lines}\r\n".encode()


if __name__ == "__main__":
    run(measure)
