"""T11: concurrent calls share one upgrade and one token request, also when a token expires.

First 100 calls start at once without an open connection; then 100 calls that need 25 connections and a token; then
calls that each need a new connection while tokens expire, and while the endpoint rejects a token. The endpoint and the
token endpoint, real servers on loopback, count upgrades and token requests. The token endpoint replies slowly, so that
a duplicate request would have time to start.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from utcp_ws_mcp import Bridge
from utcp_ws_mcp.errors import BridgeError
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .raw import listening

CALLS: Final = 100
SETS: Final = 25
"""Connections that the calls with a token need: each value of the header field has its own."""

LIFETIME: Final = 600.0
"""Seconds that a token is valid; the bridge requests the next one after half of them."""

SHORT_LIFETIME: Final = 2.0
"""The same for tokens that expire."""

TOKEN_DELAY: Final = 0.1
"""Seconds that the token endpoint takes for a reply."""


class Endpoint:
    """An endpoint that returns the parameters of a request, and the token endpoint for its upgrades."""

    def __init__(self, lifetime: float) -> None:
        self.upgrades = 0
        self._lifetime = lifetime
        self.requests: list[float] = []
        self._valid_until: dict[str, float] = {}

    async def answer(self, connection: ServerConnection) -> None:
        """Serve a connection."""
        self.upgrades += 1
        with suppress(ConnectionClosed):
            async for raw in connection:
                message = json.loads(raw)
                await connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": message["params"]}))

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        """Reject an upgrade whose token has expired or was revoked; an upgrade without a token is accepted."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not token or self._valid_until.get(token, 0.0) > time.monotonic():
            return None
        return connection.respond(HTTPStatus.UNAUTHORIZED, "")

    async def serve_token(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer a token request."""
        await reader.readuntil(b"client_secret=s")
        self.requests.append(time.monotonic())
        await asyncio.sleep(TOKEN_DELAY)
        token = f"t{len(self.requests)}"
        self._valid_until[token] = time.monotonic() + self._lifetime
        body = json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": self._lifetime}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        await reader.read()

    def revoke_tokens(self) -> None:
        """Revoke all tokens that were issued before."""
        self._valid_until.clear()


@asynccontextmanager
async def _environment(lifetime: float = LIFETIME, **template: Any) -> AsyncIterator[tuple[Endpoint, Bridge]]:
    """Yield the two endpoints and a bridge for them that has not opened any connection."""
    endpoint = Endpoint(lifetime)
    async with (
        serve(endpoint.answer, "127.0.0.1", 0, process_request=endpoint.check, compression=None) as server,
        listening(endpoint.serve_token) as port,
    ):
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
        credentials = {"client_id": "i", "client_secret": "s", "token_url": f"http://127.0.0.1:{port}/"}
        auth = {"auth": {"auth_type": "oauth2", **credentials}} if template.pop("token", False) else {}
        document = {"name": "m", "url": url, "preset": "jsonrpc2", "tools": [{"name": "t"}], **auth, **template}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "manifest.json"
            file.write_text(json.dumps(document))
            async with Bridge.open(file) as bridge:
                yield endpoint, bridge


async def measure(size: Size) -> Sequence[Figure]:
    """Measure cold calls, calls that wait for a token, expiring tokens and a rejected token."""
    async with _environment() as (endpoint, bridge):
        failed = await _call_concurrently(bridge)
        cold = endpoint.upgrades, failed
    async with _environment(token=True, header_fields=["set"]) as (endpoint, bridge):
        failed = await _call_concurrently(bridge)
        waiting = len(endpoint.requests), failed
    expiring = await _expiring(size.of(5, 60))
    async with _environment(token=True, keep_alive=False, limits={"max_connections": SETS}) as (endpoint, bridge):
        await _call_concurrently(bridge)
        endpoint.revoke_tokens()
        before = len(endpoint.requests)
        failed = await _call_concurrently(bridge)
        rejected = len(endpoint.requests) - before, failed
    return [
        _figure(f"{CALLS} cold calls: upgrades", cold),
        _figure(f"{CALLS} calls wait for a token: token requests", waiting),
        expiring,
        _figure(f"{CALLS} calls with a token that is rejected: token requests", rejected),
    ]


def _figure(what: str, counted: tuple[int, int]) -> Figure:
    return Figure("T11", f"{what}, failed calls", f"{counted[0]}, {counted[1]}", "1, 0", counted == (1, 0))


async def _expiring(seconds: int) -> Figure:
    """Make calls that each need a connection; a token request within half a lifetime of the last one is redundant."""
    limits = {"max_connections": SETS}
    async with _environment(SHORT_LIFETIME, token=True, keep_alive=False, limits=limits) as (endpoint, bridge):
        until = time.monotonic() + seconds
        rounds = failed = 0
        while time.monotonic() < until:
            failed += await _call_concurrently(bridge)
            rounds += 1
    gaps = [later - earlier for earlier, later in zip(endpoint.requests, endpoint.requests[1:], strict=False)]
    early = sum(gap < SHORT_LIFETIME / 2 for gap in gaps)
    what = f"{rounds * CALLS} calls over {len(endpoint.requests)} tokens that expire: redundant token requests"
    met = not early and not failed and len(gaps) >= 2
    return Figure("T11", f"{what}, failed calls", f"{early}, {failed}", "0, 0", met)


async def _call_concurrently(bridge: Bridge) -> int:
    """Start CALLS calls at once and return the number of failures."""
    return sum(await asyncio.gather(*(_fails(bridge, number) for number in range(CALLS))))


async def _fails(bridge: Bridge, number: int) -> bool:
    arguments = {"n": number, "set": str(number % SETS)}
    try:
        result = await bridge.call_tool("m.t", arguments)
    except BridgeError:
        return True
    return bool(result["n"] != number)


if __name__ == "__main__":
    run(measure)
