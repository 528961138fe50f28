"""Resolve what looks like a variable in a document before its variables are bound.

| written | meaning |
| --- | --- |
| `${NAME:-default}` | the variable, or the default where it is not set or empty (as in a POSIX shell) |
| `${name}` in a message of a tool with an argument `name` | the argument: UTCP's own manuals are written so |
| `${caller:NAME}` | a value that the caller brings: `${NAME}`, with the rules of `caller_variables` |
| any other `${…}` that is no variable, such as `${env:NAME}` | an error: it would be sent as it is |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Final

from ..errors import Problem
from ..records import replace
from .caller_variables import bind_caller_names, caller_names
from .models.base import Json
from .validation import COMMENT_KEY, join_path
from .variables import DEFAULTS_KEY, DOCUMENTATION_KEYS, WHOLE_STRING_VARIABLE, map_strings

_NAME: Final = "[A-Za-z_][A-Za-z0-9_]*"
_WITH_DEFAULT: Final = re.compile(rf"(\$\$\{{)|\$\{{({_NAME}):-((?:(?!\$\{{)[^}}])*)\}}")
_SIMPLE: Final = re.compile(rf"(\$\$\{{)|\$\{{({_NAME})\}}")
_LOOKS_LIKE_VARIABLE: Final = re.compile(rf"\$\$\{{|\$\{{(?!{_NAME}\}})[^}}]{{0,60}}\}}?")
_PREFIXED: Final = re.compile(rf"\$\{{(?:env|ENV|input|secrets)[:.]({_NAME})\}}")

ARGUMENT_FIELDS: Final = frozenset(
    {"url", "query", "message", "then", "before_message", "request_data_template", "stream"}
)
"""Fields of a call template in which `${name}` is the argument of this name, if the tool has one."""

Resolve = Callable[[str], str | None]


def resolve_forms(entry: dict[str, Json], resolve: Resolve, path: str) -> tuple[dict[str, Json], list[Problem]]:
    """Return an entry whose only variables are `${NAME}` and `$NAME`, and a problem for each text that is neither.

    Args:
        entry: The document of the entry.
        resolve: Returns the value of a variable, or None.
        path: The JSON path of the entry.
    """
    bound, problems = bind_arguments(expand_defaults(entry, resolve))
    if names := caller_names(bound):
        bound, found = bind_caller_names(bound, names)
        problems += found
    problems += find_malformed(bound, "")
    return bound, [replace(problem, path=join_path(path, problem.path)) for problem in problems]


def expand_defaults(value: Json, resolve: Resolve) -> Json:
    """Return a document in which each `${NAME:-default}` is `${NAME}`, or its default where NAME has no value."""

    def replace(found: re.Match[str]) -> str:
        if found[1]:
            return found[0]
        return f"${{{found[2]}}}" if resolve(found[2]) else str(found[3])

    return map_strings(value, lambda text: _WITH_DEFAULT.sub(replace, text))


def bind_arguments(entry: dict[str, Json]) -> tuple[dict[str, Json], list[Problem]]:
    """Return an entry in which `${name}` in a message is a placeholder, where it names an argument of the tools.

    An argument always wins: otherwise the environment of the host would decide what `${user}` or `${path}` is. A
    message that tools share must have one meaning, so that either all of them have the argument, or none.

    Returns:
        The entry; and a problem for each name that is an argument of some of the tools only.
    """
    listed = entry.get("tools")
    tools = [tool for tool in listed if isinstance(tool, dict)] if isinstance(listed, list) else []
    if not tools:
        return entry, []
    bound = {**entry, "tools": [_bind_tool(tool) if isinstance(tool, dict) else tool for tool in entry["tools"]]}
    problems = []
    for key in ARGUMENT_FIELDS & entry.keys():
        declared = [argument_names(tool) for tool in tools if not _replaces(tool, key)]
        names = set(_names_in(entry[key])) & set().union(*declared)
        everywhere = {name for name in names if all(name in each for each in declared)}
        bound[key] = as_placeholders(entry[key], everywhere)
        for name in sorted(names - everywhere):
            message = (
                f"${{{name}}} is an argument of some tools, and a variable for the others. Write "
                f"UTCP_ARG_{name}_UTCP_ARG for the argument, or {{{{ vars.{name} }}}} for the variable."
            )
            problems.append(Problem(key, message, code="ambiguous-variable"))
    return bound, problems


def _replaces(tool: Json, key: str) -> bool:
    """Return whether a tool has a field of its own in place of that of its entry."""
    own = tool.get("tool_call_template")
    return isinstance(own, dict) and key in own


def argument_names(tool: Json) -> frozenset[str]:
    """Return the names of the arguments that a tool declares."""
    inputs = tool.get("inputs")
    properties = inputs.get("properties") if isinstance(inputs, dict) else None
    return frozenset(properties) if isinstance(properties, dict) else frozenset()


def as_placeholders(value: Json, names: Collection[str]) -> Json:
    """Return a part of a document in which `${name}` and `$name` are placeholders for these arguments."""
    if not names:
        return value

    def replace(found: re.Match[str]) -> str:
        return f"UTCP_ARG_{found[2]}_UTCP_ARG" if found[2] in names else found[0]

    def convert(text: str) -> str:
        whole = WHOLE_STRING_VARIABLE.match(text)
        return f"UTCP_ARG_{whole[1]}_UTCP_ARG" if whole and whole[1] in names else _SIMPLE.sub(replace, text)

    return map_strings(value, convert, content=True)


def find_malformed(value: Json, path: str, content: bool = False) -> Iterator[Problem]:
    """Yield a problem for each text that looks like a variable and is none, in a document at a path."""
    if isinstance(value, str):
        for found in _LOOKS_LIKE_VARIABLE.finditer(value):
            if not found[0].startswith("$$"):
                yield Problem(path, _malformed_message(found[0]), code="invalid-variable")
    elif isinstance(value, dict):
        for key, item in value.items():
            if content or key not in DOCUMENTATION_KEYS | {COMMENT_KEY}:
                yield from find_malformed(item, join_path(path, str(key)), content or key == DEFAULTS_KEY)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from find_malformed(item, join_path(path, index), content)


def _malformed_message(text: str) -> str:
    if text.startswith("${caller:"):
        return f"{text!r} is no variable of the caller. Write ${{caller:NAME}}, without a default."
    prefixed = _PREFIXED.fullmatch(text)
    example = f"${{{prefixed[1]}}}" if prefixed else "${NAME} or ${NAME:-default}, with letters, digits and _"
    return f"{text!r} looks like a variable and is none. Write {example}; for the text itself, write $${text[1:]}."


def _bind_tool(tool: dict[str, Json]) -> dict[str, Json]:
    template = tool.get("tool_call_template")
    if not isinstance(template, dict):
        return tool
    return {**tool, "tool_call_template": bind_template(template, argument_names(tool))}


def bind_template(template: dict[str, Json], names: Collection[str]) -> dict[str, Json]:
    """Return the call template of a tool with placeholders for these arguments."""
    return {key: as_placeholders(item, names) if key in ARGUMENT_FIELDS else item for key, item in template.items()}


def _names_in(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        if whole := WHOLE_STRING_VARIABLE.match(value):
            yield whole[1]
        yield from (found[2] for found in _SIMPLE.finditer(value) if found[2])
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _names_in(item)
