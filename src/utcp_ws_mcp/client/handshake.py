"""TLS and the opening handshake (RFC 6455 §4.1) over a connected socket, and what to check where they fail."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from websockets.exceptions import InvalidHandshake, InvalidStatus, NegotiationError, PayloadTooBig

from ..core.backoff import parse_retry_after
from ..core.codecs.message import http_error_detail
from ..core.expressions.scope import Ambient
from ..core.handshake_request import HandshakeRequest
from ..core.network_policy import URL
from ..errors import BridgeError, ConnectError, ForbiddenRedirect, HandshakeRejected
from .tls import tls_reason
from .websocket import WebSocket, make_websocket


async def open_websocket(
    request: HandshakeRequest,
    headers: Sequence[tuple[str, str]],
    sock: socket.socket,
    ssl_context: ssl.SSLContext | None,
    ambient: Ambient,
    on_tls: Callable[[], None] = lambda: None,
) -> WebSocket:
    """Open a WebSocket over a connected socket, which is closed where that fails.

    Args:
        request: The opening handshake, with its URL.
        headers: Its headers, with credentials.
        sock: A TCP connection to the server, perhaps through a proxy.
        ssl_context: The context for TLS; None for ws://.
        ambient: Removes secrets from what the server answers instead of an upgrade, before that is cut; and the time,
            to read its `Retry-After`.
        on_tls: Is called when TLS is established.

    Raises:
        HandshakeRejected: on any HTTP status but 101.
        ForbiddenRedirect: on a redirect.
        ConnectError: if TLS fails, or the response is no WebSocket upgrade or lacks the subprotocol.
    """
    url = request.url
    assert url is not None
    websocket = await _start_tls(request, url, sock, ssl_context)
    on_tls()
    try:
        await websocket.open(headers)
        _check_subprotocol(request, url, websocket)
    except BaseException as error:
        websocket.abort()
        if isinstance(error, InvalidHandshake | PayloadTooBig | EOFError):
            raise _to_bridge_error(url, error, ambient) from error
        raise
    return websocket


async def _start_tls(
    request: HandshakeRequest, url: URL, sock: socket.socket, ssl_context: ssl.SSLContext | None
) -> WebSocket:
    def make() -> WebSocket:
        return make_websocket(url, request.target(), request.subprotocols, request.template.limits)

    server_hostname = (request.template.tls.server_name or url.host) if url.secure else None
    connect = asyncio.get_running_loop().create_connection
    try:
        _, websocket = await connect(make, sock=sock, ssl=ssl_context, server_hostname=server_hostname)
    except (OSError, ssl.SSLError) as error:
        sock.close()
        raise ConnectError(url.address, tls_reason(error), code="tls-failed") from error
    except BaseException:
        sock.close()
        raise
    return websocket


def _check_subprotocol(request: HandshakeRequest, url: URL, websocket: WebSocket) -> None:
    """Raise if the server selected none of the offered subprotocols: RFC 6455 allows it, but no API would work."""
    if request.subprotocols and websocket.protocol.subprotocol is None:
        offered = ", ".join(request.subprotocols)
        reason = f'the server accepts none of the subprotocols {offered}. Check "protocol", or remove it.'
        raise ConnectError(url.address, reason, code="subprotocol-rejected")


def _to_bridge_error(url: URL, error: Exception, ambient: Ambient) -> BridgeError:
    """Return the error of a failed handshake in words of this package.

    The messages of the library may repeat header values, and with them credentials, so that none of them is shown.
    """
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        if 300 <= status < 400:
            return ForbiddenRedirect(url.address, status)
        body = bytes(error.response.body or b"") or _own_phrase(status, error.response.reason_phrase)
        detail = http_error_detail(status, body, ambient.redact)
        retry_after = parse_retry_after(_header(error, "Retry-After"), ambient.now())
        hint = "" if retry_after and status in _BUSY else _STATUS_HINTS.get(status, "")
        return HandshakeRejected(url.address, status, hint, detail, retry_after=retry_after)
    if isinstance(error, NegotiationError):
        reason = 'the server selected a subprotocol that was not offered. Check "protocol".'
        return ConnectError(url.address, reason, code="subprotocol-rejected")
    if isinstance(error, EOFError) or isinstance(error.__cause__, EOFError):
        hint = ', and whether the server requires a client certificate ("tls")' if url.secure else ""
        reason = (
            f'the connection was cut during the upgrade. Check the URL, the port, the credentials and "protocol"{hint}.'
        )
        return ConnectError(url.address, reason, code="upgrade-cut")
    reason = "the answer was not a WebSocket upgrade. Check the URL and the port."
    return ConnectError(url.address, reason, code="not-a-websocket")


def _own_phrase(status: int, phrase: str) -> bytes:
    """Return the reason phrase of a status line, unless it only names the status; some servers write no body."""
    usual = {each.value: each.phrase for each in HTTPStatus}.get(status, "")
    return b"" if phrase.casefold() == usual.casefold() else phrase.encode()


def _header(error: InvalidStatus, name: str) -> str | None:
    values = error.response.headers.get_all(name)
    return values[0] if values else None


_BUSY: Final = (429, 502, 503)
"""Statuses whose hint is to try again, which a `Retry-After` says better."""

_STATUS_HINTS: Final = {
    200: "This is an ordinary page: check the path.",
    400: 'Check the path, and whether the server requires a subprotocol ("protocol").',
    501: 'Check the path, and whether the server requires a subprotocol ("protocol").',
    401: (
        'The server requires other credentials: check "auth", '
        'and whether a token in the URL, in "headers" or in "protocol" has expired.'
    ),
    403: (
        'The server rejects the credentials or the client: check "auth" and "headers" '
        '(some servers require an "Origin" header, that of their own page). '
        'Some servers answer 403 if the path is wrong or a subprotocol is missing ("protocol").'
    ),
    404: (
        "The server has nothing at this path: check the URL. "
        'Rails answers 404 if the "Origin" header is not that of its own page.'
    ),
    426: 'The server requires another WebSocket version or subprotocol: check "protocol".',
    429: "The server limits the number of connections: try again later.",
    502: "The server behind the proxy is down: try again later.",
    503: "The server is busy or starting: try again later.",
}
