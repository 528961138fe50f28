"""Draw a random sample of mutants of `src`, and run for each the tests that cover it.

Print the score by folder, and each survivor as a diff. The same seed and size give the same mutants of the same code.
Two workers run at a time, each in a copy of the repository in the folder of temporary files.
"""

from __future__ import annotations

import argparse
import difflib
import json
import random
import secrets
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

from . import measure
from .coverage_map import CoverageMap
from .forked import find_killed
from .operators import Mutant, compiles, find_mutants
from .sandbox import Attempt, Sandbox, Trial, Verdict

ROOT: Final = Path(__file__).resolve().parents[2]
BUILD: Final = ROOT / "build" / "mutants"
_MISSED: Final = (Verdict.SURVIVED, Verdict.UNTESTED, Verdict.UNSURE)


def main() -> None:
    """Run the sample, and print what came."""
    parser = argparse.ArgumentParser(prog="verification.mutants", description=__doc__)
    parser.add_argument("--size", type=int, default=200, help="how many mutants (default: 200)")
    parser.add_argument("--seed", type=int, default=None, help="repeat a sample; default: a random one, printed")
    parser.add_argument("--folder", default="", help="only mutants below this folder of src/utcp_ws_mcp")
    parser.add_argument("--workers", type=int, default=2, help="pytest processes at a time (default: 2)")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of tests for a mutant (default: 60)")
    parser.add_argument("--stale-map", action="store_true", help="keep an old map: measure only changed tests")
    parser.add_argument("--list", action="store_true", help="only print the sample")
    options = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    sample = draw(ROOT, options.folder, options.size, seed)
    print(f"{len(sample)} mutants, seed {seed}")
    if options.list:
        for mutant in sample:
            print(f"{describe(mutant, ROOT)}\n")
        return
    covered = measure.load(ROOT, BUILD, stale=options.stale_map, workers=options.workers)
    trials = run(sample, covered, workers=options.workers, budget=options.budget)
    print(table(trials))
    for trial in trials:
        if trial.verdict in _MISSED:
            print(f"\n{trial.verdict} {trial.tests_run} of {trial.tests_known} tests\n{describe(trial.mutant, ROOT)}")


def draw(root: Path, folder: str, size: int, seed: int) -> list[Mutant]:
    """Return a random sample of the mutants below a folder, in the order of their files."""
    sources = {path: path.read_bytes() for path in sorted((root / "src/utcp_ws_mcp" / folder).rglob("*.py"))}
    names = {path.relative_to(root).as_posix(): source for path, source in sources.items()}
    mutants = [mutant for name, source in names.items() for mutant in find_mutants(name, source)]
    random.Random(seed).shuffle(mutants)
    chosen: list[Mutant] = []
    known = known_equivalents()
    for mutant in mutants:
        if len(chosen) == size:
            break
        source = names[mutant.path]
        if compiles(mutant, source) and not is_equivalent(mutant, source, known):
            chosen.append(mutant)
    return sorted(chosen, key=lambda each: (each.path, each.start))


def run(sample: Sequence[Mutant], covered: CoverageMap, *, workers: int, budget: float) -> list[Trial]:
    """Try each mutant; print a line for each as it ends."""
    attempts = [plan(mutant, covered, budget) for mutant in sample]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(workers) as executor:
        copies = [Path(folder) / str(number) for number in range(workers)]
        sandboxes = list(executor.map(partial(Sandbox, ROOT), copies))
        shares = [attempts[number::workers] for number in range(workers)]
        trials = list(chain.from_iterable(executor.map(run_share, sandboxes, shares)))
        return confirm(sorted(trials, key=lambda trial: sample.index(trial.mutant)), sandboxes[0], covered.seconds)


def plan(mutant: Mutant, covered: CoverageMap, budget: float) -> Attempt:
    """Return which tests are run for a mutant."""
    tests, known = covered.find_tests(mutant, ROOT)
    chosen = within(tests, covered.seconds, budget)
    return Attempt(mutant, chosen, sum(covered.seconds[test] for test in chosen), known, len(tests))


def run_share(sandbox: Sandbox, attempts: Sequence[Attempt]) -> list[Trial]:
    """Try mutants in one copy of the repository."""
    killed = find_killed(sandbox, attempts)
    trials: list[Trial] = []
    for number, attempt in enumerate(attempts):
        if (killer := killed.get(number)) is not None:
            trial = Trial(attempt.mutant, Verdict.KILLED, len(attempt.tests), attempt.of, killer)
        else:
            trial = sandbox.run(attempt)
        place = f"{attempt.mutant.path}:{attempt.mutant.first_line}"
        print(f"{trial.verdict:9}{place} ({attempt.mutant.kind}) {trial.killer}", file=sys.stderr)
        trials.append(trial)
    return trials


def confirm(trials: Sequence[Trial], sandbox: Sandbox, seconds: dict[str, float]) -> list[Trial]:
    """Run the tests that killed mutants once without any: what fails there as well says nothing about its mutant."""
    killers = sorted({trial.killer for trial in trials} & seconds.keys())
    failing = sandbox.find_failing(killers, sum(seconds[test] for test in killers)) if killers else set[str]()
    return [replace(trial, verdict=Verdict.UNSURE) if trial.killer in failing else trial for trial in trials]


def within(tests: Sequence[str], seconds: dict[str, float], budget: float) -> list[str]:
    """Return the first tests that together take no more than a budget, in seconds; at least one."""
    chosen: list[str] = []
    left = budget
    for test in tests:
        left -= seconds[test]
        if left < 0 and chosen:
            break
        chosen.append(test)
    return chosen


def known_equivalents() -> set[tuple[str, str, str]]:
    """Return the mutants that were judged to be equivalent: path, line before and line after the change."""
    judged = json.loads((Path(__file__).parent / "equivalent.json").read_text(encoding="utf-8"))
    return {(each["path"], each["before"], each["after"]) for each in judged}


def is_equivalent(mutant: Mutant, source: bytes, known: set[tuple[str, str, str]]) -> bool:
    """Return whether a mutant is among those that were judged to be equivalent; line numbers do not matter."""
    return (mutant.path, *changed_line(mutant, source)) in known


def changed_line(mutant: Mutant, source: bytes) -> tuple[str, str]:
    """Return the first line of the changed node, before and after the change."""
    before, after = (text.decode().splitlines() for text in (source, mutant.apply(source)))
    return before[mutant.first_line - 1].strip(), after[mutant.first_line - 1].strip()


def table(trials: Iterable[Trial]) -> str:
    """Return the score by folder, as a Markdown table."""
    by_folder: dict[str, list[Verdict]] = defaultdict(list)
    for trial in trials:
        parts = Path(trial.mutant.path).relative_to("src/utcp_ws_mcp").parts
        by_folder[parts[0] if len(parts) > 1 else "(top)"].append(trial.verdict)
    by_folder["all"] = [verdict for verdicts in list(by_folder.values()) for verdict in verdicts]
    rows = ["| folder | mutants | killed | survived | no test | unsure | score |", "|" + " --- |" * 7]
    for folder, verdicts in by_folder.items():
        missed = [verdicts.count(verdict) for verdict in _MISSED]
        killed = len(verdicts) - sum(missed)
        score = f"{killed / len(verdicts):.0%}" if verdicts else "-"
        rows.append(f"| {folder} | {len(verdicts)} | {killed} | {' | '.join(map(str, missed))} | {score} |")
    return "\n".join(rows)


def describe(mutant: Mutant, root: Path) -> str:
    """Return the kind of a mutant and its diff."""
    source = (root / mutant.path).read_bytes()
    before, after = source.decode().splitlines(), mutant.apply(source).decode().splitlines()
    place = f"{mutant.path}:{mutant.first_line}"
    return f"{mutant.kind}\n" + "\n".join(difflib.unified_diff(before, after, place, place, n=1, lineterm=""))


if __name__ == "__main__":
    main()
