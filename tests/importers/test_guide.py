"""The guide shows a description, and the manifest that is made of it."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.docs.examples import ROOT
from utcp_ws_mcp.importers.detection import RECOGNIZERS
from utcp_ws_mcp.importers.model import ImportOptions
from utcp_ws_mcp.importers.run import import_document
from utcp_ws_mcp.manifest.validation import strip_comments

PAGE = (ROOT / "docs" / "guides" / "import-a-description.md").read_text(encoding="utf-8")
BLOCKS = [json.loads(block) for block in re.findall(r"^```json\n(\{.*?^\})\n```", PAGE, re.MULTILINE | re.DOTALL)]


def import_example() -> Any:
    return import_document(BLOCKS[0], ImportOptions(), "asyncapi.yaml")


def test_the_manifest_of_the_guide_is_what_its_description_becomes() -> None:
    assert strip_comments(import_example().manifest) == BLOCKS[1]


def test_the_report_of_the_guide_is_what_is_printed() -> None:
    pattern = r"^\$ utcp-ws-mcp import asyncapi\.yaml warehouse\.json\n(.*?)^warehouse\.json is written"
    shown = re.search(pattern, PAGE, re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert import_example().report == shown[1].splitlines()


def test_every_format_is_on_the_page() -> None:
    named = {"asyncapi", "openrpc", "graphql", "cdp", "obs", "har"}
    assert named == {*RECOGNIZERS}
    assert [name for name in ("AsyncAPI", "OpenRPC", "GraphQL", "DevTools", "obs-", "HAR") if name not in PAGE] == []
