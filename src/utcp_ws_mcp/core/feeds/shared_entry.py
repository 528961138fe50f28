"""The entries of a feed in the shared store: JSON, which is checked when it is read, because others can write there."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from ...records import Record
from ..codecs.message import encode_json, to_json_safe
from ..limits import MAX_MESSAGE_DEPTH, is_deeper, json_text_is_deeper

MAX_TIME: Final = 1e11
"""Seconds since 1970, in the year 5138: later ones are no dates everywhere."""
MAX_REASON_LENGTH: Final = 2_000
"""Characters of the reason of a gap, and of a detail of a state."""


class SharedEvent(Record):
    """An event: its offset, the number of the last gap before it, when it arrived, and its texts.

    `data` is None if the event is larger than the feed may be. `position` is that of the endpoint.
    """

    offset: int
    gap: int
    at: float
    data: str | None
    key: str | None
    position: Any = None


class SharedGap(Record):
    """A gap: the offset of the last event before it, its number, when it ended, and its reason."""

    offset: int
    gap: int
    at: float
    reason: str


class SharedState(Record):
    """The state of a feed, with the epoch, the last offset and the last gap at that time."""

    state: str
    detail: str
    epoch: str
    offset: int
    gap: int


def encode_entry(entry: SharedEvent | SharedGap) -> str:
    """Return an entry as JSON text."""
    fields: dict[str, Any] = {"o": entry.offset, "g": entry.gap, "t": entry.at}
    if isinstance(entry, SharedGap):
        return _json({**fields, "r": entry.reason[:MAX_REASON_LENGTH]})
    return _json({**fields, "d": entry.data, "k": entry.key, "p": entry.position})


def decode_entry(raw: bytes) -> SharedEvent | SharedGap:
    """Return the entry that a text contains.

    Raises:
        ValueError: if it is none.
    """
    found = _read_object(raw)
    offset, gap, at = _count(found, "o"), _count(found, "g"), found.get("t")
    if not isinstance(at, int | float) or isinstance(at, bool) or not 0 <= at < MAX_TIME:  # also false for NaN
        raise ValueError("the time is wrong")  # one error for all
    if isinstance(reason := found.get("r"), str):
        return SharedGap(offset, gap, at, reason[:MAX_REASON_LENGTH])
    return SharedEvent(offset, gap, at, _json_text(found, "d"), _json_text(found, "k"), found.get("p"))


def encode_state(state: SharedState) -> str:
    """Return a state as JSON text."""
    detail = state.detail[:MAX_REASON_LENGTH]
    return _json({"s": state.state, "d": detail, "e": state.epoch, "o": state.offset, "g": state.gap})


def decode_state(raw: bytes) -> SharedState:
    """Return the state that a text contains.

    Raises:
        ValueError: if it is none.
    """
    found = _read_object(raw)
    state, detail, epoch = found.get("s"), found.get("d"), found.get("e")
    if not (isinstance(state, str) and isinstance(detail, str) and isinstance(epoch, str) and epoch.isdecimal()):
        raise ValueError("a field is missing")
    return SharedState(state, detail[:MAX_REASON_LENGTH], epoch, _count(found, "o"), _count(found, "g"))


def _read_object(raw: bytes) -> dict[str, Any]:
    found = to_json_safe(_parse(raw.decode(), MAX_MESSAGE_DEPTH))
    if not isinstance(found, dict):
        raise ValueError("it is not an object")  # noqa: TRY004  # one error for all
    return found


def _parse(text: str, max_depth: int) -> Any:
    try:
        value = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if json_text_is_deeper(text, max_depth) and is_deeper(value, max_depth):  # the first one counts brackets in texts
        raise ValueError("it is nested too deeply")
    return value


def _count(found: dict[str, Any], name: str) -> int:
    value = found.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 53:
        raise ValueError(f"{name} is no number")
    return value


def _json_text(found: dict[str, Any], name: str) -> str | None:
    value = found.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"{name} is no text")  # noqa: TRY004  # one error for all
    _parse(value, 2 * MAX_MESSAGE_DEPTH)  # it becomes a part of what hosts read
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _json(value: Any) -> str:
    try:
        return encode_json(value)
    except (TypeError, ValueError):
        return encode_json(to_json_safe(value))
