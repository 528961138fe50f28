"""T3: simulate the bridge in virtual time with random faults, and check that known defects are found.

`python -m verification.reliability.simulation SEED` repeats one seed and prints all of its events; with `--feed`, a
seed of feeds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .simulation.feed_mutants import FEED_MUTANTS
from .simulation.feed_run import simulate_feed
from .simulation.mutants import MUTANTS, Mutant, apply_mutant
from .simulation.run import Verdict, simulate

PROCESSES: Final = 2
BATCH_SIZE: Final = 500
"""Seeds per task of a process."""

FEED_BATCH_SIZE: Final = 50

MAX_SEEDS_PER_MUTANT: Final = 12_000
"""Seeds within which a defect must be found."""

MAX_VIOLATIONS_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of a batch of seeds: their number, their calls or reads, and the violations as (seed, description)."""

    seeds: int
    calls: int
    violations: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class MutantResult:
    """The number of seeds until a defect was found (None: not found), and the violation."""

    seeds: int | None
    violation: str = ""


async def measure(size: Size) -> Sequence[Figure]:
    """Simulate the seeds of calls and of feeds, then search each defect."""
    rng = size.random()
    count, feeds = size.of(20_000, 1_000_000, light=3_000), size.of(500, 25_000, light=200)
    first = rng.randrange(1 << 40)
    # In the small size some of the defects, others with each seed.
    of_calls = sorted(rng.sample(range(len(MUTANTS)), size.of(len(MUTANTS), len(MUTANTS), light=6)))
    of_feeds = sorted(rng.sample(range(len(FEED_MUTANTS)), size.of(len(FEED_MUTANTS), len(FEED_MUTANTS), light=4)))
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as processes:
        # All are submitted at once, the longest ones first.
        found_of_calls = processes.map(_find_mutant, of_calls, [first] * len(of_calls))
        found_of_feeds = processes.map(_find_feed_mutant, of_feeds, [first] * len(of_feeds))
        batches = list(processes.map(_run_batch, range(first, first + count, BATCH_SIZE)))
        feed_batches = list(processes.map(_run_feed_batch, range(first, first + feeds, FEED_BATCH_SIZE)))
        found = [*found_of_calls, *found_of_feeds]
    return [
        _violations_figure(batches, count, "calls"),
        _violations_figure(feed_batches, feeds, "reads of feeds"),
        _mutants_figure([*(MUTANTS[each] for each in of_calls), *(FEED_MUTANTS[each] for each in of_feeds)], found),
    ]


def _run_batch(first: int) -> BatchResult:
    return _batch_of([simulate(seed) for seed in range(first, first + BATCH_SIZE)])


def _run_feed_batch(first: int) -> BatchResult:
    return _batch_of([simulate_feed(seed) for seed in range(first, first + FEED_BATCH_SIZE)])


def _batch_of(verdicts: Sequence[Verdict]) -> BatchResult:
    violations = tuple((verdict.seed, what) for verdict in verdicts for what in verdict.violations)
    return BatchResult(len(verdicts), sum(verdict.calls for verdict in verdicts), violations)


def _find_mutant(index: int, first: int) -> MutantResult:
    return _find(MUTANTS[index], simulate, first)


def _find_feed_mutant(index: int, first: int) -> MutantResult:
    return _find(FEED_MUTANTS[index], simulate_feed, first)


def _find(mutant: Mutant, run_seed: Callable[[int], Verdict], first: int) -> MutantResult:
    with apply_mutant(mutant):
        for seed in range(first, first + MAX_SEEDS_PER_MUTANT):
            if violations := run_seed(seed).violations:
                return MutantResult(seed - first + 1, violations[0])
    return MutantResult(None)


def _violations_figure(batches: Sequence[BatchResult], count: int, unit: str) -> Figure:
    violations = [violation for each in batches for violation in each.violations]
    for seed, what in violations[:MAX_VIOLATIONS_SHOWN]:
        print(f"seed {seed}: {what}", file=sys.stderr)
    calls, violating = sum(each.calls for each in batches), len({seed for seed, _ in violations})
    result = f"{violating} of {sum(each.seeds for each in batches):,} seeds ({calls:,} {unit})"
    return Figure("T3", "seeds with a violation, in virtual time", result, f"0 of {count:,}", not violating)


def _mutants_figure(mutants: Sequence[Mutant], found: Sequence[MutantResult]) -> Figure:
    for mutant, each in zip(mutants, found, strict=True):
        verdict = (
            f"not in {MAX_SEEDS_PER_MUTANT:,} seeds" if each.seeds is None else f"seed {each.seeds}: {each.violation}"
        )
        print(f"{mutant.what}: {verdict}", file=sys.stderr)
    seeds = [each.seeds for each in found if each.seeds is not None]
    result = f"{len(seeds)} of {len(mutants)}, the last one after {max(seeds, default=0):,} seeds"
    return Figure("T3", "injected defects that were found", result, "all", len(seeds) == len(mutants))


if __name__ == "__main__":
    run(measure)
