"""The command line of a measuring command: `run` calls a function that returns figures."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass

from .clock import FairLoop
from .figure import Figure


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a measurement. `seed` initializes all randomness, so that the same seed repeats a run."""

    seed: int
    nightly: bool = False
    light: bool = False

    def of(self, normal: int, nightly: int, light: int | None = None) -> int:
        """Return `normal`; in the large size `nightly`, and in the small one `light` if there is one."""
        if self.nightly:
            return nightly
        return normal if light is None or not self.light else light

    def random(self) -> random.Random:
        """Return a new random generator, always with the same seed."""
        return random.Random(self.seed)


Measure = Callable[[Size], Awaitable[Sequence[Figure]]]


def run(measure: Measure) -> None:
    """Measure, print one line per figure, and exit with 0 if every target is met, else with 1."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--seed", type=int, default=None, help="repeat a run; default: a random seed, which is printed")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--nightly", action="store_true", help="use the large size")
    sizes.add_argument("--light", action="store_true", help="use the small size")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON lines")
    options = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    with asyncio.Runner(loop_factory=FairLoop) as runner:
        figures = runner.run(_measure(measure, Size(seed, options.nightly, options.light)))
    for figure in figures:
        print(json.dumps(asdict(figure)) if options.json else figure)
    if not options.json or not all(figure.met for figure in figures):
        print(f"seed {seed}", file=sys.stderr)
    sys.exit(not all(figure.met for figure in figures))


async def _measure(measure: Measure, size: Size) -> Sequence[Figure]:
    return await measure(size)
