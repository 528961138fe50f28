"""What `serve` puts together: gauges of the pools, and secrets that are removed before a text is cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.peer import Peer, bridge_to, entry, jsonrpc, peer
from utcp_ws_mcp import BridgeError
from utcp_ws_mcp.observability.metrics import CONNECTION_COUNT, PENDING_REQUESTS
from utcp_ws_mcp.server.run import ServeOptions, make_tool_service, read_gauges

RPC = {"preset": "jsonrpc2"}
SECRET = "s3cret-value-of-the-header"
LONG = "." * 190 + SECRET
VARIABLES = {"KEY": SECRET}
HEADERS = {"headers": {"X-Key": "${KEY}"}}


async def test_the_gauges_show_the_pools(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        before = list(read_gauges(bridge))
        await bridge.call_tool("m.t", {"n": 1})
        after = list(read_gauges(bridge))
    idle, used = (CONNECTION_COUNT, ("m", "idle")), (CONNECTION_COUNT, ("m", "used"))
    assert before == [(*idle, 0), (*used, 0), (PENDING_REQUESTS, ("m",), 0)]
    assert after == [(*idle, 1), (*used, 0), (PENDING_REQUESTS, ("m",), 0)]


async def error_of(folder: Path, reply: str | bytes, **fields: Any) -> str:
    """Return the error of a call to an endpoint that answers every message with the same reply."""

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(reply)

    async with peer(answer) as seen:
        document = entry(seen, "t", **HEADERS, **fields)
        async with bridge_to(folder, document, environ=VARIABLES) as bridge:
            with pytest.raises(BridgeError) as failed:
                await bridge.call_tool("m.t", {})
    return str(failed.value)


@pytest.mark.parametrize(
    ("reply", "fields"),
    [
        (LONG, {"response_format": "json"}),
        (b"\xff\xfe" + SECRET.encode() + b"\xff" * 20, {"response_format": "text"}),
        (LONG, {"ignore": "true", "timeout": 0.2}),
        (LONG, {"on_connect": [{"send": "login"}, {"expect": "false", "fail": "true"}]}),
        (LONG, {"on_connect": [{"send": "login"}, {"expect": "false", "timeout": 0.2}]}),
    ],
    ids=["a reply", "a binary reply", "a timeout", "a login that fails", "a login without an answer"],
)
async def test_a_secret_is_removed_before_a_message_is_cut(tmp_path: Path, reply: Any, fields: dict[str, Any]) -> None:
    text = await error_of(tmp_path, reply, **fields)
    assert SECRET[:6] not in text
    assert SECRET[:6].encode().hex() not in text
    assert "***" in text or "…" not in text


async def test_a_credential_is_removed_from_progress(tmp_path: Path) -> None:
    async def stream(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"id": message["id"], "result": f"you sent {SECRET}"}))
        await connection.send(json.dumps({"id": message["id"], "done": True}))

    shown: list[str] = []

    async def report(number: float, message: str) -> None:
        shown.append(message)

    async with peer(stream) as seen:
        document = entry(seen, "t", **RPC, **HEADERS, stream={"until": "message.done"})
        async with bridge_to(tmp_path, document, environ=VARIABLES) as bridge:
            service = make_tool_service(bridge, ServeOptions())
            tool = await service.find("m_t")
            assert tool is not None
            await service.call(tool, {}, report)
    assert shown == ["you sent ***"]
