"""Call the tools of a manifest as an MCP host does: `python -m utcp_ws_mcp` over stdio, with the SDK's client."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO, cast

import anyio
from anyio.abc import TaskGroup
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from utcp_ws_mcp.server.result import REPEATED_LENGTH

MANIFESTS: Final = Path(__file__).parent / "manifests"
ERAS: Final = {"modern": "auto", "legacy": "legacy"}
"""The modes of the SDK's client."""

PAUSE: Final = 0.1
"""Seconds between two calls that wait for the same."""

_LOG_LINE = re.compile(r"\S+ DEBUG \S+ (?P<way>[<>]) (?:\((?P<role>[\w-]+)\) )?(?P<text>.*)")


@dataclass
class StreamResult:
    """The result of a stream, and the progress notifications before it as (seconds, text)."""

    value: dict[str, Any]
    progress: list[tuple[float, str]]

    @property
    def items(self) -> list[Any]:
        """The items of the result."""
        items: list[Any] = self.value["items"]
        return items

    @property
    def end(self) -> str:
        """What ended the stream."""
        return str(self.value["end"])


@dataclass
class RunningCall:
    """A call that runs in the background."""

    progress: list[tuple[float, str]] = field(default_factory=list)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ended: anyio.Event = field(default_factory=anyio.Event)
    arrived: anyio.Event = field(default_factory=anyio.Event)
    result: Any = None

    async def on_progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Record a progress notification."""
        self.progress.append((anyio.current_time(), message or ""))
        self.arrived.set()

    async def wait_for_items(self, count: int) -> None:
        """Wait until this many items have arrived."""
        while len(self.progress) < count:
            self.arrived = anyio.Event()
            await self.arrived.wait()

    async def cancel(self) -> None:
        """Cancel the call, as a host does, and wait for its end."""
        self.scope.cancel()
        await self.ended.wait()


class ToolClient:
    """The tools of one process of the bridge. `variables` are those that it was started with."""

    def __init__(
        self, client: Client, manual: str, era: str, variables: Mapping[str, str], log: Path, tasks: TaskGroup
    ) -> None:
        self.variables = variables
        self.last: Any = None
        self._client = client
        self._manual = manual
        self._era = era
        self._log = log
        self._log_offset = 0
        self._tasks = tasks
        self._remembered: dict[str, Any] = {}

    async def json(self, tool: str, /, **arguments: Any) -> Any:
        """Call a tool and return its JSON result; a string result is text, see `text`."""
        result = await self._call(tool, arguments)
        assert not result.is_error, result.content[0].text
        value = json.loads(result.content[0].text)
        structured = value if self._era == "modern" or isinstance(value, dict) else {"result": value}
        # Long JSON is sent once, as text.
        assert result.structured_content == structured or len(result.content[0].text) > REPEATED_LENGTH
        return value

    async def json_until(self, holds: Callable[[Any], object], tool: str, /, **arguments: Any) -> Any:
        """Call a tool until its JSON result is as expected; return that result."""
        while not holds(result := await self.json(tool, **arguments)):  # noqa: ASYNC110  # it asks the server
            await anyio.sleep(PAUSE)
        return result

    async def text(self, tool: str, /, **arguments: Any) -> str:
        """Call a tool and return its text result."""
        result = await self._call(tool, arguments)
        assert not result.is_error, result.content[0].text
        assert result.structured_content in (None, {"result": result.content[0].text})
        return str(result.content[0].text)

    async def stream(self, tool: str, /, **arguments: Any) -> StreamResult:
        """Call a streaming tool and return its result and the progress notifications."""
        running_call = RunningCall()
        result = await self._call(tool, arguments, running_call)
        assert not result.is_error, result.content[0].text
        value = json.loads(result.content[0].text)
        assert result.structured_content in (None, value)
        return StreamResult(value, running_call.progress)

    async def error(self, tool: str, /, **arguments: Any) -> str:
        """Call a tool that must fail, and return the error message."""
        result = await self._call(tool, arguments)
        assert result.is_error, f"it did not fail: {result.content[0].text[:200]}"
        return str(result.content[0].text)

    def start(self, tool: str, /, **arguments: Any) -> RunningCall:
        """Call a tool in the background."""
        started = RunningCall()

        async def run() -> None:
            with started.scope:
                started.result = await self._call(tool, arguments, started)
            started.ended.set()

        self._tasks.start_soon(run)
        return started

    def remember(self, **values: Any) -> None:
        """Save values for a later case."""
        self._remembered.update(values)

    def recall(self, name: str) -> Any:
        """Return a value that an earlier case saved."""
        return self._remembered[name]

    def messages(self, direction: str) -> list[tuple[str, str]]:
        """Return the role and the text of the messages that this case sent (`>`) or received (`<`)."""
        found = (_LOG_LINE.match(line) for line in self.log().splitlines())
        return [(line["role"] or "", line["text"]) for line in found if line and line["way"] == direction]

    def log(self) -> str:
        """Return the log of the process since the start of the case."""
        return self._log.read_bytes()[self._log_offset :].decode()

    def start_case(self) -> None:
        """Start a case: the log is read from here."""
        self._log_offset = self._log.stat().st_size

    @asynccontextmanager
    async def restarted(self, changed_variables: Mapping[str, str]) -> AsyncIterator[ToolClient]:
        """Serve the same manifest in another process with changed variables."""
        async with serve_manifest(self._manual, self._era, {**self.variables, **changed_variables}) as tools:
            try:
                yield tools
            finally:
                self.last = tools.last

    async def _call(self, tool: str, arguments: dict[str, Any], running_call: RunningCall | None = None) -> Any:
        name = f"{self._manual}_{tool}"
        self.last = None
        self.last = await self._client.call_tool(
            name, arguments, progress_callback=running_call.on_progress if running_call else None
        )
        return self.last


@asynccontextmanager
async def serve_manifest(server: str, era: str, variables: Mapping[str, str]) -> AsyncIterator[ToolClient]:
    """Serve the manifest of a server, connect as a host does, and yield its tools until the block ends."""
    command = ["-m", "utcp_ws_mcp", str(MANIFESTS / f"{server}.json"), "--log-level", "debug"]
    process = StdioServerParameters(command=sys.executable, args=command, env={**os.environ, **variables})
    with tempfile.NamedTemporaryFile("w", prefix=f"{server}-") as log:
        host = Client(stdio_client(process, errlog=cast("TextIO", log.file)), mode=ERAS[era])
        async with host as client, anyio.create_task_group() as tasks:
            yield ToolClient(client, server, era, variables, Path(log.name), tasks)
            tasks.cancel_scope.cancel()
