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
    errors: list[OSError] = []

    try:
        await _connect_to_first(url, addresses, winners, errors)
    except BaseException:
        for winner in winners:
            winner.close()
        raise
    if not winners:
        raise _connect_error(url, errors)
    for loser in winners[1:]:
        loser.close()
    return winners[0]


async def _connect_to_first(
    url: URL, addresses: Sequence[str], connected_sockets: list[socket.socket], errors: list[OSError]
) -> None:
    async with anyio.create_task_group() as racers:

        async def attempt(address: str, done: anyio.Event) -> None:
            try:
                connected = await _connect_to(address, url.port)
            except OSError as failed:
                errors.append(failed)
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
        reason = "a proxy needs a package that is not installed. Run pip install 'utcp-ws-mcp[proxy]'."
        raise ConnectError(url.address, reason, code="extra-not-installed") from None
    if proxy == PROXY_FROM_ENV:
        proxy = _proxy_from_environment(url)
    try:
        connected: socket.socket = await Proxy.from_url(proxy, rdns=True).connect(url.host, url.port)
    except (ProxyError, OSError, ValueError, TimeoutError) as failed:
        cause = f"the proxy did not connect ({type(failed).__name__})."
        fix = "Check that the proxy runs and allows this host."
        raise ConnectError(url.address, f"{cause} {fix}", code="proxy-failed") from failed
    return connected


def _proxy_from_environment(url: URL) -> str:
    from urllib.request import getproxies, proxy_bypass  # with HTTP and mail: only who asks for it waits for that

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


def _connect_error(url: URL, errors: Sequence[OSError]) -> ConnectError:
    """Return the error of a host whose addresses all failed; the first address decides on the code and the fix."""
    described = [_describe_os_error(error) for error in errors]
    _, fix, code = described[0]
    causes = ", ".join(dict.fromkeys(cause for cause, _, _ in described))
    return ConnectError(url.address, f"{causes}. {fix}", code=code)


def _describe_os_error(error: OSError) -> tuple[str, str, str]:
    """Return the cause, what to check, and the code."""
    match error:
        case ConnectionRefusedError():
            fix = "Check that the server runs and that the port is correct."
            return "connection refused", fix, "connection-refused"
        case TimeoutError():
            fix = "Check the host and the port, and whether a firewall blocks the connection."
            return "no answer", fix, "connect-timeout"
        case _:
            cause = (os.strerror(error.errno) if error.errno else type(error).__name__).lower()
            return cause, "Check the network and the address.", "host-unreachable"
