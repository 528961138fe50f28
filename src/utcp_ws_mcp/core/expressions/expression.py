"""MiniJinja behind one small door.

An expression that is only a path is looked up directly, so that its value arrives untouched. Everything else is
evaluated by MiniJinja under a fuel limit. `debug` stays off: its output prints the variables.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, Final

from minijinja import Environment, TemplateError

from ...errors import InvalidTemplate
from ...manifest.validation import closest_match
from .filters import FILTERS, Binary, check_text, compile_pattern
from .paths import STRING_LITERAL, UNDEFINED, alias_method_names, look_up, parse_path

FUEL: Final = 50_000
"""Steps of one evaluation."""

MAX_REASON_LENGTH: Final = 100
MAX_SHOWN_LENGTH: Final = 160
"""Characters of an expression in the error of a call, which models read."""

MAX_EXPRESSION_LENGTH: Final = 4_000
"""Characters of one expression."""

_CALLED_NAME = re.compile(r"\|\s*[A-Za-z_]\w*|(?<![\w.])is\s+(?:not\s+)?[A-Za-z_]\w*")
_UNKNOWN_NAME_ERRORS = ("UnknownFilter", "UnknownFunction", "UnknownTest")
_CLEARER_REASONS: Final = {
    "unknown filter": "unknown filter: the one that map applies",
    "unknown test": "unknown test: the one that select, reject, selectattr or rejectattr applies",
}
"""What MiniJinja's shortest reasons are about."""


class EvaluationError(Exception):
    """An expression that cannot be evaluated on these values."""


_ENVIRONMENT: Final = Environment(debug=False, fuel=FUEL, undefined_behavior="chainable", filters=FILTERS)
_PYTHON_ERRORS = (AttributeError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError, struct.error)
_PATTERN = re.compile(rf"\bregex_find['\"]?\s*[(,]\s*({STRING_LITERAL.pattern})\s*\)")
_UNBOUNDED = re.compile(r"[|*~%{]|\b(?!(?:and|or|not|in|if|else|is)\b)\w+\s*\(|[)\]]\s*\(")
"""What could allocate without bound, so that a manual from the network may not use it: filters, calls, repetition."""


class Expression:
    """A compiled expression. `names` are the top-level names that it uses, `needs` arguments that must be there, and
    `needs_let` values of `let`.
    """

    __slots__ = ("_aliased_paths", "_source", "names", "path", "required_args", "required_let", "source")

    def __init__(self, source: str, allowed: Collection[str], *, local: bool = True) -> None:
        """Compile `source`. One that is not `local` comes from the network and may only look up and compare.

        Raises:
            InvalidTemplate: on wrong syntax, and on names that are not in `allowed`.
        """
        self.source = source.strip()
        self.path = parse_path(self.source)
        self.names = (str(self.path[0]),) if self.path else self._find_names(allowed, local)
        self._source, self._aliased_paths = (self.source, {}) if self.path else alias_method_names(self.source)
        bare = STRING_LITERAL.sub("''", self.source)
        optional = re.search(r"\b(default|defined|undefined|if|or)\b", bare) or self.path is not None
        self.required_args = () if optional else tuple(dict.fromkeys(re.findall(r"\bargs\.([A-Za-z_]\w*)", bare)))
        self.required_let = () if optional else tuple(dict.fromkeys(re.findall(r"\blet\.([A-Za-z_]\w*)", bare)))
        for name in self.names:
            if name not in allowed:
                raise InvalidTemplate(
                    f"unknown name {name!r} in the expression {self.source!r}; {_suggest_name(name, allowed)}"
                )

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """The value, or UNDEFINED.

        Raises:
            ExpressionFailed: where an operation is impossible on these values, or the fuel is used up.
        """
        if self.path is not None:
            return look_up(scope, self.path)
        context = self._context(scope)
        value = self._run(self._source, context)
        if value is None and self._run(f"({self._source}) is undefined", context) is True:
            return UNDEFINED
        return str(value) if isinstance(value, str) else value

    def evaluate_or_undefined(self, scope: Mapping[str, Any]) -> Any:
        """The value, or UNDEFINED also where there can be none on these values."""
        try:
            return self.evaluate(scope)
        except EvaluationError:
            return UNDEFINED

    def is_true(self, scope: Mapping[str, Any]) -> bool:
        """Whether the predicate is true. One that cannot be evaluated on this message does not hold."""
        if self.path is not None:
            return bool(look_up(scope, self.path))
        try:
            return bool(_ENVIRONMENT.eval_expr(self._source, **self._context(scope)))
        except (TemplateError, *_PYTHON_ERRORS):
            return False

    def has_missing_inputs(self, scope: Mapping[str, Any]) -> bool:
        """Whether a filter or an operator would make something of a value that is not there."""
        return any(name not in scope["args"] for name in self.required_args) or any(
            name not in (scope["let"] or ()) for name in self.required_let
        )

    def _context(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        """The names that have a value."""
        known = {name: scope[name] for name in self.names}
        known |= {name: look_up(scope, path) for name, path in self._aliased_paths.items()}
        return {
            name: Binary(value) if type(value) is bytes else value
            for name, value in known.items()
            if value is not UNDEFINED
        }

    def _run(self, source: str, context: Mapping[str, Any]) -> Any:
        try:
            value = _ENVIRONMENT.eval_expr(source, **context)
            return check_text(value) if isinstance(value, str) else value
        except TemplateError as failed:
            reason = _error_reason(failed)
        except _PYTHON_ERRORS as failed:
            reason = f"{type(failed).__name__}: {str(failed)[:MAX_REASON_LENGTH]}"
        shown = self.source if len(self.source) <= MAX_SHOWN_LENGTH else f"{self.source[:MAX_SHOWN_LENGTH]} …"
        raise EvaluationError(f"the expression {shown!r} failed: {reason}")

    def _find_names(self, allowed: Collection[str], local: bool) -> tuple[str, ...]:
        if len(self.source) > MAX_EXPRESSION_LENGTH:
            raise InvalidTemplate(
                f"an expression of more than {MAX_EXPRESSION_LENGTH} characters: {self.source[:60]!r} …"
            )
        if not local and _UNBOUNDED.search(STRING_LITERAL.sub("''", self.source)):
            raise InvalidTemplate(f"the expression {self.source!r} may only compare: it comes from the network")
        try:
            names = set(_ENVIRONMENT.undeclared_variables_in_str("{{" + self.source + "}}"))
            self._check_called_names()
            self._check_patterns()
        except TemplateError as failed:
            why = f"{_error_reason(failed)}{_suggest_syntax(self.source)}"
            raise InvalidTemplate(f"cannot read the expression {self.source!r}: {why}") from None
        except ValueError:
            raise InvalidTemplate(f"the expression {self.source!r} holds what is no text") from None
        bare = STRING_LITERAL.sub("''", self.source)  # MiniJinja does not see the names in a slice
        return tuple(sorted(names | {name for name in allowed if re.search(rf"(?<![\w.]){name}\b", bare)}))

    def _check_called_names(self) -> None:
        """Raise where a filter, test or function does not exist; whatever else fails here depends on the values.

        Filters and tests are tried alone, too: the part where they stand may not be reached without values.
        """
        called = _CALLED_NAME.findall(STRING_LITERAL.sub("''", self.source))
        for source in (self.source, *(f"'' {each}" for each in called)):
            try:
                _ENVIRONMENT.eval_expr(source)
            except TemplateError as failed:
                kind = getattr(failed, "kind", None)
                bound = any(f"{name} is unknown" in str(failed) for name in CALLABLE_NAMES)
                if kind == "SyntaxError" or (kind in _UNKNOWN_NAME_ERRORS and not bound):
                    raise
            except _PYTHON_ERRORS:
                continue

    def _check_patterns(self) -> None:
        """Raise where a pattern that is written down would be refused on every message."""
        for literal in _PATTERN.findall(self.source):
            try:
                compile_pattern(_ENVIRONMENT.eval_expr(literal))
            except ValueError as refused:
                raise InvalidTemplate(f"the expression {self.source!r}: {refused}") from None


@lru_cache(maxsize=1024)
def compile_expression(source: str, allowed: frozenset[str], *, local: bool = True) -> Expression:
    """An expression, compiled once for all tools that have it: what a preset or an entry says, each tool repeats.

    Raises:
        InvalidTemplate: as `Expression` does.
    """
    return Expression(source, allowed, local=local)


def _suggest_name(name: str, allowed: Collection[str]) -> str:
    """What to write for a name that is not known; one of two letters is like too many."""
    near = _FOREIGN_NULLS.get(name) or (closest_match(name, allowed) if len(name) > 2 else None)
    if near:
        return f"did you mean {near!r}?"
    members = [repr(f"{owner}.{name}") for owner in ("message", "args") if owner in allowed]
    member = f"is {' or '.join(members)} meant? " if members else ""
    return f"{member}known are {', '.join(sorted(allowed))}"


def _suggest_syntax(source: str) -> str:
    """What to write for what another language writes, where that stands in an expression that cannot be read."""
    bare = STRING_LITERAL.sub("''", source)
    return next((f"; {advice}" for habit, advice in _FOREIGN_SYNTAX if habit.search(bare)), "")


_FOREIGN_NULLS: Final = {"null": "none", "nil": "none", "undefined": "is not defined"}
_FOREIGN_SYNTAX: Final = (
    (re.compile(r"^\{\{"), "this is an expression already: leave the outer braces out"),
    (re.compile(r"[=!]=="), "write == or !="),
    (re.compile(r"&&"), "write 'and' for &&"),
    (re.compile(r"\|\|"), "write 'or' for ||"),
    (re.compile(r"!(?!=)"), "write 'not' for !"),
    (re.compile(r"\b(?:contain(?:s|ing)|match(?:es|ing))\b"), "write 'word' in message, or message | regex_find('…')"),
    (re.compile(r"\?[.?]"), "a path may lead nowhere; | default(…) says what then"),
    (re.compile(r"\?.*:"), "write 'a if b else c' for b ? a : c"),
    (re.compile(r"^[^(]*[^(=!<>]=(?!=)"), "write == to compare"),
)


def _error_reason(failed: TemplateError) -> str:
    reason = str(failed).split(" (in <")[0]
    return _CLEARER_REASONS.get(reason, reason)


CALLABLE_NAMES: Final = frozenset({"uuid", "next_id", "counter", "random_hex"})
"""Names that expressions may call; they are bound for each evaluation."""
