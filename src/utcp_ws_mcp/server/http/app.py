"""MCP over streamable HTTP: the application behind the front, and the server that runs it until a signal.

Requests of 2026-07-28 stand alone, so that any replica can answer them. Clients of the handshake revisions get a
session, or with `stateless` none.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import anyio
import uvicorn
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings

from ..sdk_server import Face
from .config import Door
from .security import PREFLIGHT, Front, Headers, Refusal, is_preflight, refusal_headers, sharing_headers, wrong_form

ENDPOINT: Final = "/mcp"
METHODS: Final = ("POST", "GET", "DELETE")
PAGE_METHODS: Final = ("GET", "HEAD")
GRACE: Final = 10
"""Seconds that running calls have to end after a signal."""

KEEP_ALIVE: Final = 75
"""Seconds that idle connections stay open: longer than nginx keeps its own, lest it send into one that closes."""

MAX_CONNECTIONS: Final = 2000
"""Connections and requests at once; what is beyond gets 503."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Page = Callable[[], str]


class HttpApp:
    """The ASGI application: `/mcp`, `/healthz`, and `pages` by path.

    Health is told to everybody. Pages want the token, unless they are on loopback, where `open_pages` says so.
    """

    def __init__(
        self, manager: StreamableHTTPSessionManager, front: Front, pages: Mapping[str, Page], *, open_pages: bool
    ) -> None:
        self._manager = manager
        self._front = front
        self._pages = pages
        self._open_pages = open_pages
        self._standing: set[anyio.CancelScope] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        method, headers = scope["method"], scope["headers"]
        if scope["path"] == "/healthz":
            await self._answer_page(scope, lambda: "ok\n", send)
        elif refusal := self._front.stranger(headers):
            await _refuse(refusal, send)
        elif is_preflight(method, headers):
            await _send_text(_shared(headers, send), 200, "", PREFLIGHT)
        else:
            await self._let_in(scope, receive, _shared(headers, send))

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path, headers = scope["method"], scope["path"], scope["headers"]
        if path in self._pages and self._open_pages:
            await self._answer_page(scope, self._pages[path], send)
        elif refusal := self._front.unauthorised(headers):
            await _refuse(refusal, send)
        elif path in self._pages:
            await self._answer_page(scope, self._pages[path], send)
        elif path != ENDPOINT:
            await _refuse(Refusal(404, f"MCP is served at {ENDPOINT}"), send)
        elif refusal := wrong_form(method, headers, METHODS):
            await _refuse(refusal, send, METHODS)
        elif method == "GET":
            await self._stand(scope, receive, send)
        else:
            await self._manager.handle_request(scope, receive, send)

    def end_standing(self) -> None:
        """End the streams that clients hold open to be told of changes; they would never end by themselves."""
        for scope in self._standing:
            scope.cancel()

    async def _stand(self, scope: Scope, receive: Receive, send: Send) -> None:
        with anyio.CancelScope() as standing:
            self._standing.add(standing)
            try:
                await self._manager.handle_request(scope, receive, send)
            finally:
                self._standing.discard(standing)
        if standing.cancelled_caught:
            await send({"type": "http.response.body", "body": b""})

    async def _answer_page(self, scope: Scope, page: Page, send: Send) -> None:
        if refusal := wrong_form(scope["method"], scope["headers"], PAGE_METHODS):
            await _refuse(refusal, send, PAGE_METHODS)
        else:
            await _send_text(send, 200, page())


class _Server(uvicorn.Server):
    """uvicorn, told to stop by the first signal and to go at once by the second; it does not die of them."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: Any = None) -> None:
        self._stop()
        await super().shutdown(sockets)


async def serve_face(face: Face, door: Door, pages: Mapping[str, Page], started: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; then running calls have GRACE seconds to end. `started` gets the URL."""
    manager = StreamableHTTPSessionManager(
        face.server,
        stateless=door.stateless,
        max_sessions=door.max_sessions,
        # The front has checked both headers, and more strictly.
        security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    app = HttpApp(manager, door.front, pages, open_pages=door.is_loopback)

    def stop() -> None:
        face.close_streams()
        app.end_standing()

    async with manager.run():
        started(f"{door.url}{ENDPOINT}")
        await _Server(_configure(app), stop).serve([door.listener])


def _configure(app: HttpApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )


def _shared(headers: Headers, send: Send) -> Send:
    """`send`, for a web page where one asks."""
    sharing = sharing_headers(headers)
    if not sharing:
        return send

    async def send_shared(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *sharing]}
        await send(message)

    return send_shared


async def _refuse(refusal: Refusal, send: Send, methods: tuple[str, ...] = ()) -> None:
    await _send_text(send, refusal.status, f"{refusal.why}\n", refusal_headers(refusal, methods))


async def _send_text(send: Send, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
    body = text.encode()
    named = {
        "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    encoded = [(name.lower().encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
