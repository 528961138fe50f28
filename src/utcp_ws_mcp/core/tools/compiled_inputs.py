"""The input schema of a tool, compiled: what validates, completes and converts the arguments of a call."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

from ...errors import InvalidTemplate
from ...manifest.validation import join_path
from ...records import Record
from ..diagnostics import Diagnostics
from .argument_forms import ArgumentForms
from .argument_schema import InvalidSchema, SchemaValidator


class CompiledInputs(Record):
    """A compiled input schema.

    Args:
        schema: The schema, with an object at its root.
        validator: Validates arguments.
        forms: Gives them the form that the schema says.
        defaults: Values of arguments that a call leaves out.
    """

    schema: Mapping[str, Any]
    validator: SchemaValidator
    forms: ArgumentForms
    defaults: Mapping[str, Any]


def compile_inputs(declared: Mapping[str, Any], diagnostics: Diagnostics) -> CompiledInputs | None:
    """Return a compiled input schema, or None if it cannot be used, which is reported."""
    schema = _normalize(declared, diagnostics)
    validator = compile_schema(schema, "inputs", diagnostics)
    if validator is None:
        return None
    return CompiledInputs(schema, validator, ArgumentForms(schema), default_values(schema))


def compile_schema(schema: Mapping[str, Any], key: str, diagnostics: Diagnostics) -> SchemaValidator | None:
    """Return the validator of a schema, or None if it cannot be used, which is reported at the place in the schema."""
    try:
        return SchemaValidator(schema)
    except InvalidSchema as error:
        diagnostics.add(reduce(join_path, error.path, key), f"not a usable JSON Schema: {error}", error.code)
        return None


def default_values(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a schema has for arguments that a call leaves out."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return {}
    return {name: each["default"] for name, each in properties.items() if isinstance(each, dict) and "default" in each}


def _normalize(inputs: Mapping[str, Any], diagnostics: Diagnostics) -> dict[str, Any]:
    """Return the input schema with an object at its root, as MCP demands; one without properties takes any object."""
    kind = inputs.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind) and isinstance(kind, str | list):
        with diagnostics.collect("inputs"):
            raise InvalidTemplate(
                f'the root of the schema is of type {kind!r}. Write "type": "object": a tool receives its arguments '
                "by name.",
                code="schema-root-not-object",
            )
    return {**inputs, "type": "object"} if isinstance(kind, str | list) else dict(inputs)
