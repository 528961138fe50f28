"""How long a connection waits for the pong that separates two calls without IDs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp.client.barrier import Barrier


class Line:
    """A WebSocket whose peer answers a ping after so many seconds; None: never."""

    def __init__(self, answers_after: float | None, interval: float | None = 20.0) -> None:
        self.is_open = True
        self.ping_interval = interval
        self.pings = 0
        self.has_rest = False
        self._answers_after = answers_after

    async def ping(self) -> bool:
        self.pings += 1
        await (anyio.sleep_forever() if self._answers_after is None else anyio.sleep(self._answers_after))
        return True


async def synced(line: Line, *, opened: int = 1) -> tuple[bool, float]:
    """Whether the connection is available, and after how many seconds that is known."""
    websocket: Any = line
    dispatcher: Any = SimpleNamespace(
        availability=SimpleNamespace(reusable=True),
        opened=opened,
        unsolicited=SimpleNamespace(greeting_is_over=False),
    )
    started = anyio.current_time()
    available = await Barrier(websocket, dispatcher, lambda reason: None).wait()
    return available, round(anyio.current_time() - started, 6)


@pytest.mark.parametrize("seconds", [0.0, 0.49])
@in_virtual_time
async def test_a_connection_is_available_with_the_pong_within_half_a_second(seconds: float) -> None:
    assert await synced(Line(seconds)) == (True, seconds)


@pytest.mark.parametrize("seconds", [0.51, None])
@in_virtual_time
async def test_a_connection_whose_pong_takes_more_than_half_a_second_is_not_available(seconds: float | None) -> None:
    assert await synced(Line(seconds)) == (False, 0.5)


@in_virtual_time
async def test_a_connection_that_served_no_call_is_available_without_a_pong() -> None:
    assert await synced(Line(None), opened=0) == (True, 0.5)


@in_virtual_time
async def test_without_pings_a_moment_of_silence_makes_a_connection_available() -> None:
    line = Line(None, interval=None)
    assert await synced(line) == (True, 0.05)
    assert line.pings == 0


@in_virtual_time
async def test_there_is_no_silence_while_what_has_arrived_is_not_processed() -> None:
    line = Line(None, interval=None)
    line.has_rest = True
    async with anyio.create_task_group() as tasks:

        async def process() -> None:
            await anyio.sleep(0.12)
            line.has_rest = False

        tasks.start_soon(process)
        assert await synced(line) == (True, 0.15)


@in_virtual_time
async def test_a_connection_that_ends_while_it_waits_is_not_available() -> None:
    line = Line(0.1)
    async with anyio.create_task_group() as tasks:

        async def end() -> None:
            await anyio.sleep(0.05)
            line.is_open = False

        tasks.start_soon(end)
        assert await synced(line) == (False, 0.1)
