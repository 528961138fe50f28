"""The bounds of filters that replace MiniJinja's, at the bound and above it, and their words where they fail."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import minijinja
import pytest

from utcp_ws_mcp.core.codecs.message import RejectedValue
from utcp_ws_mcp.core.expressions import bounded
from utcp_ws_mcp.core.expressions.bounded import BOUNDED_FILTERS, MissingValue
from utcp_ws_mcp.core.expressions.filters import FILTERS
from utcp_ws_mcp.core.limits import MAX_VALUE_LENGTH

LENGTH = 1_280
ITEMS = 20


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the bounds small, so that the tests need no megabytes."""
    monkeypatch.setattr(bounded, "MAX_VALUE_LENGTH", LENGTH)
    monkeypatch.setattr(bounded, "MAX_ITEMS", ITEMS)
    monkeypatch.setattr(bounded, "MAX_COMPARED", ITEMS)


def failing(error: Exception) -> Callable[..., Any]:
    def function(*values: object) -> object:
        raise error

    return function


def refusal(name: str, *arguments: Any, **options: Any) -> RejectedValue:
    with pytest.raises(RejectedValue) as refused:
        FILTERS[name](*arguments, **options)
    return refused.value


def test_an_item_counts_as_64_characters_of_a_value() -> None:
    assert bounded.MAX_ITEMS * 64 == MAX_VALUE_LENGTH == 64 << 20


@pytest.mark.parametrize(
    "error",
    [TypeError("x"), ValueError("an argument"), ZeroDivisionError(), OverflowError(), KeyError("a"), AttributeError()],
    ids=repr,
)
def test_a_filter_that_fails_says_its_name_and_what_it_was_given(error: Exception) -> None:
    with pytest.raises(RejectedValue) as refused:
        bounded.bounded("name", failing(error))("secret")
    assert str(refused.value) == "the filter name cannot process this text."
    assert refused.value.code == "expression-failed"


def test_a_filter_that_is_called_with_wrong_arguments_says_so() -> None:
    assert str(refusal("hmac_sha256", b"data")) == "the filter hmac_sha256 cannot process bytes with these arguments."


def test_the_reason_of_a_filter_is_not_replaced() -> None:
    own = RejectedValue("its own.", code="binary-in-text")
    with pytest.raises(RejectedValue) as refused:
        bounded.bounded("name", failing(own))("a")
    assert refused.value is own


def test_a_filter_keeps_other_failures() -> None:
    with pytest.raises(MemoryError):
        bounded.bounded("name", failing(MemoryError()))("a")


def test_a_filter_passes_all_arguments_on() -> None:
    call = bounded.bounded("name", lambda value, *args, **options: [value, args, options])
    assert call("v", 1, 2, a=3) == ["v", (1, 2), {"a": 3}]
    assert call() == [None, (), {}]


@pytest.mark.parametrize("kind", ["a", b"a"])
def test_the_result_of_a_filter_has_a_bound(small: None, kind: str | bytes) -> None:
    repeat = bounded.bounded("name", lambda count: kind * count)
    assert len(repeat(LENGTH)) == LENGTH
    with pytest.raises(RejectedValue, match="the result would have more than 1,280 characters[.]") as refused:
        repeat(LENGTH + 1)
    assert refused.value.code == "value-too-large"


def test_a_result_that_is_no_text_has_no_bound(small: None) -> None:
    assert bounded.bounded("name", lambda value: 10**2000)(1) == 10**2000
    assert len(bounded.bounded("name", lambda value: [0] * 2000)(1)) == 2000


DESCRIBED = {
    "true": True,
    "false": False,
    "the number 5": 5,
    "the number -1.5": -1.5,
    "the number 999999999999999999999": 10**21 - 1,
    "this number": 10**21,
    "null or a missing value": None,
    "an object": {},
    "a list": [],
}


@pytest.mark.parametrize(("words", "value"), DESCRIBED.items(), ids=DESCRIBED)
def test_a_value_that_a_filter_cannot_process_is_described(words: str, value: Any) -> None:
    with pytest.raises(RejectedValue, match=f"^the filter f cannot process {re.escape(words)}[.]$"):
        bounded.bounded("f", failing(ValueError()))(value)


@pytest.mark.parametrize("value", [-(10**21), 1e21, -1e21])
def test_a_number_of_many_digits_is_not_shown(value: float) -> None:
    assert bounded.describe(value) == "this number"


AT_THE_BOUND = {
    "characters": ("_listed", ["a" * ITEMS], ["a" * (ITEMS + 1)]),
    "bytes": ("_listed", [b"a" * ITEMS], [b"a" * (ITEMS + 1)]),
    "pairs of characters": ("_paired", ["a" * ITEMS], ["a" * (ITEMS + 1)]),
    "pairs of bytes": ("_paired", [b"a" * ITEMS], [b"a" * (ITEMS + 1)]),
    "pairs of items": ("_paired", [[1] * ITEMS], [[1] * (ITEMS + 1)]),
    "pairs of items of a tuple": ("_paired", [(1,) * ITEMS], [(1,) * (ITEMS + 1)]),
    "pairs of members": ("_paired", [dict.fromkeys(range(ITEMS))], [dict.fromkeys(range(ITEMS + 1))]),
    "pieces": ("split", ["aa," * (ITEMS - 1), ","], ["aa," * ITEMS, ","]),
    "pieces of a method": ("_split", ["aa," * (ITEMS - 1), ","], ["aa," * ITEMS, ","]),
    "words": ("split", ["aa " * ITEMS], ["aa " * (ITEMS + 1)]),
    "words with a number": ("split", ["aa " * (ITEMS + 5), None, ITEMS - 1], ["aa " * (ITEMS + 5), None, ITEMS]),
    "a number of pieces": ("split", ["a," * 50, ",", ITEMS - 1], ["a," * 50, ",", ITEMS]),
    "one piece": ("split", ["a," * 50, ",", 0], ["a," * 50, ",", -1]),
    "a number that is none": ("split", ["a,", ",", True], ["a," * 50, ",", True]),
    "lines": ("lines", ["\n" * (ITEMS - 1)], ["\n" * ITEMS]),
    "lines of a method": ("_splitlines", ["\n" * (ITEMS - 1)], ["\n" * ITEMS]),
    "replaced": ("replace", ["a" * 128, "a", "b" * 10], ["a" * 128 + "c", "a", "b" * 10]),
    "replaced by a method": ("_replace", ["a" * 128, "a", "b" * 10], ["a" * 128 + "c", "a", "b" * 10]),
    "replaced in bytes": ("_replace", [b"a" * 128, b"a", b"b" * 10], [b"a" * 128 + b"c", b"a", b"b" * 10]),
    "replaced some times": ("_replace", ["a" * 1000, "a", "b" * 29, 10], ["a" * 1000, "a", "b" * 29, 11]),
    "replaced more often than found": ("_replace", ["ab" * 10, "a", "b" * 127, 99], ["ab" * 10, "a", "b" * 128, 99]),
    "joined": ("join", ["a" * ITEMS, "b" * 63], ["a" * ITEMS, "b" * 64]),
    "joined characters": ("join", ["a" * ITEMS], ["a" * (ITEMS + 1)]),
    "joined by a method": ("_join", ["b" * 127, list("abcdefghij")], ["b" * 128, list("abcdefghij")]),
    "indented": ("indent", ["a\n" * 10, 114], ["a\n" * 10, 115]),
    "slices": ("slice", [[1], ITEMS], [[1], ITEMS + 1]),
    "batches that are filled": ("batch", [[1], ITEMS, 0], [[1], ITEMS + 1, 0]),
    "batches of one": ("batch", [[1] * ITEMS, 1], [[1] * (ITEMS + 1), 1]),
    "batches of two": ("batch", [[1] * (2 * ITEMS + 1), 2], [[1] * (2 * ITEMS + 2), 2]),
    "JSON": ("tojson", ["a" * (LENGTH - 2)], ["a" * (LENGTH - 1)]),
    "JSON in lines": ("tojson", [["a" * (LENGTH - 8)], 2], [["a" * (LENGTH - 7)], 2]),
    "a factor of joins": ("_at_most", ["a" * 5, 5], ["a" * 6, 5]),
    "bytes that are joined": ("_at_most", [b"a" * 5, 5], [b"a" * 6, 5]),
    "a list that is joined": ("_at_most", [[0] * 5, 5], [[0] * 6, 5]),
    "a tuple that is joined": ("_at_most", [(0,) * 5, 5], [(0,) * 6, 5]),
    "a list of bytes": ("bytes", [["a" * (LENGTH - 1), 7]], [["a" * LENGTH, 7]]),
    "a packed format": ("pack", [[], f"{LENGTH}x"], [[], f"{LENGTH + 1}x"]),
    "packed varints": ("pack", [[1] * 128, "128v"], [[1] * 129, "129v"]),
}


@pytest.mark.parametrize(("name", "taken", "refused"), AT_THE_BOUND.values(), ids=AT_THE_BOUND)
def test_a_filter_takes_what_is_at_its_bound_and_refuses_more(
    small: None, name: str, taken: list[Any], refused: list[Any]
) -> None:
    FILTERS[name](*taken)
    assert refusal(name, *refused).code == "value-too-large"


def test_what_is_too_large_is_said_with_the_bound(small: None) -> None:
    assert str(refusal("_listed", "a" * 21)) == "a list would have more than 20 items."
    assert str(refusal("indent", "a", 1_281)) == "the result would have more than 1,280 characters."
    assert str(refusal("_at_most", "a" * 1_001, 1_000)) == "a text of more than 1,000 characters is joined too often."


@pytest.mark.parametrize("value", [None, 5, [1] * 50, {"a": 1}])
def test_what_is_no_text_is_not_counted_as_characters(small: None, value: Any) -> None:
    assert FILTERS["_listed"](value) is value


@pytest.mark.parametrize("name", ["_listed", "_paired", "_measured", "_factor", "_comparable_items"])
@pytest.mark.parametrize("value", [None, 5, {"a": 1}])
def test_a_check_gives_the_very_value(name: str, value: Any) -> None:
    assert FILTERS[name](value) is value


def test_checks_of_texts_and_lists_give_the_very_value() -> None:
    text, items = "some text", [1, "a"]
    for name, *arguments in (("_listed",), ("_paired",), ("_measured",), ("_comparable", ""), ("_at_most", 99)):
        assert FILTERS[name](text, *arguments) is text
        assert FILTERS[name](items, *arguments) is items
    assert FILTERS["_at_most"](12345, 2) == 12345


def test_a_list_that_would_be_written_too_long_is_refused() -> None:
    row = ["x" * (1 << 20)]
    assert FILTERS["_measured"](row * 60) == row * 60
    assert refusal("_measured", row * 70).code == "value-too-large"
    assert refusal("tojson", row * 70).code == "value-too-large"


SLICES = {
    "of a text": ("abcdef", (1, 4, None), "bcd"),
    "with a step": ("abcdef", (None, None, 2), "ace"),
    "of bytes": (b"abcdef", (1, 5, 2), b"bd"),
    "of a list": ([1, 2, 3], (1, None, None), [2, 3]),
    "of a tuple": ((1, 2, 3), (1, None, None), (2, 3)),
    "of an iterable": (range(4), (1, 3, None), [1, 2]),
    "of nothing": (None, (1, 2, None), []),
}


@pytest.mark.parametrize(("value", "bounds", "part"), SLICES.values(), ids=SLICES)
def test_a_slice_is_of_the_kind_of_its_value(value: Any, bounds: tuple[Any, ...], part: Any) -> None:
    found = FILTERS["_slice"](value, *bounds)
    assert (type(found), found) == (type(part), part)


def test_a_slice_of_binary_data_stays_binary_data() -> None:
    data = FILTERS["unhex"]("00ff01")
    assert type(FILTERS["_slice"](data, 1, None, None)) is type(data)


@pytest.mark.parametrize(
    ("value", "words"),
    [({"a": 1}, "an object"), (True, "true"), (5, "the number 5"), (1.5, "the number 1.5")],
)
def test_what_has_no_slices_is_said(value: Any, words: str) -> None:
    assert str(refusal("_slice", value, 1, None, None)) == f"{words} has no slices."


def test_a_list_of_holders_counts_all_that_they_hold(small: None) -> None:
    assert FILTERS["_comparable"]([[1] * 9, [1] * 9], "") == [[1] * 9] * 2  # each counts itself
    for value in ([[1] * 9, [1] * 10], [{"a": [0] * 8}, {"b": [0] * 9}], [[[[1] * 8]], [1] * 9], [[[]] * 5] * 4):
        assert str(refusal("_comparable", value, "")) == (
            "it compares too many objects or lists. Name an attribute that is a text or a number."
        )
    assert FILTERS["_comparable"]([0] * 50, "") == [0] * 50
    assert FILTERS["_comparable"](["a", [1] * 19], "") == ["a", [1] * 19]
    assert FILTERS["_comparable"]({"a": [1] * 50}, "") == {"a": [1] * 50}


@pytest.mark.parametrize("kind", [list, tuple])
def test_an_attribute_says_what_is_compared(small: None, kind: Callable[[Any], Any]) -> None:
    rows = kind([{"a": {"n": 1, "large": [0] * 50}}, 7, {}])
    assert FILTERS["_comparable"](rows, "a.n") is rows
    assert FILTERS["_comparable"](rows, "b.c") is rows
    for attribute in ("a.large", "a", ""):
        refusal("_comparable", rows, attribute)


def test_items_of_lists_are_counted_together(small: None) -> None:
    few, many = [[[1] * 9], ([1] * 9,), 5, {"a": [0] * 50}], [[[1] * 9], ([1] * 10,)]
    assert FILTERS["_comparable_items"](few) is few
    assert refusal("_comparable_items", many).code == "expression-failed"
    assert refusal("_comparable_items", tuple(many)).code == "expression-failed"


@pytest.mark.parametrize("value", [[1], (1,), [], ()])
def test_a_list_is_no_factor(value: Any) -> None:
    assert str(refusal("_factor", value)) == "a list cannot be multiplied."


@pytest.mark.parametrize("value", ["3", b"3", ""])
def test_a_text_is_no_factor(value: Any) -> None:
    assert str(refusal("_factor", value)) == "a text cannot be multiplied. Convert it with int or float."


METHODS = {"_split": "split", "_splitlines": "splitlines", "_replace": "replace", "_join": "join"}


@pytest.mark.parametrize(("name", "method"), METHODS.items())
def test_a_method_of_a_value_that_has_none_is_an_error(name: str, method: str) -> None:
    arguments = {"_replace": ("a", "b"), "_join": (["a"],)}.get(name, ())
    assert str(refusal(name, 5, *arguments)) == f"the number 5 has no method {method}."
    with pytest.raises(MissingValue):
        FILTERS[name](None, *arguments)


def test_bytes_have_no_method_split() -> None:
    assert str(refusal("_split", b"a b")) == "bytes has no method split."


REPLACED = {
    "all": (("a-b-c", "-", "+"), "a+b+c"),
    "some": (("a-b-c", "-", "+", 1), "a+b-c"),
    "none": (("a-b-c", "-", "+", 0), "a-b-c"),
    "in bytes": ((b"a-b", b"-", b""), b"ab"),
}


@pytest.mark.parametrize(("arguments", "result"), REPLACED.values(), ids=REPLACED)
def test_a_method_replaces_as_often_as_its_argument_says(arguments: tuple[Any, ...], result: Any) -> None:
    assert FILTERS["_replace"](*arguments) == result


def test_a_filter_replaces_in_what_is_written() -> None:
    assert FILTERS["replace"](121, 1, "x") == "x2x"
    assert FILTERS["replace"](True, "True", 1.5) == "1.5"
    assert FILTERS["replace"](None, "", "x") == "x"


JOINED = {
    "texts": ((["a", "b"], "-"), "a-b"),
    "values": (([1, None, True, 1.0, [2]], ","), "1,None,True,1.0,[2]"),
    "by a number": ((["a", "b"], 1), "a1b"),
    "by nothing": ((["a", "b"],), "ab"),
    "nothing": ((None, ","), ""),
    "a text": (("abc", "."), "a.b.c"),
    "names of members": (({"a": 1, "b": 2}, "."), "a.b"),
}


@pytest.mark.parametrize(("arguments", "text"), JOINED.values(), ids=JOINED)
def test_values_are_joined_to_a_text(arguments: tuple[Any, ...], text: str) -> None:
    assert FILTERS["join"](*arguments) == text


@pytest.mark.parametrize(("value", "words"), [(True, "true"), (5, "the number 5"), (1.5, "the number 1.5")])
def test_what_is_no_list_is_not_joined(value: Any, words: str) -> None:
    assert str(refusal("join", value)) == f"{words} cannot be joined; join takes a list."


def test_a_separator_joins_a_list() -> None:
    assert FILTERS["_join"](", ", ["a", 1]) == "a, 1"


FORMATTED = {
    "by position": (("%s and %05d", "x", 42), {}, "x and 00042"),
    "by name": (("%(a)s",), {"a": 7}, "7"),
    "of ten arguments": (("%s" * 11, *range(11)), {}, "012345678910"),
    "of a width": (("%9999s", "a"), {}, "a".rjust(9_999)),
}


@pytest.mark.parametrize(("arguments", "options", "text"), FORMATTED.values(), ids=FORMATTED)
def test_a_text_is_formatted(arguments: tuple[Any, ...], options: dict[str, Any], text: str) -> None:
    assert FILTERS["format"](*arguments, **options) == text


@pytest.mark.parametrize("name", ["format", "_format_text"])
def test_a_wide_field_is_refused_before_it_is_written(name: str) -> None:
    assert str(refusal(name, "%10000s")) == "a field of a format is wider than 9,999."
    assert FILTERS["_format_text"]("%9999s") == "%9999s"
    assert FILTERS["_format_text"](12345) == 12345


def test_the_reason_of_minijinja_is_given_without_its_place() -> None:
    reason = str(refusal("format", "%d", "x"))
    assert "(in <" not in reason
    assert reason.endswith(".")
    assert not reason.startswith("the filter")


def test_an_indent_of_less_than_nothing_counts_as_none(small: None) -> None:
    assert str(refusal("indent", "a" * LENGTH + "b", -5)).startswith("the result would have more")


INDENTED = [(), (2,), (2, True), (2, False, True), (0,)]


@pytest.mark.parametrize("options", INDENTED)
def test_lines_are_indented_as_by_minijinja(options: tuple[Any, ...]) -> None:
    written = ", ".join(map(repr, options)).replace("True", "true").replace("False", "false")
    expected = minijinja.Environment().eval_expr(f"v | indent({written})", v="a\n\nb")
    assert FILTERS["indent"]("a\n\nb", *options) == expected


def test_batches_of_nothing_are_none() -> None:
    assert FILTERS["batch"](None, 2) == []


JSON = {
    "in one line": ((), '{"a": [1, "\\u003c\\u003e\\u0026\\u0027é"]}'),
    "no lines": ((False,), '{"a": [1, "\\u003c\\u003e\\u0026\\u0027é"]}'),
    "zero": ((0,), '{"a": [1, "\\u003c\\u003e\\u0026\\u0027é"]}'),
    "in lines": ((True,), '{\n  "a": [\n    1,\n    "\\u003c\\u003e\\u0026\\u0027é"\n  ]\n}'),
    "by one": ((1,), '{\n "a": [\n  1,\n  "\\u003c\\u003e\\u0026\\u0027é"\n ]\n}'),
}


@pytest.mark.parametrize(("options", "text"), JSON.values(), ids=JSON)
def test_json_for_html_is_written(options: tuple[Any, ...], text: str) -> None:
    assert FILTERS["tojson"]({"a": [1, "<>&'é"]}, *options) == text


def test_an_indent_of_json_has_a_bound() -> None:
    assert FILTERS["tojson"]([1], 16) == "[\n" + " " * 16 + "1\n]"
    for width in (17, -1):
        assert str(refusal("tojson", [1], width)) == "tojson takes an indent from 0 to 16."


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_does_not_have_is_an_error(value: float) -> None:
    assert str(refusal("tojson", value)) == f"the filter tojson cannot process {bounded.describe(value)}."


def test_every_filter_is_in_the_list_of_filters_with_its_name() -> None:
    assert BOUNDED_FILTERS.keys() <= FILTERS.keys()
    for name in BOUNDED_FILTERS:
        with pytest.raises((RejectedValue, MissingValue)):
            FILTERS[name](object(), *[object()] * 9)
