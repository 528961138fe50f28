"""The places of connections, and the calls that wait for one."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from ...core.exchange.reply_rules import Sharing
from ...core.handshake_request import Upgrade
from ...errors import BridgeError, ConnectionLost, Outcome
from .wish import Wish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..connection import Connection


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with a manual: open connections, calls that wait for one, why none could be opened lately."""

    connections: int = 0
    waiting: int = 0
    failure: BridgeError | None = None


@dataclass(slots=True, eq=False)
class Slot:
    """A connection, or the place of one that is being opened (`connection` is None).

    `settled` says that nothing an earlier exchange caused can still arrive, so that one may own the connection.
    `listeners` are those of the `leases` whose calls send no request.
    `reserved`: it is opened for one call, and not read before that call is there.
    `closing`: it says goodbye, and its place is free when the server knows.
    """

    upgrade: Upgrade
    connection: Connection | None = None
    leases: int = 0
    listeners: int = 0
    owned: bool = False
    settled: bool = False
    settling: bool = False
    reserved: Waiter | None = None
    closing: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether the connection is open for nobody."""
        if self.connection is None or self.closing:
            return False
        return not self.leases and not self.settling and not self.reserved

    @property
    def is_spent(self) -> bool:
        """Whether nothing uses the connection and nothing may use it any more."""
        if self.connection is None or self.leases or self.reserved is not None or self.closing:
            return False
        return not self.connection.is_usable

    @property
    def is_useless(self) -> bool:
        """Whether the session of an open connection has ended before anybody could use it."""
        connection = self.connection
        return connection is not None and connection.is_open and not connection.exchanges.opened

    @property
    def doubt(self) -> str:
        """Why the connection serves no further exchange, or none that would own it; empty where it does."""
        return self.connection.exchanges.doubt if self.connection is not None else ""

    def serves(self, sharing: Sharing) -> bool:
        """Whether exchanges may start here, now or when others have ended.

        Where one was abandoned its answer may still come, so none may own the connection.
        """
        if self.connection is None or self.closing or not self.connection.is_usable:
            return False
        return sharing is Sharing.SHARED or not self.connection.exchanges.abandoned

    def has_room(self, wish: Wish) -> bool:
        """Whether one more exchange may start here; those that only listen need no room."""
        if (self.connection is not None and not self.serves(wish.sharing)) or self.owned or self.reserved:
            return False
        if wish.owns:
            return not self.leases
        return wish.listens or self.leases - self.listeners < self.upgrade.template.limits.max_in_flight

    def take(self, wish: Wish) -> None:
        """An exchange starts."""
        self.leases += 1
        self.listeners += wish.listens
        self.owned, self.reserved = wish.owns, None


@dataclass(slots=True, eq=False)
class Waiter:
    """A call that waits for a connection: it gets a slot or an error, and is woken."""

    wish: Wish
    woken: anyio.Event = field(default_factory=anyio.Event)
    slot: Slot | None = None
    error: BridgeError | None = None


def shutting_down(address: str) -> ConnectionLost:
    """The error of calls that come, or wait, when the bridge is being closed."""
    return ConnectionLost(address, "the bridge is shutting down", Outcome.NOT_SENT)
