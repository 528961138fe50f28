"""Message templates: compiled once, filled in one pass over the template.

Text that arrives in an argument is never scanned for placeholders, so no argument can change another part of a
message. A template has three kinds of placeholders: `${VAR}` (bound when it is compiled), `UTCP_ARG_name_UTCP_ARG` and
`{{ expression }}` (filled for each message).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol

from ...records import Record
from ..codecs.message import MessageList, RejectedValue, UnframedMessage, encode
from ..expressions.expression import EvaluationError, Expression
from ..expressions.paths import UNDEFINED, value_at
from ..expressions.scope import OMIT_NAME, TIME_NAMES, Scope
from ..limits import MAX_REPETITIONS, MAX_VALUE_LENGTH
from ..value_size import is_too_large

OMIT: Final = UNDEFINED
"""What a placeholder renders to where its argument is missing: the key or element with this value is left out."""


_REPETITIONS: Final = "$each"
"""What a scope calls the repetitions of all `$each` around a template; no expression can have this name."""


class RenderError(Exception):
    """A template that cannot be rendered with these values; the text names the argument or expression.

    `code` is that of the error which reports it (`errors.codes`).
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


def to_render_error(error: RenderError | ValueError) -> RenderError:
    """Return the error of rendering or encoding a message as RenderError: a message and a code."""
    if isinstance(error, RenderError):
        return error
    if isinstance(error, UnicodeEncodeError):
        return RenderError("the message contains a character that UTF-8 cannot encode. Remove it.", code="not-json")
    return RenderError(str(error), code=error.code if isinstance(error, RejectedValue) else "not-json")


class Node(Protocol):
    """A part of a compiled template."""

    def render(self, scope: Mapping[str, Any]) -> Any:
        """Return the part filled in, or OMIT.

        Args:
            scope: The values of the names that expressions use; `args` is always among them.

        Raises:
            RenderError: where a value is missing that cannot be left out.
        """


class Constant(Record):
    """A part without placeholders."""

    not_in_repr: ClassVar = ("value",)
    value: Any

    def render(self, scope: Mapping[str, Any]) -> Any:
        return self.value


class Argument(Record):
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

    @property
    def may_omit(self) -> bool:
        """Return whether a longer text with it is left out where it has no value: no, that is an error."""
        return False

    def missing_error(self) -> RenderError:
        """Return the error of a message that needs the argument."""
        return _missing_argument(self.name)


class ExpressionValue(Record):
    """An expression; its value keeps its type."""

    expression: Expression

    def render(self, scope: Mapping[str, Any]) -> Any:
        path = self.expression.path
        if path is not None and (found := value_at(scope, path)) is not UNDEFINED:
            return found  # nothing is required of a path, and nothing can fail
        if self.expression.has_missing_inputs(scope):
            return OMIT
        if self.expression.lacks_session(scope):
            raise _missing_value(self.expression)
        try:
            value = self.expression.evaluate(scope)
        except EvaluationError as error:
            raise RenderError(str(error), code=error.code) from None
        if value is UNDEFINED and not self.may_omit and self._is_not_from_arguments():
            raise _missing_value(self.expression)
        return value

    value = render

    @property
    def arguments(self) -> frozenset[str]:
        """Return the names of the arguments that it needs; `ALL_MEMBERS` for all of them."""
        return self.expression.arguments

    @property
    def may_omit(self) -> bool:
        """Return whether a text with it is left out where its value is `omit`."""
        return OMIT_NAME in self.expression.names

    def _is_not_from_arguments(self) -> bool:
        """Return whether a missing value does not depend on an argument that was left out: then it is an error."""
        names = self.expression.names
        return not {"args", "let"} & {*names} or (len(names) > 1 and bool(self.expression.required_args))

    def missing_error(self) -> RenderError:
        """Return the error of a message that needs the value: most often one argument is missing."""
        path = self.expression.path
        if path and path[0] == "args" and len(path) > 1:
            return _missing_argument(".".join(map(str, path[1:])))
        if len(self.expression.required_args) == 1:
            return _missing_argument(self.expression.required_args[0])
        return _missing_value(self.expression)


def _missing_argument(name: str) -> RenderError:
    return RenderError(f"argument {name!r} is missing. Pass it with the call.", code="argument-missing")


def _missing_value(expression: Expression) -> RenderError:
    return RenderError(f"{{{{ {expression.source} }}}} has no value.", code="value-missing")


Placeholder = Argument | ExpressionValue


class JsonText(Record):
    """Text that is JSON once filled: literal parts, and (placeholder, whether it is inside a JSON string).

    `separator` is that of the framing: it would end the message where a value holds it.
    """

    not_in_repr: ClassVar = ("parts",)
    parts: tuple[str | tuple[Placeholder, bool], ...]
    separator: str = ""

    def render(self, scope: Mapping[str, Any]) -> str:
        texts, length = [], 0
        for part in self.parts:
            texts.append(part if isinstance(part, str) else self._fill(*part, scope))
            length += len(texts[-1])
            check_message_length(length)
        return "".join(texts)

    def _fill(self, placeholder: Placeholder, quoted: bool, scope: Mapping[str, Any]) -> str:
        value = required_value(placeholder, scope)
        text = quote_json(to_text(value))[1:-1] if quoted else quote_json(value)
        if self.separator and self.separator in text:
            raise RenderError(
                f"a value contains {self.separator!r}, the separator of messages. Remove it.",
                code="argument-breaks-message",
            )
        return text


class Bounded(Record):
    """A message of many placeholders: each may be as large as a message, so the size is measured first."""

    message: Node

    def render(self, scope: Mapping[str, Any]) -> Any:
        value = self.message.render(scope)
        if is_too_large(value):
            raise _message_too_large()
        return value


class Object(Record):
    """A JSON object; keys whose value is a missing argument are left out."""

    items: tuple[tuple[str, Node], ...]

    def render(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, node in self.items if (value := node.render(scope)) is not OMIT}


class Array(Record):
    """A JSON array; elements that are a missing argument are left out. `$each` gives as many elements as its list."""

    items: tuple[Node, ...]

    def render(self, scope: Mapping[str, Any]) -> list[Any]:
        elements: list[Any] = []
        for node in self.items:
            value = node.render(scope)
            if value is not OMIT:
                elements += value if isinstance(node, Each) else [value]
        return elements


class Each(Record):
    """A template for each element of a list: `item` is the element, `index` its number from 0, `count` how many."""

    items: Node
    template: Node

    def render(self, scope: Mapping[str, Any]) -> Any:
        items = self.items.render(scope)
        if items is OMIT:
            return OMIT
        if not isinstance(items, list | tuple):
            raise RenderError(
                'the value of "$each" is no list. For the pieces of text or bytes, write the filter pieces.',
                code="invalid-each",
            )
        repetitions = len(items) * scope.get(_REPETITIONS, 1)
        if repetitions > MAX_REPETITIONS:
            raise RenderError(
                f'"$each" repeats more than {MAX_REPETITIONS:,} times. Pass fewer elements, or larger pieces.',
                code="request-too-large",
            )
        values = []
        for index, item in enumerate(items):
            names = {"item": item, "index": index, "count": len(items), _REPETITIONS: repetitions}
            value = self.template.render(scope.with_values(**names) if isinstance(scope, Scope) else {**scope, **names})
            if value is not OMIT:
                values.append(value)
        return values


class EachMessage(Record):
    """A message for each element of a list."""

    each: Each

    def render(self, scope: Mapping[str, Any]) -> MessageList:
        values = self.each.render(scope)
        messages = MessageList()
        for value in () if values is OMIT else values:
            messages += value if isinstance(value, MessageList) else [value]
        return messages


class Unframed(Record):
    """A message that is sent as it is: text or bytes, past the codec and the framing."""

    message: Node

    def render(self, scope: Mapping[str, Any]) -> UnframedMessage:
        value = self.message.render(scope)
        return UnframedMessage(value if isinstance(value, bytes) else encode(value))


class Base64(Record):
    """The bytes that base64 text encodes."""

    text: Node

    def render(self, scope: Mapping[str, Any]) -> Any:
        text = self.text.render(scope)
        if text is OMIT:
            return OMIT
        try:
            return base64.b64decode(text, validate=True)
        except (TypeError, ValueError):
            raise RenderError('the value of "$base64" is not base64.', code="invalid-base64") from None


class AllArguments(Record):
    """The template of a call template without `message`: the arguments as one JSON object, less `without`."""

    excluded: frozenset[str] = frozenset()

    def render(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in scope["args"].items() if name not in self.excluded}


def reads_time(part: Any) -> bool:
    """Return whether an expression in a compiled template, or in a list of them, reads the time."""
    if isinstance(part, Expression):
        return not TIME_NAMES.isdisjoint(part.names)
    if isinstance(part, Record):
        return any(reads_time(getattr(part, name)) for name in part.__struct_fields__)
    return isinstance(part, tuple | list) and any(map(reads_time, part))


def check_message_length(length: int) -> None:
    """Check how long a message is so far.

    Raises:
        RenderError: if it is too long.
    """
    if length > MAX_VALUE_LENGTH:
        raise _message_too_large()


def _message_too_large() -> RenderError:
    return RenderError(
        f"the message would have more than {MAX_VALUE_LENGTH:,} bytes. Send less at once.", code="value-too-large"
    )


def render_text(parts: Sequence[str | Placeholder], scope: Mapping[str, Any]) -> str | None:
    """Return the text of literal parts and placeholders; None where an expression says that it is to be left out.

    Raises:
        RenderError: where a value is missing.
    """
    texts: list[str] = []
    for part in parts:
        value = part if isinstance(part, str) else part.value(scope)
        if value is OMIT:
            assert not isinstance(part, str)
            if part.may_omit:
                return None
            raise part.missing_error()
        texts.append(to_text(value))
    return "".join(texts)


def to_text(value: Any) -> str:
    """Return a value as part of a longer string: a string as it is, anything else as its JSON text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        raise RenderError(
            "text cannot contain binary data. Encode it with a filter such as base64.", code="binary-in-text"
        )
    return quote_json(value)


def required_value(placeholder: Placeholder, scope: Mapping[str, Any]) -> Any:
    """Return the value of a placeholder.

    Raises:
        RenderError: if it is missing.
    """
    value = placeholder.value(scope)
    if value is OMIT:
        raise placeholder.missing_error()
    return value


def quote_json(value: Any) -> str:
    """Return a value as JSON text.

    Raises:
        RenderError: if it cannot be JSON.
    """
    if is_too_large(value):
        raise _message_too_large()
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise RenderError("a value cannot be written as JSON.", code="not-json") from None
