"""What runs without a task, and when it becomes one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import anyio

from tests.client.virtual_time import in_virtual_time
from tests.peer import PATIENCE
from utcp_ws_mcp.client.eager import EagerTask, ensure_task
from utcp_ws_mcp.client.wakeup import Wakeup, loop_state

FOREVER = 1e9


class Run:
    """An eager task that was started in a callback of the event loop, as those of messages are."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.task = EagerTask(self.loop)
        self.wakeup = Wakeup()
        self.notes: list[Any] = []

    async def start(self, work: Callable[[Run], Coroutine[Any, Any, None]]) -> None:
        """Start it, and return after the turn of the event loop in which it was started."""
        await self.in_callback(lambda: self.task.start(work(self)))

    async def in_callback(self, function: Callable[[], Any]) -> None:
        """Call a function in a callback."""
        called = asyncio.Event()
        self.loop.call_soon(lambda: (function(), self.note("returned"), called.set()))
        with anyio.fail_after(PATIENCE):
            await called.wait()

    def note(self, what: Any) -> None:
        self.notes.append(what)

    async def noted(self, what: Any) -> None:
        """Wait until something was noted."""
        with anyio.fail_after(PATIENCE):
            while what not in self.notes:
                await asyncio.sleep(0)


async def wait_for_wakeup(run: Run) -> None:
    run.note("began")
    run.note(await run.wakeup.wait(run.loop.time() + FOREVER))


async def test_it_runs_at_once_and_continues_where_it_is_released() -> None:
    run = Run()
    await run.start(wait_for_wakeup)
    assert run.notes == ["began", "returned"]

    def wake() -> None:
        resumptions = loop_state(run.loop).resumptions
        resumptions.hold()
        run.wakeup.set()
        run.note("set")
        resumptions.release()

    await run.in_callback(wake)
    assert run.notes[2:] == ["set", True, "returned"]
    assert run.task.task is None


async def test_without_a_holder_it_continues_in_the_next_turn() -> None:
    run = Run()
    await run.start(wait_for_wakeup)
    await run.in_callback(run.wakeup.set)
    await run.noted(True)
    assert run.notes[2:] == ["returned", True]
    assert run.task.task is None


async def test_it_does_not_continue_in_another_task() -> None:
    run = Run()
    await run.start(wait_for_wakeup)
    resumptions = loop_state(run.loop).resumptions
    resumptions.hold()
    run.wakeup.set()
    resumptions.release()
    assert True not in run.notes
    await run.noted(True)


async def test_a_wakeup_that_is_set_before_is_not_waited_for() -> None:
    run = Run()
    run.wakeup.set()
    await run.start(wait_for_wakeup)
    assert run.notes == ["began", True, "returned"]


@in_virtual_time
async def test_a_deadline_ends_the_waiting() -> None:
    run = Run()

    async def work(run: Run) -> None:
        run.note(await run.wakeup.wait(5.0))
        run.note(run.loop.time())

    await run.start(work)
    while len(run.notes) < 3:
        await anyio.sleep(1)
    assert run.notes == ["returned", False, 5.0]


async def test_it_becomes_a_task_when_it_waits_for_something_else() -> None:
    run, answer = Run(), asyncio.get_running_loop().create_future()

    async def work(run: Run) -> None:
        run.note(asyncio.current_task())
        run.note(await answer)
        run.note(await run.wakeup.wait(run.loop.time() + FOREVER))
        run.note(asyncio.current_task())

    await run.start(work)
    answer.set_result("answer")
    await run.noted("answer")
    run.wakeup.set()
    await run.noted(True)
    assert run.notes == [None, "returned", "answer", True, run.task.task]


async def test_an_error_of_what_it_waits_for_is_raised_in_it() -> None:
    run, answer = Run(), asyncio.get_running_loop().create_future()

    async def work(run: Run) -> None:
        try:
            await answer
        except OSError as error:
            run.note(error.args)

    await run.start(work)
    answer.set_exception(OSError("gone"))
    await run.noted(("gone",))


async def test_a_scope_of_anyio_belongs_to_its_task() -> None:
    run = Run()

    async def work(run: Run) -> None:
        await ensure_task()
        with anyio.move_on_after(0.0):
            await anyio.sleep_forever()
        run.note("timeout")

    await run.start(work)
    await run.noted("timeout")


async def test_in_a_task_nothing_is_waited_for_to_have_one() -> None:
    turns: list[int] = []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    await ensure_task()
    assert turns == []


async def test_started_in_a_task_it_is_another_one() -> None:
    run = Run()
    run.task.start(wait_for_wakeup(run))
    assert run.notes == []
    await run.noted("began")
    run.wakeup.set()
    await run.noted(True)


async def test_cancelled_while_it_waits_it_can_clean_up_in_a_task() -> None:
    run = Run()

    async def work(run: Run) -> None:
        try:
            await wait_for_wakeup(run)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0)
            run.note("cleaned up")
            raise

    await run.start(work)
    run.task.cancel()
    await run.noted("cleaned up")
    assert run.task.task is not None
    await asyncio.wait([run.task.task])
    assert run.task.task.cancelled()
    run.wakeup.set()  # of what has ended


async def test_cancelled_after_it_was_woken_it_is_cancelled() -> None:
    run = Run()
    await run.start(wait_for_wakeup)

    def wake_and_cancel() -> None:
        run.wakeup.set()
        run.task.cancel()

    await run.in_callback(wake_and_cancel)
    assert run.task.task is not None
    await asyncio.wait([run.task.task])
    assert run.task.task.cancelled()
    assert True not in run.notes


async def test_cancelled_after_it_has_become_a_task_it_is_cancelled() -> None:
    run = Run()

    async def work(run: Run) -> None:
        await ensure_task()
        run.note("task")
        await anyio.sleep_forever()

    await run.start(work)
    await run.noted("task")
    run.task.cancel()
    assert run.task.task is not None
    await asyncio.wait([run.task.task])
    assert run.task.task.cancelled()


async def clean_up(run: Run) -> None:
    try:
        await wait_for_wakeup(run)
    finally:
        await anyio.sleep(0)
        run.note("cleaned up")


async def test_cancelled_twice_in_one_turn_it_cleans_up() -> None:
    run = Run()
    await run.start(clean_up)

    def cancel_twice() -> None:
        run.task.cancel()
        run.task.cancel()

    await run.in_callback(cancel_twice)
    await run.noted("cleaned up")
    assert True not in run.notes


async def test_cancelled_before_the_first_turn_of_its_task_it_cleans_up() -> None:
    run = Run()

    async def work(run: Run) -> None:
        try:
            await ensure_task()
            run.note("went on")
        finally:
            await anyio.sleep(0)
            run.note("cleaned up")

    def start_and_cancel() -> None:
        run.task.start(work(run))
        run.task.cancel()

    await run.in_callback(start_and_cancel)
    await run.noted("cleaned up")
    assert "went on" not in run.notes


async def test_cancelled_after_its_end_nothing_happens() -> None:
    run = Run()
    run.wakeup.set()
    await run.start(wait_for_wakeup)
    run.task.cancel()
    assert run.task.task is None


async def test_an_error_is_reported_to_the_event_loop() -> None:
    run, reported = Run(), []
    run.loop.set_exception_handler(lambda loop, context: reported.append(context))

    async def work(run: Run) -> None:
        raise ZeroDivisionError

    await run.start(work)
    assert [type(context["exception"]) for context in reported] == [ZeroDivisionError]
    assert run.notes == ["returned"]


async def test_it_keeps_its_own_context_when_it_becomes_a_task() -> None:
    name: ContextVar[str] = ContextVar("name", default="outer")
    run = Run()

    async def work(run: Run) -> None:
        name.set("inner")
        run.note(await run.wakeup.wait(run.loop.time() + FOREVER))
        run.note(name.get())
        await ensure_task()
        run.note((name.get(), "in a task"))

    await run.start(work)
    await run.in_callback(run.wakeup.set)
    await run.noted(("inner", "in a task"))
    assert "inner" in run.notes
    assert name.get() == "outer"
