"""`python -m benchmarks.profiling`: where this project spends its time, in the start, a call, a burst and a list.

The start is measured by imports (`-X importtime`), the rest by cProfile, which overstates small functions: compare
shares, not sums. The cost of a start is subtracted. (A module named `profile` would hide that of the standard library.)
"""

from __future__ import annotations

import pstats
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from .environment import OURS, BenchmarkEnvironment, Workload, benchmark_environment
from .host import Host

ROWS_SHOWN = 25
CALLS = 3000


Work = Callable[[Host], object]
Costs = dict[str, tuple[int, float, float]]
"""For each function, by its location: calls, own seconds, seconds including what it calls."""


def main() -> None:
    """Print everything."""
    with benchmark_environment() as environment:
        print("## start: imports, own time of the modules of each package", _imports(environment), sep="\n")
        one, many = environment.workload(), environment.workload(tools=1000)
        _print_profile(environment, "call, one at a time", one, lambda host: host.time_calls("m0_t0", CALLS))
        _print_profile(environment, "call, 64 in flight", one, lambda host: host.burst("m0_t0", CALLS, 64))
        _print_profile(
            environment, "`tools/list` with 1,000 tools, the first", many, lambda host: host.list_until(1000)
        )
        _print_profile(
            environment,
            "`tools/list` with 1,000 tools, 21 times",
            many,
            _list_often,
        )
        large = {"shape": "rows", "size": 8 << 20}
        _print_profile(environment, "8 MiB of rows", one, lambda host: host.call("m0_t0", large))
        _print_profile(environment, "start with 1,000 tools, compared with the start with one", many, _start_only, one)


def _list_often(host: Host) -> None:
    for _ in range(21):
        host.list_until(1000)


def _imports(environment: BenchmarkEnvironment) -> str:
    """Return the cost of imports; Python prints `import time: own | cumulative | name` in microseconds for each."""
    with environment.host(OURS, environment.workload()) as known:
        arguments = known.command[2:]
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    packages: Counter[str] = Counter()
    modules: Counter[str] = Counter()
    for own, name in re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", run.stderr):
        packages[name.partition(".")[0]] += int(own)
        modules[name] += int(own)
    total = f"{sum(packages.values()) / 1000:8.1f} ms  all, {len(modules)} modules"
    rows = [f"{own / 1000:8.1f} ms  {name}" for name, own in packages.most_common(ROWS_SHOWN)]
    dear = [f"{own / 1000:8.1f} ms  {name}" for name, own in modules.most_common(ROWS_SHOWN)]
    return "\n".join([total, *rows, "", "the most expensive modules:", *dear])


def _start_only(host: Host) -> None:
    """Do nothing: the cost of a start is measured."""


def _print_profile(
    environment: BenchmarkEnvironment, what: str, workload: Workload, work: Work, idle: Workload | None = None
) -> None:
    """Print the functions whose cost exceeds that of a start."""
    before, after = _profile(environment, idle or workload, _start_only), _profile(environment, workload, work)
    added = {}
    for place, (calls, own, within) in after.items():
        less = before.get(place, (0, 0.0, 0.0))
        if calls > less[0]:
            added[place] = (calls - less[0], own - less[1], within - less[2])
    print(f"\n## {what}", _table(added), sep="\n")


def _profile(environment: BenchmarkEnvironment, workload: Workload, work: Work) -> Costs:
    """Serve under cProfile, do the work, close, and return the profile."""
    output = environment.folder / "profile"
    with environment.host(OURS, workload) as known:
        arguments = known.command[2:]
    host = Host([sys.executable, "-m", "cProfile", "-o", str(output), "-m", *arguments], environment.environ)
    with host:
        work(host)
        host.close()
    stats = pstats.Stats(str(output)).stats  # type: ignore[attr-defined]
    return {_qualified_name(*key): (calls, own, within) for key, (_, calls, own, within, _) in stats.items()}


def _qualified_name(file: str, line: int, name: str) -> str:
    """Return package, module and name of a function; for one written in C only its name."""
    path = Path(file).with_suffix("").parts
    root = next((number for number, part in enumerate(path) if part in ("site-packages", "src", "python3.11")), -1)
    return f"{'.'.join(path[root + 1 :])}:{line} {name}" if line else f"C {name}"


def _table(costs: Costs) -> str:
    """Return a table: packages and functions by own time, functions of this project by cumulative time."""
    total = sum(own for _, own, _ in costs.values())
    packages: defaultdict[str, float] = defaultdict(float)
    for place, (_, own, _) in costs.items():
        packages[place.partition(".")[0].partition(":")[0].partition(" ")[0]] += own
    largest = sorted(packages.items(), key=lambda item: -item[1])[:10]
    lines = [f"{own:8.3f} s {own / total:4.0%}  {name}" for name, own in largest]
    by_own = sorted(costs.items(), key=lambda item: -item[1][1])[:ROWS_SHOWN]
    ours = [item for item in costs.items() if item[0].startswith("utcp_ws_mcp")]
    by_within = sorted(ours, key=lambda item: -item[1][2])[:ROWS_SHOWN]
    rows = [
        f"{own:8.3f} s own {within:8.3f} s total {calls:9,} calls  {place}"
        for place, (calls, own, within) in [*by_own, ("", (0, 0.0, 0.0)), *by_within]
    ]
    return "\n".join([f"{total:8.3f} s  all", *lines, "", *rows])


if __name__ == "__main__":
    main()
