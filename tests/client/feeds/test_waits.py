"""How long reads of a feed wait, what ends the wait, and how much they return, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp.client.feeds.live_feed import FeedState, LiveFeed
from utcp_ws_mcp.client.feeds.one_read import TURN_EFFORT, ReadRequest, ReadResult
from utcp_ws_mcp.core.feeds.buffer import EVENT_OVERHEAD, BufferLimits, EventBuffer
from utcp_ws_mcp.core.feeds.cursor import Cursor
from utcp_ws_mcp.observability.feed_events import FeedEventAdded, FeedEventsEvicted, FeedGapFound
from utcp_ws_mcp.records import replace

REQUEST = ReadRequest(Cursor("abcd", 0, 0), 60.0, 50, 1 << 20)


class Feed(LiveFeed):
    """A feed that notes what it reports."""

    def __init__(self, size: int = 1000, max_bytes: int = 1 << 20) -> None:
        self.observed: list[Any] = []
        self.sizes: list[int] = []
        self.states: list[str] = []
        buffer = EventBuffer("abcd", BufferLimits(size, max_bytes, 100.0))
        note_state = lambda: self.states.append(self.describe_state())  # noqa: E731
        super().__init__(
            "m.f", buffer, anyio.current_time, self.observed.append, '{"a":1}', note_state, self.sizes.append
        )

    async def read_while(
        self, request: ReadRequest, *acts: tuple[float, Callable[[], Any]]
    ) -> tuple[ReadResult, float]:
        """Read, do something at some times after the beginning, and return the result and how long it took."""
        began, ended = anyio.current_time(), 0.0
        results: list[ReadResult] = []

        async def read() -> None:
            nonlocal ended
            results.append(await self.read(request))
            ended = anyio.current_time()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            for seconds, act in acts:
                await anyio.sleep_until(began + seconds)
                act()
        return results[0], round(ended - began, 6)


def data(result: ReadResult) -> list[str]:
    return [event.data for event in result.events]


@in_virtual_time
async def test_a_wait_that_nothing_ends_lasts_as_long_as_was_asked_for() -> None:
    result, seconds = await Feed().read_while(replace(REQUEST, wait_seconds=7.0))
    assert (result.events, result.timed_out, result.missed, seconds) == ((), True, 0, 7.0)


@in_virtual_time
async def test_a_burst_is_collected_for_a_twentieth_of_a_second() -> None:
    feed = Feed()
    acts = [(second, lambda: feed.publish("1")) for second in (5.0, 5.049, 5.051)]
    result, seconds = await feed.read_while(REQUEST, *acts)
    assert (len(result.events), result.timed_out, seconds) == (2, False, 5.05)


@in_virtual_time
async def test_a_burst_is_not_waited_for_beyond_the_end_of_the_wait() -> None:
    feed = Feed()
    result, seconds = await feed.read_while(replace(REQUEST, wait_seconds=5.0), (4.98, lambda: feed.publish("1")))
    assert (len(result.events), result.timed_out, seconds) == (1, False, 5.0)


@in_virtual_time
async def test_a_burst_ends_when_the_read_has_as_many_events_as_it_takes() -> None:
    feed = Feed()
    acts = [(second, lambda: feed.publish("1")) for second in (5.0, 5.01, 5.02)]
    result, seconds = await feed.read_while(replace(REQUEST, max_events=2), *acts)
    assert (len(result.events), result.has_more, seconds) == (2, False, 5.01)


@in_virtual_time
async def test_a_burst_ends_when_the_read_has_as_many_bytes_as_it_takes() -> None:
    feed = Feed()
    acts = [(second, lambda: feed.publish("1")) for second in (5.0, 5.01, 5.02)]
    result, seconds = await feed.read_while(replace(REQUEST, max_bytes=2 * (EVENT_OVERHEAD + 1)), *acts)
    assert (len(result.events), seconds) == (2, 5.01)


@in_virtual_time
async def test_events_that_the_reader_does_not_accept_do_not_begin_a_burst() -> None:
    feed = Feed()
    acts = [(5.0, lambda: feed.publish("1")), (6.0, lambda: feed.publish("2"))]
    result, seconds = await feed.read_while(replace(REQUEST, accepts=lambda event: event.data == "2"), *acts)
    assert (data(result), seconds, result.cursor) == (["2"], 6.05, Cursor("abcd", 2, 0))


@pytest.mark.parametrize(("state", "seconds"), [(FeedState.WAITING, 60.0), (FeedState.CLOSED, 0.0)])
@in_virtual_time
async def test_a_read_of_a_closed_feed_does_not_wait_but_one_of_a_feed_that_will_be_opened_does(
    state: FeedState, seconds: float
) -> None:
    feed = Feed()
    feed.set_state(state, "why")
    result, took = await feed.read_while(REQUEST)
    assert (took, result.timed_out, result.state) == (seconds, seconds > 0, f"{state.value}: why")


@pytest.mark.parametrize("state", [FeedState.WAITING, FeedState.CLOSED])
@in_virtual_time
async def test_a_failure_ends_a_wait_at_once(state: FeedState) -> None:
    feed = Feed()
    result, seconds = await feed.read_while(REQUEST, (3.0, lambda: feed.set_state(state, "why")))
    assert (seconds, result.timed_out, feed.readers) == (3.0, False, 0)


@in_virtual_time
async def test_a_feed_that_opens_ends_no_wait() -> None:
    feed = Feed()
    acts = [(3.0, lambda: feed.set_state(FeedState.OPENING)), (4.0, lambda: feed.set_state(FeedState.OPEN))]
    assert (await feed.read_while(replace(REQUEST, wait_seconds=9.0), *acts))[1] == 9.0


@pytest.mark.parametrize("seconds", [0.0, -1.0])
@in_virtual_time
async def test_a_read_that_does_not_wait_is_allowed_whatever_the_number_of_readers_is(seconds: float) -> None:
    feed = Feed()
    async with anyio.create_task_group() as tasks:
        for _ in range(64):
            tasks.start_soon(feed.read, REQUEST)
        await wait_all_tasks_blocked()
        assert feed.readers == 64
        assert (await feed.read(replace(REQUEST, wait_seconds=seconds))).timed_out is False
        feed.publish("1")
        assert data(await feed.read(REQUEST)) == ["1"]


@in_virtual_time
async def test_an_event_that_expires_during_the_wait_for_it_is_counted_as_missed() -> None:
    feed = Feed()
    feed.publish("1")
    await anyio.sleep(101)
    result, seconds = await feed.read_while(REQUEST)
    assert (result.events, result.missed, result.timed_out, seconds) == ((), 1, False, 0.0)


@in_virtual_time
async def test_without_a_cursor_a_gap_during_the_wait_ends_it_as_one_with_a_cursor() -> None:
    feed = Feed()
    result, seconds = await feed.read_while(replace(REQUEST, cursor=None), (3.0, lambda: feed.add_gap("lost")))
    assert ([gap.reason for gap in result.gaps], result.missed, seconds) == (["lost"], None, 3.05)


@in_virtual_time
async def test_a_burst_goes_on_behind_a_gap() -> None:
    feed = Feed()
    acts = [(3.0, lambda: feed.add_gap("lost")), (3.01, lambda: feed.publish("1"))]
    result, seconds = await feed.read_while(REQUEST, *acts)
    assert (data(result), result.missed, len(result.gaps), seconds) == (["1"], None, 1, 3.05)


@in_virtual_time
async def test_another_life_that_begins_in_a_burst_is_a_loss() -> None:
    feed = Feed()

    def begin_another_life() -> None:
        feed.buffer.restart("5", 7, 0)
        feed.publish("2")

    result, _ = await feed.read_while(
        replace(REQUEST, cursor=None), (3.0, lambda: feed.publish("1")), (3.01, begin_another_life)
    )
    assert (data(result), result.missed, result.cursor) == (["1", "2"], None, Cursor("5", 8, 0))


@pytest.mark.parametrize(
    "fields", [{"max_events": 2}, {"max_bytes": 2 * (EVENT_OVERHEAD + 1)}], ids=["events", "bytes"]
)
@in_virtual_time
async def test_a_gap_behind_the_last_event_of_a_full_read_is_left_to_the_next(fields: Any) -> None:
    feed = Feed()

    def publish() -> None:
        feed.publish("2")
        feed.add_gap("lost")
        feed.publish("3")

    result, _ = await feed.read_while(replace(REQUEST, **fields), (3.0, lambda: feed.publish("1")), (3.01, publish))
    assert (data(result), result.gaps, result.missed, result.has_more) == (["1", "2"], (), 0, True)
    result = await feed.read(replace(REQUEST, cursor=result.cursor))
    assert (data(result), [gap.after for gap in result.gaps]) == (["3"], [2])


# How much a read returns


@in_virtual_time
async def test_without_a_cursor_a_read_returns_the_newest_events_and_the_gaps_behind_the_first_of_them() -> None:
    feed = Feed()
    for number in range(4):
        feed.publish(str(number))
        feed.add_gap(f"after {number}")
    result = await feed.read(replace(REQUEST, cursor=None, max_events=2))
    assert (data(result), [gap.reason for gap in result.gaps]) == (["2", "3"], ["after 2", "after 3"])
    assert (result.missed, result.has_more) == (None, False)


@pytest.mark.parametrize(
    ("fields", "expected", "has_more", "offset"),
    [
        ({"max_events": 3}, 3, True, 3),
        ({"max_events": 10}, 10, False, 10),
        ({"max_bytes": 3 * (EVENT_OVERHEAD + 1)}, 3, True, 3),
        ({"max_bytes": 3 * (EVENT_OVERHEAD + 1) + 1}, 3, True, 3),
        ({"max_bytes": 3 * (EVENT_OVERHEAD + 1) - 1}, 2, True, 2),
        ({"max_bytes": 1}, 1, True, 1),
        ({"max_events": 2, "accepts": lambda event: int(event.data) % 2}, 2, True, 4),
        ({"max_events": 5, "accepts": lambda event: int(event.data) % 2}, 5, False, 10),
        ({"max_events": 5, "accepts": lambda event: event.data in "04"}, 2, False, 10),
        ({"max_events": 2, "accepts": lambda event: event.data in "09"}, 2, False, 10),
        ({"max_bytes": 2 * (EVENT_OVERHEAD + 1), "accepts": lambda event: int(event.data) % 3 == 0}, 2, True, 4),
        ({"max_events": 2, "accepts": lambda event: event.data in "123"}, 2, True, 3),
        ({"max_events": 1, "accepts": lambda event: event.data == "9"}, 1, False, 10),
        ({"max_events": 1, "accepts": lambda event: event.data == "7"}, 1, True, 8),
    ],
)
@in_virtual_time
async def test_a_read_goes_on_exactly_behind_its_last_event(
    fields: dict[str, Any], expected: int, has_more: bool, offset: int
) -> None:
    feed = Feed()
    for number in range(10):
        feed.publish(str(number))
    wanted = fields.get("accepts", lambda event: True)
    first = await feed.read(replace(REQUEST, wait_seconds=0, **fields))
    assert (len(first.events), first.has_more) == (expected, has_more)
    assert first.cursor.offset == offset
    found = [*first.events]
    while first.has_more:
        first = await feed.read(replace(REQUEST, wait_seconds=0, **{**fields, "cursor": first.cursor}))
        found += first.events
    assert [event.offset for event in found] == [
        event.offset for event in feed.buffer._events.values() if wanted(event)
    ]


@in_virtual_time
async def test_a_read_counts_what_was_removed_and_says_when_that_is_not_known() -> None:
    feed = Feed(size=3)
    for number in range(10):
        feed.publish(str(number))
    assert (await feed.read(replace(REQUEST, max_events=1))).missed == 7
    assert (await feed.read(replace(REQUEST, max_events=1, accepts=lambda event: event.data == "9"))).missed == 7
    feed.add_gap("lost")
    result = await feed.read(replace(REQUEST, max_events=5))
    assert (result.missed, len(result.gaps), len(result.events)) == (None, 1, 3)


@in_virtual_time
async def test_a_read_with_a_cursor_of_another_life_returns_what_there_is() -> None:
    feed = Feed()
    feed.publish("1")
    result = await feed.read(replace(REQUEST, cursor=Cursor("wxyz", 9, 9)))
    assert (data(result), result.missed, result.cursor) == (["1"], None, Cursor("abcd", 1, 0))


@in_virtual_time
async def test_a_life_that_begins_during_a_wait_with_a_cursor_ends_it_as_a_loss() -> None:
    feed = Feed()
    result, seconds = await feed.read_while(
        REQUEST, (2.0, lambda: feed.buffer.restart("5", 7, 0)), (3.0, lambda: feed.set_state(FeedState.OPEN))
    )
    assert (result.events, result.missed, result.timed_out, seconds) == ((), None, False, 3.05)


@in_virtual_time
async def test_a_search_through_many_events_gives_others_their_turn() -> None:
    feed, turns = Feed(), 0
    for _ in range(1000):
        feed.publish("1")

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count_turns)
        await anyio.lowlevel.checkpoint()
        before = turns
        result = await feed.read(replace(REQUEST, max_events=10, wait_seconds=0, accepts=lambda event: False))
        assert (result.events, result.cursor.offset) == ((), 1000)
        assert turns - before >= 1000 // (TURN_EFFORT + 10)  # whole pages
        tasks.cancel_scope.cancel()


# What a feed reports


@in_virtual_time
async def test_each_event_is_reported_with_its_size_and_with_what_it_has_removed() -> None:
    feed = Feed(size=2)
    for _ in range(4):
        feed.publish("[1]", '"k"')
    added = [FeedEventAdded("m.f", offset) for offset in (1, 2, 3, 4)]
    removed = FeedEventsEvicted("m.f", 1)
    assert feed.observed == [*added[:3], removed, added[3], removed]
    assert feed.sizes == [EVENT_OVERHEAD + 6] * 4


@in_virtual_time
async def test_events_and_gaps_have_the_time_at_which_they_arrived_here_or_elsewhere() -> None:
    feed = Feed()
    await anyio.sleep(5)
    assert [feed.publish("1").at, feed.publish("1", at=3.0).at] == [5.0, 3.0]
    assert [feed.add_gap("a").at, feed.add_gap("b", 4.0).at] == [5.0, 4.0]
    assert feed.observed[2:] == [FeedGapFound("m.f", '{"a":1}', 2, "a"), FeedGapFound("m.f", '{"a":1}', 2, "b")]


@in_virtual_time
async def test_watchers_are_called_with_each_event_gap_and_state_even_if_one_of_them_leaves() -> None:
    feed, seen = Feed(), []

    def once() -> None:
        seen.append("once")
        feed.watchers.remove(once)

    feed.watchers |= {once, lambda: seen.append("always")}
    feed.publish("1")
    feed.add_gap("a")
    feed.set_state(FeedState.OPEN)
    assert sorted(seen) == ["always", "always", "always", "once"]


@in_virtual_time
async def test_the_state_is_reported_with_its_reason_until_it_changes() -> None:
    feed = Feed()
    assert feed.describe_state() == "opening"
    feed.set_state(FeedState.WAITING, "refused")
    feed.set_state(FeedState.OPEN)
    assert feed.states == ["waiting: refused", "open"]


@in_virtual_time
async def test_expired_events_are_reported_once() -> None:
    feed = Feed()
    feed.publish("1")
    await anyio.sleep(101)
    feed.expire()
    feed.expire()
    assert feed.observed[1:] == [FeedEventsEvicted("m.f", 1)]


# Waiting until a feed is open


@pytest.mark.parametrize(
    ("before", "during", "seconds"),
    [
        (FeedState.OPENING, None, 5.0),
        (FeedState.OPENING, FeedState.OPENING, 5.0),
        (FeedState.OPENING, FeedState.OPEN, 2.0),
        (FeedState.OPENING, FeedState.WAITING, 2.0),
        (FeedState.OPENING, FeedState.CLOSED, 2.0),
        (FeedState.OPEN, None, 0.0),
        (FeedState.WAITING, None, 0.0),
        (FeedState.CLOSED, None, 0.0),
    ],
)
@in_virtual_time
async def test_the_wait_for_a_feed_to_open_ends_when_it_is_or_cannot_be(
    before: FeedState, during: FeedState | None, seconds: float
) -> None:
    feed, ended = Feed(), []
    feed.set_state(before)

    async def wait() -> None:
        await feed.wait_opened(5.0)
        ended.append(anyio.current_time())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.sleep(2)
        if during is not None:
            feed.set_state(during)
    assert ended == [seconds]
    assert feed.readers == 0


@in_virtual_time
async def test_an_attempt_that_failed_and_began_again_in_the_same_turn_ends_the_wait() -> None:
    feed = Feed()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.wait_opened, 5.0)
        await anyio.sleep(2)
        feed.set_state(FeedState.WAITING, "refused")
        feed.set_state(FeedState.OPENING)
    assert anyio.current_time() == 2.0
