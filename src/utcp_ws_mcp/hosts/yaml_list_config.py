"""Change one entry in a list of a YAML file, whose items have a `name`, and nothing else of its text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ..errors import InstallError
from .goose_config import content_end, indent_of, newline_of, parse

NEW_FILE: Final = "name: Local configuration\nversion: 1.0.0\nschema: v1\n"
"""What Continue requires of a file, before its servers."""


def entries(text: str, servers_key: str) -> dict[str, str]:
    """Return the text of each entry below a top-level key.

    Raises:
        InstallError: If the text is not YAML of the expected form. The message begins with the line.
    """
    lines = text.splitlines(keepends=True)
    return {name: "".join(lines[first:end]) for name, (first, end) in _item_lines(text, servers_key).items()}


def secrets(text: str) -> set[str]:
    """Return the texts to hide in a diff: none, because it contains only lines of the entry itself."""
    del text
    return set()


def set_entry(text: str, servers_key: str, name: str, entry: Mapping[str, Any]) -> str:
    """Return the text with an entry, added after the others or in place of one with its name.

    Raises:
        InstallError: As `entries` does.
    """
    text = text or NEW_FILE
    found, newline = _item_lines(text, servers_key), newline_of(text)
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += newline
    if found:
        first, end = found.get(name, (list(found.values())[-1][1],) * 2)
        indent = indent_of(lines[next(iter(found.values()))[0]])
        after = [*lines[:first], *_render(entry, indent, newline), *lines[end:]]
    elif servers_key in (document := parse(text)):
        key_line = document.lc.key(servers_key)[0]
        after = [*lines[:key_line], f"{servers_key}:{newline}", *_render(entry, "  ", newline), *lines[key_line + 1 :]]
    else:
        after = [*lines, f"{servers_key}:{newline}", *_render(entry, "  ", newline)]
    return _checked(text, "".join(after), servers_key, name, dict(entry))


def remove_entry(text: str, servers_key: str, name: str) -> str:
    """Return the text without an entry, which must exist."""
    found = _item_lines(text, servers_key)
    first, end = found[name]
    lines = text.splitlines(keepends=True)
    if len(found) == 1:
        key_line = parse(text).lc.key(servers_key)[0]
        lines[key_line] = lines[key_line].replace(":", ": []", 1)
    return _checked(text, "".join([*lines[:first], *lines[end:]]), servers_key, name, None)


def _item_lines(text: str, servers_key: str) -> dict[str, tuple[int, int]]:
    """Return the first line of each item and the line after its last one, counted from 0."""
    document = parse(text)
    servers = document.get(servers_key)
    if not servers:
        return {}
    key_line = document.lc.key(servers_key)[0]
    named = isinstance(servers, list) and all(isinstance(item, dict) and "name" in item for item in servers)
    if not named or servers.fa.flow_style() or servers.lc.item(0)[0] == key_line:
        raise InstallError(f"line {key_line + 1}: expected a list of servers with names under {servers_key!r}.")
    lines = text.splitlines()
    firsts = [servers.lc.item(at)[0] for at in range(len(servers))]
    next_keys = [line for key in document if (line := document.lc.key(key)[0]) > key_line]
    ends = [*firsts[1:], min(next_keys, default=len(lines))]
    spans = ((first, content_end(lines, first, end)) for first, end in zip(firsts, ends, strict=True))
    return dict(zip((str(item["name"]) for item in servers), spans, strict=True))


def _render(entry: Mapping[str, Any], indent: str, newline: str) -> list[str]:
    """Return the lines of an item. JSON values are valid YAML."""
    values = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items()]
    return [f"{indent}{'- ' if not at else '  '}{value}{newline}" for at, value in enumerate(values)]


def _checked(before: str, after: str, servers_key: str, name: str, entry: dict[str, Any] | None) -> str:
    """Return the changed text.

    Raises:
        InstallError: If the change of the text is more than the change of the entry.
    """
    expected, actual = parse(before), parse(after)
    others = [item for item in expected.pop(servers_key, None) or [] if item["name"] != name]
    servers = actual.pop(servers_key, None) or []
    kept = [item for item in servers if item["name"] != name]
    own = [dict(item) for item in servers if item["name"] == name]
    if actual != expected or kept != others or own != ([] if entry is None else [entry]):
        raise InstallError(f"line 1: the form of {servers_key!r} is not supported.")
    return after
