"""Connecting to addresses that were checked before."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from utcp_ws_mcp.client.dial import _connect_error, open_socket, resolve
from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.errors import ConnectError
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
