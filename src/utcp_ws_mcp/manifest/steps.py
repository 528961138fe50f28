"""Long work in steps, so that the caller can serve others in between, or stop."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, bool, T]
"""Work in steps that returns a T. A step that is sent True is the last one: the work took too long already."""


def complete(steps: Steps[T]) -> T:
    """Return the result of work in steps, at once."""
    try:
        next(steps)
        while True:
            steps.send(False)
    except StopIteration as done:
        result: T = done.value
        return result
