"""Running a call until its deadline: retries of idempotent requests, and the items of streams."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

import anyio

from ..core.backoff import backoff_delay, is_final
from ..core.exchange.result import StreamResult, collect_stream, extract_result
from ..core.expressions.scope import Ambient
from ..core.tools.tool import CompiledTool
from ..errors import BridgeError, ConnectionLost, NetworkError, Outcome, SessionLost
from ..observability import events
from ..observability.events import Observer
from .call import Call
from .eager import ensure_task
from .pool.pool import ConnectionPool
from .wakeup import current_time

MAX_RETRIES: Final = 10
"""How often the request of an idempotent tool is sent again, within the call's deadline."""

SENT_RESULT: Final = {"sent": True}
"""The result of a tool without a reply."""

ItemCallback = Callable[[Any], Awaitable[None]]


class CallRunner:
    """Run calls over the connections of a pool.

    All attempts of a call use the pool of the manifest in which its tool was found: after a reload, a retry must not
    go to an endpoint that the tool never named.
    """

    def __init__(self, ambient: Ambient, observe: Observer) -> None:
        self._ambient = ambient
        self._observe = observe
        self._reports_requests = not events.ignores(observe, events.RequestSent)

    current_time = staticmethod(current_time)
    """Return the clock of deadlines."""

    async def call(
        self,
        pool: ConnectionPool,
        tool: CompiledTool,
        arguments: dict[str, Any],
        on_item: ItemCallback | None,
        started_at: float,
    ) -> Any:
        """Call a tool and return its result (JSON, text, bytes or StreamResult).

        `on_item` gets each item of a stream. `started_at` (the clock of anyio) is when the call began: waiting for
        its tool to be discovered counts in its timeout.

        Raises:
            BridgeError: the failure; after retries, its outcome covers all attempts.
        """
        deadline = started_at + tool.template.timeout
        lost_error: ConnectionLost | None = None
        retries = 0
        while True:
            try:
                return await self._attempt(pool, tool, arguments, deadline, on_item)
            except BridgeError as error:
                # The first retry does not wait: most connections end because a server restarts or an idle timeout
                # has passed.
                delay = backoff_delay(retries, random.random) if retries else 0.0
                in_time = anyio.current_time() + delay < deadline
                if not (tool.idempotent and in_time and _is_retryable(error, retries, tool)):
                    if lost_error is not None and error.outcome is Outcome.NOT_SENT:
                        # The last attempt was not sent, but an earlier one may have been executed.
                        if isinstance(error, SessionLost):
                            raise SessionLost(error.address, error.reason, lost_error.outcome) from lost_error
                        raise lost_error from error
                    raise
                lost_error = error if isinstance(error, ConnectionLost) else lost_error
                retries += 1
            await ensure_task()
            await anyio.sleep(delay)

    async def stream(
        self, pool: ConnectionPool, tool: CompiledTool, arguments: dict[str, Any], started_at: float
    ) -> AsyncGenerator[Any]:
        """Yield each item of a stream, or the one result of another tool, as it arrives. Nothing is sent again.

        Raises:
            BridgeError: the failure.
        """
        deadline = started_at + tool.template.timeout
        async with Call(pool, self._ambient, tool, arguments, deadline) as call:
            while not tool.rules.no_reply and (message := await call.receive()) is not None:
                yield extract_result(tool, call.exchange, message)
                if tool.rules.stream is None:
                    return

    async def _attempt(
        self,
        pool: ConnectionPool,
        tool: CompiledTool,
        arguments: dict[str, Any],
        deadline: float,
        on_item: ItemCallback | None,
    ) -> Any:
        started = time.monotonic() if self._reports_requests else 0.0
        async with Call(pool, self._ambient, tool, arguments, deadline) as call:
            if self._reports_requests:
                self._observe(events.RequestSent(tool.full_name, call.address, time.monotonic() - started))
            if tool.rules.no_reply:
                return dict(SENT_RESULT)
            if tool.rules.stream is not None:
                return await self._collect(call, on_item)
            message = await call.receive()
            assert message is not None
            return extract_result(tool, call.exchange, message)

    async def _collect(self, call: Call, on_item: ItemCallback | None) -> StreamResult:
        tool, items = call.tool, []
        try:
            while (message := await call.receive()) is not None:
                items.append(extract_result(tool, call.exchange, message))
                if on_item is not None:
                    await on_item(items[-1])
        # Errors carry the items that came before them: the caller may have no other way to get them again.
        except ConnectionLost as error:
            raise ConnectionLost(error.address, error.close_reason, error.outcome, items, error.close_code) from error
        except SessionLost as error:
            raise SessionLost(error.address, error.reason, error.outcome, items) from error
        except BridgeError as error:
            error.partial = tuple(items)
            raise
        end, complete = call.exchange.end, call.exchange.is_complete
        return StreamResult(collect_stream(tool, items, end, complete=complete), tuple(items), end, complete)


def _is_retryable(error: BridgeError, retries: int, tool: CompiledTool) -> bool:
    """Whether an idempotent request, or a call that only listens, may be tried again after an error.

    A lost connection starts the retries. An error of a first attempt that was not sent does not: the pool has its own
    attempts to connect, and the caller should learn at once that the endpoint is down.
    """
    if is_final(error, tool.template.final_close_codes):
        return False
    if isinstance(error, ConnectionLost):
        sent = tool.rules.listen_only or error.outcome is Outcome.MAYBE_EXECUTED
        # Items that were passed on cannot be taken back, so a stream that had any is not started again.
        return sent and retries < MAX_RETRIES and not error.partial
    if isinstance(error, SessionLost):
        return False  # the state that the request was made for is gone
    return isinstance(error, NetworkError) and 0 < retries < MAX_RETRIES
