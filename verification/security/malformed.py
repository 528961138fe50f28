"""Malformed inputs: known ways to break JSON and text, and mutations of valid inputs."""

from __future__ import annotations

import random
from typing import Final

from . import seeds
from .mutation import Mutator

_JSON: Final = (
    *("", " ", "null", "true", "0", "-", '"', '"a', "{", "[", "]", "}", "{}x", "[1,]", '{"a":}', "{a:1}", "{'a':1}"),
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e400",
        "01",
        "1.",
        ".5",
        "+1",
        "0x10",
        "1" * 5000,
        "[" + "9" * 5000 + "]",
    ),
    *(
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '{"\\ud800": 1}',
        '"\\u12"',
        '"\\x41"',
        '"\t"',
        '"\0"',
        "\0",
        "\x1e",
        "\u2028",
        "\x85",
    ),
    *(
        '{"a":1,"a":2}',
        '{"__proto__":{"a":1}}',
        '{"constructor":{}}',
        "\ufeff{}",
        "{}\ufeff",
        "/*x*/{}",
        "{}{}",
        "{}\r{}",
    ),
    *("[" * 100_000, '{"a":' * 20_000, "[" * 900 + "]" * 900, '{"a":' * 500 + "1" + "}" * 500, "[[],[]]" * 99),
    *('{"jsonrpc":"2.0","id":null,"method":"ping"}', '{"jsonrpc":"2.0","id":1.5,"method":"ping"}', "[]", "[[]]"),
    *('{"jsonrpc":"1.0","id":1,"method":"ping"}', '{"jsonrpc":"2.0","id":2,"method":5}', '{"id":3}', '{"method":"x"}'),
    *('{"jsonrpc":"2.0","id":4,"method":"tools/call","params":[]}', '{"jsonrpc":"2.0","id":5,"method":"tools/call"}'),
    *('{"jsonrpc":"2.0","id":true,"method":"ping"}', '{"jsonrpc":"2.0","id":{},"method":"ping"}', '{"tools":5}'),
    *('{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}', '{"jsonrpc":"2.0","id":1' + "0" * 400 + ',"method":"ping"}'),
    *('{"tools":[null,5,{},{"name":5},{"name":""},{"name":"\\ud800"}]}', '{"tools":{"a":1}}', '[{"tools":[]}]'),
)
_BYTES: Final = (
    *(b"\xff", b"\xfe\xff\x00{\x00}", b"\xff\xfe{\x00}\x00", b"\xc0\x80", b'"\xed\xa0\x80"', b"\xf4\x90\x80\x80"),
    *(b'{"a":"\xff"}', b"\xef\xbb\xbf{}", b"\x00\x00\x00{", b"\x80" * 200, bytes(range(256)), b'"\xe2\x82'),
)


def malformed_inputs(rng: random.Random, count: int) -> list[bytes]:
    """Return `count` different inputs: the known ones first, then mutations of valid messages."""
    found = dict.fromkeys([*(text.encode() for text in _JSON), *_BYTES])
    mutator = Mutator(rng, (*seeds.LINES, *seeds.TOKENS, *seeds.as_bytes(*seeds.VALUES), *seeds.MESSAGES["json"]))
    while len(found) < count:
        found[mutator.next()] = None
    return list(found)[:count]
