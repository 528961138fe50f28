"""MCP over stdin and stdout, and the life of the process.

It takes the place of the SDK's transport: a message that cannot be encoded fails alone, nothing hangs on a signal or
on a host that has gone, and a message costs no thread hop on its way out. fd 1 belongs to the protocol; whatever
else prints goes to stderr.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from .reader import Reader
from .requests import Requests
from .writer import Writer


@asynccontextmanager
async def stdio_streams() -> AsyncIterator[tuple[Reader, Writer]]:
    """The two streams of the session with the host. A signal ends the session like EOF; a second one the process."""
    stdin, stdout = claim_descriptors()
    requests = Requests()
    writer = Writer(stdout, requests)
    reader = Reader(stdin, requests, writer.put)
    writer.broken = reader.stop
    _handle_signals(reader.stop)
    yield reader, writer


def claim_descriptors() -> tuple[int, int]:
    """Take fd 0 and 1 for the protocol: whatever else reads finds nothing, whatever else prints goes to stderr."""
    stdin, stdout = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return stdin, stdout


def _handle_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    received = 0

    def handle() -> None:
        nonlocal received
        received += 1
        if received > 1:
            os._exit(0)
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, handle)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(handle))
