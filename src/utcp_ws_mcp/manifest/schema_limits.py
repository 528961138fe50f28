"""How much work a schema from the network makes: its references can double it with every step, or with every level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from .models.base import Json

MAX_UNFOLDED: Final = 10_000
"""Parts of a schema with every reference replaced by what it refers to."""

Label = tuple[str, ...]
"""Where in a value a part of a schema applies: names, "[]" for elements, "{}" for members of any name."""

_REFERENCES: Final = ("$ref", "$recursiveRef")
_NAMED: Final = {"properties": None, "patternProperties": "{}", "dependentSchemas": "", "dependencies": ""}
"""Objects of schemas by name; None: the name itself is where the schema applies, "": the whole value."""

_STEPS: Final = {
    **dict.fromkeys(("items", "prefixItems", "additionalItems", "contains", "unevaluatedItems"), "[]"),
    **dict.fromkeys(("additionalProperties", "unevaluatedProperties", "propertyNames"), "{}"),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "not", "if", "then", "else"), ""),
}
"""Keywords with a schema, or a list of them, and where in the value it applies ("": the whole value)."""


class _TooMuch(Exception):
    """The schema unfolds without bound."""


def unfolding_problem(schema: Json) -> str | None:
    """Why a schema could make checking a value endless, or None."""
    if not isinstance(schema, dict):
        return None
    unfolding = _Unfolding(schema)
    try:
        unfolding.walk(schema, None)
        for target in unfolding.targets():
            if _overlap(unfolding.walk(target, id(target))):
                return "refers to itself in several ways for the same value"
    except _TooMuch:
        return f"has more than {MAX_UNFOLDED:,} parts with its references replaced"
    return None


class _Unfolding:
    """Walks through a schema and its references, for a bounded number of steps."""

    def __init__(self, schema: Json) -> None:
        self._schema = schema
        self._seen: dict[int, Json] = {}
        self._steps = 0

    def targets(self) -> list[Json]:
        """What was referred to."""
        return list(self._seen.values())

    def walk(self, start: Json, back_to: int | None) -> list[Label]:
        """Walk to everything below `start`; where in a value the schema `back_to` was met again."""
        returns: list[Label] = []
        waiting: list[tuple[Json, Label, frozenset[int]]] = [(start, (), frozenset({id(start)}))]
        while waiting:
            schema, label, above = waiting.pop()
            self._steps += 1
            if self._steps > MAX_UNFOLDED:
                raise _TooMuch
            waiting += [(part, label + step, above) for part, step in _parts(schema)]
            for target in self._references(schema):
                if id(target) == back_to:
                    returns.append(label)
                elif id(target) not in above:
                    waiting.append((target, label, above | {id(target)}))
        return returns

    def _references(self, schema: Mapping[str, Json]) -> Iterator[Json]:
        for key in _REFERENCES:
            if isinstance(pointer := schema.get(key), str) and isinstance(found := self._at(pointer), dict):
                self._seen[id(found)] = found
                yield found

    def _at(self, pointer: str) -> Json:
        """What a reference within the schema means (RFC 6901); None where that is nothing."""
        found = self._schema
        for part in pointer.removeprefix("#").split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict):
                found = found.get(key)
            elif isinstance(found, list):
                found = found[int(key)] if key.isdecimal() and int(key) < len(found) else None
        return found


def _parts(schema: Mapping[str, Json]) -> Iterator[tuple[Mapping[str, Json], Label]]:
    """The schemas directly in a schema, each with where it applies."""
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, dict):
            step = _NAMED[key]
            found = [(item, name if step is None else step) for name, item in value.items()]
        elif key in _STEPS:
            found = [(item, _STEPS[key]) for item in (value if isinstance(value, list) else [value])]
        else:
            continue
        yield from ((item, (step,) if step else ()) for item, step in found if isinstance(item, dict))


def _overlap(labels: list[Label]) -> bool:
    """Whether two of them mean the same part of some value."""
    return any(_meet(one, other) for index, one in enumerate(labels) for other in labels[:index])


def _meet(one: Label, other: Label) -> bool:
    return len(one) == len(other) and all(
        a == b or ("{}" in (a, b) and "[]" not in (a, b)) for a, b in zip(one, other, strict=True)
    )
