"""Draft tools from the exchanges of a conversation: one for each kind of sent message."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, Final

from ..core.expressions.paths import Path
from ..records import replace
from .correlation import Conversation, CorrelationIds, RecordedExchange
from .messages import message_kind
from .preset_forms import Invocation, PresetForm
from .replies import MAX_ITEMS, MAX_SECONDS, tool_rules
from .templates import WORD, bytes_template, escape_template, infer_type, json_template, message_action, text_template

_MAX_NAME_LENGTH: Final = 40
"""The maximum length of the name of a tool in characters; hosts put the name of the manual before it."""

Tool = dict[str, Any]


def draft_tools(conversation: Conversation, variables: Collection[str], form: PresetForm | None = None) -> list[Tool]:
    """Return a tool for each kind of sent message.

    Args:
        conversation: The conversation without its logins.
        variables: The names of the variables that are set, and so may occur in the messages.
        form: The form of the preset that the draft uses, if there is one.
    """
    groups: dict[tuple[str, str], list[RecordedExchange]] = {}
    ids = conversation.ids
    verbs = _verb_keys([exchange.request.value for exchange in conversation.exchanges], ids)
    for exchange in conversation.exchanges:
        value = exchange.request.value
        call = form.call(value) if form is not None and exchange.replies else None
        invoked = form.invocation(value) if form is not None and call is None else None
        if call:
            name, kind = call[0], "call"
        elif invoked is not None:
            name, kind = _valid_name(invoked.name), invoked.kind
        else:
            name = _valid_name(_tool_name(value, ids, verbs))
            kind = "text" if isinstance(value, str) else type(value).__name__
        groups.setdefault((name or "send", kind), []).append(exchange)
    tools: dict[str, Tool] = {}
    for (tool_name, kind), group in groups.items():
        name = _unique_name(tool_name, tools)
        # A preset sends the name of the tool, which must not change then.
        is_call = form is not None and kind == "call" and name == tool_name
        tools[name] = (
            _preset_tool(name, group, form)
            if is_call and form
            else _draft_tool(name, group, conversation, variables, form)
        )
    return list(tools.values())


def _unique_name(name: str, taken: Collection[str]) -> str:
    return _unique_name(f"{name}_", taken) if name in taken else name


def _verb_keys(values: Sequence[Any], ids: CorrelationIds | None) -> frozenset[str]:
    """Return the keys that name the action, such as `put` or `subscribe`, if each kind of message has its own."""
    of_id = {ids.sent[0]} if ids is not None else set()
    kinds = {frozenset(value) - of_id for value in values if isinstance(value, dict) and message_kind(value) is None}
    if len(kinds) < 2:
        return frozenset()
    own = [kind - frozenset.intersection(*kinds) for kind in kinds]
    verbs = frozenset[str]().union(*own)
    return verbs if all(own) and len(verbs) == sum(map(len, own)) else frozenset()


def _tool_name(value: Any, ids: CorrelationIds | None, verbs: Collection[str]) -> str:
    """Return the name for a tool that sends a message like this."""
    if isinstance(value, str) and (word := WORD.search(value)):
        return word[0].lower()
    action = message_action(value, ids.sent if ids is not None else None)
    if action is None:
        return next((key for key in value if key in verbs), "send") if isinstance(value, dict) else "send"
    return str(action[1])


def _draft_tool(
    name: str,
    group: Sequence[RecordedExchange],
    conversation: Conversation,
    variables: Collection[str],
    form: PresetForm | None,
) -> Tool:
    values = [exchange.request.value for exchange in group]
    schema: Tool = {"type": "object", "properties": {}}
    arguments: dict[Path, str] = {}
    ids = conversation.ids
    invoked = [each for value in values if form is not None and (each := form.invocation(value))]
    if invoked:
        message: Any = _invocation_template(invoked, schema, variables)
    elif isinstance(values[0], bytes):
        message = bytes_template(values, schema)
    elif isinstance(values[0], str):
        message = text_template(values, schema, variables)
    else:
        message = json_template(values, schema, ids.sent if ids else None, variables, arguments)
    rules = _preset_rules(group, form) if form is not None else tool_rules(group, conversation, arguments)
    return _tool(name, schema, {"message": message, **rules})


def _valid_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:_MAX_NAME_LENGTH]


def _invocation_template(invoked: Sequence[Invocation], schema: Tool, variables: Collection[str]) -> Tool:
    """Return the message of a tool whose arguments have no names; the members of objects among them have."""
    names = [f"arg_{number}" for number in range(1, len(invoked[0].arguments) + 1)]
    named = [dict(zip(names, each.arguments, strict=True)) for each in invoked]
    template = json_template(named, schema, None, variables, {}) if names else {}
    return invoked[0].message([template[name] for name in names], partial(escape_template, variables=variables))


def _preset_tool(name: str, group: Sequence[RecordedExchange], form: PresetForm) -> Tool:
    """Return a tool whose message is that of the preset."""
    calls = [call[1] for exchange in group if (call := form.call(exchange.request.value))]
    schema: Tool = {"type": "object", "properties": {}}
    for argument in dict.fromkeys(key for call in calls for key in call):
        found = [call[argument] for call in calls if argument in call]
        schema["properties"][argument] = infer_type(found)
        if len(found) == len(calls):
            schema.setdefault("required", []).append(argument)
    return _tool(name, schema, _preset_rules(group, form))


def _preset_rules(group: Sequence[RecordedExchange], form: PresetForm) -> Tool:
    if not any(exchange.replies for exchange in group):
        return {"reply": "none"}
    if any(form.is_stream([reply.value for reply in exchange.replies]) for exchange in group):
        return {"stream": {"max_items": MAX_ITEMS, "max_seconds": MAX_SECONDS}}
    return {}


def _tool(name: str, schema: Tool, template: Tool) -> Tool:
    if not schema["properties"]:
        schema["additionalProperties"] = False
    tool = {
        "name": name,
        "description": f"Send {name[:60]!r}. Describe here what it does and returns.",
        "inputs": schema,
    }
    return {**tool, "tool_call_template": template} if template else tool


def without(conversation: Conversation, exchanges: Sequence[RecordedExchange]) -> Conversation:
    """Return the conversation without some exchanges."""
    return replace(conversation, exchanges=[each for each in conversation.exchanges if each not in exchanges])
