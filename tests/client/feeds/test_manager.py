"""Which feeds are open, how long they stay open, and what all of them may keep."""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.client.feeds.quiet import Quiet, feed_tools, quiet
from tests.client.shared.memory_store import MemoryStore, make_fleet
from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp import CallError
from utcp_ws_mcp.client.feeds.keeper import FeedKeeper
from utcp_ws_mcp.client.feeds.live_feed import FeedState
from utcp_ws_mcp.client.feeds.manager import FeedInstance, canonical
from utcp_ws_mcp.client.shared.feed_keeper import SharedKeeper
from utcp_ws_mcp.core.feeds.buffer import EVENT_OVERHEAD
from utcp_ws_mcp.core.tools.tool import CompiledTool
from utcp_ws_mcp.errors import ConnectionLost
from utcp_ws_mcp.observability.feed_events import FeedClosed, FeedEventsEvicted

INPUTS = {"type": "object", "properties": {"id": {}}}
NO_LONGER_READ = "it is no longer read"


def feed(**fields: Any) -> CompiledTool:
    return feed_tools({"inputs": INPUTS, "linger": 60, **fields})["f_events"]


def closed(q: Quiet) -> list[str]:
    return [event.reason for event in q.events if isinstance(event, FeedClosed)]


async def settle() -> None:
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


# How long a feed is open


@in_virtual_time
async def test_a_feed_is_closed_after_its_last_read_has_lingered_and_opened_by_the_next() -> None:
    tool = feed()
    async with quiet() as q:
        instance = await q.open(tool)
        with instance.being_read():
            await anyio.sleep(100)
            assert instance.wanted_until == math.inf
        await anyio.sleep(59)
        instance.note_read()
        ended = anyio.current_time()
        assert instance.wanted_until == ended + 60
        await anyio.sleep(59.9)
        assert (instance.live.state, closed(q)) == (FeedState.OPEN, [])
        await anyio.sleep(0.2)
        assert (instance.live.describe_state(), closed(q)) == (f"closed: {NO_LONGER_READ}", [NO_LONGER_READ])
        assert instance.scope is None

        assert q.manager.get(tool, {}) is instance
        assert instance.live.state is FeedState.OPENING
        with instance.being_read():
            await anyio.sleep(100)
            assert instance.live.state is FeedState.OPENING


@in_virtual_time
async def test_a_read_that_begins_while_the_feed_is_being_closed_opens_it_again_without_closing() -> None:
    tool = feed()
    async with quiet() as q:
        instance = await q.open(tool)
        keep, stops = instance.keeper.run, []

        async def close_slowly() -> None:
            try:
                await keep()
            finally:
                stops.append(anyio.current_time())
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(1)

        q.manager.replace({}, ())
        instance = q.manager.get(tool, {})
        instance.keeper.run = close_slowly  # type: ignore[method-assign]
        await settle()
        instance.live.set_state(FeedState.OPEN)
        await anyio.sleep_until(instance.last_read + 60.5)
        assert len(stops) == 1
        instance.note_read()
        await anyio.sleep(2)
        assert (instance.live.state, closed(q)) == (FeedState.OPENING, ["the manifest was changed"])
        await anyio.sleep(100)
        assert closed(q) == ["the manifest was changed", NO_LONGER_READ]


@in_virtual_time
async def test_a_feed_with_start_is_open_without_readers() -> None:
    tools = feed_tools({"linger": 60, "start": "start"}, {"name": "other"})
    async with quiet() as q:
        q.manager.start(tools.values())
        assert [instance.feed.definition.name for instance in q.manager] == ["f"]
        await anyio.sleep(1000)
        (instance,) = q.manager
        assert (instance.scope is not None, closed(q), instance.wanted_until) == (True, [], math.inf)


@in_virtual_time
async def test_the_tools_of_one_feed_share_it_whatever_the_order_of_their_arguments_is() -> None:
    tools = feed_tools({"inputs": INPUTS, "key": "message.k"})
    async with quiet() as q:
        first = q.manager.get(tools["f_events"], {"id": {"a": [{"c": 1, "b": 2}], "b": 1}, "max_events": 3})
        second = q.manager.get(tools["f_latest"], {"keys": [], "id": {"b": 1, "a": [{"b": 2, "c": 1}]}})
        assert first is second
        assert first.arguments == {"id": {"a": [{"c": 1, "b": 2}], "b": 1}}
        assert q.manager.get(tools["f_events"], {"id": {"a": [], "b": 1}}) is not first


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"b": 1, "a": None}, '{"a":null,"b":1}'), ({"x": [[{"d": 1, "c": 2}]]}, '{"x":[[{"c":2,"d":1}]]}')],
)
def test_arguments_have_one_text_in_which_all_keys_are_sorted(arguments: Any, text: str) -> None:
    assert canonical(arguments) == text


# How many there are


@in_virtual_time
async def test_the_set_of_arguments_that_was_read_least_recently_makes_room() -> None:
    tool = feed(max_instances=3)
    other = feed_tools({"name": "other"})["other_events"]
    async with quiet() as q:
        await q.open(other)
        instances = []
        for number in (1, 2, 3):
            instances.append(await q.open(tool, id=number))
            await anyio.sleep(1)
        instances[0].note_read()
        await anyio.sleep(100)
        q.manager.get(tool, {"id": 4})
        left = [instance.arguments.get("id") for instance in q.manager]
        assert left == [None, 1, 3, 4]
        assert instances[1].removed == NO_LONGER_READ


@pytest.mark.parametrize("after", [59.9, 60.0])
@in_virtual_time
async def test_a_set_of_arguments_makes_room_only_when_it_has_lingered(after: float) -> None:
    tool = feed(max_instances=1)
    async with quiet() as q:
        instance = await q.open(tool, id=1)
        instance.note_read()
        await anyio.sleep(after)
        if after >= 60:
            assert q.manager.get(tool, {"id": 2}).arguments == {"id": 2}
            return
        with pytest.raises(CallError) as refused:
            q.manager.get(tool, {"id": 2})
    assert refused.value.code == "too-many-feeds"
    assert (
        "m.f: 1 sets of arguments are followed already. Read one of them, wait until one has not been read for 60 s, "
        'or raise "max_instances".'
    ) in str(refused.value)


@in_virtual_time
async def test_a_set_of_arguments_that_could_not_be_opened_and_has_no_events_makes_room_at_once() -> None:
    tool = feed(max_instances=3)
    async with quiet() as q:
        good, wrong, lost = [await q.open(tool, id=number) for number in (1, 2, 3)]
        lost.live.publish("1")
        for each in (wrong, lost):
            each.live.set_state(FeedState.WAITING, "no such id")
        with wrong.being_read(), pytest.raises(CallError):
            q.manager.get(tool, {"id": 4})
        q.manager.get(tool, {"id": 4})
        assert [instance.arguments["id"] for instance in q.manager] == [1, 3, 4]
        assert (good.removed, wrong.removed) == ("", NO_LONGER_READ)


@in_virtual_time
async def test_a_set_of_arguments_that_is_being_read_makes_no_room() -> None:
    tool = feed(max_instances=1, linger=0)
    async with quiet() as q:
        instance = await q.open(tool, id=1)
        with instance.being_read():
            await anyio.sleep(10)
            with pytest.raises(CallError):
                q.manager.get(tool, {"id": 2})
        q.manager.get(tool, {"id": 2})


@in_virtual_time
async def test_a_feed_with_start_makes_no_room() -> None:
    tool = feed(max_instances=1, start="start")
    async with quiet() as q:
        q.manager.start([tool])
        await anyio.sleep(1000)
        with pytest.raises(CallError):
            q.manager.get(tool, {"id": 2})


# Watching


@in_virtual_time
async def test_a_watcher_keeps_the_feed_open_and_is_called_until_it_ends() -> None:
    tool = feed(linger=10)
    calls: list[str] = []
    async with quiet() as q:
        end_first = q.manager.watch(tool, {}, lambda: calls.append("first"))
        end_second = q.manager.watch(tool, {}, lambda: calls.append("second"))
        (instance,) = q.manager
        await anyio.sleep(100)
        calls.clear()
        instance.live.publish("1")
        assert sorted(calls) == ["first", "second"]
        end_first()
        end_first()
        assert instance.reading == 1
        instance.live.publish("2")
        assert sorted(calls) == ["first", "second", "second"]
        await anyio.sleep(100)
        assert closed(q) == []
        end_second()
        assert (instance.reading, instance.last_read) == (0, anyio.current_time())
        await anyio.sleep(11)
        assert closed(q) == [NO_LONGER_READ]


@in_virtual_time
async def test_one_function_may_watch_a_feed_twice() -> None:
    tool, calls = feed(), []

    def note() -> None:
        calls.append(1)

    async with quiet() as q:
        end = q.manager.watch(tool, {}, note)
        q.manager.watch(tool, {}, note)
        await settle()
        calls.clear()
        (instance,) = q.manager
        instance.live.publish("1")
        end()
        instance.live.publish("2")
        assert len(calls) == 3


# Reloads


@in_virtual_time
async def test_a_reload_keeps_the_feeds_of_unchanged_call_templates_and_closes_the_others() -> None:
    kept, changed, gone = (feed_tools({"linger": 60}, manual=name) for name in "abc")
    async with quiet() as q:
        instances = [await q.open(tools["f_events"]) for tools in (kept, changed, gone)]
        again = feed_tools({"linger": 60}, manual="a"), feed_tools({"linger": 61}, manual="b")
        current = {tool.full_name: tool for tools in again for tool in tools.values()}
        before = q.changes
        q.manager.replace(current, {"a", "c"})
        assert [instance.removed for instance in instances] == ["", *["the manifest was changed"] * 2]
        assert instances[0].tool is current["a.f_events"]
        assert instances[0].feed is current["a.f_events"].feed.feed  # type: ignore[union-attr]
        assert list(q.manager) == instances[:1]
        assert q.changes == before + 2
        await settle()
        assert [instance.live.describe_state() for instance in instances] == [
            "open",
            *["closed: the manifest was changed"] * 2,
        ]


@in_virtual_time
async def test_a_name_that_is_no_feed_any_more_ends_its_feed() -> None:
    async with quiet() as q:
        instance = await q.open(feed_tools({})["f_events"])
        plain = feed_tools({"name": "g"}, tools=[{"name": "f_events"}])["f_events"]
        q.manager.replace({plain.full_name: plain}, {"m"})
        assert instance.removed == "the manifest was changed"


@in_virtual_time
async def test_a_feed_that_was_closed_before_its_removal_does_not_run_again() -> None:
    async with quiet() as q:
        instance = await q.open(feed(linger=0))
        await anyio.sleep(10)
        assert instance.scope is None
        q.manager.replace({}, ())
        await settle()
        assert (closed(q), instance.removed) == ([NO_LONGER_READ], "the manifest was changed")


# The end


@in_virtual_time
async def test_the_end_closes_all_feeds_and_refuses_new_ones() -> None:
    tool = feed()
    async with quiet() as q:
        await q.open(tool, id=1)
        await q.open(tool, id=2)
        await q.manager.aclose()
        assert (closed(q), list(q.manager)) == (["the program ends"] * 2, [])
        with pytest.raises(ConnectionLost, match="shutting down") as refused:
            q.manager.get(tool, {"id": 3})
        assert "m.f" in str(refused.value)
        q.manager.start([feed(start="start")])
        await settle()
        assert closed(q) == ["the program ends"] * 2
        assert [instance.scope for instance in q.manager] == [None]


@in_virtual_time
async def test_the_end_waits_two_seconds_at_most_for_feeds_that_do_not_end() -> None:
    async with quiet() as q:
        instance = await q.open(feed())

        async def never_ends() -> None:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1000)

        q.manager.replace({}, ())
        instance = q.manager.get(feed(), {})
        instance.keeper.run = never_ends  # type: ignore[method-assign]
        await settle()
        began = anyio.current_time()
        await q.manager.aclose()
        assert anyio.current_time() - began == 2.0


@in_virtual_time
async def test_a_feed_that_closes_within_a_second_is_waited_for() -> None:
    async with quiet() as q:

        async def ends_slowly() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(1)

        instance = q.manager.get(feed(), {})
        instance.keeper.run = ends_slowly  # type: ignore[method-assign]
        await settle()
        await q.manager.aclose()
        assert (anyio.current_time(), closed(q)) == (1.0, ["the program ends"])


# Fleets


@in_virtual_time
async def test_the_replicas_of_a_fleet_share_a_feed_unless_its_manual_is_for_each_of_them() -> None:
    store: Any = MemoryStore()
    shared, own = feed(), feed_tools({}, manual="own", limits={"scope": "replica"})["f_events"]
    async with quiet(fleet=make_fleet(store)) as q:
        kept, alone = await q.open(shared), await q.open(own)
        assert isinstance(kept.keeper, SharedKeeper)
        assert isinstance(alone.keeper, FeedKeeper)
        await anyio.sleep(59)
        kept.keeper.on_wanted()  # another replica reads it
        await anyio.sleep(59)
        assert closed(q)[-1:] != [NO_LONGER_READ]
        await anyio.sleep(2)
        assert closed(q)[-1] == NO_LONGER_READ


@in_virtual_time
async def test_without_a_fleet_a_feed_is_its_own() -> None:
    async with quiet() as q:
        assert isinstance((await q.open(feed())).keeper, FeedKeeper)


# What goes wrong


@in_virtual_time
async def test_a_defect_ends_its_feed_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async with quiet() as q:

        async def fail() -> None:
            raise RuntimeError("a defect")

        other = await q.open(feed(), id=1)
        instance = q.manager.get(feed(), {"id": 2})
        instance.keeper.run = fail  # type: ignore[method-assign]
        await settle()
        assert instance.live.describe_state() == "closed: internal error; see the log"
        assert other.live.state is FeedState.OPEN
        (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert record.getMessage() == "internal error in the feed m.f"
        assert record.exc_info is not None


@in_virtual_time
async def test_a_connection_to_an_endpoint_wakes_the_feeds_of_its_manual_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async with quiet() as q:
        for manual in "ab":
            await q.open(feed_tools({}, manual=manual)["f_events"])
        noted: list[str] = []
        for instance in q.manager:
            monkeypatch.setattr(instance.keeper, "note_reachable", partial(noted.append, instance.feed.manual))
        for announce in q.manager._pools.on_opened:
            announce("b")
        assert noted == ["b"]


@in_virtual_time
async def test_each_change_of_the_feeds_is_announced() -> None:
    async with quiet() as q:
        q.manager.get(feed(), {})
        assert q.changes == 2  # it is followed, and opened
        await settle()
        q.changes = 0
        (instance,) = q.manager
        instance.live.set_state(FeedState.OPEN)
        assert q.changes == 1
        q.manager.get(feed(), {})
        assert q.changes == 1
        q.manager.replace({}, ())
        assert q.changes == 2


# Memory


def fill(instance: FeedInstance, count: int, size: int) -> None:
    for _ in range(count):
        instance.live.publish("x" * (size - EVENT_OVERHEAD))


def kept_bytes(q: Quiet) -> list[int]:
    return [instance.live.buffer.bytes for instance in q.manager]


@in_virtual_time
async def test_all_feeds_together_keep_no_more_than_the_limit() -> None:
    async with quiet(max_total_bytes=64_000) as q:
        first, second = [await q.open(feed(), id=number) for number in (1, 2)]
        fill(first, 40, 1000)
        fill(second, 24, 1000)
        assert kept_bytes(q) == [40_000, 24_000]
        assert not [event for event in q.events if isinstance(event, FeedEventsEvicted)]
        fill(second, 1, 1000)  # then a 64th of the limit is freed, at the largest feed
        assert kept_bytes(q) == [38_000, 25_000]
        assert [event.count for event in q.events if isinstance(event, FeedEventsEvicted)] == [2]
        fill(second, 1, 1000)
        assert kept_bytes(q) == [38_000, 26_000]
        fill(second, 1, 1000)
        assert kept_bytes(q) == [36_000, 27_000]


@in_virtual_time
async def test_one_byte_above_the_limit_is_too_much() -> None:
    async with quiet(max_total_bytes=64_000) as q:
        instance = await q.open(feed())
        fill(instance, 63, 1000)
        fill(instance, 1, 1001)
        assert kept_bytes(q) == [62_001]


@pytest.mark.parametrize("limit", [10_000, 64_000])
@in_virtual_time
async def test_room_that_feeds_have_freed_themselves_is_used(limit: int) -> None:
    async with quiet(max_total_bytes=limit) as q:
        instance = await q.open(feed(size=10))
        fill(instance, 100, 1000)
        assert kept_bytes(q) == [10_000]


@in_virtual_time
async def test_the_largest_feed_is_halved_before_the_next_largest_is_looked_at() -> None:
    async with quiet(max_total_bytes=64_000) as q:
        first, second, third = [await q.open(feed(), id=number) for number in (1, 2, 3)]
        fill(first, 30, 1000)
        fill(second, 28, 1000)
        fill(third, 1, 26_000)
        assert kept_bytes(q) == [15_000, 22_000, 26_000]


@in_virtual_time
async def test_without_a_limit_of_the_operator_all_feeds_keep_64_mib() -> None:
    async with quiet() as q:
        instance = await q.open(feed(size=100, max_bytes=1 << 26))
        other = await q.open(feed(size=100, max_bytes=1 << 26), id=1)
        fill(instance, 8, 1 << 22)
        fill(other, 8, 1 << 22)
        assert sum(kept_bytes(q)) == 1 << 26
        fill(other, 1, 1000)
        assert sum(kept_bytes(q)) < 1 << 26


@in_virtual_time
async def test_a_limit_of_nothing_keeps_no_event() -> None:
    async with quiet(max_total_bytes=0) as q:
        fill(await q.open(feed()), 3, 1000)
        assert kept_bytes(q) == [0]
