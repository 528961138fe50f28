"""The presets for JSON-RPC: the message of an error contains its `data` (JSON-RPC 2.0, section 5.1)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.peer import Peer, bridge_to, entry, peer
from utcp_ws_mcp import ToolError

ERRORS: dict[str, tuple[Any, str]] = {
    "a message alone": ({"code": -32601, "message": "Method not found"}, "Method not found (-32601)"),
    "a text": (
        {"code": -32603, "message": "Internal error", "data": "no such room"},
        "Internal error (-32603): no such room",
    ),
    "an object": ({"code": -1, "message": "no disk", "data": {"free": 3}}, 'no disk (-1): {"free":3}'),
    "nothing": ({"code": -1, "message": "no disk", "data": None}, "no disk (-1)"),
    "a long text": ({"code": -1, "message": "failed", "data": "x" * 5000}, "failed (-1): " + "x" * 1000),
    "no message": ({"code": -1, "data": "why"}, '{"jsonrpc":"2.0","id":1,"error":{"code":-1,"data":"why"}}'),
    "no object": ("denied", '{"jsonrpc":"2.0","id":1,"error":"denied"}'),
}


@pytest.mark.parametrize("preset", ["jsonrpc2", "cdp"])
@pytest.mark.parametrize(("error", "sentence"), ERRORS.values(), ids=ERRORS)
async def test_an_error_message_contains_its_data(tmp_path: Path, preset: str, error: Any, sentence: str) -> None:
    async def fail(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}))

    request = {"id": "{{ request_id }}", "method": "{{ tool }}"}
    document = {"preset": preset, "on_connect": [], "message": request}
    async with peer(fail) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        with pytest.raises(ToolError) as fault:
            await bridge.call_tool("m.t")
    assert fault.value.message == sentence
