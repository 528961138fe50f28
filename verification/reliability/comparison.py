"""Measure T1, T2 and T5 for the bridge and for the reference implementation of UTCP, `utcp-websocket`.

The comparison uses only what the reference supports: no ids and exclusive connections, since it has no other mode;
calls and idle connections, since its discovery fails even without a fault; any error as the expected one, since its
errors have no classes; no resolver fault, since its resolver cannot be replaced. The command prints a table and has no
targets.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

from verification.harness.command import Size

from . import crossed_replies, killed_connections
from .clients import FOREIGN_NAMED, Client, bridge, reference
from .contenders import Cell, Subject, bridge_subject, reference_subject
from .fault_matrix import Flaw, cells, run_cell

CALLS: Final = 5_000
COMPARED: Final[tuple[Flaw, ...]] = ("wrong error", "late", "no recovery", "others affected")
"""The criteria that apply to the reference; its errors have no outcome of the request."""


class Row(NamedTuple):
    """The number of calls or faults with an outcome."""

    measured: str
    outcome: str
    total: int


async def killed(client: Client, at_once: int) -> list[Row]:
    """Return the rows of T1."""
    tally = await killed_connections.drive(client, CALLS, at_once, **_template(client))
    measured = f"T1: {CALLS:,} calls, {at_once} at once, killed connections"
    return [
        Row(measured, "answered", len(tally.answered)),
        Row(measured, "an error", tally.errors.total()),
        Row(measured, "**a wrong answer**", tally.wrong),
        Row(measured, "**an empty success**", tally.empty),
        Row(measured, "**executed twice**", tally.doubled),
    ]


async def crossed(client: Client, size: Size, at_once: int) -> list[Row]:
    """Return the rows of T2."""
    tally = await crossed_replies.drive(client, size, CALLS, at_once, _template(client))
    measured = f"T2: {CALLS:,} calls, {at_once} at once, disturbing replies"
    return [
        Row(measured, "answered", tally.answered),
        Row(measured, "cancelled or timed out", tally.interrupted),
        Row(measured, "an error", tally.failed.total()),
        Row(measured, "**a wrong answer**", tally.crossed),
    ]


async def faults(subject: Subject, matrix: Sequence[Cell]) -> list[Row]:
    """Return the rows of T5."""
    results = await run_cell(subject, matrix, exact=False)
    flaws = Counter(chain.from_iterable(results.values()))
    measured = f"T5: {len(matrix)} faults"
    flawless = sum(not found for found in results.values())
    return [Row(measured, "no flaw", flawless), *(Row(measured, f"**{flaw}**", flaws[flaw]) for flaw in COMPARED)]


def _template(client: Client) -> dict[str, Any]:
    return FOREIGN_NAMED if client is bridge else {}


async def column(client: Client, subject: Subject, size: Size) -> list[Row]:
    """Return all rows of a client."""
    matrix = [cell for cell in cells() if cell.mode == "exclusive" and cell.phase != "discovery"]
    matrix = [cell for cell in matrix if cell.fault_case.where in ("path", "token")]
    return [
        *await killed(client, 1),
        *await killed(client, 16),
        *await crossed(client, size, 1),
        *await crossed(client, size, 16),
        *await faults(subject, matrix),
    ]


async def compare(size: Size) -> None:
    """Measure both clients and print the table."""
    ours, theirs = await column(bridge, bridge_subject, size), await column(reference, reference_subject, size)
    version = importlib.metadata.version("utcp-websocket")
    print(f"| measured | outcome | utcp-ws-mcp | utcp-websocket {version} |\n{'| --- ' * 4}|")
    for mine, other in zip(ours, theirs, strict=True):
        print(f"| {mine.measured} | {mine.outcome} | {mine.total:,} | {other.total:,} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    asyncio.run(compare(Size(parser.parse_args().seed)))
