"""Carry out what the planner decides: open, sync and close connections, and assign them to waiting calls.

Decisions are made in `planner`, which never waits; tasks carry out what takes time and report back by replanning.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from ...core.handshake_request import ConnectionKey, HandshakeRequest
from ...errors import BridgeError, ConnectionLost, InternalError, Outcome
from ..close_info import lost_connection
from .circuit_breaker import store_bounded
from .entry import PooledConnection, State, Trigger
from .planner import Action, Assign, AwaitCapacity, Close, Open, Sync, Vacate, plan
from .state import PoolState

if TYPE_CHECKING:
    from ..connection import Connection

OpenConnection = Callable[[HandshakeRequest, dict[str, Any], Callable[[], None]], Awaitable["Connection"]]
"""Open a connection: the handshake, the arguments of the call, and what to call when the endpoint drains it."""


class PoolExecutor:
    """The part of a pool that acts. Its tasks keep the pool as long as it has connections.

    Args:
        tasks: Where the connections live.
        open_connection: Opens one and logs in.
    """

    def __init__(self, tasks: TaskGroup, open_connection: OpenConnection) -> None:
        self._state = PoolState()
        self._tasks = tasks
        self._open_connection = open_connection
        self._sessions: dict[ConnectionKey, Connection] = {}

    # Planning

    def _replan(self, key: ConnectionKey) -> None:
        """Carry out what the planner decides after an event of one key.

        Keys that wait for a place of the manual are affected by the events of all keys. They are served in the order
        in which they began to wait, and before the key of the event if their first call came earlier.
        """
        if self._state.awaiting_capacity:
            first = next(iter(self._state.awaiting_capacity))
            if self._state.first_sequence(first) < self._state.first_sequence(key):
                self._serve_awaiting_capacity()
        self._carry_out(key)
        self._serve_awaiting_capacity()

    def _serve_awaiting_capacity(self) -> None:
        by_endpoint: dict[object, list[ConnectionKey]] = {}
        for key in self._state.awaiting_capacity:
            by_endpoint.setdefault(key.endpoint, []).append(key)
        for keys in by_endpoint.values():
            # A place at an endpoint is for the key whose first call came first, however long the key itself has waited.
            for key in sorted(keys, key=self._state.first_sequence):
                if (waits := self._carry_out(key)) is not None:
                    if waits.endpoint is None:
                        return
                    break  # where there is no place for this key, there is none for those behind it

    def _carry_out(self, key: ConnectionKey) -> AwaitCapacity | None:
        """Carry out all actions for a key; return what it waits for if it is a place."""
        progress = False
        while (action := plan(self._state, key)) is not None:
            if isinstance(action, AwaitCapacity):
                if progress:  # it got a place: those that waited longer for theirs are next
                    self._state.awaiting_capacity.pop(key, None)
                self._state.awaiting_capacity[key] = None
                return action
            progress |= isinstance(action, Open)
            self._apply(action)
        self._state.awaiting_capacity.pop(key, None)
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

    def _start_reading(self, pooled: PooledConnection) -> None:
        self._tasks.start_soon(self._run_connection, pooled)

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
        if self._state.closed or (waiter is not None and waiter.cancelled):
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
        synced = await pooled.connection.barrier.wait()
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
        if connection.is_open and not self._state.closed:  # a closed pool: `close` has yielded it to be closed
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
