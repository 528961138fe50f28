"""The condition of a reader (`where`), and what to say of it if it was false for all events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from ...errors import InvalidTemplate
from ...manifest.validation import closest_match
from ..expressions.expression import EvaluationError, Expression, compile_expression
from ..expressions.paths import UNDEFINED, Path, node_path, value_at
from ..expressions.syntax import parse_expression
from .buffer import Event

MAX_PATHS_SHOWN: Final = 3
"""Members that no event has, in a hint."""
MAX_NAMES_SHOWN: Final = 20
"""Members that the last event has instead."""

_ALLOWED: Final = (
    "where can only look up and compare values, without filters and functions, such as "
    "data.price > 10, data.kind in ['a', 'b'] or 'word' in data.text."
)
_TRUE_WITHOUT_VALUE: Final = frozenset({("compare", "!="), ("test", "undefined")})
_NAME: Final = re.compile(r"[A-Za-z_]\w{0,39}\Z", re.ASCII)


class Search:
    """One reader's search for events whose data fulfil a condition.

    Args:
        source: The condition, an expression on `data`.

    Raises:
        InvalidTemplate: if it is no expression, or more than a stranger may write.
    """

    def __init__(self, source: str) -> None:
        self._condition = _compile(source)
        self._rejected = self._failed = 0
        self._failure = ""
        self._found = False
        self._missing = _needed_members(source)
        self._last: Any = None

    def accepts(self, event: Event) -> bool:
        """Return whether the reader wants an event; one on which the condition cannot be evaluated is left out.

        As an error it would end each read at this cursor.
        """
        data = json.loads(event.data)
        try:
            if self._condition.evaluate({"data": data}):
                self._found = True
                return True
        except EvaluationError as error:
            self._failed += 1
            self._failure = str(error)
            return False
        self._rejected += 1
        if self._missing:  # seldom for more than one event
            self._missing = [path for path in self._missing if value_at(data, path) is UNDEFINED]
            self._last = data
        return False

    def hint(self) -> str:
        """Return what is wrong: no event was accepted, although there were some, or the condition failed on some."""
        return " ".join(self._problems())

    def _problems(self) -> Iterable[str]:
        if self._failed:
            verb = "was" if self._failed == 1 else "were"
            yield f"{_count(self._failed)} {verb} left out, because where cannot be evaluated there: {self._failure}"
        if self._rejected and not self._found:
            yield f"where was false for {_count(self._rejected)}."
            yield from self._missing_members()

    def _missing_members(self) -> Iterable[str]:
        """Yield a sentence for each member that the condition reads and that no event had."""
        for path in self._missing[:MAX_PATHS_SHOWN]:
            depth = next(n for n in range(len(path)) if value_at(self._last, path[: n + 1]) is UNDEFINED)
            owner, step = path[:depth], path[depth]
            held = _describe(value_at(self._last, owner), step)
            yield f"None of them has {_written(path)}; in the last one, {_written(owner)} {held}"


@lru_cache(maxsize=64)
def _compile(source: str) -> Expression:
    # The model wrote it: it may look up and compare, as a manual from the network may.
    try:
        return compile_expression(source, frozenset({"data"}), local=False)
    except InvalidTemplate as error:
        if error.code == "expression-not-allowed":
            message = f"the expression {source!r} is not allowed: {_ALLOWED}"
        elif error.code == "invalid-expression":
            message = f"{error.message} {_ALLOWED}"
        else:
            raise
        raise InvalidTemplate(message, code=error.code) from None


def _needed_members(source: str) -> list[Path]:
    """Return the members without which a condition may be false; `not data.error` is true without one."""
    found: list[Path] = []
    waiting = [(parse_expression(source), True)]
    while waiting:
        node, is_needed = waiting.pop()
        path = node_path(node)
        if path is None:
            negates = node.kind == "not" or (node.kind, node.name) in _TRUE_WITHOUT_VALUE
            waiting += [(part, is_needed != negates) for part in reversed(node.parts)]
        elif is_needed and path[0] == "data" and path[1:]:
            found.append(path[1:])
    return list(dict.fromkeys(found))


def _count(events: int) -> str:
    return "1 event" if events == 1 else f"{events:,} events"


def _describe(value: Any, step: str | int) -> str:
    """Return what a value is that does not have a member; of keys, only names, which are safe to show."""
    if not isinstance(value, dict):
        kind = "a list" if isinstance(value, list) else "a text" if isinstance(value, str) else "no object"
        return f"is {kind}."
    names = [name for name in islice(value, 10 * MAX_NAMES_SHOWN) if _NAME.match(name)]
    nearest = closest_match(step, names) if isinstance(step, str) else None
    shown = [*([] if nearest is None else [nearest]), *(name for name in names if name != nearest)][:MAX_NAMES_SHOWN]
    others = len(value) - len(shown)
    more = f" and {others} more" if others and shown else ""
    return f"has {', '.join(shown) or 'no such name'}{more}."


def _written(path: Path) -> str:
    """Return a path as it is written in the condition."""
    steps = (f".{step}" if isinstance(step, str) and _NAME.match(step) else f"[{step!r}]" for step in path)
    return f"data{''.join(steps)}"
