"""HTTP requests beside a WebSocket (the only importer of the HTTP client).

They obey the rules of the WebSockets: the same dial policy, no redirects, no proxies from the environment.
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
"""Bytes of an answer that are read."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP request with a form or other bytes as its body. What may hold secrets stays out of `repr`."""

    method: str
    url: URL
    headers: Mapping[str, str] = field(repr=False)
    form: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An HTTP answer: `headers` by their names in small letters, `cookies` as it sets them.

    What may hold secrets stays out of `repr`.
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
    """Send one request; it is answered within `timeout` seconds. `tls` takes the place of the usual context.

    Raises:
        ConnectError: if there is no answer, or it has more than MAX_BODY bytes.
        ForbiddenAddress: if the host's addresses may not be used.
    """
    import httpx2

    url = request.url
    addresses = await resolve(url, network, resolver)
    problem: Exception | None = None
    verify = (ssl_context or _default_ssl_context()) if url.secure else False  # without TLS there is nothing to verify
    async with httpx2.AsyncClient(verify=verify, follow_redirects=False, trust_env=False, timeout=timeout) as client:
        for address in addresses:
            try:
                return await _send_to_address(client, request, address)
            except httpx2.ConnectError as failed:
                problem = failed
            except httpx2.HTTPError as failed:
                cause = f"no HTTP response ({type(failed).__name__}). Check the URL and the server."
                raise ConnectError(url.address, cause, code="http-request-failed") from failed
    certificate = " and that its certificate is valid" if url.secure else ""
    cause = f"no connection. Check that the server runs{certificate}."
    raise ConnectError(url.address, cause, code="http-request-failed") from problem


@cache
def _default_ssl_context() -> ssl.SSLContext:
    """The operating system's authorities, as for WebSockets; reading them takes too long to do it for each request."""
    return ssl.create_default_context()


async def _send_to_address(client: Any, http_request: HttpRequest, address: str) -> HttpResponse:
    """Send to a checked address; the host's own name stays in the Host header and in the TLS verification."""
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
    reply = await client.send(request, stream=True)
    try:
        body = b""
        async for chunk in reply.aiter_bytes():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                cause = f"the response has more than {MAX_BODY_BYTES:,} bytes."
                raise ConnectError(url.address, cause, code="http-request-failed")
        set_cookies = reply.headers.get_list("set-cookie")
        return HttpResponse(reply.status_code, body, dict(reply.headers), dict(map(_parse_set_cookie, set_cookies)))
    finally:
        await reply.aclose()


def _parse_set_cookie(header: str) -> tuple[str, str]:
    """The name and the value of a Set-Cookie header, as a Cookie header repeats them (RFC 6265 §5.2)."""
    name, _, value = header.partition(";")[0].partition("=")
    return name.strip(), value.strip()
