"""The reference describes every field of a manifest and every preset, and nothing that does not exist."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from pydantic.fields import FieldInfo

from scripts.manifest_reference import (
    MANIFEST_PAGES,
    PRESET_FILES,
    Row,
    find_fields,
    find_meanings,
    preset_variables,
    read_rows,
)
from utcp_ws_mcp import errors, load_manifest
from utcp_ws_mcp.cli.main import main
from utcp_ws_mcp.core.tools.mcp_names import host_names
from utcp_ws_mcp.manifest.inheritance import CALL_TEMPLATE_KEYS, preset_names
from utcp_ws_mcp.manifest.loader import CLIENT_KEYS, INERT_CLIENT_KEYS, MANUAL_DOCUMENT_KEYS
from utcp_ws_mcp.manifest.models.base import Model

from .examples import ROOT, VARIABLES, read_blocks, write_manifest

REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted(MANIFEST_PAGES.glob("*.md"))
INDEX = (MANIFEST_PAGES / "index.md").read_text(encoding="utf-8")
ROWS = [row for page in PAGES for row in read_rows(page)]
FIELDS = find_fields()
PRESETS = sorted(preset_names())


def subclasses(base: type[Model]) -> Iterator[type[Model]]:
    """Yield every part of a manifest."""
    for model in base.__subclasses__():
        yield model
        yield from subclasses(model)


def test_every_model_of_the_manifest_is_covered_by_the_tables() -> None:
    described = {model.__name__ for models in _models_by_path().values() for model in models}
    assert {model.__name__ for model in subclasses(Model)} - described == set()


def _models_by_path() -> dict[str, tuple[type[Any], ...]]:
    from scripts.manifest_reference import find_models

    return find_models()


@pytest.mark.parametrize("path", FIELDS, ids=lambda path: path or "call template")
def test_every_field_has_one_row_and_no_row_is_of_another_field(path: str) -> None:
    expected = set(FIELDS[path]) | (CALL_TEMPLATE_KEYS if not path else set())
    rows = Counter(row.name for row in ROWS if row.path == path)
    assert set(rows) == expected
    assert {name for name, count in rows.items() if count > 1} == set()


def test_no_table_is_of_an_object_that_does_not_exist() -> None:
    assert {row.path for row in ROWS} <= set(FIELDS)


KNOWN_ROWS = [row for row in ROWS if row.name in FIELDS.get(row.path, {})]


@pytest.mark.parametrize("row", KNOWN_ROWS, ids=lambda row: row.full_name)
def test_the_default_of_a_field_is_the_one_of_its_model(row: Row) -> None:
    field = FIELDS[row.path][row.name]
    if field.is_required():
        assert row.default == "required"
        return
    default = field.get_default(call_default_factory=True)
    if isinstance(default, bool | int | float | str):
        assert row.default == f"`{json.dumps(default)}`"
    elif default is not None and not isinstance(default, Model) and row.default.startswith("`"):
        assert json.loads(row.default.strip("`")) == (list(default) if isinstance(default, tuple) else default)


@pytest.mark.parametrize("row", KNOWN_ROWS, ids=lambda row: row.full_name)
def test_the_type_of_a_field_names_every_value_that_it_may_have(row: Row) -> None:
    values = set(literals(FIELDS[row.path][row.name]))
    assert {value for value in values if f'`"{value}"`' not in row.type} == set()


def literals(field: FieldInfo) -> Iterator[str]:
    """Yield the values of a field that has a fixed set of them."""
    for part in (field.annotation, *get_args(field.annotation)):
        yield from (value for value in get_args(part) if isinstance(value, str))


def test_every_field_has_a_meaning_in_the_index() -> None:
    meanings = find_meanings()
    assert [row.full_name for row in ROWS if not meanings[row.path].get(row.name)] == []


def test_every_field_is_used_in_an_example_of_the_reference() -> None:
    manifests = [
        block.message
        for page in (*PAGES, *(REFERENCE / "presets").glob("*.md"))
        for block in read_blocks(page)
        if block.kind == "manifest"
    ]
    used = {place for manifest in manifests for place in used_fields(manifest)}
    assert {row.full_name for row in ROWS} - used == set()


def used_fields(manifest: Any) -> Iterator[str]:
    """Yield the fields that a manifest uses, as the tables name them."""
    entries = manifest if isinstance(manifest, list) else manifest.get("manual_call_templates", [manifest])
    for entry in entries:
        yield from _used(entry, "")


def _used(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _used(item, f"{path}[]")
        return
    if not isinstance(value, dict):
        return
    if path == "auth":
        path = f"auth ({value['auth_type']})"
    for name, item in value.items():
        if path == "tools[]" and name == "tool_call_template":
            yield "tools[].tool_call_template"
            yield from _used(item, "")
        elif path == "tool_overrides":
            yield from _used(item, "tool_overrides.*")
        elif path in FIELDS:
            inside = f"{path}.{name}" if path else name
            yield inside
            yield from _used(item, inside)
        # else: content of a template or a schema


def test_every_key_of_a_file_is_described() -> None:
    keys = CLIENT_KEYS | INERT_CLIENT_KEYS | MANUAL_DOCUMENT_KEYS
    assert {key for key in keys if f"`{key}`" not in INDEX} == set()


def test_the_reference_of_presets_has_a_page_for_each_preset_and_no_other() -> None:
    assert {page.stem for page in (REFERENCE / "presets").glob("*.md")} == {*PRESETS, "index"}


def read_page(name: str) -> str:
    return (REFERENCE / "presets" / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PRESETS)
def test_the_page_of_a_preset_shows_what_the_preset_sets(name: str) -> None:
    shown = list(read_blocks(REFERENCE / "presets" / f"{name}.md"))[-1].message
    preset = json.loads((PRESET_FILES / f"{name}.json").read_text(encoding="utf-8"))
    assert f"<!-- generated: preset {name} -->" in read_page(name)
    assert list(shown.items()) == [(key, value) for key, value in preset.items() if key != "$comment"]


@pytest.mark.parametrize("name", PRESETS)
def test_the_page_of_a_preset_describes_its_variables_and_no_other(name: str) -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (yes|no) \|", read_page(name), re.MULTILINE))
    required = {variable: "yes" if needed else "no" for variable, needed in preset_variables(name).items()}
    assert rows == required


@pytest.mark.parametrize("name", PRESETS)
def test_the_page_of_a_preset_names_the_session_values_that_the_preset_uses(name: str) -> None:
    preset = (PRESET_FILES / f"{name}.json").read_text(encoding="utf-8")
    used = set(re.findall(r"(?<!\")\bsession\.[A-Za-z_]\w*", preset.partition('",\n')[2]))
    table = read_page(name).partition("| Name | Set by |")[2]
    assert {each for each in used if f"\n| `{each}` | `" not in table} == set()


def names_rows() -> list[tuple[str, str, str, str]]:
    page = (MANIFEST_PAGES / "names.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `(\{.+\})` \| `(.+)` \| `(.+)` \| `(.+)` \|$", page, re.MULTILINE)


@pytest.mark.parametrize(("template", "tool", "full_name", "mcp_name"), names_rows())
def test_the_names_of_tools_are_those_that_the_page_shows(
    template: str, tool: str, full_name: str, mcp_name: str, tmp_path: Path
) -> None:
    manifest = {**json.loads(template), "tools": [{"name": tool}]}
    loaded = load_manifest(write_manifest(json.dumps(manifest), tmp_path), environ=VARIABLES)
    manual = loaded.manifest.entries[0].name
    assert f"{manual}.{tool}" == full_name
    assert host_names({(manual, tool): 0}) == {(manual, tool): mcp_name}


COMMANDS = (REFERENCE / "cli.md").read_text(encoding="utf-8")
SECTIONS = {
    found[1]: found[2] for found in re.finditer(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", COMMANDS, re.MULTILINE | re.DOTALL)
}


def options(command: click.Command) -> set[str]:
    """Return the options of a command, and of the commands of a group."""
    own = {name for param in command.params if isinstance(param, click.Option) for name in param.opts}
    inner = command.commands.values() if isinstance(command, click.Group) and command is not main else ()
    return own.union(*map(options, inner))


def described(section: str) -> set[str]:
    """Return the options in the table of a section."""
    return set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE))


def test_every_command_is_described_and_no_other() -> None:
    assert SECTIONS.keys() == main.commands.keys()
    assert {name for name in options(main) if f"`utcp-ws-mcp {name}`" not in COMMANDS} == set()


@pytest.mark.parametrize("name", main.commands)
def test_every_option_of_a_command_is_described_and_no_other(name: str) -> None:
    assert described(SECTIONS[name]) == options(main.commands[name])


def test_every_class_of_error_is_described() -> None:
    page = (REFERENCE / "errors" / "index.md").read_text(encoding="utf-8")
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    grouping = {"BridgeError", "ManifestError", "PolicyError", "CallError", "NetworkError"}
    assert {each.__name__ for each in classes if f"`{each.__name__}`" not in page} <= grouping


ARCHITECTURE = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "src" / "utcp_ws_mcp"


def test_every_module_that_the_architecture_names_exists() -> None:
    named = set(re.findall(r"`([a-z_/]+(?:\.py|/))`", ARCHITECTURE))
    assert len(named) > 30
    assert {name for name in named if not (PACKAGE / name).exists() and not (ROOT / name).exists()} == set()


def test_the_architecture_names_every_part_of_the_package() -> None:
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    ways_in = {"__init__", "__main__", "version", "demo"}
    assert {part for part in parts - ways_in if not re.search(rf"\b{part}\b", ARCHITECTURE)} == set()
