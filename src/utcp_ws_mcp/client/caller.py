"""Calling a tool until its deadline: attempts of idempotent requests, items of streams."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import anyio

from ..core.backoff import UNHEALING, delay
from ..core.exchange.result import collected, take_result
from ..core.expressions.scope import Ambient
from ..core.tools.tool import Plan
from ..errors import BridgeError, ConnectionLost, NetError, Outcome, ToolFault
from ..observability import events
from ..observability.events import Observer
from .call import Call
from .pool.manager import Access, Pool

RESENDS: Final = 10
"""How often a request of an idempotent tool is sent again, within the call's deadline."""

SENT: Final = {"sent": True}
"""The result of a tool whose endpoint answers nothing."""

OnItem = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Streamed:
    """A stream's result: `value` as `collect` says, `items` in order, `end` is what ended it."""

    value: Any
    items: tuple[Any, ...]
    end: str | None


class Caller:
    """Calls tools over the connections of a pool."""

    def __init__(self, pool: Pool, ambient: Ambient, observe: Observer) -> None:
        self._pool = pool
        self._ambient = ambient
        self._observe = observe

    async def call(self, plan: Plan, arguments: dict[str, Any], on_item: OnItem | None, since: float) -> Any:
        """The result of a tool; `on_item` gets each item of a stream. The call began at `since` (the clock of anyio).

        Raises:
            BridgeError: what failed; of a request that was sent again, what is known of all its attempts.
        """
        access = self._pool.access(plan.manual)
        deadline = since + plan.template.timeout
        loss: ConnectionLost | None = None
        repeats = 0
        while True:
            try:
                return await self._attempt(access, plan, arguments, deadline, on_item)
            except BridgeError as failed:
                pause = delay(repeats, random.random) if repeats else 0.0
                in_time = anyio.current_time() + pause < deadline
                if not (plan.idempotent and in_time and _may_repeat(failed, repeats, plan.rules.unasked)):
                    if loss is not None and failed.outcome is Outcome.NOT_SENT:
                        raise loss from failed  # this time it was not sent, but before it was
                    raise
                loss = failed if isinstance(failed, ConnectionLost) else loss
                repeats += 1
            await anyio.sleep(pause)

    async def _attempt(
        self, access: Access, plan: Plan, arguments: dict[str, Any], deadline: float, on_item: OnItem | None
    ) -> Any:
        started = time.monotonic()
        async with Call(access, self._ambient, plan, arguments, deadline) as call:
            self._observe(events.Requested(plan.full_name, call.address, time.monotonic() - started))
            if plan.rules.none:
                return dict(SENT)
            if plan.rules.stream is not None:
                return await self._collect(call, on_item)
            message = await call.receive()
            assert message is not None
            return take_result(plan, call.exchange, message)

    async def _collect(self, call: Call, on_item: OnItem | None) -> Streamed:
        plan, items = call.plan, []
        try:
            while (message := await call.receive()) is not None:
                items.append(take_result(plan, call.exchange, message))
                if on_item is not None:
                    await on_item(items[-1])
        except ConnectionLost as lost:
            raise ConnectionLost(lost.address, lost.close, lost.outcome, items, lost.code) from lost
        except ToolFault as fault:
            raise ToolFault(fault.tool, str(fault), fault.fault, items) from fault
        end = call.exchange.end
        return Streamed(collected(plan, items, end), tuple(items), end)


def _may_repeat(failed: BridgeError, repeats: int, unasked: bool) -> bool:
    """Whether an idempotent request, or a watch, may be tried again: it was lost, or then got no connection."""
    if isinstance(failed, ConnectionLost):
        sent = unasked or failed.outcome is Outcome.PERHAPS_EXECUTED
        return sent and repeats < RESENDS and not failed.collected and failed.code not in UNHEALING
    return isinstance(failed, NetError) and 0 < repeats < RESENDS
