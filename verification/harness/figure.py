"""A measured figure and its target."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A result and its target. `number` is the row of the table (T1, S4); `met` is the verdict."""

    number: str
    what: str
    result: str
    target: str
    met: bool

    def __str__(self) -> str:
        return (
            f"{self.number:4} {'met' if self.met else 'NOT MET':8} {self.what}: {self.result} (target: {self.target})"
        )
