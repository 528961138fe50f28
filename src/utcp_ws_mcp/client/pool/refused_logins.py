"""Remember which endpoints refuse the credentials of a manual, so that its feeds do not send them again too soon."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from ...core.backoff import FATAL_RETRY_INTERVAL, MAX_BACKOFF, refuses_credentials
from ...core.handshake_request import ConnectionKey
from ...errors import BridgeError, HandshakeRejected
from ...records import Record, replace
from .circuit_breaker import store_bounded

FORBIDDEN: Final = 403
"""The HTTP status of a refusal that may be about what is asked for (RFC 9110 §15.5.4)."""


class _Refusal(Record):
    """The last refusals in a row: the last error and its time, their number, and when the pause ends."""

    error: BridgeError
    at: float
    count: int
    until: float


class RefusedLogins:
    """The pauses of the feeds of a manual after refused logins.

    Some servers ban the address of a client after a few of them. So all feeds at an endpoint with the same credentials
    (`ConnectionKey.endpoint`) wait together, however many there are, and when the pause ends one of them tries first.
    A call is no repetition: it logs in at once, and its caller sees the error. What its login brings counts as well.

    HTTP 403 may be about what a connection asks for, such as the room in the query of a feed: it concerns this one.

    All times are seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self._refusals: dict[Hashable, _Refusal] = {}

    def __repr__(self) -> str:
        return f"<RefusedLogins of {len(self._refusals)}>"

    def pause(self, key: ConnectionKey, now: float) -> float:
        """Return for how many seconds no feed opens a connection of a key; 0.0 if one may."""
        return max([0.0, *(refusal.until - now for _, refusal in self._find(key))])

    def take_turn(self, key: ConnectionKey, now: float) -> None:
        """Let a feed open a connection of a key. After a refusal, the others wait for what its login brings.

        Raises:
            BridgeError: the last refusal, during the pause.
        """
        found = self._find(key)
        for _, refusal in found:
            if now < refusal.until:
                raise refusal.error.with_traceback(None)
        for place, refusal in found:
            self._refusals[place] = replace(refusal, until=now + MAX_BACKOFF)

    def note_failure(self, key: ConnectionKey, error: BridgeError, began: float, now: float) -> None:
        """Note how an attempt to connect has failed that began at a time. Anything but a refusal ends the row."""
        if not refuses_credentials(error):
            self._forget(key)
            return
        place = key if isinstance(error, HandshakeRejected) and error.status == FORBIDDEN else key.endpoint
        last = self._refusals.get(place)
        # One that began before the last refusal was known is no repetition.
        count = 1 if last is None else last.count + (began >= last.at)
        # A server that is about to start may refuse once what it accepts soon.
        pause = MAX_BACKOFF if count == 1 else FATAL_RETRY_INTERVAL
        store_bounded(self._refusals, place, _Refusal(error, now, count, now + pause))

    def note_success(self, key: ConnectionKey) -> None:
        """Note that a connection was opened."""
        self._forget(key)

    def _find(self, key: ConnectionKey) -> list[tuple[Hashable, _Refusal]]:
        places: tuple[Hashable, ...] = (key.endpoint, key) if self._refusals else ()
        return [(place, self._refusals[place]) for place in places if place in self._refusals]

    def _forget(self, key: ConnectionKey) -> None:
        for place, _ in self._find(key):
            del self._refusals[place]
