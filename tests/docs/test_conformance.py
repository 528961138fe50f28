"""The conformance suite: its verdicts, and the page that lists the scenarios that do not apply."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.docs.examples import ROOT
from utcp_ws_mcp import load_manifest
from utcp_ws_mcp.server.content import media_type
from verification.conformance.__main__ import Checks, evaluate, read_reasons, table
from verification.conformance.endpoint import png, wav

PAGE = (ROOT / "docs" / "project" / "conformance.md").read_text(encoding="utf-8")


def test_the_page_gives_the_reason_for_every_scenario_that_does_not_apply() -> None:
    section = PAGE.partition("\n## What does not apply\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    said = {name: row.split(" | ")[1].removesuffix(" |") for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert said == {name: why for name, (why, _) in read_reasons().items()}


def test_the_page_names_the_version_that_is_pinned() -> None:
    package = json.loads((ROOT / "scripts" / "conformance" / "package.json").read_text(encoding="utf-8"))
    assert f"version {package['dependencies']['@modelcontextprotocol/conformance']}," in PAGE


@pytest.mark.parametrize(
    ("checks", "may_fail", "verdict"),
    [
        ({"a": "SUCCESS", "b": "SUCCESS"}, set(), ("2 passed", True)),
        ({"a": "SUCCESS", "b": "FAILURE"}, set(), ("FAILED: b", False)),
        ({"a": "SUCCESS", "b": "FAILURE"}, {"b"}, ("1 passed, 1 not applicable", True)),
        ({"a": "FAILURE", "b": "FAILURE"}, {"b"}, ("FAILED: a", False)),
        ({"a": "WARNING"}, set(), ("1 warned", True)),
        ({"a": "SKIPPED"}, set(), ("skipped", True)),
    ],
)
def test_a_scenario_fails_with_any_check_that_has_no_reason(checks: Checks, may_fail: set[str], verdict: Any) -> None:
    assert evaluate(checks, may_fail) == verdict


def test_a_reason_that_is_no_longer_needed_is_a_failure_too() -> None:
    ran = {name: dict.fromkeys(checks, "FAILURE") for name, (_, checks) in read_reasons().items()}
    assert all(fine for _, fine in table({"one": ran}))
    passing = {**ran, "prompts-list": {"prompts-list": "SUCCESS"}}
    assert [row for row, fine in table({"one": passing}) if not fine] == [
        "| prompts-list | 1 passed | passes now; remove it from not_applicable.json: prompts-list |"
    ]
    assert [fine for _, fine in table({"one": {}})] == [False] * len(ran)


def test_the_fixtures_are_what_they_say() -> None:
    loaded = load_manifest(
        ROOT / "verification" / "conformance" / "manifest.json", {"CONFORMANCE_ENDPOINT": "ws://127.0.0.1:1/"}
    )
    assert sum(len(plans) for plans in loaded.tools.values()) == 11
    assert [media_type(png()), media_type(wav())] == ["image/png", "audio/wav"]
