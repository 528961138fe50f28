"""Heads that were read before: when they are used again, and that every request is answered as without them."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from tests.server.http.test_fast_path import CALL, HEADERS, request
from tests.server.http.test_protocol import Transport
from utcp_ws_mcp.server.http.connections import ConnectionLimits
from utcp_ws_mcp.server.http.fast_connection import FastLane, FastProtocol
from utcp_ws_mcp.server.http.known_heads import MAX_HEADS, MAX_KNOWN_SIZE, KnownHeads
from utcp_ws_mcp.server.http.security import HttpAccessPolicy

HOST = "127.0.0.1:80"
TURNS = 30
"""Turns of the event loop in which all requests of a piece of TCP are answered."""

POLICY = HttpAccessPolicy(frozenset({("127.0.0.1", 80)}), frozenset(), None)


def body(number: int) -> bytes:
    return json.dumps(request(request_id=number, **{**CALL, "arguments": {"n": number}})).encode()


def post(content: bytes, **headers: str) -> bytes:
    lines = {"Host": HOST, **HEADERS, "Content-Length": str(len(content)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + content


class NoHeads(KnownHeads):
    """Finds none, so that all are parsed."""

    def find(self, data: bytes) -> None:
        return None


class Server:
    """A connection whose requests all reach the application; the transport is of memory."""

    def __init__(self, heads: KnownHeads | None = None) -> None:
        self.requests: list[Any] = []
        self.heads = heads or KnownHeads()
        config = uvicorn.Config(self._serve, lifespan="off", log_config=None, ws="none", interface="asgi3")
        config.load()
        path: Any = SimpleNamespace(answer=self._leave, guard=str, begins_at_once=lambda asked: True)
        lane = FastLane(path, "/mcp", POLICY, needs_token=False, cors_headers=lambda origin: (), heads=self.heads)
        limits = ConnectionLimits(10, lambda: 0.0)
        self.protocol = FastProtocol(config=config, server_state=ServerState(), app_state={}, limits=limits, lane=lane)
        self.transport = Transport()
        self.protocol.connection_made(self.transport)

    async def _leave(self, *asked: Any) -> None:
        """Leave every request to the application."""

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        content, more = b"", True
        while more:
            message = await receive()
            content, more = content + message.get("body", b""), message.get("more_body", False)
        self.requests.append((scope, content))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def send(self, *pieces: bytes) -> None:
        """Receive pieces of TCP in callbacks of the event loop, and wait until nothing happens any more."""
        loop = asyncio.get_running_loop()
        for piece in pieces:
            if self.transport.closed:
                return
            loop.call_soon(self.protocol.data_received, piece)
            for _ in range(TURNS):
                await asyncio.sleep(0)
            cycle = self.protocol.cycle
            assert cycle is None or cycle.response_complete or cycle.more_body or self.transport.closed


class Counted(KnownHeads):
    """Counts the requests whose heads were known."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def find(self, data: bytes) -> Any:
        found = super().find(data)
        self.count += found is not None
        return found


async def test_a_request_with_the_head_of_an_earlier_one_is_the_same_to_the_application() -> None:
    server = Server(heads := Counted())
    await server.send(post(body(1)))
    await server.send(post(body(2)))
    assert heads.count == 0  # the first request of a connection is not remembered
    await server.send(post(body(3)))
    assert heads.count == 1
    scopes, bodies = zip(*server.requests, strict=True)
    assert bodies == (body(1), body(2), body(3))
    assert scopes[2] == scopes[1] == scopes[0]
    assert scopes[2] is not scopes[1]
    assert scopes[2]["headers"] is not scopes[1]["headers"]
    assert server.transport.written.count(b"HTTP/1.1 200 OK") == 3


async def test_connections_share_the_heads_but_not_their_addresses() -> None:
    first = Server(heads := Counted())
    await first.send(post(body(1)), post(body(2)))
    second = Server(heads)
    second.protocol.client = ("192.0.2.7", 7)
    await second.send(post(body(3)), post(body(4)))
    assert heads.count == 1
    assert second.requests[1][0]["client"] == ("192.0.2.7", 7)


async def test_another_head_is_parsed_between_known_ones() -> None:
    server = Server(heads := Counted())
    await server.send(post(body(1)), post(body(2)), post(body(3)), b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", post(body(4)))
    assert heads.count == 2
    assert [scope["path"] for scope, _ in server.requests] == ["/mcp"] * 3 + ["/a", "/mcp"]


async def test_a_connection_of_one_request_closes_after_the_response() -> None:
    server = Server(heads := Counted())
    last = Server(heads)
    await server.send(post(body(1)))
    await last.send(post(body(1)), post(body(2), Connection="close"))
    assert last.transport.closed
    again = Server(heads)
    await again.send(post(body(1)), post(body(2), Connection="close"))
    assert heads.count == 1
    assert again.transport.closed


async def test_a_body_that_comes_later_is_waited_for() -> None:
    server = Server(heads := Counted())
    await server.send(post(body(1)), post(body(2)), post(body(3))[:-5], body(3)[-5:])
    assert heads.count == 0
    assert [content for _, content in server.requests] == [body(1), body(2), body(3)]


async def test_requests_in_one_piece_of_tcp_are_parsed() -> None:
    server = Server(heads := Counted())
    await server.send(post(body(1)), post(body(2)), post(body(3)) + post(body(4)))
    assert heads.count == 0
    assert [content for _, content in server.requests] == [body(1), body(2), body(3), body(4)]


REQUESTS = st.one_of(
    st.integers(1, 9).map(lambda number: post(body(number))),
    st.integers(1, 9).map(lambda number: post(body(number))),
    st.sampled_from(
        [
            post(body(1), **{"X-More": "1"}),
            post(body(1) + b" "),
            post(b"not JSON"),
            post(body(1), Connection="close"),
            post(body(1), **{"Transfer-Encoding": "chunked"}),
            b"\r\n" + post(body(1)),
            b"\r\n\r\n" + post(body(1)),
            post(body(1)).replace(b"\r\n", b"\n"),
            post(b"{}\r\n\r\n{}"),
            b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\r\n",
            b"nonsense",
        ]
    ),
)


@given(st.lists(REQUESTS, min_size=2, max_size=8), st.lists(st.integers(0, 4000), max_size=4), st.booleans())
async def test_any_sequence_of_requests_is_answered_as_without_known_heads(
    requests: list[bytes], cuts: list[int], whole: bool
) -> None:
    pieces = list(requests)
    if not whole:
        joined = b"".join(requests)
        edges = sorted({0, len(joined), *(cut for cut in cuts if cut < len(joined))})
        pieces = [joined[start:end] for start, end in pairwise(edges)]
    with_heads, without = Server(), Server(NoHeads())
    for server in (with_heads, without):
        await server.send(*pieces)
    assert with_heads.requests == without.requests
    assert with_heads.transport.written == without.transport.written
    assert with_heads.transport.closed == without.transport.closed


def cycle_of(**scope: Any) -> Any:
    return SimpleNamespace(scope={"path": "/mcp", "headers": [], **scope}, keep_alive=True)


def headers_of(content: bytes, **more: bytes) -> dict[bytes, bytes]:
    return {b"content-length": b"%d" % len(content), **{name.encode(): value for name, value in more.items()}}


def test_a_known_head_is_found_with_another_body_of_its_length() -> None:
    heads = KnownHeads()
    heads.add(post(b"{}"), cycle_of(), headers_of(b"{}"))
    assert heads.find(post(b"[]")) is not None


@pytest.mark.parametrize(
    "data", [post(b"{}") + b"\r\n", post(b"{}")[:-1], post(b"{ }"), post(b"{}", A="b"), b"", b"\r\n"]
)
def test_other_bytes_are_not_found(data: bytes) -> None:
    heads = KnownHeads()
    heads.add(post(b"{}"), cycle_of(), headers_of(b"{}"))
    assert heads.find(data) is None


@pytest.mark.parametrize(
    ("data", "more"),
    [
        (post(b"{}")[:-1], {}),
        (post(b"{}") * 2, {}),
        (b"\r\n\r\n" + post(b"{}"), {}),
        (post(b"{}").replace(b"\r\n", b"\n"), {}),
        (post(b"{}", A="b" * MAX_KNOWN_SIZE), {}),
        (post(b"{}"), {"transfer-encoding": b"chunked"}),
        (b"", {}),
    ],
    ids=["a part", "two", "line breaks before it", "line feeds only", "large", "in chunks", "not its beginning"],
)
def test_a_head_that_is_not_followed_by_just_its_body_is_not_remembered(data: bytes, more: dict[str, bytes]) -> None:
    heads = KnownHeads()
    heads.add(data, cycle_of(), headers_of(b"{}", **more))
    assert heads.find(data) is None


def test_a_new_head_takes_the_place_of_the_oldest() -> None:
    heads = KnownHeads()
    for number in range(MAX_HEADS + 1):
        heads.add(post(b"{}", A=str(number)), cycle_of(), headers_of(b"{}"))
    assert heads.find(post(b"{}", A="0")) is None
    assert heads.find(post(b"{}", A="1")) is not None
    assert heads.find(post(b"{}", A=str(MAX_HEADS))) is not None
