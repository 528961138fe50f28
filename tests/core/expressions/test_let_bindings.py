"""Values of `let`: computed once, in order."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

import pytest

from utcp_ws_mcp.core.diagnostics import Diagnostics
from utcp_ws_mcp.core.expressions.expression import compile_expression
from utcp_ws_mcp.core.expressions.let_bindings import compile_let_bindings, with_let_bindings
from utcp_ws_mcp.core.expressions.scope import CALL_REQUEST_NAMES, Ambient, Scope
from utcp_ws_mcp.core.templates.nodes import RenderError
from utcp_ws_mcp.manifest.models.call_template import CallTemplate

TICKS = count(1)
AMBIENT = Ambient(lambda: datetime.fromtimestamp(next(TICKS), UTC), bytes)


def problems_of(lets: dict[str, str], *, local: bool = True) -> list[str]:
    found = Diagnostics("")
    compile_let_bindings(CallTemplate(url="wss://a.example/", let=lets), found, local=local)
    return list(map(str, found.problems))


def values_of(lets: dict[str, str], **names: object) -> dict[str, object]:
    found = Diagnostics("")
    compiled = compile_let_bindings(CallTemplate(url="wss://a.example/", let=lets), found, local=True)
    assert not found.problems
    values: dict[str, object] = with_let_bindings(Scope(AMBIENT, {"args": {}, "vars": {}, **names}), compiled)["let"]
    return values


def test_a_value_may_use_those_before_it():
    assert values_of({"a": "args.n + 1", "b": "let.a * 2"}, args={"n": 4}) == {"a": 5, "b": 10}


def test_all_values_are_computed_at_one_moment():
    values = values_of({"a": "now_ms", "b": "now_ms"})

    assert values["a"] == values["b"]


def test_a_value_that_finds_nothing_is_not_there():
    assert values_of({"a": "args.n", "b": "let.a | default(3)"}) == {"b": 3}


@pytest.mark.parametrize("source", ["args.x | sha256 | hex", "args.x ~ ':'", "args.n * args.x", "let.none ~ 'a'"])
def test_nothing_is_made_of_an_argument_that_is_not_there(source: str):
    assert values_of({"none": "args.x", "a": source}, args={"n": 1}) == {}


def test_nothing_is_made_of_a_value_that_the_connection_has_not_saved():
    with pytest.raises(RenderError, match=r"^let\.a: session\.token ~ ':' has no value"):
        values_of({"a": "session.token ~ ':'"}, session={})
    assert values_of({"a": "session.token ~ ':'"}, session={"token": "t"}) == {"a": "t:"}


def test_a_value_that_cannot_be_computed_is_named():
    with pytest.raises(RenderError, match=r"^let\.b: "):
        values_of({"a": "1", "b": "args.n + let.a"}, args={"n": "x"})


@pytest.mark.parametrize("lets", [{"a": "let.b", "b": "1"}, {"a": "let.a"}, {"a": "'x' ~ let.c"}])
def test_a_value_that_stands_behind_or_nowhere_cannot_be_used(lets: dict[str, str]):
    problem = problems_of(lets)[0]
    assert problem.startswith("let.a: let.")
    assert problem.endswith("[unknown-let]")


def test_a_text_that_looks_like_a_value_is_text():
    assert problems_of({"a": "'let.b'"}) == []


@pytest.mark.parametrize("source", ["vars.KEY", "random_hex(8)", "args.a | upper", "message.id", "nonsense"])
def test_a_manual_from_the_network_may_only_look_up_and_compare(source: str):
    assert problems_of({"a": source}, local=False)


@pytest.mark.parametrize("name", ["a-b", "1a", "", "a.b", "ä"])
def test_a_name_can_stand_behind_a_dot(name: str):
    with pytest.raises(ValueError, match="cannot be written as let"):
        CallTemplate(url="wss://a.example/", let={name: "1"})


def test_there_is_no_message_yet():
    assert "unknown name 'message'" in problems_of({"a": "message.id"})[0]


def test_where_nothing_is_computed_nothing_is_made_of_it():
    assert compile_expression("let.none ~ ':'", CALL_REQUEST_NAMES).has_missing_inputs(Scope(AMBIENT, {"args": {}}))


def test_a_value_that_would_be_too_large_is_refused_with_its_name():
    row = ["x" * (1 << 20)] * 20
    assert values_of({"a": "[args.r]"}, args={"r": row}) == {"a": [row]}
    for source in ("[args.r, args.r, args.r, args.r]", "[args.r, args.r, args.r, args.r, args.r]"):
        with pytest.raises(RenderError, match=r"^let\.a: .* would have more than 67,108,864 bytes") as refused:
            values_of({"a": source}, args={"r": row})
        assert refused.value.code == "value-too-large"


def test_a_value_cannot_double_those_before_it_without_end():
    lets = {"a0": "args.r", **{f"a{index}": f"[let.a{index - 1}, let.a{index - 1}]" for index in range(1, 9)}}
    with pytest.raises(RenderError, match=r"^let\.a6: "):
        values_of(lets, args={"r": ["x" * (1 << 20)]})


def test_the_scope_keeps_its_own_time_and_values():
    found = Diagnostics("")
    compiled = compile_let_bindings(CallTemplate(url="wss://a.example/", let={"a": "1 + 1"}), found, local=True)
    before = Scope(AMBIENT, {"args": {"n": 1}})
    after = with_let_bindings(before, compiled)

    assert (after["args"], after["let"]) == ({"n": 1}, {"a": 2})
    assert after.ambient is AMBIENT
    assert "let" not in before


def test_an_unknown_value_is_named_with_the_first_of_several():
    assert problems_of({"a": "let.c ~ let.b"})[0] == (
        "let.a: let.b is not defined here. A value can use only those that are written before it. [unknown-let]"
    )
    assert problems_of({"a": "1", "b": "let"}) == []
