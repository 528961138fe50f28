"""Delays between attempts: with so much jitter that many clients do not come back at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FIRST: Final = 0.5
"""Seconds that the first delay is at most."""

LEAST: Final = 0.4
"""The share of a delay that is not left to chance: with less of it, one client of many asks too often (T12)."""

LONGEST: Final = 30.0
LONGEST_FOR_CALLS: Final = 5.0
"""Seconds that a call waits at most before its endpoint is tried again: it has to be there for a healed endpoint."""

FREE: Final = 3
"""Failures in a row before a call has to wait: somebody who mends an endpoint tries it at once."""

UNHEALING: Final = frozenset({1003, 1007, 1008, 1010, 4001, 4003, 4004, 4401, 4403})
"""Close codes after which the same request fails again: policy, form, authentication (RFC 6455 §7.4)."""


def delay(failures: int, random: Callable[[], float]) -> float:
    """Seconds to wait after so many failures in a row; `random()` is uniform in [0, 1)."""
    ceiling: float = min(FIRST * 2 ** min(failures - 1, 16), LONGEST)
    return ceiling * (LEAST + (1 - LEAST) * random())


def spread(seconds: float, random: Callable[[], float]) -> float:
    """About so many seconds: half as many to half as many more."""
    return seconds * (0.5 + random())


class Circuit:
    """When an endpoint may be tried again. It forgets its failures only when a connection has proved itself."""

    def __init__(self) -> None:
        self._failures = 0
        self._not_before = 0.0

    def __repr__(self) -> str:
        return f"<Circuit failures={self._failures}>"

    @property
    def is_open(self) -> bool:
        """Whether one attempt at a time has to do."""
        return self._failures >= FREE

    def failed(self, now: float, random: Callable[[], float]) -> None:
        """An attempt failed, or the connection ended before anything came over it. `now` is monotonic seconds."""
        self._failures += 1
        if self.is_open:
            self._not_before = now + min(delay(self._failures - FREE + 1, random), LONGEST_FOR_CALLS)

    def wait(self, now: float) -> float:
        """Seconds until the next attempt."""
        return max(0.0, self._not_before - now)
