"""The manifests of the catalogue: they load, they are described well, and they agree with .env.example."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from scripts.reference import render_env_example
from utcp_ws_mcp import load_manifest
from utcp_ws_mcp.client.catalog import CatalogEntry, read_catalog
from utcp_ws_mcp.lint import lint_manifest
from utcp_ws_mcp.manifest.inheritance import apply_preset, merge_tool, normalize
from utcp_ws_mcp.manifest.source_map import SourceMap

ROOT = Path(__file__).parent.parent
MANIFESTS = sorted((ROOT / "manifests").glob("*.json"))
ENTRIES = read_catalog()
DUMMIES = {
    name: f"dummy-{name.lower()}"
    for entry in ENTRIES
    for name in entry.variables
    if not name.endswith(("_URL", "_ADDRESS"))
}
DUMMIES |= {name: "wss://dummy.example.com/" for entry in ENTRIES for name in entry.required if name.endswith("_URL")}
PLACEHOLDER = re.compile(r"UTCP_ARG_(.+?)_UTCP_ARG|\bargs\.(\w+)")
FILLED = (
    "url",
    "query",
    "headers",
    "message",
    "then",
    "before_message",
    "reply",
    "stream",
    "on_connect",
    "before_connect",
    "auto_reply",
)
HINTS = {"title", "readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}

JsonObject = dict[str, Any]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def call_templates(path: Path) -> list[JsonObject]:
    document = read(path)
    return document.get("manual_call_templates", [document])


def tools() -> Iterator[Any]:
    for path in MANIFESTS:
        for template in call_templates(path):
            for tool in template.get("tools", []):
                yield pytest.param(template, tool, id=f"{path.stem}:{template['name']}.{tool['name']}")


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


def placeholders(template: JsonObject, tool: JsonObject) -> set[str]:
    """The arguments that a tool's own call template and what it inherits refer to; `args` alone is all of them."""
    form = merge_tool(apply_preset(normalize(template)), tool.get("tool_call_template", {}))
    if not form.get("stream", {}).get("on"):
        form.pop("stream", None)
    texts = list(strings([form.get(key) for key in FILLED]))
    every = tool["inputs"]["properties"] if any(re.search(r"\bargs\b(?!\.)", text) for text in texts) else ()
    return {old or new for text in texts for old, new in PLACEHOLDER.findall(text)}.union(every)


each_manifest = pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
each_tool = pytest.mark.parametrize(("template", "tool"), list(tools()))


def test_the_catalogue_has_at_least_sixty_entries() -> None:
    assert len(MANIFESTS) >= 60
    assert [entry.file for entry in ENTRIES] == MANIFESTS


@each_manifest
def test_an_entry_loads_with_its_required_variables(path: Path) -> None:
    manifest = load_manifest(path, environ=DUMMIES).manifest
    assert [entry.name for entry in manifest.entries] == [template["name"] for template in call_templates(path)]
    assert not manifest.disabled
    assert not manifest.warnings


@each_manifest
def test_an_entry_passes_the_strict_check(path: Path) -> None:
    loaded = load_manifest(path, environ=DUMMIES)
    source = SourceMap(path.read_text(encoding="utf-8"))
    assert [str(problem) for problem in lint_manifest(read(path), loaded)] == []
    assert not source.duplicate_keys


@each_entry
def test_an_entry_without_its_variables_says_which_ones_are_missing(entry: CatalogEntry) -> None:
    missing = {name for each in load_manifest(entry.file, environ={}).manifest.disabled for name in each.missing}
    assert missing == set(entry.required)


@each_entry
def test_an_entry_begins_with_what_the_catalogue_says_of_it(entry: CatalogEntry) -> None:
    assert next(iter(read(entry.file))) == "catalog"
    assert re.fullmatch(r"[A-Z].{29,99}[^.\s]", entry.info.summary)
    assert entry.info.variables.keys() == entry.variables.keys()
    for text in (entry.info.setup, entry.info.limits, *entry.info.variables.values()):
        assert not text or re.fullmatch(r"\S.{9,}\.", text), text


@each_manifest
def test_an_entry_uses_tls_except_for_programs_of_the_user(path: Path) -> None:
    for template in call_templates(path):
        fixed = r"wss://([^/{}]+|\$\{[A-Z]+_HOST\})(/.*)?|\{\{ session\.url \}\}"
        url = r"\$\{[A-Z0-9_]+_URL(:-(ws://127\.0\.0\.1:\d+|wss://[^/}]+)/[^}]*)?\}"
        own = rf"{url}|ws://\$\{{[A-Z0-9_]+_ADDRESS:-127\.0\.0\.1:\d+\}}/.*"
        assert re.fullmatch(f"{fixed}|{own}", template["url"]), template["url"]


def test_the_env_example_is_current() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == render_env_example()


@each_tool
def test_a_tool_is_described(template: JsonObject, tool: JsonObject) -> None:
    assert re.fullmatch(r"[A-Z].{19,}\.", tool["description"])
    for name, schema in tool["inputs"]["properties"].items():
        assert schema.get("description"), name


@each_manifest
def test_a_feed_is_described_with_its_arguments(path: Path) -> None:
    for template in call_templates(path):
        for feed in template.get("feeds", []):
            assert re.fullmatch(r"[A-Z].{10,}\.", feed["description"])
            for name, schema in feed.get("inputs", {}).get("properties", {}).items():
                assert schema.get("description"), name


@each_tool
def test_a_tool_takes_only_the_arguments_that_it_declares(template: JsonObject, tool: JsonObject) -> None:
    inputs = tool["inputs"]
    assert inputs["type"] == "object"
    assert inputs["additionalProperties"] is False
    assert set(inputs.get("required", [])) <= inputs["properties"].keys()
    jsonschema_rs.meta.validate(inputs)


@each_tool
def test_a_tool_declares_to_hosts_whether_it_only_reads(template: JsonObject, tool: JsonObject) -> None:
    annotations = tool["annotations"]
    assert annotations.keys() <= HINTS
    assert annotations["title"]
    assert isinstance(annotations["readOnlyHint"], bool)
    assert annotations["readOnlyHint"] is not isinstance(annotations.get("destructiveHint"), bool)


@each_tool
def test_a_tool_sends_every_argument_that_it_declares_and_no_other(template: JsonObject, tool: JsonObject) -> None:
    sent = placeholders(template, tool)
    if "message" in template or "message" in tool.get("tool_call_template", {}) or "preset" in template:
        assert sent == tool["inputs"]["properties"].keys()
    else:
        assert sent <= tool["inputs"]["properties"].keys()
