"""`python -m benchmarks.callers`: correct answers a second with 64, 256 and 1,024 callers at once.

With ids all calls share one connection. Without, each has one for itself, within `max_connections` as it is by default:
an endpoint that takes 5 ms for a call bounds them. The smallest bridge has ids, so that nothing bounds it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from .command import Size, run
from .comparison import Comparison, Target
from .environment import MINIMAL, OURS, BenchmarkEnvironment, benchmark_environment, same_workload

CALLERS = (64, 256, 1024)
PAUSE = 0.005
"""Seconds that the slow endpoint takes for a call."""

KINDS = {"with ids": "replies", "without ids": "without ids"}


def measure(size: Size) -> Sequence[Comparison]:
    """Compare the numbers of callers, with and without ids."""
    with benchmark_environment() as environment:
        more_callers = [
            each
            for name, kind in KINDS.items()
            for each in _compare(environment, name, kind, size.of(5, 1), size.of(2048, 1024))
        ]
        return [*more_callers, _slow_endpoint(environment, size.of(5, 1), size.of(1024, 128))]


def _slow_endpoint(environment: BenchmarkEnvironment, rounds: int, calls: int) -> Comparison:
    """Compare calls without ids to an endpoint that takes some time with those of the smallest bridge."""
    rate, cpu = defaultdict(list), defaultdict(list)
    workload = environment.workload(kind="without ids", pause=PAUSE)
    with environment.hosts(same_workload(workload, (MINIMAL, OURS))) as hosts:
        for number in range(rounds + 1):
            for label, host in hosts.items():
                before = host.cpu()
                burst = host.burst("m0_t0", calls, CALLERS[0])
                if number:  # the first round warms up
                    rate[label].append(burst.correct / burst.seconds)
                    cpu[label].append((host.cpu() - before) / calls)
    what = f"correct answers without ids, {CALLERS[0]} callers, an endpoint that takes {PAUSE * 1000:.0f} ms"
    return Comparison(what, "/s", OURS, rate, cpu, {MINIMAL: Target(0.9, at_least=True)})


def _compare(environment: BenchmarkEnvironment, name: str, kind: str, rounds: int, calls: int) -> Sequence[Comparison]:
    """Return one table for each number of callers but the first."""
    rate, cpu = defaultdict(list), defaultdict(list)
    with environment.host(OURS, environment.workload(kind=kind)) as host:
        host.burst("m0_t0", calls, CALLERS[0])
        for _ in range(rounds):
            for count in CALLERS:
                before = host.cpu()
                burst = host.burst("m0_t0", calls, count)
                rate[f"{count:,} callers"].append(burst.correct / burst.seconds)
                cpu[f"{count:,} callers"].append((host.cpu() - before) / calls)
    few, *more = rate
    return [
        Comparison(
            f"correct answers {name}, as callers grow",
            "/s",
            many,
            {few: rate[few], many: rate[many]},
            {few: cpu[few], many: cpu[many]},
            {few: Target(0.9, at_least=True)},
        )
        for many in more
    ]


if __name__ == "__main__":
    run(measure)
