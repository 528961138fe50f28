"""What the SDK's server sends to clients without being asked: to whom, once for each change, and until they go."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server.subscriptions import ResourcesListChanged, ToolsListChanged

from tests.peer import bridge_to
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.client.manifest_files import load_text
from utcp_ws_mcp.server.resources import ResourceNotWatched, everything
from utcp_ws_mcp.server.sdk_notifications import SdkNotifications
from utcp_ws_mcp.server.tools import ToolService

DOCUMENT = {
    "name": "m",
    "url": "ws://127.0.0.1:1/",
    "tools": [{"name": "t"}],
    "feeds": [{"name": "f", "match": "true"}],
}
FEEDS = "utcp-ws://feeds"


class Client:
    """A session of the SDK, and what it is sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.exit_stack = ExitStack()
        self._connection = self
        self.fails = False

    async def _send(self, what: str) -> None:
        if self.fails:
            raise ConnectionError(what)
        self.sent.append(what)

    async def send_tool_list_changed(self) -> None:
        await self._send("tools")

    async def send_resource_list_changed(self) -> None:
        await self._send("resources")

    async def send_resource_updated(self, uri: str) -> None:
        await self._send(uri)


class Notifications:
    """The notifications of a server, and its bridge."""

    def __init__(self, bridge: Bridge, **options: Any) -> None:
        self.bridge = bridge
        self.sdk = SdkNotifications(ToolService(bridge), **{"sends_list_changed": True, **options})

    def client(self, *events: Any) -> Client:
        """Return a client that has these lists."""
        client = Client()
        for event in events:
            self.sdk.note_listed(client, event)
        return client

    async def reload(self, tool: str, feed: str = "f") -> None:
        """Change the manifest."""
        document = {**DOCUMENT, "tools": [{"name": tool}], "feeds": [{"name": feed, "match": "true"}]}
        self.bridge.reload([load_text(json.dumps(document), Path("m.json"), {})])
        await anyio.wait_all_tasks_blocked()


@asynccontextmanager
async def notifications(folder: Path, **options: Any) -> AsyncIterator[Notifications]:
    async with bridge_to(folder, DOCUMENT) as bridge:
        found = Notifications(bridge, **options)
        async with found.sdk.running():
            yield found


TOOLS, RESOURCES = ToolsListChanged(), ResourcesListChanged()


@pytest.mark.parametrize(
    ("lists", "sent"), [([TOOLS], ["tools"]), ([RESOURCES], []), ([], []), ([TOOLS, RESOURCES], ["tools"])]
)
async def test_a_client_is_notified_of_a_changed_list_that_it_has(
    tmp_path: Path, lists: list[Any], sent: list[str]
) -> None:
    async with notifications(tmp_path) as server:
        client = server.client(*lists)
        await server.reload("u")
        assert client.sent == sent


async def test_clients_of_handshake_revisions_are_notified_only_where_this_server_does_it(tmp_path: Path) -> None:
    async with notifications(tmp_path, sends_list_changed=False) as server:
        client = server.client(TOOLS)
        server.sdk.note_listed(None, TOOLS)
        await server.reload("u")
        assert client.sent == []


async def test_several_changes_that_were_not_sent_yet_are_one(tmp_path: Path) -> None:
    async with notifications(tmp_path) as server:
        client = server.client(TOOLS)
        for callback in [*server.bridge.on_tools_changed] * 3:
            callback()
        await anyio.wait_all_tasks_blocked()
        assert client.sent.count("tools") == 1
        await server.reload("v")
        assert client.sent.count("tools") == 2


async def test_a_client_that_subscribes_is_notified_of_changes_until_it_unsubscribes(tmp_path: Path) -> None:
    async with notifications(tmp_path) as server:
        one, other = server.client(), server.client()
        server.sdk.subscribe(one, FEEDS, everything)
        server.sdk.subscribe(one, FEEDS, everything)
        await server.reload("u")
        assert (one.sent, other.sent) == ([FEEDS], [])
        server.sdk.unsubscribe(one, FEEDS)
        await server.reload("v")
        assert one.sent == [FEEDS]
        with pytest.raises(ResourceNotWatched):
            server.sdk.subscribe(other, "x:y", everything)


async def test_the_list_of_resources_is_announced_to_those_who_have_it(tmp_path: Path) -> None:
    async with notifications(tmp_path) as server:
        one, other = server.client(RESOURCES), server.client(TOOLS)
        await server.reload("t", feed="g")
        assert (one.sent, other.sent) == (["resources"], ["tools"])


async def test_a_client_that_has_gone_is_forgotten(tmp_path: Path) -> None:
    async with notifications(tmp_path) as server:
        client, other = server.client(TOOLS), server.client(TOOLS)
        server.sdk.subscribe(client, FEEDS, everything)
        client.exit_stack.close()
        await server.reload("u")
        assert (client.sent, other.sent) == ([], ["tools"])


async def test_a_client_that_cannot_be_reached_does_not_keep_the_others_from_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "utcp_ws_mcp")
    async with notifications(tmp_path) as server:
        broken, other = server.client(TOOLS), server.client(TOOLS)
        broken.fails = True
        await server.reload("u")
        await server.reload("v")
        assert other.sent == ["tools"] * 2
        broken.fails = False
        await server.reload("w")
        assert broken.sent == ["tools"]
    records = [record for record in caplog.records if record.getMessage() == "a notification was not sent"]
    assert [record.exc_info is not None and record.exc_info[0] for record in records] == [ConnectionError] * 2


async def test_after_the_end_nothing_is_sent(tmp_path: Path) -> None:
    async with bridge_to(tmp_path, DOCUMENT) as bridge:
        server = Notifications(bridge)
        async with server.sdk.running():
            client = server.client(TOOLS)
            server.sdk.subscribe(client, FEEDS, everything)
        await server.reload("u")
        assert client.sent == []
