"""Start and stop a real server with its launcher."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

ROOT = Path(__file__).parents[2]
SERVERS = Path(os.environ.get("SERVERS") or ROOT.parent / "shared" / "servers")
CACHE = Path(os.environ.get("SERVERS_CACHE") or ROOT / ".servers")
LAUNCHERS = Path(__file__).parent / "launchers"
"""The launchers of servers that are not in SERVERS; they use its library."""

INSTALL_TIMEOUT = 1200
"""Seconds until a launcher is ready; its first run installs the server."""

STOP_TIMEOUT = 15


class ServerNotReady(Exception):
    """The server did not start; the message holds the output of its launcher."""


def case_names(server: str) -> list[str]:
    """Return the names of the cases of a server."""
    listed = json.loads((SERVERS / "cases.json").read_text())["servers"]
    return next([case["name"] for case in known["cases"]] for known in listed if known["name"] == server)


@asynccontextmanager
async def run_launcher(server: str) -> AsyncIterator[dict[str, str]]:
    """Run a server until the block ends, and yield its variables, including URL and PORT.

    Raises:
        ServerNotReady: if it does not start.
    """
    port = str(_free_port())
    own = LAUNCHERS / f"{server}.sh"
    with tempfile.TemporaryFile("w+") as errors:
        process = await anyio.open_process(
            ["bash", str(own if own.exists() else SERVERS / f"{server}.sh")],
            env={**os.environ, "PORT": port, "SERVERS": str(SERVERS), "SERVERS_CACHE": str(CACHE)},
            stdin=subprocess.DEVNULL,
            stderr=errors,
        )
        try:
            found = await _read_announcement(process)
            if "URL" not in found:
                errors.seek(0)
                raise ServerNotReady(f"{server} did not start: {errors.read()[-2000:]}")
            yield {**found, "PORT": port}
        finally:
            with anyio.CancelScope(shield=True):
                await _stop(process)


async def _read_announcement(process: Process) -> dict[str, str]:
    """Return the variables that the launcher prints until it is READY, ends, or takes too long."""
    assert process.stdout
    found: dict[str, str] = {}
    rest = ""
    with anyio.move_on_after(INSTALL_TIMEOUT):
        async for text in TextReceiveStream(process.stdout):
            *lines, rest = (rest + text).split("\n")
            for word, _, value in (line.partition(" ") for line in lines):
                if word == "VAR":
                    name, _, content = value.partition("=")
                    found[name] = content
                elif word == "READY":
                    return {**found, "URL": value}
    return found


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    with anyio.move_on_after(STOP_TIMEOUT):
        await process.wait()
    if process.returncode is None:
        process.kill()
    await process.aclose()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
