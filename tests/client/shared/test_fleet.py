from __future__ import annotations

import json
import signal
import time
from types import SimpleNamespace

import anyio
import pytest

from tests.peer import entry, jsonrpc, peer, timed
from tests.redis_server import free_port, needs_redis, redis_server, replica
from tests.server.http.test_app import RPC
from utcp_ws_mcp.bridge import Bridge
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.client.shared import store
from utcp_ws_mcp.client.shared.address import StoreAddress
from utcp_ws_mcp.client.shared.fleet import open_fleet
from utcp_ws_mcp.client.shared.members import ASSUMED_REPLICAS
from utcp_ws_mcp.client.shared.rates import take_turn
from utcp_ws_mcp.client.shared.store import StoreAway
from utcp_ws_mcp.errors import ServeOptionsError
from utcp_ws_mcp.manifest.models.network import Limits
from utcp_ws_mcp.observability.events import SharedStoreBack, SharedStoreLost

pytestmark = [pytest.mark.anyio, needs_redis]


def shared_bridge(folder, document, fleet):
    file = folder / "manifest.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return Bridge([load_manifest(file, {}, ())], fleet=fleet)


async def call_many(bridge, count):
    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(bridge.call_tool, "m.t", {})


async def test_replicas_share_the_turns_of_a_rate(tmp_path):
    async with redis_server(tmp_path) as server, replica(server, "a") as a, replica(server, "b") as b:
        waits = [await take_turn(each.store, "k", 10, 1e9) for each in (a, b, a, b)]

    assert [round(wait / 10, 1) for wait in waits] == [0, 1, 2, 3]


async def test_a_turn_that_comes_too_late_is_not_taken(tmp_path):
    async with redis_server(tmp_path) as server, replica(server, "a") as a:
        await take_turn(a.store, "k", 10, 1e9)
        late = await take_turn(a.store, "k", 10, 5)
        again = await take_turn(a.store, "k", 10, 1e9)

    assert 5 < again <= late <= 10


async def test_calls_of_two_replicas_keep_one_rate(tmp_path):
    times = []
    async with redis_server(tmp_path) as server, peer(timed(times)) as seen:
        document = entry(seen, "t", limits={"requests_per_second": 20}, **RPC)
        async with replica(server, "a") as a, replica(server, "b") as b:
            async with shared_bridge(tmp_path, document, a) as one, shared_bridge(tmp_path, document, b) as two:
                started = anyio.current_time()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(call_many, one, 5)
                    tasks.start_soon(call_many, two, 5)

    assert len(times) == 10
    assert max(times) - started >= 9 * 0.05


async def test_a_manual_may_keep_its_rate_for_each_replica(tmp_path):
    async with redis_server(tmp_path) as server, peer(jsonrpc) as seen:
        limits = {"requests_per_second": 0.01, "scope": "replica"}
        document = entry(seen, "t", limits=limits, **RPC)
        async with replica(server, "a") as a, replica(server, "b") as b:
            async with shared_bridge(tmp_path, document, a) as one, shared_bridge(tmp_path, document, b) as two:
                with anyio.fail_after(20):
                    await one.call_tool("m.t", {})
                    await two.call_tool("m.t", {})


async def test_a_replica_counts_the_others_until_they_leave(tmp_path):
    async with redis_server(tmp_path) as server, replica(server, "a") as a:
        async with replica(server, "b") as b:
            await a.members.beat()
            assert (a.replicas, b.replicas) == (2, 2)
        await a.members.beat()
        assert a.replicas == 1


async def test_calls_go_on_while_the_store_is_frozen_and_it_is_used_again_afterwards(tmp_path):
    events = []
    async with redis_server(tmp_path) as server, peer(jsonrpc) as seen, replica(server, "a", events) as a:
        document = entry(seen, "t", limits={"requests_per_second": 1000}, **RPC)
        async with shared_bridge(tmp_path, document, a) as bridge:
            server.signal(signal.SIGSTOP)
            try:
                await call_many(bridge, 10)
                assert a.describe()["store"] == "away: no answer within 0.25 s"
            finally:
                server.signal(signal.SIGCONT)
            with anyio.fail_after(20):
                while a.store.away is not None:
                    await anyio.sleep(0.05)

    assert [type(event) for event in events] == [SharedStoreLost, SharedStoreBack]
    assert events[0].code == "shared-store-away"


async def test_a_burst_of_calls_does_not_look_like_a_lost_store(tmp_path):
    events = []
    async with redis_server(tmp_path) as server, replica(server, "a", events) as a:
        async with anyio.create_task_group() as calls:
            for number in range(1000):
                calls.start_soon(take_turn, a.store, str(number), 1, 1)

    assert events == []


async def test_a_replica_that_did_not_run_in_time_still_uses_the_store(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "BLOCK_SECONDS", 0.1)
    events, answers = [], []

    async def take():
        answers.append(await take_turn(a.store, "k", 1, 1))

    async def read():
        answers.append(await a.store.read_streams({"s": "0-0"}))

    async with redis_server(tmp_path) as server, replica(server, "a", events) as a:
        await take_turn(a.store, "other", 1, 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            time.sleep(store.BLOCK_SECONDS + store.STORE_TIMEOUT + 2 * store.LATE_SECONDS)  # the process is not run

    assert events == []
    assert len(answers) == 2


async def test_a_store_that_has_lost_its_data_is_used_again(tmp_path):
    async with redis_server(tmp_path) as server, replica(server, "a") as a:
        await take_turn(a.store, "k", 1000, 1e9)
        await server.kill()
        with pytest.raises(StoreAway):
            await take_turn(a.store, "k", 1000, 1e9)
        await server.start()
        await a.members.beat()

        assert await take_turn(a.store, "k", 1000, 1e9) == 0


async def test_calls_without_the_store_do_not_add_to_one_traceback(tmp_path):
    async with redis_server(tmp_path) as server, replica(server, "a") as a:
        await server.kill()
        lengths = []
        for _ in range(5):
            with pytest.raises(StoreAway) as away:
                await take_turn(a.store, "k", 1, 1)
            lengths.append(len(away.traceback))

    assert lengths[-1] <= lengths[1]


async def test_without_the_store_a_replica_takes_its_part_of_the_rate(tmp_path):
    times = []
    async with redis_server(tmp_path) as server, peer(timed(times)) as seen, replica(server, "a") as a:
        document = entry(seen, "t", limits={"requests_per_second": 50}, **RPC)
        async with shared_bridge(tmp_path, document, a) as bridge:
            a.members.count = 3
            await server.kill()
            started = anyio.current_time()
            await call_many(bridge, 6)

    assert max(times) - started >= 5 * 3 / 50


async def test_a_full_store_does_not_fail_calls(tmp_path):
    events = []
    async with redis_server(tmp_path, "--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:
        async with peer(jsonrpc) as seen, replica(server, "a", events) as a:
            document = entry(seen, "t", limits={"requests_per_second": 1000}, **RPC)
            async with shared_bridge(tmp_path, document, a) as bridge:
                assert await bridge.call_tool("m.t", {}) == {}

    assert [event.code for event in events] == ["shared-store-full"]


async def test_a_fleet_starts_while_the_store_is_away(tmp_path):
    events = []
    address = StoreAddress("127.0.0.1", free_port(), 0, tls=False, username=None, password=None)
    async with open_fleet("f", "a", address, events.append) as fleet:
        assert fleet.replicas == ASSUMED_REPLICAS

    assert [event.code for event in events] == ["shared-store-away"]


@pytest.mark.parametrize("password", [None, "wrong"])
async def test_a_wrong_password_is_refused_at_the_start_and_not_shown(tmp_path, password):
    async with redis_server(tmp_path, "--requirepass", "right") as server:
        with pytest.raises(ServeOptionsError) as refused:
            async with open_fleet("f", "a", server.address(password=password), [].append):
                pass

    assert refused.value.code == "shared-store-refused"
    assert "wrong" not in str(refused.value).replace("WRONGPASS", "")


async def test_a_user_may_be_limited_to_the_keys_of_the_fleet(tmp_path):
    acl = ["--user", "replica", "on", ">secret", "~utcp-ws:*", "+@all"]
    async with redis_server(tmp_path, *acl) as server:
        async with open_fleet("f", "a", server.address("replica", "secret"), [].append) as fleet:
            assert await take_turn(fleet.store, fleet.key("m", "rate"), 1, 1) == 0
            with pytest.raises(StoreAway) as away:
                await take_turn(fleet.store, "other", 1, 1)

    assert away.value.code == "shared-store-refused"


async def test_a_server_of_another_protocol_is_refused_at_the_start(tmp_path):
    async def garbage(stream):
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, garbage)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        address = StoreAddress("127.0.0.1", port, 0, tls=False, username=None, password=None)
        with pytest.raises(ServeOptionsError) as refused:
            async with open_fleet("f", "a", address, [].append):
                pass
        tasks.cancel_scope.cancel()

    assert refused.value.code == "shared-store-refused"


LIMITED = SimpleNamespace(
    manual="m",
    template=SimpleNamespace(limits=Limits(requests_per_second=20), url="ws://h/", headers={}, auth=None, query={}),
    connection_rules=SimpleNamespace(login=()),
)


async def take_turns(limiter, count, tasks, times):
    """Start to wait for turns; return when all of them are given."""

    async def turn():
        await limiter.wait_turn(LIMITED)
        times.append(anyio.current_time())

    before = max(limiter._next_start, limiter._given_until, anyio.current_time())
    for _ in range(count):
        tasks.start_soon(turn)
    with anyio.fail_after(20):
        while max(limiter._next_start, limiter._given_until) < before + (count - 1) / 20:
            await anyio.sleep(0.01)


async def test_turns_that_the_store_has_given_count_when_it_is_lost(tmp_path):
    times = []
    async with redis_server(tmp_path) as server, replica(server, "a") as a:
        limiter, a.members.count, started = a.rate_limiter(), 1, anyio.current_time()
        async with anyio.create_task_group() as tasks:
            await take_turns(limiter, 8, tasks, times)
            await server.kill()
            await take_turns(limiter, 3, tasks, times)

    assert max(times) - started >= 10 / 20


async def test_turns_that_were_taken_without_the_store_count_when_it_is_back(tmp_path):
    times = []
    async with redis_server(tmp_path) as server, replica(server, "a") as a:
        limiter, a.members.count, started = a.rate_limiter(), 1, anyio.current_time()
        await server.kill()
        with pytest.raises(StoreAway):
            await a.members.beat()
        async with anyio.create_task_group() as tasks:
            await take_turns(limiter, 8, tasks, times)
            await server.start()
            await a.members.beat()
            await take_turns(limiter, 3, tasks, times)

    assert max(times) - started >= 10 / 20


async def test_more_streams_are_read_than_there_are_connections(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(store, "BLOCK_SECONDS", 0.1)
    add = store.Script("return redis.call('XADD', KEYS[1], '1-1', 'e', KEYS[1])")
    found = []
    async with redis_server(tmp_path) as server, replica(server, "a") as fleet:

        async def read(key):
            found.extend(await fleet.store.read_streams({key: "0-0"}))

        keys = [fleet.key(str(number)) for number in range(8)]
        async with anyio.create_task_group() as tasks:
            for key in keys:
                await fleet.store.run(add, [key], [])
            for key in keys:
                tasks.start_soon(read, key)
        assert fleet.store.away is None

    assert sorted(found) == keys
