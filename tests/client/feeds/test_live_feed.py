"""Reads of a feed: what they return, how long they wait, and what ends the wait."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from utcp_ws_mcp.client.feeds import live_feed
from utcp_ws_mcp.client.feeds.live_feed import (
    MAX_WAITING_READS,
    FeedState,
    LiveFeed,
    TooManyReads,
)
from utcp_ws_mcp.client.feeds.manager import FeedManager
from utcp_ws_mcp.client.feeds.one_read import TURN_EFFORT, OneRead, ReadRequest, ReadResult
from utcp_ws_mcp.client.pool.manager import PoolManager
from utcp_ws_mcp.core.feeds.buffer import BufferLimits, EventBuffer
from utcp_ws_mcp.core.feeds.cursor import Cursor
from utcp_ws_mcp.records import replace

LONG = 60.0
REQUEST = ReadRequest(None, LONG, 50, 1 << 20)


def make_feed(size: int = 100, max_bytes: int = 1 << 20) -> LiveFeed:
    return LiveFeed("m.feed", EventBuffer("abcd", BufferLimits(size, max_bytes, 1e9)), lambda: 0.0)


async def read_while(feed: LiveFeed, request: ReadRequest, act: Any) -> ReadResult:
    """Start a read, act once it waits, and return its result."""
    results: list[ReadResult] = []

    async def read() -> None:
        results.append(await feed.read(request))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await wait_all_tasks_blocked()
            assert not results
            act()
    return results[0]


def data(result: ReadResult) -> list[str]:
    return [event.data for event in result.events]


async def test_events_that_are_there_are_returned_at_once() -> None:
    feed = make_feed()
    feed.publish("1")
    result = await feed.read(REQUEST)
    assert (data(result), result.timed_out, result.missed) == (["1"], False, 0)


async def test_a_wait_returns_with_the_first_event() -> None:
    feed = make_feed()
    result = await read_while(feed, replace(REQUEST, cursor=feed.buffer.end), lambda: feed.publish("1"))
    assert (data(result), result.timed_out) == (["1"], False)


async def test_a_wait_returns_a_burst_together() -> None:
    feed = make_feed()

    def publish_burst() -> None:
        for number in range(3):
            feed.publish(str(number))

    result = await read_while(feed, replace(REQUEST, cursor=feed.buffer.end), publish_burst)
    assert data(result) == ["0", "1", "2"]


async def test_a_wait_without_a_cursor_goes_on_in_another_life_of_the_feed() -> None:
    feed = make_feed()

    def begin_another_life() -> None:
        feed.buffer.restart("5", 7, 0)
        feed.publish("1")

    result = await read_while(feed, REQUEST, begin_another_life)
    assert (data(result), result.missed, str(result.cursor)) == (["1"], 0, "5-8.0")


async def test_a_wait_that_no_event_ends_has_timed_out() -> None:
    result = await make_feed().read(replace(REQUEST, wait_seconds=0.01))
    assert (result.events, result.timed_out) == ((), True)


async def test_without_a_wait_nothing_has_timed_out() -> None:
    result = await make_feed().read(replace(REQUEST, wait_seconds=0))
    assert (result.events, result.timed_out, result.state) == ((), False, "opening")


async def test_a_gap_ends_a_wait() -> None:
    feed = make_feed()
    result = await read_while(feed, replace(REQUEST, cursor=feed.buffer.end), lambda: feed.add_gap("connection lost"))
    assert ([gap.reason for gap in result.gaps], result.missed, result.timed_out) == (["connection lost"], None, False)


async def test_without_a_cursor_the_gaps_behind_the_first_accepted_event_are_returned_and_end_no_wait() -> None:
    feed = make_feed()
    for number in ("1", "2", "3"):
        feed.publish(number)
        feed.add_gap(f"lost after {number}")
    result = await feed.read(replace(REQUEST, accepts=lambda event: event.data == "2"))
    assert (data(result), [gap.reason for gap in result.gaps], result.missed) == (
        ["2"],
        ["lost after 2", "lost after 3"],
        None,
    )
    result = await feed.read(replace(REQUEST, accepts=lambda event: False, wait_seconds=0.01))
    assert (result.events, result.missed, result.timed_out) == ((), None, True)
    assert [gap.reason for gap in result.gaps] == ["lost after 3"]
    result = await feed.read(replace(REQUEST, cursor=result.cursor, wait_seconds=0))
    assert (result.gaps, result.missed) == ((), 0)


async def test_without_a_cursor_the_gaps_of_an_earlier_life_are_not_returned() -> None:
    feed = make_feed()
    feed.add_gap("connection lost")

    def begin_another_life() -> None:
        feed.buffer.restart("efgh", 0, 0)
        feed.publish("1")

    result = await read_while(feed, REQUEST, begin_another_life)
    assert (data(result), result.gaps, result.missed) == (["1"], (), 0)


async def test_a_failure_ends_a_wait_and_is_named() -> None:
    feed = make_feed()
    result = await read_while(feed, REQUEST, lambda: feed.set_state(FeedState.WAITING, "4 s after: refused"))
    assert (result.state, result.timed_out) == ("waiting: 4 s after: refused", False)


async def test_an_opened_feed_does_not_end_a_wait() -> None:
    feed = make_feed()

    def open_and_publish() -> None:
        feed.set_state(FeedState.OPEN)
        feed.publish("1")

    result = await read_while(feed, REQUEST, open_and_publish)
    assert (data(result), result.state) == (["1"], "open")


async def test_only_events_that_the_reader_accepts_end_a_wait() -> None:
    feed = make_feed()
    request = replace(REQUEST, cursor=feed.buffer.end, accepts=lambda event: event.data == "2")

    def publish() -> None:
        feed.publish("1")
        feed.publish("2")

    result = await read_while(feed, request, publish)
    assert (data(result), result.cursor.offset) == (["2"], 2)


async def test_events_that_a_reader_does_not_accept_are_read_all_the_same() -> None:
    feed = make_feed()
    for number in range(6):
        feed.publish(str(number % 2))
    request = ReadRequest(None, 0, 2, 1 << 20, accepts=lambda event: event.data == "1")
    first = await feed.read(replace(request, cursor=Cursor("abcd", 0, 0)))
    assert ([event.offset for event in first.events], first.has_more) == ([2, 4], True)
    second = await feed.read(replace(request, cursor=first.cursor))
    assert ([event.offset for event in second.events], second.has_more, second.cursor.offset) == ([6], False, 6)


async def test_a_cancelled_read_leaves_everything_as_it_was() -> None:
    feed = make_feed()
    cursor = feed.buffer.end
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.read, replace(REQUEST, cursor=cursor))
        await wait_all_tasks_blocked()
        assert feed.readers == 1
        tasks.cancel_scope.cancel()
    assert feed.readers == 0
    feed.publish("1")
    assert data(await feed.read(replace(REQUEST, cursor=cursor))) == ["1"]


async def test_more_waiting_reads_than_allowed_are_refused_and_the_others_go_on() -> None:
    feed = make_feed()
    results: list[ReadResult] = []

    async def read() -> None:
        results.append(await feed.read(REQUEST))

    async with anyio.create_task_group() as tasks:
        for _ in range(MAX_WAITING_READS):
            tasks.start_soon(read)
        await wait_all_tasks_blocked()
        with pytest.raises(TooManyReads):
            await feed.read(REQUEST)
        feed.publish("1")
    assert [data(result) for result in results] == [["1"]] * MAX_WAITING_READS


async def test_what_a_reader_missed_counts_once_where_the_next_event_is_too_large() -> None:
    feed = make_feed(size=1)
    request = replace(REQUEST, wait_seconds=0, cursor=feed.buffer.end, max_bytes=200)
    found = OneRead(feed.buffer, request, anyio.Lock())
    feed.publish("1")
    await found.advance(LONG)
    feed.publish("2")
    feed.publish("3")
    await found.advance(LONG)
    first = found.result("open", timed_out=False)
    assert (data(first), first.missed, first.has_more) == (["1"], 1, True)
    second = await feed.read(replace(request, cursor=first.cursor))
    assert (data(second), second.missed, second.has_more) == (["3"], 0, False)


async def read_under_flood(request: ReadRequest, *, at_once: int) -> ReadResult:
    """Read while events are added in each turn of the event loop, `at_once` in each, faster than they are compared."""
    feed, flooding = make_feed(size=1 << 40, max_bytes=1 << 40), anyio.CancelScope()

    async def flood() -> None:
        with flooding:
            while True:
                for _ in range(at_once):
                    feed.publish("0")
                await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(flood)
        with anyio.fail_after(10):
            result = await feed.read(replace(request, cursor=feed.buffer.end))
        flooding.cancel()
    return result


@pytest.mark.parametrize("seconds", [0.1, 0])
async def test_a_search_ends_in_time_however_fast_events_come_and_goes_on_at_its_cursor(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_feed, "SEARCH_SECONDS", 0.1)
    began = anyio.current_time()
    request = replace(REQUEST, wait_seconds=seconds, accepts=lambda event: False)
    result = await read_under_flood(request, at_once=500)
    assert 0.1 <= anyio.current_time() - began < 1
    assert (result.events, result.timed_out, result.has_more) == ((), seconds > 0, True)
    assert result.cursor.offset > 0


async def test_a_read_whose_time_has_passed_in_a_search_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_feed, "SEARCH_SECONDS", 0.1)
    monkeypatch.setattr(live_feed, "MAX_WAITING_READS", 0)
    request = replace(REQUEST, wait_seconds=0.05, accepts=lambda event: False)
    result = await read_under_flood(request, at_once=500)
    assert (result.events, result.timed_out, result.has_more) == ((), True, True)


async def test_a_search_that_found_an_event_goes_on_for_fifty_milliseconds_however_fast_events_come() -> None:
    began = anyio.current_time()
    request = replace(REQUEST, max_events=1 << 40, accepts=lambda event: event.offset % 100 == 50)
    result = await read_under_flood(request, at_once=500)
    assert 0.05 <= anyio.current_time() - began < 1
    assert (data(result)[:1], result.timed_out, result.has_more) == (["0"], False, True)


async def test_a_burst_is_collected_for_fifty_milliseconds_however_fast_events_come() -> None:
    began = anyio.current_time()
    result = await read_under_flood(replace(REQUEST, max_events=1 << 40, max_bytes=1 << 40), at_once=1)
    assert 0.05 <= anyio.current_time() - began < 1
    assert not result.timed_out


async def test_searches_take_turns_so_that_whatever_else_runs_waits_for_one_of_them() -> None:
    feeds, compared, done = [make_feed(size=1000) for _ in range(2)], 0, 0
    turns = anyio.Lock()

    def compare(event: Any) -> bool:
        nonlocal compared
        compared += 1
        return False

    async def search(read: OneRead) -> None:
        nonlocal done
        await read.advance(anyio.current_time() + 10)
        done += 1

    async with anyio.create_task_group() as tasks:
        for feed in feeds:
            for _ in range(1000):
                feed.publish("0")
            for _ in range(5):
                request = replace(REQUEST, cursor=Cursor("abcd", 0, 0), accepts=compare)
                tasks.start_soon(search, OneRead(feed.buffer, request, turns))
        while done < 10:
            before = compared
            await checkpoint()
            assert compared - before <= TURN_EFFORT
    assert compared == 10_000


async def test_a_search_of_large_events_lets_others_run_earlier() -> None:
    feed, compared = make_feed(size=1000), 0

    def compare(event: Any) -> bool:
        nonlocal compared
        compared += 1
        return False

    for _ in range(50):
        feed.publish(f'"{"x" * 20_000}"')
    request = replace(REQUEST, cursor=Cursor("abcd", 0, 0), accepts=compare)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(OneRead(feed.buffer, request, anyio.Lock()).advance, anyio.current_time() + 10)
        while compared < 50:
            before = compared
            await checkpoint()
            assert compared - before < 50


async def test_a_slow_reader_delays_no_other_reader() -> None:
    feed = make_feed(size=10)
    slow = feed.buffer.end
    for number in range(100):
        feed.publish(str(number))
        await checkpoint()
    result = await feed.read(replace(REQUEST, cursor=slow))
    assert (result.missed, len(result.events)) == (90, 10)


def test_the_memory_of_all_feeds_is_bounded_without_adding_it_up_for_each_event() -> None:
    nothing = cast("Any", None)
    manager = FeedManager(nothing, PoolManager(nothing, nothing), nothing, max_total_bytes=100_000)
    limits = BufferLimits(10_000, 1 << 26, 3600)
    lives = [LiveFeed(f"m.{number}", EventBuffer(f"e{number:04}", limits), lambda: 0.0) for number in range(3)]
    added_up = 0

    def instances(self: FeedManager) -> Any:
        nonlocal added_up
        added_up += 1
        return iter([SimpleNamespace(live=live) for live in lives])

    with mock.patch.object(FeedManager, "__iter__", instances):
        for number in range(3000):
            manager._bound_memory(lives[number % 3].publish("x" * 100).size)
            assert sum(live.buffer.bytes for live in lives) <= 100_000
    assert all(len(live.buffer) > 50 for live in lives)
    assert added_up < 1500
