"""The preset socketio4, against a server that follows Engine.IO 4 and Socket.IO 5."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.peer import bridge_to
from tests.presets.servers import Broken, Session, Strict, call_all, calling, meanwhile, refused, strict
from utcp_ws_mcp import ToolError
from utcp_ws_mcp.errors import SessionLost

LOGIN = {"SOCKETIO_AUTH": '{"token": "right"}'}
PACKET = re.compile(r"4([0-6])(?:(\d+)-)?(/[^,]+,)?(\d+)?(.*)", re.DOTALL)
CONNECT, EVENT, BINARY_EVENT = "0", "2", "5"
COUNT = {
    "name": "count",
    "tool_call_template": {
        "message": {"type": "event", "data": ["count", "{{ args.n }}"]},
        "reply": {"match": "message.type == 'event' and message.data[0] in ['tick', 'done']"},
        "stream": {"until": "message.data[0] == 'done'", "item": "message.data[1]"},
    },
}
WATCH = {
    "name": "watch",
    "tool_call_template": {
        "listen": True,
        "stream": {"match": "message.type == 'event' and message.data[0] == 'tick'", "max_items": 2},
    },
}
DIGEST = {
    "name": "digest",
    "tool_call_template": {
        "message": {"type": "event", "id": "{{ request_id }}", "data": ["digest", {"$base64": "{{ args.bytes }}"}]}
    },
}


class Server(Session):
    """One namespace. Settings: `ping`, the seconds between pings; `hold`, how many acknowledgements go in reverse."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.connected = False
        self.pongs = 0
        self.ids: set[int] = set()
        self.held: list[str] = []
        self.attachment: Any = None

    async def greet(self) -> None:
        if not self.connection.request or "EIO=4&transport=websocket" not in self.connection.request.path:
            raise AssertionError("no Engine.IO 4 over WebSocket")
        self.ping = self.server.settings.get("ping", 25)
        known = {"sid": "e1", "upgrades": [], "pingInterval": int(self.ping * 1000), "pingTimeout": 2000}
        await self.send("0" + json.dumps(known))

    async def take(self, message: Any) -> None:
        if isinstance(message, bytes):
            if self.attachment is None:
                raise Broken("an attachment of nothing")
            number, self.attachment = self.attachment, None
            await self.acknowledge(number, {"bytes": message.hex()})
            return
        text = str(message)
        if text == "3":
            self.pongs += 1
            self.server.peer.arrived.set()
            await self.send_ping()
            return
        packet = PACKET.fullmatch(text)
        if packet is None or (packet[3] and packet[1] != CONNECT):
            raise Broken(f"no packet for this server: {text!r}")
        data = json.loads(packet[5]) if packet[5] else None
        if not self.connected:
            await self.connect(packet[1], data)
        elif packet[1] not in (EVENT, BINARY_EVENT) or not isinstance(data, list) or not data:
            raise Broken(f"no event with data: {text!r}")
        else:
            await self.handle(data, self.new_id(packet[4]), packet[2])

    async def connect(self, kind: str, auth: Any) -> None:
        if kind != CONNECT:
            raise Broken("the first packet is no CONNECT")
        if auth != {"token": "right"}:
            await self.send('44{"message":"unauthorized"}')
            return
        self.connected = True
        await self.send('40{"sid":"s1"}', '42["welcome",{"users":1}]')
        await self.send_ping()

    def new_id(self, text: str | None) -> int | None:
        if text is None:
            return None
        if int(text) in self.ids:
            raise Broken(f"the id {text} is used twice")
        self.ids.add(int(text))
        return int(text)

    async def handle(self, data: list[Any], number: int | None, attachments: str | None) -> None:
        match data[0], number:
            case "add", int():
                await self.send('42["log","adding"]')
                await self.acknowledge(number, data[1]["a"] + data[1]["b"])
            case "both", int():
                await self.acknowledge(number, 1, 2)
            case "fail", int():
                await self.acknowledge(number, {"error": {"message": "no such thing"}})
            case "digest", int() if attachments == "1" and data[1] == {"_placeholder": True, "num": 0}:
                self.attachment = number
            case "count", None:
                await self.send(*(f'42["tick",{tick}]' for tick in range(data[1])), '42["other"]', '42["done"]')
            case _:
                raise Broken(f"an unknown event {data}")

    async def acknowledge(self, number: int, *values: Any) -> None:
        self.held.append(f"43{number}{json.dumps(values)}")
        if len(self.held) >= self.server.settings.get("hold", 1):
            await self.send(*reversed(self.held))
            self.held.clear()

    async def send_ping(self) -> None:
        if self.ping < 1 and self.pongs < 5:
            self.expect_within(1, "pong")
            await self.send("2")
        elif self.ping < 1:
            self.stop_expecting()


def manifest(server: Strict, *tools: Any) -> dict[str, Any]:
    listed = [{"name": tool} if isinstance(tool, str) else tool for tool in tools]
    url = f"{server.peer.url}socket.io/?EIO=4&transport=websocket"
    return {"name": "m", "url": url, "preset": "socketio4", "tools": listed}


async def test_the_acknowledgement_is_the_result(tmp_path: Path) -> None:
    async with strict(Server) as server, bridge_to(tmp_path, manifest(server, "add", "both"), environ=LOGIN) as bridge:
        assert await bridge.call_tool("m.add", {"a": 20, "b": 22}) == 42
        assert await bridge.call_tool("m.both") == [1, 2]
        assert len(server.sessions) == 1


@pytest.mark.parametrize("environ", [{}, {"SOCKETIO_AUTH": '{"token": "wrong"}'}], ids=["none", "wrong"])
async def test_a_login_that_is_refused_says_why(tmp_path: Path, environ: dict[str, str]) -> None:
    unset = "" if environ else "; not set: SOCKETIO_AUTH"
    async with strict(Server) as server, bridge_to(tmp_path, manifest(server, "add"), environ=environ) as bridge:
        assert (await refused(bridge, "m.add", {"a": 1, "b": 2})).endswith(
            "the server rejected the login; the endpoint said: “unauthorized”. "
            f"Check the credentials and other values that the login sends{unset}. [login-rejected]"
        )


async def test_acknowledgements_in_reverse_and_events_between_reach_their_own_calls(tmp_path: Path) -> None:
    async with strict(Server, hold=8) as server:
        async with bridge_to(tmp_path, manifest(server, "add"), environ=LOGIN) as bridge:
            calls = [("m.add", {"a": number, "b": 100}) for number in range(8)]
            assert await call_all(bridge, calls) == [100 + number for number in range(8)]
            assert len(server.sessions) == 1


async def test_an_error_in_the_acknowledgement_fails_the_call(tmp_path: Path) -> None:
    async with strict(Server) as server, bridge_to(tmp_path, manifest(server, "fail"), environ=LOGIN) as bridge:
        with pytest.raises(ToolError, match=r"^the endpoint said: no such thing \[tool-error\]$"):
            await bridge.call_tool("m.fail")


async def test_bytes_travel_as_an_attachment(tmp_path: Path) -> None:
    async with strict(Server) as server, bridge_to(tmp_path, manifest(server, DIGEST), environ=LOGIN) as bridge:
        assert await bridge.call_tool("m.digest", {"bytes": "/wABAg=="}) == {"bytes": "ff000102"}


async def test_an_event_without_acknowledgement_is_answered_by_events(tmp_path: Path) -> None:
    async with strict(Server) as server, bridge_to(tmp_path, manifest(server, COUNT), environ=LOGIN) as bridge:
        assert (await bridge.call_tool("m.count", {"n": 3})).value == {
            "items": [0, 1, 2],
            "end": "until",
            "complete": True,
        }


async def test_events_are_watched_beside_calls_on_one_connection(tmp_path: Path) -> None:
    async with strict(Server) as server:
        async with bridge_to(tmp_path, manifest(server, WATCH, "add"), environ=LOGIN) as bridge:

            async def tick() -> None:
                await server.until(lambda: bool(server.sessions and server.session.connected))
                assert await bridge.call_tool("m.add", {"a": 1, "b": 2}) == 3
                await server.session.send('42["tick",1]', '42["other",0]', '42["tick",2]')

            async with meanwhile(tick):
                watched = await bridge.call_tool("m.watch")
            assert watched.value == {"items": [["tick", 1], ["tick", 2]], "end": "max_items", "complete": False}
            async with calling(bridge, "m.watch"):
                assert await bridge.call_tool("m.add", {"a": 1, "b": 2}) == 3
            assert len(server.sessions) == 1


async def test_pings_are_answered_while_nothing_is_called(tmp_path: Path) -> None:
    async with strict(Server, ping=0.01) as server:
        async with bridge_to(tmp_path, manifest(server, "add"), environ=LOGIN) as bridge:
            await bridge.call_tool("m.add", {"a": 1, "b": 2})
            await server.until(lambda: server.session.pongs == 5)
            assert len(server.sessions) == 1


async def test_after_the_server_has_disconnected_the_next_call_connects_again(tmp_path: Path) -> None:
    async with strict(Server) as server, bridge_to(tmp_path, manifest(server, "add"), environ=LOGIN) as bridge:
        assert await bridge.call_tool("m.add", {"a": 1, "b": 2}) == 3
        await server.session.send("41")
        await (await server.session.connection.ping())
        assert await bridge.call_tool("m.add", {"a": 1, "b": 2}) == 3
    assert len(server.sessions) == 2


async def test_a_disconnect_fails_the_calls_under_way(tmp_path: Path) -> None:
    class Leaving(Server):
        async def take(self, message: Any) -> None:
            if str(message).startswith("42"):
                await self.send("41")
            else:
                await super().take(message)

    async with strict(Leaving) as server, bridge_to(tmp_path, manifest(server, "add"), environ=LOGIN) as bridge:
        with pytest.raises(SessionLost, match="the server ended the session with disconnect"):
            await bridge.call_tool("m.add", {"a": 1, "b": 2})


async def test_a_lost_connection_is_replaced_and_logged_in(tmp_path: Path) -> None:
    async with strict(Server) as server, bridge_to(tmp_path, manifest(server, "add"), environ=LOGIN) as bridge:
        for _ in range(3):
            assert await bridge.call_tool("m.add", {"a": 1, "b": 2}) == 3
            await server.cut()
        assert [session.connected for session in server.sessions] == [True] * 3
