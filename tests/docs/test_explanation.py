"""The explanation pages name modules, tests and commands that exist, and all commands that verify a promise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from verification.fleet.__main__ import COMMANDS as FLEET
from verification.reliability.__main__ import COMMANDS as RELIABILITY
from verification.security.__main__ import COMMANDS as SECURITY

from .examples import ROOT

PACKAGE = ROOT / "src" / "utcp_ws_mcp"
SECURITY_POLICY = ROOT / "SECURITY.md"
PAGES = [*sorted((ROOT / "docs" / "explanation").glob("*.md")), SECURITY_POLICY]
THREATS = SECURITY_POLICY.read_text(encoding="utf-8").partition("## Threats")[2]
SECURITY_METHOD = (ROOT / "verification" / "security" / "README.md").read_text(encoding="utf-8")
FLEET_METHOD = (ROOT / "verification" / "fleet" / "README.md").read_text(encoding="utf-8")
METHOD = (ROOT / "verification" / "reliability" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"`([a-z_]+/(?:[a-z_]+/)*(?:[a-z_]+\.py)?)`", page.read_text(encoding="utf-8")))
    assert {name for name in named if not (PACKAGE / name).exists() and not (ROOT / name).exists()} == set()


def test_every_command_of_make_security_verifies_a_threat_and_is_described() -> None:
    assert set(re.findall(r"`security\.(\w+)`", THREATS)) == set(SECURITY)
    assert {name for name in SECURITY if f"`{name}`" not in SECURITY_METHOD} == set()


def test_each_threat_has_a_rule_a_module_and_a_test() -> None:
    rows = [line.strip("| ").split(" | ") for line in THREATS.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 25
    for threat, rule, where, verified in rows:
        assert threat.endswith("."), threat
        assert rule.endswith("."), threat
        assert "`" in where, threat
        assert re.search(r"`(security|tests/|reliability)[./\w]+", verified), threat


def test_the_commands_of_make_reliability_are_described_where_they_are() -> None:
    assert {name for name in RELIABILITY if f"`{name}`" not in METHOD} == set()


def test_the_commands_of_make_fleet_are_described_where_they_are() -> None:
    assert {name for name in FLEET if f"`{name}`" not in FLEET_METHOD} == set()
