"""Message templates: compiled once, filled in one pass over the template.

Text that arrives in an argument is never scanned for placeholders, so no argument can change another part of a
message. A template has three kinds of placeholders: `${VAR}` (bound when it is compiled), `UTCP_ARG_name_UTCP_ARG` and
`{{ expression }}` (filled for each message).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ..expressions.expression import EvaluationError, Expression
from ..expressions.paths import UNDEFINED

OMIT: Final = UNDEFINED
"""What a placeholder renders to where its argument is missing: the key or element with this value is left out."""


class RenderError(Exception):
    """A template that cannot be filled with these values; the text names the argument or expression."""


class Node(Protocol):
    """A part of a compiled template."""

    def render(self, scope: Mapping[str, Any]) -> Any:
        """Return the part filled in, or OMIT.

        Args:
            scope: The values of the names that expressions use; `args` is always among them.

        Raises:
            RenderError: where a value is missing that cannot be left out.
        """


@dataclass(frozen=True, slots=True)
class Constant:
    """A part without placeholders."""

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
        """Return the argument with its type."""
        return scope["args"].get(self.name, OMIT)

    @property
    def arguments(self) -> frozenset[str]:
        """Return the names of the arguments that it needs."""
        return frozenset({self.name})

    def __str__(self) -> str:
        return f"argument {self.name!r} is missing"


@dataclass(frozen=True, slots=True)
class ExpressionValue:
    """An expression; its value keeps its type."""

    expression: Expression

    def render(self, scope: Mapping[str, Any]) -> Any:
        try:
            value = self.expression.evaluate(scope)
        except EvaluationError as error:
            raise RenderError(str(error)) from None
        if self.expression.has_missing_inputs(scope):
            return OMIT
        if value is UNDEFINED and self._is_not_from_arguments():
            raise RenderError(f"{{{{ {self.expression.source} }}}} has no value")
        return value

    value = render

    @property
    def arguments(self) -> frozenset[str]:
        """Return the names of the arguments that it needs; `ALL_MEMBERS` for all of them."""
        return self.expression.arguments

    def _is_not_from_arguments(self) -> bool:
        """Return whether a missing value does not depend on an argument that was left out: then it is an error."""
        names = self.expression.names
        return not {"args", "let"} & {*names} or (len(names) > 1 and bool(self.expression.required_args))

    def __str__(self) -> str:
        path = self.expression.path
        if path and path[0] == "args" and len(path) > 1:
            return f"argument {'.'.join(map(str, path[1:]))!r} is missing"
        if len(self.expression.required_args) == 1:
            return f"argument {self.expression.required_args[0]!r} is missing"
        return f"{{{{ {self.expression.source} }}}} has no value"


Placeholder = Argument | ExpressionValue


@dataclass(frozen=True, slots=True)
class WholeMessage:
    """A message that is one expression: its value with its type, which must be there."""

    placeholder: ExpressionValue

    def render(self, scope: Mapping[str, Any]) -> Any:
        return _required_value(self.placeholder, scope)


@dataclass(frozen=True, slots=True)
class TextNode:
    """Literal text with placeholders, which must all have a value."""

    parts: tuple[str | Placeholder, ...]

    def render(self, scope: Mapping[str, Any]) -> str:
        return "".join(part if isinstance(part, str) else to_text(_required_value(part, scope)) for part in self.parts)


@dataclass(frozen=True, slots=True)
class JsonText:
    """Text that is JSON once filled: literal parts, and (placeholder, whether it is inside a JSON string)."""

    parts: tuple[str | tuple[Placeholder, bool], ...]

    def render(self, scope: Mapping[str, Any]) -> str:
        return "".join(part if isinstance(part, str) else self._fill(*part, scope) for part in self.parts)

    @staticmethod
    def _fill(placeholder: Placeholder, quoted: bool, scope: Mapping[str, Any]) -> str:
        value = _required_value(placeholder, scope)
        return quote_json(to_text(value))[1:-1] if quoted else quote_json(value)


@dataclass(frozen=True, slots=True)
class Object:
    """A JSON object; keys whose value is a missing argument are left out."""

    items: tuple[tuple[str, Node], ...]

    def render(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, node in self.items if (value := node.render(scope)) is not OMIT}


@dataclass(frozen=True, slots=True)
class Array:
    """A JSON array; elements that are a missing argument are left out."""

    items: tuple[Node, ...]

    def render(self, scope: Mapping[str, Any]) -> list[Any]:
        return [value for node in self.items if (value := node.render(scope)) is not OMIT]


@dataclass(frozen=True, slots=True)
class Base64:
    """The bytes that base64 text encodes."""

    text: Node

    def render(self, scope: Mapping[str, Any]) -> Any:
        text = self.text.render(scope)
        if text is OMIT:
            return OMIT
        try:
            return base64.b64decode(text, validate=True)
        except (TypeError, ValueError):
            raise RenderError('"$base64" needs text in base64') from None


@dataclass(frozen=True, slots=True)
class AllArguments:
    """The template of a call template without `message`: the arguments as one JSON object, less `without`."""

    excluded: frozenset[str] = frozenset()

    def render(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in scope["args"].items() if name not in self.excluded}


def to_text(value: Any) -> str:
    """Return a value as part of a longer string: a string as it is, anything else as its JSON text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        raise RenderError("binary data cannot stand inside text; put it through a filter such as base64")
    return quote_json(value)


def _required_value(placeholder: Placeholder, scope: Mapping[str, Any]) -> Any:
    value = placeholder.value(scope)
    if value is OMIT:
        raise RenderError(str(placeholder))
    return value


def quote_json(value: Any) -> str:
    """Return a value as JSON text.

    Raises:
        RenderError: if it cannot be JSON.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise RenderError("a value cannot be written as JSON") from None
