"""The decisions of a pool: which call gets which connection, and when one is opened, synced or closed.

The planner is pure. It reads the state of a pool and returns one action; the executor (`executor.PoolExecutor`)
carries it out and asks again, until there is none. So every decision is made on the actual state, nothing can change
between decision and action, and each rule can be tested with a table. The pattern is that of httpcore's
`_assign_requests_to_connections`: decide without waiting, then act.
"""

from __future__ import annotations

from ...core.handshake_request import ConnectionKey
from ...records import Record
from .entry import LeaseMode, PooledConnection, State, Waiter
from .state import ConnectionGroup, PoolState


class Assign(Record):
    """Lease an open connection to a waiting call."""

    waiter: Waiter
    pooled: PooledConnection


class Open(Record):
    """Open a connection with the arguments of a waiting call, when the circuit breaker allows it."""

    waiter: Waiter


class Sync(Record):
    """Start the barrier after which a connection may be used exclusively."""

    pooled: PooledConnection


class Close(Record):
    """Close a connection that no call uses. `reason` is for observers."""

    pooled: PooledConnection
    reason: str = ""


class Vacate(Record):
    """Ask the feeds that keep a connection to leave it: no other call may use it, and its place is needed."""

    pooled: PooledConnection


class AwaitCapacity(Record):
    """Ask again when a connection of another key becomes idle or is closed: no place is left.

    `endpoint`: the places that `limits.max_connections` allows there are taken; None: those of the manual.
    """

    endpoint: object | None = None


Action = Assign | Open | Sync | Close | Vacate | AwaitCapacity


def plan(pool: PoolState, key: ConnectionKey) -> Action | None:
    """Return what is to be done next for the calls and connections of one key, or None.

    Only events of the key itself can change the result, except after AwaitCapacity. It depends on no clock: when an
    attempt may start is up to the circuit breaker.
    """
    group = pool.groups.get(key)
    if group is None:
        return None
    for pooled in group.connections:
        if pooled.is_perished:
            return Close(pooled, pooled.unusable_reason)
    if group.queue and pool.is_reserved_for_other(key):
        return AwaitCapacity(key.endpoint)
    if group.queue:
        return _serve_queue(pool, group)
    if pool.draining:
        for pooled in group.connections:
            if pooled.is_unused:
                return Close(pooled)
    return None


def needs_planning(group: ConnectionGroup, mode: LeaseMode) -> bool:
    """Whether the arrival of a call at the end of a lane can change the plan.

    It cannot if the call is neither the head of its lane nor the first for which no connection is expected; at most
    `max_connections` are.
    """
    length = len(group.queue.lanes[mode])
    return length == 1 or (mode.is_alone and length <= group.handshake.template.limits.max_connections + 1)


def plan_release(group: ConnectionGroup, pooled: PooledConnection, mode: LeaseMode) -> Assign | Sync | Close | None:
    """Return what is to be done with a connection at once when a lease has ended."""
    if pooled.in_flight:
        # The plan was complete before, and room for one call became free on a connection that other keys cannot claim.
        # If all calls that wait share connections, the first gets it, and nothing else can change. `plan` would find
        # the same at a higher cost, and this is the path of every call to an endpoint that is used at its limit.
        if mode is LeaseMode.SHARED and len(group.queue.lanes) == 1 and pooled.can_start(mode):
            head = group.queue.peek(mode)
            return Assign(head, pooled) if head is not None else None
        return None
    # The endpoint would go on sending the events of a feed that had the connection for itself.
    if pooled.key.feed or not pooled.handshake.template.keep_alive:
        return Close(pooled)
    # The next exclusive call would have to wait for the barrier, so it is started before there is one. After a shared
    # call it is not: most such connections never serve an exclusive call.
    if mode.is_alone and pooled.can_serve(LeaseMode.SHARED):
        return Sync(pooled)
    return None


def find_ready(
    group: ConnectionGroup, mode: LeaseMode, *, exclusive_call_ahead: bool = False
) -> PooledConnection | None:
    """Return a connection that a call may use now.

    If an exclusive call came earlier, a connection that is being synced is reserved for that call: one shared call
    after the other could void the sync, and the exclusive call would never start.
    """
    for pooled in group.connections:
        if pooled.can_start(mode) and not (exclusive_call_ahead and pooled.state is State.SYNCING):
            return pooled
    return None


def _serve_queue(pool: PoolState, group: ConnectionGroup) -> Action | None:
    exclusive_call_ahead = False
    for waiter, position in _candidates(group):
        # 1. An open connection has room for it.
        ready = find_ready(group, waiter.request.mode, exclusive_call_ahead=exclusive_call_ahead)
        if ready is not None:
            return Assign(waiter, ready)
        # 2. A connection that is being opened, synced or used will have room for it.
        if not _lacks_connection(group, waiter, position):
            exclusive_call_ahead |= waiter.request.mode is LeaseMode.EXCLUSIVE
            continue
        # 3. It needs another connection. If it cannot have one now, the calls behind it wait, too: calls that share
        # connections would otherwise keep them busy, and a call that needs one for itself would never start.
        return _open_or_make_room(pool, group, waiter)
    return None


def _candidates(group: ConnectionGroup) -> list[tuple[Waiter, int]]:
    """Return the calls that may be next, in order of arrival, with their positions in their lanes.

    These are the head of each lane and, as a connection serves one exclusive call at a time, the first exclusive
    call that has more calls before it than connections are expected.
    """
    found: list[tuple[Waiter, int]] = []
    for mode, lane in group.queue.lanes.items():
        found.append((next(iter(lane)), 0))
        if mode.is_alone and len(lane) > 1 and (expected := _count_expected(group, mode)):
            uncovered = group.queue.peek(mode, expected)
            if uncovered is not None:
                found.append((uncovered, expected))
    if len(found) > 1:
        found.sort(key=lambda candidate: candidate[0].sequence)
    return found


def _lacks_connection(group: ConnectionGroup, waiter: Waiter, position: int) -> bool:
    """Whether no connection is expected for a call at a position of its lane."""
    mode = waiter.request.mode
    return position >= _count_expected(group, mode) if mode.is_alone else not _will_be_shared(group, waiter)


def _count_expected(group: ConnectionGroup, mode: LeaseMode) -> int:
    """Count the connections that will serve one call of this mode each without another being opened."""
    if mode is LeaseMode.FRESH:
        return 0  # what is opened for a fresh call is reserved for it, and the call has left the queue
    return group.count(State.CONNECTING) + (group.count(State.SYNCING) if mode is LeaseMode.EXCLUSIVE else 0)


def _will_be_shared(group: ConnectionGroup, waiter: Waiter) -> bool:
    """Whether a connection will have room for a call that shares one.

    An open one will, even if it is full now: further connections are opened only for calls that need them for
    themselves. So will one that is being opened, unless it is expected by an exclusive call that came earlier.
    """
    mode = waiter.request.mode
    for pooled in group.connections:
        if pooled.state is not State.EXCLUSIVE and pooled.can_serve(mode):
            return True
    connecting = group.count(State.CONNECTING)
    return connecting > group.queue.count_before(waiter.sequence, LeaseMode.EXCLUSIVE, connecting)


def _open_or_make_room(pool: PoolState, group: ConnectionGroup, waiter: Waiter) -> Action | None:
    """Return how a call gets another connection, or None while it cannot have one."""
    key, mode = waiter.request.key, waiter.request.mode
    if mode is LeaseMode.EXCLUSIVE:
        for pooled in group.connections:
            if pooled.state is State.UNSYNCED and pooled.can_serve(mode):
                return Sync(pooled)
    # An endpoint that refused a further connection is not asked again while another one can serve the call.
    if mode is not LeaseMode.FRESH and pool.failures.error_for(key) and group.can_serve(mode):
        return None
    connecting = any(pooled.state is State.CONNECTING for pooled in group.connections)
    if connecting and pool.failures.breaker(key).is_tripped:
        return None
    limit = group.handshake.template.limits.max_connections
    if len(group.connections) >= limit:
        return _evict_from_group(group, mode, limit)
    at_endpoint = [pooled for pooled in pool.connections if pooled.endpoint == key.endpoint]
    if len(at_endpoint) >= limit:
        return _evict_rival(at_endpoint, group, limit) or _vacate(at_endpoint, limit) or AwaitCapacity(key.endpoint)
    if len(pool.connections) >= pool.capacity:
        rivals = list(pool.connections)
        own = _evict_own(rivals, group, mode, pool.capacity)
        return _evict_rival(rivals, group, pool.capacity) or own or _vacate(rivals, pool.capacity) or AwaitCapacity()
    return Open(waiter)


def _evict_from_group(group: ConnectionGroup, mode: LeaseMode, limit: int) -> Close | Vacate | None:
    if len(group.connections) - group.count(State.CLOSING) < limit:
        return None  # a place will be free when the endpoint has got the disconnect messages
    return _evict_useless(group, mode) or _vacate(group.connections, limit)


def _evict_useless(group: ConnectionGroup, mode: LeaseMode) -> Close | None:
    """Close an unused connection of the same key that is of no use to the call."""
    for pooled in group.connections:
        if pooled.is_unused and (mode is LeaseMode.FRESH or not pooled.can_serve(mode)):
            return Close(pooled, pooled.unusable_reason)
    return None


def _evict_rival(connections: list[PooledConnection], group: ConnectionGroup, limit: int) -> Close | None:
    """Close an unused connection of another key, unless a place will be free without that."""
    if len(connections) - sum(pooled.state is State.CLOSING for pooled in connections) < limit:
        return None
    for pooled in connections:
        if pooled.is_unused and pooled.key != group.key:
            return Close(pooled, pooled.unusable_reason or "a call needs another connection")
    return None


def _evict_own(
    connections: list[PooledConnection], group: ConnectionGroup, mode: LeaseMode, limit: int
) -> Close | None:
    closing = sum(pooled.state is State.CLOSING for pooled in connections)
    return _evict_useless(group, mode) if len(connections) - closing >= limit else None


def _vacate(connections: list[PooledConnection], limit: int) -> Vacate | None:
    """Let a connection make way that no further call may use, unless a place will be free without that."""
    if len(connections) - sum(pooled.state is State.CLOSING for pooled in connections) < limit:
        return None
    return next((Vacate(pooled) for pooled in connections if pooled.is_blocked), None)
