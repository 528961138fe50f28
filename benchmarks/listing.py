"""`python -m benchmarks.listing`: the duration of `tools/list` with 1,000 and 10,000 tools, first and repeated."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

from .command import Size, run
from .comparison import Comparison, Target
from .environment import BARE, OURS, UTCP, BenchmarkEnvironment, benchmark_environment, same_workload
from .host import HANDSHAKE, MODERN

REPEATED_LISTS = 5


def measure(size: Size) -> Sequence[Comparison]:
    """Compare 1,000 tools in both eras, 10,000 in one. The minimal bridge lists as the bare server does."""
    with benchmark_environment() as environment:
        return [
            *_lists(environment, 1, HANDSHAKE, size.of(5, 1)),
            *_lists(environment, 1, MODERN, size.of(5, 1)),
            *([] if size.smoke else _lists(environment, 10, HANDSHAKE, 2)),
        ]


def _lists(environment: BenchmarkEnvironment, endpoints: int, era: str, rounds: int) -> Sequence[Comparison]:
    """Measure with 1,000 tools for each endpoint: UTCP's plugin cannot read a longer manual."""
    first, again = defaultdict(list), defaultdict(list)
    first_cpu, again_cpu = defaultdict(list), defaultdict(list)
    count = 1000 * endpoints
    for _ in range(rounds):
        for label, given in same_workload(environment.workload(endpoints, 1000), (BARE, UTCP, OURS)).items():
            with environment.host(*given, era) as host:
                used = host.cpu()
                answer = host.time_request("tools/list", {})
                if len(answer.result["tools"]) != count:
                    raise RuntimeError(f"{label} listed {len(answer.result['tools'])} tools instead of {count}")
                first[label].append(answer.seconds)
                between = host.cpu()
                later = [host.time_request("tools/list", {}).seconds for _ in range(REPEATED_LISTS)]
                again[label].append(statistics.median(later))
                first_cpu[label].append(between - used)
                again_cpu[label].append((host.cpu() - between) / REPEATED_LISTS)
    strict = endpoints == 1
    targets: Mapping[str, Target] = {BARE: Target(1.0)} if strict else {}
    repeated: Mapping[str, Target] = {BARE: Target(0.3)} if strict else {}
    what = f"`tools/list` with {count:,} tools ({era})"
    return (
        Comparison(f"{what}, the first", "ms", OURS, first, first_cpu, targets),
        Comparison(f"{what}, repeated", "ms", OURS, again, again_cpu, repeated),
    )


if __name__ == "__main__":
    run(measure)
