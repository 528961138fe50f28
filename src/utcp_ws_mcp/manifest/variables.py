"""Find and substitute `${NAME}` (manifest language, section 8).

Two kinds of places exist. In most strings a variable is replaced when the manifest loads. In templates it is left
in its place and bound when the template is compiled, so that no value is ever read as template text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..core.expressions.analysis import (
    ALL_MEMBERS,
    EXPRESSION_MAP_KEYS,
    expressions_in_text,
    find_members,
    find_optional_members,
)
from .models.base import Json

VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""`${NAME}`, or the escape `$${`, which stands for a literal `${`."""

WHOLE_STRING_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)\Z")
"""`$NAME`, a reference only where it is the whole string."""

TEMPLATE_KEYS = frozenset(
    {
        *("url", "headers", "protocol", "discovery", "json", "form"),
        *("message", "request_data_template", "then", "cancel", "send"),
    }
)
"""Keys whose strings are templates."""

DOCUMENTATION_KEYS = frozenset({"description", "inputs", "outputs"})
"""Keys that are shown to models and hosts: variables are neither looked for nor replaced below them."""

DEFAULTS_KEY = "defaults"
"""The key of an override's values, in which every key is an argument's name."""

MESSAGE_KEYS = TEMPLATE_KEYS - {"discovery"}
"""Keys whose strings hold expressions in `{{ … }}` only. Below `discovery` are both: `send`, and two expressions."""

_NO_EXPRESSION_KEYS = MESSAGE_KEYS | {DEFAULTS_KEY, "name", "$comment"}
"""Keys whose strings are no expressions, although they may hold some."""

_UNEXPANDED_VARIABLE = re.compile(r"\$\{[^}]*\}\Z")


@dataclass(frozen=True, slots=True)
class VariableResolver:
    """Where variables are looked up, nearest first. Values are secrets and stay out of `repr`."""

    sources: Sequence[Mapping[str, str]] = field(repr=False)

    def resolve(self, manual: str, name: str) -> str | None:
        """The value for a manual: `<manual>_NAME` in every source (UTCP doubles the manual's underscores), then `NAME`.

        A host that could not expand its own `${NAME}` passes it on as it is: that counts as not set.
        """
        for key in (namespaced_variable(manual, name), name):
            for source in self.sources:
                value = source.get(key)
                if value is not None and not _UNEXPANDED_VARIABLE.match(value):
                    return value
        return None

    def for_manual(self, manual: str) -> dict[str, str]:
        """All variables that are set for this manual by name, without their namespace."""
        prefix = namespaced_variable(manual, "")
        names = {key for source in self.sources for key in source if key.startswith(prefix)}
        values = {key: next(source[key] for source in self.sources if key in source) for key in names}
        own = {key.removeprefix(prefix): value for key, value in values.items()}
        return {name: value for name, value in own.items() if not name.startswith("_")}  # those are another manual's


def namespaced_variable(manual: str, name: str) -> str:
    """UTCP's namespacing of a variable."""
    return f"{manual.replace('_', '__')}_{name}"


def find_variables(document: Json) -> Iterator[str]:
    """The names of all variables that a document refers to: `${NAME}`, `$NAME`, and `vars.NAME` in an expression."""
    for text, expressions in _strings_with_variables(document):
        if whole := WHOLE_STRING_VARIABLE.match(text):
            yield whole[1]
        yield from (name for name in VARIABLE.findall(text) if name)
        for expression in expressions:
            yield from sorted(find_members(expression, "vars") - {ALL_MEMBERS})


def find_optional(document: Json) -> set[str]:
    """The variables of which a document says what happens without them: `vars.NAME is defined`, `… | default(…)`."""
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

    In `content` (templates, defaults) every key is data.
    """
    if isinstance(value, str):
        if "$" in value or "vars" in value:  # few have either, and a manifest has many
            yield value, [*expressions_in_text(value), *(() if template else [value])]
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in EXPRESSION_MAP_KEYS and isinstance(item, dict) and not content and not template:
                yield from _strings_with_variables(list(item.values()))
            elif content or key not in DOCUMENTATION_KEYS:
                inside = content or key in TEMPLATE_KEYS or key == DEFAULTS_KEY
                yield from _strings_with_variables(item, inside, template or key in _NO_EXPRESSION_KEYS)
    elif isinstance(value, list):
        for item in value:
            yield from _strings_with_variables(item, content, template)


def substitute(value: Json, variables: Mapping[str, str], content: bool = False) -> Json:
    """The document with every variable replaced, except below template keys. All names must be in `variables`.

    In `content` (defaults) every key is data.
    """
    if isinstance(value, str):
        if "$" not in value:
            return value
        if whole := WHOLE_STRING_VARIABLE.match(value):
            return variables[whole[1]]
        return VARIABLE.sub(lambda found: variables[found[1]] if found[1] else "${", value)
    if isinstance(value, dict):
        kept = frozenset() if content else TEMPLATE_KEYS | DOCUMENTATION_KEYS
        return {
            key: item if key in kept else substitute(item, variables, content or key == DEFAULTS_KEY)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [substitute(item, variables, content) for item in value]
    return value
