"""Drafts from descriptions and recordings."""

from __future__ import annotations

import json

import pytest

from utcp_ws_mcp.errors import ImportFailed, StudioRefused
from utcp_ws_mcp.recorder.messages import Mark
from utcp_ws_mcp.studio.conversation import Conversation, State
from utcp_ws_mcp.studio.drafting import draft_conversation, draft_from_address, draft_from_text

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
    drafted = await draft_from_text(json.dumps(HAR), "recorded.har", Conversation())
    document = json.loads(drafted.text)

    assert document["url"] == "wss://api.example.com/ws"
    assert "abcdefgh12345678" not in drafted.text
    assert drafted.notes


async def test_the_messages_of_a_har_file_are_shown_without_secrets_and_marks_change_the_draft() -> None:
    conversation = Conversation()
    drafted = await draft_from_text(json.dumps(HAR), "recorded.har", conversation)
    await conversation.classify()
    assert drafted.is_of_conversation
    assert [line.role for line in conversation.lines] == ["login", "reply"]
    assert "abcdefgh12345678" not in str(conversation.lines)

    conversation.mark(0, Mark.REQUEST)
    drafted = await draft_conversation(conversation)
    assert not any("utcp-ws-mcp call" in note for note in drafted.notes)
    assert any("the panel Tools" in note for note in drafted.notes)
    (tool,) = json.loads(drafted.text)["tools"]
    assert tool["tool_call_template"]["message"]["token"] == "${TOKEN}"


async def test_a_conversation_that_is_going_on_is_not_replaced_by_a_recording() -> None:
    conversation = Conversation(state=State.OPEN)
    drafted = await draft_from_text(json.dumps(HAR), "recorded.har", conversation)

    assert (drafted.is_of_conversation, list(conversation.lines)) == (False, [])
    assert drafted.notes[-1].startswith("Disconnect")


async def test_what_is_no_description_is_refused() -> None:
    with pytest.raises(ImportFailed):
        await draft_from_text("{}", "the text", Conversation())
    with pytest.raises(StudioRefused):
        await draft_from_address("api.example.com", {})
