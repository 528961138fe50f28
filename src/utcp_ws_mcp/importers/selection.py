"""Choose the operations that become tools and feeds: by the options, and by default not too many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

from ..records import Record
from .model import ImportOptions, Operation, Status

MAX_DEFAULT_TOOLS: Final = 60
"""Tools above which the default keeps only stable operations that change nothing: more do not help a model."""

ONLY_IF_ASKED: Final = "only if asked for"
"""The reason of operations that no option named."""

Rule = Callable[[Operation], str | None]
"""Returns why an operation is left out, or None."""


class LeftOut(Record):
    """An operation that could be imported, and why it is not."""

    operation: Operation
    reason: str


class Selection(Record):
    """The operations that are imported, and those that are not; `by_default`: also because there are so many."""

    kept: Sequence[Operation]
    left_out: Sequence[LeftOut]
    by_default: bool = False


def select(operations: Sequence[Operation], options: ImportOptions) -> Selection:
    """Return which operations are imported."""
    chosen = _apply(operations, list(_rules_of(options)))
    tools = [each for each in chosen.kept if each.event is None]
    if options.everything or options.include or len(tools) <= MAX_DEFAULT_TOOLS:
        return chosen
    named = frozenset(options.tags)
    reduced = _apply(chosen.kept, [lambda each: None if named & {*each.tags} else _not_by_default(each)])
    if not any(each.event is None for each in reduced.kept):  # nothing reads: then everything that is stable
        reduced = _apply(chosen.kept, [_unstable])
    return Selection(reduced.kept, [*chosen.left_out, *reduced.left_out], by_default=True)


def _apply(operations: Sequence[Operation], rules: Sequence[Rule]) -> Selection:
    kept: list[Operation] = []
    left_out: list[LeftOut] = []
    for operation in operations:
        reason = next((reason for rule in rules if (reason := rule(operation))), None)
        if reason is None:
            kept.append(operation)
        else:
            left_out.append(LeftOut(operation, reason))
    return Selection(kept, left_out)


def _rules_of(options: ImportOptions) -> Iterator[Rule]:
    """Yield a rule for each option that leaves something out."""
    if options.events == "none":
        yield lambda each: "events" if each.event or each.feed else None
    if not (options.everything or options.include or options.tags):
        yield lambda each: ONLY_IF_ASKED if each.only_if_asked else None
    if options.exclude:
        yield lambda each: "excluded" if _matches(each, options.exclude) else None
    if options.include:
        yield lambda each: None if _matches(each, options.include) else "not included"
    if options.tags:
        yield lambda each: None if {*each.tags} & {*options.tags} else "without the tag"
    if options.read_only:
        yield lambda each: None if each.read_only else "may change something"


def _matches(operation: Operation, patterns: Sequence[str]) -> bool:
    names = {operation.name, *operation.names}
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _unstable(operation: Operation) -> str | None:
    return None if operation.status is Status.STABLE else operation.status.value


def _not_by_default(operation: Operation) -> str | None:
    return _unstable(operation) or (None if operation.read_only else "may change something")
