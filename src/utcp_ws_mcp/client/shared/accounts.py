"""Accounts that allow one connection (`limits.max_connections` is 1): one replica of a fleet has it at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Final

import anyio
from anyio.abc import TaskGroup

from ...errors import ConnectError
from ...records import MutableRecord, field
from .members import LOSS_KEPT_SECONDS, Members
from .store import Script, StoreAway

if TYPE_CHECKING:
    from ..connection import Connection

HOLD_SECONDS: Final = 5.0
"""Seconds after which another replica may connect if the one that is connected does not renew its hold."""
RENEW_SECONDS: Final = HOLD_SECONDS / 3
SETTLE_SECONDS: Final = RENEW_SECONDS + 0.25
"""Seconds after the store has lost its data in which only holds of before are taken."""
RETRY_SECONDS: Final = 0.25
"""Seconds between two attempts to renew a hold while the store is away."""
TOKEN_BYTES: Final = 8

# After the store has lost its data, a replica that had a hold has time to renew it before others can take it.
_HOLD: Final = Script("""
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return -1 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lost = tonumber(redis.call('GET', KEYS[2]) or now)
redis.call('SET', KEYS[2], string.format('%.0f', lost), 'NX', 'PX', ARGV[3])
local wait = lost + ARGV[4] - now
if not holder and wait > 0 then return wait end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 0
""")
HELD_ELSEWHERE: Final = -1
"""The answer of the script where another replica has the hold."""
_DROP: Final = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0")


class Hold(MutableRecord, eq=False):
    """The right of this replica to connect with an account.

    Attributes:
        key: The name of the account in the store.
        opening: How many connections are being opened.
        connections: Those that were opened, until one is noticed to have ended.
        scope: Cancels the task that renews the hold.
    """

    key: str
    opening: int = 0
    connections: list[Connection] = field(default_factory=list)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    @property
    def is_used(self) -> bool:
        """Return whether a connection is open or being opened, and forget those that have ended."""
        self.connections = [each for each in self.connections if each.is_open]
        return bool(self.opening or self.connections)


class Accounts:
    """The accounts with which this replica is connected.

    Args:
        members: The replicas, and the store in which the holds are.

    Attributes:
        tasks: Runs what renews holds; set when the fleet is joined.
    """

    tasks: TaskGroup

    def __init__(self, members: Members) -> None:
        self._store, self._loss_key = members.store, members.loss_key
        self._changing = anyio.Lock()  # a hold that is dropped and taken again must end up taken
        self._dropping: set[str] = set()
        self._token = token_hex(TOKEN_BYTES)
        self._holds: dict[str, Hold] = {}

    async def open(self, key: str, address: str, opening: Callable[[], Awaitable[Connection]]) -> Connection:
        """Open a connection, if no other replica has one with this account.

        Args:
            key: The name of the account in the store.
            address: The endpoint, for errors.
            opening: Opens the connection.

        Raises:
            ConnectError: if another one has, or the connection cannot be opened.
        """
        hold = await self._take(key, address)
        hold.opening += 1
        try:
            connection = await opening()
            hold.connections.append(connection)
        finally:
            hold.opening -= 1
            self._drop_unused(hold)
        return connection

    def note_closed(self) -> None:
        """Note that a connection has ended, so that another replica may connect."""
        for hold in list(self._holds.values()):
            self._drop_unused(hold)

    async def _take(self, key: str, address: str) -> Hold:
        wait = await self._try_to_take(key)
        if wait > 0:
            await anyio.sleep(wait)
            wait = await self._try_to_take(key)
        if wait != 0:
            raise ConnectError(
                address,
                "another replica has the only connection of this account (limits.max_connections is 1). "
                'Call again later, or raise limits.max_connections, or set limits.scope to "replica".',
                code="account-held-elsewhere",
            )
        return self._holds[key]

    async def _try_to_take(self, key: str) -> float:
        """Take a hold and return 0; a negative number if another replica has it, or seconds until it can be taken."""
        async with self._changing:
            if key in self._holds:
                return 0
            try:
                wait = await self._claim(key, SETTLE_SECONDS)
            except StoreAway:
                wait = 0  # no call fails because of the store
            if wait == 0:
                self._holds[key] = hold = Hold(key)
                self.tasks.start_soon(self._keep, hold)
        return wait

    async def _claim(self, key: str, settle: float) -> float:
        """Take or renew a hold, but take none until `settle` seconds after a loss; return what `_try_to_take` does."""
        hold, kept, settling = (round(1000 * seconds) for seconds in (HOLD_SECONDS, LOSS_KEPT_SECONDS, settle))
        args: list[str | int] = [self._token, hold, kept, settling]
        answer = int(await self._store.run(_HOLD, [key, self._loss_key], args))
        return answer if answer == HELD_ELSEWHERE else answer / 1000

    async def _keep(self, hold: Hold) -> None:
        """Renew a hold until it is not used any more; end its connections if another replica has it."""
        with hold.scope:
            pause = RENEW_SECONDS
            while True:
                await anyio.sleep(pause)
                pause = RENEW_SECONDS
                try:
                    if await self._claim(hold.key, 0) == HELD_ELSEWHERE:
                        for connection in hold.connections:
                            connection.abort()
                except StoreAway:
                    pause = RETRY_SECONDS
                self._drop_unused(hold)

    def _drop_unused(self, hold: Hold) -> None:
        if not hold.is_used and self._holds.get(hold.key) is hold:
            del self._holds[hold.key]
            hold.scope.cancel()
            self._dropping.add(hold.key)
            self.tasks.start_soon(self._drop, hold.key)

    async def _drop(self, key: str) -> None:
        async with self._changing:
            if key not in self._holds:
                with suppress(StoreAway):
                    await self._store.run(_DROP, [key], [self._token])
            self._dropping.discard(key)  # not before: the shutdown repeats what it interrupts

    async def aclose(self) -> None:
        """Let other replicas connect."""
        keys, self._holds = {*self._holds, *self._dropping}, {}
        for key in keys:
            await self._drop(key)
