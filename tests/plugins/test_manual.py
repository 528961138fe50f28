"""The manual that UTCP's client gets, and the documents that its call templates become."""

from __future__ import annotations

import logging
from pathlib import PurePath
from typing import Any

import pytest
from utcp.data.call_template import CallTemplateSerializer
from utcp.exceptions import UtcpSerializerValidationError
from utcp.plugins.discovery import register_call_template

from tests.plugins.test_client import FileManuals
from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.core.tools.tool import CompiledTool
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import VariableResolver
from utcp_ws_mcp.plugins.utcp import register
from utcp_ws_mcp.plugins.utcp.manual import build_manual
from utcp_ws_mcp.plugins.utcp.template import WebSocketCallTemplateSerializer, escape_dollars, to_manifest

URL = "wss://api.example.com/ws"


@pytest.fixture(autouse=True)
def _registered() -> None:
    register()
    register_call_template("file", FileManuals())


def template(url: str = URL, **fields: Any) -> Any:
    document = {"name": "m", "call_template_type": "websocket", "url": url, **fields}
    return CallTemplateSerializer().validate_dict(document)


def compiled(*tools: dict[str, Any]) -> list[CompiledTool]:
    document = [{"name": "m", "url": URL, "tools": list(tools)}]
    found, problems = compile_entry(load_document(document, VariableResolver([]), "m.json", PurePath()).entries[0])
    assert not problems
    return found


def test_a_tool_has_all_that_its_manual_says_of_it() -> None:
    tool = {
        "name": "a",
        "description": "A tool.",
        "tags": ["x"],
        "inputs": {"type": "object", "properties": {"n": {"type": "integer"}}},
        "outputs": {"type": "object"},
    }
    raw = {**tool, "average_response_size": 7, "tool_call_template": {"timeout": 5, "headers": None}}
    manual = build_manual(template(), {"tools": [raw], "manual_version": "2.1"}, compiled(tool))
    (built,) = manual.tools
    assert manual.manual_version == "2.1"
    assert (built.name, built.description, built.tags, built.average_response_size) == ("a", "A tool.", ["x"], 7)
    assert built.inputs.model_dump(exclude_unset=True) == tool["inputs"]
    assert built.outputs.model_dump(exclude_unset=True) == {"type": "object"}
    own = built.tool_call_template
    assert (own.name, own.call_template_type, own.url, own.timeout, own.headers) == ("m", "websocket", URL, 5, None)


def test_a_tool_keeps_the_url_of_its_own_and_gets_the_name_of_its_manual() -> None:
    other = {"url": "wss://other.example.com/", "name": "own", "call_template_type": "websocket"}
    manual = build_manual(template(), {"tools": [{"name": "a", "tool_call_template": other}]}, compiled({"name": "a"}))
    own = manual.tools[0].tool_call_template
    assert (own.url, own.name) == ("wss://other.example.com/", "m")


@pytest.mark.parametrize(
    "document", [{}, {"tools": None}, {"tools": [5, {}, {"name": 7}]}, {"tools": [{"name": "other"}]}]
)
def test_a_tool_that_the_document_does_not_list_has_the_template_of_its_manual(document: Any) -> None:
    manual = build_manual(template(), {**document, "manual_version": 2}, compiled({"name": "a"}))
    (built,) = manual.tools
    assert manual.manual_version == "1.0.0"
    assert (built.tool_call_template.url, built.average_response_size) == (URL, None)


@pytest.mark.parametrize("size", ["7", 7.5, None])
def test_a_size_that_is_no_integer_is_left_out(size: Any) -> None:
    raw = {"name": "a", "average_response_size": size}
    assert build_manual(template(), {"tools": [raw]}, compiled({"name": "a"})).tools[0].average_response_size is None


def test_a_schema_that_utcp_cannot_hold_is_reduced_to_its_type() -> None:
    tools = compiled({"name": "a", "inputs": {"type": "object", "properties": {"n": True}}})
    assert build_manual(template(), {}, tools).tools[0].inputs.model_dump(exclude_unset=True) == {"type": "object"}


FILE = {"name": "x", "tool_call_template": {"call_template_type": "file", "file_path": "x"}}
LOCAL = "http://127.0.0.1:1/"


def handed_on(own: Any, url: str = URL, allowed: list[str] | None = None) -> list[str]:
    manual = template(url, allowed_communication_protocols=["websocket", "file"] if allowed is None else allowed)
    return [tool.name for tool in build_manual(manual, {"tools": [{"name": "x", "tool_call_template": own}]}, ()).tools]


@pytest.mark.parametrize(
    ("own", "names"),
    [
        (FILE["tool_call_template"], ["x"]),
        ({"call_template_type": "http"}, []),
        ({"call_template_type": "websocket", "url": URL}, []),
        ("file", []),
        (None, []),
        ({"call_template_type": "file", "url": "http://a.example/"}, ["x"]),
        ({"call_template_type": "file", "url": 7}, ["x"]),
        ({"call_template_type": "file", "url": "no url"}, ["x"]),
    ],
)
def test_a_tool_of_an_allowed_type_is_handed_on(own: Any, names: list[str]) -> None:
    assert handed_on(own) == names
    assert handed_on(own, allowed=["websocket"]) == []
    assert handed_on(own, allowed=[]) == []


@pytest.mark.parametrize(
    "own",
    [
        {"call_template_type": "file", "url": LOCAL},
        {"call_template_type": "file", "auth": {"token_url": LOCAL}},
        {"call_template_type": "file", "url": "http://a.example/", "auth": {"token_url": LOCAL}},
        {"call_template_type": "file", "url": "ws://[::1]/"},
    ],
)
def test_a_manual_from_elsewhere_reaches_nothing_on_this_machine(own: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert handed_on(own) == []
    assert caplog.messages == [
        "m: the tool 'x' of a manual from elsewhere has a URL on this machine. Tool skipped. [remote-tool-invalid]"
    ]


def test_a_tool_that_utcp_cannot_read_is_left_out_and_the_next_one_is_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    manual = template(allowed_communication_protocols=["file"])
    broken = {"name": "b", "tags": 7, "tool_call_template": {"call_template_type": "file"}}
    assert [tool.name for tool in build_manual(manual, {"tools": [broken, FILE]}, ()).tools] == ["x"]
    assert caplog.messages == ["m: utcp cannot read the tool 'b'. Tool skipped. [remote-tool-invalid]"]


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("plain", "plain"),
        ("$NAME", "${DOLLAR}NAME"),
        ("${NAME}", "$${NAME}"),
        ("a ${NAME} b ${B}", "a $${NAME} b $${B}"),
        ("cost: $5", "cost: $5"),
        ({"a": ["${X}", 1, None]}, {"a": ["$${X}", 1, None]}),
        (("$X", True), ["${DOLLAR}X", True]),
    ],
)
def test_no_dollar_sign_begins_a_variable_of_the_manifest(value: Any, escaped: Any) -> None:
    assert escape_dollars(value) == escaped


def test_the_document_of_a_call_template_has_its_fields_but_those_of_the_client() -> None:
    document = to_manifest(template(timeout=5, allowed_communication_protocols=["websocket"], own={"a": "${X}"}))
    assert document == {
        "pin": "off",
        "name": "m",
        "call_template_type": "websocket",
        "url": URL,
        "timeout": 5,
        "own": {"a": "$${X}"},
    }
    assert to_manifest(template(pin="on"))["pin"] == "on"


def test_a_call_template_that_is_invalid_says_where_and_shows_no_value() -> None:
    with pytest.raises(UtcpSerializerValidationError) as refused:
        WebSocketCallTemplateSerializer().validate_dict(
            {"url": URL, "timeout": 0, "headers": {"x": 7}, "keep_alive": "s3cret"}
        )
    text = str(refused.value)
    assert [part.partition(":")[0] for part in text.split("; ")] == ["keep_alive", "timeout", "headers.x"]
    assert "s3cret" not in text


@pytest.mark.parametrize(
    ("url", "fields", "is_accepted"),
    [
        ("ws://10.0.0.1/", {}, False),
        ("ws://10.0.0.1/", {"network": {"allow": ["private"], "plaintext": True}}, True),
        ("ws://$HOST/", {}, True),
        ("ws://{{ args.host }}/", {}, True),
        ("ws://UTCP_ARG_host_UTCP_ARG/", {}, True),
        ("wss://a.example/", {"network": None}, True),
    ],
)
def test_a_url_is_checked_unless_it_is_not_known_yet(url: str, fields: Any, is_accepted: bool) -> None:
    if is_accepted:
        assert template(url, **fields).url == url
    else:
        with pytest.raises(UtcpSerializerValidationError, match="this WebSocket URL cannot be used"):
            template(url, **fields)


def test_a_call_template_shows_only_its_name() -> None:
    assert repr(template(headers={"x": "s3cret"})) == "WebSocketCallTemplate(name='m')"
