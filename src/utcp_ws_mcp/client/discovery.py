"""Ask one endpoint for its manual, in the background, until it answers; and again whenever it comes back."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

import anyio

from ..core.backoff import backoff_delay, with_jitter
from ..core.exchange.result import extract_result
from ..core.expressions.scope import Ambient
from ..core.tools.catalog import compile_discovery
from ..core.tools.tool import CompiledTool
from ..errors import (
    BridgeError,
    CallTimeout,
    DiscoveryTimeout,
    HandshakeRejected,
    InternalError,
    ManifestError,
    PolicyError,
    TokenRequestError,
)
from ..manifest.loader import ManifestEntry
from ..observability import events
from ..observability.events import Observer
from .call import Call
from .pool.entry import shutdown_error
from .pool.manager import PoolManager

logger = logging.getLogger(__name__)

DISCOVERY_TIMEOUT: Final = 10.0
"""Seconds that an endpoint has for its manual; a call template's own `timeout` counts where it is shorter."""

TIMEOUT_SLACK: Final = 0.1
"""Seconds that somebody waits longer than an endpoint has for its manual, to hear why there is none."""

STARTUP_DELAY: Final = 0.002
"""Seconds before the first question, so that a host's first request, which often waits already, is answered first."""

FATAL_RETRY_INTERVAL: Final = 300.0
"""Seconds until an endpoint is asked again that refuses these credentials, or may not be asked."""

REDISCOVERY_DELAY: Final = 1.0
"""Seconds between the loss of a connection and the question whether the manual has changed; half more or less, so that
many do not ask at once."""


class DiscoveryTask:
    """The discovery of one entry. `found` gets each manual that was fetched, and returns how many tools it brings."""

    def __init__(
        self,
        entry: ManifestEntry,
        pool_manager: PoolManager,
        ambient: Ambient,
        on_manual: Callable[[ManifestEntry, Any], int],
        observe: Observer,
    ) -> None:
        self.entry = entry
        self.attempt_done = self._current_attempt = anyio.Event()
        self.error: BridgeError | None = None
        self._pool_manager = pool_manager
        self._ambient = ambient
        self._on_manual = on_manual
        self._observe = observe
        self._endpoint_lost = anyio.Event()
        self._refresh_requested = anyio.Event()
        self._cancel_scope = anyio.CancelScope()

    @cached_property
    def _tool(self) -> CompiledTool:
        return compile_discovery(self.entry)

    @cached_property
    def _timeout(self) -> float:
        return min(DISCOVERY_TIMEOUT, self._tool.template.timeout)

    async def refresh(self) -> None:
        """Somebody needs the tools of an endpoint that has failed: it is asked anew, and its answer waited for."""
        if self.error is not None and not self._cancel_scope.cancel_called:
            if self.attempt_done is self._current_attempt:
                self.attempt_done = anyio.Event()  # what is under way was asked before, and may be about to fail
            self._refresh_requested.set()
        with anyio.move_on_after(self._timeout + TIMEOUT_SLACK):
            await self.attempt_done.wait()

    def connection_lost(self) -> None:
        """The endpoint went away: its manual may be another one when it is back."""
        self._endpoint_lost.set()

    async def run(self) -> None:
        """Ask until `stop`: after a failure with growing delays, after a success when the endpoint was away."""
        with self._cancel_scope:
            await anyio.sleep(STARTUP_DELAY)
            await self._run_attempts()

    def stop(self, *, removed: bool) -> None:
        """The entry is gone, or the bridge is shutting down: whoever waits is told, and nobody waits from now on."""
        self._cancel_scope.cancel()
        self.error = None if removed else shutdown_error(self.entry.name)
        self._current_attempt.set()
        self.attempt_done.set()

    async def _run_attempts(self) -> None:
        failures = 0
        while True:
            self._endpoint_lost = anyio.Event()
            self._current_attempt = self.attempt_done
            failures = 0 if await self._attempt(failures) else failures + 1
            self._current_attempt.set()
            if self.error is not None:
                with anyio.move_on_after(self._retry_delay(failures)):
                    await self._refresh_requested.wait()
            else:
                self.attempt_done.set()
                await self._endpoint_lost.wait()
                await anyio.sleep(with_jitter(REDISCOVERY_DELAY, random.random))
            self._refresh_requested = anyio.Event()  # whoever wanted an attempt has had it

    def _retry_delay(self, failures: int) -> float:
        """Seconds until the next attempt after so many failures in a row."""
        return FATAL_RETRY_INTERVAL if _is_fatal(self.error) else backoff_delay(max(failures, 1), random.random)

    async def _attempt(self, failures: int) -> bool:
        try:
            manual = await self._fetch()
        except BridgeError as failed:
            if self._cancel_scope.cancel_called:
                return False
            told, self.error = str(self.error), failed
            if str(failed) != told:
                self._observe(events.DiscoveryFailed(self.entry.name, str(failed), self._retry_delay(failures + 1)))
            return False
        try:
            tools = self._on_manual(self.entry, manual)
        except Exception as failed:  # whatever a manual holds, it harms nobody else
            logger.exception("a defect of utcp-ws-mcp in the manual of %s", self.entry.name)
            self.error = InternalError(self.entry.name, failed)
            return True
        self.error = None
        self._observe(events.DiscoverySucceeded(self.entry.name, tools))
        return True

    async def _fetch(self) -> Any:
        try:
            with anyio.fail_after(self._timeout):
                async with Call(self._pool_manager.handle(self.entry.name), self._ambient, self._tool, {}) as call:
                    message = await call.receive()
                    assert message is not None
                    return extract_result(self._tool, call.exchange, message)
        except (TimeoutError, CallTimeout):
            raise DiscoveryTimeout(self.entry.name, self._timeout) from None


def _is_fatal(error: BridgeError | None) -> bool:
    """Whether the same question will fail again: it may not be asked, or its answer cannot be helped."""
    if isinstance(error, HandshakeRejected):
        return error.status in (401, 403)
    return isinstance(error, InternalError | ManifestError | PolicyError | TokenRequestError)
