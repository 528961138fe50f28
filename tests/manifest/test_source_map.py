"""Where the values of a file stand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.errors import Problem
from utcp_ws_mcp.manifest.source_map import SourceMap, syntax_problem, token_offset
from utcp_ws_mcp.manifest.validation import join_path

TEXT = """{
  "name": "a\\"b",
  "tools": [
    {"name": "t", "inputs": {}},
    {"x.y": [1, {"z": null}]}
  ]
}"""

PLACED = {
    "the whole": ("", (1, 1)),
    "a text": ("name", (2, 11)),
    "an array": ("tools", (3, 12)),
    "an element": ("tools[1]", (5, 5)),
    "a value in an element": ("tools[0].inputs", (4, 29)),
    "a key with a dot": ("tools[1].x.y[1].z", (5, 23)),
    "a key that is missing": ("tools[0].tool_call_template.url", (4, 5)),
    "an element that is missing": ("tools[7].name", (3, 12)),
    "a path that is not in the text": ("reply.match", (1, 1)),
}


@pytest.mark.parametrize(("path", "place"), PLACED.values(), ids=PLACED)
def test_a_value_has_the_line_and_the_column_where_it_begins(path: str, place: tuple[int, int]) -> None:
    assert SourceMap(TEXT).locate(path) == place


def test_a_duplicate_key_is_reported_at_its_second_position() -> None:
    (problem,) = SourceMap('{"a": {"b": 1,\n"b": 2}}').duplicate_keys
    assert (problem.path, problem.position, problem.code) == ("a.b", (2, 1), "duplicate-key")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(json_values, st.sampled_from([None, 1]), st.booleans())
def test_every_value_is_found_at_its_position(value: object, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    places, lines = SourceMap(text), text.split("\n")

    def check(value: object, path: str) -> None:
        line, column = places.locate(path)
        assert json.JSONDecoder().raw_decode("\n".join([lines[line - 1][column - 1 :], *lines[line:]]))[0] == value
        for key, item in value.items() if isinstance(value, dict) else ():
            if "." not in key and "[" not in key and key:
                check(item, join_path(path, key))
        for index, item in enumerate(value) if isinstance(value, list) else ():
            check(item, join_path(path, index))

    check(value, "")


NO_JSON = {
    "a comma too many": ('{"a": 1,\n}', (2, 1), "comma"),
    "a comma that is missing": ('{"a": 1\n"b": 2}', (2, 1), "expected a comma"),
    "a comment": ('{\n// x\n"a": 1}', (2, 1), '"$comment"'),
    "single quotes": ("{'a': 1}", (1, 2), "double quotes"),
    "no value": ('{"a": }', (1, 7), "expected a value"),
    "a text without an end": ('{"a": "b}', (1, 7), "has no end"),
    "a line break in a text": ('{"a": "b\n"}', (1, 9), "\\n"),
    "a backslash": ('{"a": "C:\\dir"}', (1, 10), "\\\\"),
    "two documents": ("{}\n{}", (2, 1), "Remove the rest"),
}


@pytest.mark.parametrize(("text", "place", "word"), NO_JSON.values(), ids=NO_JSON)
def test_what_is_no_json_is_explained_at_its_place(text: str, place: tuple[int, int], word: str) -> None:
    with pytest.raises(json.JSONDecodeError) as wrong:
        json.loads(text)
    problem = syntax_problem(text, wrong.value)
    assert isinstance(problem, Problem)
    assert (problem.position, problem.code, word in problem.message) == (place, "invalid-json", True), problem


def test_a_place_of_a_text_is_found_by_its_offset_or_by_a_pattern() -> None:
    places = SourceMap(TEXT)
    assert places.offset("") == 0
    assert places.offset("name") == TEXT.index('"a\\"b"')
    assert places.offset("tools[1].x.y[1].z") == TEXT.index("null")
    assert places.offset("none") is None
    assert places.search(r"inputs") == (4, 20)
    assert places.search(r"^\{") == (1, 1)
    assert places.search("none") is None


@pytest.mark.parametrize(
    ("text", "path", "place"),
    [
        ("5", "", (1, 1)), ("5", "a.b", (1, 1)), ("[]", "[0]", (1, 1)), ("[1, [2, 3]]", "[1][1]", (1, 9)),
        ('[{"a": 1}, {"a": 2}]', "[1].a", (1, 18)), ('{"a": {"b": {}, "c": 1}}', "a.c", (1, 22)),
        ('{"a": [[], {}], "b": 1}', "b", (1, 22)), ('{"a": 1, "a": 2}', "a", (1, 15)),
        (r'{"\u0061": 1}', "a", (1, 12)), ('{"a,b": "c:d", "e": 1}', "e", (1, 21)), ('\n\n {"a": 1}', "a", (3, 8)),
        ('{"a": -1.5e3, "b": true}', "b", (1, 20)),
    ],
)  # fmt: skip
def test_a_value_of_any_document_has_its_place(text: str, path: str, place: tuple[int, int]) -> None:
    assert SourceMap(text).locate(path) == place


def test_each_key_that_comes_again_is_a_problem() -> None:
    text = '{"a": 1, "b": {"a": 1, "c": 2, "c": 3},\n "a": 2, "a": 3}'
    found = [(problem.path, problem.position) for problem in SourceMap(text).duplicate_keys]
    assert found == [("b.c", (1, 32)), ("a", (2, 2)), ("a", (2, 10))]
    (first, *_) = SourceMap(text).duplicate_keys
    assert first.message == (
        "this key appears twice in its object, and only the last value is used. Remove one of them."
    )
    assert SourceMap('[{"a": 1}, {"a": 1}]').duplicate_keys == []


@pytest.mark.parametrize(
    ("text", "offset"), [("[1, NaN]", 4), ('["NaN", NaN]', 8), ("NaN", 0), ("[1]", 0), ('["NaN"]', 0)]
)
def test_a_token_is_found_outside_of_strings(text: str, offset: int) -> None:
    assert token_offset(text, "NaN") == offset


HINTS = {
    "": "the file is empty. `utcp-ws-mcp init` writes a manifest to start from.",
    " \n": "the file is empty. `utcp-ws-mcp init` writes a manifest to start from.",
    "# x": 'invalid JSON: JSON has no comments. Write "$comment": "…" into an object instead.',
    "[/* x */]": 'invalid JSON: JSON has no comments. Write "$comment": "…" into an object instead.',
    "```json": "invalid JSON: the lines with ``` are Markdown. Remove them.",
    "[“a”]": 'invalid JSON: JSON has texts in straight double quotes: "text".',
    "[True]": "invalid JSON: JSON has the values true, false and null, in lower case.",
    '{"a" 1}': "invalid JSON: expected a colon after the key.",
    '{"a": 1]': "invalid JSON: expected a comma, or the end of the object or array.",
    "[1 2]": "invalid JSON: expected a comma, or the end of the object or array.",
}


@pytest.mark.parametrize(("text", "message"), HINTS.items())
def test_a_mistake_has_its_hint(text: str, message: str) -> None:
    with pytest.raises(json.JSONDecodeError) as wrong:
        json.loads(text)
    problem = syntax_problem(text, wrong.value)
    assert (problem.message, problem.path) == (message, "")


def test_another_mistake_is_said_as_the_reader_says_it() -> None:
    problem = syntax_problem("{x}", json.JSONDecodeError("Something else", "{x}", 1))
    assert (problem.message, problem.position) == ("invalid JSON: something else.", (1, 2))
