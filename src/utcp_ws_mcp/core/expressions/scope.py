"""The names that templates and expressions may use, and their values for one exchange."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ...records import Record
from ..codecs.message import RejectedValue
from ..limits import MAX_RANDOM_BYTES
from .paths import UNDEFINED

OMIT_NAME: Final = "omit"
"""The value that leaves out what it stands in: `{{ vars.TOKEN | default(omit) }}`."""

_COMMON_NAMES: Final = frozenset(
    {"args", "tool", "session", "vars", "now", "now_s", "now_ms", "uuid", "random_hex", OMIT_NAME}
)
TIME_NAMES: Final = frozenset({"now", "now_s", "now_ms"})
"""Names whose values change while a message is made."""

EACH_NAMES: Final = frozenset({"item", "index", "count"})
"""Names in the template of `$each`, beside those around it."""

URL_NAMES: Final = _COMMON_NAMES
"""Names in `url`, `headers` and `protocol`."""

REQUEST_NAMES: Final = _COMMON_NAMES | {"request_id", "next_id", "counter", "reply"}
"""Names in messages that are sent."""

BEFORE_CONNECT_NAMES: Final = _COMMON_NAMES - {"tool"}
"""Names in the requests of `before_connect`, and beside `message` in the rules of a connection. No connection knows a
tool: tools share connections."""

CONNECTION_NAMES: Final = BEFORE_CONNECT_NAMES | {"request_id", "next_id", "counter"}
"""Names in what a connection sends by itself."""

ANSWER_NAMES: Final = CONNECTION_NAMES - {"request_id"}
"""Names in what `auto_reply` of a connection sends: an answer has no ID, unless it takes one."""

CALL_REQUEST_NAMES: Final = REQUEST_NAMES | {"let"}
"""Names in the messages of a call."""

CANCEL_NAMES: Final = CALL_REQUEST_NAMES | {"request"}
"""Names in the messages that cancel a call."""

MESSAGE_NAMES: Final = REQUEST_NAMES | {"message", "reply"}
"""Names in predicates and expressions on an incoming message."""

CALL_REPLY_NAMES: Final = MESSAGE_NAMES | {"let"}
"""Names in those of a call."""


class Ambient(Record):
    """Where time and randomness come from; tests and simulations pass their own.

    Args:
        now: Returns the time, aware and in UTC.
        random: Returns that many random bytes.
        redact: Removes secrets from a text that will be cut.
    """

    now: Callable[[], datetime]
    random: Callable[[int], bytes]
    redact: Callable[[str], str] = str

    def uuid(self) -> str:
        """Return a new UUID, version 4."""
        return str(uuid.UUID(bytes=self.random(16), version=4))

    def random_hex(self, count: int) -> str:
        """Return `count` random bytes in hex.

        Raises:
            RejectedValue: if it is no number of bytes, or more than `MAX_RANDOM_BYTES`.
        """
        if type(count) is not int or not 0 <= count <= MAX_RANDOM_BYTES:
            message = f"random_hex takes a number of bytes from 0 to {MAX_RANDOM_BYTES:,}."
            raise RejectedValue(message, code="expression-failed")
        return self.random(count).hex()


class Scope(dict[str, Any]):
    """Values by name. Time is read when an expression uses it; a missing name is UNDEFINED.

    Attributes:
        ambient: Where time and randomness come from.
        failures: Why predicates could not be evaluated, by their source; scopes that are made of this one share it.
    """

    __slots__ = ("ambient", "failures")

    def __init__(self, ambient: Ambient, values: Mapping[str, Any], failures: dict[str, str] | None = None) -> None:
        super().__init__(values)
        self.ambient = ambient
        self.failures: dict[str, str] = {} if failures is None else failures

    def __missing__(self, name: str) -> Any:
        compute = _COMPUTED.get(name)
        return UNDEFINED if compute is None else compute(self.ambient)

    def with_frozen_time(self) -> Scope:
        """Return the scope at one moment, so that all times in a message are the same."""
        ambient, scope = self.ambient, self.with_values()
        scope.ambient = Ambient(_Moment(ambient.now), ambient.random, ambient.redact)
        return scope

    def with_values(self, **values: Any) -> Scope:
        """Return the scope with more names."""
        # Without `__init__`: several scopes are made for each message, and that would take half of the time.
        scope: Scope = Scope.__new__(Scope)
        scope.update(self, **values)
        scope.ambient, scope.failures = self.ambient, self.failures
        return scope


class _Moment:
    """The time at the first call, for all later ones: most messages need none, and reading it takes time."""

    __slots__ = ("_now", "_read")

    def __init__(self, read: Callable[[], datetime]) -> None:
        self._read = read
        self._now: datetime | None = None

    def __call__(self) -> datetime:
        if self._now is None:
            self._now = self._read()
        return self._now


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


_COMPUTED: Final[dict[str, Callable[[Ambient], Any]]] = {
    "now": lambda ambient: _iso(ambient.now()),
    "now_s": lambda ambient: int(ambient.now().timestamp()),
    "now_ms": lambda ambient: int(ambient.now().timestamp() * 1000),
    "uuid": lambda ambient: ambient.uuid,
    "random_hex": lambda ambient: ambient.random_hex,
}
