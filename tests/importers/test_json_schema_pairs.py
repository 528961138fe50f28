"""Pairs of JSON Schemas: which files belong together, and the tool of a pair."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.errors import ImportFailed
from utcp_ws_mcp.importers.json_schema_pairs import find_pairs, import_json_schemas
from utcp_ws_mcp.importers.model import Description, ImportOptions, Operation, Skipped
from utcp_ws_mcp.importers.references import References

URL = "wss://api.example.com/"


def described(files: dict[str, Any], **options: Any) -> Description:
    given = ImportOptions(**{"url": URL, **options})
    return import_json_schemas(files, References({}, files), given, "folder")


def with_properties(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*required]}


@pytest.mark.parametrize(
    ("request_file", "response_file", "name"),
    [
        ("a_request", "a_response", "a"),
        ("a-req", "a-resp", "a"),
        ("a.send.schema", "a.receive", "a"),
        ("a/input", "a/output", "a"),
        ("a/commands/b", "a/results/b", "a/b"),
        ("v2Request", "v2Reply", "v2"),
        ("v1/a_request", "v1/a_res", "v1/a"),
        ("REQUEST_a", "Response_a", "a"),
        ("request", "response", "call"),
        ("requests", "responses", "call"),
    ],
)
def test_files_of_one_name_are_a_pair(request_file: str, response_file: str, name: str) -> None:
    files = {f"{request_file}.json": {}, f"{response_file}.json": {}, "other.json": {}, "odd_request.json": 3}
    assert find_pairs(files) == ({name: (f"{request_file}.json", f"{response_file}.json")}, [])


@pytest.mark.parametrize("name", ["requested", "prerequest", "a_sender", "myrequest", "outputs2"])
def test_a_word_that_only_contains_one_of_a_pair_is_none(name: str) -> None:
    assert find_pairs({f"{name}.json": {}, "response.json": {}}) == ({}, [])


def test_a_request_without_its_response_is_skipped() -> None:
    files = {"a_request.json": {}, "a_response.json": {}, "b_request.json": {}, "c_response.json": {}}
    assert find_pairs(files)[1] == ["b_request.json"]
    assert described(files).skipped == [Skipped("b_request.json", "its file has no partner")]


def test_a_pair_is_a_whole_tool() -> None:
    request = with_properties(
        "ask", ask={"const": 1}, id={"type": "string"}, when={"const": 2}, zone={"type": "string"}
    )
    files = {
        "v1/delete_all_request.json": {**request, "title": "Delete all"},
        "v1/delete_all_response.json": with_properties(id={"type": "string"}, time={"type": "string"}),
        "v1/get_request.json": {"type": "object", "description": "Gets it."},
        "v1/get_response.json": {},
    }
    result = described(files)
    assert result.operations == [
        Operation(
            "delete_all",
            tool={
                "name": "delete_all",
                "description": "Delete all.",
                "inputs": {
                    "type": "object",
                    "properties": {"when": {"const": 2}, "zone": {"type": "string"}},
                    "additionalProperties": False,
                },
                "annotations": {"readOnlyHint": False, "destructiveHint": True},
                "tool_call_template": {
                    "message": {
                        "ask": 1,
                        "id": "{{ request_id }}",
                        "when": "{{ args.when }}",
                        "zone": "{{ args.zone }}",
                    },
                    "reply": {
                        "match": "message.id == request_id",
                        "error": "message.error",
                        "error_message": "message.error.message | default(message.error) | default(message.message)",
                        "result": "message.time",
                    },
                },
            },
        ),
        result.operations[1],
    ]
    assert result.operations[1].name == "get"
    assert result.operations[1].read_only
    assert result.operations[1].tool is not None
    assert result.operations[1].tool["description"] == "Gets it."
    assert result.operations[1].tool["annotations"] == {"readOnlyHint": True}


def test_constants_below_what_is_required_are_sent() -> None:
    request = with_properties("head", head=with_properties(op={"const": 1}), zone={"const": 2})
    (operation,) = described({"a_request.json": request, "a_response.json": {}}).operations
    assert operation.tool is not None
    assert operation.tool["tool_call_template"]["message"] == {"head": {"op": 1}, "zone": "{{ args.zone }}"}


def test_a_folder_is_an_endpoint_without_counter_if_its_ids_are_texts() -> None:
    files = {"a_request.json": with_properties(id={"type": "string"}), "a_response.json": with_properties(id={})}
    result = described(files)
    assert result.endpoints == {"": {"url": URL, "response_format": "json"}}
    assert (result.title, result.notes) == ("folder", [f"Endpoint: {URL}."])


@pytest.mark.parametrize("first", ["a", "z"])
def test_one_id_that_is_a_number_makes_all_of_them_numbers(first: str) -> None:
    number, text = with_properties(id={"type": "integer"}), with_properties(id={"type": "string"})
    files = {"z_request.json": text, "z_response.json": text}
    own = {"a_request.json": number, "a_response.json": number}
    result = described({**own, **files} if first == "a" else {**files, **own}, preset="mine")
    assert result.endpoints[""] == {
        "url": URL, "response_format": "json", "request_id": "counter", "preset": "mine"
    }  # fmt: skip


def test_pairs_of_one_name_in_several_folders_are_tools_of_two_names() -> None:
    files = {f"{folder}/a b_{kind}.json": {} for folder in ("x", "y") for kind in ("request", "response")}
    assert [each.name for each in described(files).operations] == ["a_b", "a_b_2"]


def test_a_pair_that_cannot_be_expressed_is_skipped_and_no_other() -> None:
    odd = with_properties(x={"$ref": "missing.json"})
    files = {"a_request.json": odd, "a_response.json": {}, "b_request.json": {}, "b_response.json": {}}
    result = described(files)
    assert [each.name for each in result.operations] == ["b"]
    assert [(each.name, "not available" in each.reason) for each in result.skipped] == [("a", True)]


def test_a_folder_without_pairs_says_how_files_are_called() -> None:
    with pytest.raises(ImportFailed) as refused:
        described({"a.json": {}})
    assert (
        "folder has no pairs of JSON Schemas: no two files are called like NAME_request.json and NAME_response.json, "
        "or NAME/send.json and NAME/receive.json. Give a file with a description."
    ) in str(refused.value)


def test_a_folder_names_no_server() -> None:
    with pytest.raises(ImportFailed) as refused:
        described({"a_request.json": {}, "a_response.json": {}}, url=None)
    assert refused.value.code == "server-missing"
