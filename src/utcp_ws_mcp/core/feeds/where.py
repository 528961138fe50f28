"""The condition of a reader (`where`), and what to say of it if it was false for all events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from ...manifest.validation import closest_match
from ..expressions.analysis import find_references
from ..expressions.expression import Expression, compile_expression
from ..expressions.paths import UNDEFINED, Path, value_at
from .buffer import Event

MAX_PATHS_SHOWN: Final = 3
"""Members that no event has, in a hint."""
MAX_NAMES_SHOWN: Final = 20
"""Members that the last event has instead."""

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
        self._rejected = 0
        self._found = False
        self._missing: list[Path] = [path[1:] for path in find_references(source) if path[0] == "data" and path[1:]]
        self._last: Any = None

    def accepts(self, event: Event) -> bool:
        """Return whether the reader wants an event.

        Raises:
            EvaluationError: if the condition cannot be evaluated on its data.
        """
        data = json.loads(event.data)
        if self._condition.evaluate({"data": data}):
            self._found = True
            return True
        self._rejected += 1
        if self._missing:  # seldom for more than one event
            self._missing = [path for path in self._missing if value_at(data, path) is UNDEFINED]
            self._last = data
        return False

    def hint(self) -> str:
        """Return what to say if no event was accepted, although there were some; else nothing."""
        if self._found or not self._rejected:
            return ""
        count = "1 event" if self._rejected == 1 else f"{self._rejected:,} events"
        return " ".join((f"where was false for {count}.", *self._missing_members()))

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
    return compile_expression(source, frozenset({"data"}), local=False)


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
