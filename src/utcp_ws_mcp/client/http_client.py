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

from .. import USER_AGENT
from ..core.network_policy import URL
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
) -> HttpResponse:
    """Send a request and return its response.

    Args:
        request: The request.
        network: The addresses that the manifest allows.
        resolver: Resolves the host.
        timeout: Seconds for each step of the exchange.
        ssl_context: The TLS settings of the endpoint; None: those of the operating system.

    Raises:
        ConnectError: if there is no response, or it has more than MAX_BODY_BYTES bytes.
        ForbiddenAddress: if the host's addresses may not be used.
    """
    import httpx2  # slow to import, and most manifests make no request

    url = request.url
    addresses = await resolve(url, network, resolver)
    last_error: Exception | None = None
    verify = (ssl_context or _default_ssl_context()) if url.secure else False  # without TLS there is nothing to verify
    async with httpx2.AsyncClient(verify=verify, follow_redirects=False, trust_env=False, timeout=timeout) as client:
        for address in addresses:
            try:
                return await _send_to_address(client, request, address)
            except httpx2.ConnectError as error:
                last_error = error
            except httpx2.HTTPError as error:
                raise ConnectError(url.address, f"no HTTP answer ({type(error).__name__})") from error
    hint = "is the server running, and its certificate valid?" if url.secure else "is the server running?"
    raise ConnectError(url.address, f"no connection; {hint}") from last_error


@cache
def _default_ssl_context() -> ssl.SSLContext:
    """Return the operating system's authorities, as for WebSockets; reading them takes longer than a request."""
    return ssl.create_default_context()


async def _send_to_address(client: Any, http_request: HttpRequest, address: str) -> HttpResponse:
    """Send to a checked address; the Host header and the TLS verification use the name of the host."""
    url = http_request.url
    literal = f"[{address}]" if ":" in address else address
    request = client.build_request(
        http_request.method,
        f"{url.scheme}://{literal}:{url.port}{url.target}",
        headers={
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            **http_request.headers,
            "Host": url.authority,
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
                raise ConnectError(url.address, f"its answer has more than {MAX_BODY_BYTES} bytes")
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
