"""OAuth2 client credentials: cached, refreshed early, fetched once, retried once."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anyio
import pytest
from pydantic import SecretStr

from tests.client.test_websocket import serve_tcp
from tests.peer import PATIENCE, bridge_to, entry, jsonrpc, peer
from utcp_ws_mcp.client.oauth import TokenCache
from utcp_ws_mcp.client.resolver import EndpointResolver
from utcp_ws_mcp.errors import ForbiddenURL, HandshakeRejected, TokenRequestError
from utcp_ws_mcp.manifest.models.auth import OAuth2Auth
from utcp_ws_mcp.manifest.models.network import Network

RPC = {"preset": "jsonrpc2"}


@dataclass
class TokenEndpoint:
    """A token endpoint and the requests that it has seen: headers and form."""

    port: int = 0
    requests: list[tuple[dict[str, str], dict[str, list[str]]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"

    def auth(self, **more: Any) -> dict[str, Any]:
        credentials = {"client_id": "id", "client_secret": "s3cret!"}
        return {"auth_type": "oauth2", "token_url": self.url, **credentials, **more}


@asynccontextmanager
async def token_endpoint(answer: Callable[[int], tuple[int, Any]], *lines: str) -> AsyncIterator[TokenEndpoint]:
    """Serve; `answer` gives the status and body of the n-th request, `lines` are further headers of every answer."""
    endpoint = TokenEndpoint()

    async def handle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data:
                data += await stream.receive()
            head, _, body = data.partition(b"\r\n\r\n")
            headers = {}
            for line in head.decode().split("\r\n")[1:]:
                name, _, value = line.partition(": ")
                headers[name.lower()] = value
            while len(body) < int(headers.get("content-length", 0)):
                body += await stream.receive()
            endpoint.requests.append((headers, parse_qs(body.decode())))
            status, content = answer(len(endpoint.requests))
            text = content if isinstance(content, str) else json.dumps(content)
            extra = "Location: http://127.0.0.1:1/\r\n" if 300 <= status < 400 else ""
            extra += "".join(f"{line}\r\n" for line in lines)
            head = f"HTTP/1.1 {status} X\r\n{extra}Content-Type: application/json\r\nContent-Length: {len(text)}"
            await stream.send(f"{head}\r\n\r\n{text}".encode())

    async with serve_tcp(handle) as port:
        endpoint.port = port
        yield endpoint


def token(number: int) -> tuple[int, Any]:
    return 200, {"access_token": f"t{number}", "token_type": "Bearer", "expires_in": 3600}


async def test_the_token_goes_into_the_upgrade_and_is_fetched_once_for_all_connections(tmp_path: Path) -> None:
    async with token_endpoint(token) as endpoint, peer(jsonrpc) as seen:
        template = {"auth": endpoint.auth(scope="read", audience="api"), "keep_alive": False, **RPC}
        async with bridge_to(tmp_path, entry(seen, "t", **template)) as bridge, anyio.create_task_group() as calls:
            for _ in range(20):
                calls.start_soon(bridge.call_tool, "m.t")
    assert {upgrade.headers["Authorization"] for upgrade in seen.upgrades} == {"Bearer t1"}
    assert len(endpoint.requests) == 1
    assert endpoint.requests[0][1] == {
        "grant_type": ["client_credentials"],
        "client_id": ["id"],
        "client_secret": ["s3cret!"],
        "scope": ["read"],
        "audience": ["api"],
    }


async def test_with_basic_both_parts_are_form_encoded_before_base64(tmp_path: Path) -> None:
    async with token_endpoint(token) as endpoint, peer(jsonrpc) as seen:
        auth = endpoint.auth(auth_method="basic", client_id="a b", client_secret="c:%")
        async with bridge_to(tmp_path, entry(seen, "t", auth=auth, **RPC)) as bridge:
            await bridge.call_tool("m.t")
    headers, form = endpoint.requests[0]
    assert headers["authorization"] == "Basic " + base64.b64encode(b"a+b:c%3A%25").decode()
    assert form == {"grant_type": ["client_credentials"]}


async def test_a_token_that_the_upgrade_rejects_is_fetched_again_once(tmp_path: Path) -> None:
    def accept_second(connection: Any, request: Any) -> Any:
        return None if request.headers["Authorization"] == "Bearer t2" else connection.respond(401, "")

    async with token_endpoint(token) as endpoint, peer(jsonrpc, process_request=accept_second) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", auth=endpoint.auth(), **RPC)) as bridge:
            assert await bridge.call_tool("m.t", {"n": 1}) == {"n": 1}
        assert len(endpoint.requests) == 2


async def test_a_second_401_is_an_error(tmp_path: Path) -> None:
    def refuse(connection: Any, request: Any) -> Any:
        return connection.respond(401, "")

    async with token_endpoint(token) as endpoint, peer(jsonrpc, process_request=refuse) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", auth=endpoint.auth(), **RPC)) as bridge:
            with pytest.raises(HandshakeRejected, match="HTTP 401"):
                await bridge.call_tool("m.t")
        assert len(endpoint.requests) == 2


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def now() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


def oauth(endpoint: TokenEndpoint) -> OAuth2Auth:
    return OAuth2Auth(auth_type="oauth2", token_url=endpoint.url, client_id="id", client_secret=SecretStr("s3cret!"))


@pytest.mark.parametrize(
    ("expires_in", "fresh", "stale"),
    [(3600, 3239, 3241), ("600", 539, 541), (40, 19, 21), (None, 269, 271), (0, -1, 0), (1e12, 77759, 77761)],
)
async def test_a_token_is_refreshed_before_it_expires(expires_in: Any, fresh: float, stale: float) -> None:
    def answer(number: int) -> tuple[int, Any]:
        return 200, {"access_token": f"t{number}", **({} if expires_in is None else {"expires_in": expires_in})}

    clock = Clock()
    async with token_endpoint(answer) as endpoint:
        tokens, auth = TokenCache(clock, now), oauth(endpoint)
        assert await tokens.get(auth, Network(), EndpointResolver(), PATIENCE) == "t1"
        clock.now = 1000 + fresh
        if fresh >= 0:
            assert await tokens.get(auth, Network(), EndpointResolver(), PATIENCE) == "t1"
        clock.now = 1000 + stale
        assert await tokens.get(auth, Network(), EndpointResolver(), PATIENCE) == "t2"


async def test_a_thousand_calls_that_wait_for_a_token_make_one_request() -> None:
    async with token_endpoint(token) as endpoint:
        tokens, auth = TokenCache(Clock(), now), oauth(endpoint)
        async with anyio.create_task_group() as callers:
            for _ in range(1_000):
                callers.start_soon(tokens.get, auth, Network(), EndpointResolver(), PATIENCE)
        assert len(endpoint.requests) == 1


async def test_a_thousand_calls_share_the_failure_of_the_request_that_they_waited_for() -> None:
    failures: list[TokenRequestError] = []
    async with token_endpoint(lambda number: (500, "") if number == 1 else token(number)) as endpoint:
        tokens, auth = TokenCache(Clock(), now), oauth(endpoint)

        async def call() -> None:
            with pytest.raises(TokenRequestError) as failed:
                await tokens.get(auth, Network(), EndpointResolver(), PATIENCE)
            failures.append(failed.value)

        async with anyio.create_task_group() as callers:
            for _ in range(1_000):
                callers.start_soon(call)
        assert (len(endpoint.requests), len(failures)) == (1, 1_000)
        assert await tokens.get(auth, Network(), EndpointResolver(), PATIENCE) == "t2"


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (400, {"error": "invalid_client", "error_description": "s3cret!"}, r"HTTP 400 \(invalid_client\)"),
        (400, {"error": 'x"s3cret!'}, r"HTTP 400\. "),
        (400, {"error": "s3cret!"}, r"HTTP 400\. "),
        (302, "", "HTTP 302"),
        (500, "s3cret! <html>", "HTTP 500"),
        (200, "not json s3cret!", "no usable access_token"),
        (200, {"access_token": "a\r\nb"}, "no usable access_token"),
        (200, {"access_token": "abc", "token_type": "mac"}, "not of type Bearer"),
        (200, [1], "no usable access_token"),
        (200, "[" * 5000, "no usable access_token"),
    ],
)
async def test_an_answer_without_a_token_is_an_error_that_shows_no_secret(
    status: int, body: Any, sentence: str
) -> None:
    async with token_endpoint(lambda number: (status, body)) as endpoint:
        with pytest.raises(TokenRequestError, match=sentence) as rejected:
            await TokenCache(Clock(), now).get(oauth(endpoint), Network(), EndpointResolver(), PATIENCE)
    assert "s3cret" not in str(rejected.value)


async def test_an_endless_answer_is_cut_off() -> None:
    async with token_endpoint(lambda number: (200, "x" * 100_000)) as endpoint:
        with pytest.raises(ConnectionError, match=r"more than 65,536 bytes.*\[http-request-failed\]"):
            await TokenCache(Clock(), now).get(oauth(endpoint), Network(), EndpointResolver(), PATIENCE)


async def test_a_secret_is_never_sent_in_plain_text_over_a_network() -> None:
    auth = OAuth2Auth(auth_type="oauth2", token_url="http://example.com/t", client_id="i", client_secret=SecretStr("s"))
    with pytest.raises(ForbiddenURL, match="plain text. Use https://"):
        await TokenCache(Clock(), now).get(auth, Network(), EndpointResolver(), PATIENCE)
