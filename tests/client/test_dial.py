"""Connecting to addresses that were checked before."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from utcp_ws_mcp.client.dial import _describe_os_error, open_socket
from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.errors import ConnectError

REFUSED = "connection refused; is the server running, and is the port right?"


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
    with pytest.raises(ConnectError, match=rf"a\.example:{listening}.*connection refused; is the server running"):
        await open_socket(parse_url(f"ws://a.example:{listening}/"), ["127.0.0.1", "127.0.0.3"])


DESCRIPTIONS = {
    "refused": (OSError(errno.ECONNREFUSED, "Connect call failed"), REFUSED),
    "no answer": (OSError(errno.ETIMEDOUT, "Connect call failed"), "no answer"),
    "unreachable": (OSError(errno.ENETUNREACH, "x"), "network is unreachable"),
    "for several reasons": (
        OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 101] Network unreachable"),
        f"{REFUSED}, network is unreachable",
    ),
    "unknown": (OSError("strange"), "no address answered"),
}


@pytest.mark.parametrize(("error", "text"), DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_why_no_address_answered(error: OSError, text: str) -> None:
    assert _describe_os_error(error) == text
