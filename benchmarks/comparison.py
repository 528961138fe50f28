"""Comparisons of the rounds of several contenders: ratios of their medians, targets and verdicts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from verification.harness.figure import Figure

UNITS: Mapping[str, tuple[float, str]] = {
    "ms": (1e3, ".1f"),
    "µs": (1e6, ".0f"),
    "/s": (1, ",.0f"),
    "MiB": (1 / (1 << 20), ".1f"),
    "×": (1, ".2f"),
}
"""The factor and the format of each unit."""


@dataclass(frozen=True, slots=True)
class Target:
    """The bound of a ratio; with `absolute` of the value of the subject itself, in the unit of the comparison."""

    limit: float
    at_least: bool = False
    absolute: bool = False

    def is_met(self, value: float) -> bool:
        """Return the verdict."""
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True, slots=True)
class Comparison:
    """The measurements of each contender, one value for each round; in every round, all contenders take turns.

    The `subject` is divided by each of the others. `cpu` has the CPU seconds of the server for the same work, if that
    is meaningful. `targets` and `notes` are by contender: the bound of the ratio, and a remark, such as why it has no
    rounds.
    """

    what: str
    unit: str
    subject: str
    rounds: Mapping[str, Sequence[float]]
    cpu: Mapping[str, Sequence[float]] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)

    def figures(self, number: str) -> Iterator[Figure]:
        """Yield the targets with their verdicts."""
        for name, target in self.targets.items():
            relation = "≥" if target.at_least else "≤"
            if target.absolute:
                value, result = self._median_text(self.subject)
                limit, what = f"{relation} {self._format(target.limit)} {self.unit}", self.what
            else:
                value, result = self._ratio(name, self.rounds)
                limit, what = f"{relation} {target.limit:g} ×", f"{self.what}: {self.subject} ÷ {name}"
            yield Figure(number, what, result, limit, target.is_met(value))

    def __str__(self) -> str:
        verdicts = dict(zip(self.targets, self.figures(""), strict=True))
        count = len(next(iter(self.rounds.values())))
        head = ["", "median (quartiles)", f"{self.subject} ÷ it", "÷ it, CPU of the server", "target", "verdict"]
        lines = [f"**{self.what}**, {count} rounds", "", f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
        names = (*self.rounds, *(self.notes.keys() - self.rounds.keys()))
        rows = ([self._name_with_note(name), *self._cells(name), *_verdict(verdicts.get(name))] for name in names)
        return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])

    def _cells(self, name: str) -> tuple[str, str, str]:
        if not self.rounds.get(name):
            return "—", "—", "—"
        if name == self.subject:
            return self._median_text(name)[1], "", ""
        return self._median_text(name)[1], self._ratio(name, self.rounds)[1], self._ratio(name, self.cpu)[1]

    def _name_with_note(self, name: str) -> str:
        return f"{name} ({self.notes[name]})" if name in self.notes else name

    def _ratio(self, name: str, rounds: Mapping[str, Sequence[float]]) -> tuple[float, str]:
        """Return the ratio of the medians, and it as text with the quartiles of the ratios of the rounds."""
        mine, theirs = rounds.get(self.subject), rounds.get(name)
        if not mine or not theirs:
            return math.nan, ""
        if not statistics.median(theirs):
            return math.inf, "—"
        low, high = quartiles([one / other for one, other in zip(mine, theirs, strict=True) if other])
        ratio = statistics.median(mine) / statistics.median(theirs)
        return ratio, f"{ratio:.2f} × ({low:.2f} – {high:.2f})"

    def _median_text(self, name: str) -> tuple[float, str]:
        middle = statistics.median(self.rounds[name])
        low, high = quartiles(self.rounds[name])
        return middle, f"{self._format(middle)} {self.unit} ({self._format(low)} – {self._format(high)})"

    def _format(self, value: float) -> str:
        factor, form = UNITS[self.unit]
        return format(value * factor, form)


def _verdict(figure: Figure | None) -> tuple[str, str]:
    if figure is None:
        return "", ""
    return figure.target, "met" if figure.met else "NOT MET"


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the lower and the upper quartile."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high
