"""Connecting to addresses that were checked before."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from utcp_ws_mcp.client.dial import CheckedResolver, _connect_error, open_socket, resolve
from utcp_ws_mcp.core.network_policy import URL, parse_url
from utcp_ws_mcp.errors import ConnectError, ForbiddenURL
from utcp_ws_mcp.manifest.models.network import Network

SERVER = "Check that the server runs and that the port is correct."
FIREWALL = "Check the host and the port, and whether a firewall blocks the connection."
NETWORK = "Check the network and the address."


@pytest.fixture
def listening() -> Iterator[int]:
    """The port of a listener on 127.0.0.2 only."""
    with socket.create_server(("127.0.0.2", 0)) as server:
        yield server.getsockname()[1]


async def test_the_next_address_is_used_where_one_refuses(listening: int) -> None:
    with await open_socket(parse_url(f"ws://a.example:{listening}/"), ["127.0.0.1", "127.0.0.2"]) as connected:
        assert connected.getpeername() == ("127.0.0.2", listening)
        assert connected.getblocking() is False


async def test_the_reason_is_reported_where_every_address_refuses(listening: int) -> None:
    with pytest.raises(ConnectError, match=rf"a\.example:{listening}.*connection refused\. Check that the server runs"):
        await open_socket(parse_url(f"ws://a.example:{listening}/"), ["127.0.0.1", "127.0.0.3"])


DESCRIPTIONS = {
    "refused": (
        OSError(errno.ECONNREFUSED, "Connect call failed"),
        f"connection refused. {SERVER}",
        "connection-refused",
    ),
    "no answer": (OSError(errno.ETIMEDOUT, "Connect call failed"), f"no answer. {FIREWALL}", "connect-timeout"),
    "unreachable": (OSError(errno.ENETUNREACH, "x"), f"network is unreachable. {NETWORK}", "host-unreachable"),
    "for several reasons": (
        OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 101] Network unreachable"),
        f"connection refused, network is unreachable. {SERVER}",
        "connection-refused",
    ),
    "unknown": (OSError("strange"), f"no address answered. {FIREWALL}", "connect-timeout"),
}


@pytest.mark.parametrize(("error", "reason", "code"), DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_why_no_address_answered(error: OSError, reason: str, code: str) -> None:
    reported = _connect_error(parse_url("ws://a.example/"), error)
    assert (reported.reason, reported.code) == (reason, code)


async def test_a_host_without_addresses_is_reported() -> None:
    async def nothing(host: str, port: int) -> list[str]:
        return []

    with pytest.raises(ConnectError, match=r"the host name a\.example cannot be resolved\.") as missing:
        await resolve(parse_url("ws://a.example/"), Network(), nothing)
    assert missing.value.code == "host-not-found"


@pytest.mark.parametrize("url", ["ws://localhost/", "ws://127.0.0.1/", "ws://a.example/"])
async def test_a_checked_resolver_may_refuse_any_url(url: str) -> None:
    refused: list[str] = []

    def refuse(checked: URL) -> None:
        refused.append(checked.address)
        raise ForbiddenURL(f"{checked.address}: not now.", code="address-not-allowed")

    async def nothing(host: str, port: int) -> list[str]:
        raise AssertionError("a name was looked up")

    with pytest.raises(ForbiddenURL):
        await resolve(parse_url(url), Network(), CheckedResolver(nothing, refuse))
    assert len(refused) == 1


async def test_a_checked_resolver_looks_names_up_as_the_one_behind_it() -> None:
    async def look_up(host: str, port: int) -> list[str]:
        return [f"{len(host)}.0.0.{port}"]

    assert await CheckedResolver(look_up, lambda url: None)("abc", 7) == ["3.0.0.7"]


async def test_localhost_and_addresses_are_not_looked_up() -> None:
    async def nothing(host: str, port: int) -> list[str]:
        raise AssertionError("a name was looked up")

    assert await resolve(parse_url("ws://localhost/"), Network(), nothing) == ["127.0.0.1", "::1"]
    assert await resolve(parse_url("ws://127.0.0.9/"), Network(), nothing) == ["127.0.0.9"]
    assert await resolve(parse_url("ws://[::1]/"), Network(), nothing) == ["::1"]


@pytest.mark.parametrize("error", [OSError("x"), UnicodeError("x")])
async def test_a_name_that_cannot_be_looked_up_is_reported(error: Exception) -> None:
    async def fail(host: str, port: int) -> list[str]:
        raise error

    with pytest.raises(ConnectError, match="cannot be resolved") as missing:
        await resolve(parse_url("ws://a.example/"), Network(), fail)
    assert missing.value.code == "host-not-found"
