"""The keys of an authorization server: where they are, when they are fetched again, and what happens without it."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.peer import PATIENCE
from tests.server.auth.issuer import EC_KEY, RSA_KEY, issuer, public_jwk
from utcp_ws_mcp.client.resolver import EndpointResolver
from utcp_ws_mcp.errors import BridgeError, ServeOptionsError
from utcp_ws_mcp.server.auth import issuer as issuer_module
from utcp_ws_mcp.server.auth.issuer import (
    MAX_KEY_AGE,
    MIN_FETCH_INTERVAL,
    REFRESH_INTERVAL,
    HttpFetcher,
    IssuerKeys,
    check_audience,
    check_issuer,
    metadata_urls,
    read_keys_url,
)
from utcp_ws_mcp.server.auth.keys import UnusableDocument

URL = "https://issuer.example.com"


class Server:
    """An authorization server without a network: documents by URL, and the URLs that were fetched."""

    def __init__(self) -> None:
        self.now = 0.0
        self.keys = [public_jwk(EC_KEY, "k1")]
        self.gone = False
        self.fetched: list[str] = []

    async def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        if self.gone or not url.endswith(("oauth-authorization-server", "/jwks")):
            raise UnusableDocument("HTTP 404")
        if url.endswith("/jwks"):
            return json.dumps({"keys": self.keys}).encode()
        return json.dumps({"issuer": URL, "jwks_uri": f"{URL}/jwks"}).encode()

    def keys_of(self) -> IssuerKeys:
        return IssuerKeys(URL, self.fetch, lambda: self.now)


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[IssuerKeys]:
    """Keys that a task fetches, as `run_http_server` does it."""
    keys = server.keys_of()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keys.run)
        with anyio.fail_after(PATIENCE):
            yield keys
        tasks.cancel_scope.cancel()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer_module, "MIN_FETCH_INTERVAL", 0)


def test_the_metadata_is_looked_for_where_the_specifications_put_it() -> None:
    assert metadata_urls("https://a.example") == (
        "https://a.example/.well-known/oauth-authorization-server",
        "https://a.example/.well-known/openid-configuration",
    )
    assert metadata_urls("https://a.example/tenant/1") == (
        "https://a.example/.well-known/oauth-authorization-server/tenant/1",
        "https://a.example/.well-known/openid-configuration/tenant/1",
        "https://a.example/tenant/1/.well-known/openid-configuration",
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"issuer": "https://evil.example"}',
        b'{"issuer": "https://issuer.example.com"}',
        b"[" * 9999,
    ],
)
def test_metadata_of_another_issuer_and_without_keys_is_refused(body: bytes) -> None:
    with pytest.raises(UnusableDocument):
        read_keys_url(body, URL)


@pytest.mark.parametrize(
    "url", ["ftp://a.example", "http://a.example", "https://a.example/?x=1", "https://u:p@a.example", ""]
)
def test_an_issuer_and_an_audience_are_urls_over_tls(url: str) -> None:
    with pytest.raises(ServeOptionsError) as issuer_error:
        check_issuer(url)
    with pytest.raises(ServeOptionsError) as audience_error:
        check_audience(url)
    assert [issuer_error.value.code, audience_error.value.code] == ["invalid-issuer", "invalid-audience"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (
            "http://mcp.example.com/mcp",
            "tokens would be sent as plain text. Use https://; http:// is for an address of ",
        ),
        ("11111111-2222-3333-4444-555555555555", "expected the URL at which clients reach this server, such as https:"),
        ("api://weather", "expected the URL at which clients reach this server, such as https://mcp.example.com/mcp. "),
        ("https://", "expected a URL of the form https://host"),
    ],
)
def test_an_option_that_is_no_usable_url_says_what_is_expected_in_words_of_options(url: str, reason: str) -> None:
    with pytest.raises(ServeOptionsError) as refused:
        check_audience(url)
    assert str(refused.value).startswith(f"--audience {url}: {reason}")
    assert "network" not in str(refused.value)
    assert str(refused.value).endswith(". [invalid-audience]")


async def test_the_first_request_waits_for_the_keys() -> None:
    async with running(Server()) as keys:
        found = await keys.get("k1")
    assert found is not None
    assert [key.key_id for key in found.keys] == ["k1"]


async def test_a_new_key_is_fetched_when_the_first_token_names_it(no_pauses: None) -> None:
    server = Server()
    async with running(server) as keys:
        await keys.get("k1")
        server.keys = [public_jwk(RSA_KEY, "k2")]
        found = await keys.get("k2")
    assert found is not None
    assert [key.key_id for key in found.keys] == ["k2"]


async def test_newer_keys_are_fetched_at_most_every_ten_seconds() -> None:
    server = Server()
    async with running(server) as keys:
        known = await keys.get(None)
        assert await keys.get_newer() is known
        server.now = MIN_FETCH_INTERVAL
        assert await keys.get_newer() is not known
    assert server.fetched.count(f"{URL}/jwks") == 2


async def test_invented_key_ids_cause_one_request_in_ten_seconds() -> None:
    server = Server()
    async with running(server) as keys:
        await keys.get("k1")
        for number in range(100):
            await keys.get(f"invented-{number}")
        assert len(server.fetched) == 2, "the metadata, and the keys"


async def test_an_issuer_that_is_away_leaves_its_last_keys_for_a_day(no_pauses: None, caplog: Any) -> None:
    server = Server()
    with caplog.at_level(logging.WARNING):
        async with running(server) as keys:
            await keys.get("k1")
            server.gone = True
            assert await keys.get("k2") is not None
            server.now = MAX_KEY_AGE - 1
            assert await keys.get("k1") is not None
            server.now = MAX_KEY_AGE + 1
            assert await keys.get("k1") is None
    assert [record.message for record in caplog.records if "[issuer-unreachable]" in record.message][:1] == [
        f"the keys of {URL} cannot be fetched: HTTP 404. The last ones are used. [issuer-unreachable]"
    ]


async def test_the_keys_are_found_again_after_the_issuer_has_moved_them(no_pauses: None) -> None:
    server = Server()
    server.gone = True
    async with running(server) as keys:
        assert await keys.get("k1") is None
        server.gone = False
        assert await keys.get("k1") is not None


async def test_an_unexpected_failure_does_not_end_the_task(no_pauses: None) -> None:
    server, calls = Server(), 0

    async def fail_once(url: str) -> bytes:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OverflowError("a library")
        return await server.fetch(url)

    keys = IssuerKeys(URL, fail_once, lambda: server.now)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keys.run)
        with anyio.fail_after(PATIENCE):
            while await keys.get("k1") is None:
                pass
        tasks.cancel_scope.cancel()


def test_the_intervals_protect_the_issuer_and_revoke_keys_in_time() -> None:
    assert MIN_FETCH_INTERVAL >= 10
    assert REFRESH_INTERVAL <= 300


async def test_documents_are_fetched_from_a_server() -> None:
    async with issuer() as server:
        fetch = HttpFetcher(EndpointResolver())
        assert json.loads(await fetch(f"{server.url}/jwks")) == {"keys": server.keys}
        server.status = 302
        with pytest.raises(UnusableDocument, match="HTTP 302"):
            await fetch(f"{server.url}/jwks")
        server.status = 200
        server.keys = [{"x": "y" * 100_000}]
        with pytest.raises(BridgeError, match="more than"):
            await fetch(f"{server.url}/jwks")
        with pytest.raises(BridgeError, match="plain text"):
            await fetch("http://issuer.example.com/jwks")


async def test_an_issuer_that_is_away_is_one_warning_and_its_return_another(no_pauses: None, caplog: Any) -> None:
    server = Server()
    server.gone = True
    with caplog.at_level(logging.WARNING):
        async with running(server) as keys:
            assert await keys.get("k1") is None
            assert await keys.get("k1") is None
            server.gone = False
            assert await keys.get("k1") is not None
            await keys.get("k2")
    problems = "; ".join(f"{url}: HTTP 404" for url in metadata_urls(URL))
    assert caplog.messages == [
        f"the keys of {URL} cannot be fetched: no metadata: {problems}. Requests get 503. [issuer-unreachable]",
        f"the keys of {URL} are available again",
    ]


async def test_the_metadata_is_read_once_while_the_keys_can_be_fetched(no_pauses: None) -> None:
    server = Server()
    async with running(server) as keys:
        for key_id in ("k1", "k2", "k3"):
            await keys.get(key_id)
    metadata = metadata_urls(URL)[0]
    assert server.fetched.count(metadata) == 1
    assert server.fetched.count(f"{URL}/jwks") == 3


async def test_the_first_metadata_that_is_there_decides() -> None:
    fetched: list[str] = []

    async def fetch(url: str) -> bytes:
        fetched.append(url)
        if url != metadata_urls(URL)[1]:
            raise UnusableDocument("HTTP 404")
        return b"{}"

    keys = IssuerKeys(URL, fetch, lambda: 0.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keys.run)
        with anyio.fail_after(PATIENCE):
            assert await keys.get(None) is None
        tasks.cancel_scope.cancel()
    assert fetched == list(metadata_urls(URL)[:2])


async def test_keys_are_fetched_again_when_their_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer_module, "REFRESH_INTERVAL", 0)
    server = Server()
    async with running(server):
        while server.fetched.count(f"{URL}/jwks") < 3:
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "the metadata is not JSON"),
        (b"[]", 'the metadata is not of this issuer: its "issuer" must be equal to --issuer, to the last slash'),
        (
            f'{{"issuer": "{URL}/"}}'.encode(),
            f'the metadata is not of this issuer: its "issuer" {URL}/ must be equal to --issuer, to the last slash',
        ),
        (
            f'{{"issuer": "{"x" * 999}"}}'.encode(),
            'the metadata is not of this issuer: its "issuer" must be equal to --issuer, to the last slash',
        ),
        (f'{{"issuer": "{URL}", "jwks_uri": 5}}'.encode(), 'the metadata has no "jwks_uri"'),
    ],
)
def test_metadata_that_cannot_be_used_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(UnusableDocument) as refused:
        read_keys_url(body, URL)
    assert str(refused.value) == reason
    assert read_keys_url(f'{{"issuer": "{URL}", "jwks_uri": "x"}}'.encode(), URL) == "x"


def test_an_issuer_url_without_a_query_is_returned_as_it_is() -> None:
    assert check_issuer(f"{URL}/tenant") == f"{URL}/tenant"
    assert check_audience(f"{URL}/mcp") == f"{URL}/mcp"
    with pytest.raises(ServeOptionsError, match=r"--issuer https://a.example/\?x=1: expected a URL without a query"):
        check_issuer("https://a.example/?x=1")
    with pytest.raises(
        ServeOptionsError, match=r"^--audience ftp://a.example/: expected the URL at which clients reach"
    ):
        check_audience("ftp://a.example/")


async def test_the_age_of_keys_is_counted_from_their_last_fetch(no_pauses: None) -> None:
    server = Server()
    server.now = 5 * MAX_KEY_AGE
    async with running(server) as keys:
        assert await keys.get("k1") is not None
        server.now += MAX_KEY_AGE - 1
        assert await keys.get("k1") is not None
        await keys.get("k2")  # fetched again
        server.now += MAX_KEY_AGE - 1
        assert await keys.get("k1") is not None
