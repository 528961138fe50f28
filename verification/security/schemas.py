"""Schemas that a hostile endpoint could send, with arguments to check."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

TEXTS: Final = ("a" * 50_000 + "!", "x" * 30_000, "9" * 20_000, "\u0130" * 10_000)
PATTERNS: Final = (
    *(r"^(a+)+$", r"^(a|a)*$", r"(a*)*\1b", r"^(?=(a+)+$)b", r"(?<=(a|aa)+)b", r"(?!b)(a+)+$1", r"(x+x+)+y"),
    *(r"(\w{50}){19}", r"\d{1000}", r"(a{100}){100}", r"((a{1,30}){1,30}){1,30}", r"\p{L}{500}", r"\p{L}{100}"),
    *(r"[\w\s\d]{900}(?!x)", r"(.*)*(?!a)\1", r"(?:a?){60}a{60}", r"^([a-z]+)*\.com$", r"(", r"[z-a]", r"*"),
    *(r"\u{110000}", r"(?i)\p{Lu}+", r".{999}", r"(?:(?:(?:a*)*)*)*b", r"^(?:[^a]|a)*c$", "a" * 513, r"(?>a+)b"),
)
REFERENCES: Final = (
    *("http://127.0.0.1:9/s.json", "https://localhost/s.json", "file:///etc/passwd", "ftp://127.0.0.1/s", "s.json"),
    *("//127.0.0.1/s", "urn:x:y", "file:///proc/self/environ#/a", "#/nope", "#anchor", "#/%2e", "data:,{}", "", "\0"),
)


def hostile_schemas() -> Iterator[tuple[str, dict[str, Any], list[Any]]]:
    """Yield a name, the input schema of an argument `x`, and values of `x`."""
    for number, pattern in enumerate(PATTERNS):
        yield f"pattern {number}", about({"type": "string", "pattern": pattern}), list(TEXTS)
    for pattern in PATTERNS[:6]:
        yield f"pattern of names {pattern}", about({"patternProperties": {pattern: {}}}), [{TEXTS[0]: 1}]
    for reference in REFERENCES:
        yield f"reference {reference!r}", about({"$ref": reference}), ["x"]
    for key in ("allOf", "anyOf", "oneOf"):
        yield f"{key} that doubles", _doubling(key, 30), ["ab", "abcd"]
    yield from _ids()
    yield from _large()
    yield from _cycles()


def about(schema: Any, **keywords: Any) -> dict[str, Any]:
    """Return an input schema with the argument `x`; `beside` are other keywords."""
    return {"type": "object", "properties": {"x": schema}, **keywords}


def _doubling(key: str, levels: int) -> dict[str, Any]:
    steps: dict[str, Any] = {f"a{i}": {key: [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(levels)}
    return about({"$ref": "#/$defs/a0"}, **{"$defs": {**steps, f"a{levels}": {"type": "string", "minLength": 3}}})


def _ids() -> Iterator[tuple[str, dict[str, Any], list[Any]]]:
    yield "an $id with another host", about({"$id": "http://127.0.0.1:9/a", "$ref": "b"}), [1]
    yield "an $id that is a file", about({"$ref": "passwd"}, **{"$id": "file:///etc/"}), [1]
    yield "a $schema with another host", about({}, **{"$schema": "http://127.0.0.1:9/dialect"}), [1]
    yield "a dynamic reference", about({"$dynamicRef": "http://127.0.0.1:9/a"}), [1]
    yield "a vocabulary", about({}, **{"$vocabulary": {"http://127.0.0.1:9/v": True}}), [1]
    yield "an id of draft 4", about({"id": "http://127.0.0.1:9/a", "$ref": "#/nope"}), [1]


def _large() -> Iterator[tuple[str, dict[str, Any], list[Any]]]:
    yield "10,000 properties", {"type": "object", "properties": {f"p{i}": {} for i in range(10_000)}}, ["x"]
    yield "1,900 properties", {"type": "object", "properties": {f"p{i}": {} for i in range(1900)}}, ["x"]
    yield "depth 10,000", about(json.loads('{"not":' * 400 + "{}" + "}" * 400)), [1]
    yield "depth 30", about(json.loads('{"not":' * 30 + "{}" + "}" * 30)), [1]
    yield "uniqueItems", about({"uniqueItems": True}), [[{"a": i} for i in range(10_000)], [[]] * 10_000]
    yield "a tiny multiple", about({"multipleOf": 1e-300}), [1e300, 0.1, 10**30, 1]
    yield "a huge multiple", about({"multipleOf": 10**400}), [1e300, 10**30]
    yield "a multiple of 0", about({"multipleOf": 0}), [1]
    yield "a huge length", about({"minLength": 10**30, "maxItems": -1}), ["x"]
    yield "1,500 choices", about({"enum": list(range(1500))}), [5000, "x"]
    yield (
        "contained three times",
        about({"contains": {"contains": {"contains": {"const": 1}}}}),
        [[[[0] * 40] * 40] * 40],
    )
    yield "64 patterns", about({"allOf": [{"pattern": f"(a+)+{i}"} for i in range(64)]}), [TEXTS[0]]
    yield "a required list of 1,900", about({}, required=[f"p{i}" for i in range(1900)]), ["x"]
    yield "not a schema", about(5), [1]
    yield "an invalid type", about({"type": ["x", {}]}), [1]


def _cycles() -> Iterator[tuple[str, dict[str, Any], list[Any]]]:
    deep = json.loads('{"l":' * 60 + "{}" + "}" * 60)
    here = {"$ref": "#/$defs/n"}
    yield "a reference to the root", {"type": "object", "$ref": "#"}, ["x"]
    yield "a definition that refers to itself", about(here, **{"$defs": {"n": here}}), [1]
    yield "a cycle of references", about(here, **{"$defs": {"n": {"$ref": "#/$defs/m"}, "m": here}}), [1]
    yield "a tree", about(here, **{"$defs": {"n": {"properties": {"l": here, "r": here}}}}), [deep]
    twice = {"anyOf": [{"properties": {"l": here}, "required": ["z"]}, {"properties": {"l": here}, "required": ["l"]}]}
    yield "two equal branches", about(here, **{"$defs": {"n": twice}}), [deep]
    names = {"allOf": [{"patternProperties": {"l": here}}, {"properties": {"l": here}}]}
    yield "by name and by pattern", about(here, **{"$defs": {"n": names}}), [deep]
    closed = {"allOf": [here, here], "unevaluatedProperties": False}
    yield "unevaluatedProperties and two references to itself", about(here, **{"$defs": {"n": closed}}), [{}]
