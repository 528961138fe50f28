"""`python -m benchmarks.call`: the duration of calls, one at a time, in both eras of the protocol."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

from .command import Size, run
from .comparison import Comparison, Target
from .environment import (
    BARE,
    MINIMAL,
    OURS,
    RAW,
    UTCP,
    WITHOUT_SDK,
    BenchmarkEnvironment,
    benchmark_environment,
    same_workload,
)
from .host import HANDSHAKE, MODERN
from .raw import RawWebSocket

TARGET = 0.60
LIMITS: Mapping[str, float] = {HANDSHAKE: 1.3, MODERN: 1.1}
"""The greatest ratio to what is written by hand, for each era."""


def measure(size: Size) -> Sequence[Comparison]:
    """Compare p50 and p99 in each era."""
    with benchmark_environment() as environment:
        return [
            each
            for era in (HANDSHAKE, MODERN)
            for each in _measure_era(environment, era, size.of(15, 2), size.of(300, 20))
        ]


def _measure_era(environment: BenchmarkEnvironment, era: str, rounds: int, calls: int) -> Sequence[Comparison]:
    middle, slowest, cpu = defaultdict(list), defaultdict(list), defaultdict(list)
    workloads = same_workload(environment.workload(), (BARE, MINIMAL, UTCP, WITHOUT_SDK, OURS))
    targets = {MINIMAL: Target(TARGET), WITHOUT_SDK: Target(LIMITS[era])}
    with RawWebSocket(environment.url()) as raw, environment.hosts(workloads, era) as hosts:
        raw.time_calls(calls)
        for host in hosts.values():
            host.time_calls("m0_t0", calls)
        for _ in range(rounds):
            seconds = {RAW: raw.time_calls(calls)}
            for label, host in hosts.items():
                before = host.cpu()
                seconds[label] = host.time_calls("m0_t0", calls)
                cpu[label].append((host.cpu() - before) / calls)
            for label, taken in seconds.items():
                middle[label].append(statistics.median(taken))
                slowest[label].append(statistics.quantiles(taken, n=100)[98])
    return (
        Comparison(f"call, one at a time, p50 ({era})", "µs", OURS, middle, cpu, targets),
        Comparison(f"call, one at a time, p99 ({era})", "µs", OURS, slowest),
    )


if __name__ == "__main__":
    run(measure)
