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
"""The compiled `let` of a call template: names and their expressions, in order."""


def compile_let_bindings(template: CallTemplate, diagnostics: Diagnostics, *, local: bool) -> LetBindings:
    """Compile the `let` of a call template.

    Args:
        template: The call template.
        diagnostics: Collects what is wrong.
        local: Whether the manifest wrote `let`, not the network.
    """
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
    """Return the scope with the values of `let`. Each may use those before it; one that is undefined is left out.

    Raises:
        RenderError: where a value cannot be computed from these arguments.
    """
    frozen = scope.with_frozen_time()
    values: dict[str, object] = {}
    for name, expression in bindings:
        scope_so_far = frozen.with_values(let=values)
        if expression.lacks_session(scope_so_far):
            raise RenderError(f"let.{name}: {expression.source} has no value.", code="value-missing")
        try:
            value = UNDEFINED if expression.has_missing_inputs(scope_so_far) else expression.evaluate(scope_so_far)
            if not expression.may_grow:  # else it was checked
                expression.check_size(value)  # each may double the one before it
        except EvaluationError as error:
            raise RenderError(f"let.{name}: {error}", code=error.code) from None
        if value is not UNDEFINED:
            values[name] = value
    return scope.with_values(let=values)
