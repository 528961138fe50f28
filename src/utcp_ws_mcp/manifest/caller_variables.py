"""Variables whose values a caller brings: `${caller:NAME}`, in the places where such a value cannot do harm.

The value is foreign text. So it may stand where only the endpoint reads it, as a credential does: in a header, in
`auth`, in the query of a URL, in a message. Where it would choose the server, a file, a topic or a part of an
expression, it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ..core.expressions.analysis import ALL_MEMBERS, expressions_in_text, find_members
from ..errors import Problem
from .models.base import Json
from .validation import join_path
from .variables import (
    DEFAULTS_KEY,
    DOCUMENTATION_KEYS,
    NAMED_KEYS,
    TEMPLATE_KEYS,
    WHOLE_STRING_VARIABLE,
    CallerValues,
)

MIN_VALUE_LENGTH: Final = 6
"""Shorter values would not be redacted."""

MAX_VALUE_LENGTH: Final = 4096
USABLE_VALUE: Final = re.compile(rf"[A-Za-z0-9._~+/=:@!$*-]{{{MIN_VALUE_LENGTH},{MAX_VALUE_LENGTH}}}")
"""Values: the characters of tokens (RFC 6750 §2.1) and some that need no quoting in a header, a query or a text."""

_REFERENCE: Final = re.compile(r"(\$\$\{)|\$\{caller:([A-Za-z_][A-Za-z0-9_]*)\}")
_OPERATOR: Final = re.compile(r"(\$\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_AUTH_FIELDS: Final = frozenset({"api_key", "username", "password", "client_id", "client_secret"})
_NEVER: Final = frozenset({"$file", "topic", "topics"})
"""Keys in messages below which a value would choose a file of this machine, or a topic of a broker."""

_CONTENT_KEYS: Final = TEMPLATE_KEYS | {DEFAULTS_KEY}
_CAPTURES: Final = frozenset({"capture", "set"})
"""Keys whose values can become a URL."""

Keys = tuple[str | int, ...]
"""The keys and indices that lead to a value."""


def stand_in(name: str) -> str:
    """Return what takes the place of a value that is not known before a call."""
    return f"caller.{name}"


ANY_CALLER: Final = CallerValues(stand_in, are_stand_ins=True)
"""A stand-in for every value."""


def caller_names(value: Json) -> frozenset[str]:
    """Return the names of the caller's variables in a document."""
    return frozenset(
        found[2]
        for _, text, _ in _strings(value, ())
        if "${caller:" in text
        for found in _REFERENCE.finditer(text)
        if found[2]
    )


def bind_caller_names(value: dict[str, Json], names: frozenset[str]) -> tuple[dict[str, Json], list[Problem]]:
    """Return a document in which each `${caller:NAME}` is `${NAME}`, and a problem for each one that is misplaced.

    Args:
        value: The document, whose other variables are bound to arguments already.
        names: Its `caller_names`.
    """
    problems = list(_misplaced(value, names))

    bound: dict[str, Json] = _converted(value, is_content=False)
    return bound, problems


def without_header(names: frozenset[str], values: CallerValues, path: str) -> list[Problem]:
    """Return a problem for each name whose value no caller can send."""
    return [
        Problem(
            path,
            f"${{caller:{name}}} comes from no header. Start with --caller-variable {name}=HEADER.",
            code="caller-variable-without-header",
        )
        for name in sorted(names)
        if values.get(name) is None
    ]


def discovery_problem(path: str) -> Problem:
    """Return the problem of a call template whose tools are to be discovered: there is no caller at the start."""
    message = (
        "a call template with ${caller:NAME} must list its tools: at the start there is no caller whose value could be "
        'sent to ask for them. Write "tools" or "feeds", and remove "discovery".'
    )
    return Problem(path, message, code="caller-variable-with-discovery")


def _misplaced(value: Json, names: frozenset[str]) -> Iterator[Problem]:
    for keys, text, template in _strings(value, ()):
        path = _path(keys)
        own = {found[2] for found in _OPERATOR.finditer(text) if found[2]}
        own |= {whole[1]} if (whole := WHOLE_STRING_VARIABLE.match(text)) else set()
        for name in sorted(own & names):
            message = (
                f"{name} is a variable of the caller elsewhere: ${{caller:{name}}}. Give one of them another name."
            )
            yield Problem(path, message, code="ambiguous-variable")
        if reason := _refusal(keys, text, template, names):
            message = (
                f"a value of the caller would {reason}. It may stand in headers, auth, the query of a URL, messages."
            )
            yield Problem(path, message, code="caller-variable-not-allowed")


def _refusal(keys: Keys, text: str, template: str, names: frozenset[str]) -> str:
    """Return what a value of the caller would do in a string; an empty text if it may stand there, or does not."""
    written = "${caller:" in text and any(found[2] for found in _REFERENCE.finditer(text))
    if template == "query" or (not written and not _uses(text, names)):
        return ""
    before_query = text.partition("?")[0]
    if "url" in keys and ("${caller:" in before_query or _uses(before_query, names)):
        return "choose the server or the path"
    if _NEVER.intersection(map(str, keys)):
        return "choose a file or a topic"
    if _CAPTURES.intersection(map(str, keys)):
        return "become a value of session, which can be a URL"
    if str(keys[-1]).lower() == "host":
        return "choose the server"
    if written and template not in TEMPLATE_KEYS and not _is_credential(keys):
        return "be a part of a setting or an expression"
    return ""


def _is_credential(keys: Keys) -> bool:
    return len(keys) > 1 and keys[-2] == "auth" and keys[-1] in _AUTH_FIELDS


def _uses(text: str, names: frozenset[str]) -> bool:
    """Return whether an expression in a text uses one of the variables as `vars.NAME`."""
    if "vars" not in text:
        return False
    used = {name for each in (*expressions_in_text(text), text) for name in find_members(each, "vars")}
    return bool(used & {*names, ALL_MEMBERS})


def _strings(value: Json, keys: Keys, template: str = "") -> Iterator[tuple[Keys, str, str]]:
    """Yield each string that may hold a variable, with the keys and indices that lead to it, and its `template`.

    Args:
        value: A part of a document.
        keys: What leads to it.
        template: The key below which every key is data, such as `message`; an empty text outside of all.
    """
    if isinstance(value, str):
        yield keys, value, template
    elif isinstance(value, dict):
        are_names = bool(keys) and keys[-1] in NAMED_KEYS
        for key, item in value.items():
            if template or are_names or key not in DOCUMENTATION_KEYS:
                own = key if key in _CONTENT_KEYS and not are_names else ""
                yield from _strings(item, (*keys, key), template or own)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(item, (*keys, index), template)


def _converted(value: Json, *, is_content: bool) -> Json:
    """Return a part of a document in which each `${caller:NAME}` is `${NAME}`."""
    if isinstance(value, str):
        return _REFERENCE.sub(lambda found: found[0] if found[1] else f"${{{found[2]}}}", value)
    if isinstance(value, dict):
        return {key: _converted_below(key, item, is_content) for key, item in value.items()}
    return [_converted(item, is_content=is_content) for item in value] if isinstance(value, list) else value


def _converted_below(key: str, item: Json, is_content: bool) -> Json:
    if key in DOCUMENTATION_KEYS and not is_content:
        return item
    inside = is_content or key in _CONTENT_KEYS
    if key in NAMED_KEYS and isinstance(item, dict):
        return {name: _converted(each, is_content=inside) for name, each in item.items()}
    return _converted(item, is_content=inside)


def _path(keys: Keys) -> str:
    path = ""
    for key in keys:
        path = join_path(path, key)
    return path
