"""Find the mutants of a source: small changes that a test should notice.

mutmut 3 and cosmic-ray were tried on paper first. Neither removes statements or drops operands, the two kinds that
tests of this repository missed most often, and neither draws a sample by a seed. mutmut switches mutants inside the
test process, so tests that start the program in a process of its own do not meet them; cosmic-ray edits the working
tree. The standard library's `ast` gives the position of every node, so that a mutant is one replaced piece of text.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

COMPARISONS: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
ARITHMETIC: Final[dict[type[ast.operator], str]] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "//",
    ast.FloorDiv: "*",
    ast.Div: "*",
    ast.BitOr: "&",
    ast.BitAnd: "|",
    ast.LShift: ">>",
    ast.RShift: "<<",
}
_SKIPPED_STATEMENTS: Final = (ast.Assert, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal, ast.Pass)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file.

    `start` and `end` are byte offsets; `first_line` and `last_line` are where the changed node is.
    `in_function` is false for code that runs when the module is imported.
    """

    path: str
    kind: str
    start: int
    end: int
    replacement: str
    first_line: int
    last_line: int
    in_function: bool

    def apply(self, source: bytes) -> bytes:
        """Return the changed source."""
        return source[: self.start] + self.replacement.encode() + source[self.end :]


def find_mutants(path: str, source: bytes) -> list[Mutant]:
    """Return all mutants of a source, in the order of the file. A few of them do not compile: see `compiles`."""
    return sorted(_Finder(path, source).mutants, key=lambda each: (each.start, each.end, each.kind, each.replacement))


def compiles(mutant: Mutant, source: bytes) -> bool:
    """Return whether the changed source is Python."""
    try:
        compile(mutant.apply(source), mutant.path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


class _Finder(ast.NodeVisitor):
    def __init__(self, path: str, source: bytes) -> None:
        self.mutants: list[Mutant] = []
        self._path = path
        self._source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._depth = 0
        self.visit(ast.parse(source))

    # What is changed

    def generic_visit(self, node: ast.AST) -> None:
        """Add the mutants of a node, then those of its children."""
        if isinstance(node, _SKIPPED_STATEMENTS) or _is_for_type_checkers(node):
            return
        for kind, start, end, text in self._changes(node):
            assert isinstance(node, ast.stmt | ast.expr | ast.ExceptHandler)
            lines = (node.lineno, node.end_lineno or node.lineno)
            self.mutants.append(Mutant(self._path, kind, start, end, text, *lines, self._depth > 0))
        self._visit_children(node)

    def _visit_children(self, node: ast.AST) -> None:
        is_function = isinstance(node, (*_FUNCTIONS, ast.Lambda))
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_params", "bases"):
                continue
            self._depth += is_function and name == "body"
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    self.visit(child)
            self._depth -= is_function and name == "body"

    def _changes(self, node: ast.AST) -> Iterator[tuple[str, int, int, str]]:
        """Yield kind, start, end and new text."""
        match node:
            case ast.If() | ast.While() | ast.IfExp():
                yield ("negated condition", *self._span(node.test), f"(not ({self._text(node.test)}))")
            case ast.Compare(ops=[operator]) if type(operator) in COMPARISONS:
                text = COMPARISONS[type(operator)]
                yield ("swapped comparison", *self._span(node), self._join(node.left, f" {text} ", node.comparators[0]))
            case ast.BoolOp(values=values):
                yield from self._operands(node, values)
            case ast.BinOp() if type(node.op) in ARITHMETIC and not isinstance(node.left, ast.JoinedStr):
                text = ARITHMETIC[type(node.op)]
                yield ("swapped operator", *self._span(node), self._join(node.left, f" {text} ", node.right))
            case ast.UnaryOp(op=ast.Not() | ast.USub()):
                yield ("removed sign", *self._span(node), f"({self._text(node.operand)})")
            case ast.Constant(value=value):
                yield from (("constant", *self._span(node), repr(other)) for other in _other_constants(value))
            case ast.ExceptHandler(type=ast.Name(id="BaseException") as caught):
                yield ("narrowed exception", *self._span(caught), "Exception")
            case ast.stmt() if self._depth:
                yield from self._statement(node)

    def _operands(self, node: ast.BoolOp, values: list[ast.expr]) -> Iterator[tuple[str, int, int, str]]:
        word, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        texts = [self._wrapped(value) for value in values]
        yield ("swapped and/or", *self._span(node), f"({f' {other} '.join(texts)})")
        for index in range(len(texts)):
            yield ("dropped operand", *self._span(node), f"({f' {word} '.join(texts[:index] + texts[index + 1 :])})")

    def _statement(self, node: ast.stmt) -> Iterator[tuple[str, int, int, str]]:
        match node:
            case ast.Expr(value=ast.Constant()):
                return  # a docstring
            case ast.Expr():
                yield ("removed call", *self._span(node), "pass")
            case ast.Assign() | ast.AugAssign() | ast.AnnAssign(value=ast.expr()):
                yield ("removed assignment", *self._span(node), "pass")
                value = node.value
                if isinstance(value, ast.Name | ast.Call | ast.Attribute):
                    yield ("assigned None", *self._span(value), "None")
            case ast.Raise():
                yield ("removed raise", *self._span(node), "pass")
            case ast.Return(value=ast.Constant(value=True | False)):
                pass  # the other constant is a mutant already, and callers take None as false
            case ast.Return(value=ast.expr() as value) if not _is_none(value):
                yield ("returned None", *self._span(value), "None")
            case ast.Continue() | ast.Break() | ast.Delete():
                yield ("removed statement", *self._span(node), "pass")

    # Text

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._source[start:end].decode()

    def _wrapped(self, node: ast.expr) -> str:
        return self._text(node) if isinstance(node, ast.Name | ast.Attribute | ast.Call) else f"({self._text(node)})"

    def _join(self, left: ast.expr, operator: str, right: ast.expr) -> str:
        return f"({self._wrapped(left)}{operator}{self._wrapped(right)})"


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _other_constants(value: object) -> tuple[object, ...]:
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, float):
        return (value * 2 or 1.0,)  # 1e21 + 1 is 1e21
    return (value + 1, value - 1) if isinstance(value, int) else ()
