"""Ask one endpoint for its manual, in the background, until it answers; and again whenever it comes back."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

import anyio

from ..core.backoff import delay, spread
from ..core.exchange.result import take_result
from ..core.expressions.scope import Ambient
from ..core.tools.catalog import discovery_plan
from ..core.tools.tool import Plan
from ..errors import (
    BridgeError,
    CallTimeout,
    Defect,
    HandshakeRejected,
    ManifestError,
    NoManual,
    PolicyError,
    TokenRejected,
)
from ..manifest.loader import Entry
from ..observability import events
from ..observability.events import Observer
from .call import Call
from .pool.entry import shutting_down
from .pool.manager import Pool

logger = logging.getLogger(__name__)

PATIENCE: Final = 10.0
"""Seconds that an endpoint has for its manual; a call template's own `timeout` counts where it is shorter."""

MARGIN: Final = 0.1
"""Seconds that somebody waits longer than an endpoint has for its manual, to hear why there is none."""

BREATH: Final = 0.002
"""Seconds before the first question, so that a host's first request, which often waits already, is answered first."""

UNHEALED: Final = 300.0
"""Seconds until an endpoint is asked again that refuses these credentials, or may not be asked."""

PAUSE: Final = 1.0
"""Seconds between the loss of a connection and the question whether the manual has changed; half more or less, so that
many do not ask at once."""


class Discovery:
    """The discovery of one entry. `found` gets each manual that was fetched, and returns how many tools it brings."""

    def __init__(
        self, entry: Entry, pool: Pool, ambient: Ambient, found: Callable[[Entry, Any], int], observe: Observer
    ) -> None:
        self.entry = entry
        self.attempted = self._under_way = anyio.Event()
        self.error: BridgeError | None = None
        self._pool = pool
        self._ambient = ambient
        self._found = found
        self._observe = observe
        self._lost = anyio.Event()
        self._wanted = anyio.Event()
        self._scope = anyio.CancelScope()

    @cached_property
    def _plan(self) -> Plan:
        return discovery_plan(self.entry)

    @cached_property
    def _limit(self) -> float:
        return min(PATIENCE, self._plan.template.timeout)

    async def ask_again(self) -> None:
        """Somebody needs the tools of an endpoint that has failed: it is asked anew, and its answer waited for."""
        if self.error is not None and not self._scope.cancel_called:
            if self.attempted is self._under_way:
                self.attempted = anyio.Event()  # what is under way was asked before, and may be about to fail
            self._wanted.set()
        with anyio.move_on_after(self._limit + MARGIN):
            await self.attempted.wait()

    def connection_lost(self) -> None:
        """The endpoint went away: its manual may be another one when it is back."""
        self._lost.set()

    async def run(self) -> None:
        """Ask until `stop`: after a failure with growing delays, after a success when the endpoint was away."""
        with self._scope:
            await anyio.sleep(BREATH)
            await self._keep_asking()

    def stop(self, *, gone: bool) -> None:
        """The entry is gone, or the bridge is shutting down: whoever waits is told, and nobody waits from now on."""
        self._scope.cancel()
        self.error = None if gone else shutting_down(self.entry.name)
        self._under_way.set()
        self.attempted.set()

    async def _keep_asking(self) -> None:
        failures = 0
        while True:
            self._lost = anyio.Event()
            self._under_way = self.attempted
            failures = 0 if await self._attempt(failures) else failures + 1
            self._under_way.set()
            if self.error is not None:
                with anyio.move_on_after(self._pause(failures)):
                    await self._wanted.wait()
            else:
                self.attempted.set()
                await self._lost.wait()
                await anyio.sleep(spread(PAUSE, random.random))
            self._wanted = anyio.Event()  # whoever wanted an attempt has had it

    def _pause(self, failures: int) -> float:
        """Seconds until the next attempt after so many failures in a row."""
        return UNHEALED if _is_unhealing(self.error) else delay(max(failures, 1), random.random)

    async def _attempt(self, failures: int) -> bool:
        try:
            manual = await self._fetch()
        except BridgeError as failed:
            if self._scope.cancel_called:
                return False
            told, self.error = str(self.error), failed
            if str(failed) != told:
                self._observe(events.Failed(self.entry.name, str(failed), self._pause(failures + 1)))
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
        try:
            with anyio.fail_after(self._limit):
                async with Call(self._pool.access(self.entry.name), self._ambient, self._plan, {}) as call:
                    message = await call.receive()
                    assert message is not None
                    return take_result(self._plan, call.exchange, message)
        except (TimeoutError, CallTimeout):
            raise NoManual(self.entry.name, self._limit) from None


def _is_unhealing(error: BridgeError | None) -> bool:
    """Whether the same question will fail again: it may not be asked, or its answer cannot be helped."""
    if isinstance(error, HandshakeRejected):
        return error.status in (401, 403)
    return isinstance(error, Defect | ManifestError | PolicyError | TokenRejected)
