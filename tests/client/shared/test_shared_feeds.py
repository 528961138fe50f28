"""Feeds of two replicas: one connection, the same cursors, and hand-overs."""

from __future__ import annotations

import json
import signal
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest

from tests.client.feeds.test_feeds import SYMBOL, Exchange, manifest, prices
from tests.client.feeds.test_query import Log
from tests.client.feeds.test_query import manifest as positions_in_url
from tests.client.feeds.test_query import read as read_posts
from tests.client.feeds.test_query import read_until as read_posts_until
from tests.peer import jsonrpc, peer
from tests.redis_server import needs_redis, redis_server, replica
from utcp_ws_mcp.bridge import Bridge
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.client.shared import feed_keeper
from utcp_ws_mcp.client.shared.store import Script
from utcp_ws_mcp.observability.feed_events import FeedOwned

pytestmark = [pytest.mark.anyio, needs_redis]
RESUMABLE = {
    "position": "message.seq",
    "resume": [{"send": {"op": "replay", "after": "{{ position }}"}}],
}


@asynccontextmanager
async def shared_bridge(folder, document, server, name, events=None):
    file = folder / f"{name}.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    events = [] if events is None else events
    loaded = [load_manifest(file, {}, ())]
    async with replica(server, name) as fleet, Bridge(loaded, fleet=fleet, observe=events.append) as bridge:
        yield bridge


@asynccontextmanager
async def two(folder, document, server):
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(shared_bridge(folder, document, server, name)) for name in "ab"]


async def read(bridge, **arguments):
    with anyio.fail_after(30):
        return await bridge.call_tool("m.trades_events", {**SYMBOL, **arguments})


async def read_until(bridge, cursor, count):
    """Return the prices and gaps behind a cursor, until there are `count` prices, and where they end."""
    got, gaps = [], []
    while len(got) < count:
        result = await read(bridge, cursor=cursor, wait_seconds=5)
        got, gaps, cursor = got + prices(result), gaps + result["gaps"], result["cursor"]
    return got, gaps, cursor


async def test_two_replicas_follow_a_feed_over_one_connection(tmp_path):
    server = Exchange()
    async with peer(server.answer) as seen, redis_server(tmp_path) as store:
        async with two(tmp_path, manifest(seen), store) as (a, b):
            start = (await read(a))["cursor"]
            assert (await read(b))["state"] == "open"
            for number in (1, 2, 3):
                await server.send(seen.open[0], number)
            assert [await read_until(each, start, 3) for each in (a, b)] == [([1, 2, 3], [], start[:-3] + "3.0")] * 2
            assert len(seen.upgrades) == 1


async def test_a_cursor_goes_from_replica_to_replica_and_reads_each_event_once(tmp_path):
    server = Exchange()
    async with peer(server.answer) as seen, redis_server(tmp_path) as store:
        async with two(tmp_path, manifest(seen), store) as (a, b):
            cursor, got = (await read(a))["cursor"], []
            await read(b)
            for number in range(1, 21):
                await server.send(seen.open[0], number)
                result = await read([a, b][number % 2], cursor=cursor)
                assert result["missed"] == 0
                got, cursor = got + prices(result), result["cursor"]
            assert got == list(range(1, 21))


async def test_a_replica_that_starts_later_knows_what_was_before(tmp_path):
    server = Exchange()
    async with peer(server.answer) as seen, redis_server(tmp_path) as store:
        async with shared_bridge(tmp_path, manifest(seen, size=3), store, "a") as a:
            start = (await read(a))["cursor"]
            for number in range(1, 6):
                await server.send(seen.open[0], number)
            await read_until(a, start, 3)
            async with shared_bridge(tmp_path, manifest(seen, size=3), store, "b") as b:
                late = await read(b, cursor=start)
    assert (prices(late), late["missed"], late["gaps"]) == ([3, 4, 5], 2, [])


async def test_a_replica_that_ends_hands_its_feed_over_with_a_gap(tmp_path):
    server = Exchange()
    async with peer(server.answer) as seen, redis_server(tmp_path) as store:
        async with shared_bridge(tmp_path, manifest(seen), store, "b") as b:
            async with shared_bridge(tmp_path, manifest(seen), store, "a") as a:
                cursor = (await read(a))["cursor"]
                await read(b)
                await server.send(seen.open[0], 1)
                _, _, cursor = await read_until(b, cursor, 1)
                before = anyio.current_time()
            await seen.until(lambda: len(seen.received) >= 3 and len(seen.open) == 1)
            handed_over = anyio.current_time() - before
            await server.send(seen.open[0], 2)
            got, gaps, _ = await read_until(b, cursor, 1)

    assert got == [2]
    assert len(gaps) == 1
    assert "the replica that kept the feed open has ended" in gaps[0]["reason"]
    assert handed_over < 3  # a lease that is not released lasts five seconds


async def test_the_next_owner_goes_on_in_the_url_where_the_last_one_ended(tmp_path):
    log = Log()
    async with peer(jsonrpc, greet=log.greet, process_request=log.process_request) as seen:
        async with redis_server(tmp_path) as store:
            document = positions_in_url(seen)
            async with shared_bridge(tmp_path, document, store, "b") as b:
                async with shared_bridge(tmp_path, document, store, "a") as a:
                    cursor = (await read_posts(a))["cursor"]
                    await read_posts(b)
                    await log.write(seen, 1, 2)
                    await read_posts_until(b, cursor, "at 2")
                    log.events += [{"time": time, "text": f"at {time}"} for time in (3, 4)]
                read = await read_posts_until(b, cursor, "at 4")

    assert read == ([f"at {time}" for time in (1, 2, 3, 4)], [])
    assert log.queries == ["", "cursor=2"]


async def test_the_next_owner_resumes_where_the_last_one_ended(tmp_path):
    server = Exchange()
    async with peer(server.answer) as seen, redis_server(tmp_path) as store:
        document = manifest(seen, **RESUMABLE)
        async with shared_bridge(tmp_path, document, store, "b") as b:
            async with shared_bridge(tmp_path, document, store, "a") as a:
                cursor = (await read(a))["cursor"]
                await read(b)
                for number in (1, 2):
                    await server.send(seen.open[0], number)
                _, _, cursor = await read_until(b, cursor, 2)
                server.sequence = 4  # what the endpoint sends while the feed is handed over
            got, gaps, _ = await read_until(b, cursor, 2)

    assert (got, gaps) == ([3, 4], [])
    assert {"op": "replay", "after": 2} in seen.received


async def test_a_frozen_store_closes_the_connection_after_the_lease_and_its_owner_opens_it_again(tmp_path):
    server = Exchange()
    async with peer(server.answer) as seen, redis_server(tmp_path) as store:
        async with shared_bridge(tmp_path, manifest(seen), store, "a") as a:
            cursor = (await read(a))["cursor"]
            await server.send(seen.open[0], 1)
            got, _, cursor = await read_until(a, cursor, 1)
            store.signal(signal.SIGSTOP)
            try:
                frozen = await read(a, cursor=cursor, wait_seconds=10)
                assert frozen["state"].startswith("waiting: the shared store is away")
                assert prices(await read(a)) == [1]
                await seen.until(lambda: not seen.open)
            finally:
                store.signal(signal.SIGCONT)
            await seen.until(lambda: len(seen.open) == 1 and len(seen.upgrades) == 2)
            await server.send(seen.open[0], 2)
            got, gaps, _ = await read_until(a, cursor, 1)

    assert got == [2]
    assert len(gaps) == 1


async def test_a_store_that_has_lost_its_data_begins_another_life_of_the_feed(tmp_path):
    server = Exchange()
    async with peer(server.answer) as seen, redis_server(tmp_path) as store:
        async with two(tmp_path, manifest(seen), store) as (a, b):
            cursor = (await read(a))["cursor"]
            await read(b)
            await server.send(seen.open[0], 1)
            _, _, cursor = await read_until(b, cursor, 1)
            await store.kill()
            await store.start()
            await seen.until(lambda: len(seen.upgrades) == 2 and len(seen.open) == 1)
            await seen.until(lambda: len([m for m in seen.received if m["op"] == "subscribe"]) == 2)
            await server.send(seen.open[0], 2)
            with anyio.fail_after(20):
                while True:
                    results = [await read(each, cursor=cursor, wait_seconds=1) for each in (a, b)]
                    if all(prices(result) == [2] for result in results):
                        break

    assert [result["missed"] for result in results] == [None, None]
    assert results[0]["cursor"] == results[1]["cursor"] != cursor


async def test_a_feed_of_a_manual_may_be_open_once_for_each_replica(tmp_path):
    async with peer(Exchange().answer) as seen, redis_server(tmp_path) as store:
        document = {**manifest(seen), "limits": {"scope": "replica"}}
        async with two(tmp_path, document, store) as (a, b):
            assert [(await read(each))["state"] for each in (a, b)] == ["open", "open"]
            assert len(seen.upgrades) == 2


async def test_two_versions_of_a_feed_do_not_mix(tmp_path):
    server = Exchange()
    async with peer(server.answer) as seen, redis_server(tmp_path) as store:
        new = manifest(seen, item="message.price * 10")
        async with shared_bridge(tmp_path, manifest(seen), store, "a") as a:
            async with shared_bridge(tmp_path, new, store, "b") as b:
                start = (await read(a))["cursor"]
                foreign = await read(b, cursor=start, wait_seconds=0)
                for connection in seen.open:
                    await server.send(connection, 1)
                assert (await read_until(a, start, 1))[:2] == ([1], [])
                assert (await read_until(b, foreign["cursor"], 1))[0] == [10]
                assert len(seen.upgrades) == 2

    assert foreign["missed"] is None


async def test_an_owner_keeps_a_feed_that_only_another_replica_reads(tmp_path):
    events = []
    async with peer(Exchange().answer) as seen, redis_server(tmp_path) as store:
        document = manifest(seen, linger=2)
        async with shared_bridge(tmp_path, document, store, "a", events) as a:
            await read(a)
            async with shared_bridge(tmp_path, document, store, "b") as b:
                cursor = (await read(b))["cursor"]
                for _ in range(2):
                    await read(b, cursor=cursor, wait_seconds=2.5)
                assert len(seen.upgrades) == 1
    assert [event.taken_over for event in events if isinstance(event, FeedOwned)] == [False]


async def write(fleet, source, keys, args):
    return await fleet.store.run(Script(source), keys, args)


async def test_what_others_write_into_the_stream_is_left_out(tmp_path):
    server = Exchange()
    async with peer(server.answer) as seen, redis_server(tmp_path) as store:
        async with shared_bridge(tmp_path, manifest(seen), store, "a") as a:
            cursor = (await read(a))["cursor"]
            stream = a.feed_instances()[0].keeper._stream
            entry_id, keys = cursor.replace("-0.0", "-1"), [stream.events, stream.states]
            await write(a.fleet, "redis.call('XADD', KEYS[1], ARGV[1], 'e', '[')", keys, [entry_id])
            await write(a.fleet, "redis.call('XADD', KEYS[2], '*', 's', ARGV[1])", keys, ["\xff"])
            await a.feed_instances()[0].keeper._follower.catch_up(1)
            assert (await read(a))["events"] == []


async def test_an_owner_that_lost_its_lease_writes_nothing_and_closes_its_connection(tmp_path):
    server = Exchange()
    async with peer(server.answer) as seen, redis_server(tmp_path) as store:
        async with two(tmp_path, manifest(seen), store) as (a, b):
            cursor = (await read(a))["cursor"]
            await read(b)
            stream = a.feed_instances()[0].keeper._stream
            old = seen.open[0]
            await write(a.fleet, "redis.call('SET', KEYS[1], 'other', 'PX', 500)", [stream._lease], [])
            await server.send(old, 1)
            await seen.until(lambda: len(seen.upgrades) == 2 and len(seen.open) == 1)
            await seen.until(lambda: len([each for each in seen.received if each["op"] == "subscribe"]) == 2)
            await server.send(seen.open[0], 2)
            for each in (a, b):
                got, gaps, _ = await read_until(each, cursor, 1)
                assert (got, len(gaps)) == ([2], 1)


async def test_a_feed_that_the_store_has_lost_goes_to_its_owner_and_not_to_a_second_one_beside_it(tmp_path):
    async with peer(Exchange().answer) as seen, redis_server(tmp_path) as store:
        async with two(tmp_path, manifest(seen), store) as (a, b):
            life = (await read(a))["cursor"].partition("-")[0]
            await read(b)
            await write(a.fleet, "redis.call('FLUSHALL')", [], [])
            claim = await b.feed_instances()[0].keeper._stream.claim(life)
            assert (claim.owned, claim.is_lost) == (False, True)
            await seen.until(lambda: len(seen.upgrades) == 2 and len(seen.open) == 1)
            assert a.feed_instances()[0].keeper._keeper is not None


async def test_a_feed_that_the_store_and_its_owner_have_lost_is_taken_over_after_the_lease(tmp_path, monkeypatch):
    monkeypatch.setattr(feed_keeper, "LEASE_SECONDS", 0.5)
    async with peer(Exchange().answer) as seen, redis_server(tmp_path) as store:
        async with shared_bridge(tmp_path, manifest(seen), store, "a") as a:
            await read(a)
            stream = a.feed_instances()[0].keeper._stream
            await write(a.fleet, "redis.call('SET', KEYS[1], 'other', 'PX', 60000)", [stream._lease], [])
            await seen.until(lambda: not seen.open)
            await until_wanted(a, stream)
            before = anyio.current_time()
            await write(a.fleet, "redis.call('DEL', KEYS[1], KEYS[2])", [stream._lease, stream._meta], [])
            await seen.until(lambda: len(seen.open) == 1)
            assert anyio.current_time() - before >= 0.5


async def until_wanted(bridge, stream):
    """Wait until a replica has asked for a feed that another one owns."""
    with anyio.fail_after(20):
        while not await write(bridge.fleet, "return redis.call('EXISTS', KEYS[1])", [stream._wanted], []):
            await anyio.sleep(0.05)


async def test_an_owner_counts_what_it_left_out_and_how_often_it_opened_a_feed_again(tmp_path):
    server = Exchange()
    item = "message.price if message.price < 3 else message.none"
    async with peer(server.answer) as seen, redis_server(tmp_path) as store:
        document = manifest(seen, position="message.seq", item=item)
        async with shared_bridge(tmp_path, document, store, "a") as bridge:
            await read(bridge)
            (instance,) = bridge.feed_instances()

            def counts():
                return instance.keeper.duplicates, instance.keeper.invalid, instance.keeper.reconnects

            async def until(*expected):
                with anyio.fail_after(30):
                    while counts() != expected:
                        await anyio.lowlevel.checkpoint()

            for number in (1, 1, 3):
                await server.send(seen.open[0], number)
            await until(1, 1, 0)
            await seen.open[0].close(1012)
            await until(1, 1, 1)
            await store.kill()
            await store.start()
            await seen.until(lambda: len(seen.upgrades) == 3)
            assert counts() == (1, 1, 1)
