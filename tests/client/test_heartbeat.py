"""When heartbeats are sent, and when a connection without their answers is ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio

from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp.client.heartbeat import HeartbeatTask
from utcp_ws_mcp.core.templates.nodes import RenderError


class Beating:
    """The heartbeats of a connection that stays open until it is aborted."""

    def __init__(self, every: float | None = 10.0, *, expects: bool = True, timeout: float = 3.0, **rules: Any) -> None:
        self.sent: list[tuple[float, Any, str]] = []
        self.failed: list[tuple[str, str]] = []
        self.aborted: list[float] = []
        self.pending: list[bool] = []
        self.broken: RenderError | None = None
        self.count = 0
        send = SimpleNamespace(render=self.render)
        beat = SimpleNamespace(
            every=SimpleNamespace(source="session.every"), send=send, expect="x" if expects else None, timeout=timeout
        )
        self.state: Any = SimpleNamespace(
            rules=SimpleNamespace(**{"heartbeat": beat, **rules}),
            heartbeat_interval=lambda: every,
            heartbeat_id=None,
            heartbeat_pending=False,
            scope=lambda **values: SimpleNamespace(with_frozen_time=lambda: values),
            on_send_failed=lambda purpose, reason: self.failed.append((purpose, reason)),
        )
        self.is_behind = False
        self.task = HeartbeatTask(
            self.state, lambda: not self.aborted, self.values, self.send, self.abort, lambda: self.is_behind
        )

    def values(self) -> dict[str, Any]:
        self.count += 1
        return {"request_id": self.count, "counter": 100 + self.count}

    def render(self, scope: Any) -> Any:
        if self.broken is not None:
            raise self.broken
        return scope

    def send(self, value: Any, purpose: str) -> None:
        self.sent.append((anyio.current_time(), value, purpose))
        self.pending.append(self.state.heartbeat_pending)

    def abort(self) -> None:
        self.aborted.append(anyio.current_time())


@asynccontextmanager
async def beating(**fields: Any) -> AsyncIterator[Beating]:
    async with anyio.create_task_group() as tasks:
        beats = Beating(**fields)
        tasks.start_soon(beats.task.run)
        yield beats
        tasks.cancel_scope.cancel()


@in_virtual_time
async def test_heartbeats_without_an_answer_to_expect_are_sent_in_their_interval() -> None:
    async with beating(expects=False) as beats:
        await anyio.sleep(35)
        assert beats.sent == [
            (10.0 * number, {"request_id": number, "counter": 100 + number}, "heartbeat") for number in (1, 2, 3)
        ]
        assert (beats.pending, beats.state.heartbeat_id, beats.aborted) == ([False] * 3, 3, [])


@in_virtual_time
async def test_the_interval_begins_again_with_the_answer() -> None:
    async with beating() as beats:
        await anyio.sleep(12)
        assert beats.state.heartbeat_pending is True
        beats.task.acknowledge()
        assert beats.state.heartbeat_pending is False
        await anyio.sleep(11)
        assert [at for at, *_ in beats.sent] == [10.0, 22.0]
        assert (beats.aborted, beats.task.timed_out) == ([], False)


@in_virtual_time
async def test_a_heartbeat_without_an_answer_ends_the_connection_after_its_timeout() -> None:
    async with beating() as beats:
        assert beats.task.timed_out is False
        await anyio.sleep(12.9)
        assert beats.aborted == []
        await anyio.sleep(0.2)
        assert (beats.aborted, beats.task.timed_out) == ([13.0], True)
        await anyio.sleep(100)
        assert (len(beats.sent), beats.aborted) == (1, [13.0])


@in_virtual_time
async def test_a_heartbeat_whose_answer_may_wait_to_be_processed_has_more_time() -> None:
    async with beating() as beats:
        beats.is_behind = True
        await anyio.sleep(15)
        assert beats.aborted == []
        beats.task.acknowledge()
        await anyio.sleep(9)
        assert [at for at, *_ in beats.sent] == [10.0]
        beats.is_behind = False
        await anyio.sleep(100)
        assert beats.aborted == [28.0]


@in_virtual_time
async def test_an_answer_to_an_earlier_heartbeat_does_not_count_for_the_next() -> None:
    async with beating() as beats:
        await anyio.sleep(11)
        beats.task.acknowledge()
        await anyio.sleep(1)
        beats.task.acknowledge()  # a second answer, before the next heartbeat
        await anyio.sleep(20)
        assert beats.aborted == [24.0]


@in_virtual_time
async def test_a_heartbeat_that_cannot_be_rendered_is_reported_and_the_next_is_tried() -> None:
    async with beating() as beats:
        beats.broken = RenderError("no token", code="value-missing")
        await anyio.sleep(15)
        assert (beats.sent, beats.aborted, beats.state.heartbeat_pending) == ([], [], False)
        assert beats.failed == [("heartbeat", str(beats.broken))]
        beats.broken = None
        await anyio.sleep(6)
        assert len(beats.sent) == 1


@in_virtual_time
async def test_an_interval_that_is_no_number_is_reported_once() -> None:
    async with beating(every=None) as beats:
        await anyio.sleep(100)
        assert beats.failed == [("heartbeat", "heartbeat.every: session.every is not a number above zero.")]
        assert beats.sent == []


@in_virtual_time
async def test_without_a_heartbeat_nothing_happens() -> None:
    async with beating(heartbeat=None) as beats:
        await anyio.sleep(100)
        assert (beats.failed, beats.sent) == ([], [])
