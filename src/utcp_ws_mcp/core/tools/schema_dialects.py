"""Rewrite the keywords of older JSON Schema dialects as those of 2020-12, the dialect of MCP and of model APIs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Schema = dict[str, Any]

LATEST: Final = 2020
_DIALECTS: Final = {"draft-03": 4, "draft-04": 4, "draft-06": 6, "draft-07": 7, "2019-09": 2019}
"""The dialect that a part of `$schema` names, as a number that grows with the dialects."""

_REFERENCES_STAND_ALONE: Final = 7
"""Up to this dialect, the keywords beside `$ref` are ignored."""

_ADDED: Final = {
    **dict.fromkeys(("const", "contains", "propertyNames"), 6),
    **dict.fromkeys(("if", "then", "else"), 7),
    **dict.fromkeys(("dependentRequired", "dependentSchemas", "minContains", "maxContains"), 2019),
    **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties", "$anchor"), 2019),
    **dict.fromkeys(("prefixItems", "$dynamicRef", "$dynamicAnchor"), 2020),
}
"""The dialect that introduced a keyword; in older ones it has no effect."""


def dialect_of(schema: Mapping[str, Any]) -> int:
    """Return the dialect that the `$schema` of a document names; 2020-12 if it names none that is known."""
    name = schema.get("$schema")
    found = (number for part, number in _DIALECTS.items() if isinstance(name, str) and part in name)
    return next(found, LATEST)


def references_stand_alone(dialect: int) -> bool:
    """Return whether the keywords beside a reference are ignored."""
    return dialect <= _REFERENCES_STAND_ALONE


def modernized(schema: Schema, dialect: int) -> Schema:
    """Return one schema object, not those below it, with the keywords of 2020-12 that have the same effect.

    `dependencies` has its effect in all dialects: validators keep it for compatibility.
    """
    if dialect == LATEST and "additionalItems" not in schema and "dependencies" not in schema:
        return schema
    known = {key: value for key, value in schema.items() if _ADDED.get(key, 0) <= dialect}
    for convert in _CONVERSIONS:
        convert(known, dialect)
    return known


def _convert_items(schema: Schema, _: int) -> None:
    rest = schema.pop("additionalItems", None)
    if isinstance(schema.get("items"), list):
        schema["prefixItems"] = schema.pop("items")
        if rest is not None:
            schema["items"] = rest


def _convert_exclusive_bounds(schema: Schema, dialect: int) -> None:
    if dialect != 4:
        return
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if schema.pop(exclusive, False) is True and bound in schema:
            schema[exclusive] = schema.pop(bound)


def _convert_dependencies(schema: Schema, _: int) -> None:
    dependencies = schema.pop("dependencies", {})
    for key, is_list in (("dependentRequired", True), ("dependentSchemas", False)):
        found = {name: value for name, value in dependencies.items() if isinstance(value, list) == is_list}
        if found and key in schema:
            schema["allOf"] = [*schema.get("allOf", ()), {key: found}]
        elif found:
            schema[key] = found


_CONVERSIONS: Final[tuple[Callable[[Schema, int], None], ...]] = (
    _convert_items,
    _convert_exclusive_bounds,
    _convert_dependencies,
)
