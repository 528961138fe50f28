"""T1, T2 and T5 once more, side by side with the reference implementation of UTCP, `utcp-websocket`.

Where both can be measured, they are: without ids and in one mode of sharing, because the reference has no others; with
calls and idle connections, because its discovery fails without any fault; with any error where there has to be one,
because its errors have no classes; without the fault of the resolver, which it does not let us replace.
Prints a table, judges nothing.
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
from .clients import WITHOUT_IDS, Client, bridge, reference
from .fault_matrix import Flaw, cells, run_cell
from .subjects import Cell, Subject, bridge_subject, reference_subject

CALLS: Final = 5_000
COMPARED: Final[tuple[Flaw, ...]] = ("wrong error", "late", "not healed", "others touched")
"""What the reference can be held to; it says nothing of what became of a request."""


class Row(NamedTuple):
    """How many calls or faults had which outcome."""

    measured: str
    outcome: str
    count: int


async def killed(client: Client, at_once: int) -> list[Row]:
    """T1."""
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
    """T2."""
    tally = await crossed_replies.drive(client, size, CALLS, at_once, _template(client))
    measured = f"T2: {CALLS:,} calls, {at_once} at once, disturbing replies"
    return [
        Row(measured, "answered", tally.answered),
        Row(measured, "cut short by the caller or a timeout", tally.interrupted),
        Row(measured, "an error", tally.failed.total()),
        Row(measured, "**a wrong answer**", tally.crossed),
    ]


async def faults(subject: Subject, matrix: Sequence[Cell]) -> list[Row]:
    """T5."""
    played = await run_cell(subject, matrix, exact=False)
    flaws = Counter(chain.from_iterable(played.values()))
    measured = f"T5: {len(matrix)} faults"
    right = sum(not found for found in played.values())
    return [Row(measured, "all right", right), *(Row(measured, f"**{flaw}**", flaws[flaw]) for flaw in COMPARED)]


def _template(client: Client) -> dict[str, Any]:
    return WITHOUT_IDS if client is bridge else {}


async def column(client: Client, subject: Subject, size: Size) -> list[Row]:
    """All figures of one of the two."""
    matrix = [cell for cell in cells() if cell.mode == "exclusive" and cell.phase != "discovery"]
    matrix = [cell for cell in matrix if cell.fault_case.where != "name"]
    return [
        *await killed(client, 1),
        *await killed(client, 16),
        *await crossed(client, size, 1),
        *await crossed(client, size, 16),
        *await faults(subject, matrix),
    ]


async def compare(size: Size) -> None:
    """Measure both, and print the table."""
    ours, theirs = await column(bridge, bridge_subject, size), await column(reference, reference_subject, size)
    version = importlib.metadata.version("utcp-websocket")
    print(f"| measured | outcome | utcp-ws-mcp | utcp-websocket {version} |\n{'| --- ' * 4}|")
    for mine, other in zip(ours, theirs, strict=True):
        print(f"| {mine.measured} | {mine.outcome} | {mine.count:,} | {other.count:,} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    asyncio.run(compare(Size(parser.parse_args().seed)))
