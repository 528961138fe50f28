"""Find a value that a request sends in slices of fixed bounds or by its elements, and refuse one that is longer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ...records import Record
from ..expressions.analysis import find_expressions
from ..expressions.expression import EvaluationError, Expression, compile_expression
from .nodes import Node, RenderError

_SLICE: Final = re.compile(
    r"(?P<base>[^\[\]]+?)\s*(?:\[\s*(?P<start>\d*)\s*:\s*(?P<stop>\d*)\s*\]|\|\s*part\(\s*(?P<first>\d+)\s*(?:,\s*(?P<last>\d+)\s*)?\))"
)

_ELEMENT: Final = re.compile(r"(?P<base>(?:args|let)(?:\.\w+)+)\[(?P<index>\d{1,6})\](?!\s*\()")

_Slice = tuple[int, int | None]
"""Where a slice starts and stops; None for the end of the value."""


class SlicedValue(Record):
    """A value of which slices that follow one another are sent: from the beginning to `end`."""

    value: Expression
    end: int


class CompleteSlices(Record):
    """The first message of a request whose slices must hold the whole of some values."""

    message: Node
    sliced: Sequence[SlicedValue]

    def render(self, scope: Mapping[str, Any]) -> Any:
        """Return the message.

        Raises:
            RenderError: if a value is longer than its slices: the rest would be lost.
        """
        for each in self.sliced:
            try:
                value = each.value.evaluate(scope)
            except EvaluationError:
                continue  # the message itself reports it
            if isinstance(value, str | bytes | list) and len(value) > each.end:
                raise RenderError(
                    f"{each.value.source} has the length {len(value):,}, and the messages send only the first "
                    f'{each.end:,} of it. Pass less, or send it with "$each" and the filter pieces.',
                    code="argument-cut",
                )
        return self.message.render(scope)


def find_sliced_values(messages: Iterable[Any], names: frozenset[str], *, local: bool) -> list[SlicedValue]:
    """Return the values of which the messages of a request send a fixed part that is meant to be all.

    That are at least two slices that follow one another from the beginning, without a last open one; or the elements
    0, 1, 2 … in different messages.

    Args:
        messages: The templates of the messages.
        names: The names that their expressions may use.
        local: Whether the manifest wrote them.
    """
    slices: dict[str, set[_Slice]] = {}
    elements: dict[str, dict[int, int]] = {}
    for number, message in enumerate(messages):
        for source in find_expressions(message, frozenset(), in_template=True):
            if match := _SLICE.match(source.strip()):
                start, stop = match["first"] or match["start"] or "0", match["last"] or match["stop"]
                slices.setdefault(match["base"].strip(), set()).add((int(start), int(stop) if stop else None))
            elif match := _ELEMENT.match(source.strip()):
                elements.setdefault(match["base"], {})[int(match["index"])] = number
    for base, places in elements.items():
        if len(set(places.values())) > 1:
            slices.setdefault(base, set()).update((index, index + 1) for index in places)
    ends = ((base, _end(sorted(found, key=lambda each: each[0]))) for base, found in slices.items())
    return [SlicedValue(compile_expression(base, names, local=local), end) for base, end in ends if end is not None]


def _end(slices: Sequence[_Slice]) -> int | None:
    """Return where slices end that follow one another from the beginning, or None if they do not."""
    position = 0
    for start, stop in slices:
        if start != position or stop is None:
            return None
        position = stop
    return position if len(slices) > 1 else None
