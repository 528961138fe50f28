"""Attacks of an endpoint, of its manual, and of arguments on the event loop that all endpoints share."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from verification.reliability.bombs import GZIP_BOMB

from .bridge_fixture import JSONObject
from .endpoint import manual_of

SECRET: Final = "/+9zKq7Lm2Xw4Rt8"
"""A credential that begins with signs, as base64 does."""

KEY: Final = {"auth": {"auth_type": "api_key", "api_key": SECRET, "var_name": "X-Key"}}
TEXT: Final = {"response_format": "text"}
JSON: Final = {"response_format": "json"}


@dataclass(frozen=True, slots=True)
class Attack:
    """What an endpoint and a caller do.

    `template` are the fields of the call template. The endpoint answers a message with `replies`, or without end with
    the first of them; discovery with `manual`; a request of an HTTP step with `body`. `calls` are made at once.
    """

    name: str
    template: Mapping[str, Any] = field(default_factory=dict)
    replies: tuple[str | bytes, ...] = ()
    endless: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    manual: JSONObject | None = None
    body: bytes = b"{}"
    calls: int = 1


def attacks() -> Iterator[Attack]:
    """Yield all attacks."""
    yield from _texts()
    yield from _manuals()
    yield from _arguments()
    yield from _logins()
    yield from _filters()
    items = json.dumps({"x": "y" * 200})
    yield Attack("64 streams without end", {"stream": True, "max_connections": 64}, (items,), endless=True, calls=64)
    yield Attack("a gzip message of 1 GiB", {"framing": {"compression": "gzip"}}, (GZIP_BOMB,))


def _texts() -> Iterator[Attack]:
    for name, piece in (
        ("backslashes", "\\"),
        ("the sign that the credential begins with", "/"),
        ("the beginning of the credential", "/+9zKq7"),
        ("escapes", "\\u002"),
        ("percent signs", "%25"),
        ("ampersands", "&amp;"),
    ):
        text = piece * (200_000 // len(piece))
        yield Attack(f"200 KB of {name}, as text", {**KEY, **TEXT}, (text,))
        yield Attack(f"200 KB of {name}, as an error", {**KEY, "reply": {"error": "true"}}, (json.dumps(text),))
    yield Attack("a list nested 60 deep, often", JSON, (json.dumps([json.loads("[" * 60 + "]" * 60)] * 4_000),))
    yield Attack("200,000 members", JSON, (json.dumps({str(number): 0 for number in range(200_000)}),))


def _tools(count: int, schema: JSONObject, **template: Any) -> JSONObject:
    tools = [{"name": f"t{number}", "inputs": schema, "tool_call_template": template} for number in range(count)]
    return manual_of(*tools)


def _filters() -> Iterator[Attack]:
    """Yield filters of a manifest on the values that take them longest; messages have at most 16 MiB."""
    objects = json.dumps([{"a": {"x": number % 7}, "b": str(number)} for number in range(80_000)])
    lists = json.dumps([[{"a": number} for number in range(5_000)]] * 10)
    numbers = "[" + "1," * 1_000_000 + "1]"
    for name, filters, value in (
        ("objects", "unique | length", objects),
        ("objects", "sort | first", objects),
        ("objects by an attribute", "sort(attribute='a') | first", objects),
        ("objects by an attribute", "groupby('a') | length", objects),
        ("lists of objects", "map('unique') | map('length') | sum", lists),
        ("numbers", "join(',') | length", numbers),
        ("numbers", "unique | length", numbers),
        ("entities", "unescape | length", json.dumps("&a" * 2_000_000)),
    ):
        yield Attack(f"{name}, {filters}", {"reply": {"result": f"message | {filters}"}}, (value,))


def _manuals() -> Iterator[Attack]:
    doubling = {f"a{number}": {"allOf": [{"$ref": f"#/$defs/a{number + 1}"}] * 2} for number in range(40)}
    schemas: dict[str, JSONObject] = {
        "definitions that double": {"$ref": "#/$defs/a0", "$defs": {**doubling, "a40": {}}},
        "patterns of Unicode classes": {"allOf": [{"pattern": r"\p{L}{60}" + str(number)} for number in range(60)]},
        "patterns that backtrack": {"allOf": [{"pattern": f"(a+)+{number}"} for number in range(60)]},
        "many parts": {"properties": {f"p{number}": {"type": "string"} for number in range(1_900)}},
        "plain schemas": {"properties": {f"p{number}": {} for number in range(10)}},
    }
    for name, schema in schemas.items():
        yield Attack(f"a manual of 128 tools with {name}", manual=_tools(128, {"type": "object", **schema}))
    copies = f"[{','.join(['message'] * 400)}]"
    yield Attack("expressions of a manual that copy", manual=_tools(128, {}, reply={"result": copies}))
    lets = {
        "a0": "[args.x, args.x]",
        **{f"a{number}": f"[let.a{number - 1}, let.a{number - 1}]" for number in range(1, 28)},
    }
    yield Attack("values of a manual that double", manual=_tools(8, {}, let=lets, message="{{ let.a27 }}"))


def _arguments() -> Iterator[Attack]:
    finding = {"message": "{{ args.s | regex_find(args.p) }}"}
    for pattern in (
        "a?" * 30 + "a" * 30,
        "(a|a)?" * 28 + "b",
        "(a|aa)?" * 26 + "b",
        "(a+)+$",
        "(.*)*b",
        "[a-z]{1,900}b",
    ):
        yield Attack(f"the pattern {pattern[:12]!r} from an argument", finding, arguments={"s": "a" * 60, "p": pattern})
    yield Attack("a long text for a pattern", finding, arguments={"s": "a" * 100_000, "p": "(a|b)*c"})
    for name, message, arguments in (
        ("a list × a number", "{{ args.a * args.b }}", {"a": [1], "b": 10**8}),
        ("a text × a number", "{{ args.a * args.b }}", {"a": "x", "b": 10**9}),
        ("an indentation", "{{ args.a | tojson(indent=args.b) }}", {"a": [[1]] * 1000, "b": 10**7}),
        ("a format of bytes", "{{ 1 | pack(args.f) | hex }}", {"f": "1000000000x"}),
        ("a width", "{{ '%s' | format(args.a) }}", {"a": "%1000000000d"}),
        ("a format with a width", "{{ args.f | format(1) }}", {"f": "%1000000000d"}),
        ("a batch", "{{ args.a | batch(args.b, 'x') | list }}", {"a": [1], "b": 10**9}),
        ("slices", "{{ args.a | slice(args.b) | list }}", {"a": [1], "b": 10**9}),
        ("a width of lines", "{{ args.a | wordwrap(args.b) }}", {"a": "x " * 50_000, "b": 1}),
        ("a replacement", "{{ args.a | replace('', args.a) }}", {"a": "x" * 20_000}),
        ("a power", "{{ args.a ** args.b }}", {"a": 10, "b": 10**9}),
        ("a long number", "{{ args.a | int }}", {"a": "9" * 100_000}),
        ("a center", "{{ args.a.center(args.b) }}", {"a": "x", "b": 10**9}),
        ("random bytes", "{{ random_hex(args.b) }}", {"b": 10**9}),
    ):
        yield Attack(f"{name} from an argument", {"message": message}, arguments=arguments)


def _logins() -> Iterator[Attack]:
    strings = [f"t{number:08}" for number in range(6_400)]
    for name, tokens in (("6,400 short", strings), ("60 long", [f"{number}" + "k" * 1024 for number in range(60)])):
        step = {"http": {"url": "HTTP"}, "capture": {"ticket": "body.token"}}
        yield Attack(
            f"{name} tokens of a login", {"before_connect": [step]}, body=json.dumps({"token": tokens}).encode()
        )
