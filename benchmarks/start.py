"""`python -m benchmarks.start`: time from the start of the process until the host is answered, and has the tools."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

from .command import Size, run
from .comparison import Comparison, Target
from .environment import (
    BARE,
    MINIMAL,
    OURS,
    UTCP,
    WITHOUT_SDK,
    BenchmarkEnvironment,
    Workload,
    benchmark_environment,
    same_workload,
)

FIRST, LATER = f"{OURS}, the first start", f"{OURS}, later starts"
ANSWERED, LISTED = "`initialize` answered", "tools listed"
MANUAL_DELAY = 3.0
"""Seconds after which the slow endpoint returns its manual."""


def measure(size: Size) -> Sequence[Comparison]:
    """Compare the start with one endpoint, and the start with an unreachable, a slow and a good one."""
    with benchmark_environment() as environment:
        return [
            *_ordinary(environment, size.of(11, 1)),
            _with_dead_and_slow(environment, size.of(5, 1)),
            _after_installing(environment, size.of(3, 1), size.of(5, 1)),
        ]


def _ordinary(environment: BenchmarkEnvironment, rounds: int) -> Sequence[Comparison]:
    answered, listed, cpu = defaultdict(list), defaultdict(list), defaultdict(list)
    workloads = same_workload(environment.workload(), (BARE, MINIMAL, UTCP, WITHOUT_SDK, OURS))
    for number in range(rounds + 1):
        for label, given in workloads.items():
            with environment.host(*given) as host:
                used = host.cpu()
                host.list_until(1)
                if number:  # the first round only warms the caches of the file system
                    answered[label].append(host.startup_seconds)
                    listed[label].append(time.perf_counter() - host.started_at)
                    cpu[label].append(used)
    targets = {BARE: Target(0.85), UTCP: Target(0.5), WITHOUT_SDK: Target(1.6)}
    return (
        Comparison(f"start until {ANSWERED}", "ms", OURS, answered, cpu, targets),
        Comparison(f"start until {LISTED}", "ms", OURS, listed),
    )


def _with_dead_and_slow(environment: BenchmarkEnvironment, rounds: int) -> Comparison:
    with socket.socket() as bound:  # nothing listens on a port that is only bound
        bound.bind(("127.0.0.1", 0))
        dead = f"ws://127.0.0.1:{bound.getsockname()[1]}/m0"
        urls = {"m0": dead, "m1": environment.url("m1", 10, MANUAL_DELAY), "m2": environment.url("m2", 10)}
        workload = Workload(urls, 10, discovered=True)
        taken = defaultdict(list)
        for _ in range(rounds):
            for label in (OURS, UTCP):
                with environment.host(label, workload) as host:
                    host.list_until(10, "m2_")
                    taken[f"{label}, {LISTED}"].append(time.perf_counter() - host.started_at)
                    taken[f"{label}, {ANSWERED}"].append(host.startup_seconds)
    return Comparison(
        f"start with an unreachable endpoint, one that returns its manual after {MANUAL_DELAY:g} s, and a good one",
        "ms",
        f"{OURS}, {LISTED}",
        taken,
        targets={f"{OURS}, {ANSWERED}": Target(1.2)},
    )


def _after_installing(environment: BenchmarkEnvironment, rounds: int, later: int) -> Comparison:
    """Compare the first start after `install` with later ones; nothing is compiled before, as uv leaves it."""
    taken, cpu = defaultdict(list), defaultdict(list)
    for number in range(rounds):
        environ = {
            "PYTHONPYCACHEPREFIX": str(environment.folder / f"byte code {number}"),
            "PYTHONDONTWRITEBYTECODE": "",
        }
        compile_all = "from utcp_ws_mcp.hosts.trial_start import compile_byte_code; compile_byte_code()"
        done = subprocess.run([sys.executable, "-c", compile_all], env={**os.environ, **environ}, check=False)
        if done.returncode:
            raise RuntimeError("the byte code was not compiled")
        first, *others = [_start_and_call(environment, environ) for _ in range(later + 1)]
        for label, each in ((FIRST, [first]), (LATER, others)):
            taken[label].append(statistics.median(seconds for seconds, _ in each))
            cpu[label].append(statistics.median(used for _, used in each))
    what = f"start until {LISTED} and a call is answered, after `install` without byte code"
    return Comparison(what, "ms", FIRST, taken, cpu, {LATER: Target(1.15)})


def _start_and_call(environment: BenchmarkEnvironment, environ: Mapping[str, str]) -> tuple[float, float]:
    """Return the seconds until the tools are listed and a call is answered, and the CPU seconds."""
    with environment.host(OURS, environment.workload(), environ=environ) as host:
        host.list_until(1)
        host.time_calls("m0_t0", 1)
        return time.perf_counter() - host.started_at, host.cpu()


if __name__ == "__main__":
    run(measure)
