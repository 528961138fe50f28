"""Evaluate expressions that only look up, compare and test, without MiniJinja.

Most predicates of a manifest are of this kind (`message.type == 'x' and message.id is defined`), and several are
evaluated for each message; MiniJinja needs 5 to 15 µs for one. Only values of exactly the types that JSON has are
handled here, and of these only the combinations whose result is beyond doubt. For all others `NotDirect` is raised, and
MiniJinja decides: tests/core/expressions/test_direct.py compares both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, Final

from .paths import UNDEFINED, NotDirect, node_path
from .syntax import Node

Evaluate = Callable[[Mapping[str, Any]], Any]
"""Computes a value from the names of a scope; raises `NotDirect`."""

MAX_INTEGER: Final = 1 << 53
"""Larger integers are compared by MiniJinja."""

_MISSING: Final = type(UNDEFINED)
_PLAIN: Final = frozenset({str, int, NoneType, _MISSING, dict, list})
"""Types of which values of different ones are never equal, apart from null and a missing value."""

_HAS_TRUTH: Final = _PLAIN | {bool}
_WITHOUT_MEMBERS: Final = _PLAIN - {dict} | {bool, float}


def compile_predicate(tree: Node) -> Evaluate | None:
    """Return the evaluation of a predicate, which gives True or False; None for one that needs MiniJinja."""
    match tree:
        case Node(kind="compare", name="==" | "!=", parts=(left, right)):
            return _compile_comparison(left, right, negated=tree.name == "!=")
        case Node(kind="test", name=name, parts=(operand,)) if name in _TESTS:
            return _compile_test(operand, name)
        case Node(kind="in", parts=(operand, Node(kind="list", parts=options))):
            return _compile_membership(operand, options)
        case Node(kind="not", parts=(Node(kind="test", name=name, parts=(operand,)),)) if name in _OPPOSITES:
            return _compile_test(operand, _OPPOSITES[name])
        case Node(kind="not", parts=(operand,)):
            inner = compile_predicate(operand)
            return None if inner is None else lambda scope: not inner(scope)
        case Node(kind="and" | "or", parts=(left, right)):
            return _compile_junction(compile_predicate(left), compile_predicate(right), is_and=tree.kind == "and")
        case _:
            return _compile_truth(tree)


def compile_value(tree: Node) -> Evaluate | None:
    """Return the evaluation of `a if b else c` with paths and literals as values; None for any other expression."""
    if tree.kind != "condition":
        return _compile_operand(tree)
    condition = compile_predicate(tree.parts[1])
    first = _compile_operand(tree.parts[0])
    second = compile_value(tree.parts[2]) if len(tree.parts) > 2 else lambda scope: UNDEFINED
    if condition is None or first is None or second is None:
        return None
    return lambda scope: _plain(first(scope) if condition(scope) else second(scope))


def compile_lookup(tree: Node) -> Evaluate | None:
    """Return the evaluation of a path whose steps are all names; None for anything else."""
    path = node_path(tree)
    if path is None or not all(isinstance(step, str) for step in path):
        return None
    root, steps = str(path[0]), path[1:]

    def look_up(scope: Mapping[str, Any]) -> Any:
        value = scope[root]
        for step in steps:
            if type(value) is dict:
                value = value.get(step, UNDEFINED)
            elif type(value) in _WITHOUT_MEMBERS:
                return UNDEFINED
            else:
                raise NotDirect
        return value

    return look_up


def is_equal(left: Any, right: Any) -> bool:
    """Return whether two values are equal in expressions.

    Raises:
        NotDirect: where that is not certain.
    """
    kind, other = type(left), type(right)
    if kind is other:
        if kind is str or kind is bool or kind is NoneType:
            return bool(left == right)
        if kind is int and abs(left) < MAX_INTEGER and abs(right) < MAX_INTEGER:
            return bool(left == right)
        raise NotDirect
    if kind in _PLAIN and other in _PLAIN and not (kind in _NOTHING and other in _NOTHING):
        return False
    raise NotDirect


_NOTHING: Final = frozenset({NoneType, _MISSING})


def _plain(value: Any) -> Any:
    """Return a value that MiniJinja would return unchanged, too."""
    kind = type(value)
    if kind is str or kind is dict or kind is list or kind is bool or value is None or value is UNDEFINED:
        return value
    if kind is int and abs(value) < MAX_INTEGER:
        return value
    raise NotDirect  # MiniJinja gives 1 for 1.0


def _compile_operand(tree: Node) -> Evaluate | None:
    if tree.kind == "literal":
        value = tree.value
        return None if isinstance(value, float) else lambda scope: value
    return compile_lookup(tree)


def _compile_comparison(left: Node, right: Node, *, negated: bool) -> Evaluate | None:
    first, second = _compile_operand(left), _compile_operand(right)
    if first is None or second is None:
        return None
    if negated:
        return lambda scope: not is_equal(first(scope), second(scope))
    return lambda scope: is_equal(first(scope), second(scope))


def _compile_membership(operand: Node, options: tuple[Node, ...]) -> Evaluate | None:
    """Return the evaluation of `x in ['a', 'b']`, for texts."""
    value = _compile_operand(operand)
    if value is None or not all(type(option.value) is str for option in options):
        return None
    texts = frozenset(option.value for option in options)

    def is_in(scope: Mapping[str, Any]) -> bool:
        found = value(scope)
        if type(found) is not str:
            raise NotDirect
        return found in texts

    return is_in


def _compile_test(operand: Node, name: str) -> Evaluate | None:
    value = _compile_operand(operand)
    return None if value is None else _TESTS[name](value)


def _compile_text_test(value: Evaluate) -> Evaluate:
    def is_text(scope: Mapping[str, Any]) -> bool:
        kind = type(value(scope))
        if kind in _HAS_TRUTH:
            return kind is str
        raise NotDirect

    return is_text


_TESTS: Final[Mapping[str, Callable[[Evaluate], Evaluate]]] = {
    "defined": lambda value: lambda scope: value(scope) is not UNDEFINED,
    "undefined": lambda value: lambda scope: value(scope) is UNDEFINED,
    "none": lambda value: lambda scope: value(scope) is None,
    "string": _compile_text_test,
}
_OPPOSITES: Final = {"defined": "undefined", "undefined": "defined"}


def _compile_junction(left: Evaluate | None, right: Evaluate | None, *, is_and: bool) -> Evaluate | None:
    if left is None or right is None:
        return None
    if is_and:
        return lambda scope: left(scope) and right(scope)
    return lambda scope: left(scope) or right(scope)


def _compile_truth(tree: Node) -> Evaluate | None:
    """Return the evaluation of a value that stands where a predicate is expected."""
    value = _compile_operand(tree)
    if value is None:
        return None

    def is_true(scope: Mapping[str, Any]) -> bool:
        found = value(scope)
        if type(found) in _HAS_TRUTH:
            return bool(found)
        raise NotDirect

    return is_true
