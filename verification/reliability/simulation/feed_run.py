"""Simulate one seed of feeds: a bridge with a feed, its readers and faults, then recovery and the final checks."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import Any, Final

from utcp_ws_mcp.bridge import Bridge
from utcp_ws_mcp.client.feeds.reading import FeedItem
from utcp_ws_mcp.core.feeds.cursor import Cursor

from . import feed_checks
from .feed_checks import FinishedRead, Recorded, recording
from .feed_endpoint import FeedEndpoint
from .feed_scenario import FEED, LAST_EVENTS, FeedScenario, PlannedReader, feed_scenario
from .ledger import Ledger
from .loop import Stuck, VirtualLoop
from .manifests import NAME
from .network import Network
from .run import NullPinStore, Verdict, controlled, end
from .scenario import FAULTS_END_AT

RECOVERY_TIME: Final = 40.0
"""Virtual seconds without faults after which the feed must be open: the longest pause before an attempt is 30 s."""

OPENING_TIME: Final = 1.0
"""Virtual seconds in which a feed opens, and in which events arrive, without faults."""

SHUTDOWN_TIME: Final = 10.0
EVENTS: Final = f"{NAME}.{FEED}_events"
LATEST: Final = f"{NAME}.{FEED}_latest"


def simulate_feed(seed: int, *, log: bool = False) -> Verdict:
    """Simulate a seed and return its violations; its `calls` are the reads."""
    ledger, loop = Ledger([] if log else None), VirtualLoop()
    simulation = _FeedSimulation(feed_scenario(seed), loop, ledger)
    with controlled(loop, seed), recording(simulation.recorded, loop.time):
        try:
            loop.run_until_complete(simulation.play())
        except Stuck as stuck:
            ledger.violations.append(f"stuck: {stuck}")
        finally:
            end(loop, ledger)
    return Verdict(seed, tuple(ledger.violations), ledger.digest, simulation.reads, tuple(ledger.lines or ()))


class _FeedSimulation:
    """The run of a scenario."""

    def __init__(self, chosen: FeedScenario, loop: VirtualLoop, ledger: Ledger) -> None:
        self.recorded = Recorded()
        self.reads = 0
        self._scenario = chosen
        self._loop = loop
        self._ledger = ledger
        self._endpoint = FeedEndpoint(loop, chosen, ledger)
        self._network = loop.network = Network(loop, self._endpoint, chosen.link_faults(loop.time), chosen.seed)
        self._stopping = False
        self._bridge: Bridge

    async def play(self) -> None:
        """Run the scenario from the first read to the end of the bridge."""
        loop, chosen = self._loop, self._scenario
        for at in chosen.event_times:
            loop.call_at(at, self._endpoint.add_event)
        for at, seconds in chosen.restarts:
            loop.call_at(at, self._network.restart, seconds)
        loop.call_at(FAULTS_END_AT, lambda: self._network.stop_faults(detected=True))
        async with Bridge([chosen.shape.loaded], pin_store=NullPinStore()) as self._bridge:
            readers = [asyncio.create_task(self._follow(planned)) for planned in chosen.readers]
            await asyncio.sleep(FAULTS_END_AT)
            self._stopping = True
            await asyncio.gather(*readers)
            await asyncio.sleep(RECOVERY_TIME)
            await self._check_recovery([task.result() for task in readers])
        await asyncio.sleep(SHUTDOWN_TIME)
        self._violations(feed_checks.check_feed(self.recorded, self._endpoint.happened, chosen.shape))
        sent = [peer.sent for peer in self._endpoint.peers if peer.sent]
        self._violations(feed_checks.check_first_connection(self.recorded, sent))
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            self._ledger.violations.append(f"{len(left)} tasks are left: {sorted(map(repr, left))}")
        if self._network.transports:
            self._ledger.violations.append(f"{len(self._network.transports)} connections are left open")

    async def _check_recovery(self, cursors: list[Cursor | None]) -> None:
        """Let the last events happen while a follower keeps the feed open, and check that each reader gets them."""
        if waiting := sum(instance.live.readers for instance in self._bridge.feed_instances()):
            self._ledger.violations.append(f"{waiting} reads still wait")
        followed: list[int] = []
        following = asyncio.create_task(self._hold_open(followed))
        await asyncio.sleep(OPENING_TIME)
        live = self._bridge.feed_instances()[0].live
        if live.describe_state() != "open":
            self._ledger.violations.append(f"after the recovery, the feed is {live.describe_state()}")
        for _ in range(LAST_EVENTS):
            self._endpoint.add_event()
            await asyncio.sleep(0.01)
        await asyncio.sleep(OPENING_TIME)
        page = await self._bridge.call_tool(LATEST, {})
        last = len(self._endpoint.happened)
        self._violations(feed_checks.check_latest(page, last))
        if followed[-LAST_EVENTS:] != list(range(last - LAST_EVENTS + 1, last + 1)):
            self._ledger.violations.append(f"a follower got {followed[-LAST_EVENTS:]}, and {last} was the last event")
        for each in cursors:
            await self._drain(each)
        following.cancel()
        await asyncio.wait([following])

    async def _hold_open(self, followed: list[int]) -> None:
        """Follow the feed, which stays open, and note its events."""
        async with aclosing(self._bridge.feed(f"{NAME}.{FEED}")) as events:
            async for each in events:
                followed += [each.data] if isinstance(each, FeedItem) else []

    async def _drain(self, cursor: Cursor | None) -> None:
        """Read everything behind a cursor."""
        has_more = True
        while has_more:
            read = await self._read(cursor, 0.0, 3)
            cursor, has_more = read.cursor, read.page["has_more"]
        live = self._bridge.feed_instances()[0].live
        if str(cursor) != str(live.buffer.end):
            self._ledger.violations.append(f"a reader that has read everything is at {cursor}, not {live.buffer.end}")

    async def _follow(self, planned: PlannedReader) -> Cursor | None:
        """Read until the faults end; return the last cursor."""
        await asyncio.sleep(planned.at)
        cursor: Cursor | None = None
        count = 0
        while not self._stopping:
            count += 1
            seconds = planned.cancel_after if count % 3 == 0 else None
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    cursor = (await self._read(cursor, planned.wait_seconds, planned.max_events)).cursor
            await asyncio.sleep(planned.pause)
        return cursor

    async def _read(self, start: Cursor | None, wait_seconds: float, max_events: int) -> FinishedRead:
        self.reads += 1
        arguments: dict[str, Any] = {"wait_seconds": wait_seconds, "max_events": max_events}
        if start is not None:
            arguments["cursor"] = str(start)
        instances = self._bridge.feed_instances()
        was_open = bool(instances) and instances[0].live.describe_state() == "open"
        began = self._loop.now
        page = await self._bridge.call_tool(EVENTS, arguments)
        read = FinishedRead(start, page, began, self._loop.now, wait_seconds, was_open)
        self._ledger.log(read.ended, f"read {start}: {page}")
        shape = self._scenario.shape
        self._violations(feed_checks.check_read(read, self.recorded, shape))
        self._violations(feed_checks.check_bounds(self._bridge.feed_instances()[0].live, shape))
        return read

    def _violations(self, found: Any) -> None:
        self._ledger.violations += found
