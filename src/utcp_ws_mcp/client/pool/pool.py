"""The connections of one manual: the executor of what the planner decides, and the leases of calls.

Decisions are made in `planner`, which never waits; tasks carry out what takes time and report back by replanning.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from ...core.handshake_request import ConnectionKey, HandshakeRequest
from ...errors import BridgeError, ConnectionLost, InternalError, Outcome, TimeoutStage
from ..close_info import lost_connection
from ..wakeup import Wakeup
from .circuit_breaker import store_bounded
from .entry import LeaseMode, LeaseRequest, PooledConnection, State, Trigger, Waiter
from .lease import Lease, RateLimiter
from .planner import (
    Action,
    Assign,
    AwaitCapacity,
    Close,
    Open,
    Sync,
    Vacate,
    find_ready,
    needs_planning,
    plan,
    plan_release,
)
from .state import ConnectionGroup, PoolState
from .status import PoolStats, shutdown_error

if TYPE_CHECKING:
    from ..connection import Connection

OpenConnection = Callable[[HandshakeRequest, dict[str, Any], Callable[[], None]], Awaitable["Connection"]]
"""Open a connection: the handshake, the arguments of the call, and what to call when the endpoint drains it."""


class ConnectionPool:
    """The connections of one manual, from one load of its manifest to the next.

    A call keeps the pool in which it began until it ends, so that it never uses a connection that belongs to another
    version of the manifest. `rate_limiter` outlives the pool: reloading must not allow more requests per second.
    """

    def __init__(
        self, tasks: TaskGroup, open_connection: OpenConnection, rate_limiter: RateLimiter, *, closed: bool = False
    ) -> None:
        self.rate_limiter = rate_limiter
        self._tasks = tasks
        self._open_connection = open_connection
        self._state = PoolState()
        self._awaiting_capacity: dict[ConnectionKey, None] = {}
        self._sessions: dict[ConnectionKey, Connection] = {}
        self._closed = closed

    def __repr__(self) -> str:
        return f"<ConnectionPool {len(self._state.connections)} connections, {self._state.waiting} waiting>"

    @property
    def connections(self) -> list[PooledConnection]:
        """The places of the pool, in order of opening, including those of connections that are being opened."""
        return list(self._state.connections)

    def try_lease(self, request: LeaseRequest) -> Lease | None:
        """Lease a connection without waiting; None if there is none, or calls wait that came earlier."""
        if self._closed or request.handshake.template.limits.requests_per_second:
            return None
        group = self._state.groups.get(request.handshake.key)
        if group is None or group.queue.lanes or (self._awaiting_capacity and self._is_reserved_for_other(request.key)):
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
        self._closed = True
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
        if self._closed:
            raise shutdown_error(request.handshake.address)

    def _make_lease(self, group: ConnectionGroup, pooled: PooledConnection, request: LeaseRequest) -> Lease:
        assert pooled.connection is not None
        start_reading = partial(self._start_reading, pooled) if request.mode is LeaseMode.FRESH else None
        return Lease(pooled.connection, partial(self._release, group, pooled, request.mode), start_reading)

    def _start_reading(self, pooled: PooledConnection) -> None:
        self._tasks.start_soon(self._run_connection, pooled)

    def _release(self, group: ConnectionGroup, pooled: PooledConnection, mode: LeaseMode) -> None:
        """End a lease of a connection, which belongs to a group as long as it is leased."""
        connection = pooled.connection
        assert connection is not None
        pooled.release(mode)
        if connection.received_count and connection.dispatcher.opened:
            self._state.failures.record_success(pooled.handshake.key)
        action = plan_release(group, pooled, mode)
        if isinstance(action, Assign) and self._is_reserved_for_other(pooled.key):
            action = None
        if action is not None:
            self._apply(action)
        # Most releases end here: the connection serves the next call, or it stays as it is and no call waits.
        if isinstance(action, Assign):
            return
        if group.queue.lanes or self._awaiting_capacity or self._state.draining or not connection.is_available:
            self._replan(pooled.key)

    # Planning

    def _replan(self, key: ConnectionKey) -> None:
        """Carry out what the planner decides after an event of one key.

        Keys that wait for a place of the manual are affected by the events of all keys. They are served in the order
        in which they began to wait, and before the key of the event if their first call came earlier.
        """
        if self._awaiting_capacity:
            first = next(iter(self._awaiting_capacity))
            if self._state.first_sequence(first) < self._state.first_sequence(key):
                self._serve_awaiting_capacity()
        self._carry_out(key)
        self._serve_awaiting_capacity()

    def _serve_awaiting_capacity(self) -> None:
        by_endpoint: dict[object, list[ConnectionKey]] = {}
        for key in self._awaiting_capacity:
            by_endpoint.setdefault(key.endpoint, []).append(key)
        for keys in by_endpoint.values():
            # A place at an endpoint is for the key whose first call came first, however long the key itself has waited.
            for key in sorted(keys, key=self._state.first_sequence):
                if (waits := self._carry_out(key)) is not None:
                    if waits.endpoint is None:
                        return
                    break  # where there is no place for this key, there is none for those behind it

    def _is_reserved_for_other(self, key: ConnectionKey) -> bool:
        """Whether a call of another key waits for a place at the same endpoint, and came earlier.

        Calls that share the connections there would otherwise keep them busy, and that call would never start.
        """
        first = self._state.first_sequence
        return any(
            other != key and other.endpoint == key.endpoint and first(other) < first(key)
            for other in self._awaiting_capacity
        )

    def _carry_out(self, key: ConnectionKey) -> AwaitCapacity | None:
        """Carry out all actions for a key; return what it waits for if it is a place."""
        progress = False
        while (action := plan(self._state, key, reserved_for_other=self._is_reserved_for_other(key))) is not None:
            if isinstance(action, AwaitCapacity):
                if progress:  # it got a place: those that waited longer for theirs are next
                    self._awaiting_capacity.pop(key, None)
                self._awaiting_capacity[key] = None
                return action
            progress |= isinstance(action, Open)
            self._apply(action)
        self._awaiting_capacity.pop(key, None)
        return None

    def _apply(self, action: Action) -> None:
        match action:
            case Assign(waiter, pooled):
                self._state.assign(waiter, pooled)
            case Open(waiter):
                pooled = self._state.add(waiter)
                self._tasks.start_soon(self._open, pooled, waiter.request.arguments)
            case Sync(pooled):
                pooled.change(Trigger.SYNC_STARTED)
                self._tasks.start_soon(self._sync, pooled)
            case Vacate(pooled):
                assert pooled.connection is not None
                pooled.connection.availability.vacate()
            case Close(pooled, reason):
                self._close_connection(pooled, reason)

    # What takes time

    async def _open(self, pooled: PooledConnection, arguments: dict[str, Any]) -> None:
        if (paused := self._state.paused_by_server(pooled, anyio.current_time())) is not None:
            self._state.remove(pooled)
            self._state.fail_waiting(pooled, paused)
            self._replan(pooled.key)
            return
        try:
            # Read here, not when it was planned: a call learns of the end of its connection, and makes the next call,
            # before the task of that connection records the failure.
            await anyio.sleep(self._state.failures.breaker(pooled.key).retry_after(anyio.current_time()))
            on_draining = partial(self._replan, pooled.key)
            connection = await self._open_connection(pooled.handshake, arguments, on_draining)
        except Exception as exc:  # the waiting calls must get a bug as an error, too, or they would hang
            error = exc if isinstance(exc, BridgeError) else InternalError(pooled.handshake.address, exc)
            self._state.remove(pooled)
            self._record_failure(pooled, error.retry_after.seconds if error.retry_after else 0.0)
            self._state.fail_waiting(pooled, error)
        else:
            self._on_opened(pooled, connection)
        self._replan(pooled.key)

    def _on_opened(self, pooled: PooledConnection, connection: Connection) -> None:
        waiter = pooled.reserved_for
        if self._closed or (waiter is not None and waiter.cancelled):
            self._state.remove(pooled)
            connection.abort()
        elif waiter is not None:
            pooled.open(connection)
            self._note_session(pooled, connection)
            self._state.failures.clear_error(pooled.key)
            self._state.assign(waiter, pooled)
        elif connection.is_open:
            pooled.open(connection)
            self._note_session(pooled, connection)
            self._state.failures.clear_error(pooled.key)
            self._start_reading(pooled)
        else:
            self._state.remove(pooled)
            self._record_early_close(pooled, connection)

    def _note_session(self, pooled: PooledConnection, connection: Connection) -> None:
        """Tell a connection which one it replaces, where the manifest says what identifies a session."""
        handshake = pooled.handshake
        # Several connections have several sessions: none of them replaces another.
        if handshake.connection_rules.session_identity is None or handshake.template.limits.max_connections != 1:
            return
        previous = self._sessions.get(pooled.key)
        if previous is not None:
            connection.note_previous(previous)
        store_bounded(self._sessions, pooled.key, connection)

    async def _run_connection(self, pooled: PooledConnection) -> None:
        connection = pooled.connection
        assert connection is not None
        if 0 < pooled.in_flight == pooled.passive_in_flight:
            # Calls that only listen go first: what the endpoint sends at once may be what they wait for.
            await anyio.lowlevel.checkpoint()
        try:
            async with anyio.create_task_group() as running:
                running.start_soon(connection.heartbeat.run)
                await connection.receive_loop()
                running.cancel_scope.cancel()
        finally:
            if connection.failed_early(used=pooled.leases_started > 0):
                self._record_early_close(pooled, connection)
            self._replan(pooled.key)

    async def _sync(self, pooled: PooledConnection) -> None:
        assert pooled.connection is not None
        leases_started = pooled.leases_started
        synced = await pooled.connection.sync()
        # A shared call that started meanwhile voids the barrier: what it caused may arrive after the pong.
        if pooled.state is State.SYNCING and pooled.leases_started == leases_started:
            if synced:
                pooled.change(Trigger.SYNCED)
            else:
                reason = pooled.unusable_reason or "the server did not answer a ping in time"
                self._close_connection(pooled, reason)
        self._replan(pooled.key)

    def _close_connection(self, pooled: PooledConnection, reason: str) -> None:
        connection = pooled.connection
        assert connection is not None
        if pooled.ended_unused:
            self._record_unused_session(pooled, connection)
        if connection.is_open and not self._closed:  # a closed pool: `close` has yielded it to be closed
            # It keeps its place until the endpoint knows of its end: `max_connections` holds at the endpoint, too.
            pooled.change(Trigger.CLOSE_STARTED)
            self._tasks.start_soon(self._close_gracefully, pooled, connection, reason)
            return
        self._state.remove(pooled)

    async def _close_gracefully(self, pooled: PooledConnection, connection: Connection, reason: str) -> None:
        await connection.aclose(1000, "", reason)
        if pooled.state is State.CLOSING:
            self._state.remove(pooled)
            self._replan(pooled.key)

    # Failures

    def _record_failure(self, pooled: PooledConnection, pause: float = 0.0) -> None:
        self._state.failures.record_failure(pooled.key, anyio.current_time(), random.random, pause)

    def _record_early_close(self, pooled: PooledConnection, connection: Connection) -> None:
        """Count a connection that ended early; if the breaker trips before a call could use it, waiting calls fail.

        Until then another connection is opened: a server that restarts closes a few connections in a row.
        """
        self._record_failure(pooled)
        if self._state.failures.breaker(pooled.key).is_tripped and not pooled.leases_started:
            template = pooled.handshake.template
            error = lost_connection(connection, connection.close_info, Outcome.NOT_SENT, template)
            self._state.fail_waiting(pooled, error)

    def _record_unused_session(self, pooled: PooledConnection, connection: Connection) -> None:
        """Count a session that ended before a call used it as a failure.

        Otherwise a manifest whose "reconnect_when" holds for the greeting would log in in an endless loop.
        """
        reason = f'{pooled.unusable_reason}: a message for which "reconnect_when" holds arrived before any call'
        self._record_failure(pooled)
        error = ConnectionLost(connection.address, reason, Outcome.NOT_SENT)
        self._state.failures.set_last_error(pooled.key, error)
