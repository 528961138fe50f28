"""Reads of a feed: what they return, how long they wait, and what ends the wait."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from utcp_ws_mcp.client.feeds.live_feed import (
    MAX_WAITING_READS,
    FeedState,
    LiveFeed,
    ReadRequest,
    ReadResult,
    TooManyReads,
)
from utcp_ws_mcp.client.feeds.manager import FeedManager
from utcp_ws_mcp.client.pool.manager import PoolManager
from utcp_ws_mcp.core.feeds.buffer import BufferLimits, EventBuffer
from utcp_ws_mcp.core.feeds.cursor import Cursor
from utcp_ws_mcp.records import replace

LONG = 60.0
REQUEST = ReadRequest(None, LONG, 50, 1 << 20)


def make_feed(size: int = 100) -> LiveFeed:
    return LiveFeed("m.feed", EventBuffer("abcd", BufferLimits(size, 1 << 20, 1e9)), lambda: 0.0)


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
