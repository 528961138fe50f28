"""The arguments of a field: as variables of a query, and as a JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLSchema,
    get_named_type,
    is_input_type,
    is_required_argument,
    is_required_input_field,
)

from ..failures import Inexpressible
from ..model import Document

_TYPES: Final[Mapping[str, Document]] = {
    "Int": {"type": "integer"},
    "Float": {"type": "number"},
    "String": {"type": "string"},
    "ID": {"type": "string"},
    "Boolean": {"type": "boolean"},
}
_ANY: Final = re.compile(r"json|map\b|object|any|dict", re.IGNORECASE)
_NUMBER: Final = re.compile(r"int\d*\Z|long|decimal|number|bignum|float|double|timestamp", re.IGNORECASE)

TYPES: Final = "#/types/"
"""Where the schemas of named types are."""


def type_schemas(schema: GraphQLSchema) -> Document:
    """Return the JSON Schemas of all input types, enums and scalars, by their name."""
    return {name: _named(each) for name, each in schema.type_map.items() if is_input_type(each)}


def _named(kind: Any) -> Document:
    if isinstance(kind, GraphQLEnumType):
        return _described({"type": "string", "enum": list(kind.values)}, kind.description)
    if isinstance(kind, GraphQLScalarType):
        return _scalar(kind)
    properties = {name: _value(field) for name, field in kind.fields.items()}
    required = [name for name, field in kind.fields.items() if is_required_input_field(field)]
    schema: Document = {"type": "object", "properties": properties, "additionalProperties": False}
    # graphql-core 3.2 does not know @oneOf.
    schema |= {"minProperties": 1, "maxProperties": 1} if getattr(kind, "is_one_of", False) else {}
    return _described({**schema, **({"required": required} if required else {})}, kind.description)


def _scalar(kind: GraphQLScalarType) -> Document:
    known = _TYPES.get(kind.name)
    if known is not None:
        return dict(known)
    if _ANY.search(kind.name):
        return _described({}, kind.description or kind.name)
    types: Any = ["number", "string"] if _NUMBER.search(kind.name) else "string"
    return _described({"type": types}, kind.description or kind.name)


def _value(item: GraphQLArgument | GraphQLInputField) -> Document:
    return _described(reference(item.type), item.description)


def reference(kind: Any) -> Document:
    """Return the schema of a type; named types are references."""
    if isinstance(kind, GraphQLNonNull):
        return reference(kind.of_type)
    if isinstance(kind, GraphQLList):
        return {"type": "array", "items": reference(kind.of_type)}
    return dict(_TYPES[kind.name]) if kind.name in _TYPES else {"$ref": f"{TYPES}{kind.name}"}


def _described(schema: Document, text: str | None) -> Document:
    plain = " ".join(text.split()) if isinstance(text, str) else ""
    return {**schema, "description": plain[:300]} if plain else schema


def inputs_of(arguments: Mapping[str, GraphQLArgument]) -> Document:
    """Return the schema of the arguments of a field.

    Raises:
        Inexpressible: if a file is required, which no message can have.
    """
    required = [name for name, each in arguments.items() if is_required_argument(each)]
    files = [name for name, each in arguments.items() if get_named_type(each.type).name == "Upload"]
    if needed := [name for name in files if name in required]:
        raise Inexpressible(f"its argument {needed[0]!r} is a file")
    properties = {name: _value(each) for name, each in arguments.items() if name not in files}
    schema: Document = {"type": "object", "properties": properties}
    return {**schema, **({"required": required} if required else {}), "additionalProperties": False}


def declaration(argument: GraphQLArgument) -> str:
    """Return the type of the variable of an argument: one with a default is nullable, so that it can be left out."""
    kind = argument.type
    optional = isinstance(kind, GraphQLNonNull) and not is_required_argument(argument)
    return str(kind.of_type if optional and isinstance(kind, GraphQLNonNull) else kind)
