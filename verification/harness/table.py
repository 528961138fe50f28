"""Run all commands of a package, one after the other, each in its own process, and print a table."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from .figure import Figure

COMMAND_TIMEOUT = 3600
"""Seconds after which a command has failed."""


def run_all(package: str, names: Sequence[str]) -> None:
    """Run `python -m package.name` for each name, print the table, and exit with 0 if every target is met, else 1."""
    parser = argparse.ArgumentParser(prog=f"python -m {package}")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--nightly", action="store_true")
    parser.add_argument("--again", action="store_true", help="repeat a command once if it misses a target")
    parser.add_argument("names", nargs="*", help="run only these")
    selected = parser.parse_args()
    options = ["--json", *(["--nightly"] if selected.nightly else [])]
    options += [] if selected.seed is None else ["--seed", str(selected.seed)]
    print(f"| # | what | result | target | verdict | s |\n{'| --- ' * 6}|")
    met = True
    for name in selected.names or names:
        command = [sys.executable, "-m", f"{package}.{name}", *options]
        met = (_run_and_print(name, command) or (selected.again and _run_and_print(name, command))) and met
    sys.exit(not met)


def _run_and_print(name: str, command: Sequence[str]) -> bool:
    """Run a command, print its rows, and return whether every target was met."""
    started = time.monotonic()
    figures = list(_figures(name, command))
    seconds = time.monotonic() - started
    for figure in figures:
        verdict = "met" if figure.met else "NOT MET"
        print(
            f"| {figure.number} | {figure.what} | {figure.result} | {figure.target} | {verdict} | {seconds:.0f} |",
            flush=True,
        )
    return all(figure.met for figure in figures)


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
