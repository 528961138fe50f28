"""How many tools a subject may call in a second (`--requests-per-subject`). Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from .identity import Identity

MAX_SUBJECTS: Final = 10_000
"""Subjects that are remembered; the one that called longest ago is forgotten."""


class SubjectLimits:
    """Counts the calls of each subject with the generic cell rate algorithm (GCRA).

    Args:
        per_second: Calls a second; a subject that was idle may send as many at once, at least one.
        clock: Returns monotonic seconds.
    """

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        self.per_second = per_second
        self._interval = 1 / per_second
        self._burst = max(1.0, per_second) * self._interval
        self._clock = clock
        self._busy_until: OrderedDict[tuple[str, str], float] = OrderedDict()

    def take(self, identity: Identity) -> float:
        """Count a call and return 0; where the subject has too many, return the seconds until the next is allowed."""
        key, now = (identity.issuer, identity.subject), self._clock()
        busy_until = max(self._busy_until.get(key, now), now) + self._interval
        if (wait := busy_until - now - self._burst) > 1e-9:
            return wait
        self._busy_until[key] = busy_until
        self._busy_until.move_to_end(key)
        if len(self._busy_until) > MAX_SUBJECTS:
            self._busy_until.popitem(last=False)
        return 0.0
