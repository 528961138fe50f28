"""A rule for `inputs` that list arguments as if they were `properties` of a schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import Problem
from ..manifest.validation import join_path

_KEYWORDS_WITH_SCHEMAS: Final = frozenset(
    {"additionalProperties", "allOf", "anyOf", "const", "contains", "contentSchema", "default", "definitions"}
    | {"dependencies", "dependentRequired", "dependentSchemas", "discriminator", "else", "externalDocs", "if", "items"}
    | {"not", "oneOf", "patternProperties", "properties", "propertyNames", "then", "type", "unevaluatedItems"}
    | {"unevaluatedProperties", "xml"}
)
"""Keywords of JSON Schema, and of OpenAPI, whose value can be an object."""


def arguments_outside_properties(inputs: Mapping[str, Any]) -> list[str]:
    """Return the names of arguments that stand where the keywords of a schema belong, if it has no `properties`."""
    if "properties" in inputs:
        return []
    return [
        key
        for key, value in inputs.items()
        if isinstance(value, dict) and key not in _KEYWORDS_WITH_SCHEMAS and not key.startswith(("$", "x-"))
    ]


def check_inputs(inputs: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """Yield a problem for `inputs` without `properties` that contain arguments; `path` is that of their owner."""
    if names := arguments_outside_properties(inputs):
        shown = json.dumps(names[0])
        message = (
            f'"inputs" is a JSON Schema, in which {shown} has no meaning. '
            f'Write {{"type": "object", "properties": {{{shown}: …}}}}.'
        )
        yield Problem(join_path(path, "inputs"), message, code="inputs-without-properties")
