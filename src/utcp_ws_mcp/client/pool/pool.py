"""The connections of one manual: who may use which, when one is opened, and when it is thrown away.

Every decision is made in `Shelf.assign`, which does not wait; what it decides is carried out by tasks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from ...core.exchange.reply_rules import Sharing
from ...core.handshake_request import Upgrade
from ...errors import BridgeError, ConnectionLost, Defect, Outcome
from .circuit_breaker import Troubles
from .entry import Slot, Standing, Waiter, shutting_down
from .wish import Wish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..connection import Connection

MAX_OF_MANUAL: Final = 32
"""Connections of one manual, over all the headers, arguments and URLs that its calls need."""

Opener = Callable[[Upgrade, dict[str, Any]], Awaitable["Connection"]]


class Shelf:
    """The connections of one manual."""

    def __init__(self, tasks: TaskGroup, opener: Opener, *, closed: bool = False) -> None:
        self._tasks = tasks
        self._opener = opener
        self._slots: list[Slot] = []
        self._waiting: deque[Waiter] = deque()
        self._troubles = Troubles()
        self._retired = False
        self._closed = closed

    def __repr__(self) -> str:
        return f"<{len(self._slots)} connections, {len(self._waiting)} waiting>"

    def acquire_at_once(self, wish: Wish) -> Slot | None:
        """A slot with an open connection, leased to the caller, if there is one and nobody waits."""
        if self._waiting or self._closed or wish.unread:
            return None
        slot = self._ready_slot(wish)
        if slot is not None:
            slot.take(wish)
        return slot

    async def acquire(self, wish: Wish) -> Slot:
        """A slot with an open connection, leased to the caller."""
        self.check_open(wish)
        waiter = Waiter(wish)
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

    def check_open(self, wish: Wish) -> None:
        """Raise where nobody may use a connection any more."""
        if self._closed:
            raise shutting_down(wish.upgrade.address)

    def release(self, slot: Slot, wish: Wish) -> None:
        """The exchange is over: the connection serves the next one, or is thrown away."""
        assert slot.connection is not None
        slot.leases -= 1
        slot.listeners -= wish.listens
        was_owned, slot.owned, slot.settled = slot.owned, False, False
        usable = slot.connection.is_usable
        if slot.connection.received and slot.connection.exchanges.opened:
            self._troubles.proved(slot.upgrade)
        if not slot.leases and not slot.upgrade.template.keep_alive:
            self._discard(slot)
        elif was_owned and usable:
            self._settle(slot)
        if self._waiting or not usable or self._retired:
            self.assign()

    def obstacle(self, upgrade: Upgrade) -> str:
        """Why a call got no connection in time, as far as it is known."""
        if failure := self._troubles.error(upgrade):
            return str(failure)
        opening = any(slot.connection is None and slot.upgrade == upgrade for slot in self._slots)
        return "one was still being opened or logged in" if opening else ""

    def standing(self) -> Standing:
        """How it stands now."""
        connections = sum(slot.connection is not None and slot.connection.is_open for slot in self._slots)
        return Standing(connections, len(self._waiting), self._troubles.newest)

    def read(self, slot: Slot) -> None:
        """Start reading a connection that was opened unread."""
        assert slot.connection is not None
        self._tasks.start_soon(self._run, slot)

    def close(self) -> Iterator[Connection]:
        """Turn everybody away, and give the connections that are to be closed."""
        self._closed = True
        for waiter in self._waiting:
            waiter.error = shutting_down(waiter.wish.upgrade.address)
            waiter.woken.set()
        self._waiting.clear()
        yield from [slot.connection for slot in self._slots if slot.connection is not None]

    def retire(self) -> None:
        """Serve the calls that wait already; then close each connection once nothing uses it."""
        self._retired = True
        self.assign()

    def assign(self) -> None:
        """Give waiting calls what there is, in order, and open what is missing; nothing here waits."""
        for slot in [slot for slot in self._slots if slot.is_spent]:
            self._note_useless(slot)
            self._discard(slot, slot.doubt)
        opening = {slot for slot in self._slots if slot.connection is None}
        blocked: set[Upgrade] = set()
        for waiter in list(self._waiting):
            wish = waiter.wish
            if wish.upgrade in blocked:
                continue
            if ready := self._reserved_slot(waiter) if wish.unread else self._ready_slot(wish):
                self._grant(waiter, ready)
            elif not self._expects(waiter, opening) and not self._make_room(waiter, opening):
                blocked.add(wish.upgrade)
        if self._retired and not self._waiting:
            for slot in [slot for slot in self._slots if slot.is_idle]:
                self._discard(slot)

    def _reserved_slot(self, waiter: Waiter) -> Slot | None:
        return next((slot for slot in self._slots if slot.connection and slot.reserved is waiter), None)

    def _ready_slot(self, wish: Wish) -> Slot | None:
        for slot in self._slots:
            if slot.connection is None or slot.upgrade != wish.upgrade or not slot.has_room(wish):
                continue
            if wish.sharing is Sharing.SHARED or slot.settled:
                return slot
        return None

    def _expects(self, waiter: Waiter, opening: set[Slot]) -> bool:
        """Whether a connection will serve this call without another being opened.

        One that is being opened, or settled, serves one call that owns it, or any number that share it. `opening`
        holds those that nobody who would own them has been promised yet.
        """
        wish = waiter.wish
        if wish.unread:
            return any(slot.reserved is waiter for slot in self._slots)
        for slot in self._slots:
            if slot.upgrade != wish.upgrade or slot.reserved:
                continue
            if slot.connection is None:
                if slot in opening:
                    opening.difference_update({slot} if wish.owns else ())
                    return True
            elif not wish.owns:
                if slot.connection.is_usable and not slot.owned and not slot.closing:
                    return True
            elif wish.sharing is Sharing.OWNED and slot.has_room(wish) and slot not in opening:
                opening.add(slot)
                self._settle(slot)
                return True
        return False

    def _make_room(self, waiter: Waiter, opening: set[Slot]) -> bool:
        """Open a connection for this call, in the place of an idle one if need be.

        An endpoint that has refused a further connection is not asked for one as long as another can serve the
        call, and one that fails again and again for one at a time.
        """
        wish = waiter.wish
        same = [slot for slot in self._slots if slot.upgrade == wish.upgrade]
        if self._troubles.error(wish.upgrade) and self._served_later(wish) and not wish.unread:
            return False
        if self._troubles.circuit(wish.upgrade).is_open and any(slot.connection is None for slot in same):
            return False
        most = wish.upgrade.template.limits.max_connections
        if len(same) >= most and not self._make_way(wish, same=True):
            return False
        if len(self._slots) >= max(most, MAX_OF_MANUAL) and not self._make_way(wish, same=False):
            return False
        slot = Slot(wish.upgrade, reserved=waiter if wish.unread else None)
        self._slots.append(slot)
        opening.update(() if wish.owns else {slot})
        self._tasks.start_soon(self._open, slot, wish.arguments)
        return True

    def _make_way(self, wish: Wish, *, same: bool) -> bool:
        """Close an idle connection that is of no use to a call: of the same upgrade, or of another one."""
        for slot in self._slots:
            of_use = same and not wish.unread and slot.has_room(wish)
            if slot.is_idle and (slot.upgrade == wish.upgrade) == same and not of_use:
                self._discard(slot, slot.doubt if same else "a call needs another connection")
                return not slot.closing
        return False

    def _grant(self, waiter: Waiter, slot: Slot) -> None:
        self._waiting.remove(waiter)
        slot.take(waiter.wish)
        waiter.slot = slot
        waiter.woken.set()

    def _withdraw(self, waiter: Waiter) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
            for slot in [slot for slot in self._slots if slot.reserved is waiter and slot.connection is not None]:
                self._discard(slot)
        elif waiter.slot is not None:
            self.release(waiter.slot, waiter.wish)

    async def _open(self, slot: Slot, arguments: dict[str, Any]) -> None:
        try:
            await anyio.sleep(self._troubles.circuit(slot.upgrade).wait(anyio.current_time()))
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
        if slot.reserved is None and not connection.is_open:
            self._slots.remove(slot)
            self._note_stillborn(slot, connection)
            self.assign()
            return
        slot.connection = connection
        connection.on_retired = self.assign
        self._troubles.opened(slot.upgrade)
        if slot.reserved is None:
            self._tasks.start_soon(self._run, slot)
        self.assign()

    def _note_stillborn(self, slot: Slot, connection: Connection) -> None:
        """A connection ended before anybody could use it: another one is tried, unless this happens again and again."""
        self._troubles.count(slot.upgrade)
        if self._troubles.circuit(slot.upgrade).is_open:
            ending = connection.ending
            self._turn_away(slot, ConnectionLost(connection.address, ending.text, Outcome.NOT_SENT, code=ending.code))

    def _note_useless(self, slot: Slot) -> None:
        """A session that ends before it was used is a failure, or one call would log in again and again."""
        if slot.is_useless:
            assert slot.connection is not None
            why = f'{slot.doubt}: a message for which "retire" holds came before any call'
            self._troubles.count(slot.upgrade)
            self._troubles.keep(slot.upgrade, ConnectionLost(slot.connection.address, why, Outcome.NOT_SENT))

    async def _run(self, slot: Slot) -> None:
        connection = slot.connection
        assert connection is not None
        try:
            async with anyio.create_task_group() as running:
                running.start_soon(connection.upkeep.beat)
                await connection.run()
                running.cancel_scope.cancel()
        finally:
            if connection.is_failure:
                self._troubles.count(slot.upgrade)
            self.assign()

    def _fail(self, slot: Slot, error: BridgeError) -> None:
        """Opening failed."""
        self._troubles.count(slot.upgrade)
        self._turn_away(slot, error)

    def _turn_away(self, slot: Slot, error: BridgeError) -> None:
        """The calls that wait for a connection get the error, unless an open one can serve them later."""
        upgrade = slot.upgrade
        self._troubles.keep(upgrade, error)
        for waiter in [waiter for waiter in self._waiting if waiter.wish.upgrade == upgrade]:
            if waiter is not slot.reserved and (waiter.wish.unread or self._served_later(waiter.wish)):
                continue
            self._waiting.remove(waiter)
            waiter.error = error
            waiter.woken.set()

    def _served_later(self, wish: Wish) -> bool:
        return any(slot.upgrade == wish.upgrade and slot.serves(wish.sharing) for slot in self._slots)

    def _settle(self, slot: Slot) -> None:
        if not slot.settling:
            slot.settling = True
            self._tasks.start_soon(self._settle_slot, slot)

    async def _settle_slot(self, slot: Slot) -> None:
        assert slot.connection is not None
        slot.settled = await slot.connection.settle()
        slot.settling = False
        if not slot.settled and not slot.leases:
            self._discard(slot, slot.doubt or "the server did not answer a ping in time")
        self.assign()

    def _discard(self, slot: Slot, why: str = "") -> None:
        connection = slot.connection
        if connection is not None and connection.is_open and not self._closed and not slot.closing:
            slot.closing = bool(slot.upgrade.conduct.goodbyes)
            self._tasks.start_soon(self._part, slot, connection, why)
        if not slot.closing and slot in self._slots:
            self._slots.remove(slot)

    async def _part(self, slot: Slot, connection: Connection, why: str) -> None:
        """Close; one that says goodbye keeps its place until then, for the server may allow no session more."""
        await connection.aclose(1000, "", why)
        if slot in self._slots:
            self._slots.remove(slot)
            self.assign()
