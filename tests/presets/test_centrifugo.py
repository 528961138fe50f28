"""The preset centrifugo, against a server that follows Centrifugo's client protocol in JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.peer import bridge_to
from tests.presets.servers import Broken, Session, Strict, call_all, calling, meanwhile, refused, strict
from utcp_ws_mcp import ToolError
from utcp_ws_mcp.errors import SessionLost

TOKEN = {"CENTRIFUGO_TOKEN": "right"}
WATCH = {
    "name": "watch",
    "tool_call_template": {
        "message": {"id": "{{ request_id }}", "subscribe": {"channel": "{{ args.channel }}"}},
        "stream": {"max_items": 2},
    },
}
PUBLISH = {
    "name": "publish",
    "tool_call_template": {
        "message": {"id": "{{ request_id }}", "publish": {"channel": "{{ args.channel }}", "data": "{{ args.data }}"}}
    },
}


class Node(Session):
    """A server with one token. Settings: `ping`, whether it pings fast; `hold`, how many replies go in reverse."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.client = False
        self.last_id = 0
        self.channels: set[str] = set()
        self.held: list[Any] = []
        self.pongs = 0
        self.refused = 0
        self.awaited = 0

    async def take(self, message: Any) -> None:
        for line in message.splitlines() if isinstance(message, str) else [message]:
            await self.command(json.loads(line) if isinstance(line, str) else line)

    async def command(self, command: Any) -> None:
        if command == {}:
            await self.take_pong()
            return
        number = command.pop("id")
        if number <= self.last_id or len(command) != 1:
            raise Broken(f"{number} {command} after {self.last_id}")
        self.last_id = number
        kind, request = next(iter(command.items()))
        if self.client != (kind != "connect"):
            raise Broken(f"{kind} out of order")
        reply = await getattr(self, kind)(request)
        self.held.append({"id": number, **reply})
        if len(self.held) >= self.server.settings.get("hold", 1) or kind == "connect":
            replies = [{"push": {"channel": "other", "pub": {"data": 0}}}, *reversed(self.held)]
            await self.send("\n".join(map(json.dumps, replies)))
            self.held = []
        if kind == "connect" and self.server.settings.get("ping"):
            await self.send_ping()

    async def connect(self, request: Any) -> Any:
        if request.get("token") != "right":
            await self.connection.close(3500, "invalid token")
            return {}
        self.client = True
        return {"connect": {"client": "c1", "version": "6.0.0", "ping": 25, "pong": True}}

    async def rpc(self, request: Any) -> Any:
        if request["method"] == "add":
            return {"rpc": {"data": request["data"]["a"] + request["data"]["b"]}}
        return {"error": {"code": 104, "message": "method not found"}}

    async def publish(self, request: Any) -> Any:
        if request["channel"] in self.channels:
            await self.send({"push": {"channel": request["channel"], "pub": {"data": request["data"]}}})
        return {"publish": {}}

    async def subscribe(self, request: Any) -> Any:
        if request["channel"] in self.channels:
            self.refused += 1
            return {"error": {"code": 105, "message": "already subscribed"}}
        self.channels.add(request["channel"])
        return {"subscribe": {}}

    async def unsubscribe(self, request: Any) -> Any:
        if request["channel"] not in self.channels:
            raise Broken("unsubscribe from nothing")
        self.channels.remove(request["channel"])
        return {"unsubscribe": {}}

    async def send_ping(self) -> None:
        self.awaited += 1
        await self.send({})
        self.expect_within(1, "pong")

    async def take_pong(self) -> None:
        self.pongs += 1
        if self.pongs > self.awaited:
            raise Broken("a pong without ping")
        if self.pongs < 5:
            await self.send_ping()
        else:
            self.stop_expecting()


def manifest(server: Strict) -> dict[str, Any]:
    tools = [{"name": "add"}, {"name": "nope"}, WATCH, PUBLISH]
    return {"name": "m", "url": server.peer.url, "preset": "centrifugo", "tools": tools}


async def test_a_remote_procedure_gives_its_data(tmp_path: Path) -> None:
    async with strict(Node) as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:
        assert await bridge.call_tool("m.add", {"a": 20, "b": 22}) == 42
        assert await bridge.call_tool("m.publish", {"channel": "a", "data": {"x": 1}}) == {}
        assert len(server.sessions) == 1


@pytest.mark.parametrize("environ", [{}, {"CENTRIFUGO_TOKEN": "wrong"}], ids=["none", "wrong"])
async def test_a_token_that_is_refused_says_why(tmp_path: Path, environ: dict[str, str]) -> None:
    async with strict(Node) as server, bridge_to(tmp_path, manifest(server), environ=environ) as bridge:
        assert "code 3500; the endpoint said: “invalid token”" in await refused(bridge, "m.add", {"a": 1, "b": 2})


async def test_replies_in_one_frame_reach_their_own_calls(tmp_path: Path) -> None:
    async with strict(Node, hold=8) as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:
        calls = [("m.add", {"a": number, "b": 100}) for number in range(8)]
        assert await call_all(bridge, calls) == [100 + number for number in range(8)]
        assert len(server.sessions) == 1


async def test_an_error_fails_the_call_with_its_code(tmp_path: Path) -> None:
    async with strict(Node) as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:
        with pytest.raises(ToolError, match=r"^the endpoint said: method not found \(104\) \[tool-error\]$"):
            await bridge.call_tool("m.nope")


async def test_a_subscription_ends_with_unsubscribe_at_its_limit(tmp_path: Path) -> None:
    async with strict(Node) as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:

        async def publish() -> None:
            await server.until(lambda: bool(server.sessions and server.session.channels))
            for number in range(2):
                await bridge.call_tool("m.publish", {"channel": "a", "data": number})

        async with meanwhile(publish):
            watched = await bridge.call_tool("m.watch", {"channel": "a"})
        assert watched.value == {"items": [0, 1], "end": "max_items", "complete": False}
        await server.until(lambda: not server.session.channels)
        assert await bridge.call_tool("m.add", {"a": 1, "b": 2}) == 3
        assert len(server.sessions) == 1


async def test_a_subscription_ends_with_unsubscribe_when_it_is_cancelled(tmp_path: Path) -> None:
    async with strict(Node) as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:
        async with calling(bridge, "m.watch", {"channel": "a"}):
            await server.until(lambda: bool(server.sessions and server.session.channels))
        await server.until(lambda: not server.session.channels)


async def test_several_watch_one_channel_and_the_last_ends_the_subscription(tmp_path: Path) -> None:
    async with strict(Node) as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:
        async with calling(bridge, "m.watch", {"channel": "a"}):
            await server.until(lambda: bool(server.sessions and server.session.channels))
            async with calling(bridge, "m.watch", {"channel": "a"}):
                await server.until(lambda: server.session.refused == 1)
            assert await bridge.call_tool("m.add", {"a": 1, "b": 2}) == 3
            assert server.session.channels == {"a"}
        await server.until(lambda: not server.session.channels)


async def ended_by_the_server(server: Strict, bridge: Any, code: int) -> Any:
    """Watch until the server ends the subscription with a code; the result or the error."""

    async def end() -> None:
        await server.until(lambda: bool(server.sessions and server.session.channels))
        server.session.channels.clear()
        await server.session.send({"push": {"channel": "a", "unsubscribe": {"code": code, "reason": "expired"}}})

    async with meanwhile(end):
        try:
            return await bridge.call_tool("m.watch", {"channel": "a"})
        except ToolError as error:
            return error


async def test_a_subscription_that_the_server_ends_is_over(tmp_path: Path) -> None:
    async with strict(Node) as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:
        watched = await ended_by_the_server(server, bridge, 2000)
        assert watched.value == {"items": [], "end": "until", "complete": True}


async def test_a_subscription_that_fails_is_an_error_with_its_code(tmp_path: Path) -> None:
    async with strict(Node) as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:
        failed = await ended_by_the_server(server, bridge, 2500)
        assert str(failed) == "the endpoint said: the server ended the subscription: expired (2500) [tool-error]"


async def test_a_server_that_ends_the_connection_fails_the_calls_with_its_reason(tmp_path: Path) -> None:
    async with strict(Node) as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:

        async def end() -> None:
            await server.until(lambda: bool(server.sessions and server.session.channels))
            await server.session.send({"push": {"disconnect": {"code": 3005, "reason": "connection expired"}}})

        with pytest.raises(ExceptionGroup) as failed:
            async with meanwhile(end):
                await bridge.call_tool("m.watch", {"channel": "a"})
        assert failed.group_contains(SessionLost, match=r"connection expired \(3005\)")


async def test_pings_are_answered_while_nothing_is_called(tmp_path: Path) -> None:
    async with strict(Node, ping=True) as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:
        await bridge.call_tool("m.add", {"a": 1, "b": 2})
        await server.until(lambda: server.session.pongs == 5)
        assert len(server.sessions) == 1


async def test_a_lost_connection_is_replaced_and_connected_again(tmp_path: Path) -> None:
    async with strict(Node) as server, bridge_to(tmp_path, manifest(server), environ=TOKEN) as bridge:
        for _ in range(3):
            assert await bridge.call_tool("m.add", {"a": 1, "b": 2}) == 3
            await server.cut()
        assert [(session.client, session.last_id) for session in server.sessions] == [(True, 2)] * 3
