"""A TCP proxy on loopback that injects the faults of networks and broken servers into connections."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Literal

Ending = Literal["fin", "rst", "stop", "flip"]
HEAD_END: Final = b"\r\n\r\n"
MAX_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Flow:
    """The treatment of the bytes of one direction.

    Byte number `at` (from 0; with `after_head` from the end of the HTTP head) is replaced by `instead`, and the
    connection ends: with "fin", "rst", or "stop", which stops forwarding without closing. With "flip" this byte is
    forwarded as its complement and the following bytes unchanged. Bytes are forwarded in pieces of at most `piece`
    bytes, each after `delay` seconds.
    """

    at: int | None = None
    after_head: bool = False
    instead: bytes = b""
    ending: Ending = "rst"
    piece: int = MAX_CHUNK
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Fault:
    """The fault of connections: they are refused (`refuse`), or `up` and `down` apply to their bytes."""

    refuse: bool = False
    up: Flow = Flow()
    down: Flow = Flow()


HEALTHY: Final = Fault()


class Proxy:
    """Listens on `port` and forwards to the port `target`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._fault = HEALTHY
        self._reserved_socket = _bind(0)  # reserves the port while connections are refused
        self.port: int = self._reserved_socket.getsockname()[1]
        self._listener: socket.socket | None = None
        self._links: dict[_Link, asyncio.Task[None]] = {}

    def set_fault(self, fault: Fault) -> None:
        """Set the fault of new connections; open connections are not affected."""
        self._fault = fault
        if fault.refuse:
            self._stop_listening()
        elif self._listener is None:
            self._listener = _listen(self.port)
            asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def clear_fault(self) -> None:
        """Remove the fault for new connections."""
        self.set_fault(HEALTHY)

    def end_connections(self, ending: Ending, instead: bytes = b"") -> None:
        """End all open connections after sending `instead` to their clients."""
        for link in list(self._links):
            link.end(ending, instead)

    async def aclose(self) -> None:
        """Stop listening and drop all connections."""
        self._stop_listening()
        tasks = list(self._links.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._reserved_socket.close()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionError):
            client, _ = listener.accept()
            link = _Link(client, self._fault)
            link.task = self._links[link] = asyncio.create_task(link.run(self._target))
            link.task.add_done_callback(lambda _: self._links.pop(link))


class _Link:
    """A connection through the proxy. With `_discards_data` it reads and forwards nothing more."""

    def __init__(self, client: socket.socket, fault: Fault) -> None:
        self._client, self._server = client, socket.socket()
        self._fault = fault
        self._discards_data = False
        self.task: asyncio.Task[None] | None = None

    async def run(self, target: int) -> None:
        """Forward until both sides have closed or the fault ends the connection."""
        with self._client, self._server, suppress(OSError):
            for end in (self._client, self._server):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(self._server, ("127.0.0.1", target))
            down = asyncio.create_task(self._forward(self._server, self._client, self._fault.down))
            try:
                await self._forward(self._client, self._server, self._fault.up)
                if not self._discards_data:
                    await down
            finally:
                down.cancel()
                await asyncio.wait([down])

    def end(self, ending: Ending, instead: bytes = b"") -> None:
        """Send `instead` to the client and end the connection."""
        with suppress(OSError):
            if instead:
                self._client.send(instead)
            if ending == "fin":
                self._client.shutdown(socket.SHUT_WR)
            if ending == "rst":
                for end in (self._client, self._server):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._discards_data = True
        if ending == "rst" and self.task is not None:
            self.task.cancel()

    async def _forward(self, source: socket.socket, sink: socket.socket, flow: Flow) -> None:
        loop, mark = asyncio.get_running_loop(), _Mark(flow)
        with suppress(OSError):
            while data := await loop.sock_recv(source, MAX_CHUNK):
                if self._discards_data:
                    continue
                found = mark.find(data)
                if found is not None and flow.ending == "flip":
                    data = data[:found] + bytes([data[found] ^ 0xFF]) + data[found + 1 :]
                    found = None
                for piece in _pieces(data[:found], flow.piece):
                    await asyncio.sleep(flow.delay)
                    await loop.sock_sendall(sink, piece)
                if found is not None:
                    self.end(flow.ending, flow.instead)
            if not self._discards_data:
                sink.shutdown(socket.SHUT_WR)


class _Mark:
    """Finds the byte at which a flow ends in successive pieces of data."""

    def __init__(self, flow: Flow) -> None:
        self._at = flow.at
        self._in_head = flow.after_head
        self._seen = b""

    def find(self, data: bytes) -> int | None:
        """Return the index of the byte in `data`, or None; the byte is found once."""
        if self._at is None:
            return None
        start = self._end_of_head(data) if self._in_head else 0
        if start is None:
            return None
        place, length = start + self._at, len(data)
        self._at = None if place < length else place - length
        return place if place < length else None

    def _end_of_head(self, data: bytes) -> int | None:
        before, seen = len(self._seen), self._seen + data
        end = seen.find(HEAD_END)
        self._seen = seen[-len(HEAD_END) + 1 :]
        self._in_head = end < 0
        return None if end < 0 else end + len(HEAD_END) - before


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def _bind(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def _listen(port: int) -> socket.socket:
    bound = _bind(port)
    bound.listen(128)
    bound.setblocking(False)
    return bound


@asynccontextmanager
async def proxy(target: int, fault: Fault = HEALTHY) -> AsyncIterator[Proxy]:
    """Run a proxy for a port until the block ends."""
    running = Proxy(target)
    running.set_fault(fault)
    try:
        yield running
    finally:
        await running.aclose()
