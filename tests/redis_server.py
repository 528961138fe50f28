"""A real redis-server on loopback for tests."""

from __future__ import annotations

import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from utcp_ws_mcp.client.shared.address import StoreAddress
from utcp_ws_mcp.client.shared.fleet import Fleet, open_fleet
from utcp_ws_mcp.observability.events import Event

REDIS = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(REDIS is None, reason="redis-server is not installed")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@dataclass
class RedisServer:
    """A server without a file: what it holds is lost when it ends."""

    folder: Path
    options: tuple[str, ...] = ()
    configuration: Path | None = None
    certificate: Path | None = None
    port: int = field(default_factory=free_port)
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def address(
        self, username: str | None = None, password: str | None = None, host: str = "127.0.0.1", *, tls: bool = False
    ) -> StoreAddress:
        return StoreAddress(host, self.port, 0, tls=tls, username=username, password=password)

    async def start(self) -> None:
        assert REDIS is not None
        file = [] if self.configuration is None else [str(self.configuration)]
        command = [REDIS, *file, "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--dir", str(self.folder)]
        if self.certificate is not None:
            command += ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            command += ["--tls-cert-file", str(self.certificate), "--tls-key-file", str(self.certificate)]
        self.process = await anyio.open_process([*command, *self.options], stderr=None, stdout=None)
        with anyio.fail_after(20):
            while not await self._accepts():
                await anyio.sleep(0.02)

    async def _accepts(self) -> bool:
        try:
            stream = await anyio.connect_tcp("127.0.0.1", self.port)
        except OSError:
            return False
        await stream.aclose()
        return True

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def kill(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGKILL)
            await self.process.wait()
            await self.process.aclose()
            self.process = None


@asynccontextmanager
async def redis_server(
    folder: Path, *options: str, configuration: Path | None = None, certificate: Path | None = None
) -> AsyncIterator[RedisServer]:
    server = RedisServer(folder, options, configuration, certificate)
    await server.start()
    try:
        yield server
    finally:
        with anyio.CancelScope(shield=True):
            await server.kill()


@asynccontextmanager
async def replica(
    server: RedisServer, name: str, events: list[Event] | None = None, key: str | None = None
) -> AsyncIterator[Fleet]:
    observe = [].append if events is None else events.append
    async with open_fleet("f", name, server.address(), observe, key) as fleet:
        yield fleet
