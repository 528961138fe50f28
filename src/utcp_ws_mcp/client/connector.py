"""Open connections: `before_connect`, address, token, TLS, opening handshake, login."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import anyio

from ..core.codecs.framing import make_framer
from ..core.exchange.connection_state import ConnectionState
from ..core.exchange.dispatcher import Dispatcher
from ..core.expressions.scope import Ambient, Scope
from ..core.handshake_request import HandshakeRequest
from ..core.query_template import check_new
from ..core.templates.nodes import RenderError
from ..errors import ConnectError, HandshakeRejected, InvalidTemplate, end_sentence
from ..manifest.models.auth import OAuth2Auth
from ..observability import events
from ..observability.events import Observer
from ..records import replace
from .connection import Connection
from .dial import Resolver, open_socket, resolve
from .handshake import open_websocket
from .http_steps import HttpStepRunner
from .login import run_before_connect, run_on_connect
from .oauth import TokenCache, TokenStore
from .resolver import SystemResolvers
from .tls import make_ssl_context
from .websocket import WebSocket

TokenCallback = Callable[[str, Iterable[str], int], None]

_NO_ANSWER: Final = "no answer", "Check the host and the port, and whether a firewall blocks the connection."
_NO_UPGRADE: Final = (
    "the port is open, but the upgrade was not answered",
    'Check the URL; some servers answer only requests with an "Origin" header.',
)
_NO_TLS: Final = (
    "the port is open, but TLS was not answered",
    "Check the port, and whether the server speaks plain text there (ws://).",
)
"""How far an attempt to connect got before its timeout, and what to check."""


class Connector:
    """Open connections for the pools of a bridge.

    Args:
        ambient: Time and randomness for templates.
        clock: Returns monotonic seconds.
        resolver: Resolves the hosts of endpoints; None: the operating system, in threads of each endpoint's own.
        observe: Gets the events of connections.
        trace_rules: Whether events explain which rule decided.
        on_tokens: Gets the manual, the credentials that a login fetched, and how many connections the manual can have,
            so that logs and errors can hide them.
        token_store: Where replicas share tokens; None: this process has its own.
    """

    def __init__(
        self,
        ambient: Ambient,
        clock: Callable[[], float],
        resolver: Resolver | None,
        observe: Observer,
        *,
        trace_rules: bool = False,
        on_tokens: TokenCallback = lambda manual, tokens, connections: None,
        token_store: TokenStore | None = None,
    ) -> None:
        self._ambient = ambient
        self._clock = clock
        self._resolver_for: Callable[[str], Resolver] = SystemResolvers() if resolver is None else lambda _: resolver
        self._observe = observe
        self._trace_rules = trace_rules
        self._on_tokens = on_tokens
        self._token_cache = TokenCache(clock, ambient.now, token_store)
        self._ssl_contexts: dict[object, ssl.SSLContext] = {}
        self._refusing_pings: set[str] = set()
        self._failed_predicates: set[tuple[str, str]] = set()

    async def __call__(
        self,
        request: HandshakeRequest,
        arguments: dict[str, Any],
        on_draining: Callable[[], None] = lambda: None,
    ) -> Connection:
        """Open a connection that is ready for requests.

        The opening handshake has `limits.connect_timeout` seconds, each login step its own `timeout`.

        Args:
            request: The opening handshake.
            arguments: The arguments of the call that needs the connection.
            on_draining: Called when the connection is of no use for further calls.

        Raises:
            NetworkError, PolicyError, InvalidTemplate: with the reason.
        """
        started = self._clock()
        state = ConnectionState(
            request.connection_rules,
            self._ambient,
            {},
            arguments,
            partial(self._report_unsent, request.manual),
            partial(self._report_failed_predicate, request.manual),
        )
        await run_before_connect(request.manual, state, self._http_steps(request))
        request = self._render_deferred(request, state)
        if self._trace_rules:
            self._explain_query(request)
        # Before the handshake: a codec whose package is missing needs no connection to be reported.
        rules = request.connection_rules
        max_bytes = request.template.limits.max_message_bytes
        framer = make_framer(rules.framing, rules.send_as, max_bytes=max_bytes, schema=rules.schema)
        websocket = await self._connect_with_timeout(request)
        connection = Connection(
            request.manual,
            request.address,
            websocket,
            framer,
            state,
            Dispatcher(request.template.request_id, self._ambient.uuid, state.on_send_failed),
            self._observe,
            on_draining,
            self._http_steps(request),
            on_refused_pings=partial(self._report_refused_pings, request),
            trace_rules=self._trace_rules,
        )
        await self._log_in(connection)
        self._observe(events.ConnectionOpened(request.manual, request.address, self._clock() - started))
        return connection

    def _explain_query(self, request: HandshakeRequest) -> None:
        """Report the query parameters of the URL; a credential of `auth` is not among them."""
        from ..core.exchange.trace import explain_query  # only for --trace

        url = request.url.query if request.url is not None else ""
        query = "&".join(filter(None, (url, request.parameters)))
        if lines := explain_query("query", query, self._ambient.redact):
            self._observe(events.MatchExplained(request.manual, lines))

    def _http_steps(self, request: HandshakeRequest) -> HttpStepRunner:
        resolver, get_ssl_context = self._resolver_for(request.manual), partial(self._ssl_context, request)
        return HttpStepRunner(
            request,
            resolver,
            self._observe,
            get_ssl_context,
            partial(self._learn, request),
            trace_rules=self._trace_rules,
        )

    async def _log_in(self, connection: Connection) -> None:
        try:
            await run_on_connect(connection, connection.http)
        except BaseException:
            # A server that counts sessions may have opened one before the login failed.
            if connection.state.rules.on_disconnect:
                await connection.aclose()
            connection.abort()
            raise

    def _report_unsent(self, manual: str, purpose: str, reason: str) -> None:
        self._observe(events.MessageSendFailed(manual, purpose, reason))

    def _report_failed_predicate(self, manual: str, field: str, reason: str) -> None:
        """Report, once for each field of a manual: it may fail on every message."""
        if (manual, field) not in self._failed_predicates:
            self._failed_predicates.add((manual, field))
            self._observe(events.PredicateFailed(manual, field, reason))

    def _report_refused_pings(self, request: HandshakeRequest, reason: str) -> None:
        """Warn, once for each manual: without this its calls silently use one connection each."""
        if request.manual in self._refusing_pings:
            return
        self._refusing_pings.add(request.manual)
        fix = 'If it does not accept the pings between calls, set "limits": {"ping_interval": 0} in the call template.'
        self._observe(events.WarningIssued(f"{request.manual}: {request.address}: {end_sentence(reason)} {fix}"))

    def _render_deferred(self, request: HandshakeRequest, state: ConnectionState) -> HandshakeRequest:
        """Return the handshake with what `before_connect` captured."""
        if request.deferred is None:
            return request
        try:
            scope: Scope = state.scope().with_frozen_time()
            url, headers, subprotocols = request.deferred.render_parts(scope)
            if request.parameters:
                check_new(request.parameters, url.target)
        except RenderError as error:
            raise InvalidTemplate(f"{request.manual}: {error}", code=error.code) from None
        return replace(request, url=url, headers=headers, subprotocols=subprotocols, deferred=None)

    async def _connect_with_timeout(self, request: HandshakeRequest) -> WebSocket:
        timeout = request.template.limits.connect_timeout
        stages: list[tuple[str, str]] = []
        try:
            with anyio.fail_after(timeout):
                return await self._connect_with_auth(request, stages.append)
        except TimeoutError:
            cause, fix = stages[-1] if stages else _NO_ANSWER
            raise ConnectError(
                request.address, f"{cause} within {timeout:g} s. {fix}", code="connect-timeout"
            ) from None

    async def _connect_with_auth(
        self, request: HandshakeRequest, report_stage: Callable[[tuple[str, str]], None]
    ) -> WebSocket:
        """Connect with a token where one is needed; one that the endpoint rejects is replaced once."""
        auth = request.template.auth
        if not isinstance(auth, OAuth2Auth):
            return await self._connect(request, None, report_stage)
        token = await self._get_token(request, auth)
        try:
            return await self._connect(request, token, report_stage)
        except HandshakeRejected as error:
            if error.status != 401:
                raise
        # An authorization server may revoke a token before the time that it announced.
        self._token_cache.invalidate(auth, token)
        return await self._connect(request, await self._get_token(request, auth), report_stage)

    async def _get_token(self, request: HandshakeRequest, auth: OAuth2Auth) -> str:
        template = request.template
        resolver, timeout = self._resolver_for(request.manual), template.limits.connect_timeout
        token = await self._token_cache.get(auth, template.network, resolver, timeout)
        self._learn(request, [token])
        return token

    def _learn(self, request: HandshakeRequest, tokens: Iterable[str]) -> None:
        self._on_tokens(request.manual, tokens, request.template.limits.max_connections)

    async def _connect(
        self, request: HandshakeRequest, token: str | None, report_stage: Callable[[tuple[str, str]], None]
    ) -> WebSocket:
        assert request.url is not None
        template, url = request.template, request.url
        # Whatever may not be sent is reported before anything is opened.
        headers = request.headers_with_auth(token)
        ssl_context = self._ssl_context(request) if url.secure else None
        resolver = self._resolver_for(request.manual)
        if template.proxy:
            from .proxy import open_through_proxy  # few endpoints are behind one

            sock = await open_through_proxy(url, template.proxy, template.network, resolver)
        else:
            sock = await open_socket(url, await resolve(url, template.network, resolver))
        report_stage(_NO_TLS if url.secure else _NO_UPGRADE)
        on_tls = partial(report_stage, _NO_UPGRADE)
        return await open_websocket(request, headers, sock, ssl_context, self._ambient, on_tls)

    def _ssl_context(self, request: HandshakeRequest) -> ssl.SSLContext:
        # Reading the certificates of the system takes longer than a handshake.
        key = (request.template.tls, request.folder)
        if key not in self._ssl_contexts:
            self._ssl_contexts[key] = make_ssl_context(request.manual, request.template.tls, request.folder)
        return self._ssl_contexts[key]
