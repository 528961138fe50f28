"""One seed: a bridge, its calls, everything that goes wrong, then calm, and what is left."""

from __future__ import annotations

import asyncio
import gc
import json
import random
from collections.abc import Coroutine, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

import anyio

from utcp_ws_mcp import bridge as bridge_module
from utcp_ws_mcp.bridge import Bridge
from utcp_ws_mcp.client import caller, oauth
from utcp_ws_mcp.client.discovery import DISCOVERY_TIMEOUT as DISCOVERY
from utcp_ws_mcp.client.http_client import HttpResponse
from utcp_ws_mcp.client.pin_store import PinStore
from utcp_ws_mcp.observability import events

from . import checks
from .endpoint import Endpoint
from .ledger import CallResult, Ledger
from .loop import Stuck, VirtualLoop
from .manifests import NAME
from .network import Network
from .scenario import FAULTS_END_AT, PlannedCall, Scenario, scenario

CALL_TIMEOUT: Final = 40.0
"""Virtual seconds in which every call must have ended, and those after the bridge in which nothing may be left."""

RECOVERY_TIME: Final = 8.0
"""Virtual seconds of calm after which every tool works again."""

PROBE: Final = 1000
"""The number of the first call that is made after the calm; it must succeed."""

EPOCH: Final = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a seed gave. `log` holds every event if it was asked for."""

    seed: int
    violations: tuple[str, ...]
    digest: str
    calls: int
    log: tuple[str, ...] = ()


class NullPinStore(PinStore):
    """Pins that are kept nowhere: manifests here do not pin."""

    def __init__(self) -> None:
        super().__init__(Path("pins.json"))


def simulate(seed: int, *, log: bool = False) -> Verdict:
    """Play a seed."""
    plan = scenario(seed)
    ledger = Ledger([] if log else None)
    loop = VirtualLoop()
    simulation = _Simulation(plan, loop, ledger)
    with controlled(loop, seed, simulation.endpoint):
        try:
            loop.run_until_complete(simulation.play())
        except Stuck as stuck:
            ledger.violations.append(f"stuck: {stuck}")
        finally:
            end(loop, ledger)
    return Verdict(seed, tuple(ledger.violations), ledger.digest, len(plan.calls), tuple(ledger.lines or ()))


class _Simulation:
    """A scenario while it is played."""

    def __init__(self, plan: Scenario, loop: VirtualLoop, ledger: Ledger) -> None:
        self.endpoint = Endpoint(loop, plan.shape, plan.fault_rates, ledger, plan.seed)
        self._plan = plan
        self._loop = loop
        self._ledger = ledger
        self._found = ledger.violations
        self._network = loop.network = Network(loop, self.endpoint, plan.link_faults(loop.time), plan.seed)
        if plan.shape.uses_hostname and plan.seed % 2:
            loop.network.addresses = ("127.0.0.1", "127.0.0.2")
        self._bridge: Bridge

    async def play(self) -> None:
        """Everything, from the first call to the end of the bridge."""
        loop, plan = self._loop, self._plan
        for at, seconds in plan.restarts:
            loop.call_at(at, self._network.restart, seconds)
        loop.call_at(FAULTS_END_AT, lambda: self._network.stop_faults(found=plan.shape.silence_limit is not None))
        calls = [asyncio.create_task(self._call(planned)) for planned in plan.calls]
        async with Bridge([plan.shape.loaded], observe=self._observe, pin_store=NullPinStore()) as self._bridge:
            if plan.changes_at is not None:
                loop.call_at(plan.changes_at, self._change)
            if plan.ends_at is None:
                await self._wait_for_calls(calls)
                await asyncio.sleep(max(0.0, FAULTS_END_AT - loop.now) + RECOVERY_TIME)
                self._found += checks.check_silence(self._network, plan.shape, loop.now)
                await self._probe()
                await self._check_at_rest()
            else:
                await asyncio.sleep(plan.ends_at)
            self._ledger.log(loop.now, "the bridge ends")
        await self._wait_for_calls(calls)
        await asyncio.sleep(CALL_TIMEOUT)
        self._check()

    async def _check_at_rest(self) -> None:
        """See that nothing is held; a discovery may hold what it needs, but not for long."""
        if list(checks.check_rest(self._bridge)):
            await asyncio.sleep(DISCOVERY)
        self._found += checks.check_rest(self._bridge)

    def _change(self) -> None:
        if self._plan.ends_at is None:
            self._ledger.log(self._loop.now, "the manifest changes")
            self._bridge.reload([self._plan.shape.with_changed_header()])

    async def _wait_for_calls(self, tasks: list[asyncio.Task[None]]) -> None:
        _, pending = await asyncio.wait(tasks, timeout=CALL_TIMEOUT)
        if pending:
            self._found.append(f"{len(pending)} calls do not end")
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=CALL_TIMEOUT)

    async def _call(self, planned: PlannedCall) -> None:
        await asyncio.sleep(planned.at)
        started = self._loop.now
        ended = CallResult(started, started)
        try:
            ended.value, ended.cancelled = await _within(planned, self._make_call(planned))
        except Exception as failed:  # the checks judge it
            ended.error = failed
        ended.ended = self._loop.now
        self._ledger.ended[planned.n] = ended
        self._ledger.log(
            ended.ended, f"call {planned.n} {planned.tool}: {ended.value!r} {ended.error} {ended.cancelled}"
        )

    async def _make_call(self, planned: PlannedCall) -> Any:
        name, arguments = f"{NAME}.{planned.tool}", {"n": planned.n}
        if planned.style == "call":
            return await self._bridge.call_tool(name, arguments)
        if planned.style == "on_item":
            return await self._bridge.call_tool(name, arguments, lambda _: asyncio.sleep(0.1))
        items: list[Any] = []
        async with aclosing(self._bridge.call_tool_streaming(name, arguments)) as stream:
            async for item in stream:
                items.append(item)
                if len(items) == planned.max_items:
                    break
        return items if planned.tool not in ("ask", "look") else items[0]

    async def _probe(self) -> None:
        """After the calm, the tools work."""
        for index, tool in enumerate(self._plan.shape.tools[:3]):
            probe = PlannedCall(PROBE + index, tool, 0.0)
            await self._wait_for_calls([asyncio.create_task(self._call(probe))])
            ended = self._ledger.ended.get(probe.n)
            if ended is None or ended.error is not None:
                self._found.append(f"after the calm {tool} fails: {ended and ended.error}")
            else:
                self._check_call(probe, ended)

    def _check(self) -> None:
        shape, ledger = self._plan.shape, self._ledger
        for planned in self._plan.calls:
            if planned.n in ledger.ended:
                self._check_call(planned, ledger.ended[planned.n])
        spans = [(ended.started, ended.ended) for ended in ledger.ended.values()]
        self._found += checks.check_rate(ledger.requests, shape)
        if self._plan.changes_at is None:
            self._found += checks.check_backoff(self._network, shape, spans)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            self._found.append(f"{len(left)} tasks are left: {sorted(map(repr, left))}")
        if self._network.transports:
            self._found.append(f"{len(self._network.transports)} connections are left open")

    def _check_call(self, planned: PlannedCall, ended: CallResult) -> None:
        for wrong in checks.check_call(planned, ended, self._plan.shape, self._ledger, self._plan.ends_at):
            self._found.append(f"call {planned.n} of {planned.tool}: {wrong}")

    def _observe(self, event: events.Event) -> None:
        self._ledger.log(self._loop.now, repr(event))
        if isinstance(event, events.MessageSent):
            self._note_sent(json.loads(event.message))
            self._found += checks.check_limits(self._bridge, self._network, self._plan.shape)
        elif isinstance(event, events.ConnectionClosed):
            self._found += checks.check_lost(self._bridge)

    def _note_sent(self, message: dict[str, Any]) -> None:
        if "do" in message:
            self._ledger.requests.append(self._loop.now)
        if "cancel" in message:
            self._ledger.cancels[message["cancel"]] = self._loop.now


async def _within(planned: PlannedCall, call: Coroutine[Any, Any, Any]) -> tuple[Any, bool]:
    """The value of a call, or that it was cancelled: every other one in asyncio's way, the others in anyio's."""
    if planned.cancel_after is None:
        return await call, False
    if planned.n % 2:
        with anyio.move_on_after(planned.cancel_after):
            return await call, False
        return None, True
    try:
        async with asyncio.timeout(planned.cancel_after) as limit:
            return await call, False
    except TimeoutError:
        if not limit.expired():
            raise
        return None, True


@contextmanager
def controlled(loop: VirtualLoop, seed: int, endpoint: Endpoint) -> Iterator[None]:
    """Give the bridge virtual clocks, randomness of the seed and a simulated token endpoint."""
    draw = random.Random(seed)

    async def answer_token(*_: Any) -> HttpResponse:
        await asyncio.sleep(0.05)
        return HttpResponse(200, json.dumps({"access_token": endpoint.new_token(), "expires_in": 3600}).encode())

    clock = SimpleNamespace(monotonic=loop.time)
    calendar = SimpleNamespace(now=lambda _: EPOCH + timedelta(seconds=loop.now))
    before = random.getstate()
    random.seed(seed)
    collects = gc.isenabled()
    gc.disable()
    try:
        with (
            patch.object(bridge_module, "time", clock),
            patch.object(caller, "time", clock),
            patch.object(bridge_module, "datetime", calendar),
            patch.object(bridge_module, "secrets", SimpleNamespace(token_bytes=draw.randbytes)),
            patch.object(oauth, "send_request", answer_token),
        ):
            yield
    finally:
        random.setstate(before)
        if collects:
            gc.enable()


def end(loop: VirtualLoop, ledger: Ledger) -> None:
    """Take the loop down; what it complained of is a violation."""
    ledger.violations += [f"the loop says: {complaint}" for complaint in loop.unhandled_errors]
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    try:
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=1))
        loop.run_until_complete(loop.shutdown_asyncgens())
    except Stuck:
        pass
    loop.close()
