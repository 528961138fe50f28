"""Parts of a compiled template: what they give, what they need, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.message import MessageList, RejectedValue, UnframedMessage
from utcp_ws_mcp.core.expressions.expression import Expression
from utcp_ws_mcp.core.expressions.paths import UNDEFINED
from utcp_ws_mcp.core.templates import nodes
from utcp_ws_mcp.core.templates.compiler import Compiler
from utcp_ws_mcp.core.templates.nodes import (
    OMIT,
    AllArguments,
    Argument,
    Array,
    Base64,
    Bounded,
    Constant,
    Each,
    EachMessage,
    ExpressionValue,
    JsonText,
    Object,
    RenderError,
    Unframed,
    quote_json,
    render_text,
    required_value,
    to_render_error,
    to_text,
)

NAMES = frozenset({"args", "let", "session", "vars", "omit"})
ROW = ["x" * (1 << 20)] * 70


def value(source: str) -> ExpressionValue:
    return ExpressionValue(Expression(source, NAMES))


def scope(**args: Any) -> dict[str, Any]:
    return {"args": args, "let": {}, "session": {}, "vars": {}, "omit": UNDEFINED}


def refusal(function: Any, *arguments: Any) -> tuple[str, str]:
    with pytest.raises(RenderError) as refused:
        function(*arguments)
    return str(refused.value), refused.value.code


def test_an_argument_is_text_unless_it_is_typed() -> None:
    plain, typed = Argument("a"), Argument("a", typed=True)
    for given, text in (("x", "x"), (1.0, "1.0"), (None, "null"), ({"b": "é"}, '{"b": "é"}')):
        assert plain.render(scope(a=given)) == text
        assert typed.render(scope(a=given)) is given
        assert plain.value(scope(a=given)) is given
    assert plain.render(scope()) is OMIT
    assert typed.render(scope()) is OMIT
    assert plain.value(scope()) is OMIT
    assert (plain.arguments, plain.may_omit) == ({"a"}, False)


MISSING = {
    "an argument": (Argument("a"), "argument 'a' is missing. Pass it with the call.", "argument-missing"),
    "an argument of an expression": (
        value("args.a"),
        "argument 'a' is missing. Pass it with the call.",
        "argument-missing",
    ),
    "a path": (value("args.a.b[0]"), "argument 'a.b.0' is missing. Pass it with the call.", "argument-missing"),
    "the only argument": (
        value("args.a | upper"),
        "argument 'a' is missing. Pass it with the call.",
        "argument-missing",
    ),
    "one of two": (value("args.a ~ args.b"), "{{ args.a ~ args.b }} has no value.", "value-missing"),
    "all arguments": (value("args"), "{{ args }} has no value.", "value-missing"),
    "another value": (value("session.a"), "{{ session.a }} has no value.", "value-missing"),
    "a condition": (value("args.a if args.b"), "{{ args.a if args.b }} has no value.", "value-missing"),
}


@pytest.mark.parametrize(("placeholder", "message", "code"), MISSING.values(), ids=MISSING)
def test_what_is_missing_is_named(placeholder: Any, message: str, code: str) -> None:
    error = placeholder.missing_error()
    assert (str(error), error.code) == (message, code)


LEFT_OUT = {
    "an argument": "args.a",
    "a part of one": "args.a.b",
    "a filter on one": "args.a | upper",
    "an argument and another": "args.a ~ vars.b",
    "a value of let": "let.a",
    "a condition on one": "args.b if args.a else args.c",
    "a choice of nothing": "args.a if args.x",
    "omit": "session.a | default(omit)",
    "an element of an argument": "args.x[args.x]",
    "a choice that a variable decides": "args.a if not vars.b",
}


@pytest.mark.parametrize("source", LEFT_OUT.values(), ids=LEFT_OUT)
def test_a_value_that_depends_on_a_missing_argument_is_left_out(source: str) -> None:
    assert value(source).render(scope(x=False)) is OMIT


REQUIRED = {
    "a value of the connection": "session.a",
    "a computed one": "session.a ~ ''",
    "a variable": "vars.a",
    "a value that an argument selects": "session[args.x].a",
}


@pytest.mark.parametrize("source", REQUIRED.values(), ids=REQUIRED)
def test_a_value_that_no_argument_decides_must_be_there(source: str) -> None:
    assert refusal(value(source).render, scope(x="k")) == (f"{{{{ {source} }}}} has no value.", "value-missing")


def test_an_expression_that_fails_is_an_error_with_its_code() -> None:
    message, code = refusal(value("args.a | unhex").render, scope(a="x"))
    assert (code, message) == (
        "expression-failed",
        "the expression 'args.a | unhex' failed: the value is not hexadecimal.",
    )
    assert refusal(value("(args.a | unhex) ~ 'x'").render, scope(a="ff"))[1] == "binary-in-text"


def test_a_value_that_is_there_is_given_whatever_it_depends_on() -> None:
    given = {**scope(a="x"), "session": {"s": "1"}, "vars": {"v": None}}
    for source, expected in (
        ("session.s ~ 'y'", "1y"),
        ("session.s ~ args.a", "1x"),
        ("vars.v", None),
        ("vars['v']", None),
    ):
        assert value(source).render(given) == expected


def test_without_a_message_the_arguments_are_sent() -> None:
    assert AllArguments(frozenset({"b"})).render(scope(a=1, b=2)) == {"a": 1}


def test_an_expression_knows_its_arguments() -> None:
    assert value("args.a ~ args.b").arguments == {"a", "b"}
    assert value("omit").may_omit
    assert not value("args.a").may_omit
    given = {"k": [1]}
    assert value("args.a").render(scope(a=given)) is given


def test_json_text_is_filled_and_escaped() -> None:
    text = JsonText(('{"a": ', (Argument("a"), False), ', "b": "', (Argument("a"), True), '"}'))
    assert text.render(scope(a='"é')) == '{"a": "\\"é", "b": "\\"é"}'
    assert text.render(scope(a=[1])) == '{"a": [1], "b": "[1]"}'
    assert refusal(text.render, scope()) == ("argument 'a' is missing. Pass it with the call.", "argument-missing")


def test_no_value_in_json_text_holds_the_separator() -> None:
    text = JsonText(("[", (Argument("a"), False), "]\n"), separator="--")
    assert text.render(scope(a="-")) == '["-"]\n'
    assert refusal(text.render, scope(a="x--y")) == (
        "a value contains '--', the separator of messages. Remove it.",
        "argument-breaks-message",
    )


def test_a_message_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "MAX_VALUE_LENGTH", 10)
    text = JsonText(("[", (Argument("a"), False), "]"))
    assert text.render(scope(a="x" * 6)) == '["xxxxxx"]'
    too_long = ("the message would have more than 10 bytes. Send less at once.", "value-too-large")
    assert refusal(text.render, scope(a="x" * 7)) == too_long
    nodes.check_message_length(10)
    assert refusal(nodes.check_message_length, 11) == too_long


def test_a_message_of_many_parts_is_measured() -> None:
    assert Bounded(Constant([1])).render({}) == [1]
    assert refusal(Bounded(Constant([ROW])).render, {}) == (
        "the message would have more than 67,108,864 bytes. Send less at once.",
        "value-too-large",
    )


def test_members_and_elements_without_a_value_are_left_out() -> None:
    argument = Argument("a", typed=True)
    members = Object((("a", argument), ("b", Constant(None)), ("c", Constant([]))))
    elements = Array((argument, Constant(None), Each(Constant([1, 2]), Constant("x")), Constant([3])))
    assert members.render(scope()) == {"b": None, "c": []}
    assert list(members.render(scope(a=1))) == ["a", "b", "c"]
    assert elements.render(scope()) == [None, "x", "x", [3]]
    assert elements.render(scope(a=1)) == [1, None, "x", "x", [3]]
    assert Array((Each(Argument("a", typed=True), Constant(1)),)).render(scope()) == []


def each() -> Each:
    compiler = Compiler({}, names=NAMES | {"item", "index", "count"})
    return Each(
        Argument("rows", typed=True), compiler.value({"n": "{{ index }}", "of": "{{ count }}", "i": "{{ item }}"})
    )


def test_each_element_has_its_number() -> None:
    rendered = each().render(scope(rows=["a", None]))
    assert rendered == [{"n": 0, "of": 2, "i": "a"}, {"n": 1, "of": 2, "i": None}]
    assert each().render(scope(rows=("a",))) == [{"n": 0, "of": 1, "i": "a"}]
    assert each().render(scope(rows=[])) == []
    assert each().render(scope()) is OMIT
    for rows in ("ab", {"a": 1}, 5, None):
        assert refusal(each().render, scope(rows=rows)) == (
            'the value of "$each" is no list. For the pieces of text or bytes, write the filter pieces.',
            "invalid-each",
        )


def test_repetitions_are_bounded() -> None:
    many = Each(Argument("rows", typed=True), Constant(1))
    nested = Each(Argument("rows", typed=True), many)
    assert len(many.render(scope(rows=[0] * 10_000))) == 10_000
    assert len(nested.render(scope(rows=[0] * 100))) == 100
    for each_, count in ((many, 10_001), (nested, 101)):
        assert refusal(each_.render, scope(rows=[0] * count)) == (
            '"$each" repeats more than 10,000 times. Pass fewer elements, or larger pieces.',
            "request-too-large",
        )


def test_messages_of_messages_are_one_list() -> None:
    inner = EachMessage(Each(Constant([1, 2]), Constant("x")))
    found = EachMessage(Each(Argument("rows", typed=True), inner)).render(scope(rows=["a", "b"]))
    assert (type(found), found) == (MessageList, ["x"] * 4)
    assert EachMessage(Each(Argument("rows", typed=True), Constant([1]))).render(scope(rows=[0])) == [[1]]
    assert EachMessage(Each(Argument("rows", typed=True), Constant(1))).render(scope()) == []


def test_a_raw_message_is_bytes_or_text() -> None:
    for content, raw in ((b"\xff", b"\xff"), ("x", "x"), ({"a": 1}, '{"a":1}')):
        assert Unframed(Constant(content)).render({}) == UnframedMessage(raw)


def test_base64_gives_bytes() -> None:
    assert Base64(Constant("AP8=")).render({}) == b"\x00\xff"
    assert Base64(Argument("a")).render(scope()) is OMIT
    for text in ("?", "AP8", 5, "A P8="):
        assert refusal(Base64(Constant(text)).render, {}) == ('the value of "$base64" is not base64.', "invalid-base64")


def test_text_is_filled_or_left_out() -> None:
    assert render_text(["a ", Argument("a"), "!"], scope(a=1)) == "a 1!"
    assert render_text([], scope()) == ""
    assert render_text(["a ", value("session.x | default(omit)")], scope()) is None
    assert refusal(render_text, ["a ", Argument("a")], scope())[1] == "argument-missing"
    assert refusal(render_text, [value("session.x")], scope())[1] == "value-missing"


def test_a_value_has_its_text() -> None:
    assert [to_text(each_) for each_ in ("x", 1, 1.5, None, True, ["é"])] == ["x", "1", "1.5", "null", "true", '["é"]']
    assert refusal(to_text, b"x") == (
        "text cannot contain binary data. Encode it with a filter such as base64.",
        "binary-in-text",
    )


@pytest.mark.parametrize("wrong", [float("nan"), {1}, [b"x"], {(1,): 2}])
def test_what_json_does_not_have_is_not_written(wrong: Any) -> None:
    assert refusal(quote_json, wrong) == ("a value cannot be written as JSON.", "not-json")


@pytest.mark.parametrize("large", [[ROW], {"a": ROW}, (ROW,)], ids=["a list", "an object", "a tuple"])
def test_json_that_would_be_too_long_is_not_written(large: Any) -> None:
    assert refusal(quote_json, large)[1] == "value-too-large"


def test_a_value_that_must_be_there_is_given_or_an_error() -> None:
    assert required_value(Argument("a"), scope(a=None)) is None
    assert refusal(required_value, Argument("a"), scope())[1] == "argument-missing"


ERRORS: list[tuple[Any, str, str]] = [
    (RenderError("why.", code="argument-cut"), "why.", "argument-cut"),
    (RejectedValue("why.", code="invalid-packet"), "why.", "invalid-packet"),
    (ValueError("why."), "why.", "not-json"),
    (
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "why"),
        "the message contains a character that UTF-8 cannot encode. Remove it.",
        "not-json",
    ),
]


@pytest.mark.parametrize(("error", "message", "code"), ERRORS)
def test_an_error_of_a_message_has_a_sentence_and_a_code(error: Any, message: str, code: str) -> None:
    found = to_render_error(error)
    assert (str(found), found.code) == (message, code)
