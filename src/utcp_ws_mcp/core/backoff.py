"""Delays between attempts, with enough jitter that many clients do not come back at the same time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

INITIAL_BACKOFF: Final = 0.5
"""Seconds that the first delay is at most."""

MIN_BACKOFF_FRACTION: Final = 0.4
"""The share of a delay that is not random. With less of it, one client of many retries too often (T12)."""

MAX_BACKOFF: Final = 30.0
"""Seconds that a delay is at most."""

FATAL_CLOSE_CODES: Final = frozenset({1003, 1007, 1008, 1010, 4001, 4003, 4004, 4401, 4403})
"""Close codes after which the same request fails again: policy, format, authentication (RFC 6455 §7.4)."""


def backoff_delay(failures: int, random: Callable[[], float]) -> float:
    """Return the seconds to wait after a number of failures in a row (at least 1): exponential, with jitter.

    `random` returns a number that is uniform in [0, 1).
    """
    # The exponent is bounded, because 2 ** failures would be a huge integer for an endpoint that is down for days.
    ceiling: float = min(INITIAL_BACKOFF * 2 ** min(failures - 1, 16), MAX_BACKOFF)
    return ceiling * (MIN_BACKOFF_FRACTION + (1 - MIN_BACKOFF_FRACTION) * random())


def with_jitter(seconds: float, random: Callable[[], float]) -> float:
    """Return a delay that is uniform between half and one and a half times `seconds`."""
    return seconds * (0.5 + random())
