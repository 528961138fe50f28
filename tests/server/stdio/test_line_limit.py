"""No line to the host is longer than `--max-line-bytes`: a longer one would cost it the session and all tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.peer import Peer, bridge_to, entry, peer
from tests.server.sides import BOTH_ERAS, session_over_pipes
from tests.server.stdio.test_fast_path import enveloped
from tests.server.stdio.test_transport import Host, host_of
from utcp_ws_mcp.server.result import MIN_MAX_LINE_BYTES, MessageOptions
from utcp_ws_mcp.server.tools import ToolService

LIMIT = MIN_MAX_LINE_BYTES
OPTIONS = ["--max-line-bytes", str(LIMIT)]
BIG_ID = "i" * 2 * LIMIT
TOOLS = [{"name": f"t{number}", "description": "d" * 20_000} for number in range(8)]


async def big(seen: Peer, connection: Any, message: Any) -> None:
    match message["method"]:
        case "binary":
            await connection.send(b"\x89PNG\r\n\x1a\n" + bytes(LIMIT))
        case "fails":
            await connection.send(json.dumps({"id": message["id"], "error": {"message": "é" * LIMIT}}))
        case "streams":
            for number in range(4):
                await connection.send(json.dumps({"id": message["id"], "result": "x" * (LIMIT // 3), "n": number}))
        case _:
            await connection.send(json.dumps({"id": message["id"], "result": {"a": "x" * message["params"]["size"]}}))


def document(seen: Peer) -> Any:
    streams = {"name": "streams", "tool_call_template": {"stream": {"until": "message.n == 3"}}}
    tools = [{"name": "sized"}, {"name": "fails"}, streams]
    return [
        entry(seen, *tools, preset="jsonrpc2"),
        {**entry(seen, "binary", message={"method": "binary"}), "name": "b"},
    ]


def call(number: Any, name: str, token: Any = None, **arguments: Any) -> dict[str, Any]:
    meta = {} if token is None else {"_meta": {"progressToken": token}}
    params = {"name": name, "arguments": arguments, **meta}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


CALLS = {
    "both forms": call("a", "m_sized", size=1000),
    "one form": call("b", "m_sized", size=LIMIT * 3 // 4),
    "no form": call("c", "m_sized", size=LIMIT),
    "error": call("d", "m_fails"),
    "stream": call("e", "m_streams", 1),
    "binary": call("f", "b_binary"),
    "progress with a long token": call("g", "m_streams", BIG_ID),
    "unknown tool": call("h", "x" * LIMIT),
    "resource": {"jsonrpc": "2.0", "id": "i", "method": "resources/read", "params": {"uri": "x:" + "y" * LIMIT}},
    "guide": {"jsonrpc": "2.0", "id": "j", "method": "resources/read", "params": {"uri": "utcp-ws://manifest-guide"}},
    "unknown method": {"jsonrpc": "2.0", "id": "k", "method": "z" * LIMIT},
    "long id": call(BIG_ID, "m_sized", size=1),
    "long id without a method": {"jsonrpc": "2.0", "id": BIG_ID},
}


@pytest.mark.parametrize("era", ["handshake", "2026-07-28"])
@pytest.mark.parametrize("options", [[], ["--no-fast-path"]], ids=["fast", "sdk"])
async def test_every_line_keeps_the_bound_and_the_session_lives(tmp_path: Path, era: str, options: list[str]) -> None:
    async with peer(big) as seen, host_of(tmp_path, document(seen), *OPTIONS, *options) as host:
        if era == "handshake":
            await host.initialize()
        for request in CALLS.values():
            await host.send(request if era == "handshake" or "params" not in request else enveloped(request))
            answer = await next_answer(host)
            assert answer.get("id") in (request["id"], None)
        text = await text_of(host, CALLS["no form"], era)
    assert text.startswith("m_sized: the result has ")


async def next_answer(host: Host) -> Any:
    """Receive up to the next answer, and check the size of every line."""
    while True:
        message = await host.receive()
        assert len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()) < LIMIT
        if "method" not in message:
            return message


async def text_of(host: Host, request: Any, era: str) -> str:
    await host.send(request if era == "handshake" else enveloped(request))
    return str((await next_answer(host))["result"]["content"][0]["text"])


@BOTH_ERAS
async def test_a_list_that_is_too_long_for_one_line_has_pages(tmp_path: Path, mode: str) -> None:
    async with peer(big) as seen, bridge_to(tmp_path, entry(seen, *TOOLS)) as bridge:
        tools = ToolService(bridge, options=MessageOptions(max_line_bytes=LIMIT))
        async with Client(session_over_pipes(tools), mode=mode) as client:
            names, cursor, pages = [], None, 0
            while pages == 0 or cursor is not None:
                page = await client.list_tools(cursor=cursor)
                names += [tool.name for tool in page.tools]
                cursor, pages = page.next_cursor, pages + 1
    assert names == [f"m_t{number}" for number in range(8)]
    assert pages == 3


async def test_a_tool_that_is_too_long_for_a_line_is_not_listed(tmp_path: Path) -> None:
    tools = [{"name": "long", "description": "d" * LIMIT}, {"name": "short"}]
    async with peer(big) as seen, host_of(tmp_path, entry(seen, *tools), *OPTIONS) as host:
        await host.initialize()
        listed = await host.request(1, "tools/list")
        assert [tool["name"] for tool in listed["result"]["tools"]] == ["m_short"]
