"""The programs of a fleet: redis-server, replicas of `utcp-ws-mcp serve --http`, and nginx in front of them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trustme

PATIENCE: Final = 30.0
"""Seconds after which a program that does not do what it should fails the measurement."""
POLL: Final = 0.02
CONFIGURATION: Final = Path(__file__).parents[2] / "deploy" / "nginx.conf"
TEMPORARY: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
USER: Final = "replica"
PASSWORD: Final = "the-password-of-the-replicas"
PERMISSIONS: Final = ("~utcp-ws:*", "+@all", "-@admin", "-@dangerous")
"""What the guide "Run several replicas" gives the user of the replicas."""


def free_port() -> int:
    """Return a port that was free just now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def find_program(name: str) -> str:
    """Return the path of a program.

    Raises:
        FileNotFoundError: if it is not installed.
    """
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path is None:
        raise FileNotFoundError(f"{name} is not installed; `apt-get install redis-server nginx` installs both")
    return path


async def until_listening(port: int) -> None:
    """Wait until something accepts connections at a port."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(POLL)


@dataclass
class RedisServer:
    """A redis-server without a file: what it holds is lost when it ends.

    Attributes:
        folder: For its certificate.
        secure: With TLS, and a user who needs a password and has the permissions of the guide.
    """

    folder: Path
    secure: bool = False
    port: int = field(default_factory=free_port)
    process: Process | None = None

    @property
    def url(self) -> str:
        """Return the URL for `--shared-file`."""
        return f"rediss://{USER}:{PASSWORD}@localhost:{self.port}" if self.secure else f"redis://127.0.0.1:{self.port}"

    async def start(self, *options: str) -> None:
        """Start it, empty."""
        where = ["--tls-port", str(self.port), "--port", "0"] if self.secure else ["--port", str(self.port)]
        command = [find_program("redis-server"), *where, "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        self.process = await asyncio.create_subprocess_exec(*command, *self._secured(), *options, stdout=DEVNULL)
        await until_listening(self.port)

    def _secured(self) -> list[str]:
        if not self.secure:
            return []
        authority, certificate = self.folder / "authority.pem", self.folder / "redis.pem"
        if not authority.exists():
            issuer = trustme.CA()
            issuer.cert_pem.write_to_path(str(authority))
            issuer.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        tls = ["--tls-cert-file", str(certificate), "--tls-key-file", str(certificate), "--tls-auth-clients", "no"]
        return [*tls, "--user", USER, "on", f">{PASSWORD}", *PERMISSIONS, "--user", "default", "off"]

    def environ(self) -> Mapping[str, str]:
        """Return what a replica needs in its environment to trust the certificate."""
        return {"SSL_CERT_FILE": str(self.folder / "authority.pem")} if self.secure else {}

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    async def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.signal(signal.SIGCONT)
            self.process.kill()
            await self.process.wait()
            self.process = None


@dataclass
class Replica:
    """A process that serves a manifest over HTTP at a port that stays the same over restarts."""

    number: int
    folder: Path
    document: Mapping[str, Any]
    options: Sequence[str] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: Process | None = None

    @property
    def pid(self) -> int:
        """Return the id of its process."""
        assert self.process is not None
        return self.process.pid

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        manifest = self.folder / f"replica-{self.number}.json"
        manifest.write_text(json.dumps(self.document), encoding="utf-8")
        address = ["--http", f"127.0.0.1:{self.port}", "--no-auth", "--allowed-host", "127.0.0.1"]
        command = ["-m", "utcp_ws_mcp", "serve", str(manifest), *address, *self.options]
        with (self.folder / f"replica-{self.number}.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *command, stderr=log, env={**os.environ, **self.environ}
            )
        await until_listening(self.port)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end, and return the exit code."""
        assert self.process is not None
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()

    async def stop(self) -> None:
        """End it in an orderly way."""
        if self.process is not None and self.process.returncode is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            await self.ended()


@asynccontextmanager
async def nginx(folder: Path, ports: Sequence[int]) -> AsyncIterator[int]:
    """Run nginx with the configuration of deploy/, without TLS, in front of replicas; yield its port."""
    port = free_port()
    servers = "".join(f"server 127.0.0.1:{each} max_fails=1 fail_timeout=5s;\n" for each in ports)
    changed = {
        r"( +server mcp-\d+:\S+.*;\n)+": servers,
        r"listen 443 ssl": f"listen 127.0.0.1:{port}",
        r" +ssl_certificate(_key)? .*;\n": "",
        r"/run/nginx\.pid": f"{folder}/nginx.pid",
        r"/var/log/nginx/error\.log": f"{folder}/error.log",
        r"(?<=http \{\n)": "".join(f"{name}_temp_path {folder}/{name};\n" for name in TEMPORARY),
        r"mcp\.example\.com": "127.0.0.1",
        # With one worker, requests come to the replicas strictly in turn.
        r"worker_processes auto": "worker_processes 1",
    }
    text = CONFIGURATION.read_text(encoding="utf-8")
    for pattern, replacement in changed.items():
        text, count = re.subn(pattern, replacement, text)
        assert count, pattern
    if os.geteuid() == 0:  # its workers have to reach the folder
        text = f"user root;\n{text}"
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    command = [find_program("nginx"), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    subprocess.run(command, check=True)  # ends when it listens
    try:
        yield port
    finally:
        subprocess.run([*command, "-s", "stop"], check=True)
