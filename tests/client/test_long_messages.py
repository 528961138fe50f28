"""One WebSocket message that holds many messages is processed in turns, over real connections."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.peer import PATIENCE, Peer, bridge_to, entry, jsonrpc, peer
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.client import connection as connection_module
from utcp_ws_mcp.client import turn
from utcp_ws_mcp.errors import ConnectionLost, IncompleteStream, MessageTooBig

COUNT = 400


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything else get its turn after each message."""
    monkeypatch.setattr(turn, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(connection_module, "MESSAGES_BETWEEN_CHECKS", 1)


def pack_length(values: Sequence[Any]) -> bytes:
    bodies = [json.dumps(value).encode() for value in values]
    return b"".join(len(body).to_bytes(4) + body for body in bodies)


def pack_lines(values: Sequence[Any]) -> str:
    return "\n".join(map(json.dumps, values)) + "\n"


Pack = Callable[[Sequence[Any]], str | bytes]

FRAMINGS: dict[str, tuple[dict[str, Any], Pack]] = {
    "an array": ({"batch": True}, json.dumps),
    "an array behind a prefix": ({"batch": "a"}, lambda values: "a" + json.dumps([*map(json.dumps, values)])),
    "lines": ({"separator": "\n"}, pack_lines),
    "lines that may span messages": ({"separator": "\n", "spans_messages": True}, pack_lines),
    "JSON values in a row": ({}, lambda values: "".join(map(json.dumps, values))),
    "binary lengths": ({"length": {"size": 4}}, pack_length),
    "lengths in text": (
        {"length": {"between": ["~", "~"]}},
        lambda values: "".join(f"~{len(json.dumps(each))}~{json.dumps(each)}" for each in values),
    ),
}

STREAM = {"name": "s", "tool_call_template": {"stream": {"until": "message.last", "item": "message.n"}}}


def items(first: int = 0) -> list[dict[str, int]]:
    return [{"n": number} for number in range(first, first + COUNT)]


async def received_until_another_answers(bridge: Bridge) -> tuple[int, list[int]]:
    """Return how many items a stream had when a call that its first one caused was answered, and its items."""
    found: list[int] = []
    at_answer: list[int] = []

    async def call() -> None:
        await bridge.call_tool("other.t")
        at_answer.append(len(found))

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks, aclosing(bridge.call_tool_streaming("m.s")) as stream:
            async for item in stream:
                found.append(item)
                if len(found) == 1:
                    tasks.start_soon(call)
    return at_answer[0], found


@pytest.mark.parametrize(("framing", "pack"), FRAMINGS.values(), ids=FRAMINGS)
async def test_a_call_at_another_endpoint_is_answered_while_a_long_message_is_processed(
    tmp_path: Path, framing: dict[str, Any], pack: Pack
) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(pack(items()))
        await connection.send(pack([*items(COUNT), {"last": True}]))

    async with peer(answer) as seen, peer(jsonrpc) as other:
        calm = {**entry(other, "t", preset="jsonrpc2"), "name": "other"}
        long = entry(seen, STREAM, framing=framing, message={})
        async with bridge_to(tmp_path, [long, calm]) as bridge:
            await bridge.call_tool("other.t")
            at_answer, found = await received_until_another_answers(bridge)
    assert found == list(range(2 * COUNT))
    assert at_answer < COUNT


def batch_to(seen: Peer, *tools: Any, **template: Any) -> dict[str, Any]:
    return entry(seen, *tools, framing={"batch": True}, message={"do": "{{ tool }}"}, **template)


async def test_each_of_many_calls_gets_its_own_reply_of_one_message(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if len(seen.received) == COUNT:
            replies = [{"jsonrpc": "2.0", "id": each["id"], "result": each["params"]["n"]} for each in seen.received]
            await connection.send(json.dumps([*reversed(replies)]))

    limits = {"max_in_flight": COUNT, "max_connections": 1}
    results: dict[int, Any] = {}
    template = {"preset": "jsonrpc2", "framing": {"batch": True}, "limits": limits}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:

        async def call(number: int) -> None:
            results[number] = await bridge.call_tool("m.t", {"n": number})

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                for number in range(COUNT):
                    tasks.start_soon(call, number)
    assert results == {number: number for number in range(COUNT)}


async def test_a_login_takes_what_it_expects_of_a_long_message_and_the_call_gets_the_rest(tmp_path: Path) -> None:
    async def greet(connection: Any) -> None:
        await connection.send(json.dumps([{"noise": n} for n in range(20)] + [{"hello": 1}, {"key": 2}, *items()]))
        await connection.send(json.dumps([{"last": True}]))

    steps = [{"expect": "message.hello is defined"}, {"expect": "message.key is defined"}]
    tool = {"name": "s", "tool_call_template": {"listen": True, **STREAM["tool_call_template"]}}
    async with peer(jsonrpc, greet=greet) as seen:
        template = {"framing": {"batch": True}, "on_connect": steps, "keep_alive": False}
        async with bridge_to(tmp_path, entry(seen, tool, **template)) as bridge:
            assert list((await bridge.call_tool("m.s")).items) == list(range(COUNT))


async def test_the_whole_message_counts_that_came_before_the_connection_was_closed(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps(items()))
        await connection.send(json.dumps(items(COUNT)))
        await connection.close()

    stream = {"name": "s", "tool_call_template": {"stream": {"until_close": True, "item": "message.n"}}}
    async with peer(answer) as seen, bridge_to(tmp_path, batch_to(seen, stream)) as bridge:
        result = await bridge.call_tool("m.s")
    assert (result.end, list(result.items)) == ("closed", list(range(2 * COUNT)))


async def test_a_connection_that_is_reset_behind_a_long_message_still_gives_all_of_it(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps(items()))
        connection.transport.abort()

    async with peer(answer) as seen, bridge_to(tmp_path, batch_to(seen, STREAM)) as bridge:
        with pytest.raises((ConnectionLost, IncompleteStream)) as failed:
            await bridge.call_tool("m.s")
    assert list(failed.value.partial) == list(range(COUNT))


async def test_a_message_that_is_too_large_within_another_fails_after_those_before_it(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(pack_length(items()) + (1 << 30).to_bytes(4))

    template = {"framing": {"length": {"size": 4}, "spans_messages": True}, "message": {}}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, STREAM, **template)) as bridge:
        with pytest.raises(MessageTooBig) as failed:
            await bridge.call_tool("m.s")
        await seen.until(lambda: [code for code, _ in seen.closed] == [1009])
    assert list(failed.value.partial) == list(range(COUNT))


async def test_a_bridge_that_ends_in_the_middle_of_a_message_closes_the_connection(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps(items()))

    async with peer(answer) as seen:
        with anyio.fail_after(PATIENCE):
            async with bridge_to(tmp_path, batch_to(seen, STREAM)) as bridge:
                async with aclosing(bridge.call_tool_streaming("m.s")) as stream:
                    assert await anext(stream) == 0
            await seen.until(lambda: len(seen.closed) == 1)
