"""What a replica copies from the stream of a shared feed into its own buffer, and when it has arrived."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp.client.feeds.live_feed import LiveFeed
from utcp_ws_mcp.client.shared.feed_follower import FeedFollower
from utcp_ws_mcp.client.shared.store import StoreAway
from utcp_ws_mcp.core.feeds.buffer import BufferLimits, EventBuffer
from utcp_ws_mcp.core.feeds.cursor import Cursor
from utcp_ws_mcp.core.feeds.shared_entry import SharedEvent, SharedGap, SharedState, encode_entry, encode_state


class Stream:
    """A stream in which a test puts entries and states; errors are raised in turn."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self.states: list[Any] = []
        self.errors: list[StoreAway] = []
        self.reads: list[tuple[float, str, str]] = []
        self._changed = anyio.Event()

    async def read(self, position: str, state_position: str) -> tuple[list[Any], list[Any]]:
        self.reads.append((round(anyio.current_time(), 6), position, state_position))
        await anyio.lowlevel.checkpoint()
        if self.errors:
            raise self.errors.pop(0)
        if not (self.entries or self.states):
            await self._changed.wait()
        found, self.entries, self.states = (self.entries, self.states), [], []
        if self.errors:
            raise self.errors.pop(0)
        return found

    def open_entry(self, entry_id: str, raw: bytes) -> bytes:
        return raw

    def open_state(self, raw: bytes) -> bytes:
        return raw

    async def put(self, *entries: Any, states: Any = ()) -> None:
        self.entries += entries
        self.states += states
        await self.wake()

    async def wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
        await anyio.sleep(0.001)


def event(
    number: int, offset: int, gap: int = 0, *, epoch: int = 5, data: str | None = "1", key: str | None = None
) -> Any:
    return f"{epoch}-{number}", {
        b"e": encode_entry(SharedEvent(offset, gap, 40.0 + offset, data, key, offset)).encode()
    }


def a_gap(number: int, offset: int, gap: int, reason: str = "lost") -> Any:
    return f"5-{number}", {b"e": encode_entry(SharedGap(offset, gap, 50.0, reason)).encode()}


def state(number: int, name: str, detail: str = "", epoch: str = "5", offset: int = 0, gap: int = 0) -> Any:
    return f"{number}-0", {b"s": encode_state(SharedState(name, detail, epoch, offset, gap)).encode()}


class Followed:
    def __init__(self) -> None:
        self.stream = Stream()
        self.states: list[str] = []
        self.noted: list[Any] = []
        self.released = 0
        buffer = EventBuffer("aaaa", BufferLimits(100, 1 << 20, 1e9))
        self.live = LiveFeed(
            "m.f", buffer, lambda: 99.0, on_state=lambda: self.states.append(self.live.describe_state())
        )
        self.follower = FeedFollower(self.stream, self.live, self.noted.append, self.release)  # type: ignore[arg-type]

    def release(self) -> None:
        self.released += 1

    @property
    def kept(self) -> list[tuple[int, float, str, str | None]]:
        page = self.live.buffer.read(Cursor("zzzz", 0, 0), 100, 1 << 20)
        return [(each.offset, each.at, each.data, each.key) for each in page.events]

    @property
    def gaps(self) -> list[tuple[int, int, float, str]]:
        page = self.live.buffer.read(Cursor("zzzz", 0, 0), 100, 1 << 20)
        return [(gap.number, gap.after, gap.at, gap.reason) for gap in page.gaps]

    @property
    def end(self) -> str:
        return str(self.live.buffer.end)


@asynccontextmanager
async def followed() -> AsyncIterator[Followed]:
    async with anyio.create_task_group() as tasks:
        f = Followed()
        tasks.start_soon(f.follower.run)
        await anyio.sleep(0)
        yield f
        tasks.cancel_scope.cancel()


# Entries


@in_virtual_time
async def test_events_and_gaps_are_copied_with_their_numbers_and_times() -> None:
    async with followed() as f:
        await f.stream.put(event(1, 1, data="7", key='"k"'), a_gap(2, 1, 1, "why"), event(3, 2, 1))
        assert f.kept == [(1, 41.0, "7", '"k"'), (2, 42.0, "1", None)]
        assert f.gaps == [(1, 1, 50.0, "why")]
        assert (f.end, f.follower.number) == ("5-2.1", 3)
        assert [each.position for each in f.noted] == [1, 2]


@in_virtual_time
async def test_the_stream_is_read_behind_what_was_copied() -> None:
    async with followed() as f:
        await f.stream.put(event(1, 1), event(2, 2), states=[state(8, "open"), state(9, "open")])
        await f.stream.put(event(3, 3))
        assert [(position, at) for _, position, at in f.stream.reads] == [
            ("0-0", "0-0"),
            ("5-2", "9-0"),
            ("5-3", "9-0"),
        ]
        f.follower.restart()
        assert f.follower.number == 0
        await f.stream.put(event(4, 4))
        assert f.stream.reads[-1][1:] == ("5-4", "0-0")


@pytest.mark.parametrize(
    ("entries", "end", "offsets"),
    [
        ([event(1, 1), event(4, 4)], "5-4.0", [4]),
        ([event(1, 1), event(4, 2, 1)], "5-2.1", [2]),
        ([event(9, 9, 3)], "5-9.3", [9]),
        ([event(1, 1), a_gap(4, 1, 2)], "5-1.2", []),
        ([event(1, 1), a_gap(4, 3, 1)], "5-3.1", []),
        ([event(1, 1), event(2, 1, epoch=6)], "6-1.0", [1]),
        ([event(1, 1), event(2, 2, data=None)], "5-2.0", []),
        ([event(1, 1), event(2, 2, data=None), event(3, 3)], "5-3.0", [3]),
        ([event(1, 1), event(2, 2), a_gap(3, 2, 1)], "5-2.1", [1, 2]),
    ],
    ids=[
        "events are missing",
        "a gap is missing",
        "the beginning is missing",
        "a gap is missing before a gap",
        "events are missing before a gap",
        "another life",
        "an event that was too large",
        "an event behind one that was too large",
        "nothing is missing",
    ],
)
@in_virtual_time
async def test_what_the_stream_lacks_is_left_out_of_the_buffer(entries: Any, end: str, offsets: list[int]) -> None:
    async with followed() as f:
        await f.stream.put(*entries)
        assert (f.end, [offset for offset, *_ in f.kept]) == (end, offsets)


@in_virtual_time
async def test_an_event_that_was_too_large_is_noted_nevertheless() -> None:
    async with followed() as f:
        await f.stream.put(event(1, 1, data=None))
        assert [each.data for each in f.noted] == [None]


@pytest.mark.parametrize("fields", [{b"e": b"["}, {b"e": b"{}"}, {}], ids=str)
@in_virtual_time
async def test_an_entry_that_is_none_is_left_out_and_named_in_the_log(
    fields: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with followed() as f:
        with caplog.at_level(logging.WARNING, "utcp_ws_mcp"):
            await f.stream.put(("5-1", fields), event(2, 1))
        assert (f.end, f.follower.number, len(caplog.records)) == ("5-1.0", 2, 1)
        assert caplog.messages[0].startswith("m.f: an entry of the shared store is left out: ")


# States


@pytest.mark.parametrize(
    ("name", "detail", "shown"),
    [
        ("opening", "", []),
        ("opening", "the last failure was: refused", ["opening: the last failure was: refused"]),
        ("open", "", ["open"]),
        ("waiting", "refused", ["waiting: refused"]),
        ("closed", "it is no longer read", []),  # by the owner; this replica still follows it
    ],
)
@in_virtual_time
async def test_the_state_of_the_owner_is_shown_if_it_is_another_one(name: str, detail: str, shown: list[str]) -> None:
    async with followed() as f:
        await f.stream.put(states=[state(1, name, detail)])
        assert f.states == shown
        await f.stream.put(states=[state(2, name, detail)])
        assert f.states == shown


@in_virtual_time
async def test_a_detail_that_changes_is_shown() -> None:
    async with followed() as f:
        await f.stream.put(states=[state(1, "waiting", "a"), state(2, "waiting", "b"), state(3, "open")])
        assert f.states == ["waiting: a", "waiting: b", "open"]


@in_virtual_time
async def test_the_state_of_another_life_begins_it_behind_its_positions() -> None:
    async with followed() as f:
        await f.stream.put(event(1, 1), states=[state(1, "open", offset=1)])
        assert (f.end, len(f.kept)) == ("5-1.0", 1)
        await f.stream.put(states=[state(2, "open", epoch="6", offset=7, gap=2)])
        assert (f.end, f.kept) == ("6-7.2", [])


@in_virtual_time
async def test_a_released_feed_is_reported_and_changes_no_state() -> None:
    async with followed() as f:
        await f.stream.put(states=[("1-0", {b"released": b"1"}), state(2, "open")])
        assert (f.released, f.states) == (1, ["open"])


@pytest.mark.parametrize(
    "fields", [{b"s": b"["}, {b"s": state(1, "other")[1][b"s"]}, {}], ids=["no JSON", "unknown", "none"]
)
@in_virtual_time
async def test_a_state_that_is_none_is_left_out_and_named_in_the_log(
    fields: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with followed() as f:
        with caplog.at_level(logging.WARNING, "utcp_ws_mcp"):
            await f.stream.put(states=[("7-0", fields)])
        assert (f.states, f.released, len(caplog.records)) == ([], 0, 1)
        assert caplog.messages[0].startswith("m.f: a state of the shared store is left out: ")
        assert f.stream.reads[-1][2] == "7-0"


# A store that is away


@in_virtual_time
async def test_a_store_that_is_away_is_a_state_and_asked_ten_times_a_second() -> None:
    async with followed() as f:
        await f.stream.put(states=[state(3, "open")])
        f.stream.errors = [StoreAway("it hangs")] * 3
        began = anyio.current_time()
        await f.stream.put(states=[state(4, "open")])
        await anyio.sleep(1)
        assert f.states == ["open", "waiting: the shared store is away: it hangs"]
        times = [at - began for at, *_ in f.stream.reads[2:]]
        assert times == pytest.approx([0.1, 0.2, 0.3], abs=0.002)
        assert [position for *_, position in f.stream.reads[2:]] == ["0-0"] * 3  # the state is needed again
        await f.stream.put(states=[state(3, "open")])
        assert f.states[-1] == "open"


@in_virtual_time
async def test_another_reason_why_the_store_is_away_is_shown() -> None:
    async with followed() as f:
        f.stream.errors = [StoreAway("it hangs"), StoreAway("it is gone")]
        await f.stream.put(event(1, 1))
        await anyio.sleep(1)
        away = "waiting: the shared store is away: "
        assert f.states == [f"{away}it hangs", f"{away}it is gone"]


# What has arrived


@pytest.mark.parametrize(
    ("cursor", "ahead"),
    [
        (None, False),
        ("5-2.1", False),
        ("5-1.0", False),
        ("5-3.1", True),
        ("5-2.2", True),
        ("5-3.0", True),
        ("6-0.0", True),
        ("10-0.0", True),
        ("4-9.9", False),
        ("abcd-9.9", False),
    ],
)
@in_virtual_time
async def test_a_cursor_is_ahead_if_its_reader_has_seen_more_than_has_arrived(cursor: str | None, ahead: bool) -> None:
    async with followed() as f:
        await f.stream.put(event(1, 1), a_gap(2, 1, 1), event(3, 2, 1))
        parsed = (
            None if cursor is None else Cursor(cursor.partition("-")[0], *map(int, cursor.partition("-")[2].split(".")))
        )
        assert f.follower.is_ahead(parsed) is ahead


@pytest.mark.parametrize(("epoch", "ahead"), [("5", True), ("aaaa", False), ("bbbb", False)])
@in_virtual_time
async def test_before_anything_has_arrived_a_cursor_of_a_shared_life_is_ahead(epoch: str, ahead: bool) -> None:
    async with followed() as f:
        assert f.follower.is_ahead(Cursor(epoch, 0, 0)) is ahead


@in_virtual_time
async def test_a_read_waits_until_what_its_reader_has_seen_has_arrived() -> None:
    async with followed() as f, anyio.create_task_group() as tasks:
        results: list[tuple[bool, float]] = []

        async def reach(cursor: Cursor | None) -> None:
            reached = await f.follower.reach(cursor)
            results.append((reached, round(anyio.current_time(), 2)))

        tasks.start_soon(reach, None)
        tasks.start_soon(reach, Cursor("5", 2, 0))
        tasks.start_soon(reach, Cursor("5", 9, 0))
        await anyio.sleep(0.3)
        await f.stream.put(event(1, 1))
        await anyio.sleep(0.3)
        await f.stream.put(event(2, 2))
        await anyio.sleep(1)
        assert results == [(True, 0.0), (True, 0.6), (False, 1.0)]
        assert f.follower._reaching == set()


@in_virtual_time
async def test_an_owner_waits_a_second_at_most_until_an_entry_is_copied() -> None:
    async with followed() as f, anyio.create_task_group() as tasks:
        ended: list[float] = []

        async def catch_up(number: int) -> None:
            await f.follower.catch_up(number)
            ended.append(round(anyio.current_time(), 2))

        for number in (0, 1, 3):
            tasks.start_soon(catch_up, number)
        await anyio.sleep(0.3)
        await f.stream.put(event(1, 1))
        await f.stream.put(event(2, 2))
        await anyio.sleep(1)
        assert ended == [0.0, 0.3, 1.0]
        assert f.follower._reaching == set()
