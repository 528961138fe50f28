"""Simulate one seed and print all of its events: `python -m verification.reliability.simulation SEED`."""

import sys

from .run import simulate
from .scenario import scenario


def main() -> None:
    """Print the scenario, the events with their virtual time, and the violations."""
    seed = int(sys.argv[1])
    chosen = scenario(seed)
    print(f"seed {seed}: {chosen.shape.kind}, timeout {chosen.shape.timeout:g} s, {chosen.shape.limits}")
    print(
        f"faults: {chosen.odds}, restarts {chosen.restarts}, ends at {chosen.ends_at}, changes at {chosen.changes_at}"
    )
    for planned in chosen.calls:
        print(f"  {planned}")
    verdict = simulate(seed, log=True)
    print(*verdict.log, sep="\n")
    print(*(f"VIOLATION: {what}" for what in verdict.violations), sep="\n")
    print(f"digest {verdict.digest}, {len(verdict.violations)} violations")
    sys.exit(bool(verdict.violations))


if __name__ == "__main__":
    main()
