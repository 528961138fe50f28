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

    After a reconnect, an endpoint replays events, also in the midst of newer ones. The end of a replay is not known, so
    the next connection asks again for what came after the last event that the replay has certainly reached: one that
    was repeated, or that came after a greater one. What it repeats is recognized.

    An event at or before the position behind which a replay began, which was not read then or had other data, shows
    that the endpoint counts from the beginning. So does, without a replay, an earlier position that comes again with
    other data. In the midst of a replay it does not: what was replayed may differ from what was sent before.

    Args:
        size: How many positions are remembered.

    Attributes:
        last: The greatest position, or the last one where positions are not numbers; None before the first event.
    """

    def __init__(self, size: int) -> None:
        self.last: Any = None
        self._size = size
        self._seen: dict[str, int] = {}  # hashes of the data by position
        self._replaying = False
        self._replay_began: Any = None
        self._replay_reached: Any = None
        self._greatest_of_life: Any = None

    @property
    def resume_after(self) -> Any:
        """Return the position behind which the next connection asks for events; None before the first event."""
        return self._replay_reached if self._replaying else self.last

    def start_life(self, *, replaying: bool = False) -> None:
        """Note that a new connection begins, and whether the endpoint replays what came after `resume_after`."""
        self._replay_began = self._replay_reached = self.resume_after
        self._replaying = replaying
        self._greatest_of_life = None

    def end_replay(self) -> None:
        """Note that the endpoint replays nothing any more."""
        self._replaying = False

    def note(self, position: Any, data: str) -> PositionVerdict:
        """Add the position of an event with this data, and return what it says."""
        text, digest = _text(position), hash(data)
        is_earlier = _is_before(position, self._replay_began)
        may_restart = not self._replaying and _is_before(position, self._greatest_of_life)
        is_repeated = self._seen.get(text) == digest if is_earlier or may_restart else text in self._seen
        if is_repeated or _is_before(position, self._greatest_of_life):
            self._replay_reached = position
        self._greatest_of_life = _greater(position, self._greatest_of_life)
        if is_repeated:
            return PositionVerdict.REPEATED
        went_back = not _is_before(self._replay_began, position) and _are_numbers(position, self._replay_began)
        went_back |= may_restart and text in self._seen
        if went_back:
            self._seen.clear()
            self.last = self._replay_began = None
            self._greatest_of_life = position
            self._replaying = False
        self._seen[text] = digest
        if len(self._seen) > self._size:
            del self._seen[next(iter(self._seen))]
        self.last = _greater(position, self.last)
        return PositionVerdict.WENT_BACK if went_back else PositionVerdict.NEW


def _greater(position: Any, other: Any) -> Any:
    """Return the greater position; without numbers, the first one, which came later."""
    return other if _is_before(position, other) else position


def _is_before(position: Any, other: Any) -> bool:
    return _are_numbers(position, other) and position < other


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _text(value: Any) -> str:
    try:
        return encode_json(value)
    except (TypeError, ValueError):
        return encode_json(to_json_safe(value))
