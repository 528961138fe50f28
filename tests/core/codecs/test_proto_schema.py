"""What is read of a schema: presence, defaults, names, features, imports, and the bounds of its files."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet

from utcp_ws_mcp.core.codecs import proto_schema
from utcp_ws_mcp.core.codecs.proto_schema import load_pool
from utcp_ws_mcp.errors import InvalidTemplate


def pool(text: str, **files: str) -> Any:
    given = {"a.proto": text, **{f"{name}.proto": content for name, content in files.items()}}
    return load_pool("a.proto", lambda name: given[name].encode())[0]


def fields(text: str, name: str = "M", **files: str) -> dict[str, Any]:
    return {field.name: field for field in pool(text, **files).FindMessageTypeByName(name).fields}


def new(text: str, name: str = "M") -> Any:
    return message_factory.GetMessageClass(pool(text).FindMessageTypeByName(name))()


def refusal(files: dict[str, bytes]) -> str:
    with pytest.raises(InvalidTemplate) as refused:
        load_pool(next(iter(files)), files.__getitem__)
    assert refused.value.code == "invalid-schema-file"
    return refused.value.message


PROTO2 = """
message M {
  optional string s = 1 [default = "aB"]; optional bool t = 2 [default = true]; optional bool f = 3 [default = false];
  optional E e = 4 [default = Y]; enum E { X = 0; Y = 1; } optional int32 n = 5 [default = -3];
  optional double d = 6 [default = 1.5]; required int32 r = 7; repeated int32 l = 8;
  repeated int32 p = 9 [packed = true];
  repeated int32 u = 10 [packed = false]; optional int32 j = 11 [json_name = "J_J"];
}
"""


def test_defaults_are_those_of_the_file() -> None:
    message = new(PROTO2)
    assert (message.s, message.t, message.f, message.e, message.n, message.d) == ("aB", True, False, 1, -3, 1.5)


def test_labels_names_and_packing_are_those_of_the_file() -> None:
    of = fields(PROTO2)
    assert [of[name].is_required for name in "srl"] == [False, True, False]
    assert [of[name].is_repeated for name in "srl"] == [False, False, True]
    assert [of[name].number for name in "snl"] == [1, 5, 8]
    assert (of["j"].json_name, of["s"].json_name) == ("J_J", "s")
    assert [of[name].is_packed for name in "lpu"] == [False, True, False]


def test_presence_is_that_of_the_syntax() -> None:
    assert fields("message M { optional int32 a = 1; }")["a"].has_presence
    three = fields('syntax = "proto3"; message M { int32 a = 1; optional int32 b = 2; repeated int32 c = 3; }')
    assert [three[name].has_presence for name in "abc"] == [False, True, False]
    assert three["c"].is_packed


ONEOF = """
syntax = "%s"; message M { oneof first { int32 a = 1; string b = 2; } oneof second { int32 c = 3; } %s int32 d = 4; }
"""


def test_members_of_a_oneof_know_it() -> None:
    of = fields(ONEOF % ("proto3", ""))
    names = {name: field.containing_oneof and field.containing_oneof.name for name, field in of.items()}
    assert names == {"a": "first", "b": "first", "c": "second", "d": None}
    optional = fields(ONEOF % ("proto3", "optional"))
    assert optional["d"].containing_oneof.name == "_d"
    assert optional["d"].has_presence
    assert fields(ONEOF % ("proto2", "optional"))["d"].containing_oneof is None


def test_groups_are_messages_of_their_own() -> None:
    text = """message M { repeated group Row = 1 { optional int32 a = 1; }
        oneof o { group Way = 2 { optional int32 b = 1; } } }"""
    of = fields(text)
    assert {name: (field.type, field.is_repeated, field.message_type.full_name) for name, field in of.items()} == {
        "row": (10, True, "M.Row"),
        "way": (10, False, "M.Way"),
    }
    assert of["way"].containing_oneof.name == "o"
    assert of["row"].containing_oneof is None


MAPS = """
syntax = "proto3"; message V {}
message M {
  map<int64, V> some_more = 1 [json_name = "x", deprecated = true]; map<string, bytes> b = 2; map<bool, E> eE = 3;
  enum E { A = 0; }
}
"""


def test_maps_have_their_types_and_names() -> None:
    of = fields(MAPS)
    assert {name: field.json_name for name, field in of.items()} == {"some_more": "x", "b": "b", "eE": "eE"}
    entries = {name: field.message_type for name, field in of.items()}
    assert {name: entry.name for name, entry in entries.items()} == {
        "some_more": "SomeMoreEntry",
        "b": "BEntry",
        "eE": "EEEntry",
    }
    assert all(entry.GetOptions().map_entry for entry in entries.values())
    assert [part.name for part in entries["b"].fields] == ["key", "value"]
    assert [part.type for part in entries["b"].fields] == [9, 12]
    assert entries["some_more"].fields_by_name["value"].message_type.full_name == "V"
    assert entries["eE"].fields_by_name["value"].enum_type.full_name == "M.E"


def test_a_type_may_be_named_like_a_scalar_or_a_kind() -> None:
    of = fields("""message Int32 {} enum BOOL { A = 0; } message message {} message enum {} message group {}
        message M { optional Int32 i = 1; optional BOOL b = 2; optional bool c = 3; optional message m = 4;
        optional enum e = 5; oneof o { group g = 6; } }""")
    names = {name: (field.message_type or field.enum_type).full_name for name, field in of.items() if name != "c"}
    assert names == {"i": "Int32", "b": "BOOL", "m": "message", "e": "enum", "g": "group"}
    assert of["c"].type == FieldDescriptorProto.TYPE_BOOL


def test_enums_have_their_values() -> None:
    text = """message M { optional E e = 1; enum E { option allow_alias = true; A = 0; B = -1; C = -1; reserved 5; } }
    enum Outer { O = 3; }"""
    found = pool(text)
    assert [(each.name, each.number) for each in found.FindEnumTypeByName("M.E").values] == [
        ("A", 0),
        ("B", -1),
        ("C", -1),
    ]
    assert found.FindEnumTypeByName("Outer").values_by_name["O"].number == 3
    assert found.FindEnumTypeByName("M.E").GetOptions().allow_alias
    assert (
        not pool("enum E { option allow_alias = false; option deprecated = true; A = 0; }")
        .FindEnumTypeByName("E")
        .GetOptions()
        .allow_alias
    )


EDITION = """
edition = "2023"; option features.field_presence = IMPLICIT; option features.enum_type = CLOSED; package p;
message M {
  int32 a = 1; int32 b = 2 [features.field_presence = EXPLICIT];
  repeated int32 c = 3 [features.repeated_field_encoding = EXPANDED]; int32 d = 4 [features.nothing = X];
  int32 e = 5 [features.field_presence = NOTHING]; repeated int32 g = 6;
  Open o = 7 [features.field_presence = EXPLICIT];
}
enum Open { option features.enum_type = OPEN; A = 0; } enum Closed { B = 1; }
message Packed { option features.(pb.cpp).string_type = VIEW; repeated int32 a = 1; }
"""


def test_features_of_an_edition_count_for_what_they_are_written_at() -> None:
    of = fields(EDITION, "p.M")
    assert {name: field.has_presence for name, field in of.items()} == {
        **dict.fromkeys("acdeg", False),
        **dict.fromkeys("bo", True),
    }
    assert (of["c"].is_packed, of["g"].is_packed) == (False, True)
    found = pool(EDITION)
    assert found.FindEnumTypeByName("p.Closed").is_closed
    assert not found.FindEnumTypeByName("p.Open").is_closed


def test_a_message_may_have_features_for_its_fields() -> None:
    text = """edition = "2023"; message N { int32 b = 1; }
        message M { option features.field_presence = IMPLICIT; int32 a = 1; }"""
    assert not fields(text)["a"].has_presence
    assert fields(text, "N")["b"].has_presence


def test_an_import_may_be_passed_on() -> None:
    files = {
        "b": 'syntax = "proto3"; import "d.proto"; import public "c.proto";',
        "c": 'syntax = "proto3"; package c; message N { int32 x = 1; }',
        "d": "",
    }
    found = pool('syntax = "proto3"; import "b.proto"; message M { c.N n = 1; }', **files)
    assert found.FindMessageTypeByName("M").fields[0].message_type.full_name == "c.N"
    assert [file.name for file in found.FindFileByName("b.proto").public_dependencies] == ["c.proto"]
    assert [file.name for file in found.FindFileByName("b.proto").dependencies] == ["d.proto", "c.proto"]


def test_types_of_google_protobuf_are_known_with_what_they_import() -> None:
    text = """syntax = "proto3"; import "google/protobuf/type.proto"; import "google/protobuf/any.proto";
        message M { google.protobuf.Type t = 1; google.protobuf.Any a = 2; }"""
    of = fields(text)
    assert (
        of["t"].message_type.fields_by_name["source_context"].message_type.full_name == "google.protobuf.SourceContext"
    )
    assert of["a"].message_type.full_name == "google.protobuf.Any"


@pytest.mark.parametrize(
    "name", ["google/protobuf/nothing.proto", "google/protobuf/any.txt", "other/protobuf/any.proto"]
)
def test_other_files_are_read(name: str) -> None:
    files = {"a.proto": f'import "{name}"; message M {{ optional N n = 1; }}'.encode(), name: b"message N {}"}
    found, _ = load_pool("a.proto", files.__getitem__)
    assert found.FindMessageTypeByName("M").fields[0].message_type.full_name == "N"


def test_a_file_is_read_once_however_often_it_is_imported() -> None:
    files = {
        "dir/a.proto": b'import "b.proto"; import "sub/c.proto"; message M {}',
        "dir/b.proto": b'import "sub/c.proto"; message N {}',
        "dir/sub/c.proto": b"message O {}",
    }
    read: list[str] = []
    found, _ = load_pool("dir/a.proto", lambda name: read.append(name) or files[name])  # type: ignore[func-returns-value]
    assert read == ["dir/a.proto", "dir/b.proto", "dir/sub/c.proto"]
    assert all(found.FindMessageTypeByName(name) for name in "MNO")


def test_the_digest_is_that_of_all_files() -> None:
    def digest(imported: bytes) -> str:
        files = {"a.proto": b'import "b.proto"; message M {}', "b.proto": imported}
        return load_pool("a.proto", files.__getitem__)[1]

    assert digest(b"message N {}") == digest(b"message N { } // the same")
    assert digest(b"message N {}") != digest(b"message O {}")
    assert len(digest(b"")) == len(hashlib.sha256().hexdigest())


@pytest.mark.parametrize(("count", "is_taken"), [(199, True), (200, False)])
def test_a_schema_has_up_to_200_files(count: int, is_taken: bool) -> None:
    files = {"a.proto": "".join(f'import "f{number}.proto";' for number in range(count)).encode()}
    files |= {f"f{number}.proto": b"" for number in range(count)}
    if is_taken:
        load_pool("a.proto", files.__getitem__)
    else:
        assert refusal(files) == "'a.proto' imports more than 200 files."


@pytest.mark.parametrize("more", [0, 1])
def test_proto_files_have_a_bound_together(monkeypatch: pytest.MonkeyPatch, more: int) -> None:
    monkeypatch.setattr(proto_schema, "MAX_PROTO_BYTES", 2 << 10)
    files = {"a.proto": b'import "b.proto";', "b.proto": b"//".ljust((2 << 10) - 17 + more, b"x")}
    if not more:
        load_pool("a.proto", files.__getitem__)
    else:
        assert refusal(files).startswith(
            "'a.proto' with its imports has more than 2 KiB, which takes seconds to parse."
        )


@pytest.mark.parametrize("more", [0, 1])
def test_a_file_has_a_bound(monkeypatch: pytest.MonkeyPatch, more: int) -> None:
    data = FileDescriptorSet(file=[FileDescriptorProto(name="a.proto", package="p" * 100)]).SerializeToString()
    monkeypatch.setattr(proto_schema, "MAX_SCHEMA_BYTES", len(data) - more)
    if more:
        assert refusal({"a.bin": data}) == "'a.bin' has more than 0 MiB."
    else:
        load_pool("a.bin", lambda _: data)


def test_the_bounds_are_those_of_the_documentation() -> None:
    assert (proto_schema.MAX_SCHEMA_BYTES, proto_schema.MAX_PROTO_BYTES) == (4 << 20, 512 << 10)


def test_a_file_of_a_set_may_be_one_of_google() -> None:
    wrapped = FileDescriptorProto()
    from google.protobuf import timestamp_pb2

    timestamp_pb2.DESCRIPTOR.CopyToProto(wrapped)
    own = FileDescriptorProto(name="m.proto", dependency=[wrapped.name], syntax="proto3")
    own.message_type.add(name="M")
    data = FileDescriptorSet(file=[own, wrapped]).SerializeToString()
    assert load_pool("a.bin", lambda _: data)[0].FindMessageTypeByName("M").full_name == "M"


SYNTAX = {
    "a sign": (b"message M {\n  int32 = 1; }", "'a.proto' is no valid .proto file: line 2, column 9: "),
    "the end": (b"message M {", "'a.proto' is no valid .proto file: line 1, column 12: "),
    "other bytes": (b"\xff", "'a.proto' is no valid .proto file: it cannot be parsed (UnicodeDecodeError)."),
    "levels": (
        b"message M {" * 500,
        "'a.proto' is no valid .proto file: ",
    ),
}


@pytest.mark.parametrize(("data", "message"), SYNTAX.values(), ids=SYNTAX)
def test_what_cannot_be_parsed_is_refused_with_its_place(data: bytes, message: str) -> None:
    found = refusal({"a.proto": data})
    assert found.startswith(message)
    assert " expecting " not in found
    assert len(found) < 300


def test_a_quote_may_be_in_a_comment_and_a_comment_in_quotes() -> None:
    text = """syntax = "proto3"; // it's
    message M { /* " */ int32 a = 1 [json_name = "x//y"]; int32 b = 2 [json_name = '/*z*/']; } /* never closed"""
    assert {name: field.json_name for name, field in fields(text).items()} == {"a": "x//y", "b": "/*z*/"}


def test_a_missing_type_is_named_without_the_words_of_the_library() -> None:
    found = refusal({"a.proto": b"message M { optional Nothing a = 1; }"})
    assert found.startswith("'a.proto': ")
    assert "Couldn't build" not in found
    assert "Nothing" in found
