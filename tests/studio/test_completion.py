"""What the editor offers and explains at a place of a manifest."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.studio.completion import describe, options_at, place_at, schemas_at


def labels(text: str) -> list[str]:
    """What is offered at | in a text."""
    offset = text.index("|")
    return [option.label for option in options_at(place_at(text.replace("|", "", 1), offset))]


@pytest.mark.parametrize(
    ("text", "path", "is_key"),
    [
        ("|", (), False),
        ("{|", (), True),
        ('{"ur|', (), True),
        ('{"url": |', ("url",), False),
        ('{"url": "ws://h/", |', (), True),
        ('{"tools": [{"name": "a"}, {|', ("tools", 1), True),
        ('{"tools": [{"inputs": {"type": "|"}}]}', ("tools", 0, "inputs", "type"), False),
        ('{"a": {}, "reply": {"error": "x"}, |}', (), True),
    ],
)  # fmt: skip
def test_the_place_is_found_in_a_text_that_is_not_finished(text: str, path: tuple[object, ...], is_key: bool) -> None:
    place = place_at(text.replace("|", "", 1), text.index("|"))

    assert (place.path, place.is_key) == (path, is_key)


def test_the_fields_of_a_call_template_are_offered_except_those_that_are_there() -> None:
    offered = labels('{"url": "ws://h/", "re|", "tools": []}')

    assert {"reply", "request_id", "headers"} <= set(offered)
    assert {"url", "tools"} & set(offered) == set()


def test_the_fields_of_a_tool_and_of_what_is_in_it_are_offered() -> None:
    assert {"name", "inputs", "tool_call_template"} <= set(labels('{"tools": [{|}]}'))
    assert {"match", "error", "result"} <= set(labels('{"tools": [{"tool_call_template": {"reply": {|}}}]}'))
    assert {"match", "error"} <= set(labels('{"manual_call_templates": [{"reply": {"|'))


def test_the_values_that_a_field_may_have_are_offered() -> None:
    assert '"jsonrpc2"' in labels('{"preset": |}')
    assert '"json"' in labels('{"response_format": "|"}')
    assert {"true", "false"} <= set(labels('{"stream": |'))


def test_a_key_is_written_with_a_value_of_its_type_unless_it_has_one() -> None:
    new = {option.label: option.text for option in options_at(place_at("{", 1))}
    there = {option.label: option.text for option in options_at(place_at('{"na": 1}', 3))}

    assert (new["url"], new["headers"], new["tools"]) == ('"url": ""', '"headers": {}', '"tools": []')
    assert there["name"] == '"name"'


def test_a_key_before_another_one_is_written_with_a_comma_and_the_cursor_is_put_into_its_value() -> None:
    text = '{\n  "ur"\n  "name": "x"}'
    (url,) = (each for each in options_at(place_at(text, text.index("ur") + 2)) if each.label == "url")

    assert (url.text, url.text[: url.caret]) == ('"url": "",', '"url": "')


def test_the_word_at_the_place_is_replaced_as_a_whole() -> None:
    text = '{"name": "x", "rep": 1}'
    place = place_at(text, text.index("rep") + 2)

    assert text[place.start : place.end] == '"rep"'


def test_a_field_is_described_with_its_type_its_values_and_its_default() -> None:
    said = describe(("tools", 0, "tool_call_template", "response_format"))

    assert said.startswith("response_format: string")
    assert 'One of: "' in said
    assert "Default: " in describe(("limits", "max_message_bytes"))


def test_nothing_is_known_inside_of_messages_and_schemas() -> None:
    assert describe(("tools", 0, "tool_call_template", "message", "anything")) == ""
    assert labels('{"tools": [{"tool_call_template": {"message": {|}}}]}') == []


def test_schemas_that_refer_to_each_other_are_bounded() -> None:
    assert len(schemas_at(())) <= 200
    assert len(schemas_at(("tools", 0, "tool_call_template", "tools", 0, "inputs"))) <= 200
