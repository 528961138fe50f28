"""The fleet that a replica belongs to: what its replicas share, all together or for one caller."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from ...core.fleet_keys import connection_digest, fleet_key
from ...core.handshake_request import HandshakeRequest
from ...observability.events import Observer
from ..pool.lease import RateLimiter
from .accounts import Accounts
from .address import StoreAddress
from .members import Members
from .rates import SharedRateLimiter
from .sealing import Sealer
from .store import STORE_TIMEOUT, SharedStore, StoreAway, refuse_start
from .tokens import SharedTokens

if TYPE_CHECKING:
    from ..connection import Connection


class Fleet:
    """What the replicas share for the callers of a bridge.

    Args:
        members: The replicas.
        accounts: The accounts with which this replica is connected.
        key: Encrypts what must not be read in the store; None: nothing of that kind is shared.
        caller: Texts that tell the caller of the bridge from all others; empty if it has all callers.
    """

    def __init__(
        self, members: Members, accounts: Accounts, key: str | None = None, caller: tuple[str, ...] = ()
    ) -> None:
        self.name = members.fleet
        self.store = members.store
        self.members = members
        self._accounts = accounts
        self._key = key
        self._caller = caller
        self._sealer = Sealer(key, "what callers own") if key is not None and caller else None
        self.tokens = None if key is None else SharedTokens(self, Sealer(key, "tokens"))

    @property
    def replicas(self) -> int:
        """Return how many replicas were last seen."""
        return self.members.count

    def for_caller(self, *caller: str) -> Fleet | None:
        """Return what the replicas share for one caller; None without a key: then they share nothing for it.

        Args:
            *caller: The texts that tell it from all others, with its credentials. They do not enter the store.
        """
        return None if self._key is None else Fleet(self.members, self._accounts, self._key, caller)

    def key(self, *parts: str) -> str:
        """Return the name of something that is shared."""
        if self._sealer is None:
            return fleet_key(self.name, *parts)
        return fleet_key(self.name, "caller", self._sealer.name(*self._caller, "", *parts))

    def seal(self, text: str, place: str) -> str | bytes:
        """Return a text as it is stored at a place: encrypted if it belongs to one caller."""
        return text if self._sealer is None else self._sealer.seal(text, place)

    def unseal(self, stored: bytes, place: str) -> bytes:
        """Return a text that was stored at a place.

        Raises:
            ValueError: if the fleet did not store it there.
        """
        return stored if self._sealer is None else self._sealer.open(stored, place)

    def rate_limiter(self) -> RateLimiter:
        """Return the rate limiter of a manual."""
        return SharedRateLimiter(self)

    async def open(self, request: HandshakeRequest, opening: Callable[[], Awaitable[Connection]]) -> Connection:
        """Open a connection; for an account that allows one, only if no other replica has it.

        Raises:
            ConnectError: if another one has it, or the connection cannot be opened.
        """
        limits = request.template.limits
        if limits.max_connections != 1 or limits.scope == "replica":
            return await opening()
        path = request.url.path if request.url is not None else ""
        digest = connection_digest(request, path, request.key.login_arguments)
        return await self._accounts.open(self.key(request.manual, digest, "connection"), request.address, opening)

    def note_closed(self) -> None:
        """Note that a connection has ended, so that another replica may connect."""
        self._accounts.note_closed()

    def describe(self) -> dict[str, object]:
        """Return the state of the fleet for a reader."""
        away = self.store.away
        return {"fleet": self.name, "replicas": self.replicas, "store": "in use" if away is None else f"away: {away}"}


@asynccontextmanager
async def open_fleet(
    name: str,
    replica: str,
    address: StoreAddress,
    observe: Observer,
    key: str | None = None,
    redact: Callable[[str], str] = str,
) -> AsyncIterator[Fleet]:
    """Join a fleet for the duration of a block.

    A store that is away is no reason not to start: it may be restarting as well.

    Raises:
        ServeOptionsError: if the store refuses this replica, or is none.
    """
    store = SharedStore(address, observe, redact)
    members = Members(name, replica, store)
    accounts = Accounts(members)
    try:
        await members.beat()
    except StoreAway as away:
        if away.code == "shared-store-refused":
            await store.aclose()
            raise refuse_start(address, away) from away
    async with anyio.create_task_group() as tasks:
        accounts.tasks = tasks
        tasks.start_soon(members.keep_alive)
        try:
            yield Fleet(members, accounts, key)
        finally:
            tasks.cancel_scope.cancel()
            with anyio.move_on_after(2 * STORE_TIMEOUT, shield=True):
                await accounts.aclose()
                await members.leave()
                await store.aclose()
