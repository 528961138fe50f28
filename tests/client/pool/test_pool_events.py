"""What a pool does with rates, sessions, failures and the ends of its connections."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from tests.client.pool.fakes import FakeConnection, FakeHandshake, request
from tests.client.pool.test_pool import LATER, Scene
from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp.client.pool.circuit_breaker import FAILURE_THRESHOLD
from utcp_ws_mcp.client.pool.entry import LeaseMode, State
from utcp_ws_mcp.errors import ConnectError, ConnectionLost, HandshakeRejected, Outcome, RetryAfter

ONE = FakeHandshake(max_connections=1)


class Opened:
    """A scene, and what its tasks do."""

    def __init__(self) -> None:
        self._tasks = anyio.create_task_group()

    async def __aenter__(self) -> Scene:
        return Scene(await self._tasks.__aenter__())

    async def __aexit__(self, *exc: object) -> Any:
        self._tasks.cancel_scope.cancel()
        return await self._tasks.__aexit__(*exc)


def breaker(scene: Scene, key: Any = ONE) -> Any:
    return scene.pool._state.failures.breaker(key)


# Rates


@in_virtual_time
async def test_a_manual_with_a_rate_leases_in_turns_and_never_without_waiting() -> None:
    limited = FakeHandshake(rate=2.0, max_in_flight=9)
    async with Opened() as s:
        times = []
        for _ in range(3):
            assert await s.pool.lease(request(LeaseMode.SHARED, limited), LATER) is not None
            times.append(anyio.current_time())
            assert s.pool.try_lease(request(LeaseMode.SHARED, limited)) is None
        assert times == [0.0, 0.5, 1.0]


@in_virtual_time
async def test_a_turn_that_does_not_come_in_time_gives_the_connection_back() -> None:
    limited = FakeHandshake(rate=0.1, max_in_flight=1)
    async with Opened() as s:
        lease = await s.pool.lease(request(LeaseMode.SHARED, limited), LATER)
        assert lease is not None
        lease.release()
        assert await s.pool.lease(request(LeaseMode.SHARED, limited), anyio.current_time() + 3) is None
        assert anyio.current_time() == 3.0
        assert [pooled.in_flight for pooled in s.pool.connections] == [0]


@in_virtual_time
async def test_a_call_that_is_cancelled_while_it_waits_for_its_turn_gives_the_connection_back() -> None:
    limited = FakeHandshake(rate=0.1)
    async with Opened() as s:
        await s.pool.lease(request(LeaseMode.SHARED, limited), LATER)
        with anyio.move_on_after(1):
            await s.pool.lease(request(LeaseMode.SHARED, limited), LATER)
        assert [pooled.in_flight for pooled in s.pool.connections] == [1]


@in_virtual_time
async def test_a_pool_that_closes_while_a_call_waits_for_its_turn_fails_it() -> None:
    limited = FakeHandshake(rate=0.1)
    async with Opened() as s:
        await s.pool.lease(request(LeaseMode.SHARED, limited), LATER)
        await s.call("a", handshake=limited)
        list(s.pool.close())
        await anyio.sleep(20)
        assert "shutting down" in str(s.errors["a"])
        assert [pooled.in_flight for pooled in s.pool.connections] == [1]
        assert s.pool.try_lease(request()) is None


# Sessions


@pytest.mark.parametrize(
    ("handshake", "noted"),
    [(FakeHandshake(max_connections=1, identity="x"), True), (ONE, False), (FakeHandshake(identity="x"), False)],
)
@pytest.mark.parametrize("mode", [LeaseMode.SHARED, LeaseMode.FRESH])
@in_virtual_time
async def test_a_connection_is_informed_of_the_one_that_it_replaces(
    handshake: FakeHandshake, noted: bool, mode: LeaseMode
) -> None:
    async with Opened() as s:
        await s.call("a", mode, handshake)
        lease = s.leases["a"]
        assert lease is not None
        if lease.start_reading is not None:
            lease.start_reading()
        s.opened[0].end()
        await s.release("a")
        await s.call("b", mode, handshake)
        assert s.opened[0].previous == []
        assert s.opened[1].previous == ([s.opened[0]] if noted else [])


# Failures


@in_virtual_time
async def test_a_message_over_a_connection_that_was_used_ends_a_row_of_failures() -> None:
    for received, opened, is_proof in ((1, 1, True), (0, 1, False), (1, 0, False)):
        async with Opened() as s:
            s.outcomes = [
                ConnectError("wss://key/", "no.", code="connection-refused") for _ in range(FAILURE_THRESHOLD)
            ]
            for name in "abc":
                await s.call(name, handshake=ONE)
            assert breaker(s).is_tripped
            s.outcomes = [FakeConnection(received_count=received, opened=opened)]
            await s.call("d", handshake=ONE)
            await anyio.sleep(10)
            await s.release("d")
            assert breaker(s).is_tripped is not is_proof


@pytest.mark.parametrize(("pause", "fails"), [(4.0, False), (60.0, True)])
@in_virtual_time
async def test_a_pause_that_the_server_asks_for_is_kept_and_a_long_one_fails_calls_at_once(
    pause: float, fails: bool
) -> None:
    retry_after = RetryAfter(pause, datetime(2026, 1, 1, tzinfo=UTC))
    async with Opened() as s:
        s.outcomes = [HandshakeRejected("wss://key/", 503, "", "", retry_after=retry_after)]
        await s.call("a", handshake=ONE)
        began = anyio.current_time()
        await s.call("b", handshake=ONE)
        assert ("b" in s.errors) is fails
        await anyio.sleep_until(began + pause + 0.1)
        assert ("b" in s.leases) is not fails
        await s.call("c", handshake=ONE)
        assert "c" in s.leases


@in_virtual_time
async def test_a_session_that_ends_before_a_call_used_it_counts_as_a_failure() -> None:
    async with Opened() as s:
        s.outcomes = [FakeConnection(opened=0, reusable=False, unusable_reason="logged out")]
        s.gate = anyio.Event()
        await s.call("a", handshake=ONE)
        await s.cancel("a")
        s.gate.set()
        await anyio.sleep(1)
        assert s.pool.connections == []
        error = s.pool.stats().last_error
        assert isinstance(error, ConnectionLost)
        assert error.outcome is Outcome.NOT_SENT
        assert 'logged out: a message for which "reconnect_when" holds arrived before any call' in str(error)
        assert breaker(s)._failures == 1
        assert s.opened[0].codes == [1000]


@pytest.mark.parametrize("used", [True, False])
@in_virtual_time
async def test_a_connection_that_ends_early_is_asked_whether_that_counts(used: bool) -> None:
    early = FakeConnection(fails_early=True)
    early.close_info = SimpleNamespace(reason="gone", code=1006)  # type: ignore[attr-defined]
    async with Opened() as s:
        s.outcomes = [early]
        s.gate = anyio.Event()
        await s.call("a", handshake=ONE)
        if not used:
            await s.cancel("a")
        s.gate.set()
        await anyio.sleep(1)
        early.end()
        await anyio.sleep(1)
        assert early.was_used == [used]
        assert breaker(s)._failures == 1


@in_virtual_time
async def test_a_connection_that_ends_is_replaced_for_the_calls_that_wait() -> None:
    full = FakeHandshake(max_connections=1, max_in_flight=1)
    async with Opened() as s:
        await s.call("a", handshake=full)
        await s.call("b", handshake=full)
        s.opened[0].end()
        await anyio.sleep(1)
        assert "b" not in s.leases  # the place is taken until the call has noticed
        await s.release("a")
        await anyio.sleep(1)
        assert "b" in s.leases
        assert len(s.opened) == 2


@in_virtual_time
async def test_calls_that_only_listen_get_what_comes_first() -> None:
    async with Opened() as s:
        order: list[str] = []
        connection = FakeConnection()

        async def receive() -> None:
            order.append("read")
            await connection.ended.wait()

        connection.receive_loop = receive  # type: ignore[method-assign]
        s.outcomes = [connection]
        lease = await s.pool.lease(request(LeaseMode.PASSIVE, ONE), LATER)
        order.append("leased")
        await anyio.sleep(1)
        assert lease is not None
        assert order == ["leased", "read"]


@in_virtual_time
async def test_a_barrier_counts_only_for_the_state_in_which_it_began() -> None:
    async with Opened() as s:
        await s.call("a", LeaseMode.EXCLUSIVE, ONE)
        (pooled,) = s.pool.connections
        assert pooled.state is State.SYNCING
        s.opened[0].synced.set()
        await anyio.sleep(1)
        assert pooled.state is State.EXCLUSIVE
        s.opened[0].synced = anyio.Event()
        await s.release("a")
        assert pooled.state is State.SYNCING
        await s.call("b", handshake=ONE)
        s.opened[0].synced.set()
        await anyio.sleep(1)
        assert (pooled.state, s.opened[0].closed) == (State.SHARED, [])
