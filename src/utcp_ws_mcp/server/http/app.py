"""MCP over streamable HTTP: the ASGI application, and uvicorn, which runs it until a signal.

starlette routes the paths and answers CORS; the checks of `security` surround it. Requests of 2026-07-28 are
self-contained, so any replica can answer them. Clients of the handshake revisions get a session, unless the server is
stateless.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

import anyio
import uvicorn
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ...observability.metrics import PROMETHEUS_MEDIA_TYPE, PrometheusRegistry
from ...records import Record, replace
from ..auth.access import CALLER_KEY, Caller
from ..auth.caller_variables import CallerVariables
from ..auth.identity import Identity
from ..auth.resource_server import ResourceServer
from ..auth.step_up import called_tools, check_scopes
from ..guard import GuardMiddleware
from ..jsonrpc import error_response, read_message
from ..sdk_server import SdkServer
from ..stdio.protocol_versions import INVALID_REQUEST
from ..tools import ToolService
from .batch import messages_of_batch, serve_batch
from .body import MAX_BODY_SIZE, read_body, replay
from .config import HttpListener
from .connections import ACCEPT_BACKLOG, ConnectionLimits, max_connections, report_accept_failures
from .fast_connection import CheckCalls, FastLane, FastProtocol, Identify
from .fast_path import HttpFastPath
from .fast_response import HeaderPairs
from .graceful import GracefulServer
from .security import (
    Headers,
    HttpAccessPolicy,
    Rejection,
    check_method_and_content_type,
    rejection_headers,
)

MCP_PATH: Final = "/mcp"
MCP_METHODS: Final = ("POST", "GET", "DELETE")
HEALTH_PATH: Final = "/healthz"
READY_PATH: Final = "/readyz"
CORS_REQUEST_HEADERS: Final = (
    "Authorization",
    "Content-Type",
    "Accept",
    "Last-Event-ID",
    "Mcp-Session-Id",
    "MCP-Protocol-Version",
    "Mcp-Method",
    "Mcp-Name",
)
"""Headers that web pages of an allowed origin may send."""

CORS_EXPOSED_HEADERS: Final = ("Mcp-Session-Id", "WWW-Authenticate")
CORS_MAX_AGE: Final = 7200
"""Seconds that a browser may cache the answer to a preflight request."""

GRACEFUL_SHUTDOWN_TIMEOUT: Final = 10
"""Seconds that running calls have to finish after a signal."""


class TextRoute(Record):
    """A page of text, rendered for each request. Its status is 503 as long as it is not available."""

    render: Callable[[], str]
    media_type: str = "text/plain"
    is_available: Callable[[], bool] = lambda: True


def metrics_routes(registry: PrometheusRegistry) -> dict[str, TextRoute]:
    """Return the page of metrics. Its media type has the version of the format, which Prometheus reads."""
    return {"/metrics": TextRoute(registry.render, PROMETHEUS_MEDIA_TYPE)}


class McpEndpoint:
    """The ASGI application at `/mcp`: checks method and content type; the SDK answers."""

    def __init__(self, manager: StreamableHTTPSessionManager, check_calls: CheckCalls | None = None) -> None:
        """Serve with the sessions of a manager; `check_calls` may reject calls before anything runs."""
        self._manager = manager
        self._check_calls = check_calls
        self._event_streams: set[anyio.CancelScope] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        rejection = check_method_and_content_type(scope["method"], scope["headers"], MCP_METHODS)
        if rejection is not None:
            await _rejection_response(rejection, MCP_METHODS)(scope, receive, send)
        elif scope["method"] == "GET":
            await self._serve_event_stream(scope, receive, send)
        elif scope["method"] == "POST":
            await self._serve_messages(scope, receive, send)
        else:
            await self._manager.handle_request(scope, receive, send)

    async def _serve_messages(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        if isinstance(body, Rejection):
            # As JSON-RPC, so that a client shows the reason instead of the status.
            text = error_response(INVALID_REQUEST, body.detail)
            await Response(text, body.status, media_type="application/json")(scope, receive, send)
            return
        if body is None:
            return
        if (rejection := self._check(body, scope)) is not None:
            await _rejection_response(rejection)(scope, receive, send)
        elif (batch := messages_of_batch(body, scope["headers"])) is not None:
            await serve_batch(*batch, self._manager.handle_request, scope, receive, send)
        else:
            await self._serve_with_sdk(body, scope, receive, send)

    async def _serve_with_sdk(self, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            read_message(body)
        except ValueError as invalid:
            # The SDK would answer with the code of invalid parameters, and a list of what pydantic found.
            await Response(str(invalid), 400, media_type="application/json")(scope, receive, send)
        else:
            await self._manager.handle_request(scope, replay(body, receive), send)

    def _check(self, body: bytes, scope: Scope) -> Rejection | None:
        """Return why a call is rejected, with the challenge that lets a client ask for the scope that it needs."""
        caller = scope.get(CALLER_KEY)
        if self._check_calls is None or caller is None:
            return None
        return self._check_calls(called_tools(body), caller)

    def close_event_streams(self) -> None:
        """End the event streams that clients hold open for notifications; they have no end of their own."""
        for cancel_scope in self._event_streams:
            cancel_scope.cancel()

    async def _serve_event_stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        with anyio.CancelScope() as cancel_scope:
            self._event_streams.add(cancel_scope)
            try:
                await self._manager.handle_request(scope, receive, send)
            finally:
                self._event_streams.discard(cancel_scope)
        if cancel_scope.cancelled_caught:
            # Without a last chunk, the client would see a broken connection instead of the end of the stream.
            await send({"type": "http.response.body", "body": b""})


class CallerMiddleware:
    """Says who sent a request to the path of MCP: by an access token, and by the headers with values of its own.

    The SDK gets the subject of the token: a session belongs to its creator.
    """

    def __init__(self, app: ASGIApp, identify: Identify) -> None:
        self._app = app
        self._identify = identify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or reject one request."""
        if scope["path"] != MCP_PATH:
            await self._app(scope, receive, send)
            return
        caller = await self._identify(scope["headers"])
        if isinstance(caller, Rejection):
            await _rejection_response(caller)(scope, receive, send)
            return
        user = {} if caller.identity is None else {"user": _sdk_user(caller.identity)}
        await self._app({**scope, CALLER_KEY: caller, **user}, receive, send)


def make_identification(resource_server: ResourceServer | None, variables: CallerVariables | None) -> Identify | None:
    """Return the function that says who sent a request; None if all requests have the same caller."""
    if resource_server is None and variables is None:
        return None

    async def identify(headers: Headers) -> Caller | Rejection:
        caller: Caller | Rejection = Caller(None, None)
        if resource_server is not None:
            caller = await resource_server.authenticate(headers)
        if variables is None or isinstance(caller, Rejection):
            return caller
        return replace(caller, given=variables.read(headers))

    return identify


def _sdk_user(identity: Identity) -> AuthenticatedUser:
    """Return an identity as the SDK knows it, without the token."""
    return AuthenticatedUser(
        AccessToken(
            token="",
            client_id=identity.client,
            scopes=sorted(identity.scopes),
            subject=identity.subject,
            claims={"iss": identity.issuer},
        )
    )


class AccessMiddleware:
    """Rejects requests for which `check` returns a rejection, except on the paths in `exempt`."""

    def __init__(
        self, app: ASGIApp, check: Callable[[Headers], Rejection | None], exempt: frozenset[str] = frozenset()
    ) -> None:
        self._app = app
        self._check = check
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or reject one request."""
        rejection = None if scope["path"] in self._exempt else self._check(scope["headers"])
        app = self._app if rejection is None else _rejection_response(rejection)
        await app(scope, receive, send)


def make_app(
    endpoint: ASGIApp,
    policy: HttpAccessPolicy,
    routes: Mapping[str, TextRoute],
    *,
    routes_public: bool,
    resource_server: ResourceServer | None = None,
    is_ready: Callable[[], bool] = lambda: True,
    caller_variables: CallerVariables | None = None,
) -> ASGIApp:
    """Return the ASGI application with `/mcp`, `/healthz`, `/readyz` and `routes` by path.

    The probes need no Host and no token: load balancers know neither. Routes need the token unless `routes_public`.
    With a resource server, `/mcp` needs its access tokens instead of the token, its metadata is public, and routes
    that nothing would protect are not served. `caller_variables` are the headers with values of callers.
    """
    metadata: Mapping[str, TextRoute] = {}
    if resource_server is not None:
        page = TextRoute(partial(json.dumps, resource_server.metadata()), "application/json")
        metadata = dict.fromkeys(resource_server.metadata_paths, page)
        routes = routes if routes_public or policy.token is not None else {}
    ready = TextRoute(lambda: "ready\n" if is_ready() else "waits for manuals\n", is_available=is_ready)
    pages = {HEALTH_PATH: TextRoute(lambda: "ok\n"), READY_PATH: ready, **routes, **metadata}
    router = Router(
        [
            Route(MCP_PATH, endpoint),
            *(Route(path, _text_endpoint(page), methods=["GET"]) for path, page in pages.items()),
        ],
        redirect_slashes=False,  # a redirect would be followed without the token
        default=_rejection_response(Rejection(404, f"MCP is served at {MCP_PATH}")),
    )
    probes = frozenset({HEALTH_PATH, READY_PATH})
    public = frozenset({*probes, *metadata, *((MCP_PATH,) if metadata else ()), *(routes if routes_public else ())})
    # CORS is between the two checks. A preflight request has no token, and a web page must be able to read a 401.
    identify = make_identification(resource_server, caller_variables)
    app: ASGIApp = router if identify is None else CallerMiddleware(router, identify)
    app = AccessMiddleware(app, policy.check_token, public)
    app = CORSMiddleware(
        app,
        allow_origin_regex=".*",  # `check_host_and_origin` has rejected all others, and compares more strictly
        allow_methods=MCP_METHODS,
        allow_headers=(*CORS_REQUEST_HEADERS, *(caller_variables.headers.values() if caller_variables else ())),
        expose_headers=CORS_EXPOSED_HEADERS,
        max_age=CORS_MAX_AGE,
    )
    return AccessMiddleware(app, policy.check_host_and_origin, probes)


def cors_headers(origin: bytes) -> HeaderPairs:
    """Return the headers that let a web page of an origin read a response, as starlette adds them."""
    return (
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", ", ".join(CORS_EXPOSED_HEADERS).encode()),
        (b"vary", b"Origin"),
    )


def _text_endpoint(page: TextRoute) -> Callable[[Request], Awaitable[Response]]:
    async def respond(_: Request) -> Response:  # async: starlette would run a function in a thread
        available = page.is_available()
        return Response(page.render(), 200 if available else 503, media_type=page.media_type)

    return respond


def _rejection_response(rejection: Rejection, allowed_methods: tuple[str, ...] = ()) -> Response:
    headers = rejection_headers(rejection, allowed_methods)
    return PlainTextResponse(f"{rejection.detail}\n", rejection.status, headers)


async def run_http_server(
    sdk_server: SdkServer,
    listener: HttpListener,
    routes: Mapping[str, TextRoute],
    on_started: Callable[[str], None],
    resource_server: ResourceServer | None = None,
    *,
    fast_path: bool = True,
) -> None:
    """Serve until SIGTERM or SIGINT; running calls then have GRACEFUL_SHUTDOWN_TIMEOUT seconds to finish.

    `on_started` gets the URL of MCP. With a resource server, clients need its access tokens. Without
    `fast_path`, the SDK answers everything.
    """
    manager = _make_manager(sdk_server, listener)
    check_calls = partial(check_scopes, sdk_server.tools, resource_server) if resource_server is not None else None
    endpoint = McpEndpoint(manager, check_calls)
    app = make_app(
        endpoint,
        listener.access_policy,
        routes,
        routes_public=listener.is_loopback,
        resource_server=resource_server,
        is_ready=sdk_server.tools.is_ready,
        caller_variables=listener.caller_variables,
    )

    def stop() -> None:
        sdk_server.close_streams()
        endpoint.close_event_streams()

    report_accept_failures(asyncio.get_running_loop())
    async with manager.run(), anyio.create_task_group() as tasks:
        if resource_server is not None:
            tasks.start_soon(resource_server.keys.run)
        on_started(f"{listener.url}{MCP_PATH}")
        lane = _make_fast_lane(sdk_server.tools, listener, resource_server, check_calls) if fast_path else None
        config = _uvicorn_config(GuardMiddleware(app, sdk_server.guard), lane)
        await GracefulServer(config, stop).serve([listener.sock])
        tasks.cancel_scope.cancel()


def _make_manager(sdk_server: SdkServer, listener: HttpListener) -> StreamableHTTPSessionManager:
    return StreamableHTTPSessionManager(
        sdk_server.server,
        stateless=listener.stateless,
        max_sessions=listener.max_sessions,
        max_request_body_size=MAX_BODY_SIZE,
        # HttpAccessPolicy has checked both headers, and more strictly.
        security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )


def _make_fast_lane(
    tools: ToolService,
    listener: HttpListener,
    resource_server: ResourceServer | None,
    check_calls: CheckCalls | None,
) -> FastLane:
    return FastLane(
        HttpFastPath(tools),
        MCP_PATH,
        listener.access_policy,
        needs_token=resource_server is None,
        cors_headers=cors_headers,
        identify=make_identification(resource_server, listener.caller_variables),
        check_calls=check_calls,
    )


def _uvicorn_config(app: Any, lane: FastLane | None) -> uvicorn.Config:
    limit = max_connections()
    limits = ConnectionLimits(limit, asyncio.get_running_loop().time)
    return uvicorn.Config(
        app,
        http=partial(FastProtocol, limits=limits, lane=lane),  # type: ignore[arg-type]  # called like a class
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limit + 1,  # requests: `limits` has limited the connections
        backlog=ACCEPT_BACKLOG,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_TIMEOUT,
    )
