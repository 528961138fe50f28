"""Find and substitute `${NAME}` (manifest language, section 8).

In most strings a variable is replaced when the manifest is loaded. In templates it remains and is bound when the
template is compiled, so that no value is ever parsed as template text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Final

from msgspec.json import encode

from ..core.expressions.analysis import (
    ALL_MEMBERS,
    EXPRESSION_MAP_KEYS,
    expressions_in_text,
    find_members,
    find_optional_members,
)
from ..records import Record, field
from .models.base import Json

VARIABLE = re.compile(r"\$\$\{|\$\{(?:caller:)?([A-Za-z_][A-Za-z0-9_]*)(?::-[^}]*)?\}")
"""`${NAME}`, perhaps with a default, `${caller:NAME}`, or the escape `$${` for a literal `${`."""

WHOLE_STRING_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)\Z")
"""`$NAME`, which is a variable only if it is the whole string."""

TEMPLATE_KEYS = frozenset(
    {
        *("url", "query", "headers", "protocol", "discovery", "json", "form"),
        *("message", "request_data_template", "then", "cancel", "send"),
    }
)
"""Keys whose strings are templates."""

DOCUMENTATION_KEYS = frozenset({"description", "inputs", "outputs"})
"""Keys with texts for models and hosts: variables are neither found nor replaced below them."""

NAMED_KEYS: Final = EXPRESSION_MAP_KEYS | {"tool_overrides"}
"""Keys of objects whose keys the author chooses, such as names of tools: none of them is a field of the manifest."""

DEFAULTS_KEY = "defaults"
"""The key of the default values of an override, whose keys are names of arguments."""

MESSAGE_KEYS: Final = TEMPLATE_KEYS - {"discovery"}
"""Keys whose strings contain expressions only in `{{ }}`. Below `discovery` are a message and two expressions."""

_PLACEHOLDER_KEYS: Final = MESSAGE_KEYS | {DEFAULTS_KEY, "name", "$comment"}
"""Keys whose strings are no expressions, but may contain some in `{{ }}`."""


class CallerValues(Record):
    """Where the values of `${caller:NAME}` come from.

    Attributes:
        get: Returns the value of a name, or None if no header brings it.
        are_stand_ins: Whether the values only make the manifest loadable: then nothing may be sent.
    """

    not_in_repr: ClassVar = ("get",)
    get: Callable[[str], str | None]
    are_stand_ins: bool = False


NO_CALLERS: Final = CallerValues(lambda _: None, are_stand_ins=True)
"""No header brings a value: a manifest that needs one cannot be served."""

_UNEXPANDED_VARIABLE = re.compile(r"\$\{[^}]*\}\Z")


class VariableResolver(Record):
    """Resolves variables in several sources, in order of precedence. Values are secrets and are not part of `repr`.

    Attributes:
        sources: The sources.
        files: The file of each variable that stands in one.
        callers: Where the values of callers come from; None: from `sources`, as those of other variables.
        caller_names: The variables of the call template whose values come from there, and from nowhere else.
    """

    not_in_repr: ClassVar = ("sources", "callers")
    sources: Sequence[Mapping[str, str]]
    files: Mapping[str, str] = field(default_factory=dict)
    callers: CallerValues | None = None
    caller_names: frozenset[str] = frozenset()

    def resolve(self, manual: str, name: str) -> str | None:
        """Return the value of a variable for a manual, or None.

        `<manual>_NAME` in any source comes before `NAME` (UTCP doubles the underscores of the manual). A value that is
        `${…}` counts as not set: a host passes it on if it cannot expand its own variable.
        """
        if self.callers is not None and name in self.caller_names:
            return self.callers.get(name)
        for key in (namespaced_variable(manual, name), name):
            for source in self.sources:
                value = source.get(key)
                if value is not None and not _UNEXPANDED_VARIABLE.match(value):
                    return value
        return None

    def for_manual(self, manual: str) -> dict[str, str]:
        """Return all variables that are named for this manual, without their namespace."""
        prefix = namespaced_variable(manual, "")
        names = {key for source in self.sources for key in source if key.startswith(prefix)}
        values = {key: next(source[key] for source in self.sources if key in source) for key in names}
        own = {key.removeprefix(prefix): value for key, value in values.items()}
        # A doubled underscore belongs to the name of another manual: `a__b_KEY` is KEY of `a_b`, not of `a`.
        return {name: value for name, value in own.items() if not name.startswith("_")}


def namespaced_variable(manual: str, name: str) -> str:
    """Return the name of a variable in UTCP's namespace of a manual."""
    return f"{manual.replace('_', '__')}_{name}"


def may_use_variables(document: Json) -> bool:
    """Return whether a document may refer to variables."""
    return may_contain(document, "$", "vars")


def may_contain(document: Json, *texts: str) -> bool:
    """Return whether a key or a string of a document may contain one of these texts, which JSON does not escape.

    It is a fast check of its JSON, which takes a fraction of the time of a walk.
    """
    try:
        written = encode(document)
    except (TypeError, ValueError):  # a program's own object; a lone surrogate
        return True
    return any(text.encode() in written for text in texts)


def find_variables(document: Json) -> Iterator[str]:
    """Yield each name that a document refers to: as `${NAME}`, as `$NAME`, or as `vars.NAME` in an expression."""
    for text, expressions in _strings_with_variables(document):
        if whole := WHOLE_STRING_VARIABLE.match(text):
            yield whole[1]
        yield from (name for name in VARIABLE.findall(text) if name)
        for expression in expressions:
            yield from sorted(find_members(expression, "vars") - {ALL_MEMBERS})


def find_optional(document: Json) -> set[str]:
    """Return the variables that may be missing: `vars.NAME is defined`, `vars.NAME | default(…)`."""
    return {
        name
        for _, expressions in _strings_with_variables(document)
        for expression in expressions
        for name in find_optional_members(expression, "vars")
    }


def _strings_with_variables(
    value: Json, content: bool = False, template: bool = False
) -> Iterator[tuple[str, list[str]]]:
    """Yield each string that may refer to variables, with the expressions in it.

    Args:
        value: A part of a document.
        content: Whether every key is data, as in templates and defaults.
        template: Whether strings are templates, in which only the placeholders are expressions.
    """
    if isinstance(value, str):
        if "$" in value or "vars" in value:  # a fast check, because a manifest has many strings and few variables
            yield value, [*expressions_in_text(value), *(() if template else [value])]
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in EXPRESSION_MAP_KEYS and isinstance(item, dict) and not content and not template:
                yield from _strings_with_variables(list(item.values()))
            elif content or key not in DOCUMENTATION_KEYS:
                inside = content or key in TEMPLATE_KEYS or key == DEFAULTS_KEY
                within = template or key in _PLACEHOLDER_KEYS
                for each in below(key, item):
                    yield from _strings_with_variables(each, inside, within)
    elif isinstance(value, list):
        for item in value:
            yield from _strings_with_variables(item, content, template)


def substitute(value: Json, variables: Mapping[str, str]) -> Json:
    """Return the document with every variable replaced, except in templates and documentation.

    Args:
        value: A part of a document.
        variables: The values; every variable in `value` must be in it.
    """

    def convert(text: str) -> str:
        if whole := WHOLE_STRING_VARIABLE.match(text):
            return variables[whole[1]]
        return VARIABLE.sub(lambda found: variables[found[1]] if found[1] else "${", text)

    return map_strings(value, convert, TEMPLATE_KEYS | DOCUMENTATION_KEYS)


def map_strings(
    value: Json,
    convert: Callable[[str], str],
    unchanged: Collection[str] = DOCUMENTATION_KEYS,
    *,
    content: bool = False,
) -> Json:
    """Return a document with its strings converted that may hold a variable.

    Args:
        value: A part of a document.
        convert: Returns what takes the place of a string.
        unchanged: The keys whose values stay as they are.
        content: Whether every key is data, as in defaults: then no key is left out.
    """
    if isinstance(value, str):
        return convert(value) if "$" in value else value
    if isinstance(value, dict):
        converted = {}
        for key, item in value.items():
            inside = content or key == DEFAULTS_KEY
            if key in unchanged and not content:
                converted[key] = item
            elif key in NAMED_KEYS and isinstance(item, dict):
                converted[key] = {
                    name: map_strings(each, convert, unchanged, content=inside) for name, each in item.items()
                }
            else:
                converted[key] = map_strings(item, convert, unchanged, content=inside)
        return converted
    if isinstance(value, list):
        return [map_strings(item, convert, unchanged, content=content) for item in value]
    return value


def below(key: str, value: Json) -> Iterable[Json]:
    """Return the values whose keys have a meaning below a key: of an object of `NAMED_KEYS`, the values of its keys."""
    return value.values() if key in NAMED_KEYS and isinstance(value, dict) else (value,)
