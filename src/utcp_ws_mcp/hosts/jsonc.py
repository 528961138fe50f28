"""Change one entry in JSON with comments, and nothing else of the text.

Written by hand, because the comments, the order and the white space of a user's file must be preserved, which no JSON
library does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from ..errors import InstallError
from ..records import Record, field

_WHITESPACE_AND_COMMENTS: Final = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_SCALAR: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|[^\s{}\[\],:"/]+')
_REST_OF_LINE: Final = re.compile(r"[ \t]*(?://[^\r\n]*|/\*[^\n]*?\*/[ \t]*(?=\r?\n))?")
_INDENT: Final = re.compile(r'^([ \t]+)["}]', re.MULTILINE)


class JsonNode(Record):
    """A value of a text at `text[start:end]`. An object has members, each with the position where its key begins."""

    value: Any
    start: int
    end: int
    members: Mapping[str, tuple[int, JsonNode]] = field(default_factory=dict)


def entries(text: str, servers_key: str) -> dict[str, str]:
    """Return the text of each entry below a key of the root object.

    Raises:
        InstallError: If the text is not valid. The message begins with line and column.
    """
    found = _find_servers(text, _parse(text or "{}"), servers_key)
    return {name: text[node.start : node.end] for name, (_, node) in found.members.items()} if found else {}


def secrets(text: str) -> set[str]:
    """Return the strings below `env` and `headers`, as JSON writes them, which a diff must hide."""
    found: set[str] = set()

    def search(value: Any, inside: bool) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                search(item, inside or key in ("env", "headers"))
        elif isinstance(value, list):
            for item in value:
                search(item, inside)
        elif isinstance(value, str) and inside:
            found.update((json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]))

    search(_parse(text or "{}").value, False)
    return found - {""}


def set_entry(text: str, servers_key: str, name: str, entry: Mapping[str, Any]) -> str:
    """Return the text with an entry, added after the others or in place of one with its name.

    Raises:
        InstallError: As `entries` does.
    """
    text = text or "{}\n"
    root = _parse(text)
    servers = _find_servers(text, root, servers_key)
    if servers is None:
        return _insert_member(text, root, servers_key, {name: entry})
    if name not in servers.members:
        return _insert_member(text, servers, name, entry)
    start, old = servers.members[name]
    return text[: old.start] + _render(text, entry, _indent_at(text, start)) + text[old.end :]


def remove_entry(text: str, servers_key: str, name: str) -> str:
    """Return the text without an entry, which must exist."""
    servers = _find_servers(text, _parse(text), servers_key)
    assert servers is not None
    key, node = servers.members[name]
    names = list(servers.members)
    number = names.index(name)
    start, comma = _line_start(text, key), _after_comma(text, node.end)
    left, right = text[:start], text[comma or node.end :]
    if comma is None and number:
        before = _after_comma(text, servers.members[names[number - 1]][1].end)
        assert before is not None
        left = text[: before - 1] + text[before:start]
    inside = left[servers.start + 1 :] + right[: servers.end - 1 - (comma or node.end)]
    if len(names) == 1 and not inside.strip():
        return text[: servers.start + 1] + text[servers.end - 1 :]
    return left + right


def _insert_member(text: str, node: JsonNode, key: str, value: Any) -> str:
    """Return the text with a member after the last one."""
    return _append_member(text, node, key, value) if node.members else _insert_first_member(text, node, key, value)


def _insert_first_member(text: str, node: JsonNode, key: str, value: Any) -> str:
    """Return the text with the first member of an object."""
    newline = _newline(text)
    outer = _indent_at(text, node.start)
    inner = outer + _indent_unit(text)
    member = f"{newline}{inner}{json.dumps(key)}: {_render(text, value, inner)}"
    inside = text[node.start + 1 : node.end - 1]
    return text[: node.start + 1] + member + (inside if inside.strip() else newline + outer) + text[node.end - 1 :]


def _append_member(text: str, node: JsonNode, key: str, value: Any) -> str:
    """Return the text with a member after the last one, whose comment stays on its line."""
    start, last = list(node.members.values())[-1]
    comma = _after_comma(text, last.end)
    after = comma or last.end
    place, lead, shown = after, " ", json.dumps(value, ensure_ascii=False)
    if _starts_line(text, start):
        rest_of_line = _REST_OF_LINE.match(text, after)
        assert rest_of_line is not None
        inner = _indent_at(text, start)
        place, lead, shown = rest_of_line.end(), _newline(text) + inner, _render(text, value, inner)
    before, behind = ("", ",") if comma else (",", "")
    return f"{text[:after]}{before}{text[after:place]}{lead}{json.dumps(key)}: {shown}{behind}{text[place:]}"


def _render(text: str, value: Any, indent: str) -> str:
    return json.dumps(value, indent=_indent_unit(text), ensure_ascii=False).replace("\n", _newline(text) + indent)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _indent_unit(text: str) -> str:
    """Return the indentation of one level."""
    found = _INDENT.search(text)
    return found[1] if found else "  "


def _indent_at(text: str, position: int) -> str:
    line = text[text.rfind("\n", 0, position) + 1 : position]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _starts_line(text: str, position: int) -> bool:
    return "\n" in text[:position] and not text[text.rfind("\n", 0, position) : position].strip()


def _line_start(text: str, position: int) -> int:
    """Return where the white space before a position begins, including the line break."""
    while position and text[position - 1] in " \t":
        position -= 1
    if position and text[position - 1] == "\n":
        position -= 2 if text[position - 2 : position] == "\r\n" else 1
    return position


def _after_comma(text: str, position: int) -> int | None:
    """Return the position after the comma that follows a position, or None if none follows."""
    at = _skip_whitespace(text, position)
    return at + 1 if text[at : at + 1] == "," else None


def _find_servers(text: str, root: JsonNode, servers_key: str) -> JsonNode | None:
    if not isinstance(root.value, dict):
        raise _syntax_error(text, root.start, "expected an object.")
    if servers_key not in root.members:
        return None
    _, found = root.members[servers_key]
    if not isinstance(found.value, dict):
        raise _syntax_error(text, found.start, f"expected an object under {servers_key!r}.")
    return found


def _parse(text: str) -> JsonNode:
    """Return the root value of the text."""
    try:
        node = _parse_value(text, _skip_whitespace(text, 1 if text.startswith("\ufeff") else 0))
    except RecursionError:
        raise InstallError("the file is nested too deeply.") from None
    end = _skip_whitespace(text, node.end)
    if end < len(text):
        raise _syntax_error(text, end, "the document ends before this position.")
    return node


def _parse_value(text: str, at: int) -> JsonNode:
    first = text[at : at + 1]
    if first == "{":
        return _parse_object(text, at)
    if first == "[":
        return _parse_array(text, at)
    found = _SCALAR.match(text, at)
    try:
        return JsonNode(json.loads(found[0]), at, found.end()) if found else _missing_value(text, at)
    except ValueError:
        raise _syntax_error(text, at, "invalid JSON.") from None


def _missing_value(text: str, at: int) -> JsonNode:
    raise _syntax_error(text, at, "expected a value.")


def _parse_object(text: str, start: int) -> JsonNode:
    members: dict[str, tuple[int, JsonNode]] = {}
    at = _skip_whitespace(text, start + 1)
    while text[at : at + 1] != "}":
        key = _parse_value(text, at)
        if not isinstance(key.value, str) or key.value in members:
            message = "this key appears twice." if key.value in members else "expected a key."
            raise _syntax_error(text, at, message)
        colon = _skip_whitespace(text, key.end)
        if text[colon : colon + 1] != ":":
            raise _syntax_error(text, colon, "expected a colon.")
        node = _parse_value(text, _skip_whitespace(text, colon + 1))
        members[key.value] = (at, node)
        at = _next_member(text, node.end, "}")
    return JsonNode({key: node.value for key, (_, node) in members.items()}, start, at + 1, members)


def _parse_array(text: str, start: int) -> JsonNode:
    items = []
    at = _skip_whitespace(text, start + 1)
    while text[at : at + 1] != "]":
        items.append(_parse_value(text, at))
        at = _next_member(text, items[-1].end, "]")
    return JsonNode([item.value for item in items], start, at + 1)


def _next_member(text: str, at: int, closing: str) -> int:
    """Return the position of the next member or of the closing mark; a comma before that mark is allowed."""
    at = _skip_whitespace(text, at)
    if text[at : at + 1] == ",":
        return _skip_whitespace(text, at + 1)
    if text[at : at + 1] == closing:
        return at
    raise _syntax_error(text, at, f"expected a comma or {closing!r}.")


def _skip_whitespace(text: str, at: int) -> int:
    found = _WHITESPACE_AND_COMMENTS.match(text, at)
    assert found is not None
    return found.end()


def _syntax_error(text: str, at: int, message: str) -> InstallError:
    line = text.count("\n", 0, at) + 1
    return InstallError(f"line {line}, column {at - text.rfind(chr(10), 0, at)}: {message}")
