"""An endpoint in its own process that floods its clients.

    python -m verification.reliability.flood_endpoint KIND RATE SECONDS

It prints its port. The kind "messages" answers JSON-RPC requests and sends RATE events a second. Pings limit the number
of unread events, because events in TCP buffers would delay a reply regardless of the client. The kind "events" does the
same in smaller steps, and its events have numbers. As fast as TCP takes them, the kind "greedy" sends events, "batches"
messages of 50,000 events, and "lists" events with 10,000 rows. The kind "pings" sends pings as fast as possible and
reads nothing.
A request with the parameter `flood` starts the flood; its rate is printed at the end.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio import StreamReader, StreamWriter
from itertools import count
from typing import Final

from .raw import PING, PONG, accept, frame, listening, read_frame

BATCHES: Final = {"messages": 100, "events": 10}
"""Messages per write, by kind."""

WINDOW: Final = 2
"""Batches that the client may not have read."""

EVENT: Final = b'{"jsonrpc":"2.0","method":"tick","params":{"price":101.25}}'
NUMBERED: Final = b'{"jsonrpc":"2.0","method":"event","params":{"n":%d,"price":101.25}}'
EMPTY_PING: Final = frame(b"", PING)
PINGS: Final = frame(b"x" * 125, PING) * 1000
GREEDY: Final = {
    "greedy": frame(EVENT) * 1000,
    "batches": frame(b"[" + b",".join([EVENT] * 50_000) + b"]"),
    "lists": frame(EVENT.replace(b"101.25", b"[" + b",".join([b'{"price":101.25}'] * 10_000) + b"]")),
}
"""What is sent as fast as TCP takes it, by kind."""


class Flood:
    """The server side of every connection."""

    def __init__(self, kind: str, rate: float, seconds: float) -> None:
        self._kind, self._rate, self._seconds = kind, rate, seconds
        self._numbers = count(1)

    async def talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve a connection."""
        await accept(reader, writer)
        credit = asyncio.Semaphore(WINDOW)
        flooding: list[asyncio.Task[None]] = []
        while True:
            opcode, payload = await read_frame(reader)
            if opcode == PONG:
                credit.release()
            elif opcode == PING:
                writer.write(frame(payload, PONG))
            else:
                request = json.loads(payload)
                floods = request["params"].get("flood", False)
                if floods and self._kind == "pings":
                    await self._send_repeatedly(PINGS, writer)
                writer.write(frame(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": 1}).encode()))
                if floods:
                    frames = GREEDY.get(self._kind)
                    sending = self._send_repeatedly(frames, writer) if frames else self._send_messages(writer, credit)
                    flooding.append(asyncio.create_task(sending))

    async def _send_messages(self, writer: StreamWriter, credit: asyncio.Semaphore) -> None:
        started, sent, size = time.monotonic(), 0, BATCHES[self._kind]
        while time.monotonic() - started < self._seconds:
            await credit.acquire()
            await asyncio.sleep(started + sent / self._rate - time.monotonic())
            writer.write(self._batch(size) + EMPTY_PING)
            sent += size
        print(round(sent / (time.monotonic() - started)), flush=True)

    def _batch(self, size: int) -> bytes:
        if self._kind == "messages":
            return frame(EVENT) * size
        return b"".join(frame(NUMBERED % next(self._numbers)) for _ in range(size))

    async def _send_repeatedly(self, frames: bytes, writer: StreamWriter) -> None:
        """Send the same frames again and again, as fast as TCP takes them."""
        started, sent = time.monotonic(), 0
        try:
            while time.monotonic() - started < self._seconds:
                writer.write(frames)
                await writer.drain()
                sent += 1
        finally:
            print(round(sent / (time.monotonic() - started)), flush=True)


async def main() -> None:
    """Serve until the process is ended."""
    kind, rate, seconds = sys.argv[1:]
    async with listening(Flood(kind, float(rate), float(seconds)).talk) as port:
        print(port, flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
