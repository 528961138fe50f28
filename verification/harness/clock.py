"""A clock that stands still while processes wait for a processor, so that other programs change no verdict.

Linux counts for each thread how long it was ready to run but waited (`schedstat`, see proc(5)). Seconds of this clock
are those of the wall clock without that time: they are equal on a machine that nothing else uses. Elsewhere than on
Linux it is the wall clock.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from io import FileIO
from pathlib import Path


class Clock:
    """The time without the waits of the main threads of this process and of `others`.

    A process of `others` may end; what it waited until it was last read stays counted.
    """

    def __init__(self, others: Iterable[int] = ()) -> None:
        self._delays = [_Delay(pid) for pid in (os.getpid(), *others)]
        self._latest = 0.0

    def now(self) -> float:
        """Return monotonic seconds."""
        seconds = time.monotonic() - sum(delay.seconds() for delay in self._delays)
        self._latest = max(self._latest, seconds)
        return self._latest


class _Delay:
    """The seconds that the main thread of a process was ready to run and did not."""

    def __init__(self, pid: int) -> None:
        self._file: FileIO | None = None
        self._seconds = 0.0
        path = Path(f"/proc/{pid}/schedstat")
        if path.exists():
            self._file = FileIO(str(path))

    def seconds(self) -> float:
        if self._file is not None:
            try:
                fields = os.pread(self._file.fileno(), 100, 0).split()
                self._seconds = int(fields[1]) / 1e9
            except (OSError, IndexError):  # the process ended
                self._file.close()
                self._file = None
        return self._seconds


class FairLoop(asyncio.SelectorEventLoop):
    """An event loop with this clock: its timers, and so the deadlines in this process, do not run while it waits."""

    def __init__(self) -> None:
        self._clock = Clock()
        super().__init__()

    def time(self) -> float:
        """Return the time of the clock."""
        return self._clock.now()


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process and its threads have used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def unit_of_work() -> float:
    """Return the processor time of a fixed amount of Python's own work, about 10 ms: a unit for other work.

    A busy machine slows both, since programs share caches and cores.
    """
    started = time.process_time()
    total = 0
    for number in range(30_000):
        total += len(str({"number": number}))
    assert total
    return time.process_time() - started
