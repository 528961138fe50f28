"""`python -m benchmarks.memory`: resident memory when idle, with 1,000 tools, and its growth over 20,000 calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from .command import Size, run
from .comparison import Comparison, Target
from .environment import BARE, MINIMAL, OURS, UTCP, BenchmarkEnvironment, benchmark_environment, same_workload

NAMES = (BARE, MINIMAL, UTCP, OURS)
IN_FLIGHT = 64
WARM_UP_CALLS = 1000


def measure(size: Size) -> Sequence[Comparison]:
    """Compare all three."""
    with benchmark_environment() as environment:
        rounds, calls = size.of(3, 1), size.of(20_000, 100)
        return [
            *_idle(environment, rounds),
            *_many_tools(environment, rounds),
            _growth(environment, 1, calls),
        ]


def _idle(environment: BenchmarkEnvironment, rounds: int) -> Sequence[Comparison]:
    idle, used = defaultdict(list), defaultdict(list)
    for _ in range(rounds):
        for label, given in same_workload(environment.workload(), NAMES).items():
            with environment.host(*given) as host:
                host.list_until(1)
                idle[label].append(host.memory())
                host.time_calls("m0_t0", 1)
                used[label].append(host.memory())
    return (
        Comparison("memory when idle, tools listed", "MiB", OURS, idle, targets={BARE: Target(1.1)}),
        Comparison("memory after the first call", "MiB", OURS, used),
    )


def _many_tools(environment: BenchmarkEnvironment, rounds: int) -> Sequence[Comparison]:
    taken = defaultdict(list)
    for _ in range(rounds):
        for label, given in same_workload(environment.workload(tools=1000), NAMES).items():
            with environment.host(*given) as host:
                host.list_until(1000)
                taken[label].append(host.memory())
    return (Comparison("memory with 1,000 tools, listed once", "MiB", OURS, taken),)


def _growth(environment: BenchmarkEnvironment, rounds: int, calls: int) -> Comparison:
    """Measure calls with 64 in flight, of which the UTCP-MCP bridge is not capable."""
    grown = defaultdict(list)
    for _ in range(rounds):
        for label, given in same_workload(environment.workload(), (BARE, MINIMAL, OURS)).items():
            with environment.host(*given) as host:
                host.burst("m0_t0", WARM_UP_CALLS, IN_FLIGHT)
                before = host.memory()
                host.burst("m0_t0", calls, IN_FLIGHT)
                grown[label].append(host.memory() - before)
    what = f"growth of memory over {calls:,} calls, after {WARM_UP_CALLS:,} others"
    return Comparison(what, "MiB", OURS, grown, targets={OURS: Target(2 << 20, absolute=True)})


if __name__ == "__main__":
    run(measure)
