"""Run the cases of the real servers, and print a table."""

from __future__ import annotations

import argparse
import sys

import anyio

from .run import HEAVY, LIGHT, Report, cases_of, run_server
from .server import SERVERS, ServerNotReady
from .tools import ERAS

ROW = "{:<14}{:<8}{:>6}{:>8}{:>9}"


def main() -> int:
    """Run them; 0 if all passed."""
    servers = sorted(LIGHT + HEAVY)
    parser = argparse.ArgumentParser(prog="python -m verification.real", description=__doc__)
    parser.add_argument("--only", help="these servers, with commas between")
    parser.add_argument("--era", choices=list(ERAS), help="one era of MCP instead of both")
    chosen = parser.parse_args()
    if not (SERVERS / "cases.json").exists():
        parser.error(f"there are no servers in {SERVERS}; set SERVERS")
    wanted = chosen.only.split(",") if chosen.only else servers
    if unknown := set(wanted) - set(servers):
        parser.error(f"no such server: {', '.join(sorted(unknown))}; there are {', '.join(servers)}")
    eras = [chosen.era] if chosen.era else list(ERAS)
    print(ROW.format("server", "era", "cases", "passed", "seconds"))
    reports = [_run(server, era) for server in wanted for era in eras]
    cases, failed = sum(report.cases for report in reports), sum(len(report.failed) for report in reports)
    print(ROW.format("", "", cases, cases - failed, f"{sum(report.seconds for report in reports):.1f}"))
    return 1 if failed else 0


def _run(server: str, era: str) -> Report:
    try:
        report = anyio.run(run_server, server, era)
    except ServerNotReady as failed:
        cases = cases_of(server)
        report = Report(server, era, len(cases), failed=dict.fromkeys(cases, str(failed)))
    passed = report.cases - len(report.failed)
    print(ROW.format(server, era, report.cases, passed, f"{report.seconds:.1f}"), flush=True)
    for wrong in dict.fromkeys(report.failed.values()):
        names = ", ".join(name for name, why in report.failed.items() if why == wrong)
        print(f"  {names}: {wrong.strip()}".replace("\n", "\n    "), flush=True)
    return report


if __name__ == "__main__":
    sys.exit(main())
