"""A result is computed from the captured values that its message was recognized with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import Peer, bridge_to, entry, peer
from utcp_ws_mcp import ToolError

HEADS = [{"match": "message.head is defined", "set": {"head": "message.head"}}]


async def send_in_one_message(connection: Any, values: list[Any]) -> None:
    """Send values such that the bridge has all of them before the call continues."""
    await connection.send("\n".join(map(json.dumps, values)) + "\n")


def capturing(**fields: Any) -> dict[str, Any]:
    return {"capture": HEADS, "framing": {"separator": "\n"}, "response_format": "json", "timeout": 2, **fields}


async def test_an_item_sees_what_its_own_message_has_captured(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        parts = [part for i in range(4) for part in ({"head": i}, {"body": i})]
        await send_in_one_message(connection, [*parts, {"done": 1}])

    stream = {"until": "message.done", "item": "{'head': session.head, 'body': message.body}"}
    fields = capturing(ignore="message.head is defined", stream=stream)
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **fields)) as bridge:
        result = await bridge.call_tool("m.t")
    assert result.items == tuple({"head": i, "body": i} for i in range(4))


async def test_a_reply_and_an_error_see_what_was_captured_before_them(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        kind = "error" if message["fail"] else "result"
        await send_in_one_message(connection, [{"head": 1}, {"id": message["id"], kind: 1}, {"head": 2}])

    reply = {
        "match": "message.id == request_id",
        "error": "message.error",
        "error_message": "'head ' ~ session.head",
        "result": "session.head",
    }
    message = {"id": "{{ request_id }}", "fail": "{{ args.fail }}"}
    async with (
        peer(answer) as seen,
        bridge_to(tmp_path, entry(seen, "t", **capturing(reply=reply, message=message))) as bridge,
    ):
        assert await bridge.call_tool("m.t", {"fail": False}) == 1
        with pytest.raises(ToolError, match="head 1"):
            await bridge.call_tool("m.t", {"fail": True})


async def test_messages_that_are_held_until_the_reply_keep_their_own_state(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        early = [part for i in range(3) for part in ({"head": i}, {"body": i})]
        await send_in_one_message(connection, [*early, {"id": message["id"]}, {"head": 9}, {"done": 1}])

    stream = {
        "match": "(message.body is defined and session.head == message.body) or message.done",
        "until": "message.done",
        "item": "[session.head, message.body]",
    }
    fields = capturing(reply={"match": "message.id == request_id"}, message={"id": "{{ request_id }}"}, stream=stream)
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **fields)) as bridge:
        result = await bridge.call_tool("m.t")
    assert (result.items, result.end) == (([0, 0], [1, 1], [2, 2]), "until")


async def test_events_of_a_feed_keep_their_own_state(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        early = [part for i in range(3) for part in ({"head": i}, {"body": i})]
        await send_in_one_message(connection, [*early, {"id": message["id"]}])

    heard = {
        "name": "heard",
        "match": "message.body is defined",
        "item": "[session.head, message.body]",
        "start": "first_call",
    }
    fields = capturing(reply={"match": "message.id == request_id"}, message={"id": "{{ request_id }}"}, feeds=[heard])
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "ask", **fields)) as bridge:
        await bridge.call_tool("m.ask")
        events = (await bridge.call_tool("m.heard_events"))["events"]
        assert [event["data"] for event in events] == [[0, 0], [1, 1], [2, 2]]


async def test_the_message_that_ends_a_stream_early_sees_what_was_captured_last(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if "cancel" not in message:
            await send_in_one_message(connection, [{"n": 1}, {"head": 5}])

    stream = {"until": "message.done", "max_seconds": 0.2, "cancel": {"cancel": "{{ session.head }}"}}
    fields = capturing(ignore="message.head is defined", stream=stream, reply={"result": "message.n"})
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **fields)) as bridge:
        await bridge.call_tool("m.t")
        await seen.until(lambda: {"cancel": 5} in seen.received)


async def test_the_reply_to_a_ping_of_a_call_is_not_taken_by_a_heartbeat(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"type": "pong", "id": message["id"]}))

    heartbeat = {"every": 0.05, "send": {"id": "{{ request_id }}", "type": "ping"}, "expect": "message.type == 'pong'"}
    fields = {
        "heartbeat": {**heartbeat, "timeout": 2},
        "request_id": "counter",
        "message": {"id": "{{ request_id }}", "type": "ping"},
        "reply": {"match": "message.id == request_id", "result": "message.type"},
        "response_format": "json",
        "timeout": 2,
    }
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **fields)) as bridge:
        with anyio.fail_after(10):
            while len(seen.received) < 12:
                assert await bridge.call_tool("m.t") == "pong"
                count = len(seen.received)
                await seen.until(lambda count=count: len(seen.received) > count)  # type: ignore[misc]
    assert len(seen.upgrades) == 1
