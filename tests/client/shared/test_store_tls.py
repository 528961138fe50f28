"""A store that is reached over TLS: its certificate must be right."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio
import pytest
import trustme

from tests.redis_server import needs_redis, redis_server
from utcp_ws_mcp.client.shared.fleet import open_fleet
from utcp_ws_mcp.client.shared.rates import take_turn
from utcp_ws_mcp.errors import ServeOptionsError

pytestmark = [pytest.mark.anyio, needs_redis]
USER = ["--user", "replica", "on", ">secret", "~utcp-ws:*", "+@all", "-@admin", "-@dangerous"]
LOGIN = ("replica", "secret")


@asynccontextmanager
async def tls_server(folder, monkeypatch, *, trusted=True):
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(folder / "cert.pem"))
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(str(folder / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "authority.pem"))
    async with redis_server(folder, *USER, certificate=folder / "cert.pem") as server:
        yield server


async def test_a_store_with_a_certificate_of_an_own_authority_is_used(tmp_path, monkeypatch):
    async with tls_server(tmp_path, monkeypatch) as server:
        async with open_fleet("f", "a", server.address(*LOGIN, "localhost", tls=True), [].append) as fleet:
            async with anyio.create_task_group() as calls:
                for number in range(20):
                    calls.start_soon(take_turn, fleet.store, fleet.key(str(number)), 1, 1)
            assert fleet.store.away is None


@pytest.mark.parametrize(
    ("host", "trusted", "reason"),
    [("localhost", False, "unable to get local issuer certificate"), ("127.0.0.1", True, "IP address mismatch")],
)
async def test_a_wrong_certificate_is_refused_at_the_start(tmp_path, monkeypatch, host, trusted, reason):
    async with tls_server(tmp_path, monkeypatch, trusted=trusted) as server:
        with pytest.raises(ServeOptionsError, match=reason) as refused:
            async with open_fleet("f", "a", server.address(*LOGIN, host, tls=True), [].append):
                pass

    assert refused.value.code == "shared-store-refused"
