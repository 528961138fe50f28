"""The generated parts of the reference pages are current: `make reference` writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

import utcp_ws_mcp
from scripts.reference import SCHEMA_FILE, find_pages, render_page, render_schema, write_docstring, write_signature
from utcp_ws_mcp.cli.main import main

from .examples import ROOT

REFERENCE = ROOT / "docs" / "reference"


@pytest.mark.parametrize("page", find_pages(), ids=lambda page: page.name)
def test_every_generated_part_is_current(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert render_page(text) == text, "run: make reference"


def test_the_json_schema_is_current() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == render_schema(), "run: make reference"


def test_the_page_of_commands_generates_every_command() -> None:
    text = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    assert [name for name in main.commands if f"<!-- generated: command {name} -->" not in text] == []


def test_the_page_of_the_python_api_generates_every_public_name() -> None:
    text = (REFERENCE / "python.md").read_text(encoding="utf-8")
    named = [name for name in utcp_ws_mcp.__all__ if name != "__version__" and f"`{name}`" not in text]
    assert named == []


def test_a_signature_shows_what_was_written() -> None:
    async def fetch(name: str, *paths: Path, deep: bool = False) -> list[str] | None: ...

    assert (
        write_signature("fetch", fetch)
        == "async fetch(name: str, *paths: Path, deep: bool = False) -> list[str] | None"
    )


def test_sections_of_a_docstring_become_lists() -> None:
    docstring = (
        "Return a line.\n\nIt is\nshort.\n\nArgs:\n    width: Columns,\n        at most.\n\nRaises:\n    OSError: never"
    )
    assert write_docstring(docstring) == (
        "Return a line.\n\nIt is short.\n\n**Args**\n\n- `width`: Columns, at most.\n\n**Raises**\n\n- `OSError`: never"
    )
