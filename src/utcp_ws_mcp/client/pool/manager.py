"""The pools of a bridge, one for each manual."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import anyio
from anyio.abc import TaskGroup

from ...errors import BridgeError
from .status import PoolStats

if TYPE_CHECKING:
    from ...core.handshake_request import HandshakeRequest
    from ..connection import Connection
    from ..shared.fleet import Fleet
    from .executor import OpenConnection
    from .lease import RateLimiter
    from .pool import ConnectionPool
    from .refused_logins import RefusedLogins


class PoolManager:
    """The pools of all manuals. Their connections live in `tasks`; `open_connection` opens one and logs in.
    With a fleet, its replicas share the rate of requests.

    Manuals never share connections, even if their URLs are equal: they may come from different authors. Each load of
    a manifest gets a new pool, as each generation of a CMAP pool has its own connections: calls that began before
    a reload finish on the old pool, and calls that begin later cannot get a connection of an old manifest. Separate
    objects need no generation number on connections, no check at each lease, and no stale waiting calls.

    Attributes:
        on_opened: Each is called with the name of a manual when a connection of it was opened.
    """

    def __init__(self, tasks: TaskGroup, open_connection: OpenConnection, fleet: Fleet | None = None) -> None:
        self.on_opened: list[Callable[[str], None]] = []
        self._tasks = tasks
        self._fleet = fleet
        self._open_connection = open_connection
        self._current: dict[str, ConnectionPool] = {}
        self._logins: dict[str, RefusedLogins] = {}
        # Weak, because only its calls and connections know when an old pool is no longer needed: a call between two
        # attempts holds the pool, and neither a lease nor a place in the queue.
        self._draining: WeakSet[ConnectionPool] = WeakSet()
        self._closed = False

    def __repr__(self) -> str:
        return f"<PoolManager {self.pools!r}>"

    @property
    def pools(self) -> list[ConnectionPool]:
        """The current pools, and the draining ones that are still in use."""
        return [*self._current.values(), *self._draining]

    def pool(self, manual: str) -> ConnectionPool:
        """Return the pool for a call of a manual that begins now; the call keeps it to its end."""
        pool = self._current.get(manual)
        if pool is None:
            pool = self._current[manual] = self._new_pool(None)
        return pool

    def logins(self, manual: str) -> RefusedLogins:
        """Return which logins of a manual were refused since it was loaded."""
        from .refused_logins import RefusedLogins

        return self._logins.setdefault(manual, RefusedLogins())

    def stats(self, manual: str) -> PoolStats:
        """Return the status of a manual."""
        pool = self._current.get(manual)
        return pool.stats() if pool is not None else PoolStats()

    def drain(self, manual: str) -> None:
        """Give later calls of a manual a new pool; the calls that run finish on the old one."""
        self._logins.pop(manual, None)  # the credentials may be others
        if old := self._current.get(manual):
            self._draining.add(old)
            self._current[manual] = self._new_pool(old.rate_limiter)
            old.drain()

    async def aclose(self) -> None:
        """Close every connection with 1001 (going away, RFC 6455 §7.4.1); waiting calls fail."""
        self._closed = True
        async with anyio.create_task_group() as closing:
            for pool in self.pools:
                for connection in pool.close():
                    closing.start_soon(connection.aclose, 1001, "utcp-ws-mcp is shutting down")

    def _new_pool(self, rate_limiter: RateLimiter | None) -> ConnectionPool:
        # For the first call: a host that only lists the tools needs no pool.
        from .lease import RateLimiter
        from .pool import ConnectionPool

        if rate_limiter is None:
            rate_limiter = RateLimiter() if self._fleet is None else self._fleet.rate_limiter()
        return ConnectionPool(self._tasks, self._open, rate_limiter, closed=self._closed)

    async def _open(
        self, request: HandshakeRequest, arguments: dict[str, Any], on_draining: Callable[[], None]
    ) -> Connection:
        logins, began = self.logins(request.manual), anyio.current_time()
        try:
            connection = await self._open_connection(request, arguments, on_draining)
        except BridgeError as error:
            logins.note_failure(request.key, error, began, anyio.current_time())
            raise
        logins.note_success(request.key)  # before feeds learn that they may log in
        for callback in self.on_opened:
            callback(request.manual)
        return connection
