"""All connections of a bridge, kept by manual. Calls share one only if their upgrades agree in everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup

from ..wire.reply import Sharing
from ..wire.upgrade import Upgrade
from .connection import Connection
from .shelf import Opener, Shelf, Waiter


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

    def __repr__(self) -> str:
        return f"<Pool {self._shelves!r}>"

    async def lease(self, upgrade: Upgrade, sharing: Sharing, arguments: dict[str, Any], unread: bool = False) -> Lease:
        """The right to use a connection; it waits until there is one. `arguments` are those of the call.

        `unread` asks for a new connection of which nothing has been read.

        Raises:
            NetError, PolicyError: if one has to be opened and cannot be.
        """
        shelf = self._shelves.get(upgrade.manual)
        if shelf is None:
            shelf = self._shelves[upgrade.manual] = Shelf(self._tasks, self._opener)
        if rate := upgrade.template.limits.requests_per_second:
            await shelf.pace(1 / rate)
        slot = await shelf.acquire(Waiter(upgrade, sharing, arguments, unread))
        assert slot.connection is not None
        return Lease(slot.connection, partial(shelf.release, slot), partial(shelf.read, slot) if unread else None)

    async def aclose(self) -> None:
        """Close every connection with 1001, going away; waiting calls get an error."""
        async with anyio.create_task_group() as closing:
            for shelf in self._shelves.values():
                for connection in shelf.close():
                    closing.start_soon(connection.aclose, 1001, "the bridge is shutting down")
