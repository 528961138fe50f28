"""Whole commands and events of the Chrome DevTools Protocol."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.errors import ImportFailed
from utcp_ws_mcp.importers.cdp import import_cdp
from utcp_ws_mcp.importers.model import Description, ImportOptions, Operation, Status

OPTIONAL = {"name": "b", "optional": True}
PAGE_URL = "ws://127.0.0.1:9229/0f2c"


def described(*domains: Any, url: str | None = None, **others: Any) -> Description:
    preset = others.pop("preset", None)
    return import_cdp({"domains": [*domains], **others}, ImportOptions(url=url, preset=preset), "protocol.json")


def operations(*domains: Any, url: str | None = None) -> dict[str, Operation]:
    return {each.name: each for each in described(*domains, url=url).operations}


def domain(name: str, *commands: Any, **others: Any) -> dict[str, Any]:
    return {"domain": name, "commands": list(commands), **others}


def inputs_of(*parameters: Any, types: Any = ()) -> Any:
    found = operations(domain("DOM", {"name": "do", "parameters": [*parameters]}, types=[*types]))
    assert found["DOM.do"].tool is not None
    return found["DOM.do"].tool["inputs"]


@pytest.mark.parametrize(
    ("parameter", "schema"),
    [
        ({"type": "integer", "description": " The\n count. "}, {"type": "integer", "description": "The count."}),
        ({"type": "any"}, {}),
        ({"type": "any", "description": " "}, {}),
        ({"description": 3}, {}),
        ({"type": "binary"}, {"type": "string", "contentEncoding": "base64"}),
        ({"type": "string", "enum": ["a", "b"]}, {"type": "string", "enum": ["a", "b"]}),
        ({"type": "string", "enum": "a"}, {"type": "string"}),
        ({"type": "array", "items": {"type": "number"}}, {"type": "array", "items": {"type": "number"}}),
        ({"type": "array", "items": "odd"}, {"type": "array"}),
        ({"type": "array", "items": {"$ref": "Id"}}, {"type": "array", "items": {"type": "integer"}}),
        (
            {"type": "object", "properties": [{"name": "a", "type": "string"}, {**OPTIONAL, "$ref": "Id"}, 3]},
            {
                "type": "object",
                "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
                "required": ["a"],
            },
        ),
        (
            {"type": "object", "properties": [OPTIONAL]},
            {"type": "object", "properties": {"b": {}}},
        ),
        ({"type": "object", "properties": {}}, {"type": "object"}),
        ({"$ref": "Id"}, {"type": "integer"}),
        ({"$ref": "DOM.Id"}, {"type": "integer"}),
        ({"$ref": "Id", "description": "It."}, {"type": "integer", "description": "It."}),
        ({"$ref": "Missing"}, {"description": "DOM.Missing"}),
        ({"$ref": "Other.Missing", "description": "It."}, {"description": "It."}),
        ({"$ref": 3, "type": "string"}, {"type": "string"}),
    ],
    ids=str,
)  # fmt: skip
def test_a_parameter_becomes_a_schema(parameter: Any, schema: Any) -> None:
    types = [{"id": "Id", "type": "integer"}, "odd"]
    assert inputs_of({"name": "x", **parameter}, types=types)["properties"]["x"] == schema


def test_the_parameters_of_a_command_are_required_if_they_are_not_optional() -> None:
    found = inputs_of({"name": "a", "type": "string"}, {"name": "b", "type": "string", "optional": True}, "odd")
    assert found == {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert "required" not in inputs_of({"name": "b", "optional": True})


def test_a_command_is_a_whole_tool() -> None:
    command = {
        "name": "clearAll",
        "description": "Clears.",
        "returns": [{"name": "a"}, {"name": "b"}],
        "experimental": True,
    }
    found = operations(domain("DOM", command, {"name": "get"}))
    assert found["DOM.clearAll"] == Operation(
        "DOM.clearAll",
        tool={
            "name": "DOM.clearAll",
            "description": "Clears. Returns: a, b.",
            "inputs": {"type": "object", "properties": {}, "additionalProperties": False},
            "annotations": {"readOnlyHint": False, "destructiveHint": True},
            "tags": ["DOM"],
        },
        tags=["DOM"],
        status=Status.EXPERIMENTAL,
    )
    assert found["DOM.get"].read_only is True
    assert found["DOM.get"].tool is not None
    assert found["DOM.get"].tool["annotations"] == {"readOnlyHint": True}
    assert found["DOM.get"].tool["description"] == "Dom get."


@pytest.mark.parametrize(
    ("of_domain", "of_command", "status"),
    [
        ({}, {}, Status.STABLE),
        ({"deprecated": False}, {"experimental": False}, Status.STABLE),
        ({"deprecated": "no"}, {"experimental": "no"}, Status.STABLE),
        ({"deprecated": True}, {"experimental": True}, Status.DEPRECATED),
        ({"experimental": True}, {"deprecated": True}, Status.DEPRECATED),
        ({"experimental": True}, {}, Status.EXPERIMENTAL),
    ],
)
def test_a_domain_passes_its_status_on(of_domain: Any, of_command: Any, status: Status) -> None:
    each = domain("DOM", {"name": "do", **of_command}, events=[{"name": "done", **of_command}], **of_domain)
    assert {operation.status for operation in described(each).operations} == {status}


def test_commands_of_one_name_are_tools_of_two() -> None:
    found = [
        each.tool["name"] for each in described(domain("DOM", {"name": "do"}, {"name": "do"})).operations if each.tool
    ]
    assert found == ["DOM.do", "DOM.do_2"]


def test_a_command_that_cannot_be_expressed_is_skipped() -> None:
    odd = {"name": "odd", "parameters": [{"name": "x", "type": "nothing"}]}
    result = described(domain("DOM", odd, {"name": "do"}))
    assert [each.name for each in result.operations] == ["DOM.do"]
    assert [(each.name, "cannot be used" in each.reason) for each in result.skipped] == [("DOM.odd", True)]


BROWSER_MESSAGE = {"id": "{{ request_id }}", "method": "{{ tool }}", "params": "{{ args }}"}


@pytest.mark.parametrize("name", ["Browser", "Target", "SystemInfo", "Tethering"])
@pytest.mark.parametrize("url", [None, "ws://127.0.0.1:1/devtools/browser/x"])
def test_commands_of_the_browser_have_no_session(name: str, url: str | None) -> None:
    tool = operations(domain(name, {"name": "do"}), url=url)[f"{name}.do"].tool
    assert tool is not None
    assert tool["tool_call_template"] == {"message": BROWSER_MESSAGE}
    alone = operations(domain(name, {"name": "do"}), url=PAGE_URL)[f"{name}.do"].tool
    assert alone is not None
    assert "tool_call_template" not in alone


def event_of(each: Any, url: str | None = None) -> Any:
    found = [operation for operation in described(each, url=url).operations if operation.event is not None]
    assert [operation.name for operation in found] == [f"{each['domain']}.done"]
    assert found[0].read_only
    assert found[0].tags == [each["domain"]]
    event = found[0].event
    assert event is not None
    assert (event.feed, event.subject, event.value) == (each["domain"], "message.method", f"{each['domain']}.done")
    return event.fields


def enabling(name: str, **session: str) -> dict[str, Any]:
    send = {"id": "{{ request_id }}", "method": f"{name}.enable", "params": {}, **session}
    close = {"id": "{{ next_id() }}", "method": f"{name}.disable", "params": {}, **session}
    return {"open": [{"send": send}, {"expect": "message.id == request_id"}], "close": close}


SESSION = {"sessionId": "{{ session.session_id }}"}
ENABLE = {"name": "enable"}
BROWSER_URL = "ws://127.0.0.1:1/devtools/browser/x"


@pytest.mark.parametrize(
    ("each", "url", "fields"),
    [
        (domain("DOM", ENABLE), None, enabling("DOM", **SESSION)),
        (domain("DOM", ENABLE), BROWSER_URL, enabling("DOM", **SESSION)),
        (domain("DOM", ENABLE), PAGE_URL, enabling("DOM")),
        (domain("Target", ENABLE), None, enabling("Target")),
        (domain("Page", ENABLE), None, {}),
        (domain("Page", ENABLE), PAGE_URL, enabling("Page")),
        (domain("Inspector", ENABLE), None, {}),
        (domain("DOM", {"name": "start"}), None, {}),
        (domain("DOM", {**ENABLE, "parameters": [{"name": "a", "optional": True}]}), None, enabling("DOM", **SESSION)),
        (domain("DOM", {**ENABLE, "parameters": [{"name": "a", "optional": True}, {"name": "b"}]}), None, {}),
    ],
    ids=str,
)
def test_the_events_of_a_domain_are_asked_for_where_it_can_be_enabled_without_arguments(
    each: Any, url: str | None, fields: Any
) -> None:
    found = event_of({**each, "events": [{"name": "done"}]}, url)
    assert {key: value for key, value in found.items() if key in ("open", "close")} == fields
    assert found["item"] == "message | only('method', 'params')"
    assert found["description"] == f"Events of the domain {each['domain']}."


def test_the_endpoint_of_a_browser_is_found_by_its_port() -> None:
    result = described(domain("Page"), domain("DOM"), version={"major": "1", "minor": "3"})
    assert (result.title, result.version) == ("browser", "1.3")
    assert result.endpoints[""] == {
        "url": "ws://127.0.0.1:9222/devtools/browser/{{ session.browser }}",
        "preset": "cdp",
        "before_connect": [
            {
                "http": {"url": "http://127.0.0.1:9222/json/version"},
                "capture": {"browser": "body.webSocketDebuggerUrl.split('/') | last"},
            }
        ],
    }
    assert result.notes == [
        "Endpoint: ws://127.0.0.1:9222/devtools/browser/… (the usual port; --url changes it).",
        "A user of these tools acts as the person that is signed in in the browser.",
    ]


def test_an_endpoint_of_ones_own_is_used_as_it_is() -> None:
    result = described(domain("Debugger"), url=PAGE_URL, preset="mine", version="odd")
    assert (result.title, result.version) == ("inspector", "")
    assert result.endpoints[""] == {"url": PAGE_URL, "preset": "mine", "on_connect": [], "message": BROWSER_MESSAGE}
    assert result.notes[0] == f"Endpoint: {PAGE_URL}."
    browser = described(domain("Page"), url=BROWSER_URL)
    assert browser.endpoints[""] == {"url": BROWSER_URL, "preset": "cdp"}


@pytest.mark.parametrize("domains", [None, [], [{"domain": "a b"}], {}])
def test_what_has_no_domains_is_no_protocol(domains: Any) -> None:
    with pytest.raises(ImportFailed) as refused:
        import_cdp({"domains": domains}, ImportOptions(), "protocol.json")
    assert 'protocol.json has no "domains", so it is no protocol of a browser' in str(refused.value)
