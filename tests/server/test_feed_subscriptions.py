"""Notifications about feeds, with real MCP clients in both protocol eras, over stdio, the SDK's server and HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.subscriptions import ResourcesListChanged, ResourceUpdated
from mcp.shared.exceptions import MCPError

from tests.peer import PATIENCE, Peer, bridge_to, peer
from tests.server.http.test_app import client_of as http_client
from tests.server.http.test_app import served
from tests.server.sides import BOTH_ERAS, sdk_client, session_client
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.server.subscriptions import MAX_WATCHED

pytestmark = [BOTH_ERAS, pytest.mark.filterwarnings("ignore:resources/:mcp.shared.exceptions.MCPDeprecationWarning")]
BOTH_STDIO = pytest.mark.parametrize("to_client", [sdk_client, session_client], ids=["sdk", "session"])
FEED = {
    "name": "said",
    "inputs": {"type": "object", "properties": {"room": {"type": "string"}}, "required": ["room"]},
    "open": [{"send": {"join": "{{ args.room }}"}}, {"expect": "message.joined == args.room"}],
    "match": "message.room == args.room",
    "item": "message.text",
    "close": {"leave": "{{ args.room }}"},
}
OPS = "utcp-ws://feeds/chat/said?room=ops"
Events = Callable[[], Awaitable[Any]]


def manifest(seen: Peer, **feed: Any) -> dict[str, Any]:
    return {"name": "chat", "url": seen.url, "feeds": [{**FEED, **feed}]}


async def join(seen: Peer, connection: Any, message: Any) -> None:
    if "join" in message:
        await connection.send(json.dumps({"joined": message["join"]}))


async def say(seen: Peer, text: str, room: str = "ops") -> None:
    await seen.open[-1].send(json.dumps({"room": room, "text": text}))


class Notified:
    """What a client is notified of: the URIs of updated resources, and "list"."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._arrived = anyio.Event()

    def add(self, event: Any) -> None:
        match event:
            case ResourceUpdated(uri):
                self.heard.append(uri)
            case ResourcesListChanged():
                self.heard.append("list")
        self._arrived.set()

    async def on_message(self, message: Any) -> None:
        method, params = getattr(message, "method", ""), getattr(message, "params", None)
        if method == "notifications/resources/updated" and params is not None:
            self.add(ResourceUpdated(str(params.uri)))
        elif method == "notifications/resources/list_changed":
            self.add(ResourcesListChanged())

    async def until(self, condition: Callable[[list[str]], bool]) -> None:
        with anyio.fail_after(PATIENCE):
            while not condition(self.heard):
                self._arrived = anyio.Event()
                await self._arrived.wait()


@asynccontextmanager
async def subscribed(client: Client, mode: str, notified: Notified, *uris: str) -> AsyncIterator[list[str]]:
    """Subscribe to resources and to their list; yield what the server has agreed to."""
    await client.list_resources()
    if mode == "legacy":
        for uri in uris:
            await client.subscribe_resource(uri)
        yield list(uris)
        for uri in uris:
            await client.unsubscribe_resource(uri)
        return
    async with client.listen(resource_subscriptions=uris, resources_list_changed=True) as events:
        async with anyio.create_task_group() as tasks:

            async def forward() -> None:
                async for event in events:
                    notified.add(event)

            tasks.start_soon(forward)
            yield list(events.honored.resource_subscriptions or ())
            tasks.cancel_scope.cancel()


@BOTH_STDIO
async def test_a_client_is_notified_of_events_and_reads_them(tmp_path: Path, mode: str, to_client: Any) -> None:
    heard = Notified()
    async with peer(join) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        async with to_client(bridge, mode, message_handler=heard.on_message) as client:
            assert client.server_capabilities.resources is not None
            assert client.server_capabilities.resources.subscribe
            assert client.server_capabilities.resources.list_changed
            async with subscribed(client, mode, heard, OPS) as agreed:
                assert agreed == [OPS]
                await seen.until(lambda: seen.received == [{"join": "ops"}])
                await say(seen, "hello")
                await heard.until(lambda uris: OPS in uris)
                page: dict[str, Any] = {"events": []}
                with anyio.fail_after(PATIENCE):
                    while not page["events"]:
                        page = json.loads((await client.read_resource(OPS)).contents[0].text)
                assert [event["data"] for event in page["events"]] == ["hello"]
            listed = [resource.uri for resource in (await client.list_resources()).resources]
            assert OPS in map(str, listed)
            await heard.until(lambda uris: "list" in uris)


@pytest.mark.parametrize("stateless", [False, True])
async def test_over_http_a_client_is_notified_of_events_where_the_capabilities_say_so(
    tmp_path: Path, mode: str, stateless: bool
) -> None:
    heard = Notified()
    async with peer(join) as seen, served(tmp_path, manifest(seen), stateless=stateless) as url:
        async with http_client(url, mode, message_handler=heard.on_message) as client:
            capabilities = client.server_capabilities
            assert capabilities.resources is not None
            assert capabilities.tools is not None
            offered = mode == "auto" or not stateless
            assert capabilities.resources.subscribe is offered
            assert capabilities.resources.list_changed is offered
            assert capabilities.tools.list_changed is offered
            if not offered:
                with pytest.raises(MCPError, match="without sessions"):
                    await client.subscribe_resource(OPS)
                return
            async with subscribed(client, mode, heard, OPS):
                await seen.until(lambda: len(seen.received) == 1)
                await say(seen, "hello")
                await heard.until(lambda uris: OPS in uris and "list" in uris)


@BOTH_STDIO
async def test_a_subscription_keeps_a_feed_open_and_its_end_closes_it(
    tmp_path: Path, mode: str, to_client: Any
) -> None:
    async with peer(join) as seen, bridge_to(tmp_path, manifest(seen, linger=0)) as bridge:
        async with to_client(bridge, mode) as client:
            async with subscribed(client, mode, Notified(), OPS):
                await seen.until(lambda: len(seen.received) == 1)
                (instance,) = bridge.feed_instances()
                assert instance.reading == 1
            await seen.until(lambda: seen.received == [{"join": "ops"}, {"leave": "ops"}])


@BOTH_STDIO
async def test_the_end_of_a_session_ends_its_subscriptions(tmp_path: Path, mode: str, to_client: Any) -> None:
    async with peer(join) as seen, bridge_to(tmp_path, manifest(seen, linger=0)) as bridge:
        async with to_client(bridge, mode) as client:
            if mode == "legacy":
                await client.subscribe_resource(OPS)
                await seen.until(lambda: len(seen.received) == 1)
            else:
                listening = client.listen(resource_subscriptions=[OPS])
                await listening.__aenter__()
                await seen.until(lambda: len(seen.received) == 1)
                await listening.__aexit__(None, None, None)
        await seen.until(lambda: {"leave": "ops"} in seen.received)


REFUSED = {
    "utcp-ws://feeds/chat/other?room=ops": "there is no resource",
    "file:///etc/passwd": "there is no resource",
    "utcp-ws://feeds/chat/said": "room",
    "utcp-ws://endpoints": "are not announced",
    "utcp-ws://manifest-guide": "are not announced",
}


@BOTH_STDIO
@pytest.mark.parametrize("uri", REFUSED)
async def test_a_resource_whose_changes_are_not_announced_is_refused(
    tmp_path: Path, mode: str, to_client: Any, uri: str
) -> None:
    async with peer(join) as seen, bridge_to(tmp_path, manifest(seen)) as bridge, to_client(bridge, mode) as client:
        if mode == "legacy":
            with pytest.raises(MCPError, match=REFUSED[uri]):
                await client.subscribe_resource(uri)
        else:
            async with client.listen(resource_subscriptions=[uri, OPS]) as events:
                assert events.honored.resource_subscriptions == [OPS]
                assert events.honored.prompts_list_changed is None


@BOTH_STDIO
async def test_a_session_watches_a_bounded_number_of_resources(tmp_path: Path, mode: str, to_client: Any) -> None:
    uris = [f"{OPS}&max_events={number}" for number in range(1, MAX_WATCHED + 2)]
    async with peer(join) as seen, bridge_to(tmp_path, manifest(seen)) as bridge, to_client(bridge, mode) as client:
        if mode == "legacy":
            for uri in uris[:-1]:
                await client.subscribe_resource(uri)
            with pytest.raises(MCPError, match=f"{MAX_WATCHED} resources are watched already"):
                await client.subscribe_resource(uris[-1])
        else:
            async with client.listen(resource_subscriptions=uris) as events:
                assert events.honored.resource_subscriptions == uris[:-1]


@BOTH_STDIO
async def test_the_list_of_feeds_is_announced_when_one_of_them_has_another_state(
    tmp_path: Path, mode: str, to_client: Any
) -> None:
    heard = Notified()
    async with peer(join) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        async with to_client(bridge, mode, message_handler=heard.on_message) as client:
            async with subscribed(client, mode, heard, "utcp-ws://feeds"):
                await client.call_tool("chat_said_events", {"room": "ops"})
                await heard.until(lambda uris: "utcp-ws://feeds" in uris)


@BOTH_STDIO
async def test_a_subscription_follows_a_feed_into_a_changed_manifest(tmp_path: Path, mode: str, to_client: Any) -> None:
    heard = Notified()
    file = tmp_path / "changed.json"
    async with peer(join) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        async with to_client(bridge, mode, message_handler=heard.on_message) as client:
            async with subscribed(client, mode, heard, OPS):
                await seen.until(lambda: len(seen.received) == 1)
                await heard.until(lambda uris: OPS in uris)
                gone = {"name": "chat", "url": seen.url, "tools": []}
                for document in (manifest(seen, item="message"), gone, manifest(seen)):
                    heard.heard.clear()
                    file.write_text(json.dumps(document))
                    bridge.reload([load_manifest(file)])
                    await heard.until(lambda uris: OPS in uris)
                await seen.until(lambda: seen.received.count({"join": "ops"}) == 3)
                heard.heard.clear()
                await say(seen, "again")
                await heard.until(lambda uris: OPS in uris)


@BOTH_STDIO
async def test_templates_name_the_arguments_of_each_feed(tmp_path: Path, mode: str, to_client: Any) -> None:
    properties = {"room": {"type": "string"}, "last-of": {"type": "integer"}}
    inputs = {"type": "object", "properties": properties, "required": ["room"]}
    async with peer(join) as seen, bridge_to(tmp_path, manifest(seen, inputs=inputs)) as bridge:
        async with to_client(bridge, mode) as client:
            templates = (await client.list_resource_templates()).resource_templates
            assert [template.uri_template for template in templates] == [
                "utcp-ws://endpoints/{name}",
                "utcp-ws://feeds/chat/said{?room,last%2Dof,cursor,max_events,where}",
            ]
            assert "Required: room." in (templates[-1].description or "")
            page = json.loads((await client.read_resource(f"{OPS}&last-of=3&max_events=1")).contents[0].text)
            assert page["events"] == []
            (instance,) = bridge.feed_instances()
            assert instance.arguments == {"room": "ops", "last-of": 3}
            uris = [str(resource.uri) for resource in (await client.list_resources()).resources]
            assert "utcp-ws://feeds/chat/said?last-of=3&room=ops" in uris
