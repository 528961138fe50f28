"""S23: every parser of untrusted data accepts a mutated input or rejects it with a documented error."""

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
"""Inputs per parser; a slow parser gets fewer."""

NIGHTLY_INPUT_COUNT: Final = 1_500_000
MAX_SECONDS: Final = 2.0
"""Seconds of processor time per input."""


@dataclass(slots=True)
class Verdicts:
    """The results of a parser. `broken` counts the defects, `examples` holds an input for each."""

    accepted: int = 0
    refused: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    examples: dict[str, bytes] = field(default_factory=dict)


def try_input(parser: Parser, data: bytes) -> str | None:
    """Parse an input. Return "" if it was accepted, None if it was rejected, else the defect."""
    started = time.process_time()
    try:
        parser.accept(data)
        verdict: str | None = ""
    except parser.refusals as refused:
        str(refused).encode("utf-8", "surrogatepass")
        verdict = None
    except KeyboardInterrupt:
        raise
    except BaseException as broken:  # a panic of a Rust library is no Exception
        return f"{type(broken).__name__}: {str(broken)[:120]}"
    seconds = time.process_time() - started
    return f"took {seconds:.1f} s" if seconds > MAX_SECONDS else verdict


def try_many(parser: Parser, draw: random.Random, count: int) -> Verdicts:
    """Parse `count` inputs: the seeds first, then mutations of them."""
    mutator, verdicts = Mutator(draw, parser.seeds), Verdicts()
    inputs = (parser.seeds[turn] if turn < len(parser.seeds) else mutator.next() for turn in range(count))
    for data in inputs:
        match try_input(parser, data):
            case "":
                verdicts.accepted += 1
            case None:
                verdicts.refused += 1
            case defect:
                verdicts.broken[defect] += 1
                verdicts.examples.setdefault(defect, data)
    return verdicts


def figure_of(parser: Parser, verdicts: Verdicts) -> Figure:
    """Return the figure of a parser, with an input for each of the first defects."""
    broken = sum(verdicts.broken.values())
    result = f"{verdicts.accepted:,} accepted, {verdicts.refused:,} rejected, {broken:,} broken"
    for defect, data in list(verdicts.examples.items())[:5]:
        result += f"; {defect} on {data[:300]!r}"
    return Figure("S23", f"{parser.name}, mutated inputs", result, "0 broken, some accepted", _holds(verdicts))


def _holds(verdicts: Verdicts) -> bool:
    return not verdicts.broken and verdicts.accepted > 0


async def measure(size: Size) -> Sequence[Figure]:
    """Test every parser with the same seed."""
    logging.disable()  # libraries log malformed input, which would flood the output
    figures = []
    for parser in parsers():
        count = size.of(INPUT_COUNT, NIGHTLY_INPUT_COUNT, light=INPUT_COUNT // 3) // parser.cost
        verdicts = await asyncio.to_thread(try_many, parser, size.random(), count)  # some parsers start their own loop
        figures.append(figure_of(parser, verdicts))
    return figures


if __name__ == "__main__":
    run(measure)
