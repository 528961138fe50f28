"""Inputs that are nearly right: valid seeds, changed in their structure and in their bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, Final

HOSTILE_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, float("inf"), float("nan"), 2**63, -(2**64), 10**400),
    *("", " ", "0", "\0", "\r\n", "\ud800", "\udfff\ud800", "\u2028", "\ufeff", "\u202e", "\U000e0041", "é", "𝒳"),
    *("..", "../", "/", "//", "\\", "#", "?", "@", "%", "%2e%2e", "*", "[", "(", "(a+)+$", "\\d{1000}{1000}", "$"),
    *("${X}", "$X", "$${", "{{", "}}", "{{ args }}", "{{ args.a }}", "{% for x in y %}", "UTCP_ARG_a_UTCP_ARG"),
    *("vars.X", "message", "message.id == request_id", "1 / 0", "[[[[", "a" * 300),
    *([], {}, [[]], [{}], {"": None}, {"$base64": "!"}, {"$file": "\0"}, {"__proto__": 1}, {"\ud800": 1}),
    *("#/", "file:///etc/passwd", {"$ref": "#"}, {"$ref": "file:///etc/passwd"}),
)
"""Values that a parser may not expect in the place of any other."""

_PIECES: Final = (
    *("{", "}", "[", "]", '"', ":", ",", "\\u0000", "\\ud800", "NaN", "Infinity", "1e400", "-", "0x", "null", "//"),
    *("://", "@", "#", "?", "[::1]", "127.1", "%00", "xn--", "１２７", "。", "\r\n", "\n\n", "\0", "\x1e", "\ufeff"),
    *("${", "{{", "}}", "UTCP_ARG_", "_UTCP_ARG", "|", "~", "**", "content-length:", "\\c", "51-", "450-", "/,"),
)
_BINARY_WORDS: Final = (
    *(b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"),
    *(b"\xd8\x1c", b"\xc2\x5b\xff", b"\x9f\xff", b"\x80"),
)
WORDS: Final = (*(piece.encode("utf-8", "surrogatepass") for piece in _PIECES), *_BINARY_WORDS)
"""Pieces that mean something to one of the parsers, or to none."""

DEPTHS: Final = (20, 70, 200, 900, 3000)
MAX_LENGTH: Final = 1 << 14
"""Bytes of an input."""


class Mutator:
    """Draws inputs: a seed with a few changes, or bytes that are nobody's. `seeds` are valid inputs as they come."""

    def __init__(self, draw: random.Random, seeds: Sequence[bytes]) -> None:
        self._draw = draw
        self._seeds = seeds
        self._values = [value for seed in seeds if (value := _as_json(seed)) is not None]

    def next(self) -> bytes:
        """One more input."""
        draw = self._draw
        lot = draw.random()
        if lot < 0.02:
            return draw.randbytes(draw.randrange(64))
        if lot < 0.03:
            return self._deep()
        if self._values and lot < 0.7:
            data = self._encode(self._changed(draw.choice(self._values)))
        else:
            data = self._corrupt(draw.choice(self._seeds))
        return self._corrupt(data) if draw.random() < 0.1 else data

    def _changed(self, value: Any) -> Any:
        for _ in range(self._draw.choice((1, 1, 1, 2, 3, 6))):
            value = self._change(value)
        return value

    def _change(self, value: Any) -> Any:
        """The value with one place in it changed: deeper with every second lot."""
        draw = self._draw
        if isinstance(value, dict) and value and draw.random() < 0.8:
            key = draw.choice(list(value))
            return self._change_member(value, key)
        if isinstance(value, list) and value and draw.random() < 0.8:
            place = draw.randrange(len(value))
            item = self._change(value[place])
            kept = draw.choice(([item], [item], [item], [], [item, item]))
            return [*value[:place], *kept, *value[place + 1 :]]
        return self._other(value)

    def _change_member(self, value: dict[str, Any], key: str) -> dict[str, Any]:
        match self._draw.randrange(8):
            case 0:
                return {name: item for name, item in value.items() if name != key}
            case 1:
                return {**value, str(self._other(key)): value[key]}
            case 2:
                return {(str(self._other(key)) if name == key else name): item for name, item in value.items()}
            case _:
                return {**value, key: self._change(value[key])}

    def _other(self, value: Any) -> Any:
        draw = self._draw
        match draw.randrange(6):
            case 0:
                return self._part(draw.choice(self._values)) if self._values else None
            case 1:
                return self._nested(value)
            case 2 if isinstance(value, str):
                return self._corrupt(value.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
            case 3 if isinstance(value, int | float):
                return value * draw.choice((-1, 0, 10, 10**9))
            case _:
                return draw.choice(HOSTILE_VALUES)

    def _nested(self, value: Any) -> Any:
        for _ in range(self._draw.choice((1, 1, 1, 1, 40, 70, 400, 900))):
            value = [value] if self._draw.random() < 0.5 else {"a": value}
        return value

    def _part(self, value: Any) -> Any:
        """A part of another seed."""
        while isinstance(value, dict | list) and value and self._draw.random() < 0.8:
            value = self._draw.choice(list(value.values()) if isinstance(value, dict) else value)
        return value

    def _deep(self) -> bytes:
        count = self._draw.choice(DEPTHS)
        opening, closing = self._draw.choice((("[", "]"), ('{"a":', "}"), ('[{"tools":', "}]"), ("(", ")"), ("-", "")))
        return (opening * count + "0" + closing * self._draw.choice((0, count))).encode()

    def _encode(self, value: Any) -> bytes:
        ascii_only = self._draw.random() < 0.5
        try:
            return json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        except RecursionError:  # nested more than once
            return self._deep()

    def _corrupt(self, data: bytes) -> bytes:
        """Some bytes changed, taken out, put in or repeated."""
        draw, spoilt = self._draw, bytearray(data)
        for _ in range(draw.choice((1, 1, 2, 4))):
            start = draw.randrange(len(spoilt) + 1)
            end = min(len(spoilt), start + draw.choice((0, 1, 1, 4, 16)))
            match draw.randrange(4):
                case 0:
                    spoilt[start:end] = draw.choice(WORDS)
                case 1:
                    spoilt[start:end] = draw.randbytes(draw.randrange(3))
                case 2:
                    spoilt[start:end] = spoilt[start:end] * draw.choice((2, 3, 100))
                case _:
                    spoilt[start:end] = b""
        return bytes(spoilt[:MAX_LENGTH])


def _as_json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None
