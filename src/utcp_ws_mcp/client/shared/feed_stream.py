"""The events of a feed in the shared store: who owns the feed, and a stream that only the owner can extend.

The owner has a lease with a token, and each write is a script that checks the token: an owner that was paused and
lost its lease cannot write any more. The identifier of an entry is `EPOCH-NUMBER`, so that a reader of any replica
knows which entries it lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_hex
from typing import Final

from ...records import Record
from .fleet import Fleet
from .store import Script, StreamEntry

LEASE_SECONDS: Final = 5.0
"""Seconds after which another replica takes over a feed whose owner does not renew its lease."""
TOKEN_BYTES: Final = 8

_CLAIM: Final = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local holder, life = redis.call('GET', KEYS[1]), redis.call('HGET', KEYS[2], 'epoch')
if not holder and ARGV[4] ~= '' and life ~= ARGV[4] then return {-1, false, false, false, false, false} end
local owned = holder == ARGV[1] or redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
if owned then
  redis.call('HSETNX', KEYS[2], 'epoch', string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
else
  redis.call('SET', KEYS[3], 1, 'PX', ARGV[2])
end
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'number', 'offset', 'gap', 'since')
return {owned and 1 or 0, unpack(meta)}
""")
_RENEW: Final = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
for index = 2, 4 do redis.call('PEXPIRE', KEYS[index], ARGV[3]) end
if ARGV[4] == '1' then redis.call('HSET', KEYS[2], 'since', redis.call('TIME')[1]) end
return redis.call('EXISTS', KEYS[5])
""")
# Entries that were written already are left out: the owner repeats a write whose answer was lost.
_APPEND: Final = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local written = tonumber(redis.call('HGET', KEYS[2], 'number') or 0)
for index = 10, #ARGV, 2 do
  local number = tonumber(ARGV[index])
  if number > written then
    redis.call('XADD', KEYS[3], 'MAXLEN', ARGV[3], ARGV[2] .. '-' .. ARGV[index], 'e', ARGV[index + 1])
    redis.call('HSET', KEYS[2], 'number', ARGV[index], 'offset', ARGV[5], 'gap', ARGV[6])
  end
end
if ARGV[4] ~= '0' then redis.call('XTRIM', KEYS[3], 'MINID', ARGV[2] .. '-' .. ARGV[4]) end
if ARGV[9] == '1' then redis.call('HSET', KEYS[2], 'since', redis.call('TIME')[1]) end
if ARGV[7] ~= '' then redis.call('XADD', KEYS[4], 'MAXLEN', 1, '*', 's', ARGV[7]) end
for index = 2, 4 do redis.call('PEXPIRE', KEYS[index], ARGV[8]) end
return 1
""")
_RELEASE: Final = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '1' then redis.call('HSET', KEYS[2], 'since', redis.call('TIME')[1]) end
redis.call('DEL', KEYS[1])
redis.call('XADD', KEYS[4], 'MAXLEN', 1, '*', 'released', 1)
return 1
""")


class LeaseLost(Exception):
    """Another replica owns the feed, or may own it."""


class Claim(Record):
    """What an attempt to own a feed has found.

    Attributes:
        owned: Whether this replica owns it now.
        is_lost: The store has lost the life of the feed, and no replica owns it.
        epoch: The life of the stream; None if it has none yet.
        number: The number of its last entry.
        offset: The offset of its last event.
        gap: The number of its last gap.
        since: When an owner last had it open, in seconds since 1970; None if none ever had.
    """

    owned: bool
    is_lost: bool
    epoch: str | None
    number: int
    offset: int
    gap: int
    since: float | None


class Tail(Record):
    """What is true behind the last entry of a write.

    Attributes:
        offset: The offset of the last event.
        gap: The number of the last gap.
        state: The state as text; empty if it has not changed.
        is_open: Whether the feed is open.
        oldest: The number of the oldest entry to keep; 0: as many as the size allows.
    """

    offset: int
    gap: int
    state: str
    is_open: bool
    oldest: int


class FeedStream:
    """The shared state of one feed with one set of arguments.

    Args:
        fleet: The fleet.
        name: What is shared: the manual, and a digest.
        size: How many entries are kept.
        keep_seconds: How long the stream outlives its owner.
    """

    def __init__(self, fleet: Fleet, name: Sequence[str], size: int, keep_seconds: float) -> None:
        self._fleet = fleet
        self._size = size
        self._keep = round(keep_seconds * 1000)
        parts = ("lease", "meta", "events", "state", "wanted")
        self._lease, self._meta, self.events, self.states, self._wanted = (fleet.key(*name, part) for part in parts)
        self._keys = [self._lease, self._meta, self.events, self.states]
        self._token = token_hex(TOKEN_BYTES)

    async def claim(self, life: str) -> Claim:
        """Try to own the feed, and say that this replica wants it.

        Args:
            life: The life that the feed must have if no replica owns it; empty: it may be another one.

        Raises:
            StoreAway: if the store does not answer.
        """
        keys = [self._lease, self._meta, self._wanted]
        args: list[str | int] = [self._token, _milliseconds(LEASE_SECONDS), self._keep, life]
        answer = await self._fleet.store.run(_CLAIM, keys, args)
        owned, epoch, number, offset, gap, since = answer
        last_seen = None if since is None else float(since)
        found = None if epoch is None else epoch.decode()
        return Claim(owned == 1, owned < 0, found, int(number or 0), int(offset or 0), int(gap or 0), last_seen)

    async def renew(self, *, is_open: bool) -> bool:
        """Extend the lease; return whether another replica wants the feed.

        Raises:
            LeaseLost: if this replica does not own the feed any more.
            StoreAway: if the store does not answer.
        """
        args: list[str | int] = [self._token, _milliseconds(LEASE_SECONDS), self._keep, int(is_open)]
        answer = int(await self._fleet.store.run(_RENEW, [*self._keys, self._wanted], args))
        if answer < 0:
            raise LeaseLost
        return bool(answer)

    async def append(self, epoch: str, entries: Sequence[tuple[int, str]], tail: Tail) -> None:
        """Write entries and a state.

        Args:
            epoch: The life of the stream.
            entries: Numbers and texts.
            tail: What is true behind the last of them.

        Raises:
            LeaseLost: if this replica does not own the feed any more.
            StoreAway: if the store does not answer. Then the same call may be repeated.
        """
        state = self._fleet.seal(tail.state, self.states) if tail.state else ""
        args: list[str | int | bytes] = [self._token, epoch, self._size, tail.oldest, tail.offset, tail.gap, state]
        args += [self._keep, int(tail.is_open)]
        for number, text in entries:
            args += [number, self._fleet.seal(text, self._place(f"{epoch}-{number}"))]
        if not await self._fleet.store.run(_APPEND, self._keys, args):
            raise LeaseLost

    async def release(self, *, was_open: bool) -> None:
        """Let another replica own the feed at once.

        Raises:
            StoreAway: if the store does not answer; then another one owns it when the lease has ended.
        """
        await self._fleet.store.run(_RELEASE, self._keys, [self._token, int(was_open)])

    def forget_lease(self) -> None:
        """Use another token from now on: what this replica wrote as an owner must not be repeated."""
        self._token = token_hex(TOKEN_BYTES)

    async def read(self, position: str, state_position: str) -> tuple[list[StreamEntry], list[StreamEntry]]:
        """Return the entries and states behind two positions; wait a while for the first.

        Raises:
            StoreAway: if the store does not answer.
        """
        found = await self._fleet.store.read_streams({self.events: position, self.states: state_position})
        return found.get(self.events, []), found.get(self.states, [])

    def open_entry(self, entry_id: str, raw: bytes) -> bytes:
        """Return the text of an entry that was read.

        Raises:
            ValueError: if the fleet did not write it in this place.
        """
        return self._fleet.unseal(raw, self._place(entry_id))

    def open_state(self, raw: bytes) -> bytes:
        """Return the text of a state that was read.

        Raises:
            ValueError: if the fleet did not write it in this place.
        """
        return self._fleet.unseal(raw, self.states)

    def _place(self, entry_id: str) -> str:
        return f"{self.events} {entry_id}"


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
