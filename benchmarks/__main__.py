"""`python -m benchmarks`: all measurements, one after the other, as tables with targets and verdicts."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from verification.harness.figure import Figure

from . import (
    call,
    callers,
    crowd,
    endpoints,
    feeds,
    growth,
    http,
    http_clients,
    listing,
    loading,
    memory,
    payload,
    start,
    streams,
    throughput,
)
from .command import Measure, Size
from .comparison import Comparison

COMMANDS: dict[str, Measure] = {
    "start": start.measure,
    "call": call.measure,
    "throughput": throughput.measure,
    "callers": callers.measure,
    "memory": memory.measure,
    "payload": payload.measure,
    "listing": listing.measure,
    "endpoints": endpoints.measure,
    "growth": growth.measure,
    "crowd": crowd.measure,
    "loading": loading.measure,
    "streams": streams.measure,
    "feeds": feeds.measure,
    "http": http.measure,
    "http_clients": http_clients.measure,
}
MARKS = ("<!-- bench -->", "<!-- /bench -->")
"""The lines around the tables in a page."""


def main() -> None:
    """Measure, print all tables, and exit: 1 if a target is not met, or in a smoke test if a command fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--smoke", action="store_true", help="only check that everything works, in a minute")
    parser.add_argument(
        "--into", type=Path, help="replace the tables of this page, such as benchmarks/results/2026-12.md"
    )
    parser.add_argument("names", nargs="*", help=f"run only these: {', '.join(COMMANDS)}")
    given = parser.parse_args()
    began = time.monotonic()
    measured = {name: _measure(name, Size(given.smoke)) for name in given.names or COMMANDS}
    text = _page(measured, time.monotonic() - began)
    print(text)
    if given.into:
        _replace_tables(text, given.into)
    figures = [figure for _, figures in measured.values() for figure in figures]
    sys.exit(any(not figure.met for figure in figures if not given.smoke or figure.number == "failed"))


def _measure(name: str, size: Size) -> tuple[Sequence[Comparison], Sequence[Figure]]:
    """Return the tables and the verdicts of one command; a failure does not stop the others."""
    began = time.monotonic()
    try:
        comparisons = COMMANDS[name](size)
        figures = [figure for comparison in comparisons for figure in comparison.figures(name)]
    except (RuntimeError, OSError, EOFError) as failed:
        comparisons, figures = (), [Figure("failed", name, str(failed), "measures", met=False)]
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return comparisons, figures


def _page(measured: dict[str, tuple[Sequence[Comparison], Sequence[Figure]]], seconds: float) -> str:
    head = ["", "what", "measured", "target", "verdict"]
    lines = [f"{_machine()}; {seconds:.0f} s for all", "", f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for _, figures in measured.values():
        lines += [
            f"| {each.number} | {each.what} | {each.result} | {each.target} | {'met' if each.met else 'NOT MET'} |"
            for each in figures
        ]
    for name, (comparisons, _) in measured.items():
        lines += ["", f"### {name}"]
        for comparison in comparisons:
            lines += ["", str(comparison)]
    return "\n".join(lines)


def _machine() -> str:
    """Describe the machine and the versions."""
    kilobytes = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = models[0].partition(":")[2].strip() if models else platform.machine()
    libraries = ("mcp", "websockets", "utcp-websocket")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in libraries)
    return (
        f"{len(os.sched_getaffinity(0))} cores of {processor}, {int(kilobytes.split()[1]) >> 20} GiB, "
        f"Linux {platform.release()}, Python {platform.python_version()}, {versions}"
    )


def _replace_tables(text: str, page: Path) -> None:
    begin, end = MARKS
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
