"""Drafts from descriptions and recordings."""

from __future__ import annotations

import json

import pytest

from utcp_ws_mcp.errors import ImportFailed, StudioRefused
from utcp_ws_mcp.studio.drafting import draft_from_address, draft_from_text

MESSAGES = [
    {"type": "send", "opcode": 1, "data": '{"id": 1, "op": "get", "token": "abcdefgh12345678"}'},
    {"type": "receive", "opcode": 1, "data": '{"id": 1, "value": 7}'},
]
HAR = {
    "log": {
        "entries": [
            {
                "request": {"url": "wss://api.example.com/ws", "headers": []},
                "_webSocketMessages": MESSAGES,
            }
        ]
    }
}


async def test_a_har_file_becomes_a_manifest_without_its_secrets() -> None:
    drafted = await draft_from_text(json.dumps(HAR), "recorded.har")
    document = json.loads(drafted.text)

    assert document["url"] == "wss://api.example.com/ws"
    assert "abcdefgh12345678" not in drafted.text
    assert drafted.notes
    assert not drafted.is_of_conversation


async def test_what_is_no_description_is_refused() -> None:
    with pytest.raises(ImportFailed):
        await draft_from_text("{}", "the text")
    with pytest.raises(StudioRefused):
        await draft_from_address("api.example.com", {})
