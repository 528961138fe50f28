"""Feeds whose endpoint refuses the login: how often they log in, alone and together, and what ends their pause."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.client.feeds.quiet import feed_tools
from tests.client.virtual_time import in_virtual_time
from tests.peer import Peer, bridge_to, peer
from utcp_ws_mcp import Bridge, BridgeError
from utcp_ws_mcp.client.feeds.manager import FeedManager
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.client.pool.manager import PoolManager
from utcp_ws_mcp.core.expressions.scope import Ambient
from utcp_ws_mcp.core.tools.tool import CompiledTool
from utcp_ws_mcp.errors import ConnectError

REFUSED = ConnectError("ws://h/", "no such token.", code="login-rejected", step="on_connect[1]")
AWAY = ConnectError("ws://h/", "connection refused.", code="connection-refused")


class House:
    """An endpoint with a login, which counts the logins, and answers calls."""

    def __init__(self) -> None:
        self.accepts = False
        self.logins: list[str] = []

    async def answer(self, seen: Peer, connection: Any, message: Any) -> None:
        if "token" in message:
            self.logins.append(message["token"])
            await connection.send(json.dumps({"type": "ok" if self.accepts else "invalid"}))
        else:
            await connection.send(json.dumps({"id": message["id"], "result": "on"}))


def house(seen: Peer, *feeds: dict[str, Any], token: str = "t") -> dict[str, Any]:
    accepted = {"expect": "message.type in ['ok', 'invalid']", "fail": "message.type != 'ok'"}
    login = [{"send": {"token": token}}, accepted]
    reply = {"match": "message.id == request_id", "result": "message.result"}
    ask = {"message": {"id": "{{ request_id }}"}, "reply": reply}
    listed = [{"match": f"message.event == '{each['name']}'", **each} for each in feeds]
    tool = {"name": "ask", "tool_call_template": ask}
    return {"name": "m", "url": seen.url, "on_connect": login, "feeds": listed, "tools": [tool]}


async def state(bridge: Bridge, feed: str) -> str:
    with anyio.fail_after(10):
        return str((await bridge.call_tool(f"m.{feed}_events"))["state"])


async def open_soon(bridge: Bridge, *feeds: str) -> None:
    with anyio.fail_after(10):
        for feed in feeds:
            while await state(bridge, feed) != "open":
                await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("own", [{}, {"query": {"v": 1}}], ids=["a shared connection", "connections of their own"])
async def test_a_feed_whose_endpoint_has_refused_the_login_of_another_does_not_log_in(
    tmp_path: Path, own: dict[str, Any]
) -> None:
    server = House()
    async with peer(server.answer) as seen:
        document = house(seen, {"name": "a", **own}, {"name": "b", **own}, {"name": "c", **own})
        async with bridge_to(tmp_path, document) as bridge:
            states = [await state(bridge, name) for name in "abc"]
    assert server.logins == ["t"]
    assert all(each.startswith("waiting: ") and "the server rejected the login" in each for each in states)


async def test_a_call_logs_in_at_once_and_a_login_that_succeeds_ends_the_pause_of_all_feeds(tmp_path: Path) -> None:
    server = House()
    async with peer(server.answer) as seen:
        async with bridge_to(tmp_path, house(seen, {"name": "a"}, {"name": "b"})) as bridge:
            await state(bridge, "a")
            await state(bridge, "b")
            with pytest.raises(BridgeError, match="the server rejected the login"):
                await bridge.call_tool("m.ask")
            assert len(server.logins) == 2
            server.accepts = True
            assert await bridge.call_tool("m.ask") == "on"
            await open_soon(bridge, "a", "b")
            assert len(server.logins) == 3


async def test_a_pause_is_that_of_one_set_of_credentials(tmp_path: Path) -> None:
    server = House()
    inputs = {"type": "object", "properties": {"token": {"type": "string"}}, "required": ["token"]}
    async with peer(server.answer) as seen:
        document = house(seen, {"name": "a", "inputs": inputs}, token="{{ args.token }}")
        async with bridge_to(tmp_path, document) as bridge:
            for token in ("x", "y", "x"):
                with anyio.fail_after(10):
                    await bridge.call_tool("m.a_events", {"token": token})
    assert server.logins == ["x", "y"]


async def test_a_feed_of_a_changed_manifest_logs_in_at_once(tmp_path: Path) -> None:
    server = House()
    async with peer(server.answer) as seen:
        async with bridge_to(tmp_path, house(seen, {"name": "a"})) as bridge:
            await state(bridge, "a")
            server.accepts = True
            file = tmp_path / "new.json"
            file.write_text(json.dumps(house(seen, {"name": "a"}, token="new")), encoding="utf-8")
            bridge.reload([load_manifest(file, {}, ())])
            await open_soon(bridge, "a")
    assert server.logins == ["t", "new"]


class Attempts:
    """Feeds whose connections end in what a script says; afterwards they are refused."""

    def __init__(self, tasks: Any, script: list[Any]) -> None:
        self.times: list[float] = []
        self._script = script
        ambient = Ambient(lambda: None, bytes)  # type: ignore[arg-type, return-value]
        self.feeds = FeedManager(tasks, PoolManager(tasks, self._open), ambient)

    async def _open(self, request: Any, arguments: Any, on_draining: Any) -> Any:
        self.times.append(anyio.current_time())
        await anyio.sleep(1)
        raise self._script.pop(0) if self._script else REFUSED


def tools_of(count: int, **feed: Any) -> list[CompiledTool]:
    feeds = [{"name": f"f{number}", "linger": 1e6, **feed} for number in range(count)]
    return [tool for name, tool in feed_tools(*feeds).items() if name.endswith("_events")]


@pytest.mark.parametrize("own", [{}, {"query": {"v": 1}}], ids=["a shared connection", "connections of their own"])
@in_virtual_time
async def test_many_feeds_log_in_as_often_as_one(own: dict[str, Any]) -> None:
    async with anyio.create_task_group() as tasks:
        attempts = Attempts(tasks, [])
        for tool in tools_of(5, **own):
            attempts.feeds.get(tool, {})
            await anyio.sleep(3)
        await anyio.sleep_until(1000)
        assert attempts.times == pytest.approx([0, 31, 332, 633, 934])
        tasks.cancel_scope.cancel()


@in_virtual_time
async def test_logins_at_the_same_time_that_are_refused_count_once() -> None:
    async with anyio.create_task_group() as tasks:
        attempts = Attempts(tasks, [])
        for tool in tools_of(3, query={"v": 1}):
            attempts.feeds.get(tool, {})
        await anyio.sleep_until(400)
        assert attempts.times == pytest.approx([0, 0, 0, 31, 332])
        tasks.cancel_scope.cancel()


@in_virtual_time
async def test_another_failure_ends_a_row_of_refusals() -> None:
    async with anyio.create_task_group() as tasks:
        attempts = Attempts(tasks, [REFUSED, REFUSED, AWAY, REFUSED])
        (tool,) = tools_of(1)
        attempts.feeds.get(tool, {})
        await anyio.sleep_until(400)
        waits = [round(later - earlier - 1) for earlier, later in zip(attempts.times, attempts.times[1:], strict=False)]
        assert (waits[0], waits[1], waits[3]) == (30, 300, 30)
        tasks.cancel_scope.cancel()
