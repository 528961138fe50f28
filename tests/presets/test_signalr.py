"""The preset signalr against an endpoint that follows the JSON hub protocol of ASP.NET Core SignalR."""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.http11 import Response

from tests.client.test_oauth import token_endpoint
from tests.peer import bridge_to, entry
from utcp_ws_mcp.errors import ConnectError, ConnectionLost, HandshakeRejected, SessionLost, ToolError

from .sides import (
    TOGETHER,
    Broken,
    Side,
    Stage,
    call_together,
    cancel_after_an_item,
    check,
    cut,
    say,
    stage,
    watch_during,
)

ROOT = Path(__file__).parents[2]
END = "\x1e"
SHAKE = '{"protocol":"json","version":1}' + END
PING = '{"type":6}' + END
FIELDS: dict[Any, tuple[set[str], set[str]]] = {
    1: ({"type", "target", "arguments"}, {"invocationId", "headers", "streamIds"}),
    4: ({"type", "invocationId", "target", "arguments"}, {"headers", "streamIds"}),
    5: ({"type", "invocationId"}, {"headers"}),
    6: ({"type"}, set()),
    7: ({"type"}, {"error", "allowReconnect"}),
}


class Hub(Side):
    """https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md"""

    protocols = ("json",)

    async def greet(self) -> None:
        self.shaken = False
        self.ids: set[str] = set()
        self.streams: set[str] = set()

    async def send(self, *values: Any) -> None:
        """All values in one WebSocket message, as the protocol allows."""
        await self.connection.send("".join(json.dumps(value) + END for value in values))

    async def take(self, message: Any) -> None:
        if not isinstance(message, str) or not message.endswith(END):
            raise Broken(1002, "no record separator")
        for part in message.removesuffix(END).split(END):
            await self.take_one(json.loads(part))

    async def take_one(self, message: Any) -> None:
        if not self.shaken:
            check(message, {"protocol", "version"})
            await self.shake(message)
            return
        if message.get("type") not in FIELDS:
            raise Broken(1002, "type")
        check(message, *FIELDS[message["type"]])
        if message["type"] in (1, 4):
            await self.invoke(message)
        elif message["type"] == 5 and message["invocationId"] in self.streams:
            self.streams.remove(message["invocationId"])
            await self.send({"type": 3, "invocationId": message["invocationId"]})

    async def shake(self, message: Any) -> None:
        if message["protocol"] not in self.protocols or message["version"] != 1:
            await self.send({"error": "Requested protocol 'json' is not available."})
            raise Broken(1000, "protocol")
        self.shaken = True
        await self.send({}, {"type": 6}, {"type": 1, "target": "Greeted", "arguments": []})

    async def invoke(self, message: Any) -> None:
        own = message.get("invocationId")
        if own is not None and (not isinstance(own, str) or own in self.ids):
            raise Broken(1002, "invocationId")
        self.ids.add(str(own))
        streams = message["target"] in ("Counter", "Endless", "Breaks")
        if streams != (message["type"] == 4):
            await self.send({"type": 3, "invocationId": own, "error": "Streaming does not fit the method."})
            return
        match message["target"]:
            case "Add":
                await self.send({"type": 3, "invocationId": own, "result": sum(message["arguments"])})
            case "Void":
                await self.send({"type": 3, "invocationId": own})
            case "Together":
                for each in self.all_together(message):
                    noise = {"type": 1, "target": "Noise", "arguments": [], "invocationId": each["invocationId"]}
                    done = {"type": 3, "invocationId": each["invocationId"], "result": each["arguments"]}
                    await self.send({"type": 6}, noise, done)
            case "SendMessage":
                await self.send({"type": 1, "target": "ReceiveMessage", "arguments": message["arguments"]})
                if own is not None:
                    await self.send({"type": 3, "invocationId": own})
            case "Counter" | "Endless" | "Breaks":
                await self.stream(own, message["target"])
            case unknown:
                await self.send({"type": 3, "invocationId": own, "error": f"Unknown hub method '{unknown}'"})

    async def stream(self, own: str, target: str) -> None:
        for number in range(3):
            await self.send({"type": 2, "invocationId": own, "item": number})
        if target == "Endless":
            self.streams.add(own)
        else:
            error = {"error": "Ran out of data!"} if target == "Breaks" else {}
            await self.send({"type": 3, "invocationId": own, **error})


def streaming(name: str, **stream: Any) -> Any:
    message = {"type": 4, "invocationId": "{{ request_id }}", "target": "{{ tool }}", "arguments": []}
    return {"name": name, "tool_call_template": {"message": message, "stream": stream or True}}


SEND = {
    "name": "SendMessage",
    "tool_call_template": {
        "message": {"type": 1, "target": "{{ tool }}", "arguments": ["{{ args.user }}", "{{ args.text }}"]},
        "reply": "none",
    },
}
LISTEN = {
    "name": "listen",
    "tool_call_template": {
        "listen": True,
        "stream": {
            "match": "message.type == 1 and message.target == 'ReceiveMessage'",
            "until": [],
            "item": "message.arguments",
            "cancel": None,
            "max_items": 2,
        },
    },
}
TOOLS = (
    "Add",
    "Void",
    "Together",
    "Nonsense",
    streaming("Counter"),
    streaming("Breaks"),
    streaming("Endless", max_items=2),
    SEND,
    LISTEN,
)


def hub(tmp_path: Path, on: Stage, **template: Any) -> Any:
    return bridge_to(tmp_path, entry(on.seen, *TOOLS, preset="signalr", **template))


def call(**fields: Any) -> str:
    return json.dumps({"type": 1, "target": "Add", "arguments": [], **fields}) + END


@pytest.mark.parametrize(
    "messages",
    [
        [call(invocationId="1")],
        [SHAKE.removesuffix(END)],
        [SHAKE, SHAKE],
        [SHAKE, call(invocationId="1", extra=1)],
        [SHAKE, call(invocationId=1)],
        [SHAKE, call(invocationId="1"), call(invocationId="1")],
        [SHAKE, '{"type":6,"extra":1}' + END],
        [SHAKE, '{"type":99}' + END],
    ],
)
async def test_the_endpoint_refuses_what_the_protocol_forbids(messages: list[Any]) -> None:
    async with stage(Hub) as on:
        assert (await say(on, *messages))[1] == 1002


async def test_a_method_is_invoked_with_its_arguments(tmp_path: Path) -> None:
    async with stage(Hub) as on, hub(tmp_path, on) as bridge:
        assert await bridge.call_tool("m.Add", {"arguments": [40, 2]}) == 42
        assert await bridge.call_tool("m.Add") == 0
    assert on.seen.received[0] == SHAKE
    assert not on.broken


async def test_a_method_that_returns_nothing_gives_null(tmp_path: Path) -> None:
    async with stage(Hub) as on, hub(tmp_path, on) as bridge:
        assert await bridge.call_tool("m.Void") is None


async def test_a_hub_without_json_is_reported(tmp_path: Path) -> None:
    class Packed(Hub):
        protocols = ("messagepack",)

    async with stage(Packed) as on, hub(tmp_path, on) as bridge:
        with pytest.raises(
            ConnectError,
            match=r"on_connect\[1\]: the server rejected the login; the endpoint said: .*'json' is not available",
        ):
            await bridge.call_tool("m.Add")


@pytest.mark.parametrize("token", ["right", "wrong"])
async def test_the_access_token_goes_into_the_query(tmp_path: Path, token: str) -> None:
    def check_token(connection: Any, request: Any) -> Response | None:
        if "access_token=right" in request.path:
            return None
        return connection.respond(HTTPStatus.UNAUTHORIZED, "")

    auth = {"auth_type": "api_key", "api_key": token, "var_name": "access_token", "location": "query"}
    async with stage(Hub, process_request=check_token) as on, hub(tmp_path, on, auth=auth) as bridge:
        if token == "right":
            assert await bridge.call_tool("m.Add", {"arguments": [1]}) == 1
        else:
            with pytest.raises(HandshakeRejected, match="401"):
                await bridge.call_tool("m.Add")


async def test_what_a_negotiation_gives_goes_into_the_query(tmp_path: Path) -> None:
    async with stage(Hub) as on, token_endpoint(lambda number: (200, {"connectionToken": f"t{number}"})) as http:
        negotiate = {
            "http": {"method": "POST", "url": f"{http.url}?negotiateVersion=1"},
            "capture": {"id": "body.connectionToken"},
            "fail": "status != 200 or body.error is defined",
        }
        template = entry(on.seen, *TOOLS, preset="signalr", before_connect=[negotiate])
        template["url"] += "?id={{ session.id }}"
        async with bridge_to(tmp_path, template) as bridge:
            assert await bridge.call_tool("m.Add", {"arguments": [1]}) == 1
            assert await bridge.call_tool("m.Void") is None
    assert [upgrade.path for upgrade in on.seen.upgrades] == ["/?id=t1"]


async def test_invocations_at_once_each_get_their_own_result_between_others(tmp_path: Path) -> None:
    async with stage(Hub) as on, hub(tmp_path, on) as bridge:
        results = await call_together(bridge, "m.Together", lambda number: {"arguments": [number]})
    assert results == [[number] for number in range(TOGETHER)]
    assert len(on.sides) == 1
    assert not on.broken


@pytest.mark.parametrize(
    ("tool", "sentence"),
    [
        ("Nonsense", r"^the endpoint said: Unknown hub method 'Nonsense' \[tool-error\]$"),
        ("Breaks", r"^the endpoint said: Ran out of data! \[tool-error\]$"),
    ],
)
async def test_an_error_reply_has_the_message_of_the_hub(tmp_path: Path, tool: str, sentence: str) -> None:
    async with stage(Hub) as on, hub(tmp_path, on) as bridge:
        with pytest.raises(ToolError, match=sentence):
            await bridge.call_tool(f"m.{tool}")
    assert not on.broken


@pytest.mark.parametrize(
    ("close", "why"),
    [({"type": 7, "error": "restart"}, "the server ends the session: restart"), ({"type": 7}, "ends the session”")],
)
async def test_a_hub_that_ends_the_session_fails_the_calls_under_way(tmp_path: Path, close: Any, why: str) -> None:
    class Leaving(Hub):
        async def invoke(self, message: Any) -> None:
            await self.send(close)

    async with stage(Leaving) as on, hub(tmp_path, on) as bridge:
        with pytest.raises(SessionLost, match=why):
            await bridge.call_tool("m.Add", {"arguments": [1]})


async def test_a_stream_ends_with_its_completion(tmp_path: Path) -> None:
    async with stage(Hub) as on, hub(tmp_path, on) as bridge:
        assert (await bridge.call_tool("m.Counter")).value == {"items": [0, 1, 2], "end": "until", "complete": True}
    assert len(on.seen.received) == 2


@pytest.mark.parametrize("by", ["a limit", "a cancel"])
async def test_a_stream_that_is_ended_early_is_cancelled(tmp_path: Path, by: str) -> None:
    async with stage(Hub) as on, hub(tmp_path, on) as bridge:
        if by == "a limit":
            assert (await bridge.call_tool("m.Endless")).end == "max_items"
        else:
            await cancel_after_an_item(bridge, "m.Endless", {})
        await on.seen.until(lambda: len(on.seen.received) == 3)
        assert json.loads(on.seen.received[2].removesuffix(END)) == {"type": 5, "invocationId": "1"}
        assert await bridge.call_tool("m.Add", {"arguments": [1]}) == 1
        assert not on.sides[0].streams
    assert len(on.sides) == 1
    assert not on.broken


async def test_what_the_hub_calls_on_its_clients_can_be_watched(tmp_path: Path) -> None:
    async with stage(Hub) as on, hub(tmp_path, on) as bridge:
        await bridge.call_tool("m.Void")

        async def talk() -> None:
            for text in ("hi", "ho"):
                assert await bridge.call_tool("m.SendMessage", {"user": "ada", "text": text}) == {"sent": True}

        result = await watch_during(bridge, "m.listen", {}, talk)
    assert result.items == (["ada", "hi"], ["ada", "ho"])
    assert not on.broken


async def test_pings_keep_the_connection_without_an_answer(tmp_path: Path) -> None:
    async with stage(Hub, silence=2) as on, hub(tmp_path, on, heartbeat={"every": 0.05}) as bridge:
        await bridge.call_tool("m.Void")
        await on.seen.until(lambda: on.seen.received.count(PING) >= 3)
        await bridge.call_tool("m.Void")
    assert len(on.sides) == 1
    assert not on.broken


async def test_without_pings_the_hub_throws_the_client_out(tmp_path: Path) -> None:
    async with stage(Hub, silence=0.1) as on, hub(tmp_path, on, heartbeat=None) as bridge:
        with pytest.raises(ConnectionLost):
            await bridge.call_tool("m.Together")
    assert on.broken == ["silence"]


async def test_a_new_connection_shakes_hands_again(tmp_path: Path) -> None:
    async with stage(Hub) as on, hub(tmp_path, on) as bridge:
        for _ in range(2):
            await bridge.call_tool("m.Void")
            await cut(on)
    assert on.seen.received.count(SHAKE) == 2


async def test_the_tools_of_the_example_manifest_reach_the_hub(tmp_path: Path) -> None:
    manifest = json.loads((ROOT / "manifests" / "signalr.json").read_text(encoding="utf-8"))
    async with stage(Hub) as on:
        document = {**manifest, "url": f"{on.seen.url}chatHub"}
        async with bridge_to(tmp_path, document, environ={"SIGNALR_TOKEN": "token"}) as bridge:
            assert (await bridge.call_tool("chat.count", {"count": 3})).items == (0, 1, 2)

            async def talk() -> None:
                for number in range(10):
                    sent = {"user": "ada", "message": str(number)}
                    assert await bridge.call_tool("chat.send_message", sent) is None

            result = await watch_during(bridge, "chat.wait_for_messages", {}, talk)
    assert result.items == tuple(["ada", str(number)] for number in range(10))
    assert {upgrade.path for upgrade in on.seen.upgrades} == {"/chatHub?access_token=token"}
    assert not on.broken
