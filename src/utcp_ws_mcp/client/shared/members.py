"""The replicas of a fleet: how many there are, and the store that they share."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import anyio

from ...core.fleet_keys import fleet_key
from .store import Script, SharedStore, StoreAway

BEAT_SECONDS: Final = 1.0
"""Seconds between two signs of life of a replica, and between two probes of a store that is away."""
LIFE_SECONDS: Final = 5.0
"""Seconds after its last sign of life in which a replica counts."""
ASSUMED_REPLICAS: Final = 2
"""Replicas while the store has never answered: a fleet has more than one."""

# The second key has the time when the store lost its data, in milliseconds since 1970, or 0: only a replica that was
# a member before can notice a loss.
_BEAT: Final = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', KEYS[2], ARGV[3] == '1' and string.format('%.0f', now) or 0, 'NX')
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
""")
LOSS_KEPT_SECONDS: Final = 86_400.0
"""Seconds without a replica after which the time of the last loss is removed."""

_LEAVE: Final = Script("return redis.call('ZREM', KEYS[1], ARGV[1])")


class Members:
    """The replicas of one deployment, as far as this one sees them.

    Args:
        fleet: The name of the fleet.
        replica: The name of this replica, which no other has.
        store: What they share.

    Attributes:
        count: How many there are.
        loss_key: The name under which the store has the time when it last lost its data.
    """

    def __init__(self, fleet: str, replica: str, store: SharedStore) -> None:
        self.fleet = fleet
        self.replica = replica
        self.store = store
        self.count = ASSUMED_REPLICAS
        self.loss_key = fleet_key(fleet, "lost-at")
        self._key = fleet_key(fleet, "replicas")
        self._is_member = False

    async def beat(self) -> None:
        """Give a sign of life, and count the replicas.

        Raises:
            StoreAway: if the store does not answer.
        """
        life, kept = round(1000 * LIFE_SECONDS), round(1000 * LOSS_KEPT_SECONDS)
        args: list[str | int] = [self.replica, life, int(self._is_member), kept]
        self.count = max(1, int(await self.store.probe(_BEAT, [self._key, self.loss_key], args)))
        self._is_member = True

    async def keep_alive(self) -> None:
        """Give signs of life until the task is cancelled."""
        while True:
            await anyio.sleep(BEAT_SECONDS)
            with suppress(StoreAway):
                await self.beat()

    async def leave(self) -> None:
        """Stop to count as a replica."""
        with suppress(StoreAway):
            await self.store.run(_LEAVE, [self._key], [self.replica])
