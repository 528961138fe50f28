"""All connections of a bridge, kept by manual. Calls share one only if their upgrades agree in everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from weakref import WeakSet

import anyio
from anyio.abc import TaskGroup

from ...core.handshake_request import Upgrade
from .entry import Standing
from .pool import Opener, Shelf
from .wish import Wish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..connection import Connection


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to use `connection`, until `release` is called, once. `read` starts reading where nobody reads yet."""

    connection: Connection
    release: Callable[[], None]
    read: Callable[[], None] | None = None


class Pace:
    """When the next request of a manual may begin; reloading the manual does not change that."""

    def __init__(self) -> None:
        self._next = 0.0

    async def keep(self, interval: float) -> None:
        """Wait until so many seconds after the request before may begin."""
        start = max(anyio.current_time(), self._next)
        self._next = start + interval
        await anyio.sleep_until(start)


class Access:
    """What a call leases its connections from.

    A call keeps the same one to its end, so that it never opens or uses connections of a manual that was reloaded
    meanwhile.
    """

    def __init__(self, shelf: Shelf, pace: Pace) -> None:
        self.shelf = shelf
        self.pace = pace

    def lease_at_once(self, wish: Wish) -> Lease | None:
        """The right to use a connection, if there is one that nobody else waits for."""
        if wish.upgrade.template.limits.requests_per_second:
            return None
        shelf = self.shelf
        slot = shelf.acquire_at_once(wish)
        if slot is None or slot.connection is None:
            return None
        return Lease(slot.connection, partial(shelf.release, slot, wish))

    async def lease(self, wish: Wish) -> Lease:
        """The right to use a connection; it waits until there is one.

        Raises:
            NetError, PolicyError: if one has to be opened and cannot be.
        """
        shelf = self.shelf
        slot = await shelf.acquire(wish)
        try:
            if rate := wish.upgrade.template.limits.requests_per_second:
                await self.pace.keep(1 / rate)
            shelf.check_open(wish)
        except BaseException:
            shelf.release(slot, wish)
            raise
        assert slot.connection is not None
        read = partial(shelf.read, slot) if wish.unread else None
        return Lease(slot.connection, partial(shelf.release, slot, wish), read)

    def obstacle(self, upgrade: Upgrade) -> str:
        """Why a call got no connection in time, as far as it is known."""
        return self.shelf.obstacle(upgrade)


class Pool:
    """The connections of a bridge. They live in `tasks`; `opener` makes one that is ready for requests."""

    def __init__(self, tasks: TaskGroup, opener: Opener) -> None:
        self._tasks = tasks
        self._opener = opener
        self._accesses: dict[str, Access] = {}
        self._retired: WeakSet[Shelf] = WeakSet()  # a shelf lives as long as a call or a connection needs it
        self._closed = False

    def __repr__(self) -> str:
        return f"<Pool {self.shelves!r}>"

    @property
    def shelves(self) -> list[Shelf]:
        """Those of all manuals, and the retired ones that are still in use."""
        return [*(access.shelf for access in self._accesses.values()), *self._retired]

    def access(self, manual: str) -> Access:
        """What a call of a manual that begins now leases its connections from."""
        access = self._accesses.get(manual)
        if access is None:
            access = self._accesses[manual] = Access(self._shelf(), Pace())
        return access

    def standing(self, manual: str) -> Standing:
        """How it stands with a manual."""
        access = self._accesses.get(manual)
        return access.shelf.standing() if access is not None else Standing()

    def retire(self, manual: str) -> None:
        """Later calls of a manual get new connections; calls that run finish on those that they have."""
        if access := self._accesses.get(manual):
            self._retired.add(access.shelf)
            self._accesses[manual] = Access(self._shelf(), access.pace)
            access.shelf.retire()

    async def aclose(self) -> None:
        """Close every connection with 1001, going away; waiting calls get an error."""
        self._closed = True
        async with anyio.create_task_group() as closing:
            for shelf in self.shelves:
                for connection in shelf.close():
                    closing.start_soon(connection.aclose, 1001, "the bridge is shutting down")

    def _shelf(self) -> Shelf:
        return Shelf(self._tasks, self._opener, closed=self._closed)
