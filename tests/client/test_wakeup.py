"""Waiting for one notification until a deadline."""

import anyio

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
