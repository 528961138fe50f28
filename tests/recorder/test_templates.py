"""What of sent messages becomes the template, and what becomes an argument."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.recorder.templates import (
    bytes_template,
    escape_template,
    infer_type,
    json_template,
    message_action,
    text_template,
)

ESCAPED: dict[str, tuple[str, str]] = {
    "plain text": ("plain", "plain"),
    "a known variable": ("${KEY}", "${KEY}"),
    "a known variable in a text": ("Bearer ${KEY}", "Bearer ${KEY}"),
    "a known variable as the whole text": ("$KEY", "$KEY"),
    "two known variables": ("${KEY} ${NICK}", "${KEY} ${NICK}"),
    "an unknown variable": ("${HOME}", r"{{ '$' ~ '{HOME}' }}"),
    "an unknown variable as the whole text": ("$HOME", "{{ '$' ~ 'HOME' }}"),
    "a known and an unknown variable": ("${KEY} ${HOME}", "{{ '$' ~ '{KEY} $' ~ '{HOME}' }}"),
    "a known variable beside an expression": ("${KEY} {{ x }}", "{{ '$' ~ '{KEY} {{ x }}' }}"),
    "an expression": ("{{ x }}", "{{ '{{ x }}' }}"),
    "an argument of UTCP": ("UTCP_ARG_x_UTCP_ARG", "{{ 'UTCP' ~ '_ARG_x_UTCP_ARG' }}"),
    "a price": ("costs $5", "costs $5"),
    "a name in a text": ("is $HOME", "is $HOME"),
    "the beginning of a variable": ("${", "{{ '$' ~ '{' }}"),
}


@pytest.mark.parametrize(("text", "template"), ESCAPED.values(), ids=ESCAPED)
def test_a_text_is_escaped_unless_all_that_it_refers_to_is_known(text: str, template: str) -> None:
    assert escape_template(text, ("KEY", "NICK")) == template


ACTIONS: dict[str, tuple[Any, Any, Any]] = {
    "an object": ({"op": "a"}, None, (("op",), "a")),
    "an object without a kind": ({"x": "a"}, None, None),
    "the first word of a list": ([1, "", "--", "a b", "c"], None, ((3,), "a b")),
    "the first word that is no ID": (["q1", "add"], (0,), ((1,), "add")),
    "the first word where the ID is elsewhere": (["add", "q1"], (1,), ((0,), "add")),
    "a list without words": ([1, {}], None, None),
}


@pytest.mark.parametrize(("value", "id_path", "action"), ACTIONS.values(), ids=ACTIONS)
def test_the_action_is_the_kind_or_the_first_word(value: Any, id_path: Any, action: Any) -> None:
    assert message_action(value, id_path) == action


TEXTS: dict[str, tuple[list[str], str, bool]] = {
    "a word": (["QUIT"], "QUIT", False),
    "a word and a rest": (["SAY hello you"], "SAY {{ args.text }}", True),
    "several rests": (["SAY a", "SAY b"], "SAY {{ args.text }}", True),
    "a rest behind a sign": (["/say: a"], "/say{{ args.text }}", True),
    "two spellings of the word": (["SAY a", "say b"], "SAY {{ args.text }}", True),
    "a gap of several characters": (["SAY \t a"], "SAY \t {{ args.text }}", True),
    "an end of a line": (["SAY a\r\n", "SAY b\r\n"], "SAY {{ args.text }}\r\n", True),
    "a NUL": (["SAY a\0"], "SAY {{ args.text }}\0", True),
    "different ends": (["SAY a\n", "SAY b"], "SAY {{ args.text }}", True),
    "a rest of several lines": (["SAY a\nb\n"], "SAY {{ args.text }}\n", True),
    "only an end": (["QUIT\r\n"], "QUIT\r\n", False),
    "a variable": (["NICK ${NICK}"] * 2, "NICK ${NICK}", False),
    "a variable and other texts": (["NICK ${NICK}", "NICK a"], "NICK {{ args.text }}", True),
    "an unknown variable": (["NICK ${HOME}"], "NICK {{ args.text }}", True),
    "a price": (["OFFER 5 $ each"], "OFFER {{ args.text }}", True),
    "an expression in front": (["{{x}}"], "{{ '{{x' }}{{ args.text }}", True),
    "nothing": ([""], "", False),
}


@pytest.mark.parametrize(("values", "template", "has_argument"), TEXTS.values(), ids=TEXTS)
def test_the_first_word_of_a_text_stays_and_the_rest_is_an_argument(
    values: list[str], template: str, has_argument: bool
) -> None:
    schema: dict[str, Any] = {"properties": {}}
    assert text_template(values, schema, ("NICK",)) == template
    with_text = {"properties": {"text": {"type": "string"}}, "required": ["text"]}
    assert schema == (with_text if has_argument else {"properties": {}})


def test_bytes_stay_if_they_are_always_the_same() -> None:
    schema: dict[str, Any] = {"properties": {}}
    assert bytes_template([b"\x07\xff"] * 2, schema) == "{{ '07ff' | unhex }}"
    assert schema == {"properties": {}}
    assert bytes_template([b"\x07", b"\x08"], schema) == "{{ args.data | unhex }}"
    data = {"type": "string", "description": "Bytes in hexadecimal.", "pattern": "^[0-9a-f ]*$"}
    assert schema == {"properties": {"data": data}, "required": ["data"]}


TYPES: list[tuple[list[Any], dict[str, str]]] = [
    (["a"], {"type": "string"}), ([True], {"type": "boolean"}), ([1, 2], {"type": "integer"}),
    ([1.5], {"type": "number"}), ([1, 1.5], {"type": "number"}), ([[1]], {"type": "array"}),
    ([{}], {"type": "object"}), ([1, "a"], {}), ([None], {}), ([1, True], {}), ([1, None], {}),
]  # fmt: skip


@pytest.mark.parametrize(("values", "schema"), TYPES)
def test_the_type_of_an_argument_is_that_of_all_its_values(values: list[Any], schema: dict[str, str]) -> None:
    assert infer_type(values) == schema


S, N = {"type": "string"}, {"type": "integer"}
MESSAGES: dict[str, tuple[list[Any], Any, dict[str, Any], list[str]]] = {
    "a kind and a value": (
        [{"op": "a", "n": 1}], {"op": "a", "n": "{{ args.n }}"}, {"n": N}, ["n"],
    ),
    "an ID": (
        [{"op": "a", "id": 1}], {"op": "a", "id": "{{ request_id }}"}, {}, [],
    ),
    "constants of one message": (
        [{"op": "a", "jsonrpc": "2.0", "version": 1, "v": 1, "name": "x"}],
        {"op": "a", "jsonrpc": "2.0", "version": 1, "v": 1, "name": "x"}, {}, [],
    ),
    "a constant below": (
        [{"op": "a", "p": {"name": "x"}}], {"op": "a", "p": {"name": "{{ args.name }}"}}, {"name": S}, ["name"],
    ),
    "what is the same in two messages": (
        [{"op": "a", "n": 1, "m": "x"}, {"op": "a", "n": 2, "m": "x"}],
        {"op": "a", "n": "{{ args.n }}", "m": "x"}, {"n": N}, ["n"],
    ),
    "what is the same, and missing once": (
        [{"op": "a", "n": 1}, {"op": "a"}], {"op": "a", "n": "{{ args.n }}"}, {"n": N}, [],
    ),
    "a constant that differs": (
        [{"op": "a", "name": "x"}, {"op": "a", "name": "y"}], {"op": "a", "name": "{{ args.name }}"}, {"name": S},
        ["name"],
    ),
    "a kind that differs": (
        [{"op": "a"}, {"op": "b"}], {"op": "{{ args.op }}"}, {"op": S}, ["op"],
    ),
    "a kind that is a sentence": (
        [{"op": "turn it on", "n": 1}], {"op": "turn it on", "n": "{{ args.n }}"}, {"n": N}, ["n"],
    ),
    "empty containers": (
        [{"op": "a", "x": {}, "y": []}], {"op": "a", "x": {}, "y": []}, {}, [],
    ),
    "a known variable": (
        [{"op": "a", "x": "${KEY}"}, {"op": "a", "x": "b"}], {"op": "a", "x": "${KEY}"}, {}, [],
    ),
    "an unknown variable": (
        [{"op": "a", "x": "${HOME}"}], {"op": "a", "x": "{{ args.x }}"}, {"x": S}, ["x"],
    ),
    "a dollar sign in a value": (
        [["stdin", "echo 5 $"], ["stdin", "exit"]], ["stdin", "{{ args.item_1 }}"], {"item_1": S}, ["item_1"],
    ),
    "an unknown variable that stays": (
        [{"op": "a", "x": "${HOME}", "n": 1}, {"op": "a", "x": "${HOME}", "n": 2}],
        {"op": "a", "x": "{{ '$' ~ '{HOME}' }}", "n": "{{ args.n }}"}, {"n": N}, ["n"],
    ),
    "a list": (
        [["add", 1, {"a": "x"}]], ["add", "{{ args.item_1 }}", {"a": "{{ args.a }}"}], {"item_1": N, "a": S},
        ["item_1", "a"],
    ),
    "the first item of a list": (
        [[7, "add", 1]], [7, "add", "{{ args.item_2 }}"], {"item_2": N}, ["item_2"],
    ),
    "a list below": (
        [{"op": "a", "x": [1, 2]}], {"op": "a", "x": "{{ args.x }}"}, {"x": {"type": "array"}}, ["x"],
    ),
    "one name at three places": (
        [{"op": "a", "x": 1, "p": {"x": 2}, "q": {"p": {"x": 3}}}],
        {"op": "a", "x": "{{ args.x }}", "p": {"x": "{{ args.p_x }}"}, "q": {"p": {"x": "{{ args.q_p_x }}"}}},
        {"x": N, "p_x": N, "q_p_x": N}, ["x", "p_x", "q_p_x"],
    ),
    "names that are no words": (
        [{"op": "a", "x y": 1, "-": 2, "1": 3}],
        {"op": "a", "x y": "{{ args.x_y }}", "-": "{{ args.value }}", "1": "{{ args.item_1 }}"},
        {"x_y": N, "value": N, "item_1": N}, ["x_y", "value", "item_1"],
    ),
    "keys that only another message has": (
        [{"op": "a", "x": 1, "y": 1}, {"op": "a", "z": {"b": 2}}],
        {"op": "a", "x": "{{ args.x }}", "y": "{{ args.y }}", "z": {"b": "{{ args.b }}"}},
        {"x": N, "y": N, "b": N}, [],
    ),
    "keys below that only another message has": (
        [{"op": "a", "p": {"x": 1, "y": 1}}, {"op": "a", "p": {"z": 2}}],
        {"op": "a", "p": {"x": "{{ args.x }}", "y": "{{ args.y }}", "z": "{{ args.z }}"}},
        {"x": N, "y": N, "z": N}, [],
    ),
    "an object that is empty once": (
        [{"op": "a", "p": {}}, {"op": "a", "p": {"x": 1}}], {"op": "a", "p": {"x": "{{ args.x }}"}}, {"x": N}, [],
    ),
    "an object that is a text once": (
        [{"op": "a", "p": "all"}, {"op": "a", "p": {"x": {"y": 1}}}], {"op": "a", "p": "{{ args.p }}"}, {"p": {}},
            ["p"],
    ),
    "a list that is empty once": (
        [{"op": "a", "x": []}, {"op": "a", "x": [1]}], {"op": "a", "x": "{{ args.x }}"}, {"x": {"type": "array"}},
            ["x"],
    ),
    "a name that ends with a digit": ([{"op": "a", "x1": 1}], {"op": "a", "x1": "{{ args.x1 }}"}, {"x1": N}, ["x1"]),
    "an object that is missing once": (
        [{"op": "a"}, {"op": "a", "p": {"x": {"y": 1}}}], {"op": "a", "p": {"x": {"y": "{{ args.y }}"}}}, {"y": N}, [],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("values", "template", "properties", "required"), MESSAGES.values(), ids=MESSAGES)
def test_what_can_differ_in_a_message_is_an_argument(
    values: list[Any], template: Any, properties: dict[str, Any], required: list[str]
) -> None:
    schema: dict[str, Any] = {"properties": {}}
    assert json_template(values, schema, ("id",), ("KEY",), {}) == template
    assert schema == {"properties": properties, **({"required": required} if required else {})}


def test_the_paths_of_the_arguments_are_noted() -> None:
    arguments: dict[Any, str] = {}
    json_template([{"op": "a", "id": 1, "p": {"x": 1}}], {"properties": {}}, ("id",), (), arguments)
    assert arguments == {("p", "x"): "x"}


def test_an_argument_whose_every_name_is_taken_is_numbered() -> None:
    first, second = ({"op": "a", "p": {"b c": n, "b-c": n, "b.c": n, "b/c": n}} for n in (1, 2))
    schema: dict[str, Any] = {"properties": {}}
    json_template([first, second], schema, None, (), {})
    assert list(schema["properties"]) == ["b_c", "p_b_c", "b_c_2", "b_c_3"]
