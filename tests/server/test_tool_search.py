"""Three tools that search, describe and call the others, in both protocol eras."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from tests.client.test_discovery import announces, manual
from tests.peer import Peer, bridge_to, entry, jsonrpc, peer
from tests.server.sides import BOTH_ERAS, BOTH_SIDES
from utcp_ws_mcp.server.run import ServeOptions, make_tool_service

pytestmark = [BOTH_ERAS, BOTH_SIDES]
RPC = {"preset": "jsonrpc2"}
TOOLS = [
    {"name": "get_quote", "description": "The price of a share.\nIn full.", "tags": ["finance"]},
    {
        "name": "get_news",
        "description": "Headlines about a share.",
        "inputs": {"properties": {"n": {"type": "integer"}}},
    },
    {"name": "restart", "description": "Restarts the server."},
    *({"name": f"filler{number}"} for number in range(200)),
]


@asynccontextmanager
async def client_of(folder: Path, seen: Peer, mode: str, side: Any) -> AsyncIterator[Client]:
    async with bridge_to(folder, entry(seen, *TOOLS, **RPC)) as bridge:
        async with Client(side(make_tool_service(bridge, ServeOptions(meta_tools=True))), mode=mode) as client:
            yield client


async def found(client: Client, **arguments: Any) -> list[str]:
    result = await client.call_tool("search_tools", arguments)
    return [tool["name"] for tool in result.structured_content["tools"]]


async def test_of_hundreds_of_tools_three_are_listed(tmp_path: Path, mode: str, side: Any) -> None:
    async with peer(jsonrpc) as seen, client_of(tmp_path, seen, mode, side) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
    assert names == ["search_tools", "describe_tool", "call_tool"]


async def test_tools_are_found_by_name_tag_and_description_the_best_first(tmp_path: Path, mode: str, side: Any) -> None:
    async with peer(jsonrpc) as seen, client_of(tmp_path, seen, mode, side) as client:
        assert await found(client, query="share quote") == ["m_get_quote", "m_get_news"]
        assert await found(client, query="FINANCE") == ["m_get_quote"]
        assert await found(client, query="restart server") == ["m_restart"]
        assert await found(client, query="no-such-thing") == []
        assert await found(client, limit=2) == ["m_get_quote", "m_get_news"]
        result = await client.call_tool("search_tools", {"query": "get", "limit": 1})
    assert result.structured_content["found"] == 2
    assert result.structured_content["tools"][0]["description"] == "The price of a share."


async def test_a_tool_is_described_and_called(tmp_path: Path, mode: str, side: Any) -> None:
    async with peer(jsonrpc) as seen, client_of(tmp_path, seen, mode, side) as client:
        described = (await client.call_tool("describe_tool", {"name": "m_get_news"})).structured_content
        called = await client.call_tool("call_tool", {"name": "m_get_news", "arguments": {"n": 5}})
        wrong = await client.call_tool("call_tool", {"name": "m_get_news", "arguments": {"n": "five"}})
    assert described["inputSchema"]["properties"] == {"n": {"type": "integer"}}
    assert called.structured_content == {"n": 5}
    assert wrong.is_error
    assert "n:" in wrong.content[0].text


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("search_tools", {"limit": 0}, "a number from 1 to 100"),
        ("search_tools", {"query": 5}, '"query", a string'),
        ("describe_tool", {}, 'describe_tool takes "name"'),
        ("describe_tool", {"name": "nope"}, "there is no tool 'nope'"),
        ("call_tool", {"name": "nope"}, "there is no tool 'nope'"),
        ("call_tool", {"name": "m_restart", "arguments": []}, 'call_tool takes "name"'),
        ("call_tool", {"name": "search_tools"}, "there is no tool 'search_tools'"),
    ],
)
async def test_what_is_wrong_is_said(
    tmp_path: Path, mode: str, side: Any, name: str, arguments: Any, sentence: str
) -> None:
    async with peer(jsonrpc) as seen, client_of(tmp_path, seen, mode, side) as client:
        result = await client.call_tool(name, arguments)
        assert result.is_error
        assert sentence in result.content[0].text
        assert not seen.upgrades


async def test_other_tools_are_unknown_by_themselves(tmp_path: Path, mode: str, side: Any) -> None:
    async with peer(jsonrpc) as seen, client_of(tmp_path, seen, mode, side) as client:
        with pytest.raises(MCPError, match="there is no tool"):
            await client.call_tool("m_restart", {})


async def test_discovered_tools_are_found_too(tmp_path: Path, mode: str, side: Any) -> None:
    async with peer(announces(manual("announced"))) as seen, bridge_to(tmp_path, entry(seen)) as bridge:
        async with Client(side(make_tool_service(bridge, ServeOptions(meta_tools=True))), mode=mode) as client:
            assert await found(client, query="announced") == ["m_announced"]
