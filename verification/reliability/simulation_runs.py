"""T3: simulate the bridge in virtual time with random faults, and check that known defects are found.

`python -m verification.reliability.simulation SEED` repeats one seed and prints all of its events.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .simulation.mutants import MUTANTS, apply_mutant
from .simulation.run import simulate

PROCESSES: Final = 2
BATCH_SIZE: Final = 500
"""Seeds per task of a process."""

MAX_SEEDS_PER_MUTANT: Final = 12_000
"""Seeds within which a defect must be found."""

MAX_VIOLATIONS_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of a batch of seeds: their number, their calls, and the violations as (seed, description)."""

    seeds: int
    calls: int
    violations: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class MutantResult:
    """The number of seeds until a defect was found (None: not found), and the violation."""

    seeds: int | None
    violation: str = ""


async def measure(size: Size) -> Sequence[Figure]:
    """Simulate the seeds, then search each defect."""
    rng, count = size.random(), size.of(20_000, 1_000_000)
    first = rng.randrange(1 << 40)
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as processes:
        batches = list(processes.map(_run_batch, range(first, first + count, BATCH_SIZE)))
        found = list(processes.map(_find_mutant, range(len(MUTANTS)), [first] * len(MUTANTS)))
    return [_violations_figure(batches, count), _mutants_figure(found)]


def _run_batch(first: int) -> BatchResult:
    verdicts = [simulate(seed) for seed in range(first, first + BATCH_SIZE)]
    violations = tuple((verdict.seed, what) for verdict in verdicts for what in verdict.violations)
    return BatchResult(len(verdicts), sum(verdict.calls for verdict in verdicts), violations)


def _find_mutant(index: int, first: int) -> MutantResult:
    with apply_mutant(MUTANTS[index]):
        for seed in range(first, first + MAX_SEEDS_PER_MUTANT):
            if violations := simulate(seed).violations:
                return MutantResult(seed - first + 1, violations[0])
    return MutantResult(None)


def _violations_figure(batches: Sequence[BatchResult], count: int) -> Figure:
    violations = [violation for each in batches for violation in each.violations]
    for seed, what in violations[:MAX_VIOLATIONS_SHOWN]:
        print(f"seed {seed}: {what}", file=sys.stderr)
    calls, violating = sum(each.calls for each in batches), len({seed for seed, _ in violations})
    result = f"{violating} of {sum(each.seeds for each in batches):,} seeds ({calls:,} calls)"
    return Figure("T3", "seeds with a violation, in virtual time", result, f"0 of {count:,}", not violating)


def _mutants_figure(found: Sequence[MutantResult]) -> Figure:
    for mutant, each in zip(MUTANTS, found, strict=True):
        verdict = (
            f"not in {MAX_SEEDS_PER_MUTANT:,} seeds" if each.seeds is None else f"seed {each.seeds}: {each.violation}"
        )
        print(f"{mutant.what}: {verdict}", file=sys.stderr)
    seeds = [each.seeds for each in found if each.seeds is not None]
    result = f"{len(seeds)} of {len(MUTANTS)}, the last one after {max(seeds, default=0):,} seeds"
    return Figure("T3", "injected defects that were found", result, "all", len(seeds) == len(MUTANTS))


if __name__ == "__main__":
    run(measure)
