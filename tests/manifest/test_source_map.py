"""Where the values of a file stand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.errors import Problem
from utcp_ws_mcp.manifest.source_map import SourceMap, syntax_problem
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
