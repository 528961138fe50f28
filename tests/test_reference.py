"""What the reference implementation (utcp-websocket) does wrong, and that it does not happen here.

Each scenario runs against both. `reference` says what utcp-websocket 1.2.1 makes of it; when a later version does
better, its line fails and can be taken out.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.client.test_discovery import announces, manual
from tests.client.test_oauth import token_endpoint
from tests.peer import Peer, bridge_to, echo, entry, jsonrpc, peer
from utcp_ws_mcp.errors import CallTimeout, ConnectionLost

RPC = {"preset": "jsonrpc2"}
BY_ID = {
    "message": {"id": "{{ request_id }}", "n": "UTCP_ARG_n_UTCP_ARG"},
    "reply": {"match": "message.id == request_id", "result": "message.n"},
}


class Reference:
    """utcp-websocket, called as its client calls it."""

    def __init__(self, protocol: Any, template: Any) -> None:
        self._protocol, self._template = protocol, template

    async def call(self, **arguments: Any) -> Any:
        return await self._protocol.call_tool(None, "m.t", arguments, self._template)

    async def discover(self) -> Any:
        return await self._protocol.register_manual(None, self._template)


@asynccontextmanager
async def reference_to(seen: Peer, **template: Any) -> AsyncIterator[Reference]:
    before = logging.root.handlers[:]
    plugin = pytest.importorskip("utcp_websocket")
    from utcp_websocket.websocket_communication_protocol import WebSocketCommunicationProtocol

    logging.root.handlers[:] = before  # importing it installs a handler on the root logger
    protocol = WebSocketCommunicationProtocol()
    document = {"name": "m", "call_template_type": "websocket", "url": seen.url, **template}
    serializer = plugin.websocket_call_template.WebSocketCallTemplateSerializer()
    try:
        yield Reference(protocol, serializer.validate_dict(document))
    finally:
        await protocol.close()


async def reversed_pairs(seen: Peer, connection: Any, message: Any) -> None:
    """Answer every second request before the first."""
    held = seen.__dict__.setdefault("held", [])
    held.append(message)
    if len(held) == 2:
        for request in reversed(held):
            await connection.send(json.dumps(request))
        held.clear()


async def test_replies_are_not_crossed_under_concurrency(tmp_path: Path) -> None:
    async with peer(reversed_pairs) as seen, bridge_to(tmp_path, entry(seen, "t", **BY_ID)) as bridge:
        results: dict[int, Any] = {}

        async def call(number: int) -> None:
            results[number] = await bridge.call_tool("m.t", {"n": number})

        async with anyio.create_task_group() as calls:
            for number in range(10):
                calls.start_soon(call, number)
    assert results == {number: str(number) for number in range(10)}


async def test_reference_fails_when_calls_share_its_connection() -> None:
    async with peer(reversed_pairs) as seen, reference_to(seen) as reference:
        await reference._protocol._get_connection(reference._template)
        errors: list[str] = []

        async def call(number: int) -> None:
            try:
                await reference.call(n=number)
            except Exception as error:
                errors.append(str(error))

        async with anyio.create_task_group() as calls:
            for number in range(2):
                calls.start_soon(call, number)
            await anyio.wait_all_tasks_blocked()
            await seen.until(lambda: len(seen.received) == 2)
            calls.cancel_scope.cancel()
    assert any("Concurrent call" in error for error in errors)


async def late(seen: Peer, connection: Any, message: Any) -> None:
    """Answer the first request when the second has come."""
    if len(seen.received) > 1:
        for request in seen.received:
            await connection.send(json.dumps({"n": request["n"]}))


async def test_a_late_reply_is_not_given_to_the_next_call(tmp_path: Path) -> None:
    async def answer_second(seen: Peer, connection: Any, message: Any) -> None:
        if len(seen.received) == 1:
            await connection.wait_closed()
        else:
            await echo(seen, connection, message)

    document = {"timeout": 0.2, "response_format": "json"}
    async with peer(answer_second) as seen, bridge_to(tmp_path, entry(seen, "t", **document)) as bridge:
        with pytest.raises(CallTimeout):
            await bridge.call_tool("m.t", {"n": 1})
        assert await bridge.call_tool("m.t", {"n": 2}) == {"n": 2}


async def test_reference_gives_a_late_reply_to_the_next_call() -> None:
    async with peer(late) as seen, reference_to(seen, timeout=1, response_format="json") as reference:
        with pytest.raises(RuntimeError):
            await reference.call(n=1)
        assert await reference.call(n=2) == {"n": 1}


async def greet(connection: Any) -> None:
    await connection.send("welcome")


async def test_a_greeting_is_not_the_answer(tmp_path: Path) -> None:
    async with peer(echo, greet=greet) as seen, bridge_to(tmp_path, entry(seen, "t")) as bridge:
        assert await bridge.call_tool("m.t", {"n": 1}) == '{"n": 1}'


async def test_reference_takes_a_greeting_for_the_answer() -> None:
    async with peer(echo, greet=greet) as seen, reference_to(seen) as reference:
        assert await reference.call(n=1) == "welcome"


async def hang_up(seen: Peer, connection: Any, message: Any) -> None:
    await connection.close(1000)


async def test_a_close_is_not_a_success(tmp_path: Path) -> None:
    async with peer(hang_up) as seen, bridge_to(tmp_path, entry(seen, "t")) as bridge:
        with pytest.raises(ConnectionLost):
            await bridge.call_tool("m.t")


async def test_reference_takes_a_close_for_a_success() -> None:
    async with peer(hang_up) as seen, reference_to(seen) as reference:
        assert await reference.call(n=1) is None


TYPED = {"message": {"n": "UTCP_ARG_n_UTCP_ARG"}, "response_format": "json"}


async def test_a_number_stays_a_number_with_typed_arguments(tmp_path: Path) -> None:
    async with peer(echo) as seen, bridge_to(tmp_path, entry(seen, "t", typed_arguments=True, **TYPED)) as bridge:
        assert await bridge.call_tool("m.t", {"n": 5}) == {"n": 5}


async def test_reference_sends_a_number_as_text() -> None:
    async with peer(echo) as seen, reference_to(seen, **TYPED) as reference:
        assert await reference.call(n=5) == {"n": "5"}


PAIR = {"message": {"a": "UTCP_ARG_a_UTCP_ARG", "b": "UTCP_ARG_b_UTCP_ARG"}, "response_format": "json"}
TRICK = {"a": "UTCP_ARG_b_UTCP_ARG", "b": "secret"}


async def test_an_argument_that_contains_a_placeholder_is_only_text(tmp_path: Path) -> None:
    async with peer(echo) as seen, bridge_to(tmp_path, entry(seen, "t", **PAIR)) as bridge:
        assert await bridge.call_tool("m.t", TRICK) == TRICK


async def test_reference_fills_placeholders_inside_arguments() -> None:
    async with peer(echo) as seen, reference_to(seen, **PAIR) as reference:
        assert await reference.call(**TRICK) == {"a": "secret", "b": "secret"}


async def test_header_fields_become_headers(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", header_fields=["X-Tenant"], **RPC)) as bridge:
            await bridge.call_tool("m.t", {"X-Tenant": "a"})
    assert seen.upgrades[0].headers["X-Tenant"] == "a"


async def test_reference_ignores_header_fields() -> None:
    async with peer(echo) as seen, reference_to(seen, header_fields=["X-Tenant"]) as reference:
        await reference.call(**{"X-Tenant": "a"})
    assert "X-Tenant" not in seen.upgrades[0].headers


def key_in(location: str) -> dict[str, Any]:
    return {"auth": {"auth_type": "api_key", "api_key": "k3y", "var_name": "key", "location": location}}


@pytest.mark.parametrize("location", ["query", "cookie"])
async def test_an_api_key_reaches_the_query_and_the_cookie(tmp_path: Path, location: str) -> None:
    async with peer(jsonrpc) as seen, bridge_to(tmp_path, entry(seen, "t", **key_in(location), **RPC)) as bridge:
        await bridge.call_tool("m.t")
    assert "key=k3y" in (seen.upgrades[0].path if location == "query" else seen.upgrades[0].headers["Cookie"])


@pytest.mark.parametrize("location", ["query", "cookie"])
async def test_reference_connects_without_the_api_key(location: str) -> None:
    async with peer(echo) as seen, reference_to(seen, **key_in(location)) as reference:
        await reference.call(n=1)
    assert "k3y" not in seen.upgrades[0].path + seen.upgrades[0].headers.get("Cookie", "")


def short_lived(number: int) -> tuple[int, Any]:
    return 200, {"access_token": f"t{number}", "token_type": "Bearer", "expires_in": 0}


def oauth(endpoint: Any) -> dict[str, Any]:
    return {"auth": endpoint.auth(), "keep_alive": False}


async def test_a_token_is_not_kept_longer_than_it_lives(tmp_path: Path) -> None:
    async with token_endpoint(short_lived) as endpoint, peer(jsonrpc) as seen:
        async with bridge_to(tmp_path, entry(seen, "t", **oauth(endpoint), **RPC)) as bridge:
            await bridge.call_tool("m.t")
            await bridge.call_tool("m.t")
    assert [upgrade.headers["Authorization"] for upgrade in seen.upgrades] == ["Bearer t1", "Bearer t2"]


async def test_reference_keeps_a_token_for_ever() -> None:
    async with token_endpoint(short_lived) as endpoint, peer(echo) as seen:
        async with reference_to(seen, **oauth(endpoint)) as reference:
            await reference.call(n=1)
            await reference._protocol._cleanup_connection(f"m_{seen.url}")
            await reference.call(n=2)
    assert [upgrade.headers["Authorization"] for upgrade in seen.upgrades] == ["Bearer t1", "Bearer t1"]


async def test_discovery_reads_a_correct_manual(tmp_path: Path) -> None:
    async with peer(announces(manual("a"))) as seen, bridge_to(tmp_path, entry(seen)) as bridge:
        assert await bridge.wait_discovered(5)
        assert list(bridge.tools) == ["m.a"]


async def test_reference_fails_on_a_correct_manual() -> None:
    template = {"call_template_type": "websocket", "url": "wss://example.com/"}
    tool = {"name": "a", "description": "", "inputs": {}, "outputs": {}, "tool_call_template": template}
    async with peer(announces(manual(tool))) as seen, reference_to(seen) as reference:
        with pytest.raises(Exception, match="RegisterManualResult"):
            await reference.discover()
