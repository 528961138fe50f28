"""The pages that list things list all of them: commands with their options, fields, classes of errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click
import pytest

from utcp_ws_mcp import errors
from utcp_ws_mcp.cli.main import main
from utcp_ws_mcp.manifest import shapes
from utcp_ws_mcp.manifest.inheritance import preset_names
from utcp_ws_mcp.manifest.models.base import Model

from .examples import ROOT

MANUAL = (ROOT / "docs" / "manifest.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def models(base: type[Model]) -> Iterator[type[Model]]:
    """The parts of a manifest."""
    for model in base.__subclasses__():
        yield model
        yield from models(model)


@pytest.mark.parametrize("model", list(models(Model)), ids=lambda model: model.__name__)
def test_every_field_of_a_manifest_is_described(model: Any) -> None:
    names = {field.alias or name for name, field in model.model_fields.items()}
    assert {name for name in names if f"`{name}`" not in MANUAL} == set()


def test_every_key_of_a_file_and_every_preset_is_described() -> None:
    keys = (shapes._CLIENT_KEYS | shapes._INERT_KEYS | shapes._MANUAL_DOCUMENT_KEYS | preset_names()) - {"info"}
    assert {key for key in keys if f"`{key}`" not in MANUAL and f'"{key}"' not in MANUAL} == set()


def options(command: click.Command) -> set[str]:
    return {name for param in command.params if isinstance(param, click.Option) for name in param.opts}


def described(section: str) -> set[str]:
    """The options in the table of a section."""
    return set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE))


SECTIONS = {
    found[1]: found[2] for found in re.finditer(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", COMMANDS, re.MULTILINE | re.DOTALL)
}


def test_every_command_is_described_and_no_other() -> None:
    assert SECTIONS.keys() == main.commands.keys()
    assert {name for name in options(main) if f"`utcp-ws-mcp {name}`" not in COMMANDS} == set()


@pytest.mark.parametrize("name", main.commands)
def test_every_option_of_a_command_is_described_and_no_other(name: str) -> None:
    assert described(SECTIONS[name]) == options(main.commands[name])


def test_every_class_of_error_is_described() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    grouping = {"BridgeError", "ManifestError", "PolicyError", "CallError", "NetworkError"}
    assert {each.__name__ for each in classes if f"`{each.__name__}`" not in page} <= grouping


def test_the_index_of_the_documentation_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")} - {"README.md"}
    assert {page for page in pages if f"]({page})" not in index} == set()


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "src" / "utcp_ws_mcp"


def test_every_module_that_the_architecture_names_exists() -> None:
    named = set(re.findall(r"`([a-z_/]+(?:\.py|/))`", ARCHITECTURE))
    assert len(named) > 30
    assert {name for name in named if not (PACKAGE / name).exists() and not (ROOT / name).exists()} == set()


def test_the_architecture_names_every_part_of_the_package() -> None:
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    ways_in = {"__init__", "__main__", "version", "cli_http", "cli_install", "demo"}
    assert {part for part in parts - ways_in if not re.search(rf"\b{part}\b", ARCHITECTURE)} == set()
