"""`python -m benchmarks.growth`: the duration of a call as endpoints, tools and pending calls grow from 1 to 1,000."""

from __future__ import annotations

import os
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from .command import Size, run
from .comparison import Comparison, Target
from .environment import MINIMAL, OURS, BenchmarkEnvironment, Workload, benchmark_environment
from .host import Host

LARGE_COUNT = 1000


def measure(size: Size) -> Sequence[Comparison]:
    """Return a table for each of the three. Every endpoint is connected before the calls are timed."""
    many, rounds, calls = size.of(LARGE_COUNT, 20), size.of(5, 2), size.of(200, 10)
    with _on_one_processor(), benchmark_environment() as environment:
        return [
            _compare_growth(
                environment,
                "endpoint",
                [environment.workload(), environment.workload(many)],
                (MINIMAL, OURS),
                _connect,
                rounds,
                calls,
            ),
            _compare_growth(
                environment,
                "tool",
                [environment.workload(), environment.workload(tools=many)],
                (MINIMAL, OURS),
                _list_tools,
                rounds,
                calls,
            ),
            _compare_growth(
                environment,
                "pending call",
                [environment.workload(), environment.workload()],
                (MINIMAL, OURS),
                _hold(many),
                rounds,
                calls,
            ),
        ]


Prepare = Callable[[Host, Workload, bool], int]
"""Prepares a host, with many instances if the flag is set; returns their number."""


def _compare_growth(
    environment: BenchmarkEnvironment,
    what: str,
    workloads: Sequence[Workload],
    names: Sequence[str],
    prepare: Prepare,
    rounds: int,
    calls: int,
) -> Comparison:
    """Measure new processes in each round: one that runs the same calls is up to a tenth faster than another."""
    taken, cpu = defaultdict(list), defaultdict(list)
    sizes = {
        f"{name}, {size}": (name, workload)
        for name in names
        for size, workload in zip(("one", "many"), workloads, strict=True)
    }
    for _ in range(rounds):
        with environment.hosts(sizes) as hosts:
            named = {}
            for label, host in hosts.items():
                count = prepare(host, sizes[label][1], label.endswith("many"))
                named[f"{sizes[label][0]}, {count:,} {what}{'s' * (count > 1)}"] = host
                host.time_calls("m0_t0", calls)
            for label, host in named.items():
                before = host.cpu()
                taken[label].append(statistics.median(host.time_calls("m0_t0", calls)))
                cpu[label].append((host.cpu() - before) / calls)
    few, subject = list(taken)[-2:]
    return Comparison(
        f"a call as {what}s grow", "µs", subject, taken, cpu, {few: Target(1.05 if what == "endpoint" else 1.1)}
    )


@contextmanager
def _on_one_processor() -> Iterator[None]:
    """Keep this process, and those that it starts meanwhile, on one processor.

    With two, a call takes up to twice as long, which depends on where the scheduler puts the processes.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _connect(host: Host, workload: Workload, many: bool) -> int:
    for name in workload.urls:
        host.call(f"{name}_t0", {"n": 1})
    return len(workload.urls)


def _list_tools(host: Host, workload: Workload, many: bool) -> int:
    host.list_until(workload.tools)
    return workload.tools


def _hold(count: int) -> Prepare:
    def hold(host: Host, workload: Workload, many: bool) -> int:
        """All but the one that is timed stay pending; then one that is answered says that all were sent."""
        held = count - 1 if many else 0
        for _ in range(held):
            host.post("tools/call", {"name": "m0_t0", "arguments": {"hold": True}})
        host.call("m0_t0", {"n": 1})
        return held + 1

    return hold


if __name__ == "__main__":
    run(measure)
