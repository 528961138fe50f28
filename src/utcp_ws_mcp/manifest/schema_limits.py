"""How much work a schema from the network makes: its references can double it with every step, or with every level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from .models.base import Json

MAX_EXPANDED_PARTS: Final = 10_000
"""Parts of a schema with every reference replaced by what it refers to."""

ValuePath = tuple[str, ...]
"""Where in a value a part of a schema applies: names, "[]" for elements, "{}" for members of any name."""

_REFERENCES: Final = ("$ref", "$recursiveRef")
_SUBSCHEMA_MAPS: Final = {"properties": None, "patternProperties": "{}", "dependentSchemas": "", "dependencies": ""}
"""Objects of schemas by name; None: the name itself is where the schema applies, "": the whole value."""

_SUBSCHEMA_KEYWORDS: Final = {
    **dict.fromkeys(("items", "prefixItems", "additionalItems", "contains", "unevaluatedItems"), "[]"),
    **dict.fromkeys(("additionalProperties", "unevaluatedProperties", "propertyNames"), "{}"),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "not", "if", "then", "else"), ""),
}
"""Keywords with a schema, or a list of them, and where in the value it applies ("": the whole value)."""


class _LimitExceeded(Exception):
    """The schema unfolds without bound."""


def expansion_problem(schema: Json) -> str | None:
    """Why a schema could make checking a value endless, or None."""
    if not isinstance(schema, dict):
        return None
    unfolding = _SchemaExpansion(schema)
    try:
        unfolding.walk(schema, None)
        for target in unfolding.reference_targets():
            if _any_overlap(unfolding.walk(target, id(target))):
                return "refers to itself in several ways for the same value"
    except _LimitExceeded:
        return f"has more than {MAX_EXPANDED_PARTS:,} parts with its references replaced"
    return None


class _SchemaExpansion:
    """Walks through a schema and its references, for a bounded number of steps."""

    def __init__(self, schema: Json) -> None:
        self._schema = schema
        self._targets: dict[int, Json] = {}
        self._steps = 0

    def reference_targets(self) -> list[Json]:
        """What was referred to."""
        return list(self._targets.values())

    def walk(self, start: Json, cycle_target: int | None) -> list[ValuePath]:
        """Walk to everything below `start`; where in a value the schema `back_to` was met again."""
        returns: list[ValuePath] = []
        waiting: list[tuple[Json, ValuePath, frozenset[int]]] = [(start, (), frozenset({id(start)}))]
        while waiting:
            schema, label, above = waiting.pop()
            self._steps += 1
            if self._steps > MAX_EXPANDED_PARTS:
                raise _LimitExceeded
            waiting += [(part, label + step, above) for part, step in _subschemas(schema)]
            for target in self._resolve_references(schema):
                if id(target) == cycle_target:
                    returns.append(label)
                elif id(target) not in above:
                    waiting.append((target, label, above | {id(target)}))
        return returns

    def _resolve_references(self, schema: Mapping[str, Json]) -> Iterator[Json]:
        for key in _REFERENCES:
            if isinstance(pointer := schema.get(key), str) and isinstance(
                found := self._resolve_pointer(pointer), dict
            ):
                self._targets[id(found)] = found
                yield found

    def _resolve_pointer(self, pointer: str) -> Json:
        """What a reference within the schema means (RFC 6901); None where that is nothing."""
        found = self._schema
        for part in pointer.removeprefix("#").split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict):
                found = found.get(key)
            elif isinstance(found, list):
                found = found[int(key)] if key.isdecimal() and int(key) < len(found) else None
        return found


def _subschemas(schema: Mapping[str, Json]) -> Iterator[tuple[Mapping[str, Json], ValuePath]]:
    """The schemas directly in a schema, each with where it applies."""
    for key, value in schema.items():
        if key in _SUBSCHEMA_MAPS and isinstance(value, dict):
            step = _SUBSCHEMA_MAPS[key]
            found = [(item, name if step is None else step) for name, item in value.items()]
        elif key in _SUBSCHEMA_KEYWORDS:
            found = [(item, _SUBSCHEMA_KEYWORDS[key]) for item in (value if isinstance(value, list) else [value])]
        else:
            continue
        yield from ((item, (step,) if step else ()) for item, step in found if isinstance(item, dict))


def _any_overlap(labels: list[ValuePath]) -> bool:
    """Whether two of them mean the same part of some value."""
    return any(_paths_overlap(one, other) for index, one in enumerate(labels) for other in labels[:index])


def _paths_overlap(one: ValuePath, other: ValuePath) -> bool:
    return len(one) == len(other) and all(
        a == b or ("{}" in (a, b) and "[]" not in (a, b)) for a, b in zip(one, other, strict=True)
    )
