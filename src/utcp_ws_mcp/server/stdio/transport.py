"""MCP over stdin and stdout, and the end of the process.

File descriptor 1 belongs to the protocol; other output goes to stderr. A signal ends the session like the end of stdin.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from ..tools import ToolService
from .session import StdioSession


async def serve_tools(tools: ToolService, *, fast_path: bool = True) -> OSError | None:
    """Serve until the host closes stdin or sends a signal; a second signal ends the process at once.

    Returns:
        Why answers could not be written, such as a full disk; None if they could, or the host has closed stdout.
    """
    session = StdioSession(tools, *claim_descriptors(), fast_path=fast_path)
    handle_signals(session.stop)
    return await session.run()


def claim_descriptors() -> tuple[int, int]:
    """Reserve the file descriptors 0 and 1 for the protocol; return their duplicates.

    Other code that reads stdin gets the end of the file, and what it prints goes to stderr: a line of a library on
    stdout would break the session.
    """
    stdin, stdout = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return stdin, stdout


def handle_signals(stop: Callable[[], None]) -> None:
    """Call a function at the first SIGINT or SIGTERM; the second one ends the process at once."""
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
