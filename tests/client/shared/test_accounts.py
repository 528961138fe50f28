"""Accounts that allow one connection: one replica of a fleet has it."""

from __future__ import annotations

import signal

import anyio
import pytest

from tests.client.feeds.test_feeds import Exchange, manifest
from tests.client.shared.test_shared_feeds import read, shared_bridge, two
from tests.peer import entry, jsonrpc, peer
from tests.redis_server import needs_redis, redis_server
from tests.server.http.test_app import RPC
from utcp_ws_mcp.errors import ConnectError

pytestmark = [pytest.mark.anyio, needs_redis]
ONE = {"limits": {"max_connections": 1}}


async def until_called(bridge):
    with anyio.fail_after(30):
        while True:
            try:
                return await bridge.call_tool("m.t", {})
            except ConnectError as error:
                if error.code != "account-held-elsewhere":
                    raise


async def test_a_call_at_another_replica_fails_while_one_is_connected(tmp_path):
    async with redis_server(tmp_path) as store, peer(jsonrpc) as seen:
        async with two(tmp_path, entry(seen, "t", **ONE, **RPC), store) as (a, b):
            await a.call_tool("m.t", {})
            with pytest.raises(ConnectError, match="another replica has the only connection") as failed:
                await b.call_tool("m.t", {})
            await a.call_tool("m.t", {})
            assert len(seen.upgrades) == 1

    assert failed.value.code == "account-held-elsewhere"


async def test_another_replica_connects_when_the_connection_has_ended(tmp_path):
    async with redis_server(tmp_path) as store, peer(jsonrpc) as seen:
        async with two(tmp_path, entry(seen, "t", **ONE, **RPC), store) as (a, b):
            await a.call_tool("m.t", {})
            await seen.open[0].close()
            await until_called(b)
            with pytest.raises(ConnectError):
                await a.call_tool("m.t", {})


async def test_another_replica_connects_when_one_has_ended(tmp_path):
    async with redis_server(tmp_path) as store, peer(jsonrpc) as seen:
        document = entry(seen, "t", **ONE, **RPC)
        async with shared_bridge(tmp_path, document, store, "a") as a:
            await a.call_tool("m.t", {})
        async with shared_bridge(tmp_path, document, store, "b") as b:
            await b.call_tool("m.t", {})


async def test_a_connection_that_cannot_be_opened_leaves_the_account_to_others(tmp_path):
    async with redis_server(tmp_path) as store, peer(jsonrpc) as seen:
        broken = {**entry(seen, "t", **ONE, **RPC), "on_connect": [{"expect": "false", "timeout": 0.1}]}
        async with shared_bridge(tmp_path, broken, store, "a") as a:
            with pytest.raises(ConnectError):
                await a.call_tool("m.t", {})
            async with shared_bridge(tmp_path, broken, store, "b") as b:
                with pytest.raises(ConnectError) as failed:
                    await b.call_tool("m.t", {})

    assert failed.value.code != "account-held-elsewhere"


async def test_calls_go_on_while_the_store_is_away(tmp_path):
    async with redis_server(tmp_path) as store, peer(jsonrpc) as seen:
        async with shared_bridge(tmp_path, entry(seen, "t", **ONE, **RPC), store, "a") as a:
            store.signal(signal.SIGSTOP)
            try:
                assert await a.call_tool("m.t", {}) == {}
            finally:
                store.signal(signal.SIGCONT)


async def test_a_store_that_loses_its_data_gives_the_account_to_no_second_replica(tmp_path):
    async with redis_server(tmp_path) as store, peer(jsonrpc) as seen:
        async with two(tmp_path, entry(seen, "t", **ONE, **RPC), store) as (a, b):
            await a.call_tool("m.t", {})
            await store.kill()
            await store.start()
            await b.fleet.members.beat()  # it finds the store again, before the other replica does
            with pytest.raises(ConnectError) as failed:
                await b.call_tool("m.t", {})
            await a.call_tool("m.t", {})
            assert len(seen.upgrades) == 1

    assert failed.value.code == "account-held-elsewhere"


async def test_an_unused_account_is_free_soon_after_the_store_has_lost_its_data(tmp_path):
    async with redis_server(tmp_path) as store, peer(jsonrpc) as seen:
        async with two(tmp_path, entry(seen, "t", **ONE, **RPC), store) as (a, b):
            await store.kill()
            await store.start()
            await a.fleet.members.beat()
            await b.fleet.members.beat()
            with anyio.fail_after(10):
                await b.call_tool("m.t", {})


async def test_an_account_may_be_used_by_each_replica(tmp_path):
    async with redis_server(tmp_path) as store, peer(jsonrpc) as seen:
        limits = {"max_connections": 1, "scope": "replica"}
        async with two(tmp_path, entry(seen, "t", limits=limits, **RPC), store) as (a, b):
            assert [await each.call_tool("m.t", {}) for each in (a, b)] == [{}, {}]


async def test_a_feed_moves_to_the_replica_that_has_the_connection(tmp_path):
    server = Exchange()

    async def answer(seen, connection, message):
        await (server.answer if "op" in message else jsonrpc)(seen, connection, message)

    async with redis_server(tmp_path) as store, peer(answer) as seen:
        document = {**manifest(seen), **ONE, **RPC, "tools": [{"name": "t"}]}
        async with two(tmp_path, document, store) as (a, b):
            await b.call_tool("m.t", {})
            await read(a)
            with anyio.fail_after(20):
                while (await read(b, wait_seconds=0))["state"] != "open":
                    await anyio.sleep(0.1)
            assert len(seen.upgrades) == 1
