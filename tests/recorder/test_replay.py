"""A draft is right if, against the same server, it gives what the conversation gave."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from websockets.sync.server import ServerConnection

from tests.cli.endpoint import served
from tests.cli.program import run
from utcp_ws_mcp import Bridge, load_manifest
from utcp_ws_mcp.client.manifest_files import LoadedManifest
from utcp_ws_mcp.errors import BridgeError
from utcp_ws_mcp.lint import lint_manifest

Peer = Callable[[Any], Iterator[Any]]
"""Yields what the endpoint sends after a message; None is what it receives first."""


@dataclass(frozen=True)
class Failure:
    """A part of the message of an error."""

    text: str


@dataclass
class Conversation:
    """A peer, what is typed, and the calls of the draft with their results."""

    peer: Peer
    lines: list[Any]
    calls: list[tuple[str, dict[str, Any], Any]]
    options: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    path: str = ""
    subprotocols: list[str] = field(default_factory=list)
    preset: str | None = None


def jsonrpc(message: Any) -> Iterator[Any]:
    if message is None or "id" not in message:
        return
    same = {"jsonrpc": "2.0", "id": message["id"]}
    if message["method"] == "fail":
        yield {**same, "error": {"code": -5, "message": "no", "data": {"why": "because"}}}
    else:
        yield {"jsonrpc": "2.0", "method": "tick", "params": {}}
        yield {**same, "result": message["params"]}


def asking(message: Any) -> Iterator[Any]:
    """Answer a request only after the client has answered a ping."""
    if message is not None and "method" in message:
        yield {"jsonrpc": "2.0", "id": f"p{message['id']}", "method": "ping"}
    elif message is not None:
        yield {"jsonrpc": "2.0", "id": int(message["id"][1:]), "result": 5}


def prompt_login(message: Any) -> Iterator[Any]:
    if message is None:
        yield {"note": "a notification"}
    elif message["cmd"] == "login":
        yield {"note": "another"}
        yield {"id": message["id"], "ok": message["token"] == "hunter2hunter2"}
    else:
        yield {"id": message["id"], "ok": True, "value": message["key"]}


def acknowledging(message: Any) -> Iterator[Any]:
    if message is not None:
        yield {"id": message["id"], "status": "accepted"}
        yield {"id": message["id"], "status": "done", "value": message["n"] * 2}


def mixed(message: Any) -> Iterator[Any]:
    if message is not None:
        yield {"event": "tick"}
        yield {"id": message["id"], "value": 7} if "id" in message else {"type": "pong", "at": 5}


def subscribing(message: Any) -> Iterator[Any]:
    if message is None:
        return
    yield {"id": message["id"], "ok": True}
    if message["cmd"] == "subscribe":
        yield {"channel": "other", "data": 0}
        yield from ({"channel": message["channel"], "data": number} for number in range(12))


def ticking(message: Any) -> Iterator[Any]:
    if message is None:
        yield {"event": "hello"}
    else:
        yield {"id": message["id"], "ok": True}
    yield from ({"event": "tick", "data": number} for number in range(3))


def ending(message: Any) -> Iterator[Any]:
    if message is not None:
        yield from ({"id": message["id"], "type": "item", "n": number} for number in range(2))
        yield {"id": message["id"], "type": "done", "total": 2}


def echoing(key: str) -> Peer:
    def peer(message: Any) -> Iterator[Any]:
        if message is not None:
            yield {"event": "tick"}
            yield {key: message[key], "result": message["q"]}

    return peer


def lines_of_text(message: Any) -> Iterator[Any]:
    if isinstance(message, str) and message.endswith("\r\n"):
        yield "OK " + message[4:].rstrip() + "\r\n"


def counting(message: Any) -> Iterator[Any]:
    if message is not None:
        yield json.dumps(int(json.loads(message)) + 1)


def binary(message: Any) -> Iterator[Any]:
    if isinstance(message, bytes):
        yield bytes([message[0] + 1]) + b"\0"


def graphql(message: Any) -> Iterator[Any]:
    match message and message["type"]:
        case "connection_init":
            yield {"type": "connection_ack"}
        case "subscribe" if "count" in message["payload"]["query"]:
            yield from ({"id": message["id"], "type": "next", "payload": {"data": {"n": n}}} for n in range(3))
            yield {"id": message["id"], "type": "complete"}
        case "subscribe":
            yield {"id": message["id"], "type": "next", "payload": {"data": {"me": "ada"}}}
            yield {"id": message["id"], "type": "complete"}


def phoenix(message: Any) -> Iterator[Any]:
    if message is not None:
        join, ref, topic, event, payload = message
        response = {} if event == "phx_join" else {"got": payload}
        yield [join, ref, topic, "phx_reply", {"status": "ok", "response": response}]


def wamp(message: Any) -> Iterator[Any]:
    match message:
        case [1, "realm7", _]:
            yield [2, 99, {"roles": {}}]
        case [48, number, _, "com.sum", _, kwargs]:
            yield [50, number, {}, [kwargs["a"] + kwargs["b"]]]
        case [48, number, *_]:
            yield [8, 48, number, {}, "com.no", ["nothing there"]]


def socketio(message: Any) -> Iterator[Any]:
    if message is None:
        yield '0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'
    elif message == "40":
        yield '40{"sid":"y"}'
    elif message.startswith("42"):
        number, _, data = message[2:].partition("[")
        yield '42["news",{"n":1}]'
        yield f"43{number}[{json.dumps(json.loads('[' + data)[1])}]"


def stomp(message: Any) -> Iterator[Any]:
    text = message or ""
    if text.startswith("CONNECT"):
        yield "CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\0"
    elif text.startswith("SEND"):
        receipt = next(line for line in text.split("\n") if line.startswith("receipt:"))[8:]
        yield f"RECEIPT\nreceipt-id:{receipt}\n\n\0"


def homeassistant(message: Any) -> Iterator[Any]:
    if message is None:
        yield {"type": "auth_required"}
    elif message["type"] == "auth":
        yield {"type": "auth_ok"}
    elif message["type"] == "subscribe_events":
        yield {"id": message["id"], "type": "result", "success": True, "result": None}
        yield from ({"id": message["id"], "type": "event", "event": {"n": n}} for n in range(12))
    elif message["type"] == "get_config":
        yield {"id": message["id"], "type": "result", "success": True, "result": {"city": "Oslo"}}


def rpc(number: Any, method: str, params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


CONVERSATIONS: dict[str, Conversation] = {
    "JSON-RPC": Conversation(
        jsonrpc,
        [rpc(3, "echo", {"a": 1}), rpc(4, "fail", {}), rpc(5, "list", [1, 2])],
        [
            ("echo", {"a": 8}, {"a": 8}),
            ("fail", {}, Failure('no (-5): {"why":"because"}')),
            ("list", {"params": [3]}, [3]),
        ],
        preset="jsonrpc2",
    ),
    "a ping of JSON-RPC": Conversation(
        asking,
        [rpc(3, "get", {}), {"jsonrpc": "2.0", "id": "p3", "result": {}}],
        [("get", {}, 5), ("get", {}, 5)],
        preset="jsonrpc2",
    ),
    "a login with an ID beside notifications": Conversation(
        prompt_login,
        [{"id": 1, "cmd": "login", "token": "${T_KEY}"}, {"id": 2, "cmd": "get", "key": "a"}],
        [("get", {"key": "b"}, "b"), ("get", {"key": "c"}, "c")],
        environ={"T_KEY": "hunter2hunter2"},
    ),
    "an acknowledgement and a result": Conversation(
        acknowledging,
        [{"id": 1, "cmd": "double", "n": 2}, {"id": 2, "cmd": "double", "n": 3}],
        [("double", {"n": 21}, 42)],
    ),
    "answers with and without IDs": Conversation(
        mixed, [{"id": 1, "cmd": "get"}, {"id": 2, "cmd": "get"}, {"cmd": "ping"}],
        [("get", {}, 7), ("ping", {}, {"type": "pong", "at": 5})],
    ),
    "a subscription": Conversation(
        subscribing,
        [{"id": 1, "cmd": "subscribe", "channel": "news"}, {"id": 2, "cmd": "get"}],
        [("subscribe", {"channel": "sport"}, list(range(10)))],
    ),
    "events without a request": Conversation(
        ticking, [{"id": 1, "op": "get"}], [("tick_events", {"wait_seconds": 5}, [0, 1, 2])]
    ),
    "events, and nothing is sent": Conversation(ticking, [], [("tick_events", {"wait_seconds": 5}, [0, 1, 2])]),
    "notifications of JSON-RPC": Conversation(
        jsonrpc,
        [{"jsonrpc": "2.0", "id": 1, "method": "add", "params": {"a": 1}}],
        [("tick_events", {}, []), ("add", {"a": 2}, {"a": 2}), ("tick_events", {"wait_seconds": 5}, [{}])],
        preset="jsonrpc2",
    ),
    "a stream with a last message": Conversation(
        ending, [{"id": 1, "cmd": "scan"}],
        [("scan", {}, [{"type": "item", "n": 0}, {"type": "item", "n": 1}, {"type": "done", "total": 2}])],
    ),
    **{
        f"IDs called {key}": Conversation(
            echoing(key),
            [{key: "a1b2c3", "op": "x", "q": 1}, {key: "z9b2c4", "op": "x", "q": 2}],
            [("x", {"q": 5}, 5)],
        )
        for key in ("transaction", "txn", "tid", "zork")
    },
    "lines that end with CR LF": Conversation(
        lines_of_text, ["SAY a\\r\\n", "SAY b\\r\\n"], [("say", {"text": "hi"}, "OK hi\r\n")], options=["--escapes"]
    ),
    "numbers": Conversation(counting, ["5", "true"], [("5", {}, "6"), ("true", {}, "2")]),
    "binary messages": Conversation(binary, ["07 ff"], [("send", {}, b"\x08\0")], options=["--hex"]),
    "GraphQL": Conversation(
        graphql,
        [
            {"type": "connection_init"},
            {"id": "1", "type": "subscribe", "payload": {"query": "{ me }"}},
        ],
        [("subscribe", {"query": "{ me }"}, {"me": "ada"})],
        subprotocols=["graphql-transport-ws"],
        preset="graphql-transport-ws",
    ),
    "GraphQL subscriptions": Conversation(
        graphql,
        [{"type": "connection_init"}, {"id": "1", "type": "subscribe", "payload": {"query": "subscription { count }"}}],
        [("subscribe", {"query": "subscription { count }"}, [{"n": 0}, {"n": 1}, {"n": 2}])],
        subprotocols=["graphql-transport-ws"],
        preset="graphql-transport-ws",
    ),
    "Phoenix": Conversation(
        phoenix,
        [["1", "1", "room:1", "phx_join", {}], ["1", "2", "room:1", "shout", {"text": "a"}]],
        [("shout", {"topic": "room:1", "payload": {"text": "b"}}, {"got": {"text": "b"}})],
        path="socket/websocket?vsn=2.0.0",
        preset="phoenix",
    ),
    "WAMP": Conversation(
        wamp,
        [
            [1, "realm7", {"roles": {"caller": {}}}],
            [48, 1, {}, "com.sum", [], {"a": 1, "b": 2}],
            [48, 2, {}, "com.none", [], {}],
        ],
        [("com.sum", {"a": 3, "b": 4}, 7), ("com.none", {}, Failure("nothing there"))],
        subprotocols=["wamp.2.json"],
        preset="wamp",
    ),
    "Socket.IO": Conversation(
        socketio, ["40", '421["add",{"a":1}]', '422["add",{"a":2}]'], [("add", {"a": 5}, {"a": 5})],
        path="socket.io/?EIO=4&transport=websocket", preset="socketio4",
    ),
    "STOMP": Conversation(
        stomp,
        [r"CONNECT\naccept-version:1.2\nhost:/\n\n\0", r"SEND\ndestination:/queue/a\nreceipt:r1\n\nhello\0"],
        [("send", {"destination": "/queue/b", "body": "x"}, {"accepted": True})],
        options=["--escapes"], subprotocols=["v12.stomp"], preset="stomp",
    ),
    "Home Assistant": Conversation(
        homeassistant,
        [
            {"type": "auth", "access_token": "${HOMEASSISTANT_TOKEN}"},
            {"id": 1, "type": "get_config"},
            {"id": 2, "type": "subscribe_events", "event_type": "x"},
        ],
        [
            ("get_config", {}, {"city": "Oslo"}),
            ("subscribe_events", {"event_type": "y"}, [{"n": n} for n in range(10)]),
        ],
        environ={"HOMEASSISTANT_TOKEN": "a-very-secret-token"},
        preset="homeassistant",
    ),
}  # fmt: skip


def handler(peer: Peer) -> Callable[[ServerConnection], None]:
    def handle(connection: ServerConnection) -> None:
        def send(values: Iterator[Any]) -> None:
            for value in values:
                connection.send(value if isinstance(value, str | bytes) else json.dumps(value))

        send(peer(None))
        for raw in connection:
            is_json = isinstance(raw, str) and raw[:1] in "[{"
            send(peer(json.loads(raw) if is_json else raw))

    return handle


def recorded(url: str, recording: Conversation, folder: Path) -> LoadedManifest:
    """The draft of a conversation, loaded; it must have no warning."""
    offered = [part for each in recording.subprotocols for part in ("--protocol", each)]
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in recording.lines)
    done = run("record", url, "--idle", "0.15", *recording.options, *offered, typed=text, **recording.environ)
    assert done.returncode == 0, done.stderr
    file = folder / "draft.json"
    file.write_text(done.stdout, encoding="utf-8")
    loaded = load_manifest(file, environ=recording.environ)
    assert [str(problem) for problem in lint_manifest(json.loads(done.stdout), loaded)] == []
    assert json.loads(done.stdout).get("preset") == recording.preset, done.stdout
    return loaded


def shown(value: Any) -> Any:
    """A result without the IDs that the bridge chose; of a feed, the data of the events."""
    if isinstance(value, dict) and value.keys() >= {"events", "cursor"}:
        return [event["data"] for event in value["events"]]
    items = getattr(value, "items", None)
    if isinstance(value, dict) or items is None or callable(items):
        return value
    return [{key: each[key] for key in each if key != "id"} if isinstance(each, dict) else each for each in items]


@pytest.mark.anyio
@pytest.mark.parametrize("recording", CONVERSATIONS.values(), ids=CONVERSATIONS)
async def test_a_draft_gives_what_the_conversation_gave(recording: Conversation, tmp_path: Path) -> None:
    subprotocols: Any = recording.subprotocols or None
    with served(handler(recording.peer), subprotocols=subprotocols) as url:
        loaded = await to_thread.run_sync(recorded, f"{url}{recording.path}", recording, tmp_path)
        async with Bridge([loaded]) as bridge:
            for tool, arguments, expected in recording.calls:
                if isinstance(expected, Failure):
                    with pytest.raises(BridgeError, match=re.escape(expected.text)):
                        await bridge.call_tool(f"api.{tool}", arguments)
                else:
                    assert shown(await bridge.call_tool(f"api.{tool}", arguments)) == expected
