"""Tools from the messages that were sent: what stays the same is the message, what differs are arguments."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Final

from ..core.expressions.paths import UNDEFINED, Path
from ..manifest.variables import VARIABLE, WHOLE_STRING_VARIABLE
from .correlation import CorrelationIds, RecordedExchange
from .messages import KIND_KEYS, kind_predicate, leaves, literal, message_kind, value_at

CONSTANT_KEYS: Final = (*KIND_KEYS, "jsonrpc", "version", "v")
"""Keys at the root of a message whose value is no argument, unless it was seen to differ."""

_TEMPLATE_SYNTAX = re.compile(r"\{\{|\$\{|UTCP_ARG_")
_WORD = re.compile(r"[A-Za-z0-9_]+")
_MAX_NAME_LENGTH: Final = 40
"""Characters of a tool's name; the manual's stands before it."""

REQUEST_ID: Final = "{{ request_id }}"


def draft_tools(
    exchanges: Sequence[RecordedExchange], ids: CorrelationIds | None, variables: Collection[str]
) -> list[dict[str, Any]]:
    """A tool for each kind of message that was sent."""
    groups: dict[tuple[str, bool], list[RecordedExchange]] = {}
    verbs = _verb_keys([exchange.request.value for exchange in exchanges], ids)
    for exchange in exchanges:
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", _tool_name(exchange.request.value, ids, verbs))[:_MAX_NAME_LENGTH]
        groups.setdefault((name or "send", isinstance(exchange.request.value, str)), []).append(exchange)
    tools: dict[str, dict[str, Any]] = {}
    for (named, _), group in groups.items():
        name = _unique_name(named, tools)
        tools[name] = _draft_tool(name, group, ids, variables)
    return list(tools.values())


def _unique_name(name: str, taken: Collection[str]) -> str:
    return _unique_name(f"{name}_", taken) if name in taken else name


def escape_template(text: str, variables: Collection[str]) -> str:
    """A text as it stands in a template, where nothing in it is to be filled in but known variables."""
    named = {found[1] for found in VARIABLE.finditer(text)} | (
        {whole[1]} if (whole := WHOLE_STRING_VARIABLE.match(text)) else set()
    )
    if named and named <= set(variables) and not _TEMPLATE_SYNTAX.search(VARIABLE.sub("", text)):
        return text
    if not WHOLE_STRING_VARIABLE.match(text) and not _TEMPLATE_SYNTAX.search(text):
        return text
    broken = re.sub(r"\$(?=[{A-Za-z_])|UTCP(?=_ARG_)", lambda found: f"{found[0]}\0", text)
    parts = (literal(part) for part in broken.split("\0"))
    return "{{ " + " ~ ".join(parts) + " }}"


def _verb_keys(values: Sequence[Any], ids: CorrelationIds | None) -> frozenset[str]:
    """The keys that say what a message does where no value says it, as `put` or `subscribe`: each kind has its own."""
    of_id = {ids.sent[0]} if ids is not None else set()
    kinds = {frozenset(value) - of_id for value in values if isinstance(value, dict) and message_kind(value) is None}
    if len(kinds) < 2:
        return frozenset()
    own = [kind - frozenset.intersection(*kinds) for kind in kinds]
    verbs = frozenset[str]().union(*own)
    return verbs if all(own) and len(verbs) == sum(map(len, own)) else frozenset()


def _tool_name(value: Any, ids: CorrelationIds | None, verbs: Collection[str]) -> str:
    """The name of a tool that sends such a message."""
    if isinstance(value, str) and (word := _WORD.search(value)):
        return word[0].lower()
    named = _message_action(value, ids)
    if named is None:
        return next((key for key in value if key in verbs), "send") if isinstance(value, dict) else "send"
    word = _WORD.search(named[1]) if isinstance(value, list) else None
    return word[0] if word else str(named[1])


def _message_action(value: Any, ids: CorrelationIds | None) -> tuple[Path, Any] | None:
    """Where a message says what it does, and what it says there."""
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
        "description": f"Send {name[:60]!r}. Say here what it does, and what it gives.",
        "inputs": schema,
        "tool_call_template": template,
    }


def _text_template(values: Sequence[str], schema: dict[str, Any], variables: Collection[str]) -> str:
    """A text message: its first word stays, the rest is an argument unless a variable stands in it."""
    head, gap, rest = re.match(r"(\W*\w*)(\s*)(.*)", values[0], re.DOTALL).groups()  # type: ignore[union-attr]  # it matches any text
    if not rest or (len(set(values)) == 1 and _names_variable(values[0], variables)):
        return escape_template(values[0], variables)
    schema["properties"]["text"] = {"type": "string"}
    schema["required"] = ["text"]
    return escape_template(head + gap, ()) + "{{ args.text }}"


def _json_template(
    values: Sequence[Any], schema: dict[str, Any], ids: CorrelationIds | None, variables: Collection[str]
) -> Any:
    """A JSON message: ids are made, values that may differ become arguments."""
    holes: dict[Path, str] = {}
    names: set[str] = set()
    named = _message_action(values[0], ids)
    for path in dict.fromkeys(path for value in values for path, _ in leaves(value)):
        found = [item for value in values if (item := value_at(value, path)) is not UNDEFINED]
        if ids is not None and path == ids.sent:
            holes[path] = REQUEST_ID
        elif named and path == named[0] and all(item == named[1] for item in found) and _WORD.fullmatch(str(named[1])):
            continue
        elif _is_argument(path, found, len(values), variables):
            name = _argument_name(path, names)
            names.add(name)
            holes[path] = f"{{{{ args.{name} }}}}"
            schema["properties"][name] = _infer_type(found)
            if len(found) == len(values):
                schema.setdefault("required", []).append(name)
    fullest = max(values, key=lambda value: len(list(leaves(value))))
    return _insert_placeholders(_merge_fields(fullest, values), holes, (), variables)


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
    """Whether a known variable stands in a text."""
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
    """The fullest message with what others hold beside it."""
    if not isinstance(fullest, dict):
        return fullest
    united = dict(fullest)
    for value in values:
        for key, item in value.items() if isinstance(value, dict) else ():
            united[key] = _merge_fields(united[key], [item]) if key in united else item
    return united


def _insert_placeholders(value: Any, placeholders: dict[Path, str], path: Path, variables: Collection[str]) -> Any:
    if path in placeholders:
        return placeholders[path]
    if isinstance(value, dict):
        return {key: _insert_placeholders(item, placeholders, (*path, key), variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_insert_placeholders(item, placeholders, (*path, index), variables) for index, item in enumerate(value)]
    return escape_template(value, variables) if isinstance(value, str) else value


def _infer_stream(group: Sequence[RecordedExchange]) -> dict[str, Any] | None:
    """Where several messages answered a request: how they end, if the last one is of another kind."""
    longest = max((exchange.replies for exchange in group), key=len)
    if len(longest) < 2:
        return None
    last, others = kind_predicate(longest[-1].value), {kind_predicate(reply.value) for reply in longest[:-1]}
    ends = {"until": last} if message_kind(longest[-1].value) and last not in others else {}
    return {"$comment": "Several messages answered.", **ends, "max_seconds": 10}
