"""The state of a pool: its connections and waiting calls by connection key, and the failures of its endpoints."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import count, islice
from typing import TYPE_CHECKING, Final

from ...core.handshake_request import ConnectionKey, HandshakeRequest
from ...errors import BridgeError, TimeoutStage
from .circuit_breaker import MAX_CALL_BACKOFF, FailureTracker
from .entry import LeaseMode, LeaseRequest, PooledConnection, State, Trigger, Waiter
from .status import PoolStats

if TYPE_CHECKING:
    from ..connection import Connection

MAX_CONNECTIONS_PER_MANUAL: Final = 32
"""Connections of one manual, over all URLs, headers and arguments of its calls; more only if `max_connections` is."""


class WaitQueue:
    """The calls that wait for a connection of one key: one lane for each lease mode, each in order of arrival.

    Calls in one lane are interchangeable: what its first call cannot have, none of them can. So the planner looks at
    the heads of lanes only, and its cost does not grow with the number of waiting calls. A lane is an OrderedDict
    because a call that is cancelled leaves from the middle, in constant time, and because the first key of a plain
    dict is found by scanning over all keys that were removed before it.
    """

    def __init__(self) -> None:
        self.lanes: dict[LeaseMode, OrderedDict[Waiter, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self.lanes.values()))

    def __bool__(self) -> bool:
        return bool(self.lanes)

    def __iter__(self) -> Iterator[Waiter]:
        for lane in list(self.lanes.values()):
            yield from list(lane)

    def append(self, waiter: Waiter) -> None:
        """Add a call at the end of its lane."""
        self.lanes.setdefault(waiter.request.mode, OrderedDict())[waiter] = None

    def remove(self, waiter: Waiter) -> bool:
        """Remove a call; return whether it was waiting here."""
        mode = waiter.request.mode
        lane = self.lanes.get(mode)
        if lane is None or waiter not in lane:
            return False
        del lane[waiter]
        if not lane:
            del self.lanes[mode]
        return True

    def peek(self, mode: LeaseMode, index: int = 0) -> Waiter | None:
        """Return the first call of a lane, or the one behind `index` others."""
        return next(islice(self.lanes.get(mode, ()), index, None), None)

    def count_before(self, sequence: int, mode: LeaseMode, limit: int) -> int:
        """Count the calls of a lane that arrived before a sequence number, up to a limit."""
        return sum(waiter.sequence < sequence for waiter in islice(self.lanes.get(mode, ()), limit))

    @property
    def first_sequence(self) -> float:
        """The sequence number of the call that has waited longest; infinite if none waits."""
        return min((next(iter(lane)).sequence for lane in self.lanes.values()), default=float("inf"))


class ConnectionGroup:
    """The connections of one key, in order of opening, and the calls that wait for one of them."""

    def __init__(self, handshake: HandshakeRequest) -> None:
        self.handshake = handshake
        self.connections: list[PooledConnection] = []
        self.queue = WaitQueue()

    @property
    def key(self) -> ConnectionKey:
        """What the calls and connections of this group agree on."""
        return self.handshake.key

    def count(self, state: State) -> int:
        """Count the connections in a state that any call of the key may use."""
        return sum(pooled.state is state and pooled.reserved_for is None for pooled in self.connections)

    def can_serve(self, mode: LeaseMode) -> bool:
        """Whether an open connection serves a call of this mode, now or when others have ended."""
        return any(pooled.can_serve(mode) for pooled in self.connections)


class PoolState:
    """All connections and waiting calls of a pool."""

    def __init__(self) -> None:
        self.groups: dict[ConnectionKey, ConnectionGroup] = {}
        self.connections: dict[PooledConnection, None] = {}
        """All connections in order of opening (a dict, so that removal takes constant time)."""
        self.failures = FailureTracker()
        self.capacity = MAX_CONNECTIONS_PER_MANUAL
        self.awaiting_capacity: dict[ConnectionKey, None] = {}
        """The keys that wait for a place, in the order in which they began to wait."""
        self.draining = False
        self.closed = False
        self._sequence = count()

    @property
    def waiting(self) -> int:
        """How many calls wait, including those for which a connection is being opened."""
        return sum(len(group.queue) for group in self.groups.values()) + len(self._reserved())

    def waiters(self) -> list[Waiter]:
        """Return all calls that wait, including those for which a connection is being opened."""
        return [*self._reserved(), *(waiter for group in self.groups.values() for waiter in group.queue)]

    def _reserved(self) -> list[Waiter]:
        """Return the calls for each of which a connection is being opened that no other call may use."""
        connecting = [pooled.reserved_for for pooled in self.connections if pooled.state is State.CONNECTING]
        return [waiter for waiter in connecting if waiter is not None and not waiter.cancelled]

    def first_sequence(self, key: ConnectionKey) -> float:
        """Return the sequence number of the call of a key that has waited longest; infinite if none waits."""
        group = self.groups.get(key)
        return group.queue.first_sequence if group is not None else float("inf")

    def is_reserved_for_other(self, key: ConnectionKey) -> bool:
        """Return whether a call of another key waits for a place at the same endpoint, and came earlier.

        Calls that share the connections there would otherwise keep them busy, and that call would never start.
        """
        first = self.first_sequence
        return any(
            other != key and other.endpoint == key.endpoint and first(other) < first(key)
            for other in self.awaiting_capacity
        )

    def stats(self) -> PoolStats:
        """Return what a status shows."""
        opened = [pooled for pooled in self.connections if pooled.connection is not None and pooled.connection.is_open]
        used = sum(pooled.in_flight > 0 for pooled in opened)
        return PoolStats(len(opened), self.waiting, self.failures.last_error, used)

    def find_talking(self, key: ConnectionKey) -> Connection | None:
        """Return an open connection of a key over which the endpoint sent an unsolicited message lately, or None."""
        group = self.groups.get(key)
        connections = [pooled.connection for pooled in group.connections] if group is not None else []
        return next((each for each in connections if each is not None and each.is_talking), None)

    def wait_reason(self, request: LeaseRequest) -> tuple[TimeoutStage, str]:
        """Return where a call that got no connection in time was held up, and why; empty if all were in use."""
        if error := self.failures.error_for(request.key):
            return TimeoutStage.CONNECT, error.message
        group = self.groups.get(request.key)
        if group is not None and any(pooled.state is State.CONNECTING for pooled in group.connections):
            return TimeoutStage.CONNECT, "it is still being opened or logged in"
        at_endpoint = [pooled for pooled in self.connections if pooled.endpoint == request.key.endpoint]
        if not at_endpoint or not all(pooled.is_listening for pooled in at_endpoint):
            return TimeoutStage.POOL, ""
        limit = request.handshake.template.limits.max_connections
        reason = f"feeds, or calls that only listen, have all its connections (limits.max_connections is {limit})"
        if request.key.feed or any(pooled.key.feed for pooled in at_endpoint):
            return TimeoutStage.POOL, f"{reason}. Raise limits.max_connections"
        if not request.mode.is_alone:
            return TimeoutStage.POOL, ""
        alone = "this call needs one for itself. Raise limits.max_connections, or give the tool a reply.match"
        return TimeoutStage.POOL, f"{reason}, and {alone}"

    def paused_by_server(self, pooled: PooledConnection, now: float) -> BridgeError | None:
        """Return the last error where it asks for a pause that no call waits for, unless another connection is open."""
        seconds = self.failures.breaker(pooled.key).retry_after(now)
        others = self.groups[pooled.key].connections
        can_wait = pooled.reserved_for is None and any(other.connection is not None for other in others)
        return None if seconds <= MAX_CALL_BACKOFF or can_wait else self.failures.error_for(pooled.key)

    def enqueue(self, waiter: Waiter) -> ConnectionGroup:
        """Add a waiting call; return the group in which it waits."""
        request = waiter.request
        group = self.groups.get(request.key)
        if group is None:
            group = self.groups[request.key] = ConnectionGroup(request.handshake)
            # One bound for the whole manual: keys that compete for its places must not have different ones, or a
            # key with a low bound would hold up those behind it.
            self.capacity = max(self.capacity, request.handshake.template.limits.max_connections)
        waiter.sequence = next(self._sequence)
        group.queue.append(waiter)
        return group

    def dequeue(self, waiter: Waiter) -> bool:
        """Remove a waiting call from the queue; return whether it was there."""
        group = self.groups.get(waiter.request.key)
        removed = group is not None and group.queue.remove(waiter)
        self._forget_if_empty(waiter.request.key)
        return removed

    def assign(self, waiter: Waiter, pooled: PooledConnection) -> None:
        """Lease a connection to a waiting call, and wake it."""
        self.dequeue(waiter)
        pooled.acquire(waiter.request.mode)
        pooled.reserved_for = None
        waiter.pooled = pooled
        waiter.notify()

    def fail(self, waiter: Waiter, error: BridgeError) -> None:
        """Wake a waiting call with an error."""
        self.dequeue(waiter)
        waiter.error = error
        waiter.notify()

    def fail_waiting(self, pooled: PooledConnection, error: BridgeError) -> None:
        """Fail the calls that waited for a connection that was not opened, unless an open one can serve them later.

        A call that needs a fresh connection fails only with its own attempt.
        """
        self.failures.set_last_error(pooled.key, error)
        if pooled.reserved_for is not None and not pooled.reserved_for.cancelled:
            self.fail(pooled.reserved_for, error)
        group = self.groups.get(pooled.key)
        for waiter in group.queue if group is not None else ():
            mode = waiter.request.mode
            if mode is not LeaseMode.FRESH and group is not None and not group.can_serve(mode):
                self.fail(waiter, error)

    def add(self, waiter: Waiter) -> PooledConnection:
        """Add a place for a connection that is opened on behalf of a call; return it.

        A call that needs a fresh connection leaves the queue: from now on it waits for this connection only.
        """
        request = waiter.request
        pooled = PooledConnection(request.handshake)
        self.groups[request.key].connections.append(pooled)
        self.connections[pooled] = None
        if request.mode is LeaseMode.FRESH:
            pooled.reserved_for = waiter
            self.dequeue(waiter)
        return pooled

    def remove(self, pooled: PooledConnection) -> None:
        """Remove a connection; its place is free."""
        pooled.change(Trigger.REMOVED)
        del self.connections[pooled]
        self.groups[pooled.key].connections.remove(pooled)
        self._forget_if_empty(pooled.key)

    def _forget_if_empty(self, key: ConnectionKey) -> None:
        # Keys hold arguments of calls: without this the pool would grow with every new value.
        group = self.groups.get(key)
        if group is not None and not group.connections and not group.queue:
            del self.groups[key]
