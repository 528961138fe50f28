"""Limits of the connections of clients: deadlines for the head and the body of a request, and how many are open.

uvicorn has a timeout for idle connections after a request, and none before it, and with httptools, which reads a
request in a quarter of the time of h11, no bound on the size of a head. When too many connections are open, uvicorn
refuses every request, so any client that reaches the port could stop the server without a token. It has no option for
this; hypercorn, which has a timeout, has no cap for a peer and no eviction.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Literal

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .security import split_absolute_target

logger = logging.getLogger(__name__)

REQUEST_TIMEOUT: Final = 10.0
"""Seconds for the head of a request, and again for its body."""

KEEP_ALIVE_TIMEOUT: Final = 75.0
"""Seconds that idle connections stay open: longer than nginx keeps its own, or nginx sends into one that closes."""

MAX_HEAD_SIZE: Final = 1 << 16
"""Bytes of the head of a request."""

MAX_CONNECTIONS: Final = 2000
"""Open connections, if the limit of file descriptors allows as many."""

MIN_RESERVED_DESCRIPTORS: Final = 64
"""File descriptors that are kept for WebSockets and files, at least; otherwise a quarter of the limit."""

LOG_INTERVAL: Final = 60.0
"""Seconds between two log lines about the same kind of overload."""

ACCEPT_BACKLOG: Final = 128
"""Connections that asyncio accepts in one turn of the loop. It tries as often when no file descriptor is left."""

_ACCEPT_FAILED: Final = "socket.accept() out of system resource"
"""The message of asyncio for that case."""

_TIMEOUT_RESPONSE: Final = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_HEAD_TOO_LARGE_RESPONSE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)
_FULL_RESPONSE: Final = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


Awaited = Literal["request", "head", "body"]


def max_connections() -> int:
    """Return how many connections may be open such that file descriptors are left for WebSockets."""
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, limit - max(MIN_RESERVED_DESCRIPTORS, limit // 4)))


class RareLog:
    """Logs a warning at most every LOG_INTERVAL seconds, with the number of those that were left out."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next = 0.0
        self._left_out = 0

    def report(self, text: str) -> None:
        """Log a warning, or count it."""
        now = self._clock()
        if now < self._next:
            self._left_out += 1
            return
        more = f" ({self._left_out} more in the last minute)" if self._left_out else ""
        self._next, self._left_out = now + LOG_INTERVAL, 0
        logger.warning("%s%s", text, more)


class ConnectionLimits:
    """The open connections, oldest first. A new one takes the place of the oldest that has no request.

    A peer may have half of all connections. What counts as a peer is its address; behind a proxy, that of the proxy.
    """

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._peer_limit = (limit + 1) // 2
        self._open: dict[LimitedProtocol, str] = {}
        self._by_peer: Counter[str] = Counter()
        self._log = RareLog(clock)

    def admit(self, connection: LimitedProtocol, peer: str) -> bool:
        """Add a connection; return False if there are too many, and all of them are serving requests."""
        of_peer = self._by_peer[peer] >= self._peer_limit
        if of_peer or len(self._open) >= self._limit:
            candidates = (each for each, address in self._open.items() if not of_peer or address == peer)
            oldest = next((each for each in candidates if each.has_no_request), None)
            self._log.report("too many HTTP connections; the oldest without a request are closed")
            if oldest is None:
                return False
            self.remove(oldest)
            oldest.end()
        self._open[connection] = peer
        self._by_peer[peer] += 1
        return True

    def remove(self, connection: LimitedProtocol) -> None:
        """Forget a connection."""
        peer = self._open.pop(connection, None)
        if peer is not None:
            self._by_peer[peer] -= 1
            if not self._by_peer[peer]:
                del self._by_peer[peer]


class Alarm:
    """Calls a function after a time, unless it is set again or cleared before, as nearly always.

    Its timer is not moved by that: it looks what is due when it fires. A timer for each request would cost as much as
    reading the request.
    """

    __slots__ = ("_at", "_loop", "_ring", "_timer", "_timer_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    def set(self, seconds: float) -> None:
        """Ring in so many seconds, and at no other time."""
        self._at = self._loop.time() + seconds
        if self._timer is None or self._at < self._timer_at:
            self._start_timer(self._at)

    def clear(self) -> None:
        """Do not ring."""
        self._at = None

    def end(self) -> None:
        """Do not ring any more: stop the timer as well."""
        self._at = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(when, self._on_timer, when), when

    def _on_timer(self, when: float) -> None:
        self._timer = None
        if self._at is None:
            return
        if self._at > when:
            self._start_timer(self._at)
            return
        self._at = None
        self._ring()


class LimitedProtocol(HttpToolsProtocol):
    """A connection of uvicorn with `limits`, and with a deadline for what it waits for.

    This is the next request, a part of one, or nothing while one is served.
    """

    # Python shares the keys of the attributes of all connections only up to 30, and uvicorn has 29.
    __slots__ = ("_awaited", "_deadline", "_head_size", "_limits")

    def __init__(self, *args: Any, limits: ConnectionLimits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._deadline = Alarm(self.loop, self._on_deadline)
        self._awaited: Awaited | None = None
        self._head_size = 0

    @property
    def has_no_request(self) -> bool:
        """Whether no request is being served."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Admit the connection, and wait for the head of the first request."""
        super().connection_made(transport)
        if self._limits.admit(self, self.client[0] if self.client else ""):
            self._await("head")
        else:
            transport.write(_FULL_RESPONSE)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the place of the connection."""
        self._limits.remove(self)
        self._deadline.end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived."""
        if self._awaited == "request":  # also line breaks before a request wait for its head
            self._await("head")
        self._head_size += len(data)
        self._parse(data)
        if self._awaited == "head" and self._head_size > MAX_HEAD_SIZE and not self.transport.is_closing():
            self.transport.write(_HEAD_TOO_LARGE_RESPONSE)
            self.end()

    def _parse(self, data: bytes) -> None:
        """Parse requests as uvicorn does; those that offer another protocol are parsed once more, without the offer."""
        rest: bytes | memoryview = data
        try:
            while rest and not self.transport.is_closing():
                rest = self._parse_until_upgrade(rest)
        except httptools.HttpParserError:
            text = "Invalid HTTP request received."
            self.logger.warning(text)
            self.send_400_response(text)

    def _parse_until_upgrade(self, data: bytes | memoryview) -> bytes | memoryview:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            self._decline_upgrade()
            return memoryview(data)[stopped.args[0] :]
        return b""

    def _decline_upgrade(self) -> None:
        """Serve a request that offers another protocol as if it had not (RFC 9110 §7.8): Java offers h2c by itself.

        The parser takes the body for the other protocol, so another one reads the head again, without the offer.
        """
        headers = [header for header in self.headers if header[0] != b"upgrade"]
        if len(headers) == len(self.headers):  # CONNECT: what follows is not for this server
            self.end()
            return
        lines = [b"%s %s HTTP/1.1" % (self.parser.get_method(), self.url), *(b"%s: %s" % each for each in headers)]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._await("head")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header of the head; those that follow a body in chunks are dropped: they were not checked."""
        if self._awaited == "head":
            super().on_header(name, value.strip(b" \t"))  # white space around a value is no part of it (RFC 9110 §5.5)

    def on_headers_complete(self) -> None:
        """Start the request; a target in absolute form becomes a path and a Host (RFC 9112 §3.2.2)."""
        if self.parser.should_upgrade():
            return
        self._await("body")
        if not self.url.startswith(b"/"):
            self._take_absolute_target()
        super().on_headers_complete()

    def _take_absolute_target(self) -> None:
        found = split_absolute_target(self.url)
        if found is not None:
            host, self.url = found
            self.headers[:] = [(b"host", host), *(header for header in self.headers if header[0] != b"host")]
        if not self.url.startswith(b"/"):
            self.url = b"/" + self.url  # any other form is a path that does not exist

    def on_message_complete(self) -> None:
        """End a request; the next bytes are the head of another one."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._head_size = 0
        self._await("request" if self.has_no_request else None)

    def on_response_complete(self) -> None:
        """Serve the request that has followed meanwhile, or wait for one: as in uvicorn, but without a timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._awaited is None:
            self._await("request")

    def end(self) -> None:
        """Close the connection, which has no request."""
        self._deadline.end()
        self.transport.close()

    def _await(self, awaited: Awaited | None) -> None:
        """Wait for something, with a deadline; None: for nothing."""
        if awaited == self._awaited:
            return
        self._awaited = awaited
        if awaited is None:
            self._deadline.clear()
        else:
            self._deadline.set(KEEP_ALIVE_TIMEOUT if awaited == "request" else REQUEST_TIMEOUT)

    def _on_deadline(self) -> None:
        if self.transport.is_closing():
            return
        if self.pipeline:  # nothing is read until the requests before it are answered
            self._deadline.set(REQUEST_TIMEOUT)
            return
        if self._awaited == "head":
            has_begun = self._head_size > 0
        else:
            has_begun = self._awaited == "body" and not self.cycle.response_started
        if has_begun:
            self.transport.write(_TIMEOUT_RESPONSE)
        self.end()


def report_accept_failures(loop: asyncio.AbstractEventLoop) -> None:
    """Log a failure to accept a connection in one line and seldom; asyncio logs a traceback for each attempt."""
    log, inherited = RareLog(loop.time), loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context.get("message") == _ACCEPT_FAILED:
            log.report(f"cannot accept a connection: {context.get('exception')}")
        elif inherited is not None:
            inherited(loop, context)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)
