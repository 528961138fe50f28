"""The client's end of a connection, with the behavior of asyncio's transports."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from websockets.protocol import State

if TYPE_CHECKING:
    from .network import Link


class Transport(asyncio.Transport):
    """A transport for a simulated connection, without a write buffer."""

    def __init__(self, link: Link, protocol: Any, sock: socket.socket) -> None:
        super().__init__()
        self.protocol = protocol
        self._link = link
        self._sock = sock
        self._closing = False
        self._ended = False
        self._paused = False
        self._arrived: deque[bytes | None] = deque()

    @property
    def counts(self) -> bool:
        """Whether the client counts this connection: it is upgrading or open."""
        return not self._closing and self.protocol.protocol.state <= State.OPEN

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: there is no write buffer."""

    def get_write_buffer_size(self) -> int:
        return 0

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return not self._paused and not self._closing

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._link.loop.call_soon(self._read)

    def write(self, data: Any) -> None:
        if not self._ended and not self._closing:
            self._link.up.push(bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._ended and not self._closing:
            self._ended = True
            self._notify_server()

    def close(self) -> None:
        self.fail(None)

    def abort(self) -> None:
        self.fail(None)

    def arrive(self, data: bytes | None) -> None:
        """Receive bytes, or the end of the stream (None)."""
        self._arrived.append(data)
        self._read()

    def fail(self, error: Exception | None) -> None:
        """End the connection for the client."""
        if self._closing:
            return
        self._closing = True
        if not self._ended:
            self._notify_server()
        self._link.loop.call_soon(self._lost, error)

    def _notify_server(self) -> None:
        if not self._link.silent:
            self._link.up.later(self._link.server_sees_end)

    def _read(self) -> None:
        while self._arrived and not self._paused and not self._closing:
            data = self._arrived.popleft()
            if data is not None:
                self.protocol.data_received(data)
            elif not self.protocol.eof_received():
                self.close()

    def _lost(self, error: Exception | None) -> None:
        self._link.transport = None
        self.protocol.connection_lost(error)
        self._sock.close()
