"""Integers of variable length: unsigned LEB128, the varint of Protobuf, MQTT and WebAssembly.

Each byte has seven bits, the lowest first; the highest bit of a byte says that another one follows.
"""

from __future__ import annotations


def encode_varint(number: int) -> bytes:
    """Return a number, which is not negative."""
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])


def decode_varint(data: bytes | bytearray, position: int, max_bytes: int) -> tuple[int, int] | None:
    """Return the number at a position and where it ends, or None while it is incomplete.

    Raises:
        ValueError: if it has more bytes than it may have.
    """
    number = 0
    for index in range(max_bytes):
        if position + index >= len(data):
            return None
        byte = data[position + index]
        number |= (byte & 127) << 7 * index
        if byte < 128:
            return number, position + index + 1
    raise ValueError
