"""`python -m verification.reliability.simulation SEED`: play one seed, and show everything that happens in it."""

import sys

from .run import simulate
from .scenario import scenario


def main() -> None:
    """Print the scenario, the events with their virtual time, and what was violated."""
    seed = int(sys.argv[1])
    plan = scenario(seed)
    print(f"seed {seed}: {plan.shape.kind}, timeout {plan.shape.timeout:g} s, {plan.shape.limits}")
    print(
        f"what goes wrong: {plan.odds}, restarts {plan.restarts}, ends at {plan.ends_at}, changes at {plan.changes_at}"
    )
    for planned in plan.calls:
        print(f"  {planned}")
    verdict = simulate(seed, log=True)
    print(*verdict.log, sep="\n")
    print(*(f"VIOLATED: {what}" for what in verdict.violations), sep="\n")
    print(f"digest {verdict.digest}, {len(verdict.violations)} violations")
    sys.exit(bool(verdict.violations))


if __name__ == "__main__":
    main()
