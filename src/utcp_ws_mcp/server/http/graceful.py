"""uvicorn, stopped by signals as the servers of this program need it: `serve --http` and the studio."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from sse_starlette.sse import AppStatus


class GracefulServer(uvicorn.Server):
    """uvicorn, which a signal stops gracefully and a second one at once.

    uvicorn itself raises the signals again when it has stopped, which would end the process before the bridge has
    closed its connections.
    """

    def __init__(self, config: uvicorn.Config, on_shutdown: Callable[[], None]) -> None:
        """Serve with a configuration; `on_shutdown` ends the responses that have no end of their own."""
        super().__init__(config)
        self._on_shutdown = on_shutdown
        # The SDK answers older clients with streams of sse-starlette, which would end all of them at a signal: those
        # in which a call is answered, too.
        AppStatus.enable_automatic_graceful_drain = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM while the server runs."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop gracefully; the second time at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: Any = None) -> None:
        """Stop."""
        self._on_shutdown()
        await super().shutdown(sockets)
