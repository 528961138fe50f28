"""AsyncAPI of a Socket.IO server: messages are events of their names, replies are acknowledgements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp.importers.asyncapi.socketio import is_socketio, server_url

from .sides import feeds, imported, problems_of, tools

ADD = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
PAYLOADS = {
    "add": ADD,
    "sum": {"type": "object", "properties": {"sum": {"type": "integer"}}},
    "say": {"oneOf": [{"type": "integer"}, {"type": "object", "properties": {"x": {"type": "string"}}}]},
    "hush": {"type": "null"},
    "{{ news }}": {"type": "object", "properties": {"n": {"type": "integer"}}},
    "chat message": {"oneOf": [{"type": "object", "properties": {"x": {"const": 1}}}, {"type": "object"}]},
}


def of(*names: str) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/root/messages/{name}"} for name in names]


def document(**server: Any) -> dict[str, Any]:
    channel = {"$ref": "#/channels/root"}
    messages = {name: {"payload": payload} for name, payload in PAYLOADS.items()}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Chat"},
        "servers": {"live": {"host": "chat.example.com", "protocol": "socket.io", **server}},
        "channels": {"root": {"address": "/", "messages": messages}},
        "operations": {
            "add": {"action": "receive", "channel": channel, "messages": of("add"), "reply": {"messages": of("sum")}},
            "say": {"action": "receive", "channel": channel, "messages": of("say", "hush")},
            "out": {"action": "send", "channel": channel, "messages": of("{{ news }}", "chat message")},
        },
    }


def test_events_are_sent_by_their_names_and_replies_are_acknowledgements(tmp_path: Path) -> None:
    result = imported(document(), url=None)
    assert result.manifest["url"] == "wss://chat.example.com/socket.io/?EIO=4&transport=websocket"
    assert result.manifest["preset"] == "socketio4"
    assert {name: each["tool_call_template"] for name, each in tools(result).items()} == {
        "add": {
            "message": {
                "type": "event", "id": "{{ request_id }}", "data": ["add", {"a": "{{ args.a }}", "b": "{{ args.b }}"}]
            }
        },
        "say": {"message": {"type": "event", "data": ["say", "{{ args.payload }}"]}, "reply": "none"},
        "hush": {"message": {"type": "event", "data": ["hush"]}, "reply": "none"},
    }  # fmt: skip
    (feed,) = feeds(result).values()
    assert feed["match"] == "(message.data[0] if message.type == 'event' else none) in ['{{ news }}', 'chat message']"
    assert problems_of(result, tmp_path) == []


def test_the_preset_makes_events_also_where_the_document_has_another_protocol(tmp_path: Path) -> None:
    result = imported(document(protocol="wss"), preset="socketio4")
    assert tools(result)["hush"]["tool_call_template"]["message"] == {"type": "event", "data": ["hush"]}
    assert problems_of(result, tmp_path) == []


def test_another_preset_counts_more_than_the_protocol() -> None:
    assert imported(document(), url=None, preset="jsonrpc2").manifest["preset"] == "jsonrpc2"


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("chat.example.com", "wss://chat.example.com/socket.io/"),
        ("chat.example.com:3000/", "wss://chat.example.com:3000/socket.io/"),
        ("localhost:3000", "ws://localhost:3000/socket.io/"),
        ("192.168.0.7/own/", "ws://192.168.0.7/own/"),
        ("[::1]:80", "ws://[::1]:80/socket.io/"),
        ("chat.local", "ws://chat.local/socket.io/"),
        ("${CHAT_HOST}:3000", "wss://${CHAT_HOST}:3000/socket.io/"),
        ("socket.io://localhost/x", "ws://localhost/x/"),
        ("chat.example.com/socket.io", "wss://chat.example.com/socket.io/"),
        ("chat.example.com?EIO=3&transport=polling", "wss://chat.example.com/socket.io/"),
    ],
)
def test_a_server_has_the_usual_path_and_tls_unless_it_is_near(address: str, url: str) -> None:
    assert server_url(address) == f"{url}?EIO=4&transport=websocket"


@pytest.mark.parametrize(
    ("scheme", "used"), [("http", "ws"), ("ws", "ws"), ("https", "wss"), ("wss", "wss"), ("HTTP", "ws")]
)
@pytest.mark.parametrize("host", ["chat.example.com", "localhost:3000"])
def test_the_scheme_of_an_address_says_whether_it_has_tls(scheme: str, used: str, host: str) -> None:
    assert server_url(f"{scheme}://{host}") == f"{used}://{host}/socket.io/?EIO=4&transport=websocket"


def test_the_query_of_an_address_is_kept() -> None:
    url = "wss://chat.example.com/socket.io/?token=${TOKEN}&EIO=4&transport=websocket"
    assert server_url("chat.example.com/?token=${TOKEN}") == url


def test_a_default_of_the_host_says_whether_it_is_near() -> None:
    result = imported(document(host="{host}:3000", variables={"host": {"default": "localhost"}}), url=None)
    assert result.manifest["url"] == "ws://localhost:3000/socket.io/?EIO=4&transport=websocket"


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [("socket.io", True), ("socketio", True), ("socket-io", True), ("ws", False), ("socket.iox", False), ("", False)],
)
def test_socketio_is_recognized_by_the_protocol_of_the_server(protocol: str, expected: bool) -> None:
    assert is_socketio(protocol) is expected
