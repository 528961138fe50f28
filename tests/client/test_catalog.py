"""The catalogue: which word of a command line names a file, and which an entry."""

from __future__ import annotations

from pathlib import Path

import pytest

from utcp_ws_mcp.client.catalog import (
    catalog_files,
    find_entry,
    find_manifest,
    is_manifest_word,
    portable_word,
    read_catalog,
    without_info,
)
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.errors import InvalidManifest

ENTRY = catalog_files()["obs"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("word", ["obs", "catalog:obs", Path("obs")])
def test_a_name_stands_for_the_file_of_its_entry(word: str) -> None:
    assert find_manifest(word) == ENTRY


@pytest.mark.parametrize("word", ["obs.json", "./obs", "folder/obs", "", ".", ".."])
def test_what_looks_like_a_path_is_a_path(word: str) -> None:
    assert find_manifest(word) == Path(word)


def test_a_file_comes_before_an_entry_of_its_name_but_not_with_the_prefix(folder: Path) -> None:
    (folder / "obs").write_text("{}")
    assert find_manifest("obs") == Path("obs")
    assert find_manifest("catalog:obs") == ENTRY


def test_a_folder_does_not_hide_an_entry(folder: Path) -> None:
    (folder / "obs").mkdir()
    assert find_manifest("obs") == ENTRY


def test_a_folder_that_is_no_entry_is_called_a_folder_by_who_reads_it(folder: Path) -> None:
    (folder / "things").mkdir()
    with pytest.raises(InvalidManifest, match="it is a folder"):
        load_manifest(find_manifest("things"))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("osb", "osb: there is no such file in {}, and the catalogue has no entry of this name. Did you mean 'obs'?"),
        ("catalog:osb", "osb: the catalogue has no entry 'osb'. Did you mean 'obs'?"),
        ("catalog:zzzzzz", "zzzzzz: the catalogue has no entry 'zzzzzz'. `utcp-ws-mcp catalog` lists the entries."),
    ],
)
def test_an_unknown_name_is_reported_with_the_most_similar_entry(folder: Path, word: str, message: str) -> None:
    with pytest.raises(InvalidManifest) as unknown:
        find_manifest(word)
    assert str(unknown.value) == f"{message.format(folder)} [unknown-manifest]"


@pytest.mark.parametrize(
    ("word", "following", "expected"),
    [
        ("obs", "obs.list_scenes", True),
        ("obs", None, True),
        ("catalog:osb", None, True),
        ("any.json", None, True),
        ("osb", "obs.list_scenes", True),  # a mistake in a name
        ("obs.list_scenes", None, False),
        ("osb", None, False),
        ("tool", "file=a.txt", False),
        ("a.b", "c.d=e", False),
        ("tool", "a.b=1", False),
        ("a=b", "obs.list_scenes", False),
        ("osb", "list_scenes", False),
        ("osb", "", False),
        # A word with a dot is a tool, unless its suffix is that of a file.
        ("obs.list_scenes", "a.b", False),
        ("obs.json5", "obs.list_scenes", True),
        ("obs.jsn", "obs.list_scenes", True),
        ("obs.JSN", "obs.list_scenes", True),
        ("obs.js", "obs.list_scenes", False),
        ("obs.yaml", "obs.list_scenes", True),
        ("obs.yml", "obs.list_scenes", True),
        ("obs.toml", "obs.list_scenes", True),
        ("obs.txt", "obs.list_scenes", True),
        ("obs.BAK", "obs.list_scenes", True),
        ("yaml.tool", "obs.list_scenes", False),
        ("./obs.tool", "obs.list_scenes", True),
        ("folder/a.b", "obs.list_scenes", True),
        ("..", "obs.list_scenes", True),
    ],
)
def test_a_word_before_the_name_of_a_tool_names_a_manifest(word: str, following: str | None, expected: bool) -> None:
    assert is_manifest_word(word, following) is expected


def test_an_existing_file_of_any_name_is_a_manifest(folder: Path) -> None:
    (folder / "tools.conf").write_text("{}")
    assert is_manifest_word("tools.conf", None)


def test_a_host_starts_an_entry_by_its_name_and_a_file_by_its_path(folder: Path) -> None:
    assert portable_word(Path("obs"), find_manifest("obs")) == "catalog:obs"
    assert portable_word(Path("m.json"), find_manifest("m.json")) == str(folder / "m.json")


def test_an_entry_knows_which_variables_are_required() -> None:
    entry = find_entry("home-assistant")
    assert entry.variables == {"HOMEASSISTANT_URL": False, "HOMEASSISTANT_TOKEN": True}
    assert entry.required == ["HOMEASSISTANT_TOKEN"]


def test_what_only_describes_a_call_template_is_left_out_of_it() -> None:
    template = {"name": "x", "$comment": "why", "catalog": {"summary": "s"}, "url": "ws://h/"}
    assert without_info(template) == {"name": "x", "url": "ws://h/"}


def test_entries_are_sorted_by_their_names_and_each_has_its_file_and_templates() -> None:
    entries = read_catalog()
    assert [entry.name for entry in entries] == sorted(catalog_files())
    for entry in entries:
        assert entry.file == catalog_files()[entry.name]
        assert entry.file.stem == entry.name
        assert all("url" in template for template in entry.templates)
        assert entry.required == [name for name, required in entry.variables.items() if required]


def test_an_entry_says_where_its_tools_come_from() -> None:
    found = {entry.name: entry.provenance for entry in read_catalog()}
    assert found["aria2"].startswith("run against aria2 ")
    assert found["deepgram"] == "written from the documentation"
