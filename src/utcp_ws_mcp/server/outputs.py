"""What a tool promises for its structured content: the `outputSchema` of each era."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..core.tools.tool import CompiledTool
from .result import Promise

_DEFINITIONS: Final = ("$defs", "definitions")
_LOCATED: Final = ("$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef")
"""Keywords whose meaning depends on where a schema stands, besides `$ref`."""


def promise_of(tool: CompiledTool) -> Promise:
    """Return what the tool promises.

    In the handshake revisions structured content is an object, so other values are wrapped. Nothing is promised if
    `outputs` allow null, which structured content cannot be in 2026-07-28: clients would miss it.
    """
    if not tool.has_structured_output or (tool.result_schema is not None and not tool.result_schema.check(None)):
        return Promise.NOTHING
    if tool.outputs.get("type") == "object":
        return Promise.VALUE
    return Promise.WRAPPED if _is_movable(tool.outputs) else Promise.NOTHING


def promised_schema(tool: CompiledTool, *, modern: bool) -> dict[str, Any] | None:
    """Return the schema of the structured content, or None if the tool promises nothing."""
    match promise_of(tool):
        case Promise.NOTHING:
            return None
        case Promise.WRAPPED if not modern:
            return _wrapped(tool.outputs)
        case _:
            return dict(tool.outputs)


def _wrapped(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with the value under `result`; definitions stay where references find them."""
    value = {key: part for key, part in schema.items() if key not in (*_DEFINITIONS, "$schema")}
    root = {key: schema[key] for key in ("$schema", *_DEFINITIONS) if key in schema}
    return {**root, "type": "object", "properties": {"result": value}, "required": ["result"]}


def _is_movable(schema: Mapping[str, Any]) -> bool:
    """Return whether a schema means the same below `properties` as at the root, if its definitions stay there."""
    prefixes = tuple(f"#/{name}/" for name in _DEFINITIONS)
    return all(
        value.startswith(prefixes) if key == "$ref" else key not in _LOCATED
        for key, value in _keywords(schema)
        if isinstance(value, str)
    )


def _keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            yield key, value
            yield from _keywords(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _keywords(item)
