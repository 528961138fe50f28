"""Discovery: fetch the manuals of endpoints in the background, until they come, and again after a reconnect."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from ..core.backoff import (
    EARLY_RETRY_INTERVAL,
    FATAL_RETRY_INTERVAL,
    MAX_BACKOFF,
    backoff_delay,
    is_final,
    refuses_credentials,
    with_jitter,
    with_pause,
)
from ..core.exchange.result import extract_result
from ..core.expressions.scope import Ambient
from ..core.tools.catalog import compile_discovery
from ..core.tools.mcp_names import may_belong
from ..core.tools.tool import CompiledTool
from ..errors import (
    BridgeError,
    CallTimeout,
    ConnectionLost,
    DiscoveryInterrupted,
    DiscoveryTimeout,
    InternalError,
    ManifestError,
    NetworkError,
    PolicyError,
    TokenRequestError,
)
from ..manifest.entries import ManifestEntry
from ..observability import events
from ..observability.events import Observer
from .pool.manager import PoolManager
from .pool.status import shutdown_error

logger = logging.getLogger(__name__)

DISCOVERY_TIMEOUT: Final = 10.0
"""Seconds in which an endpoint must send its manual; the call template's `timeout` applies if it is shorter."""

TIMEOUT_SLACK: Final = 0.1
"""Seconds that a waiting call waits longer than the attempt itself, so that it gets the error of the attempt."""

STARTUP_DELAY: Final = 0.002
"""Seconds before the first attempt. The first request of an MCP host is often waiting already: it is served first."""

REDISCOVERY_DELAY: Final = 1.0
"""Seconds between the loss of a connection and the next attempt, with jitter: many clients must not come at once."""

STABLE_AFTER: Final = 30.0
"""Seconds after which the loss of an endpoint says nothing about the manual that it has announced."""

FAST_DISCOVERY_MARGIN: Final = 0.02
"""Seconds that a list of tools waits at least for further manuals after one has arrived."""


class DiscoveryTask:
    """The discovery of one manifest entry.

    `on_start` may offer tools from an earlier run, and returns whether it did. `on_manual` gets each manual that was
    fetched, and returns the number of its tools. `error` is why the last attempt
    failed; None if it succeeded, and before the first one has ended.

    Attempts are numbered from 1. A call that needs the tools waits for the end of an attempt that started after it
    asked, because one that was under way may fail for a reason that no longer exists. So three numbers say everything:
    the attempt that was started last, the one that ended last, and the highest one that calls have asked for.
    """

    def __init__(
        self,
        entry: ManifestEntry,
        pool_manager: PoolManager,
        ambient: Ambient,
        on_start: Callable[[ManifestEntry], Awaitable[bool]],
        on_manual: Callable[[ManifestEntry, Any], Awaitable[int]],
        observe: Observer,
    ) -> None:
        self.entry = entry
        self.error: BridgeError | None = None
        self._pool_manager = pool_manager
        self._ambient = ambient
        self._on_start = on_start
        self._on_manual = on_manual
        self._has_remembered_tools = False
        self._observe = observe
        self._started = 0
        self._ended = 0
        self._requested = 1
        self._next_early_retry = 0.0
        self._endpoint_lost = False
        self._stopped = False
        self._changed = anyio.Event()
        self._cancel_scope = anyio.CancelScope()

    @cached_property
    def _tool(self) -> CompiledTool:
        return compile_discovery(self.entry)

    @cached_property
    def _timeout(self) -> float:
        return min(DISCOVERY_TIMEOUT, self._tool.template.timeout)

    @property
    def was_attempted(self) -> bool:
        """Return whether a first attempt has ended."""
        return self._ended > 0

    async def wait_attempted(self) -> None:
        """Wait until the attempts that were requested so far have ended; the first one is always requested."""
        await self._wait_for_attempt(self._requested)

    async def wait_offered(self) -> None:
        """Wait until tools of an earlier run are offered, or the first attempt has ended."""
        await self._wait_until(lambda: self._stopped or self._has_remembered_tools or self._ended > 0)

    async def refresh(self) -> None:
        """If the last attempt failed, start another one now; wait for its end, DISCOVERY_TIMEOUT at most."""
        if self.error is not None:
            self._request_attempt()
        with anyio.move_on_after(self._timeout + TIMEOUT_SLACK):
            await self.wait_attempted()

    def _note_opened(self, manual: str) -> None:
        """Note that a connection was opened, by a call or a feed: after an outage of its endpoint, ask it again now."""
        if manual != self.entry.name:
            return
        now = anyio.current_time()
        pauses = self._started == self._ended and self.error is not None and _is_outage(self.error)
        if pauses and now >= self._next_early_retry:
            self._next_early_retry = now + EARLY_RETRY_INTERVAL
            self._request_attempt()

    def connection_lost(self) -> None:
        """Fetch the manual again: the endpoint may have another one when it is back."""
        self._endpoint_lost = True
        self._notify()

    async def run(self) -> None:
        """Fetch the manual until `stop`: after a failure with growing delays, after a success when it was lost."""
        self._pool_manager.on_opened.append(self._note_opened)
        try:
            with self._cancel_scope:
                await anyio.sleep(STARTUP_DELAY)
                self._has_remembered_tools = await self._on_start(self.entry)
                self._notify()
                await self._run_attempts()
        finally:
            self._pool_manager.on_opened.remove(self._note_opened)

    def stop(self, *, removed: bool) -> None:
        """End the discovery, because the entry was removed or the bridge shuts down; nothing waits for it any more."""
        self._cancel_scope.cancel()
        self._stopped = True
        self.error = None if removed else shutdown_error(self.entry.name)
        self._notify()

    async def _run_attempts(self) -> None:
        failures = losses = 0
        while True:
            self._endpoint_lost = False
            self._started += 1
            succeeded = await self._attempt(failures)
            failures = 0 if succeeded else failures + 1
            self._ended = self._started
            self._notify()
            if self.error is not None:
                with anyio.move_on_after(self._retry_delay(self.error, failures)):
                    await self._wait_until(lambda: self._requested > self._ended)
            else:
                announced_at = anyio.current_time()
                await self._wait_until(lambda: self._endpoint_lost)
                # An endpoint that closes after each manual has it read again and again: it waits longer each time.
                losses = losses + 1 if anyio.current_time() - announced_at < STABLE_AFTER else 0
                delay = backoff_delay(losses, random.random) if losses > 1 else 0.0
                await anyio.sleep(max(delay, with_jitter(REDISCOVERY_DELAY, random.random)))

    def _retry_delay(self, error: BridgeError, failures: int) -> float:
        """Return the seconds until the next attempt after a number of failures in a row, of which this is the last."""
        if error.retry_after is not None:
            return with_pause(error.retry_after.seconds, random.random)
        if _is_fatal(error):
            return FATAL_RETRY_INTERVAL
        is_closed_for_good = is_final(error, self._tool.template.final_close_codes)
        return MAX_BACKOFF if is_closed_for_good else backoff_delay(failures, random.random)

    def _request_attempt(self) -> None:
        self._requested = self._started + 1
        self._notify()

    async def _wait_for_attempt(self, number: int) -> None:
        # A success answers requests for later attempts, too: their calls wanted the manual, and it is there.
        await self._wait_until(
            lambda: self._stopped or self._ended >= number or (self._ended > 0 and self.error is None)
        )

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    def _notify(self) -> None:
        # An event that is replaced, not a Condition: that needs its lock, and `stop` and others cannot wait for one.
        self._changed.set()
        self._changed = anyio.Event()

    async def _attempt(self, failures: int) -> bool:
        try:
            manual = await self._fetch()
        except BridgeError as error:
            if self._stopped:
                return False
            previous, self.error = str(self.error), error
            # An endpoint that stays away is reported once, not with every attempt.
            if str(error) != previous:
                delay, unreachable = self._retry_delay(error, failures + 1), isinstance(error, NetworkError)
                self._observe(events.DiscoveryFailed(self.entry.name, str(error), delay, unreachable))
            return False
        try:
            tool_count = await self._on_manual(self.entry, manual)
        except Exception as error:  # a manual comes from the network: a bug in reading one must not stop the others
            logger.exception("internal error while reading the manual of %s", self.entry.name)
            self.error = InternalError(self.entry.name, error)
            return True
        self.error = None
        self._observe(events.DiscoverySucceeded(self.entry.name, tool_count))
        return True

    async def _fetch(self) -> Any:
        from .call import Call  # not at the start of the program: `initialize` is answered first

        try:
            with anyio.fail_after(self._timeout):
                async with Call(self._pool_manager.pool(self.entry.name), self._ambient, self._tool, {}) as call:
                    message = await call.receive()
                    assert message is not None
                    return extract_result(self._tool, call.exchange, message)
        except (TimeoutError, CallTimeout):
            raise DiscoveryTimeout(self.entry.name, self._timeout) from None
        except ConnectionLost as lost:
            raise DiscoveryInterrupted(self.entry.name, lost.cause, lost.close_code) from lost


class DiscoveryManager:
    """The discoveries of a bridge, which run in `tasks`. `make_task` returns the task of a manifest entry."""

    def __init__(self, tasks: TaskGroup, make_task: Callable[[ManifestEntry], DiscoveryTask]) -> None:
        self._tasks = tasks
        self._make_task = make_task
        self._by_entry: dict[str, DiscoveryTask] = {}
        self._started_at = anyio.current_time()
        self._fast_deadline = math.inf
        self._are_attempted = False
        self._deadline_scopes: list[anyio.CancelScope] = []

    @property
    def errors(self) -> dict[str, BridgeError]:
        """The last error of each entry whose discovery has not succeeded since, by name."""
        all_errors = {name: task.error for name, task in self._by_entry.items()}
        return {name: error for name, error in all_errors.items() if error is not None}

    @property
    def pending(self) -> list[str]:
        """The names of the entries whose first attempt has not ended."""
        return [name for name, task in self._by_entry.items() if not task.was_attempted]

    def start(self, entry: ManifestEntry) -> None:
        """Start the discovery of an entry, if its manifest asks for one."""
        if entry.uses_discovery:
            task = self._by_entry[entry.name] = self._make_task(entry)
            self._tasks.start_soon(task.run)

    def remove(self, name: str) -> None:
        """Stop the discovery of an entry that was removed or has changed."""
        if task := self._by_entry.pop(name, None):
            task.stop(removed=True)

    def stop(self) -> None:
        """Stop all discoveries: the bridge is shutting down."""
        for task in self._by_entry.values():
            task.stop(removed=False)

    def connection_lost(self, name: str) -> None:
        """Announce that a connection of an entry was lost: its endpoint may come back with another manual."""
        if name in self._by_entry:
            self._by_entry[name].connection_lost()

    def on_client_imported(self) -> None:
        """Measure from now how long manuals take: importing the client has held up the first one, and no other."""
        self._started_at = anyio.current_time()

    def on_manual(self) -> None:
        """Announce that a manual has arrived."""
        now = anyio.current_time()
        self._fast_deadline = now + max(FAST_DISCOVERY_MARGIN, now - self._started_at)
        for scope in self._deadline_scopes:
            scope.deadline = min(scope.deadline, self._fast_deadline)

    async def find_tool(self, tool_name: str, is_known: Callable[[], Any]) -> None:
        """Refresh the discoveries that may bring a tool of a name, until `is_known()`.

        Raises:
            BridgeError: why a manual that may have the tool could not be fetched.
        """
        for name, task in list(self._by_entry.items()):
            if may_belong(tool_name, name):
                await task.refresh()
                if not is_known() and task.error is not None:
                    raise task.error

    async def wait_discovered(self, name: str) -> None:
        """Wait for the first attempt of an entry; return at once if it has no discovery.

        Raises:
            BridgeError: why it failed.
        """
        if task := self._by_entry.get(name):
            await task.wait_attempted()
            if task.error is not None:
                raise task.error

    @property
    def all_were_attempted(self) -> bool:
        """Return whether the first attempts of all entries have ended.

        It stays true when a manifest is changed: a load balancer would take all replicas out of service at once.
        """
        self._are_attempted |= all(task.was_attempted for task in self._by_entry.values())
        return self._are_attempted

    async def wait_all(self, seconds: float) -> bool:
        """Wait for the first attempts of all entries, up to a number of seconds; return whether all have ended."""
        with anyio.move_on_after(seconds):
            for task in list(self._by_entry.values()):
                await task.wait_attempted()
            return True
        return False

    async def wait_for_fast(self, seconds: float) -> None:
        """Wait for the first tools of all entries, or of those that are about as fast as the first one.

        The wait ends after `seconds`, or when twice the time that the first manual took has passed. A fixed wait
        would either hold up the first list of tools for an endpoint that is down (the target is 1.15 times the start
        without one), or, on a slow machine, miss endpoints that all answer at the same time.
        """
        with anyio.CancelScope(deadline=min(anyio.current_time() + seconds, self._fast_deadline)) as scope:
            self._deadline_scopes.append(scope)
            try:
                for task in list(self._by_entry.values()):
                    await task.wait_offered()
            finally:
                self._deadline_scopes.remove(scope)


def _is_fatal(error: BridgeError) -> bool:
    """Whether every further attempt will fail in the same way until the user changes something."""
    kinds = InternalError | ManifestError | PolicyError | TokenRequestError
    return isinstance(error, kinds) or refuses_credentials(error)


def _is_outage(error: BridgeError) -> bool:
    """Whether the endpoint was away, and has not said when to come back."""
    return isinstance(error, NetworkError) and error.retry_after is None and not _is_fatal(error)
