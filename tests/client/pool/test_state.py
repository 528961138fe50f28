"""What a pool knows of its connections and calls: counts, reasons, and what it forgets."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from tests.client.pool.fakes import FakeHandshake, add_connection, enqueue, request
from utcp_ws_mcp.client.pool.circuit_breaker import CircuitBreaker
from utcp_ws_mcp.client.pool.entry import LeaseMode, State, Waiter
from utcp_ws_mcp.client.pool.state import MAX_CONNECTIONS_PER_MANUAL, PoolState
from utcp_ws_mcp.client.pool.status import PoolStats
from utcp_ws_mcp.errors import ConnectError, TimeoutStage

KEY: Any = FakeHandshake()
OTHER: Any = FakeHandshake("other")
OWN: Any = FakeHandshake("own", at="key", feed="m.f {}")
REFUSED = ConnectError("wss://key/", "no.", code="connection-refused")
SHARED = LeaseMode.SHARED
OPENING = "it is still being opened or logged in"


@pytest.fixture
def pool() -> PoolState:
    return PoolState()


def test_a_pool_allows_32_connections_or_as_many_as_a_manifest_names(pool: PoolState) -> None:
    assert pool.capacity == MAX_CONNECTIONS_PER_MANUAL == 32
    enqueue(pool, SHARED, FakeHandshake(max_connections=33))
    assert pool.capacity == 33
    enqueue(pool, SHARED, FakeHandshake("other", max_connections=5))
    assert pool.capacity == 33


def test_the_status_counts_open_connections_those_in_use_and_waiting_calls(pool: PoolState) -> None:
    add_connection(pool, KEY, State.IDLE)
    add_connection(pool, KEY, State.SHARED, in_flight=3)
    add_connection(pool, OTHER, State.SHARED, in_flight=1, is_open=False)
    add_connection(pool, OTHER, State.CONNECTING)
    enqueue(pool, SHARED, KEY)
    fresh = enqueue(pool, LeaseMode.FRESH, KEY)
    pool.add(fresh)
    assert pool.stats() == PoolStats(connections=2, waiting=2, last_error=None, used=1)
    assert pool.waiters()[0] is fresh
    fresh.cancelled = True
    assert pool.stats().waiting == 1
    pool.failures.set_last_error(KEY, REFUSED)
    assert pool.stats().last_error is REFUSED


@pytest.mark.parametrize(
    ("in_flight", "passive", "key", "expected"),
    [
        (1, 1, KEY, True),
        (2, 2, KEY, True),
        (2, 1, KEY, False),
        (1, 0, KEY, False),
        (0, 0, KEY, False),
        (1, 0, OWN, True),
        (0, 0, OWN, False),
    ],
)
def test_a_connection_listens_if_only_calls_that_send_nothing_or_a_feed_use_it(
    pool: PoolState, in_flight: int, passive: int, key: Any, expected: bool
) -> None:
    pooled = add_connection(pool, key, State.SHARED, in_flight=in_flight, passive=passive)
    assert pooled.is_listening is expected


# Why a call got no connection


def test_a_call_that_waits_for_a_connection_learns_why_it_got_none(pool: PoolState) -> None:
    assert pool.wait_reason(request(SHARED, KEY)) == (TimeoutStage.POOL, "")
    add_connection(pool, KEY, State.SHARED, in_flight=1)
    assert pool.wait_reason(request(SHARED, KEY)) == (TimeoutStage.POOL, "")
    assert pool.wait_reason(request(LeaseMode.EXCLUSIVE, KEY)) == (TimeoutStage.POOL, "")
    add_connection(pool, KEY, State.CONNECTING)
    assert pool.wait_reason(request(SHARED, KEY)) == (TimeoutStage.CONNECT, OPENING)
    assert pool.wait_reason(request(SHARED, OTHER)) == (TimeoutStage.POOL, "")
    pool.failures.set_last_error(KEY, REFUSED)
    assert pool.wait_reason(request(SHARED, KEY)) == (TimeoutStage.CONNECT, REFUSED.message)


@pytest.mark.parametrize(
    ("mode", "passive", "is_explained"),
    [
        (LeaseMode.EXCLUSIVE, 1, True),
        (LeaseMode.FRESH, 1, True),
        (LeaseMode.SHARED, 1, False),
        (LeaseMode.PASSIVE, 1, False),
        (LeaseMode.EXCLUSIVE, 0, False),
    ],
)
def test_a_call_that_needs_a_connection_alone_learns_that_feeds_have_all(
    pool: PoolState, mode: LeaseMode, passive: int, is_explained: bool
) -> None:
    add_connection(pool, KEY, State.SHARED, in_flight=1, passive=passive)
    stage, reason = pool.wait_reason(request(mode, KEY))
    assert stage is TimeoutStage.POOL
    assert ("have all its connections (limits.max_connections is 4)" in reason) is is_explained
    assert bool(reason) is is_explained


def test_a_call_learns_that_one_connection_of_several_is_used_by_calls(pool: PoolState) -> None:
    add_connection(pool, KEY, State.SHARED, in_flight=1, passive=1)
    add_connection(pool, OWN, State.SHARED, in_flight=1)
    assert "feeds" in pool.wait_reason(request(LeaseMode.EXCLUSIVE, KEY))[1]
    add_connection(pool, KEY, State.SHARED, in_flight=1)
    assert pool.wait_reason(request(LeaseMode.EXCLUSIVE, KEY)) == (TimeoutStage.POOL, "")


@pytest.mark.parametrize(("waits", "mode"), [(KEY, SHARED), (KEY, LeaseMode.EXCLUSIVE), (OWN, LeaseMode.FRESH)])
def test_calls_and_feeds_that_wait_learn_that_feeds_have_all_connections_for_themselves(
    pool: PoolState, waits: Any, mode: LeaseMode
) -> None:
    add_connection(pool, OWN, State.SHARED, in_flight=1)
    reason = "feeds, or calls that only listen, have all its connections (limits.max_connections is 4). "
    assert pool.wait_reason(request(mode, waits)) == (TimeoutStage.POOL, f"{reason}Raise limits.max_connections")


# A pause that the server asks for


@pytest.mark.parametrize(
    ("pause", "other", "is_reserved", "fails"),
    [
        (5.0, False, False, False),
        (5.1, False, False, True),
        (60.0, False, False, True),
        (60.0, True, False, False),
        (60.0, True, True, True),
        (60.0, False, True, True),
    ],
)
def test_a_pause_that_no_call_waits_for_fails_it_unless_another_connection_is_open(
    pool: PoolState, pause: float, other: bool, is_reserved: bool, fails: bool
) -> None:
    pooled = add_connection(pool, KEY, State.CONNECTING)
    if other:
        add_connection(pool, KEY, State.IDLE)
    if is_reserved:
        pooled.reserved_for = Waiter(request(LeaseMode.FRESH, KEY), lambda: None)
    pool.failures.record_failure(KEY, 100.0, lambda: 0.0, pause)
    pool.failures.set_last_error(KEY, REFUSED)
    assert pool.paused_by_server(pooled, 100.0) is (REFUSED if fails else None)
    assert pool.paused_by_server(pooled, 100.0 + pause) is None


def test_a_pause_holds_from_the_first_failure_on_and_never_shortens_a_longer_one() -> None:
    breaker = CircuitBreaker()
    breaker.record_failure(100.0, lambda: 1.0, 60.0)
    assert breaker.retry_after(100.0) == 60.0
    breaker.record_failure(110.0, lambda: 1.0, 10.0)
    assert breaker.retry_after(110.0) == 50.0
    assert repr(breaker) == "<CircuitBreaker failures=2>"


# Connections that talk


def test_a_connection_that_talks_is_found_among_those_of_its_key(pool: PoolState) -> None:
    assert pool.find_talking(KEY) is None
    add_connection(pool, KEY, State.CONNECTING)
    silent, talking = (add_connection(pool, KEY, State.IDLE) for _ in range(2))
    for pooled in (silent, talking):
        pooled.connection.is_talking = pooled is talking  # type: ignore[union-attr, misc]
    assert pool.find_talking(KEY) is talking.connection
    assert pool.find_talking(OTHER) is None


# What is counted, and what is forgotten


def test_connections_that_are_opened_for_one_call_count_for_no_other(pool: PoolState) -> None:
    fresh = enqueue(pool, LeaseMode.FRESH, KEY)
    pool.add(fresh)
    add_connection(pool, KEY, State.CONNECTING)
    assert pool.groups[KEY].count(State.CONNECTING) == 1


def test_a_connection_that_was_opened_for_a_call_is_of_use_for_others_afterwards(pool: PoolState) -> None:
    fresh = enqueue(pool, LeaseMode.FRESH, KEY)
    pooled = pool.add(fresh)
    pooled.open(SimpleNamespace(is_open=True))  # type: ignore[arg-type]
    pool.assign(fresh, pooled)
    assert (pooled.reserved_for, fresh.pooled, pooled.leases_started) == (None, pooled, 1)


def test_a_key_without_connections_and_calls_is_forgotten(pool: PoolState) -> None:
    waiter = enqueue(pool, SHARED, KEY)
    pooled = pool.add(waiter)
    pool.dequeue(waiter)
    assert KEY in pool.groups
    pool.remove(pooled)
    assert (pool.groups, pool.connections, pooled.state) == ({}, {}, State.CLOSED)
    assert pool.dequeue(waiter) is False
    assert pool.first_sequence(KEY) == math.inf


def test_calls_have_the_order_in_which_they_came(pool: PoolState) -> None:
    first, second = enqueue(pool, SHARED, OTHER), enqueue(pool, SHARED, KEY)
    assert (first.sequence, second.sequence) == (0, 1)
    assert (pool.first_sequence(OTHER), pool.first_sequence(KEY)) == (0, 1)


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_attempt_that_fails_fails_the_calls_that_no_open_connection_can_serve(
    pool: PoolState, cancelled: bool
) -> None:
    fresh = enqueue(pool, LeaseMode.FRESH, KEY)
    pooled = pool.add(fresh)
    fresh.cancelled = cancelled
    exclusive, shared, other = (enqueue(pool, mode, KEY) for mode in (LeaseMode.EXCLUSIVE, SHARED, LeaseMode.FRESH))
    add_connection(pool, KEY, State.SHARED, in_flight=1, incomplete=1)  # of no use for an exclusive call
    pool.remove(pooled)
    pool.fail_waiting(pooled, REFUSED)
    assert [each.error for each in (fresh, exclusive, shared, other)] == [
        None if cancelled else REFUSED,
        REFUSED,
        None,
        None,
    ]
    assert pool.failures.error_for(KEY) is REFUSED


@pytest.mark.parametrize(
    ("waiting", "at", "reserved"),
    [("earlier", "here", True), ("earlier", "there", False), ("later", "here", False), ("none", "here", False)],
)
def test_the_next_place_at_an_endpoint_is_for_the_key_whose_call_came_first(
    pool: PoolState, waiting: str, at: str, reserved: bool
) -> None:
    asks, other = FakeHandshake("asks", at="here"), FakeHandshake("other", at=at)
    for handshake in (other, asks) if waiting == "earlier" else (asks, other):
        enqueue(pool, LeaseMode.SHARED, handshake)
    pool.awaiting_capacity = {asks: None, **({other: None} if waiting != "none" else {})}  # type: ignore[dict-item]
    assert pool.is_reserved_for_other(asks) is reserved  # type: ignore[arg-type]
