"""Home Assistant: states as feeds, errors of actions, a restart, and a token that is revoked."""

from __future__ import annotations

from typing import Any

import anyio

from verification.real.feed_reading import Reader
from verification.real.tools import ToolClient

HEAT = "input_number.heat"


async def _set(tools: ToolClient, value: float) -> Any:
    action = {"domain": "input_number", "service": "set_value", "service_data": {"value": value}}
    return await tools.json("call_service", **action, target={"entity_id": HEAT})


async def ping(tools: ToolClient) -> None:
    """Take the answer to a ping, whose type is its own."""
    asked = tools.start("ping")
    await asked.ended.wait()
    assert not asked.result.is_error, asked.result


async def many_entities(tools: ToolClient) -> None:
    """Return the states of 2,000 entities."""
    states = {each["entity_id"]: each["state"] for each in await tools.json("get_states")}
    assert (states["input_boolean.lamp_2000"], states["sensor.double"]) == ("off", "0.0")


async def refused(tools: ToolClient) -> None:
    """Show what Home Assistant says of a wrong command, action and value."""
    assert "Unknown command. (unknown_command)" in await tools.error("no_such_command")
    assert "Service light.fly not found. (not_found)" in await tools.error(
        "call_service", domain="light", service="fly"
    )
    assert "extra keys not allowed" in await tools.error("get_states", extra=1)
    wrong = {"domain": "input_number", "service": "set_value", "target": {"entity_id": HEAT}}
    assert "expected float" in await tools.error("call_service", **wrong, service_data={"value": "warm"})
    assert "(range 0.0 - 1000.0)" in await tools.error("call_service", **wrong, service_data={"value": 2000})


async def unknown_entity(tools: ToolClient) -> None:
    """Report success, as Home Assistant does, for an entity that does not exist."""
    action = {"domain": "homeassistant", "service": "turn_on", "target": {"entity_id": "light.missing"}}
    assert "context" in await tools.json("call_service", **action)


async def several_at_once(tools: ToolClient) -> None:
    """Keep the answers of 40 calls apart."""
    results: dict[int, Any] = {}

    async def render(number: int) -> None:
        results[number] = (await tools.json("render_template", template=f"{{{{ {number} * 2 }}}}"))["item"]

    async with anyio.create_task_group() as calls:
        for number in range(40):
            calls.start_soon(render, number)
    assert results == {number: number * 2 for number in range(40)}


async def every_change(tools: ToolClient) -> None:
    """Keep each of 100 changes in order, and what a template makes of it."""
    reader = await Reader.begin(tools, "changes")
    for value in range(1, 101):
        await _set(tools, value)
    events = await reader.read(200)
    assert [float(state) for entity, state in events if entity == HEAT] == list(range(1, 101))
    assert [float(state) for entity, state in events if entity == "sensor.double"] == list(range(2, 201, 2))
    assert (reader.missed, reader.gaps) == (0, [])


async def newest_value(tools: ToolClient) -> None:
    """Keep the newest state of each entity, also of one that is removed."""
    await Reader.settled(tools, "state_changed")
    made = await tools.json("input_boolean_create", name="Brief")
    for value in (7, 8, 9):
        await _set(tools, value)
    await tools.json("input_boolean_delete", input_boolean_id=made["id"])
    await Reader.settled(tools, "state_changed")
    latest = await tools.json("state_changed_latest", keys=[HEAT, "input_boolean.brief"])
    assert {value["key"]: value["data"]["state"] for value in latest["values"]} == {
        HEAT: "9.0",
        "input_boolean.brief": None,
    }


async def burst(tools: ToolClient) -> None:
    """Keep 3,000 events that come at once."""
    reader = await Reader.begin(tools, "burst")
    await tools.json("call_service", domain="script", service="turn_on", target={"entity_id": "script.burst"})
    assert [int(number) for number in await reader.read(3000)] == list(range(1, 3001))
    assert (reader.missed, reader.gaps) == (0, [])


async def another_user(tools: ToolClient) -> None:
    """Say that a user may not follow an event, and follow what it may."""
    async with tools.restarted({"HOMEASSISTANT_TOKEN": tools.variables["USER_TOKEN"]}) as bob:
        assert "Unauthorized" in await bob.error("subscribe_events", event_type="burst")
        assert "Unauthorized" in (await bob.json("burst_events"))["state"]
        assert (await bob.json("changes_events"))["state"] == "open"


async def restart(tools: ToolClient) -> None:
    """Open feeds again with a named gap when Home Assistant restarts by its own action."""
    reader = await Reader.begin(tools, "changes")
    restarted = tools.start("call_service", domain="homeassistant", service="restart")
    await reader.wait_for_gap()
    await restarted.ended.wait()
    assert "not connected from" in reader.gaps[0]
    await tools.json_until(lambda config: config["state"] == "RUNNING", "get_config")
    await _set(tools, 500)
    await reader.read_until(lambda event: event == [HEAT, "500.0"])


async def revoked_token(tools: ToolClient) -> None:
    """Ask ever less often with a token that was revoked: Home Assistant bans an address after five refused logins."""
    await Reader.begin(tools, "changes")
    async with tools.restarted({"HOMEASSISTANT_TOKEN": tools.variables["OWNER_TOKEN"]}) as owner:
        listed = await owner.json("auth_refresh_tokens")
        [token] = [each["id"] for each in listed if each["client_name"] == "bridge"]
        await owner.json("auth_delete_refresh_token", refresh_token_id=token)
        page = await tools.json_until(lambda page: "30.0 s after" in page["state"], "changes_events")
        assert "Invalid access token or password" in page["state"]
        message = await tools.error("get_config")
        assert "Invalid access token or password" in message
        assert "[login-rejected]" in message
        assert (await owner.json("get_config"))["version"] == "2024.3.3"
