"""Calls that share a connection without ids, and streams whose items come only after the reply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import PATIENCE, Peer, bridge_to, entry, peer
from utcp_ws_mcp import CallTimeout

BY_KEY = {
    "message": {"get": "{{ args.key }}"},
    "reply": {"match": "message.key == args.key", "concurrent": True, "result": "message.value"},
    "response_format": "json",
}


async def test_calls_whose_replies_match_distinguishes_share_a_connection(tmp_path: Path) -> None:
    held: list[Any] = []

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        held.append(message["get"])
        if len(held) == 3:
            for key in reversed(held):
                await connection.send(json.dumps({"key": key, "value": key * 2}))

    results: dict[str, Any] = {}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "get", **BY_KEY)) as bridge:

        async def get(key: str) -> None:
            results[key] = await bridge.call_tool("m.get", {"key": key})

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as calls:
                for key in "abc":
                    calls.start_soon(get, key)
        assert results == {"a": "aa", "b": "bb", "c": "cc"}
        assert len(seen.upgrades) == 1


async def test_a_reply_that_comes_late_is_not_given_to_the_next_call(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if len(seen.received) > 1:
            for old in seen.open:
                await old.send(json.dumps({"key": "a", "value": "old" if old is not connection else "new"}))

    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "get", **BY_KEY)) as bridge:
        with pytest.raises(CallTimeout):
            await bridge.call_tool("m.get", {"key": "a"}, timeout=0.5)
        assert await bridge.call_tool("m.get", {"key": "a"}) == "new"


@pytest.mark.parametrize(("after_reply", "items"), [(False, ["stored", "live"]), (True, ["live"])])
async def test_items_before_the_reply_can_be_left_out(tmp_path: Path, after_reply: bool, items: list[str]) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        for each in ({"event": "stored"}, {"stored": "end"}, {"event": "live"}, {"end": True}):
            await connection.send(json.dumps(each))

    template = {
        "message": {"subscribe": 1},
        "reply": {"match": "message.stored == 'end'"},
        "stream": {
            "match": "message.event is defined or message.end",
            "until": "message.end",
            "item": "message.event",
            "after_reply": after_reply,
        },
    }
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "watch", **template)) as bridge:
        assert list((await bridge.call_tool("m.watch")).items) == items
