"""Read and write JSON fast, with the results of the standard library.

pydantic-core, which is needed anyway, contains the parser jiter. It takes half to a third of the time of `json`, and
refuses what it reads differently: NaN and the infinities, lone surrogates, many levels. Then `json` reads the text.
Numbers, the order of members and repeated members are the same, as tests/core/codecs/test_json_text.py shows.

The encoder of msgspec is several times as fast, but accepts bytes and dates, so it writes only what a parser returned.
"""

from __future__ import annotations

import json
import json.encoder
import math
from collections.abc import Callable
from typing import Any, Final

import msgspec
from pydantic_core import from_json, to_json

LARGE_TEXT: Final = 1 << 16
"""Characters of a text from which on short texts in it are shared: in many rows, they are half of the memory."""

DECODER: Final = json.JSONDecoder(parse_constant=str)
"""The decoder of the standard library; NaN and the infinities become their names."""

_write_json: Final = msgspec.json.Encoder().encode
_write_msgpack: Final = msgspec.msgpack.Encoder().encode
_INFINITY: Final = _write_msgpack(math.inf)
_MINUS_INFINITY: Final = _write_msgpack(-math.inf)

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def parse(text: str) -> Any:
    """Parse JSON; NaN and the infinities become their names, because JSON has no such numbers (RFC 8259 §6).

    Raises:
        ValueError: if it is not JSON, or holds a number of thousands of digits.
        RecursionError: if it is nested too deeply.
    """
    try:
        return parse_plain(text)
    except (ValueError, TypeError):
        return DECODER.decode(text)


def parse_plain(text: str | bytes) -> Any:
    """Parse JSON that needs no decision: no NaN, no lone surrogate, not many levels, UTF-8.

    Raises:
        ValueError: for anything else, which may be JSON nevertheless.
        TypeError: if a text cannot be written as UTF-8.
    """
    return from_json(text, allow_inf_nan=False, cache_strings="all" if len(text) >= LARGE_TEXT else "keys")


def _make_encoder() -> Callable[[Any], str]:
    """Return the encoder of the standard library without what `JSONEncoder.encode` does again for each value."""
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # another interpreter than CPython
        return _ENCODER.encode
    quote: Any = json.encoder.encode_basestring
    # Without the search for cycles: none can be in a value, and the interpreter bounds the recursion.
    chunks = make(None, _ENCODER.default, quote, None, ":", ",", False, False, False)
    return lambda value: quote(value) if type(value) is str else "".join(chunks(value, 0))


encode: Final = _make_encoder()
"""Return a value as compact JSON.

Raises:
    TypeError: for a type that JSON does not have.
    ValueError: for NaN and the infinities.
    RecursionError: if it is nested too deeply.
"""


def encode_parsed(value: Any) -> bytes:
    """Return a value that a parser has returned as compact JSON in UTF-8; the infinities become their names.

    Raises:
        ValueError: if it holds a lone surrogate, or is nested too deeply.
    """
    try:
        data = _write_json(value)
        if b"null" not in data or not _may_hold_infinity(value):  # msgspec writes the infinities as null
            return data
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return to_json(value, inf_nan_mode="strings")


def _may_hold_infinity(value: Any) -> bool:
    """Return whether an infinity may be in a value. MessagePack, which has them, is written fastest of all."""
    try:
        packed = _write_msgpack(value)
    except OverflowError:  # an integer of more than 64 bits
        return True
    return _INFINITY in packed or _MINUS_INFINITY in packed
