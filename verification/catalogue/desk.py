"""What a case needs: packages, processes, and the tools of the entry as an MCP host sees them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from utcp_ws_mcp.manifest.sanitize import ascii_tool_name

ROOT: Final = Path(__file__).parents[2]
CACHE: Final = Path(os.environ.get("CATALOGUE_CACHE") or ROOT / ".servers")
SERVERS: Final = Path(__file__).parent / "servers"
"""Small servers of our own that use the library of a protocol."""

START_TIMEOUT: Final = 90
"""Seconds until a program listens."""

PAUSE: Final = 0.3
"""Seconds between two attempts."""


class CaseFailed(Exception):
    """A program or a tool did not do what the case expects."""


@dataclass
class Desk:
    """The place of one case: a new folder, its processes, and the client of the entry."""

    entry: str
    manual: str
    folder: Path
    stack: AsyncExitStack
    client: Any = None
    offered: set[str] = field(default_factory=set)
    called: set[str] = field(default_factory=set)

    def write(self, name: str, text: str) -> Path:
        """Write a file into the folder of the case."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    async def start(self, *command: str | Path, port: int | None = None, **environ: str) -> subprocess.Popen[bytes]:
        """Start a program in a process group of its own, and wait until it listens on the port."""
        log = (self.folder / f"{Path(command[0]).name}-{len(list(self.folder.glob('*.log')))}.log").open("wb")
        home = {"HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder)}
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=self.folder,
            env={**os.environ, **home, **environ},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.stack.callback(_stop, process)
        if port is not None:
            await self.wait_until(lambda: _listens(port) or _fail_if_ended(process, Path(log.name)))
        return process

    async def wait_until(self, condition: Callable[[], Any]) -> None:
        """Wait until a condition holds."""
        with anyio.fail_after(START_TIMEOUT):
            while not condition():  # noqa: ASYNC110  # the condition is outside of this process
                await anyio.sleep(PAUSE)

    async def serve(self, **variables: str) -> None:
        """Serve the entry by its name, as a host does, with these variables."""
        command = ["-m", "utcp_ws_mcp", "serve", f"catalog:{self.entry}"]
        process = StdioServerParameters(command=sys.executable, args=command, env={**os.environ, **variables})
        log = self.stack.enter_context((self.folder / "bridge.log").open("w"))
        self.client = await self.stack.enter_async_context(Client(stdio_client(process, errlog=log)))
        self.offered = {tool.name for tool in (await self.client.list_tools()).tools}

    async def call(self, tool: str, /, **arguments: Any) -> Any:
        """Call a tool and return its result, parsed if it is JSON.

        Raises:
            CaseFailed: if the tool fails.
        """
        result = await self._call(tool, arguments)
        text = result.content[0].text if result.content and hasattr(result.content[0], "text") else ""
        if result.is_error:
            raise CaseFailed(f"{tool}: {text[:500]}")
        if not text:
            return [block.model_dump() for block in result.content]
        try:
            return json.loads(text)
        except ValueError:
            return text

    async def refused(self, tool: str, words: str, /, **arguments: Any) -> None:
        """Call a tool that the program refuses, with these words in the error."""
        result = await self._call(tool, arguments)
        text = result.content[0].text
        check(result.is_error and words in text, f"{tool} was not refused with {words!r}: {text[:500]}")

    async def call_while(self, tool: str, trigger: Callable[[], Awaitable[Any]], /, **arguments: Any) -> Any:
        """Return the result of a tool that waits for events; the trigger is repeated until it has ended."""
        found: list[Any] = []

        async def call() -> None:
            found.append(await self.call(tool, **arguments))
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            while True:
                await anyio.sleep(PAUSE)
                await trigger()
        return found[0]

    async def call_until(self, holds: Callable[[Any], Any], tool: str, /, **arguments: Any) -> Any:
        """Call a tool until its result is as expected; return that result."""
        with anyio.fail_after(START_TIMEOUT):
            while not holds(result := await self.call(tool, **arguments)):  # noqa: ASYNC110  # it asks the program
                await anyio.sleep(PAUSE)
        return result

    async def event(self, feed: str, trigger: Callable[[], Awaitable[Any]], /, **arguments: Any) -> Any:
        """Return the first event of a feed; the trigger is repeated until there is one."""
        with anyio.fail_after(START_TIMEOUT):
            while True:
                read = await self.call(f"{feed}_events", **arguments, wait_seconds=1)
                if read["events"]:
                    return read["events"][0]["data"]
                await trigger()

    async def _call(self, tool: str, arguments: dict[str, Any]) -> Any:
        name = ascii_tool_name(f"{self.manual}_{tool}")
        self.called.add(name)
        return await self.client.call_tool(name, arguments, read_timeout_seconds=150)


def check(condition: Any, message: str) -> None:
    """Raise CaseFailed with the message unless the condition holds."""
    if not condition:
        raise CaseFailed(message)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def debian(*packages: str) -> str:
    """Install Debian packages that are missing; return the upstream version of the first."""
    missing = [name for name in packages if _dpkg(name) is None]
    if missing:
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        subprocess.run(install, env=environ, check=True, capture_output=True)
    version = _dpkg(packages[0]) or ""
    return version.rpartition(":")[2].partition("-")[0].partition("+")[0].partition("~")[0]


def python_package(name: str, *requirements: str) -> Path:
    """Return the folder of the programs of a virtual environment with these packages."""
    folder = CACHE / "py" / name
    if not (folder / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", *requirements]
        subprocess.run(install, check=True, capture_output=True)
    return folder / "bin"


def python_version(programs: Path, package: str) -> str:
    """Return the version of a package in a virtual environment."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([programs / "python", "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def npm_package(name: str, *packages: str) -> tuple[Path, str]:
    """Return the folder of a Node project with these packages, and the version of the first."""
    folder = CACHE / "npm" / name
    if not (folder / "node_modules" / packages[0]).exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", *packages], cwd=folder, check=True, capture_output=True
        )
    installed = json.loads((folder / "node_modules" / packages[0] / "package.json").read_text())
    return folder, str(installed["version"])


def own_server(folder: Path, name: str) -> Path:
    """Copy one of our small servers into a Node project, whose packages it then finds; return the copy."""
    return Path(shutil.copy(SERVERS / name, folder / name))


def _dpkg(package: str) -> str | None:
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package],
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, version = asked.stdout.partition(" ")
    return version if state == "installed" else None


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _fail_if_ended(process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise CaseFailed(f"{log.name} ended: {log.read_text(errors='replace')[-1500:]}")
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
