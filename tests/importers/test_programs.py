"""The formats of single programs: Chromium, OBS, Home Assistant; and pairs of JSON Schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.peer import peer
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.errors import ImportFailed
from utcp_ws_mcp.importers.model import Format

from .sides import feeds, imported, problems_of, tools

CDP: dict[str, Any] = {
    "version": {"major": "1", "minor": "3"},
    "domains": [
        {
            "domain": "Page",
            "types": [{"id": "FrameId", "type": "string"}],
            "commands": [
                {"name": "enable"},
                {
                    "name": "navigate",
                    "parameters": [
                        {"name": "url", "type": "string", "description": "The URL."},
                        {"name": "frameId", "$ref": "FrameId", "optional": True},
                        {"name": "object", "$ref": "Runtime.RemoteObject", "optional": True},
                    ],
                    "returns": [{"name": "frameId", "$ref": "FrameId"}],
                },
                {"name": "getShot", "experimental": True, "parameters": [{"name": "data", "type": "binary"}]},
            ],
            "events": [{"name": "loaded"}, {"name": "closed", "deprecated": True}],
        },
        {"domain": "Browser", "commands": [{"name": "getVersion", "description": "Returns <b>version</b>."}]},
    ],
}


def test_commands_are_tools_with_the_session_of_a_page_or_of_the_browser(tmp_path: Any) -> None:
    result = imported(CDP, url=None)
    assert result.manifest["url"] == "ws://127.0.0.1:9222/devtools/browser/{{ session.browser }}"
    navigate = tools(result)["Page.navigate"]
    assert navigate["inputs"]["properties"]["frameId"] == {"type": "string"}
    assert navigate["inputs"]["properties"]["object"] == {"description": "Runtime.RemoteObject"}
    assert navigate["inputs"]["required"] == ["url"]
    assert navigate["description"] == "Page navigate. Returns: frameId."
    assert "tool_call_template" not in navigate
    assert "sessionId" not in tools(result)["Browser.getVersion"]["tool_call_template"]["message"]
    assert tools(result)["Browser.getVersion"]["description"] == "Returns version."
    assert problems_of(result, tmp_path) == []


def test_the_events_of_a_domain_are_a_feed_that_enables_and_disables_it() -> None:
    feed = feeds(imported(CDP, url=None))["Page"]
    assert "open" not in feed  # the preset needs these events itself
    assert feed["match"] == "message.method in ['Page.loaded', 'Page.closed']"
    own = feeds(imported(CDP, url="ws://127.0.0.1:9229/0f2c"))["Page"]
    assert (own["open"][0]["send"]["method"], own["close"]["method"]) == ("Page.enable", "Page.disable")


@pytest.mark.parametrize("name", ["{{ x }}", "", "a b", "9", None, {}])
@pytest.mark.parametrize("events", ["feeds", "streams"])
def test_a_domain_without_a_name_that_can_be_one_is_left_out(name: Any, events: Any, tmp_path: Any) -> None:
    page, browser = CDP["domains"]
    odd = {**page, "domain": name}
    result = imported({**CDP, "domains": [odd, browser]}, url=None, events=events)
    assert {*tools(result)} == {"Browser.getVersion"}
    assert problems_of(result, tmp_path) == []


def test_the_endpoint_of_one_page_needs_no_session(tmp_path: Any) -> None:
    result = imported(CDP, url="ws://127.0.0.1:9229/0f2c")
    assert result.manifest["on_connect"] == []
    assert "sessionId" not in result.manifest["message"]
    assert problems_of(result, tmp_path) == []


OBS = {
    "enums": [
        {
            "enumType": "EventSubscription",
            "enumIdentifiers": [
                {"enumIdentifier": "Scenes", "enumValue": "(1 << 2)"},
                {"enumIdentifier": "InputVolumeMeters", "enumValue": "(1 << 16)"},
                {"enumIdentifier": "All", "enumValue": "(Scenes)"},
            ],
        }
    ],
    "requests": [
        {
            "requestType": "PressKey",
            "description": "Presses.\n\nMore.",
            "category": "general",
            "requestFields": [
                {"valueName": "key", "valueType": "String", "valueDescription": "The key"},
                {"valueName": "mods", "valueType": "Object", "valueOptional": True},
                {"valueName": "mods.shift", "valueType": "Boolean", "valueOptional": True},
                {
                    "valueName": "volume",
                    "valueType": "Number",
                    "valueRestrictions": ">= 0, <= 20",
                    "valueOptional": True,
                    "valueOptionalBehavior": "Unchanged",
                },
                {"valueName": "names", "valueType": "Array<String>", "valueOptional": True},
                {"valueName": "gain", "valueType": "Number", "valueRestrictions": ">= -26.5", "valueOptional": True},
                {"valueName": "delay", "valueType": "Number", "valueRestrictions": "None", "valueOptional": True},
            ],
            "responseFields": [],
        },
        {"requestType": "Sleep", "description": "Sleeps. Only available in request batches.", "category": "general"},
    ],
    "events": [
        {"eventType": "SceneCreated", "eventSubscription": "Scenes", "category": "scenes"},
        {"eventType": "Meters", "eventSubscription": "InputVolumeMeters", "category": "inputs"},
    ],
}


def test_fields_with_dots_are_members_of_objects_and_restrictions_are_said(tmp_path: Any) -> None:
    result = imported(OBS, url=None)
    inputs = tools(result)["PressKey"]["inputs"]
    assert inputs["properties"]["mods"]["properties"] == {"shift": {"type": "boolean"}}
    assert inputs["properties"]["volume"] == {
        "type": "number",
        "minimum": 0,
        "maximum": 20,
        "description": "Restrictions: >= 0, <= 20. If missing: Unchanged.",
    }
    assert inputs["properties"]["names"] == {"type": "array", "items": {"type": "string"}}
    assert inputs["properties"]["gain"] == {
        "type": "number", "minimum": -26.5, "description": "Restrictions: >= -26.5."
    }  # fmt: skip
    assert inputs["properties"]["delay"] == {"type": "number"}
    assert inputs["required"] == ["key"]
    assert [each.name for each in result.description.skipped] == ["Sleep"]
    assert problems_of(result, tmp_path) == []


def test_events_that_obs_sends_only_on_request_are_asked_for() -> None:
    assert [*feeds(imported(OBS))] == ["obs"]
    often = feeds(imported(OBS, everything=True))["obs_frequent"]
    assert often["open"][0]["send"] == {"op": 3, "d": {"eventSubscriptions": (1 << 2) | (1 << 16)}}
    assert often["close"] == {"op": 3, "d": {"eventSubscriptions": 1 << 2}}


SERVICES = {
    "light": {
        "turn_on": {
            "name": "Turn on",
            "description": "Turns on lights.",
            "target": {"entity": [{"domain": ["light"]}]},
            "fields": {
                "brightness": {"selector": {"number": {"min": 0, "max": 255, "unit_of_measurement": "%"}}},
                "advanced_fields": {
                    "fields": {
                        "flash": {"required": True, "selector": {"select": {"options": ["short", {"value": "long"}]}}}
                    }
                },
            },
        }
    },
    "weather": {"get_forecasts": {"description": "", "fields": {}, "response": {"optional": False}}},
}


async def test_a_service_is_a_tool_with_its_targets_and_selectors(tmp_path: Any, monkeypatch: Any) -> None:
    async def greet(connection: Any) -> None:
        await connection.send(json.dumps({"type": "auth_required"}))

    async def answer(_: Any, connection: Any, message: Any) -> None:
        reply = {"type": "auth_ok"} if message["type"] == "auth" else {"id": message["id"], "type": "result"}
        await connection.send(json.dumps({**reply, "success": True, "result": {}}))

    async with peer(answer, greet=greet) as server:
        result = imported(SERVICES, Format.HOMEASSISTANT, url=server.url)
        assert problems_of(result, tmp_path) == []
        properties = tools(result)["light.turn_on"]["inputs"]["properties"]
        assert properties["brightness"] == {"type": "number", "minimum": 0, "maximum": 255, "description": "In %."}
        assert properties["flash"] == {"type": "string", "enum": ["short", "long"]}
        monkeypatch.setenv("HOMEASSISTANT_TOKEN", "a-token-of-home")
        async with Bridge.open(tmp_path / "manifest.json") as bridge:
            await bridge.call_tool("home.light.turn_on", {"entity_id": ["light.a"], "brightness": 9, "flash": "long"})
    assert server.received[-1] == {
        "id": 1,
        "type": "call_service",
        "domain": "light",
        "service": "turn_on",
        "service_data": {"brightness": 9, "flash": "long"},
        "target": {"entity_id": ["light.a"]},
    }
    forecasts = tools(result)["weather.get_forecasts"]
    assert forecasts["annotations"] == {"readOnlyHint": True}
    assert forecasts["tool_call_template"]["message"]["return_response"] is True


def test_a_bound_of_a_number_that_is_no_number_is_left_out(tmp_path: Any) -> None:
    fields = {"level": {"selector": {"number": {"min": True, "max": 9}}}}
    result = imported({"light": {"dim": {"fields": fields}}}, Format.HOMEASSISTANT, url="ws://localhost:1/")

    assert problems_of(result, tmp_path) == []
    assert tools(result)["light.dim"]["inputs"]["properties"]["level"] == {"type": "number", "maximum": 9}


def schemas(**files: Any) -> dict[str, Any]:
    return {name.replace("__", "/") + ".json": schema for name, schema in files.items()}


def pair(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"req_id": {"type": "integer"}, **properties}}


@pytest.mark.parametrize(
    ("request_file", "response_file", "name"),
    [
        ("time__send", "time__receive", "time"),
        ("time_request", "time_response", "time"),
        ("TimeRequest", "TimeResponse", "Time"),
        ("requests__time", "responses__time", "time"),
        ("time.req", "time.res", "time"),
    ],
)
def test_a_pair_of_schemas_is_a_tool_with_the_id_that_both_have(
    request_file: str, response_file: str, name: str, tmp_path: Any
) -> None:
    request = {**pair(time={"type": "integer", "enum": [1]}), "required": ["time"], "description": "The time."}
    files = schemas(**{request_file: request, response_file: pair(time={"type": "integer"}, error={"type": "object"})})
    result = imported(files, Format.JSON_SCHEMA, files)
    tool = tools(result)[name]
    assert tool["tool_call_template"] == {
        "message": {"req_id": "{{ request_id }}", "time": 1},
        "reply": {
            "match": "message.req_id == request_id",
            "error": "message.error",
            "error_message": "message.error",
            "result": "message.time",
        },
    }
    assert result.manifest["request_id"] == "counter"
    assert problems_of(result, tmp_path) == []


def test_schemas_without_partner_are_named_and_a_folder_without_pairs_is_refused() -> None:
    files = schemas(a_request=pair(), a_response=pair(), b_request=pair())
    result = imported(files, Format.JSON_SCHEMA, files)
    assert [each.name for each in result.description.skipped] == ["b_request.json"]
    with pytest.raises(ImportFailed) as failed:
        imported(schemas(a=pair()), Format.JSON_SCHEMA, schemas(a=pair()))
    assert failed.value.code == "not-a-description"


def test_a_pattern_that_cannot_be_used_is_left_out_and_the_old_form_of_bounds_is_rewritten(tmp_path: Any) -> None:
    odd = {"type": "string", "pattern": "^[a-z]+\\Z"}
    bound = {"type": "number", "minimum": 0, "exclusiveMinimum": True}
    files = schemas(a_send={**pair(text=odd, size=bound)}, a_receive=pair())
    result = imported(files, Format.JSON_SCHEMA, files)
    assert tools(result)["a"]["inputs"]["properties"] == {
        "text": {"type": "string"},
        "size": {"type": "number", "exclusiveMinimum": 0},
    }
    assert problems_of(result, tmp_path) == []
