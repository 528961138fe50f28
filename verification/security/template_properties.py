"""The laws of templates, each tried on as many examples as it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import hypothesis

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .template_laws import Law, laws

NIGHTLY: Final = 100_000
EXAMPLES: Final = 700
"""Examples of each law in CI: what about 20 s suffice for."""


def try_law(law: Law, examples: int, seed: int) -> tuple[int, str | None]:
    """How many examples were tried, and the smallest one found that breaks the law."""
    tried = 0
    shown: list[Any] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        verbosity=hypothesis.Verbosity.quiet,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    )
    @hypothesis.given(law.strategy)
    def holds(drawn: Any) -> None:
        nonlocal tried
        tried += 1
        shown[:] = [drawn]
        law.check(drawn)

    try:
        holds()
    except Exception as broken:  # the last example that was run is the smallest that fails
        return tried, f"{type(broken).__name__}: {broken} on {shown[0]!r}"[:400]
    return tried, None


async def measure(size: Size) -> Sequence[Figure]:
    """A figure for each law."""
    wanted = size.of(EXAMPLES, NIGHTLY, light=EXAMPLES // 4)
    figures = []
    for law in laws():
        tried, broken = try_law(law, wanted, size.seed)
        result = broken or f"holds for {tried:,} examples"
        figures.append(Figure("S6", law.statement, result, f"holds for {wanted:,}", broken is None and tried >= wanted))
    return figures


if __name__ == "__main__":
    run(measure)
