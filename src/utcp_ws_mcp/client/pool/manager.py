"""All connections of a bridge, kept by manual. Calls share one only if their upgrades agree in everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from weakref import WeakSet

import anyio
from anyio.abc import TaskGroup

from ...core.handshake_request import HandshakeRequest
from .entry import PoolStats
from .pool import ConnectionPool, OpenConnection
from .wish import LeaseRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..connection import Connection


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to use `connection`, until `release` is called, once. `read` starts reading where nobody reads yet."""

    connection: Connection
    release: Callable[[], None]
    start_reading: Callable[[], None] | None = None


class RateLimiter:
    """When the next request of a manual may begin; reloading the manual does not change that."""

    def __init__(self) -> None:
        self._next_start = 0.0

    async def acquire(self, interval: float) -> None:
        """Wait until so many seconds after the request before may begin."""
        start = max(anyio.current_time(), self._next_start)
        self._next_start = start + interval
        await anyio.sleep_until(start)


class PoolHandle:
    """What a call leases its connections from.

    A call keeps the same one to its end, so that it never opens or uses connections of a manual that was reloaded
    meanwhile.
    """

    def __init__(self, pool: ConnectionPool, rate_limiter: RateLimiter) -> None:
        self.pool = pool
        self.rate_limiter = rate_limiter

    def try_lease(self, request: LeaseRequest) -> Lease | None:
        """The right to use a connection, if there is one that nobody else waits for."""
        if request.upgrade.template.limits.requests_per_second:
            return None
        shelf = self.pool
        slot = shelf.try_acquire(request)
        if slot is None or slot.connection is None:
            return None
        return Lease(slot.connection, partial(shelf.release, slot, request))

    async def lease(self, request: LeaseRequest) -> Lease:
        """The right to use a connection; it waits until there is one.

        Raises:
            NetworkError, PolicyError: if one has to be opened and cannot be.
        """
        shelf = self.pool
        slot = await shelf.acquire(request)
        try:
            if rate := request.upgrade.template.limits.requests_per_second:
                await self.rate_limiter.acquire(1 / rate)
            shelf.raise_if_closed(request)
        except BaseException:
            shelf.release(slot, request)
            raise
        assert slot.connection is not None
        read = partial(shelf.start_reading, slot) if request.fresh else None
        return Lease(slot.connection, partial(shelf.release, slot, request), read)

    def wait_reason(self, upgrade: HandshakeRequest) -> str:
        """Why a call got no connection in time, as far as it is known."""
        return self.pool.wait_reason(upgrade)


class PoolManager:
    """The connections of a bridge. They live in `tasks`; `opener` makes one that is ready for requests."""

    def __init__(self, tasks: TaskGroup, open_connection: OpenConnection) -> None:
        self._tasks = tasks
        self._open_connection = open_connection
        self._handles: dict[str, PoolHandle] = {}
        self._draining: WeakSet[ConnectionPool] = WeakSet()  # a shelf lives as long as a call or a connection needs it
        self._closed = False

    def __repr__(self) -> str:
        return f"<Pool {self.pools!r}>"

    @property
    def pools(self) -> list[ConnectionPool]:
        """Those of all manuals, and the retired ones that are still in use."""
        return [*(access.pool for access in self._handles.values()), *self._draining]

    def handle(self, manual: str) -> PoolHandle:
        """What a call of a manual that begins now leases its connections from."""
        access = self._handles.get(manual)
        if access is None:
            access = self._handles[manual] = PoolHandle(self._new_pool(), RateLimiter())
        return access

    def stats(self, manual: str) -> PoolStats:
        """How it stands with a manual."""
        access = self._handles.get(manual)
        return access.pool.stats() if access is not None else PoolStats()

    def drain(self, manual: str) -> None:
        """Later calls of a manual get new connections; calls that run finish on those that they have."""
        if access := self._handles.get(manual):
            self._draining.add(access.pool)
            self._handles[manual] = PoolHandle(self._new_pool(), access.rate_limiter)
            access.pool.drain()

    async def aclose(self) -> None:
        """Close every connection with 1001, going away; waiting calls get an error."""
        self._closed = True
        async with anyio.create_task_group() as closing:
            for shelf in self.pools:
                for connection in shelf.close():
                    closing.start_soon(connection.aclose, 1001, "the bridge is shutting down")

    def _new_pool(self) -> ConnectionPool:
        return ConnectionPool(self._tasks, self._open_connection, closed=self._closed)
