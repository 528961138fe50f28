"""Read the text of a description: JSON, YAML 1.2, or the schema language of GraphQL."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from ..core.limits import is_deeper
from ..errors import ImportFailed

MAX_SOURCE_BYTES: Final = 32 << 20
"""The maximum size of a description in bytes."""

MAX_DEPTH: Final = 200
"""The maximum nesting of a description."""

MAX_VALUES: Final = 4_000_000
"""The maximum number of values of a YAML document, whose aliases can repeat a value without end."""

_SDL: Final = re.compile(
    r"^\s*(?:schema|extend\s+\w+|type|interface|union|enum|input|scalar|directive)\b[^:\n]*(?:[{@=]|$)", re.MULTILINE
)


_FOREIGN: Final = (
    (re.compile(r"\A<"), "HTML or XML, perhaps the page that shows the description"),
    (
        re.compile(r"""\A(?://[^\n]*\n|/\*[\s\S]*?\*/|\s)*+syntax\s*=\s*["']proto[23]["']"""),
        "a Protobuf schema, which does not say which message answers which (framing.codec can use it)",
    ),
)
"""Texts that are mistaken for descriptions."""


def parse_text(text: str, source: str) -> Any:
    """Return what a text contains: the value of JSON or YAML, or the text itself if it is a GraphQL schema.

    Raises:
        ImportFailed: if it is none of them.
    """
    stripped = text.lstrip("\ufeff \t\r\n")
    if foreign := next((what for pattern, what in _FOREIGN if pattern.search(stripped)), None):
        message = f"{source} cannot be read: it is {foreign}. Give the file or URL of a description."
        raise ImportFailed(message, code="description-not-readable")
    if stripped.startswith(("{", "[")):
        return _parse_json(stripped, source)
    if is_sdl(stripped):
        return stripped
    return parse_yaml(stripped, source)


def is_sdl(text: str) -> bool:
    """Return whether a text is a GraphQL schema: it has definitions, and no YAML document would have their form."""
    without_texts = re.sub(r'"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"|#[^\n]*', '""', text)
    return bool(_SDL.search(without_texts)) and "{" in without_texts and not re.match(r"[\w'\"-]+:\s", without_texts)


def _parse_json(text: str, source: str) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as invalid:
        message = f"{source} cannot be read: it is not JSON ({invalid.msg} in line {invalid.lineno}). Correct it there."
        raise ImportFailed(message, code="description-not-readable") from None
    except (RecursionError, ValueError):
        raise _too_large(source) from None
    return _bounded(value, source)


def parse_yaml(text: str, source: str) -> Any:
    """Return the value of a YAML document, with the booleans of YAML 1.2.

    Raises:
        ImportFailed: if the library is missing, or it is not YAML, or its aliases make it too large.
    """
    try:
        from .yaml_reader import NotYaml, TooManyValues, read_yaml
    except ImportError:
        message = (
            f"{source} cannot be read: reading YAML needs a package. "
            "Run pip install 'utcp-ws-mcp[import]', or save the document as JSON."
        )
        raise ImportFailed(message, code="extra-not-installed") from None
    try:
        return _bounded(read_yaml(text, MAX_VALUES), source)
    except NotYaml as invalid:
        message = f"{source} cannot be read: it is neither JSON, YAML nor a GraphQL schema ({invalid}). Correct it."
        raise ImportFailed(message, code="description-not-readable") from None
    except (TooManyValues, RecursionError):
        raise _too_large(source) from None


def _bounded(value: Any, source: str) -> Any:
    if is_deeper(value, MAX_DEPTH):
        raise _too_large(source)
    return value


def _too_large(source: str) -> ImportFailed:
    message = (
        f"{source} is too large: it has more than {MAX_SOURCE_BYTES >> 20} MiB, {MAX_VALUES:,} values or "
        f"{MAX_DEPTH} levels. Import a part of it."
    )
    return ImportFailed(message, code="description-too-large")


def check_size(size: int, source: str) -> None:
    """Check the size of a description in bytes.

    Raises:
        ImportFailed: if it is too large.
    """
    if size > MAX_SOURCE_BYTES:
        raise _too_large(source)
