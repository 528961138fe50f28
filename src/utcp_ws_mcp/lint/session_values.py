"""Values that a connection keeps in `session`: kept and never used, used and never kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ..core.expressions.paths import STRING_LITERAL
from ..errors import Problem
from ..manifest.inheritance import referenced_presets
from ..manifest.loader import ManifestEntry, ResolvedTool
from ..manifest.models.base import Json
from ..manifest.validation import closest_match, join_path
from ..manifest.variables import TEMPLATE_KEYS

_SESSION_REFERENCE = re.compile(r"(?<![\w.])session\.([A-Za-z_]\w*)")


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
    text = entry_text(entry)
    of_preset = {place for preset in referenced_presets(entry.raw) for place in _captured(preset)}
    for path, name in _captured(entry.raw):
        if (path, name) in of_preset:
            continue
        if not re.search(rf"""\bsession(?:\.{re.escape(name)}\b|\[['\\"]+{re.escape(name)}['\\"])""", text):
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
        for expression in _expressions(value, field in TEMPLATE_KEYS):
            for name in _SESSION_REFERENCE.findall(STRING_LITERAL.sub("''", expression)):
                if name not in kept:
                    yield field, name, kept


def _expressions(value: Any, in_template: bool) -> Iterator[str]:
    if isinstance(value, str):
        yield from re.findall(r"\{\{(.*?)\}\}", value, re.DOTALL) if in_template else (value,)
    elif isinstance(value, list):
        for item in value:
            yield from _expressions(item, in_template)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _expressions(item, in_template or key in TEMPLATE_KEYS)


def entry_text(entry: ManifestEntry) -> str:
    """All of an entry that may hold expressions, as one text."""
    tools = [tool.template.model_dump(mode="json") for tool in entry.tools]
    return json.dumps([entry.raw, tools])
