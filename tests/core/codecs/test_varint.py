"""Integers of variable length, with the examples of LEB128 and of the MQTT standard."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.core.codecs.varint import decode_varint, encode_varint

NUMBERS = {
    0: "00",
    1: "01",
    127: "7f",
    128: "8001",
    16_383: "ff7f",
    16_384: "808001",
    624_485: "e58e26",
    (1 << 35) - 1: "ffffffff7f",
    (1 << 64) - 1: "ffffffffffffffffff01",
}


@pytest.mark.parametrize(("number", "data"), NUMBERS.items())
def test_a_number_is_written_and_read_with_its_end(number: int, data: str) -> None:
    raw = bytes.fromhex(data)
    assert encode_varint(number) == raw
    assert decode_varint(b"\xff" + raw + b"\xff", 1, len(raw)) == (number, 1 + len(raw))
    assert decode_varint(bytearray(raw), 0, 10) == (number, len(raw))


@pytest.mark.parametrize("data", ["", "80", "ffff"])
def test_a_number_that_goes_on_is_incomplete(data: str) -> None:
    assert decode_varint(bytes.fromhex(data), 0, 3) is None


def test_a_number_of_too_many_bytes_is_refused() -> None:
    with pytest.raises(ValueError):
        decode_varint(b"\x80\x80\x01", 0, 2)
    with pytest.raises(ValueError):
        decode_varint(b"\x00", 0, 0)
