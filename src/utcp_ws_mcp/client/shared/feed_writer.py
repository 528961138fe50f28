"""The owner's side of a shared feed: what the keeper publishes is numbered, queued, and written to the stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import anyio

from ...core.feeds.shared_entry import SharedEvent, SharedGap, SharedState, encode_entry, encode_state
from ...observability.events import Observer
from ...records import Record
from ..feeds.live_feed import FeedState
from ..feeds.subscription import FOREVER
from ..wakeup import Wakeup
from .feed_stream import Claim, FeedStream, Tail
from .store import StoreAway

BATCH: Final = 128
"""Entries of one write, to which those are added that end its last message."""
RETRY_SECONDS: Final = 0.1
"""Seconds between two attempts to write while the store is away."""


class _Waiting(Record):
    """An entry that is not written yet, with the last offset and the last gap behind it.

    `more` is true if further events of the same message follow.
    """

    number: int
    text: str
    offset: int
    gap: int
    more: bool


class FeedWriter:
    """Where the keeper of an owner puts events, gaps and states. It never waits for the store.

    Args:
        name: The full name of the feed.
        arguments: Its arguments as JSON, for observers.
        stream: Where it writes.
        claim: The positions behind which it goes on.
        max_bytes: Bytes of the entries that are kept.
        size: Entries that wait while the store is away; the oldest are left out then, and readers miss them.
        now: Returns seconds since 1970.
        observe: Gets what happens to the feed.
        has_positions: Whether messages have positions. Then the events of one are written together: a replica that
            takes over asks for what came after the last position, and would get those again that were written.
    """

    def __init__(
        self,
        name: str,
        arguments: str,
        stream: FeedStream,
        claim: Claim,
        max_bytes: int,
        size: int,
        now: Callable[[], float],
        observe: Observer,
        *,
        has_positions: bool = False,
    ) -> None:
        assert claim.epoch is not None
        self.name = name
        self.arguments = arguments
        self.observe = observe
        self.state = FeedState.OPENING
        self.was_open = False
        self._stream = stream
        self._epoch = claim.epoch
        self._number, self._offset, self._gap = claim.number, claim.offset, claim.gap
        self._max_bytes = max_bytes
        self._now = now
        self._has_positions = has_positions
        self._queue: deque[_Waiting] = deque(maxlen=size)
        self._state = ""
        self._sizes: deque[tuple[int, int]] = deque()
        self._bytes = 0
        self._oldest = 0
        self._wakeup = Wakeup()

    def publish(self, data: str, key: str | None, position: Any) -> None:
        """Add an event; `data` and `key` are JSON texts. Without a position, more of its message follow."""
        self._offset += 1
        size = len(data.encode())
        kept = None if size > self._max_bytes else data
        entry = encode_entry(SharedEvent(self._offset, self._gap, self._now(), kept, key, position))
        self._add(entry, more=self._has_positions and position is None)

    def add_gap(self, reason: str) -> None:
        """Record that events may be missing."""
        self._gap += 1
        self._add(encode_entry(SharedGap(self._offset, self._gap, self._now(), reason)), more=False)

    def set_state(self, state: FeedState, detail: str = "") -> None:
        """Change the state."""
        self.state = state
        self.was_open |= state is FeedState.OPEN
        self._state = encode_state(SharedState(state.value, detail, self._epoch, self._offset, self._gap))
        self._wakeup.set()

    def _add(self, entry: str, *, more: bool) -> None:
        self._number += 1
        self._queue.append(_Waiting(self._number, entry, self._offset, self._gap, more))
        self._sizes.append((self._number, len(entry)))
        self._bytes += len(entry)
        while self._bytes > self._max_bytes and len(self._sizes) > 1:
            number, size = self._sizes.popleft()
            self._bytes -= size
            self._oldest = number + 1
        self._wakeup.set()

    async def run(self) -> None:
        """Write until the task is cancelled.

        Raises:
            LeaseLost: if this replica does not own the feed any more.
        """
        while True:
            try:
                await self.flush()
            except StoreAway:
                await anyio.sleep(RETRY_SECONDS)
                continue
            await self._wakeup.wait(anyio.current_time() + FOREVER)

    async def flush(self) -> None:
        """Write everything that waits.

        Raises:
            LeaseLost: if this replica does not own the feed any more.
            StoreAway: if the store does not answer; what was not written goes on waiting.
        """
        while (batch := self._next_batch()) or (self._state and not self._queue):
            state = "" if len(batch) < len(self._queue) else self._state
            offset, gap = (batch[-1].offset, batch[-1].gap) if batch else (self._offset, self._gap)
            tail = Tail(offset, gap, state, self.state is FeedState.OPEN, self._oldest)
            await self._stream.append(self._epoch, [(each.number, each.text) for each in batch], tail)
            while self._queue and batch and self._queue[0].number <= batch[-1].number:
                self._queue.popleft()
            if state == self._state:
                self._state = ""

    def _next_batch(self) -> list[_Waiting]:
        """Return what is written next; the beginning of a message waits for its end."""
        batch: list[_Waiting] = []
        whole = 0
        for entry in self._queue:
            batch.append(entry)
            if not entry.more:
                whole = len(batch)
                if whole >= BATCH:
                    break
        return batch[:whole]
