"""What cannot be read says why: no description, two formats, YAML bombs, too large, references."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.authoring import import_sources
from utcp_ws_mcp.errors import ImportFailed
from utcp_ws_mcp.importers import reading
from utcp_ws_mcp.importers.detection import detect
from utcp_ws_mcp.importers.failures import Inexpressible
from utcp_ws_mcp.importers.model import Format
from utcp_ws_mcp.importers.reading import check_size, parse_text
from utcp_ws_mcp.importers.references import References, files_of
from utcp_ws_mcp.importers.urls import fill_variables

from .sides import imported

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{chr(ord(name) - 1)}'] * 9)}]\n" for name in "bcdefghi"
)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"openrpc": ', "description-not-readable"),
        ("a: [1, 2", "description-not-readable"),
        ("a: *missing", "description-not-readable"),
        ("a: !!python/object/apply:os.system [ls]", "description-not-readable"),
        (BOMB, "description-too-large"),
        ("a: &a [*a]", "description-too-large"),
        ("[" * 500 + "]" * 500, "description-too-large"),
        ("[" * 100_000, "description-too-large"),
    ],
)
def test_a_text_that_cannot_be_read_says_why(text: str, code: str) -> None:
    with pytest.raises(ImportFailed) as failed:
        parse_text(text, "api.yaml")
    assert failed.value.code == code
    assert "api.yaml" in str(failed.value)


def test_a_description_that_is_too_large_is_not_read() -> None:
    with pytest.raises(ImportFailed) as failed:
        check_size(100 << 20, "api.json")
    assert failed.value.code == "description-too-large"


def test_yaml_has_the_types_of_version_1_2() -> None:
    text = "yes: no\non: 2024-01-01\n1: 0o7\ntrue: ~\nn: 1_000\nf: 1e3\nv: 1.2.3\n'2': !!str 3"
    assert parse_text(text, "x") == {
        "yes": "no",
        "on": "2024-01-01",
        "1": "0o7",
        "true": None,
        "n": "1_000",
        "f": 1000.0,
        "v": "1.2.3",
        "2": "3",
    }
    assert parse_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", "x")["b"] == {"x": 1, "y": 3}


def test_reading_yaml_without_its_package_names_the_extra(monkeypatch: Any) -> None:
    import builtins

    original = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name in ("yaml_reader", "schema"):  # the modules that import the packages
            raise ImportError(name)
        return original(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    for read in (lambda: parse_text("asyncapi: 3.0.0", "x"), lambda: imported("type Query { a: Int }")):
        with pytest.raises(ImportFailed, match=r"pip install 'utcp-ws-mcp\[import\]'") as failed:
            read()
        assert failed.value.code == "extra-not-installed"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"asyncapi": "3.0.0"}, Format.ASYNCAPI),
        ({"openrpc": "1.0.0"}, Format.OPENRPC),
        ({"core.x": {"params": [], "description": ""}}, Format.OPENRPC),
        ("type Query { a: Int }", Format.GRAPHQL),
        ({"__schema": {}}, Format.GRAPHQL),
        ({"domains": []}, Format.CDP),
        ({"requests": [], "enums": []}, Format.OBS),
        ({"log": {"entries": []}}, Format.HAR),
    ],
)
def test_a_format_is_recognized_by_its_content(document: Any, expected: Format) -> None:
    assert detect(document, "x") is expected


def test_two_formats_at_once_ask_which_one_it_is() -> None:
    with pytest.raises(ImportFailed, match=r"--format asyncapi\) and OpenRPC") as failed:
        detect({"asyncapi": "3.0.0", "openrpc": "1.0.0"}, "x")
    assert failed.value.code == "description-ambiguous"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"openapi": "3.1.0"}, "OpenAPI"),
        ({"manual_call_templates": []}, "manifest already"),
        ({"$schema": "x"}, "single JSON Schema"),
        ({}, "none of AsyncAPI"),
        ([], "none of"),
        (None, "none of"),
        (3, "none of"),
    ],
)
def test_what_is_no_description_says_what_it_is(document: Any, reason: str) -> None:
    with pytest.raises(ImportFailed, match=reason) as failed:
        detect(document, "x")
    assert failed.value.code == "not-a-description"


@pytest.mark.parametrize("text", ["type: object", "schema: 3", "input: {a: 1}", "directive: x\ntype: {a: 1}"])
def test_yaml_that_begins_like_a_graphql_schema_is_yaml(text: str) -> None:
    assert isinstance(parse_text(text, "x"), dict)


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ImportFailed):
        parse_text(text, "x")


# References

ROOT = {
    "a": {"$ref": "#/b"},
    "b": {"$ref": "other.yaml#/x"},
    "loop": {"$ref": "#/loop"},
    "slash/key": {"deep": [1, {"v": 2}]},
    "~x": 1,
}
OTHER = {"x": {"n": {"$ref": "#/y"}, "back": {"$ref": "folder/third.json"}}, "y": 3}


def test_references_are_followed_through_documents_and_keep_their_meaning_elsewhere() -> None:
    references = References(ROOT, {"other.yaml": OTHER, "folder/third.json": {"v": {"$ref": "../other.yaml#/y"}}})
    found = references.follow("#/a")
    assert found["n"] == {"$ref": "other.yaml#/y"}
    assert references.resolve(found["n"]) == 3
    assert references.resolve(references.resolve(found["back"])["v"]) == 3


def test_keys_with_slashes_and_lists_are_found() -> None:
    references = References(ROOT)
    assert references.follow("#/slash~1key/deep/1/v") == 2
    assert references.follow("#/slash/key/deep/0") == 1
    assert references.follow("#/~0x") == 1
    assert references.resolve({"$ref": "#/slash~1key", "own": 1})["own"] == 1


@pytest.mark.parametrize("reference", ["#/nowhere", "#/slash~1key/deep/9", "#/loop", "missing.yaml#/x", "#/~0x/y"])
def test_a_reference_that_leads_nowhere_says_so(reference: str) -> None:
    with pytest.raises(Inexpressible):
        References(ROOT).follow(reference)


def test_the_other_documents_of_a_document_are_listed() -> None:
    assert {*files_of(ROOT)} == {"other.yaml"}
    assert {*files_of(OTHER, "below/other.yaml")} == {"below/folder/third.json"}
    assert {*files_of({"$ref": "https://example.com/x.json#/a"})} == {"https://example.com/x.json"}


def test_the_bounds_are_what_the_message_says() -> None:
    assert f"{reading.MAX_SOURCE_BYTES >> 20} MiB" == "32 MiB"


HOSTILE_REFERENCES = {
    "an index of many digits": "#/list/" + "9" * 5_000,
    "a path of many steps": "#/a" + "/a" * 200_000,
}


@pytest.mark.parametrize("reference", HOSTILE_REFERENCES.values(), ids=HOSTILE_REFERENCES)
def test_a_hostile_reference_leads_nowhere(reference: str) -> None:
    with pytest.raises(Inexpressible, match="leads nowhere"):
        References({"list": [1], "a": {"a": 1}}).follow(reference)


@pytest.mark.parametrize("default", ["${KEY}", "$KEY", "{{ vars.KEY }}", "UTCP_ARG_x_UTCP_ARG"])
def test_the_default_of_a_server_is_no_placeholder_of_the_manifest(default: str) -> None:
    assert fill_variables("wss://a.example/{path}", {"path": {"default": default}}) == "wss://a.example/${PATH}"


OPTIONS = import_sources.SourceOptions(None, None, {}, {}, remote_references=False)


@pytest.mark.parametrize(("files", "is_read"), [(3, True), (4, False)])
async def test_a_folder_with_too_many_schemas_is_not_read(
    files: int, is_read: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_sources, "MAX_SCHEMA_FILES", 3)
    for number in range(files):
        (tmp_path / f"s{number}.json").write_text("{}", encoding="utf-8")
    if is_read:
        source = await import_sources.read_source(str(tmp_path), OPTIONS)
        assert [*source.others] == ["s0.json", "s1.json", "s2.json"]
    else:
        with pytest.raises(ImportFailed, match="it has more than 3 files") as failed:
            await import_sources.read_source(str(tmp_path), OPTIONS)
        assert failed.value.code == "description-too-large"
