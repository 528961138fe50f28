"""Access tokens of endpoints that replicas share: encrypted in the store, and asked for by one replica at a time.

The key never enters the store. The name of an entry is a keyed digest of the credentials, so that replicas with other
credentials, or with another key, never read each other's tokens. The tokens come from client credentials, without
refresh tokens: a second request, where the store could not prevent it, invalidates nothing.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import sha256
from os import urandom
from secrets import token_hex
from typing import TYPE_CHECKING, Final

import anyio

from ...core.codecs.message import encode_json
from ...core.fleet_keys import DIGEST_LENGTH
from ...errors import ServeOptionsError
from ...manifest.models.auth import OAuth2Auth
from ..oauth import TOKEN_PATTERN, IssuedToken
from .store import ATTEMPTS, STORE_TIMEOUT, Script, StoreAway

if TYPE_CHECKING:
    from .fleet import Fleet

MIN_KEY_LENGTH: Final = 32
"""Characters of a key: `openssl rand -base64 32` prints 44."""
NONCE_BYTES: Final = 12
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


def check_key(key: str, source: str) -> str:
    """Return a key that may encrypt tokens; `source` is where it was given.

    Raises:
        ServeOptionsError: if it is too short to be random.
    """
    if len(key) < MIN_KEY_LENGTH:
        raise ServeOptionsError(
            f"{source}: a key has at least {MIN_KEY_LENGTH} characters. `openssl rand -base64 32` prints a good one.",
            code="invalid-shared-key",
        )
    return key


class Sealer:
    """Encrypts and decrypts with AES-256-GCM (NIST SP 800-38D), and names what was encrypted.

    Args:
        key: The key of the operator, a long random text.
    """

    def __init__(self, key: str) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        secret = key.encode("utf-8", "surrogateescape")
        self._cipher = AESGCM(hmac.digest(secret, b"utcp-ws-mcp: encrypt tokens", sha256))
        self._naming = hmac.digest(secret, b"utcp-ws-mcp: name tokens", sha256)

    def name(self, auth: OAuth2Auth) -> str:
        """Return a name for credentials from which they cannot be computed without the key."""
        secret = auth.client_secret.get_secret_value()
        text = encode_json([auth.token_url, auth.client_id, secret, auth.scope, auth.audience, auth.auth_method])
        return hmac.new(self._naming, text.encode(), sha256).hexdigest()[:DIGEST_LENGTH]

    def seal(self, issued: IssuedToken, place: str) -> bytes:
        """Return the encrypted token; it can be decrypted only as what is stored at this place."""
        nonce = urandom(NONCE_BYTES)
        text = encode_json([issued.token, issued.seconds])
        return nonce + self._cipher.encrypt(nonce, text.encode(), place.encode())

    def open(self, sealed: bytes, place: str) -> IssuedToken | None:
        """Return the token; None if the bytes were not encrypted with this key for this place."""
        from cryptography.exceptions import InvalidTag

        try:
            text = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
            token, seconds = json.loads(text)
        except (InvalidTag, ValueError):  # ValueError: too short
            return None
        return IssuedToken(token, seconds) if TOKEN_PATTERN.match(token) else None


class SharedTokens:
    """The tokens of a fleet.

    Args:
        fleet: The fleet.
        key: The key of the operator.
    """

    def __init__(self, fleet: Fleet, key: str) -> None:
        self._fleet = fleet
        self._sealer = Sealer(key)

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
        place, holder = self._fleet.key("token", self._sealer.name(auth)), token_hex(HOLDER_BYTES)
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
            found = self._sealer.open(sealed, place)
            seconds = 0.0 if found is None else min(found.seconds, left / 1000)
            if found is not None and found.token != rejected and seconds > 0:
                return IssuedToken(found.token, seconds), False
            unusable = sealed

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
                        self._sealer.seal(issued, place),
                        round(issued.seconds * 1000),
                    ]
                    await self._fleet.store.run(_PUT, [place, _lock(place)], args)
        return issued


def _lock(place: str) -> str:
    return f"{place}:asked"
