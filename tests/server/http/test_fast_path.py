"""The fast path over HTTP: the same answers as those of the SDK, and the SDK for everything that is not usual."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from tests.peer import PATIENCE, Peer, entry, jsonrpc, peer
from tests.server.http.test_app import BEARER, POST, RPC, served
from tests.server.stdio.test_transport import MODERN
from utcp_ws_mcp.observability.redaction import redactor
from utcp_ws_mcp.server import progress
from utcp_ws_mcp.server.http import fast_connection, fast_response
from utcp_ws_mcp.server.http.fast_path import HttpFastPath, has_usual_routing, read_request
from utcp_ws_mcp.server.http.fast_response import Answer, FastResponse

CALL: dict[str, Any] = {"name": "m_t", "arguments": {"n": 1}, "_meta": MODERN}
HEADERS = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "m_t", **POST}
LIST_HEADERS = {**HEADERS, "mcp-method": "tools/list"}
IN_HEADER = {"name": "h", "inputs": {"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}}


def request(method: str = "tools/call", request_id: Any = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def read(message: Any, **changed: str | None) -> Any:
    given = {**HEADERS, **{name.replace("_", "-"): value for name, value in changed.items()}}
    headers = {name.lower().encode(): value.encode() for name, value in given.items() if value is not None}
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return read_request(headers, body) if has_usual_routing(headers) else None


@pytest.mark.parametrize(
    "message",
    [
        request(**CALL),
        request(request_id="x", **CALL),
        request(**{**CALL, "arguments": None}),
        request(name="m_t", _meta=MODERN),
        request(**{**CALL, "_meta": {**MODERN, "progressToken": 1}}),
        request(**{**CALL, "_meta": {**MODERN, "progressToken": ""}}),
    ],
)
def test_a_usual_call_is_read(message: dict[str, Any]) -> None:
    assert read(message).params["name"] == "m_t"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"[]",
        b"[" * 99_999,
        b"\xff",
        json.dumps(request(**CALL)).replace("1}", "NaN}").encode(),
        [request(**CALL)],
        {**request(**CALL), "jsonrpc": "1.0"},
        {**request(**CALL), "method": "tools/list"},
        {**request(**CALL), "params": None},
        request(request_id=None, **CALL),
        request(request_id=True, **CALL),
        request(request_id=1.5, **CALL),
        {key: value for key, value in request(**CALL).items() if key != "id"},
        request(**CALL, task={}),
        request(**{**CALL, "name": 7}),
        request(**{**CALL, "name": "other"}),
        request(**{**CALL, "arguments": []}),
        request(**{**CALL, "_meta": {}}),
        request(**{**CALL, "_meta": {**MODERN, "progressToken": None}}),
        request(**{**CALL, "_meta": {**MODERN, "progressToken": True}}),
        request(**{**CALL, "_meta": {**MODERN, "progressToken": 1.5}}),
        request(**{**CALL, "_meta": {**MODERN, "progressToken": {}}}),
        request(**{**CALL, "_meta": {**MODERN, "io.modelcontextprotocol/protocolVersion": "2099-01-01"}}),
        request(**{**CALL, "_meta": {**MODERN, "io.modelcontextprotocol/clientInfo": {"name": 1}}}),
    ],
)
def test_what_is_not_usual_is_left_to_the_sdk(message: Any) -> None:
    assert read(message) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"mcp_name": None},
        {"mcp_name": "other"},
        {"mcp_name": "=?base64?bV90?="},
        {"mcp_method": None},
        {"mcp_method": "tools/list"},
        {"mcp_protocol_version": None},
        {"mcp_protocol_version": "2025-11-25"},
        {"accept": "application/json"},
        {"Accept": "*/*"},
        {"mcp_param_region": "eu"},
    ],
)
def test_headers_that_do_not_say_what_the_body_says_are_left_to_the_sdk(changed: dict[str, Any]) -> None:
    assert read(request(**CALL), **changed) is None


STREAMS = [
    {"name": "s", "tool_call_template": {"stream": {"until": "message.result.n == 2", "include_last": True}}},
    {"name": "broken", "tool_call_template": {"stream": {"until": "message.result.n == 9"}}},
]
REQUESTS = [
    (request(**CALL), HEADERS),
    (request(request_id="ä", **CALL), HEADERS),
    (request(**{**CALL, "arguments": {"n": "x\u2028"}}), HEADERS),
    (request(**{**CALL, "arguments": {"wrong": 1}}), HEADERS),
    (request(**{**CALL, "name": "m_unknown"}), {**HEADERS, "mcp-name": "m_unknown"}),
    (request(**{**CALL, "name": "m_fail"}), {**HEADERS, "mcp-name": "m_fail"}),
    (request(**{**CALL, "name": "m_h", "arguments": {"region": "eu"}}), {**HEADERS, "mcp-name": "m_h"}),
    (
        request(**{**CALL, "name": "m_h", "arguments": {"region": "eu"}}),
        {**HEADERS, "mcp-name": "m_h", "mcp-param-region": "eu"},
    ),
    (request(**{**CALL, "_meta": {**MODERN, "progressToken": 1}}), HEADERS),
    *(
        (request(**{**CALL, "name": "m_s", "_meta": {**MODERN, **token}}), {**HEADERS, "mcp-name": "m_s"})
        for token in ({}, {"progressToken": 7}, {"progressToken": "ä\u2028"}, {"progressToken": True})
    ),
    (
        request(**{**CALL, "name": "m_broken", "_meta": {**MODERN, "progressToken": "b"}}),
        {**HEADERS, "mcp-name": "m_broken"},
    ),
    (request("tools/list", _meta={**MODERN, "progressToken": 1}), LIST_HEADERS),
    (request("tools/list", _meta=MODERN), LIST_HEADERS),
    (request("tools/list", _meta=MODERN, cursor="7"), LIST_HEADERS),
    (request("tools/list", _meta=MODERN, cursor=7), LIST_HEADERS),
]


async def test_the_answers_are_those_of_the_sdk(tmp_path: Path) -> None:
    tool = {"name": "t", "inputs": {"properties": {"n": {}}, "additionalProperties": False}}

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if message["method"] == "fail":
            error = {"code": 7, "message": "no"}
            await connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}))
        elif message["method"] in ("s", "broken"):
            for number in range(3):
                await connection.send(json.dumps({"id": message["id"], "result": {"n": number, "text": "ä\u2028"}}))
            if message["method"] == "broken":
                await connection.close()
        else:
            await jsonrpc(seen, connection, message)

    answers: list[list[Any]] = []
    for fast in (True, False):
        async with (
            peer(answer) as seen,
            served(tmp_path, entry(seen, tool, "fail", IN_HEADER, *STREAMS, **RPC), fast_path=fast) as url,
        ):
            async with httpx2.AsyncClient(headers=BEARER, timeout=PATIENCE) as http:
                got = [await http.post(url, json=message, headers=headers) for message, headers in REQUESTS]
        answers.append([(each.status_code, each.headers["content-type"], events_of(each.text)) for each in got])
    assert answers[0] == answers[1]


def events_of(body: str) -> list[Any]:
    """The JSON-RPC messages of a response, JSON or an event stream."""
    lines = [line.removeprefix("data: ") for line in body.split("\n") if line.startswith(("{", "data: "))]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("token", [{}, {"progressToken": 7}], ids=["JSON", "events"])
async def test_web_pages_may_read_the_answers_as_those_of_the_sdk(tmp_path: Path, token: Any) -> None:
    body = request(**{**CALL, "name": "m_s", "_meta": {**MODERN, **token}})

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        for number in range(3):
            await connection.send(json.dumps({"id": message["id"], "result": {"n": number}}))

    answers: list[Any] = []
    for fast in (True, False):
        async with peer(answer) as seen, served(tmp_path, entry(seen, STREAMS[0], **RPC), fast_path=fast) as url:
            headers = {**BEARER, **HEADERS, "mcp-name": "m_s", "origin": url.removesuffix("/mcp")}
            async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE) as http:
                got = (await http.post(url, json=body)).headers
        names = [name for name in got if name.startswith("access-control") or name in ("vary", "content-type")]
        assert got["access-control-allow-origin"] == url.removesuffix("/mcp")
        answers.append({name: got[name] for name in sorted(names) if name != "access-control-allow-origin"})
    assert answers[0] == answers[1]


async def test_usual_calls_take_the_fast_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served_fast: list[bool] = []
    original = HttpFastPath.answer

    async def count(self: HttpFastPath, *args: Any) -> Any:
        answer = await original(self, *args)
        served_fast.append(answer is not None)
        return answer

    monkeypatch.setattr(HttpFastPath, "answer", count)
    async with peer(jsonrpc) as seen, served(tmp_path, entry(seen, "t", **RPC)) as url:
        async with httpx2.AsyncClient(headers={**BEARER, **HEADERS}, timeout=PATIENCE) as http:
            assert (await http.post(url, json=request(**CALL))).status_code == 200
    assert served_fast == [True]


async def test_a_client_that_goes_cancels_its_call(tmp_path: Path) -> None:
    cancelled = {"cancel": {"id": "{{ request_id }}", "method": "cancel"}}

    async def silent(seen: Peer, connection: Any, message: Any) -> None:
        pass

    async with peer(silent) as seen, served(tmp_path, entry(seen, "t", **RPC, reply=cancelled)) as url:
        async with httpx2.AsyncClient(headers={**BEARER, **HEADERS}) as http:
            with anyio.move_on_after(PATIENCE) as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(lambda: http.post(url, json=request(**CALL)))
                    await seen.until(lambda: len(seen.received) == 1)
                    tasks.cancel_scope.cancel()
                await seen.until(lambda: len(seen.received) == 2)
    assert not scope.cancelled_caught
    assert seen.received[1]["method"] == "cancel"


async def test_a_call_that_takes_long_becomes_an_event_stream_with_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_connection, "EVENT_STREAM_AFTER", 0.01)
    monkeypatch.setattr(fast_response, "PING_INTERVAL", 0.01)
    go_on = asyncio.Event()

    async def slow(seen: Peer, connection: Any, message: Any) -> None:
        await go_on.wait()
        await jsonrpc(seen, connection, message)

    async with peer(slow) as seen, served(tmp_path, entry(seen, "t", **RPC)) as url:
        async with httpx2.AsyncClient(headers={**BEARER, **HEADERS}, timeout=PATIENCE) as http:
            async with http.stream("POST", url, json=request(**CALL)) as response:
                lines = []
                async for line in response.aiter_lines():
                    lines.append(line)
                    if lines.count(": ping") == 2:
                        go_on.set()
    assert response.headers["content-type"] == "text/event-stream"
    assert events_of("\n".join(lines))[0]["result"]["structuredContent"] == {"n": 1}


class Cycle:
    """What a response needs of a cycle of uvicorn."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.written = b""
        self.transport, self.flow = self, self
        self.message_event = asyncio.Event()
        self.default_headers = [(b"date", b"today")]
        self.write_paused = self.disconnected = self.keep_alive = False
        self.ended: list[str] = []

    async def send(self, message: Any) -> None:
        await anyio.lowlevel.checkpoint()
        self.sent.append(message)

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.ended.append("closed")

    def on_response(self) -> None:
        self.ended.append("complete")

    async def drain(self) -> None:
        self.disconnected = True


def response_of(cycle: Any) -> FastResponse:
    return FastResponse(cycle, redactor(["Kx7aB3dQ9zY5"]), [(b"x", b"y")])


async def test_progress_that_is_late_is_not_sent_behind_the_answer() -> None:
    cycle = Cycle()
    response = response_of(cycle)
    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(response.report, "token", float(number), "part")
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(response.finish, Answer(200, "{}"))
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(response.report, "token", 9.0, "late")
    kinds = [(message["type"].rpartition(".")[2], message.get("more_body")) for message in cycle.sent]
    assert kinds == [("start", None), *3 * [("body", True)], ("body", False)]


@pytest.mark.parametrize("text", ["short", "x" * fast_response.MAX_COPIED_BODY], ids=["short", "long"])
async def test_a_response_is_a_head_with_its_length_and_the_body(text: str) -> None:
    cycle = Cycle()
    await response_of(cycle).finish(Answer(400, json.dumps(text)))
    lines = ["HTTP/1.1 400 Bad Request", "content-type: application/json", f"content-length: {len(text) + 2}"]
    lines += ["date: today", "x: y", "connection: close", "", f'"{text}"']
    assert cycle.written.decode() == "\r\n".join(lines)
    assert cycle.ended == ["closed", "complete"]
    assert cycle.message_event.is_set()


async def test_a_connection_stays_open_for_the_next_request() -> None:
    cycle = Cycle()
    cycle.keep_alive = True
    await response_of(cycle).finish(Answer(200, "{}"))
    assert b"connection" not in cycle.written
    assert cycle.ended == ["complete"]


async def test_a_client_that_does_not_read_gets_no_further_response() -> None:
    cycle = Cycle()
    cycle.write_paused = True
    await response_of(cycle).finish(Answer(200, "{}"))
    assert (cycle.written, cycle.ended) == (b"", [])


async def test_no_response_holds_a_credential() -> None:
    cycle = Cycle()
    await response_of(cycle).finish(Answer(200, '{"id":1,"result":"Kx7aB3dQ9zY5"}'))
    assert cycle.written.endswith(b'{"id":1,"result":"***"}')
    assert b"content-length: 23\r\n" in cycle.written
    response = response_of(cycle)
    await response.report("Kx7aB3dQ9zY5", 1.0, "Kx7aB3dQ9zY5")
    await response.finish(Answer(200, '{"id":1,"result":"Kx7aB3dQ9zY5"}'))
    token, answer = (events_of(message["body"].decode())[0] for message in cycle.sent[1:])
    assert token["params"] == {"progressToken": "Kx7aB3dQ9zY5", "progress": 1.0, "message": "***"}
    assert answer == {"id": 1, "result": "***"}


async def test_a_client_that_goes_during_a_stream_ends_it(tmp_path: Path) -> None:
    stream = {"stream": {"until": "message.result.last is true", "cancel": {"id": "{{ request_id }}", "cancel": True}}}

    async def first(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"id": message["id"], "result": {"last": False}}))

    body = request(**{**CALL, "_meta": {**MODERN, "progressToken": "a"}})
    document_tool = {"name": "t", "tool_call_template": stream}
    async with peer(first) as seen, served(tmp_path, entry(seen, document_tool, **RPC)) as url:
        async with httpx2.AsyncClient(headers={**BEARER, **HEADERS}, timeout=PATIENCE) as http:
            async with http.stream("POST", url, json=body) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data: "):
                        break
        await seen.until(lambda: len(seen.received) == 2)
    assert seen.received[1]["cancel"] is True


@pytest.mark.parametrize("fast", [True, False], ids=["fast path", "SDK"])
async def test_a_call_that_waits_sends_progress_so_that_its_client_does_not_give_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    for name in ("FIRST_KEEPALIVE", "KEEPALIVE_INTERVAL"):
        monkeypatch.setattr(progress, name, 0.01)
    go_on = asyncio.Event()

    async def slow(seen: Peer, connection: Any, message: Any) -> None:
        await go_on.wait()
        await jsonrpc(seen, connection, message)

    body = request(**{**CALL, "_meta": {**MODERN, "progressToken": "a"}})
    async with peer(slow) as seen, served(tmp_path, entry(seen, "t", **RPC), fast_path=fast) as url:
        async with httpx2.AsyncClient(headers={**BEARER, **HEADERS}, timeout=PATIENCE) as http:
            async with http.stream("POST", url, json=body) as response:
                events = []
                async for line in response.aiter_lines():
                    events += events_of(line)
                    if events and events[-1].get("params", {}).get("message") == "waiting for the endpoint":
                        go_on.set()
    assert [event["params"]["progress"] for event in events[:-1]] == list(range(1, len(events)))
    assert len(events) > 1
    assert events[-1]["result"]["structuredContent"] == {"n": 1}
