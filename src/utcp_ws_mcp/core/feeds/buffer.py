"""The ring buffer of a feed: events with dense offsets, gaps with reasons, and any number of readers.

Reading changes nothing. Offsets begin with 1 and are never reused within an epoch, so the number of events that a
reader has missed is exact. Time is an argument.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from typing import Final

from ...records import Record
from .cursor import Cursor, InvalidCursor

MAX_GAPS: Final = 64
"""Gaps that a buffer remembers; a reader whose cursor is older gets `missed: null`."""
MAX_REMEMBERED_EVICTIONS: Final = 10_000
"""Offsets of evicted events that a buffer with `latest` remembers, to count what a reader has missed."""
EVENT_OVERHEAD: Final = 128
"""Bytes that an event counts for beside its data: the objects that hold it."""


class Event(Record):
    """An event of a feed.

    Attributes:
        offset: Its number in the epoch, from 1.
        at: When it arrived, in seconds since 1970.
        data: Its data as JSON text.
        key: Its key as JSON text, or None for a feed without keys.
        size: The bytes that it counts for, with a fixed amount for its fields.
    """

    offset: int
    at: float
    data: str
    key: str | None
    size: int


class Gap(Record):
    """A place where events may be missing.

    Attributes:
        number: Its number in the epoch, from 1.
        after: The offset of the last event before it.
        at: When it ended, in seconds since 1970.
        reason: What happened, as a sentence without a full stop.
    """

    number: int
    after: int
    at: float
    reason: str


class Page(Record):
    """What a read returns.

    Attributes:
        events: The events, oldest first.
        gaps: The gaps between the reader's cursor and the last of the events; without a cursor, those behind the first
            of the events, or behind the last one that there was.
        cursor: Where the next read continues.
        missed: How many events were removed before they were read; None: it cannot be known.
        has_more: Whether more events are there already.
    """

    events: tuple[Event, ...]
    gaps: tuple[Gap, ...]
    cursor: Cursor
    missed: int | None
    has_more: bool


class BufferLimits(Record):
    """The bounds of a buffer: a number of events, bytes, and seconds."""

    size: int
    max_bytes: int
    max_age: float


class EventBuffer:
    """The events of a feed.

    Args:
        epoch: Names this life of the buffer; a cursor of another one is recognized by it.
        limits: The bounds; the oldest events are removed first.
        latest: Keep only the newest event for each key.
    """

    def __init__(self, epoch: str, limits: BufferLimits, *, latest: bool = False) -> None:
        self.epoch = epoch
        self.limits = limits
        self.bytes = 0
        self.evicted = 0
        self._latest = latest
        self._last_offset = 0
        self._events: OrderedDict[int, Event] = OrderedDict()  # a dict finds its oldest item slowly
        self._offset_by_key: dict[str, int] = {}
        self._evicted_offsets: deque[int] = deque(maxlen=MAX_REMEMBERED_EVICTIONS)
        self._gaps: deque[Gap] = deque(maxlen=MAX_GAPS)
        self._last_gap = 0
        self._begins_behind = 0

    def __repr__(self) -> str:
        return f"<EventBuffer {self.epoch} 1..{self._last_offset} kept={len(self._events)} bytes={self.bytes}>"

    def __len__(self) -> int:
        return len(self._events)

    @property
    def end(self) -> Cursor:
        """Return the cursor of a reader that has seen everything."""
        return Cursor(self.epoch, self._last_offset, self._last_gap)

    def restart(self, epoch: str, offset: int, gap: int) -> None:
        """Forget everything, and go on behind an event and a gap that this buffer has not got.

        Within the same epoch, readers miss exactly the events that are forgotten or left out.
        """
        self.epoch, self._last_offset, self._last_gap, self._begins_behind = epoch, offset, gap, offset
        self.bytes = 0
        for each in (self._events, self._offset_by_key, self._evicted_offsets, self._gaps):
            each.clear()

    def append(self, data: str, at: float, key: str | None = None) -> Event:
        """Add an event, and remove what the limits no longer allow.

        Args:
            data: The data as JSON text.
            at: Seconds since 1970.
            key: The key as JSON text; with `latest`, the event replaces the one with the same key.
        """
        self._last_offset += 1
        event = Event(self._last_offset, at, data, key, len(data.encode()) + len(key or "") + EVENT_OVERHEAD)
        if key is not None:
            superseded = self._offset_by_key.pop(key, None)  # so that the keys are in the order of their events
            if self._latest and superseded is not None:
                self._remove(superseded)
            self._offset_by_key[key] = event.offset
        self._events[event.offset] = event
        self.bytes += event.size
        self.expire(at)
        return event

    def add_gap(self, reason: str, at: float) -> Gap:
        """Record that events may be missing behind the last one."""
        self._last_gap += 1
        gap = Gap(self._last_gap, self._last_offset, at, reason)
        self._gaps.append(gap)
        return gap

    def expire(self, now: float) -> None:
        """Remove the oldest events until all limits hold."""
        limits, oldest = self.limits, now - self.limits.max_age
        while self._events:
            event = next(iter(self._events.values()))
            if len(self._events) <= limits.size and self.bytes <= limits.max_bytes and event.at >= oldest:
                return
            self.evict_oldest()

    def evict_oldest(self) -> None:
        """Remove the oldest event, which its readers have missed if they had not read it."""
        offset = next(iter(self._events))
        self._remove(offset)
        self._evicted_offsets.append(offset)
        self.evicted += 1

    def _remove(self, offset: int) -> None:
        event = self._events.pop(offset)
        self.bytes -= event.size
        if event.key is not None and self._offset_by_key.get(event.key) == offset:
            del self._offset_by_key[event.key]

    def read(self, cursor: Cursor | None, max_events: int, max_bytes: int) -> Page:
        """Return the events after a cursor; without one, the newest.

        Args:
            cursor: Of an earlier page; one of another epoch reads from the oldest event that is kept.
            max_events: How many events at most.
            max_bytes: Bytes of the page; at least one event is returned.

        Raises:
            InvalidCursor: if the cursor is of this epoch, but of no page of it.
        """
        if cursor is None:
            return self._newest(max_events, max_bytes)
        if cursor.epoch != self.epoch:
            return self._page(Cursor(self.epoch, 0, 0), max_events, max_bytes, known=False)
        if cursor.offset > self._last_offset or cursor.gap > self._last_gap:
            raise InvalidCursor(str(cursor))
        return self._page(cursor, max_events, max_bytes, known=True)

    def _newest(self, max_events: int, max_bytes: int) -> Page:
        chosen: list[Event] = []
        total = 0
        for event in reversed(self._events.values()):
            total += event.size
            if len(chosen) == max_events or (chosen and total > max_bytes):
                break
            chosen.append(event)
        first = chosen[-1].offset if chosen else self._last_offset
        gaps = tuple(gap for gap in self._gaps if gap.after >= first)
        return Page(tuple(reversed(chosen)), gaps, self.end, None if gaps else 0, has_more=False)

    def _page(self, cursor: Cursor, max_events: int, max_bytes: int, *, known: bool) -> Page:
        chosen: list[Event] = []
        total, has_more = 0, False
        for event in self._after(cursor.offset):
            total += event.size
            if len(chosen) == max_events or (chosen and total > max_bytes):
                has_more = True
                break
            chosen.append(event)
        last = chosen[-1].offset if has_more else self._last_offset
        gaps = tuple(gap for gap in self._gaps if gap.number > cursor.gap and gap.after < last + (not has_more))
        seen = gaps[-1].number if gaps else cursor.gap
        complete = known and not gaps and self._remembers_gaps_after(cursor.gap)
        missed = self._evicted_after(cursor.offset) if complete else None
        return Page(tuple(chosen), gaps, Cursor(self.epoch, last, max(seen, cursor.gap)), missed, has_more)

    def _after(self, offset: int) -> Iterator[Event]:
        oldest = next(iter(self._events), self._last_offset + 1)
        if len(self._events) == self._last_offset + 1 - oldest:  # none is missing in between
            return (self._events[each] for each in range(max(offset + 1, oldest), self._last_offset + 1))
        newer = []
        for event in reversed(self._events.values()):
            if event.offset <= offset:
                break
            newer.append(event)
        return reversed(newer)

    def _remembers_gaps_after(self, number: int) -> bool:
        return number >= self._last_gap or (bool(self._gaps) and self._gaps[0].number <= number + 1)

    def _evicted_after(self, offset: int) -> int | None:
        """Return how many events behind an offset were evicted; those that a newer one replaced do not count."""
        if not self._latest:
            oldest = next(iter(self._events), self._last_offset + 1)
            return max(0, oldest - 1 - offset)
        if offset < self._begins_behind:
            return None
        remembered = self._evicted_offsets
        if len(remembered) == MAX_REMEMBERED_EVICTIONS and offset < remembered[0] - 1:
            return None
        return len(remembered) - bisect_right(remembered, offset)

    def latest(self) -> Mapping[str, Event]:
        """Return the newest event of each key, by the key as JSON text; the oldest first."""
        return {key: self._events[offset] for key, offset in self._offset_by_key.items()}
