"""Every entry that was not run against the real program plays its documented conversation, each tool and each feed.

A file of `conversations/` has the variables of the entry, the steps at the start of a connection (`login`), HTTP
exchanges (`http`), messages that may come at any time (`ignored`) and those that come at the end (`closing`), and the
calls: the arguments, the steps, and the result. In a step, `$name` stands for a value that the client chose, such as
the ID of the request.
"""

from __future__ import annotations

import base64
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp import Bridge
from utcp_ws_mcp.client.catalog import CatalogEntry, read_catalog
from utcp_ws_mcp.core.exchange.result import StreamResult

from .stage import redirected, staged, tool_names

FOLDER = Path(__file__).parent / "conversations"
CONVERSATIONS = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.json"))}
ENTRIES = {entry.name: entry for entry in read_catalog()}
WRITTEN = [entry for entry in ENTRIES.values() if entry.info.run_against is None]


@pytest.mark.parametrize("entry", WRITTEN, ids=lambda entry: entry.name)
def test_an_entry_that_was_not_run_has_a_conversation_with_each_tool_and_each_feed(entry: CatalogEntry) -> None:
    called = {call["tool"] for call in CONVERSATIONS[entry.name]["calls"]}
    assert called == set(tool_names(json.loads(entry.file.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("name", CONVERSATIONS)
async def test_the_tools_of_an_entry_follow_the_documented_conversation(name: str, tmp_path: Path) -> None:
    conversation = CONVERSATIONS[name]
    async with staged(conversation) as (stage, address, http_address):
        file = tmp_path / "manifest.json"
        text = ENTRIES[name].file.read_text(encoding="utf-8")
        file.write_text(redirected(text, address, http_address), encoding="utf-8")
        async with Bridge.open(file, environ=conversation.get("variables", {})) as bridge:
            for call in conversation["calls"]:
                stage.values = {"$ws": stage.values["$ws"]}
                result = await stage.call(call["steps"], partial(_call, bridge, call))
                assert (stage.surprises, call["tool"]) == ([], call["tool"])
                assert result == call["result"], call["tool"]
        await stage.finish()
    assert stage.surprises == []
    assert stage.closing == []
    assert set(stage.requests) == set(conversation.get("http", {}))


async def _call(bridge: Bridge, call: dict[str, Any]) -> Any:
    """Return the result of a tool, or the data of the first event of a feed."""
    arguments = call.get("arguments", {})
    if call["tool"] in bridge.tools:
        return _plain(await bridge.call_tool(call["tool"], arguments))
    read = await bridge.call_tool(f"{call['tool']}_events", {**arguments, "wait_seconds": 9})
    return _plain(read)["events"][0]["data"]


def _plain(value: Any) -> Any:
    """Return a result as JSON: binary data in base64."""
    if isinstance(value, StreamResult):
        return _plain(value.value)
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
