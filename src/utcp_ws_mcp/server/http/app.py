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

from ..sdk_server import SdkServer
from .config import HttpListener
from .security import (
    CORS_PREFLIGHT_HEADERS,
    Headers,
    HttpAccessPolicy,
    Rejection,
    check_method_and_content_type,
    cors_headers,
    is_preflight,
    rejection_headers,
)

MCP_PATH: Final = "/mcp"
MCP_METHODS: Final = ("POST", "GET", "DELETE")
TEXT_ROUTE_METHODS: Final = ("GET", "HEAD")
GRACEFUL_SHUTDOWN_TIMEOUT: Final = 10
"""Seconds that running calls have to end after a signal."""

KEEP_ALIVE_TIMEOUT: Final = 75
"""Seconds that idle connections stay open: longer than nginx keeps its own, lest it send into one that closes."""

MAX_CONNECTIONS: Final = 2000
"""Connections and requests at once; what is beyond gets 503."""

AsgiScope = MutableMapping[str, Any]
AsgiReceive = Callable[[], Awaitable[MutableMapping[str, Any]]]
AsgiSend = Callable[[MutableMapping[str, Any]], Awaitable[None]]
TextRoute = Callable[[], str]


class HttpApp:
    """The ASGI application: `/mcp`, `/healthz`, and `pages` by path.

    Health is told to everybody. Pages want the token, unless they are on loopback, where `open_pages` says so.
    """

    def __init__(
        self,
        manager: StreamableHTTPSessionManager,
        access_policy: HttpAccessPolicy,
        routes: Mapping[str, TextRoute],
        *,
        routes_public: bool,
    ) -> None:
        self._manager = manager
        self._access_policy = access_policy
        self._routes = routes
        self._routes_public = routes_public
        self._event_streams: set[anyio.CancelScope] = set()

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Serve one request."""
        method, headers = scope["method"], scope["headers"]
        if scope["path"] == "/healthz":
            await self._serve_text_route(scope, lambda: "ok\n", send)
        elif refusal := self._access_policy.check_host_and_origin(headers):
            await _send_rejection(refusal, send)
        elif is_preflight(method, headers):
            await _send_text(_with_cors_headers(headers, send), 200, "", CORS_PREFLIGHT_HEADERS)
        else:
            await self._route(scope, receive, _with_cors_headers(headers, send))

    async def _route(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        method, path, headers = scope["method"], scope["path"], scope["headers"]
        if path in self._routes and self._routes_public:
            await self._serve_text_route(scope, self._routes[path], send)
        elif refusal := self._access_policy.check_token(headers):
            await _send_rejection(refusal, send)
        elif path in self._routes:
            await self._serve_text_route(scope, self._routes[path], send)
        elif path != MCP_PATH:
            await _send_rejection(Rejection(404, f"MCP is served at {MCP_PATH}"), send)
        elif refusal := check_method_and_content_type(method, headers, MCP_METHODS):
            await _send_rejection(refusal, send, MCP_METHODS)
        elif method == "GET":
            await self._serve_event_stream(scope, receive, send)
        else:
            await self._manager.handle_request(scope, receive, send)

    def close_event_streams(self) -> None:
        """End the streams that clients hold open to be told of changes; they would never end by themselves."""
        for scope in self._event_streams:
            scope.cancel()

    async def _serve_event_stream(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        with anyio.CancelScope() as standing:
            self._event_streams.add(standing)
            try:
                await self._manager.handle_request(scope, receive, send)
            finally:
                self._event_streams.discard(standing)
        if standing.cancelled_caught:
            await send({"type": "http.response.body", "body": b""})

    async def _serve_text_route(self, scope: AsgiScope, route: TextRoute, send: AsgiSend) -> None:
        if refusal := check_method_and_content_type(scope["method"], scope["headers"], TEXT_ROUTE_METHODS):
            await _send_rejection(refusal, send, TEXT_ROUTE_METHODS)
        else:
            await _send_text(send, 200, route())


class _UvicornServer(uvicorn.Server):
    """uvicorn, told to stop by the first signal and to go at once by the second; it does not die of them."""

    def __init__(self, config: uvicorn.Config, on_shutdown: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_shutdown = on_shutdown

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
        self._on_shutdown()
        await super().shutdown(sockets)


async def run_http_server(
    sdk_server: SdkServer, listener: HttpListener, routes: Mapping[str, TextRoute], on_started: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT; then running calls have GRACE seconds to end. `started` gets the URL."""
    manager = StreamableHTTPSessionManager(
        sdk_server.server,
        stateless=listener.stateless,
        max_sessions=listener.max_sessions,
        # The front has checked both headers, and more strictly.
        security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    app = HttpApp(manager, listener.access_policy, routes, routes_public=listener.is_loopback)

    def stop() -> None:
        sdk_server.close_streams()
        app.close_event_streams()

    async with manager.run():
        on_started(f"{listener.url}{MCP_PATH}")
        await _UvicornServer(_uvicorn_config(app), stop).serve([listener.sock])


def _uvicorn_config(app: HttpApp) -> uvicorn.Config:
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
        timeout_keep_alive=KEEP_ALIVE_TIMEOUT,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_TIMEOUT,
    )


def _with_cors_headers(headers: Headers, send: AsgiSend) -> AsgiSend:
    """`send`, for a web page where one asks."""
    sharing = cors_headers(headers)
    if not sharing:
        return send

    async def send_shared(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *sharing]}
        await send(message)

    return send_shared


async def _send_rejection(rejection: Rejection, send: AsgiSend, allowed_methods: tuple[str, ...] = ()) -> None:
    await _send_text(send, rejection.status, f"{rejection.detail}\n", rejection_headers(rejection, allowed_methods))


async def _send_text(send: AsgiSend, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
    body = text.encode()
    named = {
        "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    encoded = [(name.lower().encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
