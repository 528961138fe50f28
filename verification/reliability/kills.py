"""The ways in which an endpoint kills a connection: the moment of a call and the means."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

Moment = Literal["before", "executed", "frame", "answered", "unread"]
Means = Literal["fin", "rst", 1001, 1011, 1012]

READ_DELAY: Final = 0.005
"""Seconds in which the next request arrives while the endpoint does not read."""


@dataclass(frozen=True, slots=True)
class Kill:
    """A way to kill a connection.

    `moment`: "before" the request is executed; "executed" but not answered; within the "frame" of the reply;
    "answered"; or "unread": the next request has arrived and is not read. `means`: TCP's FIN or RST, or a close code.
    """

    moment: Moment
    means: Means

    async def run(self, connection: ServerConnection, execute: Callable[[], None], reply: str) -> None:
        """Serve a request up to the moment and end the connection."""
        if self.moment != "before":
            execute()
        with suppress(ConnectionClosed):
            if self.moment == "frame":
                frame = Frame(Opcode.TEXT, reply.encode()).serialize(mask=False)
                connection.transport.write(frame[: len(frame) // 2])
            if self.moment in ("answered", "unread"):
                await connection.send(reply)
            if self.moment == "unread":
                connection.transport.pause_reading()
                await asyncio.sleep(READ_DELAY)
            await self._end(connection)

    async def _end(self, connection: ServerConnection) -> None:
        if self.means == "fin":
            connection.transport.close()
        elif self.means == "rst":
            reset(connection.transport)
        else:
            await connection.close(self.means)


def reset(transport: Any) -> None:
    """Reset a TCP connection: SO_LINGER with 0 seconds makes close send RST."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


_MOMENTS: Final[tuple[Moment, ...]] = ("before", "executed", "answered")
_CUTS: Final[tuple[Means, ...]] = ("fin", "rst")
_CODES: Final[tuple[Means, ...]] = (1001, 1011, 1012)
KILLS: Final = (
    *(Kill(moment, means) for means, moment in product((*_CUTS, *_CODES), _MOMENTS)),
    *(Kill("frame", means) for means in _CUTS),
    Kill("unread", "rst"),
)
"""All ways, in the order of their use."""
