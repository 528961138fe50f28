"""The feeds of presets: what an author writes is a name, and the preset subscribes, reads and unsubscribes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import PATIENCE, Peer, bridge_to, peer
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.manifest.presets import preset_names, read_preset

from . import test_centrifugo, test_janus, test_phoenix, test_signalr, test_socketio4, test_stomp
from .servers import strict
from .sides import cut, stage
from .test_cdp import Chrome
from .test_graphql_transport_ws import PROTOCOL as GRAPHQL
from .test_graphql_transport_ws import GraphQL
from .test_homeassistant import TOKEN, HomeAssistant
from .test_mopidy import Music
from .test_obs5 import Open
from .test_wamp import TELL, Router
from .test_webdriver_bidi import Browser


def manifest(url: str, preset: str, feed: str | dict[str, Any], *tools: Any, **template: Any) -> dict[str, Any]:
    written = {"name": feed} if isinstance(feed, str) else feed
    listed = [{"name": tool} if isinstance(tool, str) else tool for tool in tools]
    return {"name": "m", "url": url, "preset": preset, "feeds": [written], "tools": listed, **template}


async def read(bridge: Bridge, feed: str, count: int, **arguments: Any) -> list[Any]:
    """Return the data of the first events of a feed, when there are so many."""
    got: list[Any] = []
    cursor: dict[str, Any] = {}
    with anyio.fail_after(PATIENCE):
        while len(got) < count:
            result = await bridge.call_tool(f"m.{feed}_events", {"wait_seconds": 5, **arguments, **cursor})
            got += [event["data"] for event in result["events"]]
            cursor = {"cursor": result["cursor"]}
    return got


async def opened(bridge: Bridge, feed: str, **arguments: Any) -> None:
    result = await bridge.call_tool(f"m.{feed}_events", arguments)
    assert result["state"] == "open"


async def test_homeassistant_subscribes_to_the_type_and_unsubscribes(tmp_path: Path) -> None:
    async with stage(HomeAssistant) as on:
        document = manifest(on.seen.url, "homeassistant", "state_changed")
        async with bridge_to(tmp_path, document, environ={"HOMEASSISTANT_TOKEN": TOKEN}) as bridge:
            events = await read(bridge, "state_changed", 2)
            assert [event["event_type"] for event in events] == ["state_changed"] * 2
            assert on.seen.received[-1] == {"id": 1, "type": "subscribe_events", "event_type": "state_changed"}
            await cut(on)
            await read(bridge, "state_changed", 4)
        assert not on.sides[-1].subscriptions
    assert (len(on.sides), on.broken) == (2, [])


async def test_obs5_follows_events_of_the_type(tmp_path: Path) -> None:
    async with stage(Open) as on:
        document = manifest(on.seen.url, "obs5", "InputMuteStateChanged", "SetInputMute", "Sleep")
        async with bridge_to(tmp_path, document) as bridge:
            await opened(bridge, "InputMuteStateChanged")
            await on.sides[0].tell("Noise", 1, 1)
            await bridge.call_tool("m.SetInputMute", {"inputName": "Mic", "inputMuted": True})
            assert await read(bridge, "InputMuteStateChanged", 1) == [{"inputName": "Mic", "inputMuted": True}]
    assert (len(on.sides), on.broken) == (1, [])


async def test_obs5_keeps_an_event_without_data(tmp_path: Path) -> None:
    async with stage(Open) as on:
        async with bridge_to(tmp_path, manifest(on.seen.url, "obs5", "ExitStarted")) as bridge:
            await opened(bridge, "ExitStarted")
            await on.sides[0].send({"op": 5, "d": {"eventType": "ExitStarted", "eventIntent": 1}})
            assert await read(bridge, "ExitStarted", 1) == [{}]


async def test_cdp_enables_the_domain_of_the_event(tmp_path: Path) -> None:
    async with stage(Chrome) as on:
        document = manifest(on.seen.url, "cdp", "Runtime.consoleAPICalled", "Page.navigate")
        async with bridge_to(tmp_path, document) as bridge:
            events = await read(bridge, "Runtime.consoleAPICalled", 2)
            assert [event["text"] for event in events] == ["before", "after"]
            await bridge.call_tool("m.Page.navigate", {"url": "https://example.com/"})
    assert (on.sides[0].enabled >= {"Runtime"}, on.broken) == (True, [])


async def test_webdriver_bidi_subscribes_to_the_event_and_unsubscribes(tmp_path: Path) -> None:
    async with stage(Browser) as on:
        document = manifest(on.seen.url, "webdriver-bidi", "log.entryAdded")
        async with bridge_to(tmp_path, document) as bridge:
            assert await read(bridge, "log.entryAdded", 1) == [{}]
        assert not on.sides[0].subscriptions
    assert on.broken == []


async def test_wamp_subscribes_to_the_topic_and_unsubscribes(tmp_path: Path) -> None:
    async with strict(Router, subprotocols=["wamp.2.json"]) as server:
        document = manifest(server.peer.url, "wamp", "com.example.said", TELL)
        async with bridge_to(tmp_path, document) as bridge:
            await opened(bridge, "com.example.said")
            for value in ("hi", {"n": 1}):
                await bridge.call_tool("m.tell", {"topic": "com.example.said", "value": value})
            assert await read(bridge, "com.example.said", 2) == ["hi", {"n": 1}]
        assert not server.session.topics


async def test_phoenix_follows_the_event_in_the_topic(tmp_path: Path) -> None:
    async with stage(test_phoenix.Phoenix) as on:
        document = manifest(f"{on.seen.url}{test_phoenix.PATH}", "phoenix", "shouted", "shout")
        async with bridge_to(tmp_path, document) as bridge:
            await opened(bridge, "shouted", topic="room:one")
            await bridge.call_tool("m.shout", {"topic": "room:one", "payload": {"text": "hi"}})
            assert await read(bridge, "shouted", 1, topic="room:one") == [{"text": "hi"}]
    assert (len(on.sides), on.broken) == (1, [])


async def test_socketio4_follows_the_event(tmp_path: Path) -> None:
    async with strict(test_socketio4.Server) as server:
        url = server.peer.url + "/socket.io/?EIO=4&transport=websocket"
        document = manifest(url, "socketio4", "log", "add")
        async with bridge_to(tmp_path, document, environ=test_socketio4.LOGIN) as bridge:
            await opened(bridge, "log")
            await bridge.call_tool("m.add", {"a": 1, "b": 2})
            await server.session.send('42["log","two",2]')
            assert await read(bridge, "log", 2) == ["adding", ["two", 2]]


async def test_stomp_subscribes_to_the_destination_and_unsubscribes(tmp_path: Path) -> None:
    environ = {"STOMP_LOGIN": "ada", "STOMP_PASSCODE": "se:cret"}
    async with strict(test_stomp.Broker, subprotocols=["v12.stomp"]) as server:
        document = manifest(server.peer.url, "stomp", "messages", "send")
        async with bridge_to(tmp_path, document, environ=environ) as bridge:
            await opened(bridge, "messages", destination="/topic/a")
            await bridge.call_tool("m.send", {"destination": "/topic/a", "body": "hi", "content_type": "text/plain"})
            (event,) = await read(bridge, "messages", 1, destination="/topic/a")
            assert (event["body"], event["headers"]["destination"]) == ("hi", "/topic/a")
        assert not server.session.subscriptions


async def test_mopidy_follows_the_event(tmp_path: Path) -> None:
    async with strict(Music) as server:
        document = manifest(server.peer.url, "mopidy", "track_playback_started", "core.playback.play")
        async with bridge_to(tmp_path, document) as bridge:
            await opened(bridge, "track_playback_started")
            await bridge.call_tool("m.core.playback.play")
            (event,) = await read(bridge, "track_playback_started", 1)
            assert event["tl_track"] == {"tlid": 1}


async def test_centrifugo_subscribes_to_the_channel_and_again_when_the_server_ends_it(tmp_path: Path) -> None:
    async with strict(test_centrifugo.Node) as server:
        document = manifest(server.peer.url, "centrifugo", "published", test_centrifugo.PUBLISH)
        async with bridge_to(tmp_path, document, environ=test_centrifugo.TOKEN) as bridge:
            await opened(bridge, "published", channel="a")
            await bridge.call_tool("m.publish", {"channel": "a", "data": {"n": 1}})
            first = await bridge.call_tool("m.published_events", {"channel": "a", "wait_seconds": 5})
            assert [event["data"] for event in first["events"]] == [{"n": 1}]
            server.session.channels.remove("a")
            await server.session.send({"push": {"channel": "a", "unsubscribe": {"code": 2000, "reason": "moved"}}})
            behind = {"channel": "a", "cursor": first["cursor"]}
            with anyio.fail_after(PATIENCE):
                while not (result := await bridge.call_tool("m.published_events", behind))["gaps"]:
                    pass
            assert "the endpoint has ended the subscription" in result["gaps"][0]["reason"]
        assert not server.session.channels


async def notify(seen: Peer, connection: Any, message: Any) -> None:
    """Answer a request of JSON-RPC, between two notifications."""
    for method in ("said", "typed"):
        await connection.send(json.dumps({"jsonrpc": "2.0", "method": method, "params": {"n": 1}}))
    await connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": "ok"}))


async def test_jsonrpc2_follows_notifications_of_the_method(tmp_path: Path) -> None:
    async with peer(notify) as seen:
        async with bridge_to(tmp_path, manifest(seen.url, "jsonrpc2", "said", "say")) as bridge:
            await opened(bridge, "said")
            assert await bridge.call_tool("m.say") == "ok"
            assert await read(bridge, "said", 1) == [{"n": 1}]
            assert len(seen.upgrades) == 1


class Anyone(GraphQL):
    """Wants no parameters with the login."""

    async def initialise(self, message: Any) -> None:
        await super().initialise({"payload": {"token": "right"}} | message)


@pytest.mark.parametrize("query", ["subscription { ticks }", "{ nonsense }"])
async def test_graphql_sends_the_subscription_and_completes_it(tmp_path: Path, query: str) -> None:
    async with stage(Anyone, subprotocols=[GRAPHQL]) as on:
        feed = {"name": "ticks", "inputs": {"properties": {"query": {"type": "string"}}}}
        async with bridge_to(tmp_path, manifest(on.seen.url, "graphql-transport-ws", feed)) as bridge:
            if query == "{ nonsense }":
                with anyio.fail_after(PATIENCE):
                    result = await bridge.call_tool("m.ticks_events", {"query": query, "wait_seconds": 5})
                assert "Unknown field; Unknown type (GRAPHQL_VALIDATION_FAILED)" in result["state"]
            else:
                assert await read(bridge, "ticks", 4, query=query) == [{"tick": number} for number in range(4)]
        assert not on.sides[0].active
    assert on.broken == []


async def test_graphql_subscribes_again_when_the_server_completes(tmp_path: Path) -> None:
    async with stage(Anyone, subprotocols=[GRAPHQL]) as on:
        feed = {"name": "ticks", "inputs": {"properties": {"query": {"type": "string"}}}}
        async with bridge_to(tmp_path, manifest(on.seen.url, "graphql-transport-ws", feed)) as bridge:
            asked = {"query": "subscription { twice }"}
            await bridge.call_tool("m.ticks_events", asked)
            await on.seen.until(lambda: sum(each["type"] == "subscribe" for each in on.seen.received) >= 2)
            result = await bridge.call_tool("m.ticks_events", asked)
            assert [event["data"]["tick"] for event in result["events"][:2]] == [0, 1]
    assert len(on.sides) == 1


async def test_signalr_follows_calls_of_the_client_method(tmp_path: Path) -> None:
    async with stage(test_signalr.Hub) as on:
        async with bridge_to(tmp_path, manifest(on.seen.url, "signalr", "Said", "Add")) as bridge:
            await opened(bridge, "Said")
            await on.sides[0].send({"type": 1, "target": "Other", "arguments": [0]})
            await on.sides[0].send({"type": 1, "target": "Said", "arguments": ["hi"]})
            await on.sides[0].send({"type": 1, "target": "Said", "arguments": ["ada", "hi"]})
            assert await read(bridge, "Said", 2) == ["hi", ["ada", "hi"]]


async def test_janus_follows_the_events_of_the_handle(tmp_path: Path) -> None:
    async with test_janus.janus() as server:
        document = manifest(server.peer.url, "janus", "events")
        plugin = "janus.plugin.videoroom"
        async with bridge_to(tmp_path, document, environ=test_janus.SECRET) as bridge:
            await opened(bridge, "events", plugin=plugin)
            await server.session.send(server.session.event({"videoroom": "event", "publishers": [1]}))
            events = await read(bridge, "events", 1, plugin=plugin)
            assert events == [{"videoroom": "event", "publishers": [1]}]


async def jupyter(seen: Peer, connection: Any, message: Any) -> None:
    """Answer nothing: other clients of the kernel run code."""


async def test_jupyter_follows_outputs_of_the_type(tmp_path: Path) -> None:
    async with peer(jupyter) as seen:
        document = manifest(seen.url, "jupyter", "stream")
        async with bridge_to(tmp_path, document, environ={"JUPYTER_TOKEN": "t"}) as bridge:
            await opened(bridge, "stream")
            for kind, text in (("stream", "out"), ("display_data", "picture")):
                sent = {"channel": "iopub", "msg_type": kind, "content": {"text": text}, "parent_header": {}}
                await seen.open[0].send(json.dumps(sent))
            assert await read(bridge, "stream", 1) == [{"text": "out"}]


def test_each_preset_of_a_protocol_with_events_has_feeds() -> None:
    without = {name for name in preset_names() if "feed_defaults" not in read_preset(name)}
    assert without == {"utcp"}
