"""The tree of an expression: what is applied to what, and where each part stands in the source."""

from __future__ import annotations

import pytest
from minijinja import Environment, TemplateError

from utcp_ws_mcp.core.expressions.syntax import MAX_EXPRESSION_DEPTH, Node, parse_expression


def show(node: Node) -> str:
    """Return a part as kind:name=value(parts)."""
    name = f":{node.name}" if node.name not in ("", node.kind) else ""
    value = f"={node.value!r}" if node.kind == "literal" else ""
    parts = f"({', '.join(map(show, node.parts))})" if node.parts else ""
    return f"{node.kind}{name}{value}{parts}"


TREES = {
    # Literals and names
    "1": "literal=1",
    "1_000": "literal=1000",
    "0x1F": "literal=31",
    "0b101": "literal=5",
    "0o17": "literal=15",
    "0": "literal=0",
    "01": "literal=1",
    "1.5": "literal=1.5",
    "1e3": "literal=1000.0",
    "-1": "literal=-1",
    "--1": "literal=1",
    "-1.5": "literal=-1.5",
    "true": "literal=True",
    "True": "literal=True",
    "false": "literal=False",
    "False": "literal=False",
    "none": "literal=None",
    "None": "literal=None",
    "'a'": "literal='a'",
    '"a"': "literal='a'",
    "'a' 'b' \"c\"": "literal='abc'",
    r"'it\'s \n'": 'literal="it\'s \\n"',
    "a": "name:a",
    "_a1": "name:_a1",
    # Steps
    "a.b": "member:b(name:a)",
    "a.0.b": "member:b(member:0(name:a))",
    "a[0]": "item(name:a, literal=0)",
    "-a.b": "member:b(negative(name:a))",
    "a['b'].c": "member:c(item(name:a, literal='b'))",
    "a[b.c]": "item(name:a, member:c(name:b))",
    "a[1:2]": "slice(name:a, literal=1, literal=2, literal=None)",
    "a[:]": "slice(name:a, literal=None, literal=None, literal=None)",
    "a[1:]": "slice(name:a, literal=1, literal=None, literal=None)",
    "a[:2]": "slice(name:a, literal=None, literal=2, literal=None)",
    "a[::3]": "slice(name:a, literal=None, literal=None, literal=3)",
    "a[1:2:3]": "slice(name:a, literal=1, literal=2, literal=3)",
    "a[1:2:]": "slice(name:a, literal=1, literal=2, literal=None)",
    "a[::]": "slice(name:a, literal=None, literal=None, literal=None)",
    "'abc'[1]": "item(literal='abc', literal=1)",
    "[1, 2][0].b": "member:b(item(list(literal=1, literal=2), literal=0))",
    # Calls
    "f()": "call:f(name:f)",
    "f(1, a)": "call:f(name:f, literal=1, name:a)",
    "f(1,)": "call:f(name:f, literal=1)",
    "a.f()": "method:f(name:a)",
    "a.f(1).g(2)": "method:g(method:f(name:a, literal=1), literal=2)",
    "a.b.f(x=1)": "method:f(member:b(name:a), keyword:x(literal=1))",
    "f(*a, **b)": "call:f(name:f, splat:*(name:a), splat:**(name:b))",
    "f(1, *a)": "call:f(name:f, literal=1, splat:*(name:a))",
    "f(a == 1)": "call:f(name:f, compare:==(name:a, literal=1))",
    "f(x=a if b else c)": "call:f(name:f, keyword:x(condition(name:a, name:b, name:c)))",
    "f(a if b else c)": "call:f(name:f, condition(name:a, name:b, name:c))",
    "f(not a)": "call:f(name:f, not(name:a))",
    "f(x=a == 1)": "call:f(name:f, keyword:x(compare:==(name:a, literal=1)))",
    "f(g)(1)": "call:f(call:f(name:f, name:g), literal=1)",
    "(a.b)(1)": "method:b(name:a, literal=1)",
    # Filters and tests
    "a | f": "filter:f(name:a)",
    "a | f | g(1)": "filter:g(filter:f(name:a), literal=1)",
    "a.b | f(x=1, y=b)": "filter:f(member:b(name:a), keyword:x(literal=1), keyword:y(name:b))",
    "-a | f": "filter:f(negative(name:a))",
    "-1 | f": "filter:f(literal=-1)",
    "--a": "negative(negative(name:a))",
    "-true": "negative(literal=True)",
    "-'a'": "negative(literal='a')",
    "a is defined": "test:defined(name:a)",
    "a is not defined": "not(test:defined(name:a))",
    "a is eq 1": "test:eq(name:a, literal=1)",
    "a is eq(1)": "test:eq(name:a, literal=1)",
    "a is eq -1": "test:eq(name:a, literal=-1)",
    "a is eq 'x'": "test:eq(name:a, literal='x')",
    "a is eq b.c": "test:eq(name:a, member:c(name:b))",
    "a is in [1]": "test:in(name:a, list(literal=1))",
    "a is eq {'b': 1}": "test:eq(name:a, object(literal='b', literal=1))",
    "a is defined and b": "and(test:defined(name:a), name:b)",
    "a is defined or b": "or(test:defined(name:a), name:b)",
    "a is string | f": "filter:f(test:string(name:a))",
    "a is defined is true": "test:true(test:defined(name:a))",
    "a is eq(1) | f": "filter:f(test:eq(name:a, literal=1))",
    "1 if a is defined else 2": "condition(literal=1, test:defined(name:a), literal=2)",
    "a is string not in b": "not(in(test:string(name:a), name:b))",
    "a is string - 1": "test:string(name:a, literal=-1)",
    # Operators
    "a or b and c": "or(name:a, and(name:b, name:c))",
    "a and b or c": "or(and(name:a, name:b), name:c)",
    "a or b or c": "or(or(name:a, name:b), name:c)",
    "not a and b": "and(not(name:a), name:b)",
    "not a == b": "not(compare:==(name:a, name:b))",
    "not not a": "not(not(name:a))",
    "a and not b": "and(name:a, not(name:b))",
    "a == b + 1": "compare:==(name:a, operator:+(name:b, literal=1))",
    "a - b + c": "operator:+(operator:-(name:a, name:b), name:c)",
    "a + b ~ c": "operator:+(name:a, operator:~(name:b, name:c))",
    "a ~ b * c": "operator:~(name:a, operator:*(name:b, name:c))",
    "a * b / c": "operator:/(operator:*(name:a, name:b), name:c)",
    "a // b % c": "operator:%(operator://(name:a, name:b), name:c)",
    "a * b ** c": "operator:*(name:a, operator:**(name:b, name:c))",
    "a ** b ** c": "operator:**(operator:**(name:a, name:b), name:c)",
    "a * (b + c)": "operator:*(name:a, operator:+(name:b, name:c))",
    "a - -1": "operator:-(name:a, literal=-1)",
    "a -1": "operator:-(name:a, literal=1)",
    "a != b": "compare:!=(name:a, name:b)",
    "a <= b": "compare:<=(name:a, name:b)",
    "a < b == c": "compare:==(compare:<(name:a, name:b), name:c)",
    "a >= b > c": "compare:>(compare:>=(name:a, name:b), name:c)",
    "a in b": "in(name:a, name:b)",
    "a not in b": "not(in(name:a, name:b))",
    "a not in b and c": "and(not(in(name:a, name:b)), name:c)",
    "a | f == b | g": "compare:==(filter:f(name:a), filter:g(name:b))",
    "'a' 'in' == b": "compare:==(literal='ain', name:b)",
    # Conditions
    "a if b else c": "condition(name:a, name:b, name:c)",
    "a if b or c else d": "condition(name:a, or(name:b, name:c), name:d)",
    "a if b": "condition(name:a, name:b)",
    "a if b else c if d else e": "condition(name:a, name:b, condition(name:c, name:d, name:e))",
    "a if b if c": "condition(condition(name:a, name:b), name:c)",
    "a or b if c and d else e": "condition(or(name:a, name:b), and(name:c, name:d), name:e)",
    # Lists and objects
    "[]": "list",
    "[1, a,]": "list(literal=1, name:a)",
    "()": "list",
    "(a)": "name:a",
    "(a, b)": "list(name:a, name:b)",
    "(a,)": "list(name:a)",
    "(a, b,)": "list(name:a, name:b)",
    "{}": "object",
    "{'a': 1, b: c | f,}": "object(literal='a', literal=1, name:b, filter:f(name:c))",
    "{'a': 1 if b else 2}": "object(literal='a', condition(literal=1, name:b, literal=2))",
    "[a if b else c]": "list(condition(name:a, name:b, name:c))",
}


@pytest.mark.parametrize(("source", "tree"), TREES.items(), ids=TREES)
def test_the_parts_of_an_expression_are_applied_in_the_order_of_minijinja(source: str, tree: str) -> None:
    assert show(parse_expression(source)) == tree


PLACES = {
    " a.b ": ["a.b", "a"],
    "a.b[0].f( 1 ) ": ["a.b[0].f( 1 )", "a.b[0]", "a.b", "a", "0", "1"],
    "f(x = 1)": ["f(x = 1)", "f", "x = 1", "1"],
    "f( *a )": ["f( *a )", "f", "*a", "a"],
    "(a ~ b) | f": ["(a ~ b) | f", "(a ~ b)", "a", "b"],
    "( a )": ["( a )"],
    "a + b * c": ["a + b * c", "a", "b * c", "b", "c"],
    "not a": ["not a", "a"],
    "x or not a == 1": ["x or not a == 1", "x", "not a == 1", "a == 1", "a", "1"],
    "a not in b": ["a not in b", "a not in b", "a", "b"],
    "a is not in [1]": ["a is not in [1]", "a is not in [1]", "a", "[1]", "1"],
    "a is eq -b.c": ["a is eq -b.c", "a", "-b.c", "-b", "b"],
    "[1 if a else 2, 3]": ["[1 if a else 2, 3]", "1 if a else 2", "1", "a", "2", "3"],
    "1 if a else 2 ": ["1 if a else 2", "1", "a", "2"],
    "x[1 : 2]": ["x[1 : 2]", "x", "1", "2", ""],
    "x[ : ]": ["x[ : ]", "x", "", "", ""],
    "- a": ["- a", "a"],
    "- 1": ["- 1"],
    "'a' 'b'": ["'a' 'b'"],
    "( )": ["( )"],
    "(a, b)": ["(a, b)", "a", "b"],
    "{'a' : b}": ["{'a' : b}", "'a'", "b"],
    "[ a ]": ["[ a ]", "a"],
}


@pytest.mark.parametrize(("source", "texts"), PLACES.items(), ids=PLACES)
def test_a_part_knows_where_it_stands(source: str, texts: list[str]) -> None:
    assert [source[node.start : node.end] for node in parse_expression(source).walk()] == texts


@pytest.mark.parametrize(("source", "places"), {"x[:2]": [2, 3, 4], "x[1:]": [2, 4, 4], "x[::]": [2, 3, 3]}.items())
def test_what_is_left_out_of_a_slice_stands_before_the_next_sign(source: str, places: list[int]) -> None:
    assert [part.start for part in parse_expression(source).parts[1:]] == places


def test_the_value_of_a_number_is_of_its_kind() -> None:
    for source, kind in (("1", int), ("1.0", float), ("1e2", float), ("0x10", int), ("true", bool), ("-2", int)):
        assert type(parse_expression(source).value) is kind


REFUSED = [
    "",
    "a b",
    "a.",
    "a |",
    "a is",
    "f(",
    "[1",
    "{'a'}",
    "{1: 2",
    "a[",
    "a[1",
    "(a",
    "1 +",
    "not",
    "a if",
    "'a",
]
ONLY_HERE_REFUSED = ["a }}{{ b", "a }} x {{ b"]


@pytest.mark.parametrize("source", REFUSED)
def test_what_is_no_expression_is_refused(source: str) -> None:
    with pytest.raises(TemplateError):
        parse_expression(source)


@pytest.mark.parametrize("source", ONLY_HERE_REFUSED)
def test_what_is_more_than_one_expression_is_refused(source: str) -> None:
    Environment().undeclared_variables_in_str("{{" + source + "}}")
    with pytest.raises(TemplateError, match="nested too deeply, or is not one expression"):
        parse_expression(source)


DEEP = {
    "brackets": ("(", "a", ")"),
    "lists": ("[", "a", "]"),
    "items": ("a[", "0", "]"),
    "calls": ("f(", "a", ")"),
    "objects": ("{'a': ", "1", "}"),
}


@pytest.mark.parametrize(("opening", "inside", "closing"), DEEP.values(), ids=DEEP)
def test_brackets_may_be_as_deep_as_the_limit(opening: str, inside: str, closing: str) -> None:
    levels = MAX_EXPRESSION_DEPTH - 1
    parse_expression(opening * levels + inside + closing * levels)
    with pytest.raises(TemplateError, match="nested too deeply"):
        parse_expression(opening * (levels + 1) + inside + closing * (levels + 1))


def test_negations_may_be_as_deep_as_the_limit() -> None:
    levels = MAX_EXPRESSION_DEPTH - 1
    parse_expression("not " * levels + "a")
    with pytest.raises(TemplateError, match="nested too deeply"):
        parse_expression("not " * (levels + 1) + "a")


def test_what_stands_before_does_not_make_brackets_less_deep() -> None:
    deep = "(" * MAX_EXPRESSION_DEPTH + "a" + ")" * MAX_EXPRESSION_DEPTH
    for before in ("not a or ", "(a) or ", "(a if b else c) or "):
        with pytest.raises(TemplateError, match="nested too deeply"):
            parse_expression(before * MAX_EXPRESSION_DEPTH + deep)


def test_what_stands_side_by_side_is_not_deep() -> None:
    count = 2 * MAX_EXPRESSION_DEPTH
    for source in (" or ".join(["not (a)"] * count), " + ".join(["(a)"] * count), f"[{'[], ' * count}]"):
        assert len(parse_expression(source).walk()) > count
    assert len(parse_expression("a" + ".b" * 500 + "[0]").walk()) == 503
