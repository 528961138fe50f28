"""Parse expressions into a tree, which every question about an expression is answered from.

MiniJinja decides what an expression is and evaluates it, but shows Python only the names in it. The grammar is small
and stable (its `parser.rs`, from `parse_ifexpr` down). A parser by hand is shorter than what stood here without one:
patterns over the source for calls, filters, methods, slices and operators, each of which missed a case. An expression
that MiniJinja refuses is refused here with its words; one that only this parser refuses is refused as well.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from minijinja import Environment, TemplateError

from ...records import Record

MAX_EXPRESSION_DEPTH: Final = 40
"""Levels of brackets and operators in an expression; the parser recurses over them."""

_CHECKER: Final = Environment(debug=False)
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*") | (?P<index>(?<=\.)\d+)
    | (?P<number>0[xX][0-9A-Fa-f_]+|0[bB][01_]+|0[oO][0-7_]+|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?)
    | (?P<word>[^\W\d]\w*) | (?P<sign>\*\*|//|==|!=|<=|>=|[-+*/%~<>=.,:|()\[\]{}]))""",
    re.VERBOSE | re.DOTALL,
)
_CONSTANTS: Final = frozenset({"true", "True", "false", "False", "none", "None"})
_COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_BINDING: Final = {
    "or": 2,
    "and": 3,
    "not": 5,  # "not" is here that of "not in"
    **dict.fromkeys(_COMPARISONS, 5),
    "+": 6,
    "-": 6,
    "~": 7,
    "*": 8,
    "/": 8,
    "//": 8,
    "%": 8,
    "**": 9,
}
_NOT_BINDING: Final = 4
_NO_TEST_ARGUMENT: Final = frozenset({"and", "or", "else", "is", "if", "in", "not"})


class Node(Record):
    """A part of an expression.

    Attributes:
        kind: literal, name, member, item, slice, call, method, filter, test, not, negative, compare, in, and, or,
            operator (of numbers or texts), condition, list, object, keyword or splat.
        start, end: Where it stands in the source.
        parts: Its operands, in the order of the source; of a method, filter, test, member, item and slice, the value
            that it is applied to comes first.
        name: The name of a name, member, method, filter, test or keyword; the sign of an operator or a comparison.
        value: The value of a literal.
    """

    kind: str
    start: int
    end: int
    parts: tuple[Node, ...] = ()
    name: str = ""
    value: Any = None

    def walk(self) -> list[Node]:
        """Return this part and all below it, each before its operands. A chain of operators may be thousands deep."""
        nodes, waiting = list[Node](), [self]
        while waiting:
            node = waiting.pop()
            nodes.append(node)
            if node.parts:
                waiting += node.parts[::-1]
        return nodes


class _NotUnderstood(Exception):
    """The parser cannot go on."""


@lru_cache(maxsize=4096)  # each tool repeats the expressions of its preset
def parse_expression(source: str) -> Node:
    """Return the tree of an expression.

    Raises:
        TemplateError: if it cannot be parsed.
        ValueError: if it holds a character that UTF-8 cannot encode.
    """
    _CHECKER.undeclared_variables_in_str("{{" + source + "}}")
    try:
        return _Parser(source).parse()
    except (_NotUnderstood, RecursionError):
        raise TemplateError("syntax error: the expression is nested too deeply, or is not one expression") from None


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, source: str) -> None:
        self._tokens: list[tuple[str, str, int, int]] = []
        self._next = 0
        self._depth = 0
        position = 0
        while match := _TOKEN.match(source, position):
            kind = match.lastgroup or ""
            self._tokens.append((kind, match[kind], match.start(kind), match.end()))
            position = match.end()
        if source[position:].strip():
            raise _NotUnderstood
        end = ("end", "", len(source), len(source))
        self._tokens += (end, end)  # the second one is next when the first is taken
        # The next token; the quotes of a text distinguish it from a word or a sign.
        self._kind, self._text, self._start, _ = self._tokens[0]
        self._end = 0
        """Where the last token that was taken ends."""

    def parse(self) -> Node:
        """Return the tree of the whole source."""
        node = self._expression()
        if self._kind != "end":
            raise _NotUnderstood
        return node

    def _take(self) -> str:
        _, text, _, self._end = self._tokens[self._next]
        self._next += 1
        self._kind, self._text, self._start, _ = self._tokens[self._next]
        return text

    def _skip(self, text: str) -> bool:
        if self._text != text:
            return False
        self._take()
        return True

    def _expect(self, text: str) -> None:
        if not self._skip(text):
            raise _NotUnderstood

    def _word(self) -> str:
        if self._kind not in ("word", "index"):
            raise _NotUnderstood
        return self._take()

    def _node(self, kind: str, start: int, *parts: Node, name: str = "", value: Any = None) -> Node:
        return Node(kind, start, self._end, parts, name, value)

    def _expression(self) -> Node:
        """Parse `a if b else c` and everything that binds more tightly."""
        self._depth += 1
        if self._depth > MAX_EXPRESSION_DEPTH:
            raise _NotUnderstood
        start = self._start
        node = self._operation(2)
        while self._skip("if"):
            parts = [node, self._operation(2)]
            if self._skip("else"):
                parts.append(self._expression())
            node = self._node("condition", start, *parts)
        self._depth -= 1
        return node

    def _operation(self, binding: int) -> Node:
        """Parse operators that bind at least this tightly; all associate to the left."""
        start = self._start
        if self._skip("not"):
            self._depth += 1
            node = self._node("not", start, self._negated())
            self._depth -= 1
        else:
            node = self._unary()
        while self._kind in ("word", "sign") and (own := _BINDING.get(self._text, 0)) >= binding:
            sign = self._take()
            negated = sign == "not"
            if negated:
                self._expect("in")
                sign = "in"
            kind = sign if sign in ("and", "or", "in") else "compare" if sign in _COMPARISONS else "operator"
            node = self._node(kind, start, node, self._operation(own + 1), name=sign)
            if negated:
                node = self._node("not", start, node)
        return node

    def _negated(self) -> Node:
        if self._depth > MAX_EXPRESSION_DEPTH:
            raise _NotUnderstood
        return self._operation(_NOT_BINDING)

    def _unary(self) -> Node:
        start = self._start
        return self._filters(self._postfix(self._negative(), start), start)

    def _negative(self) -> Node:
        start = self._start
        if not self._skip("-"):
            return self._primary()
        operand = self._negative()
        if isinstance(operand.value, int | float) and not isinstance(operand.value, bool):
            return self._node("literal", start, value=-operand.value)
        return self._node("negative", start, operand)

    def _postfix(self, node: Node, start: int) -> Node:
        while True:
            if self._skip("."):
                name = self._word()
                node = self._node("member", start, node, name=name)
            elif self._skip("["):
                node = self._subscript(node, start)
            elif self._text == "(":
                is_method, callee = node.kind == "member", node
                base = callee.parts[0] if is_method else callee
                node = self._node("method" if is_method else "call", start, base, *self._arguments(), name=callee.name)
            else:
                return node

    def _subscript(self, base: Node, start: int) -> Node:
        """Parse what is behind `[`; the parts of a slice that are left out are literals of no length."""
        first = self._omitted() if self._text == ":" else self._expression()
        if not self._skip(":"):
            self._expect("]")
            return self._node("item", start, base, first)
        stop = self._omitted() if self._text in (":", "]") else self._expression()
        step = self._omitted()
        if self._skip(":") and self._text != "]":
            step = self._expression()
        self._expect("]")
        return self._node("slice", start, base, first, stop, step)

    def _omitted(self) -> Node:
        return Node("literal", self._start, self._start)

    def _filters(self, node: Node, start: int) -> Node:
        while True:
            if self._skip("|"):
                name = self._word()
                node = self._node("filter", start, node, *self._optional_arguments(), name=name)
            elif self._skip("is"):
                negated = self._skip("not")
                name = self._word()
                node = self._node("test", start, node, *self._test_arguments(), name=name)
                node = self._node("not", start, node) if negated else node
            else:
                return node

    def _test_arguments(self) -> tuple[Node, ...]:
        starts_operand = self._kind in ("text", "number") or self._text in ("+", "-", "[", "{")
        if not (starts_operand or (self._kind == "word" and self._text not in _NO_TEST_ARGUMENT)):
            return self._optional_arguments()
        start = self._start
        return (self._postfix(self._negative(), start),)

    def _optional_arguments(self) -> tuple[Node, ...]:
        return self._arguments() if self._text == "(" else ()

    def _arguments(self) -> tuple[Node, ...]:
        self._expect("(")
        arguments: list[Node] = []
        while not self._skip(")"):
            if arguments:
                self._expect(",")
                if self._skip(")"):
                    break
            start = self._start
            if self._text in ("*", "**"):
                sign = self._take()
                arguments.append(self._node("splat", start, self._expression(), name=sign))
            else:
                value = self._expression()
                if value.kind == "name" and self._skip("="):
                    value = self._node("keyword", start, self._expression(), name=value.name)
                arguments.append(value)
        return tuple(arguments)

    def _primary(self) -> Node:
        start, kind = self._start, self._kind
        if kind == "text":
            return self._literal_text(start)
        if kind == "number":
            return self._node("literal", start, value=_number(self._take()))
        if kind == "word":
            word = self._take()
            if word in _CONSTANTS:
                return self._node("literal", start, value={"t": True, "f": False}.get(word[0].lower()))
            return self._node("name", start, name=word)
        opening = self._take()
        if opening == "(":
            return self._tuple(start)
        if opening == "[":
            return self._node("list", start, *self._items("]"))
        if opening == "{":
            return self._node("object", start, *self._items("}", pairs=True))
        raise _NotUnderstood

    def _literal_text(self, start: int) -> Node:
        """Parse a text, and those behind it: texts side by side are one."""
        texts = [self._take()]
        while self._kind == "text":
            texts.append(self._take())
        # MiniJinja decides what an escape means; the value of a text is needed where it has none.
        return self._node("literal", start, value="".join(map(_unquote, texts)))

    def _tuple(self, start: int) -> Node:
        if self._skip(")"):
            return self._node("list", start)
        node = self._expression()
        if self._text != ",":
            self._expect(")")
            return Node(node.kind, start, self._end, node.parts, node.name, node.value)
        self._take()
        return self._node("list", start, node, *self._items(")"))

    def _items(self, closing: str, *, pairs: bool = False) -> list[Node]:
        items: list[Node] = []
        while not self._skip(closing):
            if items:
                self._expect(",")
                if self._skip(closing):
                    break
            items.append(self._expression())
            if pairs:
                self._expect(":")
                items.append(self._expression())
        return items


def _number(text: str) -> int | float:
    digits = text.replace("_", "")
    try:
        return int(digits, 0) if digits[1:2].isalpha() else int(digits)
    except ValueError:
        return float(digits)


def _unquote(text: str) -> str:
    if "\\" not in text:
        return text[1:-1]
    return str(_CHECKER.eval_expr(text))
