"""`python -m benchmarks.growth`: what a call takes as endpoints, tools and pending calls grow from 1 to 1,000."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence

from .command import Size, run
from .comparison import Comparison, Target
from .host import Host
from .world import OURS, SMALLEST, UTCP, Stage, World, stage

MANY = 1000


def measure(size: Size) -> Sequence[Comparison]:
    """One table for each of the three. Every endpoint is connected before the calls are timed."""
    many, rounds, calls = size.of(MANY, 20), size.of(15, 2), size.of(200, 10)
    with stage() as on:
        return [
            _grown(on, "endpoint", [on.world(), on.world(many)], (SMALLEST, UTCP, OURS), _connect, rounds, calls),
            _grown(on, "tool", [on.world(), on.world(tools=many)], (SMALLEST, UTCP, OURS), _nothing, rounds, calls),
            _grown(on, "pending call", [on.world(), on.world()], (SMALLEST, OURS), _hold(many), rounds, calls),
        ]


Prepare = Callable[[Host, World, bool], int]
"""Makes it many where it is asked to; how many there are then."""


def _grown(
    on: Stage, what: str, worlds: Sequence[World], names: Sequence[str], prepare: Prepare, rounds: int, calls: int
) -> Comparison:
    taken, cpu = defaultdict(list), defaultdict(list)
    sizes = {
        f"{name}, {size}": (name, world) for name in names for size, world in zip(("one", "many"), worlds, strict=True)
    }
    with on.hosts(sizes) as hosts:
        named = {}
        for label, host in hosts.items():
            count = prepare(host, sizes[label][1], label.endswith("many"))
            named[f"{sizes[label][0]}, {count:,} {what}{'s' * (count > 1)}"] = host
            host.time_calls("m0_t0", calls)
        for _ in range(rounds):
            for label, host in named.items():
                before = host.cpu()
                taken[label].append(statistics.median(host.time_calls("m0_t0", calls)))
                cpu[label].append((host.cpu() - before) / calls)
    few, subject = list(named)[-2:]
    return Comparison(f"a call as {what}s grow", "µs", subject, taken, cpu, {few: Target(1.1)})


def _connect(host: Host, world: World, many: bool) -> int:
    for name in world.urls:
        host.call(f"{name}_t0", {"n": 1})
    return len(world.urls)


def _nothing(host: Host, world: World, many: bool) -> int:
    host.list_until(world.tools)
    return world.tools


def _hold(count: int) -> Prepare:
    def hold(host: Host, world: World, many: bool) -> int:
        """All but the one that is timed stay pending; then one that is answered says that all were sent."""
        held = count - 1 if many else 0
        for _ in range(held):
            host.post("tools/call", {"name": "m0_t0", "arguments": {"hold": True}})
        host.call("m0_t0", {"n": 1})
        return held + 1

    return hold


if __name__ == "__main__":
    run(measure)
