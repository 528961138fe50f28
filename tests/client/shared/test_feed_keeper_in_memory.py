"""Who keeps a shared feed open: one replica at a time, the next one when it ends or is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.client.feeds.quiet import compiled_feed
from tests.client.feeds.test_keeper import Line, invalid, lost, message_of
from tests.client.shared.memory_store import MemoryStore, make_fleet
from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp.client.feeds.live_feed import LiveFeed
from utcp_ws_mcp.client.shared import feed_stream
from utcp_ws_mcp.client.shared.feed_keeper import SharedKeeper
from utcp_ws_mcp.client.shared.feed_stream import Claim, FeedStream, LeaseLost, Tail
from utcp_ws_mcp.core.feeds.buffer import BufferLimits, EventBuffer
from utcp_ws_mcp.core.feeds.cursor import Cursor
from utcp_ws_mcp.core.feeds.feed import FeedMessage
from utcp_ws_mcp.core.feeds.shared_entry import SharedEvent
from utcp_ws_mcp.errors import ConnectError
from utcp_ws_mcp.observability.feed_events import FeedClosed, FeedInterrupted, FeedOpened, FeedOwned

HELD_ELSEWHERE = ConnectError("ws://h/", "another replica has it.", code="account-held-elsewhere")
RESUMES = {"position": "message.x", "resume": [{"send": {"after": "{{ position }}"}}]}
FIELDS: dict[str, Any] = {"max_age": 60, "linger": 10}


class Replica:
    """A replica that follows a feed; `lines` are its subscriptions, in turn."""

    def __init__(self, store: MemoryStore, tasks: Any, name: str, **feed: Any) -> None:
        self.lines: list[Line] = []
        self.opened: list[Any] = []
        self.observed: list[Any] = []
        self.states: list[str] = []
        self.wanted = 0
        self.ended = False
        compiled = compiled_feed(**{**FIELDS, **feed})
        definition = compiled.definition
        limits = BufferLimits(definition.size, definition.max_bytes, definition.max_age)
        self.live = LiveFeed(
            "m.f",
            EventBuffer("aaaa", limits),
            lambda: 1_767_225_600.0 + anyio.current_time(),
            self.observed.append,
            on_state=lambda: self.states.append(self.live.describe_state()),
        )
        self.keeper = SharedKeeper(compiled, self.live, self.subscribe, make_fleet(store, name))  # type: ignore[arg-type]
        self.keeper.on_wanted = self.note_wanted
        self._tasks = tasks
        self.scope = anyio.CancelScope()

    def subscribe(self, position: Any) -> Any:
        self.opened.append((round(anyio.current_time(), 2), position))
        return self.lines.pop(0) if self.lines else Line()

    def note_wanted(self) -> None:
        self.wanted += 1

    def start(self, *lines: Line) -> Replica:
        self.lines += lines
        self.scope = anyio.CancelScope()

        async def run() -> None:
            with self.scope:
                await self.keeper.run()
            self.ended = True

        self._tasks.start_soon(run)
        return self

    async def stop(self) -> None:
        self.scope.cancel()
        await anyio.sleep(0.05)

    def seen(self, kind: type) -> list[Any]:
        return [event for event in self.observed if isinstance(event, kind)]

    @property
    def data(self) -> list[str]:
        page = self.live.buffer.read(Cursor("zzzz", 0, 0), 1000, 1 << 20)
        return [event.data for event in page.events]

    @property
    def gaps(self) -> list[str]:
        page = self.live.buffer.read(Cursor("zzzz", 0, 0), 1000, 1 << 20)
        return [gap.reason for gap in page.gaps]

    @property
    def owns(self) -> bool:
        return self.keeper._keeper is not None


@asynccontextmanager
async def two(**feed: Any) -> AsyncIterator[tuple[MemoryStore, Replica, Replica]]:
    store = MemoryStore()
    async with anyio.create_task_group() as tasks:
        yield store, Replica(store, tasks, "a", **feed), Replica(store, tasks, "b", **feed)
        tasks.cancel_scope.cancel()


def event(number: int) -> FeedMessage:
    return message_of(str(number), position=number)


def key_of(store: MemoryStore, part: str) -> str:
    (key,) = (key for key in store.values if key.endswith(f":{part}"))
    return key


# One owner


@in_virtual_time
async def test_the_first_replica_keeps_the_feed_open_and_both_get_its_events() -> None:
    async with two() as (_, a, b):
        a.start(Line(1.0, event(1), event(2), 5.0, event(3)))
        await anyio.sleep(0.5)
        b.start()
        await anyio.sleep(60)
        assert (a.data, b.data, a.gaps) == (["1", "2", "3"], ["1", "2", "3"], [])
        assert str(a.live.buffer.end) == str(b.live.buffer.end)
        assert (len(a.opened), b.opened) == (1, [])
        assert (a.states[-1], b.states[-1]) == ("open", "open")
        assert a.seen(FeedOwned) == [FeedOwned("m.f", "{}", taken_over=False)]
        assert b.seen(FeedOwned) == []


@in_virtual_time
async def test_an_owner_learns_that_another_replica_wants_the_feed_with_each_renewal() -> None:
    async with two() as (_, a, b):
        a.start()
        await anyio.sleep(10)
        assert a.wanted == 0
        b.start()
        await anyio.sleep(10)
        assert a.wanted == pytest.approx(6, abs=1)
        await b.stop()
        before = a.wanted
        await anyio.sleep(20)
        assert a.wanted - before <= 3  # the wish of who has left ends with the time of a lease
        assert b.wanted == 0


@in_virtual_time
async def test_an_owner_that_ends_hands_the_feed_over_at_once_with_a_gap() -> None:
    async with two() as (_, a, b):
        a.start(Line(event(1)))
        await anyio.sleep(1)
        b.start(Line(event(2)))
        await anyio.sleep(9)
        await a.stop()
        assert b.owns
        await anyio.sleep(1)
        assert b.data == ["1", "2"]
        (gap,) = b.gaps
        assert gap.startswith("not connected from ")
        assert "(the replica that kept the feed open has ended, or was not reached)" in gap
        assert b.seen(FeedOwned) == [FeedOwned("m.f", "{}", taken_over=True)]
        assert b.seen(FeedOpened)[0].reconnected
        assert [each.reason for each in a.seen(FeedClosed)] == ["another replica keeps the feed open, or will"]


@in_virtual_time
async def test_a_feed_whose_owner_is_lost_is_taken_over_when_its_lease_has_ended() -> None:
    async with two() as (store, a, b):
        a.start()
        await anyio.sleep(1)
        b.start()
        await anyio.sleep(1)
        token = store.values[key_of(store, "lease")]
        a.scope.cancel()
        store.away = "it hangs"  # the owner cannot release the feed
        await anyio.sleep(2)
        store.away = None
        assert store.get(key_of(store, "lease")) == token
        began = anyio.current_time()
        while not b.owns:
            await anyio.sleep(0.05)
        assert anyio.current_time() - began < 5
        await anyio.sleep(0.1)
        assert b.seen(FeedOwned)[0].taken_over


@in_virtual_time
async def test_the_next_owner_resumes_behind_the_last_position() -> None:
    async with two(**RESUMES) as (_, a, b):
        a.start(Line(event(1), event(2)))
        await anyio.sleep(1)
        b.start(Line(event(2), event(3), resumed=True))
        await anyio.sleep(5)
        await a.stop()
        await anyio.sleep(1)
        assert b.opened[0][1] == 2
        assert (b.data, b.gaps, b.keeper.duplicates) == (["1", "2", "3"], [], 1)


@in_virtual_time
async def test_a_replica_that_stops_and_starts_again_follows_from_the_beginning() -> None:
    async with two() as (_, a, b):
        a.start(Line(event(1)))
        await anyio.sleep(1)
        b.start()
        await anyio.sleep(2)
        await b.stop()
        b.live.buffer.restart("aaaa", 0, 0)
        b.start()
        await anyio.sleep(2)
        assert b.data == ["1"]
        assert a.owns


@in_virtual_time
async def test_a_replica_that_starts_later_resumes_behind_what_the_stream_has() -> None:
    async with two(**RESUMES) as (_, a, b):
        a.start(Line(event(1), event(2)))
        await anyio.sleep(1)
        await a.stop()
        b.start()
        await anyio.sleep(1)
        assert b.opened[0][1] == 2


@in_virtual_time
async def test_an_owner_does_not_take_its_own_events_for_repeated_ones() -> None:
    async with two(**RESUMES) as (_, a, _b):
        a.start(Line(event(1), lost()), Line(event(4), 1.0, lost(), resumed=True))
        await anyio.sleep(5)
        assert [position for _, position in a.opened] == [None, 1, 1]


@in_virtual_time
async def test_an_event_that_was_too_large_is_asked_for_again_by_the_next_owner() -> None:
    async with two(max_bytes=1024, **RESUMES) as (_, a, b):
        a.start(Line(event(1), message_of('"' + "x" * 2000 + '"', position=2)))
        await anyio.sleep(1)
        b.start()
        await anyio.sleep(1)
        await a.stop()
        assert b.opened[0][1] == 1


@in_virtual_time
async def test_a_feed_that_was_never_open_is_taken_over_without_a_gap() -> None:
    async with two() as (_, a, b):
        a.start(*(Line(opens=lost()) for _ in range(99)))
        await anyio.sleep(10)
        b.start()
        await anyio.sleep(5)
        await a.stop()
        await anyio.sleep(1)
        assert b.seen(FeedOwned) == [FeedOwned("m.f", "{}", taken_over=False)]
        assert b.gaps == []


@in_virtual_time
async def test_what_an_owner_has_not_written_when_it_ends_is_written_then() -> None:
    async with two() as (store, a, b):
        a.start(Line(1.0, event(1)))
        b.start()
        await anyio.sleep(0.95)
        store.delay = 0.2
        await anyio.sleep(0.1)  # the event is on its way to the store
        a.scope.cancel()
        store.delay = 0.0
        await anyio.sleep(3)
        assert b.data == ["1"]


@in_virtual_time
async def test_an_owner_that_ends_waits_half_a_second_at_most_for_the_store() -> None:
    async with two() as (store, a, _):
        a.start(Line(1.0, event(1)))
        await anyio.sleep(0.95)
        store.delay = 60.0
        await anyio.sleep(0.1)
        began = anyio.current_time()
        a.scope.cancel()
        while a.owns or not a.seen(FeedClosed):
            await anyio.sleep(0.01)
        while not a.ended:
            await anyio.sleep(0.01)
        assert anyio.current_time() - began == pytest.approx(0.5, abs=0.02)


# Leases


@in_virtual_time
async def test_a_lease_is_for_five_seconds_and_renewed_three_times_in_them() -> None:
    async with two() as (store, a, _):
        a.start()
        await anyio.sleep(0.5)
        lease = key_of(store, "lease")
        assert store.left(lease) == 4500
        await anyio.sleep(10)
        assert store.runs[feed_stream._RENEW] == 6
        assert store.left(lease) > 3000


@in_virtual_time
async def test_an_owner_that_lost_its_lease_closes_its_connection_and_follows() -> None:
    async with two() as (store, a, _):
        a.start()
        await anyio.sleep(3)
        token = store.values[key_of(store, "lease")]
        store.set(key_of(store, "lease"), "other", 5000)
        await anyio.sleep(2)
        assert not a.owns
        await anyio.sleep(10)
        assert (a.owns, len(a.opened)) == (True, 2)
        assert store.values[key_of(store, "lease")] not in (token, "other")


@in_virtual_time
async def test_a_write_without_a_lease_ends_the_ownership_at_once() -> None:
    async with two() as (store, a, _):
        a.start(Line(2.0, event(1)))
        await anyio.sleep(1.9)
        store.set(key_of(store, "lease"), "other", 5000)
        await anyio.sleep(0.11)
        assert not a.owns
        assert a.data == []


@in_virtual_time
async def test_an_owner_without_the_store_closes_its_connection_when_its_lease_has_ended() -> None:
    async with two() as (store, a, _):
        a.start()
        await anyio.sleep(2)
        store.away = "it hangs"
        renewed = 5 / 3
        await anyio.sleep_until(renewed + 4.99)
        assert a.owns
        await anyio.sleep_until(renewed + 5.01)
        assert not a.owns
        assert a.states[-1] == "waiting: the shared store is away: it hangs"
        await anyio.sleep(10)
        assert len(a.opened) == 1
        store.away = None
        await anyio.sleep(1)
        assert (a.owns, len(a.opened), a.states[-1]) == (True, 2, "open")


@in_virtual_time
async def test_an_owner_keeps_its_connection_if_the_store_is_back_in_time() -> None:
    async with two() as (store, a, _):
        a.start()
        await anyio.sleep(2)
        store.away = "it hangs"
        await anyio.sleep(4)
        store.away = None
        await anyio.sleep(20)
        assert (a.owns, len(a.opened)) == (True, 1)


@in_virtual_time
async def test_a_renewal_that_hangs_ends_with_the_lease() -> None:
    async with two() as (store, a, _):
        a.start()
        await anyio.sleep(1)
        store.delay = 60.0
        await anyio.sleep(3.99)
        assert a.owns
        await anyio.sleep(0.02)
        assert not a.keeper._keeper


@in_virtual_time
async def test_a_feed_is_claimed_again_four_times_a_second_while_the_store_is_away() -> None:
    async with two() as (store, a, _):
        store.away = "it hangs"
        a.start()
        await anyio.sleep(1.1)
        store.away = None
        await anyio.sleep(0.16)
        assert a.opened == [(1.25, None)]


# A store that has lost its data


@in_virtual_time
async def test_an_owner_whose_feed_the_store_has_lost_takes_it_again_in_another_life() -> None:
    async with two() as (store, a, b):
        a.start(Line(event(1)), Line(event(2)))
        await anyio.sleep(1)
        b.start()
        await anyio.sleep(2)
        before = str(a.live.buffer.end)
        store.values.clear()
        await anyio.sleep(10)
        assert (a.owns, b.owns, len(a.opened), b.opened) == (True, False, 2, [])
        assert (a.data, b.data) == (["2"], ["2"])
        assert str(a.live.buffer.end) == str(b.live.buffer.end) != before


@in_virtual_time
async def test_a_feed_that_the_store_and_its_owner_have_lost_is_taken_after_the_time_of_a_lease() -> None:
    async with two() as (store, a, b):
        a.start()
        await anyio.sleep(1)
        b.start()
        await anyio.sleep(1)
        a.scope.cancel()
        store.away = "it hangs"
        await anyio.sleep(1)
        store.away = None
        store.values.clear()
        began = anyio.current_time()
        while not b.owns:
            await anyio.sleep(0.05)
        assert 5.0 <= anyio.current_time() - began <= 7.0
        assert b.gaps == []  # the life of the feed begins: nothing is known of an earlier one


@in_virtual_time
async def test_a_store_whose_clock_is_behind_that_of_the_last_one_is_followed_from_its_beginning() -> None:
    async with two() as (store, a, b):
        a.start(Line(event(1)), Line(event(2), 3.0, event(3)))
        await anyio.sleep(1)
        b.start()
        await anyio.sleep(2)
        store.values.clear()
        store.since -= 1_000_000
        await anyio.sleep(10)
        assert (a.data, b.data) == (["2", "3"], ["2", "3"])


@in_virtual_time
async def test_the_time_of_a_loss_begins_again_with_the_next_one() -> None:
    async with two() as (store, a, b):
        a.start()
        await anyio.sleep(1)
        b.start()
        for _ in range(4):
            await anyio.sleep(3)
            store.values.clear()
        await anyio.sleep(3)
        assert (b.owns, a.owns) == (False, True)


# Accounts that another replica has


@in_virtual_time
async def test_an_owner_yields_to_the_replica_that_has_the_connection() -> None:
    async with two() as (_, a, b):
        a.start(Line(opens=HELD_ELSEWHERE))
        b.start()
        await anyio.sleep(1)
        assert (a.owns, b.owns) == (False, True)
        await anyio.sleep(20)
        assert (a.owns, len(a.opened), len(b.opened)) == (False, 1, 1)
        assert a.seen(FeedInterrupted)[0].error_code == "account-held-elsewhere"


@in_virtual_time
async def test_an_owner_that_no_replica_relieves_tries_again_after_a_third_of_a_lease() -> None:
    async with two() as (_, a, _):
        a.start(Line(opens=HELD_ELSEWHERE), Line(opens=HELD_ELSEWHERE))
        await anyio.sleep(30)
        times = [at for at, _ in a.opened]
        assert times == pytest.approx([0.0, 1.67, 3.33], abs=0.02)
        assert a.states[-1] == "open"


@pytest.mark.parametrize("yielded", [False, True])
@in_virtual_time
async def test_an_owner_whose_lease_is_free_takes_it_again_at_once_unless_it_yields(yielded: bool) -> None:
    async with two() as (store, a, _):
        a.start(*[Line(opens=HELD_ELSEWHERE)] * yielded)
        await anyio.sleep(4)
        store.delete(key_of(store, "lease"))
        await anyio.sleep(1.1)
        renewal = 5.0
        assert a.opened[-1][0] == pytest.approx(renewal, abs=0.02)


@in_virtual_time
async def test_an_owner_that_fails_for_another_reason_goes_on() -> None:
    async with two() as (_, a, b):
        a.start(Line(opens=lost()), Line(opens=lost()))
        b.start()
        await anyio.sleep(10)
        assert (a.owns, len(a.opened), b.opened) == (True, 3, [])


# What is counted and reported


@in_virtual_time
async def test_an_owner_counts_over_all_times_in_which_it_kept_the_feed() -> None:
    async with two(position="message.x") as (store, a, _):
        a.start(Line(event(1), event(1), invalid(), 2.0, lost()), Line(invalid()), Line(event(7), event(7), invalid()))
        await anyio.sleep(4)
        assert (a.keeper.reconnects, a.keeper.duplicates, a.keeper.invalid) == (1, 1, 2)
        store.set(key_of(store, "lease"), "other", 2000)
        await anyio.sleep(2)
        assert not a.owns
        assert (a.keeper.reconnects, a.keeper.duplicates, a.keeper.invalid) == (1, 1, 2)
        await anyio.sleep(10)
        assert (a.keeper.reconnects, a.keeper.duplicates, a.keeper.invalid) == (2, 2, 3)


@in_virtual_time
async def test_a_keeper_that_is_stopped_or_interrupted_says_so() -> None:
    async with two() as (_, a, _):
        a.keeper.interrupted("it is no longer read")
        a.keeper.stopped("the program ends")
        assert a.states == ["opening: it is no longer read", "closed: the program ends"]
        assert a.seen(FeedClosed) == [FeedClosed("m.f", "{}", "the program ends")]


@in_virtual_time
async def test_a_connection_of_this_replica_ends_the_pause_of_an_owner_only() -> None:
    async with two() as (_, a, b):
        b.keeper.note_reachable()
        a.start(*(Line(opens=lost()) for _ in range(9)))
        await anyio.sleep(20)
        before = len(a.opened)
        a.keeper.note_reachable()
        await anyio.sleep(0.01)
        assert len(a.opened) == before + 1


@in_virtual_time
async def test_a_reader_waits_for_what_it_has_seen_at_another_replica() -> None:
    async with two() as (_, a, b):
        a.start(Line(event(1)))
        await anyio.sleep(1)
        cursor = a.live.buffer.end
        assert b.keeper.is_ahead(cursor)
        assert not await b.keeper.reach(cursor)
        b.start()
        assert await b.keeper.reach(cursor)
        assert not b.keeper.is_ahead(cursor)


# The stream


def stream(store: MemoryStore, name: str = "a", size: int = 3, keep: float = 60.0) -> FeedStream:
    return FeedStream(make_fleet(store, name), ("m", "x"), size, keep)  # type: ignore[arg-type]


def tail(offset: int = 0, state: str = "", oldest: int = 0, *, is_open: bool = False) -> Tail:
    return Tail(offset, 0, state, is_open, oldest)


@in_virtual_time
async def test_a_claim_returns_what_is_known_of_the_stream() -> None:
    store = MemoryStore()
    a, b = stream(store), stream(store, "b")
    await anyio.sleep(7)
    first = await a.claim("")
    assert first == Claim(True, False, "1767225607000", 0, 0, 0, None)
    assert first.epoch is not None
    await a.append(first.epoch, [(1, "x"), (2, "y")], Tail(2, 1, "", True, 0))
    assert await b.claim(first.epoch) == Claim(False, False, first.epoch, 2, 2, 1, 1767225607.0)
    assert await a.claim(first.epoch) == Claim(True, False, first.epoch, 2, 2, 1, 1767225607.0)


@in_virtual_time
async def test_a_feed_without_an_owner_is_lost_to_who_knows_another_life_of_it() -> None:
    store = MemoryStore()
    a = stream(store)
    assert await a.claim("1") == Claim(False, True, None, 0, 0, 0, None)
    epoch = (await a.claim("")).epoch
    assert epoch is not None
    await a.release(was_open=False)
    assert (await stream(store, "b").claim("1")).is_lost
    assert (await stream(store, "b").claim(epoch)).owned


@in_virtual_time
async def test_a_lease_is_renewed_by_its_owner_only() -> None:
    store = MemoryStore()
    a, b = stream(store), stream(store, "b")
    await a.claim("")
    assert await a.renew(is_open=True) is False
    await b.claim("")
    assert await a.renew(is_open=True) is True
    with pytest.raises(LeaseLost):
        await b.renew(is_open=True)
    with pytest.raises(LeaseLost):
        await b.append("1", [], tail())
    a.forget_lease()
    with pytest.raises(LeaseLost):
        await a.renew(is_open=True)


@pytest.mark.parametrize("is_open", [True, False])
@in_virtual_time
async def test_the_stream_knows_when_the_feed_was_open_last(is_open: bool) -> None:
    store = MemoryStore()
    a = stream(store)
    epoch = (await a.claim("")).epoch
    assert epoch is not None
    sinces = []
    for act in (
        lambda: a.renew(is_open=is_open),
        lambda: a.append(epoch, [], tail(is_open=is_open)),
        lambda: a.release(was_open=is_open),
    ):
        await anyio.sleep(1)
        await act()
        sinces.append((await a.claim("")).since)
    began = 1767225600.0
    assert sinces == ([began + 1, began + 2, began + 3] if is_open else [None] * 3)


@in_virtual_time
async def test_a_stream_outlives_its_owner_as_long_as_its_owner_asked_for() -> None:
    store = MemoryStore()
    a = stream(store, keep=60.25)
    epoch = (await a.claim("")).epoch
    assert epoch is not None
    await a.append(epoch, [(1, "x")], tail(1, "s"))
    assert {store.left(key) for key in (a.events, a.states, key_of(store, "meta"))} == {60250}
    await anyio.sleep(3)
    await a.renew(is_open=False)
    assert {store.left(key) for key in (a.events, a.states, key_of(store, "meta"))} == {60250}


@in_virtual_time
async def test_entries_are_read_behind_positions_and_the_oldest_are_removed() -> None:
    store = MemoryStore()
    a = stream(store)
    epoch = (await a.claim("")).epoch
    assert epoch is not None
    await a.append(epoch, [(number, str(number)) for number in range(1, 6)], tail(5, "state"))
    entries, states = await a.read("0-0", "0-0")
    assert [fields[b"e"] for _, fields in entries] == [b"3", b"4", b"5"]
    assert [fields for _, fields in states] == [{b"s": b"state"}]
    assert await a.read(f"{epoch}-4", states[-1][0]) == ([(f"{epoch}-5", {b"e": b"5"})], [])
    await a.append(epoch, [(5, "again"), (6, "6")], tail(6, oldest=6))
    assert [fields[b"e"] for _, fields in (await a.read("0-0", states[-1][0]))[0]] == [b"6"]


@in_virtual_time
async def test_a_shared_feed_is_kept_as_long_as_its_events_and_its_readers_may_last() -> None:
    async with two() as (store, a, _):
        a.start(Line(event(1)))
        await anyio.sleep(0.01)
        assert store.left(key_of(store, "events")) == pytest.approx((60 + 10 + 2 * 5) * 1000, abs=10)


@in_virtual_time
async def test_the_next_owner_goes_on_behind_a_message_of_several_events_and_repeats_none() -> None:
    both = message_of("2", "3", position=2)
    async with two(**RESUMES) as (_, a, b):
        a.start(Line(event(1), both))
        await anyio.sleep(1)
        b.start(Line(both, message_of("4", position=3), resumed=True))
        await anyio.sleep(1)
        await a.stop()
        await anyio.sleep(5)
        assert b.opened[0][1] == 2
        assert b.data == ["1", "2", "3", "4"]


@in_virtual_time
async def test_a_message_of_which_a_part_has_arrived_is_asked_for_again() -> None:
    async with two(**RESUMES) as (_, a, b):
        a.start(Line(event(1), message_of("2", "3", position=2)))
        await anyio.sleep(1)
        b.keeper._note_event(SharedEvent(1, 0, 0.0, "1", None, 1))
        b.keeper._note_event(SharedEvent(2, 0, 0.0, "2", None, None))
        assert b.keeper._positions.resume_after == 1


@pytest.mark.parametrize(("position", "writes"), [(7, [300]), (None, [128, 128, 44])])
@in_virtual_time
async def test_an_owner_writes_the_events_of_a_message_together_if_it_has_a_position(
    position: int | None, writes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    append = FeedStream.append

    async def record(stream: FeedStream, epoch: str, entries: Any, tail: Tail) -> None:
        written.append(len(entries))
        await append(stream, epoch, entries, tail)

    monkeypatch.setattr(FeedStream, "append", record)
    async with two(**(RESUMES if position else {})) as (_, a, _b):
        a.start(Line(1.0, message_of(*map(str, range(300)), position=position)))
        await anyio.sleep(5)
        assert len(a.data) == 300
    assert [count for count in written if count] == writes
