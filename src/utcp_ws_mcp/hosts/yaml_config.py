"""Change one server in a YAML file of a host, and nothing else of its text.

ruamel.yaml parses the file and gives the line of each key; the lines of the entry are then replaced in the text. The
round trip of ruamel.yaml is not used, because it rewrites line ends, indentation and nulls in the rest of the file. For
Goose, a deep link (`goose://extension?…`) is no alternative: it needs the desktop application, shows no change before
it is made, and has no counterpart that removes an extension.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from ..errors import InstallError


class YamlFormat(ABC):
    """A file whose servers stand below one top-level key, one entry below the other.

    Attributes:
        empty: The value of the key without entries. Null would not be read as "no servers".
        new_file: What a new file begins with.
        expected: The form of the servers, for an error.
    """

    empty: ClassVar[str]
    new_file: ClassVar[str] = ""
    expected: ClassVar[str]

    def entries(self, text: str, servers_key: str) -> dict[str, str]:
        """Return the text of each entry below a top-level key.

        Args:
            text: The content of the file.
            servers_key: The key whose value has an entry for each server.

        Raises:
            InstallError: If the text is not YAML of the expected form. The message begins with the line.
        """
        lines = text.splitlines(keepends=True)
        return {name: "".join(lines[first:end]) for name, (first, end) in self._entry_lines(text, servers_key).items()}

    def secrets(self, text: str) -> set[str]:
        """Return the texts to hide in a diff: none, because it contains only lines of the entry itself."""
        del text
        return set()

    def set_entry(self, text: str, servers_key: str, name: str, entry: Mapping[str, Any]) -> str:
        """Return the text with an entry, added after the others or in place of one with its name.

        Raises:
            InstallError: As `entries` does.
        """
        text = text or self.new_file
        found, newline = self._entry_lines(text, servers_key), "\r\n" if "\r\n" in text else "\n"
        lines = text.splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += newline
        if found:
            first, end = found.get(name, (list(found.values())[-1][1],) * 2)
            indent = _indent_of(lines[next(iter(found.values()))[0]])
            after = [*lines[:first], *self._render(name, entry, indent, newline), *lines[end:]]
        elif servers_key in (document := _parse(text)):
            key_line = document.lc.key(servers_key)[0]
            head = re.sub(r":\s*(?:\{\s*\}|\[\s*\]|null|~)(?=\s|$)", ":", lines[key_line], count=1)
            after = [*lines[:key_line], head, *self._render(name, entry, "  ", newline), *lines[key_line + 1 :]]
        else:
            after = [*lines, f"{servers_key}:{newline}", *self._render(name, entry, "  ", newline)]
        return self._checked(text, "".join(after), servers_key, name, entry)

    def remove_entry(self, text: str, servers_key: str, name: str) -> str:
        """Return the text without an entry, which must exist."""
        found = self._entry_lines(text, servers_key)
        first, end = found[name]
        lines = text.splitlines(keepends=True)
        if len(found) == 1:
            key_line = _parse(text).lc.key(servers_key)[0]
            lines[key_line] = lines[key_line].replace(":", f": {self.empty}", 1)
        return self._checked(text, "".join([*lines[:first], *lines[end:]]), servers_key, name, None)

    def _entry_lines(self, text: str, servers_key: str) -> dict[str, tuple[int, int]]:
        """Return the first line of each entry and the line after its last one, counted from 0."""
        document = _parse(text)
        servers = document.get(servers_key)
        if not servers:
            return {}
        key_line = document.lc.key(servers_key)[0]
        firsts = None if not hasattr(servers, "fa") or servers.fa.flow_style() else self._first_lines(servers)
        if firsts is None:
            raise InstallError(f"line {key_line + 1}: expected {self.expected} under {servers_key!r}.")
        lines = text.splitlines()
        next_keys = [line for key in document if (line := document.lc.key(key)[0]) > key_line]
        ends = [*firsts[1:], min(next_keys, default=len(lines))]
        spans = ((first, _content_end(lines, end)) for first, end in zip(firsts, ends, strict=True))
        return dict(zip((str(name) for name, _ in self._named(servers)), spans, strict=True))

    def _checked(self, before: str, after: str, servers_key: str, name: str, entry: Mapping[str, Any] | None) -> str:
        """Return the changed text.

        Raises:
            InstallError: If the change of the text is more than the change of the entry.
        """
        expected, actual = _parse(before), _parse(after)
        others = [each for each in self._named(expected.pop(servers_key, None) or ()) if each[0] != name]
        servers = self._named(actual.pop(servers_key, None) or ())
        kept = [each for each in servers if each[0] != name]
        own = [dict(content) for key, content in servers if key == name]
        if actual != expected or kept != others or own != ([] if entry is None else [dict(entry)]):
            raise InstallError(f"line 1: the form of {servers_key!r} is not supported.")
        return after

    @abstractmethod
    def _first_lines(self, servers: Any) -> list[int] | None:
        """Return the first line of each entry, counted from 0; None if the servers have another form."""

    @abstractmethod
    def _named(self, servers: Any) -> list[tuple[str, Any]]:
        """Return the name and the content of each entry."""

    @abstractmethod
    def _render(self, name: str, entry: Mapping[str, Any], indent: str, newline: str) -> list[str]:
        """Return the lines of an entry."""


class YamlMapping(YamlFormat):
    """Servers by name, as in the file of Goose."""

    empty = "{}"
    expected = "one extension below the other"

    def _first_lines(self, servers: Any) -> list[int] | None:
        return [servers.lc.key(name)[0] for name in servers] if hasattr(servers, "items") else None

    def _named(self, servers: Any) -> list[tuple[str, Any]]:
        return list(servers.items()) if servers else []

    def _render(self, name: str, entry: Mapping[str, Any], indent: str, newline: str) -> list[str]:
        return [f"{indent}{name}:{newline}", *(f"{indent * 2}{line}{newline}" for line in _fields(entry))]


class YamlList(YamlFormat):
    """A list of servers that have a `name`, as in the files of Continue."""

    empty = "[]"
    new_file = "name: Local configuration\nversion: 1.0.0\nschema: v1\n"
    expected = "a list of servers with names"

    def _first_lines(self, servers: Any) -> list[int] | None:
        named = isinstance(servers, list) and all(isinstance(item, dict) and "name" in item for item in servers)
        return [servers.lc.item(index)[0] for index in range(len(servers))] if named else None

    def _named(self, servers: Any) -> list[tuple[str, Any]]:
        return [(item["name"], item) for item in servers]

    def _render(self, name: str, entry: Mapping[str, Any], indent: str, newline: str) -> list[str]:
        del name  # one of the fields
        return [f"{indent}{'  ' if at else '- '}{line}{newline}" for at, line in enumerate(_fields(entry))]


MAPPING: Final = YamlMapping()
LIST: Final = YamlList()


def _fields(entry: Mapping[str, Any]) -> list[str]:
    """Return the fields of an entry as YAML; JSON values are valid YAML."""
    return [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items()]


def _content_end(lines: Sequence[str], end: int) -> int:
    """Return the end of an entry without the comments and empty lines after it, which belong to what follows."""
    while re.match(r"\s*(?:#.*)?$", lines[end - 1]):  # not the first line of the entry, which has its key
        end -= 1
    return end


def _indent_of(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))]


def _parse(text: str) -> Any:
    """Return the document as a mapping of ruamel.yaml, which knows the positions of its keys."""
    from ruamel.yaml import YAML  # here, because only the hosts with YAML files need it
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
