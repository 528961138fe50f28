"""From an upgrade to a connection that is ready for requests: address, token, TLS, the upgrade, the login steps."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import anyio

from ..core.codecs.framing import make_framer
from ..core.exchange.connection_state import ConnectionState
from ..core.exchange.dispatcher import Dispatcher
from ..core.expressions.scope import Ambient, Scope
from ..core.handshake_request import HandshakeRequest
from ..core.templates.nodes import RenderError
from ..errors import ConnectError, HandshakeRejected, InvalidTemplate
from ..manifest.models.auth import OAuth2Auth
from ..observability import events
from ..observability.events import Observer
from . import websocket
from .connection import Connection
from .dial import Resolver, open_socket, open_through_proxy, resolve
from .login import fetched_credentials, run_before_connect, run_on_connect
from .oauth import TokenCache


class Connector:
    """Opens connections for a pool. `clock` gives monotonic seconds; with `explain` observers hear Explained too."""

    def __init__(
        self,
        ambient: Ambient,
        clock: Callable[[], float],
        resolver: Resolver,
        observe: Observer,
        *,
        trace_rules: bool = False,
        on_token: Callable[[str], None] = lambda token: None,
    ) -> None:
        self._ambient = ambient
        self._clock = clock
        self._resolver = resolver
        self._observe = observe
        self._trace_rules = trace_rules
        self._on_token = on_token
        self._token_cache = TokenCache(clock, resolver, on_token)
        self._ssl_contexts: dict[object, ssl.SSLContext] = {}

    async def __call__(self, upgrade: HandshakeRequest, arguments: dict[str, Any]) -> Connection:
        """Open a connection: `limits.connect_timeout` seconds for the upgrade, and for each login step its own.

        Raises:
            NetworkError, PolicyError, InvalidTemplate: with the reason.
        """
        started = self._clock()
        session = ConnectionState(upgrade.connection_rules, self._ambient, {}, arguments)
        await run_before_connect(upgrade, session, self._resolver, self._observe, partial(self._ssl_context, upgrade))
        for credential in fetched_credentials(session):
            self._on_token(credential)
        upgrade = self._render_deferred(upgrade, session)
        opened = await self._connect_with_timeout(upgrade)
        opened.session = session
        session.on_send_failed = opened.dispatcher.on_send_failed = opened.on_send_failed
        opened.dispatcher.inbox = session.make_inbox()
        opened.trace_rules = self._trace_rules
        try:
            await run_on_connect(opened)
        except BaseException:
            if upgrade.connection_rules.on_disconnect:
                await opened.aclose()
            opened.abort()
            raise
        self._observe(events.ConnectionOpened(upgrade.manual, upgrade.address, self._clock() - started))
        return opened

    def _render_deferred(self, upgrade: HandshakeRequest, session: ConnectionState) -> HandshakeRequest:
        """The upgrade with what `before_connect` brought filled in."""
        if upgrade.deferred is None:
            return upgrade
        try:
            scope: Scope = session.scope().with_frozen_time()
            url, headers, subprotocols = upgrade.deferred.render_parts(scope)
        except RenderError as unfilled:
            raise InvalidTemplate(f"{upgrade.manual}: {unfilled}") from None
        return replace(upgrade, url=url, headers=headers, subprotocols=subprotocols, deferred=None)

    async def _connect_with_timeout(self, upgrade: HandshakeRequest) -> Connection:
        limit = upgrade.template.limits.connect_timeout
        reached: list[str] = []
        try:
            with anyio.fail_after(limit):
                return await self._connect_with_auth(upgrade, reached.append)
        except TimeoutError:
            why = reached[-1] if reached else "no answer"
            raise ConnectError(upgrade.address, f"{why} within {limit:g} s") from None

    async def _connect_with_auth(self, upgrade: HandshakeRequest, report_stage: Callable[[str], None]) -> Connection:
        """Open with a token where one is needed; a token that the endpoint rejects is fetched anew, once."""
        auth = upgrade.template.auth
        if not isinstance(auth, OAuth2Auth):
            return await self._connect(upgrade, None, report_stage)
        token = await self._get_token(upgrade, auth)
        try:
            return await self._connect(upgrade, token, report_stage)
        except HandshakeRejected as rejected:
            if rejected.status != 401:
                raise
        self._token_cache.invalidate(auth, token)
        return await self._connect(upgrade, await self._get_token(upgrade, auth), report_stage)

    async def _get_token(self, upgrade: HandshakeRequest, auth: OAuth2Auth) -> str:
        template = upgrade.template
        return await self._token_cache.get(auth, template.network, template.limits.connect_timeout)

    async def _connect(
        self, upgrade: HandshakeRequest, token: str | None, report_stage: Callable[[str], None]
    ) -> Connection:
        assert upgrade.url is not None
        template, url = upgrade.template, upgrade.url
        target, headers = upgrade.target(), upgrade.headers_with_auth(token)
        tls = self._ssl_context(upgrade) if url.secure else None
        if template.proxy:
            connected = await open_through_proxy(url, template.proxy)
        else:
            connected = await open_socket(url, await resolve(url, template.network, self._resolver))
        report_stage('the port is open, but the upgrade was not answered (some servers want an "Origin" header)')
        asked = websocket.OpeningHandshake(url, target, headers, upgrade.subprotocols, template.limits, tls)
        upgraded = await websocket.open_websocket(asked, connected, self._ambient.redact)
        framer = make_framer(upgrade.connection_rules.framing, upgrade.connection_rules.send_as)
        opened = Connection(upgrade.manual, url.address, upgraded, framer, self._observe)
        opened.dispatcher = Dispatcher(template.request_id, self._ambient.uuid)
        return opened

    def _ssl_context(self, upgrade: HandshakeRequest) -> ssl.SSLContext:
        key = (upgrade.template.tls, upgrade.folder)
        if key not in self._ssl_contexts:
            self._ssl_contexts[key] = _make_ssl_context(upgrade)
        return self._ssl_contexts[key]


def _make_ssl_context(upgrade: HandshakeRequest) -> ssl.SSLContext:
    tls, folder = upgrade.template.tls, upgrade.folder
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if tls.ca_file:
            context.load_verify_locations(folder / tls.ca_file)
        if tls.client_cert:
            context.load_cert_chain(folder / tls.client_cert, folder / tls.client_key if tls.client_key else None)
    except (OSError, ssl.SSLError) as failed:
        reason = getattr(failed, "strerror", None) or "it is no certificate in PEM form"
        raise InvalidTemplate(f"{upgrade.manual}: tls: a certificate file cannot be used: {reason}") from failed
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
