"""Complete and describe the fields of a manifest at a place of its text, from the JSON schema of manifests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from ..manifest.json_schema import manifest_schema
from ..records import MutableRecord, Record, field

Schema = Mapping[str, Any]
Step = str | int

QUOTE: Final = '"'
MAX_OPTIONS: Final = 200
"""Completions that are offered at a place."""

MAX_EXPANDED: Final = 200
"""Schemas that may apply to one value."""

_TOKEN: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"?|[{}\[\],:]|[^\s{}\[\],:"]+')
_COLON: Final = re.compile(r"\s*:")
_NEXT: Final = re.compile(r"\s*(\S)")
_BRANCHES: Final = ("anyOf", "oneOf", "allOf")
_CONDITIONS: Final = ("then", "else")


class _Container(MutableRecord):
    """An object or an array that is open at the place; `key` is that of the value that is written."""

    is_object: bool
    key: str | None = None
    index: int = 0
    after_colon: bool = False
    keys: list[str] = field(default_factory=list)


class Place(Record):
    """A place in the text of a manifest.

    Attributes:
        path: The keys and indexes of the object, array or value around it.
        is_key: Whether a key is written there.
        start: Where the word begins that is written there.
        end: Where it ends.
        keys: The keys that the object has already.
        next: The character that follows the word, without white space; empty at the end.
    """

    path: tuple[Step, ...]
    is_key: bool
    start: int
    end: int
    keys: tuple[str, ...]
    next: str


class Option(Record):
    """What can be written at a place: `label` is shown, `text` is written, and the cursor is put at `caret` in it."""

    label: str
    text: str
    caret: int
    detail: str
    description: str


def place_at(text: str, offset: int) -> Place:
    """Return what is written at an offset of a text, which may be incomplete."""
    stack: list[_Container] = []
    start = end = offset
    for found in _TOKEN.finditer(text):
        if found.start() >= offset:
            break
        lexeme = found[0]
        if found.end() >= offset and lexeme not in "{}[],:":
            start, end = found.span()
            break
        _read(stack, lexeme)
    path = tuple(_step(each) for each in stack[:-1])
    top = stack[-1] if stack else _Container(is_object=False)
    is_key = bool(stack) and top.is_object and not top.after_colon
    if stack and not is_key:
        path = (*path, _step(top))
    keys = (*top.keys, *_keys_behind(text, end)) if is_key else ()
    following = _NEXT.match(text, end)
    return Place(path, is_key, start, end, keys, following[1] if following else "")


def _read(stack: list[_Container], lexeme: str) -> None:
    """Follow a token that is complete."""
    top = stack[-1] if stack else None
    if lexeme in "{[":
        stack.append(_Container(lexeme == "{"))
    elif lexeme in "}]":
        if stack:
            stack.pop()
    elif top is not None and lexeme == ",":
        top.index, top.after_colon, top.key = top.index + 1, False, None
    elif top is not None and lexeme == ":":
        top.after_colon = True
    elif top is not None and top.is_object and not top.after_colon:
        top.key = lexeme.strip('"')
        top.keys.append(top.key)


def _step(container: _Container) -> Step:
    return (container.key or "") if container.is_object else container.index


def _keys_behind(text: str, end: int) -> Iterator[str]:
    """Yield the keys of the innermost object that follow a place."""
    depth = 0
    for found in _TOKEN.finditer(text, end):
        lexeme = found[0]
        if lexeme in "{[":
            depth += 1
        elif lexeme in "}]":
            depth -= 1
            if depth < 0:
                return
        elif depth == 0 and _COLON.match(text, found.end()):
            yield lexeme.strip('"')


@cache
def _root() -> Schema:
    return manifest_schema()


def _expanded(schemas: Sequence[Any]) -> list[Schema]:
    """Return the schemas with all that they refer to or choose from."""
    found: list[Schema] = []
    waiting, seen = list(schemas), set[str]()
    while waiting and len(found) < MAX_EXPANDED:
        schema = waiting.pop(0)
        if not isinstance(schema, Mapping):
            continue
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            seen.add(reference)
            waiting.append(_root()["$defs"][reference.rpartition("/")[2]])
        found.append(schema)
        for name in _BRANCHES:
            waiting += schema.get(name, ())
        waiting += [schema[name] for name in _CONDITIONS if name in schema]
    return found


def _below(schemas: Sequence[Schema], step: Step) -> Iterator[Any]:
    """Yield the schemas of a member of values that have some schemas."""
    for schema in schemas:
        if isinstance(step, int):
            yield schema.get("items")
        elif step in schema.get("properties", {}):
            yield schema["properties"][step]
        else:
            yield schema.get("additionalProperties")


def schemas_at(path: Sequence[Step]) -> list[Schema]:
    """Return the schemas that may apply to the value at a path; none inside schemas, messages and the like."""
    schemas = _expanded([_root()])
    for step in path:
        schemas = _expanded(list(_below(schemas, step)))
    return schemas


def describe(path: Sequence[Step]) -> str:
    """Return what a field means, its type, its values and its default; an empty text if nothing is known."""
    if not path:
        return ""
    schemas = schemas_at(path)
    texts = [str(each["description"]) for each in schemas if "description" in each]
    if not texts:
        return ""
    values = list(_values(schemas))
    lines = [f"{path[-1]}: {_types(schemas)}" if isinstance(path[-1], str) else _types(schemas), texts[0]]
    lines += [f"One of: {', '.join(values[:30])}"] if values else []
    default = next((each["default"] for each in schemas if "default" in each), None)
    lines += [f"Default: {json.dumps(default)}"] if default is not None else []
    return "\n".join(lines)


def options_at(place: Place) -> list[Option]:
    """Return what can be written at a place."""
    schemas = schemas_at(place.path)
    if not place.is_key:
        known = next((str(each["description"]) for each in schemas if "description" in each), "")
        return [Option(value, value, len(value), "", known) for value in _values(schemas)][:MAX_OPTIONS]
    names = dict.fromkeys(name for schema in schemas for name in schema.get("properties", ()))
    return [_key_option((*place.path, name), place) for name in sorted(names) if name not in place.keys][:MAX_OPTIONS]


def _key_option(path: tuple[Step, ...], place: Place) -> Option:
    schemas = schemas_at(path)
    name = str(path[-1])
    description = next((str(each["description"]) for each in schemas if "description" in each), "")
    key = json.dumps(name)
    if place.next == ":":
        return Option(name, key, len(key), _types(schemas), description)
    value = _empty(schemas)
    text = f"{key}: {value}{',' * (place.next == QUOTE)}"
    return Option(name, text, len(key) + 2 + len(value) // 2, _types(schemas), description)


def _kinds(schemas: Sequence[Schema]) -> list[str]:
    kinds: dict[str, None] = {}
    for schema in schemas:
        given = schema.get("type", ())
        kinds |= dict.fromkeys([given] if isinstance(given, str) else given)
        kinds |= {"object": None} if "properties" in schema else {}
    return list(kinds)


def _types(schemas: Sequence[Schema]) -> str:
    return " or ".join(kind for kind in _kinds(schemas) if kind != "null") or "any value"


def _empty(schemas: Sequence[Schema]) -> str:
    kinds = _kinds(schemas)
    first = next((kind for kind in kinds if kind != "null"), "")
    return {"object": "{}", "array": "[]", "string": '""', "boolean": ""}.get(first, "")


def _values(schemas: Sequence[Schema]) -> Iterator[str]:
    """Yield the values that a field may have, if they can be counted, as JSON."""
    found: dict[str, None] = {}
    for schema in schemas:
        found |= {json.dumps(value): None for value in schema.get("enum", ())}
        found |= {json.dumps(schema["const"]): None} if "const" in schema else {}
        found |= {"true": None, "false": None} if schema.get("type") == "boolean" else {}
    yield from found
