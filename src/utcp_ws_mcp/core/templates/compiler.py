"""Compile templates: find the placeholders in them, and whether each is inside JSON text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final

from ...errors import InvalidTemplate
from ...manifest.variables import WHOLE_STRING_VARIABLE
from ...records import Record, replace
from ..expressions.expression import compile_expression
from ..expressions.rewrite import MAX_HELD_PARTS
from ..expressions.scope import EACH_NAMES, REQUEST_NAMES
from ..limits import MAX_MESSAGE_DEPTH
from .forms import check_keys, is_form
from .json_state import JsonState
from .nodes import (
    Argument,
    Array,
    Base64,
    Bounded,
    Constant,
    Each,
    EachMessage,
    ExpressionValue,
    JsonText,
    Node,
    Object,
    Placeholder,
    Unframed,
    quote_json,
)
from .text_rule import JoinedText, TextNode, WholeMessage, compile_rules, joined_nodes
from .tokens import (
    ExpressionToken,
    LiteralToken,
    PlaceholderToken,
    VariableToken,
    has_placeholders,
    has_tokens,
    tokenize,
)
from .topic_rule import TOPIC_KEYS, compile_topic

PLACEHOLDER_KEY_HINT: Final = (
    "Placeholders are allowed only in values; write the whole object as an expression: {{ {args.key: args.value} }}."
)
"""What to write where a key is to be an argument."""


class Compiler(Record):
    """Compiles the templates of one field of a call template.

    Args:
        variables: The values for `${NAME}`; None for a template from the network, in which that is literal text.
        typed: Whether an argument that is a whole value keeps its type.
        names: The names that expressions may use.
        read_file: Reads the file of `{"$file": …}`, relative to the manifest.
        separator: The separator of the framing, which no argument in a text may contain.
        codec: The codec of the framing, which says what the texts of a message mean.
        in_topic: Whether a text is a topic of the codec `mqtt`.
    """

    not_in_repr: ClassVar = ("variables",)
    variables: Mapping[str, str] | None = None
    typed: bool = False
    names: frozenset[str] = REQUEST_NAMES
    read_file: Callable[[str], bytes] | None = None
    separator: str = ""
    codec: str = ""
    in_topic: bool = False

    @property
    def is_local(self) -> bool:
        """Return whether the manifest wrote the templates."""
        return self.variables is not None

    def message(self, value: Any) -> Node:
        """Compile a message: a string is text (or JSON text), an object or array is filled in its structure.

        Raises:
            InvalidTemplate: where it cannot be read.
        """
        if isinstance(value, str):
            return self._text_message(value)
        if self._is_form(value, "$each"):
            return EachMessage(self._each(value, lambda inner, template: inner.message(template)))
        if self._is_form(value, "$raw"):
            return Unframed(self.message(value["$raw"]))
        node = self.value(value)
        return Bounded(node) if _count_placeholders(value) > MAX_HELD_PARTS else node

    def _form(self, value: Any, depth: int) -> Node | None:
        """Compile an object that stands for something else, inside a message; None for any other object."""
        for kind in ("$base64", "$file"):
            if self._is_form(value, kind):
                return self._binary(kind, value[kind])
        if self._is_form(value, "$each"):
            return self._each(value, lambda inner, template: inner.value(template, depth - 1))
        if self._is_form(value, "$raw"):
            raise InvalidTemplate('"$raw" is inside a message. Write it as a whole message.', code="invalid-message")
        return None

    def _is_form(self, value: Any, key: str) -> bool:
        """Return whether a value is an object that stands for something else; the network cannot write one."""
        return self.is_local and is_form(value, key)

    def _each(self, value: Any, compile_template: Callable[[Compiler, Any], Node]) -> Each:
        """Compile `{"$each": list, "$template": template}`; without a template, the elements themselves."""
        items = self.value(value["$each"])
        if isinstance(items, Argument):
            items = replace(items, typed=True)
        inner = replace(self, names=self.names | EACH_NAMES)
        return Each(items, compile_template(inner, value.get("$template", "{{ item }}")))

    def _binary(self, kind: str, source: Any) -> Node:
        """Compile `{"$base64": …}` (the bytes that a text encodes) or `{"$file": …}` (those of a file)."""
        if kind == "$base64":
            return Base64(self.value(source))
        path = "".join(map(str, self.parts(source))) if isinstance(source, str) and not has_placeholders(source) else ""
        if not path or self.read_file is None:
            raise InvalidTemplate(
                '"$file" does not contain a path. Write the path of a file, relative to the manifest.',
                code="invalid-file-reference",
            )
        return Constant(self.read_file(path))

    def value(self, value: Any, depth: int = MAX_MESSAGE_DEPTH) -> Node:
        """Compile a JSON value: strings are templates, at any depth.

        Raises:
            InvalidTemplate: where it cannot be read, or is nested too deeply.
        """
        if not depth:
            raise InvalidTemplate(
                f"the message is nested more than {MAX_MESSAGE_DEPTH} levels deep.", code="template-too-deep"
            )
        if isinstance(value, str):
            return self._leaf(value)
        if isinstance(value, dict):
            if (node := self._form(value, depth)) is not None:
                return node
            if self.is_local:
                check_keys(value)
            items = tuple((self._key(key), self._member(key).value(item, depth - 1)) for key, item in value.items())
            if all(isinstance(node, Constant) for _, node in items):
                return Constant({key: node.value for key, node in items if isinstance(node, Constant)})
            return Object(items)
        if isinstance(value, list):
            nodes = tuple(self.value(item, depth - 1) for item in value)
            if all(isinstance(node, Constant) for node in nodes):
                return Constant([node.value for node in nodes if isinstance(node, Constant)])
            return Array(nodes)
        return Constant(value)

    def parts(self, text: str) -> list[str | Placeholder]:
        """Return literal text and placeholders in turn, variables replaced by their values.

        Raises:
            InvalidTemplate: where an expression cannot be compiled.
        """
        if self.variables is not None and (whole := WHOLE_STRING_VARIABLE.match(text)):
            return [self.variables[whole[1]]]
        return _merge_texts(part.value if isinstance(part, Constant) else part for part in self._bind(text))

    def _text_message(self, text: str) -> Node:
        parts = self.parts(text)
        if len(parts) == 1 and isinstance(single := parts[0], ExpressionValue):
            operands = self._joined_operands(single)
            if not operands:
                return WholeMessage(single, compile_rules(parts, self.separator)[0])
            return JoinedText(single, compile_rules(operands, self.separator))
        return self._text(text, parts, is_message=True)

    def _joined_operands(self, value: ExpressionValue) -> list[str | Placeholder]:
        """Return the operands of `a ~ b ~ …`: texts as they are, anything else as an expression of its own."""
        nodes = [] if value.may_omit else joined_nodes(value.expression.tree)
        source = value.expression.source
        return _merge_texts(
            node.value
            if node.kind == "literal" and isinstance(node.value, str)
            else self._expression(source[node.start : node.end])
            for node in nodes
        )

    def _text(self, text: str, parts: list[str | Placeholder], *, is_message: bool = False) -> Node:
        """Compile text in which values are escaped if it is JSON, and checked if it is a message of another kind."""
        if self.in_topic:
            rules = compile_topic(parts)
        else:
            rules = compile_rules(parts, self.separator) if is_message else tuple(_unchecked(parts))
        json_text = None if self.in_topic else self._json_text(text)
        compiled: Node = json_text or TextNode(rules, can_be_left_out=not is_message)
        has_placeholders_left = any(not isinstance(part, str) for part in parts)
        return compiled if has_placeholders_left else Constant(compiled.render({}))

    def _leaf(self, text: str) -> Node:
        if not has_tokens(text) and not WHOLE_STRING_VARIABLE.match(text):
            return Constant(text)
        parts = self.parts(text)
        if len(parts) == 1 and not isinstance(single := parts[0], str):
            if self.in_topic and isinstance(single, ExpressionValue) and (operands := self._joined_operands(single)):
                return JoinedText(single, compile_topic(operands))
            return Argument(single.name, typed=self.typed) if isinstance(single, Argument) else single
        return self._text(text, parts)

    def _member(self, key: str) -> Compiler:
        """Return the compiler of a member of an object."""
        return replace(self, in_topic=True) if self.codec == "mqtt" and key in TOPIC_KEYS else self

    @staticmethod
    def _key(key: str) -> str:
        if has_placeholders(key):
            raise InvalidTemplate(
                f"the key {key!r} contains a placeholder. {PLACEHOLDER_KEY_HINT}", code="placeholder-in-key"
            )
        return key

    def _bind(self, text: str) -> Iterator[str | Constant | Placeholder]:
        """Yield the text, placeholder or (for a variable) Constant of each token."""
        for token in tokenize(text, variables=self.is_local):
            match token:
                case LiteralToken():
                    yield token.text
                case VariableToken():
                    assert self.variables is not None
                    yield Constant(self.variables[token.name])
                case PlaceholderToken():
                    yield Argument(token.name)
                case ExpressionToken():
                    yield self._expression(token.source)

    def _expression(self, source: str) -> ExpressionValue:
        if self.variables is not None and "${" in source:
            raise InvalidTemplate(
                f"{{{{ {source.strip()} }}}} contains ${{NAME}}. Write vars.NAME in an expression.",
                code="variable-in-expression",
            )
        allowed = self.names if self.variables is not None else self.names - {"vars"}
        return ExpressionValue(compile_expression(source, allowed, local=self.is_local))

    def _json_text(self, text: str) -> JsonText | None:
        """Return the template as JSON text, or None where it is not JSON whatever fills it.

        The value of a variable is escaped inside a JSON string; elsewhere it is JSON text itself, such as a number.
        """
        # The value of an argument never reaches `state`: whether a template is JSON is known before the first call.
        state = JsonState()
        parts: list[str | tuple[Placeholder, bool]] = []
        placeholder_in_key = False
        for part in self._bind(text):
            if isinstance(part, str):
                parts.append(part)
                state.feed(part)
            elif isinstance(part, Constant):
                value = quote_json(part.value)[1:-1] if state.in_string else part.value
                parts.append(value)
                state.feed(value)
            else:
                parts.append((part, state.in_string))
                placeholder_in_key |= state.in_string and state.in_key
                if not state.in_string:
                    state.feed_value()
            if not state.is_json:
                return None
        if not state.is_complete:
            return None
        if placeholder_in_key:
            raise InvalidTemplate(
                f"a key of {text[:60]!r} contains a placeholder. {PLACEHOLDER_KEY_HINT}", code="placeholder-in-key"
            )
        return JsonText(tuple(part for part in parts if part), self.separator)


def _count_placeholders(value: Any) -> int:
    """Return how many placeholders are in a message, at any depth."""
    if isinstance(value, str):
        return value.count("{{") + value.count("UTCP_ARG_")
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(_count_placeholders, items))


def _unchecked(parts: Iterable[str | Placeholder]) -> Iterator[str | tuple[Placeholder, None]]:
    """Yield the parts of a text inside JSON or a codec's value, which keeps the structure."""
    return (part if isinstance(part, str) else (part, None) for part in parts)


def _merge_texts(parts: Iterable[str | Placeholder]) -> list[str | Placeholder]:
    """Return the parts with adjacent texts as one, empty ones left out."""
    merged: list[str | Placeholder] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    return merged
