"""The connections of one manual, as calls see them: a lease of an open one at once, or a place in the queue."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from ...core.handshake_request import ConnectionKey
from ...errors import TimeoutStage
from ..wakeup import Wakeup
from .entry import LeaseMode, LeaseRequest, PooledConnection, Waiter
from .executor import OpenConnection, PoolExecutor
from .lease import Lease, RateLimiter
from .planner import Assign, find_ready, needs_planning, plan_release
from .state import ConnectionGroup
from .status import PoolStats, shutdown_error

if TYPE_CHECKING:
    from ..connection import Connection


class ConnectionPool(PoolExecutor):
    """The connections of one manual, from one load of its manifest to the next.

    A call keeps the pool in which it began until it ends, so that it never uses a connection that belongs to another
    version of the manifest. `rate_limiter` outlives the pool: reloading must not allow more requests per second.
    """

    def __init__(
        self, tasks: TaskGroup, open_connection: OpenConnection, rate_limiter: RateLimiter, *, closed: bool = False
    ) -> None:
        super().__init__(tasks, open_connection)
        self.rate_limiter = rate_limiter
        self._state.closed = closed

    def __repr__(self) -> str:
        return f"<ConnectionPool {len(self._state.connections)} connections, {self._state.waiting} waiting>"

    @property
    def connections(self) -> list[PooledConnection]:
        """The places of the pool, in order of opening, including those of connections that are being opened."""
        return list(self._state.connections)

    def try_lease(self, request: LeaseRequest) -> Lease | None:
        """Lease a connection without waiting; None if there is none, or calls wait that came earlier."""
        state = self._state
        if state.closed or request.handshake.template.limits.requests_per_second:
            return None
        group = state.groups.get(request.handshake.key)
        if group is None or group.queue.lanes or (state.awaiting_capacity and state.is_reserved_for_other(request.key)):
            return None
        pooled = find_ready(group, request.mode)
        if pooled is None:
            return None
        pooled.acquire(request.mode)
        return self._make_lease(group, pooled, request)

    async def lease(self, request: LeaseRequest, deadline: float) -> Lease | None:
        """Lease a connection; wait until there is one, and until the rate limit allows a request.

        Return None if there is none at the deadline (the clock of anyio).

        Raises:
            NetworkError, PolicyError, InvalidTemplate: if a connection has to be opened and cannot be.
        """
        pooled = await self._acquire(request, deadline)
        if pooled is None:
            return None
        group = self._state.groups[pooled.key]
        if request.handshake.template.limits.requests_per_second:
            try:
                with anyio.CancelScope(deadline=deadline) as scope:
                    await self.rate_limiter.wait_turn(request.handshake)
                self._raise_if_closed(request)
            except BaseException:
                self._release(group, pooled, request.mode)
                raise
            if scope.cancelled_caught:
                self._release(group, pooled, request.mode)
                return None
        return self._make_lease(group, pooled, request)

    def wait_reason(self, request: LeaseRequest) -> tuple[TimeoutStage, str]:
        """Return where a call that got no connection in time was held up, and why; empty if all were in use."""
        return self._state.wait_reason(request)

    def find_talking(self, key: ConnectionKey) -> Connection | None:
        """Return an open connection of a key over which the endpoint sent an unsolicited message lately, or None."""
        return self._state.find_talking(key)

    def stats(self) -> PoolStats:
        """Return the status now."""
        return self._state.stats()

    def drain(self) -> None:
        """Serve the calls that run or wait, then close each connection once no call uses it."""
        self._state.draining = True
        for key in list(self._state.groups):
            self._replan(key)

    def close(self) -> Iterator[Connection]:
        """Fail all waiting calls, now and later, and yield the connections that are to be closed."""
        self._state.closed = True
        for waiter in self._state.waiters():
            self._state.fail(waiter, shutdown_error(waiter.request.handshake.address))
        yield from [pooled.connection for pooled in self._state.connections if pooled.connection is not None]

    # Leases

    async def _acquire(self, request: LeaseRequest, deadline: float) -> PooledConnection | None:
        self._raise_if_closed(request)
        wakeup = Wakeup()
        waiter = Waiter(request, wakeup.set)
        if needs_planning(self._state.enqueue(waiter), request.mode):
            self._replan(request.key)
        try:
            in_time = await wakeup.wait(deadline)
            self._raise_if_closed(request)
        except BaseException:
            self._cancel_waiter(waiter)
            raise
        if not in_time:
            self._cancel_waiter(waiter)
        elif waiter.error is not None:
            raise waiter.error
        return waiter.pooled

    def _cancel_waiter(self, waiter: Waiter) -> None:
        if waiter.pooled is not None:  # it was assigned in the same turn of the event loop
            self._release(self._state.groups[waiter.pooled.key], waiter.pooled, waiter.request.mode)
            return
        waiter.cancelled = True
        if self._state.dequeue(waiter):
            self._replan(waiter.request.key)  # calls behind it may have waited for it only

    def _raise_if_closed(self, request: LeaseRequest) -> None:
        if self._state.closed:
            raise shutdown_error(request.handshake.address)

    def _make_lease(self, group: ConnectionGroup, pooled: PooledConnection, request: LeaseRequest) -> Lease:
        assert pooled.connection is not None
        start_reading = partial(self._start_reading, pooled) if request.mode is LeaseMode.FRESH else None
        return Lease(pooled.connection, partial(self._release, group, pooled, request.mode), start_reading)

    def _release(self, group: ConnectionGroup, pooled: PooledConnection, mode: LeaseMode) -> None:
        """End a lease of a connection, which belongs to a group as long as it is leased."""
        state, connection = self._state, pooled.connection
        assert connection is not None
        pooled.release(mode)
        if connection.received_count and connection.dispatcher.opened:
            state.failures.record_success(pooled.handshake.key)
        action = plan_release(group, pooled, mode)
        if isinstance(action, Assign) and state.is_reserved_for_other(pooled.key):
            action = None
        if action is not None:
            self._apply(action)
        # Most releases end here: the connection serves the next call, or it stays as it is and no call waits.
        if isinstance(action, Assign):
            return
        if group.queue.lanes or state.awaiting_capacity or state.draining or not connection.is_available:
            self._replan(pooled.key)
