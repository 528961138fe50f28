"""Failures of endpoints: the last error of each connection key, and when the key may be tried again.

Time (monotonic seconds) and randomness (uniform in [0, 1)) are arguments: nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from ...core.backoff import backoff_delay
from ...core.handshake_request import ConnectionKey
from ...errors import BridgeError

K = TypeVar("K")
T = TypeVar("T")

FAILURE_THRESHOLD: Final = 3
"""Failures in a row that trip a breaker. Below it no call waits: a user who fixes an endpoint retries at once."""

MAX_CALL_BACKOFF: Final = 5.0
"""Seconds between two attempts at most. It is less than for background work, because a call with a deadline waits."""

MAX_TRACKED: Final = 256
"""Keys whose failures are remembered. Keys hold arguments of calls, so their number is not bounded by the manifest."""


class CircuitBreaker:
    """Decide when an endpoint may be tried again (the circuit breaker pattern: closed, open, half-open).

    Below FAILURE_THRESHOLD failures in a row the breaker is closed. From then on each attempt waits for
    `retry_after`, and one attempt at a time is let through (half-open). Only `FailureTracker.record_success` closes
    the breaker: an endpoint that accepts connections and drops them is as broken as one that refuses them. A pause that
    the server asks for (`Retry-After`) holds from the first failure on.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._retry_at = 0.0

    def __repr__(self) -> str:
        return f"<CircuitBreaker failures={self._failures}>"

    @property
    def is_tripped(self) -> bool:
        """Whether at most one attempt at a time is allowed."""
        return self._failures >= FAILURE_THRESHOLD

    def record_failure(self, now: float, random: Callable[[], float], pause: float = 0.0) -> None:
        """Count a failed attempt, or a connection that ended before it was proved to work.

        `pause` is how long the server asks to be left alone, in seconds.
        """
        self._failures += 1
        if self.is_tripped:
            delay = backoff_delay(self._failures - FAILURE_THRESHOLD + 1, random)
            self._retry_at = now + min(delay, MAX_CALL_BACKOFF)
        self._retry_at = max(self._retry_at, now + pause)

    def retry_after(self, now: float) -> float:
        """Return the seconds until the next attempt is allowed; 0.0 if it is allowed now."""
        return max(0.0, self._retry_at - now)


_CLOSED: Final = CircuitBreaker()
"""The breaker of every key that has not failed; it is never written to."""


class FailureTracker:
    """Remember the failures of each connection key.

    The error and the breaker have different lifetimes. The error is forgotten when a connection opens, because it no
    longer explains why a call waits. The breaker is reset only when a message arrived over a connection.
    """

    def __init__(self) -> None:
        self._errors: dict[ConnectionKey, BridgeError] = {}
        self._breakers: dict[ConnectionKey, CircuitBreaker] = {}

    @property
    def last_error(self) -> BridgeError | None:
        """The most recent error, of any key."""
        return next(reversed(self._errors.values()), None)

    def error_for(self, key: ConnectionKey) -> BridgeError | None:
        """Return why the last attempt to connect failed, or None if a connection was opened since."""
        return self._errors.get(key)

    def breaker(self, key: ConnectionKey) -> CircuitBreaker:
        """Return the breaker of a key, for reading."""
        return self._breakers.get(key, _CLOSED)

    def record_failure(self, key: ConnectionKey, now: float, random: Callable[[], float], pause: float = 0.0) -> None:
        """Count a failed attempt to connect, or a connection that ended before it was proved to work.

        `pause` is how long the server asks to be left alone, in seconds.
        """
        breaker = self._breakers.get(key) or CircuitBreaker()
        breaker.record_failure(now, random, pause)
        store_bounded(self._breakers, key, breaker)

    def set_last_error(self, key: ConnectionKey, error: BridgeError) -> None:
        """Remember the error with which waiting calls failed."""
        # A key that fails again moves to the end, so that `last_error` is the most recent error.
        self._errors.pop(key, None)
        store_bounded(self._errors, key, error)

    def clear_error(self, key: ConnectionKey) -> None:
        """Forget the error: a connection was opened."""
        self._errors.pop(key, None)

    def record_success(self, key: ConnectionKey) -> None:
        """Reset the breaker: a message arrived over a connection that calls used."""
        if self._breakers:  # this is called for each call, and to look up a key takes time
            self._breakers.pop(key, None)


def store_bounded(entries: dict[K, T], key: K, value: T) -> None:
    """Store a value for a key; the oldest of more than MAX_TRACKED is forgotten."""
    if key not in entries and len(entries) >= MAX_TRACKED:
        entries.pop(next(iter(entries)))
    entries[key] = value
