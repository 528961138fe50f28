"""What an agent reads before it writes a manifest."""

from __future__ import annotations

import json

import pytest

from utcp_ws_mcp.authoring import reading as module
from utcp_ws_mcp.authoring.reading import catalog_text, describe_catalog, describe_presets, read_guide_page
from utcp_ws_mcp.client.catalog import find_entry, read_catalog
from utcp_ws_mcp.errors import AuthoringRefused
from utcp_ws_mcp.manifest.presets import preset_names, preset_summary
from utcp_ws_mcp.server.documentation import GUIDE_TOPIC, topics

PAGE = """# Title

Beginning.

## `One` thing

First.

```sh
# no heading
```

### Below

Deeper.

## Two

Second.
"""


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_topic", lambda topic: PAGE if topic in ("page", GUIDE_TOPIC) else None)


SECTIONS = {
    "One thing": "## `One` thing\n\nFirst.\n\n```sh\n# no heading\n```\n\n### Below\n\nDeeper.",
    "## `one` THING ": "## `One` thing\n\nFirst.\n\n```sh\n# no heading\n```\n\n### Below\n\nDeeper.",
    "below": "### Below\n\nDeeper.",
    "two": "## Two\n\nSecond.",
    "Title": PAGE.strip(),
}


@pytest.mark.usefixtures("page")
@pytest.mark.parametrize(("wanted", "section"), SECTIONS.items())
def test_a_section_has_what_is_below_it(wanted: str, section: str) -> None:
    assert read_guide_page("page", wanted) == section


@pytest.mark.usefixtures("page")
def test_what_is_not_there_is_refused_with_what_is() -> None:
    with pytest.raises(AuthoringRefused) as refused:
        read_guide_page("page", "no heading")
    assert refused.value.message == "there is no section 'no heading'. Sections: Title; One thing; Below; Two."
    with pytest.raises(AuthoringRefused) as refused:
        read_guide_page("other", None)
    assert refused.value.message == f"there is no topic 'other'. Topics: {', '.join(topics())}."


@pytest.mark.usefixtures("page")
def test_a_page_is_shown_as_a_whole_up_to_a_length(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.MAX_PAGE == 12_000
    monkeypatch.setattr(module, "MAX_PAGE", len(PAGE))
    assert read_guide_page("page", None) == PAGE
    assert read_guide_page(None, None) == f"{PAGE}\nMore topics: {', '.join(topics()[1:])}."
    monkeypatch.setattr(module, "MAX_PAGE", len(PAGE) - 1)
    sections = "Title; One thing; Below; Two"
    beginning = PAGE[: PAGE.rfind("\n\n", 0, (len(PAGE) - 1) // 3)]
    assert read_guide_page("page", None) == f"{beginning}\n\n(The page is long. Read a section: {sections}.)"
    monkeypatch.setattr(module, "MAX_PAGE", 15)
    assert read_guide_page("page", "Two") == "## Two\n\nSecond."
    monkeypatch.setattr(module, "MAX_PAGE", 14)
    assert read_guide_page("page", "Two") == "## Two\n\nSecond\n(cut)"


def test_each_entry_of_the_catalogue_has_a_line_and_a_description() -> None:
    lines = describe_catalog(None).splitlines()
    entries = list(read_catalog())
    assert lines == [f"{entry.name}: {entry.info.summary}" for entry in entries]
    for entry in entries:
        described = describe_catalog(entry.name).splitlines()
        assert described[0] == f"{entry.name}: {entry.info.summary} ({entry.provenance})"
        assert (f"Setup: {entry.info.setup}" in described) is bool(entry.info.setup)
        assert (f"Limits: {entry.info.limits}" in described) is bool(entry.info.limits)
        for variable, required in entry.variables.items():
            state = "required" if required else "optional"
            assert f"Variable {variable} ({state}): {entry.info.variables.get(variable, '')}" in described
        for template in entry.templates:
            assert ("url" not in template) or f"URL: {template['url']}" in described
            for each in (*template.get("tools", ()), *(f for f in template.get("feeds", ()) if isinstance(f, dict))):
                assert f"{template['name']}.{each['name']}: {each['description']}" in described


def test_the_text_of_an_entry_is_its_manifest_without_what_describes_it() -> None:
    document = json.loads(find_entry("aria2").file.read_text(encoding="utf-8"))
    assert "catalog" in document
    del document["catalog"]
    assert json.loads(catalog_text("aria2")) == document
    for read in (catalog_text, describe_catalog):
        with pytest.raises(AuthoringRefused) as refused:
            read("nowhere")
        assert refused.value.code == "unknown-manifest"


def test_presets_are_listed_and_shown_by_their_example() -> None:
    names = sorted(preset_names())
    assert describe_presets(None).splitlines() == [f"{name}: {preset_summary(name)}" for name in names]
    for name in names:
        assert json.loads(describe_presets(name))
    with pytest.raises(AuthoringRefused) as refused:
        describe_presets("x" * 65)
    assert refused.value.message == f"there is no preset {'x' * 64!r}. Presets: {', '.join(names)}."
