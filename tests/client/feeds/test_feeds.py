"""Feeds against a server on loopback: subscriptions, losses, resumption, and how long they are kept."""

from __future__ import annotations

import json
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.peer import Peer, bridge_to, peer
from utcp_ws_mcp import Bridge, CallError, InvalidArguments, InvalidManifest
from utcp_ws_mcp.client.feeds.live_feed import MAX_WAITING_READS
from utcp_ws_mcp.client.feeds.manager import canonical
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.errors import UnknownFeed

FEED = {
    "name": "trades",
    "inputs": {"type": "object", "properties": {"symbol": {"type": "string"}}, "required": ["symbol"]},
    "open": [{"send": {"op": "subscribe", "symbol": "{{ args.symbol }}"}}, {"expect": "message.op == 'subscribed'"}],
    "match": "message.symbol == args.symbol and message.price is defined",
    "item": "message.price",
    "close": {"op": "unsubscribe", "symbol": "{{ args.symbol }}"},
}
SYMBOL = {"symbol": "A"}


def manifest(seen: Peer, **feed: Any) -> dict[str, Any]:
    return {"name": "m", "url": seen.url, "feeds": [{**FEED, **feed}], "tools": []}


class Exchange:
    """A server that confirms subscriptions, and sends prices on demand."""

    def __init__(self) -> None:
        self.sequence = 0

    async def answer(self, seen: Peer, connection: Any, message: Any) -> None:
        if message["op"] == "subscribe":
            await connection.send(json.dumps({"op": "subscribed", "symbol": message["symbol"]}))
        elif message["op"] == "replay":
            for number in range(message["after"] + 1, self.sequence + 1):
                await self.send(connection, number)

    async def send(self, connection: Any, number: int) -> None:
        self.sequence = max(self.sequence, number)
        await connection.send(json.dumps({"symbol": "A", "price": number, "seq": number}))


async def read(bridge: Bridge, **arguments: Any) -> Any:
    with anyio.fail_after(10):
        return await bridge.call_tool("m.trades_events", {**SYMBOL, **arguments})


def prices(result: Any) -> list[Any]:
    return [event["data"] for event in result["events"]]


async def test_a_feed_is_opened_by_its_first_read_and_followed_by_cursor(tmp_path: Path) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        first = await read(bridge)
        assert (first["state"], first["events"], first["missed"]) == ("open", [], 0)
        await server.send(seen.open[0], 1)
        second = await read(bridge, cursor=first["cursor"])
        assert (prices(second), second["timed_out"]) == ([1], False)
        third = await read(bridge, cursor=second["cursor"], wait_seconds=0.01)
        assert (prices(third), third["timed_out"]) == ([], True)
        assert len(seen.upgrades) == 1


async def test_events_whose_data_cannot_be_computed_are_one_gap_with_the_field_to_change(tmp_path: Path) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen, item="message.cost")) as bridge:
        start = (await read(bridge))["cursor"]
        for number in (1, 2):
            await server.send(seen.open[0], number)
        result = await read(bridge, cursor=start, wait_seconds=9)
        (gap,) = result["gaps"]
        assert "item: message.cost is missing from the event. Change 'item' of the feed" in gap["reason"]
        assert (result["events"], result["timed_out"], result["missed"]) == ([], False, None)
        await seen.open[0].send(json.dumps({"symbol": "A", "price": 3, "cost": 4}))
        assert prices(await read(bridge, cursor=result["cursor"], wait_seconds=9)) == [4]


async def test_an_event_that_is_left_out_after_a_read_is_a_gap_of_the_next_read(tmp_path: Path) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen, item="message.cost")) as bridge:
        start = (await read(bridge))["cursor"]
        await server.send(seen.open[0], 1)
        first = await read(bridge, cursor=start, wait_seconds=9)
        await server.send(seen.open[0], 2)
        await seen.open[0].send(json.dumps({"symbol": "A", "price": 3, "cost": 4}))
        second = await read(bridge, cursor=first["cursor"], wait_seconds=9)
        while not second["events"]:  # the gap may arrive alone
            assert (len(second["gaps"]), second["missed"]) == (1, None)
            second = {**second, **await read(bridge, cursor=second["cursor"], wait_seconds=9), "gaps": second["gaps"]}
        assert (prices(second), len(first["gaps"]), len(second["gaps"])) == ([4], 1, 1)


async def test_two_readers_share_one_subscription_and_get_all_events(tmp_path: Path) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        start = (await read(bridge))["cursor"]
        for number in (1, 2, 3):
            await server.send(seen.open[0], number)
        results: list[Any] = []

        async def follow() -> None:
            cursor, got = start, []
            while len(got) < 3:
                result = await read(bridge, cursor=cursor)
                got += prices(result)
                cursor = result["cursor"]
            results.append(got)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            tasks.start_soon(follow)
        assert results == [[1, 2, 3]] * 2
        assert [message["op"] for message in seen.received] == ["subscribe"]


async def test_a_lost_connection_is_a_named_gap_and_the_feed_opens_again_without_a_call(tmp_path: Path) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        cursor = (await read(bridge))["cursor"]
        await seen.open[0].close(1012, "restart")
        await seen.until(lambda: len(seen.received) == 2)
        await server.send(seen.open[-1], 7)
        got: list[Any] = []
        gaps: list[Any] = []
        while not got:
            result = await read(bridge, cursor=cursor)
            got, gaps, cursor = prices(result), gaps + result["gaps"], result["cursor"]
        assert got == [7]
        assert len(gaps) == 1
        assert "restart" in gaps[0]["reason"]
        assert "unknown" in gaps[0]["reason"]


async def test_a_feed_that_resumes_misses_nothing(tmp_path: Path) -> None:
    server = Exchange()
    resume = {"position": "message.seq", "resume": [{"send": {"op": "replay", "after": "{{ position }}"}}]}
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen, **resume)) as bridge:
        cursor = (await read(bridge))["cursor"]
        await server.send(seen.open[0], 1)
        got: list[Any] = []
        for life in range(1, 6):
            while len(got) < server.sequence:
                result = await read(bridge, cursor=cursor)
                assert result["gaps"] == []
                got, cursor = got + prices(result), result["cursor"]
            server.sequence += 2  # while there is no connection
            await seen.open[-1].close(1012)
            await seen.until(lambda life=life: len(seen.upgrades) == life + 1)
        while len(got) < server.sequence:
            result = await read(bridge, cursor=cursor)
            got, cursor = got + prices(result), result["cursor"]
        assert got == list(range(1, server.sequence + 1))


async def test_a_feed_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    async def refuse(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"op": "error", "text": "no such symbol"}))

    open_steps = [
        {"send": {"op": "subscribe"}},
        {"expect": "message.op is defined", "fail": "message.op == 'error'", "fail_message": "message.text"},
    ]
    async with peer(refuse) as seen, bridge_to(tmp_path, manifest(seen, open=open_steps)) as bridge:
        result = await read(bridge)
        assert result["state"].startswith("waiting: ")
        assert "no such symbol" in result["state"]


async def test_what_a_refused_subscription_is_says_nothing_about_events(tmp_path: Path) -> None:
    server = Exchange()
    confirmed = [{"send": {"op": "subscribe", "symbol": "A"}}, {"expect": "message.op", "fail": "not message.op"}]
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen, open=confirmed)) as bridge:
        cursor = (await read(bridge))["cursor"]
        await server.send(seen.open[0], 1)
        result = await read(bridge, cursor=cursor, wait_seconds=5)
        assert (prices(result), result["state"]) == ([1], "open")


async def test_a_connection_that_the_server_closes_is_reported_with_code_and_reason_and_without_a_request(
    tmp_path: Path,
) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        cursor = (await read(bridge))["cursor"]
        await server.send(seen.open[0], 1)
        cursor = (await read(bridge, cursor=cursor, wait_seconds=5))["cursor"]
        await seen.open[0].close(1001, "restart")
        result = await read(bridge, cursor=cursor, wait_seconds=5)
        text = f"{result['state']} {result['gaps']}"
        assert "closed by the server with code 1001; the endpoint said: “restart”" in text
        assert "may have been executed" not in text


async def test_a_feed_without_readers_is_closed_and_opened_again(tmp_path: Path) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen, linger=0)) as bridge:
        cursor = (await read(bridge))["cursor"]
        await seen.until(lambda: [message["op"] for message in seen.received] == ["subscribe", "unsubscribe"])
        result = await read(bridge, cursor=cursor)
        assert "it is no longer read" in result["gaps"][0]["reason"]


async def test_a_feed_with_start_is_open_before_its_first_read(tmp_path: Path) -> None:
    server = Exchange()
    feed = {"inputs": {}, "open": [{"send": {"op": "subscribe", "symbol": "A"}}], "match": "message.price is defined"}
    document = manifest(Peer(), start="start", **feed)
    document["feeds"][0].pop("close")
    async with peer(server.answer) as seen:
        document["url"] = seen.url
        async with bridge_to(tmp_path, document) as bridge:
            await seen.until(lambda: bool(seen.received))
            await server.send(seen.open[0], 1)
            result = await bridge.call_tool("m.trades_events", {"wait_seconds": 5})
            assert prices(result) == [1]


async def test_a_condition_selects_events(tmp_path: Path) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen, item="message")) as bridge:
        cursor = (await read(bridge))["cursor"]
        for number in (1, 2, 3):
            await server.send(seen.open[0], number)
        result = await read(bridge, cursor=cursor, where="data.price > 2")
        assert [event["data"]["price"] for event in result["events"]] == [3]


async def test_the_newest_value_of_each_key_is_kept(tmp_path: Path) -> None:
    server = Exchange()
    feed = {"inputs": {}, "open": [], "match": "message.price is defined", "key": "message.price % 2", "keep": "latest"}
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen, close=None, **feed)) as bridge:
        cursor = (await bridge.call_tool("m.trades_events"))["cursor"]
        for number in (1, 2, 3):
            await server.send(seen.open[0], number)
        result = await bridge.call_tool("m.trades_events", {"cursor": cursor, "where": "data == 3"})
        assert prices(result) == [3]
        latest = await bridge.call_tool("m.trades_latest", {"keys": [1]})
        assert [(value["key"], value["data"]) for value in latest["values"]] == [(1, 3)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cursor": "nonsense"}, "was not returned by this feed"),
        ({"cursor": "x" * 10_000_000}, "was not returned by this feed"),
        ({"wait_seconds": -1}, "wait_seconds"),
        ({"wait_seconds": 1e9}, "wait_seconds"),
        ({"wait_seconds": float("nan")}, "wait_seconds"),
        ({"max_events": 0}, "max_events"),
        ({"where": "data.("}, "where"),
        ({"where": "message.x"}, "where"),
    ],
)
async def test_wrong_arguments_of_a_read_are_refused(tmp_path: Path, arguments: Any, message: str) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        with pytest.raises(InvalidArguments, match=message) as refused:
            await read(bridge, **arguments)
        assert len(str(refused.value)) < 500


async def test_a_cursor_of_another_life_reads_everything_and_says_so(tmp_path: Path) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        await read(bridge)
        await server.send(seen.open[0], 1)
        await read(bridge, wait_seconds=5)
        result = await read(bridge, cursor="zzzz-500.2")
        assert (prices(result), result["missed"]) == ([1], None)


async def test_a_feed_is_followed_in_python_with_its_gaps(tmp_path: Path) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        followed: list[Any] = []
        states: list[str] = []
        with anyio.fail_after(10):
            async with aclosing(bridge.feed("m.trades", SYMBOL, on_state=states.append)) as items:
                follow = aiter(items)
                async with anyio.create_task_group() as tasks:

                    async def take() -> None:
                        while len(followed) < 3:
                            followed.append(await anext(follow))

                    tasks.start_soon(take)
                    await seen.until(lambda: len(seen.received) == 1)
                    while not states:
                        await checkpoint()
                    await server.send(seen.open[0], 1)
                    while not followed:
                        await checkpoint()
                    await seen.open[0].close(1012)
                    await seen.until(lambda: len(seen.received) == 2)
                    await server.send(seen.open[-1], 2)
        assert [getattr(item, "data", "gap") for item in followed] == [1, "gap", 2]
        assert states[0] == "open"


async def test_a_tool_is_no_feed(tmp_path: Path) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        with pytest.raises(UnknownFeed, match="other"):
            await anext(aiter(bridge.feed("m.other")))


async def test_a_tool_whose_name_ends_like_that_of_a_feed_is_none(tmp_path: Path) -> None:
    server = Exchange()
    async with (
        peer(server.answer) as seen,
        bridge_to(tmp_path, {**manifest(seen), "tools": [{"name": "past_events"}]}) as bridge,
    ):
        with pytest.raises(UnknownFeed, match=r"past.*The feeds are: m\.trades"):
            await bridge.feed_schema("m.past")


async def test_a_cursor_that_is_none_has_a_code(tmp_path: Path) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        with pytest.raises(InvalidArguments) as refused:
            await read(bridge, cursor="nonsense")
    assert refused.value.code == "invalid-cursor"


async def test_more_sets_of_arguments_than_allowed_are_refused_while_all_are_wanted(tmp_path: Path) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen, max_instances=1)) as bridge:
        await read(bridge)
        with pytest.raises(CallError) as refused:
            await bridge.call_tool("m.trades_events", {"symbol": "B"})
        assert refused.value.code == "too-many-feeds"
        assert (await read(bridge))["state"] == "open"


async def test_a_set_of_arguments_without_readers_makes_room_for_another(tmp_path: Path) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen, max_instances=1, linger=0)) as bridge:
        await read(bridge)
        result = await bridge.call_tool("m.trades_events", {"symbol": "B"})
        assert result["state"] == "open"


async def test_a_read_beyond_the_maximum_of_waiting_reads_is_refused(tmp_path: Path) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        cursor = (await read(bridge))["cursor"]
        async with anyio.create_task_group() as tasks:
            for _ in range(MAX_WAITING_READS):
                tasks.start_soon(partial(read, bridge, cursor=cursor))
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(CallError) as refused:
                await read(bridge, cursor=cursor)
            await server.send(seen.open[0], 1)
    assert refused.value.code == "too-many-reads"


@pytest.mark.parametrize(
    ("feed", "code"),
    [
        ({"inputs": {"type": "object", "properties": {"cursor": {}}}}, "feed-argument-reserved"),
        ({"keep": "latest"}, "feed-key-required"),
        ({"resume": [{"send": {}}]}, "feed-position-required"),
        ({"start": "start"}, "feed-start-with-arguments"),
        ({"match": "message.("}, "invalid-expression"),
        ({"open": [{"send": {}, "expect": "true"}]}, "step-not-exclusive"),
    ],
)
def test_a_feed_that_cannot_work_is_a_problem_when_the_manifest_is_loaded(
    tmp_path: Path, feed: dict[str, Any], code: str
) -> None:
    file = tmp_path / "m.json"
    file.write_text(json.dumps(manifest(Peer(port=1), **feed)), encoding="utf-8")
    with pytest.raises(InvalidManifest) as invalid:
        load_manifest(file)
    assert code in {problem.code for problem in invalid.value.problems}


def test_two_feeds_with_the_same_name_are_a_problem_when_the_manifest_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    file.write_text(json.dumps({**manifest(Peer(port=1)), "feeds": [FEED, FEED]}), encoding="utf-8")
    with pytest.raises(InvalidManifest) as invalid:
        load_manifest(file)
    assert [problem.code for problem in invalid.value.problems] == ["duplicate-tool"]


async def test_events_that_an_endpoint_sends_at_once_are_read(tmp_path: Path) -> None:
    async def greet(connection: Any) -> None:
        await connection.send(json.dumps({"price": 1}))

    feed = {"inputs": {}, "open": [], "match": "message.price is defined", "close": None}
    async with peer(Exchange().answer, greet=greet) as seen, bridge_to(tmp_path, manifest(seen, **feed)) as bridge:
        with anyio.fail_after(10):
            assert prices(await bridge.call_tool("m.trades_events", {"wait_seconds": 9})) == [1]


async def test_a_feed_leaves_a_session_that_has_ended(tmp_path: Path) -> None:
    server = Exchange()
    document = {"reconnect_when": "message.op == 'expired'"}
    async with peer(server.answer) as seen, bridge_to(tmp_path, {**manifest(seen), **document}) as bridge:
        cursor = (await read(bridge))["cursor"]
        await seen.open[0].send(json.dumps({"op": "expired"}))
        await seen.until(lambda: len(seen.received) == 3)  # the feed ends there and begins again
        result = await read(bridge, cursor=cursor)
        assert "the session has ended" in (result["gaps"][0]["reason"] if result["gaps"] else result["state"])
        assert len(seen.upgrades) == 2


async def test_a_read_that_begins_while_a_feed_is_closed_keeps_it_open(tmp_path: Path) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen, linger=0)) as bridge:
        cursor = (await read(bridge))["cursor"]
        for number in range(1, 6):
            result = await read(bridge, cursor=cursor, wait_seconds=0)
            assert not result["state"].startswith("closed"), number
            cursor = result["cursor"]


async def test_without_item_the_data_is_the_value_of_the_whole_message(tmp_path: Path) -> None:
    server = Exchange()
    document = manifest(Peer())
    document["feeds"][0].pop("item")
    async with peer(server.answer) as seen, bridge_to(tmp_path, {**document, "url": seen.url}) as bridge:
        await read(bridge)
        await server.send(seen.open[0], 1)
        result = await read(bridge, wait_seconds=5, where="data.price == 1")
        assert prices(result) == [{"symbol": "A", "price": 1, "seq": 1}]


def snapshot_server(before: int) -> Any:
    """Return what answers a subscription with so many prices, and confirms it then."""

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        for number in range(1, before + 1):
            await connection.send(json.dumps({"symbol": "A", "price": number}))
        await connection.send(json.dumps({"op": "subscribed", "symbol": "A"}))

    return answer


async def test_all_events_before_the_confirmation_are_kept(tmp_path: Path) -> None:
    async with peer(snapshot_server(500)) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        result = await read(bridge, max_events=1000, wait_seconds=5)
        assert prices(result) == list(range(1, 501))


async def test_events_before_the_confirmation_that_exceed_the_size_are_a_gap(tmp_path: Path) -> None:
    async with peer(snapshot_server(500)) as seen, bridge_to(tmp_path, manifest(seen, size=200)) as bridge:
        epoch = (await read(bridge))["cursor"].split("-")[0]
        result = await read(bridge, cursor=f"{epoch}-0.0", max_events=1000)
        assert prices(result) == list(range(301, 501))
        assert ["300 messages" in gap["reason"] for gap in result["gaps"]] == [True]
        assert result["missed"] is None


async def test_events_during_a_resumption_that_exceed_the_size_are_a_gap(tmp_path: Path) -> None:
    server = Exchange()

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await server.answer(seen, connection, message)
        if message["op"] == "replay":
            await connection.send(json.dumps({"op": "replayed"}))

    resume = [{"send": {"op": "replay", "after": "{{ position }}"}}, {"expect": "message.op == 'replayed'"}]
    feed = {"position": "message.seq", "resume": resume, "size": 10}
    async with peer(answer) as seen, bridge_to(tmp_path, manifest(seen, **feed)) as bridge:
        cursor = (await read(bridge))["cursor"]
        await server.send(seen.open[0], 1)
        cursor = (await read(bridge, cursor=cursor))["cursor"]
        server.sequence = 31
        await seen.open[0].close(1012)
        got: list[Any] = []
        gaps: list[Any] = []
        while 31 not in got:
            result = await read(bridge, cursor=cursor)
            got, gaps, cursor = got + prices(result), gaps + result["gaps"], result["cursor"]
        assert got == list(range(22, 32))
        assert ["20 messages" in gap["reason"] for gap in gaps] == [True]


async def test_a_feed_that_opens_beside_another_one_gets_the_events_before_its_confirmation(tmp_path: Path) -> None:
    confirm = anyio.Event()

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        if message["symbol"] == "B":
            await connection.send(json.dumps({"symbol": "*", "price": 1}))
            await confirm.wait()
        await connection.send(json.dumps({"op": "subscribed", "symbol": message["symbol"]}))

    feed = {"match": "message.price is defined", "open": [{"send": {"symbol": "{{ args.symbol }}"}}, FEED["open"][1]]}
    async with peer(answer) as seen, bridge_to(tmp_path, manifest(seen, **feed)) as bridge:
        cursor = (await read(bridge))["cursor"]
        results: list[Any] = []

        async def read_other() -> None:
            results.append(await bridge.call_tool("m.trades_events", {"symbol": "B", "wait_seconds": 5}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read_other)
            assert prices(await read(bridge, cursor=cursor)) == [1]
            confirm.set()
        assert prices(results[0]) == [1]
        assert len(seen.upgrades) == 1


async def test_a_follower_with_a_cursor_of_an_earlier_program_learns_of_the_gap(tmp_path: Path) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        await read(bridge)
        await server.send(seen.open[0], 1)
        with anyio.fail_after(10):
            async with aclosing(bridge.feed("m.trades", SYMBOL, cursor="abcd-7.1")) as items:
                gap, item = await anext(aiter(items)), await anext(aiter(items))
        assert (gap.after, gap.missed) == (0, None)
        assert "earlier" in gap.reason
        assert item.data == 1


async def test_the_cursor_of_a_followed_event_is_before_the_gap_behind_it(tmp_path: Path) -> None:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(tmp_path, manifest(seen)) as bridge:
        start = (await read(bridge))["cursor"]
        await server.send(seen.open[0], 1)
        await read(bridge, cursor=start)
        await seen.open[0].close(1012)
        await seen.until(lambda: len(seen.received) == 2)
        await server.send(seen.open[-1], 2)
        while not prices(await read(bridge, cursor=start, where="data == 2")):
            pass
        with anyio.fail_after(10):
            async with aclosing(bridge.feed("m.trades", SYMBOL, cursor=start)) as items:
                item = await anext(aiter(items))
            result = await read(bridge, cursor=item.cursor)
        assert item.data == 1
        assert (prices(result), len(result["gaps"])) == ([2], 1)


def test_arguments_are_the_same_in_any_order_of_their_keys() -> None:
    ordered = {"a": [{"x": 1, "y": [2, 1]}], "b": {"c": None, "d": "ü"}}
    other = {"b": {"d": "ü", "c": None}, "a": [{"y": [2, 1], "x": 1}]}
    assert canonical(ordered) == canonical(other) == '{"a":[{"x":1,"y":[2,1]}],"b":{"c":null,"d":"ü"}}'
    assert canonical({"a": [1, 2]}) != canonical({"a": [2, 1]})
