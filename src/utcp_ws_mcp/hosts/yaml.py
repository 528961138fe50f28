"""YAML in the form that Goose writes: put an entry into a block of a text, or take it out, and touch nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..errors import InstallError

_CONTENT: Final = re.compile(r"( *)[^\s#]")
_PLAIN: Final = r"""[^\s"'#:{\[&*!|>%@`-](?:[^:#]|:(?=\S)|(?<=\S)#)*?"""
_KEY: Final = re.compile(rf""" *(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)'|({_PLAIN}))\s*:(?:\s+(.*?))?\s*$""")


@dataclass(frozen=True, slots=True)
class YamlBlock:
    """Lines `start` to `end` of a text, below the key of line `start - 1`; `indent` is that of its entries."""

    start: int
    end: int
    indent: int


def entries(text: str, servers: str) -> dict[str, str]:
    """The text of each entry of the block `servers`.

    Raises:
        InstallError: if the text is not what it should be; the sentence begins with the line.
    """
    lines = _split_lines(text)
    block = _find_block(lines, servers)
    if block is None:
        return {}
    return {name: "".join(lines[start:end]) for name, start, end in _block_entries(lines, block)}


def secrets(text: str) -> set[str]:
    """Nothing: what is shown of a change are whole lines, and those of other entries do not change."""
    return set()


def set_entry(text: str, servers: str, name: str, entry: Mapping[str, Any]) -> str:
    """The text with the entry in the block `servers`, new or in place of one of its name.

    Raises:
        InstallError: as `entries` does.
    """
    lines = _split_lines(text)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    block = _find_block(lines, servers)
    if block is None:
        return "".join([*lines, f"{servers}:\n", *_render(name, entry, 2)])
    lines[block.start - 1] = re.sub(r":\s*(\{\s*\}|null|~)", ":", lines[block.start - 1])
    made = _render(name, entry, block.indent)
    for known, start, end in _block_entries(lines, block):
        if known == name:
            return "".join([*lines[:start], *made, *lines[end:]])
    return "".join([*lines[: block.end], *made, *lines[block.end :]])


def remove_entry(text: str, servers: str, name: str) -> str:
    """The text without the entry, which must be there."""
    lines = _split_lines(text)
    block = _find_block(lines, servers)
    assert block is not None
    found = list(_block_entries(lines, block))
    start, end = next((start, end) for known, start, end in found if known == name)
    if len(found) == 1:
        lines[block.start - 1] = re.sub(r":", ": {}", lines[block.start - 1], count=1)
    return "".join([*lines[:start], *lines[end:]])


def _render(name: str, entry: Mapping[str, Any], indent: int) -> list[str]:
    """The lines of an entry. JSON values are YAML."""
    pad = " " * indent
    values = [f"{pad}{pad}{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in entry.items()]
    return [f"{pad}{name}:\n", *values]


def _split_lines(text: str) -> list[str]:
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        if re.match(r"(---|\.\.\.)\s", line) and any(_CONTENT.match(earlier) for earlier in lines[: number - 1]):
            raise InstallError(f"line {number}: expected one YAML document, not several")
        if re.match(r" *\t", line) and line.strip():
            raise InstallError(f"line {number}: YAML is not indented by tabs")
    return lines


def _find_block(lines: Sequence[str], servers: str) -> YamlBlock | None:
    """Where the block of a key of the outermost level is."""
    found = [number for number, line in enumerate(lines) if _indent_of(line) == 0 and _parse_key(line)[0] == servers]
    if not found:
        return None
    number = found[0]
    if len(found) > 1:
        raise InstallError(f"line {found[1] + 1}: {servers!r} stands here for the second time")
    rest = _parse_key(lines[number])[1]
    if rest and not rest.startswith("#") and not re.fullmatch(r"(\{\s*\}|null|~)\s*(#.*)?", rest):
        raise InstallError(f"line {number + 1}: write what stands behind {servers!r} on lines of its own")
    end = number + 1
    for place in range(number + 1, len(lines)):
        indent = _indent_of(lines[place])
        if indent == 0:
            break
        end = place + 1 if indent is not None else end
    indents = [indent for line in lines[number + 1 : end] if (indent := _indent_of(line)) is not None]
    return YamlBlock(number + 1, end, indents[0] if indents else 2)


def _block_entries(lines: Sequence[str], block: YamlBlock) -> Iterator[tuple[str, int, int]]:
    """Name, first line and line behind the last one of each entry of a block."""
    heads = [place for place in range(block.start, block.end) if _indent_of(lines[place]) == block.indent]
    for place, following in zip(heads, [*heads[1:], block.end], strict=False):
        name, _ = _parse_key(lines[place])
        if name is None:
            raise InstallError(f"line {place + 1}: expected the name of an entry and a colon")
        end = following
        while end > place + 1 and _indent_of(lines[end - 1]) is None:
            end -= 1  # comments and empty lines belong to what follows
        yield name, place, end


def _parse_key(line: str) -> tuple[str | None, str]:
    """The key that a line begins with, and what follows its colon."""
    found = _KEY.match(line)
    if not found:
        return None, ""
    return next(group for group in found.groups()[:3] if group is not None), found[4] or ""


def _indent_of(line: str) -> int | None:
    """How far a line is indented; None for an empty line and a comment."""
    found = _CONTENT.match(line)
    return len(found[1]) if found else None
