"""Connections through a proxy: what it gets, what it answers, and what the network policy still decides."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from utcp_ws_mcp import PolicyError
from utcp_ws_mcp.client.dial import CheckedResolver
from utcp_ws_mcp.client.proxy import open_through_proxy
from utcp_ws_mcp.core.network_policy import URL, parse_url
from utcp_ws_mcp.errors import ConnectError, ForbiddenAddress, ForbiddenURL
from utcp_ws_mcp.manifest.models.network import Network

ENDPOINT = parse_url("wss://a.example/")
PASSWORD = "s3cret-of-ann"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def no_names(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} was looked up")


@asynccontextmanager
async def proxy(talk: Talk) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # a client that is refused leaves what it did not read
            await talk(reader, writer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


class HttpProxy:
    """Answers CONNECT in pieces, each read on its own, and then repeats what it gets."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces, self.head = pieces, b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = await reader.readuntil(b"\r\n\r\n")
        for piece in self.pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(await reader.read(100))
        await writer.drain()


async def connect(port: int, scheme: str = "http") -> socket.socket:
    proxy_url = f"{scheme}://ann:{PASSWORD}@127.0.0.1:{port}"
    async with asyncio.timeout(20):
        return await open_through_proxy(ENDPOINT, proxy_url, Network(), no_names)


async def echoed(connected: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    with connected:
        await loop.sock_sendall(connected, b"hello")
        return await loop.sock_recv(connected, 100)


ANSWERS = {
    "in one piece": [b"HTTP/1.1 200 OK\r\n\r\n"],
    "with headers": [b"HTTP/1.1 200 Connection established\r\nVia: 1.1 a\r\nContent-Length: 0\r\n\r\n"],
    "byte by byte": [bytes([each]) for each in b"HTTP/1.0 200 OK\r\nVia: x\r\n\r\n"],
    "with another success": [b"HTTP/1.1 204 No Content\r\n\r\n"],
}


@pytest.mark.parametrize("pieces", ANSWERS.values(), ids=ANSWERS)
async def test_a_proxy_is_asked_for_the_name_and_answers(pieces: Sequence[bytes]) -> None:
    talk = HttpProxy(*pieces)
    async with proxy(talk) as port:
        assert await echoed(await connect(port)) == b"hello"
    line, *headers = talk.head.decode().rstrip().split("\r\n")
    credentials = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    assert line == "CONNECT a.example:443 HTTP/1.1"
    assert {"Host: a.example:443", f"Proxy-Authorization: Basic {credentials}"} <= set(headers)


IMITATION = f"No request was sent. [reply-timeout] {PASSWORD}"

REFUSALS = {
    "another status": (HttpProxy(f"HTTP/1.1 407 {IMITATION}\r\nX: {IMITATION}\r\n\r\n".encode()), "HTTP 407"),
    "a redirect": (HttpProxy(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"), "HTTP 302"),
    "garbage": (HttpProxy(os.urandom(50_000) + b"\n"), "as HTTP does"),
    "nothing": (HttpProxy(b""), "as HTTP does"),
    "a status of many digits": (HttpProxy(b"HTTP/1.1 " + b"2" * 8_000 + b" OK\r\n\r\n"), "as HTTP does"),
    "headers without end": (HttpProxy(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200_000), "as HTTP does"),
    "a line without end": (HttpProxy(b"HTTP/1.1 200 " + b"x" * 1_000_000), "as HTTP does"),
    "more than an answer": (HttpProxy(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 X\r\n"), "as HTTP does"),
}


@pytest.mark.parametrize(("talk", "reason"), REFUSALS.values(), ids=REFUSALS)
async def test_an_answer_that_opens_nothing_is_reported_in_own_words(talk: Talk, reason: str) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(talk, HttpProxy) and talk.pieces == (b"",):
            writer.close()
        else:
            await talk(reader, writer)

    async with proxy(hang_up) as port:
        with pytest.raises(ConnectError) as failed:
            await connect(port)
    assert failed.value.code == "proxy-failed"
    assert reason in failed.value.reason
    assert failed.value.reason.endswith("Check that the proxy runs and allows this host.")
    assert PASSWORD not in str(failed.value)
    assert "No request was sent" not in failed.value.reason


async def test_a_socks_proxy_is_given_the_name() -> None:
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(4)
        writer.write(b"\x05\x02")
        await reader.readexactly(3 + 3 + len(PASSWORD))
        writer.write(b"\x01\x00")
        asked.append(await reader.readexactly(5 + len("a.example") + 2))
        writer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50")
        writer.write(await reader.read(100))
        await writer.drain()

    async with proxy(talk) as port:
        assert await echoed(await connect(port, scheme="socks5h")) == b"hello"
    assert asked == [b"\x05\x01\x00\x03\x09a.example\x01\xbb"]


SOCKS_ANSWERS = {
    "garbage": b"\xff" * 100_000,
    "an unknown kind of address": b"\x05\x02",
    "no method": b"\x05\xff",
    "half an answer": b"\x05",
}


@pytest.mark.parametrize("data", SOCKS_ANSWERS.values(), ids=SOCKS_ANSWERS)
async def test_a_socks_proxy_that_opens_nothing_is_reported_in_own_words(data: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(data)
        if len(data) < 2:
            return
        await reader.read(600)
        writer.write(b"\x01\x00" + b"\x05\x00\x00\x07" + b"\xff" * 300)

    async with proxy(talk) as port:
        with pytest.raises(ConnectError, match=r"the proxy did not connect \(\w+\)") as failed:
            await connect(port, scheme="socks5")
    assert failed.value.code == "proxy-failed"
    assert PASSWORD not in str(failed.value)


async def test_a_proxy_that_cannot_be_reached_is_reported_without_its_url() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for scheme in ("http", "socks5"):
        with pytest.raises(ConnectError, match="Check that the proxy runs and allows this host") as failed:
            await connect(port, scheme=scheme)
        assert failed.value.code == "proxy-failed"
        assert PASSWORD not in str(failed.value)


async def test_the_name_of_a_proxy_is_looked_up_by_the_resolver_of_the_endpoint() -> None:
    asked: list[str] = []

    async def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with proxy(HttpProxy(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        connected = await open_through_proxy(ENDPOINT, f"http://proxy.example:{port}", Network(), resolver)
        assert await echoed(connected) == b"hello"
    assert asked == ["proxy.example"]


async def test_a_caller_that_gives_up_closes_the_connection_to_the_proxy() -> None:
    ended = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        connecting.cancel()
        await reader.read()
        ended.set()

    async with proxy(talk) as port:
        connecting = asyncio.create_task(connect(port))
        with pytest.raises(asyncio.CancelledError):
            await connecting
        async with asyncio.timeout(20):
            await ended.wait()


ELSEWHERE, HERE = "http://proxy.example:1", "http://127.0.0.1:1"

FORBIDDEN = {
    "metadata of a cloud": ("wss://169.254.169.254/", HERE, {}, ForbiddenAddress),
    "metadata of a cloud, although private is allowed": (
        "wss://169.254.169.254/",
        ELSEWHERE,
        {"allow": ["private", "loopback"]},
        ForbiddenAddress,
    ),
    "a private address": ("wss://10.0.0.5/", HERE, {}, ForbiddenAddress),
    "an IPv6 address that embeds a private one": ("wss://[::ffff:10.0.0.5]/", HERE, {}, ForbiddenAddress),
    "the machine of the proxy": ("wss://localhost/", ELSEWHERE, {}, ForbiddenAddress),
    "the machine of the proxy by its address": ("wss://127.0.0.1/", ELSEWHERE, {}, ForbiddenAddress),
    "plain text over the network": ("ws://localhost/", ELSEWHERE, {"allow": ["loopback"]}, ForbiddenURL),
    "plain text to a name": ("ws://a.example/", HERE, {}, ForbiddenURL),
}


@pytest.mark.parametrize(("url", "proxy_url", "network", "error"), FORBIDDEN.values(), ids=FORBIDDEN)
async def test_what_the_policy_forbids_is_not_asked_for(
    url: str, proxy_url: str, network: dict[str, object], error: type[PolicyError]
) -> None:
    with pytest.raises(error):
        await open_through_proxy(parse_url(url), proxy_url, Network.model_validate(network), no_names)


ALLOWED = {
    "a private address": ("wss://10.0.0.5/", HERE, {"allow": ["private"]}),
    "this machine through this machine": ("ws://localhost/", HERE, {}),
    "the machine of the proxy": ("ws://127.0.0.1/", ELSEWHERE, {"allow": ["loopback"], "plaintext": True}),
}


@pytest.mark.parametrize(("url", "proxy_url", "network"), ALLOWED.values(), ids=ALLOWED)
async def test_what_the_policy_allows_is_asked_for(url: str, proxy_url: str, network: dict[str, object]) -> None:
    async def nothing(host: str, port: int) -> list[str]:
        return []

    with pytest.raises(ConnectError) as failed:
        await open_through_proxy(parse_url(url), proxy_url, Network.model_validate(network), nothing)
    assert failed.value.code == "proxy-failed"


async def test_who_decides_on_urls_is_asked_before_a_proxy_is() -> None:
    def refuse(url: URL) -> None:
        raise PolicyError("not this one", code="host-not-granted")

    with pytest.raises(PolicyError, match="not this one"):
        await open_through_proxy(ENDPOINT, ELSEWHERE, Network(), CheckedResolver(no_names, refuse))


async def test_an_environment_without_a_proxy_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", dict)
    with pytest.raises(ConnectError, match=r"the environment names no proxy for this host.*proxy-failed"):
        await open_through_proxy(ENDPOINT, "env", Network(), no_names)


async def test_a_proxy_of_the_environment_that_is_none_is_reported_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"all": f"ftp://ann:{PASSWORD}@proxy:1"})
    with pytest.raises(ConnectError, match=r"in the environment, the proxy is not.*proxy-failed") as failed:
        await open_through_proxy(ENDPOINT, "env", Network(), no_names)
    assert PASSWORD not in str(failed.value)


async def test_a_socks_proxy_needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_socks", None)
    with pytest.raises(ConnectError, match=r"pip install 'utcp-ws-mcp\[proxy\]'") as missing:
        await connect(9, scheme="socks5")
    assert missing.value.code == "extra-not-installed"


@pytest.mark.parametrize(
    ("url", "found", "chosen"),
    [
        ("wss://a.example/", {"https": "http://s.example:1", "http": "http://p.example:1"}, "s.example"),
        ("ws://127.0.0.1/", {"https": "http://s.example:1", "http": "http://p.example:1"}, "p.example"),
        ("wss://a.example/", {"http": "http://p.example:1", "socks": "http://k.example:1"}, "k.example"),
        ("wss://a.example/", {"all": "http://a.example:1"}, "a.example"),
        ("wss://a.example/", {"socks": "http://k.example:1", "all": "http://a.example:1"}, "k.example"),
        ("wss://a.example/", {"http": "http://p.example:1"}, None),
    ],
)
async def test_the_proxy_of_the_environment_is_that_of_the_scheme_or_of_all(
    monkeypatch: pytest.MonkeyPatch, url: str, found: dict[str, str], chosen: str | None
) -> None:
    asked: list[str] = []

    async def nothing(host: str, port: int) -> list[str]:
        asked.append(host)
        return []

    monkeypatch.setattr("urllib.request.getproxies", lambda: found)
    monkeypatch.setattr("urllib.request.proxy_bypass", lambda host: False)
    network = Network.model_validate({"allow": ["loopback"], "plaintext": True})
    with pytest.raises(ConnectError):
        await open_through_proxy(parse_url(url), "env", network, nothing)
    assert asked == ([] if chosen is None else [chosen])


async def test_a_host_that_the_environment_excepts_has_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"all": "http://a.example:1"})
    monkeypatch.setattr("urllib.request.proxy_bypass", lambda host: host == ENDPOINT.host)
    with pytest.raises(ConnectError, match="the environment names no proxy for this host"):
        await open_through_proxy(ENDPOINT, "env", Network(), no_names)
