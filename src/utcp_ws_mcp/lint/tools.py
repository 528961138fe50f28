"""Tools that will puzzle models, hosts or their callers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

from ..core.connection_rules import EVERY_ARGUMENT, arguments_in
from ..core.exchange.reply_rules import Sharing
from ..core.tools.tool import Plan
from ..errors import Problem
from ..manifest.inheritance import named_presets
from ..manifest.loader import Entry, ToolEntry
from ..manifest.models.call_template import CallTemplate
from ..manifest.validation import join, nearest
from ..server.tool_names import MAX_NAME, mcp_names

DESCRIBE: Final = 'describe it in the tool\'s "inputs"'
_ID = re.compile(r"\b(request_id|next_id)\b")
_WITHOUT_REQUEST: Final = {"reply", "stream", "ignore", "request_id", "on_connect", "heartbeat"}
"""Fields that send no message of a call; the ids in them are others."""


def doubtful_tools(entry: Entry, plans: Sequence[Plan]) -> Iterator[Problem]:
    """A problem for each tool that is hard to choose, to name, to fill or to answer; what all inherit is said once."""
    yield from dict.fromkeys(_doubts(entry, plans))


def _doubts(entry: Entry, plans: Sequence[Plan]) -> Iterator[Problem]:
    entries = {tool.tool.name: tool for tool in entry.tools}
    shown = {key: name for name, key in mcp_names((plan.manual, plan.name) for plan in plans).items()}
    for plan in plans:
        tool = entries[plan.tool]
        yield from _description(plan, tool)
        yield from _name(plan, tool, shown[plan.manual, plan.name])
        yield from _arguments(entry, plan, tool)
        yield from _unsent_id(plan, tool)
    yield from _mixed_up_replies(entry, plans)


def _description(plan: Plan, tool: ToolEntry) -> Iterator[Problem]:
    if not plan.description.strip():
        why = f'{plan.full_name} has no "description"; models choose a tool by it'
        yield Problem(join(tool.path, "name"), why)


def _name(plan: Plan, tool: ToolEntry, shown: str) -> Iterator[Problem]:
    path = join(tool.path, "name")
    whole = f"{plan.manual}_{plan.name}"
    if len(whole) > MAX_NAME:
        why = f"hosts take names of {MAX_NAME} characters at most; models will see {shown!r}"
    elif re.search(r"[^A-Za-z0-9_.-]", whole):
        why = f"hosts take only letters, digits, _ and - in names; models will see {shown!r}"
    elif shown != whole.replace(".", "_"):
        why = f"another tool has the same name for hosts; models will see {shown!r}"
    else:
        return
    yield Problem(path, f'{why}; give it another name ("tool_overrides" can, too)')


def _arguments(entry: Entry, plan: Plan, tool: ToolEntry) -> Iterator[Problem]:
    """Arguments that are asked for and not sent, or sent and never asked for."""
    properties = plan.inputs.get("properties")
    declared = {*(properties if isinstance(properties, dict) else ()), *plan.defaults, *plan.hidden}
    template = plan.template
    used = set(arguments_in(json.dumps(template.model_dump(mode="json")))).union(template.header_fields)
    if template.message is None or EVERY_ARGUMENT in used:
        used |= declared
    for name in sorted(declared - used):
        path = join(tool.path, f"inputs.properties.{name}")
        use = f"put UTCP_ARG_{name}_UTCP_ARG into the message"
        if plan.rules.unasked:
            use = f"compare args.{name} where a message is chosen"
        how = f"{use}, or take it out"
        yield Problem(path, f"nothing is done with the argument {name!r}; {how}")
    for key in ("let", "message", "then", "url", "headers"):
        for name in sorted(_asked(entry, template, key, declared) - declared - {EVERY_ARGUMENT}):
            near = nearest(name, declared)
            hint = f"is {near!r} meant?" if near else DESCRIBE
            why = f"no model will give the argument {name!r}, which is used here; {hint}"
            yield Problem(_where(entry, tool, key), why)


def _asked(entry: Entry, template: CallTemplate, key: str, declared: set[str]) -> frozenset[str]:
    """The arguments that a field needs; a preset's message takes more than each tool has."""
    asked = arguments_in(json.dumps(getattr(template, key)))
    of_presets = [preset.get("message") for preset in named_presets(entry.raw)]
    return frozenset() if key == "message" and asked & declared and template.message in of_presets else asked


def _where(entry: Entry, tool: ToolEntry, key: str) -> str:
    """The path of a field that the tool, or its entry for it, has written."""
    if key in (tool.tool.tool_call_template or {}):
        return join(tool.path, f"tool_call_template.{key}")
    return join(entry.path, key) if key in ("url", "headers") else join(tool.path, "name")


def _request(template: CallTemplate) -> str:
    """The messages of a call, as they are written."""
    return json.dumps([template.message, *template.then])


def _unsent_id(plan: Plan, tool: ToolEntry) -> Iterator[Problem]:
    """A reply that must hold the id of a request that holds none, or of one that is not made."""
    rules = plan.rules
    if rules.none or rules.match is None or "request_id" not in rules.match.names:
        return
    if rules.unasked and rules.stream is not None and rules.stream.match is not None:
        return
    sent = plan.template.model_dump(mode="json", exclude=_WITHOUT_REQUEST)
    if not _ID.search(json.dumps(sent)):
        why = (
            'sends nothing, so no message has its id; say what it waits for in "reply.match" or "stream.match"'
            if rules.unasked
            else 'waits for a reply with its id and sends none; put "{{ request_id }}" into the message'
        )
        yield Problem(join(tool.path, "name"), f"{plan.full_name} {why}")


def _mixed_up_replies(entry: Entry, plans: Sequence[Plan]) -> Iterator[Problem]:
    """Tools whose reply is the first message that comes, at an endpoint that says other things too."""
    trusting = [plan for plan in plans if takes_what_comes(plan) and not plan.rules.ignore]
    if not trusting:
        return
    told = f"{trusting[0].full_name} takes the first message after its request for the reply"
    if (reason := _talks(entry)) is not None:
        why = f'{told}, but {reason}; say which message answers ("reply.match") or which never does ("ignore")'
        yield Problem(entry.path, why)
    for plan in trusting:
        if re.search(r"\{\{\s*request_id\s*\}\}", _request(plan.template)):
            why = f'{told}, although it sends an id; compare it in "reply.match", such as "message.id == request_id"'
            yield Problem(join(entry.path, "request_id" if "request_id" in entry.raw else "reply"), why)
            return


def takes_what_comes(plan: Plan) -> bool:
    """Whether any message that comes while a call waits, and is not ignored, is taken for its reply."""
    rules = plan.rules
    any_message = rules.match is None and rules.stream is None and rules.sharing is Sharing.OWNED
    return any_message and not rules.none and not rules.unasked


def _talks(entry: Entry) -> str | None:
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
