"""Say what was imported, what was assumed, and what was left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from ..records import Record
from .model import TITLES, Description
from .selection import ONLY_IF_ASKED, Selection

MAX_NAMES: Final = 12
"""Names that are listed for one reason."""


def report_lines(description: Description, selection: Selection) -> list[str]:
    """Return the report: one line for each subject, the figures first."""
    return [
        _figures(description, selection),
        *description.notes,
        *_left_out(selection),
        *_skipped(description),
        *(f"Set {name}: {what}" for name, what in description.variables.items()),
    ]


class Figures(Record):
    """How many operations of the document were imported, left out for each reason, and skipped.

    An operation with several messages counts once, as imported if one of them is.
    """

    imported: int
    left_out: Counter[str]
    skipped: int

    @property
    def total(self) -> int:
        """Return the number of operations in the document."""
        return self.imported + self.left_out.total() + self.skipped


def count(description: Description, selection: Selection) -> Figures:
    """Return the figures of an import."""
    imported = {name for each in selection.kept for name in each.names}
    reasons: dict[str, str] = {}
    for left in selection.left_out:
        reasons |= {name: left.reason for name in left.operation.names if name not in imported}
    skipped = {each.name for each in description.skipped} - imported - reasons.keys()
    return Figures(len(imported), Counter(reasons.values()), len(skipped))


def _figures(description: Description, selection: Selection) -> str:
    version = f" {description.version}" if description.version else ""
    figures = count(description, selection)
    counts = [f"{figures.imported} imported"]
    if figures.left_out:
        counts.append(f"{figures.left_out.total()} left out ({_count(figures.left_out)})")
    if figures.skipped:
        counts.append(f"{figures.skipped} skipped")
    what = f"{figures.total} operation{'s' * (figures.total != 1)}"
    return f"{description.title} ({TITLES[description.format]}{version}), {what}: {', '.join(counts)}."


def _count(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())


def _left_out(selection: Selection) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for each in selection.left_out:
        reasons.setdefault(each.reason, []).append(each.operation.name)
    for reason, names in reasons.items():
        yield f"Left out ({reason}): {_names(names)}."
    if selection.by_default:
        yield (
            "There are many operations: --include GLOB or --tag NAME chooses some, --all takes them all, and "
            "`serve --meta-tools` offers any number of tools for the context of three."
        )
    elif ONLY_IF_ASKED in reasons:
        yield "--all imports those as well; --include GLOB or --tag NAME imports only what it names."


def _skipped(description: Description) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for each in description.skipped:
        reasons.setdefault(each.reason, []).append(each.name)
    for reason, names in reasons.items():
        yield f"Skipped {_names(names)}: {reason}."


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"{', '.join(names[:MAX_NAMES])}{more}"
