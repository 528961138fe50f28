"""OAuth2 tokens that replicas share: asked for once, encrypted in the store, and never a reason for a call to fail."""

from __future__ import annotations

import json
import signal
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from tests.client.test_oauth import RPC, token, token_endpoint
from tests.peer import entry, jsonrpc, peer
from tests.redis_server import needs_redis, redis_server
from utcp_ws_mcp.bridge import Bridge
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.client.oauth import IssuedToken
from utcp_ws_mcp.client.shared import tokens
from utcp_ws_mcp.client.shared.fleet import open_fleet
from utcp_ws_mcp.client.shared.rates import take_turn
from utcp_ws_mcp.client.shared.store import Script, StoreAway
from utcp_ws_mcp.errors import TokenRequestError
from utcp_ws_mcp.manifest.models.auth import OAuth2Auth

pytestmark = [pytest.mark.anyio, needs_redis]
KEY = "k" * 44
AUTH = OAuth2Auth(
    auth_type="oauth2", token_url="https://i.example/t", client_id="id", client_secret=SecretStr("s3cret!")
)


@asynccontextmanager
async def member(server, name, key=KEY):
    async with open_fleet("f", name, server.address(), [].append, key) as fleet:
        yield fleet


@asynccontextmanager
async def shared_bridge(folder, document, server, name, key=KEY):
    file = folder / f"{name}.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    async with member(server, name, key) as fleet, Bridge([load_manifest(file, {}, ())], fleet=fleet) as bridge:
        yield bridge


async def never() -> IssuedToken:
    raise AssertionError("asked for a token")


def gives(text: str, seconds: float = 60.0) -> Any:
    async def give() -> IssuedToken:
        return IssuedToken(text, seconds)

    return give


async def stored(fleet) -> dict[bytes, bytes]:
    """All names and texts in the store that belong to tokens."""
    listing = Script("""
    local found = {}
    for _, key in ipairs(redis.call('KEYS', '*:token:*')) do
      if redis.call('TYPE', key).ok == 'string' then
        table.insert(found, key)
        table.insert(found, redis.call('GET', key))
      end
    end
    return found
    """)
    flat = await fleet.store.run(listing, [], [])
    return dict(zip(flat[::2], flat[1::2], strict=True))


async def test_replicas_ask_for_a_token_once(tmp_path):
    async with redis_server(tmp_path) as store, token_endpoint(token) as issuer, peer(jsonrpc) as seen:
        document = entry(seen, "t", auth=issuer.auth(), keep_alive=False, **RPC)
        async with (
            shared_bridge(tmp_path, document, store, "a") as a,
            shared_bridge(tmp_path, document, store, "b") as b,
        ):
            async with anyio.create_task_group() as calls:
                for bridge in (a, b) * 5:
                    calls.start_soon(bridge.call_tool, "m.t", {})

    assert len(issuer.requests) == 1
    assert {upgrade.headers["Authorization"] for upgrade in seen.upgrades} == {"Bearer t1"}


async def test_without_a_key_each_replica_asks(tmp_path):
    async with redis_server(tmp_path) as store, token_endpoint(token) as issuer, peer(jsonrpc) as seen:
        document = entry(seen, "t", auth=issuer.auth(), **RPC)
        for name in "ab":
            async with shared_bridge(tmp_path, document, store, name, None) as bridge:
                await bridge.call_tool("m.t", {})

    assert len(issuer.requests) == 2


async def test_the_store_never_has_a_token_or_a_secret_in_plain_text(tmp_path):
    async with redis_server(tmp_path) as store, member(store, "a") as a:
        await a.tokens.get(AUTH, None, 5, gives("t0ken"))
        found = await stored(a)

    assert len(found) == 1
    assert not any(each in text for text in (*found, *found.values()) for each in (b"t0ken", b"s3cret!", KEY.encode()))


async def test_a_rejected_token_is_replaced_for_all_replicas(tmp_path):
    def accept_second(connection, request):
        return None if request.headers["Authorization"] == "Bearer t2" else connection.respond(401, "")

    async with redis_server(tmp_path) as store, token_endpoint(token) as issuer:
        async with peer(jsonrpc, process_request=accept_second) as seen:
            document = entry(seen, "t", auth=issuer.auth(), **RPC)
            for name in "ab":
                async with shared_bridge(tmp_path, document, store, name) as bridge:
                    assert await bridge.call_tool("m.t", {}) == {}

    assert len(issuer.requests) == 2


async def test_a_replica_whose_token_was_replaced_takes_the_new_one(tmp_path):
    async with redis_server(tmp_path) as store, member(store, "a") as a, member(store, "b") as b:
        await a.tokens.get(AUTH, None, 5, gives("old"))
        await b.tokens.get(AUTH, "old", 5, gives("new"))

        assert (await a.tokens.get(AUTH, "old", 5, never)).token == "new"


async def test_a_token_ends_for_all_replicas_at_the_same_time(tmp_path):
    async with redis_server(tmp_path) as store, member(store, "a") as a, member(store, "b") as b:
        await a.tokens.get(AUTH, None, 5, gives("t", 60))
        assert 50 < (await b.tokens.get(AUTH, None, 5, never)).seconds <= 60
        await a.tokens.get(AUTH, "t", 5, gives("short", 0.5))
        assert (await b.tokens.get(AUTH, "t", 5, gives("other"))).token == "other"


@pytest.mark.parametrize("other", [{"client_secret": SecretStr("other")}, {"scope": "a"}, {"client_id": "other"}])
async def test_other_credentials_have_another_token(tmp_path, other):
    async with redis_server(tmp_path) as store, member(store, "a") as a:
        await a.tokens.get(AUTH, None, 5, gives("t"))
        assert (await a.tokens.get(AUTH.model_copy(update=other), None, 5, gives("u"))).token == "u"


async def test_replicas_with_another_key_share_nothing(tmp_path):
    async with redis_server(tmp_path) as store, member(store, "a") as a, member(store, "b", "x" * 44) as b:
        await a.tokens.get(AUTH, None, 5, gives("t"))
        assert (await b.tokens.get(AUTH, None, 5, gives("u"))).token == "u"
        assert (await a.tokens.get(AUTH, None, 5, never)).token == "t"


@pytest.mark.parametrize("damage", [b"", b"short", b"\xff" * 100])
async def test_a_damaged_entry_is_replaced(tmp_path, damage):
    async with redis_server(tmp_path) as store, member(store, "a") as a:
        await a.tokens.get(AUTH, None, 5, gives("t"))
        [place] = await stored(a)
        await a.store.run(Script("redis.call('SET', KEYS[1], ARGV[1], 'PX', 60000)"), [place.decode()], [damage])
        assert (await a.tokens.get(AUTH, None, 5, gives("u"))).token == "u"
        assert (await a.tokens.get(AUTH, None, 5, never)).token == "u"


async def test_an_entry_without_an_end_is_replaced(tmp_path):
    async with redis_server(tmp_path) as store, member(store, "a") as a:
        await a.tokens.get(AUTH, None, 5, gives("t"))
        [place] = await stored(a)
        await a.store.run(Script("redis.call('PERSIST', KEYS[1])"), [place.decode()], [])
        assert (await a.tokens.get(AUTH, None, 5, gives("u"))).token == "u"


async def test_a_failed_request_lets_the_next_replica_ask_at_once(tmp_path):
    async def refuse() -> IssuedToken:
        raise TokenRequestError("i.example", "HTTP 500")

    async with redis_server(tmp_path) as store, member(store, "a") as a, member(store, "b") as b:
        with pytest.raises(TokenRequestError):
            await a.tokens.get(AUTH, None, 60, refuse)
        with anyio.fail_after(tokens.WAIT_SECONDS):
            assert (await b.tokens.get(AUTH, None, 60, gives("t"))).token == "t"


async def test_a_cancelled_request_lets_the_next_replica_ask_at_once(tmp_path):
    async with redis_server(tmp_path) as store, member(store, "a") as a, member(store, "b") as b:
        with anyio.move_on_after(0.05):
            await a.tokens.get(AUTH, None, 60, anyio.sleep_forever)
        with anyio.fail_after(tokens.WAIT_SECONDS):
            assert (await b.tokens.get(AUTH, None, 60, gives("t"))).token == "t"


async def test_a_replica_does_not_wait_for_long_for_another_one(tmp_path):
    async with redis_server(tmp_path) as store, member(store, "a") as a, member(store, "b") as b:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(a.tokens.get, AUTH, None, 60, anyio.sleep_forever)
            await anyio.wait_all_tasks_blocked()
            assert (await b.tokens.get(AUTH, None, 0.2, gives("t"))).token == "t"
            tasks.cancel_scope.cancel()


async def test_while_the_store_is_away_each_replica_asks(tmp_path):
    async with redis_server(tmp_path) as store, member(store, "a") as a:
        store.signal(signal.SIGSTOP)
        try:
            assert (await a.tokens.get(AUTH, None, 5, gives("t"))).token == "t"
        finally:
            store.signal(signal.SIGCONT)


async def test_a_store_that_is_lost_during_the_request_does_not_fail_it(tmp_path):
    async with redis_server(tmp_path) as store, member(store, "a") as a:

        async def kill() -> IssuedToken:
            await store.kill()
            return IssuedToken("t", 60)

        assert (await a.tokens.get(AUTH, None, 5, kill)).token == "t"
        with pytest.raises(StoreAway):
            await take_turn(a.store, "k", 1, 1)
