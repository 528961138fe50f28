"""Rates that all replicas keep together. Without the store, each replica takes its part of the rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

from ...core.fleet_keys import connection_digest
from ...core.handshake_request import HandshakeRequest
from ..pool.lease import RateLimiter
from .store import Script, SharedStore, StoreAway

if TYPE_CHECKING:
    from .fleet import Fleet

# The generic cell rate algorithm: the stored time is that of the next turn, and one that was idle may be ARGV[4]
# ahead of it. A turn that would come too late is not taken, so that a caller who gives up delays no other.
_TAKE_TURN: Final = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local turn = math.max(now + ARGV[3], tonumber(redis.call('GET', KEYS[1]) or 0))
local wait = math.max(0, turn - now - ARGV[4])
if wait <= tonumber(ARGV[2]) then
  local following = turn + tonumber(ARGV[1])
  redis.call('SET', KEYS[1], string.format('%.0f', following), 'PX', math.ceil((following - now) / 1000) + 1000)
end
return string.format('%.0f', wait)
""")
MAX_PATIENCE: Final = 1e9


async def take_turn(
    store: SharedStore, key: str, interval: float, patience: float, *, earliest: float = 0.0, ahead: float = 0.0
) -> float:
    """Return in how many seconds a request may start, `interval` seconds after the one before it in the fleet.

    Args:
        store: Where the turns are.
        key: The name of the rate there.
        interval: Seconds between two requests.
        patience: If the turn comes later than in so many seconds, it is not taken.
        earliest: Seconds before which the turn does not come.
        ahead: Seconds by which turns may come before their time, after as long without requests.

    Raises:
        StoreAway: if the store does not answer.
    """
    args = [round(each * 1e6) for each in (interval, min(patience, MAX_PATIENCE), earliest, ahead)]
    return int(await store.run(_TAKE_TURN, [key], args)) / 1e6


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
            wait = await take_turn(fleet.store, key, interval, patience, earliest=max(0.0, self._next_start - now))
        except StoreAway:
            self._next_start = max(self._next_start, self._given_until)
            await self.acquire(interval * fleet.replicas)
        else:
            if wait <= patience:
                self._given_until = max(self._given_until, anyio.current_time() + wait + interval)
            await anyio.sleep(wait)
