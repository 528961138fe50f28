"""The bridges of callers at several replicas."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.peer import peer
from tests.redis_server import RedisServer, needs_redis, redis_server, replica
from tests.server.http.test_callers import ADA, BOB, FEED, keys, manifest, who
from utcp_ws_mcp.bridge import Bridge
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.observability.redaction import Redactor, SinkRedactor
from utcp_ws_mcp.server.auth.access import Caller
from utcp_ws_mcp.server.auth.caller_variables import parse_caller_variables
from utcp_ws_mcp.server.callers import CallerBridges, open_callers

pytestmark = [pytest.mark.anyio, needs_redis]


@asynccontextmanager
async def callers_at(
    store: RedisServer, name: str, folder: Path, document: Any, key: str | None
) -> AsyncIterator[CallerBridges]:
    variables = parse_caller_variables(["KEY=X-Key"])
    assert variables is not None
    file = folder / f"{name}.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    loaded = load_manifest(file, {}, callers=variables.stand_ins)
    sinks = SinkRedactor(Redactor([loaded.manifest]))
    async with (
        replica(store, name, key=key) as fleet,
        Bridge([loaded], fleet=fleet) as bridge,
        open_callers(bridge, variables, sinks, lambda _: None) as callers,
    ):
        assert callers is not None
        yield callers


async def read(callers: CallerBridges, value: str, **arguments: Any) -> Any:
    tool = await callers._main._find_tool("m.said_events")
    lease = await callers.lease(tool, Caller(None, None, {"KEY": [value.encode()]}))
    try:
        return await lease.bridge.call_tool(tool.full_name, {"wait_seconds": 10, **arguments})
    finally:
        lease.release()


@pytest.mark.parametrize(("key", "connections"), [("k" * 44, [ADA, BOB]), (None, [ADA, ADA, BOB])])
async def test_replicas_with_a_key_open_a_feed_once_for_each_caller(
    tmp_path: Path, key: str | None, connections: list[str]
) -> None:
    async def greet(connection: Any) -> None:
        await connection.send(json.dumps({"said": f"to {connection.request.headers['X-Key'][-3:]}"}))

    async with redis_server(tmp_path) as store, peer(who, greet=greet) as seen:
        document = manifest(seen, feeds=[FEED])
        async with (
            callers_at(store, "a", tmp_path, document, key) as a,
            callers_at(store, "b", tmp_path, document, key) as b,
        ):
            pages = [await read(a, ADA), await read(b, ADA), await read(b, BOB)]

    assert [[event["data"] for event in page["events"]] for page in pages] == [["to ada"], ["to ada"], ["to bob"]]
    assert keys(seen) == connections
