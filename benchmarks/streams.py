"""`python -m benchmarks.streams`: items of a stream that reach an MCP client as progress, per second."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from .command import Size, run
from .comparison import Comparison, Target
from .environment import MINIMAL, OURS, RAW, UTCP, benchmark_environment, same_workload
from .raw import RawWebSocket


def measure(size: Size) -> Sequence[Comparison]:
    """Compare streams whose items are sent at once; each must be in a notification and in the result."""
    rounds, items = size.of(10, 1), size.of(1000, 20)
    rate, cpu = defaultdict(list), defaultdict(list)
    with benchmark_environment() as environment:
        workloads = same_workload(environment.workload(kind="streams"), (MINIMAL, UTCP, OURS))
        with RawWebSocket(environment.url()) as raw, environment.hosts(workloads) as hosts:
            for number in range(rounds + 1):
                seconds = {RAW: raw.time_items(items)}
                used = {}
                for label, host in hosts.items():
                    before = host.cpu()
                    seconds[label] = host.time_stream("m0_t0", items)
                    used[label] = (host.cpu() - before) / items
                if number:  # the first round warms up
                    for label, taken in seconds.items():
                        rate[label].append(items / taken)
                    for label, taken in used.items():
                        cpu[label].append(taken)
    targets = {RAW: Target(0.4, at_least=True)}
    return [Comparison(f"items a second to the MCP client, {items:,} in a stream", "/s", OURS, rate, cpu, targets)]


if __name__ == "__main__":
    run(measure)
