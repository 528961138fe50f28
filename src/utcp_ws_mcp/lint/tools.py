"""Tools that will puzzle models, hosts or their callers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from ..core.exchange.reply_rules import Concurrency
from ..core.expressions.analysis import ALL_MEMBERS, find_arguments, find_expressions, uses_name
from ..core.tools.tool import CompiledTool
from ..errors import Problem
from ..manifest.inheritance import referenced_presets
from ..manifest.loader import ManifestEntry, ResolvedTool
from ..manifest.models.call_template import CallTemplate
from ..manifest.validation import closest_match, join_path
from ..manifest.variables import MESSAGE_KEYS
from ..server.tool_names import MAX_NAME_LENGTH, mcp_names

ADD_TO_INPUTS_HINT: Final = 'describe it in the tool\'s "inputs"'
_NON_REQUEST_FIELDS: Final = {"reply", "stream", "ignore", "request_id", "on_connect", "heartbeat"}
"""Fields that send no message of a call; the ids in them are others."""


def check_tools(entry: ManifestEntry, plans: Sequence[CompiledTool]) -> Iterator[Problem]:
    """A problem for each tool that is hard to choose, to name, to fill or to answer; what all inherit is said once."""
    yield from dict.fromkeys(_check_all(entry, plans))


def _check_all(entry: ManifestEntry, plans: Sequence[CompiledTool]) -> Iterator[Problem]:
    entries = {tool.tool.name: tool for tool in entry.tools}
    shown = {key: name for name, key in mcp_names((plan.manual, plan.name) for plan in plans).items()}
    for plan in plans:
        tool = entries[plan.original_name]
        yield from _check_description(plan, tool)
        yield from _check_name(plan, tool, shown[plan.manual, plan.name])
        yield from _check_arguments(entry, plan, tool)
        yield from _check_request_id(plan, tool)
    yield from _check_ambiguous_replies(entry, plans)


def _check_description(compiled: CompiledTool, tool: ResolvedTool) -> Iterator[Problem]:
    if not compiled.description.strip():
        why = f'{compiled.full_name} has no "description"; models choose a tool by it'
        yield Problem(join_path(tool.path, "name"), why)


def _check_name(compiled: CompiledTool, tool: ResolvedTool, mcp_name: str) -> Iterator[Problem]:
    path = join_path(tool.path, "name")
    whole = f"{compiled.manual}_{compiled.name}"
    if len(whole) > MAX_NAME_LENGTH:
        why = f"hosts take names of {MAX_NAME_LENGTH} characters at most; models will see {mcp_name!r}"
    elif re.search(r"[^A-Za-z0-9_.-]", whole):
        why = f"hosts take only letters, digits, _ and - in names; models will see {mcp_name!r}"
    elif mcp_name != whole.replace(".", "_"):
        why = f"another tool has the same name for hosts; models will see {mcp_name!r}"
    else:
        return
    yield Problem(path, f'{why}; give it another name ("tool_overrides" can, too)')


def _check_arguments(entry: ManifestEntry, compiled: CompiledTool, tool: ResolvedTool) -> Iterator[Problem]:
    """Arguments that are asked for and not sent, or sent and never asked for."""
    properties = compiled.inputs.get("properties")
    declared = {*(properties if isinstance(properties, dict) else ()), *compiled.defaults, *compiled.hidden}
    template = compiled.template
    written = template.model_dump(mode="json", by_alias=True)
    used = set(find_arguments(written, MESSAGE_KEYS)).union(template.header_fields)
    if template.message is None or ALL_MEMBERS in used:
        used |= declared
    for name in sorted(declared - used):
        path = join_path(tool.path, f"inputs.properties.{name}")
        use = f"put UTCP_ARG_{name}_UTCP_ARG into the message"
        if compiled.rules.listen_only:
            use = f"compare args.{name} where a message is chosen"
        how = f"{use}, or take it out"
        yield Problem(path, f"nothing is done with the argument {name!r}; {how}")
    for key in ("let", "message", "then", "url", "headers"):
        for name in sorted(_required_arguments(entry, template, key, declared) - declared - {ALL_MEMBERS}):
            near = closest_match(name, declared)
            hint = f"is {near!r} meant?" if near else ADD_TO_INPUTS_HINT
            why = f"no model will give the argument {name!r}, which is used here; {hint}"
            yield Problem(_field_path(entry, tool, key), why)


def _required_arguments(entry: ManifestEntry, template: CallTemplate, key: str, declared: set[str]) -> frozenset[str]:
    """The arguments that a field needs; a preset's message takes more than each tool has."""
    asked = find_arguments({key: getattr(template, key)}, MESSAGE_KEYS)
    of_presets = [preset.get("message") for preset in referenced_presets(entry.raw)]
    return frozenset() if key == "message" and asked & declared and template.message in of_presets else asked


def _field_path(entry: ManifestEntry, tool: ResolvedTool, key: str) -> str:
    """The path of a field that the tool, or its entry for it, has written."""
    if key in (tool.tool.tool_call_template or {}):
        return join_path(tool.path, f"tool_call_template.{key}")
    return join_path(entry.path, key) if key in ("url", "headers") else join_path(tool.path, "name")


def _check_request_id(compiled: CompiledTool, tool: ResolvedTool) -> Iterator[Problem]:
    """A reply that must hold the id of a request that holds none, or of one that is not made."""
    rules = compiled.rules
    if rules.no_reply or rules.match is None or "request_id" not in rules.match.names:
        return
    if rules.listen_only and rules.stream is not None and rules.stream.match is not None:
        return
    sent = compiled.template.model_dump(mode="json", by_alias=True, exclude=_NON_REQUEST_FIELDS)
    if not any(uses_name(each, "request_id", "next_id") for each in find_expressions(sent, MESSAGE_KEYS)):
        why = (
            'sends nothing, so no message has its id; say what it waits for in "reply.match" or "stream.match"'
            if rules.listen_only
            else 'waits for a reply with its id and sends none; put "{{ request_id }}" into the message'
        )
        yield Problem(join_path(tool.path, "name"), f"{compiled.full_name} {why}")


def _check_ambiguous_replies(entry: ManifestEntry, plans: Sequence[CompiledTool]) -> Iterator[Problem]:
    """Tools whose reply is the first message that comes, at an endpoint that says other things too."""
    trusting = [plan for plan in plans if accepts_any_message(plan) and not plan.rules.ignore]
    if not trusting:
        return
    told = f"{trusting[0].full_name} takes the first message after its request for the reply"
    if (reason := _unsolicited_reason(entry)) is not None:
        why = f'{told}, but {reason}; say which message answers ("reply.match") or which never does ("ignore")'
        yield Problem(entry.path, why)
    for plan in trusting:
        messages = [plan.template.message, *plan.template.then]
        if any(uses_name(each, "request_id") for each in find_expressions(messages, MESSAGE_KEYS, in_template=True)):
            why = f'{told}, although it sends an id; compare it in "reply.match", such as "message.id == request_id"'
            yield Problem(join_path(entry.path, "request_id" if "request_id" in entry.raw else "reply"), why)
            return


def accepts_any_message(compiled: CompiledTool) -> bool:
    """Whether any message that comes while a call waits, and is not ignored, is taken for its reply."""
    rules = compiled.rules
    any_message = rules.match is None and rules.stream is None and rules.concurrency is Concurrency.EXCLUSIVE
    return any_message and not rules.no_reply and not rules.listen_only


def _unsolicited_reason(entry: ManifestEntry) -> str | None:
    """What in a manifest says that the endpoint sends more than replies."""
    template = entry.template
    if template is None:
        return None
    if template.capture:
        return '"capture" says that other messages come'
    if template.heartbeat is not None and template.heartbeat.expect is None:
        return 'the answers to "heartbeat" come too'
    if any(rule.keep for rule in template.auto_reply):
        return '"auto_reply" says that other messages come'
    if any(step.expect is not None for step in template.on_connect):
        return '"on_connect" says that the endpoint speaks first'
    return None
