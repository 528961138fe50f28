"""`python -m verification.conformance`: run the suite for both revisions and print a table; 0 if nothing fails that applies."""

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
"""Seconds for a revision."""

Checks = Mapping[str, str]
"""The status of each check of a scenario; of a check that ran more than once the worst one."""

STATUS_ORDER: Final = ("SKIPPED", "INFO", "SUCCESS", "WARNING", "FAILURE")


def read_reasons() -> dict[str, tuple[str, set[str]]]:
    """Why a scenario does not apply, and which of its checks may therefore fail."""
    groups = json.loads((HERE / "not_applicable.json").read_text(encoding="utf-8"))
    return {name: (group["why"], set(checks)) for group in groups for name, checks in group["scenarios"].items()}


async def run_suite(url: str, revision: str, folder: Path) -> dict[str, Checks]:
    """The checks of every scenario that the suite ran for a revision."""
    command = (str(NODE), str(SUITE), "server", "--url", url, "--requirements", revision, "-o", str(folder))
    nothing = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=nothing, stderr=nothing)
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
    """What to say of a scenario, and whether it is as it should be."""
    failed = {check for check, status in checks.items() if status == "FAILURE"}
    if wrong := failed - may_fail:
        return f"FAILED: {', '.join(sorted(wrong))}", False
    counts = Counter(checks.values())
    said = [(counts["SUCCESS"], "passed"), (counts["WARNING"], "warned"), (len(failed), "not applicable")]
    return ", ".join(f"{count} {word}" for count, word in said if count) or "skipped", True


async def measure(url: str) -> dict[str, dict[str, Checks]]:
    """The checks by revision and scenario."""
    with TemporaryDirectory() as folder:
        return {revision: await run_suite(url, revision, Path(folder) / revision) for revision in REVISIONS}


def table(results: Mapping[str, Mapping[str, Checks]]) -> Iterator[tuple[str, bool]]:
    """The rows of the table, and whether each is as it should be."""
    reasons = read_reasons()
    for name in dict.fromkeys(name for ran in results.values() for name in ran):
        why, may_fail = reasons.get(name, ("", set()))
        verdicts = [evaluate(ran[name], may_fail) if name in ran else ("", True) for ran in results.values()]
        failing = {
            check for ran in results.values() for check, status in ran.get(name, {}).items() if status == "FAILURE"
        }
        stale = sorted(may_fail - failing)
        remark = f"passes now, so that its reason can go: {', '.join(stale)}" if stale else why
        columns = " | ".join(said for said, _ in verdicts)
        yield f"| {name} | {columns} | {remark} |", all(fine for _, fine in verdicts) and not stale
    for name in reasons.keys() - {name for ran in results.values() for name in ran}:
        yield f"| {name} | | | did not run, so that its reason can go |", False


def show(results: Mapping[str, Mapping[str, Checks]]) -> bool:
    """Print the table; whether all of it is as it should be."""
    rows: Sequence[tuple[str, bool]] = list(table(results))
    print(f"| scenario | {' | '.join(results)} | remark |\n{'| --- ' * (len(results) + 2)}|")
    for row, _ in rows:
        print(row)
    return all(results.values()) and all(fine for _, fine in rows)


async def main() -> int:
    """Serve, run the suite, show what came of it."""
    if not NODE.exists() or not SUITE.exists():
        print("the suite is not installed: make conformance installs it", file=sys.stderr)
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
            "--no-token",
        )
        environ = {name: value for name, value in os.environ.items() if name != "UTCP_WS_MCP_TOKEN"}
        server = await asyncio.create_subprocess_exec(
            *command, stderr=asyncio.subprocess.PIPE, env={**environ, "CONFORMANCE_ENDPOINT": upstream}
        )
        assert server.stderr is not None
        said = (await server.stderr.readline()).decode().split()
        try:
            results = await measure(said[-1])
        finally:
            server.terminate()
            await server.wait()
    return not show(results)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
