"""Resources over HTTP for callers who may not use every tool (`--scope-tools`), in both protocol eras."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from tests.peer import PATIENCE
from tests.server.auth.test_resource_server import Served, served
from tests.server.http.test_app import ERAS
from tests.server.test_feed_subscriptions import Notified, subscribed

pytestmark = [ERAS, pytest.mark.filterwarnings("ignore:resources/:mcp.shared.exceptions.MCPDeprecationWarning")]
FEEDS = [
    {"name": "open", "match": "message.room == 'open'", "item": "message.text"},
    {"name": "staff", "match": "message.room == 'staff'", "item": "message.text"},
]
SCOPES = ["all=m.*", "some=m.open_*", "none=m.write"]
OPEN, STAFF = "utcp-ws://feeds/m/open", "utcp-ws://feeds/m/staff"


@asynccontextmanager
async def client_of(server: Served, scope: str, mode: str, heard: Notified | None = None) -> AsyncIterator[Client]:
    """The SDK's client with a token of this scope."""
    headers = {"Authorization": f"Bearer {server.issuer.token(scope=scope, sub=scope)}"}
    options = {"message_handler": heard.on_message} if heard is not None else {}
    async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE) as http:
        async with Client(streamable_http_client(server.url, http_client=http), mode=mode, **options) as client:
            yield client


async def read(client: Client, uri: str) -> Any:
    return json.loads((await client.read_resource(uri)).contents[0].text)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("scope", "visible"), [("all", [OPEN, STAFF]), ("some", [OPEN]), ("none", []), ("some none", [OPEN])]
)
async def test_feeds_are_listed_and_read_by_those_who_may_use_their_tools(
    tmp_path: Path, mode: str, scope: str, visible: list[str]
) -> None:
    async with served(tmp_path, feeds=FEEDS, scope_tools=SCOPES) as server, client_of(server, scope, mode) as client:
        listed = [str(each.uri) for each in (await client.list_resources()).resources]
        assert [uri for uri in listed if uri.startswith("utcp-ws://feeds/")] == visible
        templates = (await client.list_resource_templates()).resource_templates
        assert [each.uri_template.partition("{")[0] for each in templates if "feeds" in each.uri_template] == visible
        assert [each["uri"] for each in await read(client, "utcp-ws://feeds")] == visible
        for uri in (OPEN, STAFF):
            if uri in visible:
                assert (await read(client, uri))["events"] == []
            else:
                with pytest.raises(MCPError, match="there is no resource"):
                    await client.read_resource(uri)


async def test_the_state_of_endpoints_is_there_for_every_caller_and_holds_no_events(tmp_path: Path, mode: str) -> None:
    async with served(tmp_path, feeds=FEEDS, scope_tools=SCOPES) as server:
        async with client_of(server, "all", mode) as everything, client_of(server, "none", mode) as restricted:
            await read(everything, STAFF)
            await server.seen.until(lambda: bool(server.seen.open))
            await server.seen.open[0].send(json.dumps({"room": "staff", "text": "a secret of the staff"}))
            with anyio.fail_after(PATIENCE):
                while not (await read(everything, STAFF))["events"]:
                    await anyio.lowlevel.checkpoint()
            states = [await read(each, "utcp-ws://endpoints/m") for each in (everything, restricted)]
    assert states[0] == states[1]
    assert states[1]["feeds"] == {"open": 1}
    assert "secret of the staff" not in json.dumps(states)


async def test_a_restricted_caller_is_notified_only_of_feeds_that_it_may_read(tmp_path: Path, mode: str) -> None:
    heard = Notified()
    async with served(tmp_path, feeds=FEEDS, scope_tools=SCOPES) as server:
        async with client_of(server, "all", mode) as everything, client_of(server, "some", mode, heard) as restricted:
            for uri in (OPEN, STAFF):
                await read(everything, uri)
            await server.seen.until(lambda: bool(server.seen.open))
            if mode == "legacy":
                with pytest.raises(MCPError, match="there is no resource"):
                    await restricted.subscribe_resource(STAFF)
            wanted = [OPEN] if mode == "legacy" else [OPEN, STAFF]
            async with subscribed(restricted, mode, heard, *wanted) as agreed:
                assert agreed == [OPEN]
                for room in ("staff", "open"):
                    for connection in server.seen.open:
                        await connection.send(json.dumps({"room": room, "text": "now"}))
                await heard.until(lambda seen: OPEN in seen)
    assert STAFF not in heard.heard
