"""A bridge whose manifest has stand-ins for the values of callers: it knows the tools, and sends nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.peer import Peer, echo, entry, peer
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.client.manifest_files import LoadedManifest, load_manifest
from utcp_ws_mcp.errors import CallerValueMissing, InvalidManifest
from utcp_ws_mcp.manifest.caller_variables import ANY_CALLER

FEED = {"name": "said", "match": "message.said is defined"}


def loaded(folder: Path, *entries: Any) -> LoadedManifest:
    file = folder / "manifest.json"
    file.write_text(json.dumps([*entries]), encoding="utf-8")
    return load_manifest(file, {}, callers=ANY_CALLER)


def needing(seen: Peer, **more: Any) -> dict[str, Any]:
    return entry(seen, "t", headers={"X-Key": "${caller:KEY}"}, **more)


@asynccontextmanager
async def awaiting(folder: Path, **more: Any) -> AsyncIterator[tuple[Bridge, Peer]]:
    async with peer(echo) as seen:
        other = {**entry(seen, "t"), "name": "other"}
        async with Bridge([loaded(folder, needing(seen, **more), other)]) as bridge:
            yield bridge, seen


async def test_its_tools_are_known_and_not_called(tmp_path: Path) -> None:
    async with awaiting(tmp_path) as (bridge, seen):
        assert list(bridge.tools) == ["m.t", "other.t"]
        assert bridge.awaiting_callers == {"m"}
        with pytest.raises(CallerValueMissing):
            await bridge.call_tool("m.t", {})
        with pytest.raises(CallerValueMissing):
            await anext(bridge.call_tool_streaming("m.t", {}))
        await bridge.call_tool("other.t", {})
        assert [upgrade.headers.get("X-Key") for upgrade in seen.upgrades] == [None]


@pytest.mark.parametrize("start", ["start", "first_call", "first_use"])
async def test_its_feeds_are_not_opened(tmp_path: Path, start: str) -> None:
    async with awaiting(tmp_path, feeds=[{**FEED, "start": start}]) as (bridge, seen):
        tool = bridge.tools["m.said_events"]
        with pytest.raises(CallerValueMissing):
            bridge.read_feed_page(tool, {})
        with pytest.raises(CallerValueMissing):
            bridge.watch_feed(tool, {}, lambda: None)
        with pytest.raises(CallerValueMissing):
            await anext(bridge.feed("m.said"))
        bridge.reload(bridge.manifests)
        await bridge.call_tool("other.t", {})
        assert bridge.feed_instances() == []
        assert len(seen.upgrades) == 1


async def test_the_manifest_of_one_caller_has_its_call_template_only(tmp_path: Path) -> None:
    async with peer(echo) as seen:
        manifest = loaded(tmp_path, needing(seen), {**entry(seen, "t"), "name": "other"})
        own = manifest.for_caller("m", {"KEY": "key-of-ada"})
        assert [each.name for each in own.manifest.entries] == list(own.tools) == ["m"]
        async with Bridge([own]) as bridge:
            assert bridge.awaiting_callers == frozenset()
            await bridge.call_tool("m.t", {"a": 1})
        assert [upgrade.headers["X-Key"] for upgrade in seen.upgrades] == ["key-of-ada"]


def test_a_manifest_keeps_its_text_only_if_a_caller_brings_a_value(tmp_path: Path) -> None:
    assert loaded(tmp_path, entry(Peer(1), "t")).parsed is None
    assert loaded(tmp_path, needing(Peer(1))).parsed is not None


def test_the_values_of_a_manifest_are_in_no_repr(tmp_path: Path) -> None:
    own = loaded(tmp_path, needing(Peer(1))).for_caller("m", {"KEY": "key-of-ada"})
    assert "key-of-ada" not in repr(own)


def test_a_value_that_cannot_stand_in_its_place_is_a_problem(tmp_path: Path) -> None:
    manifest = loaded(tmp_path, needing(Peer(1)))
    with pytest.raises(InvalidManifest):
        manifest.for_caller("m", {"KEY": "a\r\nb"})
