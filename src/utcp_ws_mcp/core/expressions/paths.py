"""Paths (`message.result.items[0]`): the parts of expressions that are only looked up."""

from __future__ import annotations

import re
from typing import Any, Final

from .syntax import Node

STRING_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_STEPS = r"""(?:\.[A-Za-z_]\w*+|\.\d++|\[-?\d++\]|\['[^'\\]*+'\]|\["[^"\\]*+"\])"""
_PATH = re.compile(rf"[A-Za-z_]\w*+{_STEPS}*+\Z")
_STEP = re.compile(r"""\.?([A-Za-z_]\w*|\d+)|\[(-?\d+)\]|\['([^'\\]*)'\]|\["([^"\\]*)"\]""")
_RESERVED_WORDS = frozenset({"true", "false", "none", "True", "False", "None", "not"})


class _Undefined:
    """The value of a name that is not there."""

    def __repr__(self) -> str:
        return "undefined"

    def __bool__(self) -> bool:
        return False


UNDEFINED: Final = _Undefined()


class NotDirect(Exception):
    """Values of other types than are handled without MiniJinja (`direct`)."""


Path = tuple[str | int, ...]


def parse_path(source: str) -> Path | None:
    """Return the steps of an expression that is only a path (`message.result.items[0]`), else None."""
    if not _PATH.match(source) or source in _RESERVED_WORDS:
        return None
    steps: list[str | int] = []
    for name, index, single, double in _STEP.findall(source):
        steps.append(int(index) if index else int(name) if name.isdigit() else name or single or double)
    return tuple(steps)


def value_at(value: Any, path: Path) -> Any:
    """Return the value at the steps of a path from a value, or UNDEFINED."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return UNDEFINED
    return value


def node_path(node: Node) -> Path | None:
    """Return the steps of a part that is only a path, else None."""
    steps: list[str | int] = []
    while node.kind in ("member", "item"):
        step: str | int = int(node.name) if node.name.isdigit() else node.name
        if node.kind == "item":
            index = node.parts[1]
            if type(index.value) not in (str, int):  # None where it is no literal
                return None
            step = index.value
        steps.append(step)
        node = node.parts[0]
    return (node.name, *reversed(steps)) if node.kind == "name" else None


def find_paths(tree: Node) -> list[tuple[Path, Node]]:
    """Return the longest paths in an expression, each with its part, in the order of the source."""
    found: list[tuple[Path, Node]] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if (path := node_path(node)) is not None:
            found.append((path, node))
        else:
            waiting.extend(reversed(node.parts))
    return found
