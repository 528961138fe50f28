"""The table of the faults: what happens to connections, and what a call that meets it must say."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from utcp_ws_mcp.errors import (
    BridgeError,
    CallTimeout,
    ConnectFailed,
    ConnectionLost,
    ForbiddenRedirect,
    HandshakeRejected,
    NoManual,
    TokenRejected,
)

from .proxy import HEALTHY, Ending, Fault, Flow

Phase = Literal["discovery", "call", "idle"]
Where = Literal["path", "name", "token"]

PING: Final = 10
"""Bytes of the ping that a bridge sends before a request on a connection that one call owns."""

PONG: Final = 6
"""Bytes of its answer."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault, and what it does to a call: the class of the error and words of its sentence, or no `error`.

    `fault` meets connections that are opened while it lasts. Those that are open when it begins end with `ending`,
    after the bytes `farewell`. With `on_open` it meets an open connection in the middle of a call; one that is idle is
    then replaced without a word. `where` it is: on the path to the endpoint, in the resolver, before the token.
    """

    name: str
    error: type[BridgeError] | None
    says: str = ""
    fault: Fault = HEALTHY
    ending: Ending = "fin"
    farewell: bytes = b""
    on_open: bool = False
    where: Where = "path"

    def expected(self, phase: Phase, *, pooled: bool) -> tuple[type[BridgeError] | None, str]:
        """The error and its words. `pooled`: a connection was open when it began."""
        if phase == "idle" and pooled and self.ending == "stop":
            return CallTimeout, "no reply came within .* may have been executed"
        if phase == "idle" and (self.on_open or self.where == "token"):
            return None, ""
        if phase == "discovery" and self.error is CallTimeout:
            return NoManual, "no UTCP manual came within"
        return self.error, self.says

    def path(self, phase: Phase, *, owned: bool) -> Fault:
        """What connections meet. On a connection that one call owns, a ping and its answer come before the request."""
        if self.where != "path" or (phase == "idle" and self.on_open):
            return HEALTHY
        if not owned or not self.on_open:
            return self.fault
        return replace(self.fault, up=_later(self.fault.up, PING), down=_later(self.fault.down, PONG))


def _later(flow: Flow, by: int) -> Flow:
    return flow if flow.at is None else replace(flow, at=flow.at + by)


def close_frame(code: int | None) -> bytes:
    """A server's Close frame (RFC 6455 §5.5.1), also with codes that must not be sent; None: without a code."""
    return b"\x88\x00" if code is None else b"\x88\x02" + struct.pack(">H", code)


def _answered(head: str, body: str = "") -> Fault:
    """Instead of the endpoint, somebody gives this answer to the upgrade."""
    answer = f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    return Fault(down=Flow(at=0, instead=answer, ending="fin"))


def _request(at: int, ending: Ending) -> Fault:
    """It strikes at a byte of the request."""
    return Fault(up=Flow(at, after_head=True, ending=ending))


def _reply(at: int, ending: Ending, instead: bytes = b"") -> Fault:
    """It strikes at a byte of the reply."""
    return Fault(down=Flow(at, after_head=True, instead=instead, ending=ending))


_REFUSED: Final = "connection refused; is the server running"
_CUT: Final = "the connection was cut during the upgrade"
_NO_UPGRADE: Final = "its answer was no WebSocket upgrade"
_UNANSWERED: Final = "the upgrade was not answered .* within"
_LOST: Final = "the network connection was cut.* may have been executed"
_NO_REPLY: Final = "no reply came within .* may have been executed"
_BROKEN: Final = "the server broke the WebSocket protocol"

_SWITCHING: Final = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade"

_CONNECTING: Final = (
    Trouble("refused", ConnectFailed, _REFUSED, Fault(refuse=True)),
    Trouble("restart", ConnectFailed, _REFUSED, Fault(refuse=True), farewell=close_frame(1012)),
    Trouble("reset after accept", ConnectFailed, _CUT, Fault(up=Flow(at=0)), "rst"),
    Trouble("reset in the upgrade", ConnectFailed, _CUT, Fault(down=Flow(at=40)), "rst"),
    Trouble("fin in the upgrade", ConnectFailed, _CUT, Fault(down=Flow(at=40, ending="fin"))),
    Trouble("black hole after accept", ConnectFailed, _UNANSWERED, Fault(up=Flow(at=0, ending="stop"))),
    Trouble("black hole in the upgrade", ConnectFailed, _UNANSWERED, Fault(down=Flow(at=40, ending="stop"))),
    Trouble("corrupt upgrade", ConnectFailed, _NO_UPGRADE, Fault(down=Flow(at=9, ending="flip"))),
    Trouble("101 that is none", ConnectFailed, _NO_UPGRADE, _answered("HTTP/1.1 101 Switching Protocols")),
    Trouble(
        "wrong Sec-WebSocket-Accept",
        ConnectFailed,
        _NO_UPGRADE,
        _answered(f"{_SWITCHING}\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ),
    Trouble("garbage", ConnectFailed, _NO_UPGRADE, _answered("SSH-2.0-OpenSSH_9.6\r\n")),
    Trouble(
        "redirect",
        ForbiddenRedirect,
        "a redirect .HTTP 302.; write the final URL",
        _answered("HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:9/"),
    ),
    Trouble("401", HandshakeRejected, "HTTP 401; it wants other credentials", _answered("HTTP/1.1 401 Unauthorized")),
    Trouble("403", HandshakeRejected, "HTTP 403: no; it refuses these", _answered("HTTP/1.1 403 Forbidden", "no")),
    Trouble("429", HandshakeRejected, "HTTP 429; it limits", _answered("HTTP/1.1 429 Too Many Requests")),
    Trouble("500", HandshakeRejected, "HTTP 500", _answered("HTTP/1.1 500 Internal Server Error", "oops")),
    Trouble("503", HandshakeRejected, "HTTP 503; it is busy", _answered("HTTP/1.1 503 Service Unavailable")),
    Trouble("unknown host", ConnectFailed, "the host .* cannot be resolved", where="name"),
    Trouble(
        "token endpoint down", ConnectFailed, "no connection; is the server running", Fault(refuse=True), where="token"
    ),
    Trouble(
        "token endpoint broken",
        TokenRejected,
        "it answered HTTP 500",
        _answered("HTTP/1.1 500 Internal Server Error"),
        where="token",
    ),
)

_SLOW: Final = (
    Trouble("one byte at a time", None, fault=Fault(up=Flow(piece=1), down=Flow(piece=1))),
    Trouble("latency", None, fault=Fault(up=Flow(delay=0.03), down=Flow(delay=0.03))),
    Trouble("narrow path", None, fault=Fault(down=Flow(piece=16, delay=0.002))),
)

_OPEN: Final = (
    Trouble("reset before the request", ConnectionLost, _LOST, _request(0, "rst"), "rst"),
    Trouble("reset in the request", ConnectionLost, _LOST, _request(5, "rst"), "rst"),
    Trouble("reset before the reply", ConnectionLost, _LOST, _reply(0, "rst"), "rst"),
    Trouble("reset in the reply", ConnectionLost, _LOST, _reply(5, "rst"), "rst"),
    Trouble("fin in the reply", ConnectionLost, _LOST, _reply(5, "fin")),
    Trouble("request into a black hole", CallTimeout, _NO_REPLY, _request(0, "stop"), "stop"),
    Trouble("black hole in the reply", CallTimeout, _NO_REPLY, _reply(5, "stop"), "stop"),
    Trouble("corrupt frame", ConnectionLost, _BROKEN, _reply(0, "flip"), farewell=b"\x7e\x00"),
)

CODES: Final = (None, *range(1000, 1016), 3000, 4000)
ILLEGAL: Final = (1004, 1005, 1006, 1015)
"""Codes that never travel (RFC 6455 §7.4.1)."""


def _closes() -> Iterator[Trouble]:
    for code in CODES:
        farewell = close_frame(code)
        fault = _reply(0, "fin", farewell)
        how = f"with code {code}" if code else "without a code"
        says = _BROKEN if code in ILLEGAL else f"closed by the server {how}"
        yield Trouble(f"close {code or 'without a code'}", ConnectionLost, says, fault, farewell=farewell)


TROUBLES: Final = (
    *_CONNECTING,
    *_SLOW,
    *(replace(trouble, on_open=True) for trouble in (*_OPEN, *_closes())),
)
