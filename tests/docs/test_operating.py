"""The pages for operators describe every option of `serve`, every metric, and every field of an endpoint's state."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.docs.examples import ROOT
from utcp_ws_mcp import load_manifest
from utcp_ws_mcp.bridge import Bridge
from utcp_ws_mcp.cli.main import main
from utcp_ws_mcp.observability.metrics import INSTRUMENTS, PrometheusRegistry
from utcp_ws_mcp.server.resources import ENDPOINTS_URI, EndpointResources

GUIDES = ROOT / "docs" / "guides"
METRICS = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
LOG_EVENTS = (ROOT / "docs" / "reference" / "log-events.md").read_text(encoding="utf-8")
RESOURCES = (ROOT / "docs" / "reference" / "resources.md").read_text(encoding="utf-8")
OPTIONS = [option for parameter in main.commands["serve"].params for option in parameter.opts if option.startswith("-")]

NOT_ABOUT_HTTP = {
    *("--env-file", "--log-level", "--log-format", "--otel", "--meta-tools", "--no-fast-path"),
    *("--json-results", "--max-line-bytes", "--list-timeout", "--server-name"),
}


@pytest.mark.parametrize("option", [option for option in OPTIONS if option not in ("--env-file", "--no-fast-path")])
def test_every_option_of_serve_is_described_in_a_guide(option: str) -> None:
    guides = "".join(page.read_text(encoding="utf-8") for page in GUIDES.glob("*.md"))
    assert f"`{option}" in guides


def test_the_guide_for_http_describes_the_options_of_http() -> None:
    page = (GUIDES / "serve-http.md").read_text(encoding="utf-8")
    assert [option for option in OPTIONS if option not in NOT_ABOUT_HTTP and f"`{option}" not in page] == []


def test_every_metric_is_described_with_its_labels() -> None:
    shown = re.findall(r"^# TYPE (\S+)", PrometheusRegistry().render(), re.MULTILINE)
    assert re.findall(r"^\| `(utcp_ws_\w+)`", METRICS, re.MULTILINE) == shown
    rows = {row.split("`")[1]: row for row in METRICS.splitlines() if row.startswith("| `utcp_ws_")}
    for name, instrument in zip(shown, INSTRUMENTS, strict=True):
        assert all(f"`{label}`" in rows[name] for label in instrument.labels), name


def test_every_environment_variable_of_the_program_is_described() -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    sources = (ROOT / "src" / "utcp_ws_mcp").rglob("*.py")
    named = {name for file in sources for name in re.findall(r"UTCP_WS_MCP_[A-Z_]+", file.read_text(encoding="utf-8"))}
    assert named
    assert {name for name in named if f"`{name}`" not in page} == set()


def test_the_log_line_of_the_reference_has_the_fields_of_its_event() -> None:
    shown = json.loads(re.findall(r"```text\n(\{.*\})\n", LOG_EVENTS)[0])
    row = next(line for line in LOG_EVENTS.splitlines() if line.startswith(f"| `{shown['event']}` |"))
    assert ["time", "level", "message", "event", *re.findall(r"`(\w+)`", row.split(" | ")[2])] == list(shown)


async def test_every_field_of_the_state_of_an_endpoint_is_described(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text('{"name": "clock", "url": "wss://clock.example.com/", "tools": [{"name": "now"}]}')
    async with Bridge([load_manifest(file, environ={})]) as bridge:
        [state] = json.loads(EndpointResources(bridge).read(ENDPOINTS_URI) or "")
    assert fields_of("## The state of an endpoint") == list(state)


async def test_every_field_of_the_state_of_a_feed_is_described(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    feed = {"name": "ticks", "match": "message.tick is defined"}
    file.write_text(json.dumps({"name": "clock", "url": "ws://127.0.0.1:1/", "feeds": [feed]}))
    async with Bridge([load_manifest(file, environ={})]) as bridge:
        resources = EndpointResources(bridge)
        resources.read("utcp-ws://feeds/clock/ticks")
        [state] = json.loads(resources.read("utcp-ws://feeds") or "")
    described = fields_of("## Feeds")
    assert described == list(state["open"][0])
    assert all(f"`{name}`" in RESOURCES for name in state)


def fields_of(heading: str) -> list[str]:
    """The fields in the table below a heading."""
    section = RESOURCES.partition(heading)[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", section, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
