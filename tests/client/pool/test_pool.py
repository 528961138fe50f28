"""How a pool carries out what its planner decides, with connections that the test opens, syncs and ends."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from tests.client.pool.fakes import FakeConnection, FakeHandshake, request
from tests.peer import PATIENCE
from utcp_ws_mcp.client.pool.circuit_breaker import FAILURE_THRESHOLD
from utcp_ws_mcp.client.pool.entry import LeaseMode
from utcp_ws_mcp.client.pool.lease import Lease, RateLimiter
from utcp_ws_mcp.client.pool.pool import ConnectionPool
from utcp_ws_mcp.client.pool.state import MAX_CONNECTIONS_PER_MANUAL
from utcp_ws_mcp.client.pool.status import PoolStats
from utcp_ws_mcp.errors import BridgeError, ConnectError, ConnectionLost, InternalError, Outcome, TimeoutStage

LATER = float("inf")


class Scene:
    """A pool, what it opened, and the leases that calls got, by name."""

    def __init__(self, tasks: TaskGroup) -> None:
        self.tasks = tasks
        self.pool = ConnectionPool(tasks, self._open, RateLimiter())
        self.opened: list[FakeConnection] = []
        self.gate = anyio.Event()
        self.gate.set()
        self.outcomes: list[Exception | FakeConnection] = []
        self.leases: dict[str, Lease | None] = {}
        self.errors: dict[str, BridgeError] = {}
        self.scopes: dict[str, anyio.CancelScope] = {}
        self.draining: Callable[[], None] = lambda: None

    async def _open(self, handshake: Any, arguments: dict[str, Any], on_draining: Callable[[], None]) -> Any:
        self.draining = on_draining
        await self.gate.wait()
        outcome = self.outcomes.pop(0) if self.outcomes else FakeConnection()
        if isinstance(outcome, Exception):
            raise outcome
        self.opened.append(outcome)
        return outcome

    async def call(
        self, name: str, mode: LeaseMode = LeaseMode.SHARED, handshake: Any = None, deadline: float = LATER
    ) -> None:
        """Start a call that leases a connection, and let everything happen that can."""
        self.start(name, mode, handshake, deadline)
        await anyio.wait_all_tasks_blocked()

    def start(self, name: str, mode: LeaseMode, handshake: Any = None, deadline: float = LATER) -> None:
        """Start a call that leases a connection."""

        async def lease() -> None:
            with anyio.CancelScope() as self.scopes[name]:
                try:
                    self.leases[name] = await self.pool.lease(request(mode, handshake), deadline)
                except BridgeError as error:
                    self.errors[name] = error

        self.tasks.start_soon(lease)

    async def release(self, name: str) -> None:
        """End the lease of a call."""
        lease = self.leases.pop(name)
        assert lease is not None
        lease.release()
        await anyio.wait_all_tasks_blocked()

    async def cancel(self, name: str) -> None:
        """Cancel a call."""
        self.scopes[name].cancel()
        await anyio.wait_all_tasks_blocked()


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            yield Scene(tasks)
            tasks.cancel_scope.cancel()


async def test_a_connection_is_leased_again_without_waiting() -> None:
    async with scene() as s:
        assert s.pool.try_lease(request()) is None
        await s.call("a")
        await s.release("a")
        lease = s.pool.try_lease(request())
        assert lease is not None
        assert lease.connection is s.opened[0]
        assert s.pool.stats() == PoolStats(connections=1, used=1)


async def test_no_call_overtakes_those_that_wait() -> None:
    async with scene() as s:
        for name in "abc":
            await s.call(name)
        assert list(s.leases) == ["a", "b"]  # max_in_flight
        assert s.pool.stats().waiting == 1
        assert s.pool.try_lease(request()) is None
        await s.release("a")
        assert list(s.leases) == ["b", "c"]


async def test_an_exclusive_call_waits_for_the_barrier() -> None:
    async with scene() as s:
        await s.call("a", LeaseMode.EXCLUSIVE)
        assert s.leases == {}
        s.opened[0].synced.set()
        await anyio.wait_all_tasks_blocked()
        assert list(s.leases) == ["a"]


async def test_a_barrier_that_a_shared_call_voided_does_not_count() -> None:
    async with scene() as s:
        await s.call("a", LeaseMode.EXCLUSIVE)
        s.opened[0].synced.set()
        await anyio.wait_all_tasks_blocked()
        s.opened[0].synced = anyio.Event()
        await s.release("a")  # the next barrier starts
        await s.call("b")
        s.opened[0].synced.set()
        await anyio.wait_all_tasks_blocked()
        await s.release("b")
        s.opened[0].synced = anyio.Event()
        await s.call("c", LeaseMode.EXCLUSIVE)
        assert s.leases == {}


async def test_a_connection_that_does_not_answer_the_barrier_is_closed() -> None:
    async with scene() as s:
        await s.call("a", LeaseMode.EXCLUSIVE)
        s.opened[0].reusable = False
        s.opened[0].synced.set()
        await anyio.wait_all_tasks_blocked()
        assert s.opened[0].closed == ["the server did not answer a ping in time"]
        assert len(s.opened) == 2


async def test_a_call_gets_none_at_its_deadline_and_leaves_the_queue() -> None:
    async with scene() as s:
        s.gate = anyio.Event()
        await s.call("a", deadline=anyio.current_time())
        assert s.leases == {"a": None}
        assert s.pool.stats().waiting == 0
        assert s.pool.wait_reason(request()) == (
            TimeoutStage.CONNECT,
            "it is still being opened or logged in",
        )


async def test_a_lease_that_comes_in_the_turn_in_which_its_call_is_cancelled_is_released() -> None:
    async with scene() as s:
        one = FakeHandshake(max_connections=1, max_in_flight=1)
        await s.call("a", handshake=one)
        waiting = asyncio.create_task(s.pool.lease(request(handshake=one), LATER))
        await anyio.wait_all_tasks_blocked()
        first = s.leases.pop("a")
        assert first is not None
        first.release()  # assigns the connection to the call that waits
        waiting.cancel()  # as asyncio does; anyio would deliver it in a later turn
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert [pooled.in_flight for pooled in s.pool.connections] == [0]


async def test_calls_behind_a_cancelled_one_go_on() -> None:
    async with scene() as s:
        one = FakeHandshake(max_connections=1)
        await s.call("a", handshake=one)
        await s.call("alone", LeaseMode.EXCLUSIVE, one)
        await s.call("b", handshake=one)
        assert list(s.leases) == ["a"]
        await s.cancel("alone")
        assert list(s.leases) == ["a", "b"]


async def test_a_connection_that_was_opened_for_a_cancelled_call_alone_is_dropped() -> None:
    async with scene() as s:
        s.gate = anyio.Event()
        await s.call("a", LeaseMode.FRESH)
        assert s.pool.stats().waiting == 1
        await s.cancel("a")
        assert s.pool.stats().waiting == 0
        s.gate.set()
        await anyio.wait_all_tasks_blocked()
        assert s.opened[0].closed == ["aborted"]
        assert s.pool.connections == []


async def test_all_calls_that_wait_fail_with_the_error_of_the_attempt() -> None:
    async with scene() as s:
        s.gate, s.outcomes = anyio.Event(), [ConnectError("wss://key/", "no.", code="connection-refused")]
        for name in "ab":
            await s.call(name)
        s.gate.set()
        await anyio.wait_all_tasks_blocked()
        assert [error.message for error in s.errors.values()] == ["cannot connect to wss://key/: no."] * 2
        assert isinstance(s.pool.stats().last_error, ConnectError)


async def test_a_bug_in_opening_is_an_error_of_the_calls_that_wait() -> None:
    async with scene() as s:
        s.outcomes = [KeyError("x")]
        await s.call("a")
        assert isinstance(s.errors["a"], InternalError)
        assert s.errors["a"].outcome is Outcome.NOT_SENT


async def test_connections_that_end_at_once_fail_the_call_after_a_few_attempts() -> None:
    async with scene() as s:
        for _ in range(FAILURE_THRESHOLD):
            s.outcomes.append(FakeConnection(is_open=False))
            s.outcomes[-1].close_info = ConnectionLost("", "gone", BridgeError.outcome)  # type: ignore[union-attr]
            s.outcomes[-1].close_info.reason = "gone"  # type: ignore[union-attr]
        await s.call("a")
        assert len(s.opened) == FAILURE_THRESHOLD
        assert isinstance(s.errors["a"], ConnectionLost)


async def test_a_connection_that_ends_leaves_its_place_to_another() -> None:
    async with scene() as s:
        one = FakeHandshake(max_connections=1, keep_alive=False)
        await s.call("a", LeaseMode.SINGLE_USE, one)
        await s.call("b", LeaseMode.SINGLE_USE, one)
        assert list(s.leases) == ["a"]
        await s.release("a")
        assert list(s.leases) == ["b"]
        assert [len(connection.closed) for connection in s.opened] == [1, 0]


async def test_a_connection_that_is_drained_takes_no_further_call() -> None:
    async with scene() as s:
        await s.call("a")
        s.opened[0].reusable = False
        s.draining()
        await s.call("b")
        assert len(s.opened) == 2
        await s.release("a")
        assert s.opened[0].closed == [""]


async def test_a_call_that_wants_the_first_message_starts_the_reading() -> None:
    async with scene() as s:
        await s.call("a", LeaseMode.FRESH)
        lease = s.leases["a"]
        assert lease is not None
        assert lease.start_reading is not None
        lease.start_reading()
        s.opened[0].end()
        await anyio.wait_all_tasks_blocked()
        await s.release("a")
        assert s.pool.connections == []


async def test_keys_that_wait_for_a_place_of_the_manual_get_one_in_turn() -> None:
    async with scene() as s:
        keys = [FakeHandshake(str(number)) for number in range(MAX_CONNECTIONS_PER_MANUAL + 3)]
        for key in keys:
            await s.call(key.name, handshake=key)
        served, waiting = keys[:MAX_CONNECTIONS_PER_MANUAL], keys[MAX_CONNECTIONS_PER_MANUAL:]
        assert list(s.leases) == [key.name for key in served]
        await s.call("late", handshake=served[0])  # its key has a connection, in use
        await s.call("later", handshake=served[0])
        for key in served[1:4]:
            await s.release(key.name)
        assert [key.name in s.leases for key in waiting] == [True] * 3
        assert len(s.pool.connections) == MAX_CONNECTIONS_PER_MANUAL


def at_one_endpoint(*names: str, max_connections: int) -> list[FakeHandshake]:
    return [FakeHandshake(name, max_connections, keep_alive=False, at="wss://one/") for name in names]


async def test_a_place_at_an_endpoint_reaches_the_first_call_after_an_earlier_one_was_cancelled() -> None:
    async with scene() as s:
        a, b, c = at_one_endpoint("a", "b", "c", max_connections=1)
        for name, key in (("c", c), ("a1", a), ("b", b), ("a2", a)):
            await s.call(name, handshake=key)
        await s.cancel("a1")
        await s.release("c")
        assert [*s.leases] == ["b"]
        await s.release("b")
        assert [*s.leases] == ["a2"]


async def test_a_place_at_an_endpoint_reaches_the_first_call_whose_key_has_just_got_another_place() -> None:
    async with scene() as s:
        a, b, c, d = at_one_endpoint("a", "b", "c", "d", max_connections=2)
        for name, key in (("c", c), ("d", d), ("a1", a), ("a2", a), ("b", b)):
            await s.call(name, LeaseMode.FRESH if key is a else LeaseMode.SHARED, key)
        for released, served in (("c", "a1"), ("d", "a2"), ("a1", "b")):
            await s.release(released)
            assert served in s.leases


async def test_an_idle_connection_goes_to_the_key_that_waits_longer() -> None:
    async with scene() as s:
        busy = FakeHandshake("busy", max_in_flight=1)
        await s.call("first", handshake=busy)
        for number in range(MAX_CONNECTIONS_PER_MANUAL - 1):
            await s.call(str(number), handshake=FakeHandshake(str(number)))
        await s.call("other", handshake=FakeHandshake("other"))
        await s.call("second", handshake=busy)
        await s.release("first")
        assert "other" in s.leases
        assert "second" not in s.leases


async def test_a_draining_pool_serves_those_that_wait_and_closes_what_they_leave() -> None:
    async with scene() as s:
        one = FakeHandshake(max_connections=1, max_in_flight=1)
        await s.call("a", handshake=one)
        await s.call("b", handshake=one)
        s.pool.drain()
        await s.release("a")
        assert s.opened[0].closed == []
        await s.release("b")
        assert s.opened[0].closed == [""]
        assert s.pool.connections == []


async def test_a_closed_pool_fails_all_calls_and_yields_all_connections() -> None:
    async with scene() as s:
        await s.call("a")
        s.gate = anyio.Event()
        await s.call("b", handshake=FakeHandshake("b"))
        await s.call("c", LeaseMode.FRESH)
        assert list(s.pool.close()) == s.opened
        await anyio.wait_all_tasks_blocked()
        await s.call("d")
        assert [str(error) for name, error in s.errors.items() if name in "bcd" and "shutting down" in str(error)]
        assert sorted(s.errors) == ["b", "c", "d"]
        await s.release("a")
        s.gate.set()
        await anyio.wait_all_tasks_blocked()
        assert [connection.closed for connection in s.opened[1:]] == [["aborted"]] * 2


async def test_the_rate_limit_ends_with_the_deadline() -> None:
    limiter = RateLimiter()
    await limiter.acquire(60)
    with anyio.move_on_after(0) as scope:
        await limiter.acquire(60)
    assert scope.cancelled_caught


@pytest.mark.parametrize("mode", [LeaseMode.SHARED, LeaseMode.EXCLUSIVE])
async def test_the_cost_of_a_call_does_not_depend_on_how_many_wait(mode: LeaseMode) -> None:
    costs = {}
    for waiting in (10, 500):
        async with scene() as s:
            s.outcomes = [FakeConnection() for _ in range(4)]
            for connection in s.outcomes:
                connection.synced.set()  # type: ignore[union-attr]
            for number in range(waiting):
                s.start(str(number), mode)
            await anyio.wait_all_tasks_blocked()
            lease = next(iter(s.leases.values()))
            assert lease is not None
            costs[waiting] = [count_calls(lease.release), await count_turn()]
    assert costs[10] == costs[500]


def count_calls(act: Callable[[], Any]) -> int:
    """How many functions an act calls."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


async def count_turn() -> int:
    """How many functions the tasks call that are ready now."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call") and "/pool/" in frame.f_code.co_filename

    sys.setprofile(note)
    try:
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
    finally:
        sys.setprofile(None)
    return count


async def test_an_attempt_that_fails_does_not_fail_calls_that_need_a_connection_of_their_own() -> None:
    async with scene() as s:
        s.gate, s.outcomes = anyio.Event(), [ConnectError("wss://key/", "no.", code="connection-refused")]
        one = FakeHandshake(max_connections=1)
        await s.call("shared", LeaseMode.SHARED, one)
        await s.call("fresh", LeaseMode.FRESH, one)
        s.gate.set()
        await anyio.wait_all_tasks_blocked()
        assert [*s.errors] == ["shared"]
        assert [*s.leases] == ["fresh"]
