"""JSON with comments: put an entry into an object of a text, or take it out, and touch nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..errors import InstallError

_WHITESPACE_AND_COMMENTS: Final = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_SCALAR: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|[^\s{}\[\],:"/]+')
_REST_OF_LINE: Final = re.compile(r"[ \t]*(?://[^\r\n]*|/\*[^\n]*?\*/[ \t]*(?=\r?\n))?")
_INDENT: Final = re.compile(r'^([ \t]+)["}]', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class JsonNode:
    """A value of a text: `text[start:end]`. An object has members, each with the place where its key begins."""

    value: Any
    start: int
    end: int
    members: Mapping[str, tuple[int, JsonNode]] = field(default_factory=dict)


def entries(text: str, servers: str) -> dict[str, str]:
    """The text of each entry below the key `servers`.

    Raises:
        InstallError: if the text is not what it should be; the sentence begins with line and column.
    """
    found = _find_servers(text, _parse(text or "{}"), servers)
    return {name: text[node.start : node.end] for name, (_, node) in found.members.items()} if found else {}


def secrets(text: str) -> set[str]:
    """The strings below `env` and `headers`, as the text has them: they are not to be shown."""
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


def set_entry(text: str, servers: str, name: str, entry: Mapping[str, Any]) -> str:
    """The text with the entry below `servers`, new or in place of one of its name.

    Raises:
        InstallError: as `entries` does.
    """
    text = text or "{}\n"
    root = _parse(text)
    around = _find_servers(text, root, servers)
    if around is None:
        return _insert_member(text, root, servers, {name: entry})
    if name not in around.members:
        return _insert_member(text, around, name, entry)
    start, old = around.members[name]
    return text[: old.start] + _render(text, entry, _indent_at(text, start)) + text[old.end :]


def remove_entry(text: str, servers: str, name: str) -> str:
    """The text without the entry, which must be there."""
    around = _find_servers(text, _parse(text), servers)
    assert around is not None
    key, node = around.members[name]
    names = list(around.members)
    number = names.index(name)
    start, comma = _line_start(text, key), _after_comma(text, node.end)
    left, right = text[:start], text[comma or node.end :]
    if comma is None and number:
        before = _after_comma(text, around.members[names[number - 1]][1].end)
        assert before is not None
        left = text[: before - 1] + text[before:start]
    inside = left[around.start + 1 :] + right[: around.end - 1 - (comma or node.end)]
    if len(names) == 1 and not inside.strip():
        return text[: around.start + 1] + text[around.end - 1 :]
    return left + right


def _insert_member(text: str, node: JsonNode, key: str, value: Any) -> str:
    """The text with a member more, behind the last one."""
    return _append_member(text, node, key, value) if node.members else _insert_first_member(text, node, key, value)


def _insert_first_member(text: str, node: JsonNode, key: str, value: Any) -> str:
    """The text with the first member of an object."""
    newline = _newline(text)
    outer = _indent_at(text, node.start)
    inner = outer + _indent_unit(text)
    member = f"{newline}{inner}{json.dumps(key)}: {_render(text, value, inner)}"
    inside = text[node.start + 1 : node.end - 1]
    return text[: node.start + 1] + member + (inside if inside.strip() else newline + outer) + text[node.end - 1 :]


def _append_member(text: str, node: JsonNode, key: str, value: Any) -> str:
    """The text with a member behind the last one, which keeps the comment on its line."""
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
    """What one level is indented by."""
    found = _INDENT.search(text)
    return found[1] if found else "  "


def _indent_at(text: str, position: int) -> str:
    line = text[text.rfind("\n", 0, position) + 1 : position]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _starts_line(text: str, position: int) -> bool:
    return "\n" in text[:position] and not text[text.rfind("\n", 0, position) : position].strip()


def _line_start(text: str, position: int) -> int:
    """Where the white space in front of a place begins, with the line break."""
    while position and text[position - 1] in " \t":
        position -= 1
    if position and text[position - 1] == "\n":
        position -= 2 if text[position - 2 : position] == "\r\n" else 1
    return position


def _after_comma(text: str, position: int) -> int | None:
    """Where the text goes on behind the comma that follows a place; None if none follows."""
    at = _skip_whitespace(text, position)
    return at + 1 if text[at : at + 1] == "," else None


def _find_servers(text: str, root: JsonNode, servers: str) -> JsonNode | None:
    if not isinstance(root.value, dict):
        raise _syntax_error(text, root.start, "expected an object")
    if servers not in root.members:
        return None
    _, found = root.members[servers]
    if not isinstance(found.value, dict):
        raise _syntax_error(text, found.start, f"expected an object under {servers!r}")
    return found


def _parse(text: str) -> JsonNode:
    """The whole text as nodes."""
    try:
        node = _parse_value(text, _skip_whitespace(text, 1 if text.startswith("\ufeff") else 0))
    except RecursionError:
        raise InstallError("it is nested too deeply") from None
    end = _skip_whitespace(text, node.end)
    if end < len(text):
        raise _syntax_error(text, end, "the document has ended before this")
    return node


def _parse_value(text: str, at: int) -> JsonNode:
    mark = text[at : at + 1]
    if mark == "{":
        return _parse_object(text, at)
    if mark == "[":
        return _parse_array(text, at)
    found = _SCALAR.match(text, at)
    try:
        return JsonNode(json.loads(found[0]), at, found.end()) if found else _missing_value(text, at)
    except ValueError:
        raise _syntax_error(text, at, "it is no JSON from here on") from None


def _missing_value(text: str, at: int) -> JsonNode:
    raise _syntax_error(text, at, "expected a value")


def _parse_object(text: str, start: int) -> JsonNode:
    members: dict[str, tuple[int, JsonNode]] = {}
    at = _skip_whitespace(text, start + 1)
    while text[at : at + 1] != "}":
        key = _parse_value(text, at)
        if not isinstance(key.value, str) or key.value in members:
            why = "a key stands here for the second time" if key.value in members else "expected a key"
            raise _syntax_error(text, at, why)
        colon = _skip_whitespace(text, key.end)
        if text[colon : colon + 1] != ":":
            raise _syntax_error(text, colon, "expected a colon")
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
    """Where the next member is, or the closing mark; a comma in front of that is allowed."""
    at = _skip_whitespace(text, at)
    if text[at : at + 1] == ",":
        return _skip_whitespace(text, at + 1)
    if text[at : at + 1] == closing:
        return at
    raise _syntax_error(text, at, f"expected a comma or {closing!r}")


def _skip_whitespace(text: str, at: int) -> int:
    found = _WHITESPACE_AND_COMMENTS.match(text, at)
    assert found is not None
    return found.end()


def _syntax_error(text: str, at: int, message: str) -> InstallError:
    line = text.count("\n", 0, at) + 1
    return InstallError(f"line {line}, column {at - text.rfind(chr(10), 0, at)}: {message}")
