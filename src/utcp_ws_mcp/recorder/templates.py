"""Draft templates from sent messages: what is the same in all becomes the message, what differs becomes arguments."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Final

from ..core.expressions.paths import UNDEFINED, Path, value_at
from ..manifest.variables import VARIABLE, WHOLE_STRING_VARIABLE
from .messages import KIND_KEYS, leaves, literal, message_kind

CONSTANT_KEYS: Final = (*KIND_KEYS, "jsonrpc", "version", "v")
"""Keys at the root of a message whose value is no argument, unless it differs between messages."""

_TEMPLATE_SYNTAX = re.compile(r"\{\{|\$\{|UTCP_ARG_")
_NAME = re.compile(r"[A-Za-z0-9_.:/-]+")
WORD = re.compile(r"[A-Za-z0-9_]+")

REQUEST_ID: Final = "{{ request_id }}"


def escape_template(text: str, variables: Collection[str]) -> str:
    """Return a text as a template in which only known variables are replaced."""
    names = _variable_names(text)
    if names and names <= set(variables) and not _TEMPLATE_SYNTAX.search(VARIABLE.sub("", text)):
        return text
    if not WHOLE_STRING_VARIABLE.match(text) and not _TEMPLATE_SYNTAX.search(text):
        return text
    # Two literals are joined within each mark of the template syntax, so that the text contains none.
    split_marks = re.sub(r"\$(?=[{A-Za-z_])|UTCP(?=_ARG_)", lambda found: f"{found[0]}\0", text)
    parts = (literal(part) for part in split_marks.split("\0"))
    return "{{ " + " ~ ".join(parts) + " }}"


def _variable_names(text: str) -> set[str]:
    """Return the names that stand in a text in the form of variables, known or not."""
    whole = WHOLE_STRING_VARIABLE.match(text)
    return {found[1] for found in VARIABLE.finditer(text)} | ({whole[1]} if whole else set())


def message_action(value: Any, id_path: Path | None) -> tuple[Path, Any] | None:
    """Return the path and the value of the action of a message, or None."""
    if not isinstance(value, list):
        return message_kind(value)
    skipped = id_path[0] if id_path else None
    words = ((index, item) for index, item in enumerate(value) if isinstance(item, str) and WORD.search(item))
    return next((((index,), item) for index, item in words if index != skipped), None)


def text_template(values: Sequence[str], schema: dict[str, Any], variables: Collection[str]) -> str:
    """Return the template of a text message: the first word is constant, the rest is an argument or has a variable."""
    head, gap, rest = re.match(r"(\W*\w*)(\s*)(.*)", values[0], re.DOTALL).groups()  # type: ignore[union-attr]  # it matches any text
    ends = {re.search(r"[\r\n\0]*\Z", value)[0] for value in values}  # type: ignore[index]  # it matches any text
    end = ends.pop() if len(ends) == 1 else ""
    rest = rest.removesuffix(end)
    if not rest or (len(set(values)) == 1 and _names_variable(values[0], variables)):
        return escape_template(values[0], variables)
    schema["properties"]["text"] = {"type": "string"}
    schema["required"] = ["text"]
    return escape_template(head + gap, ()) + "{{ args.text }}" + escape_template(end, ())


def json_template(
    values: Sequence[Any],
    schema: dict[str, Any],
    id_path: Path | None,
    variables: Collection[str],
    arguments: dict[Path, str],
) -> Any:
    """Return the template of a JSON message: IDs are generated, values that can differ become arguments.

    The names of the arguments are added to `arguments`, by their path.
    """
    placeholders: dict[Path, str] = {}
    names: set[str] = set()
    action = message_action(values[0], id_path)
    for path in _argument_paths(values):
        found = [item for value in values if (item := value_at(value, path)) is not UNDEFINED]
        if path == id_path:
            placeholders[path] = REQUEST_ID
        elif (
            action
            and path == action[0]
            and all(item == action[1] for item in found)
            and _NAME.fullmatch(str(action[1]))
        ):
            continue
        elif _is_argument(path, found, len(values), variables):
            name = _argument_name(path, names)
            names.add(name)
            arguments[path] = name
            placeholders[path] = f"{{{{ args.{name} }}}}"
            schema["properties"][name] = infer_type(found)
            if len(found) == len(values):
                schema.setdefault("required", []).append(name)
    fullest = max(values, key=lambda value: len(list(leaves(value))))
    return _insert_placeholders(_merge_fields(fullest, values), placeholders, (), variables)


def _argument_paths(values: Sequence[Any]) -> list[Path]:
    """Return the paths of what can differ, none within another one.

    An object that is empty in some messages is its members; one that is a text in others is a value as a whole.
    """
    paths = dict.fromkeys(path for value in values for path, _ in leaves(value))
    holders = {path[:length] for path in paths for length in range(len(path))}
    whole = {path for path in holders & paths.keys() if any(_is_value(value_at(value, path)) for value in values)}
    inside = {path for path in paths if any(path[:length] in whole for length in range(len(path)))}
    return [path for path in paths if path not in inside and (path not in holders or path in whole)]


def _is_value(found: Any) -> bool:
    return found is not UNDEFINED and not isinstance(found, dict)


def _is_argument(path: Path, found: Sequence[Any], messages: int, variables: Collection[str]) -> bool:
    if not path or path == (0,):
        return False
    if any(isinstance(item, str) and _names_variable(item, variables) for item in found):
        return False
    same = len(found) == messages and all(item == found[0] for item in found)
    if same and (messages > 1 or (len(path) == 1 and path[0] in CONSTANT_KEYS)):
        return False
    return any(item not in ({}, []) for item in found)


def bytes_template(values: Sequence[bytes], schema: dict[str, Any]) -> str:
    """Return the template of a binary message: the same bytes each time, or an argument in hexadecimal."""
    if len(set(values)) == 1:
        return f"{{{{ '{values[0].hex()}' | unhex }}}}"
    schema["properties"]["data"] = {"type": "string", "description": "Bytes in hexadecimal.", "pattern": "^[0-9a-f ]*$"}
    schema["required"] = ["data"]
    return "{{ args.data | unhex }}"


def _names_variable(text: str, variables: Collection[str]) -> bool:
    """Return whether a text contains a known variable."""
    return bool(_variable_names(text)) and escape_template(text, variables) == text


def _argument_name(path: Path, taken: Collection[str]) -> str:
    words = ["_".join(WORD.findall(str(step))) or "value" for step in path]
    words = [f"item_{word}" if word[0].isdigit() else word for word in words]
    for count in range(1, len(words) + 1):
        if (name := "_".join(words[-count:])) not in taken:
            return name
    number = next(number for number in range(2, len(taken) + 3) if f"{words[-1]}_{number}" not in taken)
    return f"{words[-1]}_{number}"


def infer_type(found: Sequence[Any]) -> dict[str, Any]:
    """Return the schema of the values of an argument."""
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
