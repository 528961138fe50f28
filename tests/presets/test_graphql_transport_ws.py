"""The preset graphql-transport-ws against an endpoint that follows the protocol of graphql-ws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from websockets.typing import Subprotocol

from tests.peer import bridge_to, entry
from utcp_ws_mcp.errors import ConnectError, ConnectionLost, ToolError

from .sides import TOGETHER, Broken, Side, Stage, call_together, cancel_after_an_item, check, cut, say, stage

PROTOCOL = Subprotocol("graphql-transport-ws")
INIT = {"type": "connection_init", "payload": {"token": "right"}}
HELLO = {"id": "1", "type": "subscribe", "payload": {"query": "{ hello }"}}


UNKNOWN = r"Unknown field; Unknown type \(GRAPHQL_VALIDATION_FAILED\)"
DATA = {"{ strict }": None, "{ nullable }": {"a": None}, "{ partial }": {"a": None, "b": 0}}
"""What a query gives besides its errors."""


class GraphQL(Side):
    """https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md"""

    asked = acknowledged = mute = False

    async def greet(self) -> None:
        self.active: set[str] = set()
        if self.connection.subprotocol != PROTOCOL:
            raise Broken(4406, "Subprotocol not acceptable")

    async def take(self, message: Any) -> None:
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "connection_init":
            check(message, {"type"}, {"payload"}, 4400)
            await self.initialise(message)
        elif kind in ("ping", "pong"):
            check(message, {"type"}, {"payload"}, 4400)
            if kind == "ping" and not self.mute:
                await self.send({"type": "pong"})
        elif kind == "complete":
            check(message, {"type", "id"}, (), 4400)
            self.active.discard(message["id"])
        elif kind == "subscribe":
            check(message, {"type", "id", "payload"}, (), 4400)
            check(message["payload"], {"query"}, {"variables", "operationName"}, 4400)
            await self.subscribe(message["id"], message["payload"])
        else:
            raise Broken(4400, "Invalid message")

    async def initialise(self, message: Any) -> None:
        if self.asked:
            raise Broken(4429, "Too many initialisation requests")
        self.asked = True
        if message.get("payload") != INIT["payload"]:
            raise Broken(4403, "Forbidden")
        await self.send({"type": "ping"}, {"type": "connection_ack"}, {"type": "ping"})
        self.acknowledged = True

    async def subscribe(self, own: Any, payload: Any) -> None:
        if not self.acknowledged:
            raise Broken(4401, "Unauthorized")
        if not isinstance(own, str) or own in self.active:
            raise Broken(4409, f"Subscriber for {own} already exists")
        match payload["query"]:
            case "{ hello }":
                await self.send(self.next(own, data={"hello": payload.get("variables")}))
                await self.send({"id": own, "type": "complete"})
            case "{ together }":
                for each, variables in self.all_together((own, payload["variables"])):
                    await self.send({"type": "ping"}, self.next(each, data=variables), {"id": each, "type": "complete"})
            case "{ strict }" | "{ nullable }" | "{ partial }":
                await self.send(self.next(own, data=DATA[payload["query"]], errors=[{"message": "boom"}]))
            case "subscription { ticks }":
                self.active.add(own)
                await self.send(*(self.next(own, data={"tick": number}) for number in range(4)))
            case "subscription { twice }":
                await self.send(*(self.next(own, data={"tick": number}) for number in range(2)))
                await self.send({"id": own, "type": "complete"})
            case _:
                coded = {"message": "Unknown type", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}
                errors = [{"message": "Unknown field"}, coded]
                await self.send({"id": own, "type": "error", "payload": errors})

    @staticmethod
    def next(own: str, **payload: Any) -> Any:
        return {"id": own, "type": "next", "payload": payload}


def document(on: Stage, token: str = "right", **template: Any) -> dict[str, Any]:
    login = [
        {"send": {"type": "connection_init", "payload": {"token": token}}},
        {"expect": "message.type == 'connection_ack'"},
    ]
    subscribe = {"name": "subscribe", "tool_call_template": {"stream": {"max_items": 3}}}
    return entry(on.seen, "query", subscribe, preset="graphql-transport-ws", **{"on_connect": login, **template})


def serve(side: type[Side] = GraphQL, **options: Any) -> Any:
    return stage(side, subprotocols=[PROTOCOL], **options)


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([HELLO], 4401),
        ([{"type": "connection_init"}], 4403),
        ([INIT, INIT], 4429),
        ([INIT, {"type": "start", "id": "1"}], 4400),
        ([INIT, {**HELLO, "extra": 1}], 4400),
        ([INIT, {**HELLO, "payload": {"query": "{ hello }", "extra": 1}}], 4400),
        ([INIT, *[{**HELLO, "payload": {"query": "subscription { ticks }"}}] * 2], 4409),
    ],
)
async def test_the_endpoint_refuses_what_the_protocol_forbids(messages: list[Any], code: int) -> None:
    async with serve() as on:
        assert (await say(on, *messages, subprotocols=[PROTOCOL]))[1] == code


async def test_a_query_gives_its_data(tmp_path: Path) -> None:
    async with serve() as on, bridge_to(tmp_path, document(on)) as bridge:
        asked = {"query": "{ hello }", "variables": {"n": 1}}
        assert await bridge.call_tool("m.query", asked) == {"hello": {"n": 1}}
        assert await bridge.call_tool("m.query", {"query": "{ hello }"}) == {"hello": None}
    assert not on.broken


async def test_rejected_parameters_of_the_login_are_reported_with_the_code(tmp_path: Path) -> None:
    async with serve() as on, bridge_to(tmp_path, document(on, token="wrong")) as bridge:
        with pytest.raises(
            ConnectError, match=r"on_connect\[1\]: closed by the server with code 4403; the endpoint said: “Forbidden”"
        ):
            await bridge.call_tool("m.query", {"query": "{ hello }"})


async def test_queries_at_once_each_get_their_own_answer(tmp_path: Path) -> None:
    async with serve() as on, bridge_to(tmp_path, document(on)) as bridge:
        asked = await call_together(bridge, "m.query", lambda n: {"query": "{ together }", "variables": {"n": n}})
        await on.seen.until(lambda: on.seen.received.count({"type": "pong"}) == 2 + TOGETHER)
    assert asked == [{"n": number} for number in range(TOGETHER)]
    assert len(on.sides) == 1
    assert not on.broken


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("{ strict }", "boom"),
        ("{ nullable }", "boom"),
        ("{ unknown }", UNKNOWN),
    ],
)
async def test_errors_of_a_query_are_joined(tmp_path: Path, query: str, sentence: str) -> None:
    async with serve() as on, bridge_to(tmp_path, document(on)) as bridge:
        with pytest.raises(ToolError, match=rf"^the endpoint said: {sentence} \[tool-error\]$"):
            await bridge.call_tool("m.query", {"query": query})
        assert await bridge.call_tool("m.query", {"query": "{ hello }"}) == {"hello": None}
    assert not on.broken


async def test_a_query_of_which_a_part_failed_gives_data_and_errors(tmp_path: Path) -> None:
    async with serve() as on, bridge_to(tmp_path, document(on)) as bridge:
        result = await bridge.call_tool("m.query", {"query": "{ partial }"})
    assert result == {"data": {"a": None, "b": 0}, "errors": [{"message": "boom"}]}


async def test_a_subscription_ends_with_complete(tmp_path: Path) -> None:
    async with serve() as on, bridge_to(tmp_path, document(on)) as bridge:
        result = await bridge.call_tool("m.subscribe", {"query": "subscription { twice }"})
    assert result.value == {"items": [{"tick": 0}, {"tick": 1}], "end": "until", "complete": True}
    assert not any(message["type"] == "complete" for message in on.seen.received)


@pytest.mark.parametrize("by", ["a limit", "a cancel"])
async def test_a_subscription_that_is_ended_early_is_completed(tmp_path: Path, by: str) -> None:
    async with serve() as on, bridge_to(tmp_path, document(on)) as bridge:
        asked = {"query": "subscription { ticks }"}
        if by == "a limit":
            assert (await bridge.call_tool("m.subscribe", asked)).end == "max_items"
        else:
            await cancel_after_an_item(bridge, "m.subscribe", asked)
        await on.seen.until(lambda: on.seen.received[-1].get("type") == "complete")
        assert not on.sides[0].active
        assert await bridge.call_tool("m.query", {"query": "{ hello }"}) == {"hello": None}
    assert len(on.sides) == 1
    assert not on.broken


async def test_pings_go_both_ways(tmp_path: Path) -> None:
    async with serve() as on, bridge_to(tmp_path, document(on, heartbeat={"every": 0.05})) as bridge:
        await bridge.call_tool("m.query", {"query": "{ hello }"})
        await on.seen.until(lambda: on.seen.received.count({"type": "ping"}) >= 3)
        await on.seen.until(lambda: on.seen.received.count({"type": "pong"}) == 2)
        await bridge.call_tool("m.query", {"query": "{ hello }"})
    assert len(on.sides) == 1
    assert not on.broken


async def test_an_endpoint_that_answers_no_ping_loses_the_connection(tmp_path: Path) -> None:
    class Mute(GraphQL):
        mute = True

    beat = {"every": 0.05, "timeout": 0.1}
    async with serve(Mute) as on, bridge_to(tmp_path, document(on, heartbeat=beat)) as bridge:
        with pytest.raises(ConnectionLost, match="stopped answering"):
            await bridge.call_tool("m.query", {"query": "{ together }", "variables": {}})


async def test_a_new_connection_is_initialised_again(tmp_path: Path) -> None:
    async with serve() as on, bridge_to(tmp_path, document(on)) as bridge:
        for _ in range(2):
            await bridge.call_tool("m.query", {"query": "{ hello }"})
            await cut(on)
    assert on.seen.received.count(INIT) == 2
    assert not on.broken
