"""Access tokens of endpoints that replicas share: encrypted in the store, and asked for by one replica at a time.

The key never enters the store. The name of an entry is a keyed digest of the credentials, so that replicas with other
credentials, or with another key, never read each other's tokens. The tokens come from client credentials, without
refresh tokens: a second request, where the store could not prevent it, invalidates nothing.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Final

import anyio

from ...core.codecs.message import encode_json
from ...manifest.models.auth import OAuth2Auth
from ..oauth import TOKEN_PATTERN, IssuedToken
from .sealing import Sealer
from .store import ATTEMPTS, STORE_TIMEOUT, Script, StoreAway

if TYPE_CHECKING:
    from .fleet import Fleet

HOLDER_BYTES: Final = 8
WAIT_SECONDS: Final = 3.0
"""Seconds at most that a replica waits for the token that another one has asked for; then it asks as well."""
POLL_SECONDS: Final = 0.05
MIN_SECONDS: Final = 1.0
"""A token that is refreshed sooner is not shared."""

# The entry ARGV[3] is deleted: its token was rejected, or it is none of ours.
_LOOK: Final = Script("""
local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[3] then return {found, redis.call('PTTL', KEYS[1]), 0} end
if found then redis.call('DEL', KEYS[1]) end
local mine = redis.call('GET', KEYS[2]) == ARGV[1] or redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])
return {'', 0, mine and 1 or 0}
""")
_PUT: Final = Script("""
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
""")
_UNLOCK: Final = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end")


class SharedTokens:
    """The tokens of a fleet.

    Args:
        fleet: The fleet.
        sealer: Encrypts them.
    """

    def __init__(self, fleet: Fleet, sealer: Sealer) -> None:
        self._fleet = fleet
        self._sealer = sealer

    async def get(
        self, auth: OAuth2Auth, rejected: str | None, timeout: float, request: Callable[[], Awaitable[IssuedToken]]
    ) -> IssuedToken:
        """Return the token of the fleet; one replica asks for it, while the others wait for a while.

        Args:
            auth: The credentials.
            rejected: A token that the endpoint does not accept any more.
            timeout: Seconds of a request to the token endpoint.
            request: Asks the token endpoint.

        Raises:
            BridgeError: from `request`.
        """
        place, holder = self._fleet.key("token", self._name(auth)), token_hex(HOLDER_BYTES)
        give_up = anyio.current_time() + min(timeout / 2, WAIT_SECONDS)
        try:
            while True:
                found, is_locked = await self._look(place, holder, rejected, timeout)
                if found is not None:
                    return found
                if is_locked or anyio.current_time() >= give_up:
                    break
                await anyio.sleep(POLL_SECONDS)
        except StoreAway:
            return await request()
        return await self._ask(place, holder, request)

    async def _look(
        self, place: str, holder: str, rejected: str | None, timeout: float
    ) -> tuple[IssuedToken | None, bool]:
        """Return the token that is stored, or whether this replica is the one that asks for it."""
        unusable = b""
        while True:
            args: list[str | int | bytes] = [holder, round(timeout * 1000), unusable]
            sealed, left, is_locked = await self._fleet.store.run(_LOOK, [place, _lock(place)], args)
            if not sealed:
                return None, bool(is_locked)
            found = self._open(sealed, place)
            seconds = 0.0 if found is None else min(found.seconds, left / 1000)
            if found is not None and found.token != rejected and seconds > 0:
                return IssuedToken(found.token, seconds), False
            unusable = sealed

    def _name(self, auth: OAuth2Auth) -> str:
        secret = auth.client_secret.get_secret_value()
        return self._sealer.name(auth.token_url, auth.client_id, secret, auth.scope, auth.audience, auth.auth_method)

    def _open(self, sealed: bytes, place: str) -> IssuedToken | None:
        """Return the token; None if the bytes are none of this key for this place."""
        try:
            token, seconds = json.loads(self._sealer.open(sealed, place))
        except ValueError:
            return None
        return IssuedToken(token, seconds) if TOKEN_PATTERN.match(token) else None

    async def _ask(self, place: str, holder: str, request: Callable[[], Awaitable[IssuedToken]]) -> IssuedToken:
        issued = None
        try:
            issued = await request()
        finally:
            with anyio.move_on_after(ATTEMPTS * STORE_TIMEOUT, shield=True), suppress(StoreAway):
                if issued is None or issued.seconds < MIN_SECONDS:
                    await self._fleet.store.run(_UNLOCK, [_lock(place)], [holder])
                else:
                    args: list[str | int | bytes] = [
                        holder,
                        self._sealer.seal(encode_json([issued.token, issued.seconds]), place),
                        round(issued.seconds * 1000),
                    ]
                    await self._fleet.store.run(_PUT, [place, _lock(place)], args)
        return issued


def _lock(place: str) -> str:
    return f"{place}:asked"
