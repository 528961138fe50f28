"""One call: the right answer or a clear error."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.frames import Opcode

from tests.peer import PATIENCE, Peer, bridge_to, echo, entry, jsonrpc, peer, silent
from utcp_ws_mcp import Bridge, CallTimeout, InvalidArguments, InvalidReply, NetworkError, ToolError, UnknownTool
from utcp_ws_mcp.client.call import MAX_CONNECTION_ATTEMPTS
from utcp_ws_mcp.client.pool.circuit_breaker import FAILURE_THRESHOLD
from utcp_ws_mcp.errors import ConnectError, ConnectionLost, MessageTooBig, Outcome
from utcp_ws_mcp.observability.events import Event, RequestSent

RPC = {"preset": "jsonrpc2"}


async def together(bridge: Bridge, count: int) -> dict[int, Any]:
    """The results of so many calls at once, by their argument."""
    results: dict[int, Any] = {}

    async def call(number: int) -> None:
        results[number] = await bridge.call_tool("m.t", {"n": number})

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as calls:
            for number in range(count):
                calls.start_soon(call, number)
    return results


async def test_without_a_template_the_arguments_are_the_message(tmp_path: Path) -> None:
    async with peer(echo) as seen, bridge_to(tmp_path, entry(seen, "t", response_format="json")) as bridge:
        assert await bridge.call_tool("m.t", {"a": 1, "b": ["x", None]}) == {"a": 1, "b": ["x", None]}


async def test_a_raw_result_is_what_came(tmp_path: Path) -> None:
    async def binary(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(b"\x00\xff")

    async with peer(binary) as seen, bridge_to(tmp_path, entry(seen, "t")) as bridge:
        assert await bridge.call_tool("m.t") == b"\x00\xff"


async def test_a_call_whose_reply_is_not_recognised_reports_what_came(tmp_path: Path) -> None:
    async def other(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"ID": message["id"], "result": 1}))

    document = {"request_id": "counter", "message": {"id": "{{ request_id }}"}, "timeout": 0.3}
    reply = {"match": "message.id == request_id"}
    async with peer(other) as seen, bridge_to(tmp_path, entry(seen, "t", reply=reply, **document)) as bridge:
        message = (
            r'did not match; the endpoint said: “\{"ID": 1, "result": 1\}”\. It has the ID .* The request was sent'
        )
        with pytest.raises(CallTimeout, match=message):
            await bridge.call_tool("m.t")


async def test_a_token_that_came_last_is_not_shown(tmp_path: Path) -> None:
    async def log_in(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"login": {"accessToken": "eyJ-0123456789", "user": "ada"}}))

    tool = {"message": {"login": 1}, "reply": {"match": "message.ok"}, "timeout": 0.3}
    async with peer(log_in) as seen, bridge_to(tmp_path, entry(seen, "t", **tool)) as bridge:
        with pytest.raises(CallTimeout, match=r'said: “\{"login": \{"accessToken": "\*\*\*", "user": "ada"\}\}”'):
            await bridge.call_tool("m.t")


async def test_a_timeout_shows_nothing_of_what_came_for_other_calls(tmp_path: Path) -> None:
    async def first_only(seen: Peer, connection: Any, message: Any) -> None:
        if message["id"] == 1:
            await connection.send('{"event": "before"}')
            await connection.send('{"id": 1, "result": "mine"}')

    async with peer(first_only) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        assert await bridge.call_tool("m.t") == "mine"
        with pytest.raises(CallTimeout, match=r"timed out after 0\.3 s waiting for a reply\. The request was sent"):
            await bridge.call_tool("m.t", timeout=0.3)


async def test_the_timeout_of_a_call_is_of_this_call_only(tmp_path: Path) -> None:
    async def second_only(seen: Peer, connection: Any, message: Any) -> None:
        if len(seen.received) == 2:
            await connection.send(json.dumps({"id": message["id"], "result": "late"}))

    async with peer(second_only) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC, timeout=60)) as bridge:
        with pytest.raises(CallTimeout, match=r"timed out after 0\.1 s"):
            await bridge.call_tool("m.t", timeout=0.1)
        assert await bridge.call_tool("m.t") == "late"
        assert bridge.tools["m.t"].template.timeout == 60


async def test_several_messages_of_a_call_go_out_one_behind_the_other(tmp_path: Path) -> None:
    async def join(seen: Peer, connection: Any, message: Any) -> None:
        if message["type"] == "end":
            parts = [each["part"] for each in seen.received if each["id"] == message["id"]]
            await connection.send(json.dumps({"id": message["id"], "parts": parts}))

    message = {"type": "begin", "id": "{{ request_id }}", "part": "{{ args.n }}-0"}
    then = [{**message, "type": "more", "part": "{{ args.n }}-1"}, {**message, "type": "end", "part": "{{ args.n }}-2"}]
    reply = {"match": "message.id == request_id", "result": "message.parts"}
    inputs = {"properties": {"n": {"type": "integer"}}}
    tool = {"name": "t", "inputs": inputs, "tool_call_template": {"message": message, "then": then, "reply": reply}}
    async with peer(join) as seen, bridge_to(tmp_path, entry(seen, tool)) as bridge:
        results = await together(bridge, 16)
        sent = [each["id"] for each in seen.received]
    assert results == {number: [f"{number}-0", f"{number}-1", f"{number}-2"] for number in range(16)}
    assert all(sent[at] == sent[at + 1] == sent[at + 2] for at in range(0, 48, 3))


async def test_nothing_of_a_call_is_sent_when_one_of_its_messages_cannot_be_written(tmp_path: Path) -> None:
    template = {"message": "first", "then": ["{{ args.v.w }}"]}
    async with (
        peer(echo) as seen,
        bridge_to(tmp_path, entry(seen, "other", {"name": "t", "tool_call_template": template})) as bridge,
    ):
        with pytest.raises(InvalidArguments):
            await bridge.call_tool("m.t")
        await bridge.call_tool("m.other", {"a": 1})
    assert seen.received == [{"a": 1}]


async def test_a_value_that_a_call_computes_once_is_the_same_wherever_it_stands(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"tag": "of no call"}))
        await connection.send(json.dumps({"tag": message["tag"], "sum": message["sum"]}))

    template = {
        "let": {"tag": "random_hex(8)", "frame": "args.n ~ ':' ~ let.tag"},
        "message": {"tag": "{{ let.tag }}", "frame": "{{ let.frame }}", "sum": "{{ let.frame | crc32 }}"},
        "reply": {"match": "message.tag == let.tag", "result": "[message.sum, let.frame | crc32]"},
    }
    tool = {"name": "t", "inputs": {"properties": {"n": {"type": "integer"}}}, "tool_call_template": template}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, tool, response_format="json")) as bridge:
        for number in range(3):
            sent, computed = await bridge.call_tool("m.t", {"n": number})
            assert sent == computed
    assert [message["frame"] for message in seen.received] == [
        f"{number}:{message['tag']}" for number, message in enumerate(seen.received)
    ]
    assert len({message["tag"] for message in seen.received}) == 3


async def test_what_is_made_of_a_missing_argument_is_missing_too(tmp_path: Path) -> None:
    lets = {"name": "args.user | lower", "sum": "let.name | crc32"}
    message = {"plain": "{{ let.name }}", "sum": "{{ let.sum }}", "made": "{{ let.name | upper }}", "n": 1}
    template = {"let": lets, "message": message, "response_format": "json"}
    tool = {"name": "t", "inputs": {"properties": {"user": {}}}, "tool_call_template": template}
    async with peer(echo) as seen, bridge_to(tmp_path, entry(seen, tool)) as bridge:
        assert await bridge.call_tool("m.t") == {"n": 1}
        assert (await bridge.call_tool("m.t", {"user": "ADA"}))["made"] == "ADA"


async def test_a_tool_from_the_network_sees_nothing_of_what_the_manifest_computes(tmp_path: Path) -> None:
    manual = {"tools": [{"name": "t", "tool_call_template": {"message": {"a": 1}, "reply": {"result": "let.key"}}}]}

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps(manual if message == {"type": "utcp"} else {"ok": True}))

    lets = {"key": "vars.KEY | sha256 | hex"}
    environ = {"KEY": "a-secret-123"}
    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, let=lets), environ=environ) as bridge:
        with pytest.raises(InvalidReply):
            await bridge.call_tool("m.t")


async def test_a_value_that_cannot_be_computed_is_reported_and_nothing_is_sent(tmp_path: Path) -> None:
    template = {"let": {"key": "args.key | unhex"}, "message": {"key": "{{ let.key | base64 }}"}}
    tool = {"name": "t", "inputs": {"properties": {"key": {}}}, "tool_call_template": template}
    async with peer(echo) as seen, bridge_to(tmp_path, entry(seen, tool, response_format="json")) as bridge:
        with pytest.raises(InvalidArguments, match=r"let\.key: "):
            await bridge.call_tool("m.t", {"key": "no hex"})
        assert await bridge.call_tool("m.t", {"key": "ff"}) == {"key": "/w=="}
    assert len(seen.received) == 1


async def test_a_manual_from_the_network_may_send_several_messages_and_is_asked_for_with_one(tmp_path: Path) -> None:
    manual = {
        "tools": [
            {"name": "t", "tool_call_template": {"message": "a", "then": ["b"], "reply": {"match": "message == 'b'"}}}
        ]
    }

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps(manual) if message == {"type": "utcp"} else message)

    async with peer(answer) as seen, bridge_to(tmp_path, entry(seen, then=["never asked"])) as bridge:
        assert await bridge.call_tool("m.t") == "b"
    assert seen.received == [{"type": "utcp"}, "a", "b"]


async def test_replies_in_reverse_order_reach_their_own_calls(tmp_path: Path) -> None:
    waiting: list[Any] = []

    async def reverse(seen: Peer, connection: Any, message: Any) -> None:
        waiting.append(message)
        if len(waiting) == 32:
            for request in reversed(waiting):
                await connection.send(json.dumps({"event": "noise"}))
                await connection.send(json.dumps({"id": request["id"], "result": request["params"]["n"]}))

    async with peer(reverse) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        results = await together(bridge, 32)
        assert len(seen.upgrades) == 1
    assert results == {number: number for number in range(32)}


async def test_a_late_reply_after_a_timeout_is_dropped_and_the_shared_connection_goes_on(tmp_path: Path) -> None:
    held: list[Any] = []

    async def hold_first(seen: Peer, connection: Any, message: Any) -> None:
        if not held:
            held.append(message)
            return
        await connection.send(json.dumps({"id": held[0]["id"], "result": "late"}))
        await connection.send(json.dumps({"id": message["id"], "result": "mine"}))

    async with peer(hold_first) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        with pytest.raises(CallTimeout) as timeout:
            await bridge.call_tool("m.t", timeout=0.5)
        assert timeout.value.outcome is Outcome.MAYBE_EXECUTED
        assert await bridge.call_tool("m.t") == "mine"
        assert len(seen.upgrades) == 1


async def test_without_ids_a_connection_that_timed_out_is_thrown_away(tmp_path: Path) -> None:
    async def answer_second(seen: Peer, connection: Any, message: Any) -> None:
        if len(seen.received) == 1:
            await connection.wait_closed()
        else:
            await connection.send("mine")

    async with peer(answer_second) as seen, bridge_to(tmp_path, entry(seen, "t")) as bridge:
        with pytest.raises(TimeoutError):
            await bridge.call_tool("m.t", timeout=0.5)
        assert await bridge.call_tool("m.t") == "mine"
        assert len(seen.upgrades) == 2


async def test_a_greeting_is_not_taken_for_the_answer(tmp_path: Path) -> None:
    async def greet(connection: Any) -> None:
        await connection.send("welcome")
        await connection.send("to this server")

    async with peer(echo, greet=greet) as seen, bridge_to(tmp_path, entry(seen, "t")) as bridge:
        assert json.loads(await bridge.call_tool("m.t", {"a": 1})) == {"a": 1}


async def test_a_doubled_reply_is_not_taken_by_the_next_call(tmp_path: Path) -> None:
    async def twice(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps(message))
        await connection.send(json.dumps(message))

    async with peer(twice) as seen, bridge_to(tmp_path, entry(seen, "t", response_format="json")) as bridge:
        for number in range(20):
            assert await bridge.call_tool("m.t", {"n": number}) == {"n": number}


async def test_messages_that_are_ignored_answer_nothing(tmp_path: Path) -> None:
    async def noisy(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send("PING")
        await connection.send(json.dumps({"event": "x"}))
        await connection.send(json.dumps(message))

    ignoring = {"ignore": ["message == 'PING'", "message.event is defined"], "response_format": "json"}
    async with peer(noisy) as seen, bridge_to(tmp_path, entry(seen, "t", **ignoring)) as bridge:
        assert await bridge.call_tool("m.t", {"n": 1}) == {"n": 1}
        assert await bridge.call_tool("m.t", {"n": 2}) == {"n": 2}
        assert len(seen.upgrades) == 1


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012])
@pytest.mark.parametrize("template", [RPC, {}], ids=["shared", "owned"])
async def test_a_close_instead_of_an_answer_is_an_error_that_names_the_outcome(
    tmp_path: Path, code: int, template: dict[str, Any]
) -> None:
    async def close(seen: Peer, connection: Any, message: Any) -> None:
        await connection.close(code, "going")

    async with peer(close) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        with pytest.raises(ConnectionLost, match=rf"code {code}; the endpoint said: “going”.*may have been executed"):
            await bridge.call_tool("m.t")
        assert len(seen.received) == 1


async def test_a_request_is_never_sent_twice_unless_its_tool_is_idempotent(tmp_path: Path) -> None:
    async def cut_first(seen: Peer, connection: Any, message: Any) -> None:
        if len(seen.received) % 2:
            connection.transport.abort()
        else:
            await connection.send(json.dumps({"id": message["id"], "result": "done"}))

    tools = [{"name": "once"}, {"name": "again", "idempotent": True}]
    async with peer(cut_first) as seen, bridge_to(tmp_path, entry(seen, *tools, **RPC)) as bridge:
        with pytest.raises(ConnectionLost):
            await bridge.call_tool("m.once")
        assert len(seen.received) == 1
        seen.received.append("even")
        assert await bridge.call_tool("m.again") == "done"
        assert len(seen.received) == 4


async def test_a_dead_connection_is_replaced_before_anything_is_sent(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        for number in range(5):
            assert await bridge.call_tool("m.t", {"n": number}) == {"n": number}
            seen.open[0].transport.abort()
            await seen.until(lambda: not seen.open)
        assert len(seen.upgrades) == 5


async def test_arguments_that_do_not_fit_are_named_and_nothing_is_sent(tmp_path: Path) -> None:
    tool = {"name": "t", "inputs": {"properties": {"n": {"type": "integer"}}, "required": ["n"]}}
    async with peer(echo) as seen, bridge_to(tmp_path, entry(seen, tool)) as bridge:
        with pytest.raises(InvalidArguments, match='n: "x" is not of type "integer"'):
            await bridge.call_tool("m.t", {"n": "x"})
        with pytest.raises(InvalidArguments, match='"n" is a required property'):
            await bridge.call_tool("m.t")
        assert not seen.upgrades


async def test_an_argument_that_a_longer_string_needs_is_named_when_it_is_missing(tmp_path: Path) -> None:
    async with (
        peer(echo) as seen,
        bridge_to(tmp_path, entry(seen, "t", message="GET UTCP_ARG_path_UTCP_ARG")) as bridge,
    ):
        with pytest.raises(InvalidArguments, match="argument 'path' is missing"):
            await bridge.call_tool("m.t")
        assert await bridge.call_tool("m.t", {"path": "/x"}) == "GET /x"
        assert seen.received == ["GET /x"]


@pytest.mark.parametrize("bad", ["\ud800", float("nan")])
async def test_an_argument_that_cannot_be_sent_is_refused(tmp_path: Path, bad: Any) -> None:
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        with pytest.raises(InvalidArguments, match=r"cannot (be written as JSON|encode).*\[not-json\]"):
            await bridge.call_tool("m.t", {"a": bad})
        assert await bridge.call_tool("m.t", {"a": 1}) == {"a": 1}


async def test_a_fault_carries_its_message(tmp_path: Path) -> None:
    async def fail(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"id": message["id"], "error": {"code": 7, "message": "no such thing"}}))

    async with peer(fail) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        with pytest.raises(ToolError, match=r"^the endpoint said: no such thing \(7\) \[tool-error\]$") as fault:
            await bridge.call_tool("m.t")
        assert isinstance(fault.value, RuntimeError)


async def test_a_reply_that_is_not_json_shows_its_beginning(tmp_path: Path) -> None:
    async def garbage(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send("<html>" + "x" * 500)

    async with peer(garbage) as seen, bridge_to(tmp_path, entry(seen, "t", response_format="json")) as bridge:
        with pytest.raises(InvalidReply) as invalid:
            await bridge.call_tool("m.t")
    assert "The endpoint said: “<html>" + "x" * 194 + "…”" in str(invalid.value)
    assert invalid.value.code == "reply-not-json"


async def test_a_message_that_is_too_big_is_an_error_with_the_limit(tmp_path: Path) -> None:
    async def big(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send("x" * 5000)

    small = {"limits": {"max_message_bytes": 2000}}
    async with peer(big) as seen, bridge_to(tmp_path, entry(seen, "t", **small)) as bridge:
        with pytest.raises(MessageTooBig, match="2,000 bytes"):
            await bridge.call_tool("m.t")


async def test_calls_that_lose_their_connection_to_a_reply_that_is_too_big_know_that_it_may_not_be_theirs(
    tmp_path: Path,
) -> None:
    async def answer_third(seen: Peer, connection: Any, message: Any) -> None:
        if len(seen.received) == 3:
            await connection.send("x" * 5000)

    errors: list[str] = []
    small = {"limits": {"max_message_bytes": 2000}, **RPC}
    async with peer(answer_third) as seen, bridge_to(tmp_path, entry(seen, "t", **small)) as bridge:

        async def call() -> None:
            with pytest.raises(MessageTooBig, match="for this call or for another one on its connection") as big:
                await bridge.call_tool("m.t")
            errors.append(str(big.value))

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as calls:
                for _ in range(3):
                    calls.start_soon(call)
    assert len(errors) == 3
    assert all(error.endswith("may have been executed; verify before retrying. [message-too-big]") for error in errors)


async def test_one_deadline_covers_waiting_for_a_connection(tmp_path: Path) -> None:
    holds = {"name": "holds", "tool_call_template": {"timeout": 1}}
    waits = {"name": "waits", "tool_call_template": {"timeout": 0.1}}
    errors: list[CallTimeout] = []
    async with (
        peer(silent) as seen,
        bridge_to(tmp_path, entry(seen, holds, waits, limits={"max_connections": 1})) as bridge,
    ):

        async def call(tool: str) -> None:
            with pytest.raises(CallTimeout) as timeout:
                await bridge.call_tool(tool)
            errors.append(timeout.value)

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as calls:
                calls.start_soon(call, "m.holds")
                await seen.until(lambda: len(seen.received) == 1)
                for _ in range(3):
                    calls.start_soon(call, "m.waits")
        assert len(seen.received) == 1
    assert [error.outcome.name for error in errors] == ["NOT_SENT"] * 3 + ["MAYBE_EXECUTED"]


async def test_a_cancelled_call_leaves_the_shared_connection_to_the_others(tmp_path: Path) -> None:
    async def answer_fast_ones(seen: Peer, connection: Any, message: Any) -> None:
        if message["method"] == "fast":
            await connection.send(json.dumps({"id": message["id"], "result": "ok"}))

    async with peer(answer_fast_ones) as seen, bridge_to(tmp_path, entry(seen, "slow", "fast", **RPC)) as bridge:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bridge.call_tool, "m.slow")
            await seen.until(lambda: len(seen.received) == 1)
            tasks.cancel_scope.cancel()
        assert await bridge.call_tool("m.fast") == "ok"
        assert len(seen.upgrades) == 1


@pytest.mark.parametrize("name", ["m.weathr", "m_weather", "weather", "wether"])
async def test_the_nearest_name_is_given_in_the_form_of_the_caller(tmp_path: Path, name: str) -> None:
    async with peer(echo) as seen, bridge_to(tmp_path, entry(seen, "weather", "other")) as bridge:
        repository = bridge._repository
        assert "Did you mean 'm.weather'?" in str(repository.unknown_tool(name, {}))
        assert "Did you mean 'm_weather'?" in str(repository.unknown_tool(name, {}, ""))


async def test_an_unknown_tool_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    async with peer(echo) as seen, bridge_to(tmp_path, entry(seen, "weather")) as bridge:
        with pytest.raises(UnknownTool, match=r"Did you mean 'm\.weather'"):
            await bridge.call_tool("m.wether")


async def test_an_endpoint_that_refuses_is_a_connection_error_that_says_what_to_check(tmp_path: Path) -> None:
    refused = {"name": "m", "url": "ws://127.0.0.1:9/", "tools": [{"name": "t"}]}
    async with bridge_to(tmp_path, refused) as bridge:
        with pytest.raises(
            NetworkError, match="connection refused. Check that the server runs and that the port is correct"
        ):
            await bridge.call_tool("m.t")


async def test_an_endpoint_that_cannot_be_reached_is_reported_in_the_words_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(loop: Any, connecting: Any, address: Any) -> None:
        raise OSError(errno.ENETUNREACH, f"Connect call failed {address}")  # as asyncio does

    monkeypatch.setattr(type(asyncio.get_running_loop()), "sock_connect", fail)
    refused = {"name": "m", "url": "ws://127.0.0.1:9/", "tools": [{"name": "t"}]}
    async with bridge_to(tmp_path, refused) as bridge:
        with pytest.raises(NetworkError, match=os.strerror(errno.ENETUNREACH).lower()):
            await bridge.call_tool("m.t")


async def test_skipped_acknowledgements_come_before_the_result(tmp_path: Path) -> None:
    async def acknowledge(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"transaction": message["transaction"], "janus": "ack"}))
        await connection.send(json.dumps({"transaction": message["transaction"], "janus": "event", "data": 5}))

    template = {
        "message": {"janus": "message", "transaction": "{{ request_id }}"},
        "reply": {
            "match": "message.transaction == request_id",
            "ack": "message.janus == 'ack'",
            "result": "message.data",
        },
    }
    async with peer(acknowledge) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        assert await bridge.call_tool("m.t") == 5


@pytest.mark.parametrize(("kind", "expected"), [("counter", [1, 2, 3]), ("string_counter", ["1", "2", "3"])])
async def test_counted_ids_rise_from_one_on_each_connection(tmp_path: Path, kind: str, expected: list[Any]) -> None:
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", request_id=kind, **RPC)) as bridge:
        for _ in range(2):
            for _ in range(3):
                await bridge.call_tool("m.t")
            seen.open[0].transport.abort()
            await seen.until(lambda: not seen.open)
    assert [message["id"] for message in seen.received] == expected * 2


def cuts(times: int, code: int) -> Any:
    """A peer that closes with a code instead of the first answers."""

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if len(seen.received) <= times:
            await connection.close(code)
        else:
            await connection.send(json.dumps({"id": message["id"], "result": "done"}))

    return answer


async def test_an_idempotent_request_is_sent_again_until_it_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utcp_ws_mcp.client.caller.random.random", lambda: 0.0)
    tool = {"name": "t", "idempotent": True}
    async with peer(cuts(4, 1012)) as seen, bridge_to(tmp_path, entry(seen, tool, **RPC)) as bridge:
        assert await bridge.call_tool("m.t") == "done"
        assert len(seen.received) == 5


async def test_a_request_says_how_long_it_took_until_it_was_sent(tmp_path: Path) -> None:
    seen_events: list[Event] = []
    started = time.monotonic()
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC), events=seen_events) as bridge:
        await bridge.call_tool("m.t")
    (sent,) = (event for event in seen_events if isinstance(event, RequestSent))
    assert 0 < sent.seconds < time.monotonic() - started


WATCH = {"listen": True, "reply": {"match": "message.event is defined", "result": "message.event"}}


@pytest.mark.parametrize("keep_alive", [True, False])
async def test_a_watch_that_is_lost_sent_nothing_and_goes_on_where_it_is_idempotent(
    tmp_path: Path, keep_alive: bool
) -> None:
    watching: asyncio.Queue[Event] = asyncio.Queue()

    async def cut_twice(connection: Any) -> None:
        while not isinstance(await watching.get(), RequestSent):
            continue
        if len(seen.upgrades) <= 2:
            await connection.close(1012, "restart")
        else:
            await connection.send(json.dumps({"event": 7}))

    document = {**WATCH, "keep_alive": keep_alive}
    tools = ("t", {"name": "again", "idempotent": True})
    async with (
        peer(echo, greet=cut_twice) as seen,
        bridge_to(tmp_path, entry(seen, *tools, **document), observe=watching.put_nowait) as bridge,
    ):
        with pytest.raises(ConnectionLost, match="restart") as lost:
            await bridge.call_tool("m.t")
        assert lost.value.outcome is Outcome.NOT_SENT
        assert await bridge.call_tool("m.again") == 7
        assert len(seen.upgrades) == 3


@pytest.mark.parametrize("code", [1008, 4401, 4403])
async def test_what_a_refusal_of_credentials_has_closed_is_not_sent_again(tmp_path: Path, code: int) -> None:
    tool = {"name": "t", "idempotent": True}
    async with peer(cuts(9, code)) as seen, bridge_to(tmp_path, entry(seen, tool, **RPC)) as bridge:
        with pytest.raises(ConnectionLost) as lost:
            await bridge.call_tool("m.t")
        assert lost.value.close_code == code
        assert len(seen.received) == 1


async def test_the_deadline_covers_everything_that_is_sent_again(tmp_path: Path) -> None:
    tool = {"name": "t", "idempotent": True}
    async with peer(cuts(99, 1011)) as seen, bridge_to(tmp_path, entry(seen, tool, timeout=0.4, **RPC)) as bridge:
        with pytest.raises((ConnectionLost, CallTimeout)):
            await bridge.call_tool("m.t")
        assert len(seen.received) < 5


async def test_a_request_that_was_lost_is_never_said_not_to_be_sent(
    tmp_path: Path,
) -> None:  # found by seed 2149 of reliability.simulation_runs
    async def cut(seen: Peer, connection: Any, message: Any) -> None:
        connection.transport.abort()

    def only_once(connection: Any, request: Any) -> Any:
        return connection.respond(503, "no more") if seen.received else None

    tool = {"name": "t", "idempotent": True}
    async with (
        peer(cut, process_request=only_once) as seen,
        bridge_to(tmp_path, entry(seen, tool, timeout=0.5, **RPC)) as bridge,
    ):
        with pytest.raises(ConnectionLost) as lost:
            await bridge.call_tool("m.t")
        assert lost.value.outcome is Outcome.MAYBE_EXECUTED
        assert len(seen.received) == 1


async def test_a_close_frame_ends_what_waits_although_the_connection_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # found by seed 1790 of reliability.simulation_runs
    monkeypatch.setattr("utcp_ws_mcp.client.websocket.CLOSE_TIMEOUT", 3600.0)

    async def linger(seen: Peer, connection: Any, message: Any) -> None:
        connection.transport.write_eof = connection.transport.close = lambda: None
        connection.protocol.send_close(1011)
        connection.send_data()

    async with peer(linger) as seen, bridge_to(tmp_path, entry(seen, "t", timeout=PATIENCE / 2)) as bridge:
        with pytest.raises(ConnectionLost, match="1011"):
            await bridge.call_tool("m.t")
        seen.open[0].transport.abort()


async def test_an_answer_that_comes_with_the_close_is_an_answer(tmp_path: Path) -> None:
    async def answer_and_go(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"id": message["id"], "result": len(seen.upgrades)}))
        await connection.close(1001)

    async with peer(answer_and_go) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        assert [await bridge.call_tool("m.t") for _ in range(6)] == [1, 2, 3, 4, 5, 6]


async def test_a_message_in_fragments_is_one_message(tmp_path: Path) -> None:
    async def in_pieces(seen: Peer, connection: Any, message: Any) -> None:
        text = json.dumps({"id": message["id"], "result": "ä" * 50})
        await connection.send([text[:20], "", text[20:60], text[60:]])

    async with peer(in_pieces) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        assert [await bridge.call_tool("m.t") for _ in range(2)] == ["ä" * 50] * 2


async def test_a_message_in_too_many_fragments_ends_the_connection_and_the_next_call_has_a_new_one(
    tmp_path: Path,
) -> None:
    async def in_crumbs(seen: Peer, connection: Any, message: Any) -> None:
        text = json.dumps({"id": message["id"], "result": len(seen.upgrades)})
        await connection.send([*text, *[" "] * 5000] if len(seen.upgrades) == 1 else text)

    async with peer(in_crumbs) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        with pytest.raises(MessageTooBig):
            await bridge.call_tool("m.t")
        assert await bridge.call_tool("m.t") == 2


async def test_text_that_is_no_utf_8_ends_the_connection_with_an_error(tmp_path: Path) -> None:
    async def garbled(seen: Peer, connection: Any, message: Any) -> None:
        connection.protocol.send_text(b"\xff\xfe")
        connection.protocol.send_text(json.dumps({"id": message["id"], "result": "late"}).encode())
        connection.send_data()

    async with peer(garbled) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        with pytest.raises(ConnectionLost, match="violated the WebSocket protocol"):
            await bridge.call_tool("m.t")


async def test_a_call_that_waits_for_an_endpoint_in_vain_says_why_there_is_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utcp_ws_mcp.client.pool.executor.random.random", lambda: 1.0)
    document = {"name": "m", "url": "ws://127.0.0.1:9/", "timeout": 0.2, "tools": [{"name": "t"}]}
    async with bridge_to(tmp_path, document) as bridge:
        for _ in range(FAILURE_THRESHOLD):
            with pytest.raises(ConnectError):
                await bridge.call_tool("m.t")
        with pytest.raises(CallTimeout, match=r"waiting for a connection: .*connection refused") as timeout:
            await bridge.call_tool("m.t")
        assert timeout.value.outcome is Outcome.NOT_SENT


async def test_a_call_that_ends_before_its_login_says_that_the_connection_was_still_being_opened(
    tmp_path: Path,
) -> None:
    document = {"timeout": 0.2, "on_connect": [{"expect": "message.welcome"}], **RPC}
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        with pytest.raises(CallTimeout, match=r"waiting for a connection: it is still being opened or logged in"):
            await bridge.call_tool("m.t")


async def test_the_first_call_after_an_endpoint_has_healed_succeeds(tmp_path: Path) -> None:
    async with peer(jsonrpc) as gone:
        pass
    async with bridge_to(tmp_path, entry(gone, "t", **RPC)) as bridge:
        for _ in range(FAILURE_THRESHOLD + 1):
            with pytest.raises(ConnectError):
                await bridge.call_tool("m.t")
        async with peer(jsonrpc, port=gone.port):
            assert await bridge.call_tool("m.t", {"n": 1}) == {"n": 1}


async def test_a_call_waits_before_it_tries_an_endpoint_that_always_hangs_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utcp_ws_mcp.client.pool.executor.random.random", lambda: 1.0)

    async def hang_up(seen: Peer, connection: Any, message: Any) -> None:
        await connection.close(1011)

    template = {"keep_alive": False, "timeout": 0.2, **RPC}
    async with peer(hang_up) as seen, bridge_to(tmp_path, entry(seen, "t", **template)) as bridge:
        for _ in range(FAILURE_THRESHOLD):
            with pytest.raises(ConnectionLost):
                await bridge.call_tool("m.t")
        with pytest.raises(CallTimeout):
            await bridge.call_tool("m.t")
        assert len(seen.upgrades) == FAILURE_THRESHOLD


async def test_a_server_that_finds_the_request_too_big_is_not_said_to_have_sent_too_much(tmp_path: Path) -> None:
    """A close with 1009 was once reported as a reply that is too big (`verification.reliability.fault_matrix`)."""
    async with peer(echo, max_size=100) as seen, bridge_to(tmp_path, entry(seen, "t")) as bridge:
        with pytest.raises(ConnectionLost, match="closed by the server with code 1009"):
            await bridge.call_tool("m.t", {"text": "x" * 200})


async def test_what_a_server_says_to_no_call_before_it_closes_is_reported(tmp_path: Path) -> None:
    async def refuse(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send('{"error": {"message": "bad token"}}')
        await connection.close(1008)

    said = 'with code 1008 (policy violation). Before that, the endpoint said: “{"error": {"message": "bad token"}}”.'
    async with peer(refuse) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        with pytest.raises(ConnectionLost, match=re.escape(said)):
            await bridge.call_tool("m.t")


async def test_a_close_without_a_code_is_reported_as_one(tmp_path: Path) -> None:
    async def hang_up(seen: Peer, connection: Any, message: Any) -> None:
        connection.protocol.send_close()
        connection.transport.write(b"".join(connection.protocol.data_to_send()))

    async with peer(hang_up) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        with pytest.raises(ConnectionLost, match=r"was lost: closed by the server without a code\. "):
            await bridge.call_tool("m.t")


async def test_an_endpoint_that_closes_before_a_request_can_be_sent_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def close_at_once(connection: Any) -> None:
        await connection.close(4406, "Subprotocol not acceptable")

    async def open_late(*request: Any) -> Any:
        opened = await bridge._connector(*request)
        while opened.is_open:
            await anyio.lowlevel.checkpoint()
        return opened

    async with peer(silent, greet=close_at_once) as seen, bridge_to(tmp_path, entry(seen, "t", **RPC)) as bridge:
        monkeypatch.setattr(bridge._pool_manager, "_open_connection", open_late)
        with pytest.raises(
            ConnectionLost, match="4406; the endpoint said: “Subprotocol not acceptable”.*No request was sent"
        ) as lost:
            await bridge.call_tool("m.t")
        assert (lost.value.outcome, lost.value.close_code) == (Outcome.NOT_SENT, 4406)
        assert len(seen.upgrades) == MAX_CONNECTION_ATTEMPTS


class _EndsAtPing(ServerConnection):
    """Ends the connection at the first ping: after the upgrade, before a call without IDs can use the connection."""

    end: Callable[[_EndsAtPing], None]

    def process_event(self, event: Any) -> None:
        if getattr(event, "opcode", None) is Opcode.PING:
            self.end()
        else:
            super().process_event(event)


def _cut(connection: ServerConnection) -> None:
    connection.transport.abort()


def _close(connection: ServerConnection) -> None:
    connection.protocol.send_close(4401, "old token")
    connection.send_data()


@pytest.mark.parametrize("speaks", [False, True], ids=["silent", "speaks first"])
@pytest.mark.parametrize(("end", "said"), [(_cut, "the network connection was cut"), (_close, "4401.*old token")])
async def test_an_endpoint_that_ends_each_connection_before_it_can_be_used_is_named_and_left_alone(
    tmp_path: Path, end: Callable[[ServerConnection], None], said: str, speaks: bool
) -> None:
    async def greet(connection: Any) -> None:
        if speaks:
            await connection.send('"not welcome"')

    connections = type("EndsAtPing", (_EndsAtPing,), {"end": end})
    async with peer(silent, greet=greet, create_connection=connections) as seen:
        document = {**entry(seen, "t"), "url": f"{seen.url}?token=${{TOKEN}}"}
        async with bridge_to(tmp_path, document, environ={"TOKEN": "abc"}) as bridge:
            with anyio.fail_after(PATIENCE), pytest.raises(ConnectionLost, match=said) as lost:
                await bridge.call_tool("m.t")
            assert lost.value.outcome is Outcome.NOT_SENT
            assert ('credential in "url" has expired' in str(lost.value)) is not speaks
            assert len(seen.upgrades) == FAILURE_THRESHOLD
