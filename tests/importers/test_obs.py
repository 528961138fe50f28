"""Requests and events of obs-websocket, whole."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.errors import ImportFailed
from utcp_ws_mcp.importers.model import Description, Event, ImportOptions, Operation, Status
from utcp_ws_mcp.importers.obs import import_obs


def described(*requests: Any, url: str | None = None, preset: str | None = None, **others: Any) -> Description:
    return import_obs({"requests": [*requests], **others}, ImportOptions(url=url, preset=preset), "protocol.json")


def inputs_of(*fields: Any) -> Any:
    (operation,) = described({"requestType": "Do", "requestFields": [*fields]}).operations
    assert operation.tool is not None
    return operation.tool["inputs"]


def field_of(**field: Any) -> Any:
    return inputs_of({"valueName": "x", **field})["properties"]["x"]


def test_a_request_is_a_whole_tool() -> None:
    request = {
        "requestType": "RemoveScene",
        "description": "Removes a scene.",
        "category": "scenes",
        "responseFields": [{"valueName": "a"}, {"valueName": "b"}, 3],
        "deprecated": True,
    }
    silent = {"requestType": "GetScenes", "category": "scenes", "deprecated": False, "responseFields": []}
    removed, listed = described(request, silent, 3).operations
    inputs = {"type": "object", "properties": {}, "additionalProperties": False}
    assert removed == Operation(
        "RemoveScene",
        tool={
            "name": "RemoveScene",
            "description": "Removes a scene. Returns: a, b.",
            "inputs": inputs,
            "annotations": {"readOnlyHint": False, "destructiveHint": True},
            "tags": ["scenes"],
        },
        tags=["scenes"],
        status=Status.DEPRECATED,
    )
    assert listed == Operation(
        "GetScenes",
        tool={
            "name": "GetScenes",
            "description": "Get scenes.",
            "inputs": inputs,
            "annotations": {"readOnlyHint": True},
            "tags": ["scenes"],
        },
        tags=["scenes"],
        read_only=True,
    )


def test_requests_of_one_name_are_tools_of_two() -> None:
    found = [
        each.tool["name"] for each in described({"requestType": "A"}, {"requestType": "A"}).operations if each.tool
    ]
    assert found == ["A", "A_2"]


@pytest.mark.parametrize(
    ("field", "schema"),
    [
        ({"valueType": "String"}, {"type": "string"}),
        ({"valueType": "Any"}, {}),
        ({"valueType": "Odd"}, {}),
        ({}, {}),
        ({"valueType": "Array<Number>"}, {"type": "array", "items": {"type": "number"}}),
        ({"valueType": "Array<Odd>"}, {"type": "array", "items": {}}),
        ({"valueType": "Array<Number>s"}, {}),
        ({"valueDescription": " The\n key. "}, {"description": "The key."}),
        ({"valueRestrictions": "Odd", "valueDescription": "It"}, {"description": "It. Restrictions: Odd."}),
        ({"valueRestrictions": "None"}, {}),
        ({"valueOptionalBehavior": "Kept"}, {}),
        ({"valueOptionalBehavior": "Kept", "valueOptional": True}, {"description": "If missing: Kept."}),
        ({"valueOptionalBehavior": "Unknown", "valueOptional": True}, {}),
        ({"valueOptionalBehavior": "none", "valueOptional": True}, {}),
        ({"valueOptionalBehavior": None, "valueOptional": True}, {}),
        ({"valueOptionalBehavior": "", "valueOptional": True}, {}),
        (
            {"valueType": "Number", "valueRestrictions": ">= -1, <= 2.5"},
            {"type": "number", "minimum": -1, "maximum": 2.5, "description": "Restrictions: >= -1, <= 2.5."},
        ),
        (
            {"valueType": "Number", "valueRestrictions": ">= 0.5, <= 20"},
            {"type": "number", "minimum": 0.5, "maximum": 20, "description": "Restrictions: >= 0.5, <= 20."},
        ),
        (
            {"valueType": "Number", "valueRestrictions": ">= 3"},
            {"type": "number", "minimum": 3, "description": "Restrictions: >= 3."},
        ),
        (
            {"valueType": "String", "valueRestrictions": ">= 3"},
            {"type": "string", "description": "Restrictions: >= 3."},
        ),
        (
            {"valueType": "Number", "valueRestrictions": ">= 3, odd"},
            {"type": "number", "description": "Restrictions: >= 3, odd."},
        ),
    ],
    ids=str,
)
def test_a_field_becomes_a_schema(field: dict[str, Any], schema: dict[str, Any]) -> None:
    found = field_of(**field)
    assert found == schema
    assert [type(found.get(key)) for key in ("minimum", "maximum")] == [
        type(schema.get(key)) for key in ("minimum", "maximum")
    ]


def test_members_of_objects_are_required_in_their_object() -> None:
    optional = {"valueType": "Object", "valueOptional": True}
    found = inputs_of(
        {"valueName": "a.b.c", "valueType": "Number"},
        {"valueName": "a.b.d", "valueType": "String", "valueOptional": True},
        {"valueName": "a", "valueDescription": "The a", **optional},
        {"valueName": "e", **optional},
        {"valueName": "f", "valueOptional": False},
    )
    assert found == {
        "type": "object",
        "properties": {
            "a": {
                "type": "object",
                "description": "The a.",
                "properties": {
                    "b": {
                        "type": "object",
                        "properties": {"c": {"type": "number"}, "d": {"type": "string"}},
                        "required": ["c"],
                    }
                },
            },
            "e": {"type": "object"},
            "f": {},
        },
        "required": ["f"],
        "additionalProperties": False,
    }


def bits(**values: str) -> dict[str, Any]:
    listed = [{"enumIdentifier": name, "enumValue": value} for name, value in values.items()]
    return {"enumType": "EventSubscription", "enumIdentifiers": listed}


OTHER = {"enumType": "Other", "enumIdentifiers": [{"enumIdentifier": "A", "enumValue": "(1 << 9)"}]}
ENUM = bits(None_="0", A="(1 << 0)", B="( 3 << 2 )", C="1<<4", D="1 << x", All="(A | C | Missing)")


def event(kind: str, **others: Any) -> dict[str, Any]:
    return {"eventType": f"{kind}Happened", "eventSubscription": kind, "category": "c", **others}


def test_usual_events_are_read_and_others_asked_for_together() -> None:
    often, usual = described(
        events=[event("B", deprecated=True), event("A"), 3], enums=[OTHER, ENUM, bits(All="(B)")]
    ).operations
    everything, rare = 1 | 3 << 2 | 1 << 4, 1 | 1 << 4
    assert usual == Operation(
        "AHappened",
        event=Event(
            "obs",
            "message.d.eventType",
            "AHappened",
            {"description": "What happens in OBS.", "item": "message.d"},
        ),
        tags=["c"],
        read_only=True,
    )
    assert often == Operation(
        "BHappened",
        event=Event(
            "obs_frequent",
            "message.d.eventType",
            "BHappened",
            {
                "description": "Events that OBS sends often, such as the levels of all inputs many times a second.",
                "item": "message.d",
                "open": [
                    {"send": {"op": 3, "d": {"eventSubscriptions": everything}}},
                    {"expect": "message.op == 2"},
                ],
                "close": {"op": 3, "d": {"eventSubscriptions": rare}},
            },
        ),
        tags=["c"],
        read_only=True,
        status=Status.DEPRECATED,
        only_if_asked=True,
    )


@pytest.mark.parametrize("enums", [[], [OTHER], [bits(A="(1 << 0)")], 3])
def test_where_nothing_says_what_is_usual_every_event_is(enums: Any) -> None:
    (operation,) = described(events=[event("B")], enums=enums).operations
    assert operation.event is not None
    assert (operation.event.feed, operation.only_if_asked) == ("obs", False)


def test_the_version_is_that_of_the_newest_request() -> None:
    versions = ["5.0.0", "5.10.1", "5.9.2", "odd"]
    result = described(*({"requestType": "A", "initialVersion": each} for each in versions), {"requestType": "B"})
    assert result.version == "5.10.1"
    assert described().version == ""


def test_the_endpoint_is_the_usual_port_or_the_one_that_is_given() -> None:
    usual = described()
    assert (usual.title, usual.skipped) == ("obs", [])
    assert usual.endpoints == {"": {"url": "ws://127.0.0.1:4455", "preset": "obs5"}}
    assert usual.notes == ["Endpoint: ws://127.0.0.1:4455 (the usual port; --url changes it)."]
    assert usual.variables == {"OBS_PASSWORD": "the password of the WebSocket server, if OBS asks for one"}
    given = described(url="wss://obs.example.com/", preset="mine")
    assert given.endpoints == {"": {"url": "wss://obs.example.com/", "preset": "mine"}}
    assert given.notes == ["Endpoint: wss://obs.example.com/."]


def test_a_request_that_works_only_in_a_batch_is_skipped() -> None:
    batch = {"requestType": "Sleep", "description": "Sleeps.\nONLY available in request batches."}
    result = described(batch, {"requestType": "Do"})
    assert [each.name for each in result.operations] == ["Do"]
    assert [(each.name, each.reason) for each in result.skipped] == [
        ("Sleep", "it works only inside a batch of requests")
    ]


def test_what_has_no_requests_is_no_protocol() -> None:
    with pytest.raises(ImportFailed) as refused:
        import_obs({"requests": {}}, ImportOptions(), "protocol.json")
    assert 'protocol.json has no array "requests", so it is no protocol.json of obs-websocket.' in str(refused.value)
