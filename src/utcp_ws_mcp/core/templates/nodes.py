"""Message templates: compiled once, filled in one pass over the template.

Text that arrives in an argument is never scanned for placeholders, so no argument can change another part of a
message. A template holds three kinds of holes: `${VAR}` (bound when it is compiled), `UTCP_ARG_name_UTCP_ARG` and
`{{ expression }}` (filled for each message).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ..expressions.expression import Expression, ExpressionFailed
from ..expressions.paths import UNDEFINED

OMIT: Final = UNDEFINED
"""What a hole renders to where its argument is missing: the key or element that it stands for is left out."""


class Unfilled(Exception):
    """A template that cannot be filled with these values; the text names the argument or expression."""


class Node(Protocol):
    """A part of a compiled template."""

    def render(self, scope: Mapping[str, Any]) -> Any:
        """The part filled in, or OMIT.

        Raises:
            Unfilled: where a value is missing that cannot be left out.
        """


@dataclass(frozen=True, slots=True)
class Constant:
    """A part without holes."""

    value: Any = field(repr=False)

    def render(self, scope: Mapping[str, Any]) -> Any:
        return self.value


@dataclass(frozen=True, slots=True)
class Argument:
    """A UTCP placeholder. Not `typed`, it gives text: a string as it is, anything else as its JSON text."""

    name: str
    typed: bool = False

    def render(self, scope: Mapping[str, Any]) -> Any:
        value = scope["args"].get(self.name, OMIT)
        return value if self.typed or value is OMIT else to_text(value)

    def value(self, scope: Mapping[str, Any]) -> Any:
        """The argument with its type."""
        return scope["args"].get(self.name, OMIT)

    def __str__(self) -> str:
        return f"argument {self.name!r} is missing"


@dataclass(frozen=True, slots=True)
class Computed:
    """An expression; its value keeps its type."""

    expression: Expression

    def render(self, scope: Mapping[str, Any]) -> Any:
        try:
            value = self.expression.evaluate(scope)
        except ExpressionFailed as failed:
            raise Unfilled(str(failed)) from None
        if self.expression.misses(scope):
            return OMIT
        if value is UNDEFINED and self._looks_elsewhere():
            raise Unfilled(f"{{{{ {self.expression.source} }}}} has no value")
        return value

    value = render

    def _looks_elsewhere(self) -> bool:
        """Whether what has no value is no argument, nor made of one: those that are needed are there."""
        names = self.expression.names
        return not {"args", "let"} & {*names} or (len(names) > 1 and bool(self.expression.needs))

    def __str__(self) -> str:
        path = self.expression.path
        if path and path[0] == "args" and len(path) > 1:
            return f"argument {'.'.join(map(str, path[1:]))!r} is missing"
        if len(self.expression.needs) == 1:
            return f"argument {self.expression.needs[0]!r} is missing"
        return f"{{{{ {self.expression.source} }}}} has no value"


Hole = Argument | Computed


@dataclass(frozen=True, slots=True)
class Whole:
    """A message that is one expression: its value with its type, which must be there."""

    hole: Computed

    def render(self, scope: Mapping[str, Any]) -> Any:
        return _filled(self.hole, scope)


@dataclass(frozen=True, slots=True)
class Text:
    """Literal text with holes in it, which must all be filled."""

    parts: tuple[str | Hole, ...]

    def render(self, scope: Mapping[str, Any]) -> str:
        return "".join(part if isinstance(part, str) else to_text(_filled(part, scope)) for part in self.parts)


@dataclass(frozen=True, slots=True)
class JsonText:
    """Text that is JSON once filled: (hole, whether it stands inside a JSON string) between literal parts."""

    parts: tuple[str | tuple[Hole, bool], ...]

    def render(self, scope: Mapping[str, Any]) -> str:
        return "".join(part if isinstance(part, str) else self._fill(*part, scope) for part in self.parts)

    @staticmethod
    def _fill(hole: Hole, quoted: bool, scope: Mapping[str, Any]) -> str:
        value = _filled(hole, scope)
        return quote_json(to_text(value))[1:-1] if quoted else quote_json(value)


@dataclass(frozen=True, slots=True)
class Object:
    """A JSON object; keys whose whole value is a missing argument are left out."""

    items: tuple[tuple[str, Node], ...]

    def render(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, node in self.items if (value := node.render(scope)) is not OMIT}


@dataclass(frozen=True, slots=True)
class Array:
    """A JSON array; elements whose whole value is a missing argument are left out."""

    items: tuple[Node, ...]

    def render(self, scope: Mapping[str, Any]) -> list[Any]:
        return [value for node in self.items if (value := node.render(scope)) is not OMIT]


@dataclass(frozen=True, slots=True)
class Base64:
    """The bytes that base64 text stands for."""

    text: Node

    def render(self, scope: Mapping[str, Any]) -> Any:
        text = self.text.render(scope)
        if text is OMIT:
            return OMIT
        try:
            return base64.b64decode(text, validate=True)
        except (TypeError, ValueError):
            raise Unfilled('"$base64" needs text in base64') from None


@dataclass(frozen=True, slots=True)
class AllArguments:
    """The template of a call template without `message`: the arguments as one JSON object, less `without`."""

    without: frozenset[str] = frozenset()

    def render(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in scope["args"].items() if name not in self.without}


def to_text(value: Any) -> str:
    """A value inside a longer string: a string as it is, anything else as its JSON text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        raise Unfilled("binary data cannot stand inside text; put it through a filter such as base64")
    return quote_json(value)


def _filled(hole: Hole, scope: Mapping[str, Any]) -> Any:
    value = hole.value(scope)
    if value is OMIT:
        raise Unfilled(str(hole))
    return value


def quote_json(value: Any) -> str:
    """A value as JSON text inside a template."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise Unfilled("a value cannot be written as JSON") from None
