"""Execute the documentation: its manifests load, its calls send what it shows, its commands parse."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from utcp_ws_mcp import InvalidManifest, load_manifest
from utcp_ws_mcp.cli.main import main
from utcp_ws_mcp.core.expressions.bounded import BOUNDED_FILTERS
from utcp_ws_mcp.core.expressions.expression import Expression
from utcp_ws_mcp.core.expressions.filters import FILTERS

from .examples import (
    PAGES,
    ROOT,
    VARIABLES,
    Example,
    Scene,
    read_blocks,
    read_examples,
    write_manifest,
)
from .playback import check_manifest, list_tools, play, steady, trace_call

EXAMPLES = read_examples()
RIGHT = [example for example in EXAMPLES if example.manifest.kind == "manifest"]
SCENES = [(example, scene) for example in RIGHT for scene in example.scenes]


def by_place(value: Any) -> str:
    return value.manifest.place if isinstance(value, Example) else value.call.place


@pytest.mark.parametrize("example", RIGHT, ids=by_place)
def test_every_manifest_of_the_documentation_loads(example: Example, tmp_path: Path) -> None:
    loaded = load_manifest(write_manifest(example.manifest.text, tmp_path), environ=VARIABLES)
    assert loaded.manifest.entries
    assert not loaded.manifest.disabled


@pytest.mark.parametrize("example", [each for each in EXAMPLES if "problems" in each.blocks], ids=by_place)
def test_every_wrong_manifest_is_rejected_with_the_messages_of_the_documentation(
    example: Example, tmp_path: Path
) -> None:
    file = write_manifest(example.manifest.text, tmp_path)
    with pytest.raises(InvalidManifest) as refused:
        load_manifest(file, environ=VARIABLES)
    assert str(refused.value).replace(str(file), "manifest.json") + "\n" == example.blocks["problems"].text


@pytest.mark.parametrize(("example", "scene"), SCENES, ids=by_place)
async def test_every_call_sends_and_gives_what_the_documentation_shows(
    example: Example, scene: Scene, tmp_path: Path
) -> None:
    endpoint, outcome = await play(example, scene, tmp_path)
    before = example.before(scene).sent
    if scene.call.kind == "refused":
        assert (outcome, endpoint.received) == (scene.call.message, before)
        return
    later = [scene.blocks["afterwards"].message] if "afterwards" in scene.blocks else []
    assert endpoint.received == [*before, *scene.sent, *later], outcome
    assert endpoint.beats or "beat" not in example.blocks
    first = -2 if "reconnects" in scene.blocks else -1
    for kind, index in (("upgrade", first), ("reconnects", -1)):
        if kind in scene.blocks:
            upgrade = endpoint.upgrades[index]
            check_request(f"GET {upgrade.path}\n{upgrade.headers}", endpoint.here(scene.blocks[kind].text))
    if "http" in example.blocks:
        check_request(endpoint.requests[0], example.blocks["http"].text)
    shown = scene.blocks.get("result") or scene.blocks.get("error")
    if shown is not None:
        assert outcome == shown.message


def check_request(request: str, shown: str) -> None:
    """Compare the first line, the headers and the body of an HTTP request with those that the page shows."""
    (first, headers, body), (first_shown, headers_shown, body_shown) = parts_of(request), parts_of(shown)
    assert first == first_shown
    assert headers_shown <= headers
    assert body == body_shown


def parts_of(request: str) -> tuple[str, set[str], str]:
    head, _, body = request.replace("\r\n", "\n").strip("\n").partition("\n\n")
    first, *headers = head.splitlines()
    return first, {re.sub(r"^[^:]+", lambda name: name[0].lower(), line) for line in headers}, body


@pytest.mark.parametrize("example", [each for each in RIGHT if "tools" in each.blocks], ids=by_place)
async def test_every_list_of_tools_is_the_one_that_the_documentation_shows(example: Example, tmp_path: Path) -> None:
    assert await list_tools(example, tmp_path) == example.blocks["tools"].text


TRACED = [(example, scene) for example, scene in SCENES if "trace" in scene.blocks]


@pytest.mark.parametrize(("example", "scene"), TRACED, ids=by_place)
async def test_every_trace_is_the_one_that_the_documentation_shows(
    example: Example, scene: Scene, tmp_path: Path
) -> None:
    assert steady(await trace_call(example, scene, tmp_path)) == steady(scene.blocks["trace"].text)


@pytest.mark.parametrize("example", [each for each in EXAMPLES if "check" in each.blocks], ids=by_place)
async def test_every_check_reports_what_the_documentation_shows(example: Example, tmp_path: Path) -> None:
    assert steady(await check_manifest(example, tmp_path)) == steady(example.blocks["check"].text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_of_json_is_json(page: Path) -> None:
    for block in read_blocks(page):
        if block.language == "json":
            json.loads(block.text)


def filter_rows() -> list[tuple[str, str, str]]:
    """Return the rows of the table of filters: the names, an example, its result."""
    page = (ROOT / "docs" / "reference" / "manifest" / "filters.md").read_text(encoding="utf-8")
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in page.splitlines() if line.startswith("| `")]
    return [(names, *(cell.strip().strip("`").replace("\\|", "|") for cell in cells[2:])) for names, *cells in rows]


@pytest.mark.parametrize(("names", "example", "gives"), filter_rows())
def test_every_filter_gives_what_its_example_shows(names: str, example: str, gives: str) -> None:
    assert Expression(example, ()).evaluate({}) == json.loads(gives)


def test_every_filter_is_described() -> None:
    described = "".join(names for names, _, _ in filter_rows())
    own = FILTERS.keys() - BOUNDED_FILTERS.keys()  # those are MiniJinja's, with a bound
    assert {name for name in own if not re.search(rf"`{name}[`(]", described)} == set()


def commands() -> list[str]:
    """Return the command lines of utcp-ws-mcp that pages show, without the name of the program."""
    blocks = [block for page in PAGES for block in read_blocks(page) if block.language == "sh"]
    lines = {line for block in blocks for line in block.text.splitlines()}
    ours = re.compile(r"(?:utcp-ws-mcp|python -m utcp_ws_mcp)\b(.*?)(?:\s+&)?(?:\s+#.*)?$")
    return sorted({found[1] for line in lines if (found := ours.match(line))})


@pytest.mark.parametrize("command", commands())
def test_every_command_line_of_the_documentation_parses(command: str) -> None:
    asked = CliRunner().invoke(main, [*shlex.split(command), "--help"])
    assert asked.exit_code == 0, asked.output


@pytest.mark.parametrize(
    "page", sorted({*PAGES, *ROOT.glob("*.md")}), ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_every_link_within_the_documentation_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text(encoding="utf-8")):
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as the forge creates them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
