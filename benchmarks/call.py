"""`python -m benchmarks.call`: what one call takes, one at a time, in both eras of the protocol."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence

from .command import Size, run
from .comparison import Comparison, Target
from .host import HANDSHAKE, MODERN
from .raw import RawWebSocket
from .world import BARE, BY_HAND, OURS, RAW, SMALLEST, UTCP, BenchmarkEnvironment, benchmark_environment, same_workload

TARGET = 0.60


def measure(size: Size) -> Sequence[Comparison]:
    """p50 and p99 of each era."""
    with benchmark_environment() as on:
        return [each for era in (HANDSHAKE, MODERN) for each in _era(on, era, size.of(15, 2), size.of(300, 20))]


def _era(environment: BenchmarkEnvironment, era: str, rounds: int, calls: int) -> Sequence[Comparison]:
    middle, slowest, cpu = defaultdict(list), defaultdict(list), defaultdict(list)
    names = (BARE, SMALLEST, UTCP, BY_HAND, OURS) if era == HANDSHAKE else (BARE, SMALLEST, UTCP, OURS)
    worlds = same_workload(environment.workload(), names)
    with RawWebSocket(environment.url()) as raw, environment.hosts(worlds, era) as hosts:
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
        Comparison(f"call, one at a time, p50 ({era})", "µs", OURS, middle, cpu, {SMALLEST: Target(TARGET)}),
        Comparison(f"call, one at a time, p99 ({era})", "µs", OURS, slowest),
    )


if __name__ == "__main__":
    run(measure)
