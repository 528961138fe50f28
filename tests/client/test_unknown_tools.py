"""What a call of a name learns that no tool has, and what a reload changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp.client.manifest_files import LoadedManifest, load_text
from utcp_ws_mcp.client.pin_store import PinStore
from utcp_ws_mcp.client.tool_repository import ToolRepository
from utcp_ws_mcp.errors import ApprovalRefused, ConnectError, InvalidManifest, UnknownTool
from utcp_ws_mcp.manifest.sanitize import ascii_tool_name

FAILED = ConnectError("ws://h/", "refused.", code="connection-refused")


def loaded(*documents: dict[str, Any], source: str = "m.json") -> LoadedManifest:
    listed = [{"url": "ws://127.0.0.1:9/", **document} for document in documents]
    return load_text(json.dumps(listed), Path(source), {})


def repository(folder: Path, *manifests: LoadedManifest) -> ToolRepository:
    return ToolRepository(manifests, PinStore(folder / "pins.json"), [].append)


def tools(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"name": name, **more} for name in names]


HOUSE = {"name": "house", "tools": tools("turn_on", "turn_off")}


@pytest.mark.parametrize(
    ("name", "server_name", "nearest"),
    [
        ("house.turn_onn", None, "house.turn_on"),
        ("turn_of", None, "house.turn_off"),
        ("house_turn_onn", None, "house.turn_on"),
        ("house.turn_onn", "mine", "house_turn_on"),
        ("turn_onn", "mine", "house_turn_on"),
        ("zzzzzzzz", None, None),
    ],
)
def test_the_nearest_name_is_written_as_its_caller_writes_names(
    tmp_path: Path, name: str, server_name: str | None, nearest: str | None
) -> None:
    error = repository(tmp_path, loaded(HOUSE)).unknown_tool(name, {}, server_name)
    assert isinstance(error, UnknownTool)
    assert (f"Did you mean {nearest!r}?" in str(error)) is (nearest is not None)
    assert not error.reason


def test_a_tool_of_a_call_template_without_its_variables_says_which_are_missing(tmp_path: Path) -> None:
    away = {"name": "away", "url": "wss://${HOST}/", "tools": tools("t")}
    known = repository(tmp_path, loaded(HOUSE, away))
    assert [entry.name for entry in known.entries] == ["house"]
    assert [entry.name for entry in known.disabled_entries] == ["away"]
    for name in ("away.t", "away_t"):
        assert "HOST" in str(known.unknown_tool(name, {}))
    assert "HOST" not in str(known.unknown_tool("house.x", {}))


async def test_a_withheld_tool_says_why(tmp_path: Path) -> None:
    known = repository(tmp_path, loaded({"name": "über", "pin": "strict"}))
    (entry,) = known.entries
    await known.save_manual(entry, {"tools": tools("a")})
    reason = known.withheld["über.a"].reason
    for name in ("über.a", ascii_tool_name("über.a")):
        error = known.unknown_tool(name, {})
        assert f"it is withheld: {reason}" in str(error)
    assert "withheld" not in str(known.unknown_tool("über.b", {}))


@pytest.mark.parametrize(("name", "is_named"), [("house.x", True), ("house_x", True), ("other.x", False)])
def test_a_manual_that_could_not_be_fetched_says_why(tmp_path: Path, name: str, is_named: bool) -> None:
    error = repository(tmp_path, loaded(HOUSE)).unknown_tool(name, {"house": FAILED})
    assert ("the tools of 'house' are not known: " in str(error)) is is_named
    assert not is_named or "refused" in str(error)


def test_a_tool_is_found_by_its_name_and_by_that_of_hosts(tmp_path: Path) -> None:
    known = repository(tmp_path, loaded(HOUSE))
    tool = known.tools["house.turn_on"]
    assert known.find("house.turn_on") is known.find("house_turn_on") is tool
    assert known.find("turn_on") is known.find("") is None


# Reloads


async def test_a_reload_keeps_the_discovered_tools_of_what_did_not_change(tmp_path: Path) -> None:
    same, other = {"name": "same"}, {"name": "other"}
    known = repository(tmp_path, loaded(same, other))
    for entry in known.entries:
        await known.save_manual(entry, {"tools": tools("t")})
    assert [*known.tools] == ["same.t", "other.t"]

    assert known.replace_manifests([loaded(same, {**other, "timeout": 7}, HOUSE)]) == {"same"}
    assert [*known.tools] == ["same.t", "house.turn_on", "house.turn_off"]
    assert known.replace_manifests([loaded(HOUSE)]) == {"house"}
    assert [*known.tools] == ["house.turn_on", "house.turn_off"]


async def test_a_reload_with_a_name_twice_changes_nothing(tmp_path: Path) -> None:
    known = repository(tmp_path, loaded(HOUSE))
    with pytest.raises(InvalidManifest, match="already the name of a call template"):
        known.replace_manifests([loaded(HOUSE), loaded(HOUSE, source="n.json")])
    assert [*known.tools] == ["house.turn_on", "house.turn_off"]
    with pytest.raises(InvalidManifest):
        repository(tmp_path, loaded(HOUSE), loaded(HOUSE, source="n.json"))


async def test_a_reload_forgets_what_was_withheld_of_a_changed_call_template(tmp_path: Path) -> None:
    strict = {"name": "s", "pin": "strict"}
    known = repository(tmp_path, loaded(strict))
    await known.save_manual(known.entries[0], {"tools": tools("a")})
    assert [*known.withheld] == ["s.a"]
    known.replace_manifests([loaded(strict)])
    assert [*known.withheld] == ["s.a"]
    known.replace_manifests([loaded({**strict, "timeout": 7})])
    assert [*known.withheld] == []


# Manuals


async def test_a_tool_that_the_manifest_lists_wins_over_one_that_the_endpoint_announces(tmp_path: Path) -> None:
    known = repository(tmp_path, loaded({"name": "m", "discovery": {}, "tools": tools("a", description="mine")}))
    saved = await known.save_manual(known.entries[0], {"tools": tools("a", "b", description="theirs")})
    assert {name: tool.description for name, tool in known.tools.items()} == {"m.a": "mine", "m.b": "theirs"}
    assert (saved.count, saved.changed) == (2, True)


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({}, False),
        ({"description": "other"}, True),
        ({"tags": ["x"]}, True),
        ({"inputs": {"type": "object", "properties": {"n": {}}}}, True),
    ],
    ids=str,
)
async def test_a_manual_changes_the_tools_if_what_hosts_see_of_them_differs(
    tmp_path: Path, change: dict[str, Any], changed: bool
) -> None:
    known = repository(tmp_path, loaded({"name": "m"}))
    (entry,) = known.entries
    await known.save_manual(entry, {"tools": tools("a", description="d")})
    again = await known.save_manual(
        entry, {"manual_version": "2", "tools": tools("a", **{"description": "d", **change})}
    )
    assert again.changed is changed


async def test_remembered_tools_are_offered_until_the_endpoint_announces_its_own(tmp_path: Path) -> None:
    known = repository(tmp_path, loaded({"name": "m", "pin": "off"}))
    (entry,) = known.entries
    assert await known.offer_remembered(entry, {"tools": tools("old")}) is True
    assert [*known.tools] == ["m.old"]
    await known.save_manual(entry, {"tools": tools("new")})
    assert await known.offer_remembered(entry, {"tools": tools("old")}) is False
    assert [*known.tools] == ["m.new"]


async def test_remembered_tools_of_an_entry_that_is_gone_are_not_offered(tmp_path: Path) -> None:
    known = repository(tmp_path, loaded({"name": "m", "pin": "off"}))
    (entry,) = known.entries
    known.replace_manifests([loaded(HOUSE)])
    assert await known.offer_remembered(entry, {"tools": tools("old")}) is False
    assert [*known.tools] == ["house.turn_on", "house.turn_off"]


async def test_an_approval_needs_a_withheld_tool_of_a_call_template(tmp_path: Path) -> None:
    known = repository(tmp_path, loaded({"name": "m", "pin": "strict"}))
    await known.save_manual(known.entries[0], {"tools": tools("a")})
    digest = known.withheld["m.a"].digest
    for name, text in (("other.a", "no call template of the manifest has this name"), ("m.b", "it is not withheld")):
        with pytest.raises(ApprovalRefused, match=text):
            await known.approve(name, digest)
    for wrong in (digest[:31], "0" * 64, ""):
        with pytest.raises(ApprovalRefused, match=f"its definition has the digest {digest[:32]} now"):
            await known.approve("m.a", wrong)
    await known.approve("m.a", digest[:32])
    await known.save_manual(known.entries[0], {"tools": tools("a")})
    assert [*known.tools] == ["m.a"]


def test_call_templates_that_need_values_of_a_caller_are_known(tmp_path: Path) -> None:
    known = repository(tmp_path, loaded(HOUSE))
    assert known.awaiting_callers == frozenset()
    assert known.withheld == {}
    assert [entry.name for entry in known.entries] == ["house"]
