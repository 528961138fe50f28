"""Measure a value before it is written.

`[message, message]` takes 16 bytes of memory, and twice the message when it is written as JSON: what shares memory in
Python grows without bound (`let.b: [let.a, let.a]`, line after line). So the size is measured first, in bounded memory.

A value that is not small is walked through with the sizes of its shared parts remembered, so that the time does not
grow as the size does. A value of many parts, which an endpoint sent as it is, is measured by the pickler.
"""

from __future__ import annotations

from typing import Any, Final

from .limits import MAX_VALUE_LENGTH

_PROTOCOL: Final = 4
"""The first protocol that is written in frames of 64 KiB, so that nothing longer is ever in memory."""

QUICK_LIMIT: Final = 1 << 20
"""Bytes up to which the pickler measures at once: it takes some 10 ms."""

MAX_CONTAINERS: Final = 4096
"""Lists and objects whose sizes are remembered, in less than a MiB."""

MAX_MEMBERS: Final = 50_000
"""Values that are visited with remembered sizes: some 20 ms."""


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

    A number or a character takes at most six times as much in JSON.
    """
    if isinstance(value, str | bytes):
        return len(value) > limit
    if value is None or isinstance(value, int | float):
        return False
    if not _pickled_is_longer(value, min(limit, QUICK_LIMIT)):
        return False
    if limit <= QUICK_LIMIT:
        return True
    try:
        return _SharedSizes().of(value) > limit
    except (_Full, RecursionError):
        return _pickled_is_longer(value, limit)


def _pickled_is_longer(value: Any, limit: int) -> bool:
    """Return whether the pickler writes more than `limit` bytes; no, if it cannot write the value.

    It is the only writer of the standard library that is written in C, writes piece by piece, and has an option to
    write shared parts again (`fast`). It takes a quarter of the time of the JSON encoder; nothing is ever unpickled.
    """
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


class _SharedSizes:
    """The sizes of the lists and objects of a value, by their ids: the value keeps them alive."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}
        self._members = 0

    def of(self, value: Any) -> int:
        """Return about how many bytes a value takes.

        Raises:
            _Full: If it has too many parts to remember.
        """
        if isinstance(value, str | bytes):
            return len(value) + 2
        if not isinstance(value, dict | list | tuple):
            return value.bit_length() // 8 + 2 if isinstance(value, int) else 8
        size = self._sizes.get(id(value))
        if size is None:
            self._members += len(value)
            if len(self._sizes) >= MAX_CONTAINERS or self._members > MAX_MEMBERS:
                raise _Full
            self._sizes[id(value)] = size = 2 + sum(map(self.of, value))
            if isinstance(value, dict):
                self._sizes[id(value)] = size = size + sum(map(self.of, value.values()))
        return size
