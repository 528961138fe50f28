"""The only place that resolves names and opens sockets.

A host is resolved once, every address is checked against the policy, and a checked address is dialled. What follows
(TLS, the upgrade, HTTP) runs over that socket or that address, so neither redirects nor a second answer of the
resolver can lead elsewhere.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import anyio

from ..core.network_policy import PROXY_FROM_ENV, URL, check_addresses, parse_ip
from ..errors import ConnectError
from ..manifest.models.network import Network

Resolver = Callable[[str, int], Awaitable[list[str]]]
HAPPY_EYEBALLS_DELAY = 0.25
"""Seconds that an address has for itself before the next one is tried too (RFC 8305 §5)."""


async def system_resolver(host: str, port: int) -> list[str]:
    """The addresses of a host, as the operating system orders them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def resolve(url: URL, network: Network, resolver: Resolver = system_resolver) -> list[str]:
    """The addresses of a URL's host, all of them allowed. `localhost` is loopback, whatever a resolver says.

    Raises:
        ForbiddenAddress: if one of them is not allowed.
        ConnectError: if there are none.
    """
    if url.host == "localhost":
        addresses = ["127.0.0.1", "::1"]
    elif parse_ip(url.host):
        addresses = [url.host]
    else:
        addresses = await _resolve_host(url, resolver)
    check_addresses(url, addresses, network)
    return addresses


async def open_socket(url: URL, addresses: Sequence[str]) -> socket.socket:
    """A TCP connection to the first address that answers; each next one starts a little later, or on a failure.

    Raises:
        ConnectError: if none answers.
    """
    winners: list[socket.socket] = []
    reasons: list[str] = []

    try:
        await _connect_to_first(url, addresses, winners, reasons)
    except BaseException:
        for winner in winners:
            winner.close()
        raise
    if not winners:
        raise ConnectError(url.address, ", ".join(dict.fromkeys(reasons)) or "no address answered")
    for loser in winners[1:]:
        loser.close()
    return winners[0]


async def _connect_to_first(
    url: URL, addresses: Sequence[str], connected_sockets: list[socket.socket], errors: list[str]
) -> None:
    async with anyio.create_task_group() as racers:

        async def attempt(address: str, done: anyio.Event) -> None:
            try:
                connected = await _connect_to(address, url.port)
            except OSError as failed:
                errors.append(_describe_os_error(failed))
                done.set()
            else:
                connected_sockets.append(connected)
                racers.cancel_scope.cancel()

        for address in addresses:
            done = anyio.Event()
            racers.start_soon(attempt, address, done)
            with anyio.move_on_after(HAPPY_EYEBALLS_DELAY):
                await done.wait()


async def open_through_proxy(url: URL, proxy: str) -> socket.socket:
    """A TCP connection to a URL's host through an `http://` or `socks5://` proxy, which resolves the host's name.

    Raises:
        ConnectError: if the proxy cannot be used; its credentials are not shown.
    """
    try:
        from python_socks import ProxyError
        from python_socks.async_.asyncio import Proxy
    except ImportError:
        raise ConnectError(url.address, "a proxy needs one more package: pip install 'utcp-ws-mcp[proxy]'") from None
    if proxy == PROXY_FROM_ENV:
        proxy = _proxy_from_environment(url)
    try:
        connected: socket.socket = await Proxy.from_url(proxy, rdns=True).connect(url.host, url.port)
    except (ProxyError, OSError, ValueError, TimeoutError) as failed:
        reason = "is the proxy running, and does it allow this host?"
        raise ConnectError(url.address, f"the proxy did not connect ({type(failed).__name__}); {reason}") from failed
    return connected


def _proxy_from_environment(url: URL) -> str:
    from urllib.request import getproxies, proxy_bypass  # with HTTP and mail: only who asks for it waits for that

    found = getproxies()
    proxy = found.get("https" if url.secure else "http") or found.get("socks") or found.get("all")
    if not proxy or proxy_bypass(url.host):
        raise ConnectError(url.address, 'the environment names no proxy for it; give its URL under "proxy"')
    return proxy


async def _resolve_host(url: URL, resolver: Resolver) -> list[str]:
    try:
        addresses = await resolver(url.host, url.port)
    except (OSError, UnicodeError):
        addresses = []
    if not addresses:
        raise ConnectError(url.address, f"the host {url.host} cannot be resolved; check its spelling")
    return addresses


async def _connect_to(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        with suppress(OSError):
            connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connecting, (address, port))
    except BaseException:
        connecting.close()
        raise
    return connecting


def _describe_os_error(error: OSError) -> str:
    match error:
        case ConnectionRefusedError():
            return "connection refused; is the server running, and is the port right?"
        case TimeoutError():
            return "no answer"
        case _:
            return (os.strerror(error.errno) if error.errno else type(error).__name__).lower()
