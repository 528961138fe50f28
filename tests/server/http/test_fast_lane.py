"""Which requests are read on the fast path, and what a response is made of."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anyio
import pytest

from tests.peer import PATIENCE
from tests.server.http.test_fast_path import CALL, HEADERS, LIST_HEADERS, Cycle, request
from tests.server.stdio.test_transport import MODERN
from utcp_ws_mcp.server.http import fast_response as module
from utcp_ws_mcp.server.http.fast_path import FastRequest, has_usual_routing, read_request
from utcp_ws_mcp.server.http.fast_response import MAX_COPIED_BODY, Answer, FastResponse


def encoded(headers: dict[str, Any]) -> dict[bytes, bytes]:
    return {name.lower().encode(): value.encode() for name, value in headers.items() if value is not None}


def read(message: Any, headers: dict[str, Any]) -> FastRequest | None:
    given = encoded(headers)
    return read_request(given, json.dumps(message).encode()) if has_usual_routing(given) else None


@pytest.mark.parametrize("cursor", [{}, {"cursor": None}, {"cursor": "1"}])
def test_a_usual_list_is_read(cursor: Any) -> None:
    found = read(request("tools/list", "x", _meta=MODERN, **cursor), LIST_HEADERS)
    assert found == FastRequest("x", "tools/list", {"_meta": MODERN, **cursor})
    assert (found.called_tools, found.progress_token) == ((), None)


def test_a_call_names_its_tool_and_its_token() -> None:
    found = read(request(**{**CALL, "_meta": {**MODERN, "progressToken": "p"}}), HEADERS)
    assert found is not None
    assert (found.request_id, found.called_tools, found.progress_token) == (1, ("m_t",), "p")


CLIENT = "io.modelcontextprotocol/clientInfo"


@pytest.mark.parametrize(
    "params",
    [
        {"_meta": MODERN, "cursor": 5},
        {"_meta": MODERN, "name": "m_t"},
        {"_meta": {**MODERN, CLIENT: {"name": "x"}}},
        {"_meta": {**MODERN, CLIENT: {"name": 5, "version": "1"}}},
        {"_meta": {**MODERN, CLIENT: "x"}},
        {"_meta": {**MODERN, "io.modelcontextprotocol/clientCapabilities": None}},
        {"_meta": {**MODERN, "io.modelcontextprotocol/protocolVersion": "2025-11-25"}},
        {},
    ],
)
def test_a_list_that_is_not_usual_is_left_to_the_sdk(params: dict[str, Any]) -> None:
    assert read(request("tools/list", **params), LIST_HEADERS) is None


def test_a_client_need_not_say_what_it_is() -> None:
    meta = {name: value for name, value in MODERN.items() if name != CLIENT}
    assert read(request("tools/list", _meta=meta), LIST_HEADERS) is not None
    assert read(request(**{**CALL, "_meta": meta}), HEADERS) is not None


def test_a_name_that_is_not_ascii_is_left_to_the_sdk() -> None:
    assert read(request(**{**CALL, "name": "m_ü"}), {**HEADERS, "mcp-name": "m_ü"}) is None


def response_of(cycle: Cycle, *headers: tuple[bytes, bytes]) -> FastResponse:
    fake: Any = cycle
    return FastResponse(fake, lambda text: text.replace("Kx7secret", "***"), headers)


async def test_progress_is_an_event_without_credentials() -> None:
    cycle = Cycle()
    response = response_of(cycle, (b"x-a", b"1"))
    await response.report("t", 1.0, "Kx7secret")
    await response.finish(Answer(400, '{"id":1,"result":"Kx7secret"}'))
    await response.report("t", 2.0, "late")
    head, first, last = cycle.sent
    assert head == {
        "type": "http.response.start",
        "status": 200,
        "headers": [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-cache, no-transform"),
            (b"x-accel-buffering", b"no"),
            (b"x-a", b"1"),
        ],
    }
    texts = [part["body"].decode().removeprefix("event: message\r\ndata: ") for part in (first, last)]
    assert json.loads(texts[0]) == {
        "jsonrpc": "2.0",
        "method": "notifications/progress",
        "params": {"progressToken": "t", "progress": 1.0, "message": "***"},
    }
    assert texts[1] == '{"id":1,"result":"***"}\r\n\r\n'
    assert [part["more_body"] for part in (first, last)] == [True, False]
    assert cycle.written == b""


@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize("size", [MAX_COPIED_BODY - 1, MAX_COPIED_BODY])
async def test_an_answer_without_progress_is_one_response(
    monkeypatch: pytest.MonkeyPatch, keep_alive: bool, size: int
) -> None:
    cycle, writes = Cycle(), []
    cycle.keep_alive = keep_alive
    monkeypatch.setattr(cycle, "write", writes.append)
    body = '"' + "x" * (size - 2) + '"'
    await response_of(cycle, (b"x-a", b"1")).finish(Answer(200, body))
    closing = "" if keep_alive else "connection: close\r\n"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {size}\r\ndate: today\r\nx-a: 1\r\n"
    assert b"".join(writes).decode() == f"{head}{closing}\r\n{body}"
    assert len(writes) == (1 if size < MAX_COPIED_BODY else 2)
    assert cycle.ended == (["complete"] if keep_alive else ["closed", "complete"])
    assert cycle.message_event.is_set()
    assert cycle.response_started is cycle.response_complete is True  # type: ignore[attr-defined]


async def test_nothing_is_written_to_a_client_that_goes_while_others_are_waited_for() -> None:
    cycle = Cycle()
    cycle.write_paused = True
    await response_of(cycle).finish(Answer(200, "{}"))
    assert (cycle.written, cycle.ended) == (b"", [])


async def test_what_utf_8_cannot_encode_is_replaced_in_an_answer() -> None:
    cycle = Cycle()
    await response_of(cycle).finish(Answer(200, '"\ud800"'))
    assert cycle.written.endswith(b'\r\n\r\n"?"')


async def test_pings_keep_a_response_alive_until_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PING_INTERVAL", 0)
    cycle = Cycle()
    response = response_of(cycle)
    response.start_pings()
    with anyio.fail_after(PATIENCE):
        while len(cycle.sent) < 4:
            await asyncio.sleep(0)
    await response.end()
    count = len(cycle.sent)
    await asyncio.sleep(0)
    assert len(cycle.sent) == count
    assert {part["body"] for part in cycle.sent[1:]} == {b": ping\r\n\r\n"}
    await response_of(Cycle()).end()
