"""HTTP requests beside a WebSocket (the only importer of the HTTP client).

They follow the rules of WebSockets: the same network policy, no redirects, no proxies from the environment.

A request is sent to an address that was checked before: its URL has the address, the Host header and TLS the name.
httpcore has a hook that would make this unnecessary, the network backend of its connection pool. The transport of
httpx2, which is installed because `mcp` needs it, does not expose the hook.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Final

import anyio

from .. import USER_AGENT
from ..core.network_policy import URL, check_plain_http
from ..errors import ConnectError
from ..manifest.models.network import Network
from ..records import Record, field
from .dial import Resolver, resolve
from .tls import tls_reason

MAX_BODY_BYTES: Final = 1 << 16
"""Bytes of a response that are read, unless the request says otherwise."""


class HttpRequest(Record):
    """An HTTP request with a form or other bytes as its body.

    `repr` leaves out what may hold secrets.
    """

    not_in_repr: ClassVar = ("headers", "form", "body")
    method: str
    url: URL
    headers: Mapping[str, str]
    form: Mapping[str, str]
    body: bytes | None = None
    max_response_bytes: int = MAX_BODY_BYTES


class TlsSettings(Record):
    """The TLS settings of an endpoint, and the name that its certificate has, where that is another than the URL's."""

    context: ssl.SSLContext
    server_name: str | None


class HttpResponse(Record):
    """An HTTP response: `headers` by their names in lower case, `cookies` as it sets them.

    `repr` leaves out what may hold secrets.
    """

    not_in_repr: ClassVar = ("body", "headers", "cookies")
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)


async def send_request(
    request: HttpRequest,
    network: Network,
    resolver: Resolver,
    timeout: float,
    tls: TlsSettings | None = None,
    endpoint_host: str | None = None,
    on_sent: Callable[[], None] = lambda: None,
) -> HttpResponse:
    """Send a request and return its response.

    Args:
        request: The request.
        network: The addresses that the manifest allows.
        resolver: Resolves the host.
        timeout: Seconds for the whole exchange, from the name to the last byte of the response.
        tls: The TLS settings of the endpoint; None: those of the operating system.
        endpoint_host: The host of the endpoint, to which plain text may be sent whatever its address is.
        on_sent: Called when the connection is open and sending begins.

    Raises:
        ConnectError: if there is no response in time, or it has more bytes than the request allows.
        PolicyError: if the host's addresses may not be used.
    """
    try:
        # Around everything: the timeouts of the client are for each read, and a server may send a byte before each.
        with anyio.fail_after(timeout):
            addresses = await resolve(request.url, network, resolver)
            check_plain_http(request.url, addresses, endpoint_host)
            return await _send(request, addresses, tls, on_sent)
    except TimeoutError:
        cause = f"no complete HTTP response within {timeout:g} s. Check the URL and the server."
        raise ConnectError(request.url.address, cause, code="http-request-failed") from None


async def _send(
    request: HttpRequest, addresses: Sequence[str], tls: TlsSettings | None, on_sent: Callable[[], None]
) -> HttpResponse:
    """Send a request to the first of the checked addresses that a connection can be opened to."""
    import httpx2  # slow to import, and most manifests make no request

    url = request.url
    last_error: Exception | None = None
    verify: ssl.SSLContext | bool = False  # without TLS there is nothing to verify
    if url.secure:
        verify = tls.context if tls else _default_ssl_context()
    server_name = (tls.server_name if tls else None) or url.host

    async def trace(event: str, info: Any) -> None:
        if event.endswith(".send_request_headers.started"):
            on_sent()

    extensions = {"sni_hostname": server_name, "trace": trace}
    async with httpx2.AsyncClient(verify=verify, follow_redirects=False, trust_env=False, timeout=None) as client:
        for address in addresses:
            try:
                return await _send_to_address(client, request, address, extensions)
            except httpx2.ConnectError as error:
                last_error = last_error if _find_tls_error(last_error) else error  # it says most
            except httpx2.HTTPError as error:
                cause = f"no HTTP response ({type(error).__name__}). Check the URL and the server."
                raise ConnectError(url.address, cause, code="http-request-failed") from error
    tls_error = _find_tls_error(last_error)
    cause = tls_reason(tls_error) if tls_error else "no connection. Check that the server runs."
    raise ConnectError(url.address, cause, code="http-request-failed") from last_error


def _find_tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """Return the TLS error that caused an error of the HTTP client."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error


@cache
def _default_ssl_context() -> ssl.SSLContext:
    """Return the operating system's authorities, as for WebSockets; reading them takes longer than a request."""
    return ssl.create_default_context()


async def _send_to_address(
    client: Any, http_request: HttpRequest, address: str, extensions: dict[str, Any]
) -> HttpResponse:
    """Send to a checked address; the Host header and the TLS verification use the name of the host."""
    url = http_request.url
    literal = f"[{address}]" if ":" in address else address  # with its scope id, as httpcore takes it
    request = client.build_request(
        http_request.method,
        f"{url.scheme}://{literal}:{url.port}{url.target}",
        headers=_complete_headers(http_request),
        data=dict(http_request.form) or None,
        content=http_request.body,
        extensions=extensions,
    )
    response = await client.send(request, stream=True)
    try:
        body = bytearray()  # read in pieces: the length that a server announces need not be true
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > http_request.max_response_bytes:
                cause = f"the response has more than {http_request.max_response_bytes:,} bytes."
                raise ConnectError(url.address, cause, code="http-request-failed")
        set_cookies = response.headers.get_list("set-cookie")
        return HttpResponse(
            response.status_code, bytes(body), dict(response.headers), dict(map(_parse_set_cookie, set_cookies))
        )
    finally:
        await response.aclose()


def _complete_headers(request: HttpRequest) -> dict[str, str]:
    """Return the headers of a request with the usual ones, each once: names of headers have no case."""
    usual = {"User-Agent": USER_AGENT, "Accept": "application/json", "Host": request.url.authority}
    own = {name.lower() for name in request.headers}
    return {**{name: value for name, value in usual.items() if name.lower() not in own}, **request.headers}


def _parse_set_cookie(header: str) -> tuple[str, str]:
    """Return the name and the value of a Set-Cookie header, as a Cookie header repeats them (RFC 6265 §5.2)."""
    name, _, value = header.partition(";")[0].partition("=")
    return name.strip(), value.strip()
