"""The places of connections, and the calls that wait for one."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from ...core.exchange.reply_rules import Concurrency
from ...core.handshake_request import HandshakeRequest
from ...errors import BridgeError, ConnectionLost, Outcome
from .wish import LeaseRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..connection import Connection


@dataclass(frozen=True, slots=True)
class PoolStats:
    """The status of a manual: open connections, waiting calls, and the last error if no connection opened since.

    `used` is the number of the open connections on which calls are running.
    """

    connections: int = 0
    waiting: int = 0
    last_error: BridgeError | None = None
    used: int = 0


@dataclass(slots=True, eq=False)
class PooledConnection:
    """A connection, or the place of one that is being opened (`connection` is None).

    `settled` says that nothing an earlier exchange caused can still arrive, so that one may own the connection.
    `listeners` are those of the `leases` whose calls send no request.
    `reserved`: it is opened for one call, and not read before that call is there.
    `closing`: it says goodbye, and its place is free when the server knows.
    """

    upgrade: HandshakeRequest
    connection: Connection | None = None
    in_flight: int = 0
    passive_in_flight: int = 0
    exclusive: bool = False
    synced: bool = False
    syncing: bool = False
    reserved_for: Waiter | None = None
    draining: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether the connection is open for nobody."""
        if self.connection is None or self.draining:
            return False
        return not self.in_flight and not self.syncing and not self.reserved_for

    @property
    def is_perished(self) -> bool:
        """Whether nothing uses the connection and nothing may use it any more."""
        if self.connection is None or self.in_flight or self.reserved_for is not None or self.draining:
            return False
        return not self.connection.is_available

    @property
    def ended_unused(self) -> bool:
        """Whether the session of an open connection has ended before anybody could use it."""
        connection = self.connection
        return connection is not None and connection.is_open and not connection.dispatcher.opened

    @property
    def unusable_reason(self) -> str:
        """Why the connection serves no further exchange, or none that would own it; empty where it does."""
        return self.connection.dispatcher.unusable_reason if self.connection is not None else ""

    def can_handle_request(self, concurrency: Concurrency) -> bool:
        """Whether exchanges may start here, now or when others have ended.

        Where one was abandoned its answer may still come, so none may own the connection.
        """
        if self.connection is None or self.draining or not self.connection.is_available:
            return False
        return concurrency is Concurrency.MULTIPLEXED or not self.connection.dispatcher.incomplete

    def has_capacity(self, request: LeaseRequest) -> bool:
        """Whether one more exchange may start here; those that only listen need no room."""
        if (
            (self.connection is not None and not self.can_handle_request(request.concurrency))
            or self.exclusive
            or self.reserved_for
        ):
            return False
        if request.exclusive:
            return not self.in_flight
        return request.passive or self.in_flight - self.passive_in_flight < self.upgrade.template.limits.max_in_flight

    def acquire(self, request: LeaseRequest) -> None:
        """An exchange starts."""
        self.in_flight += 1
        self.passive_in_flight += request.passive
        self.exclusive, self.reserved_for = request.exclusive, None


@dataclass(slots=True, eq=False)
class Waiter:
    """A call that waits for a connection: it gets a slot or an error, and is woken."""

    request: LeaseRequest
    done: anyio.Event = field(default_factory=anyio.Event)
    pooled: PooledConnection | None = None
    error: BridgeError | None = None


def shutdown_error(address: str) -> ConnectionLost:
    """The error of calls that come, or wait, when the bridge is being closed."""
    return ConnectionLost(address, "the bridge is shutting down", Outcome.NOT_SENT)
