"""Measure a value before it is written.

`[message, message]` takes 16 bytes of memory, and twice the message when it is written as JSON: what shares memory in
Python grows without bound (`let.b: [let.a, let.a]`, line after line). So the size is measured first, in bounded memory.
"""

from __future__ import annotations

from typing import Any, Final

from .limits import MAX_VALUE_LENGTH

_PROTOCOL: Final = 4
"""The first protocol that is written in frames of 64 KiB, so that nothing longer is ever in memory."""


class _Full(Exception):
    """More was written than is allowed."""


class _Counter:
    """A file that only counts."""

    __slots__ = ("left",)

    def __init__(self, limit: int) -> None:
        self.left = limit

    def write(self, data: bytes) -> int:
        """Count the data."""
        self.left -= len(data)
        if self.left < 0:
            raise _Full
        return len(data)


def is_too_large(value: Any, limit: int = MAX_VALUE_LENGTH) -> bool:
    """Return whether a value takes more than about `limit` bytes when it is written, what is shared counted each time.

    The pickler is the only writer of the standard library that is written in C, writes piece by piece, and has an
    option to write shared parts again (`fast`). It takes a quarter of the time of the JSON encoder; nothing is ever
    unpickled.
    A number or a character takes at most six times as much in JSON.
    """
    if isinstance(value, str | bytes):
        return len(value) > limit
    if value is None or isinstance(value, int | float):
        return False
    import pickle  # few values are measured

    pickler = pickle.Pickler(_Counter(limit), protocol=_PROTOCOL)
    pickler.fast = True
    try:
        pickler.dump(value)
    except _Full:
        return True
    except (RecursionError, TypeError, AttributeError, pickle.PicklingError):
        return False  # the encoder cannot write it either, and says so
    return False
