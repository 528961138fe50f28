"""The command line of a measurement: `run` calls a function that returns comparisons, and prints them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .comparison import Comparison


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a measurement. `smoke` only checks that everything works; its results mean nothing."""

    smoke: bool = False

    def of(self, normal: int, smoke: int) -> int:
        """Return the count for this size."""
        return smoke if self.smoke else normal


Measure = Callable[[Size], Sequence[Comparison]]


def run(measure: Measure) -> None:
    """Measure, print the tables, and exit: 1 if a target is not met, unless it is only a smoke test."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--smoke", action="store_true", help="only check that it works, in seconds")
    given = parser.parse_args()
    comparisons = measure(Size(given.smoke))
    print("\n\n".join(str(comparison) for comparison in comparisons))
    met = all(figure.met for comparison in comparisons for figure in comparison.figures(""))
    sys.exit(not (met or given.smoke))
