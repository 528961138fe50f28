"""A command that measures: `run` makes one of a function that gives comparisons."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .comparison import Comparison


@dataclass(frozen=True, slots=True)
class Size:
    """How much to do. `smoke` only shows that everything works; its figures say nothing."""

    smoke: bool = False

    def of(self, normal: int, smoke: int) -> int:
        """A count."""
        return smoke if self.smoke else normal


Measure = Callable[[Size], Sequence[Comparison]]


def run(measure: Measure) -> None:
    """Measure, print the tables, and exit: 1 if a target is not met, unless it is only a smoke test."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--smoke", action="store_true", help="only show that it works, in seconds")
    given = parser.parse_args()
    comparisons = measure(Size(given.smoke))
    print("\n\n".join(str(comparison) for comparison in comparisons))
    met = all(figure.met for comparison in comparisons for figure in comparison.figures(""))
    sys.exit(not (met or given.smoke))
