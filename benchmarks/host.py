"""An MCP host with almost no cost of its own: JSON-RPC over pipes, without an SDK."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

RESPONSE_TIMEOUT = 60
"""Seconds without a byte from the server after which a measurement has failed."""

LIST_CHANGED = "notifications/tools/list_changed"
HANDSHAKE = "2025-11-25"
MODERN = "2026-07-28"
CLIENT = {"name": "bench", "version": "1"}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}
"""`_meta` of every request of the revision 2026-07-28."""


@dataclass(frozen=True, slots=True)
class Burst:
    """The result of concurrent calls: seconds for all of them, and the number of correct answers."""

    seconds: float
    correct: int
    calls: int


@dataclass(frozen=True, slots=True)
class TimedResult:
    """A result, and the seconds until it arrived."""

    seconds: float
    result: dict[str, Any]


class Host:
    """A server process, started by entering. All times are seconds of the wall clock, on this side of the pipes.

    `startup_seconds` is the time from the start of the process until `initialize` was answered (`server/discover` in
    the era without a handshake).
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], era: str = HANDSHAKE) -> None:
        self.command = command
        self._environ = environ
        self._meta = ENVELOPE if era == MODERN else {}
        self._ids = 0
        self._lines: list[bytes] = []
        self._partial_line: list[bytes] = []
        self._ready = select.poll()
        self.startup_seconds = 0.0
        self.notifications: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        self.started_at = time.perf_counter()
        self._process = subprocess.Popen(
            self.command, stdin=pipe, stdout=pipe, stderr=null, bufsize=0, env={**os.environ, **self._environ}
        )
        assert self._process.stdin
        assert self._process.stdout
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._ready.register(self._out, select.POLLIN)
        try:
            self._initialize()
        except BaseException:
            self._end()
            raise
        self.startup_seconds = time.perf_counter() - self.started_at
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    @property
    def pid(self) -> int:
        """The id of the server process."""
        return self._process.pid

    def cpu(self) -> float:
        """Return the CPU seconds of the server: all threads, user and system."""
        return time.clock_gettime((~self.pid << 3) | 2)  # CPUCLOCK_SCHED of the process: see clock_getcpuclockid(3)

    def request(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Return the result of a request; earlier notifications are added to `notifications`."""
        number = self.post(method, params)
        while True:
            message = self.receive()
            if message.get("id") == number:
                if "result" not in message:
                    raise RuntimeError(f"{self.command[2]}: {method}: {message['error']}")
                return message["result"]
            self.notifications.append(message)

    def post(self, method: str, params: Mapping[str, Any] | None = None) -> int:
        """Send a request without waiting; return its id."""
        self._ids += 1
        self.write(self._request(self._ids, method, params or {}))
        return self._ids

    def receive(self) -> dict[str, Any]:
        """Return the next message of the server."""
        message: dict[str, Any] = json.loads(self.line())
        return message

    def call(self, tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any] | None = None) -> Any:
        """Return the result of a call."""
        params = {"name": tool, "arguments": arguments, **({"_meta": meta} if meta else {})}
        return self.request("tools/call", params)

    def time_request(self, method: str, params: Mapping[str, Any]) -> TimedResult:
        """Time a request; its answer is parsed after the time was taken."""
        begin = time.perf_counter()
        number = self.post(method, params)
        line = self.line()
        seconds = time.perf_counter() - begin
        message = json.loads(line)
        if message.get("id") != number or "result" not in message:
            raise RuntimeError(f"{self.command[2]}: {method}: {line[:500]!r}")
        return TimedResult(seconds, message["result"])

    def list_until(self, count: int, prefix: str = "") -> None:
        """List the tools, again after each change of the list, until so many names start with the prefix."""
        while True:
            tools = self.request("tools/list")["tools"]
            if sum(tool["name"].startswith(prefix) for tool in tools) >= count:
                return
            while not any(message["method"] == LIST_CHANGED for message in self.notifications):
                self.notifications.append(self.receive())
            self.notifications.clear()

    def time_stream(self, tool: str, items: int) -> float:
        """Return the seconds of a call whose items are sent as progress.

        Raises:
            RuntimeError: if an item is missing, in the notifications or in the result.
        """
        meta = {"progressToken": f"stream-{self._ids}"}
        begin = time.perf_counter()
        self.post("tools/call", {"name": tool, "arguments": {"items": items}, "_meta": meta})
        lines = [self.line() for _ in range(items + 1)]
        seconds = time.perf_counter() - begin
        *progress, last = [json.loads(line) for line in lines]
        result = last.get("result", {})
        received = sum(message.get("method") == "notifications/progress" for message in progress)
        value = result.get("structuredContent") or json.loads(result["content"][0]["text"])
        if received != items or len(value.get("items", ())) != items:
            raise RuntimeError(f"{self.command[2]}: {received} of {items} items: {lines[-1][:500]!r}")
        return seconds

    def memory(self) -> int:
        """Return the resident memory of the server in bytes."""
        return self._status("VmRSS")

    def peak(self) -> int:
        """Return the peak of the resident memory since `reset_peak`, in bytes."""
        return self._status("VmHWM")

    def reset_peak(self) -> int:
        """Reset the peak; return the resident memory in bytes."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # proc(5)
        return self.memory()

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))

    def time_calls(self, tool: str, count: int) -> list[float]:
        """Return the seconds of each call, one at a time.

        Raises:
            RuntimeError: if an answer does not belong to its call.
        """
        seconds = []
        for _ in range(count):
            self._ids += 1
            request = self._call(tool, self._ids)
            begin = time.perf_counter()
            self.write(request)
            line = self.line()
            seconds.append(time.perf_counter() - begin)
            if not is_correct(json.loads(line)):
                raise RuntimeError(f"{self.command[2]}: a wrong answer: {line[:500]!r}")
        return seconds

    def burst(self, tool: str, count: int, in_flight: int) -> Burst:
        """Make `count` calls with so many in flight; the answers are checked after the time was taken."""
        first = self._ids + 1
        self._ids += count
        requests = [self._call(tool, number) for number in range(first, first + count)]
        lines: list[bytes] = []
        begin = time.perf_counter()
        self.write(b"".join(requests[:in_flight]))
        sent = min(in_flight, count)
        while len(lines) < count:
            arrived = self.arrived()
            lines += arrived
            self.write(b"".join(requests[sent : sent + len(arrived)]))
            sent += len(arrived)
        seconds = time.perf_counter() - begin
        return Burst(seconds, sum(is_correct(json.loads(line)) for line in lines), count)

    def write(self, data: bytes) -> None:
        """Write all bytes."""
        while data:
            data = data[os.write(self._in, data) :]

    def line(self) -> bytes:
        """Return the next line."""
        if not self._lines:
            self._lines = self.arrived()[::-1]
        return self._lines.pop()

    def arrived(self) -> list[bytes]:
        """Return all complete lines that have arrived; at least one.

        Raises:
            TimeoutError: if the server sends nothing for too long.
            EOFError: if it has ended.
        """
        if self._lines:
            lines, self._lines = self._lines[::-1], []
            return lines
        while True:
            if not self._ready.poll(RESPONSE_TIMEOUT * 1000):
                raise TimeoutError(f"{self.command[2]} sent nothing for {RESPONSE_TIMEOUT} s")
            chunk = os.read(self._out, 1 << 18)
            if not chunk:
                raise EOFError(f"{self.command[2]} has ended")
            first, *lines = chunk.split(b"\n")
            self._partial_line.append(first)
            if lines:
                first, self._partial_line = b"".join(self._partial_line), [lines.pop()]
                return [first, *lines]

    def close(self) -> None:
        """Close stdin, as a host does, and wait until the server has ended."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(RESPONSE_TIMEOUT)

    def _initialize(self) -> None:
        if self._meta:
            self.request("server/discover")
            return
        self.request("initialize", {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": CLIENT})
        self.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')

    def _request(self, number: int, method: str, params: Mapping[str, Any]) -> bytes:
        if self._meta:
            params = {**params, "_meta": {**self._meta, **params.get("_meta", {})}}
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        return json.dumps(message, separators=(",", ":")).encode() + b"\n"

    def _call(self, tool: str, number: int) -> bytes:
        return self._request(number, "tools/call", {"name": tool, "arguments": {"n": number}})


def is_correct(message: Mapping[str, Any]) -> bool:
    """Return whether a result repeats the argument `n`, which is the id of the request."""
    result = message.get("result", {})
    return not result.get("isError") and bool(result.get("structuredContent") == {"n": message["id"]})
