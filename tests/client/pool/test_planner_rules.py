"""What holds whatever happens to a pool: random histories, with the actions of the planner carried out at once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.pool.fakes import FakeConnection, FakeHandshake, enqueue
from utcp_ws_mcp.client.pool.entry import LeaseMode, PooledConnection, State, Trigger, Waiter
from utcp_ws_mcp.client.pool.planner import Action, Assign, AwaitCapacity, Close, Open, Sync, Vacate, plan, plan_release
from utcp_ws_mcp.client.pool.state import PoolState

CONNECTING, UNSYNCED, SYNCING, IDLE = State.CONNECTING, State.UNSYNCED, State.SYNCING, State.IDLE

KEYS = [FakeHandshake("a", 1, 1), FakeHandshake("b", 2, 2, on_disconnect=("bye",)), FakeHandshake("c", 3, 2)]
EVENTS = ("arrive", "arrive", "open", "fail", "release", "release", "sync", "unsync", "end", "late", "cancel", "closed")


class History:
    """A pool whose actions are carried out at once, and whose tasks end when the history says so."""

    def __init__(self) -> None:
        self.pool = PoolState()
        self.pool.capacity = 4
        self.leases: list[tuple[PooledConnection, LeaseMode]] = []
        self.waiting: list[Waiter] = []

    def connections(self, *states: State) -> list[PooledConnection]:
        return [pooled for pooled in self.pool.connections if pooled.state in states]

    def play(self, event: str, number: int) -> None:
        """Let something happen, to the connection or the call of a number, if there is one."""
        getattr(self, event)(number)
        self.replan()

    def arrive(self, number: int) -> None:
        modes = (LeaseMode.SHARED, LeaseMode.EXCLUSIVE, LeaseMode.PASSIVE, LeaseMode.FRESH)
        self.waiting.append(enqueue(self.pool, modes[number // 3 % 4], KEYS[number % 3]))

    def cancel(self, number: int) -> None:
        if self.waiting:
            waiter = self.waiting.pop(number % len(self.waiting))
            waiter.cancelled = True
            self.pool.dequeue(waiter)

    def open(self, number: int) -> None:
        if places := self.connections(CONNECTING):
            self._open(places[number % len(places)])

    def fail(self, number: int) -> None:
        if places := self.connections(CONNECTING):
            self.pool.remove(places[number % len(places)])

    def release(self, number: int) -> None:
        if self.leases:
            pooled, mode = self.leases.pop(number % len(self.leases))
            pooled.release(mode)
            self._apply(plan_release(self.pool.groups[pooled.key], pooled, mode))

    def sync(self, number: int) -> None:
        if syncing := self.connections(SYNCING):
            syncing[number % len(syncing)].change(Trigger.SYNCED)

    def unsync(self, number: int) -> None:
        if syncing := self.connections(SYNCING):
            self._close(syncing[number % len(syncing)])

    def end(self, number: int) -> None:
        if opened := self.connections(UNSYNCED, IDLE, SYNCING, State.SHARED, State.EXCLUSIVE):
            opened[number % len(opened)].connection.reusable = False  # type: ignore[union-attr]

    def late(self, number: int) -> None:
        if opened := self.connections(UNSYNCED, IDLE, SYNCING, State.SHARED, State.EXCLUSIVE):
            opened[number % len(opened)].connection.incomplete = 1  # type: ignore[union-attr]

    def closed(self, number: int) -> None:
        if closing := self.connections(State.CLOSING):
            self.pool.remove(closing[number % len(closing)])

    def replan(self) -> None:
        """Carry out actions until there are none."""
        budget = 1000
        progress = True
        while progress:
            progress = False
            for key in list(self.pool.groups):
                while (action := plan(self.pool, key)) is not None and not isinstance(action, AwaitCapacity):
                    self._apply(action)
                    progress, budget = True, budget - 1
                    assert budget, "the planner finds no end"

    def finish(self) -> None:
        """Let everything that is under way succeed, until nothing changes."""
        for _ in range(200):
            if not (self.waiting or self.leases):
                return
            for event in ("open", "sync", "release", "closed"):
                self.play(event, 0)

    def _open(self, pooled: PooledConnection) -> None:
        waiter = pooled.reserved_for
        if waiter is not None and waiter.cancelled:
            self.pool.remove(pooled)
            return
        pooled.open(FakeConnection())  # type: ignore[arg-type]
        if waiter is not None:
            self._assign(waiter, pooled)

    def _assign(self, waiter: Waiter, pooled: PooledConnection) -> None:
        self.pool.assign(waiter, pooled)
        self.leases.append((pooled, waiter.request.mode))
        self.waiting.remove(waiter)

    def _close(self, pooled: PooledConnection) -> None:
        if pooled.handshake.connection_rules.on_disconnect:
            pooled.change(Trigger.CLOSE_STARTED)
        else:
            self.pool.remove(pooled)

    def _apply(self, action: Action | None) -> None:
        match action:
            case Assign(waiter, pooled):
                check_assignment(self.pool, waiter, pooled)
                self._assign(waiter, pooled)
            case Open(waiter):
                group = self.pool.groups[waiter.request.key]
                assert len(group.connections) < group.handshake.template.limits.max_connections
                assert len(self.pool.connections) < self.pool.capacity
                place = self.pool.add(waiter)
                assert (place.reserved_for is waiter) == (waiter.request.mode is LeaseMode.FRESH)
            case Sync(pooled):
                pooled.change(Trigger.SYNC_STARTED)
            case Vacate(pooled):
                assert pooled.in_flight == pooled.passive_in_flight
                pooled.connection.vacated = True
            case Close(pooled):
                assert not pooled.in_flight
                self._close(pooled)


def check_assignment(pool: PoolState, waiter: Waiter, pooled: PooledConnection) -> None:
    """Whether a call may have a connection, and no call that came earlier could have it."""
    mode, connection = waiter.request.mode, pooled.connection
    assert waiter.request.key == pooled.key
    assert connection is not None
    assert connection.is_available
    assert pooled.state not in (CONNECTING, State.CLOSING, State.CLOSED, State.EXCLUSIVE)
    if mode is LeaseMode.EXCLUSIVE:
        assert pooled.state is IDLE
        assert not connection.availability.incomplete
    queue = pool.groups[waiter.request.key].queue
    assert queue.peek(mode) is waiter
    assert [each for each in queue if each.sequence < waiter.sequence and pooled.can_start(each.request.mode)] == []


def check_connections(pool: PoolState) -> None:
    """What holds between two events."""
    assert len(pool.connections) <= pool.capacity
    assert sum(len(group.connections) for group in pool.groups.values()) == len(pool.connections)
    for group in pool.groups.values():
        assert len(group.connections) <= group.handshake.template.limits.max_connections
        assert group.connections or group.queue
        for pooled in group.connections:
            assert (pooled.in_flight > 0) == (pooled.state in (State.SHARED, State.EXCLUSIVE))
            assert pooled.in_flight <= 1 or pooled.state is State.SHARED
            assert pooled.in_flight - pooled.passive_in_flight <= group.handshake.template.limits.max_in_flight


@settings(max_examples=300, deadline=None, database=None)
@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 60)), max_size=80))
def test_whatever_happens_the_rules_hold_and_every_call_is_served_in_the_end(events: list[tuple[str, int]]) -> None:
    history = History()
    for event, number in events:
        history.play(event, number)
        check_connections(history.pool)

    history.waiting = [waiter for waiter in history.waiting if waiter in history.pool.waiters()]  # others failed
    history.finish()

    assert history.waiting == []
    assert history.pool.waiting == 0
