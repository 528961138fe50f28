"""F9: replicas that share tokens ask the token endpoint once, and leave nothing readable in Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any, Final

import redis.asyncio as redis

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .endpoint import Endpoint
from .site import Site, site

REPLICAS: Final = 3
CALLS: Final = 60
SECRET: Final = "the-secret-of-the-client"
TOKEN: Final = "the-token-of-the-endpoint"
ANSWER_AFTER: Final = 0.2
"""Seconds until the token endpoint answers, so that the replicas ask while it has not."""


@dataclass(eq=False)
class Issuer:
    """A token endpoint, and how often it was asked."""

    port: int = 0
    asked: int = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve until the block ends."""
        async with await asyncio.start_server(self._answer, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        await asyncio.sleep(ANSWER_AFTER)
        body = json.dumps({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600})
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(f"{head}{body}".encode())
        await writer.drain()
        writer.close()


def manual(issuer: Issuer, endpoint: Endpoint, replica: int) -> dict[str, Any]:
    """Return a call template with credentials, each call of which opens a connection."""
    url = f"http://127.0.0.1:{issuer.port}/token"
    auth = {"auth_type": "oauth2", "token_url": url, "client_id": "fleet", "client_secret": SECRET}
    return endpoint.manual(replica, feeds=[], auth=auth, keep_alive=False)


async def readable(running: Site) -> int:
    """Return how many entries of Redis contain the token or the secret."""
    async with redis.Redis(port=running.redis.port) as client:
        names = [key async for key in client.scan_iter()]
        texts = [await client.get(key) or b"" for key in names if await client.type(key) == b"string"]
    return sum(each.encode() in text for text in (*names, *texts) for each in (TOKEN, SECRET))


async def measure(size: Size) -> Sequence[Figure]:
    """Call at all replicas at once, with a key and without."""
    with TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        key.write_text(token_hex(32), encoding="utf-8")
        with_key = await _measure(["--shared-key-file", str(key)], "with a key", 1)
    return [with_key, await _measure([], "without a key", REPLICAS)]


async def _measure(options: Sequence[str], name: str, expected: int) -> Figure:
    issuer = Issuer()
    async with issuer.serving(), site(REPLICAS, partial(manual, issuer), options=options) as running:
        await asyncio.gather(*(running.call("m_t") for _ in range(CALLS)))
        found = await readable(running)
    what = f"{CALLS} calls at once at {REPLICAS} replicas that have no token, {name}"
    result = f"{issuer.asked} token requests, {found} readable tokens or secrets in Redis"
    return Figure("F9", what, result, f"{expected}, 0", issuer.asked == expected and not found)


if __name__ == "__main__":
    run(measure)
