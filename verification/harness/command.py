"""A command that measures: `run` makes one of a function that gives figures."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass

from .figure import Figure


@dataclass(frozen=True, slots=True)
class Size:
    """How much to do. `seed` decides everything that is random; the same seed does the same again."""

    seed: int
    nightly: bool = False

    def of(self, normal: int, nightly: int) -> int:
        """A count: `normal` in CI, `nightly` in the large size."""
        return nightly if self.nightly else normal

    def random(self) -> random.Random:
        """A new source of randomness, the same one each time."""
        return random.Random(self.seed)


Measure = Callable[[Size], Awaitable[Sequence[Figure]]]


def run(measure: Measure) -> None:
    """Measure, print a line for each figure, and exit: 0 if every target is met, else 1."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--seed", type=int, default=None, help="repeat a run; without it one is chosen and printed")
    parser.add_argument("--nightly", action="store_true", help="the large size")
    parser.add_argument("--json", action="store_true", help="figures as JSON lines, for the table")
    given = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if given.seed is None else given.seed
    figures = asyncio.run(_measured(measure, Size(seed, given.nightly)))
    for figure in figures:
        print(json.dumps(asdict(figure)) if given.json else figure)
    if not given.json or not all(figure.met for figure in figures):
        print(f"seed {seed}", file=sys.stderr)
    sys.exit(not all(figure.met for figure in figures))


async def _measured(measure: Measure, size: Size) -> Sequence[Figure]:
    return await measure(size)
