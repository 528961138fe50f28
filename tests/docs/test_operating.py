"""The page for operators names every option of `serve`, every metric and every field of an endpoint's state."""

from __future__ import annotations

import re

import pytest

from tests.docs.examples import ROOT
from utcp_ws_mcp.cli.main import main
from utcp_ws_mcp.observability.metrics import INSTRUMENTS, PrometheusRegistry

PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
OPTIONS = [option for parameter in main.commands["serve"].params for option in parameter.opts if option.startswith("-")]
SOURCES = ("server/http/config.py", "observability/opentelemetry.py")


@pytest.mark.parametrize("option", [option for option in OPTIONS if option != "--env-file"])
def test_every_option_is_described(option: str) -> None:
    assert f"`{option}" in PAGE


def test_every_metric_is_described_with_its_labels() -> None:
    shown = re.findall(r"^# TYPE (\S+)", PrometheusRegistry().render(), re.MULTILINE)
    assert re.findall(r"^\| `(utcp_ws_\w+)`", PAGE, re.MULTILINE) == shown
    rows = {row.split("`")[1]: row for row in PAGE.splitlines() if row.startswith("| `utcp_ws_")}
    for name, instrument in zip(shown, INSTRUMENTS, strict=True):
        assert all(f"`{label}`" in rows[name] for label in instrument.labels), name


@pytest.mark.parametrize("source", SOURCES)
def test_every_sentence_that_ends_serve_is_in_the_table(source: str) -> None:
    """Literal parts of the sentences; what stands in braces is a name or a number."""
    code = (ROOT / "src" / "utcp_ws_mcp" / source).read_text(encoding="utf-8")
    raised = re.findall(r"raise ServeOptionsError\(\s*((?:f?\"[^\"]*\"\s*)+)\)", code)
    assert len(raised) == code.count("raise ServeOptionsError(")
    page = PAGE.replace("`", "")
    for literal in raised:
        text = "".join(re.findall(r"\"([^\"]*)\"", literal)).replace("`", "")
        text = text.replace("{TOKEN_VARIABLE}", "UTCP_WS_MCP_TOKEN")
        parts = [part.strip() for part in re.split(r"\{[^}]*\}", text) if len(part.strip()) > 2]
        assert all(part in page for part in parts), text
