"""Message templates: compiled once, filled in one pass over the template.

Text that arrives in an argument is never scanned for placeholders, so no argument can change another part of a
message. A template holds three kinds of holes: `${VAR}` (bound when it is compiled), `UTCP_ARG_name_UTCP_ARG` and
`{{ expression }}` (filled for each message).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ..errors import InvalidTemplate
from ..manifest.variables import WHOLE
from .expression import UNDEFINED, Expression, ExpressionFailed
from .scope import REQUEST_NAMES

OMIT: Final = UNDEFINED
"""What a hole renders to where its argument is missing: the key or element that it stands for is left out."""

MAX_DEPTH: Final = 64
"""Levels of nesting of a template."""

_TOKEN = re.compile(r"\$\$\{|\$\{(?P<var>[A-Za-z_]\w*)\}|UTCP_ARG_(?P<arg>.+?)_UTCP_ARG|(?P<open>\{\{)", re.DOTALL)


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

    value: Any

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
        if self._misses_argument(scope):
            return OMIT
        if value is UNDEFINED and "args" not in self.expression.names:
            raise Unfilled(str(self))
        return value

    value = render

    def _misses_argument(self, scope: Mapping[str, Any]) -> bool:
        """Whether a filter or an operator would make something of an argument that is not there."""
        return any(name not in scope["args"] for name in self.expression.needs)

    def __str__(self) -> str:
        path = self.expression.path
        if path and path[0] == "args" and len(path) > 1:
            return f"argument {path[1]!r} is missing"
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
        return _json(to_text(value))[1:-1] if quoted else _json(value)


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

    def parts(self, text: str) -> list[str | Hole]:
        """Literal text and holes in turn, variables bound."""
        if self.variables is not None and (whole := WHOLE.match(text)):
            return [self.variables[whole[1]]]
        merged: list[str | Hole] = []
        for part in self._scan(text):
            if isinstance(part, str) and merged and isinstance(merged[-1], str):
                merged[-1] += part
            elif part != "":
                merged.append(part)
        return merged

    def _text_message(self, text: str) -> Node:
        parts = self.parts(text)
        if len(parts) == 1 and isinstance(whole := parts[0], Computed):
            return Whole(whole)
        return self._text(text, parts)

    def _text(self, text: str, parts: list[str | Hole]) -> Node:
        """Text with what stands in it escaped where the text is JSON."""
        compiled: Node = self._json_text(text) or Text(tuple(parts))
        holes = any(not isinstance(part, str) for part in parts)
        return compiled if holes else Constant(compiled.render({}))

    def _leaf(self, text: str) -> Node:
        parts = self.parts(text)
        if len(parts) == 1 and not isinstance(hole := parts[0], str):
            return Argument(hole.name, typed=self.typed) if isinstance(hole, Argument) else hole
        return self._text(text, parts)

    @staticmethod
    def _key(key: str) -> str:
        if any(found["arg"] or found["open"] for found in _TOKEN.finditer(key)):
            raise InvalidTemplate(f"the key {key!r} holds a placeholder; placeholders may stand in values only")
        return key

    def _scan(self, text: str) -> Iterator[str | Hole]:
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

    def _expression(self, source: str) -> Computed:
        if self.variables is not None and "${" in source:
            raise InvalidTemplate(f"write vars.NAME instead of ${{NAME}} inside {{{{ {source.strip()} }}}}")
        allowed = self.names if self.variables is not None else self.names - {"vars"}
        return Computed(Expression(source, allowed, local=self.variables is not None))

    def _json_text(self, text: str) -> JsonText | None:
        """The template as JSON text, or None where it is not JSON once filled, whatever fills it."""
        parts: list[str | tuple[Hole, bool]] = []
        samples, quoted = ["", ""], False
        for part in self._scan_unbound(text):
            if isinstance(part, str):
                quoted = _ends_in_string(part, quoted)
                literal = part
            elif isinstance(part, Constant):
                literal = _json(part.value)[1:-1] if quoted else part.value
            else:
                parts.append((part, quoted))
                fillings = (_IN_KEY, _IN_KEY) if quoted else ("0", "[]")
                samples = [sample + filling for sample, filling in zip(samples, fillings, strict=True)]
                continue
            parts.append(literal)
            samples = [sample + literal for sample in samples]
        if not all(_is_json_document(sample) for sample in samples):
            return None
        if any(_IN_KEY in key for key in _keys(json.loads(samples[0]))):
            raise InvalidTemplate(f"a key of {text[:60]!r} holds a placeholder; placeholders may stand in values only")
        return JsonText(tuple(part for part in parts if part))

    def _scan_unbound(self, text: str) -> Iterator[str | Hole | Constant]:
        """Like `_scan`, but a variable's value stays apart from the literal text, to be escaped for its place."""
        position = 0
        for token in _variable_tokens(text) if self.variables is not None else ():
            yield from self._scan(text[position : token.start()])
            yield Constant(self._variable(token))
            position = token.end()
        yield from self._scan(text[position:])


def to_text(value: Any) -> str:
    """A value inside a longer string: a string as it is, anything else as its JSON text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        raise Unfilled("binary data cannot stand inside text; put it through a filter such as base64")
    return _json(value)


def _filled(hole: Hole, scope: Mapping[str, Any]) -> Any:
    value = hole.value(scope)
    if value is OMIT:
        raise Unfilled(str(hole))
    return value


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise Unfilled("a value cannot be written as JSON") from None


_IN_KEY: Final = "\ue000"
"""Stands for what fills a JSON string while the template is looked at."""


def _is_json_document(text: str) -> bool:
    """Whether a text is a JSON object or array."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _keys(value: Any) -> Iterator[str]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if isinstance(key, str):
            yield key
        yield from _keys(item)


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
