"""Clients that reach the port, with or without a token: what they can hold open, and for how long."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream

from tests.peer import PATIENCE, entry, jsonrpc, peer
from tests.server.http.test_app import BEARER, POST, RPC, TOKEN, client_of, initialize, served
from utcp_ws_mcp.server.http import app as http_app
from utcp_ws_mcp.server.http import connections
from utcp_ws_mcp.server.http.connections import Alarm, RareLog, max_connections, report_accept_failures

ACCEPT = "Accept: application/json, text/event-stream"
HEAD = f"POST /mcp HTTP/1.1\r\nHost: {{host}}\r\nContent-Type: application/json\r\n{ACCEPT}\r\n"
AUTHORIZED = HEAD + f"Authorization: Bearer {TOKEN}\r\n"


@asynccontextmanager
async def raw_server(folder: Path, **options: Any) -> AsyncIterator[tuple[str, int, str]]:
    """The host header, the port and the URL of a server of one tool."""
    async with peer(jsonrpc) as seen, served(folder, entry(seen, "t", **RPC), **options) as url:
        host = url.removeprefix("http://").removesuffix("/mcp")
        yield host, int(host.rpartition(":")[2]), url


async def connect(port: int) -> SocketStream:
    return await anyio.connect_tcp("127.0.0.1", port)


async def rest_of(stream: SocketStream) -> bytes:
    """What the server sends until it closes the connection."""
    received = b""
    with anyio.fail_after(PATIENCE):
        try:
            while True:
                received += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return received


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("", b""),
        ("POST /mc", b"408"),
        (HEAD, b"408"),
        (HEAD + "Content-Length: 10\r\n\r\n", b"401"),
        (AUTHORIZED + "Content-Length: 10\r\n\r\n", b"408"),
        (AUTHORIZED + "Content-Length: 10\r\n\r\n{", b"408"),
        (AUTHORIZED + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"408"),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /heal", b"200"),
    ],
    ids=["nothing", "a line", "a head", "401", "no body", "part of a body", "chunks", "a second head"],
)
async def test_a_request_that_does_not_arrive_in_time_ends_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: str, status: bytes
) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.2)
    async with raw_server(tmp_path) as (host, port, _), await connect(port) as stream:
        await stream.send(sent.replace("{host}", host).encode())
        received = await rest_of(stream)
    assert received.split(b" ", 2)[1:2] == ([status] if status else [])


async def test_a_client_that_sends_byte_by_byte_gets_no_more_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.05)
    async with raw_server(tmp_path) as (_, port, _), await connect(port) as stream, anyio.create_task_group() as tasks:

        async def send_until_closed() -> None:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                for byte in b"GET / HTTP/1.1\r\nX: " + b"y" * 16_000:
                    await stream.send(bytes([byte]))

        tasks.start_soon(send_until_closed)
        assert b"408" in await rest_of(stream)


async def test_a_running_call_and_an_idle_connection_outlive_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.1)
    expired = asyncio.Event()

    async def slow(seen: Any, connection: Any, message: Any) -> None:
        asyncio.get_running_loop().call_later(0.3, expired.set)
        await expired.wait()
        await jsonrpc(seen, connection, message)

    async with peer(slow) as seen, served(tmp_path, entry(seen, "t", **RPC)) as url, client_of(url, "auto") as client:
        for number in (1, 2):
            assert (await client.call_tool("m_t", {"n": number})).structured_content == {"n": number}


async def test_idle_connections_do_not_keep_others_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_app, "max_connections", lambda: 8)
    async with raw_server(tmp_path) as (_, port, url):
        idle = [await connect(port) for _ in range(20)]
        for number, stream in enumerate(idle):
            if number % 2:
                await stream.send(b"GET / HTTP/1.1\r\nX: ")
        async with client_of(url, "auto") as client:
            assert (await client.call_tool("m_t", {"n": 1})).structured_content == {"n": 1}
        closed = [stream for stream in idle if await is_closed(stream)]
        assert closed == idle[: len(closed)]
        assert len(closed) >= 16
        for stream in idle:
            await stream.aclose()


async def is_closed(stream: SocketStream) -> bool:
    """Whether the server has closed a connection on which it has sent nothing."""
    with anyio.move_on_after(0.05):
        await rest_of(stream)
        return True
    return False


@pytest.mark.parametrize("limit", [1, 2, 5, 9])
async def test_a_peer_has_half_of_the_connections_and_serving_ones_stay(limit: int) -> None:
    limits = connections.ConnectionLimits(limit, lambda: 0.0)
    serving = [Fake(has_no_request=False) for _ in range(3 * limit)]
    admitted = [each for each in serving if limits.admit(each, "a")]
    assert len(admitted) == (limit + 1) // 2
    others = [Fake(has_no_request=True) for _ in range(3 * limit)]
    assert all(limits.admit(each, f"peer {number}") for number, each in enumerate(others)) is (limit > 1)
    assert not any(each.ended for each in serving)
    for each in [*admitted, *others]:
        limits.remove(each)
    assert limits.admit(Fake(has_no_request=True), "a")


class Fake:
    """What the limits need of a connection."""

    def __init__(self, *, has_no_request: bool) -> None:
        self.has_no_request = has_no_request
        self.ended = False

    def end(self) -> None:
        self.ended = True


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(1024, 768), (256, 192), (100, 36), (64, 1), (1 << 20, 2000), (resource.RLIM_INFINITY, 2000)],
)
def test_file_descriptors_are_kept_for_websockets(monkeypatch: pytest.MonkeyPatch, limit: int, expected: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert max_connections() == expected


def test_overload_is_logged_once_in_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    log = RareLog(lambda: now)
    for _ in range(1000):
        log.report("full")
    now = 161.0
    log.report("full")
    assert [record.getMessage() for record in caplog.records] == ["full", "full (999 more in the last minute)"]


async def test_a_failure_to_accept_is_one_line_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    report_accept_failures(loop)
    try:
        for _ in range(1000):
            failure = OSError(24, "Too many open files")
            loop.call_exception_handler({"message": "socket.accept() out of system resource", "exception": failure})
        loop.call_exception_handler({"message": "something else"})
    finally:
        loop.set_exception_handler(None)
    ours, other = caplog.records
    assert ours.getMessage() == "cannot accept a connection: [Errno 24] Too many open files"
    assert (ours.levelno, ours.exc_info, other.getMessage()) == (logging.WARNING, None, "something else")


BODY = json.dumps(initialize())
CHUNKED = f"{len(BODY):x}\r\n{BODY}\r\n0\r\n\r\n"


async def test_a_request_with_two_lengths_is_rejected_and_its_connection_closed(tmp_path: Path) -> None:
    async with raw_server(tmp_path) as (host, port, _), await connect(port) as stream:
        head = AUTHORIZED.format(host=host) + f"Transfer-Encoding: chunked\r\nContent-Length: {len(BODY)}\r\n\r\n"
        await stream.send((head + CHUNKED + "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").encode())
        received = await rest_of(stream)
    assert received.startswith(b"HTTP/1.1 400")
    assert received.count(b"HTTP/1.1") == 1


async def test_a_head_that_is_too_large_is_rejected(tmp_path: Path) -> None:
    async with raw_server(tmp_path) as (_, port, _), await connect(port) as stream:
        await stream.send(b"GET / HTTP/1.1\r\nX: " + b"y" * connections.MAX_HEAD_SIZE)
        assert (await rest_of(stream)).startswith(b"HTTP/1.1 431")


async def test_headers_behind_a_body_in_chunks_do_not_count(tmp_path: Path) -> None:
    async with raw_server(tmp_path) as (host, port, _), await connect(port) as stream:
        head = AUTHORIZED.format(host=host) + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        await stream.send((head + CHUNKED[:-2] + "Host: evil.example\r\n\r\n").encode())
        received = await rest_of(stream)
    assert received.startswith(b"HTTP/1.1 200")


async def test_white_space_around_the_value_of_a_header_does_not_count(tmp_path: Path) -> None:
    async with raw_server(tmp_path) as (host, port, _), await connect(port) as stream:
        head = AUTHORIZED.replace("Host: {host}", f"Host: \t{host} \t ")
        await stream.send(f"{head}Connection: close\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}".encode())
        assert (await rest_of(stream)).startswith(b"HTTP/1.1 200")


async def test_line_breaks_without_a_request_do_not_keep_a_connection_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.05)
    async with raw_server(tmp_path) as (_, port, _), await connect(port) as stream:
        await stream.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await stream.receive()).startswith(b"HTTP/1.1 200")
        await stream.send(b"\r\n\r\n")
        await rest_of(stream)


@pytest.mark.parametrize("offered", ["h2c", "websocket"])
async def test_a_client_that_offers_another_protocol_is_answered_in_this_one(tmp_path: Path, offered: str) -> None:
    async with raw_server(tmp_path) as (host, port, _), await connect(port) as stream:
        head = AUTHORIZED.format(host=host) + f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {offered}\r\n"
        request = f"{head}Content-Length: {len(BODY)}\r\n\r\n{BODY}"
        received = b""
        for part in (request, request[:-9], request[-9:], request):
            await stream.send(part.encode())
        with anyio.fail_after(PATIENCE):
            while received.count(b"HTTP/1.1 200") < 3:
                received += await stream.receive()
    assert received.count(b"HTTP/1.1 ") == 3


async def test_a_tunnel_is_not_opened(tmp_path: Path) -> None:
    async with raw_server(tmp_path) as (host, port, _), await connect(port) as stream:
        await stream.send(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\nrest".encode())
        assert await rest_of(stream) == b""


@pytest.mark.parametrize(
    ("target", "host_header", "status"),
    [
        ("http://{host}/mcp", "{host}", 200),
        ("HTTP://{host}/mcp", "{host}", 200),
        ("http://{host}/mcp", "evil.example", 200),
        ("http://{host}/healthz", "{host}", 405),
        ("http://{host}", "{host}", 404),
        ("http://evil.example/mcp", "{host}", 421),
        ("http://evil.example@{host}/mcp", "{host}", 421),
        ("http://{host}@evil.example/mcp", "{host}", 421),
        ("http:///mcp", "{host}", 421),
        ("ftp://{host}/mcp", "{host}", 404),
    ],
)
async def test_a_target_in_absolute_form_names_the_host(
    tmp_path: Path, target: str, host_header: str, status: int
) -> None:
    async with raw_server(tmp_path) as (host, port, _), await connect(port) as stream:
        head = AUTHORIZED.replace("/mcp", target, 1).replace("Host: {host}", f"Host: {host_header}")
        request = f"{head}Connection: close\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}"
        await stream.send(request.replace("{host}", host).encode())
        received = await rest_of(stream)
    assert int(received.split(b" ", 2)[1]) == status


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ({f"k{number}": 0 for number in range(30_000)}, 413),
        ([[]] * 60_000, 413),
        ([1] * 60_000, 413),
        ("," * 60_000, 200),
        ('[{:"\\' * 60_000, 200),
        ([1] * 40_000, 200),
        ("x" * (4 << 20), 413),
    ],
    ids=["keys", "lists", "numbers", "commas in a text", "quotes in a text", "fewer", "bytes"],
)
async def test_a_body_that_would_hold_up_all_is_rejected(tmp_path: Path, value: Any, status: int) -> None:
    async with raw_server(tmp_path) as (_, _, url):
        async with httpx2.AsyncClient(headers={**BEARER, **POST}, timeout=PATIENCE) as http:
            message = initialize()
            message["params"]["clientInfo"]["x"] = value
            response = await http.post(url, content=json.dumps(message, separators=(",", ":")).encode())
            assert response.status_code == status
            assert (await http.post(url, json=initialize())).status_code == 200


class Clock:
    """The part of an event loop that an alarm needs: a time that the test moves, and timers."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[asyncio.TimerHandle] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, function: Any, *args: Any) -> asyncio.TimerHandle:
        self.timers.append(asyncio.TimerHandle(when, function, args, asyncio.get_running_loop()))
        return self.timers[-1]

    def move_to(self, now: float) -> None:
        """Fire the timers until a time."""
        while due := [timer for timer in self.timers if not timer.cancelled() and timer.when() <= now]:
            self.timers.remove(due[0])
            self.now = due[0].when()
            due[0]._run()
        self.now = now


async def test_an_alarm_rings_at_the_time_that_was_set_last() -> None:
    clock: Any = Clock()
    rung: list[float] = []
    alarm = Alarm(clock, lambda: rung.append(clock.now))
    alarm.set(10)
    clock.move_to(5)
    alarm.set(10)
    clock.move_to(20)
    alarm.set(10)
    clock.move_to(21)
    alarm.set(2)
    clock.move_to(60)
    alarm.set(1)
    alarm.clear()
    clock.move_to(90)
    alarm.set(1)
    alarm.end()
    clock.move_to(99)
    assert rung == [15, 23]
    assert [timer for timer in clock.timers if not timer.cancelled()] == []


async def test_an_alarm_that_is_set_for_each_request_has_one_timer() -> None:
    clock: Any = Clock()
    alarm = Alarm(clock, lambda: None)
    for number in range(1000):
        clock.move_to(number / 100)
        alarm.set(10)
        alarm.clear()
    assert len(clock.timers) == 1


@pytest.mark.parametrize(
    "sent", ["GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "POST /mcp HTTP/1.1\r\nContent-Length: 1\r\n\r\n"]
)
async def test_a_connection_without_requests_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    monkeypatch.setattr(connections, "KEEP_ALIVE_TIMEOUT", 0.1)
    async with raw_server(tmp_path) as (_, port, _), await connect(port) as stream:
        await stream.send(sent.encode())
        assert (await stream.receive()).startswith(b"HTTP/1.1 ")
        await stream.send(b"{" if "POST" in sent else b"")
        assert b"HTTP" not in await rest_of(stream)
