"""Lines to the host: order, how many system calls they take, and what a slow host reads late."""

from __future__ import annotations

import errno
import os
import select
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from tests.peer import PATIENCE
from utcp_ws_mcp.server.stdio import writer as module
from utcp_ws_mcp.server.stdio.writer import MAX_BACKLOG, PIPE_BUF, THREAD_WRITE_SIZE, Writer

LINE = b"x" * (1 << 20) + b"\n"
"""More than a pipe holds."""


class SlowHost:
    """The other end of the pipe, which reads when the test says so."""

    def __init__(self) -> None:
        self.received = b""
        self.reading, self.writing = os.pipe()

    def read(self) -> None:
        while len(self.received) < len(LINE):
            self.received += os.read(self.reading, 1 << 16)


async def test_the_end_of_a_cancelled_session_waits_until_the_host_has_what_was_written() -> None:
    host = SlowHost()
    writer = Writer(host.writing)
    writer.write(LINE)
    reader = threading.Thread(target=host.read)
    with anyio.CancelScope() as session:
        session.cancel()
        reader.start()
        await writer.aclose()
    assert not session.cancelled_caught
    reader.join(PATIENCE)
    assert host.received == LINE
    os.close(host.reading)


async def test_nothing_is_written_after_the_end() -> None:
    host = SlowHost()
    writer = Writer(host.writing)
    writer.write(b"a\n")
    await writer.aclose()
    writer.write(b"b\n")
    await writer.aclose()
    os.close(host.writing)
    assert os.read(host.reading, 100) == b"a\n"
    assert os.read(host.reading, 100) == b""
    os.close(host.reading)


class Host:
    """Reads a pipe to its end in a thread, and notes the size of each write to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reading, self.writing = os.pipe()
        self.received = bytearray()
        self.sizes: list[int] = []
        write = os.write

        def noted(fd: int, data: bytes) -> int:
            self.sizes.append(len(data))
            return write(fd, data)

        monkeypatch.setattr(module.os, "write", noted)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while data := os.read(self.reading, 1 << 16):
            self.received += data

    def end(self) -> None:
        """Close the pipe, and wait until everything was read."""
        os.close(self.writing)
        self._thread.join()
        os.close(self.reading)


async def test_many_small_lines_of_one_turn_take_few_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch)
    writer = Writer(host.writing)
    lines = [b"%099d\n" % number for number in range(5000)]
    for line in lines:
        writer.write(line)

    await writer.aclose()
    host.end()

    assert bytes(host.received) == b"".join(lines)
    assert len(host.sizes) < len(lines) / 10


async def test_a_large_part_keeps_its_place_between_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch)
    writer = Writer(host.writing)
    large = b"x" * THREAD_WRITE_SIZE
    parts = [b"first\n", b"second ", large, b" third\n", b"y" * (THREAD_WRITE_SIZE - 1), b"\n", b"last\n"]
    for part in parts:
        writer.write(part)

    await writer.aclose()
    host.end()

    assert bytes(host.received) == b"".join(parts)
    assert THREAD_WRITE_SIZE in host.sizes


class StuckHost:
    """A host that reads nothing until it is asked to: its pipe is full."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        self.filled = 0
        with suppress(BlockingIOError):
            while True:
                self.filled += os.write(self.writing, b"." * 4096)
        os.set_blocking(self.writing, True)

    def read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            data += os.read(self.reading, size - len(data))
        return bytes(data)

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.writing)


async def is_waiting(work: Callable[[], Awaitable[None]], then: Callable[[], Awaitable[None]]) -> bool:
    """Return whether something waits until something else has happened."""
    ended: list[str] = []

    async def wait() -> None:
        await work()
        ended.append("work")

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            waited = not ended
            await then()
    return waited


@pytest.mark.parametrize(("size", "waits"), [(MAX_BACKLOG, False), (MAX_BACKLOG + 1, True)])
async def test_drain_waits_while_more_than_the_bound_is_queued_for_the_host(size: int, waits: bool) -> None:
    host = StuckHost()
    writer = Writer(host.writing)
    writer.write(b"x" * size)

    async def read() -> None:
        await anyio.to_thread.run_sync(host.read, host.filled + size)

    assert await is_waiting(writer.drain, read) is waits
    assert not await is_waiting(writer.drain, anyio.lowlevel.checkpoint)
    await writer.aclose()
    host.close()


async def test_drain_waits_until_half_of_the_bound_is_written() -> None:
    host = StuckHost()
    writer = Writer(host.writing)
    half = MAX_BACKLOG // 2
    for size in (1, half, half):
        writer.write(b"x" * size)
        await anyio.lowlevel.checkpoint()

    drained: list[str] = []

    async def wait() -> None:
        await writer.drain()
        drained.append("drained")

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.to_thread.run_sync(host.read, host.filled + 1)
            await anyio.wait_all_tasks_blocked()
            assert drained == []
            await anyio.to_thread.run_sync(host.read, half)
    await anyio.to_thread.run_sync(host.read, half)
    await writer.aclose()
    host.close()


async def test_the_host_gets_the_lines_in_order_after_it_was_stuck() -> None:
    host = StuckHost()
    writer = Writer(host.writing)
    lines = [b"%d\n" % number for number in range(100)]
    for line in lines:
        writer.write(line)
        await anyio.lowlevel.checkpoint()
    expected = b"".join(lines)
    assert (await anyio.to_thread.run_sync(host.read, host.filled + len(expected)))[host.filled :] == expected
    await writer.aclose()
    host.close()


async def test_the_end_does_not_wait_longer_than_its_bound_for_a_host_that_is_stuck(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FLUSH_TIMEOUT", 0)
    host = StuckHost()
    writer = Writer(host.writing)
    writer.write(b"lost")
    with anyio.fail_after(PATIENCE):
        await writer.aclose()
    os.close(host.reading)
    os.close(host.writing)


@pytest.mark.parametrize("line", [b"small\n", LINE], ids=["by the loop", "by the thread"])
async def test_a_host_that_has_closed_its_end_ends_the_session_once_and_frees_who_waits(line: bytes) -> None:
    host = SlowHost()
    os.close(host.reading)
    broken = anyio.Event()
    calls: list[str] = []
    writer = Writer(host.writing)

    def note() -> None:
        calls.append("broken")
        broken.set()

    writer.on_broken_pipe = note
    writer.write(line)
    with anyio.fail_after(PATIENCE):
        await broken.wait()
        writer.write(line)
        await writer.drain()
        await writer.aclose()
    assert calls == ["broken"]
    assert writer.failure is None
    os.close(host.writing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("line", [b"small\n", LINE], ids=["by the loop", "by the thread"])
async def test_a_device_that_is_full_ends_the_session_and_is_named(line: bytes) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    broken = anyio.Event()
    writer = Writer(full)
    writer.on_broken_pipe = broken.set
    writer.write(line)
    with anyio.fail_after(PATIENCE):
        await broken.wait()
        await writer.aclose()
    assert writer.failure is not None
    assert writer.failure.errno == errno.ENOSPC
    os.close(full)


async def test_who_waits_for_a_stuck_host_goes_on_when_that_has_gone() -> None:
    host = StuckHost()
    writer = Writer(host.writing)
    writer.write(b"x" * (MAX_BACKLOG + 1))

    async def leave() -> None:
        os.close(host.reading)

    assert await is_waiting(writer.drain, leave)
    await writer.aclose()
    os.close(host.writing)


async def test_the_end_does_not_wait_for_a_host_that_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_TIMEOUT", 1e9)
    host = StuckHost()
    writer = Writer(host.writing)
    writer.write(b"lost")

    async def leave() -> None:
        os.close(host.reading)

    assert await is_waiting(writer.aclose, leave)
    os.close(host.writing)


async def test_a_stuck_host_does_not_keep_the_process_alive() -> None:
    host = StuckHost()
    before = set(threading.enumerate())  # the thread of an earlier test may be about to end
    writer = Writer(host.writing)
    writer.write(b"lost")
    (thread,) = set(threading.enumerate()) - before
    assert thread.name == "stdout"
    assert thread.daemon
    os.close(host.reading)
    thread.join(PATIENCE)
    os.close(host.writing)


async def test_a_line_without_followers_is_written_at_once_and_the_next_one_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = Host(monkeypatch)
    writer = Writer(host.writing)
    for line in (b"first\n", b"second\n"):
        writer.write(line, more=False)
    assert host.sizes == [6, 7]
    for line in (b"a\n", b"b\n", b"c\n"):
        writer.write(line)
    assert host.sizes[2:] == [2]
    await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()
    assert host.sizes[2:] == [2, 4]
    writer.write(b"d\n")
    assert host.sizes[4:] == [2]
    await writer.aclose()
    host.end()


async def test_the_loop_writes_at_most_what_a_pipe_takes_without_blocking(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch)
    writer = Writer(host.writing)
    writer.write(b"x" * (THREAD_WRITE_SIZE - 1))
    assert set(host.sizes) == {PIPE_BUF, PIPE_BUF - 1}
    await writer.aclose()
    host.end()
    assert len(host.received) == THREAD_WRITE_SIZE - 1


async def test_without_a_test_whether_a_pipe_is_ready_a_thread_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "platform", "win32")
    host = Host(monkeypatch)
    writer = Writer(host.writing)
    writer.write(b"a\n")
    await writer.aclose()
    host.end()
    assert bytes(host.received) == b"a\n"


@pytest.mark.parametrize(
    ("sizes", "pieces"),
    [
        ([10, 20], [30]),
        ([THREAD_WRITE_SIZE - 1, 1], [THREAD_WRITE_SIZE - 1, 1]),
        ([THREAD_WRITE_SIZE - 2, 1], [THREAD_WRITE_SIZE - 1]),
        ([1, THREAD_WRITE_SIZE, 2, 3], [1, THREAD_WRITE_SIZE, 5]),
        ([THREAD_WRITE_SIZE - 2, 2, 3], [THREAD_WRITE_SIZE - 2, 5]),
    ],
)
async def test_parts_are_joined_up_to_the_size_that_a_thread_writes(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], pieces: list[int]
) -> None:
    host = Host(monkeypatch)
    monkeypatch.setattr(module.sys, "platform", "win32")
    writer = Writer(host.writing)
    writer.write(*(b"x" * size for size in sizes))
    await writer.aclose()
    host.end()
    assert host.sizes == pieces


def test_a_pipe_takes_what_posix_guarantees() -> None:
    assert PIPE_BUF == select.PIPE_BUF
