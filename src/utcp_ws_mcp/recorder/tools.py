"""Draft tools from the sent messages: what is the same in all becomes the message, what differs becomes arguments."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Final

from ..core.expressions.paths import UNDEFINED, Path
from ..manifest.variables import VARIABLE, WHOLE_STRING_VARIABLE
from .correlation import CorrelationIds, RecordedExchange
from .messages import KIND_KEYS, kind_predicate, leaves, literal, message_kind, value_at

CONSTANT_KEYS: Final = (*KIND_KEYS, "jsonrpc", "version", "v")
"""Keys at the root of a message whose value is no argument, unless it differs between messages."""

_TEMPLATE_SYNTAX = re.compile(r"\{\{|\$\{|UTCP_ARG_")
_WORD = re.compile(r"[A-Za-z0-9_]+")
_MAX_NAME_LENGTH: Final = 40
"""The maximum length of the name of a tool in characters; hosts put the name of the manual before it."""

_READING: Final = re.compile(
    r"(?:\w*[._-])?(?:get|list|query|read|status|ping|info|version|search|find|describe|show|subscribe|watch)",
    re.IGNORECASE,
)
"""The names of tools that probably change nothing: a guess, as everything in a draft."""

REQUEST_ID: Final = "{{ request_id }}"


def draft_tools(
    exchanges: Sequence[RecordedExchange], ids: CorrelationIds | None, variables: Collection[str]
) -> list[dict[str, Any]]:
    """Return a tool for each kind of sent message.

    Args:
        exchanges: The exchanges that are not part of a login.
        ids: The correlation IDs of the conversation, if it has any.
        variables: The names of the variables that are set, and so may occur in the messages.
    """
    groups: dict[tuple[str, bool], list[RecordedExchange]] = {}
    verbs = _verb_keys([exchange.request.value for exchange in exchanges], ids)
    for exchange in exchanges:
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", _tool_name(exchange.request.value, ids, verbs))[:_MAX_NAME_LENGTH]
        groups.setdefault((name or "send", isinstance(exchange.request.value, str)), []).append(exchange)
    tools: dict[str, dict[str, Any]] = {}
    for (tool_name, _), group in groups.items():
        name = _unique_name(tool_name, tools)
        tools[name] = _draft_tool(name, group, ids, variables)
    return list(tools.values())


def _unique_name(name: str, taken: Collection[str]) -> str:
    return _unique_name(f"{name}_", taken) if name in taken else name


def escape_template(text: str, variables: Collection[str]) -> str:
    """Return a text as a template in which only known variables are replaced."""
    names = {found[1] for found in VARIABLE.finditer(text)} | (
        {whole[1]} if (whole := WHOLE_STRING_VARIABLE.match(text)) else set()
    )
    if names and names <= set(variables) and not _TEMPLATE_SYNTAX.search(VARIABLE.sub("", text)):
        return text
    if not WHOLE_STRING_VARIABLE.match(text) and not _TEMPLATE_SYNTAX.search(text):
        return text
    # Two literals are joined within each mark of the template syntax, so that the text contains none.
    split_marks = re.sub(r"\$(?=[{A-Za-z_])|UTCP(?=_ARG_)", lambda found: f"{found[0]}\0", text)
    parts = (literal(part) for part in split_marks.split("\0"))
    return "{{ " + " ~ ".join(parts) + " }}"


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
    if isinstance(value, str) and (word := _WORD.search(value)):
        return word[0].lower()
    action = _message_action(value, ids)
    if action is None:
        return next((key for key in value if key in verbs), "send") if isinstance(value, dict) else "send"
    word = _WORD.search(action[1]) if isinstance(value, list) else None
    return word[0] if word else str(action[1])


def _message_action(value: Any, ids: CorrelationIds | None) -> tuple[Path, Any] | None:
    """Return the path and the value of the action of a message, or None."""
    if not isinstance(value, list):
        return message_kind(value)
    skipped = ids.sent[0] if ids is not None else None
    words = ((index, item) for index, item in enumerate(value) if isinstance(item, str) and _WORD.search(item))
    return next((((index,), item) for index, item in words if index != skipped), None)


def _draft_tool(
    name: str, group: Sequence[RecordedExchange], ids: CorrelationIds | None, variables: Collection[str]
) -> dict[str, Any]:
    values = [exchange.request.value for exchange in group]
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    if isinstance(values[0], str):
        message: Any = _text_template(values, schema, variables)
    else:
        message = _json_template(values, schema, ids, variables)
    template: dict[str, Any] = {"message": message}
    if not any(exchange.replies for exchange in group):
        template["reply"] = "none"
    elif stream := _infer_stream(group):
        template["stream"] = stream
    if not schema["properties"]:
        schema["additionalProperties"] = False
    return {
        "name": name,
        "description": f"Send {name[:60]!r}. Describe here what it does and returns.",
        "inputs": schema,
        "annotations": {"readOnlyHint": _READING.match(name) is not None},
        "tool_call_template": template,
    }


def _text_template(values: Sequence[str], schema: dict[str, Any], variables: Collection[str]) -> str:
    """Return the template of a text message: the first word is constant, the rest is an argument or has a variable."""
    head, gap, rest = re.match(r"(\W*\w*)(\s*)(.*)", values[0], re.DOTALL).groups()  # type: ignore[union-attr]  # it matches any text
    if not rest or (len(set(values)) == 1 and _names_variable(values[0], variables)):
        return escape_template(values[0], variables)
    schema["properties"]["text"] = {"type": "string"}
    schema["required"] = ["text"]
    return escape_template(head + gap, ()) + "{{ args.text }}"


def _json_template(
    values: Sequence[Any], schema: dict[str, Any], ids: CorrelationIds | None, variables: Collection[str]
) -> Any:
    """Return the template of a JSON message: IDs are generated, values that can differ become arguments."""
    placeholders: dict[Path, str] = {}
    names: set[str] = set()
    action = _message_action(values[0], ids)
    for path in dict.fromkeys(path for value in values for path, _ in leaves(value)):
        found = [item for value in values if (item := value_at(value, path)) is not UNDEFINED]
        if ids is not None and path == ids.sent:
            placeholders[path] = REQUEST_ID
        elif (
            action
            and path == action[0]
            and all(item == action[1] for item in found)
            and _WORD.fullmatch(str(action[1]))
        ):
            continue
        elif _is_argument(path, found, len(values), variables):
            name = _argument_name(path, names)
            names.add(name)
            placeholders[path] = f"{{{{ args.{name} }}}}"
            schema["properties"][name] = _infer_type(found)
            if len(found) == len(values):
                schema.setdefault("required", []).append(name)
    fullest = max(values, key=lambda value: len(list(leaves(value))))
    return _insert_placeholders(_merge_fields(fullest, values), placeholders, (), variables)


def _is_argument(path: Path, found: Sequence[Any], messages: int, variables: Collection[str]) -> bool:
    if not path or path == (0,):
        return False
    if any(isinstance(item, str) and _names_variable(item, variables) for item in found):
        return False
    same = len(found) == messages and all(item == found[0] for item in found)
    if same and (messages > 1 or (len(path) == 1 and path[0] in CONSTANT_KEYS)):
        return False
    return found[0] not in ({}, [])


def _names_variable(text: str, variables: Collection[str]) -> bool:
    """Return whether a text contains a known variable."""
    return "$" in text and escape_template(text, variables) == text


def _argument_name(path: Path, taken: Collection[str]) -> str:
    words = ["_".join(_WORD.findall(str(step))) or "value" for step in path]
    words = [f"item_{word}" if word[0].isdigit() else word for word in words]
    for count in range(1, len(words) + 1):
        if (name := "_".join(words[-count:])) not in taken:
            return name
    number = next(number for number in range(2, len(taken) + 3) if f"{words[-1]}_{number}" not in taken)
    return f"{words[-1]}_{number}"


def _infer_type(found: Sequence[Any]) -> dict[str, Any]:
    kinds = {_JSON_TYPES.get(type(item)) for item in found}
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    kind = kinds.pop() if len(kinds) == 1 else None
    return {"type": kind} if kind else {}


_JSON_TYPES: Final = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def _merge_fields(fullest: Any, values: Sequence[Any]) -> Any:
    """Return the message with the most fields, with the additional fields of the others."""
    if not isinstance(fullest, dict):
        return fullest
    merged = dict(fullest)
    for value in values:
        for key, item in value.items() if isinstance(value, dict) else ():
            merged[key] = _merge_fields(merged[key], [item]) if key in merged else item
    return merged


def _insert_placeholders(value: Any, placeholders: dict[Path, str], path: Path, variables: Collection[str]) -> Any:
    if path in placeholders:
        return placeholders[path]
    if isinstance(value, dict):
        return {key: _insert_placeholders(item, placeholders, (*path, key), variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_insert_placeholders(item, placeholders, (*path, index), variables) for index, item in enumerate(value)]
    return escape_template(value, variables) if isinstance(value, str) else value


def _infer_stream(group: Sequence[RecordedExchange]) -> dict[str, Any] | None:
    """Return the stream of a request with several replies: its end, if the last reply is of another kind."""
    longest = max((exchange.replies for exchange in group), key=len)
    if len(longest) < 2:
        return None
    last, others = kind_predicate(longest[-1].value), {kind_predicate(reply.value) for reply in longest[:-1]}
    until = {"until": last} if message_kind(longest[-1].value) and last not in others else {}
    return {"$comment": "A request had several replies.", **until, "max_seconds": 10}
