"""Resolve names and open sockets: no other module does.

A host is resolved once, every address is checked against the network policy, and a checked address is connected to.
What follows (TLS, the opening handshake, HTTP) runs over that socket or that address, so that neither a redirect nor a
second answer of the resolver (DNS rebinding) can lead elsewhere.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

from ..core.network_policy import URL, check_addresses, parse_ip
from ..errors import ConnectError
from ..manifest.extras import needs_extra
from ..manifest.models.network import Network

if TYPE_CHECKING:
    from aiohappyeyeballs import AddrInfoType

    from ..core.proxy import Proxy

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a host."""

CheckUrl = Callable[[URL], None]
"""Raises PolicyError for a URL that may not be connected to."""


class CheckedResolver:
    """A resolver that is asked first whether a URL may be connected to, IP addresses and `localhost` included."""

    def __init__(self, resolver: Resolver, check: CheckUrl) -> None:
        self.check = check
        self._resolver = resolver

    async def __call__(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host."""
        return await self._resolver(host, port)


HAPPY_EYEBALLS_DELAY = 0.25
"""Seconds after which the next address is tried, too, while one does not answer (RFC 8305 §5)."""


async def resolve(url: URL, network: Network, resolver: Resolver) -> list[str]:
    """Return the addresses of a URL's host that may be connected to.

    Args:
        url: The URL of an endpoint.
        network: The addresses that its manifest allows.
        resolver: Returns the addresses of a host. It is not asked for `localhost`, which is loopback whatever it says
            (RFC 6761 §6.3), nor for an IP address.

    Raises:
        PolicyError: if one of the addresses is not allowed, or a `CheckedResolver` refuses the URL.
        ConnectError: if there are none.
    """
    if isinstance(resolver, CheckedResolver):
        resolver.check(url)
    return check_addresses(url, await look_up(url, resolver), network)


async def look_up(url: URL, resolver: Resolver) -> list[str]:
    """Return the addresses of a URL's host, which are not checked.

    Raises:
        ConnectError: if there are none.
    """
    if url.host == "localhost":
        return ["127.0.0.1", "::1"]
    return [url.host] if parse_ip(url.host) else await _resolve_host(url, resolver)


async def open_socket(url: URL, addresses: Sequence[str]) -> socket.socket:
    """Return a TCP connection to one of the addresses: the first that answers (Happy Eyeballs, RFC 8305).

    Args:
        url: The URL whose port is connected to.
        addresses: IP addresses, resolved and checked before.

    Raises:
        ConnectError: if none answers.
    """
    from aiohappyeyeballs import start_connection  # a host that only lists the tools does not have to wait for it

    candidates = [_address_info(address, url.port) for address in addresses]
    try:
        return await start_connection(candidates, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY)
    except OSError as error:
        raise _connect_error(url, error) from error


def _address_info(address: str, port: int) -> AddrInfoType:
    """Return an address as `getaddrinfo` would; a link-local one has a scope id (RFC 4007 §11.2), `fe80::1%2`."""
    kind = socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
    if ":" not in address:
        return socket.AF_INET, *kind, (address, port)
    host, _, scope = address.partition("%")
    return socket.AF_INET6, *kind, (host, port, 0, int(scope) if scope.isdigit() else 0)


async def open_through_socks(url: URL, proxy: Proxy, addresses: Sequence[str]) -> socket.socket:
    """Return a TCP connection to a URL's host through a SOCKS proxy, which resolves the host's name.

    Args:
        url: The URL of an endpoint.
        proxy: The proxy.
        addresses: Its addresses.

    Raises:
        ConnectError: if the proxy cannot be used; what it says is not shown.
    """
    try:
        from python_socks import ProxyError, ProxyType
        from python_socks.async_.asyncio import Proxy as SocksProxy
    except ImportError:
        message = needs_extra("a SOCKS proxy", "proxy")
        raise ConnectError(url.address, message, code="extra-not-installed") from None
    kind = ProxyType.SOCKS4 if proxy.kind == "socks4" else ProxyType.SOCKS5
    credentials = proxy.username or None, proxy.password or None
    failed: Exception | None = None
    for address in addresses:
        try:
            opened = SocksProxy(kind, address, proxy.port, *credentials, rdns=True)
            connected: socket.socket = await opened.connect(url.host, url.port)
        except (ProxyError, OSError, ValueError) as error:  # the library decodes what the proxy says
            failed = error
        else:
            return connected
    raise proxy_failed(url, f"the proxy did not connect ({type(failed).__name__})") from failed


def proxy_failed(url: URL, cause: str) -> ConnectError:
    """Return the error of a proxy that cannot be used."""
    return ConnectError(url.address, f"{cause}. Check that the proxy runs and allows this host.", code="proxy-failed")


async def _resolve_host(url: URL, resolver: Resolver) -> list[str]:
    try:
        addresses = await resolver(url.host, url.port)
    except (OSError, UnicodeError):
        addresses = []
    if not addresses:
        reason = f"the host name {url.host} cannot be resolved. Check its spelling."
        raise ConnectError(url.address, reason, code="host-not-found")
    return addresses


def _connect_error(url: URL, error: OSError) -> ConnectError:
    """Return why no address answered; the first address decides on the code and the fix.

    Where addresses fail for different reasons, the library joins their messages and leaves `errno` out.
    """
    numbers = [error.errno] if error.errno is not None else map(int, re.findall(r"\[Errno (\d+)\]", str(error)))
    described = [_describe_errno(number) for number in numbers] or [_NO_ANSWER]
    _, fix, code = described[0]
    causes = ", ".join(dict.fromkeys(cause for cause, _, _ in described))
    return ConnectError(url.address, f"{causes}. {fix}", code=code)


_NO_ANSWER: Final = (
    "no address answered",
    "Check the host and the port, and whether a firewall blocks the connection.",
    "connect-timeout",
)


def _describe_errno(number: int) -> tuple[str, str, str]:
    """Return the cause, what to check, and the code."""
    match OSError(number, ""):  # its class, by the number
        case ConnectionRefusedError():
            fix = "Check that the server runs and that the port is correct."
            return "connection refused", fix, "connection-refused"
        case TimeoutError():
            return "no answer", *_NO_ANSWER[1:]
        case _:
            return os.strerror(number).lower(), "Check the network and the address.", "host-unreachable"
