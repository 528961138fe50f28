"""The table of all commands of a package: each runs in a process of its own, one after the other."""

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
    """Run `python -m package.name` for each name, print the table, and exit: 0 if every target is met, else 1."""
    parser = argparse.ArgumentParser(prog=f"python -m {package}")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--nightly", action="store_true")
    parser.add_argument("--again", action="store_true", help="give a command that misses a target a second try")
    parser.add_argument("names", nargs="*", help="run only these")
    given = parser.parse_args()
    options = ["--json", *(["--nightly"] if given.nightly else [])]
    options += [] if given.seed is None else ["--seed", str(given.seed)]
    print(f"| # | what | result | target | verdict | s |\n{'| --- ' * 6}|")
    met = True
    for name in given.names or names:
        command = [sys.executable, "-m", f"{package}.{name}", *options]
        met = (_run_and_print(name, command) or (given.again and _run_and_print(name, command))) and met
    sys.exit(not met)


def _run_and_print(name: str, command: Sequence[str]) -> bool:
    """Run a command and print its rows; whether every target was met."""
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
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True, timeout=COMMAND_TIMEOUT)
    except subprocess.TimeoutExpired:
        yield Figure(name, "the command", f"did not end within {COMMAND_TIMEOUT} s", "ends", met=False)
        return
    lines = done.stdout.splitlines()
    yield from (Figure(**json.loads(line)) for line in lines)
    if done.returncode not in (0, 1) or not lines:
        yield Figure(name, "the command", f"ended with {done.returncode}", "measures", met=False)
