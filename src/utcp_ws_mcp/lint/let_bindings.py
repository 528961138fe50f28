"""Values of `let`: computed and never used, used and never computed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from ..errors import Problem
from ..manifest.loader import Entry, ToolEntry
from ..manifest.models.call_template import CallTemplate
from ..manifest.validation import join, nearest

_USED = re.compile(r"(?<![\w.])let\.([A-Za-z_]\w*)")


def doubtful_lets(entry: Entry) -> Iterator[Problem]:
    """A problem for each value that is computed for nothing, or not computed at all."""
    used = {name for tool in entry.tools for name in _names(tool.template)}
    for tool in entry.tools:
        for name in sorted(_names(tool.template) - tool.template.let.keys()):
            near = nearest(name, tool.template.let)
            hint = f"is {near!r} meant?" if near else 'add it to "let"'
            yield Problem(join(tool.path, "name"), f"nothing computes let.{name}, which is used here; {hint}")
    if not entry.discovers:
        yield from (
            Problem(path, f"nothing uses let.{name}; take it out") for path, name in _written(entry) if name not in used
        )


def _names(template: CallTemplate) -> set[str]:
    return set(_USED.findall(json.dumps(template.model_dump(mode="json"))))


def _written(entry: Entry) -> Iterator[tuple[str, str]]:
    """Where each value of the entry and of its tools stands, and its name."""
    yield from ((join(entry.path, f"let.{name}"), name) for name in entry.raw.get("let") or () if entry.tools)
    for tool in entry.tools:
        yield from ((join(tool.path, f"tool_call_template.let.{name}"), name) for name in _own(tool))


def _own(tool: ToolEntry) -> dict[str, str]:
    own = (tool.tool.tool_call_template or {}).get("let")
    return own if isinstance(own, dict) else {}
