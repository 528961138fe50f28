"""The positions of a feed's events at the endpoint: which events are new, which are repeated."""

from __future__ import annotations

from enum import Enum
from typing import Any

from ..codecs.message import encode_json, to_json_safe


class PositionVerdict(Enum):
    """What the position of an event says about it."""

    NEW = "new"
    REPEATED = "repeated"
    WENT_BACK = "went back"


class Positions:
    """The last positions of a feed.

    After a reconnect, an endpoint may replay events, also after newer ones. So only an event at or before the last
    position of the earlier connection, which was not read then, shows that the endpoint counts from the beginning.

    Args:
        size: How many positions are remembered.

    Attributes:
        last: The greatest position, or the last one where positions are not numbers; None before the first event.
    """

    def __init__(self, size: int) -> None:
        self.last: Any = None
        self._size = size
        self._read_before: Any = None
        self._seen: dict[str, None] = {}

    def start_life(self) -> None:
        """Note that a new connection begins."""
        self._read_before = self.last

    def note(self, position: Any) -> PositionVerdict:
        """Add the position of an event, and return what it says."""
        text = _text(position)
        if text in self._seen:
            return PositionVerdict.REPEATED
        went_back = _is_number(position) and _is_number(self._read_before) and position <= self._read_before
        if went_back:
            self._seen.clear()
            self.last = self._read_before = None
        self._seen[text] = None
        if len(self._seen) > self._size:
            del self._seen[next(iter(self._seen))]
        self.last = position if self.last is None or not _is_number(position) else _greater(position, self.last)
        return PositionVerdict.WENT_BACK if went_back else PositionVerdict.NEW


def _greater(position: Any, other: Any) -> Any:
    return position if not _is_number(other) or position > other else other


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    try:
        return encode_json(value)
    except (TypeError, ValueError):
        return encode_json(to_json_safe(value))
