"""Goose's YAML: an entry goes in and comes out, and nothing else changes."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.errors import InstallError
from utcp_ws_mcp.hosts.yaml_config import MAPPING

entries, remove_entry, set_entry = MAPPING.entries, MAPPING.remove_entry, MAPPING.set_entry

ENTRY = {"name": "new", "type": "stdio", "cmd": "/bin/x y", "args": ["--a", "ü: #"], "timeout": 300}
LINES = ['name: "new"', 'type: "stdio"', 'cmd: "/bin/x y"', 'args: ["--a", "ü: #"]', "timeout: 300"]


def made(indent: int) -> str:
    pad = " " * indent
    return f"{pad}new:\n" + "".join(f"{pad}{pad}{line}\n" for line in LINES)


KEPT = {
    "as Goose writes it": (
        "GOOSE_MODEL: x\nextensions:\n  developer:\n    enabled: true\n    type: builtin\nother: 1\n",
        "other: 1\n",
    ),
    "at the end of the file": ("extensions:\n    a:\n        cmd: b\n", ""),
    "with comments": (
        "# mine\nextensions: # all\n  a:   # one\n    cmd: b\n\n# below\nother: 1\n",
        "\n# below\nother: 1\n",
    ),
    "with a text of several lines": (
        "extensions:\n  a:\n    t: |\n      new:\n      b: c\n    cmd: d\nz: 1\n",
        "z: 1\n",
    ),
    "with quoted keys": ("\"extensions\":\n  'a ''b''':\n    cmd: d\n  \"\\xE9\": {}\n", ""),
    "with keys that hold colons and hashes": ("extensions:\n  a:b:\n    cmd: d\n  c#d: e #:\n", ""),
    "without entries": ("a: 1\nextensions: {}\nb: 2\n", "b: 2\n"),
}


@pytest.mark.parametrize(("text", "behind"), KEPT.values(), ids=KEPT)
def test_an_entry_goes_in_behind_the_others_and_comes_out_again(text: str, behind: str) -> None:
    with_it = set_entry(text, "extensions", "new", ENTRY)
    indent = 4 if "    a:" in text else 2
    before = text.removesuffix(behind).replace("extensions: {}", "extensions:")
    assert with_it == before + made(indent) + behind
    assert list(entries(with_it, "extensions"))[-1] == "new"
    assert remove_entry(with_it, "extensions", "new") == text


def test_a_comment_that_repeats_the_line_of_the_extensions_stays_as_it_is() -> None:
    text = "extensions: {}  # extensions: {} means none\n"
    with_it = set_entry(text, "extensions", "new", ENTRY)
    assert with_it == f"extensions:  # extensions: {{}} means none\n{made(2)}"
    assert remove_entry(with_it, "extensions", "new") == text


@pytest.mark.parametrize("text", ["", "a: 1\n", "a: 1", "---\na: 1\n", "a: 1\nb: 2"])
def test_without_extensions_they_are_added(text: str) -> None:
    end = "" if text.endswith("\n") or not text else "\n"
    assert set_entry(text, "extensions", "new", ENTRY) == f"{text}{end}extensions:\n{made(2)}"


def test_an_entry_takes_the_place_of_the_one_with_its_name() -> None:
    text = "extensions:\n  new:\n    cmd: old\n  b:\n    cmd: c\n"
    assert set_entry(text, "extensions", "new", ENTRY) == f"extensions:\n{made(2)}  b:\n    cmd: c\n"


def test_the_entries_are_returned_with_their_texts() -> None:
    text = "extensions:\n  a:\n    cmd: x\n\n  b: {}\n"
    assert entries(text, "extensions") == {
        "a": "  a:\n    cmd: x\n",
        "b": "  b: {}\n",
    }
    assert entries("other:\n  extensions:\n    a: 1\n", "extensions") == {}


UNCHANGED = {
    "line ends of Windows": "a: 1\r\nextensions:\r\n  b:\r\n    cmd: c\r\n",
    "nulls and spaces": "a: ~\nb:   null\nextensions:\n    x: {cmd: y}\n",
    "lists in either form": "extensions:\n  a:\n    args:\n    - x\n    more:\n      - y\n",
    "anchors": "extensions: &all\n  a: &a\n    cmd: b\ncopy: *a\n",
    "a long line": f"a: {'word ' * 60}\nextensions:\n  b: 1\n",
    "a byte order mark": "\ufeffextensions:\n  a: 1\n",
}


@pytest.mark.parametrize("text", UNCHANGED.values(), ids=UNCHANGED)
def test_no_other_line_changes(text: str) -> None:
    changed = set_entry(text, "extensions", "new", ENTRY)
    assert set(text.splitlines()) <= set(changed.splitlines())
    assert ("\r\n" in changed) == ("\r\n" in text)
    assert "\n" not in changed.replace("\r\n", "") or "\r\n" not in text
    assert remove_entry(changed, "extensions", "new") == text


WRONG = {
    "extensions: &all\n  a: 1\ncopy: *all\n": "line 1: the form of 'extensions' is not supported.",
    "extensions: {a: {cmd: b}}\n": "line 1: expected one extension below the other under 'extensions'.",
    "extensions:\n  - a\n": "line 1: expected one extension below the other under 'extensions'.",
    "extensions: all\n": "line 1: expected one extension below the other under 'extensions'.",
    "extensions:\n  a: 1\nextensions:\n  b: s3cret\n": 'line 3: invalid YAML: found duplicate key "extensions".',
    "a: 1\n---\nextensions:\n": "line 2: invalid YAML: but found another document.",
    "extensions:\n\ta:\n": "line 2: invalid YAML: found character '\\t' that cannot start any token.",
    "- a\n": "line 1: expected keys and values.",
    "extensions:\n  a:\n    t: |\n      x\n      # no comment\n": "line 1: the form of 'extensions' is not supported.",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items(), ids=WRONG)
def test_what_could_be_damaged_is_refused(text: str, message: str) -> None:
    with pytest.raises(InstallError) as refused:
        set_entry(text, "extensions", "new", ENTRY)
    assert str(refused.value) == f"{message} [host-file-invalid]"
