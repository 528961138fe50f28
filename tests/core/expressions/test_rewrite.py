"""What is evaluated instead of an expression: the text that MiniJinja gets, and the names that stand for paths."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.core.expressions.rewrite import MAX_FREE_JOINS, may_grow, rewrite
from utcp_ws_mcp.core.expressions.syntax import parse_expression
from utcp_ws_mcp.core.limits import MAX_VALUE_LENGTH


def rewritten(source: str, *, measured: bool = False) -> str:
    return rewrite(source, parse_expression(source), measured=measured)[0]


REWRITTEN = {
    "(x[1:]) | hex": "(((x) | _slice(1, none, none))) | hex",
    "((x)[1:2][0:])[0]": "((((((x)) | _slice(1, 2, none))) | _slice(0, none, none)))[0]",
    "(x.replace(a, b)) | hex": "((x | _replace(a, b))) | hex",
    "a.list | sort": "((a.list) | _listed | _comparable('')) | sort",
    "a | map('upper', 'list')": "((a) | _listed) | map('upper', 'list')",
    "a | sort(reverse='n')": "((a) | _listed | _comparable('')) | sort(reverse='n')",
    "a | sort(b.attribute)": "((a) | _listed | _comparable('')) | sort(b.attribute)",
    "a | groupby()": "((a) | _paired | _comparable('')) | groupby()",
    "a | groupby('n', 'm')": "((a) | _paired | _comparable('n')) | groupby('n', 'm')",
    "a | groupby('n', attribute='m')": "((a) | _paired | _comparable('m')) | groupby('n', attribute='m')",
    "x[1:3]": "((x) | _slice(1, 3, none))",
    "x[:]": "((x) | _slice(none, none, none))",
    "x[1:]": "((x) | _slice(1, none, none))",
    "x[:2]": "((x) | _slice(none, 2, none))",
    "x[::2]": "((x) | _slice(none, none, 2))",
    "x[1:2:3]": "((x) | _slice(1, 2, 3))",
    "x[ 1 : 2 ]": "((x) | _slice(1, 2, none))",
    "x[a:b[1:2]]": "((x) | _slice(a, ((b) | _slice(1, 2, none)), none))",
    "x[1:2].y": "((x) | _slice(1, 2, none)).y",
    "x[1:2][0]": "((x) | _slice(1, 2, none))[0]",
    "a.b[1:] | upper": "((a.b) | _slice(1, none, none)) | upper",
    "a * b": "((a) | _factor) * ((b) | _factor)",
    "a * 2": "((a) | _factor) * 2",
    "2 * a": "2 * ((a) | _factor)",
    "a * b * c": "((a) | _factor) * ((b) | _factor) * ((c) | _factor)",
    "a * (b * c)": "((a) | _factor) * (((b) | _factor) * ((c) | _factor))",
    "a + b * c": "a + ((b) | _factor) * ((c) | _factor)",
    "a.replace('x', b)": "(a | _replace('x', b))",
    "a.replace( 'x' , b ).replace(c, d)": "((a | _replace( 'x' , b )) | _replace(c, d))",
    "','.join(b)": "(',' | _join(b))",
    "a.b.split(',')": "(a.b | _split(','))",
    "a.splitlines()": "(a | _splitlines())",
    "a.b.splitlines( true )": "(a.b | _splitlines( true ))",
    "a.format(b)": "((a) | _format_text).format(b)",
    "a.upper()": "a.upper()",
    "a | list": "((a) | _listed) | list",
    "a | list | sort": "((((a) | _listed) | list) | _comparable('')) | sort",
    "[1] | list": "(([1]) | _listed) | list",
    "'abc' | list": "'abc' | list",
    "'abc' | items": "(('abc') | _paired) | items",
    "a | zip(b)": "((a) | _paired) | zip(((b) | _paired))",
    "a | zip(b, 'x', [1])": "((a) | _paired) | zip(((b) | _paired), (('x') | _paired), (([1]) | _paired))",
    "a | chain(b)": "((a) | _listed) | chain(((b) | _listed))",
    "a | chain(b | list)": "((a) | _listed) | chain(((b) | _listed) | list)",
    "a | sort": "((a) | _listed | _comparable('')) | sort",
    "a | sort(attribute='n')": "((a) | _listed | _comparable('n')) | sort(attribute='n')",
    "a | sort(attribute=b)": "((a) | _listed | _comparable('')) | sort(attribute=b)",
    "a | sort(attribute='n x')": "((a) | _listed | _comparable('')) | sort(attribute='n x')",
    "a | sort(reverse=true)": "((a) | _listed | _comparable('')) | sort(reverse=true)",
    "a | groupby('n')": "((a) | _paired | _comparable('n')) | groupby('n')",
    "a | groupby(b)": "((a) | _paired | _comparable('')) | groupby(b)",
    "a | groupby(attribute='n.m')": "((a) | _paired | _comparable('n.m')) | groupby(attribute='n.m')",
    "a | max": "((a) | _listed | _comparable('')) | max",
    "a | min(attribute='x-y')": "((a) | _listed | _comparable('x-y')) | min(attribute='x-y')",
    "a | unique(attribute=5)": "((a) | _listed | _comparable('')) | unique(attribute=5)",
    "a | map('upper')": "((a) | _listed) | map('upper')",
    "a | map('list')": "((a) | _listed | map('_paired')) | map('list')",
    "a | map(b)": "((a) | _listed | map('_paired') | _comparable_items) | map(b)",
    "a | map(attribute='x')": "((a) | _listed) | map(attribute='x')",
    "a | map('sort')": "((a) | _listed | map('_paired') | _comparable_items) | map('sort')",
    "a | map('unique', b)": "((a) | _listed | map('_paired') | _comparable_items) | map('unique', b)",
    "a | split(',') | sort": "((a | split(',')) | _comparable('')) | sort",
    "a | lines | first": "a | lines | first",
    "a | dictsort": "((a) | _paired) | dictsort",
    "a | join(',')": "((a) | _listed) | join(',')",
    "a | select": "((a) | _listed) | select",
    "a | length": "a | length",
    "a | max | list": "((((a) | _listed | _comparable('')) | max) | _listed) | list",
    "a.update": "path_0",
    "a.x.update.y": "path_0",
    "a['keys']": "path_0",
    "a.items()": "a.items()",
    "a.items.b": "path_0",
    "a.update ~ a.update": "path_0 ~ path_1",
    "a ~ b": "a ~ b",
    "a - b": "a - b",
    "[a, b] ~ 'x'": "[a, b] ~ 'x'",
    "x[a.update:b | list]": "((x) | _slice(path_0, ((b) | _listed) | list, none))",
    "a[b * 2:]": "((a) | _slice(((b) | _factor) * 2, none, none))",
    "a.replace(b * c, d[1:])": "(a | _replace(((b) | _factor) * ((c) | _factor), ((d) | _slice(1, none, none))))",
}


@pytest.mark.parametrize(("source", "text"), REWRITTEN.items(), ids=REWRITTEN)
def test_what_would_mean_something_else_or_has_no_bound_is_rewritten(source: str, text: str) -> None:
    assert rewritten(source) == text


ALIASES = {
    "a.update": {"path_0": ("a", "update")},
    "a.x.update.y ~ b['keys'].z": {"path_0": ("a", "x", "update", "y"), "path_1": ("b", "keys", "z")},
    "a[0].items[1]": {"path_0": ("a", 0, "items", 1)},
    "a.items()": {},
    "update.a": {},
    "a.length": {},
}


@pytest.mark.parametrize(("source", "aliases"), ALIASES.items(), ids=ALIASES)
def test_a_path_with_the_name_of_a_method_gets_a_name(source: str, aliases: dict[str, object]) -> None:
    assert rewrite(source, parse_expression(source), measured=False)[1] == aliases


@pytest.mark.parametrize("sign", ["~", "+"])
def test_operands_that_are_joined_often_have_a_bound_together(sign: str) -> None:
    names = [f"n{index}" for index in range(MAX_FREE_JOINS + 2)]
    few, many = f" {sign} ".join(names[:-1]), f" {sign} ".join([*names[:2], "'x'", *names[2:-1]])
    assert rewritten(few) == few
    bound = MAX_VALUE_LENGTH // (MAX_FREE_JOINS + 1)
    assert rewritten(many) == f" {sign} ".join(
        part if part == "'x'" else f"(({part}) | _at_most({bound}))" for part in many.split(f" {sign} ")
    )


def test_other_operators_beside_many_joins_are_left_alone() -> None:
    source = " ~ ".join(["a"] * (MAX_FREE_JOINS + 2)) + " - b"
    assert rewritten(source).endswith(" - b")


def test_what_ends_at_the_same_place_is_closed_from_the_inside_out() -> None:
    source = "a + " * (MAX_FREE_JOINS + 1) + "b * c.replace('x', 'y')"
    bound = MAX_VALUE_LENGTH // (MAX_FREE_JOINS + 1)
    assert rewritten(source).endswith(
        f" + ((((b) | _factor) * (((c | _replace('x', 'y'))) | _factor)) | _at_most({bound}))"
    )


def test_the_operands_of_both_joining_operators_count_together() -> None:
    source = " ~ ".join(["a"] * 5) + " + " + " + ".join(["b"] * 5)
    assert rewritten(source).count("_at_most") == 11
    assert rewritten(source.replace(" + ", " - ")) == source.replace(" + ", " - ")


MEASURED = {
    "[a, b] ~ 'x'": "(([a, b]) | _measured) ~ 'x'",
    "[a, b]": "[a, b]",
    "([a, [b]] | list) ~ {'x': a}": "((((([a, [b]]) | _listed)) | _measured) | list) ~ (({'x': a}) | _measured)",
    "(a + b) ~ c": "(((a + b)) | _measured) ~ c",
    "a | chain(b) | length": "((((a) | _listed) | chain(((b) | _listed))) | _measured) | length",
    "(a | zip(b)) ~ ''": "(((((a) | _paired) | zip(((b) | _paired)))) | _measured) ~ ''",
    "[1, 2] ~ a": "[1, 2] ~ a",
    "[[a]] ~ a": "(([[a]]) | _measured) ~ a",
}


@pytest.mark.parametrize(("source", "text"), MEASURED.items(), ids=MEASURED)
def test_parts_that_hold_values_are_measured_where_the_expression_may_grow(source: str, text: str) -> None:
    assert rewritten(source, measured=True) == text


GROWS = {
    "[a, b, c, d]": False,
    "[a, b, c, d, e]": True,
    "[a, b, c, d, 1]": False,
    "[[a, b], [c, d]]": True,
    "{'a': b, 'c': d, 'e': f, 'g': h}": False,
    "{'a': b, 'c': d, 'e': f, 'g': h, 'i': j}": True,
    "{a: 1, c: 2, e: 3, g: 4, i: 5}": True,
    "[let.a, 1]": False,
    "[let.a, b]": True,
    "[session.a, b]": True,
    "a + b": False,
    "a + b + c + d + e": False,
    "a + b + c + d + e + f": True,
    "a + let.b + c": True,
    "let.a ~ b ~ c": False,
    "a ~ b ~ c ~ d ~ e ~ f": False,
    "a - b - c - d - e - f": False,
    "[let]": False,
    "a | chain(b) | chain(c) | zip(d) | zip(e)": False,
    "a | chain(b) | chain(c) | zip(d) | groupby('e') | chain(f)": True,
}


@pytest.mark.parametrize(("source", "grows"), GROWS.items(), ids=GROWS)
def test_an_expression_that_holds_more_than_four_values_may_grow(source: str, grows: bool) -> None:
    assert may_grow(parse_expression(source)) is grows
