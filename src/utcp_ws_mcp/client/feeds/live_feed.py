"""One feed with one set of arguments: its events, its state, and the reads that wait for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final

import anyio
import anyio.lowlevel

from ...core.feeds.buffer import Event, EventBuffer, Gap, Page
from ...core.feeds.cursor import Cursor
from ...observability.events import Observer, noop
from ...observability.feed_events import FeedEventAdded, FeedEventsEvicted, FeedGapFound, FeedRead
from ...records import Record, replace
from ..wakeup import Wakeup

BURST_SECONDS: Final = 0.05
"""Seconds that a read which has waited goes on waiting for more events of a burst."""
MAX_WAITING_READS: Final = 64
"""Reads of one feed that may wait at the same time."""
MAX_SEARCHED: Final = 2000
"""Events that a read without a pause compares with its condition: meanwhile nothing else runs."""


class FeedState(Enum):
    """Whether events can arrive."""

    OPENING = "opening"
    OPEN = "open"
    WAITING = "waiting"
    CLOSED = "closed"


class ReadRequest(Record):
    """What a reader wants.

    Attributes:
        cursor: Where it continues; None: with the newest events.
        wait_seconds: How long it waits if there is no event.
        max_events: How many events it takes at most.
        max_bytes: Bytes of these events.
        accepts: Returns whether it wants an event (`where`).
    """

    cursor: Cursor | None
    wait_seconds: float
    max_events: int
    max_bytes: int
    accepts: Callable[[Event], bool] | None = None


class ReadResult(Record):
    """What a read returns: as a page of the buffer, with the feed's state and whether the time has run out."""

    events: tuple[Event, ...]
    gaps: tuple[Gap, ...]
    cursor: Cursor
    missed: int | None
    has_more: bool
    timed_out: bool
    state: str


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

    async def wait_opened(self, seconds: float) -> None:
        """Wait until the feed is open, or the attempt to open it has failed, at most `seconds`."""
        wakeup, failures = Wakeup(), self._failures
        self._waiting.add(wakeup)
        deadline = anyio.current_time() + seconds
        try:
            while self.state is FeedState.OPENING and self._failures == failures and await wakeup.wait(deadline):
                pass
        finally:
            self._waiting.discard(wakeup)

    async def read(self, request: ReadRequest) -> ReadResult:
        """Return the events behind the cursor; if there are none, wait for the first one, a gap, or a failure.

        Raises:
            InvalidCursor: if the feed has not returned the cursor.
            TooManyReads: if the read would wait, and too many do.
        """
        self.expire()
        found = _Reading(self.buffer, request)
        await found.advance()
        if found.is_done or request.wait_seconds <= 0:
            return self._result(found, timed_out=False)
        if self.readers >= MAX_WAITING_READS:
            raise TooManyReads
        wakeup = Wakeup()
        self._waiting.add(wakeup)
        try:
            timed_out = await self._wait(found, wakeup, anyio.current_time() + request.wait_seconds)
        finally:
            self._waiting.discard(wakeup)
        return self._result(found, timed_out=timed_out)

    def read_now(self, request: ReadRequest) -> ReadResult:
        """Return the events behind the cursor without waiting; a long search goes on with the cursor of the result.

        Raises:
            InvalidCursor: if the feed has not returned the cursor.
        """
        self.expire()
        found = _Reading(self.buffer, request)
        searched = request.max_events
        while (is_cut := found.advance_page()) and searched < MAX_SEARCHED:
            searched += request.max_events
        result = self._result(found, timed_out=False)
        return replace(result, has_more=True) if is_cut else result

    def _result(self, found: _Reading, *, timed_out: bool) -> ReadResult:
        result = found.result(self.describe_state(), timed_out=timed_out)
        self.note_read(result.events)
        return result

    async def _wait(self, found: _Reading, wakeup: Wakeup, deadline: float) -> bool:
        """Wait until there is something to return; return whether the deadline came instead."""
        failures = self._failures
        while not found.is_done:
            if self._failures != failures or self.state is FeedState.CLOSED:
                return False
            in_time = await wakeup.wait(deadline)
            await found.advance()
            if not in_time:
                return not found.is_done
        burst_ends = min(deadline, anyio.current_time() + BURST_SECONDS)
        while not found.is_full and await wakeup.wait(burst_ends):
            await found.advance()
        return False


class _Reading:
    """What a read has found so far; `advance` goes on behind it."""

    def __init__(self, buffer: EventBuffer, request: ReadRequest) -> None:
        self._buffer = buffer
        self._request = request
        self._events: list[Event] = []
        self._gaps: list[Gap] = []
        self._earlier_gaps: tuple[Gap, ...] = ()
        self._missed: int | None = 0
        self._bytes = 0
        self._cursor = request.cursor
        self._has_more = False

    @property
    def is_done(self) -> bool:
        """Return whether there is something to return; with a gap, it is not known what was missed."""
        return bool(self._events) or self._missed != 0

    @property
    def is_full(self) -> bool:
        """Return whether no further event may be added."""
        request = self._request
        return self._has_more or len(self._events) >= request.max_events or self._bytes >= request.max_bytes

    async def advance(self) -> None:
        """Read what has arrived since the last time, page by page, so that a long search delays no other task."""
        while self.advance_page():
            await anyio.lowlevel.checkpoint()

    def advance_page(self) -> bool:
        """Read one page; return whether there is more that may be added."""
        request = self._request
        begins = request.cursor is None and not self.is_done
        if begins and self._cursor is not None and self._cursor.epoch != self._buffer.epoch:
            self._cursor = None  # another life began during the wait: a reader without a cursor missed nothing
        if self.is_full:
            return False
        room = request.max_events - len(self._events) if request.accepts is None else request.max_events
        page = self._buffer.read(self._cursor, room, request.max_bytes - self._bytes)
        self._add(page)
        return page.has_more and not self.is_full

    def _add(self, page: Page) -> None:
        if self._cursor is None:  # the first page, or the first one of another life
            self._earlier_gaps = self._gaps_without_cursor(page) if page.gaps else ()
            page = replace(page, gaps=(), missed=0)
        self._gaps += page.gaps
        self._missed = None if self._missed is None or page.missed is None else self._missed + page.missed
        self._cursor, self._has_more = page.cursor, False
        for event in page.events:
            if self.is_full or not self._fits(event):
                # Read again behind the last event that was taken.
                self._cursor = Cursor(page.cursor.epoch, self._events[-1].offset, page.cursor.gap)
                self._has_more = True
                return
            if self._request.accepts is None or self._request.accepts(event):
                self._events.append(event)
                self._bytes += event.size
        self._has_more = page.has_more and self.is_full

    def _fits(self, event: Event) -> bool:
        """Return whether an event can be added; the first one always can, or it would never be read."""
        return not self._events or self._bytes + event.size <= self._request.max_bytes

    def _gaps_without_cursor(self, page: Page) -> tuple[Gap, ...]:
        """Return the gaps behind the first event that is accepted, or behind the last event of all.

        They say why events may be missing, but are not news, so they end no wait.
        """
        accepts = self._request.accepts
        first = next((event.offset for event in page.events if accepts is None or accepts(event)), page.cursor.offset)
        return tuple(gap for gap in page.gaps if gap.after >= first)

    def result(self, state: str, *, timed_out: bool) -> ReadResult:
        """Return everything that was found."""
        assert self._cursor is not None
        gaps = (*self._earlier_gaps, *self._gaps)
        missed = None if self._earlier_gaps else self._missed
        return ReadResult(tuple(self._events), gaps, self._cursor, missed, self._has_more, timed_out, state)
