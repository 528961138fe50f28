"""What is evaluated without MiniJinja gives what MiniJinja gives."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.binary import Binary
from utcp_ws_mcp.core.expressions.direct import compile_predicate, compile_value
from utcp_ws_mcp.core.expressions.expression import Expression
from utcp_ws_mcp.core.expressions.paths import UNDEFINED, NotDirect
from utcp_ws_mcp.core.expressions.syntax import parse_expression

NAMES = frozenset({"message", "request_id", "args"})
VALUES = [
    *("", "x", "a", "1", "ü", "\0", True, False, None, 0, 1, -1, 2**53, 2**64, 1.0, 0.0, 1.5),
    *([], [1], ["x"], {}, {"x": 1}, {"get": "x", "id": None}, {"a": {"b": "x"}}, UNDEFINED, b"x", Binary(b"x"), (1,)),
]
PREDICATES = [
    "message.a == request_id",
    "request_id == message.a",
    "message.a != request_id",
    "message.a == 'x'",
    "message.a != 'x'",
    "message.a == 1",
    "message.a == true",
    "message.a == none",
    "message.a is defined",
    "message.a is not defined",
    "message.a is undefined",
    "message.a is none",
    "message.a is not none",
    "message.a is string",
    "message.a is not string",
    "message.a in ['x', 'a']",
    "message.a not in ['x', 'a']",
    "message.a and request_id",
    "message.a or request_id",
    "not message.a",
    "not message.a == 'x' and message.a is defined",
    "message.a.b == 'x'",
    "message.a.b.c is not defined",
    "message.get == 'x'",
    "message.a.items is defined",
    "message.a.get == request_id",
    "message.a == 'x' or message.a.get == 'x' and request_id",
    "'x' in ['x']",
    "1 == 1",
    "true and not false",
]
CONDITIONS = [
    "message.a if message.a == request_id else 'x'",
    "message.a if message.a is defined",
    "message if message.a is string else message.a",
    "1 if message.a else none",
    "message.a.b if message.a else request_id if request_id else 2",
]


def evaluated_twice(source, method, **values):
    """Return what an expression gives directly, or NotDirect, and what MiniJinja gives."""
    expression = Expression(source, NAMES)
    scope = {**dict.fromkeys(NAMES, UNDEFINED), **values}
    expression._analyze()
    direct = expression._direct_predicate if method == "decide" else expression._direct_value
    assert direct is not None
    try:
        found = direct(scope)
    except NotDirect:
        return NotDirect, None
    expression._direct_predicate = expression._direct_value = None
    return found, getattr(expression, method)(scope)


@pytest.mark.parametrize("source", PREDICATES)
def test_a_predicate_is_decided_as_minijinja_decides_it(source):
    for value, other in product(VALUES, VALUES):
        for message in (value if value is UNDEFINED else {"a": value}, value):
            direct, expected = evaluated_twice(source, "decide", message=message, request_id=other)
            assert direct is NotDirect or direct is expected, (message, other)


@pytest.mark.parametrize("source", CONDITIONS)
def test_a_condition_gives_what_minijinja_gives(source):
    for value, other in product(VALUES, VALUES):
        message = {} if value is UNDEFINED else {"a": value}
        direct, expected = evaluated_twice(source, "evaluate", message=message, request_id=other)
        assert direct is NotDirect or (type(direct), direct) == (type(expected), expected), (value, other)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "get"]), inner, max_size=2),
    max_leaves=6,
)


@given(message=JSON, other=JSON, source=st.sampled_from(PREDICATES))
@settings(max_examples=200, deadline=None, database=None)
def test_any_json_is_decided_as_minijinja_decides_it(message, other, source):
    direct, expected = evaluated_twice(source, "decide", message=message, request_id=other)
    assert direct is NotDirect or direct is expected


USUAL = {
    "message.id == request_id": {"id": 7},
    "message.error is defined and message.error is not none": {"id": 7, "result": {}},
    "message.type == 'tool_error'": {"type": "tool_response"},
    "message.method in ['a', 'b']": {"method": "b"},
}


@pytest.mark.parametrize(("source", "message"), USUAL.items(), ids=USUAL)
def test_usual_predicates_do_without_minijinja(source, message):
    direct, _ = evaluated_twice(source, "decide", message=message, request_id=7)
    assert direct is not NotDirect


@pytest.mark.parametrize(
    "source", ["message.a | length == 1", "message.a < 2", "message.a.startswith('x')", "[1] == [1]"]
)
def test_other_expressions_are_left_to_minijinja(source):
    expression = Expression(source, NAMES)
    expression._analyze()

    assert expression._direct_predicate is None


def predicate_of(source, **scope):
    """Return what a predicate gives without MiniJinja, NotDirect or None where it needs it."""
    predicate = compile_predicate(parse_expression(source))
    if predicate is None:
        return None
    try:
        return predicate(scope)
    except NotDirect:
        return NotDirect


EQUAL = {
    "texts": ("a", "a", True),
    "other texts": ("a", "b", False),
    "true": (True, True, True),
    "true and false": (True, False, False),
    "null": (None, None, True),
    "whole numbers": (7, 7, True),
    "other numbers": (7, 8, False),
    "the largest numbers": (2**53 - 1, 1 - 2**53, False),
    "a number that is too large on the left": (2**53, 5, NotDirect),
    "a number that is too large on the right": (5, -(2**53), NotDirect),
    "fractions": (1.5, 1.5, NotDirect),
    "a fraction and a number": (1, 1.0, NotDirect),
    "true and a number": (True, 1, NotDirect),
    "missing values": (UNDEFINED, UNDEFINED, NotDirect),
    "null and a missing value": (None, UNDEFINED, NotDirect),
    "a missing value and null": (UNDEFINED, None, NotDirect),
    "lists": ([1], [1], NotDirect),
    "objects": ({}, {}, NotDirect),
    "bytes": (b"a", b"a", NotDirect),
    "a text and a number": ("1", 1, False),
    "a text and null": ("", None, False),
    "null and a text": (None, "", False),
    "a missing value and a text": (UNDEFINED, "a", False),
    "a text and a missing value": ("a", UNDEFINED, False),
    "a list and an object": ([], {}, False),
    "a list and null": ([], None, False),
    "bytes and a text": (b"a", "a", NotDirect),
    "a text and bytes": ("a", b"a", NotDirect),
}


@pytest.mark.parametrize(("left", "right", "answer"), EQUAL.values(), ids=EQUAL)
def test_values_are_compared_directly_where_it_is_certain(left, right, answer):
    assert predicate_of("a == b", a=left, b=right) is answer
    negated = answer if answer is NotDirect else not answer
    assert predicate_of("a != b", a=left, b=right) is negated


JUDGED = {
    "a is defined": {UNDEFINED: False, "x": True, None: True},
    "a is undefined": {UNDEFINED: True, "x": False, None: False},
    "a is none": {None: True, UNDEFINED: False, "x": False},
    "a is string": {"x": True, 5: False, True: False, None: False, UNDEFINED: False, 1.5: NotDirect, b"x": NotDirect},
    "a is not string": {"x": False, 5: True, 1.5: NotDirect},
    "a": {
        "x": True,
        "": False,
        7: True,
        0: False,
        True: True,
        None: False,
        UNDEFINED: False,
        1.5: NotDirect,
        b"x": NotDirect,
    },
    "not a": {"x": False, "": True, 1.5: NotDirect},
    "a in ['x', 'y']": {"x": True, "z": False, 5: NotDirect, None: NotDirect, UNDEFINED: NotDirect},
    "a in []": {"x": False},
    "a and true": {"x": True, "": False},
    "a and b": {"x": False, "": False},
    "a or b": {"x": True, "": False},
    "b or a": {"x": True, "": False},
    "b and a": {"x": False, 1.5: False},
    "true": {"x": True},
    "1 == 1.0": {"x": None},
    "1.5": {"x": None},
    "a.b": {"x": False, 5: False, None: False, 1.5: False, True: False, b"x": NotDirect, UNDEFINED: False},
    "a.b is defined": {"x": False, b"x": NotDirect},
    "a in ['x', 5]": {"x": None},
    "a in ['x', b]": {"x": None},
    "a in b": {"x": None},
    "1.5 in ['x']": {"x": None},
    "a[0]": {"x": None},
    "a[0] == 1": {"x": None},
    "1 == a[0]": {"x": None},
    "a[0] in ['x']": {"x": None},
    "a[0] is defined": {"x": None},
    "a is even": {"x": None},
    "a is eq('x')": {"x": None},
    "a < 1": {"x": None},
    "not a[0]": {"x": None},
    "a and a[0]": {"x": None},
    "a[0] and a": {"x": None},
    "a or a[0]": {"x": None},
    "a[0] or a": {"x": None},
    "a ~ 'x'": {"x": None},
}


@pytest.mark.parametrize(("source", "answers"), JUDGED.items(), ids=JUDGED)
def test_a_predicate_is_decided_directly_where_it_is_certain(source, answers):
    for value, answer in answers.items():
        found = predicate_of(source, a=value, b=UNDEFINED)
        assert found is answer, value


def test_members_are_looked_up_directly():
    assert predicate_of("a.b.c == 'x'", a={"b": {"c": "x"}}) is True
    assert predicate_of("a['b'].c == 'x'", a={"b": {"c": "x"}}) is True
    assert predicate_of("a.b == 'x'", a=[{"b": "x"}]) is False
    assert predicate_of("a.b", a=(1,)) is NotDirect
    assert predicate_of("a", a=[1]) is True
    assert predicate_of("a", a={}) is False


def value_at(source, **scope):
    value = compile_value(parse_expression(source))
    if value is None:
        return None
    try:
        return value(scope)
    except NotDirect:
        return NotDirect


@pytest.mark.parametrize("value", ["x", {"a": 1}, [1], True, None, UNDEFINED, 7, 2**53 - 1], ids=str)
def test_a_chosen_value_is_given_as_it_is(value):
    assert value_at("a if b else 'no'", a=value, b=True) is value
    assert value_at("'no' if b else a", a=value, b=False) is value
    assert value_at("'no' if b else 'no' if b else a", a=value, b=False) is value


@pytest.mark.parametrize("value", [1.5, 2**53, -(2**53), b"x", (1,)], ids=str)
def test_a_value_that_minijinja_may_change_is_left_to_it(value):
    assert value_at("a if b", a=value, b=True) is NotDirect


def test_a_choice_without_another_value_gives_none():
    assert value_at("a if b", a=1, b=False) is UNDEFINED
    assert value_at("a", a=1) == 1
    assert value_at("a if b", a=1, b=1.5) is NotDirect


@pytest.mark.parametrize(
    "source", ["a ~ 'x'", "a[0] if b", "a if b[0]", "a if b else c[0]", "a if b else c if d[0]", "1.5 if b"]
)
def test_other_values_are_left_to_minijinja(source):
    assert compile_value(parse_expression(source)) is None
