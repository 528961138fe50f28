"""Progress of a call: its items, and keepalives when there are none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from tests.peer import PATIENCE
from utcp_ws_mcp.server import progress as module
from utcp_ws_mcp.server.progress import (
    FIRST_KEEPALIVE,
    KEEPALIVE_INTERVAL,
    MAX_PROGRESS_LENGTH,
    Progress,
    send_keepalive_progress,
)


class Reports:
    """A progress whose clock a test moves, and what it has reported."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        self.now = 100.0
        self.sent: list[tuple[float, str]] = []
        loop = SimpleNamespace(time=lambda: self.now)
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(get_running_loop=lambda: loop))
        self.progress = Progress(self._report, **options)

    async def _report(self, number: float, message: str) -> None:
        self.sent.append((number, message))

    async def keepalive_at(self, seconds: float) -> int:
        """Return how many reports there are after a keepalive at a time."""
        self.now = 100.0 + seconds
        await self.progress.keepalive()
        return len(self.sent)


@pytest.mark.parametrize(
    ("item", "text"),
    [("plain", "plain"), (b"\x00\x01", "2 bytes"), ({"a": 1}, '{"a":1}'), ([1, None], "[1,null]"), (5, "5")],
)
@pytest.mark.parametrize("is_parsed", [True, False])
async def test_an_item_is_reported_as_text(
    monkeypatch: pytest.MonkeyPatch, item: Any, text: str, is_parsed: bool
) -> None:
    reports = Reports(monkeypatch, is_parsed=is_parsed)
    await reports.progress.report_item(item)
    assert [(number, message.replace(" ", "")) for number, message in reports.sent] == [(1.0, text.replace(" ", ""))]


async def test_the_number_of_a_report_grows_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = Reports(monkeypatch)
    for item in "abc":
        await reports.progress.report_item(item)
    await reports.keepalive_at(1000)
    assert reports.sent == [(1.0, "a"), (2.0, "b"), (3.0, "c"), (4.0, "waiting for the endpoint")]
    assert all(isinstance(number, float) for number, _ in reports.sent)


@pytest.mark.parametrize("length", [MAX_PROGRESS_LENGTH, MAX_PROGRESS_LENGTH + 1])
async def test_a_report_has_a_greatest_length(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    reports = Reports(monkeypatch)
    await reports.progress.report_item("x" * length)
    assert reports.sent == [(1.0, "x" * MAX_PROGRESS_LENGTH)]


async def test_a_report_has_no_credential_not_even_half_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = Reports(monkeypatch, redact=lambda text: text.replace("s3cret", "***"))
    await reports.progress.report_item("." * (MAX_PROGRESS_LENGTH - 3) + "s3cret")
    assert reports.sent == [(1.0, "." * (MAX_PROGRESS_LENGTH - 3) + "***")]


async def test_a_report_can_be_written_as_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = Reports(monkeypatch)
    await reports.progress.report_item("a\ud800")
    assert reports.sent == [(1.0, "a\ufffd")]


async def test_keepalives_come_when_nothing_else_was_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = Reports(monkeypatch)
    assert await reports.keepalive_at(FIRST_KEEPALIVE - 0.1) == 0
    assert await reports.keepalive_at(FIRST_KEEPALIVE) == 1
    assert await reports.keepalive_at(FIRST_KEEPALIVE + KEEPALIVE_INTERVAL - 0.1) == 1
    assert await reports.keepalive_at(FIRST_KEEPALIVE + KEEPALIVE_INTERVAL) == 2
    await reports.progress.report_item("x")
    assert await reports.keepalive_at(FIRST_KEEPALIVE + 2 * KEEPALIVE_INTERVAL - 0.1) == 3
    assert await reports.keepalive_at(FIRST_KEEPALIVE + 2 * KEEPALIVE_INTERVAL) == 4


async def test_every_running_call_gets_keepalives_until_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    turn = anyio.Event()

    async def sleep(seconds: float) -> None:
        nonlocal turn
        waits.append(seconds)
        await turn.wait()
        turn = anyio.Event()

    monkeypatch.setattr(module, "anyio", SimpleNamespace(sleep=sleep))
    first, second = Reports(monkeypatch), Reports(monkeypatch)
    running = {first.progress, second.progress}
    first.now = second.now = 1000.0
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_keepalive_progress, running)
            await anyio.wait_all_tasks_blocked()
            assert (first.sent, second.sent) == ([], [])
            turn.set()
            await anyio.wait_all_tasks_blocked()
            running.discard(second.progress)
            first.now = second.now = 2000.0
            turn.set()
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert (len(first.sent), len(second.sent)) == (2, 1)
    assert waits == [FIRST_KEEPALIVE] * 3
