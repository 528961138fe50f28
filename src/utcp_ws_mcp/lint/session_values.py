"""Values that a connection keeps in `session`: kept and never used, used and never kept."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.expressions.analysis import ALL_MEMBERS, find_expressions, find_members
from ..errors import Problem
from ..manifest.inheritance import referenced_presets
from ..manifest.loader import ManifestEntry, ResolvedTool
from ..manifest.models.base import Json
from ..manifest.validation import closest_match, join_path
from ..manifest.variables import MESSAGE_KEYS


def check_session_values(entry: ManifestEntry) -> Iterator[Problem]:
    """A problem for each value that is kept for nothing, or not kept at all."""
    yield from _unused_values(entry)
    told: set[str] = set()
    for tool in entry.tools:
        for field, name, kept in _missing_values(tool):
            if name not in told:
                told.add(name)
                own = field in (tool.tool.tool_call_template or {})
                near = closest_match(name, kept)
                hint = f"is {near!r} meant?" if near else 'add it to a "capture"'
                path = (
                    join_path(join_path(tool.path, "tool_call_template"), field)
                    if own
                    else join_path(entry.path, field)
                )
                yield Problem(path, f"nothing keeps session.{name}, which is used here; {hint}")


def _unused_values(entry: ManifestEntry) -> Iterator[Problem]:
    """Values that are kept in `session` and never used."""
    used = {name for expression in entry_expressions(entry) for name in find_members(expression, "session")}
    of_preset = {place for preset in referenced_presets(entry.raw) for place in _captured(preset)}
    for path, name in _captured(entry.raw):
        if (path, name) in of_preset:
            continue
        if not used & {name, ALL_MEMBERS}:
            why = f"nothing uses session.{name}, which is kept here; take it out"
            yield Problem(join_path(entry.path, path), why)


def _captured(raw: Json) -> Iterator[tuple[str, str]]:
    for key in ("before_connect", "on_connect"):
        for index, step in enumerate(raw.get(key) or ()):
            yield from ((f"{key}[{index}].capture.{name}", name) for name in step.get("capture") or ())
    for index, rule in enumerate(raw.get("capture") or ()):
        yield from ((f"capture[{index}].set.{name}", name) for name in rule.get("set") or ())


def _missing_values(tool: ResolvedTool) -> Iterator[tuple[str, str, set[str]]]:
    """Each field that uses a value which the tool's connections never keep, the value, and those that they keep."""
    document = tool.template.model_dump(mode="json", by_alias=True)
    kept = {name for _, name in _captured(document)}
    for field, value in document.items():
        for expression in find_expressions({field: value}, MESSAGE_KEYS):
            for name in sorted(find_members(expression, "session") - {ALL_MEMBERS, *kept}):
                yield field, name, kept


def entry_expressions(entry: ManifestEntry) -> Iterator[str]:
    """Yield the sources of all expressions of an entry and of its tools."""
    tools = [tool.template.model_dump(mode="json", by_alias=True) for tool in entry.tools]
    return find_expressions([entry.raw, tools], MESSAGE_KEYS)
