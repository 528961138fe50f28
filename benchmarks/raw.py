"""Round trips of `websockets` without MCP: the cost of the network and the endpoint, in the process of the host."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect


class RawWebSocket:
    """A connection, opened by entering."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._connection: ClientConnection

    def __enter__(self) -> Self:
        opening = connect(self._url, compression=None, proxy=None, max_size=None)
        self._connection = self._loop.run_until_complete(_entered(opening))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()

    def time_calls(self, count: int) -> list[float]:
        """Return the seconds of each round trip, one at a time."""
        return self._loop.run_until_complete(self._time_calls(count))

    def burst(self, count: int, in_flight: int) -> float:
        """Return the seconds for `count` round trips with so many in flight."""
        return self._loop.run_until_complete(self._burst(count, in_flight))

    def time_answer(self, arguments: Mapping[str, Any]) -> float:
        """Return the seconds until the answer has arrived and, if it is JSON, was parsed."""
        return self._loop.run_until_complete(self._time_answer(arguments))

    def time_items(self, count: int) -> float:
        """Return the seconds until `count` items and the end of their stream have arrived."""
        return self._loop.run_until_complete(self._time_items(count))

    async def _time_calls(self, count: int) -> list[float]:
        seconds = []
        for number in range(count):
            begin = time.perf_counter()
            await self._connection.send(_request(number))
            json.loads(await self._connection.recv())
            seconds.append(time.perf_counter() - begin)
        return seconds

    async def _burst(self, count: int, in_flight: int) -> float:
        begin = time.perf_counter()
        for number in range(min(in_flight, count)):
            await self._connection.send(_request(number))
        for number in range(in_flight, count + in_flight):
            json.loads(await self._connection.recv())
            if number < count:
                await self._connection.send(_request(number))
        return time.perf_counter() - begin

    async def _time_answer(self, arguments: Mapping[str, Any]) -> float:
        begin = time.perf_counter()
        await self._connection.send(json.dumps(arguments))
        answer = await self._connection.recv()
        if isinstance(answer, str):
            json.loads(answer)
        return time.perf_counter() - begin

    async def _time_items(self, count: int) -> float:
        begin = time.perf_counter()
        await self._connection.send(json.dumps({"items": count}))
        for _ in range(count + 1):
            json.loads(await self._connection.recv())
        return time.perf_counter() - begin


async def _entered(opening: connect) -> ClientConnection:
    return await opening


def _request(number: int) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": "t0", "params": {"n": number}})
