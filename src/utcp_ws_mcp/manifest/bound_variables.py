"""Bind the variables of a call template; one whose variables have no value is disabled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .entries import DisabledEntry
from .inheritance import inherited_documents
from .models.base import Json
from .validation import closest_match
from .variables import VariableResolver, find_optional, find_variables

SIMILAR_NAME = 0.75
"""How similar a name must be to be suggested: many variables begin or end with the same word."""


def bind_variables(
    raw: Mapping[str, Json], path: str, name: str, resolver: VariableResolver
) -> dict[str, str] | DisabledEntry:
    """Return the values of all variables of an entry, or why it is disabled if one has none.

    Args:
        raw: The document of the entry.
        path: Its JSON path.
        name: The name of its manual.
        resolver: Resolves the variables.
    """
    documents = [raw, *inherited_documents(raw)]
    names = list(dict.fromkeys(find_variables(documents)))
    if not names:
        return {}
    values = {variable: resolver.resolve(name, variable) for variable in names}
    optional = find_optional(documents)
    if missing := tuple(variable for variable, value in values.items() if value is None and variable not in optional):
        return DisabledEntry(name, missing, path, _find_similar(missing, resolver.files))
    return {variable: value for variable, value in values.items() if value is not None}


def _find_similar(missing: Iterable[str], files: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    found = (closest_match(variable, files, SIMILAR_NAME) for variable in missing)
    return tuple((name, files[name]) for name in dict.fromkeys(found) if name is not None)
