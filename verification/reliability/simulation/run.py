"""Simulate one seed: a bridge, its calls and faults, then a phase without faults, and the final checks."""

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
from utcp_ws_mcp.client import caller, connection, http_steps, oauth, turn
from utcp_ws_mcp.client.discovery import DISCOVERY_TIMEOUT as DISCOVERY
from utcp_ws_mcp.client.eager import EagerTask
from utcp_ws_mcp.client.feeds import keeper
from utcp_ws_mcp.client.http_client import HttpResponse
from utcp_ws_mcp.client.pin_store import PinStore
from utcp_ws_mcp.core.feeds import feed
from utcp_ws_mcp.errors import CallTimeout
from utcp_ws_mcp.observability import events

from . import checks
from .endpoint import Endpoint
from .http_server import HttpServer
from .ledger import CallResult, Ledger
from .loop import Stuck, VirtualLoop
from .manifests import NAME, framer_of
from .network import Network
from .scenario import FAULTS_END_AT, PlannedCall, Scenario, scenario

CALL_TIMEOUT: Final = 40.0
"""Virtual seconds within which every call must end, and within which the closed bridge must release everything."""

RECOVERY_TIME: Final = 8.0
"""Virtual seconds without faults after which every tool must work."""

PROBE: Final = 1000
"""The number of the first call after the recovery; these calls must succeed."""

EPOCH: Final = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a seed. `log` holds every event if it was requested."""

    seed: int
    violations: tuple[str, ...]
    digest: str
    calls: int
    log: tuple[str, ...] = ()


class NullPinStore(PinStore):
    """A pin store without a file; the simulated manifests do not pin."""

    def __init__(self) -> None:
        super().__init__(Path("pins.json"))


def simulate(seed: int, *, log: bool = False) -> Verdict:
    """Simulate a seed and return its violations."""
    chosen = scenario(seed)
    ledger = Ledger([] if log else None)
    loop = VirtualLoop()
    simulation = _Simulation(chosen, loop, ledger)
    with controlled(loop, seed, simulation.endpoint):
        try:
            loop.run_until_complete(simulation.play())
        except Stuck as stuck:
            ledger.violations.append(f"stuck: {stuck}")
        finally:
            end(loop, ledger)
    return Verdict(seed, tuple(ledger.violations), ledger.digest, len(chosen.calls), tuple(ledger.lines or ()))


class _Simulation:
    """The run of a scenario."""

    def __init__(self, chosen: Scenario, loop: VirtualLoop, ledger: Ledger) -> None:
        self.endpoint = Endpoint(loop, chosen.shape, chosen.fault_rates, ledger, chosen.seed)
        self._scenario = chosen
        self._loop = loop
        self._ledger = ledger
        self._violations = ledger.violations
        self._network = loop.network = Network(loop, self.endpoint, chosen.link_faults(loop.time), chosen.seed)
        if chosen.shape.uses_hostname and chosen.seed % 2:
            loop.network.addresses = ("127.0.0.1", "127.0.0.2")
        self._bridge: Bridge

    async def play(self) -> None:
        """Run the scenario from the first call to the end of the bridge."""
        loop, chosen = self._loop, self._scenario
        for at, seconds in chosen.restarts:
            loop.call_at(at, self._network.restart, seconds)
        loop.call_at(FAULTS_END_AT, lambda: self._network.stop_faults(detected=chosen.shape.silence_limit is not None))
        calls = [asyncio.create_task(self._call(planned)) for planned in chosen.calls]
        loaded, resolver = [chosen.shape.loaded], self._network.look_up
        async with Bridge(loaded, observe=self._observe, pin_store=NullPinStore(), resolver=resolver) as self._bridge:
            if chosen.changes_at is not None:
                loop.call_at(chosen.changes_at, self._change)
            if chosen.ends_at is None:
                await self._wait_for_calls(calls)
                await asyncio.sleep(max(0.0, FAULTS_END_AT - loop.now) + RECOVERY_TIME)
                self._violations += checks.check_silence(self._network, chosen.shape, loop.now)
                await self._probe()
                await self._check_at_rest()
            else:
                await asyncio.sleep(chosen.ends_at)
            self._ledger.log(loop.now, "the bridge ends")
        await self._wait_for_calls(calls)
        await asyncio.sleep(CALL_TIMEOUT)
        self._check()

    async def _check_at_rest(self) -> None:
        """Check that no call holds a resource; a running discovery may hold one until its timeout."""
        if list(checks.check_rest(self._bridge)):
            await asyncio.sleep(DISCOVERY)
        self._violations += checks.check_rest(self._bridge)

    def _change(self) -> None:
        if self._scenario.ends_at is None:
            self._ledger.log(self._loop.now, "the manifest changes")
            self._bridge.reload([self._scenario.shape.with_changed_header()])

    async def _wait_for_calls(self, tasks: list[asyncio.Task[None]]) -> None:
        _, pending = await asyncio.wait(tasks, timeout=CALL_TIMEOUT)
        if pending:
            self._violations.append(f"{len(pending)} calls do not end")
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=CALL_TIMEOUT)

    async def _call(self, planned: PlannedCall) -> None:
        await asyncio.sleep(planned.at)
        started = self._loop.now
        ended = CallResult(started, started)
        try:
            ended.value, ended.cancelled = await _within(planned, self._make_call(planned))
        except Exception as failed:  # the checks evaluate every error
            ended.error = failed
        ended.ended = self._loop.now
        self._ledger.ended[planned.n] = ended
        self._ledger.log(
            ended.ended, f"call {planned.n} {planned.tool}: {ended.value!r} {ended.error} {ended.cancelled}"
        )

    async def _make_call(self, planned: PlannedCall) -> Any:
        name, arguments = f"{NAME}.{planned.tool}", {"n": planned.n}
        if planned.style == "call":
            tool = self._bridge.tools.get(name)
            begins_at_once = tool is not None and tool.has_plain_reply and planned.n % 2
            return await (self._call_at_once if begins_at_once else self._bridge.call_tool)(name, arguments)
        if planned.style == "on_item":
            return await self._bridge.call_tool(name, arguments, lambda _: asyncio.sleep(0.1))
        items: list[Any] = []
        async with aclosing(self._bridge.call_tool_streaming(name, arguments)) as stream:
            async for item in stream:
                items.append(item)
                if len(items) == planned.max_items:
                    break
        return items if planned.tool not in ("ask", "look") else items[0]

    async def _call_at_once(self, name: str, arguments: dict[str, Any]) -> Any:
        """Call as servers do where a call needs no task: in a callback of the event loop."""
        ended, eager = self._loop.create_future(), EagerTask(self._loop)

        async def call() -> None:
            try:
                value = await self._bridge.call_tool(name, arguments)
            except Exception as failed:
                if not ended.cancelled():
                    ended.set_exception(failed)
            else:
                if not ended.cancelled():
                    ended.set_result(value)

        self._loop.call_soon(lambda: eager.start(call()))
        try:
            return await ended
        finally:
            eager.cancel()

    async def _probe(self) -> None:
        """Check that the tools work after the recovery."""
        for index, tool in enumerate(self._scenario.shape.tools[:3]):
            probe = PlannedCall(PROBE + index, tool, 0.0)
            await self._wait_for_calls([asyncio.create_task(self._call(probe))])
            ended = self._ledger.ended.get(probe.n)
            if ended is not None and _is_slow_stream(ended.error):
                self._check_call(probe, ended)
            elif ended is None or ended.error is not None:
                self._violations.append(f"after the recovery {tool} fails: {ended and ended.error}")
            else:
                self._check_call(probe, ended)

    def _check(self) -> None:
        shape, ledger = self._scenario.shape, self._ledger
        for planned in self._scenario.calls:
            if planned.n in ledger.ended:
                self._check_call(planned, ledger.ended[planned.n])
        spans = [(ended.started, ended.ended) for ended in ledger.ended.values()]
        self._violations += checks.check_rate(ledger.requests, shape)
        if self._scenario.changes_at is None:
            self._violations += checks.check_backoff(self._network, shape, spans)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            self._violations.append(f"{len(left)} tasks are left: {sorted(map(repr, left))}")
        if self._network.transports:
            self._violations.append(f"{len(self._network.transports)} connections are left open")

    def _check_call(self, planned: PlannedCall, ended: CallResult) -> None:
        for wrong in checks.check_call(planned, ended, self._scenario.shape, self._ledger, self._scenario.ends_at):
            self._violations.append(f"call {planned.n} of {planned.tool}: {wrong}")

    def _observe(self, event: events.Event) -> None:
        self._ledger.log(self._loop.now, repr(event))
        if isinstance(event, events.MessageSent):
            for message in framer_of(self._scenario.shape.framing).decode(event.message):
                self._note_sent(message.value)
            self._violations += checks.check_limits(self._bridge, self._network, self._scenario.shape)
        elif isinstance(event, events.ConnectionClosed):
            self._violations += checks.check_lost(self._bridge)

    def _note_sent(self, message: dict[str, Any]) -> None:
        if "do" in message:
            self._ledger.requests.append(self._loop.now)
        if "cancel" in message:
            self._ledger.cancels[message["cancel"]] = self._loop.now


def _is_slow_stream(error: BaseException | None) -> bool:
    """Whether a stream took longer than the timeout: the endpoint pauses between items also without faults."""
    return isinstance(error, CallTimeout) and error.code == "stream-timeout"


async def _within(planned: PlannedCall, call: Coroutine[Any, Any, Any]) -> tuple[Any, bool]:
    """Return the value of a call and whether it was cancelled, alternately by asyncio and by anyio."""
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
def controlled(loop: VirtualLoop, seed: int, endpoint: Endpoint | None = None) -> Iterator[None]:
    """Replace the clocks, the randomness, the token endpoint and the HTTP server of the bridge until the block ends.

    Without `endpoint`, nothing may send HTTP requests.
    """
    rng = random.Random(seed)

    async def answer_token(*_: Any) -> HttpResponse:
        assert endpoint is not None
        await asyncio.sleep(0.05)
        return HttpResponse(200, json.dumps({"access_token": endpoint.new_token(), "expires_in": 3600}).encode())

    send_request = answer_token if endpoint is None else HttpServer(endpoint).send_request
    clock = SimpleNamespace(monotonic=loop.time)
    calendar = SimpleNamespace(now=lambda _: EPOCH + timedelta(seconds=loop.now))
    before = random.getstate()
    random.seed(seed)
    collects = gc.isenabled()
    gc.disable()  # finalizers at random times would change the order of events
    try:
        with (
            patch.object(bridge_module, "time", clock),
            patch.object(caller, "time", clock),
            patch.object(bridge_module, "datetime", calendar),
            patch.object(keeper, "datetime", calendar),
            patch.object(bridge_module, "os", SimpleNamespace(urandom=rng.randbytes)),
            patch.object(oauth, "send_request", answer_token),
            patch.object(http_steps, "send_request", send_request),
            _short_turns(),
        ):
            yield
    finally:
        random.setstate(before)
        if collects:
            gc.enable()


@contextmanager
def _short_turns() -> Iterator[None]:
    """Let everything else have its turn after each message, and within short lists, until the block ends."""
    with (
        patch.object(turn, "TURN_SECONDS", 0.0),
        patch.object(connection, "MESSAGES_BETWEEN_CHECKS", 1),
        patch.object(feed, "ELEMENTS_AT_ONCE", 2),
        patch.object(keeper, "EVENTS_IN_A_ROW", 3),
    ):
        yield


def end(loop: VirtualLoop, ledger: Ledger) -> None:
    """Close the loop; its unhandled errors are violations."""
    ledger.violations += [f"unhandled error: {error}" for error in loop.unhandled_errors]
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
