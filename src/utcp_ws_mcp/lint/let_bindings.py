"""Values of `let`: computed and never used, used and never computed."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.expressions.analysis import ALL_MEMBERS, find_expressions, find_members
from ..errors import Problem
from ..manifest.loader import ManifestEntry, ResolvedTool
from ..manifest.models.call_template import CallTemplate
from ..manifest.validation import closest_match, join_path
from ..manifest.variables import MESSAGE_KEYS


def check_let_bindings(entry: ManifestEntry) -> Iterator[Problem]:
    """A problem for each value that is computed for nothing, or not computed at all."""
    used = {name for tool in entry.tools for name in _referenced_names(tool.template)}
    for tool in entry.tools:
        for name in sorted(_referenced_names(tool.template) - {ALL_MEMBERS} - tool.template.let.keys()):
            near = closest_match(name, tool.template.let)
            hint = f"is {near!r} meant?" if near else 'add it to "let"'
            yield Problem(join_path(tool.path, "name"), f"nothing computes let.{name}, which is used here; {hint}")
    if not entry.uses_discovery:
        yield from (
            Problem(path, f"nothing uses let.{name}; take it out")
            for path, name in _declared_bindings(entry)
            if not used & {name, ALL_MEMBERS}
        )


def _referenced_names(template: CallTemplate) -> set[str]:
    written = template.model_dump(mode="json", by_alias=True)
    return {name for each in find_expressions(written, MESSAGE_KEYS) for name in find_members(each, "let")}


def _declared_bindings(entry: ManifestEntry) -> Iterator[tuple[str, str]]:
    """Where each value of the entry and of its tools stands, and its name."""
    yield from ((join_path(entry.path, f"let.{name}"), name) for name in entry.raw.get("let") or () if entry.tools)
    for tool in entry.tools:
        yield from ((join_path(tool.path, f"tool_call_template.let.{name}"), name) for name in _own_bindings(tool))


def _own_bindings(tool: ResolvedTool) -> dict[str, str]:
    own = (tool.tool.tool_call_template or {}).get("let")
    return own if isinstance(own, dict) else {}
