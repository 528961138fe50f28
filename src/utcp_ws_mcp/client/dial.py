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

from ..core.network_policy import PROXY_FROM_ENV, URL, check_addresses, parse_ip
from ..errors import ConnectError
from ..manifest.extras import needs_extra
from ..manifest.models.network import Network

if TYPE_CHECKING:
    from aiohappyeyeballs import AddrInfoType

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
    if url.host == "localhost":
        addresses = ["127.0.0.1", "::1"]
    elif parse_ip(url.host):
        addresses = [url.host]
    else:
        addresses = await _resolve_host(url, resolver)
    return check_addresses(url, addresses, network)


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


async def open_through_proxy(url: URL, proxy: str) -> socket.socket:
    """Return a TCP connection to a URL's host through a proxy, which resolves the host's name.

    Args:
        url: The URL of an endpoint.
        proxy: The `http://` or `socks5://` URL of the proxy, or PROXY_FROM_ENV.

    Raises:
        ConnectError: if the proxy cannot be used; its credentials are not shown.
    """
    try:
        from python_socks import ProxyError
        from python_socks.async_.asyncio import Proxy
    except ImportError:
        raise ConnectError(url.address, needs_extra("a proxy", "proxy"), code="extra-not-installed") from None
    if proxy == PROXY_FROM_ENV:
        proxy = _proxy_from_environment(url)
    try:
        connected: socket.socket = await Proxy.from_url(proxy, rdns=True).connect(url.host, url.port)
    except (ProxyError, OSError, ValueError, TimeoutError) as error:
        cause = f"the proxy did not connect ({type(error).__name__})."
        fix = "Check that the proxy runs and allows this host."
        raise ConnectError(url.address, f"{cause} {fix}", code="proxy-failed") from error
    return connected


def _proxy_from_environment(url: URL) -> str:
    from urllib.request import getproxies, proxy_bypass  # slow to import: it brings http.client and email

    found = getproxies()
    proxy = found.get("https" if url.secure else "http") or found.get("socks") or found.get("all")
    if not proxy or proxy_bypass(url.host):
        reason = 'the environment names no proxy for this host. Write the URL of the proxy under "proxy".'
        raise ConnectError(url.address, reason, code="proxy-failed")
    return proxy


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
