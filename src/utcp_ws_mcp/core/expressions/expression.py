"""Compiled expressions: MiniJinja under a fuel limit.

An expression that is only a path is looked up directly, so that its value arrives untouched. MiniJinja's `debug` stays
off: its output prints the variables, which hold credentials.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, Final

from minijinja import Environment, TemplateError

from ...errors import InvalidTemplate, end_sentence
from ..codecs.binary import as_binary, refuse_binary
from ..codecs.message import RejectedValue
from ..limits import FUEL, MAX_EXPRESSION_LENGTH, MAX_VALUE_LENGTH
from ..value_size import is_too_large
from .analysis import DEFINING, find_members, find_references
from .bounded import MissingValue
from .checks import check_foreign, check_words
from .filters import FILTERS
from .paths import UNDEFINED, NotDirect, Path, parse_path, value_at
from .rewrite import may_grow, rewrite
from .scope import OMIT_NAME, Scope
from .syntax import Node, parse_expression
from .vocabulary import FUNCTIONS

MAX_REASON_LENGTH: Final = 100
MAX_SHOWN_LENGTH: Final = 160
"""Characters of an expression in the error of a call, which models read."""

_ENVIRONMENT: Final = Environment(debug=False, fuel=FUEL, undefined_behavior="chainable", filters=FILTERS)
_PYTHON_ERRORS = (AttributeError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError, MissingValue)
_HANDLES_MISSING: Final = DEFINING | {("condition", ""), ("or", "or")}
"""What defines what happens without a value. Where one is written, no value counts as required: which operand it
belongs to may depend on the values."""


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
        required_session: Values of `session` of the same kind.
        tree: Its parts; None for one that is only a path.
        may_grow: Whether it may hold its operands so often that its size is checked.
    """

    __slots__ = (
        *("_aliased_paths", "_direct_predicate", "_direct_value", "_is_analyzed", "_source", "arguments"),
        *("may_grow", "names", "path", "required_args", "required_let", "required_session", "source", "tree"),
    )

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
        tree = self.tree = self._parse(local=local) if self.path is None or self.path[0] in FUNCTIONS else None
        if tree is not None:
            if not local:
                check_foreign(self.source, tree)
            check_words(self.source, tree)
        self.names = tuple(sorted({str(path[0]) for path in find_references(self.source)}))
        for name in self.names:
            if name not in allowed:
                from .suggestions import suggest_name

                hint = suggest_name(name, allowed)
                raise InvalidTemplate(
                    f"unknown name {name!r} in the expression {self.source!r}. {hint}", code="unknown-name"
                )
        self.may_grow = tree is not None and may_grow(tree)
        unchanged: tuple[str, dict[str, Path]] = (self.source, {})
        self._source, self._aliased_paths = (
            unchanged if tree is None else rewrite(self.source, tree, measured=self.may_grow)
        )
        self._direct_predicate: Callable[[Mapping[str, Any]], Any] | None = None
        self._direct_value: Callable[[Mapping[str, Any]], Any] | None = None
        self._is_analyzed = tree is None or OMIT_NAME in self.names
        self.arguments = find_members(self.source, "args")
        handles_missing = tree is None or any((node.kind, node.name) in _HANDLES_MISSING for node in tree.walk())
        self.required_args = () if handles_missing else self._find_members("args")
        self.required_let = () if handles_missing else self._find_members("let")
        self.required_session = () if handles_missing else self._find_members("session")

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """Return the value, or UNDEFINED.

        Raises:
            EvaluationError: where an operation is impossible on these values, or the fuel is used up.
        """
        if self.path is not None:
            return value_at(scope, self.path)
        if not self._is_analyzed:
            self._analyze()
        if self._direct_value is not None:
            try:
                return self._direct_value(scope)
            except NotDirect:
                pass  # MiniJinja decides
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
        if self.may_grow:
            self.check_size(value)
        return str(value) if isinstance(value, str) else value

    def check_size(self, value: Any) -> None:
        """Check how large a value of the expression would be when it is written.

        Raises:
            EvaluationError: if it is too large.
        """
        if self.path is None and is_too_large(value):
            raise self._failure(
                RejectedValue(f"the value would have more than {MAX_VALUE_LENGTH:,} bytes.", code="value-too-large")
            )

    def evaluate_or_undefined(self, scope: Mapping[str, Any], *, check_size: bool = False) -> Any:
        """Return the value, or UNDEFINED also where it cannot be evaluated on these values, or is too large."""
        try:
            value = self.evaluate(scope)
            if check_size:
                self.check_size(value)
        except EvaluationError:
            return UNDEFINED
        return value

    def is_true(self, scope: Mapping[str, Any]) -> bool:
        """Return whether the predicate is true.

        One that cannot be evaluated on this message is not; why is noted in `scope.failures`, because that is not the
        same as false. A method of a missing value is false.
        """
        try:
            return self.decide(scope)
        except EvaluationError as error:
            if isinstance(scope, Scope):
                scope.failures.setdefault(self.source, str(error))
            return False

    def decide(self, scope: Mapping[str, Any]) -> bool:
        """Return whether the predicate is true. A method of a missing value is false.

        Raises:
            EvaluationError: where it cannot be evaluated on these values.
        """
        if self.path is not None:
            return bool(value_at(scope, self.path))
        if not self._is_analyzed:
            self._analyze()
        if self._direct_predicate is not None:
            try:
                return bool(self._direct_predicate(scope))
            except NotDirect:
                pass  # MiniJinja decides
        try:
            context = self._context(scope)
            return bool(refuse_binary(lambda: _ENVIRONMENT.eval_expr(self._source, **context)))
        except (TemplateError, *_PYTHON_ERRORS) as error:
            if _is_about_missing(error):
                return False
            raise self._failure(error) from None

    def _analyze(self) -> None:
        """Find out, before the first evaluation, whether MiniJinja is needed for it."""
        if self.tree is not None:
            from .direct import compile_predicate, compile_value  # no message has come before the first answer

            self._direct_predicate, self._direct_value = compile_predicate(self.tree), compile_value(self.tree)
        self._is_analyzed = True

    def has_missing_inputs(self, scope: Mapping[str, Any]) -> bool:
        """Return whether a filter or an operator would make something of a value that is missing."""
        if not self.required_args and not self.required_let:
            return False
        return any(name not in scope["args"] for name in self.required_args) or any(
            name not in (scope["let"] or ()) for name in self.required_let
        )

    def lacks_session(self, scope: Mapping[str, Any]) -> bool:
        """Return whether a filter or an operator would make something of a value that the connection has not saved."""
        return bool(self.required_session) and any(
            name not in (scope["session"] or ()) for name in self.required_session
        )

    def _context(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        """Return the names that have a value, with their values."""
        known = {name: scope[name] for name in self.names}
        known |= {name: value_at(scope, path) for name, path in self._aliased_paths.items()}
        return {name: as_binary(value) for name, value in known.items() if value is not UNDEFINED}

    def _run(self, source: str, context: Mapping[str, Any]) -> Any:
        try:
            return refuse_binary(lambda: _ENVIRONMENT.eval_expr(source, **context))
        except (TemplateError, *_PYTHON_ERRORS) as error:
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> EvaluationError:
        """Return the error of an expression that failed, without the words of Python."""
        code = "expression-failed"
        if isinstance(error, RejectedValue):
            reason, code = str(error), error.code
        elif isinstance(error, TemplateError):
            reason = _error_reason(error)
        elif isinstance(error, MissingValue):
            reason = "a value is missing."
        elif isinstance(error, AttributeError):
            reason = "a value has no method of this name."
        else:
            detail = _python_reason(error)
            reason = f"an operation is not possible on these values{': ' if detail else ''}{detail}"
        excerpt = self.source if len(self.source) <= MAX_SHOWN_LENGTH else f"{self.source[:MAX_SHOWN_LENGTH]} …"
        return EvaluationError(f"the expression {excerpt!r} failed: {end_sentence(reason)}", code=code)

    def _find_members(self, owner: str) -> tuple[str, ...]:
        """Return the members of `owner` that the expression uses, in the order in which they are written."""
        paths = (path for path in find_references(self.source) if path[0] == owner and len(path) > 1)
        return tuple(dict.fromkeys(path[1] for path in paths if isinstance(path[1], str)))

    def _parse(self, *, local: bool) -> Node:
        """Return the tree of the expression. What it may not do unless it is local is not suggested.

        Raises:
            InvalidTemplate: where it cannot be read.
        """
        if not self.source:
            raise InvalidTemplate("an expression is empty. Write one, or remove it.", code="invalid-expression")
        if len(self.source) > MAX_EXPRESSION_LENGTH:
            raise InvalidTemplate(
                f"the expression {self.source[:60]!r}… has more than {MAX_EXPRESSION_LENGTH} characters. "
                'Divide it with "let".',
                code="expression-too-long",
            )
        try:
            return parse_expression(self.source)
        except TemplateError as error:
            from .suggestions import suggest_syntax

            cause = f"{end_sentence(_error_reason(error))}{suggest_syntax(self.source, filters=local)}"
            raise InvalidTemplate(f"invalid expression {self.source!r}: {cause}", code="invalid-expression") from None
        except ValueError:
            raise InvalidTemplate(
                f"the expression {self.source!r} contains characters that are not text.", code="expression-too-long"
            ) from None


@lru_cache(maxsize=1024)
def compile_expression(source: str, allowed: frozenset[str], *, local: bool = True) -> Expression:
    """Return an expression, compiled once for all tools that use it: each tool repeats what its preset says.

    Raises:
        InvalidTemplate: as `Expression` does.
    """
    return Expression(source, allowed, local=local)


def _python_reason(error: Exception) -> str:
    """Return the reason of an exception without the values in it: Python cuts them, and half a secret is not found."""
    return re.split(r"['\":]", str(error), maxsplit=1)[0].strip()[:MAX_REASON_LENGTH]


def _error_reason(error: TemplateError) -> str:
    from .suggestions import clear_reason

    return clear_reason(str(error).split(" (in <")[0])


def _is_about_missing(error: Exception) -> bool:
    """Return whether an expression failed because it calls a method of a value that is missing."""
    return isinstance(error, MissingValue) or str(error).startswith("unknown method: undefined")
