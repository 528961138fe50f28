"""Run the cases and print a table."""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import anyio

from utcp_ws_mcp.client.catalog import CatalogEntry, find_entry, read_catalog

from .desk import CaseFailed, Desk
from .programs import CASES

CASE_TIMEOUT = 1200
"""Seconds for one entry, with the first installation of its program."""

ROW = "{:<17}{:<44}{:>6}{:>8}{:>9}"


def main() -> int:
    """Run the selected entries and return 0 if each of their tools was called, else 1."""
    parser = argparse.ArgumentParser(prog="python -m verification.catalogue", description=__doc__)
    parser.add_argument("--only", help="names of entries, separated by commas")
    selected = parser.parse_args().only
    names = selected.split(",") if selected else list(CASES)
    if unknown := set(names) - CASES.keys():
        parser.error(f"no case for: {', '.join(sorted(unknown))}; cases: {', '.join(CASES)}")
    print(ROW.format("entry", "run against", "tools", "called", "seconds"))
    failed = [name for name in names if not anyio.run(run_entry, find_entry(name))]
    claimed = {entry.name for entry in read_catalog() if entry.info.run_against}
    print(f"{len(names) - len(failed)} of {len(names)} entries passed")
    if by_hand := sorted(claimed - CASES.keys()):
        print(f"run by hand only: {', '.join(by_hand)}")
    return 1 if failed else 0


async def run_entry(entry: CatalogEntry) -> bool:
    """Run the case of an entry and print its row; return whether every tool was called and none failed."""
    started = time.monotonic()
    failure, version = "", ""
    with tempfile.TemporaryDirectory(prefix=f"{entry.name}-", ignore_cleanup_errors=True) as folder:
        manual = json.loads(entry.file.read_text(encoding="utf-8"))["name"]
        stack = AsyncExitStack()
        desk = Desk(entry.name, manual, Path(folder), stack)
        try:
            with anyio.fail_after(CASE_TIMEOUT):
                async with stack:
                    version = await CASES[entry.name](desk)
        except Exception as failed:  # any failure of a program or a tool is one of this entry
            failure = _describe(failed)
    missing = sorted(desk.offered - desk.called)
    failure = failure or (f"not called: {', '.join(missing)}" if missing else _wrong_version(entry, version))
    seconds = f"{time.monotonic() - started:.1f}"
    against = (entry.info.run_against or "")[:42]
    print(ROW.format(entry.name, against, len(desk.offered), len(desk.called & desk.offered), seconds), flush=True)
    if failure:
        print("  FAILED: " + failure.strip().replace("\n", "\n    "), flush=True)
    return not failure


def _wrong_version(entry: CatalogEntry, version: str) -> str:
    """Return an error if the entry does not name the version that was run: two of its numbers, or the first alone."""
    if not re.match(r"\d", version):
        return ""  # the endpoint of this package has no version of its own
    if entry.info.run_against is None:
        return f"it passed with {version}, and the entry does not say so"
    numbers: Sequence[str] = version.split(".")
    shown = (".".join(numbers[:2]), numbers[0])
    named = re.findall(r"\d+(?:\.\d+)*", entry.info.run_against or "")
    fits = any(each == shown[1] or (each + ".").startswith(shown[0] + ".") for each in named)
    return "" if fits else f"it was run with {version}, and the entry says: {entry.info.run_against}"


def _describe(failed: BaseException) -> str:
    while isinstance(failed, BaseExceptionGroup):
        failed = failed.exceptions[0]
    return str(failed) if isinstance(failed, CaseFailed) else f"{type(failed).__name__}: {failed}"


if __name__ == "__main__":
    sys.exit(main())
