"""From an upgrade to a connection that is ready for requests: address, token, TLS, the upgrade, the login steps."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import anyio

from ..core.codecs.framing import make_framer
from ..core.exchange.connection_state import Session
from ..core.exchange.dispatcher import Exchanges
from ..core.expressions.scope import Ambient, Scope
from ..core.handshake_request import Upgrade
from ..core.templates.nodes import Unfilled
from ..errors import ConnectFailed, HandshakeRejected, InvalidTemplate
from ..manifest.models.auth import OAuth2Auth
from ..observability import events
from ..observability.events import Observer
from . import websocket
from .connection import Connection
from .dial import Resolver, open_socket, open_through_proxy, resolve
from .login import ask_before, fetched_credentials, log_in
from .oauth import Tokens


class Opener:
    """Opens connections for a pool. `clock` gives monotonic seconds; with `explain` observers hear Explained too."""

    def __init__(
        self,
        ambient: Ambient,
        clock: Callable[[], float],
        resolver: Resolver,
        observe: Observer,
        *,
        explain: bool = False,
        on_token: Callable[[str], None] = lambda token: None,
    ) -> None:
        self._ambient = ambient
        self._clock = clock
        self._resolver = resolver
        self._observe = observe
        self._explain = explain
        self._on_token = on_token
        self._tokens = Tokens(clock, resolver, on_token)
        self._contexts: dict[object, ssl.SSLContext] = {}

    async def __call__(self, upgrade: Upgrade, arguments: dict[str, Any]) -> Connection:
        """Open a connection: `limits.connect_timeout` seconds for the upgrade, and for each login step its own.

        Raises:
            NetError, PolicyError, InvalidTemplate: with the reason.
        """
        started = self._clock()
        session = Session(upgrade.conduct, self._ambient, {}, arguments)
        await ask_before(upgrade, session, self._resolver, self._observe, partial(self._context, upgrade))
        for credential in fetched_credentials(session):
            self._on_token(credential)
        upgrade = self._finished(upgrade, session)
        opened = await self._upgraded(upgrade)
        opened.session = session
        session.unsent = opened.exchanges.unsent = opened.unsent
        opened.exchanges.inbox = session.inbox()
        opened.explains = self._explain
        try:
            await log_in(opened)
        except BaseException:
            if upgrade.conduct.goodbyes:
                await opened.aclose()
            opened.abort()
            raise
        self._observe(events.Opened(upgrade.manual, upgrade.address, self._clock() - started))
        return opened

    def _finished(self, upgrade: Upgrade, session: Session) -> Upgrade:
        """The upgrade with what `before_connect` brought filled in."""
        if upgrade.later is None:
            return upgrade
        try:
            scope: Scope = session.scope().at_once()
            url, headers, subprotocols = upgrade.later.render_parts(scope)
        except Unfilled as unfilled:
            raise InvalidTemplate(f"{upgrade.manual}: {unfilled}") from None
        return replace(upgrade, url=url, headers=headers, subprotocols=subprotocols, later=None)

    async def _upgraded(self, upgrade: Upgrade) -> Connection:
        limit = upgrade.template.limits.connect_timeout
        reached: list[str] = []
        try:
            with anyio.fail_after(limit):
                return await self._authenticated(upgrade, reached.append)
        except TimeoutError:
            why = reached[-1] if reached else "no answer"
            raise ConnectFailed(upgrade.address, f"{why} within {limit:g} s") from None

    async def _authenticated(self, upgrade: Upgrade, reached: Callable[[str], None]) -> Connection:
        """Open with a token where one is needed; a token that the endpoint rejects is fetched anew, once."""
        auth = upgrade.template.auth
        if not isinstance(auth, OAuth2Auth):
            return await self._open(upgrade, None, reached)
        token = await self._token(upgrade, auth)
        try:
            return await self._open(upgrade, token, reached)
        except HandshakeRejected as rejected:
            if rejected.status != 401:
                raise
        self._tokens.reject(auth, token)
        return await self._open(upgrade, await self._token(upgrade, auth), reached)

    async def _token(self, upgrade: Upgrade, auth: OAuth2Auth) -> str:
        template = upgrade.template
        return await self._tokens.token(auth, template.network, template.limits.connect_timeout)

    async def _open(self, upgrade: Upgrade, token: str | None, reached: Callable[[str], None]) -> Connection:
        assert upgrade.url is not None
        template, url = upgrade.template, upgrade.url
        target, headers = upgrade.target(), upgrade.all_headers(token)
        tls = self._context(upgrade) if url.secure else None
        if template.proxy:
            connected = await open_through_proxy(url, template.proxy)
        else:
            connected = await open_socket(url, await resolve(url, template.network, self._resolver))
        reached('the port is open, but the upgrade was not answered (some servers want an "Origin" header)')
        asked = websocket.Handshake(url, target, headers, upgrade.subprotocols, template.limits, tls)
        upgraded = await websocket.upgrade(asked, connected)
        framer = make_framer(upgrade.conduct.framing, upgrade.conduct.send_as)
        opened = Connection(upgrade.manual, url.address, upgraded, framer, self._observe)
        opened.exchanges = Exchanges(template.request_id, self._ambient.uuid)
        return opened

    def _context(self, upgrade: Upgrade) -> ssl.SSLContext:
        key = (upgrade.template.tls, upgrade.folder)
        if key not in self._contexts:
            self._contexts[key] = _make_context(upgrade)
        return self._contexts[key]


def _make_context(upgrade: Upgrade) -> ssl.SSLContext:
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
