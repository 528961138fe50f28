r"""Rewrite what MiniJinja evaluates, where it would give something else than is meant, or something without bound.

| written | evaluated | because |
| --- | --- | --- |
| `message.update` | a name for the path | an object has Python's methods, also where it has no such member |
| `x[1:3]` | `x \| _slice(1, 3, none)` | a slice of bytes would be a list of numbers |
| `a * b` | `a \| _factor * b` | no fuel counts how long a list becomes |
| `x.replace(a, b)`, `x.join(y)` | `x \| _replace(a, b)`, `x \| _join(y)` | nor how long a text becomes |
| `x.format(y)` | `x \| _format_text` first | the width of a field is any number |
| `a ~ b ~ …` of many parts | `a \| _at_most(n) ~ …` | the same text may be joined again and again |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ..limits import MAX_VALUE_LENGTH
from .paths import Path, find_paths
from .syntax import Node

MAX_FREE_JOINS: Final = 8
"""Operators `~` and `+` of an expression whose operands may be as long as any value."""

_METHOD_NAMES: Final = frozenset(name for kind in (dict, list, bytes) for name in dir(kind))
"""What MiniJinja finds in every object, array or bytes, also where the message has no such member."""

_BOUNDED_METHODS: Final = {"replace": "_replace", "join": "_join"}


@dataclass(slots=True)
class _Edits:
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


def rewrite(source: str, tree: Node) -> tuple[str, dict[str, Path]]:
    """Return what to evaluate instead of an expression, and the path that each new name in it stands for."""
    edits, nodes = _Edits(), list(tree.walk())
    aliases: dict[str, Path] = {}
    joins = sum(node.kind == "operator" and node.name in ("~", "+") for node in nodes)
    for node in nodes:
        if node.kind == "slice":
            _rewrite_slice(node, edits)
        elif node.kind == "method" and node.name in _BOUNDED_METHODS:
            base = node.parts[0]
            edits.around(node, "(", ")")
            edits.instead(base.end, source.index("(", base.end), f" | {_BOUNDED_METHODS[node.name]}")
        elif node.kind == "method" and node.name == "format":
            edits.around(node.parts[0], "((", ") | _format_text)")
        elif node.kind == "operator" and (node.name == "*" or (joins > MAX_FREE_JOINS and node.name in ("~", "+"))):
            guard = "_factor" if node.name == "*" else f"_at_most({MAX_VALUE_LENGTH // joins})"
            for operand in node.parts:
                if operand.kind != "literal" and not (operand.kind == "operator" and operand.name == node.name):
                    edits.around(operand, "((", f") | {guard})")
    for path, node in find_paths(tree):
        if not _METHOD_NAMES.isdisjoint(path[1:]):
            alias = f"path_{len(aliases)}"
            aliases[alias] = path
            edits.instead(node.start, node.end, alias)
    return edits.apply(source), aliases


def _rewrite_slice(node: Node, edits: _Edits) -> None:
    base, first, stop, step = node.parts
    edits.around(node, "((", ")")
    bounds = (base.end, first), (first.end, stop), (stop.end, step)
    for (start, bound), text in zip(bounds, (") | _slice(", ", ", ", "), strict=True):
        edits.instead(start, bound.start, text + ("none" if bound.start == bound.end else ""))
    edits.instead(step.end, node.end, ")")
