"""Calling a tool until its deadline: attempts of idempotent requests, items of streams."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import anyio

from ..core.backoff import FATAL_CLOSE_CODES, backoff_delay
from ..core.exchange.result import collect_stream, extract_result
from ..core.expressions.scope import Ambient
from ..core.tools.tool import CompiledTool
from ..errors import BridgeError, ConnectionLost, NetworkError, Outcome, ToolError
from ..observability import events
from ..observability.events import Observer
from .call import Call
from .pool.manager import PoolHandle, PoolManager

MAX_RETRIES: Final = 10
"""How often a request of an idempotent tool is sent again, within the call's deadline."""

SENT_RESULT: Final = {"sent": True}
"""The result of a tool whose endpoint answers nothing."""

ItemCallback = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class StreamResult:
    """A stream's result: `value` as `collect` says, `items` in order, `end` is what ended it."""

    value: Any
    items: tuple[Any, ...]
    end: str | None


class CallRunner:
    """Calls tools over the connections of a pool."""

    def __init__(self, pool_manager: PoolManager, ambient: Ambient, observe: Observer) -> None:
        self._pool_manager = pool_manager
        self._ambient = ambient
        self._observe = observe

    async def call(
        self, tool: CompiledTool, arguments: dict[str, Any], on_item: ItemCallback | None, started_at: float
    ) -> Any:
        """The result of a tool; `on_item` gets each item of a stream. The call began at `since` (the clock of anyio).

        Raises:
            BridgeError: what failed; of a request that was sent again, what is known of all its attempts.
        """
        access = self._pool_manager.handle(tool.manual)
        deadline = started_at + tool.template.timeout
        loss: ConnectionLost | None = None
        repeats = 0
        while True:
            try:
                return await self._attempt(access, tool, arguments, deadline, on_item)
            except BridgeError as failed:
                pause = backoff_delay(repeats, random.random) if repeats else 0.0
                in_time = anyio.current_time() + pause < deadline
                if not (tool.idempotent and in_time and _is_retryable(failed, repeats, tool.rules.listen_only)):
                    if loss is not None and failed.outcome is Outcome.NOT_SENT:
                        raise loss from failed  # this time it was not sent, but before it was
                    raise
                loss = failed if isinstance(failed, ConnectionLost) else loss
                repeats += 1
            await anyio.sleep(pause)

    async def _attempt(
        self,
        pool_handle: PoolHandle,
        tool: CompiledTool,
        arguments: dict[str, Any],
        deadline: float,
        on_item: ItemCallback | None,
    ) -> Any:
        started = time.monotonic()
        async with Call(pool_handle, self._ambient, tool, arguments, deadline) as call:
            self._observe(events.RequestSent(tool.full_name, call.address, time.monotonic() - started))
            if tool.rules.no_reply:
                return dict(SENT_RESULT)
            if tool.rules.stream is not None:
                return await self._collect(call, on_item)
            message = await call.receive()
            assert message is not None
            return extract_result(tool, call.exchange, message)

    async def _collect(self, call: Call, on_item: ItemCallback | None) -> StreamResult:
        plan, items = call.tool, []
        try:
            while (message := await call.receive()) is not None:
                items.append(extract_result(plan, call.exchange, message))
                if on_item is not None:
                    await on_item(items[-1])
        except ConnectionLost as lost:
            raise ConnectionLost(lost.address, lost.close_reason, lost.outcome, items, lost.code) from lost
        except ToolError as fault:
            raise ToolError(fault.tool, str(fault), fault.payload, items) from fault
        end = call.exchange.end
        return StreamResult(collect_stream(plan, items, end), tuple(items), end)


def _is_retryable(error: BridgeError, retries: int, listen_only: bool) -> bool:
    """Whether an idempotent request, or a watch, may be tried again: it was lost, or then got no connection."""
    if isinstance(error, ConnectionLost):
        sent = listen_only or error.outcome is Outcome.MAYBE_EXECUTED
        return sent and retries < MAX_RETRIES and not error.partial and error.code not in FATAL_CLOSE_CODES
    return isinstance(error, NetworkError) and 0 < retries < MAX_RETRIES
