"""TCP in virtual time: latency, resets and silence of connections, refused and slow connects."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from .transport import Transport

if TYPE_CHECKING:
    from .loop import VirtualLoop

TICK: Final = 1e-6
"""Seconds between two deliveries in one direction, so that they stay in order."""

Cut = Literal["fin", "rst", "silence"]


class Peer(Protocol):
    """The server's end of a connection."""

    def received(self, data: bytes) -> None:
        """Process bytes of the client."""

    def ended(self) -> None:
        """Record that the client has closed or reset the connection."""


class Server(Protocol):
    """What accepts connections."""

    def accept(self, link: Link) -> Peer:
        """Return the server's end of a new connection."""


@dataclass(frozen=True, slots=True)
class LinkFaults:
    """The faults of a connection.

    `connect`: seconds until the connection is open; negative: seconds until it is refused; None: it is never answered.
    `cut`: what ends the connection after this many bytes `down` (to the client) or `up`.
    """

    connect: float | None = 0.01
    latency: float = 0.01
    jitter: float = 0.0
    cut: Cut | None = None
    down: int | None = None
    up: int | None = None

    def without_faults(self) -> LinkFaults:
        """Return the same latency without further faults."""
        return replace(self, jitter=0.0, down=None, up=None)


@dataclass(slots=True)
class Attempt:
    """A connection attempt: its start, whether no other connection was open, its port, and when it was refused."""

    began: float
    alone: bool
    port: int
    refused: float | None = None


class Direction:
    """The bytes from one side to the other. They arrive in order; the connection is cut after `left` bytes."""

    def __init__(self, link: Link, left: int | None, deliver: Callable[[bytes], None]) -> None:
        self._link = link
        self.left = left
        self._deliver = deliver
        self._last = 0.0

    def push(self, data: bytes) -> None:
        """Send bytes to the other side."""
        if self._link.silent or not data:
            return
        if self.left is not None:
            whole, data = len(data), data[: self.left]
            self.left -= len(data)
            if len(data) < whole or not self.left:
                self.later(self._deliver, data)
                self._link.cut()
                return
        self.later(self._deliver, data)

    def later(self, act: Callable[..., None], *arguments: Any) -> None:
        """Call a function at the other side, after the arrival of everything that was sent before."""
        link = self._link
        delay = link.faults.latency + (link.faults.jitter * link.random() if link.faults.jitter else 0.0)
        self._last = max(link.loop.now + delay, self._last + TICK)
        link.loop.call_at(self._last, act, *arguments)


class Link:
    """A TCP connection: the client's transport, the server's peer, and the two directions."""

    def __init__(self, loop: VirtualLoop, number: int, faults: LinkFaults, draw: random.Random) -> None:
        self.loop = loop
        self.number = number
        self.faults = faults
        self.random = draw.random
        self.silent = False
        self.silent_since: float | None = None
        self.transport: Transport | None = None
        self.peer: Peer | None = None
        self.down = Direction(self, faults.down, self._to_client)
        self.up = Direction(self, faults.up, self._to_server)

    def cut(self) -> None:
        """End the connection by its fault; with "silence" neither side is notified."""
        if self.faults.cut == "silence":
            self.silent, self.silent_since = True, self.loop.now
        elif self.faults.cut == "fin":
            self.down.later(self.client_sees_end)
            self.up.later(self.server_sees_end)
            self.silent = True
        else:
            self.reset()

    def reset(self) -> None:
        """Reset the connection; both sides are notified."""
        self.down.later(self.client_sees_reset)
        self.up.later(self.server_sees_end)
        self.silent = True

    def _to_client(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.arrive(data)

    def _to_server(self, data: bytes) -> None:
        if self.peer is not None:
            self.peer.received(data)

    def client_sees_end(self) -> None:
        """Deliver the server's FIN to the client."""
        if self.transport is not None:
            self.transport.arrive(None)

    def client_sees_reset(self) -> None:
        """Deliver an RST to the client."""
        if self.transport is not None:
            self.transport.fail(ConnectionResetError(104, "Connection reset by peer"))

    def server_sees_end(self) -> None:
        """Deliver the client's FIN or an RST to the server."""
        if self.peer is not None:
            self.peer.ended()


class Network:
    """All connections of a simulation. `draw_faults` returns the faults of the next connection."""

    def __init__(self, loop: VirtualLoop, endpoint: Server, draw_faults: Callable[[], LinkFaults], seed: int) -> None:
        self._loop = loop
        self._endpoint = endpoint
        self._draw_faults = draw_faults
        self._random = random.Random(seed)
        self._connected: dict[socket.socket, Link] = {}
        self.addresses: tuple[str, ...] = ("127.0.0.1",)
        self.links: list[Link] = []
        self.attempts: list[Attempt] = []
        self.down_until = 0.0
        self._faults_off = False

    async def look_up(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host, after a short delay."""
        await asyncio.sleep(0.001)
        return list(self.addresses)

    async def connect(self, sock: socket.socket, address: Any) -> None:
        """Open a connection with the next faults."""
        faults = self._draw_faults()
        attempt = Attempt(self._loop.now, not self.transports, address[1])
        self.attempts.append(attempt)
        if self._loop.now < self.down_until:
            faults = replace(faults, connect=-0.01)
        if faults.connect is None:
            await self._loop.create_future()
        assert faults.connect is not None
        await asyncio.sleep(abs(faults.connect))
        if faults.connect < 0 or self._loop.now < self.down_until:
            attempt.refused = self._loop.now
            raise ConnectionRefusedError(111, "Connection refused")
        faults = faults.without_faults() if self._faults_off else faults
        link = Link(self._loop, len(self.links), faults, self._random)
        self.links.append(link)
        self._connected[sock] = link

    def attach(self, sock: socket.socket, protocol: Any) -> Transport:
        """Return the client's transport for a connected socket."""
        link = self._connected.pop(sock)
        link.transport = Transport(link, protocol, sock)
        link.peer = self._endpoint.accept(link)
        return link.transport

    def restart(self, seconds: float) -> None:
        """Restart the server: connections are reset, and new ones are refused for `seconds`."""
        self.down_until = self._loop.now + seconds
        for link in self.links:
            if link.transport is not None and not link.silent:
                link.reset()

    def stop_faults(self, *, detected: bool) -> None:
        """Stop all faults. `detected`: the bridge detects silent connections by itself; otherwise they are reset."""
        self._faults_off = True
        for link in self.links:
            link.faults = link.faults.without_faults()
            link.down.left = link.up.left = None
            if link.silent_since is not None and link.transport is not None and not detected:
                link.reset()

    @property
    def transports(self) -> list[Transport]:
        """The transports of the connections that the client has not closed."""
        return [link.transport for link in self.links if link.transport is not None]
