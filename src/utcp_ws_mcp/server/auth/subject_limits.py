"""How many tools a subject may call in a second (`--requests-per-subject`). Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from .identity import Identity

MAX_SUBJECTS: Final = 10_000
"""Subjects that are remembered; the one that called longest ago is forgotten."""

BURST_SECONDS: Final = 1.0
"""A subject that was idle may send the calls of so many seconds at once, at least one."""


class SubjectLimits:
    """Counts the calls of each subject with the generic cell rate algorithm (GCRA).

    Args:
        per_second: Calls a second.
        clock: Returns monotonic seconds.
    """

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        self.per_second = per_second
        self.interval = 1 / per_second
        self._clock = clock
        self._busy_until: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def take(self, identity: Identity) -> float:
        """Count a call and return 0; where the subject has too many, return the seconds until the next is allowed."""
        return self.count(identity)

    def count(self, identity: Identity, replicas: int = 1) -> float:
        """Count a call like `take`, for one of several replicas that share the rate."""
        key, now = (identity.issuer, identity.subject), self._clock()
        interval = self.interval * replicas
        busy_until = max(self._busy_until.get(key, now), now) + interval
        if (wait := busy_until - now - max(interval, BURST_SECONDS)) > 1e-9:
            return wait
        self._busy_until[key] = busy_until
        self._busy_until.move_to_end(key)
        if len(self._busy_until) > MAX_SUBJECTS:
            self._busy_until.popitem(last=False)
        return 0.0
