"""The table of faults: what happens to connections, and the error that a call must raise."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from utcp_ws_mcp.errors import (
    BridgeError,
    CallTimeout,
    ConnectError,
    ConnectionLost,
    DiscoveryInterrupted,
    DiscoveryTimeout,
    ForbiddenRedirect,
    HandshakeRejected,
    HttpStepFailed,
    TokenRequestError,
)

from .proxy import HEALTHY, Ending, Fault, Flow

Phase = Literal["discovery", "call", "idle"]
FaultLocation = Literal["path", "name", "token", "login request", "call request"]

HTTP_STEPS: Final[tuple[FaultLocation, ...]] = ("login request", "call request")
"""Faults of the HTTP server of `before_connect` and of `before_message`, which only the bridge has."""

PING: Final = 14
"""Bytes of the ping frame that the bridge sends before a request on an exclusive connection."""

PONG: Final = 10
"""Bytes of the pong frame."""


@dataclass(frozen=True, slots=True)
class FaultCase:
    """A fault and its effect on a call: the class of the error and a pattern of its message, or no `error`.

    `fault` applies to connections that are opened while it is active. Connections that are open when it begins end with
    `ending`, after the bytes `close_bytes`. With `on_open` it applies to an open connection during a call; an idle
    connection is then replaced without an error. `where` it occurs: on the path to the endpoint, in the resolver
    ("name"), or on the path to the server of a token or of an HTTP step.
    """

    name: str
    error: type[BridgeError] | None
    error_pattern: str = ""
    fault: Fault = HEALTHY
    ending: Ending = "fin"
    close_bytes: bytes = b""
    on_open: bool = False
    where: FaultLocation = "path"

    def expected(self, phase: Phase, *, pooled: bool) -> tuple[type[BridgeError] | None, str]:
        """Return the class and the message pattern of the error. `pooled`: a connection was open before the fault."""
        if phase == "idle" and pooled and self.ending == "stop":
            return CallTimeout, "timed out after .* may have been executed"
        if phase == "idle" and (self.on_open or self.where == "token"):
            return None, ""
        if phase == "discovery" and self.error is CallTimeout:
            return DiscoveryTimeout, "waiting for the UTCP manual"
        if phase == "discovery" and self.error is ConnectionLost:
            return DiscoveryInterrupted, self.error_pattern.removesuffix(_MAYBE_EXECUTED)
        return self.error, self.error_pattern

    def connection_fault(self, phase: Phase, *, exclusive: bool) -> Fault:
        """Return the fault of a connection. On an exclusive connection, ping and pong precede the request."""
        if self.where != "path" or (phase == "idle" and self.on_open):
            return HEALTHY
        if not exclusive or not self.on_open:
            return self.fault
        return replace(self.fault, up=_shifted(self.fault.up, PING), down=_shifted(self.fault.down, PONG))


def _http_cases() -> Iterator[FaultCase]:
    """Yield the faults of the server of HTTP steps, of a login and of a call."""
    errors: dict[FaultLocation, type[BridgeError]] = {"login request": ConnectError, "call request": HttpStepFailed}
    faults = {
        "down": ("no connection. Check that the server runs", Fault(refuse=True)),
        "broken": ("the server answered HTTP 500", _response("HTTP/1.1 500 Internal Server Error")),
        "silent": ("no complete HTTP response within 1 s", Fault(down=Flow(at=0, ending="stop"))),
        "garbage": ("the response is not as expected", _response("HTTP/1.1 200 OK", "<html>")),
    }
    for where, error in errors.items():
        for name, (pattern, fault) in faults.items():
            yield FaultCase(f"server of a {where} {name}", error, pattern, fault, where=where)


def _shifted(flow: Flow, by: int) -> Flow:
    return flow if flow.at is None else replace(flow, at=flow.at + by)


def close_frame(code: int | None) -> bytes:
    """Return a Close frame (RFC 6455 §5.5.1), also with codes that must not be sent; None: without a code."""
    return b"\x88\x00" if code is None else b"\x88\x02" + struct.pack(">H", code)


def _response(head: str, body: str = "") -> Fault:
    """Answer the upgrade with this response instead of the endpoint's."""
    answer = f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    return Fault(down=Flow(at=0, instead=answer, ending="fin"))


def _request(at: int, ending: Ending) -> Fault:
    """End the connection at a byte of the request."""
    return Fault(up=Flow(at, after_head=True, ending=ending))


def _reply(at: int, ending: Ending, instead: bytes = b"") -> Fault:
    """End the connection at a byte of the reply."""
    return Fault(down=Flow(at, after_head=True, instead=instead, ending=ending))


_REFUSED: Final = "connection refused. .*connection-refused"
_CUT: Final = "the connection was cut during the upgrade"
_NO_UPGRADE: Final = "the answer was not a WebSocket upgrade"
_UNANSWERED: Final = "the upgrade was not answered within"
_MAYBE_EXECUTED: Final = ".* may have been executed"
_LOST: Final = f"the network connection was cut{_MAYBE_EXECUTED}"
_NO_REPLY: Final = "timed out after .* may have been executed"
_BROKEN: Final = "the server violated the WebSocket protocol"

_SWITCHING: Final = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade"

_CONNECTING: Final = (
    FaultCase("refused", ConnectError, _REFUSED, Fault(refuse=True)),
    FaultCase("restart", ConnectError, _REFUSED, Fault(refuse=True), close_bytes=close_frame(1012)),
    FaultCase("reset after accept", ConnectError, _CUT, Fault(up=Flow(at=0)), "rst"),
    FaultCase("reset in the upgrade", ConnectError, _CUT, Fault(down=Flow(at=40)), "rst"),
    FaultCase("fin in the upgrade", ConnectError, _CUT, Fault(down=Flow(at=40, ending="fin"))),
    FaultCase("black hole after accept", ConnectError, _UNANSWERED, Fault(up=Flow(at=0, ending="stop"))),
    FaultCase("black hole in the upgrade", ConnectError, _UNANSWERED, Fault(down=Flow(at=40, ending="stop"))),
    FaultCase("corrupt upgrade", ConnectError, _NO_UPGRADE, Fault(down=Flow(at=9, ending="flip"))),
    FaultCase("incomplete 101", ConnectError, _NO_UPGRADE, _response("HTTP/1.1 101 Switching Protocols")),
    FaultCase(
        "wrong Sec-WebSocket-Accept",
        ConnectError,
        _NO_UPGRADE,
        _response(f"{_SWITCHING}\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ),
    FaultCase("garbage", ConnectError, _NO_UPGRADE, _response("SSH-2.0-OpenSSH_9.6\r\n")),
    FaultCase(
        "redirect",
        ForbiddenRedirect,
        "a redirect .HTTP 302.. Write the final URL",
        _response("HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:9/"),
    ),
    FaultCase(
        "401",
        HandshakeRejected,
        "HTTP 401. The server requires other credentials",
        _response("HTTP/1.1 401 Unauthorized"),
    ),
    FaultCase(
        "403",
        HandshakeRejected,
        "HTTP 403; the endpoint said: “no”. The server rejects the credentials",
        _response("HTTP/1.1 403 Forbidden", "no"),
    ),
    FaultCase("429", HandshakeRejected, "HTTP 429. The server limits", _response("HTTP/1.1 429 Too Many Requests")),
    FaultCase("500", HandshakeRejected, "HTTP 500", _response("HTTP/1.1 500 Internal Server Error", "oops")),
    FaultCase("503", HandshakeRejected, "HTTP 503. The server is busy", _response("HTTP/1.1 503 Service Unavailable")),
    FaultCase("unknown host", ConnectError, "the host name .* cannot be resolved", where="name"),
    FaultCase(
        "token endpoint down",
        ConnectError,
        "no connection. Check that the server runs",
        Fault(refuse=True),
        where="token",
    ),
    FaultCase(
        "token endpoint broken",
        TokenRequestError,
        "HTTP 500. Check client_id",
        _response("HTTP/1.1 500 Internal Server Error"),
        where="token",
    ),
)

_SLOW: Final = (
    FaultCase("one byte at a time", None, fault=Fault(up=Flow(piece=1), down=Flow(piece=1))),
    FaultCase("latency", None, fault=Fault(up=Flow(delay=0.03), down=Flow(delay=0.03))),
    FaultCase("narrow path", None, fault=Fault(down=Flow(piece=16, delay=0.002))),
)

_OPEN: Final = (
    FaultCase("reset before the request", ConnectionLost, _LOST, _request(0, "rst"), "rst"),
    FaultCase("reset in the request", ConnectionLost, _LOST, _request(5, "rst"), "rst"),
    FaultCase("reset before the reply", ConnectionLost, _LOST, _reply(0, "rst"), "rst"),
    FaultCase("reset in the reply", ConnectionLost, _LOST, _reply(5, "rst"), "rst"),
    FaultCase("fin in the reply", ConnectionLost, _LOST, _reply(5, "fin")),
    FaultCase("request into a black hole", CallTimeout, _NO_REPLY, _request(0, "stop"), "stop"),
    FaultCase("black hole in the reply", CallTimeout, _NO_REPLY, _reply(5, "stop"), "stop"),
    FaultCase("corrupt frame", ConnectionLost, _BROKEN, _reply(0, "flip"), close_bytes=b"\x7e\x00"),
)

CODES: Final = (None, *range(1000, 1016), 3000, 4000)
ILLEGAL: Final = (1004, 1005, 1006, 1015)
"""Codes that must not be sent (RFC 6455 §7.4.1)."""


def _closes() -> Iterator[FaultCase]:
    for code in CODES:
        close_bytes = close_frame(code)
        fault = _reply(0, "fin", close_bytes)
        with_code = f"with code {code}" if code else "without a code"
        pattern = _BROKEN if code in ILLEGAL else f"closed by the server {with_code}"
        yield FaultCase(f"close {code or 'without a code'}", ConnectionLost, pattern, fault, close_bytes=close_bytes)


FAULT_CASES: Final = (
    *_CONNECTING,
    *_SLOW,
    *_http_cases(),
    *(replace(fault_case, on_open=True) for fault_case in (*_OPEN, *_closes())),
)
