"""Keep a feed open once for all replicas: one owns it, all follow it, and the next one takes over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

import anyio

from ...core.feeds.cursor import Cursor
from ...core.feeds.feed import CompiledFeed
from ...core.feeds.shared_entry import SharedEvent
from ...core.fleet_keys import connection_digest
from ...observability.events import Event
from ...observability.feed_events import FeedClosed, FeedInterrupted, FeedOwned
from ..feeds.keeper import FeedKeeper, Subscribe, make_positions
from ..feeds.live_feed import FeedState, LiveFeed
from ..wakeup import Wakeup
from .feed_follower import FeedFollower
from .feed_stream import LEASE_SECONDS, Claim, FeedStream, LeaseLost
from .feed_writer import FeedWriter
from .fleet import Fleet
from .store import STORE_TIMEOUT, StoreAway

RENEW_SECONDS: Final = LEASE_SECONDS / 3
RETRY_SECONDS: Final = 0.25
"""Seconds between two attempts to renew or claim while the store is away."""
NOT_KEPT: Final = "the replica that kept the feed open has ended, or was not reached"
GIVEN_UP: Final = "another replica keeps the feed open, or will"


class SharedKeeper:
    """Does for a feed of a fleet what `FeedKeeper` does for a feed of one process.

    Args:
        feed: The feed.
        live: The feed of this replica.
        subscribe: Makes a subscription.
        fleet: The fleet.

    Attributes:
        on_wanted: Called when another replica wants the feed: then it stays open here.
    """

    def __init__(self, feed: CompiledFeed, live: LiveFeed, subscribe: Subscribe, fleet: Fleet) -> None:
        definition = feed.definition
        self.on_wanted: Callable[[], None] = lambda: None
        self._feed = feed
        self._live = live
        self._subscribe = subscribe
        self._positions = make_positions(feed)
        self._keeper: FeedKeeper | None = None
        self._owning: anyio.CancelScope | None = None
        self._yields = False
        self._past: Counter[str] = Counter()
        digest = connection_digest(feed.handshake, definition.model_dump_json(), live.arguments)
        name = (feed.manual, digest, "feed", definition.name)
        keep = definition.max_age + definition.linger + 2 * LEASE_SECONDS
        self._stream = FeedStream(fleet, name, definition.size, keep)
        self._follower = FeedFollower(self._stream, live, self._note_event, self._note_released)
        self._released = Wakeup()
        self._epoch: str | None = None

    @property
    def reconnects(self) -> int:
        """Return how often the feed was opened again by this replica."""
        return self._past["reconnects"] + (self._keeper.reconnects if self._keeper is not None else 0)

    @property
    def duplicates(self) -> int:
        """Return how many repeated events this replica has dropped."""
        return self._past["duplicates"] + (self._keeper.duplicates if self._keeper is not None else 0)

    @property
    def invalid(self) -> int:
        """Return how many events this replica has left out because their data could not be computed."""
        return self._past["invalid"] + (self._keeper.invalid if self._keeper is not None else 0)

    def is_ahead(self, cursor: Cursor | None) -> bool:
        """Return whether a reader has seen more at another replica than has arrived here."""
        return self._follower.is_ahead(cursor)

    async def reach(self, cursor: Cursor | None) -> bool:
        """Wait until everything that a reader has seen has arrived here; return False if that takes too long."""
        return await self._follower.reach(cursor)

    def note_reachable(self) -> None:
        """Note that a connection to the endpoint was opened by this replica."""
        if self._keeper is not None:
            self._keeper.note_reachable()

    def interrupted(self, reason: str) -> None:
        """Note that the keeper has been cancelled, and will run again at once."""
        self._live.set_state(FeedState.OPENING, reason)

    def stopped(self, reason: str) -> None:
        """Note that the keeper has been cancelled."""
        self._live.observe(FeedClosed(self._live.name, self._live.arguments, reason))
        self._live.set_state(FeedState.CLOSED, reason)

    async def run(self) -> None:
        """Follow the feed, and own it whenever no other replica does, until the task is cancelled."""
        from .. import connector  # noqa: F401  # now: at a hand-over, its import would take longer than the rest

        self._follower.restart()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._follower.run)
            await self._compete()

    async def _compete(self) -> None:
        life, lost_at = "", 0.0
        while True:
            asked = anyio.current_time()
            try:
                claim = await self._stream.claim(life)
            except StoreAway:
                await anyio.sleep(RETRY_SECONDS)
                continue
            if claim.is_lost:
                # The last owner does not know it yet. Its connection ends with its lease at the latest, or it claims
                # the feed again before.
                lost_at = lost_at or asked
                if asked >= lost_at + LEASE_SECONDS:
                    life = ""
                await anyio.sleep(RETRY_SECONDS)
                continue
            life, lost_at = claim.epoch or "", 0.0
            if claim.epoch != self._epoch:
                if self._epoch is not None:
                    self._follower.restart()
                self._epoch = claim.epoch
            if claim.owned:
                await self._own(claim, asked)
                life = ""  # no connection of this replica is open, so that nothing has to be waited for
                if self._yields:  # to the replica that has the connection, if it follows the feed
                    self._yields = False
                    await anyio.sleep(RENEW_SECONDS)
            else:
                await self._released.wait(asked + RENEW_SECONDS)

    async def _own(self, claim: Claim, since: float) -> None:
        """Keep the feed open until the lease is lost, or the task is cancelled; `since` is when it was asked for."""
        await self._follower.catch_up(claim.number)
        live, definition = self._live, self._feed.definition
        writer = FeedWriter(
            live.name,
            live.arguments,
            self._stream,
            claim,
            definition.max_bytes,
            definition.size,
            live.now,
            self._observe,
            has_positions=self._feed.position is not None,
        )
        keeper = self._keeper = FeedKeeper(self._feed, writer, self._subscribe, self._positions)
        if claim.since is not None:
            keeper.take_over(claim.since, NOT_KEPT)
        live.observe(FeedOwned(live.name, live.arguments, taken_over=claim.since is not None))
        try:
            async with anyio.create_task_group() as tasks:
                self._owning = tasks.cancel_scope
                tasks.start_soon(keeper.run)
                tasks.start_soon(self._write, writer, tasks.cancel_scope)
                await self._renew(writer, since)
                tasks.cancel_scope.cancel()
        finally:
            self._past.update(reconnects=keeper.reconnects, duplicates=keeper.duplicates, invalid=keeper.invalid)
            self._keeper = None
            with anyio.CancelScope(shield=True):
                await self._give_up(writer)

    def _observe(self, event: Event) -> None:
        """Let another replica own the feed if that has the only connection of the account."""
        self._live.observe(event)
        if isinstance(event, FeedInterrupted) and event.error_code == "account-held-elsewhere":
            self._yields = True
            if self._owning is not None:
                self._owning.cancel()

    async def _write(self, writer: FeedWriter, scope: anyio.CancelScope) -> None:
        try:
            await writer.run()
        except LeaseLost:
            scope.cancel()

    async def _renew(self, writer: FeedWriter, since: float) -> None:
        """Renew the lease until it is lost. Without the store, it is lost when its time has passed."""
        held_until = since + LEASE_SECONDS
        pause = RENEW_SECONDS
        while True:
            await anyio.sleep(min(pause, held_until - anyio.current_time()))
            asked = anyio.current_time()
            if asked >= held_until:
                return
            try:
                with anyio.move_on_after(held_until - asked):
                    wanted = await self._stream.renew(is_open=writer.state is FeedState.OPEN)
                    held_until, pause = asked + LEASE_SECONDS, RENEW_SECONDS
                    if wanted:
                        self.on_wanted()
            except LeaseLost:
                return
            except StoreAway:
                pause = RETRY_SECONDS

    async def _give_up(self, writer: FeedWriter) -> None:
        """Write what waits, and let another replica own the feed; the connection is closed already."""
        self._live.observe(FeedClosed(self._live.name, self._live.arguments, GIVEN_UP))
        try:
            with anyio.move_on_after(2 * STORE_TIMEOUT):
                await writer.flush()
                await self._stream.release(was_open=writer.was_open)
        except (LeaseLost, StoreAway):
            pass
        self._stream.forget_lease()

    def _note_event(self, event: SharedEvent) -> None:
        """Note the position of a message of another replica, once all its events are here."""
        if self._keeper is None and event.position is not None and event.data is not None:
            self._positions.note(event.position, event.data)

    def _note_released(self) -> None:
        self._released.set()
