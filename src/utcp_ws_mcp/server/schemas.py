"""Schemas as hosts and protocol revisions accept them. One tool that does not fit would fail the whole list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_COMBINATORS: Final = ("oneOf", "anyOf", "allOf", "not", "if", "then", "else", "$ref")


def advertised_inputs(schema: Mapping[str, Any]) -> dict[str, Any]:
    """An input schema with a plain object at its root.

    Model APIs refuse combinators there; they are checked by the bridge, and their properties are shown.
    """
    shown = {key: value for key, value in schema.items() if key not in _COMBINATORS}
    properties = dict(_properties(schema))
    for key in ("oneOf", "anyOf", "allOf"):
        for branch in schema.get(key) or ():
            for name, value in _properties(branch).items():
                properties.setdefault(name, value)
    shown |= {"type": "object", "properties": properties}
    return _drop_malformed_keywords(shown)


def advertised_outputs(schema: Mapping[str, Any], *, objects_only: bool) -> dict[str, Any] | None:
    """An output schema, or None where it cannot be shown: handshake revisions know object roots only."""
    if not schema or (objects_only and schema.get("type") != "object"):
        return None
    return _drop_malformed_keywords(dict(schema))


def _drop_malformed_keywords(schema: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(schema.get("$schema", ""), str):
        del schema["$schema"]
    if "required" in schema and not isinstance(schema["required"], list):
        del schema["required"]
    if "properties" in schema and not isinstance(schema["properties"], dict):
        del schema["properties"]
    return schema


def _properties(schema: Any) -> Mapping[str, Any]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return properties if isinstance(properties, dict) else {}
