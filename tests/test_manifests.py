"""The example manifests: they load, they are described well, and they agree with .env.example."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from utcp_ws_mcp import load_manifest
from utcp_ws_mcp.manifest.inheritance import apply_preset, merge_tool, normalize, referenced_presets
from utcp_ws_mcp.manifest.variables import find_optional, find_variables

ROOT = Path(__file__).parent.parent
MANIFESTS = sorted((ROOT / "manifests").glob("*.json"))
EXPECTED = {
    "aria2",
    "bayeux",
    "centrifugo",
    "chat",
    "chrome-devtools",
    "cockpit",
    "crossbar-wamp",
    "deepgram",
    "demo",
    "ethereum",
    "graphql",
    "home-assistant",
    "iot",
    "janus",
    "jsonrpc",
    "jupyter-kernel",
    "kraken",
    "mopidy",
    "mqtt",
    "node-inspector",
    "nostr",
    "obs",
    "openai-realtime",
    "secure",
    "signalr",
    "socketcluster",
    "socketio",
    "stocks",
    "stomp-broker",
    "supabase-realtime",
}
VARIABLES = re.findall(r"^#?([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
DUMMIES = {name: f"dummy-{name.lower()}" for name in VARIABLES}
PLACEHOLDER = re.compile(r"UTCP_ARG_(.+?)_UTCP_ARG|\bargs\.(\w+)")
FILLED = ("url", "headers", "message", "reply", "stream", "on_connect", "before_connect", "auto_reply")
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


def written(template: JsonObject) -> list[JsonObject]:
    """A call template and the presets that it takes in."""
    return [{**template, "$comment": ""}, *referenced_presets(template)]


each_manifest = pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
each_tool = pytest.mark.parametrize(("template", "tool"), list(tools()))


def test_every_example_is_there() -> None:
    assert {path.stem for path in MANIFESTS} == EXPECTED


@each_manifest
def test_an_example_loads_with_the_variables_of_the_env_example(path: Path) -> None:
    manifest = load_manifest(path, environ=DUMMIES).manifest
    assert [entry.name for entry in manifest.entries] == [template["name"] for template in call_templates(path)]
    assert not manifest.disabled
    assert not manifest.warnings


@each_manifest
def test_an_example_without_its_variables_says_which_ones_are_missing(path: Path) -> None:
    missing = {name for disabled in load_manifest(path, environ={}).manifest.disabled for name in disabled.missing}
    forms = [form for template in call_templates(path) for form in written(template)]
    assert missing == set(find_variables(forms)) - find_optional(forms)


@each_manifest
def test_the_comment_of_a_call_template_comes_first_and_names_its_variables(path: Path) -> None:
    for template in call_templates(path):
        assert next(iter(template)) == "$comment"
        assert len(template["$comment"]) > 80
        needed = set(find_variables(written(template)))
        assert needed <= set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", template["$comment"]))


@each_manifest
def test_an_example_uses_tls_except_on_this_machine(path: Path) -> None:
    for template in call_templates(path):
        anywhere = r"wss://[^/{}]+(/.*)?|wss://\$\{ETHEREUM_ENDPOINT\}"
        host = re.fullmatch(rf"{anywhere}|ws://127\.0\.0\.1:\d+/.*", template["url"])
        assert host, template["url"]


def test_the_env_example_holds_exactly_the_variables_of_the_examples() -> None:
    templates = [template for path in MANIFESTS for template in call_templates(path)]
    used = {name for template in templates for name in find_variables(written(template))}
    assert sorted(VARIABLES) == sorted(used)


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
