"""Bound the work that a schema from the network causes: a reference can double it with every step or every level.

A schema may refer to itself, because those of trees and of arbitrary JSON do. It may not apply itself twice to the same
part of a value: the work would double with each level of a value that the endpoint chooses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Final

from .models.base import Json

MAX_EXPANDED_PARTS: Final = 10_000
"""The maximum number of parts of a schema in which every reference is replaced by its target."""

ValuePath = tuple[str, ...]
"""Where in a value a part of a schema applies: names, "[]" for the elements, "{}" for members of any name."""

_REFERENCE_ROOTS: Final = ("#/$defs/", "#/definitions/")
_SUBSCHEMA_MAPS: Final = {"properties": None, "patternProperties": "{}", "dependentSchemas": "", "dependencies": ""}
"""Objects of schemas by name; None: the schema applies to the member of this name, "": to the value itself."""

_SUBSCHEMA_KEYWORDS: Final = {
    **dict.fromkeys(("items", "prefixItems", "additionalItems", "contains", "unevaluatedItems"), "[]"),
    **dict.fromkeys(("additionalProperties", "unevaluatedProperties", "propertyNames"), "{}"),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "not", "if", "then", "else"), ""),
}
"""Keywords with a schema or a list of schemas, and where in the value these apply ("": to the value itself)."""


class _LimitExceeded(Exception):
    """The expanded schema has too many parts."""


def is_local_reference(reference: str) -> bool:
    """Return whether a `$ref` is to the whole schema or to one of its definitions, the only supported targets."""
    if "%" in reference:  # percent-encoding would give a target two names
        return False
    return reference == "#" or (reference.startswith(_REFERENCE_ROOTS) and reference.count("/") == 2)


def expansion_problem(schema: Json) -> str | None:
    """Return why the references of a schema could make the check of a value endless, as a predicate, or None."""
    if not isinstance(schema, dict):
        return None
    expansion = _SchemaExpansion(schema)
    try:
        expansion.walk(schema)
        for target in list(expansion.targets.values()):
            returns = expansion.walk(target)
            expansion.count(len(returns) * (len(returns) - 1) // 2)
            if any(_overlap(one, other) for one, other in combinations(returns, 2)):
                return "refers to itself in several ways for the same value"
    except _LimitExceeded:
        return f"has more than {MAX_EXPANDED_PARTS:,} parts with its references replaced"
    return None


class _SchemaExpansion:
    """Walks through a schema and the targets of its references, for a bounded number of steps in total."""

    def __init__(self, schema: Mapping[str, Json]) -> None:
        self.targets: dict[int, Mapping[str, Json]] = {}
        self._schema = schema
        self._steps = 0

    def walk(self, start: Mapping[str, Json]) -> list[ValuePath]:
        """Visit everything below `start`, and return where in a value `start` applies again."""
        returns: list[ValuePath] = []
        waiting: list[tuple[Mapping[str, Json], ValuePath, frozenset[int]]] = [(start, (), frozenset())]
        while waiting:
            schema, path, above = waiting.pop()
            self.count(1)
            waiting += [(part, path + step, above) for part, step in _subschemas(schema)]
            target = self._target(schema.get("$ref"))
            if target is start:
                returns.append(path)
            elif target is not None and id(target) not in above:  # a cycle without `start` has its own walk
                waiting.append((target, path, above | {id(target)}))
        return returns

    def count(self, steps: int) -> None:
        """Count steps of this walk, or of what is done with its result.

        Raises:
            _LimitExceeded: if they are too many.
        """
        self._steps += steps
        if self._steps > MAX_EXPANDED_PARTS:
            raise _LimitExceeded

    def _target(self, reference: Json) -> Mapping[str, Json] | None:
        if not isinstance(reference, str) or not is_local_reference(reference):
            return None
        target: Json = self._schema
        for step in reference.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")  # RFC 6901 §4
            target = target.get(key) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            return None
        self.targets[id(target)] = target
        return target


def _subschemas(schema: Mapping[str, Json]) -> Iterator[tuple[Mapping[str, Json], ValuePath]]:
    """Yield the direct subschemas of a schema, each with the step from its value to theirs."""
    for key, value in schema.items():
        if key in _SUBSCHEMA_MAPS and isinstance(value, dict):
            step = _SUBSCHEMA_MAPS[key]
            found = [(item, name if step is None else step) for name, item in value.items()]
        elif key in _SUBSCHEMA_KEYWORDS:
            found = [(item, _SUBSCHEMA_KEYWORDS[key]) for item in (value if isinstance(value, list) else [value])]
        else:
            continue
        yield from ((item, (step,) if step else ()) for item, step in found if isinstance(item, dict))


def _overlap(one: ValuePath, other: ValuePath) -> bool:
    """Return whether two paths can mean the same part of a value; "{}" means a member of any name."""
    return len(one) == len(other) and all(
        a == b or ("{}" in (a, b) and "[]" not in (a, b)) for a, b in zip(one, other, strict=True)
    )
