"""Values that a call computes once and uses in several places (manifest language, section 3)."""

from __future__ import annotations

from collections.abc import Collection

from ...errors import InvalidTemplate
from ...manifest.models.call_template import CallTemplate
from ..diagnostics import Diagnostics
from ..templates.nodes import RenderError
from .analysis import ALL_MEMBERS, find_members
from .expression import EvaluationError, Expression, compile_expression
from .paths import UNDEFINED
from .scope import CALL_REQUEST_NAMES, Scope

LetBindings = tuple[tuple[str, Expression], ...]
"""The compiled `let` of a call template: names and what they stand for, in order."""


def compile_let_bindings(template: CallTemplate, diagnostics: Diagnostics, *, local: bool) -> LetBindings:
    """Compile; what is wrong is noted in `found`. `local`: the manifest wrote it, not the network."""
    lets: list[tuple[str, Expression]] = []
    for name, source in template.let.items():
        with diagnostics.collect(f"let.{name}"):
            names = CALL_REQUEST_NAMES if local else CALL_REQUEST_NAMES - {"vars"}
            _check_order(source, [known for known, _ in lets])
            lets.append((name, compile_expression(source, names, local=local)))
    return tuple(lets)


def _check_order(source: str, known: Collection[str]) -> None:
    if unknown := find_members(source, "let") - {ALL_MEMBERS, *known}:
        raise InvalidTemplate(
            f"let.{min(unknown)} is not defined here. A value can use only those that are written before it.",
            code="unknown-let",
        )


def with_let_bindings(scope: Scope, bindings: LetBindings) -> Scope:
    """The scope with the values; each may use those before it. One that finds nothing is not there.

    Raises:
        RenderError: where a value cannot be computed from these arguments.
    """
    moment = scope.with_frozen_time()
    values: dict[str, object] = {}
    for name, expression in bindings:
        known = moment.with_values(let=values)
        try:
            value = UNDEFINED if expression.has_missing_inputs(known) else expression.evaluate(known)
        except EvaluationError as failed:
            raise RenderError(f"let.{name}: {failed}", code=failed.code) from None
        if value is not UNDEFINED:
            values[name] = value
    return scope.with_values(let=values)
