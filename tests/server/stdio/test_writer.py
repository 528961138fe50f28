"""Lines to the host: order, how many system calls they take, and what a slow host reads late."""

from __future__ import annotations

import os
import threading

import anyio
import pytest

from tests.peer import PATIENCE
from utcp_ws_mcp.server.stdio import writer as module
from utcp_ws_mcp.server.stdio.writer import THREAD_WRITE_SIZE, Writer

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
