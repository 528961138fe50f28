"""Compile templates: find the holes in them and what stands around each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ...errors import InvalidTemplate
from ...manifest.variables import WHOLE_STRING_VARIABLE
from ..expressions.expression import compile_expression
from ..expressions.scope import REQUEST_NAMES
from .nodes import (
    Argument,
    Array,
    Base64,
    Constant,
    ExpressionValue,
    JsonText,
    Node,
    Object,
    Placeholder,
    TextNode,
    WholeMessage,
    quote_json,
)

MAX_DEPTH: Final = 64
"""Levels of nesting of a template."""

PLACEHOLDER_KEY_HINT: Final = (
    "placeholders may stand in values only; make the whole object with an expression: {{ {args.key: args.value} }}"
)
"""What to write where a key is to be an argument."""

_TOKEN = re.compile(
    r"\$\$\{|\$\{(?P<var>[A-Za-z_]\w*)\}|UTCP_ARG_(?P<arg>.{1,256}?)_UTCP_ARG|(?P<open>\{\{)", re.DOTALL
)
"""A hole. The length of a name is bounded, because its end is looked for from every beginning."""


@dataclass(frozen=True, slots=True)
class Compiler:
    """How the templates of one entry are compiled.

    `variables` binds `${NAME}`; None means that the template came from the network, where `${NAME}` is plain text.
    """

    variables: Mapping[str, str] | None = None
    typed: bool = False
    names: frozenset[str] = REQUEST_NAMES
    read_file: Callable[[str], bytes] | None = None

    @property
    def is_local(self) -> bool:
        """Whether the manifest wrote the templates."""
        return self.variables is not None

    def message(self, value: Any) -> Node:
        """Compile a message: a string is text (or JSON text), an object or array is filled in its structure.

        Raises:
            InvalidTemplate: where it cannot be read.
        """
        return self._text_message(value) if isinstance(value, str) else self.value(value)

    def _binary(self, kind: str, source: Any) -> Node:
        """`{"$base64": …}` is the bytes that a template's text stands for, `{"$file": …}` those of a file."""
        if kind == "$base64":
            return Base64(self.value(source))
        if not isinstance(source, str) or self.read_file is None:
            raise InvalidTemplate('"$file" needs the path of a file, relative to the manifest')
        return Constant(self.read_file("".join(map(str, self.parts(source)))))

    def value(self, value: Any, depth: int = MAX_DEPTH) -> Node:
        """Compile a JSON value."""
        if not depth:
            raise InvalidTemplate(f"a message may be nested {MAX_DEPTH} deep")
        if isinstance(value, str):
            return self._leaf(value)
        if isinstance(value, dict):
            if len(value) == 1 and self.is_local and (kind := next(iter(value))) in ("$base64", "$file"):
                return self._binary(kind, value[kind])
            items = tuple((self._key(key), self.value(item, depth - 1)) for key, item in value.items())
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
        """Literal text and holes in turn, variables bound."""
        if self.variables is not None and (whole := WHOLE_STRING_VARIABLE.match(text)):
            return [self.variables[whole[1]]]
        merged: list[str | Placeholder] = []
        for part in self._scan(text):
            if isinstance(part, str) and merged and isinstance(merged[-1], str):
                merged[-1] += part
            elif part != "":
                merged.append(part)
        return merged

    def _text_message(self, text: str) -> Node:
        parts = self.parts(text)
        if len(parts) == 1 and isinstance(whole := parts[0], ExpressionValue):
            return WholeMessage(whole)
        return self._text(text, parts)

    def _text(self, text: str, parts: list[str | Placeholder]) -> Node:
        """Text with what stands in it escaped where the text is JSON."""
        compiled: Node = self._json_text(text) or TextNode(tuple(parts))
        holes = any(not isinstance(part, str) for part in parts)
        return compiled if holes else Constant(compiled.render({}))

    def _leaf(self, text: str) -> Node:
        if not _TOKEN.search(text) and not WHOLE_STRING_VARIABLE.match(text):
            return Constant(text)
        parts = self.parts(text)
        if len(parts) == 1 and not isinstance(hole := parts[0], str):
            return Argument(hole.name, typed=self.typed) if isinstance(hole, Argument) else hole
        return self._text(text, parts)

    @staticmethod
    def _key(key: str) -> str:
        if any(found["arg"] or found["open"] for found in _TOKEN.finditer(key)):
            raise InvalidTemplate(f"the key {key!r} holds a placeholder; {PLACEHOLDER_KEY_HINT}")
        return key

    def _scan(self, text: str) -> Iterator[str | Placeholder]:
        position = 0
        while token := _TOKEN.search(text, position):
            yield text[position : token.start()]
            position = token.end()
            if token["open"]:
                end = _expression_end(text, position)
                yield self._expression(text[position:end])
                position = end + 2
            elif token["arg"]:
                yield Argument(token["arg"])
            else:
                yield self._variable(token)
        yield text[position:]

    def _variable(self, token: re.Match[str]) -> str:
        if self.variables is None:
            return token[0]
        return self.variables[token["var"]] if token["var"] else "${"

    def _expression(self, source: str) -> ExpressionValue:
        if self.variables is not None and "${" in source:
            raise InvalidTemplate(f"write vars.NAME instead of ${{NAME}} inside {{{{ {source.strip()} }}}}")
        allowed = self.names if self.variables is not None else self.names - {"vars"}
        return ExpressionValue(compile_expression(source, allowed, local=self.is_local))

    def _json_text(self, text: str) -> JsonText | None:
        """The template as JSON text, or None where it is not JSON once filled, whatever fills it."""
        parts: list[str | tuple[Placeholder, bool]] = []
        samples, quoted = ["", ""], False
        for part in self._scan_unbound(text):
            if isinstance(part, str):
                quoted = _ends_in_string(part, quoted)
                literal = part
            elif isinstance(part, Constant):
                literal = quote_json(part.value)[1:-1] if quoted else part.value
            else:
                parts.append((part, quoted))
                fillings = (_STRING_SENTINEL, _STRING_SENTINEL) if quoted else ("0", "[]")
                samples = [sample + filling for sample, filling in zip(samples, fillings, strict=True)]
                continue
            parts.append(literal)
            samples = [sample + literal for sample in samples]
        documents = [_json_documents(sample) for sample in samples]
        if None in documents:
            return None
        if any(_STRING_SENTINEL in key for key in _all_keys(documents[0])):
            raise InvalidTemplate(f"a key of {text[:60]!r} holds a placeholder; {PLACEHOLDER_KEY_HINT}")
        return JsonText(tuple(part for part in parts if part))

    def _scan_unbound(self, text: str) -> Iterator[str | Placeholder | Constant]:
        """Like `_scan`, but a variable's value stays apart from the literal text, to be escaped for its place."""
        position = 0
        for token in _variable_tokens(text) if self.variables is not None else ():
            yield from self._scan(text[position : token.start()])
            yield Constant(self._variable(token))
            position = token.end()
        yield from self._scan(text[position:])


_STRING_SENTINEL: Final = "\ue000"
"""Stands for what fills a JSON string while the template is looked at."""


def _json_documents(text: str) -> list[Any] | None:
    """The JSON objects and arrays that a text is made of, one after the other; None where it is anything else."""
    found, position = [], _skip_separators(text, 0)
    while position < len(text):
        if text[position] not in "{[":
            return None
        try:
            document, position = json.JSONDecoder().raw_decode(text, position)
        except (ValueError, RecursionError):
            return None
        found.append(document)
        position = _skip_separators(text, position)
    return found or None


def _skip_separators(text: str, position: int) -> int:
    """Where white space ends, and the separator of RFC 7464, which may stand between documents."""
    while text[position : position + 1] in _SEPARATORS:
        position += 1
    return position


_SEPARATORS: Final = frozenset(" \t\n\r\x1e")


def _all_keys(value: Any) -> Iterator[str]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if isinstance(key, str):
            yield key
        yield from _all_keys(item)


def _variable_tokens(text: str) -> list[re.Match[str]]:
    return [token for token in _TOKEN.finditer(text) if token["var"] and not token["open"]]


def _ends_in_string(text: str, quoted: bool) -> bool:
    """Whether JSON text that starts inside a string (or not) ends inside one."""
    for found in re.finditer(r'\\.|"', text, re.DOTALL):
        quoted = quoted != (found[0] == '"')
    return quoted


def _expression_end(text: str, start: int) -> int:
    """Where the `}}` stands that ends the expression, braces and quotes inside it skipped."""
    depth, quote, position = 0, "", start
    while position < len(text):
        char = text[position]
        if quote:
            position += char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "{":
            depth += 1
        elif char == "}" and depth:
            depth -= 1
        elif text.startswith("}}", position):
            return position
        position += 1
    shown = text[start - 2 : start + 40]
    raise InvalidTemplate(f"{shown!r} opens an expression that never ends; for two plain braces write {{{{ '{{{{' }}}}")
