"""Run all commands of a package, one after the other, each in its own process, and print a table."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final

from .figure import Figure

COMMAND_TIMEOUT = 3600
"""Seconds after which a command has failed."""

_HEADER: Final = f"| # | what | result | target | verdict | s |\n{'| --- ' * 6}|"


def run_all(package: str, names: Sequence[str]) -> None:
    """Run `python -m package.name` for each name, print the table, and exit with 0 if every target is met, else 1.

    The rows that missed their targets are printed again at the end, where a reader looks first.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {package}")
    parser.add_argument("--seed", type=int, default=None)
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--nightly", action="store_true", help="use the large size")
    sizes.add_argument("--light", action="store_true", help="use the small size")
    parser.add_argument("--again", type=int, default=0, help="how often to repeat a command that misses a target")
    parser.add_argument("names", nargs="*", help="run only these")
    selected = parser.parse_args()
    options = ["--json", *(f"--{size}" for size in ("nightly", "light") if getattr(selected, size))]
    options += [] if selected.seed is None else ["--seed", str(selected.seed)]
    print(_HEADER)
    missed: list[str] = []
    for name in selected.names or names:
        missed += _run_and_print(name, [sys.executable, "-m", f"{package}.{name}", *options], selected.again)
    if missed:
        print(f"\nMissed in the last run of their commands:\n\n{_HEADER}", *missed, sep="\n")
    sys.exit(bool(missed))


def _run_and_print(name: str, command: Sequence[str], again: int) -> list[str]:
    """Run a command, print its rows, repeat it while it misses a target, and return the rows that missed theirs."""
    started = time.monotonic()
    missed: list[str] = []
    for figure in _figures(name, command):
        row = _row(figure, time.monotonic() - started)
        print(row, flush=True)
        missed += [] if figure.met else [row]
    return _run_and_print(name, command, again - 1) if missed and again else missed


def _row(figure: Figure, seconds: float) -> str:
    verdict = "met" if figure.met else "NOT MET"
    return f"| {figure.number} | {figure.what} | {figure.result} | {figure.target} | {verdict} | {seconds:.0f} |"


def _figures(name: str, command: Sequence[str]) -> Iterator[Figure]:
    try:
        ended = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True, timeout=COMMAND_TIMEOUT)
    except subprocess.TimeoutExpired:
        yield Figure(name, "the command", f"did not end within {COMMAND_TIMEOUT} s", "ends", met=False)
        return
    lines = ended.stdout.splitlines()
    yield from (Figure(**json.loads(line)) for line in lines)
    if ended.returncode not in (0, 1) or not lines:
        yield Figure(name, "the command", f"ended with {ended.returncode}", "measures", met=False)
