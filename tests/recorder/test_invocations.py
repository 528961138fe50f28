"""Tools for Socket.IO events whose arguments have no names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.recorder.conversations import conversation
from utcp_ws_mcp.client.manifest_files import load_text
from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.recorder.manifest import draft_manifest, format_json
from utcp_ws_mcp.recorder.preset_forms import Recorded, recognize_preset

URL = "wss://api.example.com/socket.io/"
OPENED = ('< 0{"sid":"x"}', "> 40", '< 40{"sid":"y"}')


def drafted(*lines: str) -> dict[str, Any]:
    return draft_manifest({"url": URL}, parse_url(URL), conversation(*OPENED, *lines), ()).document


def tools_of(*lines: str) -> dict[str, tuple[Any, Any]]:
    """The message of each drafted tool, and the types of its arguments."""
    return {
        tool["name"]: (
            tool["tool_call_template"]["message"],
            {name: each.get("type") for name, each in tool["inputs"]["properties"].items()},
        )
        for tool in drafted(*lines)["tools"]
    }


EVENT = {"type": "event"}
ASKED = {"type": "event", "id": "{{ request_id }}"}
TOOLS: dict[str, tuple[tuple[str, ...], Any]] = {
    "several arguments": (
        ('> 42["move",1,"n"]', '> 42["move",2,"s"]'),
        {"move": ({**EVENT, "data": ["move", "{{ args.arg_1 }}", "{{ args.arg_2 }}"]},
            {"arg_1": "integer", "arg_2": "string"})},
    ),
    "several arguments, acknowledged": (
        ('> 420["move",1,2]', "< 430[true]"),
        {"move": ({**ASKED, "data": ["move", "{{ args.arg_1 }}", "{{ args.arg_2 }}"]},
            {"arg_1": "integer", "arg_2": "integer"})},
    ),
    "an object among them": (
        ('> 42["join","lobby",{"name":"bo"}]',),
        {"join": ({**EVENT, "data": ["join", "{{ args.arg_1 }}", {"name": "{{ args.name }}"}]},
            {"arg_1": "string", "name": "string"})},
    ),
    "an object alone that is not acknowledged": (
        ('> 42["say",{"text":"hi"}]',),
        {"say": ({**EVENT, "data": ["say", {"text": "{{ args.text }}"}]}, {"text": "string"})}
    ),
    "no argument": (('> 420["list"]', "< 430[1]"), {"list": ({**ASKED, "data": ["list"]}, {})}),
    "an argument that is the same each time": (
        ('> 42["set","k",1]', '> 42["set","k",2]'),
        {"set": ({**EVENT, "data": ["set", "k", "{{ args.arg_2 }}"]}, {"arg_2": "integer"})}
    ),
    "two events": (
        ('> 42["a",1]', '> 42["b",1]'),
        {name: ({**EVENT, "data": [name, "{{ args.arg_1 }}"]}, {"arg_1": "integer"}) for name in "ab"},
    ),
    "another number of arguments": (
        ('> 42["a",1]', '> 42["a",1,2]'),
        {
            "a": ({**EVENT, "data": ["a", "{{ args.arg_1 }}"]}, {"arg_1": "integer"}),
            "a_": ({**EVENT, "data": ["a", "{{ args.arg_1 }}", "{{ args.arg_2 }}"]},
                {"arg_1": "integer", "arg_2": "integer"}),
        },
    ),
    "a namespace, with and without an acknowledgement": (
        ('> 42/chat,["a",1]', '> 42/chat,7["a",1]', '< 43/chat,7["ok"]'),
        {
            "a": ({**EVENT, "namespace": "/chat", "data": ["a", "{{ args.arg_1 }}"]}, {"arg_1": "integer"}),
            "a_": ({**ASKED, "namespace": "/chat", "data": ["a", "{{ args.arg_1 }}"]}, {"arg_1": "integer"}),
        },
    ),
    "names in the syntax of templates": (
        ('> 42["{{ x }}",1]',),
        {"___x___": ({**EVENT, "data": ["{{ '{{ x }}' }}", "{{ args.arg_1 }}"]}, {"arg_1": "integer"})},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "tools"), TOOLS.values(), ids=TOOLS)
def test_each_event_is_a_tool_with_its_arguments(lines: tuple[str, ...], tools: Any) -> None:
    assert tools_of(*lines) == tools
    loaded = load_text(format_json(drafted(*lines)), Path("m.json"), {})
    assert {tool.original_name for tool in loaded.tools["example"]} == tools.keys()


def test_an_event_behind_an_event_is_no_answer_to_it_but_a_feed() -> None:
    document = drafted('> 42["say","hi"]', '< 42["said","hi"]')
    (tool,) = document["tools"]
    assert tool["tool_call_template"]["reply"] == "none"
    assert [feed["name"] for feed in document["feeds"]] == ["said"]


def test_an_acknowledged_object_is_the_message_of_the_preset() -> None:
    (tool,) = drafted('> 420["add",{"a":1}]', "< 430[2]")["tools"]
    assert "tool_call_template" not in tool


@pytest.mark.parametrize(
    "value",
    [
        {"type": "ack", "data": ["a"]},
        {"type": "event"},
        {"type": "event", "data": []},
        {"type": "event", "data": [1]},
        "x",
    ],
)
def test_other_packets_invoke_nothing(value: Any) -> None:
    form = recognize_preset(Recorded(f"{URL}?EIO=4", (), ()))
    assert form is not None
    assert form.invocation(value) is None
