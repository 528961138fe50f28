"""What the editor offers and explains at a place of a manifest."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.studio import completion
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


PLACES: list[tuple[str, str, tuple[str, ...], str]] = [
    ('{|"ab": 1}', "", ("ab",), '"'),  # before a word there is none yet
    ('{"|ab": 1}', '"ab"', (), ":"),
    ('{"ab"|: 1}', '"ab"', (), ":"),
    ('{"a": 1|2}', "12", (), "}"),
    ('{"a": 1}|', "", (), ""),
    ('{"a": {"x": 1}, |"b": {"y": 2}, "c": [{"z": 3}], "d": 4}', "", ("a", "b", "c", "d"), '"'),
    ('{"t": [{"a": 1, | }, {"z": 1}]}', "", ("a",), "}"),
    ('{"a": "un|fini\n}', '"unfini', (), "}"),
    ('}]{"a|"', '"a"', (), ""),
]


@pytest.mark.parametrize(("text", "word", "keys", "following"), PLACES)
def test_a_place_has_its_word_the_keys_of_its_object_and_what_follows(
    text: str, word: str, keys: tuple[str, ...], following: str
) -> None:
    plain, offset = text.replace("|", "", 1), text.index("|")
    place = place_at(plain, offset)
    assert (plain[place.start : place.end], place.keys, place.next) == (word, keys, following)
    if not word:
        assert (place.start, place.end) == (offset, offset)


def test_the_place_in_a_list_is_counted_and_keys_of_others_are_not_mixed_up() -> None:
    assert place_at('{"a": [1, {"b": [2, ', 20).path == ("a", 1, "b", 1)
    assert place_at('[[], [{}, {"x": ', 16).path == (1, 1, "x")
    assert place_at('{"a": 1, "b": ', 14).path == ("b",)


SMALL = {
    "$defs": {
        "Kind": {"description": "A kind.", "enum": ["a", "b"]},
        "Loop": {"anyOf": [{"$ref": "#/$defs/Loop"}, {"type": "string", "description": "Again."}]},
    },
    "properties": {
        "kind": {"$ref": "#/$defs/Kind", "default": "a"},
        "flag": {"type": "boolean", "description": "On.", "default": False},
        "size": {"type": ["integer", "null"], "description": "How much.", "default": None},
        "both": {
            "description": "Both.",
            "oneOf": [
                {"type": "string"},
                {"type": "array", "items": {"properties": {"x": {"const": 3, "description": "X."}}}},
            ],
        },
        "map": {"additionalProperties": {"type": "number", "description": "A number."}},
        "loop": {"$ref": "#/$defs/Loop"},
        "many": {"enum": list(range(40)), "description": "Many."},
        "open": True,
        "plain": {},
    },
    "then": {"properties": {"late": {"type": "string", "description": "Late."}}},
    "else": {"allOf": [{"properties": {"later": {"type": "array", "description": "Later."}}}]},
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "_root", lambda: SMALL)


DESCRIPTIONS: list[tuple[tuple[str | int, ...], str]] = [
    ((), ""),
    (("plain",), ""),
    (("open",), ""),
    (("unknown",), ""),
    (("kind",), 'kind: any value\nA kind.\nOne of: "a", "b"\nDefault: "a"'),
    (("flag",), "flag: boolean\nOn.\nOne of: true, false\nDefault: false"),
    (("size",), "size: integer\nHow much."),
    (("both",), "both: string or array\nBoth."),
    (("both", 0), ""),
    (("both", 0, "x"), "x: any value\nX.\nOne of: 3"),
    (("both", "x"), ""),
    (("map", "k"), "k: number\nA number."),
    (("loop",), "loop: string\nAgain."),
    (("late",), "late: string\nLate."),
    (("later",), "later: array\nLater."),
    (("many",), f"many: any value\nMany.\nOne of: {', '.join(map(str, range(30)))}"),
]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("path", "description"), DESCRIPTIONS)
def test_a_field_is_described_by_all_schemas_that_may_apply(path: tuple[str | int, ...], description: str) -> None:
    assert describe(path) == description


@pytest.mark.usefixtures("small")
def test_each_key_is_offered_with_an_empty_value_of_its_type() -> None:
    offered = {each.label: each for each in options_at(place_at("{", 1))}
    assert list(offered) == sorted([*SMALL["properties"], "late", "later"])  # type: ignore[list-item]
    texts = {name: (each.text, each.caret - len(name) - 4, each.detail) for name, each in offered.items()}
    assert texts == {
        "both": ('"both": ""', 1, "string or array"),
        "flag": ('"flag": ', 0, "boolean"),
        "kind": ('"kind": ', 0, "any value"),
        "late": ('"late": ""', 1, "string"),
        "later": ('"later": []', 1, "array"),
        "loop": ('"loop": ""', 1, "string"),
        "many": ('"many": ', 0, "any value"),
        "map": ('"map": ', 0, "any value"),
        "open": ('"open": ', 0, "any value"),
        "plain": ('"plain": ', 0, "any value"),
        "size": ('"size": ', 0, "integer"),
    }
    assert (offered["flag"].description, offered["plain"].description) == ("On.", "")
    renamed = {each.label: each for each in options_at(place_at('{"fl": 1}', 3))}["flag"]
    assert (renamed.text, renamed.caret, renamed.detail, renamed.description) == ('"flag"', 6, "boolean", "On.")


@pytest.mark.usefixtures("small")
def test_each_value_is_offered_with_what_the_field_means() -> None:
    values = [(each.label, each.text, each.caret, each.detail, each.description) for each in
              options_at(place_at('{"flag": ', 9))]  # fmt: skip
    assert values == [("true", "true", 4, "", "On."), ("false", "false", 5, "", "On.")]
    assert [each.label for each in options_at(place_at('{"both": [{"x": ', 16))] == ["3"]
    assert options_at(place_at('{"plain": ', 10)) == []


@pytest.mark.usefixtures("small")
def test_options_and_schemas_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (completion.MAX_OPTIONS, completion.MAX_EXPANDED) == (200, 200)
    monkeypatch.setattr(completion, "MAX_OPTIONS", 2)
    assert [each.label for each in options_at(place_at("{", 1))] == ["both", "flag"]
    assert [each.label for each in options_at(place_at('{"many": ', 9))] == ["0", "1"]
    monkeypatch.setattr(completion, "MAX_EXPANDED", 2)
    assert len(schemas_at(("loop",))) == 2


def test_an_object_with_properties_is_one_without_a_type(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"properties": {"o": {"properties": {}, "description": "O."}, "n": {"type": "null", "description": "N."}}}
    monkeypatch.setattr(completion, "_root", lambda: schema)
    assert (describe(["o"]), describe(["n"])) == ("o: object\nO.", "n: any value\nN.")
    (_, option) = options_at(place_at("{", 1))
    assert option.text == '"o": {}'
