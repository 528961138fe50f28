"""Entries of a pool: lease requests, waiting calls, and pooled connections with their state. Nothing here waits."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from ...core.handshake_request import ConnectionKey, HandshakeRequest
from ...errors import BridgeError
from ...records import MutableRecord, Record

if TYPE_CHECKING:
    from ..connection import Connection


class LeaseMode(Enum):
    """How a call uses its connection."""

    SHARED = "shared"
    """Together with other calls, up to `limits.max_in_flight`: replies are matched by id or predicate."""

    PASSIVE = "passive"
    """Like SHARED, but the call sends no request, so it does not count in `limits.max_in_flight`."""

    EXCLUSIVE = "exclusive"
    """Alone, on a connection over which no message of an earlier exchange can still arrive: replies carry no id."""

    SINGLE_USE = "single use"
    """Alone, on a connection that is closed afterwards (`keep_alive` is false). Replies carry ids: no sync needed."""

    FRESH = "fresh"
    """Alone, on a new connection of which nothing was read: the call waits for the first messages of the endpoint."""

    @property
    def is_alone(self) -> bool:
        """Whether the call has the connection for itself."""
        return self is not LeaseMode.SHARED and self is not LeaseMode.PASSIVE


class LeaseRequest(Record):
    """What a call asks of the pool: a connection opened with this handshake.

    `arguments` are those of the call (JSON object); the login of a new connection may use them.
    """

    handshake: HandshakeRequest
    mode: LeaseMode
    arguments: dict[str, Any]

    @property
    def key(self) -> ConnectionKey:
        """What calls must agree on to share a connection."""
        return self.handshake.key


class Waiter(MutableRecord, eq=False):
    """A call that waits for a connection. It gets `pooled` or `error`, exactly once, and `notify` wakes it.

    `sequence` is the order of arrival in the pool. `cancelled` is set for a call that left while a connection was
    being opened for it alone: that connection is of no use to other calls.
    """

    request: LeaseRequest
    notify: Callable[[], None]
    sequence: int = 0
    pooled: PooledConnection | None = None
    error: BridgeError | None = None
    cancelled: bool = False


class State(Enum):
    """The state of a pooled connection: those of CMAP, MongoDB's pool specification, in more detail.

    Whether the endpoint still accepts exchanges is not a state: only the connection knows (`is_available`), and a
    copy of it here could become stale.
    """

    CONNECTING = "connecting"
    """A place in the pool for a connection that is being opened, including its login."""

    UNSYNCED = "unsynced"
    """Open and unused, but messages caused by an earlier exchange (or a greeting) may still arrive."""

    SYNCING = "syncing"
    """A ping is under way as a barrier: what arrives before its pong belongs to earlier exchanges."""

    IDLE = "idle"
    """Open, unused and in sync: any call may use it."""

    SHARED = "shared"
    """Leased to calls that share it."""

    EXCLUSIVE = "exclusive"
    """Leased to one call alone."""

    CLOSING = "closing"
    """Being closed. It keeps its place until it is: the endpoint may not allow another session until then."""

    CLOSED = "closed"
    """No longer in the pool."""

    __hash__ = object.__hash__  # that of an enum is a function in Python


class Trigger(Enum):
    """What changes the state of a pooled connection."""

    OPENED = "opened"
    LEASED = "leased"
    LEASED_ALONE = "leased alone"
    RELEASED = "released"  # by the last of its calls
    SYNC_STARTED = "sync started"
    SYNCED = "synced"
    CLOSE_STARTED = "close started"
    REMOVED = "removed"

    __hash__ = object.__hash__


_UNUSED: Final = {
    Trigger.LEASED: State.SHARED,
    Trigger.LEASED_ALONE: State.EXCLUSIVE,
    Trigger.CLOSE_STARTED: State.CLOSING,
    Trigger.REMOVED: State.CLOSED,
}

_TRANSITIONS: Final[dict[State, dict[Trigger, State]]] = {
    # A new connection is not in sync: the endpoint may have sent a greeting that is still on its way.
    State.CONNECTING: {Trigger.OPENED: State.UNSYNCED, Trigger.REMOVED: State.CLOSED},
    State.UNSYNCED: {**_UNUSED, Trigger.SYNC_STARTED: State.SYNCING},
    # Calls that match their replies need no barrier, so they may start while the ping is under way. They void it.
    State.SYNCING: {
        Trigger.LEASED: State.SHARED,
        Trigger.SYNCED: State.IDLE,
        Trigger.CLOSE_STARTED: State.CLOSING,
        Trigger.REMOVED: State.CLOSED,
    },
    State.IDLE: _UNUSED,
    State.SHARED: {Trigger.LEASED: State.SHARED, Trigger.RELEASED: State.UNSYNCED},
    State.EXCLUSIVE: {Trigger.RELEASED: State.UNSYNCED},
    State.CLOSING: {Trigger.REMOVED: State.CLOSED},
    State.CLOSED: {},
}


def next_state(state: State, trigger: Trigger) -> State:
    """Return the state that follows.

    Raises:
        ValueError: if the trigger is impossible in this state, which is a bug of the pool.
    """
    try:
        return _TRANSITIONS[state][trigger]
    except KeyError:
        raise ValueError(f"a connection that is {state.value} cannot be {trigger.value}") from None


class PooledConnection(MutableRecord, eq=False):
    """A place in the pool: a connection, or one that is being opened (then `connection` is None).

    `in_flight` counts leases, `passive_in_flight` those of calls that send nothing, `leases_started` all leases ever.
    `reserved_for` is the call for which it is opened, if no other call may use it.
    """

    handshake: HandshakeRequest
    reserved_for: Waiter | None = None
    state: State = State.CONNECTING
    connection: Connection | None = None
    in_flight: int = 0
    passive_in_flight: int = 0
    leases_started: int = 0

    def __repr__(self) -> str:
        return f"<PooledConnection {self.state.name} in_flight={self.in_flight} {self.connection!r}>"

    @property
    def key(self) -> ConnectionKey:
        """What calls must agree on to use this connection."""
        return self.handshake.key

    @property
    def endpoint(self) -> object:
        """What connections have in common that `limits.max_connections` counts."""
        return self.handshake.key.endpoint

    @property
    def is_unused(self) -> bool:
        """Whether the connection is open and could be closed without harm to a call."""
        return self.state is State.IDLE or self.state is State.UNSYNCED

    @property
    def is_perished(self) -> bool:
        """Whether no call uses the connection and none may use it any more (CMAP: "perished")."""
        unused = self.is_unused or self.state is State.SYNCING
        return unused and self.connection is not None and not self.connection.is_available

    @property
    def is_listening(self) -> bool:
        """Whether the connection is kept by feeds, or by calls that only listen."""
        return self.in_flight > 0 and (bool(self.key.feed) or self.in_flight == self.passive_in_flight)

    @property
    def is_blocked(self) -> bool:
        """Whether feeds, or calls that only listen, keep a useless connection, and were not asked to leave it."""
        connection = self.connection
        if connection is None or not 0 < self.in_flight == self.passive_in_flight:
            return False
        return not connection.is_available and not connection.availability.vacated

    @property
    def ended_unused(self) -> bool:
        """Whether the endpoint ended the session of an open connection before any call used it."""
        connection = self.connection
        if connection is None or not connection.is_open or connection.is_available:
            return False
        return not connection.dispatcher.opened

    @property
    def unusable_reason(self) -> str:
        """Why no further exchange, or no exclusive one, may start here; empty if one may."""
        return self.connection.availability.unusable_reason if self.connection is not None else ""

    def can_serve(self, mode: LeaseMode) -> bool:
        """Whether a call may use the connection, now or when others have ended."""
        connection = self.connection
        if connection is None or self.state is State.CLOSING or not connection.is_available:
            return False
        # After an abandoned exchange its reply may still come: an exclusive call would take it for its own.
        return mode is not LeaseMode.EXCLUSIVE or not connection.availability.incomplete

    def can_start(self, mode: LeaseMode) -> bool:
        """Whether a call may use the connection now."""
        if mode is LeaseMode.FRESH or not self.can_serve(mode):
            return False
        if mode is LeaseMode.EXCLUSIVE:
            return self.state is State.IDLE
        if mode is LeaseMode.SINGLE_USE:
            return self.is_unused
        if self.state is State.EXCLUSIVE:
            return False
        limit = self.handshake.template.limits.max_in_flight
        return mode is LeaseMode.PASSIVE or self.in_flight - self.passive_in_flight < limit

    def change(self, trigger: Trigger) -> None:
        """Enter the next state."""
        self.state = next_state(self.state, trigger)

    def open(self, connection: Connection) -> None:
        """Take the connection that was opened for this place."""
        self.change(Trigger.OPENED)
        self.connection = connection

    def acquire(self, mode: LeaseMode) -> None:
        """Start a lease."""
        # A call that joins others changes nothing, and is the most frequent event of a pool.
        if self.state is not State.SHARED or mode.is_alone:
            self.change(Trigger.LEASED_ALONE if mode.is_alone else Trigger.LEASED)
        self.in_flight += 1
        self.passive_in_flight += mode is LeaseMode.PASSIVE
        self.leases_started += 1

    def release(self, mode: LeaseMode) -> None:
        """End a lease."""
        self.in_flight -= 1
        self.passive_in_flight -= mode is LeaseMode.PASSIVE
        if not self.in_flight:
            self.change(Trigger.RELEASED)
