r"""Rewrite what MiniJinja evaluates, where it would give something else than is meant, or something without bound.

| written | evaluated | because |
| --- | --- | --- |
| `message.update` | a name for the path | an object has Python's methods, also where it has no such member |
| `x[1:3]` | `x \| _slice(1, 3, none)` | a slice of bytes would be a list of numbers |
| `a * b` | `a \| _factor * b` | no fuel counts how long a list becomes |
| `x.replace(a, b)`, `x.join(y)` | `x \| _replace(a, b)`, `x \| _join(y)` | nor how long a text becomes |
| `x.split(a)`, `x.splitlines()` | `x \| _split(a)`, `x \| _splitlines` | nor how many pieces it has |
| `x \| list`, `x \| zip(y)`, … | `x \| _listed \| list`, `x \| _paired \| zip(y \| _paired)` | nor how many items |
| `x \| sort(attribute='a')`, … | `x \| _comparable('a') \| sort(…)` | nor how long objects and lists are compared |
| `[a, b, …] ~ x` of many parts | `[a, b, …] \| _measured ~ x` | a list that holds a value often is written as often |
| `x.format(y)` | `x \| _format_text` first | the width of a field is any number |
| `a ~ b ~ …` of many parts | `a \| _at_most(n) ~ …` | the same text may be joined again and again |
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from typing import Final

from ...records import MutableRecord, field
from ..limits import MAX_VALUE_LENGTH
from .paths import Path, find_paths
from .syntax import Node

MAX_FREE_JOINS: Final = 8
"""Operators `~` and `+` of an expression whose operands may be as long as any value."""

_JOINING: Final = ("~", "+")

_METHOD_NAMES: Final = frozenset(name for kind in (dict, list, bytes) for name in dir(kind))
"""What MiniJinja finds in every object, array or bytes, also where the message has no such member."""

_BOUNDED_METHODS: Final = {"replace": "_replace", "join": "_join", "split": "_split", "splitlines": "_splitlines"}

_GUARDS: Final = {
    **dict.fromkeys(("list", "sort", "unique", "max", "min", "map", "select", "selectattr", "reject"), "_listed"),
    **dict.fromkeys(("rejectattr", "chain", "slice", "batch", "join"), "_listed"),
    **dict.fromkeys(("zip", "items", "dictsort", "groupby"), "_paired"),
}
"""What checks the operand of a filter that goes through the characters of a text, or makes a list of each item."""

_COMPARES: Final = frozenset({"sort", "unique", "max", "min", "groupby"})
_ATTRIBUTE: Final = re.compile(r"[\w.-]+")
_SEVERAL_OPERANDS: Final = frozenset({"zip", "chain"})
_GIVES_LIST: Final = frozenset(_GUARDS) - {"max", "min", "join"} | {"split", "lines"}
_HOLDING: Final = frozenset({("operator", "+"), ("filter", "chain"), ("filter", "zip"), ("filter", "groupby")})
MAX_HELD_PARTS: Final = 4
"""Parts that a value may hold without its size being checked: each is at most as large as a message."""

_MAY_BE_LARGER: Final = frozenset({"let", "session"})
"""Names whose values may be larger than a message."""


class _Edits(MutableRecord):
    """Texts around parts of the source, and instead of them. Where several begin, the outer one comes first."""

    opened: dict[int, list[str]] = field(default_factory=dict)
    closed: dict[int, list[str]] = field(default_factory=dict)
    replaced: dict[int, list[tuple[int, str]]] = field(default_factory=dict)

    def around(self, node: Node, before: str, after: str) -> None:
        self.opened.setdefault(node.start, []).append(before)
        self.closed.setdefault(node.end, []).insert(0, after)

    def instead(self, start: int, end: int, text: str) -> None:
        self.replaced.setdefault(start, []).append((end, text))

    def apply(self, source: str) -> str:
        """Return the source with all edits."""
        out, position = list[str](), 0
        for place in sorted({*self.opened, *self.closed, *self.replaced}):
            if place >= position:  # else it is inside of what was replaced
                out += [source[position:place], *self.closed.get(place, []), *self.opened.get(place, [])]
                position = place
                for position, text in self.replaced.get(place, []):  # noqa: B007  # the last one counts
                    out.append(text)
        return "".join(out) + source[position:]


def may_grow(tree: Node) -> bool:
    """Return whether an expression may hold its operands so often that its size must be checked."""
    nodes = tree.walk()
    held = sum(map(_held_parts, nodes))
    return held > MAX_HELD_PARTS or (held > 1 and any(node.name in _MAY_BE_LARGER for node in nodes))


def _held_parts(node: Node) -> int:
    """Return how many values a part of an expression holds that may be large."""
    if node.kind in ("list", "object"):
        return sum(part.kind != "literal" for part in node.parts)
    return int((node.kind, node.name) in _HOLDING)


def _find_holding(tree: Node) -> Iterator[Node]:
    """Yield the outermost parts of an expression that hold values, less the expression itself."""
    waiting = list(tree.parts)
    while waiting:
        node = waiting.pop()
        if _held_parts(node):
            yield node
        else:
            waiting.extend(node.parts)


def rewrite(source: str, tree: Node, *, measured: bool) -> tuple[str, dict[str, Path]]:
    """Return what to evaluate instead of an expression, and the path that each new name in it stands for.

    Args:
        source: The expression.
        tree: Its parts.
        measured: Whether it may grow (`may_grow`), so that what holds values is measured.
    """
    edits, nodes = _Edits(), tree.walk()
    aliases: dict[str, Path] = {}
    for node in _find_holding(tree) if measured else ():
        edits.around(node, "((", ") | _measured)")
    joins = sum(node.name in _JOINING for node in nodes)
    for node in nodes:
        if node.kind == "slice":
            _rewrite_slice(source, node, edits)
        elif node.kind == "method":
            _rewrite_method(source, node, edits)
        elif node.kind == "filter":
            _rewrite_filter(node, edits)
        elif node.kind == "operator":
            _rewrite_operator(node, joins, edits)
    for path, node in find_paths(tree):
        if not _METHOD_NAMES.isdisjoint(path[1:]):
            alias = f"path_{len(aliases)}"
            aliases[alias] = path
            edits.instead(node.start, node.end, alias)
    return edits.apply(source), aliases


def _rewrite_method(source: str, node: Node, edits: _Edits) -> None:
    base = node.parts[0]
    if node.name in _BOUNDED_METHODS:
        edits.around(node, "(", ")")
        edits.instead(base.end, source.index("(", base.end), f" | {_BOUNDED_METHODS[node.name]}")
    elif node.name == "format":
        edits.around(base, "((", ") | _format_text)")


def _rewrite_filter(node: Node, edits: _Edits) -> None:
    if node.name not in _GUARDS:
        return
    for operand in node.parts if node.name in _SEVERAL_OPERANDS else node.parts[:1]:
        if guard := _find_guard(node, operand):
            edits.around(operand, "((", f") | {guard})")


def _rewrite_operator(node: Node, joins: int, edits: _Edits) -> None:
    if node.name != "*" and (joins <= MAX_FREE_JOINS or node.name not in _JOINING):
        return
    guard = "_factor" if node.name == "*" else f"_at_most({MAX_VALUE_LENGTH // joins})"
    for operand in node.parts:
        if operand.kind != "literal" and operand.name != node.name:
            edits.around(operand, "((", f") | {guard})")


def _find_guard(node: Node, operand: Node) -> str:
    """Return the filters that check an operand of a filter; none where it is no text."""
    is_list = operand.kind == "literal" or (operand.kind == "filter" and operand.name in _GIVES_LIST)
    guards = [] if is_list and _GUARDS[node.name] == "_listed" else [_GUARDS[node.name]]
    named = node.parts[1:2] if node.name == "map" else ()
    if _may_name(named, _GUARDS):
        guards.append("map('_paired')")  # map('list') does the same with each item
    if _may_name(named, _COMPARES):
        guards.append("_comparable_items")
    if node.name in _COMPARES:
        guards.append(f"_comparable({_find_attribute(node)!r})")
    return " | ".join(guards)


def _may_name(named: Sequence[Node], filters: Container[object]) -> bool:
    """Return whether the argument of `map` may name one of these filters."""
    return any(each.value in filters if each.kind == "literal" else each.kind != "keyword" for each in named)


def _find_attribute(node: Node) -> str:
    """Return the attribute that a filter compares; empty where it compares the items, or the attribute is computed."""
    named = [each.parts[0] for each in node.parts if each.kind == "keyword" and each.name == "attribute"]
    if not named and node.name == "groupby":
        named += node.parts[1:2]
    value = named[0].value if named else ""
    return value if isinstance(value, str) and _ATTRIBUTE.fullmatch(value) else ""


def _rewrite_slice(source: str, node: Node, edits: _Edits) -> None:
    base, first, stop, step = node.parts
    edits.around(node, "((", ")")
    bounds = (base.end, first), (first.end, stop), (stop.end, step)
    for (start, bound), text in zip(bounds, (") | _slice(", ", ", ", "), strict=True):
        edits.instead(start, bound.start, text + ("none" if bound.start == bound.end else ""))
    edits.instead(step.end, source.index("]", step.end) + 1, ")")  # the slice may stand in parentheses
