"""HTTP requests beside a WebSocket (the only importer of the HTTP client).

They follow the rules of WebSockets: the same network policy, no redirects, no proxies from the environment.

A request is sent to an address that was checked before: its URL has the address, the Host header and TLS the name.
httpcore has a hook that would make this unnecessary, the network backend of its connection pool. The transport of
httpx2, which is installed because `mcp` needs it, does not expose the hook.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import anyio

from .. import USER_AGENT
from ..core.network_policy import URL, check_plain_http
from ..errors import ConnectError
from ..manifest.models.network import Network
from .dial import Resolver, resolve

MAX_BODY_BYTES: Final = 1 << 16
"""Bytes of a response that are read."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP request with a form or other bytes as its body.

    `repr` leaves out what may hold secrets.
    """

    method: str
    url: URL
    headers: Mapping[str, str] = field(repr=False)
    form: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An HTTP response: `headers` by their names in lower case, `cookies` as it sets them.

    `repr` leaves out what may hold secrets.
    """

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)


async def send_request(
    request: HttpRequest,
    network: Network,
    resolver: Resolver,
    timeout: float,
    ssl_context: ssl.SSLContext | None = None,
    endpoint_host: str | None = None,
) -> HttpResponse:
    """Send a request and return its response.

    Args:
        request: The request.
        network: The addresses that the manifest allows.
        resolver: Resolves the host.
        timeout: Seconds for the whole exchange, from the name to the last byte of the response.
        ssl_context: The TLS settings of the endpoint; None: those of the operating system.
        endpoint_host: The host of the endpoint, to which plain text may be sent whatever its address is.

    Raises:
        ConnectError: if there is no response in time, or it has more than MAX_BODY_BYTES bytes.
        PolicyError: if the host's addresses may not be used.
    """
    try:
        # Around everything: the timeouts of the client are for each read, and a server may send a byte before each.
        with anyio.fail_after(timeout):
            return await _send(request, network, resolver, ssl_context, endpoint_host)
    except TimeoutError:
        cause = f"no complete HTTP response within {timeout:g} s. Check the URL and the server."
        raise ConnectError(request.url.address, cause, code="http-request-failed") from None


async def _send(
    request: HttpRequest,
    network: Network,
    resolver: Resolver,
    ssl_context: ssl.SSLContext | None,
    endpoint_host: str | None,
) -> HttpResponse:
    import httpx2  # slow to import, and most manifests make no request

    url = request.url
    addresses = await resolve(url, network, resolver)
    check_plain_http(url, addresses, endpoint_host)
    last_error: Exception | None = None
    verify = (ssl_context or _default_ssl_context()) if url.secure else False  # without TLS there is nothing to verify
    async with httpx2.AsyncClient(verify=verify, follow_redirects=False, trust_env=False, timeout=None) as client:
        for address in addresses:
            try:
                return await _send_to_address(client, request, address)
            except httpx2.ConnectError as error:
                last_error = error
            except httpx2.HTTPError as error:
                cause = f"no HTTP response ({type(error).__name__}). Check the URL and the server."
                raise ConnectError(url.address, cause, code="http-request-failed") from error
    certificate = " and that its certificate is valid" if url.secure else ""
    cause = f"no connection. Check that the server runs{certificate}."
    raise ConnectError(url.address, cause, code="http-request-failed") from last_error


@cache
def _default_ssl_context() -> ssl.SSLContext:
    """Return the operating system's authorities, as for WebSockets; reading them takes longer than a request."""
    return ssl.create_default_context()


async def _send_to_address(client: Any, http_request: HttpRequest, address: str) -> HttpResponse:
    """Send to a checked address; the Host header and the TLS verification use the name of the host."""
    url = http_request.url
    literal = f"[{address.replace('%', '%25')}]" if ":" in address else address
    request = client.build_request(
        http_request.method,
        f"{url.scheme}://{literal}:{url.port}{url.target}",
        headers={
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "Host": url.authority,
            **http_request.headers,
        },
        data=dict(http_request.form) or None,
        content=http_request.body,
        extensions={"sni_hostname": url.host},
    )
    response = await client.send(request, stream=True)
    try:
        body = b""  # read in pieces: the length that a server announces need not be true
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                cause = f"the response has more than {MAX_BODY_BYTES:,} bytes."
                raise ConnectError(url.address, cause, code="http-request-failed")
        set_cookies = response.headers.get_list("set-cookie")
        return HttpResponse(
            response.status_code, body, dict(response.headers), dict(map(_parse_set_cookie, set_cookies))
        )
    finally:
        await response.aclose()


def _parse_set_cookie(header: str) -> tuple[str, str]:
    """Return the name and the value of a Set-Cookie header, as a Cookie header repeats them (RFC 6265 §5.2)."""
    name, _, value = header.partition(";")[0].partition("=")
    return name.strip(), value.strip()
