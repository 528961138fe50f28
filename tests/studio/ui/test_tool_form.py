"""The form of a tool: its fields, what is read from them, and where a problem is shown."""

from __future__ import annotations

from typing import Any

import pytest
from nicegui import ui
from nicegui.testing import User

from utcp_ws_mcp.studio.forms import FilledForm
from utcp_ws_mcp.studio.ui.tool_form import ToolForm

from ..pages import Site, field, shown

SCHEMA = {
    "properties": {
        "text": {"type": "string", "description": "What is said."},
        "count": {"type": "integer"},
        "share": {"type": "number"},
        "loud": {"type": "boolean"},
        "side": {"enum": ["buy", 1]},
        "tags": {"type": "array"},
    },
    "required": ["text", "loud"],
}


async def open_form(site: Site, schema: Any, typed: dict[str, Any] | None = None) -> tuple[User, ToolForm]:
    drawn: list[ToolForm] = []
    user = await site.open(lambda: drawn.append(ToolForm(schema, {} if typed is None else typed)))
    return user, drawn[0]


async def test_each_kind_of_argument_has_its_field(site: Site) -> None:
    user, _ = await open_form(site, SCHEMA)
    labels = [
        each.props["label"] for each in shown(user, ui.element) if hasattr(each, "value") and "label" in each.props
    ]
    assert labels == ["text (required)", "loud (required)", "count", "share", "side", "tags"]
    text, count, share = [await field(user, label) for label in ("text (required)", "count", "share")]
    assert (text.props["hint"], "hint" in count.props) == ("What is said.", False)
    assert [each.props.get("inputmode") for each in (text, count, share)] == [None, "numeric", "decimal"]
    assert {(each.props["autocomplete"], each.props["spellcheck"]) for each in (text, count, share)} == {
        ("off", "false")
    }
    assert (await field(user, "loud (required)")).options == {True: "true", False: "false"}
    assert (await field(user, "side")).options == {None: "(not given)", 0: "buy", 1: "1"}
    tags = await field(user, "tags")
    assert (type(tags), tags.props["placeholder"], tags.props["spellcheck"]) == (ui.textarea, '["…"]', "false")
    assert "studio-mono" in tags.classes
    (switch,) = shown(user, ui.switch)
    assert (switch.text, switch.value) == ("Write the arguments as JSON", False)
    assert not shown(user, ui.textarea, "Arguments as JSON")


async def test_what_is_entered_is_read_and_what_is_wrong_is_shown_at_its_field(site: Site) -> None:
    user, form = await open_form(site, SCHEMA)
    text, count, loud = [await field(user, label) for label in ("text (required)", "count", "loud (required)")]
    text.value, count.value = "hello", "three"
    filled = form.read()
    assert filled.arguments == {"text": "hello"}
    assert (text.error, loud.error, count.error) == (None, filled.problems["loud"], filled.problems["count"])
    assert set(filled.problems) == {"loud", "count"}
    count.value, loud.value = "3", False
    assert form.read() == FilledForm({"text": "hello", "count": 3, "loud": False}, {})
    assert (loud.error, count.error) == (None, None)


async def test_all_arguments_can_be_written_as_json_instead(site: Site) -> None:
    user, form = await open_form(site, SCHEMA)
    (await field(user, "text (required)")).value = "hé"
    (await field(user, "side")).value = 1
    (switch,) = shown(user, ui.switch)
    switch.value = True
    as_json = await field(user, "Arguments as JSON")
    assert as_json.value == '{\n  "text": "hé",\n  "side": 1\n}'
    (column,) = {
        each.parent_slot.parent for each in user.client.elements.values() if each.props.get("label") == "count"
    }  # type: ignore[union-attr]
    assert (as_json.visible, column.visible) == (True, False)
    as_json.value = "[]"
    filled = form.read()
    assert (as_json.error, filled.problems) == (
        filled.problems[""],
        {"": 'write one JSON object, such as {"name": "value"}'},
    )
    as_json.value = '{"text": "bye", "count": 4, "loud": true, "other": 1}'
    assert form.read() == FilledForm({"text": "bye", "count": 4, "loud": True, "other": 1}, {})
    assert as_json.error is None
    form.show_problem("invalid arguments: tags: is too long")
    switch.value = False
    assert (as_json.visible, column.visible) == (False, True)
    values = [(await field(user, label)).value for label in ("text (required)", "loud (required)", "count")]
    assert values == ["bye", True, "4"]
    assert [each for each in shown(user, ui.element) if getattr(each, "error", None)] == []


async def test_an_empty_text_as_json_means_no_arguments(site: Site) -> None:
    user, form = await open_form(site, SCHEMA)
    (switch,) = shown(user, ui.switch)
    switch.value = True
    (await field(user, "Arguments as JSON")).value = None
    assert form.read() == FilledForm({}, {})


PROBLEMS = [
    ("call refused: invalid arguments: count: is too large\u200b", "count", "count: is too large\\u200b"),
    ("invalid arguments: tags.0: is no text", "tags", "tags.0: is no text"),
    ('invalid arguments: "text" is required', "text (required)", '"text" is required'),
    ("invalid arguments: counter: is too large", "count", None),
    ("the endpoint failed: count: 3", "count", None),
]


@pytest.mark.parametrize(("problem", "label", "error"), PROBLEMS)
async def test_a_problem_of_the_call_is_shown_at_the_field_that_it_names(
    site: Site, problem: str, label: str, error: str | None
) -> None:
    user, form = await open_form(site, SCHEMA)
    form.show_problem(problem)
    named = await field(user, label)
    assert named.error == error
    assert [each for each in shown(user, ui.element) if getattr(each, "error", None)] == ([named] if error else [])


async def test_what_was_typed_before_is_there_again(site: Site) -> None:
    typed = {"text": "before", "side": 1, "loud": "maybe", "gone": "x"}
    user, _ = await open_form(site, SCHEMA, typed)
    text, side = await field(user, "text (required)"), await field(user, "side")
    assert (text.value, side.value, (await field(user, "loud (required)")).value) == ("before", 1, None)
    text.value = "now"
    (await field(user, "count")).value = "3"
    assert (typed["text"], typed["count"]) == ("now", "3")


SWITCHES: list[tuple[dict[str, Any], bool]] = [
    ({}, False),
    ({"additionalProperties": False}, False),
    ({"additionalProperties": True}, True),
    ({"properties": {"a": {}}}, True),
]


@pytest.mark.parametrize(("schema", "is_offered"), SWITCHES)
async def test_json_is_offered_if_there_can_be_arguments(site: Site, schema: dict[str, Any], is_offered: bool) -> None:
    user, form = await open_form(site, schema)
    assert bool(shown(user, ui.switch)) is is_offered
    assert bool(shown(user, ui.label, "No arguments are needed.")) is ("properties" not in schema)
    assert form.read() == FilledForm({}, {})
