"""What a tool promises for its structured content in each era."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import pytest

from utcp_ws_mcp.core.tools.catalog import compile_entry
from utcp_ws_mcp.core.tools.tool import CompiledTool
from utcp_ws_mcp.manifest.loader import load_document
from utcp_ws_mcp.manifest.variables import VariableResolver
from utcp_ws_mcp.server.outputs import promise_of, promised_schema
from utcp_ws_mcp.server.result import Promise

OBJECT = {"type": "object", "properties": {"a": {"type": "integer"}}}
ARRAY = {"type": "array"}


def tool_of(outputs: Any, **template: Any) -> CompiledTool:
    own = {"response_format": "json", **template}
    tool = {"name": "t", **({"outputs": outputs} if outputs is not None else {}), "tool_call_template": own}
    document = [{"name": "m", "url": "wss://own.example/ws", "tools": [tool]}]
    (compiled,), problems = compile_entry(
        load_document(document, VariableResolver([]), "m.json", PurePath()).entries[0]
    )
    assert not problems
    return compiled


def located(keyword: str, value: Any) -> dict[str, Any]:
    return {"type": "array", "items": {keyword: value}}


@pytest.mark.parametrize(
    ("outputs", "template", "promise"),
    [
        (OBJECT, {}, Promise.VALUE),
        (ARRAY, {}, Promise.WRAPPED),
        ({"type": "integer"}, {}, Promise.WRAPPED),
        (None, {}, Promise.NOTHING),
        ({}, {}, Promise.NOTHING),
        (OBJECT, {"response_format": "text"}, Promise.NOTHING),
        (OBJECT, {"stream": True}, Promise.NOTHING),
        ({"type": ["object", "null"]}, {}, Promise.NOTHING),
        ({"type": "null"}, {}, Promise.NOTHING),
        ({"anyOf": [OBJECT, ARRAY]}, {}, Promise.WRAPPED),
        ({**located("$ref", "#/$defs/a"), "$defs": {"a": {}}}, {}, Promise.WRAPPED),
        ({**located("$ref", "#/definitions/a"), "definitions": {"a": {}}}, {}, Promise.WRAPPED),
        ({**located("$ref", "#/items/a"), "items": {"a": {}}}, {}, Promise.WRAPPED),
        (
            {"type": "array", "items": {"anyOf": [{"$ref": "#/prefixItems/0"}]}, "prefixItems": [{}]},
            {},
            Promise.NOTHING,
        ),
        (located("$anchor", "x"), {}, Promise.NOTHING),
        (located("title", "x"), {}, Promise.WRAPPED),
    ],
)
def test_a_promise_is_made_where_it_can_be_kept(outputs: Any, template: dict[str, Any], promise: Promise) -> None:
    tool = tool_of(outputs, **template)
    assert promise_of(tool) is promise
    assert tool.has_structured_output or promise is Promise.NOTHING
    for modern in (True, False):
        assert (promised_schema(tool, modern=modern) is None) is (promise is Promise.NOTHING)


def test_a_value_that_is_no_object_is_wrapped_in_the_handshake_revisions_only() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "array",
        "items": {"$ref": "#/$defs/a"},
        "$defs": {"a": {"type": "integer"}},
        "definitions": {"b": {}},
    }
    tool = tool_of(schema)
    assert promised_schema(tool, modern=True) == schema
    assert promised_schema(tool, modern=False) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"a": {"type": "integer"}},
        "definitions": {"b": {}},
        "type": "object",
        "properties": {"result": {"type": "array", "items": {"$ref": "#/$defs/a"}}},
        "required": ["result"],
    }


def test_an_object_is_promised_as_it_is_in_both_eras() -> None:
    tool = tool_of(OBJECT)
    for modern in (True, False):
        promised = promised_schema(tool, modern=modern)
        assert promised == OBJECT
        assert promised is not tool.outputs


def test_the_tools_of_a_feed_have_structured_content() -> None:
    document = [{"name": "m", "url": "wss://own.example/ws", "feeds": [{"name": "f", "match": "true"}]}]
    compiled, _ = compile_entry(load_document(document, VariableResolver([]), "m.json", PurePath()).entries[0])
    (tool,) = (tool for tool in compiled if tool.feed is not None)
    assert tool.has_structured_output
