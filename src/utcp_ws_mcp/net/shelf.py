"""The connections of one manual: who may use which, when one is opened, and when it is thrown away.

Every decision is made in `Shelf.assign`, which does not wait; what it decides is carried out by tasks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from ..errors import BridgeError, ConnectionLost, Defect, Outcome
from ..wire.reply import Sharing
from ..wire.upgrade import Upgrade
from .connection import Connection

MAX_OF_MANUAL: Final = 32
"""Connections of one manual, over all the headers, arguments and URLs that its calls need."""

Opener = Callable[[Upgrade, dict[str, Any]], Awaitable[Connection]]


@dataclass(slots=True, eq=False)
class Slot:
    """A connection, or the place of one that is being opened (`connection` is None).

    `settled` says that nothing an earlier exchange caused can still arrive, so that one may own the connection.
    `reserved`: it is opened for one call, and not read before that call is there.
    """

    upgrade: Upgrade
    connection: Connection | None = None
    leases: int = 0
    owned: bool = False
    settled: bool = False
    settling: bool = False
    reserved: Waiter | None = None

    @property
    def is_spent(self) -> bool:
        """Whether nothing uses the connection and nothing may use it any more."""
        if self.connection is None or self.leases or self.reserved is not None:
            return False
        return not self.connection.is_usable

    def room(self, sharing: Sharing) -> int:
        """How many more exchanges may start here."""
        if (self.connection is not None and not self.connection.is_usable) or self.owned or self.reserved:
            return 0
        if sharing is Sharing.OWNED and self.connection is not None and self.connection.exchanges.abandoned:
            return 0
        if sharing is Sharing.OWNED or not self.upgrade.template.keep_alive:
            return 0 if self.leases else 1
        return self.upgrade.template.limits.max_in_flight - self.leases


@dataclass(slots=True, eq=False)
class Waiter:
    """A call that wants a connection: it gets a slot or an error, and is woken.

    `unread`: it wants all that comes over a new connection, from the first message on.
    """

    upgrade: Upgrade
    sharing: Sharing
    arguments: dict[str, Any]
    unread: bool = False
    woken: anyio.Event = field(default_factory=anyio.Event)
    slot: Slot | None = None
    error: BridgeError | None = None

    @property
    def owns(self) -> bool:
        """Whether the exchange must be alone on its connection."""
        return self.sharing is Sharing.OWNED or not self.upgrade.template.keep_alive


class Shelf:
    """The connections of one manual."""

    def __init__(self, tasks: TaskGroup, opener: Opener) -> None:
        self._tasks = tasks
        self._opener = opener
        self._slots: list[Slot] = []
        self._waiting: deque[Waiter] = deque()
        self._refused: set[Upgrade] = set()
        self._next_start = 0.0
        self._closed = False

    def __repr__(self) -> str:
        return f"<{len(self._slots)} connections, {len(self._waiting)} waiting>"

    async def acquire(self, waiter: Waiter) -> Slot:
        """A slot with an open connection, leased to the caller."""
        if self._closed:
            raise ConnectionLost(waiter.upgrade.address, "the bridge is shutting down", Outcome.NOT_SENT)
        self._waiting.append(waiter)
        self.assign()
        try:
            await waiter.woken.wait()
        except BaseException:
            self._withdraw(waiter)
            raise
        if waiter.error is not None:
            raise waiter.error
        assert waiter.slot is not None
        return waiter.slot

    async def pace(self, interval: float) -> None:
        """Wait until so many seconds after the request before may begin."""
        start = max(anyio.current_time(), self._next_start)
        self._next_start = start + interval
        await anyio.sleep_until(start)

    def release(self, slot: Slot) -> None:
        """The exchange is over: the connection serves the next one, or is thrown away."""
        slot.leases -= 1
        was_owned, slot.owned, slot.settled = slot.owned, False, False
        if not slot.leases and not slot.upgrade.template.keep_alive:
            self._discard(slot)
        elif was_owned and slot.connection is not None and slot.connection.is_usable:
            self._settle(slot)
        self.assign()

    def read(self, slot: Slot) -> None:
        """Start reading a connection that was opened unread."""
        assert slot.connection is not None
        self._tasks.start_soon(self._run, slot.connection)

    def close(self) -> Iterator[Connection]:
        """Turn everybody away, and give the connections that are to be closed."""
        self._closed = True
        for waiter in self._waiting:
            waiter.error = ConnectionLost(waiter.upgrade.address, "the bridge is shutting down", Outcome.NOT_SENT)
            waiter.woken.set()
        self._waiting.clear()
        yield from [slot.connection for slot in self._slots if slot.connection is not None]

    def assign(self) -> None:
        """Give waiting calls what there is, in order, and open what is missing; nothing here waits."""
        for slot in [slot for slot in self._slots if slot.is_spent]:
            self._discard(slot)
        opening = {slot for slot in self._slots if slot.connection is None}
        blocked: set[Upgrade] = set()
        for waiter in list(self._waiting):
            if waiter.upgrade in blocked:
                continue
            if ready := self._ready_slot(waiter):
                self._grant(waiter, ready)
            elif not self._expects(waiter, opening) and not self._make_room(waiter, opening):
                blocked.add(waiter.upgrade)

    def _ready_slot(self, waiter: Waiter) -> Slot | None:
        for slot in self._slots:
            if slot.connection is not None and slot.reserved is waiter:
                return slot
            if slot.connection is None or slot.upgrade != waiter.upgrade or not slot.room(waiter.sharing):
                continue
            if waiter.unread:
                continue
            if waiter.sharing is Sharing.SHARED or slot.settled:
                return slot
        return None

    def _expects(self, waiter: Waiter, opening: set[Slot]) -> bool:
        """Whether a connection will serve this call without another being opened.

        One that is being opened, or settled, serves one call that owns it, or any number that share it. `opening`
        holds those that nobody who would own them has been promised yet.
        """
        if waiter.unread:
            return any(slot.reserved is waiter for slot in self._slots)
        for slot in self._slots:
            if slot.upgrade != waiter.upgrade or slot.reserved:
                continue
            if slot.connection is None:
                if slot in opening:
                    opening.difference_update({slot} if waiter.owns else ())
                    return True
            elif not waiter.owns:
                return slot.connection.is_usable and not slot.owned
            elif waiter.sharing is Sharing.OWNED and slot.room(waiter.sharing) and slot not in opening:
                opening.add(slot)
                self._settle(slot)
                return True
        return False

    def _make_room(self, waiter: Waiter, opening: set[Slot]) -> bool:
        """Open a connection for this call, in the place of an idle one if need be.

        An endpoint that has refused a further connection is not asked for one as long as another is open.
        """
        if waiter.upgrade in self._refused and self._lives(waiter.upgrade) and not waiter.unread:
            return False
        most = waiter.upgrade.template.limits.max_connections
        if sum(slot.upgrade == waiter.upgrade for slot in self._slots) >= most and not self._make_way(
            waiter, same=True
        ):
            return False
        if len(self._slots) >= max(most, MAX_OF_MANUAL) and not self._make_way(waiter, same=False):
            return False
        slot = Slot(waiter.upgrade, reserved=waiter if waiter.unread else None)
        self._slots.append(slot)
        opening.update(() if waiter.owns else {slot})
        self._tasks.start_soon(self._open, slot, waiter.arguments)
        return True

    def _make_way(self, waiter: Waiter, *, same: bool) -> bool:
        """Close an idle connection that is of no use to a call: of the same upgrade, or of another one."""
        for slot in self._slots:
            idle = slot.connection is not None and not slot.leases and not slot.settling and not slot.reserved
            if idle and (slot.upgrade == waiter.upgrade) == same and not (same and slot.room(waiter.sharing)):
                self._discard(slot)
                return True
        return False

    def _grant(self, waiter: Waiter, slot: Slot) -> None:
        self._waiting.remove(waiter)
        slot.leases += 1
        slot.owned, slot.reserved = waiter.owns, None
        waiter.slot = slot
        waiter.woken.set()

    def _withdraw(self, waiter: Waiter) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
            for slot in [slot for slot in self._slots if slot.reserved is waiter and slot.connection is not None]:
                self._discard(slot)
        elif waiter.slot is not None:
            self.release(waiter.slot)

    async def _open(self, slot: Slot, arguments: dict[str, Any]) -> None:
        try:
            connection = await self._opener(slot.upgrade, arguments)
        except Exception as failed:  # of a defect, too, every waiting call must hear
            error = failed if isinstance(failed, BridgeError) else Defect(slot.upgrade.address, failed)
            self._slots.remove(slot)
            self._fail(slot, error)
            self.assign()
            return
        forsaken = slot.reserved is not None and slot.reserved not in self._waiting
        if self._closed or forsaken:
            self._slots.remove(slot)
            connection.abort()
            self.assign()
            return
        slot.connection = connection
        self._refused.discard(slot.upgrade)
        if slot.reserved is None:
            self._tasks.start_soon(self._run, connection)
        self.assign()

    async def _run(self, connection: Connection) -> None:
        try:
            async with anyio.create_task_group() as running:
                running.start_soon(connection.beat)
                await connection.run()
                running.cancel_scope.cancel()
        finally:
            self.assign()

    def _fail(self, slot: Slot, error: BridgeError) -> None:
        """Opening failed: the calls that wait for it get the error, unless an open connection can serve them later."""
        upgrade = slot.upgrade
        self._refused.add(upgrade)
        served_later = self._lives(upgrade)
        for waiter in [waiter for waiter in self._waiting if waiter.upgrade == upgrade]:
            if waiter is not slot.reserved and (served_later or waiter.unread):
                continue
            self._waiting.remove(waiter)
            waiter.error = error
            waiter.woken.set()

    def _lives(self, upgrade: Upgrade) -> bool:
        return any(
            slot.upgrade == upgrade and slot.connection is not None and slot.connection.is_usable
            for slot in self._slots
        )

    def _settle(self, slot: Slot) -> None:
        if not slot.settling:
            slot.settling = True
            self._tasks.start_soon(self._settle_slot, slot)

    async def _settle_slot(self, slot: Slot) -> None:
        assert slot.connection is not None
        slot.settled = await slot.connection.settle()
        slot.settling = False
        if not slot.settled and not slot.leases:
            self._discard(slot)
        self.assign()

    def _discard(self, slot: Slot) -> None:
        if slot in self._slots:
            self._slots.remove(slot)
        if slot.connection is not None and slot.connection.is_open and not self._closed:
            self._tasks.start_soon(slot.connection.aclose)
