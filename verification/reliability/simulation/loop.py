"""An event loop in virtual time: instead of sleeping, the time jumps to the next timer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from itertools import count
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .network import Network

MAX_STEPS: Final = 60_000
"""Steps of the loop after which a simulation counts as endless."""


class Stuck(Exception):
    """All tasks wait without a timer, or the simulation does not end."""


class _VirtualSelector:
    """Replaces the selector of the loop: it advances the time to the next timer."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._steps = 0

    def select(self, timeout: float | None) -> list[Any]:
        self._steps += 1
        if timeout is None:
            raise Stuck("all tasks wait, and no timer is set")
        if self._steps > MAX_STEPS:
            raise Stuck(f"no end after {MAX_STEPS} steps")
        if timeout > 0:
            self._loop.now += timeout
        return []


class _Task(asyncio.Task[Any]):
    """A task whose hash is the same in every run, because the order of sets of tasks depends on it."""

    def __init__(self, number: int, coro: Coroutine[Any, Any, Any], loop: VirtualLoop, **options: Any) -> None:
        self._number = number
        super().__init__(coro, loop=loop, **options)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop without sockets and clock. `now` is in seconds; `unhandled_errors` have no awaiting task."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.unhandled_errors: list[str] = []
        self.network: Network
        self._clock_resolution = 1e-9
        self._selector = _VirtualSelector(self)
        self._numbers = count(1)
        self.set_exception_handler(lambda _, context: self.unhandled_errors.append(_describe_error(context)))
        self.set_task_factory(self._make_task)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.now

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect a socket in the simulated network."""
        await self.network.connect(sock, address)

    # Only over a connected socket.
    async def create_connection(self, protocol_factory: Callable[[], Any], *_: Any, **options: Any) -> Any:
        """Return a transport for a socket that `sock_connect` has connected."""
        protocol = protocol_factory()
        transport = self.network.attach(options["sock"], protocol)
        protocol.connection_made(transport)
        await asyncio.sleep(0)
        return transport, protocol

    def _make_task(self, loop: Any, coro: Any, **options: Any) -> Any:
        return _Task(next(self._numbers), coro, loop, **options)

    def _process_events(self, event_list: list[Any]) -> None:
        """Do nothing: the selector returns no events."""

    def _write_to_self(self) -> None:
        """Do nothing: no other thread wakes this loop."""


def _describe_error(context: dict[str, Any]) -> str:
    failed = context.get("exception")
    return f"{context.get('message')}: {failed!r}" if failed else str(context.get("message"))
