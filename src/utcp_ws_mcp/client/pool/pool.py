"""The connections of one manual: who may use which, when one is opened, and when it is thrown away.

Every decision is made in `Shelf.assign`, which does not wait; what it decides is carried out by tasks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from ...core.exchange.reply_rules import Concurrency
from ...core.handshake_request import HandshakeRequest
from ...errors import BridgeError, ConnectionLost, InternalError, Outcome
from .circuit_breaker import FailureTracker
from .entry import PooledConnection, PoolStats, Waiter, shutdown_error
from .wish import LeaseRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..connection import Connection

MAX_CONNECTIONS_PER_MANUAL: Final = 32
"""Connections of one manual, over all the headers, arguments and URLs that its calls need."""

OpenConnection = Callable[[HandshakeRequest, dict[str, Any]], Awaitable["Connection"]]


class ConnectionPool:
    """The connections of one manual."""

    def __init__(self, tasks: TaskGroup, open_connection: OpenConnection, *, closed: bool = False) -> None:
        self._tasks = tasks
        self._open_connection = open_connection
        self._connections: list[PooledConnection] = []
        self._waiters: deque[Waiter] = deque()
        self._failures = FailureTracker()
        self._draining = False
        self._closed = closed

    def __repr__(self) -> str:
        return f"<{len(self._connections)} connections, {len(self._waiters)} waiting>"

    def try_acquire(self, request: LeaseRequest) -> PooledConnection | None:
        """A slot with an open connection, leased to the caller, if there is one and nobody waits."""
        if self._waiters or self._closed or request.fresh:
            return None
        slot = self._find_available(request)
        if slot is not None:
            slot.acquire(request)
        return slot

    async def acquire(self, request: LeaseRequest) -> PooledConnection:
        """A slot with an open connection, leased to the caller."""
        self.raise_if_closed(request)
        waiter = Waiter(request)
        self._waiters.append(waiter)
        self._assign_requests_to_connections()
        try:
            await waiter.done.wait()
        except BaseException:
            self._cancel_waiter(waiter)
            raise
        if waiter.error is not None:
            raise waiter.error
        assert waiter.pooled is not None
        return waiter.pooled

    def raise_if_closed(self, request: LeaseRequest) -> None:
        """Raise where nobody may use a connection any more."""
        if self._closed:
            raise shutdown_error(request.upgrade.address)

    def release(self, pooled: PooledConnection, request: LeaseRequest) -> None:
        """The exchange is over: the connection serves the next one, or is thrown away."""
        assert pooled.connection is not None
        pooled.in_flight -= 1
        pooled.passive_in_flight -= request.passive
        was_owned, pooled.exclusive, pooled.synced = pooled.exclusive, False, False
        usable = pooled.connection.is_available
        if pooled.connection.received_count and pooled.connection.dispatcher.opened:
            self._failures.record_success(pooled.upgrade)
        if not pooled.in_flight and not pooled.upgrade.template.keep_alive:
            self._discard(pooled)
        elif was_owned and usable:
            self._start_sync(pooled)
        if self._waiters or not usable or self._draining:
            self._assign_requests_to_connections()

    def wait_reason(self, upgrade: HandshakeRequest) -> str:
        """Why a call got no connection in time, as far as it is known."""
        if failure := self._failures.error_for(upgrade):
            return str(failure)
        opening = any(slot.connection is None and slot.upgrade == upgrade for slot in self._connections)
        return "one was still being opened or logged in" if opening else ""

    def stats(self) -> PoolStats:
        """Return the status now."""
        opened = [slot for slot in self._connections if slot.connection is not None and slot.connection.is_open]
        used = sum(slot.in_flight > 0 for slot in opened)
        return PoolStats(len(opened), len(self._waiters), self._failures.last_error, used)

    def start_reading(self, pooled: PooledConnection) -> None:
        """Start reading a connection that was opened unread."""
        assert pooled.connection is not None
        self._tasks.start_soon(self._run_connection, pooled)

    def close(self) -> Iterator[Connection]:
        """Turn everybody away, and give the connections that are to be closed."""
        self._closed = True
        for waiter in self._waiters:
            waiter.error = shutdown_error(waiter.request.upgrade.address)
            waiter.done.set()
        self._waiters.clear()
        yield from [slot.connection for slot in self._connections if slot.connection is not None]

    def drain(self) -> None:
        """Serve the calls that wait already; then close each connection once nothing uses it."""
        self._draining = True
        self._assign_requests_to_connections()

    def _assign_requests_to_connections(self) -> None:
        """Give waiting calls what there is, in order, and open what is missing; nothing here waits."""
        for slot in [slot for slot in self._connections if slot.is_perished]:
            self._record_unused_session(slot)
            self._discard(slot, slot.unusable_reason)
        opening = {slot for slot in self._connections if slot.connection is None}
        blocked: set[HandshakeRequest] = set()
        for waiter in list(self._waiters):
            wish = waiter.request
            if wish.upgrade in blocked:
                continue
            if ready := self._find_reserved(waiter) if wish.fresh else self._find_available(wish):
                self._assign(waiter, ready)
            elif not self._is_covered(waiter, opening) and not self._try_open(waiter, opening):
                blocked.add(wish.upgrade)
        if self._draining and not self._waiters:
            for slot in [slot for slot in self._connections if slot.is_idle]:
                self._discard(slot)

    def _find_reserved(self, waiter: Waiter) -> PooledConnection | None:
        return next((slot for slot in self._connections if slot.connection and slot.reserved_for is waiter), None)

    def _find_available(self, request: LeaseRequest) -> PooledConnection | None:
        for slot in self._connections:
            if slot.connection is None or slot.upgrade != request.upgrade or not slot.has_capacity(request):
                continue
            if request.concurrency is Concurrency.MULTIPLEXED or slot.synced:
                return slot
        return None

    def _is_covered(self, waiter: Waiter, opening: set[PooledConnection]) -> bool:
        """Whether a connection will serve this call without another being opened.

        One that is being opened, or settled, serves one call that owns it, or any number that share it. `opening`
        holds those that nobody who would own them has been promised yet.
        """
        wish = waiter.request
        if wish.fresh:
            return any(slot.reserved_for is waiter for slot in self._connections)
        for slot in self._connections:
            if slot.upgrade != wish.upgrade or slot.reserved_for:
                continue
            if slot.connection is None:
                if slot in opening:
                    opening.difference_update({slot} if wish.exclusive else ())
                    return True
            elif not wish.exclusive:
                if slot.connection.is_available and not slot.exclusive and not slot.draining:
                    return True
            elif wish.concurrency is Concurrency.EXCLUSIVE and slot.has_capacity(wish) and slot not in opening:
                opening.add(slot)
                self._start_sync(slot)
                return True
        return False

    def _try_open(self, waiter: Waiter, opening: set[PooledConnection]) -> bool:
        """Open a connection for this call, in the place of an idle one if need be.

        An endpoint that has refused a further connection is not asked for one as long as another can serve the
        call, and one that fails again and again for one at a time.
        """
        wish = waiter.request
        same = [slot for slot in self._connections if slot.upgrade == wish.upgrade]
        if self._failures.error_for(wish.upgrade) and self._can_be_served_later(wish) and not wish.fresh:
            return False
        if self._failures.breaker(wish.upgrade).is_tripped and any(slot.connection is None for slot in same):
            return False
        most = wish.upgrade.template.limits.max_connections
        if len(same) >= most and not self._evict_idle(wish, same_key=True):
            return False
        if len(self._connections) >= max(most, MAX_CONNECTIONS_PER_MANUAL) and not self._evict_idle(
            wish, same_key=False
        ):
            return False
        slot = PooledConnection(wish.upgrade, reserved_for=waiter if wish.fresh else None)
        self._connections.append(slot)
        opening.update(() if wish.exclusive else {slot})
        self._tasks.start_soon(self._open, slot, wish.arguments)
        return True

    def _evict_idle(self, request: LeaseRequest, *, same_key: bool) -> bool:
        """Close an idle connection that is of no use to a call: of the same upgrade, or of another one."""
        for slot in self._connections:
            of_use = same_key and not request.fresh and slot.has_capacity(request)
            if slot.is_idle and (slot.upgrade == request.upgrade) == same_key and not of_use:
                self._discard(slot, slot.unusable_reason if same_key else "a call needs another connection")
                return not slot.draining
        return False

    def _assign(self, waiter: Waiter, pooled: PooledConnection) -> None:
        self._waiters.remove(waiter)
        pooled.acquire(waiter.request)
        waiter.pooled = pooled
        waiter.done.set()

    def _cancel_waiter(self, waiter: Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            for slot in [
                slot for slot in self._connections if slot.reserved_for is waiter and slot.connection is not None
            ]:
                self._discard(slot)
        elif waiter.pooled is not None:
            self.release(waiter.pooled, waiter.request)

    async def _open(self, pooled: PooledConnection, arguments: dict[str, Any]) -> None:
        try:
            await anyio.sleep(self._failures.breaker(pooled.upgrade).retry_after(anyio.current_time()))
            connection = await self._open_connection(pooled.upgrade, arguments)
        except Exception as failed:  # of a defect, too, every waiting call must hear
            error = failed if isinstance(failed, BridgeError) else InternalError(pooled.upgrade.address, failed)
            self._connections.remove(pooled)
            self._on_open_failed(pooled, error)
            self._assign_requests_to_connections()
            return
        forsaken = pooled.reserved_for is not None and pooled.reserved_for not in self._waiters
        if self._closed or forsaken:
            self._connections.remove(pooled)
            connection.abort()
            self._assign_requests_to_connections()
            return
        if pooled.reserved_for is None and not connection.is_open:
            self._connections.remove(pooled)
            self._record_early_close(pooled, connection)
            self._assign_requests_to_connections()
            return
        pooled.connection = connection
        connection.on_draining = self._assign_requests_to_connections
        self._failures.clear_error(pooled.upgrade)
        if pooled.reserved_for is None:
            self._tasks.start_soon(self._run_connection, pooled)
        self._assign_requests_to_connections()

    def _record_early_close(self, pooled: PooledConnection, connection: Connection) -> None:
        """A connection ended before anybody could use it: another one is tried, unless this happens again and again."""
        self._failures.record_failure(pooled.upgrade)
        if self._failures.breaker(pooled.upgrade).is_tripped:
            ending = connection.close_info
            self._fail_waiters(
                pooled, ConnectionLost(connection.address, ending.reason, Outcome.NOT_SENT, code=ending.code)
            )

    def _record_unused_session(self, pooled: PooledConnection) -> None:
        """A session that ends before it was used is a failure, or one call would log in again and again."""
        if pooled.ended_unused:
            assert pooled.connection is not None
            why = f'{pooled.unusable_reason}: a message for which "reconnect_when" holds came before any call'
            self._failures.record_failure(pooled.upgrade)
            self._failures.set_last_error(
                pooled.upgrade, ConnectionLost(pooled.connection.address, why, Outcome.NOT_SENT)
            )

    async def _run_connection(self, pooled: PooledConnection) -> None:
        connection = pooled.connection
        assert connection is not None
        try:
            async with anyio.create_task_group() as running:
                running.start_soon(connection.heartbeat.run)
                await connection.receive_loop()
                running.cancel_scope.cancel()
        finally:
            if connection.failed_early:
                self._failures.record_failure(pooled.upgrade)
            self._assign_requests_to_connections()

    def _on_open_failed(self, pooled: PooledConnection, error: BridgeError) -> None:
        """Opening failed."""
        self._failures.record_failure(pooled.upgrade)
        self._fail_waiters(pooled, error)

    def _fail_waiters(self, pooled: PooledConnection, error: BridgeError) -> None:
        """The calls that wait for a connection get the error, unless an open one can serve them later."""
        upgrade = pooled.upgrade
        self._failures.set_last_error(upgrade, error)
        for waiter in [waiter for waiter in self._waiters if waiter.request.upgrade == upgrade]:
            if waiter is not pooled.reserved_for and (
                waiter.request.fresh or self._can_be_served_later(waiter.request)
            ):
                continue
            self._waiters.remove(waiter)
            waiter.error = error
            waiter.done.set()

    def _can_be_served_later(self, request: LeaseRequest) -> bool:
        return any(
            slot.upgrade == request.upgrade and slot.can_handle_request(request.concurrency)
            for slot in self._connections
        )

    def _start_sync(self, pooled: PooledConnection) -> None:
        if not pooled.syncing:
            pooled.syncing = True
            self._tasks.start_soon(self._sync, pooled)

    async def _sync(self, pooled: PooledConnection) -> None:
        assert pooled.connection is not None
        pooled.synced = await pooled.connection.sync()
        pooled.syncing = False
        if not pooled.synced and not pooled.in_flight:
            self._discard(pooled, pooled.unusable_reason or "the server did not answer a ping in time")
        self._assign_requests_to_connections()

    def _discard(self, pooled: PooledConnection, reason: str = "") -> None:
        connection = pooled.connection
        if connection is not None and connection.is_open and not self._closed and not pooled.draining:
            pooled.draining = bool(pooled.upgrade.connection_rules.on_disconnect)
            self._tasks.start_soon(self._close_gracefully, pooled, connection, reason)
        if not pooled.draining and pooled in self._connections:
            self._connections.remove(pooled)

    async def _close_gracefully(self, pooled: PooledConnection, connection: Connection, reason: str) -> None:
        """Close; one that says goodbye keeps its place until then, for the server may allow no session more."""
        await connection.aclose(1000, "", reason)
        if pooled in self._connections:
            self._connections.remove(pooled)
            self._assign_requests_to_connections()
