"""Simulate one seed and print all of its events: `python -m verification.reliability.simulation [--feed] SEED`."""

import argparse
import sys

from .feed_run import simulate_feed
from .feed_scenario import feed_scenario
from .run import Verdict, simulate
from .scenario import scenario


def main() -> None:
    """Print the scenario, the events with their virtual time, and the violations."""
    parser = argparse.ArgumentParser(prog="python -m verification.reliability.simulation")
    parser.add_argument("seed", type=int)
    parser.add_argument("--feed", action="store_true", help="a seed of feeds")
    given = parser.parse_args()
    verdict = _simulate_feed(given.seed) if given.feed else _simulate(given.seed)
    print(*verdict.log, sep="\n")
    print(*(f"VIOLATION: {what}" for what in verdict.violations), sep="\n")
    print(f"digest {verdict.digest}, {len(verdict.violations)} violations")
    sys.exit(bool(verdict.violations))


def _simulate(seed: int) -> Verdict:
    chosen = scenario(seed)
    print(f"seed {seed}: {chosen.shape.kind}, timeout {chosen.shape.timeout:g} s, {chosen.shape.limits}")
    print(
        f"faults: {chosen.odds}, restarts {chosen.restarts}, ends at {chosen.ends_at}, changes at {chosen.changes_at}"
    )
    for planned in chosen.calls:
        print(f"  {planned}")
    return simulate(seed, log=True)


def _simulate_feed(seed: int) -> Verdict:
    chosen = feed_scenario(seed)
    print(f"seed {seed} of feeds: {chosen.shape.definition}")
    print(f"faults: {chosen.odds}, restarts {chosen.restarts}")
    for planned in chosen.readers:
        print(f"  {planned}")
    return simulate_feed(seed, log=True)


if __name__ == "__main__":
    main()
