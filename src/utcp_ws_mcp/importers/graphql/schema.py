"""Read a GraphQL schema (with `arguments` and `selections` the only importers of graphql-core)."""

from __future__ import annotations

from typing import Any

from graphql import (
    GraphQLError,
    GraphQLSchema,
    build_client_schema,
    build_schema,
)

from ...errors import ImportFailed


def read_schema(document: Any, source: str) -> GraphQLSchema:
    """Return the schema of a text in the schema language, or of the answer to an introspection query.

    Raises:
        ImportFailed: if it is no schema.
    """
    try:
        if isinstance(document, str):
            schema = build_schema(document, assume_valid_sdl=True, no_location=True)
        else:
            schema = build_client_schema(document.get("data", document))
        _check_names(schema)
    except (GraphQLError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as invalid:
        reason = str(invalid).strip().splitlines()[0] if str(invalid).strip() else type(invalid).__name__
        message = f"{source} is no GraphQL schema that can be read: {reason.rstrip('.')}. Correct it."
        raise ImportFailed(message, code="description-not-readable") from None
    return schema


def _check_names(schema: GraphQLSchema) -> None:
    """Raise if a name is none: the library finds that out when fields and values are read first."""
    for each in schema.type_map.values():
        for name in ("fields", "values"):
            getattr(each, name, None)
