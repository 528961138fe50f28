"""What is refused when an expression is compiled, because it would fail, or could do harm, on every message."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from minijinja import Environment, TemplateError

from ...errors import InvalidTemplate
from ...manifest.validation import closest_match
from ..codecs.message import RejectedValue
from .filters import FILTERS
from .patterns import compile_pattern
from .syntax import Node
from .vocabulary import (
    BUILTIN_FILTERS,
    BUILTIN_TESTS,
    FOREIGN_FILTERS,
    FOREIGN_METHODS,
    FOREIGN_TESTS,
    FUNCTIONS,
    METHODS,
)

_ENVIRONMENT: Final = Environment(debug=False, filters=FILTERS)
_FILTER_NAMES: Final = BUILTIN_FILTERS | {name for name in FILTERS if not name.startswith("_")}
_UNKNOWN: Final = ("UnknownFilter", "UnknownTest")
_NAMED_FILTERS: Final = {"map": 0}
"""Filters that take the name of a filter, and which of their arguments it is."""

_NAMED_TESTS: Final = {"select": 0, "reject": 0, "selectattr": 1, "rejectattr": 1}
"""Filters that take the name of a test, and which of their arguments it is."""

_FOREIGN_KINDS: Final = frozenset(
    {"literal", "name", "member", "item", "compare", "in", "and", "or", "not", "condition", "test", "list"}
)
"""What a manual from the network may write: what it looks up, compares and chooses is never larger than a message."""


def check_foreign(source: str, tree: Node) -> None:
    """Check an expression from the network: paths, literals, comparisons, `and`, `or`, `not`, `in`, a condition.

    A list holds literals only, as in `message.type in ['a', 'b']`: one of values would be as large as the author likes
    (`[message, message]`). A test has no argument.

    Raises:
        InvalidTemplate: where it may do more.
    """
    for node in tree.walk():
        is_large = node.kind == "list" and any(part.kind != "literal" for part in node.parts)
        if node.kind not in _FOREIGN_KINDS or is_large or (node.kind == "test" and len(node.parts) > 1):
            raise InvalidTemplate(
                f"the expression {source!r} is not allowed: it comes from the network, so it can only look up and "
                "compare values.",
                code="expression-not-allowed",
            )


def check_words(source: str, tree: Node) -> None:
    """Check the functions, filters, tests and methods of an expression.

    Raises:
        InvalidTemplate: where one does not exist, or a function is not called.
    """
    nodes = tree.walk()
    called = {id(node.parts[0]): node for node in nodes if node.kind == "call"}
    for node in nodes:
        if node.kind == "name" and node.name in FUNCTIONS:
            _check_function(source, node, called.get(id(node)))
        elif node.kind == "call":
            _check_callable(source, node)
        elif node.kind == "method" and node.name not in METHODS:
            raise _invalid(source, f"no value has a method {node.name!r}. {_suggest_method(node, source)}")
        elif node.kind == "filter":
            _check_filter(source, node)
        elif node.kind == "test":
            _check_test_name(source, node.name)


def _check_filter(source: str, node: Node) -> None:
    _check_filter_name(source, node.name)
    if node.name in _NAMED_FILTERS and (name := _text_argument(node, _NAMED_FILTERS[node.name])) is not None:
        _check_filter_name(source, name)
    elif node.name in _NAMED_TESTS and (name := _text_argument(node, _NAMED_TESTS[node.name])) is not None:
        _check_test_name(source, name)
    for pattern in _literal_patterns(node):
        try:
            compile_pattern(pattern)
        except RejectedValue as error:
            raise InvalidTemplate(f"invalid expression {source!r}: {error}", code=error.code) from None


def _literal_patterns(node: Node) -> Iterator[str]:
    """Yield the patterns that are written into an expression: they can be checked once."""
    pattern = None
    if node.name == "regex_find":
        pattern = _text_argument(node, 0)
    elif node.name == "map" and _text_argument(node, 0) == "regex_find":
        pattern = _text_argument(node, 1)
    if pattern is not None:
        yield pattern


def _text_argument(node: Node, index: int) -> str | None:
    """Return the argument of a filter at an index, where it is a text that is written there."""
    positional = [part for part in node.parts[1:] if part.kind not in ("keyword", "splat")]
    value = positional[index].value if index < len(positional) else None
    return value if isinstance(value, str) else None


def _check_filter_name(source: str, name: str) -> None:
    if name not in _FILTER_NAMES and (name.startswith("_") or not _exists(f"'' | {name}")):
        hint = _suggest(name, _FILTER_NAMES, FOREIGN_FILTERS, "filters")
        raise _invalid(source, f"unknown filter {name!r}. {hint}")


def _check_test_name(source: str, name: str) -> None:
    if name in BUILTIN_TESTS or not name[:1].isalpha() or _exists(f"'' is {name}"):
        return
    if name.lower() in ("startswith", "endswith"):
        hint = f"Write value.{name.lower()}('…'), or 'is {FOREIGN_TESTS[name.lower()]}'."
    elif name.lower().startswith(("contain", "match", "include", "regex")):
        hint = "Write 'word' in message, or message | regex_find('…')."
    else:
        hint = _suggest(name, BUILTIN_TESTS, FOREIGN_TESTS, "tests")
    raise _invalid(source, f"unknown test {name!r}. {hint}")


def _exists(source: str) -> bool:
    """Return whether MiniJinja knows the filter or test of a source; whatever else fails depends on the values."""
    try:
        _ENVIRONMENT.eval_expr(source)
    except TemplateError as error:
        return getattr(error, "kind", None) not in (*_UNKNOWN, "SyntaxError")
    return True


def _check_function(source: str, name: Node, call: Node | None) -> None:
    count = FUNCTIONS[name.name]
    example = f"{name.name}({'8' if count else ''})"
    if call is None:
        raise _invalid(source, f"{name.name!r} is a function. Write {example}.")
    if len(call.parts) - 1 != count:
        raise _invalid(source, f"the function {name.name!r} takes {count or 'no'} arguments. Write {example}.")


def _check_callable(source: str, node: Node) -> None:
    callee = node.parts[0]
    if callee.kind == "name" and callee.name in FUNCTIONS:
        return
    written = source[callee.start : callee.end]
    if callee.kind == "name" and callee.name in _FILTER_NAMES:
        raise _invalid(source, f"{written!r} is a filter. Write value | {written}.")
    names = ", ".join(f"{name}()" for name in sorted(FUNCTIONS))
    raise _invalid(source, f"{written!r} is not a function. Functions: {names}.")


def _suggest(name: str, known: Collection[str], foreign: dict[str, str], what: str) -> str:
    """Return what to write instead of an unknown name."""
    meant = foreign.get(name.lower()) or closest_match(name, known)
    return f"Did you mean {meant!r}?" if meant else f"Known {what}: {', '.join(sorted(known))}."


def _suggest_method(node: Node, source: str) -> str:
    base = source[node.parts[0].start : node.parts[0].end]
    name = node.name
    known = FOREIGN_METHODS.get(name)
    if known is None and (lower := closest_match(name, METHODS)):
        return f"Did you mean {lower!r}?"
    if known is not None:
        return f"Write {known.replace('value', base if len(base) <= 40 else 'value')}."
    if name in _FILTER_NAMES:
        return f"Write {base} | {name}."
    return f"Known methods: {', '.join(sorted(METHODS))}."


def _invalid(source: str, cause: str) -> InvalidTemplate:
    return InvalidTemplate(f"invalid expression {source!r}: {cause}", code="invalid-expression")
