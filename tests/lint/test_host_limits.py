"""Notes: the bounds of hosts, whole messages, and their places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp import load_manifest
from utcp_ws_mcp.lint.host_limits import host_notes, tool_notes

from .test_lint import inputs_of, note_tool, notes_of


def codes_of(tools: list[dict[str, Any]], folder: Path) -> list[str]:
    return [note.rpartition("[")[2].rstrip("]") for note in notes_of(tools, folder)]


@pytest.mark.parametrize(("length", "codes"), [(1024, []), (1025, ["description-long"])])
def test_a_description_of_1024_characters_is_accepted(length: int, codes: list[str], tmp_path: Path) -> None:
    assert codes_of([note_tool(description="x" * length)], tmp_path) == codes


def test_a_note_has_the_place_of_the_first_tool_and_its_whole_message(tmp_path: Path) -> None:
    tools = [note_tool(), note_tool("u", description="x" * 1025), note_tool("v", description="x" * 2000)]
    (note,) = notes_of(tools, tmp_path)
    assert note == (
        "tools[1].name: the description of m.u has 1,025 characters. OpenAI's API refuses more than 1,024, and Claude "
        "Code cuts at 2,048. Shorten it. The same holds for v. [description-long]"
    )


@pytest.mark.parametrize(("number", "codes"), [(128, []), (129, ["many-tools"])])
def test_128_tools_are_accepted(number: int, codes: list[str], tmp_path: Path) -> None:
    assert codes_of([note_tool(f"t{index}") for index in range(number)], tmp_path) == codes


@pytest.mark.parametrize(
    ("number", "more"),
    [(1, ""), (2, " The same holds for t1."), (4, "holds for t1, t2, t3."), (5, "holds for t1, t2, t3 and 1 more.")],
)
def test_up_to_three_other_tools_are_named(number: int, more: str, tmp_path: Path) -> None:
    (note,) = notes_of([note_tool(f"t{index}", annotations={}) for index in range(number)], tmp_path)
    assert (more or "changes nothing. [annotations-missing]") in note
    assert ("The same" in note) is (number > 1)


@pytest.mark.parametrize("key", ["readOnlyHint", "destructiveHint"])
@pytest.mark.parametrize("value", [True, False])
def test_one_of_two_annotations_is_enough(key: str, value: bool, tmp_path: Path) -> None:
    assert codes_of([note_tool(annotations={key: value})], tmp_path) == []


@pytest.mark.parametrize(
    ("schema", "codes"),
    [
        ({"type": "string"}, []),
        ({"enum": ["a"]}, []),
        ({"const": "a"}, []),
        ({"anyOf": [{"type": "string"}]}, []),
        ({"oneOf": [{"type": "string"}]}, []),
        ({"allOf": [{"type": "string"}]}, []),
        ({"not": {}}, []),
        ({"description": "It."}, ["argument-untyped"]),
        (True, ["argument-untyped"]),
        ({"type": "object", "properties": {"b": {}}}, ["argument-untyped"]),
        ({"type": "array", "items": {"properties": {"b": {}}}}, ["argument-untyped"]),
        ({"type": "array", "items": {"type": "object", "properties": {"b": {"enum": ["a", 1]}}}}, ["enum-not-text"]),
        ({"enum": ["a", None]}, ["enum-not-text"]),
    ],
    ids=str,
)
def test_the_types_of_arguments_at_all_levels_are_checked(schema: Any, codes: list[str], tmp_path: Path) -> None:
    assert codes_of([note_tool(**inputs_of(a=schema))], tmp_path) == codes


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("n" * 43, None),
        ("n" * 44, "with the prefixes of hosts, more than 45 characters exceed the limit of 64: models see m.nnn"),
        ("a.b-c_9", None),
        ("a/b", "hosts accept only letters, digits, _ and - in names: models see m.a/b as 'm_a_b'."),
    ],
)
def test_a_name_is_noted_if_models_see_another_one(name: str, reason: str | None, tmp_path: Path) -> None:
    notes = notes_of([note_tool(name)], tmp_path)
    assert len(notes) == (reason is not None)
    for note in notes:
        assert note.startswith(f"tools[0].name: {reason}")
        assert note.endswith('"tool_overrides" can rename it. [tool-name-changed]')


def test_the_notes_of_tools_without_a_file_have_no_place(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"name": "m", "url": "wss://a.example.com/", "tools": [{"name": "t"}]}')
    loaded = load_manifest(tmp_path / "m.json", {})
    (note,) = tool_notes(loaded.tools["m"])
    assert (note.path, note.code) == ("", "annotations-missing")
    assert [each.path for each in host_notes(loaded)] == ["tools[0].name"]


def test_each_key_without_a_meaning_is_noted_in_every_message_of_a_call(tmp_path: Path) -> None:
    (note,) = notes_of([note_tool(tool_call_template={"message": "x", "then": [{"$b": 1}], "reply": "none"})], tmp_path)
    assert "the key '$b' in the message of m.t is sent as it is." in note
