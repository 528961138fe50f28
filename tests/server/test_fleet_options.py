"""The options of `serve --shared`: what they make known as a secret, and which are refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from utcp_ws_mcp.errors import ServeOptionsError
from utcp_ws_mcp.observability import events
from utcp_ws_mcp.observability.redaction import Redactor
from utcp_ws_mcp.server import fleet as module
from utcp_ws_mcp.server.fleet import join_fleet
from utcp_ws_mcp.server.http.config import SharedOptions

KEY = "k" * 32
FLEET = object()


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What fleets are joined with."""
    seen: list[Any] = []

    @asynccontextmanager
    async def open_fleet(*args: Any) -> AsyncIterator[Any]:
        seen.append(args)
        yield FLEET
        seen.append("left")

    monkeypatch.setattr("utcp_ws_mcp.client.shared.fleet.open_fleet", open_fleet)
    monkeypatch.setattr(module, "is_installed", lambda name: name == "redis")
    return seen


async def test_without_options_there_is_no_fleet(joined: list[Any]) -> None:
    async with join_fleet(None, events.noop, Redactor()) as fleet:
        assert fleet is None
    assert joined == []


async def test_a_replica_with_a_name_of_its_own_joins_and_leaves(joined: list[Any]) -> None:
    redact = Redactor()
    options = SharedOptions("redis://u:pass-of-store@h:7000/2", "--shared-file", "west", KEY, "--shared-key-file")
    for _ in range(2):
        async with join_fleet(options, events.noop, redact) as fleet:
            assert fleet is FLEET
    (name, replica, address, observe, key, redaction), left, (_, other, *_), _ = joined
    assert (name, observe, key, left) == ("west", events.noop, KEY, "left")
    assert (address.host, address.port, address.password) == ("h", 7000, "pass-of-store")
    assert replica != other
    assert len(bytes.fromhex(replica)) == 8
    assert redact.guard(f"pass-of-store {KEY}") == redaction(f"pass-of-store {KEY}") == "*** ***"


async def test_a_fleet_needs_neither_a_password_nor_a_key(joined: list[Any]) -> None:
    async with join_fleet(SharedOptions("redis://h", "--shared", "west"), events.noop, Redactor()):
        pass
    assert joined[0][4] is None


async def test_a_password_on_the_command_line_is_refused(joined: list[Any]) -> None:
    with pytest.raises(ServeOptionsError) as refused:
        async with join_fleet(SharedOptions("redis://:p@h", "--shared", "west"), events.noop, Redactor()):
            pass
    assert (refused.value.code, joined) == ("invalid-shared-url", [])
    assert refused.value.message == (
        "--shared contains a password, which other users of this machine can see in the list of processes. "
        "Write the URL into a file for --shared-file, or into UTCP_WS_MCP_SHARED."
    )


async def test_a_key_that_is_too_short_is_refused(joined: list[Any]) -> None:
    options = SharedOptions("redis://h", "--shared", "west", "short", "--shared-key-file")
    with pytest.raises(ServeOptionsError):
        async with join_fleet(options, events.noop, Redactor()):
            pass
    assert joined == []


async def test_without_redis_py_the_extra_is_named(joined: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_installed", lambda name: False)
    with pytest.raises(ServeOptionsError, match="--shared needs") as refused:
        async with join_fleet(SharedOptions("redis://h", "--shared", "west"), events.noop, Redactor()):
            pass
    assert refused.value.code == "package-missing"
