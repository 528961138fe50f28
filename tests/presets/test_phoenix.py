"""The preset phoenix against an endpoint that follows Phoenix channels, serializer 2.0.0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.peer import bridge_to, entry
from utcp_ws_mcp.errors import ConnectError, ConnectionLost, SessionLost, ToolError

from .sides import TOGETHER, Broken, Side, Stage, call_together, cancel_after_an_item, cut, say, stage, watch_during

ROOT = Path(__file__).parents[2]
JOIN = ["1", "1", "room:1", "phx_join", {}]
PATH = "websocket?vsn=2.0.0"


class Phoenix(Side):
    """https://hexdocs.pm/phoenix/writing_a_channels_client.html"""

    mute = False

    async def greet(self) -> None:
        self.joined: dict[str, str] = {}
        self.refs: set[str] = set()
        if f"/{PATH}" not in self.connection.request.path:
            raise Broken(1002, "vsn")

    async def take(self, message: Any) -> None:
        if not isinstance(message, list) or len(message) != 5:
            raise Broken(1002, "not [join_ref, ref, topic, event, payload]")
        join_ref, ref, topic, event, payload = message
        if not isinstance(ref, str) or ref in self.refs or not isinstance(payload, dict):
            raise Broken(1002, "ref or payload")
        self.refs.add(ref)
        if (topic, event) == ("phoenix", "heartbeat"):
            await self.beat(join_ref, ref)
        elif event == "phx_join":
            await self.join(join_ref, ref, topic, payload)
        elif topic not in self.joined:
            await self.reply(None, ref, topic, "error", {"reason": "unmatched topic"})
        elif join_ref != self.joined[topic]:
            raise Broken(1002, "join_ref")
        else:
            await self.handle(message, event, payload)

    async def beat(self, join_ref: Any, ref: str) -> None:
        if join_ref is not None:
            raise Broken(1002, "a heartbeat belongs to no channel")
        if not self.mute:
            await self.reply(None, ref, "phoenix", "ok", {})

    async def join(self, join_ref: Any, ref: str, topic: str, payload: Any) -> None:
        if join_ref != ref or topic in self.joined:
            raise Broken(1002, "join")
        if topic == "room:secret" and payload.get("token") != "right":
            await self.reply(join_ref, ref, topic, "error", {"reason": "unauthorized"})
            return
        self.joined[topic] = join_ref
        await self.reply(join_ref, ref, topic, "ok", {})
        await self.tell(topic, "presence_state", {"status": "error"})
        if topic == "room:two":
            await self.tell(topic, "presence_diff", {})

    async def handle(self, message: list[Any], event: str, payload: Any) -> None:
        join_ref, ref, topic, *_ = message
        match event:
            case "shout":
                await self.tell(topic, "shouted", payload)
                await self.reply(join_ref, ref, topic, "ok", payload)
            case "together":
                for each in self.all_together(message):
                    await self.tell(topic, "noise", {})
                    await self.reply(each[0], each[1], topic, "ok", each[4])
            case "fail":
                await self.reply(join_ref, ref, topic, "error", {"code": 7})
            case "crash":
                del self.joined[topic]
                await self.send([join_ref, join_ref, topic, "phx_error", {}])
            case "phx_leave":
                del self.joined[topic]
                await self.reply(join_ref, ref, topic, "ok", {})
                await self.send([join_ref, join_ref, topic, "phx_close", {}])

    async def reply(self, join_ref: Any, ref: str, topic: str, status: str, response: Any) -> None:
        await self.send([join_ref, ref, topic, "phx_reply", {"status": status, "response": response}])

    async def tell(self, topic: str, event: str, payload: Any) -> None:
        await self.send([None, None, topic, event, payload])


WATCH = {"name": "watch", "tool_call_template": {"listen": True, "stream": {"max_items": 2}}}
LISTEN = {
    "name": "listen",
    "tool_call_template": {
        "keep_alive": False,
        "listen": True,
        "stream": {
            "max_items": 2,
            "cancel": ["{{ session.join_ref }}", "{{ next_id() }}", "{{ args.topic }}", "phx_leave", {}],
        },
    },
}
SECRET = {
    "name": "secret",
    "tool_call_template": {
        "on_connect": [
            {
                "send": ["{{ request_id }}", "{{ request_id }}", "{{ args.topic }}", "phx_join", {"token": "right"}],
                "request_id": True,
            },
            {"expect": "message[1] == request_id", "capture": {"join_ref": "message[1]"}},
        ],
        "message": [
            "{{ session.join_ref }}",
            "{{ request_id }}",
            "{{ args.topic }}",
            "shout",
            {"text": "UTCP_ARG_text_UTCP_ARG"},
        ],
    },
}
TOOLS = ("shout", "together", "fail", "crash", WATCH, LISTEN, SECRET)
ROOM = {"topic": "room:1"}


def channels(tmp_path: Path, on: Stage, **template: Any) -> Any:
    document = entry(on.seen, *TOOLS, preset="phoenix", **template)
    return bridge_to(tmp_path, {**document, "url": on.seen.url + PATH})


@pytest.mark.parametrize(
    "messages",
    [
        [JOIN[:4]],
        [JOIN, ["1", "1", "room:1", "shout", {}]],
        [JOIN, ["2", "2", "room:1", "shout", {}]],
        [JOIN, ["1", 2, "room:1", "shout", {}]],
        [JOIN, ["1", "2", "room:1", "shout", []]],
        [JOIN, ["2", "2", "room:1", "phx_join", {}]],
        [["1", "1", "phoenix", "heartbeat", {}]],
    ],
)
async def test_the_endpoint_refuses_what_the_protocol_forbids(messages: list[Any]) -> None:
    async with stage(Phoenix) as on:
        assert (await say(on, *messages, path=PATH))[1] == 1002


async def test_the_endpoint_answers_only_after_a_join() -> None:
    async with stage(Phoenix, silence=0.2) as on:
        answers, _ = await say(on, ["1", "1", "room:1", "shout", {}], path=PATH)
    assert answers == [
        [None, "1", "room:1", "phx_reply", {"status": "error", "response": {"reason": "unmatched topic"}}]
    ]


async def test_a_push_gives_the_response(tmp_path: Path) -> None:
    async with stage(Phoenix) as on, channels(tmp_path, on) as bridge:
        assert await bridge.call_tool("m.shout", {**ROOM, "payload": {"n": 1}}) == {"n": 1}
        assert await bridge.call_tool("m.shout", ROOM) == {}
    assert on.seen.received == [JOIN, ["1", "2", "room:1", "shout", {"n": 1}], ["1", "3", "room:1", "shout", {}]]


async def test_each_topic_has_a_connection(tmp_path: Path) -> None:
    async with stage(Phoenix) as on, channels(tmp_path, on) as bridge:
        for topic in ("room:1", "room:2", "room:1", "room:2"):
            await bridge.call_tool("m.shout", {"topic": topic})
    assert [side.joined.keys() for side in on.sides] == [{"room:1"}, {"room:2"}]
    assert not on.broken


async def test_a_channel_that_rejects_a_join_is_reported(tmp_path: Path) -> None:
    async with stage(Phoenix) as on, channels(tmp_path, on) as bridge:
        with pytest.raises(
            ConnectError, match=r"on_connect\[1\]: the server rejected the login; the endpoint said: .*unauthorized"
        ):
            await bridge.call_tool("m.shout", {"topic": "room:secret"})
        assert await bridge.call_tool("m.secret", {"topic": "room:secret", "text": "hi"}) == {"text": "hi"}


async def test_pushes_at_once_each_get_their_own_reply_between_broadcasts(tmp_path: Path) -> None:
    async with stage(Phoenix) as on, channels(tmp_path, on) as bridge:
        results = await call_together(bridge, "m.together", lambda n: {**ROOM, "payload": {"n": n}})
    assert results == [{"n": number} for number in range(TOGETHER)]
    assert len(on.sides) == 1
    assert not on.broken


async def test_an_error_reply_is_a_fault(tmp_path: Path) -> None:
    async with stage(Phoenix) as on, channels(tmp_path, on) as bridge:
        with pytest.raises(ToolError, match=r'^the endpoint said: \{"code":7\} \[tool-error\]$'):
            await bridge.call_tool("m.fail", ROOM)


async def test_a_watch_gives_what_the_channel_sends(tmp_path: Path) -> None:
    async with stage(Phoenix) as on, channels(tmp_path, on) as bridge:
        await bridge.call_tool("m.shout", ROOM)

        async def shout() -> None:
            for number in range(2):
                await bridge.call_tool("m.shout", {**ROOM, "payload": {"status": "error", "n": number}})

        result = await watch_during(bridge, "m.watch", ROOM, shout)
    assert [item["event"] for item in result.items] == ["shouted"] * 2
    assert [item["payload"]["n"] for item in result.items] == [0, 1]
    assert len(on.sides) == 1


async def test_a_channel_that_crashes_ends_a_watch_with_a_fault(tmp_path: Path) -> None:
    async with stage(Phoenix) as on, channels(tmp_path, on, timeout=2) as bridge:
        await bridge.call_tool("m.shout", ROOM)

        async def crash() -> None:
            await on.sides[0].handle(["1", "9", "room:1"], "crash", {})

        with pytest.raises(BaseExceptionGroup) as failed:
            await watch_during(bridge, "m.watch", ROOM, crash)
    assert failed.value.subgroup(lambda error: isinstance(error, SessionLost) and "phx_error" in str(error))


@pytest.mark.parametrize("announced", [True, False])
async def test_a_channel_that_has_crashed_is_joined_again(tmp_path: Path, announced: bool) -> None:
    async with stage(Phoenix) as on, channels(tmp_path, on) as bridge:
        await bridge.call_tool("m.shout", ROOM)
        if announced:
            await on.sides[0].handle(["1", "9", "room:1"], "crash", {})
            await (await on.sides[0].connection.ping())
        else:
            del on.sides[0].joined["room:1"]
            with pytest.raises(ToolError, match="unmatched topic"):
                await bridge.call_tool("m.shout", ROOM)
        assert await bridge.call_tool("m.shout", {**ROOM, "payload": {"n": 1}}) == {"n": 1}
    assert len(on.sides) == 2


@pytest.mark.parametrize("by", ["a limit", "a cancel"])
async def test_a_channel_of_a_calls_own_is_left(tmp_path: Path, by: str) -> None:
    async with stage(Phoenix) as on, channels(tmp_path, on) as bridge:
        if by == "a limit":
            result = await bridge.call_tool("m.listen", {"topic": "room:two"})
            assert [item["event"] for item in result.items] == ["presence_state", "presence_diff"]
        else:
            await cancel_after_an_item(bridge, "m.listen", ROOM)
        await on.seen.until(lambda: len(on.seen.received) == 2)
        assert on.seen.received[1][3] == "phx_leave"
        await on.seen.until(lambda: bool(on.seen.closed))
    assert not on.broken


async def test_heartbeats_keep_the_connection(tmp_path: Path) -> None:
    async with stage(Phoenix, silence=2) as on, channels(tmp_path, on, heartbeat={"every": 0.05}) as bridge:
        await bridge.call_tool("m.shout", ROOM)
        await on.seen.until(lambda: sum(message[3] == "heartbeat" for message in on.seen.received) >= 3)
        await bridge.call_tool("m.shout", ROOM)
    assert len(on.sides) == 1
    assert not on.broken


async def test_without_heartbeats_the_endpoint_throws_the_client_out(tmp_path: Path) -> None:
    async with stage(Phoenix, silence=0.1) as on, channels(tmp_path, on, heartbeat=None) as bridge:
        await bridge.call_tool("m.shout", ROOM)
        await on.seen.until(lambda: bool(on.seen.closed))
    assert on.broken == ["silence"]


async def test_an_endpoint_that_answers_no_heartbeat_loses_the_connection(tmp_path: Path) -> None:
    class Mute(Phoenix):
        mute = True

    beat = {"every": 0.05, "timeout": 0.1}
    async with stage(Mute) as on, channels(tmp_path, on, heartbeat=beat) as bridge:
        with pytest.raises(ConnectionLost, match="stopped answering"):
            await bridge.call_tool("m.together", ROOM)


async def test_a_new_connection_joins_again(tmp_path: Path) -> None:
    async with stage(Phoenix) as on, channels(tmp_path, on) as bridge:
        for _ in range(2):
            await bridge.call_tool("m.shout", ROOM)
            await cut(on)
    assert on.seen.received == [JOIN, ["1", "2", "room:1", "shout", {}]] * 2


class Supabase(Phoenix):
    """https://supabase.com/docs/guides/realtime/protocol"""

    async def join(self, join_ref: Any, ref: str, topic: str, payload: Any) -> None:
        config = payload["config"]
        if not topic.startswith("realtime:") or "apikey=key" not in self.connection.request.path:
            await self.reply(join_ref, ref, topic, "error", {"reason": "Unauthorized: no access"})
            return
        self.joined[topic] = join_ref
        changes = config.get("postgres_changes", [])
        await self.reply(join_ref, ref, topic, "ok", {"postgres_changes": changes})
        if config["presence"]["enabled"]:
            await self.send([join_ref, None, topic, "presence_state", {"ada": {"metas": []}}])
        for change in changes:
            await self.tell_changes(topic, change)

    async def tell_changes(self, topic: str, change: Any) -> None:
        known = change["table"] == "todos"
        status = {"status": "ok" if known else "error", "message": f"table {change['table']}"}
        await self.send([self.joined[topic], None, topic, "system", {"extension": "postgres_changes", **status}])
        for number in range(20 if known else 0):
            data = {"type": change["event"], "record": {"id": number}, "filter": change.get("filter")}
            await self.tell(topic, "postgres_changes", {"ids": [1], "data": data})

    async def handle(self, message: list[Any], event: str, payload: Any) -> None:
        join_ref, ref, topic, *_ = message
        if event == "broadcast":
            await self.reply(join_ref, ref, topic, "ok", {})
            for side in self.stage.sides:
                if side is not self and topic in side.joined:
                    await side.tell(topic, "broadcast", payload)
        else:
            await super().handle(message, event, payload)


def supabase(tmp_path: Path, on: Stage, key: str = "key") -> Any:
    text = (ROOT / "manifests" / "supabase-realtime.json").read_text(encoding="utf-8")
    document = json.loads(text.replace("ws://127.0.0.1:54321/", on.seen.url))
    return bridge_to(tmp_path, document, environ={"SUPABASE_KEY": key})


async def test_the_example_manifest_broadcasts_and_listens(tmp_path: Path) -> None:
    room = {"topic": "realtime:room"}
    async with stage(Supabase) as on, supabase(tmp_path, on) as bridge:

        async def shout() -> None:
            await on.seen.until(lambda: any(side.joined for side in on.sides))
            for number in range(20):
                said = {**room, "event": "said", "payload": {"n": number}}
                assert await bridge.call_tool("supabase.broadcast", said) == {}

        result = await watch_during(bridge, "supabase.watch_broadcasts", room, shout)
        assert result.items == tuple({"event": "said", "payload": {"n": number}} for number in range(20))
        assert await bridge.call_tool("supabase.list_presence", room) == {"ada": {"metas": []}}
        await on.seen.until(lambda: any(message[3] == "phx_leave" for message in on.seen.received))
    assert not on.broken


@pytest.mark.parametrize("only", [{}, {"filter": "id=eq.1"}])
async def test_the_example_manifest_watches_a_table(tmp_path: Path, only: dict[str, str]) -> None:
    async with stage(Supabase) as on, supabase(tmp_path, on) as bridge:
        result = await bridge.call_tool("supabase.watch_table", {"table": "todos", **only})
        assert result.items[0] == {"type": "*", "record": {"id": 0}, "filter": only.get("filter")}
        assert result.end == "max_items"
        await on.seen.until(lambda: on.seen.received[-1][3] == "phx_leave")
    assert not on.broken


async def test_the_example_manifest_reports_why_a_table_cannot_be_watched(tmp_path: Path) -> None:
    async with stage(Supabase) as on, supabase(tmp_path, on) as bridge:
        with pytest.raises(ToolError, match=r"^the endpoint said: table none \[tool-error\]$"):
            await bridge.call_tool("supabase.watch_table", {"table": "none"})


async def test_the_example_manifest_reports_that_a_key_is_invalid(tmp_path: Path) -> None:
    async with stage(Supabase) as on, supabase(tmp_path, on, key="wrong") as bridge:
        with pytest.raises(ConnectError, match="Unauthorized: no access"):
            await bridge.call_tool("supabase.list_presence", {"topic": "realtime:room"})
