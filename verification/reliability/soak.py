"""T10: calls for a long time through connections that are killed now and then; what the process holds does not grow.

The oracle is Linux's count of the real process: resident memory after each part of the calls, as a line through the
parts after the first ones, and descriptors and threads at rest, before and after.
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
from .replies import answer_to

KILL_EVERY: Final = 500
AT_ONCE: Final = 16
PARTS: Final = 24
WARM: Final = 12
"""The first parts, in which memory may grow: caches fill, and the allocator finds its size."""

PER: Final = 100_000
GROWTH: Final = 1.0
"""MiB in PER calls."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds at rest."""

    descriptors: int
    threads: int

    @classmethod
    def by(cls, pid: int) -> Held:
        """What it holds now."""
        return cls(len(list(Path(f"/proc/{pid}/fd").iterdir())), int(_status(pid, "Threads")))


async def measure(size: Size) -> Sequence[Figure]:
    """Call in parts of one size."""
    calls = size.of(96_000, 2_000_000) // PARTS
    held: list[Held] = []
    memory: list[float] = []
    wrong = 0
    async with endpoint(KILL_EVERY) as seen, Host(_document(seen.port)) as host:
        await host.initialize()
        for part in range(PARTS):
            wrong += await _drive(host, range(part * calls, (part + 1) * calls))
            memory.append(int(_status(host.process.pid, "VmRSS")) / 1024)
            held.append(await _at_rest(host))
        _, kills = seen.read()
    slope = linear_regression([part * calls for part in range(WARM, PARTS)], memory[WARM:]).slope * PER
    first, last = held[WARM], held[-1]
    what = f"{PARTS * calls:,} calls, {kills:,} kills"
    return [
        Figure("T10", f"{what}: memory", f"{slope:+.2f} MiB in {PER:,} calls", f"+{GROWTH:g} MiB", slope <= GROWTH),
        Figure("T10", "descriptors, threads", f"{_both(first)}, then {_both(last)}", "no more", _within(last, first)),
        Figure("T10", "wrong answers", str(wrong), "0, at least 80 kills", not wrong and kills >= 80),
    ]


async def _drive(host: Host, numbers: range) -> int:
    """Make calls, and count the answers that are wrong; a kill may take some along."""
    left = iter(numbers)
    return sum(await asyncio.gather(*(_work(host, left) for _ in range(AT_ONCE))))


async def _work(host: Host, numbers: Iterator[int]) -> int:
    wrong = 0
    for number in numbers:
        answer = await host.call("m_t", n=number)
        wrong += not answer.failed and answer_to(number) not in answer.text
    return wrong


async def _at_rest(host: Host) -> Held:
    """What is held between calls, with a connection open."""
    while (await host.call("m_t", n=0)).failed:
        pass
    return Held.by(host.process.pid)


def _document(port: int) -> object:
    inputs = {"type": "object", "properties": {"n": {"type": "integer"}}}
    return {"name": "m", "url": f"ws://127.0.0.1:{port}/", "tools": [{"name": "t", "inputs": inputs}], **WITH_IDS}


def _both(held: Held) -> str:
    return f"{held.descriptors} and {held.threads}"


def _within(later: Held, earlier: Held) -> bool:
    return later.descriptors <= earlier.descriptors and later.threads <= earlier.threads


def _status(pid: int, name: str) -> str:
    found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return found[1]


if __name__ == "__main__":
    run(measure)
