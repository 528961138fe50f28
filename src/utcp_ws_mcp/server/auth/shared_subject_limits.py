"""`--requests-per-subject` with `--shared`: the replicas of a fleet count the calls of a subject together."""

from __future__ import annotations

from collections.abc import Callable

from ...client.shared.fleet import Fleet
from ...client.shared.rates import take_turn
from ...client.shared.store import StoreAway
from ...core.fleet_keys import text_digest
from .identity import Identity
from .subject_limits import BURST_SECONDS, SubjectLimits


class SharedSubjectLimits(SubjectLimits):
    """Counts in the shared store; while it is away, each replica allows its part of the rate.

    Args:
        per_second: Calls a second.
        clock: Returns monotonic seconds.
        fleet: The replicas.
    """

    def __init__(self, per_second: float, clock: Callable[[], float], fleet: Fleet) -> None:
        super().__init__(per_second, clock)
        self._fleet = fleet

    async def take(self, identity: Identity) -> float:
        """Count a call and return 0; where the subject has too many, return the seconds until the next is allowed."""
        key = self._fleet.key("subject", text_digest(identity.issuer, identity.subject))
        ahead = max(0.0, BURST_SECONDS - self.interval)
        try:
            return await take_turn(self._fleet.store, key, self.interval, patience=0.0, ahead=ahead)
        except StoreAway:
            return self.count(identity, self._fleet.replicas)
