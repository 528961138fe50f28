"""A stream that its timeout cuts has failed, and every result of a stream says whether it is complete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.peer import Peer, bridge_to, entry, peer
from utcp_ws_mcp import BridgeError, CallTimeout
from utcp_ws_mcp.errors import IncompleteStream, Outcome

UNTIL = {"until": "message.done"}


async def send_two_items(seen: Peer, connection: Any, message: Any) -> None:
    await connection.send(json.dumps({"n": 1}))
    await connection.send(json.dumps({"n": 2}))


async def send_two_items_and_the_end(seen: Peer, connection: Any, message: Any) -> None:
    await send_two_items(seen, connection, message)
    await connection.send(json.dumps({"done": True}))


async def send_two_items_and_close(seen: Peer, connection: Any, message: Any) -> None:
    await send_two_items(seen, connection, message)
    await connection.close()


# Who ends the stream, its fields, its end, and whether it is complete.
ENDS = {
    "its end": (send_two_items_and_the_end, UNTIL, "until", True),
    "the server, where nothing else ends it": (send_two_items_and_close, {}, "closed", True),
    "the server, as it should": (send_two_items_and_close, {"until_close": True}, "closed", True),
    "the server, before its end": (send_two_items_and_close, UNTIL, "closed", False),
    "max_items": (send_two_items, {**UNTIL, "max_items": 2}, "max_items", False),
    "max_bytes": (send_two_items, {**UNTIL, "max_bytes": 10}, "max_bytes", False),
    "max_seconds": (send_two_items, {**UNTIL, "max_seconds": 0.2}, "max_seconds", False),
    "max_seconds above the timeout": (send_two_items, {**UNTIL, "max_seconds": 0.5}, "max_seconds", False),
    "idle_seconds": (send_two_items, {**UNTIL, "idle_seconds": 0.1}, "idle_seconds", False),
    "the timeout, where nothing else ends it": (send_two_items, {}, "max_seconds", False),
}


def tool_with(stream: dict[str, Any]) -> dict[str, Any]:
    # A rule for the reply, because a bare stream has the rules of UTCP.
    return {"stream": stream, "reply": {"result": "message.n"}, "response_format": "json", "timeout": 0.3}


@pytest.mark.parametrize(("answer", "stream", "end", "complete"), ENDS.values(), ids=ENDS)
async def test_the_result_of_a_stream_says_whether_it_is_complete(
    tmp_path: Path, answer: Any, stream: dict[str, Any], end: str, complete: bool
) -> None:
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **tool_with(stream))) as bridge:
        result = await bridge.call_tool("m.t")
    assert result.value == {"items": [1, 2], "end": end, "complete": complete}
    assert (result.end, result.complete) == (end, complete)


@pytest.mark.parametrize(("answer", "stream", "end", "complete"), ENDS.values(), ids=ENDS)
async def test_a_stream_that_must_end_by_itself_fails_otherwise(
    tmp_path: Path, answer: Any, stream: dict[str, Any], end: str, complete: bool
) -> None:
    tool = tool_with({**stream, "require_end": True})
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **tool)) as bridge:
        if complete:
            assert (await bridge.call_tool("m.t")).complete
            return
        with pytest.raises((IncompleteStream, CallTimeout)) as failed:
            await bridge.call_tool("m.t")
    assert isinstance(failed.value, BridgeError)
    assert (failed.value.partial, failed.value.outcome) == ((1, 2), Outcome.MAYBE_EXECUTED)


@pytest.mark.parametrize("stream", [UNTIL, {"until_close": True}, {"require_end": True}, {**UNTIL, "collect": "last"}])
async def test_a_stream_whose_end_does_not_come_in_time_fails_with_its_items(
    tmp_path: Path, stream: dict[str, Any]
) -> None:
    async with peer(send_two_items) as seen, bridge_to(tmp_path, entry(seen, "t", **tool_with(stream))) as bridge:
        with pytest.raises(CallTimeout, match=r"waiting for the end of the stream: 2 items came\.") as failed:
            await bridge.call_tool("m.t")
        assert (failed.value.code, failed.value.partial) == ("stream-timeout", (1, 2))

        items: list[Any] = []

        async def iterate() -> None:
            items.extend([item async for item in bridge.call_tool_streaming("m.t")])

        with pytest.raises(CallTimeout):
            await iterate()


async def test_the_rest_of_a_stream_that_failed_after_an_item_answers_no_later_call(tmp_path: Path) -> None:
    unsent: dict[Any, dict[str, Any]] = {}

    async def fail_the_first(seen: Peer, connection: Any, message: Any) -> None:
        if rest := unsent.pop(connection, None):
            await connection.send(json.dumps(rest))
        await connection.send(json.dumps({"n": len(seen.received)}))
        if len(seen.received) == 1:
            await connection.send(json.dumps({"error": "no more"}))
            unsent[connection] = {"done": True}
        else:
            await connection.send(json.dumps({"done": True}))

    tool = tool_with(UNTIL) | {"reply": {"error": "message.error is defined", "result": "message.n"}}
    async with peer(fail_the_first) as seen, bridge_to(tmp_path, entry(seen, "t", **tool)) as bridge:
        with pytest.raises(BridgeError, match="no more"):
            await bridge.call_tool("m.t")
        result = await bridge.call_tool("m.t")

    assert result.value == {"items": [2], "end": "until", "complete": True}
