"""All connections of a bridge, kept by manual. Calls share one only if their upgrades agree in everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import anyio
from anyio.abc import TaskGroup

from ..errors import BridgeError
from ..wire.upgrade import Upgrade
from .shelf import Opener, Shelf
from .slot import Standing, shutting_down
from .wish import Wish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .connection import Connection


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to use `connection`, until `release` is called, once. `read` starts reading where nobody reads yet."""

    connection: Connection
    release: Callable[[], None]
    read: Callable[[], None] | None = None


class Pool:
    """The connections of a bridge. They live in `tasks`; `opener` makes one that is ready for requests."""

    def __init__(self, tasks: TaskGroup, opener: Opener) -> None:
        self._tasks = tasks
        self._opener = opener
        self._shelves: dict[str, Shelf] = {}
        self._retired: list[Shelf] = []
        self._closed = False

    def __repr__(self) -> str:
        return f"<Pool {self._shelves!r}>"

    def lease_at_once(self, wish: Wish) -> Lease | None:
        """The right to use a connection, if there is one that nobody else waits for."""
        shelf = self._shelves.get(wish.upgrade.manual)
        if shelf is None or wish.upgrade.template.limits.requests_per_second:
            return None
        slot = shelf.acquire_at_once(wish)
        return None if slot is None or slot.connection is None else Lease(slot.connection, partial(shelf.release, slot))

    async def lease(self, wish: Wish) -> Lease:
        """The right to use a connection; it waits until there is one.

        Raises:
            NetError, PolicyError: if one has to be opened and cannot be.
        """
        upgrade = wish.upgrade
        shelf = self._shelves.get(upgrade.manual)
        if self._closed:
            raise shutting_down(upgrade.address)
        if shelf is None:
            shelf = self._shelves[upgrade.manual] = Shelf(self._tasks, self._opener)
        slot = await shelf.acquire(wish)
        try:
            if rate := upgrade.template.limits.requests_per_second:
                await shelf.pace(1 / rate)
            if self._closed:
                raise shutting_down(upgrade.address)
        except BaseException:
            shelf.release(slot)
            raise
        assert slot.connection is not None
        return Lease(slot.connection, partial(shelf.release, slot), partial(shelf.read, slot) if wish.unread else None)

    def last_failure(self, upgrade: Upgrade) -> BridgeError | None:
        """Why no connection could be opened the last time, if none has been since."""
        shelf = self._shelves.get(upgrade.manual)
        return shelf.last_failure(upgrade) if shelf is not None else None

    def standing(self, manual: str) -> Standing:
        """How it stands with a manual."""
        shelf = self._shelves.get(manual)
        return shelf.standing() if shelf is not None else Standing()

    def retire(self, manual: str) -> None:
        """Later calls of a manual get new connections; calls that run finish on those that they have."""
        self._retired = [shelf for shelf in self._retired if not shelf.is_empty]
        if shelf := self._shelves.pop(manual, None):
            self._retired.append(shelf)
            shelf.retire()

    async def aclose(self) -> None:
        """Close every connection with 1001, going away; waiting calls get an error."""
        self._closed = True
        async with anyio.create_task_group() as closing:
            for shelf in (*self._shelves.values(), *self._retired):
                for connection in shelf.close():
                    closing.start_soon(connection.aclose, 1001, "the bridge is shutting down")
