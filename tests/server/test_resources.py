"""The resources of the server, in both protocol eras."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from tests.peer import bridge_to, entry, jsonrpc, peer
from tests.server.sides import BOTH_ERAS, BOTH_SIDES
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.server.tools import ToolService

pytestmark = [BOTH_ERAS, BOTH_SIDES]
ROOT = Path(__file__).parents[2]
RPC = {"preset": "jsonrpc2"}
SECRET = "topsecret-value"


@asynccontextmanager
async def client_of(folder: Path, document: Any, mode: str, side: Any) -> AsyncIterator[tuple[Client, Bridge]]:
    async with bridge_to(folder, document) as bridge:
        bridge.redactor.add_tokens("m", [SECRET])
        async with Client(side(ToolService(bridge)), mode=mode) as client:
            yield client, bridge


async def read(client: Client, uri: str = "utcp-ws://endpoints") -> Any:
    return json.loads((await client.read_resource(uri)).contents[0].text)


async def test_an_endpoint_is_idle_until_a_call_connects_it(tmp_path: Path, mode: str, side: Any) -> None:
    async with peer(jsonrpc) as seen, client_of(tmp_path, entry(seen, "t", "u", **RPC), mode, side) as (client, _):
        listed = (await client.list_resources()).resources
        assert [(str(each.uri), each.mime_type) for each in listed] == [
            ("utcp-ws://endpoints", "application/json"),
            ("utcp-ws://feeds", "application/json"),
            ("utcp-ws://manifest-guide", "text/markdown"),
        ]
        before = await read(client)
        await client.call_tool("m_t", {"n": 1})
        after = await read(client)
    idle = {
        "name": "m",
        "origin": f"ws://localhost:{seen.port}",
        "state": "idle",
        "connections": 0,
        "waiting": 0,
        "tools": 2,
        "withheld": [],
        "feeds": {},
        "problem": None,
    }
    assert before == [idle]
    assert after == [{**idle, "state": "connected", "connections": 1}]


async def test_a_failing_endpoint_says_why_and_hides_secrets(tmp_path: Path, mode: str, side: Any) -> None:
    document = {"name": "m", "url": f"ws://127.0.0.1:1/{SECRET}?key={SECRET}", "tools": [{"name": "t"}]}
    async with client_of(tmp_path, document, mode, side) as (client, _):
        await client.call_tool("m_t", {})
        state = (await read(client))[0]
        text = (await client.read_resource("utcp-ws://endpoints")).contents[0].text
    assert state["state"] == "failing"
    assert "cannot connect" in state["problem"]
    assert SECRET not in text


async def test_a_discovery_that_failed_and_missing_variables_are_shown(tmp_path: Path, mode: str, side: Any) -> None:
    document = [{"name": "a", "url": "ws://127.0.0.1:1/"}, {"name": "b", "url": "ws://127.0.0.1:1/${NOWHERE}"}]
    async with client_of(tmp_path, document, mode, side) as (client, bridge):
        await bridge.wait_discovered(5)
        states = {state["name"]: state for state in await read(client)}
    assert states["a"]["state"] == "failing"
    assert states["b"]["state"] == "disabled"
    assert "NOWHERE is not set" in states["b"]["problem"]


async def test_one_endpoint_can_be_read_by_its_name(tmp_path: Path, mode: str, side: Any) -> None:
    async with peer(jsonrpc) as seen:
        document = [entry(seen, "t", **RPC), {**entry(seen, "t", **RPC), "name": "other"}]
        async with client_of(tmp_path, document, mode, side) as (client, _):
            templates = (await client.list_resource_templates()).resource_templates
            shown = [template.uri_template for template in templates]
            assert shown == ["utcp-ws://endpoints/{name}"]
            assert (await read(client, "utcp-ws://endpoints/other"))["name"] == "other"
            with pytest.raises(MCPError, match="there is no resource") as error:
                await client.read_resource("utcp-ws://endpoints/unknown")
    assert error.value.error.code == types.INVALID_PARAMS


async def test_the_guide_for_manifests_can_be_read(tmp_path: Path, mode: str, side: Any) -> None:
    document = {"name": "m", "url": "ws://127.0.0.1:1/", "tools": [{"name": "t"}]}
    async with client_of(tmp_path, document, mode, side) as (client, _):
        content = (await client.read_resource("utcp-ws://manifest-guide")).contents[0]
    assert content.mime_type == "text/markdown"
    assert content.text == (ROOT / "docs" / "manifest-for-agents.md").read_text(encoding="utf-8")
