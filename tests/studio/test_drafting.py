"""Drafts from descriptions and recordings."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.errors import ImportFailed, StudioRefused
from utcp_ws_mcp.recorder.messages import Mark, RecordedMessage
from utcp_ws_mcp.studio import drafting as module
from utcp_ws_mcp.studio.conversation import Conversation, State
from utcp_ws_mcp.studio.drafting import draft_conversation, draft_from_address, draft_from_text

from ..authoring.test_import_sources import web_server

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


OPENRPC = {
    "openrpc": "1.2.6",
    "info": {"title": "Calc s3cret-token-12345", "version": "1"},
    "servers": [{"url": "wss://a.example/"}],
    "methods": [{"name": "add", "params": [], "result": {"name": "sum", "schema": {}}}],
}


async def test_a_description_at_a_url_is_imported_without_the_secrets_that_asking_for_it_needs() -> None:
    body = json.dumps(OPENRPC).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    async with web_server(lambda _: answer) as (port, heads):
        url = f"  http://127.0.0.1:{port}/api.json?token=${{TOKEN}} "
        drafted = await draft_from_address(url, {"TOKEN": "s3cret-token-12345"})
    assert b"token=s3cret-token-12345" in heads[0]
    assert json.loads(drafted.text)["url"] == "wss://a.example/"
    assert drafted.text.endswith("}\n")
    assert "s3cret" not in f"{drafted.source}{drafted.text}{drafted.notes}"
    assert (drafted.is_of_conversation, "$comment" in json.loads(drafted.text)) == (False, False)


async def test_the_first_line_of_a_report_is_the_source_and_the_others_are_notes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def import_within(*_: object) -> SimpleNamespace:
        return SimpleNamespace(manifest={"name": "m"}, report=["from x", "note 1", "note 2"])

    monkeypatch.setattr(module, "import_within", import_within)
    drafted = await draft_from_text(json.dumps(OPENRPC), "the text", Conversation())
    assert (drafted.source, drafted.notes) == ("from x", ("note 1", "note 2"))
    assert json.loads(drafted.text) == {"name": "m"}


@pytest.mark.parametrize(("count", "words"), [(1, "1 message"), (2, "2 messages"), (1_000, "1,000 messages")])
async def test_a_draft_says_from_how_many_messages_it_was_made(count: int, words: str) -> None:
    conversation = Conversation()
    messages = [RecordedMessage(sent=False, value={"type": "tick"})] * count
    conversation.load({"url": "wss://a.example/"}, parse_url("wss://a.example/"), messages, [])
    drafted = await draft_conversation(conversation)
    assert (drafted.source, drafted.is_of_conversation) == (words, True)
    assert not any("later ones are left out" in note for note in drafted.notes)
    conversation.recording.full.set()
    drafted = await draft_conversation(conversation)
    assert drafted.notes[-1] == f"Made from the first {count:,} messages; later ones are left out."
    conversation.endpoint = {}
    with pytest.raises(StudioRefused, match="there is no conversation yet"):
        await draft_conversation(conversation)
