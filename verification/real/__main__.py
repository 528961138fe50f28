"""Run the cases of the real servers and print a table."""

from __future__ import annotations

import argparse
import sys

import anyio

from .run import FEEDS, HEAVY, LIGHT, Report, cases_of, run_server
from .server import SERVERS, ServerNotReady
from .tools import ERAS

ROW = "{:<20}{:<8}{:>6}{:>8}{:>9}"


def main() -> int:
    """Run the selected servers and return 0 if all cases passed, else 1."""
    servers = sorted(LIGHT + HEAVY + FEEDS)
    parser = argparse.ArgumentParser(prog="python -m verification.real", description=__doc__)
    parser.add_argument("--only", help="names of servers, separated by commas")
    parser.add_argument("--era", choices=list(ERAS), help="test one era of MCP instead of both")
    options = parser.parse_args()
    if not (SERVERS / "cases.json").exists():
        parser.error(f"{SERVERS} has no cases.json; set SERVERS")
    selected = options.only.split(",") if options.only else servers
    if unknown := set(selected) - set(servers):
        parser.error(f"unknown server: {', '.join(sorted(unknown))}; known servers: {', '.join(servers)}")
    eras = [options.era] if options.era else list(ERAS)
    print(ROW.format("server", "era", "cases", "passed", "seconds"))
    reports = [_run(server, era) for server in selected for era in eras]
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
    for failure in dict.fromkeys(report.failed.values()):
        names = ", ".join(name for name, text in report.failed.items() if text == failure)
        print(f"  {names}: {failure.strip()}".replace("\n", "\n    "), flush=True)
    return report


if __name__ == "__main__":
    sys.exit(main())
