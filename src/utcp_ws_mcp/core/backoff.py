"""Delays between attempts: with so much jitter that many clients do not come back at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

INITIAL_BACKOFF: Final = 0.5
"""Seconds that the first delay is at most."""

MIN_BACKOFF_FRACTION: Final = 0.4
"""The share of a delay that is not left to chance: with less of it, one client of many asks too often (T12)."""

MAX_BACKOFF: Final = 30.0
MAX_CALL_BACKOFF: Final = 5.0
"""Seconds that a call waits at most before its endpoint is tried again: it has to be there for a healed endpoint."""

FAILURE_THRESHOLD: Final = 3
"""Failures in a row before a call has to wait: somebody who mends an endpoint tries it at once."""

FATAL_CLOSE_CODES: Final = frozenset({1003, 1007, 1008, 1010, 4001, 4003, 4004, 4401, 4403})
"""Close codes after which the same request fails again: policy, form, authentication (RFC 6455 §7.4)."""


def backoff_delay(failures: int, random: Callable[[], float]) -> float:
    """Seconds to wait after so many failures in a row; `random()` is uniform in [0, 1)."""
    ceiling: float = min(INITIAL_BACKOFF * 2 ** min(failures - 1, 16), MAX_BACKOFF)
    return ceiling * (MIN_BACKOFF_FRACTION + (1 - MIN_BACKOFF_FRACTION) * random())


def with_jitter(seconds: float, random: Callable[[], float]) -> float:
    """About so many seconds: half as many to half as many more."""
    return seconds * (0.5 + random())


class CircuitBreaker:
    """When an endpoint may be tried again. It forgets its failures only when a connection has proved itself."""

    def __init__(self) -> None:
        self._failures = 0
        self._retry_at = 0.0

    def __repr__(self) -> str:
        return f"<Circuit failures={self._failures}>"

    @property
    def is_tripped(self) -> bool:
        """Whether one attempt at a time has to do."""
        return self._failures >= FAILURE_THRESHOLD

    def record_failure(self, now: float, random: Callable[[], float]) -> None:
        """An attempt failed, or the connection ended before anything came over it. `now` is monotonic seconds."""
        self._failures += 1
        if self.is_tripped:
            self._retry_at = now + min(backoff_delay(self._failures - FAILURE_THRESHOLD + 1, random), MAX_CALL_BACKOFF)

    def retry_after(self, now: float) -> float:
        """Seconds until the next attempt."""
        return max(0.0, self._retry_at - now)
