"""The tools of feeds with a real MCP client, in both protocol eras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mcp import Client

from tests.peer import bridge_to, peer, silent
from tests.server.sides import BOTH_ERAS, BOTH_SIDES
from utcp_ws_mcp.core.tools.argument_schema import SchemaValidator
from utcp_ws_mcp.server.tools import ToolService

pytestmark = [BOTH_ERAS, BOTH_SIDES]


async def greet(connection: Any) -> None:
    await connection.send(json.dumps({"order": 7, "state": "open"}))


async def test_a_client_reads_a_feed_and_resumes_by_its_cursor(tmp_path: Path, mode: str, side: Any) -> None:
    feed = {"name": "orders", "match": "message.order is defined", "key": "message.order"}
    async with (
        peer(silent, greet=greet) as seen,
        bridge_to(tmp_path, {"name": "shop", "url": seen.url, "feeds": [feed]}) as bridge,
        Client(side(ToolService(bridge)), mode=mode) as client,
    ):
        tools = (await client.list_tools()).tools
        listed = {tool.name: tool.annotations for tool in tools}
        assert set(listed) == {"shop_orders_events", "shop_orders_latest"}
        promised = {tool.name: tool.output_schema for tool in tools}
        assert all(hints is not None and hints.read_only_hint for hints in listed.values())
        first = (await client.call_tool("shop_orders_events", {"wait_seconds": 10})).structured_content
        assert [event["data"]["order"] for event in first["events"]] == [7]
        again = await client.call_tool("shop_orders_events", {"cursor": first["cursor"], "wait_seconds": 0})
        assert (again.structured_content["events"], again.structured_content["missed"]) == ([], 0)
        latest = (await client.call_tool("shop_orders_latest", {})).structured_content
        assert [value["key"] for value in latest["values"]] == [7]
        for name, result in (("shop_orders_events", first), ("shop_orders_latest", latest)):
            schema = promised[name]
            assert schema is not None
            assert SchemaValidator(schema).check(result) is None
            assert set(result) == set(schema["required"]) == set(schema["properties"]) - {"hint"}
        assert (await client.call_tool("shop_orders_events", {"cursor": "none"})).is_error
