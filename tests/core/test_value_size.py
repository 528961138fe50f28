"""The size of what is written has a bound, and is known before memory is taken."""

import json
import tracemalloc
from datetime import UTC, datetime

import minijinja
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.core import value_size
from utcp_ws_mcp.core.expressions.expression import EvaluationError, Expression
from utcp_ws_mcp.core.expressions.scope import CALL_REPLY_NAMES, Ambient, Scope
from utcp_ws_mcp.core.limits import MAX_VALUE_LENGTH
from utcp_ws_mcp.core.templates.compiler import Compiler
from utcp_ws_mcp.core.templates.nodes import RenderError
from utcp_ws_mcp.core.value_size import is_too_large

AMBIENT = Ambient(lambda: datetime(2026, 1, 1, tzinfo=UTC), bytes)
ROWS = [{"id": index, "name": f"row {index}"} for index in range(20_000)]


def scope(**values):
    return Scope(AMBIENT, {"args": {}, "let": {}, "message": ROWS, **values})


def doubled(times):
    value = [ROWS]
    for _ in range(times):
        value = [value, value]
    return value


def peak_of(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("value", [doubled(20), {"a": doubled(40)}, [ROWS] * 400, "x" * (MAX_VALUE_LENGTH + 1)])
def test_what_shares_memory_is_counted_each_time_in_little_memory(value):
    assert is_too_large(value)
    assert peak_of(lambda: is_too_large(value)) < 1 << 20


@pytest.mark.parametrize("levels", [30, 90])
@pytest.mark.parametrize("value", [1, "text", [[]], {"a": [1.5] * 100}], ids=type)
def test_parts_that_are_shared_are_visited_once(value, levels, monkeypatch):
    for _ in range(levels):
        value = [value, value]
    monkeypatch.setattr(value_size, "MAX_CONTAINERS", levels + 3)
    monkeypatch.setattr(value_size, "MAX_MEMBERS", 2 * levels + 200)
    pickled = []
    measure = value_size._pickled_is_longer
    monkeypatch.setattr(
        value_size, "_pickled_is_longer", lambda value, limit: pickled.append(limit) or measure(value, limit)
    )

    assert is_too_large(value)
    assert pickled == [value_size.QUICK_LIMIT]


def test_a_value_of_many_parts_is_measured_in_little_memory():
    value = [[[index]] for index in range(100_000)]

    assert not is_too_large(value)
    assert is_too_large([value] * 200)
    assert peak_of(lambda: is_too_large(value)) < 1 << 20


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_the_size_is_about_that_of_the_json(value):
    written = len(json.dumps(value))

    assert not is_too_large(value, 12 * written + 100)
    assert is_too_large(value, written // 12 - 100) or written < 1_400


@pytest.mark.parametrize("value", [None, True, 5, 1.5, "", b"", [], {}, {"a": {1, 2}.__iter__()}, [object]])
def test_a_small_value_is_not_too_large_whatever_it_is(value):
    assert not is_too_large(value)


AS_IN_MINIJINJA = [
    "'a\\n\\nb' | indent",
    "'a\\n\\nb' | indent(2)",
    "'a\\n\\nb' | indent(2, true)",
    "'a\\n\\nb' | indent(2, false, true)",
    "[1, 2, 3, 4, 5] | slice(2) | list",
    "[1, 2, 3, 4, 5] | slice(2, 0) | list",
    "[1, 2, 3, 4, 5] | batch(2) | list",
    "[1, 2, 3, 4, 5] | batch(2, 0) | list",
    "{'a': [1, '<&>']} | tojson",
    "{'a': [1, '<&>']} | tojson(indent=3)",
    "{'a': [1, '<&>']} | tojson(indent=true)",
]


@pytest.mark.parametrize("source", AS_IN_MINIJINJA)
def test_a_filter_with_a_bound_gives_what_minijinja_gives(source):
    assert Expression(source, frozenset()).evaluate({}) == minijinja.Environment().eval_expr(source)


GROWING = {
    "a list of the same": "[" + "message," * 400 + "]",
    "a list of lists": "[[message, message, message], [message, message, message]" + ", [message, message]" * 75 + "]",
    "added": " + ".join(["message"] * 150),
    "an object": "{" + ",".join(f"'a{index}': message" for index in range(200)) + "}",
    "multiplied": "[message] * 1000000000",
    "a text, multiplied": "'abc' * 100000000",
    "multiplied from the right": "args.n * [message]",
    "joined with itself": " ~ ".join(["args.t"] * 100),
    "replaced": "args.t | replace('a', 'bbbbbbbbbbbbbbbb') | replace('b', 'cccccccccccccccccccccccccccccccc')",
    "replaced by a method": "args.t.replace('a', 'bbbbbbbbbbbbbbbb').replace('b', 'cccccccccccccccccccccccccccc')",
    "joined by a text": "message | map(attribute='id') | join(args.t)",
    "joined by a method": "args.t.join(message | map(attribute='name'))",
    "a wide field": "'%1000000000d' | format(1)",
    "a wide field by a method": "'{:1000000000}'.format(1)",
    "a wide field of an argument": "args.f | format(1)",
    "an indent": "message | tojson(indent=args.n)",
    "an indent of lines": "'a\\nb' | indent(args.n)",
    "slices": "message | slice(args.n) | list",
    "batches that are filled up": "message | batch(args.n, 0) | list",
    "a packed format": "1 | pack('1000000000x')",
    "hexadecimal of hexadecimal": "args.t" + " | hex" * 30,
    "JSON of JSON": "args.t" + " | tojson" * 40,
    "bytes": "[" + "args.t, " * 100 + "] | bytes",
    "a list as text": "[" + "message," * 400 + "] ~ ''",
    "a list of lists as text": "[" + "[message, message, message]," * 100 + "] | string",
    "an object in a comparison": "{'a': [" + "message," * 400 + "]} ~ '' == 'x'",
    "values of let as text": "[let.l, let.l, let.l, let.l] ~ ''",
    "characters": "args.t | list",
    "characters of bytes": "args.t | bytes | list",
    "characters by splitting": "args.t | split('')",
    "pieces": "args.t | split('a')",
    "pieces by a method": "args.t.split('a')",
    "words": "(args.t | replace('aa', 'a ')).split()",
    "lines": "(args.t | replace('a', '\n')) | lines",
    "lines by a method": "(args.t | replace('a', '\n')).splitlines()",
    "sorted characters": "args.t | sort",
    "unique characters": "args.t | unique",
    "the largest character": "args.t | max",
    "mapped characters": "args.t | map('upper') | list",
    "lists of characters": "[args.t] | map('list') | list",
    "lists of characters, by a filter of an argument": "[args.t] | map(args.list) | list",
    "chosen characters": "args.t | select | list",
    "batches of one": "args.t | batch(1)",
    "pairs": "args.t | zip(args.t)",
    "pairs with a text": "[1] | zip(args.t)",
    "a chain": "message | chain(args.t)",
    "a text that joins its characters": "args.t | join('')",
    "random bytes": "random_hex(args.n)",
}


@pytest.mark.parametrize("source", GROWING.values(), ids=GROWING)
def test_an_expression_that_grows_without_bound_is_refused_in_bounded_memory(source):
    expression = Expression(source, CALL_REPLY_NAMES)
    text = "a" * (4 << 20)
    values = scope(args={"n": 10**9, "t": text, "f": "%1000000000d", "list": "list"}, let={"l": [text] * 14})

    def evaluate():
        with pytest.raises(EvaluationError):
            expression.evaluate(values)

    assert peak_of(evaluate) < 8 * MAX_VALUE_LENGTH


def test_a_message_of_many_large_arguments_is_refused_before_it_is_written():
    names = frozenset({"args", "message"})
    template = {f"a{index}": "{{ message }}" for index in range(200)}

    with pytest.raises(RenderError) as refused:
        Compiler(None, names=names).message(template).render(scope())
    assert refused.value.code == "value-too-large"


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_text_of_many_large_arguments_is_refused_while_it_is_written(quote):
    names = frozenset({"args", "message"})
    template = "[" + ", ".join([f"{quote}{{{{ message }}}}{quote}"] * 200) + "]"

    def render():
        with pytest.raises(RenderError, match="would have more than"):
            Compiler(None, names=names).message(template).render(scope(message="a" * (1 << 20)))

    assert peak_of(render) < 4 * MAX_VALUE_LENGTH


LISTS = {
    "args.t | split(',')": ["a", "b", "", "c d"],
    "args.t | split(',', 1)": ["a", "b,,c d"],
    "args.t.split(',', 1)": ["a", "b,,c d"],
    "args.t.split()": ["a,b,,c", "d"],
    "args.t | split": ["a,b,,c", "d"],
    "'a\r\nb\n' | lines": ["a", "b"],
    "'a\nb'.splitlines()": ["a", "b"],
    "'a\nb'.splitlines(true)": ["a\n", "b"],
    "'ab' | list": ["a", "b"],
    "[args.t, 'x'] | map('split', ',') | map('first') | list": ["a", "x"],
    "['ba'] | map('sort') | list": [["a", "b"]],
    "args.d | items | list": [["k", 1]],
    "args.t | zip([1, 2]) | list": [["a", 1], [",", 2]],
    "[1] | chain(args.d) | list": [1, "k"],
    "[[args.t, args.t], [args.t, args.t], [1]][2] | first": 1,
    "args.none | list": [],
}


@pytest.mark.parametrize(("source", "value"), LISTS.items(), ids=LISTS)
def test_a_filter_whose_operand_is_checked_gives_what_it_gives_without_the_check(source, value):
    given = Expression(source, CALL_REPLY_NAMES).evaluate(scope(args={"t": "a,b,,c d", "d": {"k": 1}}))

    assert json.loads(json.dumps(given)) == value


def test_a_long_text_may_be_split_into_few_pieces():
    values = scope(args={"t": ("x" * (1 << 20) + "\n") * 8})

    assert Expression("args.t | split('\n') | length", CALL_REPLY_NAMES).evaluate(values) == 9
    assert Expression("args.t.split('x', 1) | length", CALL_REPLY_NAMES).evaluate(values) == 2
    assert Expression("args.t | lines | length", CALL_REPLY_NAMES).evaluate(values) == 8


def test_long_lists_and_texts_are_sorted_mapped_and_joined():
    values = scope(args={"rows": list(range(100_000, 0, -1)), "t": "x" * MAX_VALUE_LENGTH})

    assert Expression("args.rows | sort | first", CALL_REPLY_NAMES).evaluate(values) == 1
    assert Expression("args.rows | map('string') | join(',') | length", CALL_REPLY_NAMES).evaluate(values) == 588_894
    assert Expression("args.t | upper | trim | length", CALL_REPLY_NAMES).evaluate(values) == MAX_VALUE_LENGTH


def test_a_method_that_splits_needs_a_text():
    for source in ("args.d.split()", "args.none.splitlines()"):
        with pytest.raises(EvaluationError):
            Expression(source, CALL_REPLY_NAMES).evaluate(scope(args={"d": {"k": 1}}))


SIZES = {
    "a text": ("x" * 10, 10),
    "bytes": (b"x" * 10, 10),
}


@pytest.mark.parametrize(("value", "size"), SIZES.values(), ids=SIZES)
def test_a_text_is_as_large_as_it_is_long(value, size):
    assert not is_too_large(value, size)
    assert is_too_large(value, size - 1)


def test_a_small_limit_is_measured_at_once():
    value = ["x" * 100] * 10
    assert is_too_large(value, 1000)
    assert not is_too_large(value, 1200)


def test_a_shared_part_counts_each_time():
    part = ["x" * 100_000]
    limit = value_size.QUICK_LIMIT + 1
    assert not is_too_large([part] * 10, limit)
    assert is_too_large([part] * 11, limit)
    assert is_too_large({"a" * 100_000: part, "b": [part] * 10}, limit)
    assert is_too_large([tuple(part)] * 11, limit)
    assert is_too_large([{"x" * 100_000: 1}] * 11, limit)
    assert is_too_large([[10**300_000]] * 11, limit)


@pytest.mark.parametrize(("name", "count"), [("MAX_CONTAINERS", 11), ("MAX_MEMBERS", 22)])
def test_a_value_of_too_many_parts_is_measured_by_the_pickler(monkeypatch, name, count):
    value = [["x" * 100_000] for _ in range(11)]
    limits = []
    measure = value_size._pickled_is_longer
    monkeypatch.setattr(
        value_size, "_pickled_is_longer", lambda value, limit: limits.append(limit) or measure(value, limit)
    )
    monkeypatch.setattr(value_size, name, count)
    assert is_too_large(value, value_size.QUICK_LIMIT + 1)
    assert limits == [value_size.QUICK_LIMIT]
    monkeypatch.setattr(value_size, name, count - 1)
    assert is_too_large(value, value_size.QUICK_LIMIT + 1)
    assert limits[1:] == [value_size.QUICK_LIMIT, value_size.QUICK_LIMIT + 1]
