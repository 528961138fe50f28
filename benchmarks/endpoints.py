"""`python -m benchmarks.endpoints`: the start with 1, 10 and 100 endpoints of 10 tools each."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

from .command import Size, run
from .comparison import Comparison, Target
from .environment import BARE, OURS, UTCP, benchmark_environment

COUNTS = (1, 10, 100)
WITH_DISCOVERY = f"{OURS}, tools discovered"
TARGET = Target(1.1)


def measure(size: Size) -> Sequence[Comparison]:
    """Compare the time until `initialize` is answered, and until all tools are listed."""
    answered, listed, cpu = defaultdict(list), defaultdict(list), defaultdict(list)
    with benchmark_environment() as environment:
        for _ in range(size.of(6, 1)):
            for name in (BARE, UTCP, OURS, WITH_DISCOVERY):
                for count in COUNTS:
                    workload = environment.workload(count, 10, discovered=name == WITH_DISCOVERY)
                    with environment.host(OURS if name == WITH_DISCOVERY else name, workload) as host:
                        used = host.cpu()
                        host.list_until(10 * count)
                        answered[_label(name, count)].append(host.startup_seconds)
                        listed[_label(name, count)].append(time.perf_counter() - host.started_at)
                        cpu[_label(name, count)].append(used)
    subject = _label(OURS, 100)
    targets = {_label(OURS, 1): TARGET}
    return [
        Comparison("many endpoints: start until `initialize` is answered", "ms", subject, answered, cpu, targets),
        _discovery_comparison(answered),
        Comparison("many endpoints: start until all tools are listed", "ms", subject, listed),
    ]


def _discovery_comparison(answered: dict[str, list[float]]) -> Comparison:
    rows = {label: values for label, values in answered.items() if label.startswith(WITH_DISCOVERY)}
    what = "many endpoints with discovery: start until `initialize` is answered"
    return Comparison(what, "ms", _label(WITH_DISCOVERY, 100), rows, targets={_label(WITH_DISCOVERY, 1): TARGET})


def _label(name: str, count: int) -> str:
    return f"{name}, {count} endpoint{'s' * (count != 1)}"


if __name__ == "__main__":
    run(measure)
