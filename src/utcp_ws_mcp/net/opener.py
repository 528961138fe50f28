"""From an upgrade to a connection that is ready for requests: address, token, TLS, the upgrade itself."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import anyio

from .. import events
from ..errors import ConnectFailed, HandshakeRejected, InvalidTemplate
from ..events import Observer
from ..manifest.auth import OAuth2Auth
from ..wire.exchange import Exchanges
from ..wire.scope import Ambient
from ..wire.upgrade import Upgrade
from . import connection as websocket
from .connection import Connection
from .dial import Resolver, open_socket, resolve
from .oauth import Tokens


class Opener:
    """Opens connections for a pool. `clock` gives monotonic seconds."""

    def __init__(self, ambient: Ambient, clock: Callable[[], float], resolver: Resolver, observe: Observer) -> None:
        self._ambient = ambient
        self._clock = clock
        self._resolver = resolver
        self._observe = observe
        self._tokens = Tokens(clock, resolver)
        self._contexts: dict[object, ssl.SSLContext] = {}

    async def __call__(self, upgrade: Upgrade) -> Connection:
        """Open a connection within `limits.connect_timeout` seconds.

        Raises:
            NetError, PolicyError, InvalidTemplate: with the reason.
        """
        started, limit = self._clock(), upgrade.limits.connect_timeout
        try:
            with anyio.fail_after(limit):
                opened = await self._authenticated(upgrade)
        except TimeoutError:
            raise ConnectFailed(upgrade.url.address, f"no answer within {limit:g} s") from None
        self._observe(events.Opened(upgrade.manual, upgrade.url.address, self._clock() - started))
        return opened

    async def _authenticated(self, upgrade: Upgrade) -> Connection:
        """Open with a token where one is needed; a token that the endpoint rejects is fetched anew, once."""
        if not isinstance(upgrade.auth, OAuth2Auth):
            return await self._open(upgrade, None)
        token = await self._token(upgrade, upgrade.auth)
        try:
            return await self._open(upgrade, token)
        except HandshakeRejected as rejected:
            if rejected.status != 401:
                raise
        self._tokens.reject(upgrade.auth, token)
        return await self._open(upgrade, await self._token(upgrade, upgrade.auth))

    async def _token(self, upgrade: Upgrade, auth: OAuth2Auth) -> str:
        return await self._tokens.token(auth, upgrade.network, upgrade.limits.connect_timeout)

    async def _open(self, upgrade: Upgrade, token: str | None) -> Connection:
        target, headers = upgrade.request(token)
        tls = self._context(upgrade) if upgrade.url.secure else None
        addresses = await resolve(upgrade.url, upgrade.network, self._resolver)
        connected = await open_socket(upgrade.url, addresses)
        asked = websocket.Handshake(upgrade.url, target, headers, upgrade.subprotocols, upgrade.limits, tls)
        opened = await websocket.upgrade(asked, connected)
        exchanges = Exchanges(upgrade.id_kind, self._ambient.uuid)
        return Connection(upgrade.manual, upgrade.url, opened, exchanges, self._observe)

    def _context(self, upgrade: Upgrade) -> ssl.SSLContext:
        key = (upgrade.tls, upgrade.folder)
        if key not in self._contexts:
            self._contexts[key] = _make_context(upgrade)
        return self._contexts[key]


def _make_context(upgrade: Upgrade) -> ssl.SSLContext:
    tls, folder = upgrade.tls, upgrade.folder
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
