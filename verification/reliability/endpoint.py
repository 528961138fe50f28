"""An endpoint in its own process that records each execution in a file before it replies.

A request is `{"n": number}`, with or without an `id`; its reply holds `n`, `id` and an `answer` that is unique for this
number. The field `how` selects a disturbance of the reply (see `reply_disturbances.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from .kills import KILLS
from .reply_disturbances import Replies, reply_to

KILL: Final = "kill"
"""The line of the ledger for a killed connection."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A running endpoint, and the file in which it records executions."""

    port: int
    ledger: Path

    def read(self) -> tuple[Counter[int], int]:
        """Return how often each number was executed, and how many connections were killed."""
        lines = Counter(self.ledger.read_text().split())
        kills = lines.pop(KILL, 0)
        return Counter({int(number): times for number, times in lines.items()}), kills


@asynccontextmanager
async def endpoint(kill_every: int = 0) -> AsyncIterator[Endpoint]:
    """Run an endpoint until the block ends. It kills a connection at every `kill_every`th request; 0: never."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "ledger"
        command = [sys.executable, "-m", "verification.reliability.endpoint", str(ledger), str(kill_every)]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            assert process.stdout is not None
            yield Endpoint(int(await process.stdout.readline()), ledger)
        finally:
            process.terminate()
            await process.wait()


class _Server:
    """The server of the process. `ledger` is a file descriptor."""

    def __init__(self, ledger: int, kill_every: int) -> None:
        self._ledger = ledger
        self._kill_every = kill_every
        self._kills = cycle(KILLS)
        self._requests = 0
        self._replies = Replies()

    async def serve(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for raw in connection:
                self._requests += 1
                if self._kill_every and self._requests % self._kill_every == 0:
                    await self._kill(connection, json.loads(raw))
                    return
                await self._answer(connection, json.loads(raw))

    async def _kill(self, connection: ServerConnection, request: Any) -> None:
        self._record(KILL)
        await next(self._kills).run(connection, lambda: self._execute(request), reply_to(request))

    async def _answer(self, connection: ServerConnection, request: Any) -> None:
        self._execute(request)
        if "how" in request:
            await self._replies.send(connection, request)
        else:
            await connection.send(reply_to(request))

    def _execute(self, request: Any) -> None:
        self._record(str(request["n"]))

    def _record(self, line: str) -> None:
        os.write(self._ledger, f"{line}\n".encode())


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("ledger", type=Path)
    parser.add_argument("kill_every", type=int)
    options = parser.parse_args()
    ledger = os.open(options.ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    server = _Server(ledger, options.kill_every)
    async with serve(server.serve, "127.0.0.1", 0, compression=None, ping_interval=None) as listening:
        print(next(iter(listening.sockets)).getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(_main())
