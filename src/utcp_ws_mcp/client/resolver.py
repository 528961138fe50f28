"""Look up names in threads of their own.

`getaddrinfo` cannot be cancelled, and asyncio runs it in the thread pool that everything shares: a few names whose
server does not answer would keep each other endpoint, and the end of the process, waiting. Here each endpoint has its
own threads, few of them, and the process ends without them.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

from .dial import Resolver

MAX_LOOKUPS_PER_ENDPOINT: Final = 2
"""Names of one endpoint that are looked up at the same time; further ones wait."""

LookUp = Callable[[str, int], list[str]]


def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a host, in the order of the operating system; a link-local one with its scope id."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(_address(entry[4]) for entry in found))


def _address(sockaddr: tuple[Any, ...]) -> str:
    host = str(sockaddr[0])
    scope = sockaddr[3] if len(sockaddr) > 3 else 0
    return f"{host.partition('%')[0]}%{scope}" if scope else host


class EndpointResolver:
    """Look up the names of one endpoint. Calls that ask for the same name share one look-up."""

    def __init__(self, look_up: LookUp = look_up) -> None:
        self._look_up = look_up
        self._running: dict[tuple[str, int], asyncio.Future[list[str]]] = {}
        self._free = asyncio.Semaphore(MAX_LOOKUPS_PER_ENDPOINT)

    async def __call__(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host.

        Raises:
            OSError, UnicodeError: where the name has none.
        """
        key = host, port
        if key not in self._running:
            await self._free.acquire()
            if key in self._running:  # another call was faster
                self._free.release()
            else:
                self._start(key)
        # A call that is cancelled leaves the look-up to the others; its thread ends when the operating system says so.
        return await asyncio.shield(self._running[key])

    def _start(self, key: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[str]] = loop.create_future()
        self._running[key] = future

        def finish(addresses: list[str], error: Exception | None) -> None:
            del self._running[key]
            self._free.release()
            if error is None:
                future.set_result(addresses)
            else:
                future.set_exception(error)
                future.exception()  # the call that asked may have left: then nothing is wrong

        def run() -> None:
            addresses: list[str] = []
            error: Exception | None = None
            try:
                addresses = self._look_up(*key)
            except (OSError, UnicodeError) as failure:
                error = failure
            try:
                loop.call_soon_threadsafe(finish, addresses, error)
            except RuntimeError:  # the loop was closed meanwhile
                return

        threading.Thread(target=run, name=f"lookup-{key[0]}", daemon=True).start()


class SystemResolvers:
    """The resolvers of the operating system, one for each endpoint."""

    def __init__(self, look_up: LookUp = look_up) -> None:
        self._look_up = look_up
        self._by_endpoint: dict[str, EndpointResolver] = {}

    def __call__(self, endpoint: str) -> Resolver:
        """Return the resolver of an endpoint."""
        if endpoint not in self._by_endpoint:
            self._by_endpoint[endpoint] = EndpointResolver(self._look_up)
        return self._by_endpoint[endpoint]
