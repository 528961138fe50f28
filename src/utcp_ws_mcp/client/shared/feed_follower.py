"""The reader's side of a shared feed: the stream is copied into the buffer of this replica, with the same positions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import anyio

from ...core.feeds.cursor import Cursor
from ...core.feeds.shared_entry import SharedEvent, SharedGap, decode_entry, decode_state
from ..feeds.live_feed import FeedState, LiveFeed
from ..wakeup import Wakeup
from .feed_stream import FeedStream
from .store import StoreAway, StreamEntry

logger = logging.getLogger(__name__)

START: Final = "0-0"
RETRY_SECONDS: Final = 0.1
"""Seconds between two attempts to read while the store is away."""
REACH_SECONDS: Final = 1.0
"""Seconds that a read waits for an event that its reader has seen at another replica."""
SHOWN_STATES: Final = (FeedState.OPENING, FeedState.OPEN, FeedState.WAITING)


class FeedFollower:
    """Copies the stream of a feed.

    Args:
        stream: The stream.
        live: The feed of this replica.
        on_event: Called with each event that another replica has added.
        on_released: Called when the owner has released the feed.
    """

    def __init__(
        self,
        stream: FeedStream,
        live: LiveFeed,
        on_event: Callable[[SharedEvent], None],
        on_released: Callable[[], None],
    ) -> None:
        self.number = 0
        self._stream = stream
        self._live = live
        self._on_event = on_event
        self._on_released = on_released
        self._position = self._state_position = START
        self._reaching: set[Wakeup] = set()

    async def run(self) -> None:
        """Copy until the task is cancelled."""
        while True:
            try:
                entries, states = await self._stream.read(self._position, self._state_position)
            except StoreAway as away:
                self._note_away(away)
                await anyio.sleep(RETRY_SECONDS)
                continue
            for entry in entries:
                self._copy(entry)
            for state in states:
                self._copy_state(state)
            for wakeup in self._reaching:
                wakeup.set()

    def restart(self) -> None:
        """Read the stream from its beginning: it is another one than before."""
        self._position = self._state_position = START
        self.number = 0

    def is_ahead(self, cursor: Cursor | None) -> bool:
        """Return whether a reader has seen more of this life of the feed than has been copied."""
        end = self._live.buffer.end
        if cursor is None or cursor.epoch == end.epoch:
            return cursor is not None and (cursor.offset > end.offset or cursor.gap > end.gap)
        return cursor.epoch.isdecimal() and (not end.epoch.isdecimal() or int(cursor.epoch) > int(end.epoch))

    async def reach(self, cursor: Cursor | None) -> bool:
        """Wait until everything that a reader has seen is copied; return False if that takes too long."""
        wakeup, deadline = Wakeup(), anyio.current_time() + REACH_SECONDS
        self._reaching.add(wakeup)
        try:
            while self.is_ahead(cursor):
                if not await wakeup.wait(deadline):
                    return not self.is_ahead(cursor)
        finally:
            self._reaching.discard(wakeup)
        return True

    async def catch_up(self, number: int) -> None:
        """Wait until an entry is copied, at most as long as a read does."""
        wakeup, deadline = Wakeup(), anyio.current_time() + REACH_SECONDS
        self._reaching.add(wakeup)
        try:
            while self.number < number and await wakeup.wait(deadline):
                pass
        finally:
            self._reaching.discard(wakeup)

    def _note_away(self, away: StoreAway) -> None:
        self._state_position = START  # the state is read again when the store is back
        detail = f"the shared store is away: {away.reason}"
        if (self._live.state, self._live.detail) != (FeedState.WAITING, detail):
            self._live.set_state(FeedState.WAITING, detail)

    def _copy(self, raw: StreamEntry) -> None:
        entry_id, fields = raw
        self._position = entry_id
        epoch, _, number = entry_id.partition("-")
        self.number = int(number)
        try:
            entry = decode_entry(self._stream.open_entry(entry_id, fields.get(b"e", b"")))
        except ValueError as error:
            logger.warning("%s: an entry of the shared store is left out: %s", self._live.name, error)
            return
        self._go_to(epoch, entry)
        if isinstance(entry, SharedGap):
            self._live.add_gap(entry.reason, entry.at)
            return
        self._on_event(entry)
        if entry.data is None:  # it was larger than the feed may be
            self._live.buffer.restart(epoch, entry.offset, entry.gap)
        else:
            self._live.publish(entry.data, entry.key, at=entry.at)

    def _go_to(self, epoch: str, entry: SharedEvent | SharedGap) -> None:
        """Leave out what is missing from the stream before an entry."""
        offset = entry.offset - isinstance(entry, SharedEvent)
        gap = entry.gap - isinstance(entry, SharedGap)
        if self._live.buffer.end != Cursor(epoch, offset, gap):
            self._live.buffer.restart(epoch, offset, gap)

    def _copy_state(self, raw: StreamEntry) -> None:
        entry_id, fields = raw
        self._state_position = entry_id
        if b"released" in fields:
            self._on_released()
            return
        try:
            shared = decode_state(self._stream.open_state(fields.get(b"s", b"")))
            state = FeedState(shared.state)
        except ValueError as error:
            logger.warning("%s: a state of the shared store is left out: %s", self._live.name, error)
            return
        if self._live.buffer.end.epoch != shared.epoch:
            self._live.buffer.restart(shared.epoch, shared.offset, shared.gap)
        if state in SHOWN_STATES and (self._live.state, self._live.detail) != (state, shared.detail):
            self._live.set_state(state, shared.detail)
