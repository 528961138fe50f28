"""Values that a call computes once and uses in several places (manifest language, section 3)."""

from __future__ import annotations

import re
from collections.abc import Collection

from ...errors import InvalidTemplate
from ...manifest.models.call_template import CallTemplate
from ..diagnostics import Problems
from ..templates.nodes import Unfilled
from .expression import Expression, ExpressionFailed, compile_expression
from .paths import LITERAL, UNDEFINED
from .scope import CALL_NAMES, Scope

Lets = tuple[tuple[str, Expression], ...]
"""The compiled `let` of a call template: names and what they stand for, in order."""

_USED = re.compile(r"(?<![\w.])let\.([A-Za-z_]\w*)")


def compile_lets(template: CallTemplate, found: Problems, *, local: bool) -> Lets:
    """Compile; what is wrong is noted in `found`. `local`: the manifest wrote it, not the network."""
    lets: list[tuple[str, Expression]] = []
    for name, source in template.let.items():
        with found.at(f"let.{name}"):
            names = CALL_NAMES if local else CALL_NAMES - {"vars"}
            _check_order(source, [known for known, _ in lets])
            lets.append((name, compile_expression(source, names, local=local)))
    return tuple(lets)


def _check_order(source: str, known: Collection[str]) -> None:
    for name in _USED.findall(LITERAL.sub("''", source)):
        if name not in known:
            raise InvalidTemplate(f"let.{name} is not known here; a value may use those that stand before it")


def with_lets(scope: Scope, lets: Lets) -> Scope:
    """The scope with the values; each may use those before it. One that finds nothing is not there.

    Raises:
        Unfilled: where a value cannot be computed from these arguments.
    """
    moment = scope.at_once()
    values: dict[str, object] = {}
    for name, expression in lets:
        known = moment.extended(let=values)
        try:
            value = UNDEFINED if expression.misses(known) else expression.evaluate(known)
        except ExpressionFailed as failed:
            raise Unfilled(f"let.{name}: {failed}") from None
        if value is not UNDEFINED:
            values[name] = value
    return scope.extended(let=values)
