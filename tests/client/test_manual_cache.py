"""What an endpoint announced in an earlier run is offered at once."""

from __future__ import annotations

import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.client.test_discovery import announces, manual
from tests.peer import PATIENCE, Peer, entry, peer, silent
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.client.manual_cache import MAX_MANUALS, ManualCache
from utcp_ws_mcp.client.pin_store import PinStore
from utcp_ws_mcp.server.tools import ListOptions, ToolService

TOOL: dict[str, Any] = {"name": "a", "description": "Adds."}


@asynccontextmanager
async def started(folder: Path, document: Any) -> AsyncIterator[Bridge]:
    """A bridge of a new process, as `serve` makes it."""
    (folder / "m.json").write_text(json.dumps(document))
    pins, cache = PinStore(folder / "pins.json"), ManualCache(folder / "manuals")
    async with Bridge([load_manifest(folder / "m.json", {})], pin_store=pins, manual_cache=cache) as bridge:
        yield bridge


async def first_run(folder: Path, *tools: Any, **template: Any) -> Peer:
    async with peer(announces(manual(*tools))) as seen, started(folder, entry(seen, **template)) as bridge:
        assert await bridge.wait_discovered(PATIENCE)
    return seen


@pytest.mark.parametrize("pin", ["tofu", "off"])
async def test_the_tools_of_an_earlier_run_are_listed_while_the_endpoint_is_silent(tmp_path: Path, pin: str) -> None:
    before = await first_run(tmp_path, TOOL, "b", pin=pin)
    async with peer(silent, port=before.port) as seen, started(tmp_path, entry(seen, pin=pin)) as bridge:
        listing = await ToolService(bridge, listing=ListOptions(timeout=PATIENCE)).list_tools()
        assert [*listing.tools] == ["m_a", "m_b"]


async def test_what_the_endpoint_announces_now_replaces_what_is_remembered(tmp_path: Path) -> None:
    before = await first_run(tmp_path, TOOL, "b", pin="tofu")
    changes: list[set[str]] = []
    changed = announces(manual({**TOOL, "description": "EVIL"}, "c"))
    async with peer(changed, port=before.port) as seen, started(tmp_path, entry(seen, pin="tofu")) as bridge:
        bridge.on_tools_changed.append(lambda: changes.append(set(bridge.tools)))
        assert await bridge.wait_discovered(PATIENCE)
        assert set(bridge.withheld) == {"m.a"}
    assert changes == [{"m.a", "m.b"}, {"m.c"}]


async def test_a_manual_that_is_as_it_was_changes_the_list_once(tmp_path: Path) -> None:
    before = await first_run(tmp_path, TOOL, pin="tofu")
    changes: list[set[str]] = []
    same = announces(manual(TOOL))
    async with peer(same, port=before.port) as seen, started(tmp_path, entry(seen, pin="tofu")) as bridge:
        bridge.on_tools_changed.append(lambda: changes.append(set(bridge.tools)))
        assert await bridge.wait_discovered(PATIENCE)
    assert changes == [{"m.a"}]


@pytest.mark.parametrize("pin", ["strict", "tofu"])
async def test_only_approved_tools_are_offered_from_what_is_remembered(tmp_path: Path, pin: str) -> None:
    before = await first_run(tmp_path, TOOL, pin=pin)
    (tmp_path / "pins.json").unlink(missing_ok=True)
    async with peer(silent, port=before.port) as seen, started(tmp_path, entry(seen, pin=pin)) as bridge:
        await seen.until(lambda: len(seen.received) == 1)
        assert not bridge.tools


async def test_another_url_or_entry_has_nothing_to_remember(tmp_path: Path) -> None:
    before = await first_run(tmp_path, TOOL)
    async with peer(silent, port=before.port) as seen:
        document = {**entry(seen), "url": f"{seen.url}other"}
        async with started(tmp_path, document) as bridge:
            await seen.until(lambda: len(seen.received) == 1)
            assert not bridge.tools


@pytest.mark.parametrize("content", [b"", b"[]", b'{"digest": "x", "manual": "{}"}', b'{"manual": 5}', b"\xff", None])
async def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: bytes | None) -> None:
    before = await first_run(tmp_path, TOOL)
    (file,) = (tmp_path / "manuals").iterdir()
    if content is None:
        file.write_bytes(file.read_bytes().replace(b"Adds", b"EVIL"))
    else:
        file.write_bytes(content)
    async with peer(silent, port=before.port) as seen, started(tmp_path, entry(seen)) as bridge:
        await seen.until(lambda: len(seen.received) == 1)
        assert not bridge.tools


async def test_files_belong_to_their_owner_are_bounded_and_hold_no_secret(tmp_path: Path) -> None:
    folder = tmp_path / "manuals"
    folder.mkdir()
    for number in range(MAX_MANUALS + 5):
        (folder / f"{number}.json").write_text("{}")
    await first_run(tmp_path, TOOL)
    files = list(folder.iterdir())
    assert len(files) == MAX_MANUALS
    newest = max(files, key=lambda file: file.stat().st_mtime_ns)
    assert stat.S_IMODE(newest.stat().st_mode) == 0o600
    for file in files:
        file.unlink()
    secret = {"api_key": "${KEY}", "auth_type": "api_key", "var_name": "X-Key"}
    document = {"auth": secret, "variables": {"KEY": "s3cret-value-1"}}
    async with peer(announces(manual({**TOOL, "description": "Use s3cret-value-1."}))) as seen:
        async with started(tmp_path, {**entry(seen), **document}) as bridge:
            assert await bridge.wait_discovered(PATIENCE)
    assert not list(folder.iterdir())
