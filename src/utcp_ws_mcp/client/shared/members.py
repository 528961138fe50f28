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

_BEAT: Final = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
""")
_LEAVE: Final = Script("return redis.call('ZREM', KEYS[1], ARGV[1])")


class Members:
    """The replicas of one deployment, as far as this one sees them.

    Args:
        fleet: The name of the fleet.
        replica: The name of this replica, which no other has.
        store: What they share.

    Attributes:
        count: How many there are.
    """

    def __init__(self, fleet: str, replica: str, store: SharedStore) -> None:
        self.fleet = fleet
        self.replica = replica
        self.store = store
        self.count = ASSUMED_REPLICAS
        self._key = fleet_key(fleet, "replicas")

    async def beat(self) -> None:
        """Give a sign of life, and count the replicas.

        Raises:
            StoreAway: if the store does not answer.
        """
        life = int(LIFE_SECONDS * 1000)
        self.count = max(1, int(await self.store.probe(_BEAT, [self._key], [self.replica, life])))

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
