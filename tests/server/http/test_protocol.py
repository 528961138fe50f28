"""A connection to the HTTP server without a socket: what it waits for, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import uvicorn
from uvicorn.server import ServerState

from tests.peer import PATIENCE
from utcp_ws_mcp.server.http import connections as module
from utcp_ws_mcp.server.http.connections import (
    KEEP_ALIVE_TIMEOUT,
    LOG_INTERVAL,
    MAX_HEAD_SIZE,
    REQUEST_TIMEOUT,
    ConnectionLimits,
    LimitedProtocol,
    RareLog,
)

OK = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
TIMEOUT, TOO_LARGE, FULL = b"HTTP/1.1 408 ", b"HTTP/1.1 431 ", b"HTTP/1.1 503 "


class Transport(asyncio.Transport):
    """What a connection writes, and whether it has closed itself."""

    def __init__(self, peer: str = "192.0.2.1") -> None:
        super().__init__({"peername": (peer, 5), "sockname": ("127.0.0.1", 80)})
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def set_protocol(self, protocol: Any) -> None: ...
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


class FakeAlarm:
    """Notes what a connection waits for, in seconds."""

    def __init__(self, loop: Any, ring: Callable[[], None]) -> None:
        self.ring = ring
        self.waits: list[float | None] = []
        self.ended = False

    def set(self, seconds: float) -> None:
        self.waits.append(seconds)

    def clear(self) -> None:
        self.waits.append(None)

    def end(self) -> None:
        self.ended = True


class Connection:
    """A connection, the requests that it has served, and its transport."""

    def __init__(self, limits: ConnectionLimits | None = None, peer: str = "192.0.2.1") -> None:
        self.requests: list[Any] = []
        self.release = asyncio.Event()
        self.release.set()
        config = uvicorn.Config(self._serve, lifespan="off", log_config=None, ws="none", interface="asgi3")
        config.load()
        self.limits = limits or ConnectionLimits(10, lambda: 0.0)
        self.state = ServerState()
        self.protocol = LimitedProtocol(config=config, server_state=self.state, app_state={}, limits=self.limits)
        self.transport = Transport(peer)
        self.protocol.connection_made(self.transport)

    @property
    def alarm(self) -> Any:
        return self.protocol._deadline

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.requests.append((scope["path"], dict(scope["headers"]), body))
        await self.release.wait()
        await send(OK)
        await send({"type": "http.response.body", "body": b"ok"})

    def send(self, text: str | bytes) -> None:
        self.protocol.data_received(text.encode() if isinstance(text, str) else text)

    async def responses(self, count: int) -> None:
        """Wait for responses."""
        with anyio.fail_after(PATIENCE):
            while self.transport.written.count(b"HTTP/1.1 200") < count:
                await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def _alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Alarm", FakeAlarm)


GET = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
POST = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"


async def test_a_connection_waits_for_a_head_then_a_body_then_nothing_then_the_next_request() -> None:
    connection = Connection()
    assert connection.alarm.waits == [REQUEST_TIMEOUT]
    connection.send(POST[:20])
    connection.send(POST[20:])
    assert connection.alarm.waits == [REQUEST_TIMEOUT] * 2
    connection.send("{}")
    assert connection.alarm.waits == [REQUEST_TIMEOUT] * 2 + [None]
    await connection.responses(1)
    assert connection.alarm.waits == [REQUEST_TIMEOUT] * 2 + [None, KEEP_ALIVE_TIMEOUT]
    connection.send("\r\n")
    assert connection.alarm.waits[4:] == [REQUEST_TIMEOUT]
    assert connection.requests == [("/a", {b"host": b"x", b"content-length": b"2"}, b"{}")]
    assert connection.state.total_requests == 1


async def test_a_request_that_follows_before_the_answer_is_served_next() -> None:
    connection = Connection()
    connection.release.clear()
    connection.send(GET)
    connection.send(GET)
    assert connection.alarm.waits[-1] is None
    connection.release.set()
    await connection.responses(2)
    assert len(connection.requests) == 2
    assert connection.alarm.waits[-1] == KEEP_ALIVE_TIMEOUT


@pytest.mark.parametrize("begun", [POST, POST + "{"], ids=["no body", "half of a body"])
async def test_a_request_that_waits_for_the_answer_to_another_one_has_time(begun: str) -> None:
    connection = Connection()
    connection.release.clear()
    connection.send(GET)
    connection.send(begun)
    connection.alarm.ring()
    assert not connection.transport.closed
    assert connection.alarm.waits[-1] == REQUEST_TIMEOUT
    connection.release.set()
    await connection.responses(1)
    connection.alarm.ring()
    assert connection.transport.written.count(TIMEOUT) == 1
    assert connection.transport.closed


@pytest.mark.parametrize(
    ("sent", "answer"),
    [("", b""), ("G", TIMEOUT), (POST[:40], TIMEOUT), (POST, TIMEOUT), (POST + "{", TIMEOUT)],
    ids=["nothing", "a letter", "a head", "no body", "half of a body"],
)
async def test_what_has_begun_and_does_not_arrive_is_answered_at_the_deadline(sent: str, answer: bytes) -> None:
    connection = Connection()
    if sent:
        connection.send(sent)
    connection.alarm.ring()
    assert connection.transport.written.startswith(answer)
    assert bool(connection.transport.written) is bool(answer)
    assert connection.transport.closed
    assert connection.alarm.ended
    connection.alarm.ring()
    assert connection.transport.written.count(b"HTTP") == (1 if answer else 0)


async def test_a_connection_between_two_requests_is_closed_at_its_deadline_without_an_answer() -> None:
    connection = Connection()
    connection.send(GET)
    await connection.responses(1)
    connection.alarm.ring()
    assert connection.transport.closed
    assert connection.transport.written.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("more", [0, 1])
async def test_a_head_has_a_greatest_size(more: int) -> None:
    connection = Connection()
    head = "GET / HTTP/1.1\r\nX: "
    connection.send(head + "y" * (MAX_HEAD_SIZE - len(head) + more))
    assert connection.transport.written.startswith(TOO_LARGE) is bool(more)
    assert connection.transport.closed is bool(more)


async def test_the_size_of_a_head_is_counted_for_each_request() -> None:
    connection = Connection()
    large = "GET / HTTP/1.1\r\nHost: x\r\nX: " + "y" * (MAX_HEAD_SIZE // 2)
    for number in (1, 2, 3):
        connection.send(large)
        connection.send("\r\n\r\n")
        await connection.responses(number)
    assert not connection.transport.closed


async def test_a_body_may_be_larger_than_a_head() -> None:
    connection = Connection()
    body = "x" * (2 * MAX_HEAD_SIZE)
    connection.send(f"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n")
    connection.send(body)
    await connection.responses(1)
    assert connection.requests[0][2] == body.encode()


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        ("/a", b"/a", b"x"),
        ("http://other:80/a", b"/a", b"other:80"),
        ("http://other", b"/", b"other"),
        ("ftp://other/a", b"/ftp://other/a", b"x"),
    ],
)
async def test_a_target_names_the_path_and_perhaps_the_host(target: str, path: bytes, host: bytes) -> None:
    connection = Connection()
    connection.send(f"GET {target} HTTP/1.1\r\nHost: x\r\nX-A:  b \t\r\n\r\n")
    await connection.responses(1)
    ((shown, headers, _),) = connection.requests
    assert (shown.encode(), headers) == (path, {b"host": host, b"x-a": b"b"})


async def test_headers_behind_a_body_in_chunks_are_dropped() -> None:
    connection = Connection()
    connection.send(
        "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Late: 1\r\n\r\n"
    )
    await connection.responses(1)
    ((_, headers, body),) = connection.requests
    assert (b"x-late" in headers, body) == (False, b"{}")


async def test_an_offered_protocol_is_ignored() -> None:
    connection = Connection()
    head = "Host: x\r\nConnection: Upgrade\r\nUpgrade: other\r\nContent-Length: 2\r\n\r\n"
    connection.send(f"POST /a HTTP/1.1\r\n{head}{{}}POST /b HTTP/1.1\r\n{head}[")
    connection.send("]")
    await connection.responses(2)
    headers = {b"host": b"x", b"connection": b"Upgrade", b"content-length": b"2"}
    assert connection.requests == [("/a", headers, b"{}"), ("/b", headers, b"[]")]
    assert not connection.transport.closed


async def test_a_connection_without_a_place_gets_503_and_a_lost_one_frees_its_own() -> None:
    limits = ConnectionLimits(2, lambda: 0.0)
    connections = [Connection(limits, f"192.0.2.{number}") for number in range(2)]
    for each in connections:
        each.release.clear()
        each.send(GET)
    refused = Connection(limits, "192.0.2.9")
    assert refused.transport.written.startswith(FULL)
    assert refused.transport.closed
    assert refused.alarm.waits == []
    connections[0].protocol.connection_lost(None)
    assert connections[0].alarm.ended
    assert not Connection(limits, "192.0.2.8").transport.closed
    for each in connections:
        each.release.set()


async def test_the_oldest_connection_without_a_request_makes_room(caplog: pytest.LogCaptureFixture) -> None:
    limits = ConnectionLimits(4, lambda: 0.0)
    first, second = (Connection(limits, "192.0.2.1") for _ in range(2))
    other = Connection(limits, "192.0.2.2")
    third = Connection(limits, "192.0.2.1")  # a peer has half of the places
    assert [each.transport.closed for each in (first, second, other, third)] == [True, False, False, False]
    Connection(limits, "192.0.2.3")
    last = Connection(limits, "192.0.2.4")
    assert [each.transport.closed for each in (second, other, third, last)] == [True, False, False, False]
    assert caplog.messages == ["too many HTTP connections; the oldest without a request are closed"]
    assert first.transport.written == b""


def test_overload_is_logged_again_after_a_minute_with_what_was_left_out(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([100.0, 100.0, 100.0 + LOG_INTERVAL - 1, 100.0 + LOG_INTERVAL, 100.0 + 2 * LOG_INTERVAL])
    log = RareLog(lambda: next(times))
    for _ in range(5):
        log.report("full")
    assert caplog.messages == ["full", "full (2 more in the last minute)", "full"]
    assert LOG_INTERVAL == 60
