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
from utcp_ws_mcp.importers.model import Format, ImportOptions
from utcp_ws_mcp.importers.reading import check_size, parse_text, parse_yaml
from utcp_ws_mcp.importers.references import References, files_of, join_reference
from utcp_ws_mcp.importers.run import import_document
from utcp_ws_mcp.importers.urls import fill_variables, shown_url
from utcp_ws_mcp.importers.yaml_reader import TooManyValues, read_yaml

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
def test_a_text_that_cannot_be_read_says_why(text: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_VALUES", 20_000)
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


FOREIGN = {
    "<!doctype html>\n<html>…": "HTML or XML",
    "\n  <?xml version='1.0'?><a/>": "HTML or XML",
    '// ours\nsyntax = "proto3";\nenum A { B = 0; }': "a Protobuf schema",
    '/* ours\n   too */ // and\n\n  syntax = "proto3";\nenum A { B = 0; }': "a Protobuf schema",
    "syntax='proto2';\nmessage A { }": "a Protobuf schema",
}


@pytest.mark.parametrize(("text", "what"), FOREIGN.items(), ids=FOREIGN.values())
def test_a_text_of_another_kind_is_called_by_its_name(text: str, what: str) -> None:
    with pytest.raises(ImportFailed, match=f"it is {what}"):
        parse_text(text, "file")


@pytest.mark.parametrize("begin", ["", "# ours\n"])
def test_a_description_may_contain_a_protobuf_schema(begin: str) -> None:
    text = f'{begin}asyncapi: 3.0.0\nschema: |\n  // ours\n  syntax = "proto3";\n  message A {{ string b = 1; }}\n'
    assert parse_text(text, "file")["asyncapi"] == "3.0.0"


@pytest.mark.parametrize("text", ["any words", "query { hello }", "42"])
def test_words_are_no_graphql_schema(text: str) -> None:
    with pytest.raises(ImportFailed, match="it is none of AsyncAPI"):
        detect(parse_text(text, "file"), "file")


def test_the_saved_answer_of_rpc_discover_is_openrpc() -> None:
    answer = {"jsonrpc": "2.0", "id": 1, "result": {"openrpc": "1.2.6", "methods": [{"name": "f", "params": []}]}}
    result = import_document(answer, ImportOptions(url="wss://a.example.com/"), "file")
    assert result.manifest["preset"] == "jsonrpc2"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ws://u:p4ssword@a.example/x?token=t#f", "ws://a.example/x"),
        ("http://u@a.example", "http://a.example"),
        ("wss://a.example/x@y", "wss://a.example/x@y"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert shown_url(url) == shown


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
    url = fill_variables("wss://a.example/{path}", {"path": {"default": default}}, "Shop")
    assert url == "wss://a.example/${SHOP_PATH}"


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


# Bounds


def nested(levels: int) -> str:
    return "[" * levels + "1" + "]" * levels


@pytest.mark.parametrize("form", ["{}", "- {}", " \t\r\n\ufeff{}"])
def test_a_description_may_have_200_levels(form: str) -> None:
    own = form.startswith("-")
    parse_text(form.replace("{}", nested(200 - own)), "x")
    with pytest.raises(ImportFailed, match="or 200 levels"):
        parse_text(form.replace("{}", nested(201 - own)), "x")


@pytest.mark.parametrize(("size", "fits"), [(32 << 20, True), ((32 << 20) + 1, False)])
def test_a_description_may_have_32_mebibytes(size: int, fits: bool) -> None:
    if fits:
        check_size(size, "x")
    else:
        with pytest.raises(ImportFailed, match=r"x is too large: it has more than 32 MiB, 4,000,000 values or 200"):
            check_size(size, "x")


@pytest.mark.parametrize(("values", "fits"), [(6, True), (5, False)])
def test_each_value_of_a_yaml_document_counts_as_often_as_it_is_referred_to(values: int, fits: bool) -> None:
    text = "a: &a [x]\nb: *a\nc: 1"  # the object, two lists of one value, a number
    if fits:
        assert read_yaml(text, values) == {"a": ["x"], "b": ["x"], "c": 1}
    else:
        with pytest.raises(TooManyValues):
            read_yaml(text, values)


def test_parts_of_a_yaml_document_that_are_shared_are_copied() -> None:
    document = read_yaml("a: &a {x: 1}\nb: *a", 99)
    document["a"]["x"] = 2
    assert document["b"] == {"x": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("~", None),
        ("null", None),
        ("NULL", None),
        ("", None),
        ("True", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        ("-12", -12),
        ("+12", 12),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("-1e3", -1000.0),
        ("12:30", "12:30"),
        ("0x1F", "0x1F"),
        ("!!binary aGk=", "b'hi'"),
        ("!!timestamp 2024-01-01", "2024-01-01"),
        ("2024-01-01", "2024-01-01"),
    ],
)
def test_a_yaml_scalar_has_the_value_that_version_1_2_gives_it(text: str, value: Any) -> None:
    found = read_yaml(f"v: {text}", 9)["v"]
    assert (found, type(found)) == (value, type(value))


def test_keys_of_yaml_are_what_json_would_have() -> None:
    assert read_yaml("{200: a, true: b, null: c, 1.5: d, x: e}", 9) == {
        "200": "a", "true": "b", "null": "c", "1.5": "d", "x": "e"
    }  # fmt: skip
    assert read_yaml("? [a, b]\n: c", 9) == {"['a', 'b']": "c"}


@pytest.mark.parametrize("text", ["a: \x00", "a: b\x07"])
def test_characters_that_yaml_does_not_have_are_refused(text: str) -> None:
    with pytest.raises(ImportFailed, match=r"neither JSON, YAML nor a GraphQL schema \(.+\)\. Correct it\."):
        parse_text(text, "api.yaml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{\n"a": ', "it is not JSON (Expecting value in line 2). Correct it there."),
        ("a: b\nc: [1\n", "it is neither JSON, YAML nor a GraphQL schema (did not find expected ',' or ']' in line 3)"),
        ("a: !!int x", "it is neither JSON, YAML nor a GraphQL schema (invalid literal for int()"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(ImportFailed) as failed:
        parse_text(text, "api.yaml")
    assert f"api.yaml cannot be read: {reason}" in str(failed.value)
    assert failed.value.code == "description-not-readable"


@pytest.mark.parametrize(
    ("text", "is_schema"),
    [
        ("type Query { a: Int }", True),
        ('"""type: object"""\ntype Query { a: Int }', True),
        ("# key: value\nschema { query: Q }", True),
        ("extend type Query @x { a: Int }", True),
        ("interface A\n{ a: Int }", True),
        ("\ufeff  union A = B | C\ninput D { a: Int }", True),
        ("type of\ntext", False),
        ("'name': x\ntype: {a: Int}", False),
        ("- type: {a: 1}", False),
        ('"type Query { a: Int }"', False),
        ("# type Query { a: Int }\nx", False),
    ],
)
def test_a_graphql_schema_is_recognized_by_its_definitions(text: str, is_schema: bool) -> None:
    if is_schema:
        assert parse_text(text, "x") == text.lstrip("\ufeff ")
    else:
        assert parse_text(text, "x") == parse_yaml(text, "x")


# Recognition


@pytest.mark.parametrize(
    "document",
    [
        {"requests": []},
        {"enums": []},
        {"log": {}},
        {"log": {"entries": {}}},
        {"log": []},
        {"data": {"__schema": []}},
        {"data": []},
        {"__schema": None},
    ],
    ids=str,
)
def test_what_has_only_a_part_of_a_format_is_not_of_this_format(document: Any) -> None:
    with pytest.raises(ImportFailed) as failed:
        detect(document, "api.json")
    assert str(failed.value).startswith("api.json cannot be imported: it is none of AsyncAPI, OpenRPC, GraphQL, Chrome")
    assert "Give the file or URL of such a description." in str(failed.value)


def test_graphql_introspection_may_be_a_whole_reply() -> None:
    assert detect({"data": {"__schema": {}}}, "x") is Format.GRAPHQL


@pytest.mark.parametrize("key", ["openapi", "swagger"])
def test_a_description_of_http_is_said_to_be_one(key: str) -> None:
    with pytest.raises(
        ImportFailed, match=r"x cannot be imported: it is an? \w+ document, which describes HTTP and no"
    ):
        detect({key: "3.0.0"}, "x")


def test_the_formats_of_an_ambiguous_document_are_named_with_their_options() -> None:
    with pytest.raises(ImportFailed) as failed:
        detect({"domains": [], "openrpc": "1", "asyncapi": "3"}, "x")
    assert (
        "x is ambiguous: it looks like AsyncAPI (--format asyncapi) and OpenRPC (--format openrpc) and "
        "Chrome DevTools Protocol (--format cdp). Say which one it is with --format."
    ) in str(failed.value)


# References


def chain(length: int) -> dict[str, Any]:
    links = {f"r{number}": {"$ref": f"#/r{number + 1}"} for number in range(length)}
    return {**links, f"r{length}": "end"}


def test_up_to_49_references_lead_from_one_to_the_next() -> None:
    assert References(chain(49)).follow("#/r0") == "end"
    with pytest.raises(Inexpressible, match="the reference '#/r0' leads to itself"):
        References(chain(50)).follow("#/r0")


def test_a_pointer_has_up_to_100_steps() -> None:
    document: Any = "end"
    for _ in range(101):
        document = {"a": document}
    below = document["a"]
    assert References(below).follow("#" + "/a" * 100) == "end"
    with pytest.raises(Inexpressible, match="leads nowhere"):
        References(document).follow("#" + "/a" * 101)


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("#", "whole"),
        ("#/list/1", "b"),
        ("#/list/2", None),
        ("#/list/x", None),
        ("#/list/-1", None),
        ("#/list/0000000001", None),
        ("#/list/000000001", "b"),
        ("#/text/0", None),
        ("#/a%20b", "space"),
        ("#/a~1b/c", "slash"),
        ("#/a/b/c", "slash"),
        ("#/m~0n", "tilde"),
        ("#/~01", "zero"),
        ("#/a~1b", {"c": "slash"}),
        ("#/raw~1key", "raw"),
        ("#/empty/", "empty"),
    ],
)
def test_a_pointer_means_the_value_at_its_steps(pointer: str, expected: Any) -> None:
    document = {
        "list": ["a", "b"],
        "text": "x",
        "a b": "space",
        "a/b": {"c": "slash"},
        "m~n": "tilde",
        "~1": "zero",
        "raw~1key": "raw",
        "empty": {"": "empty"},
    }
    references = References(document)
    if expected is None:
        with pytest.raises(Inexpressible, match="leads nowhere"):
            references.follow(pointer)
    else:
        assert references.follow(pointer) == (document if expected == "whole" else expected)


def test_what_is_no_reference_means_itself() -> None:
    references = References({"text": "x", "object": {"a": 1, "b": 2}})
    for value in ("x", 3, None, [{"$ref": "#/text"}], {"a": 1}, {"$ref": 3}):
        assert references.resolve(value) is value
    assert references.resolve({"$ref": "#/text", "own": 1}) == "x"
    assert references.resolve({"$ref": "#/object", "b": 3}) == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("reference", "way"),
    [
        ("../common.yaml#/x", "only files in the folder of the description are read"),
        ("sub/../../common.yaml#/x", "only files in the folder of the description are read"),
        ("/common.yaml#/x", "only files in the folder of the description are read"),
        ("https://a.example/common.yaml#/x", "--remote-references fetches it"),
    ],
)
def test_a_document_that_is_not_read_where_it_is_is_named_with_the_way_to_it(reference: str, way: str) -> None:
    with pytest.raises(Inexpressible, match=f"which is not available .{way}"):
        References({}).follow(reference)


@pytest.mark.parametrize("reference", ["common.yaml#/x", "../common.yaml#/x", "https://b.example/common.yaml#/x"])
def test_what_a_document_from_the_web_refers_to_is_on_the_web(reference: str) -> None:
    with pytest.raises(Inexpressible, match="which is not available .--remote-references fetches it"):
        References({}, None, "https://a.example/api.yaml").follow(reference)


def test_a_document_that_is_not_there_is_named() -> None:
    with pytest.raises(Inexpressible, match="'a.json#/x' is in another document, which is not available"):
        References({}).follow("a.json#/x")


def test_references_in_lists_of_other_documents_keep_their_meaning() -> None:
    references = References({}, {"a/b.json": {"list": [{"$ref": "#/x"}, {"$ref": "c.json"}], "x": 1}, "a/c.json": 2})
    found = references.follow("./a/b.json#/list")
    assert found == [{"$ref": "a/b.json#/x"}, {"$ref": "a/c.json"}]
    assert [references.resolve(each) for each in found] == [1, 2]


@pytest.mark.parametrize(
    ("file", "path", "expected"),
    [
        ("a/b.json", "", "a/b.json"),
        ("a/b.json", "c%20d.json", "a/c d.json"),
        ("a/b.json", "../c.json", "c.json"),
        ("", "./c.json", "c.json"),
        ("a/b.json", "https://x.example.com/c%20d.json", "https://x.example.com/c%20d.json"),
    ],
)
def test_a_path_is_relative_to_the_document_that_has_it(file: str, path: str, expected: str) -> None:
    assert join_reference(file, path) == expected


def test_files_are_found_in_lists_and_below_references() -> None:
    document = {"a": [{"$ref": "x.json#/y", "b": {"$ref": "z.json"}}], "c": {"$ref": "#/own"}, "d": {"$ref": 3}}
    assert {*files_of(document)} == {"x.json", "z.json"}
