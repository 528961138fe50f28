"""Delays between attempts: full jitter, so that many clients do not come back at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FIRST: Final = 0.5
"""Seconds that the first delay is at most."""

LONGEST: Final = 30.0


def delay(failures: int, random: Callable[[], float]) -> float:
    """Seconds to wait after so many failures in a row; `random()` is uniform in [0, 1)."""
    ceiling: float = min(FIRST * 2 ** min(failures - 1, 16), LONGEST)
    return ceiling * (0.5 + random() / 2) if failures == 1 else ceiling * max(random(), 0.1)
