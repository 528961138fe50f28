"""The tools of feeds: what their arguments mean, and what their results say."""

from __future__ import annotations

import json
import logging
import math
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.client.feeds.quiet import NOW, Quiet, feed_tools, quiet
from tests.client.virtual_time import in_virtual_time
from utcp_ws_mcp import CallError, FeedGap, InvalidArguments
from utcp_ws_mcp.client.feeds.live_feed import MAX_WAITING_READS, FeedState
from utcp_ws_mcp.client.feeds.manager import FeedInstance
from utcp_ws_mcp.client.feeds.reading import OPEN_TIMEOUT, FeedItem, follow_feed, open_feeds, read_feed, read_page
from utcp_ws_mcp.core.tools.tool import CompiledTool
from utcp_ws_mcp.observability.feed_events import FeedRead

EVENTS = feed_tools({"key": "message.k", "max_wait_seconds": 30})["f_events"]
BRIEF = feed_tools({"max_wait_seconds": 2})["f_events"]
LATEST = feed_tools({"key": "message.k", "max_age": 60})["f_latest"]
NEWEST_ONLY = feed_tools({"key": "message.k", "keep": "latest"})["f_events"]
REMOVED = "the events were removed before they were read"
EPOCH = "eeeeeeee"


def numbers(result: dict[str, Any]) -> list[Any]:
    return [event["data"] for event in result["events"]]


@pytest.mark.parametrize("seconds", [-0.001, 30.001, math.nan, math.inf])
@in_virtual_time
async def test_a_wait_outside_of_its_bounds_is_refused(seconds: float) -> None:
    async with quiet() as q:
        with pytest.raises(InvalidArguments) as refused:
            read_page(q.manager, EVENTS, {"wait_seconds": seconds})
    assert '"wait_seconds" is not between 0 and 30.' in str(refused.value)


@pytest.mark.parametrize("count", [0, 1001])
@in_virtual_time
async def test_a_number_of_events_outside_of_its_bounds_is_refused(count: int) -> None:
    async with quiet() as q:
        with pytest.raises(InvalidArguments) as refused:
            read_page(q.manager, EVENTS, {"max_events": count})
    assert '"max_events" is not between 1 and 1000.' in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, 50),
        ({"max_events": 1}, 1),
        ({"max_events": 1000}, 60),
        ({"max_events": 7.0}, 7),
        ({"wait_seconds": 30}, 50),
    ],
    ids=str,
)
@in_virtual_time
async def test_a_page_has_as_many_of_the_newest_events_as_are_asked_for(arguments: Any, expected: int) -> None:
    async with quiet() as q:
        live = (await q.open(EVENTS)).live
        for number in range(60):
            live.publish(str(number))
        assert numbers(read_page(q.manager, EVENTS, arguments)) == list(range(60))[-expected:]


@in_virtual_time
async def test_a_page_has_at_most_256_kib_of_events() -> None:
    async with quiet() as q:
        live = (await q.open(EVENTS)).live
        text = json.dumps("x" * ((64 << 10) - 128 - 2))  # with what an event counts for besides, 64 KiB
        for each in (*[text] * 4, "1", text):
            live.publish(each)
        first = read_page(q.manager, EVENTS, {"cursor": f"{EPOCH}-0.0"})
        assert (len(first["events"]), first["has_more"]) == (4, True)
        second = read_page(q.manager, EVENTS, {"cursor": first["cursor"]})
        assert (len(second["events"]), second["has_more"]) == (2, False)


@in_virtual_time
async def test_a_page_with_a_condition_searches_a_bounded_number_of_events_and_goes_on_behind_them() -> None:
    async with quiet() as q:
        live = (await q.open(feed_tools({"size": 10_000})["f_events"])).live
        for number in range(1, 1201):
            live.publish(str(number))
        cursors, cursor, found, has_more = [], f"{EPOCH}-0.0", [], True
        while has_more:
            page = read_page(q.manager, EVENTS, {"cursor": cursor, "where": "data == 1199"})
            cursor, found, has_more = page["cursor"], [*found, *numbers(page)], page["has_more"]
            cursors.append(cursor)
        assert cursors == [f"{EPOCH}-500.0", f"{EPOCH}-1000.0", f"{EPOCH}-1200.0"]
        assert found == [1199]


@in_virtual_time
async def test_a_page_keeps_its_feed_open_as_a_read_does() -> None:
    async with quiet() as q:
        instance = await q.open(EVENTS)
        await anyio.sleep(70)
        read_page(q.manager, EVENTS, {})
        assert instance.last_read == anyio.current_time()


@in_virtual_time
async def test_a_result_says_everything_about_its_events_and_gaps() -> None:
    async with quiet() as q:
        live = (await q.open(EVENTS)).live
        q.now = NOW + 0.1239
        live.publish('{"x": [1]}')
        live.add_gap("connection lost")
        live.publish("2")
        assert read_page(q.manager, EVENTS, {"cursor": f"{EPOCH}-0.0"}) == {
            "events": [
                {"offset": 1, "at": "2026-01-01T00:00:00.123Z", "data": {"x": [1]}},
                {"offset": 2, "at": "2026-01-01T00:00:00.123Z", "data": 2},
            ],
            "cursor": f"{EPOCH}-2.1",
            "missed": None,
            "gaps": [{"after": 1, "reason": "connection lost"}],
            "has_more": False,
            "timed_out": False,
            "state": "open",
        }


@pytest.mark.parametrize("cursor", ["x", f"{EPOCH}-2.0", f"{EPOCH}-0.1"])
@in_virtual_time
async def test_a_cursor_that_was_not_returned_is_refused_by_pages_and_reads(cursor: str) -> None:
    async with quiet() as q:
        (await q.open(EVENTS)).live.publish("1")
        with pytest.raises(InvalidArguments) as of_page:
            read_page(q.manager, EVENTS, {"cursor": cursor})
        with pytest.raises(InvalidArguments) as of_read:
            await read_feed(q.manager, EVENTS, {"cursor": cursor})
    for refused in (of_page.value, of_read.value):
        assert refused.code == "invalid-cursor"
        assert f'"cursor": {cursor!r} was not returned by this feed. ' in str(refused)
        assert "start with the newest events. [" in str(refused)
        assert refused.__suppress_context__


@pytest.mark.parametrize(
    ("tool", "arguments", "seconds"),
    [
        (EVENTS, {}, 0.0),
        (EVENTS, {"wait_seconds": 3}, 3.0),
        (EVENTS, {"cursor": f"{EPOCH}-0.0"}, 25.0),
        (EVENTS, {"cursor": f"{EPOCH}-0.0", "wait_seconds": 30}, 30.0),
        (BRIEF, {"cursor": f"{EPOCH}-0.0"}, 2.0),
    ],
    ids=["without a cursor", "without a cursor on request", "with a cursor", "as long as asked", "as long as allowed"],
)
@in_virtual_time
async def test_a_read_waits_for_an_event(tool: CompiledTool, arguments: Any, seconds: float) -> None:
    async with quiet() as q:
        await q.open(tool)
        began = anyio.current_time()
        result = await read_feed(q.manager, tool, arguments)
        assert anyio.current_time() - began == pytest.approx(seconds)
        assert result["timed_out"] is (seconds > 0)


@in_virtual_time
async def test_the_first_read_waits_five_seconds_for_the_feed_to_open() -> None:
    async with quiet() as q:
        result = await read_feed(q.manager, EVENTS, {})
        assert (anyio.current_time(), result["state"]) == (5.0, "opening")
        assert q.connecting == ["m"]


@pytest.mark.parametrize("before", [FeedState.OPENING, FeedState.WAITING])
@in_virtual_time
async def test_a_read_that_sees_the_feed_fail_to_open_ends_at_once(before: FeedState) -> None:
    async with quiet() as q, anyio.create_task_group() as tasks:
        live = q.manager.get(EVENTS, {}).live
        live.set_state(before, "refused")
        results: list[dict[str, Any]] = []

        async def read() -> None:
            results.append(await read_feed(q.manager, EVENTS, {"wait_seconds": 20}))
            tasks.cancel_scope.cancel()

        tasks.start_soon(read)
        await anyio.sleep(2)
        live.set_state(FeedState.WAITING, "30.0 s after: the login was rejected")
        await anyio.sleep_forever()
    assert anyio.current_time() == 2.0
    assert results[0]["state"] == "waiting: 30.0 s after: the login was rejected"
    assert not results[0]["timed_out"]


@in_virtual_time
async def test_a_reader_who_has_seen_more_at_another_replica_gets_nothing_yet_and_keeps_its_cursor() -> None:
    async def reach(cursor: Any) -> bool:
        return False

    async with quiet() as q:
        instance = await q.open(EVENTS)
        instance.live.publish("1")
        instance.keeper.reach = reach  # type: ignore[method-assign]
        instance.keeper.is_ahead = lambda cursor: True  # type: ignore[method-assign]
        nothing = {"events": [], "cursor": "1234-9.0", "missed": 0, "gaps": [], "has_more": False, "state": "open"}
        given = {"cursor": "1234-9.0"}
        assert read_page(q.manager, EVENTS, given) == {**nothing, "timed_out": False}
        assert await read_feed(q.manager, EVENTS, given) == {**nothing, "timed_out": True}


@pytest.mark.parametrize(
    ("where", "code", "message"),
    [
        ("data ==", "invalid-expression", "\"where\": invalid expression 'data =='"),
        ("data contains 'a'", "invalid-expression", "end of the expression. where can only look up"),
        ("data === 1", "invalid-expression", "Write == or !=. where can only look up"),
        ("message == 1", "unknown-name", "\"where\": unknown name 'message'"),
        ("data + 1 == 2", "expression-not-allowed", "\"where\": the expression 'data + 1 == 2' is not allowed"),
        ("data | lower == 'a'", "expression-not-allowed", "without filters and functions, such as data.price > 10"),
    ],
)
@in_virtual_time
async def test_a_condition_that_cannot_be_used_is_refused_with_its_reason(where: str, code: str, message: str) -> None:
    async with quiet() as q:
        (await q.open(EVENTS)).live.publish("1")
        with pytest.raises(InvalidArguments) as refused:
            await read_feed(q.manager, EVENTS, {"where": where})
    assert message in str(refused.value)
    assert refused.value.code == code


@in_virtual_time
async def test_an_event_on_which_a_condition_fails_is_left_out_and_ends_no_read() -> None:
    async with quiet() as q:
        live = (await q.open(EVENTS)).live
        for text in ("null", '"a b"', '"c"'):
            live.publish(f'{{"text": {text}}}')
        result = await read_feed(q.manager, EVENTS, {"where": "'a' in data.text"})
    assert [each["offset"] for each in result["events"]] == [2]
    assert result["hint"] == (
        "1 event was left out, because where cannot be evaluated there: the expression \"'a' in data.text\" failed: "
        "'in' needs a text, a list or an object behind it."
    )


@in_virtual_time
async def test_a_condition_selects_events_by_their_data() -> None:
    async with quiet() as q:
        live = (await q.open(EVENTS)).live
        for number in range(4):
            live.publish(json.dumps({"x": number}))
        for where, expected in (("data.x > 1", [2, 3]), ("data.x", [1, 2, 3]), ("data.y", [])):
            given = {"cursor": f"{EPOCH}-0.0", "where": where, "wait_seconds": 0}
            assert [data["x"] for data in numbers(await read_feed(q.manager, EVENTS, given))] == expected


@in_virtual_time
async def test_a_read_whose_condition_was_false_for_all_events_says_which_member_none_of_them_has() -> None:
    async with quiet() as q:
        live = (await q.open(EVENTS)).live
        for number in range(3):
            live.publish(json.dumps({"symbol": "A", "price": number}))
        live.add_gap("a reason")
        hint = "where was false for 3 events. None of them has data.symbl; in the last one, data has symbol, price."
        for given in ({}, {"cursor": f"{EPOCH}-0.0", "wait_seconds": 1}):
            assert (await read_feed(q.manager, EVENTS, {"where": "data.symbl == 'A'", **given}))["hint"] == hint
        assert read_page(q.manager, EVENTS, {"where": "data.symbl == 'A'"})["hint"] == hint
        assert "hint" not in await read_feed(q.manager, EVENTS, {"where": "data.symbol == 'A'"})
        assert "hint" not in await read_feed(q.manager, EVENTS, {"where": "data.symbl", "cursor": f"{EPOCH}-3.1"})
        assert "hint" not in await read_feed(q.manager, EVENTS, {})


@in_virtual_time
async def test_a_read_counts_the_events_for_which_its_condition_was_false_once_each() -> None:
    async with quiet() as q, anyio.create_task_group() as tasks:
        live = (await q.open(EVENTS)).live
        for number in range(80):
            live.publish(str(number))

        async def publish_more() -> None:
            await anyio.sleep(1)
            live.publish("80")

        tasks.start_soon(publish_more)
        given = {"where": "data == 99", "wait_seconds": 2, "cursor": f"{EPOCH}-0.0"}
        result = await read_feed(q.manager, EVENTS, given)
        assert (result["hint"], result["timed_out"]) == ("where was false for 81 events.", True)


@in_virtual_time
async def test_a_read_that_would_wait_as_the_last_of_too_many_is_refused() -> None:
    async with quiet() as q, anyio.create_task_group() as tasks:
        await q.open(EVENTS)
        for _ in range(MAX_WAITING_READS):
            tasks.start_soon(read_feed, q.manager, EVENTS, {"wait_seconds": 30})
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(CallError) as refused:
            await read_feed(q.manager, EVENTS, {"wait_seconds": 30})
        tasks.cancel_scope.cancel()
    assert refused.value.code == "too-many-reads"
    assert "m.f_events: 64 reads of this feed are waiting already. Read without waiting." in str(refused.value)


@in_virtual_time
async def test_a_read_is_reported_with_the_age_of_its_oldest_event() -> None:
    async with quiet() as q:
        live = (await q.open(EVENTS)).live
        for seconds in (0, 4):
            q.now = NOW + seconds
            live.publish("1")
        q.now = NOW + 7
        read_page(q.manager, EVENTS, {})
        await read_feed(q.manager, EVENTS, {"max_events": 1})
        q.now = NOW - 5  # the clock of the system was set back
        await read_feed(q.manager, EVENTS, {})
        read_page(q.manager, EVENTS, {"cursor": f"{EPOCH}-2.0"})
    reads = [event for event in q.events if isinstance(event, FeedRead)]
    assert reads == [FeedRead("m.f", 2, 7.0), FeedRead("m.f", 1, 3.0), FeedRead("m.f", 2, 0.0)]


@in_virtual_time
async def test_a_page_leaves_out_what_is_too_old() -> None:
    tool = feed_tools({"max_age": 60})["f_events"]
    async with quiet() as q:
        (await q.open(tool)).live.publish("1")
        q.now = NOW + 61
        result = read_page(q.manager, tool, {"cursor": f"{EPOCH}-0.0"})
    assert (result["events"], result["missed"]) == ([], 1)


@pytest.mark.parametrize(
    ("keys", "expected"), [(None, ["a", 2, "c"]), ([], []), (["c", "x"], ["c"]), ([2, "a"], ["a", 2])], ids=str
)
@in_virtual_time
async def test_the_newest_values_of_keys_have_their_ages(keys: Any, expected: list[Any]) -> None:
    async with quiet() as q:
        live = (await q.open(LATEST)).live
        for seconds, key in ((-20, "a"), (-9.8766, 2), (3, "c")):
            q.now = NOW + seconds
            live.publish(json.dumps([key]), json.dumps(key))
        live.publish("0")  # an event without a key
        q.now = NOW + 2
        known = {"a": ("a", ["a"], 22.0), 2: (2, [2], 11.877), "c": ("c", ["c"], 0.0)}
        result = await read_feed(q.manager, LATEST, {} if keys is None else {"keys": keys})
        shown = [known[key] for key in expected]
        assert result == {
            "values": [{"key": key, "data": data, "age_seconds": age} for key, data, age in shown],
            "state": "open",
        }


@in_virtual_time
async def test_the_newest_value_of_a_key_is_forgotten_when_it_is_too_old() -> None:
    async with quiet() as q:
        (await q.open(LATEST)).live.publish("1", '"a"')
        q.now = NOW + 60.5
        assert (await read_feed(q.manager, LATEST, {}))["values"] == []


# Following


async def follow(q: Quiet, tool: CompiledTool, count: int, states: list[str] | None = None, **given: Any) -> list[Any]:
    """The next items of a feed."""
    found: list[Any] = []
    note = [].append if states is None else states.append
    async with aclosing(follow_feed(q.manager, tool, given, note, note)) as items:
        while len(found) < count:
            found.append(await anext(items))
    return found


def publish(instance: FeedInstance, *texts: str) -> None:
    """Add events, and a gap for each text that is no number."""
    for text in texts:
        if text.isdigit():
            instance.live.publish(text, "1")
        else:
            instance.live.add_gap(text)


def item(offset: int, data: int, gap: int = 0) -> FeedItem:
    return FeedItem(offset, NOW, data, f"{EPOCH}-{offset}.{gap}")


FIRST = f"{EPOCH}-0.0"
ORDERS: dict[str, tuple[tuple[str, ...], str | None, list[Any]]] = {
    "events": (("5", "6"), FIRST, [item(1, 5), item(2, 6)]),
    "events behind a cursor": (("5", "6"), f"{EPOCH}-1.0", [item(2, 6)]),
    "a gap between events": (("5", "a", "6"), FIRST, [item(1, 5), FeedGap(1, "a", None), item(2, 6, 1)]),
    "a gap before all events": (("a", "5"), FIRST, [FeedGap(0, "a", None), item(1, 5, 1)]),
    "a gap behind all events": (("5", "a"), FIRST, [item(1, 5), FeedGap(1, "a", None)]),
    "gaps at one place": (
        ("5", "a", "b", "6", "c"),
        FIRST,
        [item(1, 5), FeedGap(1, "a", None), FeedGap(1, "b", None), item(2, 6, 2), FeedGap(2, "c", None)],
    ),
    "a gap that was seen": (("a", "5", "b"), f"{EPOCH}-0.1", [item(1, 5, 1), FeedGap(1, "b", None)]),
    "a gap that was seen, and no other": (("a", "5"), f"{EPOCH}-0.1", [item(1, 5, 1)]),
    "a gap alone": (("5", "a"), f"{EPOCH}-1.0", [FeedGap(1, "a", None)]),
    "an earlier life": (
        ("5", "6"),
        "dddddddd-9.3",
        [
            FeedGap(0, "the cursor is of an earlier life of the feed; what came since then is unknown", None),
            item(1, 5),
            item(2, 6),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("happened", "cursor", "expected"), ORDERS.values(), ids=ORDERS)
@in_virtual_time
async def test_a_follower_gets_in_the_order_in_which_they_happened(
    happened: tuple[str, ...], cursor: str | None, expected: list[Any]
) -> None:
    async with quiet() as q:
        publish(await q.open(EVENTS), *happened)
        assert await follow(q, EVENTS, len(expected), cursor=cursor) == expected


@in_virtual_time
async def test_a_follower_learns_how_many_events_were_removed() -> None:
    tool = feed_tools({"size": 2})["f_events"]
    async with quiet() as q:
        publish(await q.open(tool), *"12345")
        found = await follow(q, tool, 3, cursor=f"{EPOCH}-1.0")
        assert found == [FeedGap(1, REMOVED, 2), item(4, 4), item(5, 5)]
        assert await follow(q, tool, 1, cursor=f"{EPOCH}-3.0") == [item(4, 4)]


@in_virtual_time
async def test_a_follower_learns_that_all_events_were_removed() -> None:
    tool = feed_tools({"max_age": 60})["f_events"]
    async with quiet() as q:
        publish(await q.open(tool), *"123")
        q.now = NOW + 61
        assert await follow(q, tool, 1, cursor=f"{EPOCH}-1.0") == [FeedGap(1, REMOVED, 2)]


@in_virtual_time
async def test_a_follower_learns_that_more_events_were_removed_than_are_counted() -> None:
    async with quiet() as q:
        instance = await q.open(NEWEST_ONLY)
        instance.live.buffer.restart(EPOCH, 10, 0)
        publish(instance, "7")
        found = await follow(q, NEWEST_ONLY, 2, cursor=f"{EPOCH}-5.0")
        assert found == [FeedGap(10, f"{REMOVED}, more than are counted", None), item(11, 7)]


@in_virtual_time
async def test_a_follower_without_a_cursor_begins_with_what_is_there_and_goes_on() -> None:
    async with quiet() as q, anyio.create_task_group() as tasks:
        instance = await q.open(EVENTS)
        publish(instance, "1", "2")
        found: list[Any] = []

        async def go_on() -> None:
            found.extend(await follow(q, EVENTS, 4))

        tasks.start_soon(go_on)
        await anyio.wait_all_tasks_blocked()
        assert instance.reading == 1
        publish(instance, "3", "a")
        await anyio.sleep(1)
        assert found == [item(1, 1), item(2, 2), item(3, 3), FeedGap(3, "a", None)]
        assert instance.reading == 0


@in_virtual_time
async def test_a_follower_learns_of_each_state_and_ends_when_the_feed_is_removed() -> None:
    async with quiet() as q, anyio.create_task_group() as tasks:
        instance = await q.open(EVENTS)
        states: list[str] = []
        ended: list[str] = []

        async def follow_to_the_end() -> None:
            async for _ in follow_feed(q.manager, EVENTS, {}, states.append, states.append):
                pass
            ended.append(instance.removed)

        tasks.start_soon(follow_to_the_end)
        await anyio.sleep(100)
        assert states == ["open"]
        instance.live.set_state(FeedState.WAITING, "4 s after: refused")
        await anyio.sleep(1)
        instance.live.set_state(FeedState.OPEN)
        publish(instance, "1")
        await anyio.sleep(1)
        assert (states, ended) == (["open", "waiting: 4 s after: refused", "open"], [])
        q.manager.replace({}, ())
        await anyio.sleep(1)
    assert states[3:] == ["closed: the manifest was changed"]
    assert ended == ["the manifest was changed"]


@in_virtual_time
async def test_a_follower_learns_once_that_its_condition_was_false_for_all_events() -> None:
    async with quiet() as q:
        instance, heard = await q.open(EVENTS), list[str]()
        publish(instance, "1", "2")

        async def publish_later() -> None:
            await anyio.sleep(30)
            publish(instance, "3", "4")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(publish_later)
            (found,) = await follow(q, EVENTS, 1, heard, where="data == 4")
        assert (found.data, heard) == (4, ["open", "where was false for 2 events."])


@in_virtual_time
async def test_a_follower_waits_five_seconds_for_the_feed_to_open() -> None:
    async with quiet() as q, anyio.create_task_group() as tasks:
        states: list[tuple[float, str]] = []
        tasks.start_soon(
            follow, q, EVENTS, 1, SimpleNamespace(append=lambda s: states.append((anyio.current_time(), s)))
        )
        await anyio.sleep(OPEN_TIMEOUT + 1)
        tasks.cancel_scope.cancel()
    assert states == [(5.0, "opening")]


@in_virtual_time
async def test_a_follower_of_many_events_gives_others_their_turn() -> None:
    tool = feed_tools({"size": 3000})["f_events"]
    async with quiet() as q, anyio.create_task_group() as tasks:
        publish(await q.open(tool), *["1"] * 3000)
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                await anyio.lowlevel.checkpoint()
                turns += 1

        tasks.start_soon(count_turns)
        await anyio.lowlevel.checkpoint()
        before = turns
        assert len(await follow(q, tool, 3000, cursor=FIRST)) == 3000
        assert turns - before >= 2  # one after each of the pages but the last
        tasks.cancel_scope.cancel()


# Feeds that calls open

BY_CALL = feed_tools(
    {
        "name": "free",
        "inputs": {"type": "object", "properties": {"room": {"type": "string", "default": "hall"}}},
        "max_instances": 1,
    },
    {
        "name": "bound",
        "inputs": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
    },
)
OPENED_BY_CALLS = [BY_CALL["free_events"], BY_CALL["bound_events"]]


async def opened(q: Quiet, **arguments: Any) -> list[tuple[str, dict[str, Any]]]:
    await open_feeds(q.manager, OPENED_BY_CALLS, arguments)
    return [(instance.feed.definition.name, instance.arguments) for instance in q.manager]


@in_virtual_time
async def test_a_call_opens_the_feeds_whose_arguments_it_has() -> None:
    async with quiet() as q:
        assert await opened(q, other=1) == [("free", {"room": "hall"})]
        assert await opened(q, other=1, id="a") == [("free", {"room": "hall"}), ("bound", {"id": "a"})]


@in_virtual_time
async def test_a_call_waits_for_each_feed_that_it_opens_and_keeps_it_open() -> None:
    async with quiet() as q:
        await opened(q, id="a")
        assert anyio.current_time() == 10.0
        assert [instance.last_read for instance in q.manager] == [0.0, 5.0]
        for instance in q.manager:
            instance.live.set_state(FeedState.OPEN)
        await anyio.sleep(7)
        await opened(q, id="a")
        assert [instance.last_read for instance in q.manager] == [17.0, 17.0]


@in_virtual_time
async def test_a_call_whose_feed_cannot_be_opened_goes_on_to_the_next_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with quiet() as q:
        with caplog.at_level(logging.WARNING, "utcp_ws_mcp"):
            await opened(q, room="attic")
            assert await opened(q, id="a") == [("free", {"room": "attic"}), ("bound", {"id": "a"})]
        (record,) = caplog.records
        assert record.getMessage().startswith(
            "m.free is not opened by a call: m.free: 1 sets of arguments are followed"
        )
        with caplog.at_level(logging.WARNING, "utcp_ws_mcp"):
            await opened(q, id=7)
        assert "m.bound is not opened by a call: " in caplog.records[-1].getMessage()
