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
from .store import Script, SharedStore, StoreAway

if TYPE_CHECKING:
    from ..connection import Connection

HOLD_SECONDS: Final = 5.0
"""Seconds after which another replica may connect if the one that is connected does not renew its hold."""
RENEW_SECONDS: Final = HOLD_SECONDS / 3
RETRY_SECONDS: Final = 0.25
"""Seconds between two attempts to renew a hold while the store is away."""
TOKEN_BYTES: Final = 8

_HOLD: Final = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 1 end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
""")
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
        store: Where holds are.

    Attributes:
        tasks: Runs what renews holds; set when the fleet is joined.
    """

    tasks: TaskGroup

    def __init__(self, store: SharedStore) -> None:
        self._store = store
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
        async with self._changing:
            held = key in self._holds or await self._try_to_hold(key)
            if held and key not in self._holds:
                self._holds[key] = hold = Hold(key)
                self.tasks.start_soon(self._keep, hold)
        if not held:
            raise ConnectError(
                address,
                "another replica has the only connection of this account (limits.max_connections is 1). "
                'Call again later, or raise limits.max_connections, or set limits.scope to "replica".',
                code="account-held-elsewhere",
            )
        return self._holds[key]

    async def _try_to_hold(self, key: str) -> bool:
        try:
            return await self._renew(key)
        except StoreAway:
            return True  # no call fails because of the store

    async def _renew(self, key: str) -> bool:
        return bool(await self._store.run(_HOLD, [key], [self._token, round(HOLD_SECONDS * 1000)]))

    async def _keep(self, hold: Hold) -> None:
        """Renew a hold until it is not used any more; end its connections if another replica has it."""
        with hold.scope:
            pause = RENEW_SECONDS
            while True:
                await anyio.sleep(pause)
                pause = RENEW_SECONDS
                try:
                    if not await self._renew(hold.key):
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
