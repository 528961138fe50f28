"""T10: many calls over connections that are killed sometimes; the resources of the process must not grow.

Linux counts the resources of the real process: resident memory after each part of the calls, whose growth is a linear
regression over the parts after the warm-up, and descriptors and threads at rest.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression
from typing import Final

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .clients import WITH_IDS
from .endpoint import endpoint
from .host import Host
from .reply_disturbances import answer_to

KILL_EVERY: Final = 500
CONCURRENCY: Final = 16
PARTS: Final = 24
WARM_UP_PARTS: Final = 12
"""The first parts, in which memory may grow: caches fill, and the allocator reaches its size."""

CALLS_PER_UNIT: Final = 100_000
MAX_GROWTH: Final = 1.0
"""MiB per CALLS_PER_UNIT calls."""


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """The resources of a process at rest."""

    descriptors: int
    threads: int

    @classmethod
    def of_process(cls, pid: int) -> ResourceUsage:
        """Return the current resources of a process."""
        return cls(len(list(Path(f"/proc/{pid}/fd").iterdir())), int(_status(pid, "Threads")))


async def measure(size: Size) -> Sequence[Figure]:
    """Make calls in parts of equal size and measure after each part."""
    calls = size.of(96_000, 2_000_000) // PARTS
    usages: list[ResourceUsage] = []
    memory: list[float] = []
    wrong = 0
    async with endpoint(KILL_EVERY) as served, Host(_document(served.port)) as host:
        await host.initialize()
        for part in range(PARTS):
            wrong += await _drive(host, range(part * calls, (part + 1) * calls))
            memory.append(int(_status(host.process.pid, "VmRSS")) / 1024)
            usages.append(await _usage_at_rest(host))
        _, kills = served.read()
    slope = (
        linear_regression([part * calls for part in range(WARM_UP_PARTS, PARTS)], memory[WARM_UP_PARTS:]).slope
        * CALLS_PER_UNIT
    )
    first, last = usages[WARM_UP_PARTS], usages[-1]
    what = f"{PARTS * calls:,} calls, {kills:,} kills"
    return [
        Figure(
            "T10",
            f"{what}: memory",
            f"{slope:+.2f} MiB in {CALLS_PER_UNIT:,} calls",
            f"+{MAX_GROWTH:g} MiB",
            slope <= MAX_GROWTH,
        ),
        Figure(
            "T10",
            "descriptors, threads",
            f"{_format_usage(first)}, then {_format_usage(last)}",
            "no more",
            _is_within(last, first),
        ),
        Figure("T10", "wrong answers", str(wrong), "0, at least 80 kills", not wrong and kills >= 80),
    ]


async def _drive(host: Host, numbers: range) -> int:
    """Make calls and return the number of wrong answers; calls that a kill interrupts may fail."""
    remaining = iter(numbers)
    return sum(await asyncio.gather(*(_worker(host, remaining) for _ in range(CONCURRENCY))))


async def _worker(host: Host, numbers: Iterator[int]) -> int:
    wrong = 0
    for number in numbers:
        answer = await host.call("m_t", n=number)
        wrong += not answer.failed and answer_to(number) not in answer.text
    return wrong


async def _usage_at_rest(host: Host) -> ResourceUsage:
    """Return the usage without calls and with one open connection."""
    while (await host.call("m_t", n=0)).failed:
        pass
    return ResourceUsage.of_process(host.process.pid)


def _document(port: int) -> object:
    inputs = {"type": "object", "properties": {"n": {"type": "integer"}}}
    return {"name": "m", "url": f"ws://127.0.0.1:{port}/", "tools": [{"name": "t", "inputs": inputs}], **WITH_IDS}


def _format_usage(usage: ResourceUsage) -> str:
    return f"{usage.descriptors} and {usage.threads}"


def _is_within(later: ResourceUsage, earlier: ResourceUsage) -> bool:
    return later.descriptors <= earlier.descriptors and later.threads <= earlier.threads


def _status(pid: int, name: str) -> str:
    found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return found[1]


if __name__ == "__main__":
    run(measure)
