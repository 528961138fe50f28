"""The formats of the filters pack and unpack: those of `struct`, and `v` for an integer of variable length.

`v` is not negative and has at most 64 bits (`core.codecs.varint`).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from ...records import Record
from ..codecs.varint import decode_varint, encode_varint

MAX_VARINT_BYTES: Final = 10
"""Bytes of the largest integer, which has 64 bits."""


class _Part(Record):
    """A part of a format: of integers of variable length if `form` is empty, otherwise of `struct`."""

    form: str
    fields: int


def format_sizes(form: str) -> tuple[int, int]:
    """Return how many bytes a format takes at least and at most, without allocating them.

    Raises:
        struct.error, TypeError: if it is no format.
    """
    if "v" not in form:
        size = struct.calcsize(form)
        return size, size
    parts = _parse(form)
    fixed = sum(struct.calcsize(part.form) for part in parts if part.form)
    varints = sum(part.fields for part in parts if not part.form)
    return fixed + varints, fixed + varints * MAX_VARINT_BYTES


def pack_fields(form: str, fields: Sequence[Any]) -> bytes:
    """Return values in a format.

    Raises:
        struct.error, OverflowError: if they do not fit.
    """
    if "v" not in form:
        return struct.pack(form, *fields)
    packed, start = bytearray(), 0
    for part in _parse(form):
        own = fields[start : start + part.fields]
        start += part.fields
        if part.form:
            packed += struct.pack(part.form, *own)
        elif len(own) < part.fields:
            raise struct.error
        for each in own if not part.form else ():
            packed += _pack_varint(each)
    if start < len(fields):
        raise struct.error
    return bytes(packed)


def unpack_fields(form: str, data: bytes) -> list[Any]:
    """Return the values at the beginning of data.

    Raises:
        struct.error: if an integer of variable length does not end, or has more than 64 bits, or the data is too short.
    """
    if "v" not in form:
        return list(struct.unpack_from(form, data))
    values, offset = list[Any](), 0
    for part in _parse(form):
        if part.form:
            values += struct.unpack_from(part.form, data, offset)
            offset += struct.calcsize(part.form)
        for _ in range(part.fields if not part.form else 0):
            value, offset = _unpack_varint(data, offset)
            values.append(value)
    return values


@lru_cache(maxsize=128)
def _parse(form: str) -> tuple[_Part, ...]:
    # Alignment to the addresses of this machine, the default of struct, has no meaning behind a varying length.
    order, rest = (form[0], form[1:]) if form[0] in "=<>!" else ("=", form)
    parts = []
    for text in re.split(r"(\d*v)", rest):
        if text.endswith("v"):
            parts.append(_Part("", int(text[:-1] or 1)))
        elif text:
            kinds = re.findall(r"(\d*)([a-zA-Z?])", text)
            parts.append(_Part(order + text, sum(_count_fields(count, kind) for count, kind in kinds)))
    return tuple(parts)


def _count_fields(count: str, kind: str) -> int:
    if kind in "sp":
        return 1
    return 0 if kind == "x" else int(count or 1)


def _pack_varint(value: Any) -> bytes:
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise struct.error
    return encode_varint(value)


def _unpack_varint(data: bytes, offset: int) -> tuple[int, int]:
    """Return the integer that begins at an offset, and the offset behind it."""
    try:
        found = decode_varint(data, offset, MAX_VARINT_BYTES)
    except ValueError:
        raise struct.error from None
    if found is None or found[0] >= 1 << 64:
        raise struct.error
    return found
