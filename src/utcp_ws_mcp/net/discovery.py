"""Ask one endpoint for its manual, in the background, until it answers; and again whenever it comes back."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any, Final

import anyio

from .. import events
from ..errors import BridgeError, CallTimeout, Defect, NoManual
from ..events import Observer
from ..manifest.load import Entry
from ..wire.backoff import delay
from ..wire.catalog import discovery_plan
from ..wire.result import take_result
from ..wire.scope import Ambient
from .call import Call
from .pool import Pool

logger = logging.getLogger(__name__)

PATIENCE: Final = 10.0
"""Seconds that an endpoint has for its manual; a call template's own `timeout` counts where it is shorter."""

PAUSE: Final = 1.0
"""Seconds between the loss of a connection and the question whether the manual has changed."""


class Discovery:
    """The discovery of one entry. `found` gets each manual that was fetched, and returns how many tools it brings."""

    def __init__(
        self, entry: Entry, pool: Pool, ambient: Ambient, found: Callable[[Entry, Any], int], observe: Observer
    ) -> None:
        self.entry = entry
        self.attempted = anyio.Event()
        self.error: BridgeError | None = None
        self._plan = discovery_plan(entry)
        self._pool = pool
        self._ambient = ambient
        self._found = found
        self._observe = observe
        self._lost = anyio.Event()

    def connection_lost(self) -> None:
        """The endpoint went away: its manual may be another one when it is back."""
        self._lost.set()

    async def run(self) -> None:
        """Ask for ever: after a failure with growing delays, after a success when the endpoint was away."""
        failures = 0
        while True:
            self._lost = anyio.Event()
            failures = 0 if await self._attempt(failures) else failures + 1
            self.attempted.set()
            if failures:
                await anyio.sleep(delay(failures, random.random))
            else:
                await self._lost.wait()
                await anyio.sleep(PAUSE)

    async def _attempt(self, failures: int) -> bool:
        try:
            manual = await self._fetch()
        except BridgeError as failed:
            if str(failed) != str(self.error):
                self._observe(events.Failed(self.entry.name, str(failed), delay(failures + 1, lambda: 1.0)))
            self.error = failed
            return False
        try:
            tools = self._found(self.entry, manual)
        except Exception as failed:  # whatever a manual holds, it harms nobody else
            logger.exception("a defect of utcp-ws-mcp in the manual of %s", self.entry.name)
            self.error = Defect(self.entry.name, failed)
            return True
        self.error = None
        self._observe(events.Discovered(self.entry.name, tools))
        return True

    async def _fetch(self) -> Any:
        limit = min(PATIENCE, self._plan.template.timeout)
        try:
            with anyio.fail_after(limit):
                async with Call(self._pool, self._ambient, self._plan, {}) as call:
                    message = await call.receive()
                    assert message is not None
                    return take_result(self._plan, call.exchange, message)
        except (TimeoutError, CallTimeout):
            raise NoManual(self.entry.name, limit) from None
