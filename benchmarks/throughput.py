"""`python -m benchmarks.throughput`: correctly answered calls per second with 64 in flight, on one connection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from .command import Size, run
from .comparison import Comparison, Target
from .environment import BARE, MINIMAL, OURS, RAW, UTCP, WITHOUT_SDK, benchmark_environment, same_workload
from .raw import RawWebSocket

IN_FLIGHT = 64
ALONE = f"{UTCP}, one in flight"


def measure(size: Size) -> Sequence[Comparison]:
    """Compare all contenders with 64 calls in flight; the UTCP-MCP bridge also with one, its maximum."""
    rounds, calls = size.of(7, 1), size.of(1500, 128)
    rate, cpu = defaultdict(list), defaultdict(list)
    wrong: dict[str, int] = defaultdict(int)
    with benchmark_environment() as environment:
        workloads = {
            **same_workload(environment.workload(), (BARE, MINIMAL, UTCP, WITHOUT_SDK, OURS)),
            ALONE: (UTCP, environment.workload()),
        }
        with RawWebSocket(environment.url()) as raw, environment.hosts(workloads) as hosts:
            for number in range(rounds + 1):
                seconds = raw.burst(calls, IN_FLIGHT)
                if number:  # the first round warms up
                    rate[RAW].append(calls / seconds)
                for label, host in hosts.items():
                    before = host.cpu()
                    burst = host.burst("m0_t0", calls, 1 if label == ALONE else IN_FLIGHT)
                    if number:
                        rate[label].append(burst.correct / burst.seconds)
                        cpu[label].append((host.cpu() - before) / calls)
                        wrong[label] += burst.calls - burst.correct
    notes = {label: f"{count / rounds / calls:.1%} of the calls fail" for label, count in wrong.items() if count}
    targets = {MINIMAL: Target(3, at_least=True), WITHOUT_SDK: Target(0.6, at_least=True)}
    return [
        Comparison("correct answers with 64 calls in flight", "/s", OURS, rate, cpu, targets, notes),
        Comparison("CPU of the server for a call, 64 in flight", "µs", OURS, cpu, targets={WITHOUT_SDK: Target(2)}),
    ]


if __name__ == "__main__":
    run(measure)
