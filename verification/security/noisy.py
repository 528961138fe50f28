"""Run the bridge with code in its process that writes to stdout: `python -m verification.security.noisy manifest.json`.

At each event of the bridge one of them writes the word NOISE: Python code, C code, a warning, a child process, a logger
with a handler for stdout.
"""

from __future__ import annotations

import ctypes
import itertools
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Final

from utcp_ws_mcp.cli.main import main
from utcp_ws_mcp.observability import events
from utcp_ws_mcp.server import run as serve

NOISE: Final = "NOISE"
CHILD_PROCESS_EVERY: Final = 50
"""Events between two child processes, which are slower than the other ways."""

_libc = ctypes.CDLL(None)
_logger = logging.getLogger("noisy")


def _by_c() -> None:
    _libc.puts(NOISE.encode())
    _libc.fflush(None)


def _by_logger() -> None:
    if not _logger.handlers:
        _logger.addHandler(logging.StreamHandler(sys.stdout))
    _logger.warning(NOISE)


def _by_warning() -> None:
    warnings.simplefilter("always")
    warnings.warn(NOISE, stacklevel=2)


WAYS: Final[tuple[Callable[[], object], ...]] = (
    lambda: print(NOISE, end="", flush=True),
    lambda: os.write(1, NOISE.encode()),
    lambda: sys.stdout.buffer.write(b'{"jsonrpc": "2.0", "method": "NOISE"}\n') and sys.stdout.flush(),
    lambda: sys.__stdout__ and print(NOISE, file=sys.__stdout__, flush=True),
    _by_c,
    _by_logger,
    _by_warning,
)
_turns = itertools.cycle(WAYS)
_count = itertools.count()


def observe(event: events.Event) -> None:
    """Write NOISE, each time in the next way."""
    next(_turns)()
    if next(_count) % CHILD_PROCESS_EVERY == 0:
        subprocess.run(["sh", "-c", f"echo {NOISE}"], check=True)


if __name__ == "__main__":
    serve.log_observer = lambda redact: observe  # type: ignore[attr-defined]  # in place of what it imports
    main(prog_name="noisy")
