"""What endpoints without OpenRPC say of their methods, rewritten as OpenRPC."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.importers.openrpc.introspection import as_openrpc, recognize, unwrap

TEXT = {"type": "string"}
REF = {"$ref": "#/components/schemas/Base"}


def kodi_schema(schema: Any) -> Any:
    """Return what a type of Kodi becomes."""
    answer = as_openrpc({"methods": {}, "types": {"T": schema}})
    return answer["components"]["schemas"]["T"]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ("integer", {"type": "integer"}),
        ("any", {}),
        ("null", {}),
        (3, {}),
        (None, {}),
        ({"type": "string", "id": "T", "name": "t", "required": True, "minLength": 1}, {**TEXT, "minLength": 1}),
        ({"type": "any", "default": 1}, {"default": 1}),
        ({"type": 3}, {}),
        ({"type": ["null", "string", {"$ref": "Base"}]}, {"anyOf": [{}, {"type": "string"}, REF]}),
        ({"$ref": "Base", "type": "object", "description": "It."}, {**REF, "description": "It."}),
        ({"extends": "Base", "type": "object"}, {"type": "object", "allOf": [REF]}),
        (
            {"extends": ["Base", "Other", 3], "type": "object"},
            {"type": "object", "allOf": [REF, {"$ref": "#/components/schemas/Other"}]},
        ),
        ({"extends": 3, "$ref": "Base", "type": "object"}, {"type": "object"}),
        (
            {"properties": {"a": {"type": "integer", "required": True}, "b": "string", "c": {"$ref": "Base"}}},
            {"properties": {"a": {"type": "integer"}, "b": TEXT, "c": REF}, "required": ["a"]},
        ),
        (
            {"type": "object", "properties": {"a": {"required": False}, "b": {"required": "yes"}}},
            {"type": "object", "properties": {"a": {}, "b": {}}},
        ),
        (
            {"type": "object", "patternProperties": {"^a": {"type": "integer", "required": True}}},
            {"type": "object", "patternProperties": {"^a": {"type": "integer"}}},
        ),
        ({"type": "object", "properties": 3}, {"type": "object", "properties": 3}),
        ({"type": "array", "items": {"$ref": "Base"}}, {"type": "array", "items": REF}),
        ({"type": "array", "items": [1]}, {"type": "array", "items": [1]}),
        (
            {"type": "object", "additionalProperties": {"type": "any", "name": "x"}},
            {"type": "object", "additionalProperties": {}},
        ),
        ({"type": "object", "additionalProperties": False}, {"type": "object", "additionalProperties": False}),
    ],
    ids=str,
)  # fmt: skip
def test_a_schema_of_kodi_becomes_one_of_today(schema: Any, expected: Any) -> None:
    assert kodi_schema(schema) == expected


def test_the_answer_of_kodi_is_rewritten_whole() -> None:
    params = [{"name": "id", "required": True, "type": "integer"}, {"name": "on", "type": "boolean"}, "odd"]
    answer = {
        "methods": {
            "A.Read": {"description": "Reads.", "params": params, "returns": "string", "permission": "ReadData"},
            "A.Write": {"permission": "ControlPlayback"},
            "A.Open": {"params": 3},
            "odd": 3,
        },
        "types": {"T": "string"},
        "notifications": {"A.Read": {}, "A.Written": {}},
    }
    result = {"name": "result", "schema": {}}
    assert as_openrpc({"jsonrpc": "2.0", "result": answer}) == {
        "openrpc": "1.2.6",
        "info": {"title": "Kodi"},
        "methods": [
            {
                "name": "A.Read",
                "description": "Reads.",
                "paramStructure": "by-name",
                "params": [
                    {"name": "id", "required": True, "schema": {"type": "integer"}},
                    {"name": "on", "required": False, "schema": {"type": "boolean"}},
                ],
                "result": {"name": "result", "schema": {"type": "string"}},
                "x-read-only": True,
            },
            {
                "name": "A.Write",
                "description": "",
                "paramStructure": "by-name",
                "params": [],
                "result": result,
                "x-read-only": False,
            },
            {"name": "A.Open", "description": "", "paramStructure": "by-name", "params": [], "result": result},
        ],
        "notifications": [{"name": "A.Read"}, {"name": "A.Written"}],
        "components": {"schemas": {"T": {"type": "string"}}},
    }


def test_kodi_may_notify_of_nothing() -> None:
    assert as_openrpc({"methods": {}, "types": {}})["notifications"] == []


def test_the_answer_of_mopidy_is_rewritten_whole() -> None:
    params = [
        {"name": "uri"},
        {"name": "at", "default": None},
        {"name": "count", "default": 1},
        {"name": "rest", "varargs": True},
        {"name": "named", "kwargs": True},
        "odd",
    ]
    answer = {
        "core.add": {"description": "Adds.", "params": params},
        "core.old": {"description": "\n  .. Deprecated:: 1.0", "params": []},
        "core.older": {"description": "DEPRECATED.", "params": []},
        "core.other": {"description": "Not deprecated.", "params": []},
        "core.silent": {"description": None, "params": []},
    }
    rewritten = as_openrpc(answer)
    assert rewritten["methods"][0] == {
        "name": "core.add",
        "description": "Adds.",
        "paramStructure": "by-name",
        "params": [
            {"name": "uri", "required": True, "schema": {}},
            {"name": "at", "required": False, "schema": {}},
            {"name": "count", "required": False, "schema": {"default": 1}},
        ],
        "result": {"name": "result"},
        "deprecated": False,
    }
    assert [each["deprecated"] for each in rewritten["methods"]] == [False, True, True, False, False]
    assert rewritten["methods"][-1]["description"] == ""
    assert {key: rewritten[key] for key in ("openrpc", "info", "x-preset")} == {
        "openrpc": "1.2.6", "info": {"title": "Mopidy"}, "x-preset": "mopidy"
    }  # fmt: skip


def test_the_answer_of_truenas_is_rewritten_whole() -> None:
    accepts = [
        {"_name_": "id", "title": "ID", "type": "integer"},
        {"title": "options", "default": {}, "_note_": "x"},
        {"_required_": False, "type": "string"},
        {"_required_": True, "default": 1},
        "odd",
    ]
    answer = {
        "pool.create": {"description": "Creates.", "cli_description": "No.", "accepts": accepts, "job": True},
        "pool.query": {"cli_description": "Lists.", "accepts": None},
        "pool.get_instance": {"returns": []},
        "pool.config": {"returns": []},
        "pool.getThing": {"returns": []},
    }
    rewritten = as_openrpc(answer)
    assert rewritten["methods"][0] == {
        "name": "pool.create",
        "description": "Creates.",
        "paramStructure": "by-position",
        "params": [
            {"name": "id", "required": True, "schema": {"title": "ID", "type": "integer"}},
            {"name": "options", "required": False, "schema": {"title": "options", "default": {}}},
            {"name": "argument_3", "required": False, "schema": {"type": "string"}},
            {"name": "argument_4", "required": True, "schema": {"default": 1}},
        ],
        "result": {"name": "job"},
        "x-read-only": False,
    }
    assert [(each["description"], each["x-read-only"]) for each in rewritten["methods"][1:]] == [
        ("Lists.", True),
        ("", True),
        ("", True),
        ("", True),
    ]
    assert rewritten["methods"][1]["result"] == {"name": "result"}
    assert (rewritten["openrpc"], rewritten["info"]) == ("1.2.6", {"title": "TrueNAS"})


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"methods": {}},
        {"methods": [], "types": {}},
        {"core.add": {"description": "Adds."}},
        {"core.add": {"params": []}},
        {"core.add": {"description": "Adds.", "params": {}}},
        {"add": {"description": "Adds.", "params": []}},
        {"core.add": {"description": "Adds.", "params": []}, "core.odd": 3},
        {"pool.query": {"accepts": []}, "pool.other": {}},
        {"openrpc": "1.0", "methods": []},
    ],
    ids=str,
)
def test_what_is_no_such_answer_stays_as_it_is(document: Any) -> None:
    assert recognize(document) is None
    assert as_openrpc(document) is document


@pytest.mark.parametrize("document", [{"result": 1}, {"jsonrpc": "2.0", "error": {}}, "result jsonrpc", None])
def test_what_is_no_reply_is_not_unwrapped(document: Any) -> None:
    assert unwrap(document) is document


def test_a_reply_is_unwrapped() -> None:
    assert unwrap({"jsonrpc": "2.0", "id": 1, "result": [3]}) == [3]
