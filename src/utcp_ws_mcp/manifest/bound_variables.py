"""Bind the variables of a call template; one whose variables have no value is disabled.

Names of tools and messages about problems are shown, so no secret may become a part of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..errors import Problem
from ..records import replace
from .entries import DisabledEntry
from .inheritance import inherited_documents
from .models.base import Json
from .secret_names import MIN_SECRET_LENGTH, SECRET_FIELDS, is_user_name, mentions_secret
from .validation import closest_match, join_path
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


def secrets_in_names(raw: Mapping[str, Json], path: str) -> list[Problem]:
    """Return a problem for each name of a tool or of a feed that holds a secret.

    Args:
        raw: The document of an entry, before its variables are replaced.
        path: Its JSON path.
    """
    credentials = set(find_variables({field: raw[field] for field in SECRET_FIELDS & raw.keys()}))
    return [
        Problem(
            join_path(path, place),
            f"hosts and models see this name, and ${{{variable}}} holds a secret. Write the name without it.",
            code="secret-in-name",
        )
        for place, name in _names(raw)
        for variable in dict.fromkeys(find_variables(name))
        if not is_user_name(variable) and (variable in credentials or mentions_secret(variable))
    ]


def _names(raw: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """Yield the names of tools and feeds in the document of an entry, and their paths in it."""
    named: list[tuple[str, Json]] = []
    for key in ("tools", "feeds"):
        listed = raw.get(key)
        named += [(f"{key}[{index}]", each) for index, each in enumerate(listed if isinstance(listed, list) else ())]
    overrides = raw.get("tool_overrides")
    if isinstance(overrides, dict):
        named += [(join_path("tool_overrides", key), each) for key, each in overrides.items()]
    for place, each in named:
        if isinstance(each, dict) and isinstance(name := each.get("name"), str):
            yield join_path(place, "name"), name


def without_values(problems: Sequence[Problem], variables: Mapping[str, str]) -> list[Problem]:
    """Return problems with the name of each secret variable, as the manifest has it, in place of its value."""
    secrets = {
        value: name
        for name, value in variables.items()
        if mentions_secret(name) and not is_user_name(name) and len(value) >= MIN_SECRET_LENGTH
    }
    return [replace(problem, message=_with_names(problem.message, secrets)) for problem in problems]


def _with_names(text: str, names: Mapping[str, str]) -> str:
    for value in sorted(names, key=len, reverse=True):  # one may be a part of another
        for written in (repr(value)[1:-1], value):
            text = text.replace(written, f"${{{names[value]}}}")
    return text
