"""Values that a step stores in `session` or `let`: compiled, and selected from a message or a response."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from ..manifest.models.call_template import CONNECTION_FIELDS, CallTemplate
from ..manifest.variables import MESSAGE_KEYS
from .codecs.binary import as_binary
from .diagnostics import Diagnostics
from .expressions.analysis import find_expressions, find_optional_members
from .expressions.expression import EvaluationError, Expression, compile_expression
from .expressions.paths import STRING_LITERAL, UNDEFINED
from .expressions.scope import OMIT_NAME, Scope
from .templates.compiler import Compiler

Captures = tuple[tuple[str, Expression], ...]
"""Names, and the expressions that select their values."""

_SAYS_WHAT_NULL_MEANS: Final = re.compile(r"(?<![.\w])(default|defined|undefined|if|or|none)\b")


class CaptureFoundNothing(Exception):
    """An expression of `capture` that selects nothing; the text is a clause for an error."""


def compile_captures(capture: Mapping[str, str], compiler: Compiler, diagnostics: Diagnostics, path: str) -> Captures:
    """Compile the `capture` of the step at a path; `compiler` has the names that it may use."""
    captures: list[tuple[str, Expression]] = []
    for name, source in capture.items():
        with diagnostics.collect(f"{path}.capture.{name}"):
            names = compiler.names if compiler.is_local else compiler.names - {"vars"}
            captures.append((name, compile_expression(source, names, local=compiler.is_local)))
    return tuple(captures)


def optional_values(template: CallTemplate, owner: str) -> frozenset[str]:
    """Return the members of `owner` for which a template says what happens without them, as for optional variables.

    That is `session.user is defined` or `session.user | default(…)` anywhere in what concerns the connection; for
    `let`, anywhere in the template.
    """
    fields = set(CONNECTION_FIELDS) if owner == "session" else None
    document = template.model_dump(mode="json", by_alias=True, include=fields)
    found = (find_optional_members(source, owner) for source in find_expressions(document, MESSAGE_KEYS))
    return frozenset().union(*found)


def select_values(
    captures: Captures, scope: Scope, optional: Collection[str], owner: str = "session"
) -> dict[str, Any]:
    """Return the values that a step captures.

    A step cannot go on without a value that it asks for, unless the value is optional: by `default(omit)` in the
    expression, or by `optional_values`. null counts as nothing, because a pattern that matches nothing gives it and
    because it would be sent as the text "null".

    Args:
        captures: The compiled captures.
        scope: The names for the expressions.
        optional: The names of the values that may be missing.
        owner: What the values become members of.

    Raises:
        CaptureFoundNothing: where there is no value.
    """
    values: dict[str, Any] = {}
    for name, expression in captures:
        reason = ""
        try:
            value = expression.evaluate(scope)
        except EvaluationError as error:
            value, reason = UNDEFINED, f" ({error})"
        nothing = value is UNDEFINED or value is None
        if nothing and (OMIT_NAME in expression.names or (name in optional and not reason)):
            continue
        if value is UNDEFINED or (nothing and not _allows_null(expression)):
            raise CaptureFoundNothing(
                f"{expression.source}, which capture stores as {owner}.{name}, finds nothing{reason}. If the value may "
                f"be missing, write {expression.source} | default(omit)."
            )
        values[name] = as_binary(value)
    return values


def _allows_null(expression: Expression) -> bool:
    return bool(_SAYS_WHAT_NULL_MEANS.search(STRING_LITERAL.sub("''", expression.source)))
