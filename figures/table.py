"""The table of all commands of a package: each runs in a process of its own, one after the other."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from .figure import Figure

SLOWEST = 3600
"""Seconds after which a command has failed."""


def run_all(package: str, names: Sequence[str]) -> None:
    """Run `python -m package.name` for each name, print the table, and exit: 0 if every target is met, else 1."""
    parser = argparse.ArgumentParser(prog=f"python -m {package}")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--nightly", action="store_true")
    parser.add_argument("names", nargs="*", help="run only these")
    given = parser.parse_args()
    options = ["--json", *(["--nightly"] if given.nightly else [])]
    options += [] if given.seed is None else ["--seed", str(given.seed)]
    print(f"| # | what | result | target | verdict | s |\n{'| --- ' * 6}|")
    met = True
    for name in given.names or names:
        started = time.monotonic()
        for figure in _figures(package, name, options):
            seconds = time.monotonic() - started
            verdict = "met" if figure.met else "NOT MET"
            met = met and figure.met
            print(
                f"| {figure.number} | {figure.what} | {figure.result} | {figure.target} | {verdict} | {seconds:.0f} |",
                flush=True,
            )
    sys.exit(not met)


def _figures(package: str, name: str, options: Sequence[str]) -> Iterator[Figure]:
    command = [sys.executable, "-m", f"{package}.{name}", *options]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True, timeout=SLOWEST)
    except subprocess.TimeoutExpired:
        yield Figure(name, "the command", f"did not end within {SLOWEST} s", "ends", met=False)
        return
    lines = done.stdout.splitlines()
    yield from (Figure(**json.loads(line)) for line in lines)
    if done.returncode not in (0, 1) or not lines:
        yield Figure(name, "the command", f"ended with {done.returncode}", "measures", met=False)
