"""Texts of JSON with comments: an entry goes in and comes out, and nothing else changes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.errors import InstallError
from utcp_ws_mcp.hosts.jsonc import entries, remove_entry, secrets, set_entry

ENTRY = {"command": "/bin/x", "args": ["a"]}


COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def bare(text: str) -> Any:
    """The value of a text with comments and trailing commas, in which no string looks like one."""
    return json.loads(re.sub(r",(\s*[}\]])", r"\1", COMMENT.sub("", text)))


KEPT = {
    "two entries": '{\n  "s": {\n    "a": {"x": 1},\n    "b": 2\n  },\n  "t": [1, 2]\n}\n',
    "tabs": '{\n\t"s": {\n\t\t"a": 1\n\t}\n}',
    "Windows": '{\r\n    "s": {\r\n        "a": 1\r\n    }\r\n}\r\n',
    "one line": '{"s": {"a": 1}, "t": null}',
    "an empty object": '{\n  "s": {}\n}\n',
    "a comment behind the last entry": '{\n  "s": {\n    "a": 1 // one\n  }\n}',
    "a comment below the last entry": '{\n  "s": {\n    "a": 1\n    // "b": 2\n  }\n}',
    "comments everywhere": '// t\n{ /* in */\n  "s": { // servers\n    // 1\n    "a": /* 1 */ 1\n  } // e\n}\n// fin',
    "a trailing comma": '{\n  "s": {\n    "a": 1, // one\n  },\n}',
    "a byte order mark": '\ufeff{\n  "s": {\n    "a": 1\n  }\n}',
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_an_entry_goes_in_and_its_removal_gives_the_same_text(text: str) -> None:
    with_it = set_entry(text, "s", "new", ENTRY)
    expected = bare(text.lstrip("\ufeff"))
    expected["s"]["new"] = ENTRY
    assert bare(with_it.lstrip("\ufeff")) == expected
    assert COMMENT.findall(with_it) == COMMENT.findall(text)
    assert remove_entry(with_it, "s", "new") == text


def test_an_entry_in_the_middle_and_the_first_one_come_out_alone() -> None:
    text = '{"s": {\n  "a": 1, // one\n  "b": 2,\n  "c": 3\n}}'
    assert remove_entry(text, "s", "b") == '{"s": {\n  "a": 1, // one\n  "c": 3\n}}'
    assert bare(remove_entry(text, "s", "a")) == {"s": {"b": 2, "c": 3}}
    assert bare(remove_entry(text, "s", "c")) == {"s": {"a": 1, "b": 2}}


@pytest.mark.parametrize("text", ['{"s": {"a": 1}}', '{"s": {}}', '{\n  "s": {\n    "a": 1\n  }\n}', "{}"])
def test_a_path_with_other_letters_stays_readable(text: str) -> None:
    assert "/home/jürgen/日本" in set_entry(text, "s", "new", {"command": "/home/jürgen/日本"})


def test_an_entry_takes_the_place_of_the_one_with_its_name() -> None:
    text = '{\n  "s": {\n    "new": {"old": true}, // mine\n    "b": 2\n  }\n}'
    assert bare(set_entry(text, "s", "new", ENTRY)) == {"s": {"new": ENTRY, "b": 2}}
    assert "// mine" in set_entry(text, "s", "new", ENTRY)


@pytest.mark.parametrize("text", ["", "{}", '{"t": 1}', '{\n  "t": 1\n}\n', "{ // only this\n}"])
def test_without_the_key_for_servers_it_is_added(text: str) -> None:
    made = bare(set_entry(text, "s", "new", ENTRY))
    assert made == {**bare(text or "{}"), "s": {"new": ENTRY}}


WRONG = {
    "{'s': 1}": "line 1, column 2: invalid JSON.",
    '{\n  "s": [1]\n}': "line 2, column 8: expected an object under 's'.",
    "[1]": "line 1, column 1: expected an object.",
    '{"s": {}, "s": {}}': "line 1, column 11: this key appears twice.",
    '{"s" {}}': "line 1, column 6: expected a colon.",
    '{"s": {} "t": 1}': "line 1, column 10: expected a comma or '}'.",
    '{"s": {}} x': "line 1, column 11: the document ends before this position.",
    '{"s": {': "line 1, column 8: expected a value.",
    '{"s": /* no end': "line 1, column 7: expected a value.",
    "{s: 1}": "line 1, column 2: invalid JSON.",
    "{1: 2}": "line 1, column 2: expected a key.",
    "[" * 100_000: "the file is nested too deeply.",
}


@pytest.mark.parametrize(("text", "sentence"), WRONG.items(), ids=[key[:15] for key in WRONG])
def test_what_is_no_json_with_comments_is_refused_with_its_place(text: str, sentence: str) -> None:
    for attempt in (lambda: entries(text, "s"), lambda: set_entry(text, "s", "new", ENTRY)):
        with pytest.raises(InstallError) as refused:
            attempt()
        assert str(refused.value) == f"{sentence} [host-file-invalid]"


def test_what_env_and_headers_hold_is_secret_at_any_depth() -> None:
    text = json.dumps({"s": {"a": {"env": {"K": 'q"uote'}}, "b": {"headers": {"X": ["ü"]}, "args": ["shown"]}}})
    assert secrets(text) == {'q\\"uote', "ü", "\\u00fc"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(max_size=6), VALUES, max_size=4),
    st.dictionaries(st.text(max_size=6), VALUES, max_size=3),
    st.sampled_from([None, 1, 2, "\t"]),
    st.booleans(),
)
def test_nothing_else_of_any_document_changes(around: Any, servers: Any, indent: Any, ascii_only: bool) -> None:
    document = {**around, "s": {key: value for key, value in servers.items() if key != "new"}}
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    with_it = set_entry(text, "s", "new", ENTRY)
    assert json.loads(with_it) == {**document, "s": {**document["s"], "new": ENTRY}}
    assert list(entries(with_it, "s")) == [*document["s"], "new"]
    assert remove_entry(with_it, "s", "new") == text


EXACT = {
    "an entry in one line": ('{"s": {"a": 1,"b": 2,"c": 3}}', "b", '{"s": {"a": 1,"c": 3}}'),
    "a comment that stays": ('{"s": {\n  // keep\n  "a": 1\n}}', "a", '{"s": {\n  // keep\n}}'),
    "the only entry": ('{"s": {\n  "a": 1\n}, "t": 2}', "a", '{"s": {}, "t": 2}'),
    "line ends of Windows": ('{"s": {\r\n  "a": 1,\r\n  "b": 2\r\n}}', "b", '{"s": {\r\n  "a": 1\r\n}}'),
    "spaces before a key": ('{"s": {"a": 1,  "b": 2}}', "a", '{"s": {  "b": 2}}'),
}


@pytest.mark.parametrize(("text", "name", "after"), EXACT.values(), ids=EXACT)
def test_exactly_an_entry_and_its_comma_are_removed(text: str, name: str, after: str) -> None:
    assert remove_entry(text, "s", name) == after


ADDED = {
    "a line of its own": (
        '{\n\t"s": {\n\t\t"a": 1 // one\n\t}\n}',
        '{\n\t"s": {\n\t\t"a": 1, // one\n\t\t"new": {\n\t\t\t"x": 1\n\t\t}\n\t}\n}',
    ),
    "the same line": ('{\n "s": {"a": 1}}', '{\n "s": {"a": 1, "new": {"x": 1}}}'),
    "behind a comma": ('{"s": {"a": 1,}}', '{"s": {"a": 1, "new": {"x": 1},}}'),
    "the first entry": ('{\n  "s": {}\n}', '{\n  "s": {\n    "new": {\n      "x": 1\n    }\n  }\n}'),
    "below an empty line": ("\n  {}", '\n  {\n    "s": {\n      "new": {\n        "x": 1\n      }\n    }\n  }'),
    "line ends of Windows": (
        '{\r\n  "s": {}\r\n}',
        '{\r\n  "s": {\r\n    "new": {\r\n      "x": 1\r\n    }\r\n  }\r\n}',
    ),
    "a comment in an empty object": ('{"s": { // mine\n}}', '{"s": {\n  "new": {\n    "x": 1\n  } // mine\n}}'),
}


@pytest.mark.parametrize(("text", "after"), ADDED.values(), ids=ADDED)
def test_an_entry_is_written_as_its_neighbours_are(text: str, after: str) -> None:
    assert set_entry(text, "s", "new", {"x": 1}) == after


def test_the_line_of_an_entry_goes_with_its_own_line_end_only() -> None:
    assert remove_entry('{"s": {\r\n\r\n  "a": 1,\r\n  "b": 2\r\n}}', "s", "a") == '{"s": {\r\n\r\n  "b": 2\r\n}}'
    assert remove_entry('{"s": {\n\n  "a": 1,\n  "b": 2\n}}', "s", "a") == '{"s": {\n\n  "b": 2\n}}'
