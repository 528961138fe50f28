"""A server says when to come back: refused upgrades, token answers and HTTP steps."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.client.test_http_steps import always, http_server
from tests.client.test_oauth import token_endpoint
from tests.peer import PATIENCE, bridge_to, entry, jsonrpc, peer
from utcp_ws_mcp.client.pool.circuit_breaker import CircuitBreaker
from utcp_ws_mcp.core.backoff import MAX_RETRY_AFTER, parse_retry_after, with_pause
from utcp_ws_mcp.errors import BridgeError

NOW = datetime(2026, 11, 30, 2, 0, 0, tzinfo=UTC)

VALUES = {
    "seconds": ("30", 30),
    "blanks": (" 30 ", 30),
    "zeros in front": ("0" * 20 + "30", 30),
    "the longest pause": ("900", 900),
    "more than the longest pause": ("901", 900),
    "a second": ("1", 1),
    "a date": ("Mon, 30 Nov 2026 02:01:00 GMT", 60),
    "an obsolete date": ("Monday, 30-Nov-26 02:01:00 GMT", 60),
    "a day": ("86400", MAX_RETRY_AFTER),
    "a number with many digits": ("9" * 4000, MAX_RETRY_AFTER),
    "a date far away": ("Mon, 30 Nov 2076 02:01:00 GMT", MAX_RETRY_AFTER),
    "nothing": (None, None),
    "an empty value": ("", None),
    "now": ("0", None),
    "the past": ("Mon, 30 Nov 2026 01:00:00 GMT", None),
    "a negative number": ("-5", None),
    "a fraction": ("1.5", None),
    "other digits": ("٣", None),
    "text": ("soon", None),
}


@pytest.mark.parametrize(("value", "seconds"), VALUES.values(), ids=VALUES)
def test_the_time_to_come_back_is_read_and_bounded(value: str | None, seconds: float | None) -> None:
    found = parse_retry_after(value, NOW)
    assert (found and found.seconds) == seconds


def test_a_pause_is_never_shorter_than_the_server_asks_for() -> None:
    assert with_pause(30, lambda: 0.0) == 30
    assert 30 < with_pause(30, lambda: 0.99) <= 34


def test_a_breaker_keeps_the_pause_from_the_first_failure_on() -> None:
    breaker = CircuitBreaker()
    breaker.record_failure(100.0, lambda: 0.5, pause=30.0)
    assert breaker.retry_after(101.0) == 29.0
    breaker.record_failure(101.0, lambda: 0.5)
    assert breaker.retry_after(101.0) == 29.0
    assert breaker.retry_after(131.0) == 0.0


def refusing(attempts: list[str]) -> Any:
    def refuse(connection: Any, request: Any) -> Any:
        attempts.append(request.path)
        response = connection.respond(503, "full")
        response.headers["Retry-After"] = "30"
        return response

    return refuse


async def test_a_refused_upgrade_that_says_when_is_not_tried_before(tmp_path: Path) -> None:
    attempts: list[str] = []
    async with peer(jsonrpc, process_request=refusing(attempts)) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", preset="jsonrpc2")) as bridge:
            for _ in range(3):
                with anyio.fail_after(PATIENCE), pytest.raises(BridgeError) as failed:
                    await bridge.call_tool("m.t")
                assert "The server asks to try again in 30 s, at " in str(failed.value)
                assert failed.value.code == "handshake-rejected"
    assert len(attempts) == 1


async def test_discovery_keeps_the_pause(tmp_path: Path) -> None:
    attempts: list[str] = []
    async with peer(jsonrpc, process_request=refusing(attempts)) as seen, bridge_to(tmp_path, entry(seen)) as bridge:
        await bridge.wait_discovered(PATIENCE)
        await bridge.wait_discovered(PATIENCE)
        assert "try again in 30 s" in str(bridge.discovery_errors["m"])
        with pytest.raises(BridgeError, match="try again in 30 s"):
            await bridge.call_tool("m.t")
    assert len(attempts) == 1


async def test_a_token_endpoint_says_when(tmp_path: Path) -> None:
    async with token_endpoint(lambda number: (429, {}), "Retry-After: 30") as endpoint, peer(jsonrpc) as seen:
        document = entry(seen, "t", preset="jsonrpc2", auth=endpoint.auth())
        async with bridge_to(tmp_path, document) as bridge:
            for _ in range(2):
                with pytest.raises(BridgeError, match=r"HTTP 429\..*try again in 30 s.*\[token-request-failed\]"):
                    await bridge.call_tool("m.t")
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("field", ["before_connect", "on_connect"])
async def test_a_step_that_is_refused_says_when(tmp_path: Path, field: str) -> None:
    async with http_server(always(429, "slow down"), "Retry-After: 30") as http, peer(jsonrpc) as seen:
        document = entry(seen, "t", preset="jsonrpc2", **{field: [{"http": {"url": http.url()}}]})
        async with bridge_to(tmp_path, document) as bridge:
            for _ in range(2):
                with pytest.raises(BridgeError, match="slow down.*try again in 30 s"):
                    await bridge.call_tool("m.t")
    assert len(http.requests) == 1


async def test_a_request_of_a_call_that_is_refused_says_when(tmp_path: Path) -> None:
    async with http_server(always(429, "slow down"), "Retry-After: 30") as http, peer(jsonrpc) as seen:
        document = entry(seen, "t", preset="jsonrpc2", before_message=[{"http": {"url": http.url()}}])
        async with bridge_to(tmp_path, document) as bridge:
            with pytest.raises(BridgeError, match="slow down.*try again in 30 s"):
                await bridge.call_tool("m.t")
