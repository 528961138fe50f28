"""The fleet that a replica belongs to: how many replicas there are, and the turns that they give each other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from ...core.fleet_keys import connection_digest, fleet_key
from ...core.handshake_request import HandshakeRequest
from ...observability.events import Observer
from ..pool.lease import RateLimiter
from .accounts import Accounts
from .address import StoreAddress
from .store import STORE_TIMEOUT, Script, SharedStore, StoreAway, refuse_start
from .tokens import SharedTokens

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

# The generic cell rate algorithm without a burst: the stored time is that of the next turn. A turn that would come
# too late is not taken, so that a caller who gives up delays no other.
_TAKE_TURN: Final = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local turn = math.max(now + ARGV[3], tonumber(redis.call('GET', KEYS[1]) or 0))
local wait = turn - now
if wait <= tonumber(ARGV[2]) then
  local following = turn + tonumber(ARGV[1])
  redis.call('SET', KEYS[1], string.format('%.0f', following), 'PX', math.ceil((following - now) / 1000) + 1000)
end
return string.format('%.0f', wait)
""")


class Fleet:
    """The replicas of one deployment, as far as this one sees them.

    Args:
        name: The name of the fleet.
        replica: The name of this replica, which no other has.
        store: What they share.
        key: Encrypts the tokens that they share; None: they share none.
    """

    def __init__(self, name: str, replica: str, store: SharedStore, key: str | None = None) -> None:
        self.accounts = Accounts(self)
        self.name = name
        self.replica = replica
        self.store = store
        self.replicas = ASSUMED_REPLICAS
        self.tokens = None if key is None else SharedTokens(self, key)

    def key(self, *parts: str) -> str:
        """Return the name of something that the fleet shares."""
        return fleet_key(self.name, *parts)

    def rate_limiter(self) -> RateLimiter:
        """Return the rate limiter of a manual."""
        return SharedRateLimiter(self)

    def describe(self) -> dict[str, object]:
        """Return the state of the fleet for a reader."""
        away = self.store.away
        return {"fleet": self.name, "replicas": self.replicas, "store": "in use" if away is None else f"away: {away}"}

    async def beat(self) -> None:
        """Give a sign of life, and count the replicas.

        Raises:
            StoreAway: if the store does not answer.
        """
        life = int(LIFE_SECONDS * 1000)
        self.replicas = max(1, int(await self.store.probe(_BEAT, [self.key("replicas")], [self.replica, life])))

    async def keep_alive(self) -> None:
        """Give signs of life until the task is cancelled."""
        while True:
            await anyio.sleep(BEAT_SECONDS)
            try:
                await self.beat()
            except StoreAway:
                continue

    async def leave(self) -> None:
        """Stop to count as a replica."""
        try:
            await self.store.run(_LEAVE, [self.key("replicas")], [self.replica])
        except StoreAway:
            return

    async def take_turn(self, key: str, interval: float, patience: float, earliest: float = 0.0) -> float:
        """Return in how many seconds a request may start, `interval` seconds after the one before it in the fleet.

        If that is later than `patience` seconds, the turn is not taken. It is not before `earliest` seconds.

        Raises:
            StoreAway: if the store does not answer.
        """
        args = [round(interval * 1e6), round(min(patience, 1e9) * 1e6), round(earliest * 1e6)]
        return int(await self.store.run(_TAKE_TURN, [key], args)) / 1e6


class SharedRateLimiter(RateLimiter):
    """Space out the requests of all replicas; without the store, this replica takes its part of the rate.

    Its part begins behind the turns that the store has given, and those of the store begin behind its part, so that
    requests which wait during a change do not add up.
    """

    def __init__(self, fleet: Fleet) -> None:
        super().__init__()
        self._fleet = fleet
        self._given_until = 0.0

    async def wait_turn(self, handshake: HandshakeRequest) -> None:
        """Wait until the fleet may send a request."""
        limits = handshake.template.limits
        assert limits.requests_per_second is not None
        if limits.scope == "replica":
            await super().wait_turn(handshake)
            return
        interval, fleet = 1 / limits.requests_per_second, self._fleet
        key = fleet.key(handshake.manual, connection_digest(handshake), "rate")
        try:
            now = anyio.current_time()
            patience = max(0.0, anyio.current_effective_deadline() - now)
            wait = await fleet.take_turn(key, interval, patience, max(0.0, self._next_start - now))
        except StoreAway:
            self._next_start = max(self._next_start, self._given_until)
            await self.acquire(interval * fleet.replicas)
        else:
            if wait <= patience:
                self._given_until = max(self._given_until, anyio.current_time() + wait + interval)
            await anyio.sleep(wait)


@asynccontextmanager
async def open_fleet(
    name: str, replica: str, address: StoreAddress, observe: Observer, key: str | None = None
) -> AsyncIterator[Fleet]:
    """Join a fleet for the duration of a block.

    A store that is away is no reason not to start: it may be restarting as well.

    Raises:
        ServeOptionsError: if the store refuses this replica, or is none.
    """
    fleet = Fleet(name, replica, SharedStore(address, observe), key)
    try:
        await fleet.beat()
    except StoreAway as away:
        if away.code == "shared-store-refused":
            await fleet.store.aclose()
            raise refuse_start(address, away) from away
    async with anyio.create_task_group() as tasks:
        fleet.accounts.tasks = tasks
        tasks.start_soon(fleet.keep_alive)
        try:
            yield fleet
        finally:
            tasks.cancel_scope.cancel()
            with anyio.move_on_after(2 * STORE_TIMEOUT, shield=True):
                await fleet.accounts.aclose()
                await fleet.leave()
                await fleet.store.aclose()
