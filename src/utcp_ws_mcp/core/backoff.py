"""Delays between attempts, with enough jitter that many clients do not come back at the same time."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Final

from ..errors import ConnectError, HandshakeRejected, NetworkError, RetryAfter, ToolError

INITIAL_BACKOFF: Final = 0.5
"""Seconds that the first delay is at most."""

MIN_BACKOFF_FRACTION: Final = 0.4
"""The share of a delay that is not random. With less of it, one client of many retries too often (T12)."""

MAX_BACKOFF: Final = 30.0
"""Seconds that a delay is at most."""

FATAL_RETRY_INTERVAL: Final = 300.0
"""Seconds between attempts that fail in the same way until the user changes something."""

EARLY_RETRY_INTERVAL: Final = MAX_BACKOFF
"""Seconds between two pauses that end early, because another connection to the endpoint was opened. Without it, feeds
and discoveries whose connections do not last would wake each other again and again."""

MAX_RETRY_AFTER: Final = 900.0
"""Seconds that a server can ask for at most with `Retry-After`."""


def is_final(error: Exception, final_close_codes: Collection[int]) -> bool:
    """Return whether an endpoint closed the connection with a code after which another attempt fails again."""
    return isinstance(error, NetworkError) and error.close_code in final_close_codes


def refuses_request(error: Exception, final_close_codes: Collection[int]) -> bool:
    """Return whether an endpoint answers that a connection asks for something that it does not give.

    It does so with an error message, a final close code, or a status that is about the request: not about credentials,
    the time or the load, which change without the request.
    """
    if isinstance(error, HandshakeRejected):
        return 400 <= error.status < 500 and error.status not in (401, 403, 408, 421, 425, 429)
    return isinstance(error, ToolError) or is_final(error, final_close_codes)


def refuses_credentials(error: Exception) -> bool:
    """Return whether an endpoint refuses the credentials, in the login or with the status of the upgrade.

    Each further attempt is refused as well until the user changes something, and some servers count them: Home
    Assistant bans the address of a client after a few.
    """
    if isinstance(error, HandshakeRejected):
        return error.status in (401, 403)
    return isinstance(error, ConnectError) and error.code == "login-rejected"


def backoff_delay(failures: int, random: Callable[[], float]) -> float:
    """Return the seconds to wait after a number of failures in a row (at least 1): exponential, with jitter.

    `random` returns a number that is uniform in [0, 1).
    """
    # The exponent is bounded, because 2 ** failures would be a huge integer for an endpoint that is down for days.
    ceiling: float = min(INITIAL_BACKOFF * 2 ** min(failures - 1, 16), MAX_BACKOFF)
    return ceiling * (MIN_BACKOFF_FRACTION + (1 - MIN_BACKOFF_FRACTION) * random())


def with_jitter(seconds: float, random: Callable[[], float]) -> float:
    """Return a delay that is uniform between half and one and a half times `seconds`."""
    return seconds * (0.5 + random())


def parse_retry_after(value: str | None, now: datetime) -> RetryAfter | None:
    """Return when a server asks to come back: the value of `Retry-After`, seconds or a date (RFC 9110 §10.2.3).

    Args:
        value: The value of the header; None where there is none.
        now: The time, aware.

    Returns:
        At most MAX_RETRY_AFTER seconds; None where the value cannot be read, or is not in the future.
    """
    seconds = _retry_seconds(value.strip(), now) if value else 0.0
    if not seconds > 0:
        return None
    seconds = math.ceil(min(seconds, MAX_RETRY_AFTER))
    return RetryAfter(seconds, (now + timedelta(seconds=seconds)).astimezone(UTC))


def _retry_seconds(value: str, now: datetime) -> float:
    if value.isascii() and value.isdigit():
        return float(value)
    from email.utils import parsedate_to_datetime  # slow to import, and few servers answer with a date

    try:
        date = parsedate_to_datetime(value)
        # A date without a zone is in GMT, which is the only zone that RFC 9110 §5.6.7 knows.
        return ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def with_pause(seconds: float, random: Callable[[], float]) -> float:
    """Return a delay that is at least the pause that a server asks for, with up to a tenth and a second more."""
    return seconds + (seconds / 10 + 1) * random()
