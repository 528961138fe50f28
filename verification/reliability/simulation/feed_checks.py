"""What must hold of a simulated feed and of each page that a reader gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from unittest.mock import patch

from utcp_ws_mcp.client.feeds.live_feed import FeedState, LiveFeed
from utcp_ws_mcp.client.feeds.one_read import BURST_SECONDS
from utcp_ws_mcp.client.feeds.reading import OPEN_TIMEOUT
from utcp_ws_mcp.core.feeds.buffer import Event, Gap
from utcp_ws_mcp.core.feeds.cursor import Cursor

from .feed_scenario import KEYS, FeedShape

EPSILON: Final = 0.01


@dataclass(slots=True)
class Recorded:
    """What the keeper has done: events by offset, with their virtual times, gaps, and when the feed failed."""

    numbers: dict[int, int] = field(default_factory=dict)
    times: dict[int, float] = field(default_factory=dict)
    gaps: list[tuple[Gap, float]] = field(default_factory=list)
    failures: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FinishedRead:
    """A read: its cursor (None: without), its result, and when it began and ended. `was_open`: when it began."""

    start: Cursor | None
    page: dict[str, Any]
    began: float
    ended: float
    wait_seconds: float
    was_open: bool

    @property
    def cursor(self) -> Cursor:
        """The cursor of the result."""
        return Cursor.parse(self.page["cursor"])


@contextmanager
def recording(recorded: Recorded, now: Any) -> Iterator[None]:
    """Record what is added to feeds until the block ends."""
    publish, add_gap, set_state = LiveFeed.publish, LiveFeed.add_gap, LiveFeed.set_state

    def record_event(live: LiveFeed, data: str, key: str | None = None, position: Any = None) -> Event:
        event = publish(live, data, key, position)
        recorded.numbers[event.offset], recorded.times[event.offset] = int(data), now()
        return event

    def record_gap(live: LiveFeed, reason: str) -> Gap:
        gap = add_gap(live, reason)
        recorded.gaps.append((gap, now()))
        return gap

    def record_state(live: LiveFeed, state: FeedState, detail: str = "") -> None:
        recorded.failures += [now()] if state in (FeedState.WAITING, FeedState.CLOSED) else []
        set_state(live, state, detail)

    with (
        patch.object(LiveFeed, "publish", record_event),
        patch.object(LiveFeed, "add_gap", record_gap),
        patch.object(LiveFeed, "set_state", record_state),
    ):
        yield


def check_feed(recorded: Recorded, happened: list[float], shape: FeedShape) -> Iterator[str]:
    """Whether the feed has each event once, and a gap wherever one is missing."""
    numbers = list(recorded.numbers.values())
    if list(recorded.numbers) != list(range(1, len(numbers) + 1)):
        yield "the offsets have holes"
    if len(set(numbers)) != len(numbers):
        yield f"events came twice: {sorted(number for number in set(numbers) if numbers.count(number) > 1)}"
    gaps = {gap.after for gap, _ in recorded.gaps}
    if shape.resume == "none":
        for offset, number in recorded.numbers.items():
            following = recorded.numbers.get(offset + 1, number + 1)
            if following != number + 1 and offset not in gaps:
                yield f"between the events {number} and {following} there is no gap"
        return
    for number in sorted(set(range(min(numbers, default=1), len(happened) + 1)) - set(numbers)):
        later = min((offset for offset, other in recorded.numbers.items() if other > number), default=len(numbers) + 1)
        if not any(gap.after < later and time >= happened[number - 1] for gap, time in recorded.gaps):
            yield f"the event {number} was lost without a gap"


def check_first_connection(recorded: Recorded, sent: list[list[int]]) -> Iterator[str]:
    """Whether the feed has everything that its first connection has sent before the last event that it has of it.

    Args:
        recorded: What the feed has.
        sent: The numbers of events that each connection has sent, in the order of subscribing.
    """
    if not sent or any("exceed" in gap.reason for gap, _ in recorded.gaps):
        return
    numbers, until = set(recorded.numbers.values()), min((each[0] for each in sent[1:]), default=len(sent[0]) + 1)
    of_first = [number for number in sent[0] if number < until]
    last = max(numbers & set(of_first), default=0)
    if lost := [number for number in of_first if number < last and number not in numbers]:
        yield f"the events {lost} came before {last}, and the feed has not got them"


def check_read(read: FinishedRead, recorded: Recorded, shape: FeedShape) -> Iterator[str]:
    """Whether a page agrees with what was recorded, and came in time."""
    page, cursor = read.page, read.cursor
    offsets = [event["offset"] for event in page["events"]]
    if any(recorded.numbers.get(event["offset"]) != event["data"] for event in page["events"]):
        yield "a page has events that the feed has not"
    if offsets != sorted(set(offsets)):
        yield f"the offsets of a page are {offsets}"
    if read.start is not None:
        yield from _check_progress(read.start, cursor, page, offsets, shape)
        yield from _check_gaps(read.start, cursor, page, recorded)
    yield from _check_time(read, offsets, recorded)


def _check_progress(
    start: Cursor, cursor: Cursor, page: dict[str, Any], offsets: list[int], shape: FeedShape
) -> Iterator[str]:
    if cursor.offset < start.offset or cursor.gap < start.gap or cursor.epoch != start.epoch:
        yield f"the cursor {start} is followed by {cursor}"
    if any(not start.offset < offset <= cursor.offset for offset in offsets):
        yield f"a page from {start} to {cursor} has the offsets {offsets}"
    if (page["missed"] is None) != bool(page["gaps"]):
        yield f"missed is {page['missed']} with {len(page['gaps'])} gaps"
    passed, counted = cursor.offset - start.offset, len(offsets) + (page["missed"] or 0)
    exact = page["missed"] is not None and not shape.latest
    if counted > passed or (exact and counted != passed):
        yield f"from {start} to {cursor}, {len(offsets)} events were read, and {page['missed']} were missed"


def _check_gaps(start: Cursor, cursor: Cursor, page: dict[str, Any], recorded: Recorded) -> Iterator[str]:
    expected = [gap.after for gap, _ in recorded.gaps if start.gap < gap.number <= cursor.gap]
    if [gap["after"] for gap in page["gaps"]] != expected:
        yield f"a page has the gaps {page['gaps']}; those after {expected} were passed"
    if any(gap.number > cursor.gap and gap.after < cursor.offset for gap, _ in recorded.gaps):
        yield f"the cursor {cursor} has passed a gap that was not reported"


def _check_time(read: FinishedRead, offsets: list[int], recorded: Recorded) -> Iterator[str]:
    opening = 0.0 if read.was_open else OPEN_TIMEOUT
    if read.ended > read.began + opening + read.wait_seconds + EPSILON:
        yield f"a read with a wait of {read.wait_seconds} s took {read.ended - read.began:.3f} s"
    # Without a cursor, a read also returns gaps from before it, which end no wait.
    if read.page["timed_out"] and (read.page["events"] or (read.page["gaps"] and read.start is not None)):
        yield "a read that returned something has timed out"
    if read.page["timed_out"] and any(
        time < read.ended - EPSILON for offset, time in recorded.times.items() if offset > read.cursor.offset
    ):
        yield "a read has timed out although there was an event"
    failed = min((time for time in recorded.failures if time >= read.began), default=read.ended)
    if read.was_open and read.ended > failed + BURST_SECONDS + EPSILON:
        yield f"a read waited for {read.ended - failed:.3f} s after the feed had failed"
    if offsets and read.start is not None:
        known = max(read.began + opening, recorded.times[offsets[0]])
        if read.ended > known + BURST_SECONDS + EPSILON:
            yield f"a read returned {read.ended - known:.3f} s after its first event"


def check_bounds(live: LiveFeed, shape: FeedShape) -> Iterator[str]:
    """Whether a buffer keeps to its limits."""
    if len(live.buffer) > shape.size or live.buffer.bytes > shape.definition["max_bytes"]:
        yield f"{len(live.buffer)} events with {live.buffer.bytes} bytes are kept"


def check_latest(page: dict[str, Any], happened: int) -> Iterator[str]:
    """Whether the newest values are those of the last events, in their order."""
    found = [(value["key"], value["data"]) for value in page["values"]]
    expected = [(number % KEYS, number) for number in range(happened - KEYS + 1, happened + 1)]
    if found != expected:
        yield f"the newest values are {found}, not {expected}"
