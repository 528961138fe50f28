"""The preset janus, against a server that follows the Janus API over WebSocket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.peer import bridge_to
from tests.presets.servers import Broken, Session, Strict, call_all, calling, interval, meanwhile, refused, strict
from utcp_ws_mcp import ToolError
from utcp_ws_mcp.errors import SessionLost

SECRET = {"JANUS_APISECRET": "letmein"}
PLUGIN = {"properties": {"plugin": {"default": "janus.plugin.videoroom"}}}
AROUND = {
    "transaction": "{{ request_id }}",
    "apisecret": "{{ vars.JANUS_APISECRET }}",
    "session_id": "{{ session.id }}",
    "handle_id": "{{ session.handle }}",
}
WATCH = {
    "name": "watch",
    "inputs": PLUGIN,
    "tool_call_template": {
        "message": {"janus": "message", **AROUND, "body": {"request": "join", "room": "{{ args.room }}"}},
        "stream": {
            "max_items": 2,
            "cancel": {"janus": "message", **AROUND, "transaction": "{{ next_id() }}", "body": {"request": "leave"}},
        },
    },
}


class Janus(Session):
    """One plugin with rooms. Settings: `timeout`, seconds without a request; `hold`, replies that go in reverse."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.created: int | None = None
        self.handle: int | None = None
        self.seen: set[str] = set()
        self.keepalives = 0
        self.room: int | None = None
        self.held: list[Any] = []

    async def take(self, message: Any) -> None:
        transaction = message["transaction"]
        if transaction in self.seen or not isinstance(transaction, str):
            raise Broken(f"the transaction {transaction} is not new")
        self.seen.add(transaction)
        if message.get("apisecret") != "letmein":
            await self.fail(transaction, 403, "Unauthorized request")
        elif message["janus"] == "create":
            self.created = 11
            await self.send({"janus": "success", "transaction": transaction, "data": {"id": 11}})
        elif self.created is None or message.get("session_id") != self.created:
            raise Broken(f"a request without its session: {message}")
        else:
            await self.in_session(message["janus"], transaction, message)
        if (timeout := self.server.settings.get("timeout")) and self.created:
            self.expect_within(timeout, "keepalive")

    async def in_session(self, kind: str, transaction: str, message: Any) -> None:
        match kind:
            case "keepalive":
                self.keepalives += 1
                await self.send({"janus": "ack", "session_id": self.created, "transaction": transaction})
            case "attach" if message["plugin"] == "janus.plugin.videoroom":
                self.handle = 22
                data = {"id": self.handle}
                await self.send({"janus": "success", "session_id": 11, "transaction": transaction, "data": data})
            case "attach":
                await self.fail(transaction, 460, f"No such plugin '{message['plugin']}'")
            case "destroy":
                self.created = None
                await self.send({"janus": "success", "session_id": 11, "transaction": transaction})
            case "message" if self.handle is not None and message["handle_id"] == self.handle:
                await self.handle_message(transaction, message["body"])
            case _:
                raise Broken(f"it cannot be said now: {message}")

    async def handle_message(self, transaction: str, body: Any) -> None:
        ack = {"janus": "ack", "session_id": 11, "transaction": transaction}
        match body["request"]:
            case "exists":
                await self.answer("success", transaction, {"videoroom": "success", "exists": body["room"] < 100})
            case "destroy":
                await self.answer(
                    "success", transaction, {"error_code": 426, "error": f"No such room ({body['room']})"}
                )
            case "join":
                self.room = body["room"]
                await self.send(ack, self.event({"videoroom": "event", "early": True}))
                await self.answer("event", transaction, {"videoroom": "joined", "id": 5})
            case "configure":
                await self.send(ack)
                await self.answer("event", transaction, {"videoroom": "event", "configured": "ok"})
            case "leave":
                self.room = None
                await self.send(ack)
                await self.answer("event", transaction, {"videoroom": "event", "leaving": "ok"})
            case request:
                raise Broken(f"an unknown request {request}")

    def event(self, data: Any, **more: Any) -> Any:
        known = {"janus": "event", "session_id": self.created, "sender": self.handle}
        return known | {"plugindata": {"plugin": "janus.plugin.videoroom", "data": data}} | more

    async def answer(self, kind: str, transaction: str, data: Any) -> None:
        self.held.append(self.event(data, janus=kind, transaction=transaction))
        if len(self.held) >= self.server.settings.get("hold", 1):
            await self.send(*reversed(self.held))
            self.held = []

    async def fail(self, transaction: str, code: int, reason: str) -> None:
        await self.send({"janus": "error", "transaction": transaction, "error": {"code": code, "reason": reason}})


def janus(**settings: Any) -> Any:
    return strict(Janus, subprotocols=["janus-protocol"], **settings)


def manifest(server: Strict, **template: Any) -> dict[str, Any]:
    plain = [{"name": name, "inputs": PLUGIN} for name in ("exists", "configure", "destroy")]
    return {"name": "m", "url": server.peer.url, "preset": "janus", "tools": [*plain, WATCH], **template}


async def test_a_reply_may_come_at_once_or_after_an_acknowledgement(tmp_path: Path) -> None:
    async with janus() as server, bridge_to(tmp_path, manifest(server), environ=SECRET) as bridge:
        assert await bridge.call_tool("m.exists", {"room": 7}) == {"videoroom": "success", "exists": True}
        assert await bridge.call_tool("m.configure") == {"videoroom": "event", "configured": "ok"}
        assert len(server.sessions) == 1


@pytest.mark.parametrize("environ", [{}, {"JANUS_APISECRET": "wrong"}], ids=["none", "wrong"])
async def test_a_secret_that_is_refused_says_why(tmp_path: Path, environ: dict[str, str]) -> None:
    tools = [{"name": "exists", "inputs": PLUGIN}]
    async with janus() as server, bridge_to(tmp_path, manifest(server, tools=tools), environ=environ) as bridge:
        assert "Unauthorized request" in await refused(bridge, "m.exists", {"room": 7})


async def test_each_plugin_has_a_connection_of_its_own(tmp_path: Path) -> None:
    async with janus() as server, bridge_to(tmp_path, manifest(server), environ=SECRET) as bridge:
        assert "No such plugin" in await refused(bridge, "m.exists", {"room": 7, "plugin": "janus.plugin.nope"})
        assert await bridge.call_tool("m.exists", {"room": 700}) == {"videoroom": "success", "exists": False}
        assert [session.handle for session in server.sessions] == [None, 22]


async def test_replies_in_reverse_and_events_between_reach_their_own_calls(tmp_path: Path) -> None:
    async with janus(hold=8) as server, bridge_to(tmp_path, manifest(server), environ=SECRET) as bridge:
        calls = [("m.exists", {"room": 96 + number}) for number in range(8)]
        assert [result["exists"] for result in await call_all(bridge, calls)] == [True] * 4 + [False] * 4
        assert len(server.sessions) == 1


async def test_an_error_of_the_plugin_fails_the_call(tmp_path: Path) -> None:
    async with janus() as server, bridge_to(tmp_path, manifest(server), environ=SECRET) as bridge:
        with pytest.raises(ToolError, match=r"^the endpoint said: No such room \(7\) \(426\) \[tool-error\]$"):
            await bridge.call_tool("m.destroy", {"room": 7})


async def test_events_of_the_handle_are_collected_and_the_room_is_left_at_the_limit(tmp_path: Path) -> None:
    async with janus() as server, bridge_to(tmp_path, manifest(server), environ=SECRET) as bridge:

        async def happen() -> None:
            await server.until(lambda: bool(server.sessions and server.session.room))
            await server.session.send(server.session.event({"videoroom": "event", "publishers": [1]}))

        async with meanwhile(happen):
            watched = await bridge.call_tool("m.watch", {"room": 7})
        assert watched.value["end"] == "max_items"
        assert [item.get("publishers", item.get("early")) for item in watched.items] == [True, [1]]
        await server.until(lambda: server.session.room is None)
        assert await bridge.call_tool("m.exists", {"room": 7}) == {"videoroom": "success", "exists": True}
        assert len(server.sessions) == 1


async def test_the_room_is_left_when_watching_is_cancelled(tmp_path: Path) -> None:
    async with janus() as server, bridge_to(tmp_path, manifest(server), environ=SECRET) as bridge:
        async with calling(bridge, "m.watch", {"room": 7}):
            await server.until(lambda: bool(server.sessions and server.session.room))
        await server.until(lambda: server.session.room is None)


async def test_a_session_that_times_out_fails_who_watches_it(tmp_path: Path) -> None:
    async with janus() as server, bridge_to(tmp_path, manifest(server), environ=SECRET) as bridge:

        async def end() -> None:
            await server.until(lambda: bool(server.sessions and server.session.room))
            await server.session.send({"janus": "timeout", "session_id": 11})

        with pytest.raises(ExceptionGroup) as failed:
            async with meanwhile(end):
                await bridge.call_tool("m.watch", {"room": 7})
        assert failed.group_contains(SessionLost, match="lost after 1 item: the endpoint said: “the session")


async def test_a_handle_that_is_detached_fails_who_watches_it(tmp_path: Path) -> None:
    async with janus() as server, bridge_to(tmp_path, manifest(server), environ=SECRET) as bridge:

        async def end() -> None:
            await server.until(lambda: bool(server.sessions and server.session.room))
            await server.session.send({"janus": "detached", "session_id": 11, "sender": 21})
            await server.session.send({"janus": "detached", "session_id": 11, "sender": server.session.handle})

        with pytest.raises(ExceptionGroup) as failed:
            async with meanwhile(end):
                await bridge.call_tool("m.watch", {"room": 7})
        assert failed.group_contains(SessionLost, match="the handle was detached")


async def test_after_a_session_has_timed_out_the_next_call_makes_another(tmp_path: Path) -> None:
    async with janus() as server, bridge_to(tmp_path, manifest(server), environ=SECRET) as bridge:
        await bridge.call_tool("m.exists", {"room": 7})
        await server.session.send({"janus": "timeout", "session_id": 11})
        await (await server.session.connection.ping())
        assert await bridge.call_tool("m.exists", {"room": 7}) == {"videoroom": "success", "exists": True}
    assert len(server.sessions) == 2


async def test_an_idle_session_is_kept_alive(tmp_path: Path) -> None:
    often = {"heartbeat": {"every": 0.05}}
    async with janus(timeout=1) as server:
        async with bridge_to(tmp_path, manifest(server, **often), environ=SECRET) as bridge:
            await bridge.call_tool("m.exists", {"room": 7})
            await server.until(lambda: server.session.keepalives >= 5)
            await bridge.call_tool("m.exists", {"room": 7})
            assert len(server.sessions) == 1


async def test_a_session_is_kept_alive_well_within_its_minute(tmp_path: Path) -> None:
    async with janus() as server, bridge_to(tmp_path, manifest(server), environ=SECRET) as bridge:
        await bridge.call_tool("m.exists", {"room": 7})
        assert interval(bridge) == 25


async def test_a_lost_connection_is_replaced_with_a_new_session_and_handle(tmp_path: Path) -> None:
    async with janus() as server, bridge_to(tmp_path, manifest(server), environ=SECRET) as bridge:
        for _ in range(3):
            await bridge.call_tool("m.exists", {"room": 7})
            await server.cut()
        assert [(session.created, session.handle) for session in server.sessions] == [(11, 22)] * 3
