"""Which values a step captures, and what is said where there is none."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.core.captures import CaptureFoundNothing, compile_captures, optional_values, select_values
from utcp_ws_mcp.core.codecs.binary import Binary
from utcp_ws_mcp.core.diagnostics import Diagnostics
from utcp_ws_mcp.core.expressions.scope import Ambient, Scope
from utcp_ws_mcp.core.templates.compiler import Compiler
from utcp_ws_mcp.manifest.models.call_template import CallTemplate

NAMES = frozenset({"message", "vars", "omit"})


def selected(source: str, message: Any, *optional: str, owner: str = "session") -> dict[str, Any]:
    found = Diagnostics("")
    captures = compile_captures({"v": source}, Compiler({}, names=NAMES), found, "on_connect[0]")
    assert not found.problems
    return select_values(captures, Scope(Ambient(None, None), {"message": message}), optional, owner)  # type: ignore[arg-type]


SELECTED: dict[str, tuple[str, Any, tuple[str, ...], dict[str, Any]]] = {
    "a value": ("message.a", {"a": 1}, (), {"v": 1}),
    "false": ("message.a", {"a": False}, (), {"v": False}),
    "an empty text": ("message.a", {"a": ""}, (), {"v": ""}),
    "nothing, which may be": ("message.a", {}, ("v",), {}),
    "null, which may be": ("message.a", {"a": None}, ("v",), {}),
    "nothing, left out": ("message.a | default(omit)", {}, (), {}),
    "a value that could be left out": ("message.a | default(omit)", {"a": 1}, (), {"v": 1}),
    "a failure, left out": ("omit if message.a - 1 else 2", {"a": "x"}, (), {}),
    "null where the expression says what it means": ("message.a if message.a else none", {"a": None}, (), {"v": None}),
    "null by default": ("message.a | default(none)", {}, (), {"v": None}),
}


@pytest.mark.parametrize(("source", "message", "optional", "values"), SELECTED.values(), ids=SELECTED)
def test_a_value_is_captured_or_left_out(source: str, message: Any, optional: tuple[str, ...], values: Any) -> None:
    assert selected(source, message, *optional) == values


MISSING = {
    "nothing": ("message.a", {}, ()),
    "null": ("message.a", {"a": None}, ()),
    "another one may be missing": ("message.a", {}, ("w",)),
    "nothing of a condition": ("message.b if message.a", {}, ()),
    "a word in a text": ("message['if']", {}, ()),
    "a member that is named like one": ("message.default", {}, ()),
    "null of such a member": ("message.none", {"none": None}, ()),
}


@pytest.mark.parametrize(("source", "message", "optional"), MISSING.values(), ids=MISSING)
def test_a_step_needs_the_value_that_it_captures(source: str, message: Any, optional: tuple[str, ...]) -> None:
    with pytest.raises(CaptureFoundNothing) as missing:
        selected(source, message, *optional)
    assert str(missing.value) == (
        f"{source}, which capture stores as session.v, finds nothing. If the value may be missing, write "
        f"{source} | default(omit)."
    )


def test_a_value_that_cannot_be_computed_is_missing_with_its_reason_also_if_it_is_optional() -> None:
    with pytest.raises(CaptureFoundNothing) as missing:
        selected("message.a | unhex", {"a": "x"}, "v", owner="let")
    assert str(missing.value).startswith(
        "message.a | unhex, which capture stores as let.v, finds nothing (the expression 'message.a | unhex' failed: "
    )


def test_bytes_are_kept_as_those_of_expressions() -> None:
    found = selected("message", b"\xff")["v"]
    assert (type(found), found) == (Binary, b"\xff")


def test_a_wrong_expression_is_reported_at_its_place_and_the_others_are_compiled() -> None:
    found = Diagnostics("")
    captures = compile_captures({"a": "messag.x", "b": "message.x"}, Compiler({}, names=NAMES), found, "on_connect[0]")
    assert [name for name, _ in captures] == ["b"]
    assert str(found.problems[0]).startswith("on_connect[0].capture.a: unknown name 'messag'")


def test_an_expression_from_the_network_knows_no_variables() -> None:
    found = Diagnostics("")
    assert compile_captures({"a": "vars.X", "b": "message.x"}, Compiler(None, names=NAMES), found, "x")[0][0] == "b"
    assert len(found.problems) == 1
    assert not compile_captures({"a": "message | upper"}, Compiler(None, names=NAMES), found, "x")


def test_values_for_which_the_template_says_what_happens_may_be_missing() -> None:
    template = CallTemplate(
        url="wss://a.example/",
        headers={"X": "{{ session.user | default('x') }}"},
        message={"a": "{{ session.other is defined }}", "b": "{{ let.mine is defined }}"},
    )
    assert optional_values(template, "session") == {"user"}
    assert optional_values(template, "let") == {"mine"}
