"""How an endpoint kills a connection: at which moment of a call, and by which means."""

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
"""Seconds that the next request has to arrive at an endpoint that no longer reads."""


@dataclass(frozen=True, slots=True)
class Kill:
    """The end of a connection.

    "before" the request is executed; "executed", but not answered; in the middle of the reply's "frame"; when it is
    "answered"; "unread": the next request has arrived and is not read. Then TCP's FIN or RST, or a close code.
    """

    moment: Moment
    means: Means

    async def run(self, connection: ServerConnection, execute: Callable[[], None], reply: str) -> None:
        """Serve one request up to the moment, and end the connection."""
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
    """End a TCP connection with RST."""
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
"""All of them, in the order in which they take turns."""
