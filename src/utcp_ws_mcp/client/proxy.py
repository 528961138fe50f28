"""Connect to an endpoint through a proxy, which resolves the endpoint's name.

The name of the proxy is looked up as any other, in the endpoint's own threads: python-socks would use those of the
event loop, which all endpoints share. It is used for SOCKS only: in HTTP it takes what arrives first for the answer.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from websockets.datastructures import Headers
from websockets.exceptions import SecurityError
from websockets.headers import build_authorization_basic, build_host
from websockets.http11 import Response
from websockets.streams import StreamReader

from .. import USER_AGENT
from ..core.network_policy import URL, check_proxied
from ..core.proxy import PROXY_FROM_ENV, Proxy, parse_proxy
from ..errors import ConnectError, InvalidTemplate
from ..manifest.models.network import Network
from .dial import CheckedResolver, Resolver, look_up, open_socket, open_through_socks, proxy_failed

_CHUNK: Final = 4_096
"""Bytes that are read at once; the parser bounds the number and the length of lines."""


async def open_through_proxy(url: URL, proxy_url: str, network: Network, resolver: Resolver) -> socket.socket:
    """Return a TCP connection to a URL's host through a proxy.

    Args:
        url: The URL of an endpoint.
        proxy_url: The URL of the proxy, or PROXY_FROM_ENV.
        network: What the manifest allows, as far as it can be checked.
        resolver: Returns the addresses of the proxy.

    Raises:
        PolicyError: if the URL has an address that is not allowed, or a `CheckedResolver` refuses it.
        ConnectError: if the proxy cannot be used. Neither its credentials nor what it says are shown.
    """
    if isinstance(resolver, CheckedResolver):
        resolver.check(url)
    proxy = _proxy_from_environment(url) if proxy_url == PROXY_FROM_ENV else parse_proxy(proxy_url)
    check_proxied(url, network, through_network=not proxy.url.is_loopback_literal)
    try:
        addresses = await look_up(proxy.url, resolver)
        if proxy.kind != "http":
            return await open_through_socks(url, proxy, addresses)
        sock = await open_socket(proxy.url, addresses)
    except ConnectError as error:
        if error.address == url.address:
            raise
        raise proxy_failed(url, "the proxy cannot be reached") from error
    try:
        await _connect_through_http(url, proxy, sock)
    except BaseException:
        sock.close()
        raise
    return sock


async def _connect_through_http(url: URL, proxy: Proxy, sock: socket.socket) -> None:
    """Send CONNECT (RFC 9110 §9.3.6) to a proxy."""
    try:
        await asyncio.get_running_loop().sock_sendall(sock, _connect_request(url, proxy))
        status = (await _read_response(sock)).status_code
    except (OSError, ValueError, LookupError, EOFError, SecurityError) as error:
        raise proxy_failed(url, "the proxy did not answer CONNECT as HTTP does") from error
    if not 200 <= status < 300:
        raise proxy_failed(url, f"the proxy answered CONNECT with HTTP {status}")


def _connect_request(url: URL, proxy: Proxy) -> bytes:
    target = build_host(url.host, url.port, url.secure, always_include_port=True)
    headers = Headers({"Host": target, "User-Agent": USER_AGENT})
    if proxy.username:
        headers["Proxy-Authorization"] = build_authorization_basic(proxy.username, proxy.password)
    return f"CONNECT {target} HTTP/1.1\r\n".encode() + headers.serialize()


async def _read_response(sock: socket.socket) -> Response:
    """Return the response to CONNECT, which has no body.

    Raises:
        ValueError, LookupError, EOFError, SecurityError: if it is none, or longer than the parser allows.
    """
    reader = StreamReader()
    parser = Response.parse(reader.read_line, reader.read_exact, reader.read_to_eof, proxy=True)
    while True:
        data = await asyncio.get_running_loop().sock_recv(sock, _CHUNK)
        if data:
            reader.feed_data(data)
        else:
            reader.feed_eof()
        try:
            next(parser)
        except StopIteration as parsed:
            if reader.buffer:  # the endpoint speaks second: it waits for TLS, or for the upgrade
                raise ValueError("the proxy sent more than a response") from None
            response: Response = parsed.value
            return response


def _proxy_from_environment(url: URL) -> Proxy:
    from urllib.request import getproxies, proxy_bypass  # slow to import: it brings http.client and email

    found = getproxies()
    proxy = found.get("https" if url.secure else "http") or found.get("socks") or found.get("all")
    if not proxy or proxy_bypass(url.host):
        reason = 'the environment names no proxy for this host. Write the URL of the proxy under "proxy".'
        raise ConnectError(url.address, reason, code="proxy-failed")
    try:
        return parse_proxy(proxy)
    except InvalidTemplate as error:
        raise ConnectError(url.address, f"in the environment, {error}", code="proxy-failed") from None
