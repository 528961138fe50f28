"""Faults of readers, endpoints and manifests: each ends in a clear error, a state or a named gap."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.client.feeds.test_feeds import FEED, SYMBOL, Exchange, manifest, prices, read
from tests.peer import PATIENCE, Peer, bridge_to, entry, jsonrpc, peer, silent
from utcp_ws_mcp import Bridge, CallError, CallTimeout, FeedGap, InvalidArguments, UnknownTool
from utcp_ws_mcp.client.feeds import keeper
from utcp_ws_mcp.client.feeds.live_feed import MAX_WAITING_READS
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.errors import UnknownFeed
from utcp_ws_mcp.server.tools import ToolService


@asynccontextmanager
async def exchange(folder: Path, **feed: Any) -> AsyncIterator[tuple[Exchange, Peer, Bridge]]:
    server = Exchange()
    async with peer(server.answer) as seen, bridge_to(folder, manifest(seen, **feed)) as bridge:
        yield server, seen, bridge


async def read_until(bridge: Bridge, cursor: str, done: Any) -> list[Any]:
    """Read behind a cursor until the results satisfy a condition; return them."""
    results: list[Any] = []
    while not results or not done(results[-1]):
        results.append(await read(bridge, cursor=cursor))
        cursor = results[-1]["cursor"]
    return results


async def test_a_cursor_of_the_future_is_refused(tmp_path: Path) -> None:
    async with exchange(tmp_path) as (_, _, bridge):
        epoch = (await read(bridge))["cursor"].partition("-")[0]
        for cursor in (f"{epoch}-1.0", f"{epoch}-0.1", f"{epoch}-{'9' * 18}.0"):
            with pytest.raises(InvalidArguments) as refused:
                await read(bridge, cursor=cursor)
            assert refused.value.code == "invalid-cursor"


async def test_a_cursor_of_another_set_of_arguments_reads_what_is_kept_and_says_that_it_is_not_exact(
    tmp_path: Path,
) -> None:
    async with exchange(tmp_path) as (server, seen, bridge):
        other = (await bridge.call_tool("m.trades_events", {"symbol": "B"}))["cursor"]
        await read(bridge)
        await server.send(seen.open[0], 1)
        (result,) = await read_until(bridge, other, lambda result: True)
        assert result["missed"] is None


@pytest.mark.parametrize(
    "where",
    ["'x' * 2000000000 == ''", "range(1000000000) | list | length > 5", "data | pprint", "[1] * 1000000000 == []"],
)
async def test_a_condition_that_would_run_away_is_refused(tmp_path: Path, where: str) -> None:
    async with exchange(tmp_path) as (server, seen, bridge):
        cursor = (await read(bridge))["cursor"]
        await server.send(seen.open[0], 1)
        with pytest.raises(InvalidArguments, match="where"):
            await read(bridge, cursor=cursor, where=where)
        assert prices(await read(bridge, cursor=cursor)) == [1]


async def test_an_endpoint_that_never_confirms_is_named_and_asked_again(tmp_path: Path) -> None:
    opening = [{"send": {"op": "subscribe"}}, {"expect": "message.op == 'subscribed'", "timeout": 0.05}]
    async with peer(silent) as seen, bridge_to(tmp_path, manifest(seen, open=opening)) as bridge:
        result = await read(bridge)
        assert result["state"].startswith("waiting: ")
        assert "0.05 s" in result["state"]
        await seen.until(lambda: len(seen.received) >= 2)


async def confirm_all_but(seen: Peer, connection: Any, message: Any) -> None:
    """Confirm each subscription except that of the symbol NOPE."""
    if message["op"] == "subscribe" and message["symbol"] != "NOPE":
        await connection.send(json.dumps({"op": "subscribed"}))


UNSURE = [FEED["open"][0], {"expect": "message.op == 'subscribed'", "timeout": 0.05}]
"""Steps of which a late confirmation could be that of another subscription."""


def subscribed_to(seen: Peer, symbol: str) -> int:
    return seen.received.count({"op": "subscribe", "symbol": symbol})


async def test_a_subscription_that_is_never_confirmed_takes_no_connection_from_another(tmp_path: Path) -> None:
    async with peer(confirm_all_but) as seen, bridge_to(tmp_path, manifest(seen, open=UNSURE)) as bridge:
        cursor = (await read(bridge))["cursor"]
        assert "0.05 s" in (await read(bridge, symbol="NOPE"))["state"]
        await seen.until(lambda: subscribed_to(seen, "NOPE") >= 4)
        await Exchange().send(seen.open[0], 1)
        (result,) = await read_until(bridge, cursor, lambda result: True)
        assert (prices(result), result["missed"], result["gaps"], result["state"]) == ([1], 0, [], "open")
        assert subscribed_to(seen, "A") == 1


async def test_what_an_endpoint_says_instead_of_a_confirmation_is_shown(tmp_path: Path) -> None:
    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"op": "come back later"}))

    opening = [{"send": {"op": "subscribe"}}, {"expect": "message.op == 'subscribed'", "timeout": 0.05}]
    async with peer(answer) as seen, bridge_to(tmp_path, manifest(seen, open=opening)) as bridge:
        assert "come back later" in (await read(bridge))["state"]


async def test_a_policy_code_is_named_and_the_endpoint_is_left_alone_for_longer(tmp_path: Path) -> None:
    async with exchange(tmp_path) as (_, seen, bridge):
        cursor = (await read(bridge))["cursor"]
        await seen.open[0].close(1008, "not allowed")
        result = {"state": ""}
        while not result["state"].startswith("waiting"):
            result = await read(bridge, cursor=cursor, wait_seconds=0)
        assert "not allowed" in result["state"]
        assert float(result["state"].split()[1]) >= 30


@asynccontextmanager
async def a_feed_that_waits(folder: Path, answer: Any, code: int = 1012) -> AsyncIterator[tuple[Peer, Bridge]]:
    """A bridge whose feed has lost its connection and waits for an hour, and whose calls open one each."""
    tool = {"name": "ask", "tool_call_template": {"message": {"op": "ask"}, "keep_alive": False}}
    async with peer(answer) as seen, bridge_to(folder, {**manifest(seen), "tools": [tool]}) as bridge:
        await read(bridge)
        await seen.open[0].close(code)
        while not (await read(bridge, wait_seconds=0))["state"].startswith("waiting"):
            pass
        yield seen, bridge


def subscriptions(seen: Peer) -> int:
    return sum(message["op"] == "subscribe" for message in seen.received)


async def confirm(seen: Peer, connection: Any, message: Any) -> None:
    op = {"subscribe": "subscribed"}.get(message["op"], message["op"])
    await connection.send(json.dumps({**message, "op": op}))


async def test_a_feed_that_waits_for_its_endpoint_is_opened_once_a_call_reaches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "backoff_delay", lambda failures, random: 3600.0)
    async with a_feed_that_waits(tmp_path, confirm) as (seen, bridge):
        await bridge.call_tool("m.ask")
        await seen.until(lambda: subscriptions(seen) == 2)


async def test_connections_that_are_opened_later_do_not_end_the_next_pause_of_a_feed_that_failed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drop_feeds(seen: Peer, connection: Any, message: Any) -> None:
        if subscriptions(seen) > 1 and message["op"] == "subscribe":
            await connection.close(1012)
        else:
            await confirm(seen, connection, message)

    monkeypatch.setattr(keeper, "backoff_delay", lambda failures, random: 3600.0)
    async with a_feed_that_waits(tmp_path, drop_feeds) as (seen, bridge):
        await bridge.call_tool("m.ask")
        await seen.until(lambda: subscriptions(seen) == 2)
        while not (await read(bridge, wait_seconds=0))["state"].startswith("waiting"):
            pass
        for _ in range(3):
            await bridge.call_tool("m.ask")
        assert (await read(bridge, wait_seconds=0))["state"].startswith("waiting")
        assert subscriptions(seen) == 2


async def test_a_call_does_not_end_the_pause_of_a_feed_that_the_endpoint_refuses(tmp_path: Path) -> None:
    async with a_feed_that_waits(tmp_path, confirm, code=1008) as (_, bridge):
        await bridge.call_tool("m.ask")
        assert (await read(bridge, wait_seconds=0))["state"].startswith("waiting")


async def test_repeated_positions_are_dropped_and_those_that_go_back_are_a_gap(tmp_path: Path) -> None:
    async with exchange(tmp_path, position="message.seq") as (server, seen, bridge):
        cursor = (await read(bridge))["cursor"]
        for number in (7, 7, 8):
            await server.send(seen.open[0], number)
        results = await read_until(bridge, cursor, lambda result: 8 in prices(result))
        assert [price for result in results for price in prices(result)] == [7, 8]
        await seen.open[0].close(1012, "restart")
        await seen.until(lambda: len(seen.received) == 2)
        for number in (1, 2):
            await server.send(seen.open[-1], number)
        later = await read_until(bridge, results[-1]["cursor"], lambda result: 2 in prices(result))
        reasons = " ".join(gap["reason"] for result in later for gap in result["gaps"])
        assert "went back to 1" in reasons
        assert [price for result in later for price in prices(result)] == [1, 2]


async def test_an_endpoint_that_counts_from_the_beginning_on_the_same_connection_is_a_gap(tmp_path: Path) -> None:
    async with exchange(tmp_path, position="message.seq") as (_, seen, bridge):
        cursor = (await read(bridge))["cursor"]
        for seq, price in ((1, 10), (2, 20), (1, 11), (2, 21), (3, 31)):
            await seen.open[0].send(json.dumps({"symbol": "A", "price": price, "seq": seq}))
        results = await read_until(bridge, cursor, lambda result: 31 in prices(result))
        assert [price for result in results for price in prices(result)] == [10, 20, 11, 21, 31]
        gaps = [gap for result in results for gap in result["gaps"]]
        assert gaps == [{"after": 2, "reason": "the positions of the endpoint went back to 1"}]


async def test_a_flood_keeps_the_newest_events_and_counts_the_others(tmp_path: Path) -> None:
    async with exchange(tmp_path, size=100) as (server, seen, bridge):
        cursor = (await read(bridge))["cursor"]
        for number in range(1, 5_001):
            await server.send(seen.open[0], number)
        await read(bridge, where="data == 5000", wait_seconds=9)
        got, missed = [], 0
        while 5_000 not in got:
            result = await read(bridge, cursor=cursor, max_events=1000)
            got, missed, cursor = got + prices(result), missed + result["missed"], result["cursor"]
        assert got == sorted(set(got))
        assert len(got) + missed == 5_000


async def test_of_a_thousand_readers_those_that_may_wait_get_the_event_and_the_others_an_error(tmp_path: Path) -> None:
    async with exchange(tmp_path) as (server, seen, bridge):
        cursor = (await read(bridge))["cursor"]
        got: list[Any] = []

        async def follow() -> None:
            try:
                got.append(prices(await read(bridge, cursor=cursor)))
            except CallError as error:
                got.append(error.code)

        async with anyio.create_task_group() as tasks:
            for _ in range(1_000):
                tasks.start_soon(follow)
            await anyio.wait_all_tasks_blocked()
            await server.send(seen.open[0], 1)
        assert (got.count([1]), got.count("too-many-reads")) == (MAX_WAITING_READS, 1_000 - MAX_WAITING_READS)
        assert prices(await read(bridge, cursor=cursor)) == [1]


async def test_a_cancelled_wait_leaves_feed_connection_and_events(tmp_path: Path) -> None:
    async with exchange(tmp_path) as (server, seen, bridge):
        cursor = (await read(bridge))["cursor"]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: read(bridge, cursor=cursor))
            await anyio.wait_all_tasks_blocked()
            (instance,) = bridge.feed_instances()
            assert instance.reading == 1
            tasks.cancel_scope.cancel()
        assert instance.reading == 0
        await server.send(seen.open[0], 1)
        assert prices(await read(bridge, cursor=cursor)) == [1]
        assert len(seen.upgrades) == 1


def reload(bridge: Bridge, folder: Path, document: Any) -> None:
    file = folder / "changed.json"
    file.write_text(json.dumps(document))
    bridge.reload([load_manifest(file)])


async def test_a_reload_of_the_same_feed_changes_nothing(tmp_path: Path) -> None:
    async with exchange(tmp_path) as (server, seen, bridge):
        cursor = (await read(bridge))["cursor"]
        reload(bridge, tmp_path, manifest(seen))
        await server.send(seen.open[0], 1)
        result = await read(bridge, cursor=cursor)
        assert (prices(result), result["missed"], result["gaps"]) == ([1], 0, [])
        assert len(seen.upgrades) == 1


async def test_a_reload_of_a_changed_feed_ends_a_wait_and_the_next_read_is_of_the_new_one(tmp_path: Path) -> None:
    async with exchange(tmp_path) as (server, seen, bridge):
        cursor = (await read(bridge))["cursor"]
        states: list[str] = []

        async def wait() -> None:
            states.append((await read(bridge, cursor=cursor))["state"])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            reload(bridge, tmp_path, manifest(seen, item="message"))
        assert states == ["closed: the manifest was changed"]
        result = await read(bridge, cursor=cursor)
        assert (result["missed"], result["state"]) == (None, "open")
        await server.send(seen.open[-1], 1)
        (later,) = await read_until(bridge, result["cursor"], lambda result: True)
        assert prices(later) == [{"symbol": "A", "price": 1, "seq": 1}]


async def test_a_reload_without_the_feed_ends_a_wait_and_its_tools(tmp_path: Path) -> None:
    async with exchange(tmp_path) as (_, seen, bridge):
        cursor = (await read(bridge))["cursor"]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: read(bridge, cursor=cursor))
            await anyio.wait_all_tasks_blocked()
            reload(bridge, tmp_path, {"name": "m", "url": seen.url, "tools": []})
        with pytest.raises(UnknownTool):
            await read(bridge, cursor=cursor)
        await seen.until(lambda: any(message["op"] == "unsubscribe" for message in seen.received))


async def test_a_python_loop_goes_on_with_the_changed_feed_and_ends_if_it_is_gone(tmp_path: Path) -> None:
    async with exchange(tmp_path) as (server, seen, bridge):
        got: list[Any] = []
        failed: list[str] = []

        async def follow() -> None:
            try:
                async for item in bridge.feed("m.trades", SYMBOL):
                    shown = "gap" if isinstance(item, FeedGap) else item.data
                    got.append(shown)
            except UnknownFeed as error:
                failed.append(error.code)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            for number, changed in ((1, {"item": "-message.price"}), (2, {"item": "message.seq * 10"})):
                await seen.until(lambda count=number: sum(each["op"] == "subscribe" for each in seen.received) == count)
                await anyio.wait_all_tasks_blocked()
                await server.send(seen.open[-1], number)
                with anyio.fail_after(PATIENCE):
                    while not got or got[-1] == "gap":
                        await anyio.lowlevel.checkpoint()
                reload(bridge, tmp_path, manifest(seen, **changed))
                with anyio.fail_after(PATIENCE):
                    while got[-1] != "gap":
                        await anyio.lowlevel.checkpoint()
            reload(bridge, tmp_path, {"name": "m", "url": seen.url, "tools": []})
        assert got == [1, "gap", -2, "gap", "gap"]
        assert failed == ["unknown-feed"]


async def test_a_loop_with_a_cursor_of_an_earlier_run_begins_with_a_gap(tmp_path: Path) -> None:
    async with exchange(tmp_path) as (_, _, bridge):
        items = bridge.feed("m.trades", SYMBOL, cursor="zzzz-5.0")
        first = await anext(aiter(items))
        await items.aclose()
    assert isinstance(first, FeedGap)
    assert "earlier life" in first.reason


async def test_a_call_that_needs_the_connection_of_a_feed_for_itself_says_so(tmp_path: Path) -> None:
    template = {"feeds": [{**FEED, "inputs": {}, "open": [], "match": "message.n is defined", "close": None}]}
    document = {"timeout": 0.2, "limits": {"max_connections": 1}, **template}
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "alone", **document)) as bridge:
        await bridge.call_tool("m.trades_events")
        with pytest.raises(CallTimeout, match=r"feeds, or calls that only listen, .* Raise limits.max_connections"):
            await bridge.call_tool("m.alone", {"n": 1})


async def test_reads_by_a_host_carry_codes(tmp_path: Path) -> None:
    async def ignore(number: float, message: str) -> None:
        raise AssertionError(message)

    async with exchange(tmp_path) as (_, _, bridge):
        service = ToolService(bridge)
        tool = await service.find("m_trades_events")
        assert tool is not None
        result = await service.call(tool, {**SYMBOL, "cursor": "nonsense"}, ignore)
    assert (result.is_error, result.code) == (True, "invalid-cursor")
