"""Rules for the values of `session` and `let`: defined and never used, or used and never defined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ..core.exchange.connection_state import RECONNECTED
from ..core.expressions.analysis import ALL_MEMBERS, find_expressions, find_members, find_optional_members
from ..errors import Problem
from ..manifest.entries import ManifestEntry, ResolvedTool
from ..manifest.inheritance import apply_preset, normalize, referenced_presets
from ..manifest.models.base import Json
from ..manifest.models.call_template import CallTemplate
from ..manifest.validation import closest_match, join_path
from ..manifest.variables import MESSAGE_KEYS

SESSION_RULES: Final = frozenset({"reconnect_when", "fail_when", "fail_message", "session_identity"})
"""Fields about the end of a session, which need not find what they look for."""


def check_session_values(entry: ManifestEntry) -> Iterator[Problem]:
    """Yield a problem for each captured value that is never used, and for each used one that is never captured."""
    yield from _unused_captures(entry)
    reported: set[str] = set()
    for tool in entry.tools:
        for field, name, captured in _missing_captures(entry, tool):
            if name not in reported:
                reported.add(name)
                fix = suggestion(name, captured) or 'Add it to a "capture".'
                path = join_path(owner_path(entry, tool, field)[0], field)
                message = f"session.{name} is used here, but no message is captured for it. {fix}"
                yield Problem(path, message, code="session-value-not-captured")


def check_let(entry: ManifestEntry) -> Iterator[Problem]:
    """Yield a problem for each value of `let` that is never used, and for each used one that is not defined."""
    used: set[str] = set()
    for tool in entry.tools:
        references = _let_references(tool.template)
        used.update(references)
        defined = {*tool.template.let, *(name for step in tool.template.before_message for name in step.capture)}
        for name in sorted(references.keys() - {ALL_MEMBERS, *defined}):
            field = references[name]
            if field == "reply.result" and selects_items(tool.template):  # no message is ever a reply
                continue
            fix = suggestion(name, defined) or 'Add it to "let".'
            path, is_own = owner_path(entry, tool, field.partition(".")[0])
            by = "not defined" if is_own else f"not defined for {tool.tool.name}"
            message = f"let.{name} is used here, but {by}. {fix}"
            yield Problem(join_path(path, field), message, code="let-not-defined")
    if entry.uses_discovery:  # a discovered tool could use it
        return
    for path, name in _let_definitions(entry):
        if not used & {name, ALL_MEMBERS}:
            yield Problem(path, f"let.{name} is never used. Remove it.", code="let-not-used")


def entry_expressions(entry: ManifestEntry) -> list[str]:
    """Return the expressions of an entry and of its tools."""
    tools = [tool.template.model_dump(mode="json", by_alias=True, exclude_defaults=True) for tool in entry.tools]
    return find_expressions([entry.raw, tools], MESSAGE_KEYS)


def selects_items(template: CallTemplate) -> bool:
    """Return whether the results of a template are items that another field than `reply.result` selects."""
    return template.stream.on and bool(template.stream.item or template.stream.match)


def owner_path(entry: ManifestEntry, tool: ResolvedTool, field: str) -> tuple[str, bool]:
    """Return the path of the object that has a field of a tool, or its preset, and whether it is the tool's own."""
    own = field in apply_preset(normalize(tool.tool.tool_call_template or {}))
    return (join_path(tool.path, "tool_call_template") if own else entry.path), own


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the question for the most similar known name, or an empty text."""
    similar = closest_match(name, known)
    return f"Did you mean {similar!r}?" if similar else ""


def _unused_captures(entry: ManifestEntry) -> Iterator[Problem]:
    used = {name for each in entry_expressions(entry) for name in find_members(each, "session")}
    of_presets = {capture for preset in referenced_presets(entry.raw) for capture in find_captures(preset)}
    for path, name in find_captures(entry.raw):
        if (path, name) in of_presets:  # a preset captures for all its users
            continue
        if not used & {name, ALL_MEMBERS}:
            message = f"session.{name} is captured here, but never used. Remove it."
            yield Problem(join_path(entry.path, path), message, code="session-value-not-used")


def find_captures(raw: Json) -> Iterator[tuple[str, str]]:
    """Yield the path and the name of each captured value of a call template."""
    for key in ("before_connect", "on_connect"):
        for index, step in enumerate(raw.get(key) or ()):
            yield from ((f"{key}[{index}].capture.{name}", name) for name in step.get("capture") or ())
    for index, rule in enumerate(raw.get("capture") or ()):
        yield from ((f"capture[{index}].set.{name}", name) for name in rule.get("set") or ())


def _missing_captures(entry: ManifestEntry, tool: ResolvedTool) -> Iterator[tuple[str, str, set[str]]]:
    """Yield the field, the name, and all captured names for each use of a value that is never captured."""
    presets = referenced_presets(entry.raw)
    # What has its default holds no expression.
    document = tool.template.model_dump(
        mode="json", by_alias=True, exclude={"feeds", "feed_defaults"}, exclude_defaults=True
    )
    captured = {name for _, name in find_captures(document)}
    if tool.template.session_identity is not None:
        captured.add(RECONNECTED)
    for field, value in document.items():
        # Of a preset whose login was replaced they find nothing, which changes nothing else.
        if field in SESSION_RULES and any(preset.get(field) == value for preset in presets):
            continue
        for part in value if isinstance(value, list) else [value]:
            expressions = list(find_expressions({field: part}, MESSAGE_KEYS))
            asked = {name for each in expressions for name in find_optional_members(each, "session")}
            for expression in expressions:
                for name in sorted(find_members(expression, "session") - {ALL_MEMBERS, *captured, *asked}):
                    yield field, name, captured


def _let_references(template: CallTemplate) -> dict[str, str]:
    """Return the names of `let` that a template uses, each with the first field that does."""
    document = template.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    document |= {"reply.result": document.get("reply", {}).pop("result", None)}
    found: dict[str, str] = {}
    for field, value in document.items():
        for expression in find_expressions({field: value}, MESSAGE_KEYS):
            for name in sorted(find_members(expression, "let")):
                found.setdefault(name, field)
    return found


def _let_definitions(entry: ManifestEntry) -> Iterator[tuple[str, str]]:
    """Yield the path and the name of each value of `let` of the entry and of its tools."""
    if entry.tools:
        yield from ((join_path(entry.path, path), name) for path, name in _own_let_values(entry.raw))
    for tool in entry.tools:
        own = join_path(tool.path, "tool_call_template")
        raw = tool.tool.tool_call_template or {}
        yield from ((join_path(own, path), name) for path, name in _own_let_values(raw))


def _own_let_values(raw: Json) -> Iterator[tuple[str, str]]:
    """Yield the path and the name of each value of `let` of a call template: computed, or captured over HTTP."""
    own = raw.get("let")
    yield from ((f"let.{name}", name) for name in (own if isinstance(own, dict) else ()))
    steps = raw.get("before_message")
    for index, step in enumerate(steps if isinstance(steps, list) else ()):
        if isinstance(step, dict):
            path = f"before_message[{index}].capture"
            yield from ((f"{path}.{name}", name) for name in step.get("capture") or ())
