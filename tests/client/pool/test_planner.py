"""What the planner decides: tables of cases."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.client.pool.fakes import FakeHandshake, add_connection, enqueue
from utcp_ws_mcp.client.pool.entry import LeaseMode, PooledConnection, State, Waiter
from utcp_ws_mcp.client.pool.planner import (
    Action,
    Assign,
    AwaitCapacity,
    Close,
    Open,
    Sync,
    Vacate,
    needs_planning,
    plan,
    plan_release,
)
from utcp_ws_mcp.client.pool.state import PoolState
from utcp_ws_mcp.errors import ConnectError

MODES = {
    "S": LeaseMode.SHARED,
    "P": LeaseMode.PASSIVE,
    "E": LeaseMode.EXCLUSIVE,
    "U": LeaseMode.SINGLE_USE,
    "F": LeaseMode.FRESH,
}

ENDED = {"reusable": False, "unusable_reason": "its session has ended"}
"""A connection that takes no further call."""

LATE = {"incomplete": 1, "unusable_reason": "a reply may come late"}
"""A connection that takes no further exclusive call."""


def describe(action: Action | None, calls: list[Waiter], connections: list[PooledConnection]) -> str:
    """An action with the positions of its call and its connection."""
    match action:
        case Assign(waiter, pooled):
            return f"assign call {calls.index(waiter)} to {connections.index(pooled)}"
        case Open(waiter):
            return f"open for call {calls.index(waiter)}"
        case Sync(pooled):
            return f"sync {connections.index(pooled)}"
        case Close(pooled, reason):
            return f"close {connections.index(pooled)}" + (f": {reason}" if reason else "")
        case Vacate(pooled):
            return f"vacate {connections.index(pooled)}"
        case AwaitCapacity(endpoint):
            return f"await capacity at {endpoint}" if endpoint else "await capacity"
    return "nothing"


KEY = FakeHandshake()


@dataclass(frozen=True)
class Case:
    """The connections of a key, the modes of the calls that wait, in order, and what is to be done."""

    connections: tuple[tuple[State, dict[str, Any]], ...]
    calls: str
    expected: str
    handshake: FakeHandshake = KEY
    other: tuple[tuple[State, dict[str, Any]], ...] = ()
    at: str = "elsewhere"
    reserved_for_other: bool = False
    capacity: int = 32
    failed: int = 0
    draining: bool = False


def case(*connections: Any, calls: str = "", expected: str, **options: Any) -> Case:
    """A case; a connection is its state, or its state and more."""
    described = tuple(each if isinstance(each, tuple) else (each, {}) for each in connections)
    return Case(described, calls, expected, **options)


CONNECTING, UNSYNCED, SYNCING, IDLE = State.CONNECTING, State.UNSYNCED, State.SYNCING, State.IDLE
FULL = (State.SHARED, {"in_flight": 2})
HALF_FULL = (State.SHARED, {"in_flight": 1})
BUSY = (State.EXCLUSIVE, {"in_flight": 1})
CLOSING = (State.CLOSING, {})
BLOCKED = (State.SHARED, {"in_flight": 1, "passive": 1, **ENDED})
"""A feed keeps it, and no further call may use it."""
ASKED = (State.SHARED, {"in_flight": 1, "passive": 1, "vacated": True, **ENDED})
ONE = FakeHandshake(max_connections=1)
AT_ONE = FakeHandshake(max_connections=1, at="here")
ONE_SHOT = FakeHandshake(keep_alive=False)

ASSIGNMENTS = {
    "no call, no work": case(IDLE, calls="", expected="nothing"),
    "a shared call gets an idle connection": case(IDLE, calls="S", expected="assign call 0 to 0"),
    "a shared call needs no sync": case(UNSYNCED, calls="S", expected="assign call 0 to 0"),
    "a shared call starts while a sync is under way": case(SYNCING, calls="S", expected="assign call 0 to 0"),
    "a shared call joins others": case(HALF_FULL, calls="S", expected="assign call 0 to 0"),
    "a shared call takes the connection with room": case(FULL, HALF_FULL, calls="S", expected="assign call 0 to 1"),
    "a shared call does not join an exclusive one": case(BUSY, calls="S", expected="open for call 0"),
    "a call that only listens needs no room": case(FULL, calls="P", expected="assign call 0 to 0"),
    "calls that only listen take no room": case(
        (State.SHARED, {"in_flight": 3, "passive": 2}), calls="S", expected="assign call 0 to 0"
    ),
    "an exclusive call gets a connection in sync": case(UNSYNCED, IDLE, calls="E", expected="assign call 0 to 1"),
    "an exclusive call does not join others": case(HALF_FULL, calls="E", expected="open for call 0"),
    "an exclusive call avoids late replies": case((IDLE, LATE), calls="E", expected="open for call 0"),
    "a shared call does not mind late replies": case((IDLE, LATE), calls="S", expected="assign call 0 to 0"),
    "a call that uses its connection once needs no sync": case(
        UNSYNCED, calls="U", handshake=ONE_SHOT, expected="assign call 0 to 0"
    ),
    "a fresh call gets no used connection": case(IDLE, calls="F", expected="open for call 0"),
    "no call gets a connection that is closing": case(CLOSING, calls="S", expected="open for call 0"),
    "no call gets a connection whose session has ended": case(
        (State.SHARED, {"in_flight": 1, **ENDED}), calls="S", expected="open for call 0"
    ),
    "the call that came first is first": case(IDLE, calls="SE", expected="assign call 0 to 0"),
    "the call that came first is first, whatever its mode": case(IDLE, calls="ES", expected="assign call 0 to 0"),
}

OPENINGS = {
    "the first call opens a connection": case(calls="S", expected="open for call 0"),
    "shared calls wait for the one that is opened": case(CONNECTING, calls="SS", expected="nothing"),
    "shared calls wait for room": case(FULL, calls="SS", expected="nothing"),
    "each exclusive call gets a connection of its own": case(CONNECTING, calls="EE", expected="open for call 1"),
    "exclusive calls for which enough is opened wait": case(CONNECTING, CONNECTING, calls="EE", expected="nothing"),
    "an exclusive call waits for a sync": case(SYNCING, calls="E", expected="nothing"),
    "an unused connection is synced before another is opened": case(UNSYNCED, calls="E", expected="sync 0"),
    "a shared call is not served by what an earlier exclusive one waits for": case(
        CONNECTING, calls="ES", expected="open for call 1"
    ),
    "a shared call is served before a later exclusive one": case(CONNECTING, calls="SE", expected="nothing"),
    "a shared call does not void the sync that an earlier exclusive call waits for": case(
        SYNCING, calls="ES", expected="nothing"
    ),
    "a shared call needs a connection behind exclusive ones that expect all": case(
        CONNECTING, CONNECTING, calls="EES", expected="open for call 2"
    ),
    "a shared call waits for a connection that no earlier exclusive one expects": case(
        CONNECTING, CONNECTING, calls="ESE", expected="nothing"
    ),
    "a fresh call waits for its own connection only": case(CONNECTING, calls="F", expected="open for call 0"),
    "a call that uses its connection once does not wait for others": case(
        BUSY, calls="U", handshake=ONE_SHOT, expected="open for call 0"
    ),
}

LIMITS = {
    "not more than max_connections": case(BUSY, calls="S", handshake=ONE, expected="nothing"),
    "those being opened count": case(CONNECTING, calls="EE", handshake=ONE, expected="nothing"),
    "those being closed count": case(CLOSING, calls="S", handshake=ONE, expected="nothing"),
    "a call that cannot be served holds up those behind it": case(
        HALF_FULL, calls="ES", handshake=ONE, expected="nothing"
    ),
    "a call that is served later does not": case(CONNECTING, HALF_FULL, calls="ES", expected="assign call 1 to 1"),
    "a connection of no use makes way": case(
        (IDLE, LATE), calls="E", handshake=ONE, expected="close 0: a reply may come late"
    ),
    "any unused connection makes way for a fresh one": case(IDLE, calls="F", handshake=ONE, expected="close 0"),
    "only one makes way at a time": case(
        CLOSING, IDLE, calls="F", handshake=replace(ONE, max_connections=2), expected="nothing"
    ),
    "a manual has a limit, too": case(BUSY, calls="S", other=(BUSY,), capacity=2, expected="await capacity"),
    "an unused connection of another key makes way": case(
        calls="S", other=((IDLE, {}),), capacity=1, expected="close 0: a call needs another connection"
    ),
    "one that is used does not": case(calls="S", other=(BUSY,), capacity=1, expected="await capacity"),
    "nor one that is synced for a call": case(calls="S", other=((SYNCING, {}),), capacity=1, expected="await capacity"),
    "one that is being closed is waited for": case(
        calls="S", other=(CLOSING, (IDLE, {})), capacity=2, expected="await capacity"
    ),
    "a connection of no use makes way at the limit of the manual": case(
        (IDLE, LATE), calls="E", other=(BUSY,), capacity=2, expected="close 0: a reply may come late"
    ),
    "a connection that only feeds keep stays while there is room": case(BLOCKED, calls="S", expected="open for call 0"),
    "it stays if no call needs its place": case(BLOCKED, handshake=ONE, expected="nothing"),
    "it makes way if a call needs its place": case(BLOCKED, calls="S", handshake=ONE, expected="vacate 0"),
    "also for a feed": case(BLOCKED, calls="P", handshake=ONE, expected="vacate 0"),
    "it is asked once": case(ASKED, calls="S", handshake=ONE, expected="nothing"),
    "one that calls use, too, does not": case(
        (State.SHARED, {"in_flight": 2, "passive": 1, **ENDED}), calls="S", handshake=ONE, expected="nothing"
    ),
    "an unused one makes way first": case(
        BLOCKED,
        (IDLE, LATE),
        calls="E",
        handshake=replace(ONE, max_connections=2),
        expected="close 1: a reply may come late",
    ),
    "one of another key at the endpoint makes way": case(
        calls="S", other=(BLOCKED,), at="here", handshake=AT_ONE, expected="vacate 0"
    ),
    "one of another key makes way at the limit of the manual": case(
        calls="S", other=(BUSY, BLOCKED), capacity=2, expected="vacate 1"
    ),
    "those that were asked are waited for": case(calls="S", other=(ASKED,), capacity=1, expected="await capacity"),
    "the limit of an endpoint holds for all keys": case(
        calls="S", other=(BUSY,), at="here", handshake=AT_ONE, expected="await capacity at here"
    ),
    "an unused connection of another key at the endpoint makes way": case(
        calls="U", other=((IDLE, {}),), at="here", handshake=AT_ONE, expected="close 0: a call needs another connection"
    ),
    "one that is being closed at the endpoint is waited for": case(
        calls="S", other=(CLOSING,), at="here", handshake=AT_ONE, expected="await capacity at here"
    ),
    "connections at other endpoints do not count": case(
        calls="S", other=(BUSY,), at="there", handshake=AT_ONE, expected="open for call 0"
    ),
    "a call that came later at the endpoint waits": case(
        IDLE, calls="S", reserved_for_other=True, handshake=AT_ONE, expected="await capacity at here"
    ),
    "a connection without use is closed although a place is reserved": case(
        (IDLE, ENDED),
        calls="S",
        reserved_for_other=True,
        handshake=AT_ONE,
        expected="close 0: its session has ended",
    ),
}

FAILURES = {
    "after an error a call waits for an open connection": case(FULL, BUSY, calls="E", failed=1, expected="nothing"),
    "after an error a call that no open connection can serve tries again": case(
        (State.SHARED, {"in_flight": 1, **LATE}), calls="E", failed=1, expected="open for call 0"
    ),
    "after an error a fresh call tries for itself": case(BUSY, calls="F", failed=1, expected="open for call 0"),
    "after many failures one attempt at a time": case(CONNECTING, calls="EE", failed=3, expected="nothing"),
    "after many failures one attempt is allowed": case(calls="E", failed=3, expected="open for call 0"),
}

CLOSES = {
    "an ended session is closed": case((IDLE, ENDED), expected="close 0: its session has ended"),
    "a connection that was lost is removed": case((UNSYNCED, {"is_open": False}), calls="S", expected="close 0"),
    "also while it is synced": case((SYNCING, ENDED), calls="E", expected="close 0: its session has ended"),
    "not while calls use it": case((State.SHARED, {"in_flight": 1, **ENDED}), expected="nothing"),
    "not twice": case((State.CLOSING, ENDED), expected="nothing"),
    "a draining pool closes what is unused": case(BUSY, IDLE, draining=True, expected="close 1"),
    "a draining pool serves the calls that wait": case(IDLE, calls="S", draining=True, expected="assign call 0 to 0"),
    "a draining pool closes what is unused although a place is reserved": case(
        IDLE, draining=True, reserved_for_other=True, expected="close 0"
    ),
    "a draining pool lets a sync end": case(SYNCING, draining=True, expected="nothing"),
}

TABLES = {**ASSIGNMENTS, **OPENINGS, **LIMITS, **FAILURES, **CLOSES}


@pytest.mark.parametrize("case", TABLES.values(), ids=TABLES)
def test_the_next_action_is(case: Case) -> None:
    pool = PoolState()
    if case.reserved_for_other:
        earlier = FakeHandshake("earlier", at=case.handshake.at)
        enqueue(pool, LeaseMode.SHARED, earlier)
        pool.awaiting_capacity[earlier] = None  # type: ignore[index]
    calls = [enqueue(pool, MODES[mode], case.handshake) for mode in case.calls]
    connections = [add_connection(pool, case.handshake, state, **more) for state, more in case.connections]
    connections += [
        add_connection(pool, FakeHandshake("other", at=case.at), state, **more) for state, more in case.other
    ]
    pool.capacity, pool.draining = case.capacity, case.draining  # last: a new key may raise the capacity
    for _ in range(case.failed):
        pool.failures.record_failure(case.handshake, 0.0, lambda: 0.0)  # type: ignore[arg-type]
        pool.failures.set_last_error(case.handshake, ConnectError("wss://key/", "no.", code="connection-refused"))  # type: ignore[arg-type]

    action = plan(pool, case.handshake)  # type: ignore[arg-type]

    assert describe(action, calls, connections) == case.expected


def test_calls_of_several_modes_are_served_in_the_order_in_which_they_came() -> None:
    pool = PoolState()
    gone, exclusive, shared = (enqueue(pool, MODES[mode], KEY) for mode in "SES")
    pooled = add_connection(pool, KEY, IDLE)
    pool.dequeue(gone)
    calls = [exclusive, shared]
    assert describe(plan(pool, KEY), calls, [pooled]) == "assign call 0 to 0"  # type: ignore[arg-type]


OWN = FakeHandshake(feed="m.f {}")
RELEASES = {
    "a shared call leaves the connection as it is": (LeaseMode.SHARED, FakeHandshake(), {}, "", "nothing"),
    "an unused connection is left to the planner, for other keys may wait longer": (
        LeaseMode.SHARED,
        FakeHandshake(),
        {},
        "S",
        "nothing",
    ),
    "after an exclusive call the next barrier starts at once": (LeaseMode.EXCLUSIVE, FakeHandshake(), {}, "", "sync 0"),
    "after a fresh one, too": (LeaseMode.FRESH, FakeHandshake(), {}, "", "sync 0"),
    "a connection that ended is left to the planner": (LeaseMode.EXCLUSIVE, FakeHandshake(), ENDED, "", "nothing"),
    "a connection for one call is closed": (LeaseMode.SINGLE_USE, ONE_SHOT, {}, "", "close 0"),
    "the connection that a feed had for itself is closed": (LeaseMode.FRESH, OWN, {}, "", "close 0"),
    "calls of several modes are left to the planner": (LeaseMode.SHARED, FakeHandshake(), {}, "SE", "nothing"),
}  # fmt: skip


@pytest.mark.parametrize(("mode", "handshake", "connection", "waiting", "expected"), RELEASES.values(), ids=RELEASES)
def test_after_a_lease_the_action_is(
    mode: LeaseMode, handshake: FakeHandshake, connection: dict[str, Any], waiting: str, expected: str
) -> None:
    pool = PoolState()
    pooled = add_connection(pool, handshake, UNSYNCED, **connection)
    pooled.acquire(mode)
    calls = [enqueue(pool, MODES[each], handshake) for each in waiting]
    pooled.release(mode)

    action = plan_release(pool.groups[handshake], pooled, mode)  # type: ignore[index]

    assert describe(action, calls, [pooled]) == expected


@pytest.mark.parametrize(
    ("waiting", "expected"),
    {"": "nothing", "SS": "assign call 0 to 0", "SE": "nothing", "E": "nothing"}.items(),
)
def test_room_on_a_shared_connection_goes_to_the_first_call_if_all_share(waiting: str, expected: str) -> None:
    pool = PoolState()
    pooled = add_connection(pool, KEY, UNSYNCED)
    for _ in range(2):
        pooled.acquire(LeaseMode.SHARED)
    calls = [enqueue(pool, MODES[each]) for each in waiting]
    pooled.release(LeaseMode.SHARED)

    action = plan_release(pool.groups[KEY], pooled, LeaseMode.SHARED)  # type: ignore[index]

    assert describe(action, calls, [pooled]) == expected


@pytest.mark.parametrize(
    ("mode", "others", "expected"),
    [("S", 0, True), ("S", 1, False), ("P", 0, True), ("E", 0, True), ("E", 4, True), ("E", 5, False), ("F", 4, True)],
)
def test_a_call_behind_many_others_needs_no_planning(mode: str, others: int, expected: bool) -> None:
    pool = PoolState()
    for _ in range(others + 1):
        enqueue(pool, MODES[mode])

    assert needs_planning(pool.groups[FakeHandshake()], MODES[mode]) is expected  # type: ignore[index]
