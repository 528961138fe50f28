"""Compiled expressions: MiniJinja under a fuel limit.

An expression that is only a path is looked up directly, so that its value arrives untouched. MiniJinja's `debug` stays
off: its output prints the variables, which hold credentials.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, Final

from minijinja import Environment, TemplateError

from ...errors import InvalidTemplate, end_sentence
from ..codecs.message import RejectedValue
from ..limits import FUEL, MAX_EXPRESSION_LENGTH
from .analysis import find_members, find_references
from .filters import FILTERS, Binary, check_text
from .paths import STRING_LITERAL, UNDEFINED, alias_method_names, look_up, parse_path
from .patterns import compile_pattern
from .scope import OMIT_NAME
from .suggestions import CLEARER_REASONS, suggest_name, suggest_syntax

MAX_REASON_LENGTH: Final = 100
MAX_SHOWN_LENGTH: Final = 160
"""Characters of an expression in the error of a call, which models read."""

CALLABLE_NAMES: Final = frozenset({"uuid", "next_id", "counter", "random_hex"})
"""Names that expressions may call; they are bound for each evaluation."""

_ENVIRONMENT: Final = Environment(debug=False, fuel=FUEL, undefined_behavior="chainable", filters=FILTERS)
_PYTHON_ERRORS = (AttributeError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError, struct.error)
_UNKNOWN_NAME_ERRORS = ("UnknownFilter", "UnknownFunction", "UnknownTest")
_CALLED_NAME = re.compile(r"\|\s*[A-Za-z_]\w*|(?<![\w.])is\s+(?:not\s+)?[A-Za-z_]\w*")
_PATTERN = re.compile(rf"\bregex_find['\"]?\s*[(,]\s*({STRING_LITERAL.pattern})\s*\)")
_UNBOUNDED = re.compile(r"[|*~%{]|\b(?!(?:and|or|not|in|if|else|is)\b)\w+\s*\(|[)\]]\s*\(")
"""What could allocate without bound, so that a manual from the network may not use it: filters, calls, repetition."""

_HANDLES_MISSING = re.compile(r"\b(default|defined|undefined|if|or)\b")
"""Words that define what happens without a value. Where one is written, no value counts as required: MiniJinja does not
return which operand it belongs to."""


class EvaluationError(Exception):
    """An expression that cannot be evaluated on these values. `code` is that of the error which reports it."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class _Omit:
    """The value of `omit` in one evaluation; it notes that it became part of a text, which is left out then, too."""

    def __init__(self) -> None:
        self.was_written = False

    def __str__(self) -> str:
        self.was_written = True
        return ""


class Expression:
    """A compiled expression.

    Attributes:
        source: The expression as it is written.
        path: The steps of an expression that is only a path, else None.
        names: The top-level names that it uses.
        arguments: The arguments that it uses; `ALL_MEMBERS` for all of them.
        required_args: Arguments without which an operator or a filter would make something of nothing.
        required_let: Values of `let` of the same kind.
    """

    __slots__ = ("_aliased_paths", "_source", "arguments", "names", "path", "required_args", "required_let", "source")

    def __init__(self, source: str, allowed: Collection[str], *, local: bool = True) -> None:
        """Compile an expression.

        Args:
            source: The expression, without braces.
            allowed: The top-level names that it may use.
            local: Whether the manifest wrote it; one from the network may only look up and compare.

        Raises:
            InvalidTemplate: on wrong syntax, and on names that are not allowed.
        """
        self.source = source.strip()
        self.path = parse_path(self.source)
        if self.path is None:
            self._check_syntax(local)
        self.names = tuple(sorted({str(path[0]) for path in find_references(self.source)}))
        for name in self.names:
            if name not in allowed:
                hint = suggest_name(name, allowed)
                raise InvalidTemplate(
                    f"unknown name {name!r} in the expression {self.source!r}. {hint}", code="unknown-name"
                )
        self._source, self._aliased_paths = (self.source, {}) if self.path else alias_method_names(self.source)
        self.arguments = find_members(self.source, "args")
        self.required_args = self._find_required("args")
        self.required_let = self._find_required("let")

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """Return the value, or UNDEFINED.

        Raises:
            EvaluationError: where an operation is impossible on these values, or the fuel is used up.
        """
        if self.path is not None:
            return look_up(scope, self.path)
        context = self._context(scope)
        omit = _Omit() if OMIT_NAME in self.names else None
        if omit is not None:
            context[OMIT_NAME] = omit
        value = self._run(self._source, context)
        if omit is not None and (value is omit or omit.was_written):
            return UNDEFINED
        # MiniJinja returns None for an undefined value as well as for null; only a test distinguishes them.
        if value is None and self._run(f"({self._source}) is undefined", context) is True:
            return UNDEFINED
        return str(value) if isinstance(value, str) else value

    def evaluate_or_undefined(self, scope: Mapping[str, Any]) -> Any:
        """Return the value, or UNDEFINED also where it cannot be evaluated on these values."""
        try:
            return self.evaluate(scope)
        except EvaluationError:
            return UNDEFINED

    def is_true(self, scope: Mapping[str, Any]) -> bool:
        """Return whether the predicate is true. One that cannot be evaluated on this message is false."""
        if self.path is not None:
            return bool(look_up(scope, self.path))
        try:
            return bool(_ENVIRONMENT.eval_expr(self._source, **self._context(scope)))
        except (TemplateError, *_PYTHON_ERRORS):
            return False

    def has_missing_inputs(self, scope: Mapping[str, Any]) -> bool:
        """Return whether a filter or an operator would make something of a value that is missing."""
        return any(name not in scope["args"] for name in self.required_args) or any(
            name not in (scope["let"] or ()) for name in self.required_let
        )

    def _context(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        """Return the names that have a value, with their values."""
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
        except TemplateError as error:
            reason, code = _error_reason(error), "expression-failed"
        except RejectedValue as error:
            reason, code = str(error), error.code
        except _PYTHON_ERRORS as error:
            reason, code = f"{type(error).__name__}: {str(error)[:MAX_REASON_LENGTH]}", "expression-failed"
        excerpt = self.source if len(self.source) <= MAX_SHOWN_LENGTH else f"{self.source[:MAX_SHOWN_LENGTH]} …"
        raise EvaluationError(f"the expression {excerpt!r} failed: {end_sentence(reason)}", code=code)

    def _find_required(self, owner: str) -> tuple[str, ...]:
        """Return the members of `owner` that must have a value, in the order in which they are written."""
        if self.path is not None or _HANDLES_MISSING.search(STRING_LITERAL.sub("''", self.source)):
            return ()
        paths = (path for path in find_references(self.source) if path[0] == owner and len(path) > 1)
        return tuple(dict.fromkeys(path[1] for path in paths if isinstance(path[1], str)))

    def _check_syntax(self, local: bool) -> None:
        """Raise where MiniJinja cannot read the expression, or knows no filter, test or function of a name in it."""
        if len(self.source) > MAX_EXPRESSION_LENGTH:
            raise InvalidTemplate(
                f"the expression {self.source[:60]!r}… has more than {MAX_EXPRESSION_LENGTH} characters. "
                'Divide it with "let".',
                code="expression-too-long",
            )
        if not local and _UNBOUNDED.search(STRING_LITERAL.sub("''", self.source)):
            raise InvalidTemplate(
                f"the expression {self.source!r} is not allowed: it comes from the network, so it can only compare.",
                code="expression-not-allowed",
            )
        try:
            _ENVIRONMENT.undeclared_variables_in_str("{{" + self.source + "}}")
            self._check_called_names()
            self._check_patterns()
        except TemplateError as error:
            cause = f"{end_sentence(_error_reason(error))}{suggest_syntax(self.source)}"
            raise InvalidTemplate(f"invalid expression {self.source!r}: {cause}", code="invalid-expression") from None
        except ValueError:
            raise InvalidTemplate(
                f"the expression {self.source!r} contains characters that are not text.", code="expression-too-long"
            ) from None

    def _check_called_names(self) -> None:
        """Raise where a filter, test or function does not exist; whatever else fails here depends on the values.

        MiniJinja looks filters and tests up when it runs, so the expression is run without values. Each filter and
        test is run alone as well: without values, the part of the expression that uses it may not be reached.
        """
        called = _CALLED_NAME.findall(STRING_LITERAL.sub("''", self.source))
        for source in (self.source, *(f"'' {each}" for each in called)):
            try:
                _ENVIRONMENT.eval_expr(source)
            except TemplateError as error:
                kind = getattr(error, "kind", None)
                bound = any(f"{name} is unknown" in str(error) for name in CALLABLE_NAMES)
                if kind == "SyntaxError" or (kind in _UNKNOWN_NAME_ERRORS and not bound):
                    raise
            except _PYTHON_ERRORS:
                continue

    def _check_patterns(self) -> None:
        """Raise where a literal pattern would be refused on every message."""
        for literal in _PATTERN.findall(self.source):
            try:
                compile_pattern(_ENVIRONMENT.eval_expr(literal))
            except RejectedValue as error:
                message = f"invalid expression {self.source!r}: {error}"
                raise InvalidTemplate(message, code=error.code) from None


@lru_cache(maxsize=1024)
def compile_expression(source: str, allowed: frozenset[str], *, local: bool = True) -> Expression:
    """Return an expression, compiled once for all tools that use it: each tool repeats what its preset says.

    Raises:
        InvalidTemplate: as `Expression` does.
    """
    return Expression(source, allowed, local=local)


def _error_reason(error: TemplateError) -> str:
    reason = str(error).split(" (in <")[0]
    return CLEARER_REASONS.get(reason, reason)
