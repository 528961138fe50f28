"""Start real servers, import what they say of themselves, and call what comes out."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from utcp_ws_mcp import Bridge
from utcp_ws_mcp.errors import BridgeError, ToolError

ROOT = Path(__file__).parents[2]
SERVERS = Path(__file__).parent / "servers"
PYTHON = ROOT / "build" / "importing" / "bin"
NODE_MODULES = ROOT / "scripts" / "importing" / "node_modules"
START_TIMEOUT = 60
"""Seconds until a server accepts connections."""


class NotStarted(Exception):
    """A server that is not installed, or does not accept connections; the text says which."""


def free_port() -> int:
    """Return a port that no program uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def started(port: int, *command: str | Path, environ: Mapping[str, str] | None = None) -> AsyncIterator[None]:
    """Run a server until the block ends; it and what it started are ended then.

    Raises:
        NotStarted: if it does not accept connections at the port.
    """
    with tempfile.TemporaryFile("w+") as output:
        try:
            process = subprocess.Popen(
                list(map(str, command)),
                env={**os.environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise NotStarted(f"{Path(command[0]).name} is not installed") from None
        try:
            if not await _accepts(port, process):
                output.seek(0)
                raise NotStarted(f"{Path(command[0]).name} did not start: {output.read()[-300:]}")
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                await asyncio.to_thread(process.wait, 10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


async def _accepts(port: int, process: subprocess.Popen[bytes]) -> bool:
    for _ in range(START_TIMEOUT * 5):
        if process.poll() is not None:
            return False
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.2)
        else:
            writer.close()
            return True
    return False


@contextmanager
def folder() -> Iterator[Path]:
    """Yield an empty folder."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


async def run_import(source: str | Path, into: Path, *options: str) -> dict[str, Any]:
    """Run the command as a person would; return the manifest that it wrote.

    Raises:
        AssertionError: if it fails, or `check --strict` finds a problem.
    """
    await _command("import", str(source), str(into), *options)
    await _command("check", "--strict", str(into))
    manifest: dict[str, Any] = json.loads(into.read_text(encoding="utf-8"))
    return manifest


async def _command(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "utcp_ws_mcp", *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-2000:]


async def call_each(file: Path, calls: Sequence[tuple[str, dict[str, Any], Any]]) -> list[str]:
    """Call tools and compare the results; return the calls that gave something else."""
    wrong = []
    async with Bridge.open(file) as bridge:
        for tool, arguments, expected in calls:
            try:
                result = await bridge.call_tool(tool, arguments)
            except BridgeError as failed:
                result = str(failed)
            if not (expected(result) if callable(expected) else result == expected):
                wrong.append(f"{tool}: {str(result)[:80]}")
    return wrong


async def call_safe(file: Path, manifest: Mapping[str, Any], without: Sequence[str] = ()) -> tuple[int, int, list[str]]:
    """Call every tool that changes nothing and needs no argument.

    Returns:
        How many gave a result, how many the endpoint refused in its own words, and what went wrong otherwise.
    """
    answered, refused, wrong = 0, 0, []
    async with Bridge.open(file) as bridge:
        for tool in manifest["tools"]:
            is_safe = tool["annotations"].get("readOnlyHint") and not tool["inputs"].get("required")
            if not is_safe or tool["name"] in without:
                continue
            try:
                await bridge.call_tool(f"{manifest['name']}.{tool['name']}", {})
                answered += 1
            except ToolError:
                refused += 1
            except BridgeError as failed:
                wrong.append(f"{tool['name']}: {str(failed)[:80]}")
    return answered, refused, wrong
