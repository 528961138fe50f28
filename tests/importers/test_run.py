"""A whole import: the manifest, its comment, the report, and refusals."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.errors import ImportFailed
from utcp_ws_mcp.importers.model import Format, ImportOptions
from utcp_ws_mcp.importers.run import COMMENT_LINES, import_document

from .test_openrpc import document, method, param
from .test_programs import CDP, OBS, SERVICES, pair, schemas

URL = "wss://api.example.com/"
OPTIONS = ImportOptions(url=URL)


def test_the_comment_of_a_manifest_is_the_report_of_its_import() -> None:
    result = import_document(document(method("get"), method("getB"), url=1), OPTIONS, "api.json")
    assert result.manifest["$comment"] == [f"Imported from api.json. {result.report[0]}", *result.report[1:]]
    assert [*result.manifest] == ["$comment", "name", "url", "preset", "tools"]
    assert result.manifest["tools"][0]["$comment"].startswith("imported as ")
    assert [each.name for each in result.selection.kept] == ["get", "getB"]


def test_the_comment_of_a_manifest_has_the_first_12_lines_of_a_long_report() -> None:
    broken = [method(f"m{number}", {"name": "x", "schema": {"$ref": f"#/no{number}"}}) for number in range(20)]
    result = import_document(document(method("get"), *broken), OPTIONS, "api.json")
    assert len(result.report) > COMMENT_LINES == 12
    assert result.manifest["$comment"][1:] == result.report[1:12]


def test_fields_that_every_endpoint_needs_are_added_to_each() -> None:
    fields = {"headers": {"X": "y"}, "preset": "mine"}
    result = import_document(document(method("get")), OPTIONS, "api.json", fields=fields)
    assert (result.manifest["headers"], result.manifest["preset"], result.manifest["url"]) == ({"X": "y"}, "mine", URL)
    assert result.description.endpoints[""]["headers"] == {"X": "y"}


def test_files_beside_a_document_are_read_for_its_references() -> None:
    each = method("get", {"name": "x", "schema": {"$ref": "types.json#/T"}})
    result = import_document(document(each), OPTIONS, "api.json", others={"types.json": {"T": {"type": "integer"}}})
    assert result.manifest["tools"][0]["inputs"]["properties"] == {"x": {"type": "integer"}}


@pytest.mark.parametrize(
    ("content", "kind", "expected"),
    [
        (document(method("get")), None, Format.OPENRPC),
        ("type Query { a: Int }", None, Format.GRAPHQL),
        (CDP, None, Format.CDP),
        (OBS, None, Format.OBS),
        (SERVICES, Format.HOMEASSISTANT, Format.HOMEASSISTANT),
        ({"asyncapi": "3.0.0", "openrpc": "1.0.0", "methods": [method("get")]}, Format.OPENRPC, Format.OPENRPC),
    ],
    ids=["openrpc", "graphql", "cdp", "obs", "homeassistant", "given"],
)
def test_a_document_is_read_in_its_format_or_the_one_that_is_given(
    content: Any, kind: Format | None, expected: Format
) -> None:
    assert import_document(content, OPTIONS, "api", kind).description.format is expected


def test_pairs_of_schemas_are_read_from_the_files_beside() -> None:
    files = schemas(a_request=pair(), a_response=pair())
    result = import_document(files, OPTIONS, "folder", Format.JSON_SCHEMA, files)
    assert (result.description.format, len(result.manifest["tools"])) == (Format.JSON_SCHEMA, 1)


def refusal(content: Any, **options: Any) -> ImportFailed:
    with pytest.raises(ImportFailed) as refused:
        import_document(content, ImportOptions(url=URL, **options), "api.json")
    return refused.value


def test_a_choice_of_nothing_says_what_is_left_out_and_skipped() -> None:
    broken = method("bad", param("x"), params=[{"name": "x", "schema": {"$ref": "#/no"}}])
    refused = refusal(document(method("set"), broken), read_only=True)
    assert refused.code == "nothing-to-import"
    assert refused.message == (
        "api.json: nothing is imported. Left out (may change something): set. Skipped bad: the reference '#/no' leads "
        "nowhere. Change --include, --exclude or --tag, or the document."
    )


def test_a_document_without_operations_is_said_to_describe_none() -> None:
    refused = refusal(document())
    assert refused.code == "nothing-to-import"
    assert refused.message == (
        "api.json: nothing is imported: it describes no operation. Give a document that has operations."
    )


def test_a_document_that_is_wrong_as_a_whole_says_why() -> None:
    refused = refusal({"asyncapi": "3.0.0", "info": {"$ref": "#/no"}})
    assert refused.code == "description-malformed"
    assert refused.message == ("api.json cannot be imported: the reference '#/no' leads nowhere. Correct it.")


@pytest.mark.parametrize(
    "error",
    [AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError],
    ids=lambda each: each.__name__,
)
def test_a_part_of_another_form_is_a_refusal_with_the_format(error: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise error("part")

    monkeypatch.setattr("utcp_ws_mcp.importers.cdp.import_cdp", fail)
    refused = refusal({"domains": []})
    assert refused.code == "description-malformed"
    assert refused.message.startswith(
        "api.json is no Chrome DevTools Protocol document that can be read: a part of it has another form than the "
        f"format demands ({error.__name__})."
    )
    assert isinstance(refused.__cause__, error)
