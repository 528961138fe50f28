"""An MCP host that starts the real process, `python -m utcp_ws_mcp manifest.json`, and uses it over pipes."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from verification.harness.clock import Clock

INITIALIZE: Final = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "m", "version": "1"}}
REQUEST_TIMEOUT: Final = 30.0
"""Seconds after which a request without a reply fails the measurement."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a call and its duration; `text` is the first block, or the message of a protocol error."""

    text: str
    failed: bool
    seconds: float


@dataclass(slots=True)
class ReceivedOutput:
    """The output on stdout.

    `notifications` are methods, `invalid_lines` are not JSON-RPC, `unsolicited` counts replies to no request, and
    `trailing_bytes` is an incomplete last line.
    """

    notifications: list[str] = field(default_factory=list)
    invalid_lines: list[bytes] = field(default_factory=list)
    lines: int = 0
    unsolicited: int = 0
    trailing_bytes: bytes = b""


class Host:
    """A process that runs until the block of `async with` ends. `started` is its start time.

    All times are those of `clock`, which stands still while the process or this one waits for a processor.
    `notified` is set when a notification arrives.
    """

    def __init__(self, document: Any, command: Sequence[str] = ("-m", "utcp_ws_mcp"), stderr: int = DEVNULL) -> None:
        self._document = document
        self._command = command
        self._stderr = stderr
        self._folder = tempfile.TemporaryDirectory()
        self._waiting: dict[Any, asyncio.Future[dict[str, Any]]] = {}
        self._ids = 0
        self.received = ReceivedOutput()
        self.notified = asyncio.Event()
        self.started = 0.0
        self.process: Process
        self.clock: Clock

    async def __aenter__(self) -> Self:
        file = Path(self._folder.name) / "manifest.json"
        file.write_text(json.dumps(self._document))
        started = time.monotonic()
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, *self._command, str(file), stdin=PIPE, stdout=PIPE, stderr=self._stderr, limit=1 << 26
        )
        self.clock = Clock([self.process.pid])
        self.started = self.clock.now() - (time.monotonic() - started)
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._reading
        self._folder.cleanup()

    async def initialize(self) -> float:
        """Open the session and return the seconds from the start of the process to the reply."""
        await self.request("initialize", INITIALIZE)
        seconds = self.clock.now() - self.started
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return seconds

    async def tools(self) -> set[str]:
        """Return the names of the listed tools."""
        return {tool["name"] for tool in (await self.request("tools/list", {}))["result"]["tools"]}

    async def call(self, tool: str, **arguments: Any) -> Answer:
        """Call a tool and return its result or error."""
        started = self.clock.now()
        reply = await self.request("tools/call", {"name": tool, "arguments": arguments})
        seconds = self.clock.now() - started
        if "error" in reply:
            return Answer(reply["error"]["message"], failed=True, seconds=seconds)
        result = reply["result"]
        return Answer(result["content"][0]["text"], result.get("isError", False), seconds)

    async def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its reply, a result or an error.

        Raises:
            ConnectionError: if the process ends without a reply.
        """
        self._ids += 1
        answer = self._waiting[self._ids] = asyncio.get_running_loop().create_future()
        self.send({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params})
        async with asyncio.timeout(REQUEST_TIMEOUT):
            reply: dict[str, Any] = await answer
            return reply

    def send(self, message: Any) -> None:
        """Write a message as a line; bytes are written unchanged."""
        assert self.process.stdin
        self.process.stdin.write(message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n")

    def end(self, way: str) -> None:
        """Close stdin ("eof") or send the signal with this name."""
        assert self.process.stdin
        if way == "eof":
            self.process.stdin.close()
        else:
            self.process.send_signal(signal.Signals[way])

    async def ended(self) -> int:
        """Wait for the end of the process and of its output, and return the exit code."""
        async with asyncio.timeout(REQUEST_TIMEOUT):
            code = await self.process.wait()
            await self._reading
        return code

    async def _read(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            self.received.lines += 1
            self._on_line(line)
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the process ended without an answer"))

    def _on_line(self, line: bytes) -> None:
        if not line.endswith(b"\n"):
            self.received.trailing_bytes = line
            return
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            self.received.invalid_lines.append(line)
        elif "method" in message:
            self.received.notifications.append(message["method"])
            self.notified.set()
        elif (answer := self._waiting.pop(message.get("id"), None)) is None:
            self.received.unsolicited += 1
        elif not answer.done():
            answer.set_result(message)
