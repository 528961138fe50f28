"""Who reaches the page: only a browser on this machine that has the token, and no other page in it.

The token is the first part of every path, so that it needs no cookie: browsers send cookies of 127.0.0.1 to the
servers on all of its ports.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar, Final

from ..records import Record
from ..server.http.security import HttpAccessPolicy, Rejection

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LOOPBACK: Final = "127.0.0.1"
_NAMES: Final = (LOOPBACK, "localhost")
"""The names under which a browser on this machine may know the page."""

_POLICY_VIOLATION: Final = 1008
"""The close code of a WebSocket that is rejected (RFC 6455 §7.4.1)."""

_CONTENT_POLICY: Final = (
    # Whatever the page shows, it loads nothing from elsewhere and sends nothing there. NiceGUI writes scripts and
    # styles into the page, and Vue compiles templates.
    b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", _CONTENT_POLICY),
    (b"referrer-policy", b"no-referrer"),  # the address contains the token
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


class StudioGate(Record):
    """The ASGI application around that of the page.

    Attributes:
        app: The application, mounted at the token.
        token: The first part of every path.
        port: The port on loopback.
    """

    not_in_repr: ClassVar = ("token",)
    app: App
    token: str
    port: int

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve or reject a request or a WebSocket."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        rejection = self.check(scope)
        if rejection is None:
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": rejection.detail})
        else:
            await _reject(rejection, _with_headers(send))

    def check(self, scope: Message) -> Rejection | None:
        """Return why a request is rejected, or None."""
        authorities = [(name, port) for name in _NAMES for port in (self.port, *((None,) if self.port == 80 else ()))]
        policy = HttpAccessPolicy(
            frozenset(authorities), frozenset(("http", name, port) for name, port in authorities), token=None
        )
        rejected = policy.check_host_and_origin(scope["headers"])
        if rejected is not None:
            detail = "The studio answers only a browser on this machine, and no other page."
            return Rejection(rejected.status, detail)
        given = scope["path"].removeprefix("/").partition("/")[0]
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode()):
            detail = (
                "This is the studio of utcp-ws-mcp, but the address lacks its token, or has that of an earlier start. "
                "Open the address that the command printed."
            )
            return Rejection(403, detail)
        return None


def _with_headers(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        await send(message)

    return with_headers


async def _reject(rejection: Rejection, send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": rejection.status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{rejection.detail}\n".encode()})
