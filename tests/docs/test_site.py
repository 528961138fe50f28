"""Check the length of the pages, the navigation of the site and the guide for agents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from utcp_ws_mcp.cli.main import main

from .examples import PAGES, ROOT, VARIABLES, Example, read_examples, write_manifest

DOCS = ROOT / "docs"
GUIDE = DOCS / "manifest-for-agents.md"
GUIDE_EXAMPLES = read_examples([GUIDE])

README_WORDS = 450
GUIDE_WORDS = 1500
PAGE_WORDS = 3000
"""Words at most, counted as `wc -w` does. Pages of the reference may be longer."""

LONG_FORM = [page for page in PAGES if not page.is_relative_to(DOCS / "reference")]


def count_words(page: Path) -> int:
    return len(page.read_text(encoding="utf-8").split())


def test_the_readme_is_short() -> None:
    assert count_words(ROOT / "README.md") <= README_WORDS


@pytest.mark.parametrize("page", LONG_FORM, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_page_outside_the_reference_is_long(page: Path) -> None:
    assert count_words(page) <= PAGE_WORDS


def test_the_guide_for_agents_is_short_and_has_five_manifests() -> None:
    assert count_words(GUIDE) <= GUIDE_WORDS
    assert [example.manifest.kind for example in GUIDE_EXAMPLES] == ["manifest"] * 5
    assert all(example.scenes for example in GUIDE_EXAMPLES)


@pytest.mark.parametrize("example", GUIDE_EXAMPLES, ids=lambda example: example.manifest.place)
def test_check_reports_nothing_about_the_manifests_of_the_guide_for_agents(example: Example, tmp_path: Path) -> None:
    manifest = write_manifest(example.manifest.text, tmp_path)
    checked = CliRunner(env=VARIABLES).invoke(main, ["check", "--strict", str(manifest)])
    assert (checked.exit_code, "warning" in checked.output) == (0, False), checked.output


def test_the_links_of_llms_txt_lead_to_pages() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", (DOCS / "llms.txt").read_text(encoding="utf-8"))
    assert targets[0] == GUIDE.name
    assert [target for target in targets if not (DOCS / target).is_file()] == []


def test_every_pattern_of_an_api_links_to_its_description() -> None:
    tables = (DOCS / "guides" / "index.md").read_text(encoding="utf-8").partition("\n## ")[2]
    rows = [row for row in tables.splitlines() if row.startswith("| ") and not row.startswith(("| ---", "| the API's"))]
    assert len(rows) > 60
    assert [row for row in rows if "](" not in row] == []


def test_the_navigation_of_the_site_names_every_page_once() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    pages = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))
    assert sorted(re.findall(r"(\S+\.md)$", navigation, re.MULTILINE)) == pages
