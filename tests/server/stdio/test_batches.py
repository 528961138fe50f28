"""JSON-RPC batches, which the revision 2025-03-26 demands, and no other has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.peer import entry, jsonrpc, peer
from tests.server.stdio.pipes import host_in_process
from utcp_ws_mcp.server.result import MIN_MAX_LINE_BYTES, MessageOptions

RPC = {"preset": "jsonrpc2"}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
LIST = {"jsonrpc": "2.0", "id": "two", "method": "tools/list"}
NOTIFICATION = {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}
UNKNOWN = {"jsonrpc": "2.0", "id": 3, "method": "no/such"}
INVALID = {"jsonrpc": "2.0", "id": 4}


def call(number: int, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": "m_t", "arguments": arguments}}


@pytest.mark.parametrize("fast_path", [True, False], ids=["fast", "sdk"])
@pytest.mark.parametrize(
    ("batch", "answered"),
    [
        ([PING], {1: "result"}),
        ([PING, LIST, call(7, n=1)], {1: "result", "two": "result", 7: "result"}),
        ([NOTIFICATION, PING, NOTIFICATION], {1: "result"}),
        ([UNKNOWN, PING], {3: "error", 1: "result"}),
        ([INVALID, 5, [], PING], {4: "error", None: "error", 1: "result"}),
        ([INVALID], {4: "error"}),
        ([{"jsonrpc": "2.0", "id": 9, "result": {}}, PING], {1: "result"}),
    ],
    ids=["one", "several", "notifications", "unknown method", "invalid", "only invalid", "response"],
)
async def test_a_batch_is_answered_by_one_array(
    tmp_path: Path, batch: list[Any], answered: dict[Any, str], fast_path: bool
) -> None:
    async with peer(jsonrpc) as seen, host_in_process(tmp_path, entry(seen, "t", **RPC), fast_path=fast_path) as host:
        await host.initialize("2025-03-26")
        await host.send(b"\xef\xbb\xbf" + json.dumps(batch).encode())
        responses = await host.receive()
        assert {response["id"]: kind for response in responses for kind in response.keys() & {"result", "error"}} == (
            answered
        )
        await host.send([NOTIFICATION], PING)
        assert await host.receive() == {"jsonrpc": "2.0", "id": 1, "result": {}}


@pytest.mark.parametrize(
    ("version", "batch", "code"),
    [
        ("2025-03-26", [], -32600),
        ("2024-11-05", [PING], -32600),
        ("2025-06-18", [PING], -32600),
        ("2025-11-25", [PING], -32600),
    ],
)
async def test_what_is_no_batch_of_the_revision_is_one_error(
    tmp_path: Path, version: str, batch: list[Any], code: int
) -> None:
    async with peer(jsonrpc) as seen, host_in_process(tmp_path, entry(seen, "t", **RPC)) as host:
        await host.initialize(version)
        await host.send(batch)
        assert (await host.receive())["error"]["code"] == code
        assert "result" in await host.request(9, "tools/list")


async def test_a_cancelled_request_is_left_out_of_the_array(tmp_path: Path) -> None:
    async def silent_to_first(seen: Any, connection: Any, message: Any) -> None:
        if message["params"]["n"]:
            await jsonrpc(seen, connection, message)

    async with peer(silent_to_first) as seen, host_in_process(tmp_path, entry(seen, "t", **RPC)) as host:
        await host.initialize("2025-03-26")
        await host.send([call(1, n=0), call(2, n=1)])
        await seen.until(lambda: len(seen.received) == 2)
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        await host.send(cancelled)
        assert [response["id"] for response in await host.receive()] == [2]


async def test_responses_that_are_too_long_for_one_line_come_in_several_arrays(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen:
        async with host_in_process(
            tmp_path, entry(seen, "t", **RPC), options=MessageOptions(max_line_bytes=MIN_MAX_LINE_BYTES)
        ) as host:
            await host.initialize("2025-03-26")
            await host.send([call(number, text="x" * 30_000) for number in range(1, 6)])
            seen_ids: list[int] = []
            while len(seen_ids) < 5:
                responses = await host.receive()
                assert len(json.dumps(responses, separators=(",", ":"))) < MIN_MAX_LINE_BYTES
                seen_ids += [response["id"] for response in responses]
    assert sorted(seen_ids) == [1, 2, 3, 4, 5]
