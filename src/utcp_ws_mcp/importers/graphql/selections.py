"""Choose what a query asks for: the values of an object, and those of the objects in it down to a depth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)

MAX_SELECTION: Final = 20_000
"""Characters of a selection; deeper levels are left out where it would be longer."""

MAX_POSSIBLE_TYPES: Final = 12
"""Types of a union or interface whose own fields are selected."""

_TRANSPARENT: Final = frozenset({"nodes", "edges", "node", "pageInfo"})
"""Fields of the connections of Relay, which are no level of their own."""


def selection(schema: GraphQLSchema, kind: Any, depth: int) -> str:
    """Return the selection of a type, with the levels that fit; empty for scalars and enums."""
    named = get_named_type(kind)
    for levels in range(depth, 0, -1):
        text = _select(schema, named, levels, ())
        if len(text) <= MAX_SELECTION:
            return text
    return _select(schema, named, 0, ())


def _select(schema: GraphQLSchema, kind: Any, depth: int, path: tuple[str, ...]) -> str:
    if is_leaf_type(kind):
        return ""
    parts = list(_parts(schema, kind, depth, path))
    return f"{{ {' '.join(parts or ['__typename'])} }}"


def _parts(schema: GraphQLSchema, kind: Any, depth: int, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(kind, GraphQLUnionType | GraphQLInterfaceType):
        yield "__typename"
    if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        yield from _fields(schema, kind, depth, path)
    if isinstance(kind, GraphQLUnionType | GraphQLInterfaceType):
        common = {*kind.fields} if isinstance(kind, GraphQLInterfaceType) else set()
        for possible in list(schema.get_possible_types(kind))[:MAX_POSSIBLE_TYPES]:
            own = list(_fields(schema, possible, min(depth, 1), path, common))
            if own:
                yield f"... on {possible.name} {{ {' '.join(own)} }}"


def _fields(
    schema: GraphQLSchema,
    kind: GraphQLObjectType | GraphQLInterfaceType,
    depth: int,
    path: tuple[str, ...],
    without: Any = frozenset(),
) -> Iterator[str]:
    """Yield the fields without required arguments: values, and objects while there are levels."""
    names = [name for name, field in kind.fields.items() if name not in without and _is_open(field)]
    leaves = [name for name in names if is_leaf_type(get_named_type(kind.fields[name].type))]
    yield from leaves
    if kind.name in path:
        return
    for name in names:
        below = get_named_type(kind.fields[name].type)
        if name in leaves:
            continue
        is_free = name in _TRANSPARENT or (not leaves and len(path) < 2)
        if depth > 1 or (is_free and depth > 0):
            text = _select(schema, below, depth if is_free else depth - 1, (*path, kind.name))
            if text != "{ __typename }":
                yield f"{name} {text}"


def _is_open(field: GraphQLField) -> bool:
    return field.deprecation_reason is None and not any(is_required_argument(each) for each in field.args.values())
