"""A TCP proxy on loopback that does to connections what networks and broken servers do; a `Fault` says what."""

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
    """How the bytes of one direction travel.

    Byte number `at` (from 0; with `after_head` from the end of the HTTP head) does not pass. When it comes, `instead`
    is sent in its place and the connection ends: "fin", "rst", or "stop", where nothing travels any more and nothing
    is closed. With "flip" it passes as its complement, and so does all that follows, unharmed.
    Bytes travel in pieces of `piece` at most, each `delay` seconds late.
    """

    at: int | None = None
    after_head: bool = False
    instead: bytes = b""
    ending: Ending = "rst"
    piece: int = MAX_CHUNK
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to connections: nobody listens (`refuse`), or their bytes travel `up` and `down` like this."""

    refuse: bool = False
    up: Flow = Flow()
    down: Flow = Flow()


HEALTHY: Final = Fault()


class Proxy:
    """Listens on `port` and forwards to `target`, a port too."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._fault = HEALTHY
        self._reserved_socket = _bound(0)  # keeps the port for us while nobody listens on it
        self.port: int = self._reserved_socket.getsockname()[1]
        self._listener: socket.socket | None = None
        self._links: dict[_Link, asyncio.Task[None]] = {}

    def set_fault(self, fault: Fault) -> None:
        """Connections that are opened from now on have this fault; open ones keep theirs."""
        self._fault = fault
        if fault.refuse:
            self._stop_listening()
        elif self._listener is None:
            self._listener = _listening(self.port)
            asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def clear_fault(self) -> None:
        """Connections that are opened from now on have no fault."""
        self.set_fault(HEALTHY)

    def end_connections(self, ending: Ending, instead: bytes = b"") -> None:
        """End all connections that are open now, after sending some bytes to their clients."""
        for link in list(self._links):
            link.end(ending, instead)

    async def aclose(self) -> None:
        """Stop listening, and drop everything."""
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
    """One connection through the proxy. Once `deaf`, it reads and forwards nothing."""

    def __init__(self, client: socket.socket, fault: Fault) -> None:
        self._client, self._server = client, socket.socket()
        self._fault = fault
        self._discards_data = False
        self.task: asyncio.Task[None] | None = None

    async def run(self, target: int) -> None:
        """Forward until both sides have closed, or the fault ends it."""
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
        """Send some bytes to the client and end the connection."""
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
    """Finds the byte at which a flow ends in the pieces that come."""

    def __init__(self, flow: Flow) -> None:
        self._at = flow.at
        self._in_head = flow.after_head
        self._seen = b""

    def find(self, data: bytes) -> int | None:
        """Its place in `data`, once."""
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


def _pieces(data: bytes, most: int) -> Iterator[bytes]:
    return (data[start : start + most] for start in range(0, len(data), most))


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made


def _listening(port: int) -> socket.socket:
    made = _bound(port)
    made.listen(128)
    made.setblocking(False)
    return made


@asynccontextmanager
async def proxy(target: int, fault: Fault = HEALTHY) -> AsyncIterator[Proxy]:
    """A proxy in front of a port, until the block ends."""
    made = Proxy(target)
    made.set_fault(fault)
    try:
        yield made
    finally:
        await made.aclose()
