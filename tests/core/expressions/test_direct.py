"""What is evaluated without MiniJinja gives what MiniJinja gives."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.expressions.expression import Expression
from utcp_ws_mcp.core.expressions.filters import Binary
from utcp_ws_mcp.core.expressions.paths import UNDEFINED, NotDirect

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
