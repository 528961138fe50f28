"""Lines that a slow host reads late."""

from __future__ import annotations

import os
import threading

import anyio

from tests.peer import PATIENCE
from utcp_ws_mcp.server.stdio.writer import Writer

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
