"""What one read of a feed wants, and what it has found so far."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import anyio
import anyio.lowlevel

from ...core.feeds.buffer import Event, EventBuffer, Gap, Page
from ...core.feeds.cursor import Cursor
from ...records import Record

BURST_SECONDS: Final = 0.05
"""Seconds that a read which has waited or searched goes on when it has something to return: events come in bursts."""
BYTES_OF_EFFORT: Final = 1024
"""Bytes of an event that are as much effort as one more event: it is parsed before it is compared."""
TURN_EFFORT: Final = 25
"""The effort of a search until others have their turn: about a millisecond."""
UNINTERRUPTED_EFFORT: Final = 500
"""The effort of a search that lets nothing else run."""


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


class OneRead:
    """What a read has found so far; `advance` goes on behind it.

    Args:
        buffer: The events.
        request: What the reader wants.
        search_turns: Held while a part of the events is compared with a condition.

    Attributes:
        done_at: When `advance` first had something to return, by the clock of anyio.
    """

    def __init__(self, buffer: EventBuffer, request: ReadRequest, search_turns: anyio.Lock) -> None:
        self._buffer = buffer
        self._request = request
        self._search_turns = search_turns
        self._effort = 0
        self._events: list[Event] = []
        self._gaps: list[Gap] = []
        self._earlier_gaps: tuple[Gap, ...] = ()
        self._missed: int | None = 0
        self._bytes = 0
        self._cursor = request.cursor
        self._has_more = False
        self.done_at = math.inf

    @property
    def is_done(self) -> bool:
        """Return whether there is something to return; with a gap, it is not known what was missed."""
        return bool(self._events) or self._missed != 0

    @property
    def is_full(self) -> bool:
        """Return whether no further event may be added."""
        request = self._request
        return self._has_more or len(self._events) >= request.max_events or self._bytes >= request.max_bytes

    async def advance(self, deadline: float) -> None:
        """Read what has arrived since the last time; a search ends at the deadline, or soon after it found something.

        Events may come faster than all searches together compare them. So the searches take turns, one in each turn of
        the event loop, and whatever else runs waits for one of them at most.
        """
        if self._request.accepts is None:
            while self._advance_page():
                await anyio.lowlevel.checkpoint()
            self._note_done()
            return
        with anyio.CancelScope(deadline=deadline) as scope:
            is_searching = True
            while is_searching:
                async with self._search_turns:
                    is_searching = self._search(TURN_EFFORT)
                self._note_done()
                scope.deadline = min(deadline, self.done_at + BURST_SECONDS)
        if self._cursor is None:  # it had no turn
            self._search(TURN_EFFORT)
            self._note_done()

    def _note_done(self) -> None:
        if self.is_done:
            self.done_at = min(self.done_at, anyio.current_time())

    def advance_now(self) -> None:
        """Read what has arrived without letting anything else run; a long search is cut."""
        self._search(UNINTERRUPTED_EFFORT)

    def _search(self, effort: int) -> bool:
        """Read pages until a certain effort was spent; return whether there is more that may be added."""
        limit = self._effort + effort
        while is_searching := self._advance_page():
            if self._effort >= limit:
                break
        return is_searching

    def _advance_page(self) -> bool:
        """Read one page; return whether there is more that may be added."""
        request = self._request
        begins = request.cursor is None and not self.is_done
        if begins and self._cursor is not None and self._cursor.epoch != self._buffer.epoch:
            self._cursor = None  # another life began during the wait: a reader without a cursor missed nothing
        if self.is_full:
            return False
        room, max_bytes = request.max_events - len(self._events), request.max_bytes - self._bytes
        if request.accepts is not None and self._cursor is not None:
            room, max_bytes = min(request.max_events, TURN_EFFORT), min(max_bytes, TURN_EFFORT * BYTES_OF_EFFORT)
        page = self._buffer.read(self._cursor, room, max_bytes)
        self._effort += sum(1 + event.size // BYTES_OF_EFFORT for event in page.events)
        self._add(page)
        return page.has_more and not self.is_full

    def _add(self, page: Page) -> None:
        if self._cursor is None:  # the first page, or the first one of another life
            self._take_events(page)
            self._earlier_gaps = self._gaps_without_cursor(page)
            return
        self._gaps += page.gaps
        self._missed = None if self._missed is None or page.missed is None else self._missed + page.missed
        self._take_events(page)

    def _take_events(self, page: Page) -> None:
        """Add the events of a page that are accepted, up to the bounds, and move the cursor behind what is done."""
        self._cursor, self._has_more = page.cursor, False
        for event in page.events:
            if self.is_full or not self._fits(event):
                # Those before it are done with, also where events were missed: they must not count again.
                self._cursor = Cursor(page.cursor.epoch, event.offset - 1, page.cursor.gap)
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
        first = self._events[0].offset if self._events else page.cursor.offset
        return tuple(gap for gap in page.gaps if gap.after >= first)

    def result(self, state: str, *, timed_out: bool) -> ReadResult:
        """Return everything that was found."""
        assert self._cursor is not None
        gaps = (*self._earlier_gaps, *self._gaps)
        missed = None if self._earlier_gaps else self._missed
        has_more = self._has_more or self._cursor.offset < self._buffer.end.offset  # a search that was cut
        return ReadResult(tuple(self._events), gaps, self._cursor, missed, has_more, timed_out, state)
