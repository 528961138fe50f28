"""Measure a manual from the network before it is read: what its tools may cost together, and whether it is known.

The bounds of a tool do not bound a manual, because it has many tools. Each tool is measured in a step of its own, so
that the caller can serve others in between.
"""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import Any, ClassVar, Final

from ..core.expressions.analysis import find_expressions
from ..core.limits import MAX_DOCUMENT_DEPTH, is_deeper
from ..core.value_size import is_too_large
from ..errors import Problem
from ..records import Record
from .entries import ManifestEntry
from .models.base import Json
from .pinning import canonical_json
from .sanitize import regex_patterns, walk
from .steps import Steps
from .variables import MESSAGE_KEYS

MAX_TOOL_BYTES: Final = 256 << 10
MAX_TOOL_VALUES: Final = 5_000
MAX_TOOL_EXPRESSIONS: Final = 10_000
"""Characters of the expressions of a tool, and EXPRESSION_COST for each of them."""

EXPRESSION_COST: Final = 40
"""Characters of an expression that take as long to compile as the smallest expression."""

BUDGETED_TOOLS: Final = 128
"""Tools of a manual that its budget is made for, unless `max_tools` allows more."""

MANUAL_BUDGET: Final = {"bytes": 32 << 10, "values": 400, "patterns": 8, "characters of expressions": 1_000}
"""What a manual may have for each of its budgeted tools, on the average."""

OVERTIME_REASON: Final = "it takes too long to read"


class ToolOutline(Record):
    """A tool as it arrived, its digest, and why it cannot be read."""

    not_in_repr: ClassVar = ("raw",)
    raw: Json
    digest: str
    problem: Problem | None = None


class ManualOutline(Record):
    """The tools of a manual that may be read, warnings about the others, and a digest of all of it."""

    tools: tuple[ToolOutline, ...]
    warnings: tuple[str, ...]
    digest: str = ""


def outline_manual(document: Json, entry: ManifestEntry) -> Steps[ManualOutline]:
    """Return the outline of a manual, of any shape, that an entry requested. It yields after each tool."""
    listed = document.get("tools") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        problem = Problem(entry.name, 'the announced manual has no list of "tools".', code="remote-manual-invalid")
        return ManualOutline((), (str(problem),))
    limit = entry.options.max_tools
    warnings: list[str] = []
    if len(listed) > limit:
        message = f'the manual has {len(listed)} tools; only the first {limit} are offered. Raise "max_tools" for more.'
        warnings.append(str(Problem(entry.name, message, code="too-many-tools")))
    budget = {kind: amount * max(limit, BUDGETED_TOOLS) for kind, amount in MANUAL_BUDGET.items()}
    tools: list[ToolOutline] = []
    for raw in listed[:limit]:
        tool, cost = _outline_tool(raw)
        if exceeded := next((kind for kind, amount in cost.items() if amount > budget[kind]), None):
            warnings.append(too_large_warning(entry, f"it has too many {exceeded}", len(tools)))
            break
        budget = {kind: amount - cost.get(kind, 0) for kind, amount in budget.items()}
        tools.append(tool)
        if (yield):
            warnings.append(too_large_warning(entry, OVERTIME_REASON, len(tools)))
            break
    digest = hashlib.sha256("\n".join([*warnings, *(tool.digest for tool in tools)]).encode()).hexdigest()
    return ManualOutline(tuple(tools), tuple(warnings), digest)


def too_large_warning(entry: ManifestEntry, reason: str, count: int) -> str:
    """Return the warning that only the first tools of a manual are offered."""
    message = f"the manual is too large: {reason}. Only the first {count} of its tools are offered."
    return str(Problem(entry.name, message, code="manual-too-large"))


def _outline_tool(raw: Json) -> tuple[ToolOutline, dict[str, int]]:
    """Return the outline of a tool, and what it takes of the budget."""
    problem: str | None = None
    if not isinstance(raw, dict):
        problem = "expected a tool (an object)."
    elif is_too_large(raw, MAX_TOOL_BYTES):
        problem = f"the tool has more than {MAX_TOOL_BYTES >> 10} KiB."
    elif is_deeper(raw, MAX_DOCUMENT_DEPTH):
        problem = f"the tool is nested more than {MAX_DOCUMENT_DEPTH} levels deep."
    if problem is not None:
        unread = Problem("", problem, code="remote-tool-invalid")
        return ToolOutline(None, problem, unread), {"bytes": MAX_TOOL_BYTES if isinstance(raw, dict) else 0}
    text = canonical_json(raw)
    digest = hashlib.sha256(text.encode()).hexdigest()
    values, patterns = 0, 0
    for _, key, value in islice(walk(raw), MAX_TOOL_VALUES + 1):
        values += 1
        patterns += len(regex_patterns(key, value))
    expressions = _expression_cost(raw) if values <= MAX_TOOL_VALUES else 0
    cost = dict(zip(MANUAL_BUDGET, (len(text), values, patterns, expressions), strict=True))
    if expressions > MAX_TOOL_EXPRESSIONS or values > MAX_TOOL_VALUES:
        problem = f"the tool has more than {MAX_TOOL_VALUES:,} values, or too many or too long expressions."
        return ToolOutline(None, digest, Problem("", problem, code="remote-tool-invalid")), cost
    return ToolOutline(raw, digest), cost


def _expression_cost(raw: Json) -> int:
    template: Any = raw.get("tool_call_template")
    if not isinstance(template, dict):
        return 0
    return sum(len(source) + EXPRESSION_COST for source in find_expressions(template, MESSAGE_KEYS))
