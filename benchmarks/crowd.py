"""`python -m benchmarks.crowd`: a call beside 1,000 open streams, and beside 1,000 waiting readers of a feed."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from .command import Size, run
from .comparison import Comparison, Target
from .environment import OURS, benchmark_environment
from .host import Host

ALONE: Final = "alone"
CROWDS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "open streams": ("m0_subscribe", {}),
    "readers of a feed": ("m0_f_events", {"wait_seconds": 3600}),
}
"""The tool and the arguments of the calls that stay open."""


def measure(size: Size) -> Sequence[Comparison]:
    """Compare the duration of a call over the same connection."""
    many, rounds, calls = size.of(1000, 10), size.of(9, 1), size.of(200, 10)
    taken, cpu = defaultdict(list), defaultdict(list)
    with benchmark_environment() as environment:
        workload = environment.workload(kind="subscriptions")
        labels = {ALONE: (OURS, workload), **{f"{many:,} {name}": (OURS, workload) for name in CROWDS}}
        with environment.hosts(labels) as hosts:
            for label, (tool, arguments) in zip(list(hosts)[1:], CROWDS.values(), strict=True):
                _keep_open(hosts[label], tool, arguments, many)
            for host in hosts.values():
                host.time_calls("m0_t0", calls)
            for _ in range(rounds):
                for label, host in hosts.items():
                    before = host.cpu()
                    taken[label].append(statistics.median(host.time_calls("m0_t0", calls)))
                    cpu[label].append((host.cpu() - before) / calls)
    return [
        Comparison(
            f"a call beside {label}",
            "µs",
            label,
            {ALONE: taken[ALONE], label: taken[label]},
            {ALONE: cpu[ALONE], label: cpu[label]},
            {ALONE: Target(1.5)},
        )
        for label in list(labels)[1:]
    ]


def _keep_open(host: Host, tool: str, arguments: Mapping[str, Any], count: int) -> None:
    """Make calls that stay open; the one behind them says that they have begun."""
    for number in range(count):
        host.post("tools/call", {"name": tool, "arguments": arguments or {"n": number}})
        if number % 50 == 0:  # so that no pipe is full
            host.call("m0_t0", {"n": 1})
    host.call("m0_t0", {"n": 1})


if __name__ == "__main__":
    run(measure)
