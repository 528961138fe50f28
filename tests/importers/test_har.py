"""HAR files: the recorder's draft, without secrets."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from utcp_ws_mcp.errors import ImportFailed

from .sides import entries, imported, problems_of, tools

TOKEN = "eyJhbGciOi-secret-token-1234567890"
COOKIE = "session=abcdef0123456789"


def har(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"log": {"version": "1.2", "entries": [{"request": {"url": "https://a.example.com/page"}}, *entries]}}


def entry(url: str, *messages: tuple[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    listed = [
        {"type": kind, "time": 1.0, "opcode": 1, "data": data if isinstance(data, str) else json.dumps(data)}
        for kind, data in messages
    ]
    named = [{"name": name, "value": value} for name, value in (headers or {}).items()]
    return {"request": {"url": url, "headers": named}, "_webSocketMessages": listed}


TALK = (
    ("send", {"id": 1, "action": "time", "zone": "Oslo"}),
    ("receive", {"id": 1, "result": "10:12"}),
    ("send", {"id": 2, "action": "time", "zone": "Rome"}),
    ("receive", {"id": 2, "result": "10:13"}),
)


def test_a_recorded_conversation_becomes_tools(tmp_path: Any) -> None:
    result = imported(har(entry("wss://a.example.com/live", *TALK)), url=None)
    assert result.manifest["url"] == "wss://a.example.com/live"
    assert tools(result)["time"]["inputs"]["properties"] == {"zone": {"type": "string"}}
    assert result.manifest["reply"]["match"] == "message.id == request_id"
    assert problems_of(result, tmp_path) == []


def test_secrets_become_variables_wherever_they_stand(tmp_path: Any) -> None:
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Cookie": COOKIE,
        "Host": "a.example.com",
        "Sec-WebSocket-Key": "x",
        "Sec-WebSocket-Protocol": "chat.v1",
        "Origin": "https://a.example.com",
    }
    login = (("send", {"action": "login", "token": TOKEN}), ("receive", {"ready": True, "echo": TOKEN}))
    recorded = entry(f"wss://a.example.com/live?access_token={TOKEN}&v=2", *login, *TALK, headers=headers)
    result = imported(har(recorded), url=None)
    text = json.dumps([result.manifest, result.report])
    assert TOKEN not in text
    assert "abcdef0123456789" not in text
    assert {*result.manifest["headers"]} == {"Authorization", "Cookie", "Origin"}
    assert result.manifest["protocol"] == ["chat.v1"]
    assert result.manifest["url"].startswith("wss://a.example.com/live?access_token=${")
    assert result.description.variables
    assert problems_of(result, tmp_path) == []


def test_a_secret_in_a_list_becomes_a_variable_too() -> None:
    asked = {"action": "watch", "as": [{"name": "ada", "password": TOKEN}]}
    talk = [each for number in (1, 2) for each in (("send", {"id": number, **asked}), ("receive", {"id": number}))]
    result = imported(har(entry("wss://a.example.com/live", *talk)), url=None)
    assert TOKEN not in json.dumps([result.manifest, result.report])
    assert [*result.description.variables] == ["PASSWORD"]


def test_a_url_that_is_given_takes_the_place_of_the_recorded_one() -> None:
    result = imported(har(entry("wss://a.example.com/live", *TALK)), url="wss://test.example.com/")
    assert result.manifest["url"] == "wss://test.example.com/"


def test_a_preset_is_recognized() -> None:
    talk = (
        ("send", {"jsonrpc": "2.0", "id": 1, "method": "sum", "params": {"a": 1}}),
        ("receive", {"jsonrpc": "2.0", "id": 1, "result": 1}),
    )
    assert imported(har(entry("wss://a.example.com/", *talk)), url=None).manifest["preset"] == "jsonrpc2"


def test_conversations_with_several_endpoints_are_several_call_templates(tmp_path: Any) -> None:
    document = har(entry("wss://a.example.com/one", *TALK), entry("wss://b.example.com/two", *TALK))
    result = imported(document, url=None)
    assert [each["url"] for each in entries(result.manifest)] == ["wss://a.example.com/one", "wss://b.example.com/two"]
    assert problems_of(result, tmp_path) == []


def test_binary_messages_are_read_and_broken_ones_left_out() -> None:
    recorded = entry("wss://a.example.com/", *TALK)
    recorded["_webSocketMessages"] += [
        {"type": "send", "opcode": 2, "data": base64.b64encode(b"\x01\x02").decode()},
        {"type": "send", "opcode": 2, "data": "no base64!"},
    ]
    assert "unhex" in json.dumps(imported(har(recorded), url=None).manifest)


def test_a_file_without_websocket_messages_says_how_to_record_them() -> None:
    with pytest.raises(ImportFailed, match="developer tools") as failed:
        imported(har(), url=None)
    assert failed.value.code == "nothing-to-import"
