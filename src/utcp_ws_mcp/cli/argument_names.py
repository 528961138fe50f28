"""Refuse arguments of `call` that the tool does not have, which a schema that allows further ones would accept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import InvalidArguments
from ..manifest.validation import closest_match

_DECLARES_MORE: Final = frozenset(
    {"patternProperties", "unevaluatedProperties", "allOf", "anyOf", "oneOf", "$ref", "$dynamicRef", "if"}
    | {"dependentSchemas"}
)
"""Keywords of a schema with which `properties` need not name all arguments."""


def check_argument_names(tool: str, arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Refuse arguments that a tool does not have: a person who types one has misspelt it.

    A model may send such arguments, because JSON Schema allows further properties unless `additionalProperties` is
    false. A schema that allows them explicitly, or declares arguments elsewhere than in `properties`, allows them here.

    Raises:
        InvalidArguments: with the name that is meant, and the required arguments that are missing.
    """
    declared = schema.get("properties")
    if not declared or schema.get("additionalProperties", False) is not False or _DECLARES_MORE & schema.keys():
        return
    unknown = [name for name in arguments if name not in declared]
    if unknown:
        missing = [name for name in schema.get("required", ()) if name not in arguments]
        raise InvalidArguments(tool, " ".join(_sentences(unknown, missing, [*declared])))


def _sentences(unknown: list[str], missing: list[str], declared: list[str]) -> Iterator[str]:
    for name in unknown:
        near = closest_match(name, missing) or closest_match(name, declared)
        hint = f"Did you mean {near!r}?" if near else f"It has: {', '.join(declared)}."
        yield f"the tool has no argument {name!r}. {hint}"
    if missing:
        yield f"Required and missing: {', '.join(missing)}."
