"""Every parser of foreign data under inputs that are nearly right: accepted, or refused by a documented error."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .mutation import Mutator
from .parsers import Parser, parsers

INPUT_COUNT: Final = 6_000
"""Inputs of a parser in CI; a slow one gets fewer."""

NIGHTLY_INPUT_COUNT: Final = 1_500_000
MAX_SECONDS: Final = 2.0
"""Seconds of processor time that one input may take."""


@dataclass(slots=True)
class Verdicts:
    """What a parser did: `broken` are the defects (what happened, and the input)."""

    accepted: int = 0
    refused: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    examples: dict[str, bytes] = field(default_factory=dict)


def try_input(parser: Parser, data: bytes) -> str | None:
    """Give one input to a parser: "" if it was accepted, None if it was refused, else what is wrong."""
    started = time.process_time()
    try:
        parser.accept(data)
        verdict: str | None = ""
    except parser.refusals as refused:
        str(refused).encode("utf-8", "surrogatepass")
        verdict = None
    except KeyboardInterrupt:
        raise
    except BaseException as broken:  # a panic of a library in Rust is no Exception
        return f"{type(broken).__name__}: {str(broken)[:120]}"
    took = time.process_time() - started
    return f"took {took:.1f} s" if took > MAX_SECONDS else verdict


def try_many(parser: Parser, draw: random.Random, count: int) -> Verdicts:
    """Give the seeds and `count` inputs made of them to a parser."""
    mutator, verdicts = Mutator(draw, parser.seeds), Verdicts()
    inputs = (parser.seeds[turn] if turn < len(parser.seeds) else mutator.next() for turn in range(count))
    for data in inputs:
        match try_input(parser, data):
            case "":
                verdicts.accepted += 1
            case None:
                verdicts.refused += 1
            case wrong:
                verdicts.broken[wrong] += 1
                verdicts.examples.setdefault(wrong, data)
    return verdicts


def figure_of(parser: Parser, verdicts: Verdicts) -> Figure:
    """A parser's figure; the first defect is shown with an input that brings it about."""
    broken = sum(verdicts.broken.values())
    result = f"{verdicts.accepted:,} accepted, {verdicts.refused:,} refused, {broken:,} broken"
    for wrong, data in list(verdicts.examples.items())[:5]:
        result += f"; {wrong} on {data[:300]!r}"
    return Figure("S15", f"{parser.name}, inputs nearly right", result, "0 broken, some accepted", _holds(verdicts))


def _holds(verdicts: Verdicts) -> bool:
    return not verdicts.broken and verdicts.accepted > 0


async def measure(size: Size) -> Sequence[Figure]:
    """Every parser in turn, each with the same seed."""
    logging.disable()  # what a library says of malformed input is not what is measured
    figures = []
    for parser in parsers():
        count = size.of(INPUT_COUNT, NIGHTLY_INPUT_COUNT) // parser.cost
        verdicts = await asyncio.to_thread(try_many, parser, size.random(), count)  # some start a loop of their own
        figures.append(figure_of(parser, verdicts))
    return figures


if __name__ == "__main__":
    run(measure)
