"""What the owner of a shared feed writes into the stream, while the store answers and while it does not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp.client.feeds.live_feed import FeedState
from utcp_ws_mcp.client.shared.feed_stream import Claim, LeaseLost, Tail
from utcp_ws_mcp.client.shared.feed_writer import BATCH, FeedWriter
from utcp_ws_mcp.client.shared.store import StoreAway

CLAIM = Claim(True, False, "1767", 5, 3, 2, None)


class Stream:
    """Keeps what is written; `away` is how many writes fail."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, list[tuple[int, Any]], Tail]] = []
        self.times: list[float] = []
        self.away = 0
        self.lost = False
        self.during = lambda: None

    async def append(self, epoch: str, entries: list[tuple[int, str]], tail: Tail) -> None:
        self.times.append(round(anyio.current_time(), 6))
        if self.lost:
            raise LeaseLost
        if self.away:
            self.away -= 1
            raise StoreAway("it hangs")
        self.writes.append((epoch, [(number, json.loads(text)) for number, text in entries], tail))
        during, self.during = self.during, lambda: None
        during()

    @property
    def numbers(self) -> list[list[int]]:
        return [[number for number, _ in entries] for _, entries, _ in self.writes]


def make_writer(stream: Any, size: int = 1000, max_bytes: int = 1 << 20) -> FeedWriter:
    return FeedWriter("m.f", "{}", stream, CLAIM, max_bytes, size, lambda: 7.0, [].append)


@asynccontextmanager
async def writing(**limits: int) -> AsyncIterator[tuple[FeedWriter, Stream]]:
    stream = Stream()
    writer = make_writer(stream, **limits)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.run)
        yield writer, stream
        tasks.cancel_scope.cancel()


def state_of(tail: Tail) -> Any:
    return json.loads(tail.state) if tail.state else None


@in_virtual_time
async def test_entries_go_on_behind_the_positions_of_the_claim() -> None:
    async with writing() as (writer, stream):
        writer.publish("1", '"k"', 8)
        writer.add_gap("lost")
        writer.publish('"ü"', None, None)
        await anyio.sleep(1)
    ((epoch, entries, tail),) = stream.writes
    assert epoch == "1767"
    assert entries == [
        (6, {"o": 4, "g": 2, "t": 7.0, "d": "1", "k": '"k"', "p": 8}),
        (7, {"o": 4, "g": 3, "t": 7.0, "r": "lost"}),
        (8, {"o": 5, "g": 3, "t": 7.0, "d": '"ü"', "k": None, "p": None}),
    ]
    assert tail == Tail(5, 3, "", False, 0)


@in_virtual_time
async def test_a_state_is_written_once_with_the_last_positions() -> None:
    async with writing() as (writer, stream):
        writer.set_state(FeedState.WAITING, "4 s after: refused")
        await anyio.sleep(1)
        writer.publish("1", None, None)
        writer.set_state(FeedState.OPEN)
        await anyio.sleep(1)
        writer.publish("2", None, None)
        await anyio.sleep(1)
    tails = [tail for _, _, tail in stream.writes]
    assert [state_of(tail) for tail in tails] == [
        {"s": "waiting", "d": "4 s after: refused", "e": "1767", "o": 3, "g": 2},
        {"s": "open", "d": "", "e": "1767", "o": 4, "g": 2},
        None,
    ]
    assert [(tail.offset, tail.gap, tail.is_open) for tail in tails] == [(3, 2, False), (4, 2, True), (5, 2, True)]
    assert stream.numbers == [[], [6], [7]]


@in_virtual_time
async def test_the_writer_remembers_that_the_feed_was_open() -> None:
    async with writing() as (writer, _):
        seen = []
        for state in (FeedState.OPENING, FeedState.OPEN, FeedState.WAITING):
            writer.set_state(state)
            seen.append((writer.state, writer.was_open))
    assert seen == [(FeedState.OPENING, False), (FeedState.OPEN, True), (FeedState.WAITING, True)]


@in_virtual_time
async def test_many_entries_are_written_in_parts_and_the_state_comes_with_the_last() -> None:
    stream = Stream()
    writer = make_writer(stream)
    writer.set_state(FeedState.OPEN)
    for number in range(2 * BATCH + 1):
        writer.publish(str(number), None, None)
        writer.add_gap("x")
    await writer.flush()
    assert [len(entries) for _, entries, _ in stream.writes] == [128, 128, 128, 128, 2]
    assert [bool(tail.state) for _, _, tail in stream.writes] == [False] * 4 + [True]
    assert [(tail.offset, tail.gap) for _, _, tail in stream.writes][::4] == [(3 + 64, 2 + 64), (3 + 257, 2 + 257)]


@in_virtual_time
async def test_exactly_one_part_has_the_state() -> None:
    stream = Stream()
    writer = make_writer(stream)
    writer.set_state(FeedState.OPEN)
    for _ in range(BATCH):
        writer.publish("1", None, None)
    await writer.flush()
    assert [bool(tail.state) for _, _, tail in stream.writes] == [True]


@in_virtual_time
async def test_nothing_is_written_without_a_reason() -> None:
    async with writing() as (writer, stream):
        await anyio.sleep(100)
        await writer.flush()
    assert stream.times == []


@in_virtual_time
async def test_what_comes_during_a_write_is_written_next() -> None:
    async with writing() as (writer, stream):

        def add_more() -> None:
            writer.publish("2", None, None)
            writer.set_state(FeedState.WAITING)

        stream.during = add_more
        writer.publish("1", None, None)
        writer.set_state(FeedState.OPEN)
        await anyio.sleep(1)
    assert stream.numbers == [[6], [7]]
    assert [state_of(tail)["s"] for _, _, tail in stream.writes] == ["open", "waiting"]


@in_virtual_time
async def test_a_write_that_fails_is_repeated_ten_times_a_second_until_it_succeeds() -> None:
    async with writing() as (writer, stream):
        stream.away = 3
        writer.publish("1", None, None)
        writer.set_state(FeedState.OPEN)
        await anyio.sleep(1)
    assert stream.times == [0.0, 0.1, 0.2, 0.3]
    assert stream.numbers == [[6]]
    assert state_of(stream.writes[0][2])["s"] == "open"


@in_virtual_time
async def test_of_what_waits_for_the_store_the_newest_entries_are_kept() -> None:
    stream = Stream()
    writer = make_writer(stream, size=3)
    for number in range(10):
        writer.publish(str(number), None, None)
    await writer.flush()
    assert stream.numbers == [[13, 14, 15]]


@in_virtual_time
async def test_entries_that_were_left_out_during_a_write_do_not_remove_later_ones() -> None:
    stream = Stream()
    writer = make_writer(stream, size=3)

    def overflow() -> None:
        for _ in range(4):
            writer.publish("2", None, None)

    stream.during = overflow
    writer.publish("1", None, None)
    await writer.flush()
    assert stream.numbers == [[6], [8, 9, 10]]


@pytest.mark.parametrize("size", [1024, 1025])
@in_virtual_time
async def test_an_event_that_is_larger_than_the_feed_may_be_is_written_without_its_data(size: int) -> None:
    stream = Stream()
    writer = make_writer(stream, max_bytes=1024)
    data = json.dumps("ü" * 511, ensure_ascii=False) + " " * (size - 1024)
    assert len(data.encode()) == size
    writer.publish(data, '"k"', 1)
    await writer.flush()
    assert stream.writes[0][1][0][1]["d"] == (data if size == 1024 else None)


@in_virtual_time
async def test_the_oldest_entries_are_removed_from_the_stream_when_they_exceed_its_bytes() -> None:
    stream = Stream()
    writer = make_writer(stream, max_bytes=1000)
    sizes = []
    for number in range(12):
        writer.publish(json.dumps("x" * 50), None, None)
        await writer.flush()
        sizes.append(len(json.dumps(stream.writes[-1][1][0][1], separators=(",", ":"))))
        kept = [6 + each for each in range(number + 1) if sum(sizes[each:]) <= 1000]
        assert stream.writes[-1][2].oldest == (kept[0] if kept[0] > 6 else 0)
    writer.publish(json.dumps("x" * 990), None, None)  # with its fields it is larger than all may be
    await writer.flush()
    assert stream.writes[-1][2].oldest == 18


@in_virtual_time
async def test_a_lost_lease_ends_the_writer() -> None:
    stream = Stream()
    writer = make_writer(stream)
    stream.lost = True
    writer.publish("1", None, None)
    with pytest.raises(LeaseLost):
        await writer.run()


@in_virtual_time
async def test_a_flush_says_that_the_store_is_away_and_keeps_what_waits() -> None:
    stream = Stream()
    writer = make_writer(stream)
    stream.away = 1
    writer.publish("1", None, None)
    with pytest.raises(StoreAway):
        await writer.flush()
    await writer.flush()
    assert stream.numbers == [[6]]


def test_a_writer_has_what_a_keeper_needs() -> None:
    observed: list[Any] = []
    stream: Any = Stream()
    writer = FeedWriter("m.f", '{"a":1}', stream, CLAIM, 1, 1, lambda: 0.0, observed.append)
    writer.observe("x")  # type: ignore[arg-type]
    assert (writer.name, writer.arguments, observed) == ("m.f", '{"a":1}', ["x"])
    assert (writer.state, writer.was_open) == (FeedState.OPENING, False)


@pytest.mark.parametrize(("has_positions", "writes"), [(True, [1 + 200, 1]), (False, [128, 74])])
@in_virtual_time
async def test_the_events_of_a_message_with_a_position_are_written_together(
    has_positions: bool, writes: list[int]
) -> None:
    stream: Any = Stream()
    writer = FeedWriter("m.f", "{}", stream, CLAIM, 1 << 20, 1000, lambda: 7.0, [].append, has_positions=has_positions)
    writer.publish("0", None, 1)
    for number in range(200):
        writer.publish(str(number), None, 2 if number == 199 else None)
    writer.publish("0", None, 3)
    await writer.flush()
    assert [len(entries) for _, entries, _ in stream.writes] == writes


@in_virtual_time
async def test_the_beginning_of_a_message_with_a_position_waits_for_its_end() -> None:
    stream = Stream()
    writer = FeedWriter("m.f", "{}", stream, CLAIM, 1 << 20, 1000, lambda: 7.0, [].append, has_positions=True)  # type: ignore[arg-type]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.run)
        writer.publish("0", None, 6)
        writer.publish("1", None, None)
        writer.set_state(FeedState.OPEN)
        await anyio.sleep(1)
        assert stream.numbers == [[6]]
        writer.publish("2", None, None)
        await anyio.sleep(1)
        assert stream.numbers == [[6]]
        writer.publish("3", None, 7)
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    assert stream.numbers == [[6], [7, 8, 9]]
    assert [bool(tail.state) for _, _, tail in stream.writes] == [False, True]
