"""Heads of requests that were read before.

A client repeats the head of its calls byte for byte; only the tool and the length of the body differ. httptools and
uvicorn need as long for a head as the bridge for half of a call, so what was read in the same bytes is used again.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ...records import Record
from .fast_path import DistinctHeaders

MAX_HEADS: Final = 256
MAX_KNOWN_SIZE: Final = 1 << 12
"""Bytes of a head that is remembered."""

_END: Final = b"\r\n\r\n"
_OF_CONNECTION: Final = ("client", "server", "scheme", "headers", "state")
"""What a scope of ASGI has from its connection, or may not share with another scope."""


class KnownHead(Record):
    """What a head says.

    Attributes:
        size: Its bytes.
        scope: The scope of ASGI, without what the connection adds.
        headers: Its headers, which the lane has accepted.
        body_size: The length of the body.
        keep_alive: Whether the connection stays open after the response.
    """

    not_in_repr: ClassVar = ("headers", "scope")
    size: int
    scope: dict[str, Any]
    headers: DistinctHeaders
    body_size: int
    keep_alive: bool

    def begin(self, connection: HttpToolsProtocol, data: bytes) -> RequestResponseCycle:
        """Return a request of a connection as uvicorn makes it of these bytes, the head and the body."""
        scope: Any = {
            **self.scope,
            "client": connection.client,
            "server": connection.server,
            "scheme": connection.scheme,
            "headers": list(self.headers.items()),
            "state": connection.app_state.copy(),
        }
        cycle = RequestResponseCycle(
            scope=scope,
            transport=connection.transport,
            flow=connection.flow,
            logger=connection.logger,
            access_logger=connection.access_logger,
            access_log=connection.access_log,
            default_headers=connection.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=self.keep_alive,
            on_response=connection.on_response_complete,
        )
        cycle.body += data[self.size :]
        cycle.more_body = False
        cycle.message_event.set()
        return cycle


class KnownHeads:
    """The heads of the last clients, of requests that were accepted and arrived as a whole."""

    def __init__(self) -> None:
        self._heads: dict[bytes, KnownHead] = {}

    def find(self, data: bytes) -> KnownHead | None:
        """Return the head of a request that is exactly these bytes, if it is known."""
        size = data.find(_END, 0, MAX_KNOWN_SIZE) + len(_END)
        head = self._heads.get(data[:size])
        return head if head is not None and len(data) == size + head.body_size else None

    def add(self, data: bytes, cycle: RequestResponseCycle, headers: DistinctHeaders) -> None:
        """Remember the head with which a request begins, if the rest of the bytes is its whole body."""
        size = data.find(_END, 0, MAX_KNOWN_SIZE) + len(_END)
        length = headers.get(b"content-length")
        if not data.startswith(b"POST ") or length != b"%d" % (len(data) - size) or b"transfer-encoding" in headers:
            return
        if len(self._heads) >= MAX_HEADS:
            del self._heads[next(iter(self._heads))]
        shared = {name: value for name, value in cycle.scope.items() if name not in _OF_CONNECTION}
        self._heads[data[:size]] = KnownHead(size, shared, headers, len(data) - size, cycle.keep_alive)
