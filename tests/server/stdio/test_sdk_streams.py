"""What the SDK's server reads and writes in a session on stdio."""

from __future__ import annotations

import json
from typing import Any, cast

import anyio
import mcp_types as types
import pytest
from mcp.shared.message import SessionMessage

from tests.peer import PATIENCE
from tests.server.stdio.test_outbound import Lines
from utcp_ws_mcp.server.stdio import sdk_fallback as module
from utcp_ws_mcp.server.stdio.outbound import StdioOutbound
from utcp_ws_mcp.server.stdio.sdk_fallback import SdkFallback, SdkReadStream, SdkWriteStream
from utcp_ws_mcp.server.stdio.writer import Writer


def ping(number: int) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": "ping"}).encode()


async def test_lines_are_read_in_order_and_those_of_the_opening_first() -> None:
    stream = SdkReadStream(lambda line: None)
    stream.feed_line(ping(3))
    stream.prepend_lines([ping(1), ping(2)])
    stream.feed_eof()
    async with stream as messages:
        assert [item.message.id async for item in messages] == [1, 2, 3]
    with pytest.raises(anyio.EndOfStream):
        await stream.receive()


async def test_a_reader_waits_for_a_line_and_for_the_end() -> None:
    stream = SdkReadStream(lambda line: None)
    read: list[Any] = []

    async def read_all() -> None:
        try:
            while True:
                read.append((await stream.receive()).message.id)
        except anyio.EndOfStream:
            read.append("end")

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read_all)
            await anyio.wait_all_tasks_blocked()
            assert read == []
            stream.feed_line(ping(1))
            await anyio.wait_all_tasks_blocked()
            assert read == [1]
            stream.feed_line(ping(2))
            stream.feed_eof()
    assert read == [1, 2, "end"]


async def test_a_line_that_the_sdk_cannot_read_is_passed_on_and_the_next_one_read() -> None:
    invalid: list[bytes] = []
    stream = SdkReadStream(invalid.append)
    for line in (b"{", b'{"jsonrpc": "2.0"}', ping(1)):
        stream.feed_line(line)
    assert (await stream.receive()).message.id == 1
    assert invalid == [b"{", b'{"jsonrpc": "2.0"}']


def write_stream(*already_answered: Any) -> tuple[SdkWriteStream, StdioOutbound, Lines]:
    writer = Lines()
    outbound = StdioOutbound(cast("Writer", writer), 1 << 20)
    return SdkWriteStream(outbound, already_answered), outbound, writer


def response(request_id: Any, **result: Any) -> SessionMessage:
    return SessionMessage(types.JSONRPCResponse(jsonrpc="2.0", id=request_id, result=result))


def written(writer: Lines) -> list[Any]:
    return [json.loads(line) for line in writer.lines if line != b"drained"]


async def test_answers_and_notifications_are_written_and_the_host_is_waited_for() -> None:
    stream, outbound, writer = write_stream()
    outbound.request_started(1)
    await stream.send(response(1, a=1))
    await stream.send(SessionMessage(types.JSONRPCNotification(jsonrpc="2.0", method="n", params={"b": 2})))
    assert written(writer) == [
        {"jsonrpc": "2.0", "id": 1, "result": {"a": 1}},
        {"jsonrpc": "2.0", "method": "n", "params": {"b": 2}},
    ]
    assert writer.lines[1] == writer.lines[3] == b"drained"
    with anyio.fail_after(PATIENCE):
        await outbound.wait_idle(PATIENCE * 10)


async def test_what_the_fast_path_has_answered_is_dropped_once() -> None:
    stream, _, writer = write_stream(1, None, "two")
    for request_id in (1, "two", 3, 1):
        await stream.send(response(request_id))
    await stream.send(SessionMessage(types.JSONRPCNotification(jsonrpc="2.0", method="n")))
    assert [each.get("id") for each in written(writer)] == [3, 1, None]


async def test_a_request_of_the_server_is_no_answer() -> None:
    stream, _, writer = write_stream(1)
    await stream.send(SessionMessage(types.JSONRPCRequest(jsonrpc="2.0", id=1, method="ping")))
    assert written(writer) == [{"jsonrpc": "2.0", "id": 1, "method": "ping"}]


async def test_an_answer_that_cannot_be_encoded_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    stream, _, writer = write_stream()
    await stream.send(response(1, a="\ud800"))
    assert written(writer) == [
        {"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "the result cannot be encoded as JSON"}}
    ]
    (message,) = caplog.messages
    assert message.startswith("cannot encode a message to the host: ")


async def test_a_notification_that_cannot_be_encoded_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    stream, _, writer = write_stream()
    await stream.send(SessionMessage(types.JSONRPCNotification(jsonrpc="2.0", method="n", params={"a": "\ud800"})))
    assert written(writer) == []
    assert len(caplog.messages) == 1


async def test_the_end_does_not_wait_longer_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SDK_SHUTDOWN_TIMEOUT", 0)
    unused: Any = None
    with anyio.fail_after(PATIENCE):
        await SdkFallback(unused, unused, sends_list_changed=True).aclose()


@pytest.mark.parametrize(("line", "answered"), [(b'{"id": 5}', True), (b'{"method": "n"}', False)])
async def test_a_line_that_utf_8_cannot_encode_is_answered_if_it_has_an_id(line: bytes, answered: bool) -> None:
    writer = Lines()
    unused: Any = None
    fallback = SdkFallback(unused, StdioOutbound(cast("Writer", writer), 1 << 20), sends_list_changed=True)
    fallback._reject_line(line)
    error = {"code": -32600, "message": "this line contains a character that UTF-8 cannot encode"}
    assert written(writer) == ([{"jsonrpc": "2.0", "id": 5, "error": error}] if answered else [])
