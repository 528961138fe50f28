"""When endpoints are asked for their manuals, and who waits for the answers, in virtual time."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp.client import discovery as discovery_module
from utcp_ws_mcp.client.discovery import DiscoveryManager, DiscoveryTask
from utcp_ws_mcp.errors import (
    BridgeError,
    ConnectError,
    DiscoveryInterrupted,
    DiscoveryTimeout,
    ForbiddenURL,
    HandshakeRejected,
    InternalError,
    InvalidTemplate,
    RetryAfter,
    TokenRequestError,
)
from utcp_ws_mcp.observability.events import DiscoveryFailed, DiscoverySucceeded

REFUSED = ConnectError("ws://h/", "connection refused.", code="connection-refused")
AWAY = ConnectError("ws://h/", "no route.", code="host-unreachable")
START = 0.002


def rejected(status: int, pause: float | None = None) -> HandshakeRejected:
    retry_after = None if pause is None else RetryAfter(pause, datetime(2026, 1, 1, tzinfo=UTC))
    return HandshakeRejected("ws://h/", status, "", "", retry_after=retry_after)


class Task(DiscoveryTask):
    """A discovery whose attempts have the results of a script: errors, manuals, or seconds before the next of them."""

    def __init__(self, *script: Any, name: str = "m", remembers: Any = False, timeout: float = 30.0) -> None:
        self.script = list(script)
        self.attempts: list[float] = []
        self.manuals: list[Any] = []
        self.observed: list[Any] = []
        self.broken: Exception | None = None
        self._remembers = remembers
        entry: Any = SimpleNamespace(name=name, uses_discovery=True)
        self.pools: Any = SimpleNamespace(on_opened=[])
        ambient: Any = None
        super().__init__(entry, self.pools, ambient, self._offer, self._take, self.observed.append)
        self.__dict__["_tool"] = SimpleNamespace(template=SimpleNamespace(timeout=timeout, final_close_codes=()))

    def open_connection(self, manual: str = "m") -> None:
        """Announce that a call or a feed has opened a connection."""
        for announce in self.pools.on_opened:
            announce(manual)

    async def _offer(self, entry: Any) -> bool:
        if isinstance(self._remembers, float):
            await anyio.sleep(self._remembers)
        return bool(self._remembers)

    async def _take(self, entry: Any, manual: Any) -> int:
        if self.broken is not None:
            raise self.broken
        self.manuals.append(manual)
        return len(manual)

    async def _fetch(self) -> Any:
        self.attempts.append(round(anyio.current_time() - START, 3))
        while self.script:
            match self.script.pop(0):
                case float(seconds):
                    await anyio.sleep(seconds)
                case Exception() as error:
                    raise error
                case manual:
                    return manual
        return "manual"


@asynccontextmanager
async def running(task: Task) -> AsyncIterator[Task]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(task.run)
        yield task
        tasks.cancel_scope.cancel()


@pytest.fixture(autouse=True)
def _random(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery_module.random, "random", lambda: 0.5)


async def lasts(seconds: float) -> None:
    await anyio.sleep_until(START + seconds)


# When an endpoint is asked


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (REFUSED, [0.35, 0.7, 1.4, 2.8]),  # 0.7 of the longest delay, because the random number is a half
        (rejected(500), [0.35, 0.7]),
        (rejected(401), [300.0, 300.0]),
        (rejected(403), [300.0]),
        (ConnectError("ws://h/", "no.", code="login-rejected", step="on_connect[1]"), [300.0]),
        (rejected(404), [0.35]),
        (rejected(503, 20.0), [21.5, 21.5]),
        (rejected(401, 20.0), [21.5]),
        (InvalidTemplate("m: wrong", code="value-missing"), [300.0]),
        (ForbiddenURL("m: blocked.", code="address-not-allowed"), [300.0]),
        (TokenRequestError("i", "HTTP 400"), [300.0]),
        (InternalError("m", ValueError()), [300.0]),
    ],
)
@in_virtual_time
async def test_after_failures_an_endpoint_is_asked_again_after_pauses_that_depend_on_the_reason(
    error: BridgeError, pauses: list[float]
) -> None:
    async with running(Task(*[error] * len(pauses))) as task:
        await lasts(1000)
        times = [round(sum(pauses[:count]), 3) for count in range(len(pauses) + 1)]
        assert task.attempts == pytest.approx(times, abs=0.002)
        assert task.manuals == ["manual"]
        assert task.error is None


@in_virtual_time
async def test_a_success_ends_a_row_of_failures() -> None:
    async with running(Task(REFUSED, REFUSED, "manual", REFUSED, REFUSED)) as task:
        await lasts(2)
        task.connection_lost()
        await lasts(10)
        pauses = [later - earlier for earlier, later in zip(task.attempts[:-1], task.attempts[1:], strict=True)]
        assert pauses == pytest.approx([0.35, 0.7, 1.95, 0.35, 0.7], abs=0.002)


@in_virtual_time
async def test_a_manual_is_fetched_again_a_second_after_its_endpoint_was_lost_and_not_otherwise() -> None:
    async with running(Task()) as task:
        await lasts(500)
        assert task.attempts == [0.0]
        task.connection_lost()
        await lasts(1000)
        assert task.attempts == [0.0, 501.0]


@in_virtual_time
async def test_an_endpoint_that_is_lost_again_and_again_is_asked_less_and_less_often() -> None:
    async with running(Task()) as task:
        assert await waits_of(task, 6) == pytest.approx([1.0, 1.0, 1.4, 2.8, 5.6, 11.2], abs=0.03)


@pytest.mark.parametrize(("seconds", "wait"), [(29.9, 2.8), (30.1, 1.0)])
@in_virtual_time
async def test_a_loss_after_half_a_minute_says_nothing_about_the_manual(seconds: float, wait: float) -> None:
    async with running(Task()) as task:
        for _ in range(3):
            await anyio.sleep(0.01)
            task.connection_lost()
            await anyio.sleep(5)
        await anyio.sleep_until(START + task.attempts[-1] + seconds)
        lost_at, count = anyio.current_time(), len(task.attempts)
        task.connection_lost()
        while len(task.attempts) == count:
            await anyio.sleep(0.01)
        assert anyio.current_time() - lost_at == pytest.approx(wait, abs=0.03)


async def waits_of(task: Task, count: int) -> list[float]:
    """How long it takes until a manual is fetched again, each time that the endpoint is lost at once."""
    waits = []
    for _ in range(count):
        await anyio.sleep(0.01)
        lost_at, attempts = anyio.current_time(), len(task.attempts)
        task.connection_lost()
        while len(task.attempts) == attempts:
            await anyio.sleep(0.01)
        waits.append(anyio.current_time() - lost_at)
    return waits


@in_virtual_time
async def test_after_a_stable_time_losses_are_counted_from_the_beginning() -> None:
    async with running(Task()) as task:
        await waits_of(task, 5)
        await anyio.sleep(100)
        assert await waits_of(task, 4) == pytest.approx([1.0, 1.0, 1.0, 1.4], abs=0.03)


@in_virtual_time
async def test_the_wait_after_a_loss_is_the_longer_of_two_random_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter([0.0, 0.99, 0.0])
    monkeypatch.setattr(discovery_module.random, "random", lambda: next(numbers))
    async with running(Task()) as task:
        assert await waits_of(task, 2) == pytest.approx([0.5, 0.994], abs=0.03)


@in_virtual_time
async def test_a_loss_while_a_manual_is_fetched_is_answered_by_another_attempt() -> None:
    async with running(Task(1.0, "manual")) as task:
        await lasts(0.5)
        task.connection_lost()
        await lasts(10)
        assert task.attempts == [0.0, 2.0]


@in_virtual_time
async def test_a_loss_before_an_attempt_is_answered_by_it() -> None:
    async with running(Task(REFUSED, "manual")) as task:
        await lasts(0.1)
        task.connection_lost()
        await lasts(10)
        assert task.attempts == [0.0, 0.35]


# Pauses that end early


@pytest.mark.parametrize("error", [REFUSED, rejected(503), DiscoveryTimeout("m", 10.0), DiscoveryInterrupted("m", "x")])
@in_virtual_time
async def test_a_connection_of_others_ends_a_pause_after_an_outage(error: BridgeError) -> None:
    async with running(Task(*[error] * 7, "manual")) as task:
        await lasts(30)
        before = len(task.attempts)
        task.open_connection()
        await lasts(30.001)
        assert task.attempts[before:] == [30.0]


@in_virtual_time
async def test_pauses_end_early_once_in_thirty_seconds() -> None:
    async with running(Task(*[REFUSED] * 20)) as task:
        ended_early = []
        for at in (40.0, 41.0, 69.9, 70.01, 70.1):
            await lasts(at)
            before = len(task.attempts)
            task.open_connection()
            await anyio.sleep(0)
            await anyio.sleep(0)
            ended_early += [at] if len(task.attempts) > before else []
        assert ended_early == [40.0, 70.01]


@pytest.mark.parametrize(
    "error",
    [
        rejected(401),
        rejected(503, 20.0),
        InvalidTemplate("m: wrong", code="value-missing"),
        TokenRequestError("i", "HTTP 400"),
    ],
)
@in_virtual_time
async def test_a_connection_of_others_ends_no_pause_that_has_another_reason(error: BridgeError) -> None:
    async with running(Task(*[error] * 9)) as task:
        await lasts(1)
        task.open_connection()
        await lasts(2)
        assert task.attempts == [0.0]


@in_virtual_time
async def test_a_connection_that_an_attempt_opens_itself_causes_no_other() -> None:
    async with running(Task(REFUSED, 5.0, REFUSED, 1.0, "manual")) as task:
        await lasts(1)
        task.open_connection()
        await lasts(20)
        assert task.attempts == [0.0, 0.35, 6.05]


@in_virtual_time
async def test_a_connection_to_another_endpoint_ends_no_pause() -> None:
    async with running(Task(*[REFUSED] * 9)) as task:
        await lasts(1)
        before = len(task.attempts)
        task.open_connection("other")
        await anyio.sleep(0)
        assert len(task.attempts) == before
        assert len(task.pools.on_opened) == 1
        task.stop(removed=True)
        await anyio.sleep(0)
        assert task.pools.on_opened == []


@in_virtual_time
async def test_a_connection_of_others_does_not_fetch_a_manual_that_is_there() -> None:
    async with running(Task()) as task:
        await lasts(1)
        task.open_connection()
        await lasts(20)
        assert task.attempts == [0.0]


# What is reported


@in_virtual_time
async def test_an_endpoint_that_stays_away_is_reported_once_and_another_reason_again() -> None:
    async with running(Task(REFUSED, REFUSED, AWAY, rejected(401))) as task:
        await lasts(1000)
        refused, away, denied = task.observed[:3]
        assert refused == DiscoveryFailed("m", str(REFUSED), pytest.approx(0.35), True)
        assert away == DiscoveryFailed("m", str(AWAY), pytest.approx(1.4), True)
        assert denied == DiscoveryFailed("m", str(rejected(401)), 300.0, True)
        assert task.observed[3:] == [DiscoverySucceeded("m", 6)]


@in_virtual_time
async def test_a_failure_that_is_no_failure_of_the_network_says_so() -> None:
    async with running(Task(InvalidTemplate("m: wrong", code="value-missing"))) as task:
        await lasts(1)
        assert task.observed[0].unreachable is False


@in_virtual_time
async def test_a_manual_that_cannot_be_read_is_an_internal_error_in_the_log_and_tried_again_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    task = Task()
    task.broken = KeyError("x")
    async with running(task):
        await lasts(1)
        assert isinstance(task.error, InternalError)
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert caplog.messages == ["internal error while reading the manual of m"]
        task.broken = None
        await lasts(299)
        assert task.attempts == [0.0]
        await lasts(301)
        assert (task.attempts, task.error) == ([0.0, 300.0], None)


@in_virtual_time
async def test_a_manual_that_could_not_be_read_does_not_count_as_a_failure_of_the_endpoint() -> None:
    task = Task("manual", REFUSED)
    task.broken = KeyError("x")
    async with running(task):
        await lasts(1000)
        assert task.attempts == [0.0, 300.0, 300.35, 600.35, 900.35]


# Who waits


async def ends(operation: Any, into: list[float]) -> None:
    await operation
    into.append(round(anyio.current_time() - START, 3))


@in_virtual_time
async def test_a_call_waits_for_the_first_attempt_and_not_for_later_ones() -> None:
    async with running(Task(1.0, "manual")) as task, anyio.create_task_group() as tasks:
        ended: list[float] = []
        tasks.start_soon(ends, task.wait_attempted(), ended)
        assert not task.was_attempted
        await lasts(5)
        assert task.was_attempted
        task.connection_lost()
        tasks.start_soon(ends, task.wait_attempted(), ended)
        tasks.start_soon(ends, task.refresh(), ended)
        await lasts(5.1)
        assert ended == [1.0, 5.0, 5.0]


@in_virtual_time
async def test_a_refresh_after_a_failure_asks_at_once_and_waits_for_the_answer() -> None:
    async with running(Task(rejected(401), 2.0, "manual")) as task, anyio.create_task_group() as tasks:
        ended: list[float] = []
        await lasts(5)
        for _ in range(3):
            tasks.start_soon(ends, task.refresh(), ended)
        await lasts(20)
        assert (task.attempts, ended) == ([0.0, 5.0], [7.0] * 3)


@in_virtual_time
async def test_a_refresh_during_an_attempt_after_a_failure_waits_for_the_next_one() -> None:
    async with running(Task(REFUSED, 2.0, REFUSED, 1.0, "manual")) as task, anyio.create_task_group() as tasks:
        ended: list[float] = []
        await lasts(1)
        tasks.start_soon(ends, task.refresh(), ended)
        await lasts(20)
        assert (task.attempts, ended) == ([0.0, 0.35, 2.35], [3.35])


@in_virtual_time
async def test_a_refresh_during_the_first_attempt_waits_for_its_end() -> None:
    async with running(Task(2.0, REFUSED, 5.0, "manual")) as task, anyio.create_task_group() as tasks:
        ended: list[float] = []
        await lasts(1)
        tasks.start_soon(ends, task.refresh(), ended)
        await lasts(3)
        assert (task.attempts, ended) == ([0.0, 2.35], [2.0])


@in_virtual_time
async def test_a_success_answers_those_who_wait_for_the_attempt_after_it() -> None:
    async with running(Task(REFUSED, 2.0, "manual")) as task, anyio.create_task_group() as tasks:
        ended: list[float] = []
        await lasts(1)
        tasks.start_soon(ends, task.refresh(), ended)
        await lasts(20)
        assert (task.attempts, ended) == ([0.0, 0.35], [2.35])


@pytest.mark.parametrize(("timeout", "waited"), [(30.0, 10.1), (3.0, 3.1)])
@in_virtual_time
async def test_a_refresh_waits_as_long_as_an_attempt_may_take_and_a_tenth_of_a_second(
    timeout: float, waited: float
) -> None:
    async with running(Task(1000.0, timeout=timeout)) as task:
        await lasts(1)
        await task.refresh()
        assert anyio.current_time() - START == pytest.approx(1 + waited)


@in_virtual_time
async def test_remembered_tools_end_the_wait_for_offers_before_the_endpoint_answers() -> None:
    async with running(Task(5.0, "manual", remembers=1.0)) as task, anyio.create_task_group() as tasks:
        ended: list[float] = []
        tasks.start_soon(ends, task.wait_offered(), ended)
        await lasts(2)
        assert ended == [1.0]
        assert not task.was_attempted


@in_virtual_time
async def test_without_remembered_tools_the_wait_for_offers_ends_with_the_first_attempt() -> None:
    async with running(Task(5.0, REFUSED)) as task, anyio.create_task_group() as tasks:
        ended: list[float] = []
        tasks.start_soon(ends, task.wait_offered(), ended)
        await lasts(20)
        assert ended == [5.0]


@pytest.mark.parametrize("removed", [True, False])
@in_virtual_time
async def test_a_stop_ends_all_waits_and_attempts(removed: bool) -> None:
    async with running(Task(3.0, "manual")) as task, anyio.create_task_group() as tasks:
        ended: list[float] = []
        tasks.start_soon(ends, task.wait_attempted(), ended)
        tasks.start_soon(ends, task.wait_offered(), ended)
        await lasts(1)
        task.stop(removed=removed)
        await lasts(5)
        assert ended == [1.0, 1.0]
        assert (task.error is None) is removed
        assert removed or "shutting down" in str(task.error)
        await task.refresh()
        assert anyio.current_time() == START + 5
        assert (task.observed, task.manuals) == ([], [])


@in_virtual_time
async def test_an_error_that_a_stop_causes_is_not_reported() -> None:
    task = Task()

    async def fail_when_stopped() -> Any:
        task.stop(removed=True)
        raise REFUSED

    task._fetch = fail_when_stopped  # type: ignore[method-assign]
    async with running(task):
        await lasts(1)
        assert (task.error, task.observed) == (None, [])


# All discoveries of a bridge


@asynccontextmanager
async def discovering(*given: Task, later: Task | None = None) -> AsyncIterator[DiscoveryManager]:
    """The discoveries of a bridge; `later` is that of an entry which the test starts."""
    made = [*given, *([later] if later else [])]
    async with anyio.create_task_group() as tasks:
        manager = DiscoveryManager(tasks, lambda entry: made.pop(0))
        for task in given:
            manager.start(task.entry)
        yield manager
        tasks.cancel_scope.cancel()


@in_virtual_time
async def test_only_entries_that_ask_for_discovery_have_one() -> None:
    async with anyio.create_task_group() as tasks:
        manager = DiscoveryManager(tasks, lambda entry: Task(name=entry.name))
        manager.start(SimpleNamespace(name="a", uses_discovery=False))  # type: ignore[arg-type]
        assert manager.pending == []
        assert manager.all_were_attempted
        await manager.wait_discovered("a")


@in_virtual_time
async def test_the_errors_and_the_pending_entries_are_those_of_each_discovery() -> None:
    slow, later = Task(1000.0, name="c"), Task(1000.0, name="d")
    async with discovering(Task(REFUSED, name="a"), Task(name="b"), slow, later=later) as manager:
        assert (manager.errors, manager.pending) == ({}, ["a", "b", "c"])
        assert not manager.all_were_attempted
        await lasts(0.1)
        assert (manager.errors, manager.pending) == ({"a": REFUSED}, ["c"])
        assert not manager.all_were_attempted
        manager.remove("c")
        manager.remove("c")
        await slow.wait_attempted()
        assert slow.error is None
        assert manager.all_were_attempted
        manager.start(later.entry)
        assert manager.pending == ["d"]
        assert manager.all_were_attempted


@in_virtual_time
async def test_the_wait_for_all_discoveries_ends_with_the_last_or_after_some_seconds() -> None:
    async with discovering(Task(1.0, "x", name="a"), Task(3.0, "x", name="b")) as manager:
        assert await manager.wait_all(2.0) is False
        assert anyio.current_time() == 2.0
        assert await manager.wait_all(2.0) is True
        assert anyio.current_time() == START + 3.0


@in_virtual_time
async def test_the_wait_for_one_discovery_ends_with_its_error() -> None:
    async with discovering(Task(1.0, REFUSED, name="a"), Task(name="b")) as manager:
        await manager.wait_discovered("other")
        await manager.wait_discovered("b")
        with pytest.raises(ConnectError):
            await manager.wait_discovered("a")
        assert anyio.current_time() == START + 1.0


@in_virtual_time
async def test_a_tool_is_looked_for_at_the_endpoints_that_may_have_it() -> None:
    a, b = Task(rejected(401), rejected(401), name="a"), Task(rejected(401), rejected(401), "manual", name="b")
    async with discovering(a, b) as manager:
        await lasts(1)
        with pytest.raises(HandshakeRejected):
            await manager.find_tool("a.tool", lambda: None)
        assert (len(a.attempts), len(b.attempts)) == (2, 1)
        await manager.find_tool("b.tool", lambda: True)  # another task has brought it meanwhile
        await manager.find_tool("b.tool", lambda: None)
        assert (len(a.attempts), len(b.attempts)) == (2, 3)
        await manager.find_tool("c.tool", lambda: None)


@in_virtual_time
async def test_a_connection_that_is_lost_and_the_end_concern_the_discoveries_of_that_name_and_all() -> None:
    a, b = Task(name="a"), Task(name="b")
    async with discovering(a, b) as manager:
        await lasts(5)
        manager.connection_lost("a")
        manager.connection_lost("other")
        await lasts(10)
        assert (len(a.attempts), len(b.attempts)) == (2, 1)
        manager.stop()
        assert {name: "shutting down" in str(error) for name, error in manager.errors.items()} == {"a": True, "b": True}


# A list of tools that waits for the fast endpoints


@pytest.mark.parametrize(
    ("seconds", "arrival", "ended"),
    [(2.0, None, 2.0), (2.0, 0.3, 0.6), (2.0, 0.001, 0.021), (0.4, 0.3, 0.4), (2.0, 0.02, 0.04)],
)
@in_virtual_time
async def test_a_list_waits_twice_as_long_as_the_first_manual_took(
    seconds: float, arrival: float | None, ended: float
) -> None:
    async with (
        discovering(Task(1000.0, name="a"), Task(1000.0, name="b")) as manager,
        anyio.create_task_group() as tasks,
    ):

        async def arrive(at: float) -> None:
            await anyio.sleep(at)
            manager.on_manual()

        if arrival is not None:
            tasks.start_soon(arrive, arrival)
        await manager.wait_for_fast(seconds)
        assert anyio.current_time() == pytest.approx(ended)
        assert manager._deadline_scopes == []


@in_virtual_time
async def test_a_list_waits_no_longer_than_until_all_tools_are_offered() -> None:
    async with discovering(Task(1.0, "x", name="a"), Task(0.5, "x", name="b")) as manager:
        await manager.wait_for_fast(5.0)
        assert anyio.current_time() == START + 1.0


@in_virtual_time
async def test_a_later_list_does_not_wait_for_endpoints_that_were_slower() -> None:
    async with discovering(Task(1000.0, name="a")) as manager:
        await anyio.sleep(0.3)
        manager.on_manual()
        await anyio.sleep(10)
        began = anyio.current_time()
        await manager.wait_for_fast(5.0)
        assert anyio.current_time() == began


@in_virtual_time
async def test_the_time_of_the_import_of_the_client_does_not_count() -> None:
    async with discovering(Task(1000.0, name="a")) as manager, anyio.create_task_group() as tasks:
        await anyio.sleep(3)
        manager.on_client_imported()

        async def arrive() -> None:
            await anyio.sleep(0.5)
            manager.on_manual()

        tasks.start_soon(arrive)
        await manager.wait_for_fast(9.0)
        assert anyio.current_time() == pytest.approx(4.0)
