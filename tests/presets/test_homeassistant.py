"""The preset homeassistant against an endpoint that follows Home Assistant's WebSocket API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.peer import bridge_to, entry
from utcp_ws_mcp.errors import ConnectError, ConnectionLost, ToolError

from .sides import TOGETHER, Broken, Side, Stage, call_together, cancel_after_an_item, cut, say, stage

TOKEN = "long-lived-token"
AUTH = {"type": "auth", "access_token": TOKEN}
FIELDS: dict[str, set[str]] = {
    "ping": set(),
    "get_states": set(),
    "call_service": {"domain", "service", "service_data", "target", "return_response"},
    "subscribe_events": {"event_type"},
    "unsubscribe_events": {"subscription"},
}
"""The fields of commands, besides id and type."""


class HomeAssistant(Side):
    """https://developers.home-assistant.io/docs/api/websocket"""

    mute = False

    async def greet(self) -> None:
        self.authorised = False
        self.last = 0
        self.subscriptions: set[int] = set()
        await self.send({"type": "auth_required", "ha_version": "2026.11.1"})

    async def take(self, message: Any) -> None:
        if self.authorised:
            await self.command(message.get("id"), message.get("type"), message)
        else:
            await self.authorise(message)

    async def authorise(self, message: Any) -> None:
        if message.keys() != AUTH.keys() or message["type"] != "auth" or message["access_token"] != TOKEN:
            await self.send({"type": "auth_invalid", "message": "Invalid access token or password"})
            raise Broken(1000, "auth")
        self.authorised = True
        await self.send({"type": "auth_ok", "ha_version": "2026.11.1"})

    async def command(self, own: Any, kind: Any, message: Any) -> None:
        if not isinstance(own, int) or own <= self.last:
            self.stage.broken.append("id")
            await self.fail(own, "id_reuse", "Identifier values have to increase.")
        elif kind not in FIELDS:
            await self.fail(own, "unknown_command", "Unknown command.")
        elif extra := message.keys() - {"id", "type"} - FIELDS[kind]:
            await self.fail(own, "invalid_format", f"extra keys not allowed: {sorted(extra)}")
        else:
            await self.obey(own, kind, message)
        self.last = own if isinstance(own, int) else self.last

    async def obey(self, own: int, kind: str, message: Any) -> None:
        match kind:
            case "ping" if not self.mute:
                await self.send({"id": own, "type": "pong"})
            case "get_states":
                await self.succeed(own, [{"entity_id": "light.desk", "state": "on"}])
            case "call_service" if message["service"] == "together":
                for each, data in self.all_together((own, message["service_data"])):
                    await self.tell()
                    await self.succeed(each, data)
            case "call_service":
                await self.fail(own, "not_found", f"Action {message['domain']}.{message['service']} not found.")
            case "subscribe_events":
                self.subscriptions.add(own)
                await self.succeed(own, None)
                await self.tell()
                await self.tell()
            case "unsubscribe_events" if message["subscription"] in self.subscriptions:
                self.subscriptions.remove(message["subscription"])
                await self.succeed(own, None)
            case "unsubscribe_events":
                await self.fail(own, "not_found", "Subscription not found.")

    async def succeed(self, own: int, result: Any) -> None:
        await self.send({"id": own, "type": "result", "success": True, "result": result})

    async def fail(self, own: Any, code: str, message: str) -> None:
        error = {"code": code, "message": message}
        await self.send({"id": own, "type": "result", "success": False, "error": error})

    async def tell(self) -> None:
        """Send an event to all subscribers."""
        for own in sorted(self.subscriptions):
            await self.send({"id": own, "type": "event", "event": {"event_type": "state_changed", "for": own}})


def document(on: Stage, **template: Any) -> dict[str, Any]:
    events = {"name": "subscribe_events", "tool_call_template": {"stream": {"max_items": 2}}}
    endless = {
        "name": "watch",
        "tool_call_template": {
            "message": {"id": "{{ request_id }}", "type": "subscribe_events"},
            "stream": {"max_items": 99},
        },
    }
    tools = ("get_states", "call_service", "ping", "unknown", events, endless)
    return entry(on.seen, *tools, preset="homeassistant", **template)


def at_home(tmp_path: Path, on: Stage, token: str = TOKEN, **template: Any) -> Any:
    return bridge_to(tmp_path, document(on, **template), environ={"HOMEASSISTANT_TOKEN": token})


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"id": 1, "type": "get_states"}], "auth_invalid"),
        ([{**AUTH, "access_token": "wrong"}], "auth_invalid"),
        ([{**AUTH, "id": 1}], "auth_invalid"),
        ([AUTH, {"id": 2, "type": "ping"}, {"id": 2, "type": "ping"}], "id_reuse"),
        ([AUTH, {"id": 2, "type": "ping"}, {"id": 1, "type": "ping"}], "id_reuse"),
        ([AUTH, {"type": "ping"}], "id_reuse"),
        ([AUTH, {"id": 1, "type": "ping", "extra": 1}], "invalid_format"),
    ],
)
async def test_the_endpoint_refuses_what_the_api_forbids(messages: list[Any], code: str) -> None:
    async with stage(HomeAssistant, silence=0.2) as on:
        answers, _ = await say(on, *messages)
    assert code in (answers[-1]["type"], answers[-1].get("error", {}).get("code"))


async def test_a_command_is_the_tools_name_with_its_arguments(tmp_path: Path) -> None:
    async with stage(HomeAssistant) as on, at_home(tmp_path, on) as bridge:
        assert await bridge.call_tool("m.get_states") == [{"entity_id": "light.desk", "state": "on"}]
    assert on.seen.received == [AUTH, {"id": 1, "type": "get_states"}]


async def test_an_argument_cannot_take_the_place_of_id_and_type(tmp_path: Path) -> None:
    async with stage(HomeAssistant) as on, at_home(tmp_path, on) as bridge:
        await bridge.call_tool("m.get_states", {"id": 99, "type": "ping"})
    assert on.seen.received[1:] == [{"id": 1, "type": "get_states"}]


async def test_a_ping_is_answered_although_its_reply_has_another_type(tmp_path: Path) -> None:
    async with stage(HomeAssistant) as on, at_home(tmp_path, on, timeout=5) as bridge:
        assert await bridge.call_tool("m.ping") is None
        assert await bridge.call_tool("m.get_states") == [{"entity_id": "light.desk", "state": "on"}]


async def test_a_rejected_token_has_the_message_of_the_server(tmp_path: Path) -> None:
    async with stage(HomeAssistant) as on, at_home(tmp_path, on, token="wrong-token") as bridge:
        with pytest.raises(ConnectError, match=r"on_connect\[2\]: .*Invalid access token or password") as failed:
            await bridge.call_tool("m.get_states")
    assert "wrong-token" not in str(failed.value)


async def test_without_a_token_the_manifest_says_which_variable_is_missing(tmp_path: Path) -> None:
    async with stage(HomeAssistant) as on, bridge_to(tmp_path, document(on)) as bridge:
        assert bridge.disabled_entries[0].missing == ("HOMEASSISTANT_TOKEN",)


async def test_commands_at_once_each_get_their_own_result_between_events(tmp_path: Path) -> None:
    async with stage(HomeAssistant) as on, at_home(tmp_path, on) as bridge:
        await cancel_after_an_item(bridge, "m.watch", {})
        on.sides[0].subscriptions.add(1)
        service = {"domain": "test", "service": "together"}
        results = await call_together(bridge, "m.call_service", lambda n: {**service, "service_data": {"n": n}})
    assert results == [{"n": number} for number in range(TOGETHER)]
    assert len(on.sides) == 1
    assert not on.broken


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("unknown", {}, "Unknown command."),
        ("get_states", {"extra": 1}, "extra keys"),
        ("call_service", {"domain": "light", "service": "fly"}, "Action light.fly not found."),
        ("subscribe_events", {"extra": 1}, "extra keys"),
    ],
)
async def test_an_error_reply_has_the_message_of_the_server(
    tmp_path: Path, tool: str, arguments: dict[str, Any], sentence: str
) -> None:
    async with stage(HomeAssistant) as on, at_home(tmp_path, on) as bridge:
        with pytest.raises(ToolError, match=rf"{sentence}.* \([a-z_]+\) \[tool-error\]$"):
            await bridge.call_tool(f"m.{tool}", arguments)
    assert not on.broken


@pytest.mark.parametrize("by", ["a limit", "a cancel"])
async def test_a_subscription_that_ends_is_cancelled_with_its_own_id(tmp_path: Path, by: str) -> None:
    async with stage(HomeAssistant) as on, at_home(tmp_path, on) as bridge:
        if by == "a limit":
            result = await bridge.call_tool("m.subscribe_events", {"event_type": "state_changed"})
            assert result.value == {
                "items": [{"event_type": "state_changed", "for": 1}] * 2,
                "end": "max_items",
                "complete": False,
            }
        else:
            await cancel_after_an_item(bridge, "m.watch", {})
        await on.seen.until(lambda: len(on.seen.received) == 3)
        assert on.seen.received[2] == {"id": 2, "type": "unsubscribe_events", "subscription": 1}
        await bridge.call_tool("m.get_states")
        assert not on.sides[0].subscriptions
    assert not on.broken


async def test_subscriptions_at_once_get_only_their_own_events(tmp_path: Path) -> None:
    async with stage(HomeAssistant) as on, at_home(tmp_path, on) as bridge:
        results = await call_together(bridge, "m.subscribe_events", lambda number: {})
    assert sorted(result.items[0]["for"] for result in results) == sorted(result.items[1]["for"] for result in results)
    assert len({result.items[0]["for"] for result in results}) == TOGETHER
    assert not on.broken


async def test_heartbeats_take_part_in_the_ids_and_keep_the_connection(tmp_path: Path) -> None:
    async with stage(HomeAssistant, silence=2) as on, at_home(tmp_path, on, heartbeat={"every": 0.05}) as bridge:
        await bridge.call_tool("m.get_states")
        await on.seen.until(lambda: sum(message["type"] == "ping" for message in on.seen.received) >= 3)
        await bridge.call_tool("m.get_states")
    assert len(on.sides) == 1
    assert not on.broken


async def test_a_house_that_answers_no_ping_loses_the_connection(tmp_path: Path) -> None:
    class Mute(HomeAssistant):
        mute = True

    beat = {"every": 0.05, "timeout": 0.1}
    async with stage(Mute) as on, at_home(tmp_path, on, heartbeat=beat) as bridge:
        arguments = {"domain": "test", "service": "together", "service_data": {}}
        with pytest.raises(ConnectionLost, match="stopped answering"):
            await bridge.call_tool("m.call_service", arguments)


async def test_a_new_connection_logs_in_again_and_counts_from_one(tmp_path: Path) -> None:
    async with stage(HomeAssistant) as on, at_home(tmp_path, on) as bridge:
        for _ in range(2):
            await bridge.call_tool("m.get_states")
            await cut(on)
    assert on.seen.received == [AUTH, {"id": 1, "type": "get_states"}] * 2
