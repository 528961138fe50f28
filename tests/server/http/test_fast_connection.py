"""Which requests take the fast lane, and how connections treat them there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream

from tests.peer import PATIENCE, entry, jsonrpc, peer, silent
from tests.server.http.test_app import BEARER, RPC, TOKEN, served
from tests.server.http.test_connections import connect, raw_server, rest_of
from tests.server.http.test_fast_path import CALL, HEADERS, request
from utcp_ws_mcp.server.http.fast_connection import FastLane
from utcp_ws_mcp.server.http.fast_path import HttpFastPath
from utcp_ws_mcp.server.http.security import HttpAccessPolicy

POLICY = HttpAccessPolicy(
    frozenset({("127.0.0.1", 80), ("[::1]", 80), ("mcp.example", None)}),
    frozenset({("https", "app.example", None), ("http", "[::1]", 80)}),
    TOKEN,
)
HEAD = {name.lower(): value for name, value in {**HEADERS, **BEARER, "Host": "127.0.0.1:80"}.items()}


def is_usual(
    headers: dict[str, Any], *repeated: str, method: str = "POST", path: str = "/mcp", needs_token: bool = True
) -> bool:
    unused: Any = None
    lane = FastLane(unused, "/mcp", POLICY, needs_token, unused)
    given = {name: value for name, value in {**HEAD, **headers}.items() if value is not None}
    pairs = [(name.encode(), value.encode()) for name, value in given.items()]
    pairs += [(name.encode(), given.get(name, "x").encode()) for name in repeated]
    return lane.usual_headers({"method": method, "path": path, "headers": pairs}) is not None


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"host": "[::1]:80"},
        {"host": "mcp.example"},
        {"origin": "https://app.example"},
        {"origin": "http://[::1]:80"},
        {"content-type": "application/json; charset=utf-8"},
    ],
)
def test_a_request_that_every_check_accepts_is_usual(changed: dict[str, Any]) -> None:
    assert is_usual(changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"host": None},
        {"host": "127.0.0.1"},
        {"host": "evil.example"},
        {"host": "MCP.example"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"authorization": None},
        {"authorization": "Bearer wrong"},
        {"authorization": TOKEN},
        {"content-type": None},
        {"content-type": "text/plain"},
        {"expect": "100-continue"},
        {"accept": "application/json"},
        {"accept": "text/event-stream"},
        {"accept": None},
        {"mcp-method": "initialize"},
        {"mcp-method": None},
        {"mcp-param-region": "eu"},
    ],
)
def test_any_other_request_is_left_to_the_application(changed: dict[str, Any]) -> None:
    assert not is_usual(changed)


@pytest.mark.parametrize("options", [{"method": "GET"}, {"path": "/mcp/"}, {"path": "/metrics"}])
def test_other_pages_are_left_to_the_application(options: dict[str, str]) -> None:
    assert not is_usual({}, **options)


@pytest.mark.parametrize(
    "name", ["host", "origin", "authorization", "mcp-name", "mcp-method", "mcp-protocol-version", "accept", "x-other"]
)
def test_a_request_with_a_header_that_is_repeated_is_left_to_the_application(name: str) -> None:
    assert not is_usual({name: HEAD.get(name, "x")}, name)


def test_the_token_is_not_checked_where_access_tokens_are() -> None:
    assert is_usual({"authorization": "Bearer of an issuer"}, needs_token=False)


def raw(host: str, body: bytes, **headers: str) -> bytes:
    lines = {**HEADERS, **BEARER, "Host": host, "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + body


def call(number: int, **arguments: Any) -> bytes:
    return json.dumps(request(request_id=number, **{**CALL, "arguments": arguments})).encode()


async def answers_of(stream: SocketStream, count: int) -> list[Any]:
    """The results of so many responses of a connection, by their order."""
    received, found = b"", []
    with anyio.fail_after(PATIENCE):
        while len(found) < count:
            received += await stream.receive()
            head, separator, rest = received.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]) if separator else 0
            if separator and len(rest) >= length:
                found.append(json.loads(rest[:length]))
                received = rest[length:]
    return found


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The ids of the requests that took the fast lane."""
    seen: list[Any] = []
    original = HttpFastPath.answer

    async def note(self: HttpFastPath, asked: Any, *args: Any) -> Any:
        seen.append(asked.request_id)
        return await original(self, asked, *args)

    monkeypatch.setattr(HttpFastPath, "answer", note)
    return seen


async def test_requests_of_a_connection_are_answered_in_order(tmp_path: Path, fast: list[Any]) -> None:
    async with raw_server(tmp_path) as (host, port, _), await connect(port) as stream:
        await stream.send(b"".join(raw(host, call(number, n=number)) for number in range(4)))
        first = [await answers_of(stream, 1) for _ in range(4)]
        assert [one["id"] for (one,) in first] == [0, 1, 2, 3]
    assert fast == [0, 1, 2, 3]


async def test_a_body_may_come_in_parts(tmp_path: Path, fast: list[Any]) -> None:
    async with raw_server(tmp_path) as (host, port, _), await connect(port) as stream:
        body = call(1, text="x" * 200_000)
        sent = raw(host, body)
        for start in range(0, len(sent), 70_000):
            await stream.send(sent[start : start + 70_000])
            await anyio.lowlevel.checkpoint()
        (answer,) = await answers_of(stream, 1)
    assert answer["result"]["content"][0]["text"] == json.dumps({"text": "x" * 200_000}, separators=(",", ":"))
    assert fast == [1]


async def test_a_client_that_waits_to_be_asked_for_the_body_is_asked(tmp_path: Path, fast: list[Any]) -> None:
    async with raw_server(tmp_path) as (host, port, _), await connect(port) as stream:
        body = call(1, n=1)
        await stream.send(raw(host, body, Expect="100-continue").removesuffix(body))
        assert (await stream.receive()).startswith(b"HTTP/1.1 100")
        await stream.send(body)
        assert b'"isError":false' in await stream.receive()
    assert fast == []


@pytest.mark.parametrize("size", [1, 100_000])
async def test_the_call_of_a_client_that_has_gone_is_cancelled(tmp_path: Path, fast: list[Any], size: int) -> None:
    async with peer(silent) as seen, served(tmp_path, entry(seen, "t", **RPC)) as url:
        host = url.removeprefix("http://").removesuffix("/mcp")
        async with await connect(int(host.rpartition(":")[2])) as stream:
            await stream.send(raw(host, call(1, text="x" * size)))
            with anyio.fail_after(PATIENCE):
                while not seen.received:
                    await anyio.sleep(0.001)
        async with httpx2.AsyncClient(headers=BEARER, timeout=PATIENCE) as http:
            with anyio.fail_after(PATIENCE):
                while 'error_type="Cancelled"' not in (await http.get(url.replace("/mcp", "/metrics"))).text:
                    await anyio.sleep(0.001)
    assert fast == [1]


async def test_what_is_too_large_is_rejected_as_elsewhere(tmp_path: Path, fast: list[Any]) -> None:
    async with peer(jsonrpc) as seen, served(tmp_path, entry(seen, "t", **RPC)) as url:
        async with httpx2.AsyncClient(headers={**BEARER, **HEADERS}, timeout=PATIENCE) as http:
            statuses = [
                (await http.post(url, content=call(1, **arguments))).status_code
                for arguments in ({"text": "x" * (4 << 20)}, {"list": [1] * 60_000}, {"n": 1})
            ]
    assert statuses == [413, 413, 200]
    assert fast == [1]


async def test_the_last_response_of_a_connection_says_so(tmp_path: Path, fast: list[Any]) -> None:
    async with raw_server(tmp_path) as (host, port, _), await connect(port) as stream:
        await stream.send(raw(host, call(1, n=1), Connection="close"))
        received = await rest_of(stream)
    assert b"connection: close" in received.partition(b"\r\n\r\n")[0].splitlines()
    assert fast == [1]
