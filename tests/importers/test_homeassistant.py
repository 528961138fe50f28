"""Services of Home Assistant, whole."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.errors import ImportFailed
from utcp_ws_mcp.importers.homeassistant import import_services
from utcp_ws_mcp.importers.model import Description, Event, ImportOptions, Operation, Skipped

URL = "wss://home.example.com/api/websocket"


def described(services: Any, preset: str | None = None) -> Description:
    return import_services(services, ImportOptions(url=URL, preset=preset), "services.json")


def tool_of(service: Any, name: str = "do") -> Any:
    return described({"light": {name: service}}).operations[0].tool


def schema_of(field: Any) -> Any:
    return tool_of({"fields": {"x": field}})["inputs"]["properties"]["x"]


def test_a_service_is_a_whole_tool() -> None:
    service = {
        "name": "Remove it",
        "description": "Removes it.",
        "target": {},
        "fields": {"from": {"required": True}, "With Space": {"required": "yes"}, "odd": 3},
        "response": {"optional": True},
    }
    targets = {"entity_id": "The entities, such as light.kitchen.", "device_id": "The devices.",
               "area_id": "The areas, such as kitchen."}  # fmt: skip
    assert described({"light": {"remove": service}}).operations[0] == Operation(
        "light.remove",
        tool={
            "name": "light.remove",
            "description": "Removes it.",
            "inputs": {
                "type": "object",
                "properties": {
                    **{
                        name: {"type": "array", "items": {"type": "string"}, "description": text}
                        for name, text in targets.items()
                    },
                    "from": {},
                    "with_space": {},
                },
                "required": ["from"],
                "additionalProperties": False,
            },
            "annotations": {"readOnlyHint": False, "destructiveHint": True},
            "tags": ["light"],
            "tool_call_template": {
                "message": {
                    "id": "{{ request_id }}",
                    "type": "call_service",
                    "domain": "light",
                    "service": "remove",
                    "service_data": {"from": "{{ args.from }}", "With Space": "{{ args.with_space }}"},
                    "target": {name: f"{{{{ args.{name} }}}}" for name in targets},
                    "return_response": True,
                }
            },
        },
        tags=["light"],
    )


def test_a_service_without_anything_is_called_without_data() -> None:
    tool = tool_of({"name": "Do it"})
    assert tool["description"] == "Do it."
    assert tool["inputs"] == {"type": "object", "properties": {}, "additionalProperties": False}
    assert tool["tool_call_template"]["message"] == {
        "id": "{{ request_id }}", "type": "call_service", "domain": "light", "service": "do"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "response", "reads"),
    [
        ("do", {"optional": False}, True),
        ("do", {"optional": True}, False),
        ("do", {}, False),
        ("do", False, False),
        ("get_it", None, True),
    ],
)
def test_a_service_that_only_responds_changes_nothing(name: str, response: Any, reads: bool) -> None:
    operation = described({"light": {name: {"response": response}}}).operations[0]
    assert operation.read_only is reads
    assert operation.tool is not None
    assert operation.tool["annotations"]["readOnlyHint"] is reads


def test_an_argument_beside_a_target_of_its_name_has_a_number() -> None:
    message = tool_of({"target": {}, "fields": {"area_id": {}}})["tool_call_template"]["message"]
    assert message["service_data"] == {"area_id": "{{ args.area_id_2 }}"}
    assert message["target"]["area_id"] == "{{ args.area_id }}"


def test_a_service_with_a_field_that_a_template_would_read_is_skipped_and_no_other() -> None:
    result = described({"light": {"odd": {"fields": {"$each": {}}}, "on": {}}})
    assert [each.name for each in result.operations] == ["light.on", "state_changed"]
    assert result.skipped == [Skipped("light.odd", "its property '$each' would be read as a template")]


def test_fields_of_sections_are_arguments() -> None:
    sections = {"a": {"fields": {"b": {"fields": {"c": {}}}, "d": {}, "odd": 3}}, "e": {"fields": 3}}
    assert [*tool_of({"fields": sections})["inputs"]["properties"]] == ["c", "d", "e"]
    assert [*tool_of({"fields": [1]})["inputs"]["properties"]] == []


STRINGS = [
    *("text", "entity", "device", "area", "floor", "label", "template", "icon", "theme", "time", "date", "datetime"),
    *("addon", "backup_location", "state", "attribute", "media", "config_entry", "conversation_agent", "language"),
    *("constant", "statistic"),
]
OBJECTS = ["object", "duration", "location", "action", "condition", "trigger"]


@pytest.mark.parametrize(
    ("kind", "config", "schema"),
    [
        *((kind, {}, {"type": "string"}) for kind in STRINGS),
        *((kind, None, {"type": "object"}) for kind in OBJECTS),
        ("boolean", {}, {"type": "boolean"}),
        ("color_temp", {}, {"type": "number"}),
        ("color_rgb", {"multiple": True}, {"type": "array", "items": {"type": "integer"}}),
        ("entity", {"multiple": True}, {"type": "array", "items": {"type": "string"}}),
        ("entity", {"multiple": False}, {"type": "string"}),
        ("odd", {"multiple": True}, {}),
        ("number", None, {"type": "number"}),
        ("number", {"min": 0, "max": 1.5}, {"type": "number", "minimum": 0, "maximum": 1.5}),
        ("number", {"min": "0", "max": False}, {"type": "number"}),
        ("number", {"multiple": True}, {"type": "number"}),
        ("select", {"options": ["a", {"value": "b"}, {"label": "c"}, 3]}, {"type": "string", "enum": ["a", "b"]}),
        ("select", {"options": ["a"], "custom_value": True}, {"type": "string"}),
        ("select", {"options": []}, {"type": "string"}),
        ("select", {"options": "ab"}, {"type": "string"}),
        ("select", {"options": ["a"], "multiple": True}, {"type": "array", "items": {"type": "string", "enum": ["a"]}}),
    ],
)
def test_a_selector_says_the_type_of_a_field(kind: str, config: Any, schema: Any) -> None:
    assert schema_of({"selector": {kind: config}}) == schema


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ({"description": " The\n level. ", "name": "Level"}, "The level."),
        ({"name": "Level"}, "Level"),
        ({"name": "It.", "selector": {"odd": {"unit_of_measurement": "%"}}, "example": 3}, "It. In %. For example 3."),
        ({"example": "x"}, "For example x."),
        ({"example": 0.5}, "For example 0.5."),
        ({"example": ""}, None),
        ({"example": [1]}, None),
        ({"example": None, "selector": {"odd": "unit_of_measurement"}}, None),
        ({"selector": {}}, None),
        ({"selector": 3}, None),
    ],
    ids=str,
)  # fmt: skip
def test_a_field_is_described_with_its_unit_and_an_example(field: Any, text: str | None) -> None:
    assert schema_of(field) == ({} if text is None else {"description": text})


def test_states_of_entities_are_events() -> None:
    assert described({}).operations == [
        Operation(
            "state_changed",
            event=Event(
                "states",
                "message.id == request_id and message.type == 'event'",
                None,
                {
                    "description": "Changes of the states of all entities.",
                    "open": [
                        {"send": {"id": "{{ request_id }}", "type": "subscribe_events", "event_type": "state_changed"}},
                        {"expect": "message.id == request_id and message.type == 'result'"},
                    ],
                    "item": "message.event.data",
                    "key": "message.event.data.entity_id",
                    "close": {
                        "id": "{{ next_id() }}",
                        "type": "unsubscribe_events",
                        "subscription": "{{ request_id }}",
                    },
                },
            ),
            tags=["event"],
            read_only=True,
        )
    ]


def test_a_description_of_services_names_the_token_and_the_tags() -> None:
    result = described({"light": {"on": {}, "odd": 3}})
    assert [each.name for each in result.operations] == ["light.on", "state_changed"]
    assert (result.title, result.endpoints) == ("home", {"": {"url": URL, "preset": "homeassistant"}})
    assert result.notes == [
        f"Endpoint: {URL}.",
        "The tags are the domains: --tag light imports the services of lights.",
    ]
    assert result.variables == {"HOMEASSISTANT_TOKEN": "a long-lived access token, from the profile of your user"}
    assert described({}, preset="mine").endpoints[""]["preset"] == "mine"


@pytest.mark.parametrize("services", [None, [], {"light": 3}, {"light": {}, "odd": []}])
def test_what_has_no_services_by_domain_is_refused(services: Any) -> None:
    with pytest.raises(ImportFailed, match="services.json is no answer to get_services of Home Assistant: it has no"):
        described(services)
