"""Run the MCP conformance suite for both revisions and print a table.

`python -m verification.conformance` exits with 0 if every check that applies to the bridge passes.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from .endpoint import endpoint

REVISIONS: Final = ("2025-11-25", "2026-07-28")
HERE: Final = Path(__file__).parent
TOOLS: Final = HERE.parents[1] / "scripts"
NODE: Final = TOOLS / "hosts" / "node_modules" / "node" / "bin" / "node"
SUITE: Final = TOOLS / "conformance" / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
RUN_TIMEOUT: Final = 180
"""Seconds for all scenarios of a revision."""

Checks = Mapping[str, str]
"""The status of each check of a scenario; the worst one for a check that ran more than once."""

STATUS_ORDER: Final = ("SKIPPED", "INFO", "SUCCESS", "WARNING", "FAILURE")
"""From the best status to the worst."""


def read_reasons() -> dict[str, tuple[str, set[str]]]:
    """Return, by scenario, why it does not apply and which of its checks may therefore fail."""
    groups = json.loads((HERE / "not_applicable.json").read_text(encoding="utf-8"))
    return {name: (group["why"], set(checks)) for group in groups for name, checks in group["scenarios"].items()}


async def run_suite(url: str, revision: str, folder: Path) -> dict[str, Checks]:
    """Run the suite for a revision and return the checks of every scenario."""
    command = (str(NODE), str(SUITE), "server", "--url", url, "--requirements", revision, "-o", str(folder))
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=null, stderr=null)
    await asyncio.wait_for(process.wait(), RUN_TIMEOUT)
    return {_scenario(path): _checks(path) for path in sorted(folder.glob("*/checks.json"))}


def _scenario(path: Path) -> str:
    return re.sub(r"-\d{4}-\d\d-\d\dT.*", "", path.parent.name).removeprefix("server-")


def _checks(path: Path) -> Checks:
    worst: dict[str, str] = {}
    for check in json.loads(path.read_text(encoding="utf-8")):
        worst[check["id"]] = max(worst.get(check["id"], "SKIPPED"), check["status"], key=STATUS_ORDER.index)
    return worst


def evaluate(checks: Checks, may_fail: set[str]) -> tuple[str, bool]:
    """Return the text for a scenario, and whether all of its checks that apply passed."""
    failed = {check for check, status in checks.items() if status == "FAILURE"}
    if unexpected := failed - may_fail:
        return f"FAILED: {', '.join(sorted(unexpected))}", False
    counts = Counter(checks.values())
    parts = [(counts["SUCCESS"], "passed"), (counts["WARNING"], "warned"), (len(failed), "not applicable")]
    return ", ".join(f"{count} {word}" for count, word in parts if count) or "skipped", True


async def measure(url: str) -> dict[str, dict[str, Checks]]:
    """Run the suite for every revision and return the checks by revision and scenario."""
    with TemporaryDirectory() as folder:
        return {revision: await run_suite(url, revision, Path(folder) / revision) for revision in REVISIONS}


def table(results: Mapping[str, Mapping[str, Checks]]) -> Iterator[tuple[str, bool]]:
    """Yield the rows of the table, and whether each row is as expected."""
    reasons = read_reasons()
    for name in dict.fromkeys(name for ran in results.values() for name in ran):
        reason, may_fail = reasons.get(name, ("", set()))
        verdicts = [evaluate(ran[name], may_fail) if name in ran else ("", True) for ran in results.values()]
        failing = {
            check for ran in results.values() for check, status in ran.get(name, {}).items() if status == "FAILURE"
        }
        stale = sorted(may_fail - failing)
        remark = f"passes now; remove it from not_applicable.json: {', '.join(stale)}" if stale else reason
        columns = " | ".join(text for text, _ in verdicts)
        yield f"| {name} | {columns} | {remark} |", all(as_expected for _, as_expected in verdicts) and not stale
    for name in reasons.keys() - {name for ran in results.values() for name in ran}:
        yield f"| {name} | | | did not run; remove it from not_applicable.json |", False


def show(results: Mapping[str, Mapping[str, Checks]]) -> bool:
    """Print the table and return whether every row is as expected."""
    rows: Sequence[tuple[str, bool]] = list(table(results))
    print(f"| scenario | {' | '.join(results)} | remark |\n{'| --- ' * (len(results) + 2)}|")
    for row, _ in rows:
        print(row)
    return all(results.values()) and all(as_expected for _, as_expected in rows)


async def main() -> int:
    """Serve the fixtures over HTTP, run the suite, print the table, and return the exit code."""
    if not NODE.exists() or not SUITE.exists():
        print("the suite is not installed; run `make conformance`", file=sys.stderr)
        return 2
    async with endpoint() as upstream:
        command = (
            sys.executable,
            "-m",
            "utcp_ws_mcp",
            "serve",
            str(HERE / "manifest.json"),
            "--http",
            "0",
            "--no-auth",
        )
        environ = {name: value for name, value in os.environ.items() if name != "UTCP_WS_MCP_TOKEN"}
        server = await asyncio.create_subprocess_exec(
            *command, stderr=asyncio.subprocess.PIPE, env={**environ, "CONFORMANCE_ENDPOINT": upstream}
        )
        assert server.stderr is not None
        # The server prints its URL as the last word of the first line.
        words = (await server.stderr.readline()).decode().split()
        try:
            results = await measure(words[-1])
        finally:
            server.terminate()
            await server.wait()
    return not show(results)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
