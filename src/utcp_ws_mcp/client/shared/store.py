"""The shared store: a Redis or Valkey server, whose failures never fail or delay a call for long.

This module alone imports redis-py. Every operation is one script, which the server runs as a whole. An operation ends
after STORE_TIMEOUT; then the store is away, and later operations fail at once until a probe finds it again.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import anyio
import redis.asyncio as redis
from redis import exceptions
from redis.asyncio.connection import RedisSSLContext
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from ...errors import ServeOptionsError
from ...observability.events import Observer, SharedStoreBack, SharedStoreLost
from ...records import Record
from .address import StoreAddress

STORE_TIMEOUT: Final = 0.25
"""Seconds of an operation, including a new connection."""
BLOCK_SECONDS: Final = 1.0
"""Seconds that a read of streams waits for an entry."""
MAX_CONNECTIONS: Final = 256
"""Connections of one kind; as many streams are read at a time, and further ones take turns."""
LATE_SECONDS: Final = 0.05
"""Seconds after its end at which a timeout that is noticed so late says nothing about the store."""
ATTEMPTS: Final = 3
CONCURRENT_SCRIPTS: Final = 8
"""Scripts that run at once; more would wait for each other, and one that waits long looks like a lost store."""
MAX_SHOWN_LENGTH: Final = 200
"""Characters of a text of the server in a message."""


StreamEntry = tuple[str, Mapping[bytes, bytes]]
"""The identifier of an entry of a stream, and its fields."""


class StoreAway(Exception):
    """The store did not carry out an operation; `reason` says why. The operation may have happened."""

    def __init__(self, reason: str, code: str = "shared-store-away") -> None:
        self.reason, self.code = reason, code
        super().__init__(reason)


class Script(Record):
    """A script of the server in Lua."""

    source: str


class _TlsConnection(redis.SSLConnection):
    """A connection with a given context: to read the authorities of the system takes longer than a handshake."""

    def __init__(self, *, context: RedisSSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context = context


class SharedStore:
    """A connection to the store, with what is known of its state.

    Args:
        address: Where the store is.
        observe: Gets when the store is lost, and when it is back.
        redact: Removes the secrets of a text of the server, which may repeat the password.
    """

    def __init__(self, address: StoreAddress, observe: Observer, redact: Callable[[str], str] = str) -> None:
        self.address = address
        self._observe = observe
        self._redact = redact
        self._away: StoreAway | None = None
        self._lost_at = 0.0
        self._tls = RedisSSLContext(cert_reqs="required", check_hostname=True) if address.tls else None
        self._commands = self._client(STORE_TIMEOUT)
        self._readers = self._client(BLOCK_SECONDS + STORE_TIMEOUT)
        self._scripts: dict[Script, Any] = {}
        self._turns = anyio.Semaphore(CONCURRENT_SCRIPTS)
        self._reading = anyio.Semaphore(MAX_CONNECTIONS)

    def _client(self, timeout: float) -> redis.Redis:
        address = self.address
        tls: Any = {} if self._tls is None else {"connection_class": _TlsConnection, "context": self._tls}
        pool = redis.ConnectionPool(
            host=address.host,
            port=address.port,
            db=address.database,
            username=address.username,
            password=address.password,
            socket_timeout=timeout,
            socket_connect_timeout=STORE_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            max_connections=MAX_CONNECTIONS,
            protocol=2,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            **tls,
        )
        return redis.Redis.from_pool(pool)

    @property
    def away(self) -> str | None:
        """Return why the store is away; None while it answers."""
        return None if self._away is None else self._away.reason

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]) -> Any:
        """Run a script, and return its answer.

        Raises:
            StoreAway: if the store does not carry it out in time, or is away already.
        """
        self._require()
        async with self._turns:
            self._require()  # it may have been lost in the meantime
            return await self.probe(script, keys, args)

    async def probe(self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]) -> Any:
        """Run a script also if the store is away; if it succeeds, the store is back.

        If this process did not run in time, the store may have answered: the script is repeated then.

        Raises:
            StoreAway: if the store does not carry it out in time.
        """
        prepared = self._scripts.get(script)
        if prepared is None:
            prepared = self._scripts[script] = self._commands.register_script(script.source)
        for attempt in range(1, ATTEMPTS + 1):
            began = anyio.current_time()
            try:
                with anyio.fail_after(STORE_TIMEOUT):
                    answer = await prepared(keys=keys, args=args)
                break
            except (TimeoutError, exceptions.TimeoutError) as error:
                if attempt == ATTEMPTS or not _is_late(began + STORE_TIMEOUT):
                    raise self._lose(error) from error
            except (exceptions.RedisError, OSError, ValueError) as error:  # ValueError: bytes of another protocol
                raise self._lose(error) from error
        self._find()
        return answer

    async def read_streams(self, positions: Mapping[str, str]) -> dict[str, list[StreamEntry]]:
        """Return the entries behind the positions of streams; wait at most BLOCK_SECONDS for the first.

        Raises:
            StoreAway: if the store does not answer.
        """
        self._require()
        async with self._reading:
            return await self._read_streams(dict(positions))

    async def _read_streams(self, streams: Any) -> dict[str, list[StreamEntry]]:
        end = anyio.current_time() + BLOCK_SECONDS + STORE_TIMEOUT
        try:
            with anyio.fail_after(BLOCK_SECONDS + STORE_TIMEOUT):
                answer: Any = await self._readers.xread(streams, block=int(BLOCK_SECONDS * 1000))
            return {
                key.decode(): [(entry_id.decode(), fields) for entry_id, fields in entries] for key, entries in answer
            }
        except (TimeoutError, exceptions.TimeoutError) as error:
            if _is_late(end):
                return {}
            raise self._lose(error) from error
        except (exceptions.RedisError, OSError, ValueError) as error:
            raise self._lose(error) from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._commands.aclose()
        await self._readers.aclose()

    def _require(self) -> None:
        if self._away is not None:  # a new error each time: one that is raised again keeps every traceback
            raise StoreAway(self._away.reason, self._away.code)

    def _lose(self, error: Exception) -> StoreAway:
        away = describe_failure(error, self._redact)
        if self._away is None or self._away.code != away.code:
            self._lost_at = anyio.current_time()
            self._observe(SharedStoreLost(str(self.address), away.reason, away.code))
        self._away = away
        return away

    def _find(self) -> None:
        if self._away is not None:
            self._away = None
            self._observe(SharedStoreBack(str(self.address), anyio.current_time() - self._lost_at))


def _is_late(end: float) -> bool:
    """Return whether this process was late to notice the end of a wait, and perhaps of its answer as well."""
    return anyio.current_time() >= end + LATE_SECONDS


def describe_failure(error: Exception, redact: Callable[[str], str] = str) -> StoreAway:
    """Return what a failure means. Its text is redacted before it is cut: a part of a secret is not found."""
    shown = redact(str(error))[:MAX_SHOWN_LENGTH] or type(error).__name__
    if (failure := _find_tls_failure(error)) is not None:
        return StoreAway(f"TLS failed: {failure}", "shared-store-refused")
    match error:
        case exceptions.AuthenticationError() | exceptions.AuthorizationError():
            return StoreAway(f"the login is refused: {shown}", "shared-store-refused")
        case exceptions.NoPermissionError():
            return StoreAway(f"the user lacks a permission: {shown}", "shared-store-refused")
        case exceptions.OutOfMemoryError():
            return StoreAway("its memory is full (maxmemory)", "shared-store-full")
        case exceptions.BusyLoadingError():
            return StoreAway("it is loading its data")
        case exceptions.TimeoutError() | TimeoutError():
            return StoreAway(f"no answer within {STORE_TIMEOUT:g} s")
        case exceptions.InvalidResponse() | ValueError():
            return StoreAway("the answer is not of the Redis protocol", "shared-store-refused")
        case exceptions.ResponseError():
            return _describe_answer(shown)
        case _:
            return StoreAway(shown.rstrip("."))


def _find_tls_failure(error: BaseException | None) -> str | None:
    """Return why TLS failed, which redis-py wraps; None if something else did."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    if error is None:
        return None
    reason = getattr(error, "verify_message", "") or (error.reason or "").lower().replace("_", " ")
    return reason or "the connection ended"


def _describe_answer(text: str) -> StoreAway:
    for start, reason, code in (
        ("OOM ", "its memory is full (maxmemory)", "shared-store-full"),
        ("NOPERM", f"the user lacks a permission: {text}", "shared-store-refused"),
        ("NOAUTH", "a password is required", "shared-store-refused"),
    ):
        if start in text[:40]:
            return StoreAway(reason, code)
    return StoreAway(f"it answered: {text}")


def refuse_start(address: StoreAddress, away: StoreAway) -> ServeOptionsError:
    """Return the error for a store that cannot be used before the operator changes something."""
    return ServeOptionsError(
        f"--shared {address}: {away.reason.rstrip('.')}. Check the URL, the certificate, the user and the password.",
        code=away.code,
    )
