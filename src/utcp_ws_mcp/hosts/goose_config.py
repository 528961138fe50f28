"""Change one extension in Goose's YAML file, and nothing else of its text.

ruamel.yaml parses the file and gives the line of each key; the lines of the entry are then replaced in the text. The
round trip of ruamel.yaml is not used, because it rewrites line ends, indentation and nulls in the rest of the file. A
deep link (`goose://extension?…`) is no alternative: it needs the desktop application, shows no change before it is
made, and has no counterpart that removes an extension.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..errors import InstallError

_EMPTY_VALUE: Final = re.compile(r":\s*(?:\{\s*\}|null|~)(?=\s|$)")


def entries(text: str, servers_key: str) -> dict[str, str]:
    """Return the text of each entry below a top-level key.

    Args:
        text: The content of the file.
        servers_key: The key whose mapping has an entry for each server.

    Raises:
        InstallError: If the text is not YAML of the expected form. The message begins with the line.
    """
    lines = text.splitlines(keepends=True)
    return {name: "".join(lines[first:end]) for name, (first, end) in _entry_lines(text, servers_key).items()}


def secrets(text: str) -> set[str]:
    """Return the texts to hide in a diff: none, because it contains only lines of the entry itself."""
    del text
    return set()


def set_entry(text: str, servers_key: str, name: str, entry: Mapping[str, Any]) -> str:
    """Return the text with an entry, added after the others or in place of one with its name.

    Raises:
        InstallError: As `entries` does.
    """
    found = _entry_lines(text, servers_key)
    newline = newline_of(text)
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += newline
    if found:
        first, end = found.get(name, (list(found.values())[-1][1],) * 2)
        indent = indent_of(lines[next(iter(found.values()))[0]])
        after = [*lines[:first], *_render(name, entry, indent, newline), *lines[end:]]
    elif servers_key in (document := parse(text)):
        key_line = document.lc.key(servers_key)[0]
        head = _EMPTY_VALUE.sub(":", lines[key_line], count=1)
        after = [*lines[:key_line], head, *_render(name, entry, "  ", newline), *lines[key_line + 1 :]]
    else:
        after = [*lines, f"{servers_key}:{newline}", *_render(name, entry, "  ", newline)]
    changed = "".join(after)
    _require_only_change(text, changed, servers_key, name, dict(entry))
    return changed


def remove_entry(text: str, servers_key: str, name: str) -> str:
    """Return the text without an entry, which must exist."""
    found = _entry_lines(text, servers_key)
    first, end = found[name]
    lines = text.splitlines(keepends=True)
    if len(found) == 1:  # a key without a value would be null, which Goose does not read as "no extensions"
        key_line = parse(text).lc.key(servers_key)[0]
        lines[key_line] = lines[key_line].replace(":", ": {}", 1)
    changed = "".join([*lines[:first], *lines[end:]])
    _require_only_change(text, changed, servers_key, name, None)
    return changed


def _entry_lines(text: str, servers_key: str) -> dict[str, tuple[int, int]]:
    """Return the first line of each entry and the line after its last one, counted from 0."""
    document = parse(text)
    servers = document.get(servers_key)
    if not servers:
        return {}
    key_line = document.lc.key(servers_key)[0]
    if not hasattr(servers, "fa") or isinstance(servers, list) or servers.fa.flow_style():
        raise InstallError(f"line {key_line + 1}: expected one extension below the other under {servers_key!r}.")
    lines = text.splitlines()
    firsts = [servers.lc.key(name)[0] for name in servers]
    next_keys = [line for key in document if (line := document.lc.key(key)[0]) > key_line]
    ends = [*firsts[1:], min(next_keys, default=len(lines))]
    spans = ((first, content_end(lines, first, end)) for first, end in zip(firsts, ends, strict=True))
    return dict(zip(map(str, servers), spans, strict=True))


def content_end(lines: Sequence[str], first: int, end: int) -> int:
    """Return the end of an entry without the comments and empty lines after it, which belong to what follows."""
    while end > first + 1 and re.match(r"\s*(?:#.*)?$", lines[end - 1]):
        end -= 1
    return end


def parse(text: str) -> Any:
    """Return the document as a mapping of ruamel.yaml, which knows the positions of its keys."""
    from ruamel.yaml import YAML  # here, because only `install goose` needs it
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML().load(text)
    except YAMLError as failed:
        mark = getattr(failed, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = str(getattr(failed, "problem", None) or type(failed).__name__)
        problem = problem.partition(" with value ")[0]  # a value could be a secret
        raise InstallError(f"{line}invalid YAML: {problem}.") from None
    if document is None:
        return CommentedMap()
    if not isinstance(document, CommentedMap):
        raise InstallError("line 1: expected keys and values.")
    return document


def _require_only_change(before: str, after: str, servers_key: str, name: str, entry: dict[str, Any] | None) -> None:
    """Raise InstallError unless the change of the text is exactly the change of the document."""
    expected, actual = parse(before), parse(after)
    others = {key: value for key, value in (expected.pop(servers_key, None) or {}).items() if key != name}
    servers = actual.pop(servers_key, None) or {}
    if actual != expected or dict(servers) != others | ({} if entry is None else {name: entry}):
        raise InstallError(f"line 1: the form of {servers_key!r} is not supported.")


def newline_of(text: str) -> str:
    """Return the line break of a text."""
    return "\r\n" if "\r\n" in text else "\n"


def indent_of(line: str) -> str:
    """Return the blanks at the beginning of a line."""
    return line[: len(line) - len(line.lstrip(" "))]


def _render(name: str, entry: Mapping[str, Any], indent: str, newline: str) -> list[str]:
    """Return the lines of an entry. JSON values are valid YAML."""
    values = (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items())
    return [f"{indent}{name}:{newline}", *(f"{indent * 2}{value}{newline}" for value in values)]
