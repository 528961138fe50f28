"""F8: what `--shared` costs a call: the median with and without, in turns, at one replica without nginx."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any, Final

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .endpoint import Endpoint
from .programs import Replica, free_port
from .site import Site, site

LONGEST: Final = {"m_t": 0.3, "limited_t": 2.0}
"""Milliseconds that `--shared` may cost: without a limit there is nothing to ask Redis."""
NAMES: Final = {"m_t": "without a limit", "limited_t": "with `requests_per_second`"}


def manuals(endpoint: Endpoint, replica: int) -> dict[str, Any]:
    """Return a manual whose calls ask Redis, which makes none of them wait, and one whose calls do not."""
    plain = endpoint.manual(replica, feeds=[])
    limited = endpoint.manual(replica, feeds=[], name="limited", limits={"requests_per_second": 100_000})
    return {"manual_call_templates": [plain, limited]}


async def measure(size: Size) -> Sequence[Figure]:
    """Alternate calls at a replica of a fleet and at one alone."""
    rounds, warm_up = size.of(500, 5_000, 250), 50
    async with site(1, manuals) as running:
        shared = running.replicas[0]
        alone = replace(shared, number=1, options=(), port=free_port(), process=None)
        await alone.start()
        try:
            seconds: defaultdict[tuple[str, bool], list[float]] = defaultdict(list)
            for number in range(warm_up + rounds):
                for tool in NAMES:
                    for each in (shared, alone):
                        duration = await _duration(running, each, tool)
                        if number >= warm_up:
                            seconds[tool, each is shared].append(duration)
        finally:
            await alone.stop()
    return [_figure(tool, seconds[tool, True], seconds[tool, False]) for tool in NAMES]


async def _duration(running: Site, replica: Replica, tool: str) -> float:
    now = asyncio.get_running_loop().time
    began = now()
    await running.call(tool, port=replica.port)
    return now() - began


def _figure(tool: str, shared: Sequence[float], alone: Sequence[float]) -> Figure:
    with_it, without = 1000 * median(shared), 1000 * median(alone)
    what = f"p50 of {len(shared):,} calls {NAMES[tool]}, with and without `--shared`"
    result = f"{with_it:.2f} ms and {without:.2f} ms"
    return Figure("F8", what, result, f"at most {LONGEST[tool]:g} ms more", with_it - without <= LONGEST[tool])


if __name__ == "__main__":
    run(measure)
