"""Remember which endpoints refuse the credentials of a manual, so that its feeds do not send them again too soon."""

from __future__ import annotations

from collections.abc import Hashable

from ...core.backoff import FATAL_RETRY_INTERVAL, MAX_BACKOFF, refuses_credentials
from ...errors import BridgeError
from ...records import Record, replace
from .circuit_breaker import store_bounded


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

    All times are seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self._refusals: dict[Hashable, _Refusal] = {}

    def __repr__(self) -> str:
        return f"<RefusedLogins {len(self._refusals)} endpoints>"

    def pause(self, endpoint: Hashable, now: float) -> float:
        """Return for how many seconds no feed logs in; 0.0 if one may."""
        refusal = self._refusals.get(endpoint)
        return 0.0 if refusal is None else max(0.0, refusal.until - now)

    def take_turn(self, endpoint: Hashable, now: float) -> None:
        """Let a feed log in. After a refusal, the others wait for what its login brings.

        Raises:
            BridgeError: the last refusal, during the pause.
        """
        refusal = self._refusals.get(endpoint)
        if refusal is None:
            return
        if now < refusal.until:
            raise refusal.error.with_traceback(None)
        self._refusals[endpoint] = replace(refusal, until=now + MAX_BACKOFF)

    def note_failure(self, endpoint: Hashable, error: BridgeError, began: float, now: float) -> None:
        """Note how an attempt to connect has failed that began at a time. Anything but a refusal ends the row."""
        if not refuses_credentials(error):
            self._refusals.pop(endpoint, None)
            return
        last = self._refusals.get(endpoint)
        # One that began before the last refusal was known is no repetition.
        count = 1 if last is None else last.count + (began >= last.at)
        # A server that is about to start may refuse once what it accepts soon.
        pause = MAX_BACKOFF if count == 1 else FATAL_RETRY_INTERVAL
        store_bounded(self._refusals, endpoint, _Refusal(error, now, count, now + pause))

    def note_success(self, endpoint: Hashable) -> None:
        """Note that a connection was opened."""
        self._refusals.pop(endpoint, None)
