"""One feed with one set of arguments: its events, its state, and the reads that wait for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final

import anyio

from ...core.feeds.buffer import Event, EventBuffer, Gap
from ...observability.events import Observer, noop
from ...observability.feed_events import FeedEventAdded, FeedEventsEvicted, FeedGapFound, FeedRead
from ..wakeup import Wakeup
from .one_read import BURST_SECONDS, OneRead, ReadRequest, ReadResult

MAX_WAITING_READS: Final = 64
"""Reads of one feed that may wait at the same time."""
SEARCH_SECONDS: Final = 2.0
"""Seconds that a read which does not wait searches for events that fulfil its condition."""


class FeedState(Enum):
    """Whether events can arrive."""

    OPENING = "opening"
    OPEN = "open"
    WAITING = "waiting"
    CLOSED = "closed"


class TooManyReads(Exception):
    """As many reads wait for the feed as may."""


class LiveFeed:
    """The events of a feed. The keeper adds them, readers wait for them; neither waits for the other.

    Args:
        name: The full name, for messages.
        buffer: Its events.
        now: Returns seconds since 1970, for the times of events.
        observe: Gets what happens to the feed.
        arguments: The arguments of the feed as JSON, for observers.
        on_state: Called with each change of the state.
        on_event: Called with the bytes of each event, so that the memory of all feeds stays bounded.
        search_turns: Held by the read that searches now, of all feeds that have it.

    Attributes:
        watchers: Called with each event, gap and change of the state. They must neither wait nor raise.
    """

    def __init__(
        self,
        name: str,
        buffer: EventBuffer,
        now: Callable[[], float],
        observe: Observer = noop,
        arguments: str = "{}",
        on_state: Callable[[], None] = lambda: None,
        on_event: Callable[[int], None] = lambda size: None,
        search_turns: anyio.Lock | None = None,
    ) -> None:
        self.name = name
        self.buffer = buffer
        self.state = FeedState.OPENING
        self.detail = ""
        self.now = now
        self.observe = observe
        self.arguments = arguments
        self._on_state = on_state
        self._on_event = on_event
        self._search_turns = search_turns or anyio.Lock()
        self.watchers: set[Callable[[], None]] = set()
        self._waiting: set[Wakeup] = set()
        self._failures = 0
        self._reported_evictions = 0

    @property
    def readers(self) -> int:
        """Return how many reads are waiting."""
        return len(self._waiting)

    def describe_state(self) -> str:
        """Return the state for a reader, with the reason if no event can arrive."""
        return f"{self.state.value}: {self.detail}" if self.detail else self.state.value

    # The keeper's side

    def publish(self, data: str, key: str | None = None, position: Any = None, at: float | None = None) -> Event:
        """Add an event; `data` and `key` are JSON texts. It arrived `at` a time, by default now."""
        event = self.buffer.append(data, self.now() if at is None else at, key)
        self.observe(FeedEventAdded(self.name, event.offset))
        if self.buffer.evicted != self._reported_evictions:
            self.report_evictions()
        self._wake()
        self._on_event(event.size)
        return event

    def add_gap(self, reason: str, at: float | None = None) -> Gap:
        """Record that events may be missing."""
        gap = self.buffer.add_gap(reason, self.now() if at is None else at)
        self.observe(FeedGapFound(self.name, self.arguments, gap.after, reason))
        self._wake()
        return gap

    def set_state(self, state: FeedState, detail: str = "") -> None:
        """Change the state; readers that wait return if no event can arrive soon."""
        self.state, self.detail = state, detail
        self._failures += state in (FeedState.WAITING, FeedState.CLOSED)
        self._wake()
        self._on_state()

    def report_evictions(self) -> None:
        """Tell the observer how many events were removed since the last time."""
        if count := self.buffer.evicted - self._reported_evictions:
            self._reported_evictions += count
            self.observe(FeedEventsEvicted(self.name, count))

    def _wake(self) -> None:
        for wakeup in self._waiting:
            wakeup.set()
        for watcher in tuple(self.watchers):
            watcher()

    # The readers' side

    def expire(self) -> None:
        """Remove the events that are too old."""
        self.buffer.expire(self.now())
        self.report_evictions()

    def note_read(self, events: Sequence[Event]) -> None:
        """Tell the observer which events a read returns."""
        if events:
            self.observe(FeedRead(self.name, len(events), max(0.0, self.now() - events[0].at)))

    async def wait_opened(self, seconds: float) -> bool:
        """Wait until the feed is open, or the attempt to open it has failed, at most `seconds`; return if it failed."""
        wakeup, failures = Wakeup(), self._failures
        self._waiting.add(wakeup)
        deadline = anyio.current_time() + seconds
        try:
            while self.state is FeedState.OPENING and self._failures == failures and await wakeup.wait(deadline):
                pass
        finally:
            self._waiting.discard(wakeup)
        return self._failures != failures

    async def read(self, request: ReadRequest) -> ReadResult:
        """Return the events behind the cursor; if there are none, wait for the first one, a gap, or a failure.

        Raises:
            InvalidCursor: if the feed has not returned the cursor.
            TooManyReads: if the read would wait, and too many do.
        """
        self.expire()
        found = OneRead(self.buffer, request, self._search_turns)
        began = anyio.current_time()
        deadline = began + request.wait_seconds
        await found.advance(max(deadline, began + SEARCH_SECONDS))
        if found.is_done or request.wait_seconds <= 0:
            return self._result(found, timed_out=False)
        if anyio.current_time() >= deadline:
            return self._result(found, timed_out=True)
        if self.readers >= MAX_WAITING_READS:
            raise TooManyReads
        wakeup = Wakeup()
        self._waiting.add(wakeup)
        try:
            timed_out = await self._wait(found, wakeup, deadline)
        finally:
            self._waiting.discard(wakeup)
        return self._result(found, timed_out=timed_out)

    def read_now(self, request: ReadRequest) -> ReadResult:
        """Return the events behind the cursor without waiting; a long search goes on with the cursor of the result.

        Raises:
            InvalidCursor: if the feed has not returned the cursor.
        """
        self.expire()
        found = OneRead(self.buffer, request, self._search_turns)
        found.advance_now()
        return self._result(found, timed_out=False)

    def _result(self, found: OneRead, *, timed_out: bool) -> ReadResult:
        result = found.result(self.describe_state(), timed_out=timed_out)
        self.note_read(result.events)
        return result

    async def _wait(self, found: OneRead, wakeup: Wakeup, deadline: float) -> bool:
        """Wait until there is something to return; return whether the deadline came instead."""
        failures = self._failures
        while not found.is_done:
            if self._failures != failures or self.state is FeedState.CLOSED:
                return False
            await wakeup.wait(deadline)
            await found.advance(deadline)
            if anyio.current_time() >= deadline:  # also where one event follows the other, and the wakeup is always set
                return not found.is_done
        burst_ends = min(deadline, found.done_at + BURST_SECONDS)
        while not found.is_full and anyio.current_time() < burst_ends:
            await wakeup.wait(burst_ends)
            await found.advance(burst_ends)
        return False
