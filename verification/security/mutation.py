"""Mutations of valid inputs: changes of their structure and of their bytes."""

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
"""Values that a parser may not expect."""

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
"""Tokens of the parsers, and invalid byte sequences."""

DEPTHS: Final = (20, 70, 200, 900, 3000)
MAX_LENGTH: Final = 1 << 14
"""Maximal length of an input in bytes."""


class Mutator:
    """Draws inputs: mutations of `seeds`, which are valid inputs, or random bytes."""

    def __init__(self, rng: random.Random, seeds: Sequence[bytes]) -> None:
        self._rng = rng
        self._seeds = seeds
        self._values = [value for seed in seeds if (value := _as_json(seed)) is not None]

    def next(self) -> bytes:
        """Return the next input."""
        rng = self._rng
        chance = rng.random()
        if chance < 0.02:
            return rng.randbytes(rng.randrange(64))
        if chance < 0.03:
            return self._deep()
        if self._values and chance < 0.7:
            data = self._encode(self._mutate(rng.choice(self._values)))
        else:
            data = self._corrupt(rng.choice(self._seeds))
        return self._corrupt(data) if rng.random() < 0.1 else data

    def _mutate(self, value: Any) -> Any:
        for _ in range(self._rng.choice((1, 1, 1, 2, 3, 6))):
            value = self._change(value)
        return value

    def _change(self, value: Any) -> Any:
        """Return the value with a change at a random place; a nested place is likelier."""
        rng = self._rng
        if isinstance(value, dict) and value and rng.random() < 0.8:
            key = rng.choice(list(value))
            return self._change_member(value, key)
        if isinstance(value, list) and value and rng.random() < 0.8:
            place = rng.randrange(len(value))
            item = self._change(value[place])
            replacement = rng.choice(([item], [item], [item], [], [item, item]))
            return [*value[:place], *replacement, *value[place + 1 :]]
        return self._replace(value)

    def _change_member(self, value: dict[str, Any], key: str) -> dict[str, Any]:
        match self._rng.randrange(8):
            case 0:
                return {name: item for name, item in value.items() if name != key}
            case 1:
                return {**value, str(self._replace(key)): value[key]}
            case 2:
                return {(str(self._replace(key)) if name == key else name): item for name, item in value.items()}
            case _:
                return {**value, key: self._change(value[key])}

    def _replace(self, value: Any) -> Any:
        rng = self._rng
        match rng.randrange(6):
            case 0:
                return self._part(rng.choice(self._values)) if self._values else None
            case 1:
                return self._nested(value)
            case 2 if isinstance(value, str):
                return self._corrupt(value.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
            case 3 if isinstance(value, int | float):
                return value * rng.choice((-1, 0, 10, 10**9))
            case _:
                return rng.choice(HOSTILE_VALUES)

    def _nested(self, value: Any) -> Any:
        for _ in range(self._rng.choice((1, 1, 1, 1, 40, 70, 400, 900))):
            value = [value] if self._rng.random() < 0.5 else {"a": value}
        return value

    def _part(self, value: Any) -> Any:
        """Return a random part of a seed."""
        while isinstance(value, dict | list) and value and self._rng.random() < 0.8:
            value = self._rng.choice(list(value.values()) if isinstance(value, dict) else value)
        return value

    def _deep(self) -> bytes:
        count = self._rng.choice(DEPTHS)
        opening, closing = self._rng.choice((("[", "]"), ('{"a":', "}"), ('[{"tools":', "}]"), ("(", ")"), ("-", "")))
        return (opening * count + "0" + closing * self._rng.choice((0, count))).encode()

    def _encode(self, value: Any) -> bytes:
        ascii_only = self._rng.random() < 0.5
        try:
            return json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        except RecursionError:  # `_nested` was applied several times
            return self._deep()

    def _corrupt(self, data: bytes) -> bytes:
        """Replace, delete, insert or repeat some bytes."""
        rng, mutated = self._rng, bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 4))):
            start = rng.randrange(len(mutated) + 1)
            end = min(len(mutated), start + rng.choice((0, 1, 1, 4, 16)))
            match rng.randrange(4):
                case 0:
                    mutated[start:end] = rng.choice(WORDS)
                case 1:
                    mutated[start:end] = rng.randbytes(rng.randrange(3))
                case 2:
                    mutated[start:end] = mutated[start:end] * rng.choice((2, 3, 100))
                case _:
                    mutated[start:end] = b""
        return bytes(mutated[:MAX_LENGTH])


def _as_json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None
