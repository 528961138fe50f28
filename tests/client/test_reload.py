"""Other manifests for a running bridge: what changed is new, what did not stays, what runs finishes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.client.turns import Turns
from tests.peer import PATIENCE, Peer, bridge_to, entry, jsonrpc, peer, silent
from utcp_ws_mcp import InvalidManifest, load_manifest
from utcp_ws_mcp.client.manifest_files import LoadedManifest

from .test_discovery import announces, manual

RPC = {"preset": "jsonrpc2"}


def loaded(folder: Path, document: Any, **environ: str) -> LoadedManifest:
    file = folder / "manifest.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return load_manifest(file, environ=environ)


async def test_changed_tools_are_there_at_once_and_callbacks_are_called(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "old", **RPC)) as bridge:
        changes: list[list[str]] = []
        bridge.on_tools_changed.append(lambda: changes.append(list(bridge.tools)))
        bridge.reload([loaded(tmp_path, entry(seen, "new", "more", **RPC))])
        assert changes == [["m.new", "m.more"]]
        assert await bridge.call_tool("m.new", {"n": 1}) == {"n": 1}


async def test_a_running_call_finishes_on_its_old_connection_which_is_closed_then(tmp_path: Path) -> None:
    release = anyio.Event()

    async def held(seen: Peer, connection: Any, message: Any) -> None:
        if message["method"] == "slow":
            await release.wait()
        await jsonrpc(seen, connection, message)

    results: list[Any] = []
    async with peer(held) as seen, bridge_to(tmp_path, entry(seen, "slow", **RPC)) as bridge:
        async with anyio.create_task_group() as calls:

            async def call() -> None:
                results.append(await bridge.call_tool("m.slow", {"n": 1}))

            calls.start_soon(call)
            await seen.until(lambda: len(seen.received) == 1)
            bridge.reload([loaded(tmp_path, entry(seen, "quick", **RPC, timeout=9))])
            assert await bridge.call_tool("m.quick", {"n": 2}) == {"n": 2}
            assert (len(seen.upgrades), seen.closed) == (2, [])
            release.set()
        assert results == [{"n": 1}]
        await seen.until(lambda: len(seen.closed) == 1)
        assert len(seen.open) == 1


async def test_calls_that_wait_for_an_old_connection_are_served(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await release.wait()
        await connection.send(str(message))

    release = anyio.Event()
    results: list[Any] = []
    async with peer(answer) as seen:
        one_at_a_time = entry(seen, "t", message="UTCP_ARG_n_UTCP_ARG", limits={"max_connections": 1})
        async with bridge_to(tmp_path, one_at_a_time) as bridge, anyio.create_task_group() as calls:

            async def call(number: int) -> None:
                results.append(await bridge.call_tool("m.t", {"n": f"call {number}"}))

            calls.start_soon(call, 1)
            await seen.until(lambda: len(seen.received) == 1)
            calls.start_soon(call, 2)
            await anyio.wait_all_tasks_blocked()
            bridge.reload([loaded(tmp_path, {**one_at_a_time, "timeout": 9})])
            release.set()
    assert sorted(results) == ["call 1", "call 2"]


async def test_a_request_that_is_sent_again_goes_where_it_went_before_and_leaves_nothing_open_there(
    tmp_path: Path,
) -> None:
    async def lose_the_first(seen: Peer, connection: Any, message: Any) -> None:
        if len(seen.received) == 1:
            bridge.reload([loaded(tmp_path, entry(new, again, **RPC))])
            connection.transport.abort()
        else:
            await jsonrpc(seen, connection, message)

    again = {"name": "t", "idempotent": True}
    async with peer(lose_the_first) as old, peer(jsonrpc) as new:
        async with bridge_to(tmp_path, entry(old, again, **RPC)) as bridge:
            assert await bridge.call_tool("m.t", {"n": 1}) == {"n": 1}
            await old.until(lambda: not old.open)
            assert (len(old.received), len(new.received)) == (2, 0)
            assert await bridge.call_tool("m.t", {"n": 2}) == {"n": 2}
            assert (len(old.received), len(new.received)) == (2, 1)


async def test_the_rate_that_an_endpoint_allows_holds_across_a_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # found by seed 883163178421 of reliability.simulation
    turns = Turns(monkeypatch)
    limits = {"limits": {"requests_per_second": 5}}
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC, **limits)) as bridge:
        await bridge.call_tool("m.t")
        bridge.reload([loaded(tmp_path, entry(seen, "t", **RPC, **limits, timeout=9))])
        await bridge.call_tool("m.t")
    assert turns.starts == pytest.approx([0, 0.2])


async def test_a_call_template_that_did_not_change_keeps_its_connection_and_what_was_discovered(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if message.get("type") == "utcp":
            await connection.send(json.dumps({"tools": [{"name": "found"}]}))
        else:
            await jsonrpc(seen, connection, message)

    async with peer(answer) as seen, bridge_to(tmp_path, [entry(seen, **RPC)]) as bridge:
        await bridge.wait_discovered(PATIENCE)
        other = {**entry(seen, "t", **RPC), "name": "other"}
        bridge.reload([loaded(tmp_path, [other, entry(seen, **RPC)])])
        assert list(bridge.tools) == ["other.t", "m.found"]
        assert await bridge.call_tool("m.found", {"n": 1}) == {"n": 1}
        assert len(seen.upgrades) == 1


async def test_a_new_call_template_is_asked_for_its_tools_and_one_that_is_gone_is_not(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"tools": [{"name": "found"}]}))

    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        bridge.reload([loaded(tmp_path, entry(seen))])
        await bridge.wait_discovered(PATIENCE)
        assert list(bridge.tools) == ["m.found"]
        bridge.reload([loaded(tmp_path, entry(seen, "t", **RPC))])
        assert (list(bridge.tools), bridge.discovery_errors) == (["m.t"], {})
        await seen.until(lambda: len(seen.closed) == 1)


async def test_a_discovery_under_way_ends_with_its_call_template(tmp_path: Path) -> None:
    async def silent(seen: Peer, connection: Any, message: Any) -> None:
        return None

    async with peer(silent) as seen, bridge_to(tmp_path, entry(seen)) as bridge:
        await seen.until(lambda: len(seen.received) == 1)
        bridge.reload([loaded(tmp_path, entry(seen, "t"))])
        with anyio.fail_after(PATIENCE):
            assert await bridge.wait_discovered(PATIENCE)
            await seen.until(lambda: len(seen.closed) == 1)


async def test_a_variable_that_changed_is_used_by_the_login_of_a_new_connection(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if "token" not in message:
            await jsonrpc(seen, connection, message)

    async with peer(answer) as seen:
        document = entry(seen, "t", **RPC, on_connect=[{"send": {"token": "{{ vars.TOKEN }}"}}])
        async with bridge_to(tmp_path, document, environ={"TOKEN": "first"}) as bridge:
            await bridge.call_tool("m.t")
            bridge.reload([loaded(tmp_path, document, TOKEN="second")])
            await bridge.call_tool("m.t")
    assert [message["token"] for message in seen.received if "token" in message] == ["first", "second"]


async def test_manifests_that_share_a_name_change_nothing(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        twice = loaded(tmp_path, entry(seen, "u", **RPC))
        with pytest.raises(InvalidManifest, match="already the name of a call template"):
            bridge.reload([twice, twice])
        assert list(bridge.tools) == ["m.t"]


async def test_a_call_that_waits_for_a_discovery_goes_on_with_the_new_manifest(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if message.get("type") != "utcp":
            await jsonrpc(seen, connection, message)

    results: list[Any] = []
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, **RPC)) as bridge:
        async with anyio.create_task_group() as calls:

            async def call() -> None:
                results.append(await bridge.call_tool("m.t", {"n": 1}))

            async def wait() -> None:
                results.append(await bridge.wait_discovered(PATIENCE))

            calls.start_soon(call)
            calls.start_soon(wait)
            await seen.until(lambda: len(seen.received) == 1)
            more = [{**entry(seen, "t", **RPC), "name": name} for name in ("a", "m", "z")]
            bridge.reload([loaded(tmp_path, more)])
    assert sorted(results, key=str) == [True, {"n": 1}]


@pytest.mark.parametrize("changed", ["gone", "of another endpoint"])
async def test_what_is_withheld_of_a_call_template_goes_with_it(tmp_path: Path, changed: str) -> None:
    async with peer(announces(manual("a"))) as seen, peer(silent) as other:
        before = [{**entry(seen), "pin": "strict"}, {**entry(other, "t"), "name": "other"}]
        after = before[1:] if changed == "gone" else [{**entry(other), "pin": "strict"}, before[1]]
        async with bridge_to(tmp_path, before) as bridge:
            assert await bridge.wait_discovered(PATIENCE)
            assert list(bridge.withheld_tools) == ["m.a"]
            bridge.reload([loaded(tmp_path, after)])
            assert dict(bridge.withheld_tools) == {}
