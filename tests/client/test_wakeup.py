"""Waiting for one notification until a deadline."""

import asyncio
import gc
from unittest.mock import patch
from weakref import ref

import anyio

from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp.client.wakeup import Wakeup


async def test_a_notification_wakes_the_task() -> None:
    wakeup, results = Wakeup(), []

    async def wait() -> None:
        results.append(await wakeup.wait(anyio.current_time() + 10))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        wakeup.set()
        wakeup.set()
    assert results == [True]


async def test_a_notification_that_came_before_counts_once() -> None:
    wakeup = Wakeup()
    wakeup.set()
    assert await wakeup.wait(anyio.current_time())
    assert not await wakeup.wait(anyio.current_time())


async def test_a_cancelled_wait_can_be_repeated() -> None:
    wakeup = Wakeup()
    with anyio.move_on_after(0):
        await wakeup.wait(anyio.current_time() + 10)
    wakeup.set()
    assert await wakeup.wait(anyio.current_time())


class Waiters:
    """Tasks that wait, and their results in the order in which they end."""

    def __init__(self) -> None:
        self.results: list[tuple[str, bool]] = []
        self.wakeups: dict[str, Wakeup] = {}

    async def wait(self, name: str, seconds: float) -> None:
        self.wakeups[name] = Wakeup()
        self.results.append((name, await self.wakeups[name].wait(anyio.current_time() + seconds)))


async def test_each_wait_ends_at_its_own_deadline() -> None:
    waiters = Waiters()
    async with anyio.create_task_group() as tasks:
        for name, seconds in (("second", 0.03), ("never", 60.0), ("first", 0.0), ("third", 0.06)):
            tasks.start_soon(waiters.wait, name, seconds)
        while len(waiters.results) < 3:
            await anyio.sleep(0)
        waiters.wakeups["never"].set()

    assert waiters.results == [("first", False), ("second", False), ("third", False), ("never", True)]


async def test_waits_that_are_woken_share_one_timer() -> None:
    loop, waiters = asyncio.get_running_loop(), Waiters()
    with patch.object(loop, "call_at", wraps=loop.call_at) as call_at:
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(waiters.wait, str(number), 60 + number)
            await anyio.wait_all_tasks_blocked()
            for wakeup in waiters.wakeups.values():
                wakeup.set()

    assert call_at.call_count <= 1
    assert [was_set for _, was_set in waiters.results] == [True] * 10


def test_an_event_loop_that_has_ended_is_not_kept() -> None:
    async def wait_once() -> ref[asyncio.AbstractEventLoop]:
        wakeup, loop = Wakeup(), asyncio.get_running_loop()
        loop.call_soon(wakeup.set)
        assert await wakeup.wait(anyio.current_time() + 60)
        return ref(loop)

    loop = asyncio.run(wait_once())
    gc.collect()
    assert loop() is None


@in_virtual_time
async def test_waits_that_follow_each_other_end_at_their_deadlines() -> None:
    wakeup, ended = Wakeup(), []
    for deadline in (1.0, 2.0, 2.5, 2.5, 0.0):
        assert not await wakeup.wait(deadline)
        ended.append(anyio.current_time())
    assert ended == [1.0, 2.0, 2.5, 2.5, 2.5]


@in_virtual_time
async def test_a_wait_with_an_earlier_deadline_ends_before_those_that_began_earlier() -> None:
    waiters = Waiters()
    async with anyio.create_task_group() as tasks:
        for name, seconds in (("late", 9.0), ("early", 1.0), ("between", 5.0)):
            tasks.start_soon(waiters.wait, name, seconds)
    assert waiters.results == [("early", False), ("between", False), ("late", False)]
    assert anyio.current_time() == 9.0


@in_virtual_time
async def test_a_deadline_just_behind_another_one_is_noticed_a_hundredth_of_a_second_later() -> None:
    wakeups, ended = [Wakeup(), Wakeup(), Wakeup()], []

    async def wait(wakeup: Wakeup, deadline: float) -> None:
        await wakeup.wait(deadline)
        ended.append(round(anyio.current_time(), 6))

    async with anyio.create_task_group() as tasks:
        for wakeup, deadline in zip(wakeups, (1.0, 1.001, 1.02), strict=True):
            tasks.start_soon(wait, wakeup, deadline)
    assert ended == [1.0, 1.01, 1.02]
