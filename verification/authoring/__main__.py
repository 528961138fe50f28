"""Carry out the plans of the scripted model, print what each needed, and try to make it give secrets away."""

from __future__ import annotations

import argparse
import sys

import anyio

from verification.real.server import ServerNotReady

from .adversary import attack
from .plan import Plan
from .plans import LIGHT, REAL
from .run import Report, carry_out

ROW = "{:<32}{:>6}{:>13}{:>16}  {}"


def main() -> int:
    """Carry out the selected plans; return 0 if every answer was right and nothing was given away."""
    parser = argparse.ArgumentParser(prog="python -m verification.authoring", description=__doc__)
    parser.add_argument("--light", action="store_true", help="only endpoints that need no installation")
    parser.add_argument("--only", help="the servers of plans, separated by commas")
    options = parser.parse_args()
    plans: tuple[Plan, ...] = LIGHT if options.light else (*LIGHT, *REAL)
    if options.only:
        plans = tuple(plan for plan in (*LIGHT, *REAL) if plan.server in options.only.split(","))
        if not plans:
            parser.error(f"no plan for {options.only}")
    print(ROW.format("server", "calls", "tokens read", "tokens written", "first answer"))
    reports = [_carry_out(plan) for plan in plans]
    total = (sum(column) for column in zip(*((r.calls, r.tokens_read, r.tokens_written) for r in reports), strict=True))
    print(ROW.format(f"{len(reports)} plans", *total, ""))
    given = anyio.run(attack)
    print("\nan endpoint that gives orders: " + ("; ".join(given) or "got nothing"))
    return 1 if given or any(report.problem for report in reports) else 0


def _carry_out(plan: Plan) -> Report:
    try:
        report = anyio.run(carry_out, plan)
    except ServerNotReady as failed:
        report = Report(plan.name, 0, 0, 0, str(failed))
    verdict = f"WRONG: {report.problem}" if report.problem else "right"
    print(ROW.format(report.name, report.calls, report.tokens_read, report.tokens_written, verdict), flush=True)
    return report


if __name__ == "__main__":
    sys.exit(main())
