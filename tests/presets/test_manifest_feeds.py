"""The feeds of the example manifests, against peers that follow the documentation of their APIs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import PATIENCE, Peer, peer
from utcp_ws_mcp import Bridge

MANIFESTS = Path(__file__).parents[2] / "manifests"


@dataclass(frozen=True)
class Conversation:
    """What an endpoint does when a feed is read: it greets, answers, and sends events after an answer.

    Attributes:
        manifest: The name of the file.
        feed: `manual.feed`.
        arguments: Those of the feed.
        answer: Returns what the endpoint sends after a message of the bridge.
        data: The data of the events.
        greets: What the endpoint sends when a connection opens.
        closed: Returns whether a message ends the subscription; None: nothing does.
        environ: The variables.
        protocol: The subprotocol of the endpoint.
    """

    manifest: str
    feed: str
    answer: Callable[[Any], list[Any]]
    data: list[Any]
    arguments: dict[str, Any] = field(default_factory=dict)
    greets: tuple[Any, ...] = ()
    closed: Callable[[Any], bool] | None = None
    environ: dict[str, str] = field(default_factory=dict)
    protocol: str | None = None


def with_method(**answers: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    """Answer requests by what their `method`, `type` or `event` is, without its special characters."""

    def answer(message: Any) -> list[Any]:
        kind = message.get("method") or message.get("type") or message.get("event") or message.get("action") or ""
        name = re.sub(r"\W", "_", kind).lower()
        return answers[name](message) if name in answers else []

    return answer


def rpc(message: Any, **result: Any) -> dict[str, Any]:
    return {"id": message["id"], "result": result}


def console(kind: str, *values: str, session: dict[str, Any]) -> dict[str, Any]:
    params = {"type": kind, "args": [{"type": "string", "value": value} for value in values]}
    return {"method": "Runtime.consoleAPICalled", "params": params, **session}


THROWN = {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": {"exception": {"description": "Error"}}}}
NOTE = {"id": "a" * 64, "kind": 1, "content": "hi"}
LAMP = {"entity_id": "light.a", "old_state": {"state": "off"}, "new_state": {"state": "on"}}
MUTED = {"event": "mute_changed", "mute": True}
AT = "2026-11-20T08:12:00Z"

CONVERSATIONS = [
    Conversation(
        "ethereum",
        "ethereum.new_heads",
        with_method(
            eth_subscribe=lambda sent: [
                {"jsonrpc": "2.0", "id": sent["id"], "result": "0x9"},
                {"method": "eth_subscription", "params": {"subscription": "0x8", "result": {"number": "0x0"}}},
                {"method": "eth_subscription", "params": {"subscription": "0x9", "result": {"number": "0x1"}}},
            ]
        ),
        [{"number": "0x1"}],
        closed=lambda sent: sent["method"] == "eth_unsubscribe" and sent["params"] == ["0x9"],
    ),
    Conversation(
        "kraken",
        "kraken.prices",
        with_method(
            subscribe=lambda sent: [
                {"method": "subscribe", "success": True, "req_id": sent["req_id"]},
                {"channel": "ticker", "type": "snapshot", "data": [{"symbol": "BTC/USD", "last": 1}]},
                {"channel": "ticker", "type": "update", "data": [{"symbol": "ETH/USD", "last": 2}]},
                {"channel": "ticker", "type": "update", "data": [{"symbol": "BTC/USD", "last": 3}]},
            ]
        ),
        [{"symbol": "BTC/USD", "last": 3}],
        {"symbol": "BTC/USD"},
        closed=lambda sent: sent["method"] == "unsubscribe" and sent["params"]["symbol"] == ["BTC/USD"],
    ),
    Conversation(
        "nostr",
        "nostr.notes",
        lambda sent: [["EOSE", sent[1]], ["EVENT", "other", NOTE], ["EVENT", sent[1], NOTE]],
        [NOTE],
        closed=lambda sent: sent[0] == "CLOSE",
    ),
    Conversation(
        "chat",
        "chat.posted",
        with_method(
            join=lambda sent: [
                {"type": "ack", "ref": sent["ref"]},
                {"type": "message", "ref": sent["ref"], "data": {"text": "hi"}},
            ]
        ),
        [{"text": "hi"}],
        {"channel": "ops"},
        closed=lambda sent: sent["type"] == "leave",
        environ={"CHAT_TOKEN": "t"},
    ),
    Conversation(
        "stocks",
        "stocks.prices",
        with_method(subscribe=lambda sent: [{"symbol": "AAPL", "price": 1}, {"symbol": "AAPL", "price": 2}]),
        [{"symbol": "AAPL", "price": 2}],
        {"symbol": "AAPL"},
        closed=lambda sent: sent == {"symbol": "AAPL", "action": "unsubscribe"},
        environ={"STOCK_API_KEY": "k"},
    ),
    Conversation(
        "socketcluster",
        "socketcluster.published",
        with_method(
            _handshake=lambda sent: [{"rid": sent["cid"], "data": {"id": "s"}}],
            _subscribe=lambda sent: [
                {"rid": sent["cid"]},
                {"event": "#publish", "data": {"channel": "b", "data": 0}},
                {"event": "#publish", "data": {"channel": "a", "data": 1}},
            ],
        ),
        [1],
        {"channel": "a"},
        closed=lambda sent: sent == {"event": "#unsubscribe", "data": "a"},
    ),
    Conversation(
        "bayeux",
        "faye.published",
        lambda sent: {
            "/meta/handshake": [[{"id": sent[0].get("id"), "successful": True, "clientId": "c"}]],
            "/meta/subscribe": [
                [{"channel": "/meta/subscribe", "id": sent[0].get("id"), "successful": True}],
                [{"channel": "/a", "data": {"n": 1}}],
            ],
        }.get(sent[0]["channel"], []),
        [{"n": 1}],
        {"channel": "/a"},
        closed=lambda sent: sent[0]["channel"] == "/meta/unsubscribe",
    ),
    Conversation(
        "node-inspector",
        "node.console",
        with_method(runtime_enable=lambda sent: [console("log", "a", "b", session={}), rpc(sent), THROWN]),
        [{"type": "log", "text": "a b"}, {"type": "exception", "text": "Error"}],
        closed=lambda sent: sent["method"] == "Runtime.disable",
        environ={"NODE_INSPECTOR_ID": "x"},
    ),
    Conversation(
        "aria2",
        "aria2.downloads",
        with_method(),
        [{"event": "DownloadStart", "gid": "2089"}],
        greets=({"jsonrpc": "2.0", "method": "aria2.onDownloadStart", "params": [{"gid": "2089"}]},),
        environ={"ARIA2_SECRET": "s"},
    ),
    Conversation(
        "home-assistant",
        "house.state_changed",
        with_method(
            auth=lambda sent: [{"type": "auth_ok"}],
            subscribe_events=lambda sent: [
                {"id": sent["id"], "type": "result", "success": True, "result": None},
                {"id": sent["id"], "type": "event", "event": {"data": LAMP, "time_fired": AT}},
            ],
        ),
        [{"entity_id": "light.a", "from": "off", "to": "on", "at": AT}],
        greets=({"type": "auth_required"},),
        closed=lambda sent: sent["type"] == "unsubscribe_events",
        environ={"HOMEASSISTANT_TOKEN": "t"},
    ),
    Conversation(
        "obs",
        "obs.studio",
        lambda sent: [
            {"op": 2, "d": {}},
            {"op": 5, "d": {"eventType": "InputVolumeMeters", "eventData": {}}},
            {"op": 5, "d": {"eventType": "SceneCreated", "eventData": {"sceneName": "A"}}},
        ],
        [{"event": "SceneCreated", "data": {"sceneName": "A"}}],
        greets=({"op": 0, "d": {}},),
    ),
    Conversation(
        "crossbar-wamp",
        "wamp.topic",
        lambda sent: {
            1: [[2, 9, {}]],
            32: [[33, sent[1], 7], [36, 8, 1, {}, ["other"]], [36, 7, 1, {"topic": "com.a.b"}, ["hi"]]],
        }.get(sent[0], []),
        [{"topic": "com.a.b", "args": ["hi"], "kwargs": {}}],
        {"topic": "com.a.", "match": "prefix"},
        closed=lambda sent: sent[0] == 34 and sent[2] == 7,
        protocol="wamp.2.json",
    ),
    Conversation(
        "mqtt",
        "mqtt.messages",
        lambda sent: {
            0x10: [bytes.fromhex("20020000")],
            0x82: [
                bytes.fromhex("9003000100"),
                bytes.fromhex("3005000361 2f62"),
                bytes.fromhex("300700 03622f63 7a7a"),
            ],
        }.get(sent[0], []),
        [{"topic": "a/b", "payload": "", "retained": False}],
        {"topic": "a/#"},
        closed=lambda sent: sent[0] == 0xA2,
        protocol="mqtt",
    ),
    Conversation(
        "signalr",
        "chat.messages",
        lambda sent: ['{}\x1e{"type": 1, "target": "ReceiveMessage", "arguments": ["ada", "hi"]}\x1e'],
        [{"user": "ada", "text": "hi"}],
        environ={"SIGNALR_TOKEN": "t"},
    ),
    Conversation(
        "supabase-realtime",
        "supabase.broadcasts",
        lambda sent: [
            [sent[0], sent[1], sent[2], "phx_reply", {"status": "ok", "response": {}}],
            [None, None, sent[2], "presence_state", {}],
            [None, None, sent[2], "broadcast", {"type": "broadcast", "event": "said", "payload": {"n": 1}}],
        ],
        [{"event": "said", "payload": {"n": 1}}],
        {"topic": "realtime:room"},
        environ={"SUPABASE_KEY": "k"},
    ),
    Conversation(
        "mopidy", "mopidy.player", with_method(), [{"event": "mute_changed"}], greets=({"event": "mute_changed"},)
    ),
]


async def send(connection: Any, messages: Any) -> None:
    for message in messages:
        await connection.send(message if isinstance(message, str | bytes) else json.dumps(message))


def moved(conversation: Conversation, folder: Path, seen: Peer) -> Path:
    """Write the manifest with the peer in the place of the API."""
    document = json.loads((MANIFESTS / f"{conversation.manifest}.json").read_text())
    document["url"] = f"ws://127.0.0.1:{seen.port}/"
    target = folder / "m.json"
    target.write_text(json.dumps(document))
    return target


async def read(bridge: Bridge, conversation: Conversation) -> list[Any]:
    """Return the data of the events, when there are as many as there will be."""
    behind: dict[str, Any] = {}
    data: list[Any] = []
    with anyio.fail_after(PATIENCE):
        while len(data) < len(conversation.data):
            asked = {**conversation.arguments, "wait_seconds": 5, **behind}
            result = await bridge.call_tool(f"{conversation.feed}_events", asked)
            assert result["state"] == "open", result["state"]
            data += [event["data"] for event in result["events"]]
            behind = {"cursor": result["cursor"]}
    return data


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda each: each.feed)
async def test_the_feed_subscribes_reads_and_unsubscribes(tmp_path: Path, conversation: Conversation) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await send(connection, conversation.answer(message))

    async def greet(connection: Any) -> None:
        await send(connection, conversation.greets)

    options: dict[str, Any] = {"subprotocols": [conversation.protocol]} if conversation.protocol else {}
    async with peer(answer, greet=greet, **options) as seen:
        file = moved(conversation, tmp_path, seen)
        async with Bridge.open(file, environ=conversation.environ) as bridge:
            assert (await read(bridge, conversation))[-len(conversation.data) :] == conversation.data
        if conversation.closed is not None:
            await seen.until(lambda: any(conversation.closed(each) for each in seen.received))
        assert len(seen.upgrades) == 1
