"""What replicas share for one caller: its rates, accounts and feeds, and nothing with other callers."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import anyio
import pytest

from tests.client.feeds.test_feeds import Exchange, manifest, prices
from tests.client.shared.test_shared_feeds import read, read_until
from tests.peer import entry, jsonrpc, peer
from tests.redis_server import needs_redis, redis_server
from tests.server.http.test_app import RPC
from utcp_ws_mcp.bridge import Bridge
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.client.shared.fleet import open_fleet
from utcp_ws_mcp.client.shared.rates import take_turn
from utcp_ws_mcp.client.shared.store import Script
from utcp_ws_mcp.errors import ConnectError

pytestmark = [pytest.mark.anyio, needs_redis]
KEY = "k" * 44
_DUMP = Script("""
local found = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  table.insert(found, key)
  table.insert(found, redis.call('DUMP', key))
end
return found
""")


@asynccontextmanager
async def bridge_of(caller, folder, document, server, name, key=KEY):
    """A bridge of a caller at a replica, and what the replica shares for it."""
    file = folder / f"{name}.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    async with open_fleet("f", name, server.address(), [].append, key) as everything:
        fleet = everything.for_caller(*caller)
        async with Bridge([load_manifest(file, {}, ())], fleet=fleet) as bridge:
            yield bridge, fleet


ADA, BOB = ("notes", "ada", "secret-of-ada"), ("notes", "bob", "secret-of-bob")


@asynccontextmanager
async def two_of_ada_and_one_of_bob(folder, document):
    async with (
        redis_server(folder) as store,
        bridge_of(ADA, folder, document, store, "a") as (a, _),
        bridge_of(ADA, folder, document, store, "b") as (b, _),
        bridge_of(BOB, folder, document, store, "c") as (c, _),
    ):
        yield a, b, c


async def test_a_cursor_of_a_caller_goes_from_replica_to_replica(tmp_path):
    server = Exchange()
    async with peer(server.answer) as seen, redis_server(tmp_path) as store:
        document = manifest(seen)
        async with (
            bridge_of(ADA, tmp_path, document, store, "a") as (a, _),
            bridge_of(ADA, tmp_path, document, store, "b") as (b, _),
        ):
            cursor = (await read(a))["cursor"]
            await read(b)
            for number in (1, 2, 3):
                await server.send(seen.open[0], number)
            got, gaps, _ = await read_until(b, cursor, 3)
            assert (got, gaps, len(seen.upgrades)) == ([1, 2, 3], [], 1)


async def test_the_store_has_no_event_and_no_credential_of_a_caller_in_plain_text(tmp_path):
    server = Exchange()
    # Redis would compress what it dumps.
    async with peer(server.answer) as seen, redis_server(tmp_path, "--rdbcompression", "no") as store:
        async with bridge_of(ADA, tmp_path, manifest(seen), store, "a") as (a, fleet):
            cursor = (await read(a))["cursor"]
            await server.send(seen.open[0], 123456789)
            assert prices(await read(a, cursor=cursor, wait_seconds=5)) == [123456789]
            stored = b"".join(await fleet.store.run(_DUMP, [], []))

    assert b"caller" in stored
    for text in (b"123456789", b"secret-of-ada", b"trades", b'"s":"open"'):
        assert text not in stored, text


async def test_callers_have_connections_and_feeds_of_their_own(tmp_path):
    server = Exchange()
    async with peer(server.answer) as seen, redis_server(tmp_path) as store:
        document = manifest(seen)
        async with (
            bridge_of(ADA, tmp_path, document, store, "a") as (a, _),
            bridge_of(BOB, tmp_path, document, store, "b") as (b, _),
        ):
            of_ada, of_bob = (await read(a))["cursor"], (await read(b))["cursor"]
            assert len(seen.upgrades) == 2
            await server.send(seen.open[0], 1)
            await server.send(seen.open[1], 2)
            assert prices(await read(a, cursor=of_ada, wait_seconds=5)) == [1]
            assert prices(await read(b, cursor=of_bob, wait_seconds=5)) == [2]


async def test_replicas_with_another_key_read_nothing_of_a_caller(tmp_path):
    server = Exchange()
    async with peer(server.answer) as seen, redis_server(tmp_path) as store:
        document = manifest(seen)
        async with (
            bridge_of(ADA, tmp_path, document, store, "a") as (a, _),
            bridge_of(ADA, tmp_path, document, store, "b", "x" * 44) as (b, _),
        ):
            await read(a)
            await server.send(seen.open[0], 1)
            assert (await read(b))["events"] == []
            assert len(seen.upgrades) == 2


async def test_an_account_of_a_caller_is_used_by_one_replica(tmp_path):
    async with peer(jsonrpc) as seen:
        document = entry(seen, "t", limits={"max_connections": 1}, **RPC)
        async with two_of_ada_and_one_of_bob(tmp_path, document) as (a, b, c):
            await a.call_tool("m.t", {})
            await c.call_tool("m.t", {})
            with pytest.raises(ConnectError) as failed:
                await b.call_tool("m.t", {})

    assert failed.value.code == "account-held-elsewhere"


async def test_the_rate_of_a_caller_is_that_of_all_replicas(tmp_path):
    async with peer(jsonrpc) as seen:
        document = entry(seen, "t", limits={"requests_per_second": 0.001}, **RPC)
        async with two_of_ada_and_one_of_bob(tmp_path, document) as (a, b, c):
            await a.call_tool("m.t", {})
            await c.call_tool("m.t", {})
            with anyio.move_on_after(0.5) as waited:
                await b.call_tool("m.t", {})

    assert waited.cancelled_caught


async def test_without_a_key_nothing_is_shared_for_a_caller(tmp_path):
    async with redis_server(tmp_path) as store, open_fleet("f", "a", store.address(), [].append) as fleet:
        assert fleet.for_caller(*ADA) is None


async def test_names_of_callers_are_never_those_of_the_fleet_or_of_another_caller(tmp_path):
    async with redis_server(tmp_path) as store, open_fleet("f", "a", store.address(), [].append, KEY) as fleet:
        fleets = [fleet, *(fleet.for_caller(*each) for each in (ADA, BOB, ("notes", "ada"), ("notesada",)))]
        names = [each.key(*parts) for each in fleets for parts in (("m", "rate"), ("m", "feed"), ("mrate",))]

        assert len(set(names)) == len(names)
        for each in fleets:
            assert await take_turn(each.store, each.key("m", "rate"), 60, 0) == 0
