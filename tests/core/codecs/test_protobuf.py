"""Protobuf messages as objects, with the schema of a `.proto` file or of a FileDescriptorSet."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs import proto_schema, protobuf
from utcp_ws_mcp.core.codecs.framing import Framer, make_framer
from utcp_ws_mcp.core.codecs.message import RejectedValue
from utcp_ws_mcp.core.codecs.protobuf import load_types
from utcp_ws_mcp.errors import InvalidTemplate
from utcp_ws_mcp.manifest.models.framing import Framing

FUZZ = settings(max_examples=100, deadline=None, database=None)

PROTO = """
syntax = "proto3";
package market.v1; // a comment
import "google/protobuf/timestamp.proto";
import "google/protobuf/struct.proto";
import "shared/money.proto";
option go_package = "example.com/market";

/* A frame. */
message Push {
  enum Kind { UNKNOWN = 0; TRADE = 1; }
  message Level { double price = 1; float size = 2; }
  reserved 90 to 99, 101;
  string channel = 1;
  int64 sequence = 2;
  Kind kind = 3;
  repeated Level bids = 4;
  map<string, uint64> totals = 5;
  optional int32 depth = 6;
  oneof body { bytes payload = 7; shared.Money price = 8; }
  google.protobuf.Timestamp sent_at = 9 [json_name = "time"];
  google.protobuf.Struct extra = 10;
  map<int32, Level> by_id = 11;
  bool last = 12;
  Push inner = 13;
  repeated sint32 deltas = 14 [packed = false];
}
message Empty {}
service Quotes { rpc Watch(Empty) returns (stream Push); }
"""
MONEY = """syntax = "proto2"; package shared;
message Money { required int32 cents = 1; optional string unit = 2 [default = "EUR"]; }
"""
FILES = {"market.proto": PROTO, "shared/money.proto": MONEY}


def read(name: str) -> bytes:
    return FILES[name].encode()


def framer(receive: str = "market.v1.Push", send: str | None = "market.v1.Push", file: str = "market.proto") -> Framer:
    types = {"schema": file, "receive": receive, **({"send": send} if send else {})}
    framing = Framing(codec="protobuf", protobuf=types)  # type: ignore[arg-type]
    return make_framer(framing, schema=load_types(file, read).select(receive, send))


def decode(peer: Framer, raw: str | bytes) -> Any:
    (message,) = peer.decode(raw)
    return message.value


DEFAULTS: dict[str, Any] = {
    "channel": "",
    "sequence": "0",
    "kind": "UNKNOWN",
    "bids": [],
    "totals": {},
    "byId": {},
    "last": False,
    "deltas": [],
}
VALUES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "text": ({"channel": "é"}, {"channel": "é"}),
    "a large integer": ({"sequence": "9007199254740993"}, {"sequence": "9007199254740993"}),
    "a number for a large integer": ({"sequence": 7}, {"sequence": "7"}),
    "an enum": ({"kind": "TRADE"}, {"kind": "TRADE"}),
    "the number of an enum": ({"kind": 1}, {"kind": "TRADE"}),
    "an enum value that the schema does not know": ({"kind": 7}, {"kind": 7}),
    "objects in a list": ({"bids": [{"price": 1.5, "size": 0.1}]}, {"bids": [{"price": 1.5, "size": 0.1}]}),
    "a map": ({"totals": {"a": 1}}, {"totals": {"a": "1"}}),
    "a map with numbers as keys": ({"byId": {"7": {"price": 1}}}, {"byId": {"7": {"price": 1.0, "size": 0.0}}}),
    "an optional field that is zero": ({"depth": 0}, {"depth": 0}),
    "bytes": ({"payload": b"\x00\xff"}, {"payload": b"\x00\xff"}),
    "bytes as base64": ({"payload": "AP8="}, {"payload": b"\x00\xff"}),
    "the other member of a oneof": ({"price": {"cents": 3}}, {"price": {"cents": 3}}),
    "a time with a JSON name": ({"time": "2026-11-30T03:00:00Z"}, {"time": "2026-11-30T03:00:00Z"}),
    "a field by its own name": ({"sent_at": "2026-11-30T03:00:00Z"}, {"time": "2026-11-30T03:00:00Z"}),
    "a struct": ({"extra": {"a": [1, None, "x"]}}, {"extra": {"a": [1.0, None, "x"]}}),
    "a message in itself": ({"inner": {"channel": "b"}}, {"inner": {**DEFAULTS, "channel": "b"}}),
    "negative numbers": ({"deltas": [-1, 2]}, {"deltas": [-1, 2]}),
}


@pytest.mark.parametrize(("sent", "received"), VALUES.values(), ids=VALUES)
def test_a_message_is_an_object_with_json_names(sent: dict[str, Any], received: dict[str, Any]) -> None:
    peer = framer()
    (raw,) = peer.encode(sent)
    assert isinstance(raw, bytes)
    assert decode(peer, raw) == DEFAULTS | received


def test_what_is_sent_is_shown_as_json() -> None:
    peer = framer(receive="market.v1.Empty")
    (raw,) = peer.encode({"channel": "a"})
    assert json.loads(peer.for_display(raw)) == DEFAULTS | {"channel": "a"}


def test_without_a_type_to_send_messages_are_sent_as_json() -> None:
    peer = framer(send=None)
    assert peer.encode({"method": "SUBSCRIPTION"}) == ['{"method":"SUBSCRIPTION"}']
    assert peer.encode("PING") == ["PING"]
    assert peer.for_display('{"a":1}') == '{"a":1}'


def test_text_and_json_beside_protobuf_are_read_too() -> None:
    peer = framer()
    assert decode(peer, '{"code":0}') == {"code": 0}
    assert decode(peer, "pong") == "pong"
    assert decode(peer, b'{"code":0}') == {"code": 0}
    assert decode(peer, b"\xff\xff") == b"\xff\xff"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"chanel": "a"}, 'no field named "chanel"'),
        ({"sequence": "x"}, "Push.*sequence"),
        ({"payload": "?"}, "the field 'payload' holds bytes"),
        ({"inner": {"payload": "a!b"}}, "the field 'payload' holds bytes"),
        ({"bids": 1}, "Push"),
        ({"byId": {"x": {}}}, "Push"),
        ([1], "no Protobuf message"),
        ("x", "no Protobuf message"),
    ],
)
def test_a_value_that_is_not_of_the_type_is_refused_with_its_field(value: Any, message: str) -> None:
    with pytest.raises(RejectedValue, match=message):
        framer().encode(value)


def test_a_message_with_too_many_values_stays_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utcp_ws_mcp.core.codecs.protobuf.MAX_VALUES", 100)
    raw = b"\x22\x00" * 200  # empty levels
    assert decode(framer(), raw) == raw
    deep = {"extra": {"a": ["x"] * 200}}
    (sent,) = framer().encode(deep)
    assert decode(framer(), sent) == sent


def test_a_descriptor_set_is_a_schema_too() -> None:
    source = framer()
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(each.SerializeToString())
        for each in proto_schema._read_proto_files("market.proto", read)
    ]
    FILES["market.binpb"] = descriptor_pb2.FileDescriptorSet(file=files).SerializeToString().decode("latin-1")
    types = {"schema": "market.binpb", "receive": "market.v1.Push"}
    schema = load_types("market.binpb", lambda name: FILES[name].encode("latin-1")).select("market.v1.Push", None)
    peer = make_framer(Framing(codec="protobuf", protobuf=types), schema=schema)  # type: ignore[arg-type]
    (raw,) = source.encode({"channel": "a", "time": "2026-11-30T03:00:00Z"})
    assert decode(peer, raw) == decode(source, raw)


def test_imports_are_found_beside_the_file_that_is_named() -> None:
    moved = {f"schemas/{name}": text for name, text in FILES.items()}
    schema = load_types("schemas/market.proto", lambda name: moved[name].encode()).select("market.v1.Push", None)
    assert schema.receive.DESCRIPTOR.full_name == "market.v1.Push"


OTHER_SCHEMAS = {
    "proto2 with a group": (
        """message M { optional group Item = 1 { required int32 a = 1; } extensions 100 to 199; }
        extend M { optional int32 e = 100; }""",
        {"item": {"a": 1}},
    ),
    "an edition": (
        'edition = "2023"; message M { int32 a = 1; int32 b = 2 [features.field_presence = IMPLICIT]; }',
        {"a": 1, "b": 0},
    ),
    "an alias": (
        """syntax = "proto3"; message M { E e = 1; }
        enum E { option allow_alias = true; A = 0; B = 0x1; C = 1; reserved 9; }""",
        {"e": "B"},
    ),
    "defaults": (
        """syntax = "proto2"; message M {
            optional string s = 1 [default = "a"]; optional bool b = 2 [default = true];
            optional E e = 3 [default = Y]; enum E { X = 0; Y = 1; } optional int32 n = 4 [default = -3];
        }""",
        {"n": 1},
    ),
    "relative names": (
        'syntax = "proto3"; package a.b.c; message M { .a.b.c.N n = 1; b.c.N o = 2; } message N { int32 x = 1; }',
        {"n": {"x": 1}, "o": {"x": 2}},
    ),
    "names in small letters": (
        """syntax = "proto3"; message M { point at = 1; kind of = 2; }
        message point { int32 x = 1; } enum kind { a = 0; b = 1; }""",
        {"at": {"x": 1}, "of": "b"},
    ),
    "options of others": (
        """syntax = "proto3"; message M { option (my.opt) = { a: 1 b { c: "x" } };
            int32 x = 1 [(validate).rule = {gt: 0}, deprecated = true];
        }""",
        {"x": 1},
    ),
    "comments everywhere": (
        """/* a */ syntax /* b */ = "proto3"; // c
        message M /* d */ { int32 x = 1 /* e */ [ /* deprecated = true, */ json_name = "y//z" // f
        , deprecated = true /* g
        */ ]; oneof o { /* h */ string s = 2; } } // i""",
        {"y//z": 1},
    ),
    "a byte order mark": ('\ufeffsyntax = "proto3"; message M { int32 x = 1; }', {"x": 1}),
}


@pytest.mark.parametrize(("text", "value"), OTHER_SCHEMAS.values(), ids=OTHER_SCHEMAS)
def test_every_syntax_of_proto_is_read(text: str, value: dict[str, Any]) -> None:
    name = "a.b.c.M" if "package a.b.c" in text else "M"
    schema = load_types("m.proto", lambda _: text.encode()).select(name, name)
    framing = Framing(codec="protobuf", protobuf={"schema": "m.proto", "receive": name})  # type: ignore[arg-type]
    peer = make_framer(framing, schema=schema)
    (raw,) = peer.encode(value)
    assert decode(peer, raw) == value


BROKEN = {
    "a syntax error": ({"a.proto": "syntax = 'proto3';\nmessage M { int32 = 1; }"}, r"'a.proto' .* line 2, column \d+"),
    "a syntax error behind a comment of two lines": (
        {"a.proto": "/* a\nb */\nmessage M { int32 = 1; }"},
        r"'a.proto' .* line 3, column 1\d",
    ),
    "an unknown type": ({"a.proto": "message M { optional Nothing a = 1; }"}, "Nothing"),
    "no text": ({"a.proto": "message M {"}, "'a.proto' is no valid .proto file: line 1"),
    "an unknown message": ({"a.proto": "message N {}"}, "no message type 'M'. Write its full name"),
    "a number twice": ({"a.proto": "message M { optional int32 a = 1; optional int32 b = 1; }"}, "a.proto"),
    "a descriptor set that is none": ({"a.binpb": "hello"}, "'a.binpb' is no FileDescriptorSet"),
    "an empty descriptor set": ({"a.binpb": ""}, "'a.binpb' is no FileDescriptorSet"),
    "too many imports": (
        {
            "a.proto": 'import "f0.proto"; message M {}',
            **{f"f{number}.proto": f'import "f{number + 1}.proto";' for number in range(300)},
        },
        "imports more than 200 files",
    ),
}


@pytest.mark.parametrize(("files", "message"), BROKEN.values(), ids=BROKEN)
def test_a_schema_that_cannot_be_used_is_named_with_the_reason(files: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidTemplate, match=message):
        load_types(next(iter(files)), lambda name: files[name].encode()).select("M", None)


WITHOUT_PLACE = {
    "an edition that does not exist": 'edition = "9999";\nmessage A {}',
    "a number of an enum beyond 32 bits": 'syntax = "proto3"; enum E { A = 0; B = -99999999999; }',
    "a number of a field beyond 32 bits": 'syntax = "proto3"; message A { string a = 99999999999; }',
}


@pytest.mark.parametrize("text", WITHOUT_PLACE.values(), ids=WITHOUT_PLACE)
def test_a_value_that_a_descriptor_cannot_hold_is_reported(text: str) -> None:
    with pytest.raises(InvalidTemplate, match=r"'a\.proto' is no valid \.proto file: .* is not possible\."):
        load_types("a.proto", lambda _: text.encode())


def test_a_descriptor_set_whose_names_are_no_text_is_refused() -> None:
    file_without_text = b"\x1a\x02\xff\xfe"  # FileDescriptorProto.dependency
    data = b"\x0a" + bytes([len(file_without_text)]) + file_without_text
    with pytest.raises(InvalidTemplate, match=r"'a\.bin' is no FileDescriptorSet"):
        load_types("a.bin", lambda _: data)


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proto_schema, "MAX_SCHEMA_BYTES", 1 << 20)
    with pytest.raises(InvalidTemplate, match="more than 1 MiB"):
        load_types("a.binpb", lambda _: bytes((1 << 20) + 1))


def test_proto_files_that_are_too_large_together_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    imports = "".join(f'import "f{number}.proto";\n' for number in range(20))
    files = {"a.proto": imports, **{f"f{number}.proto": "//" + "x" * (50 << 10) for number in range(20)}}
    parsed: list[str] = []
    parse = proto_schema._parse
    monkeypatch.setattr(proto_schema, "_parse", lambda path, *rest: parsed.append(path) or parse(path, *rest))

    with pytest.raises(InvalidTemplate, match=r"more than 512 KiB.*--descriptor_set_out"):
        load_types("a.proto", lambda name: files[name].encode())
    assert len(parsed) == 11  # the files before the limit


def test_imports_that_form_a_circle_are_refused() -> None:
    files = {"a.proto": 'import "b.proto"; message M {}', "b.proto": 'import "a.proto"; message N {}'}
    with pytest.raises(InvalidTemplate, match=r"proto"):
        load_types("a.proto", lambda name: files[name].encode()).select("M", None)


@pytest.mark.parametrize("package", ["google.protobuf", "proto_schema_parser"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.delitem(sys.modules, "utcp_ws_mcp.core.codecs.proto_schema")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InvalidTemplate, match=r"pip install 'utcp-ws-mcp\[protobuf\]'"):
        load_types("market.proto", read).select("market.v1.Push", None)


numbers = st.integers(-(1 << 63), (1 << 63) - 1)
pushes = st.fixed_dictionaries(
    {},
    optional={
        "channel": st.text(max_size=5),
        "sequence": numbers.map(str),
        "kind": st.sampled_from(["TRADE", "UNKNOWN"]),
        "bids": st.lists(
            st.fixed_dictionaries(
                {
                    "price": st.floats(allow_nan=False, allow_infinity=False),
                    "size": st.floats(width=32, allow_nan=False, allow_infinity=False),
                }
            ),
            max_size=3,
        ),
        "totals": st.dictionaries(st.text(max_size=3), st.integers(0, (1 << 64) - 1).map(str), max_size=3),
        "depth": st.integers(-(1 << 31), (1 << 31) - 1),
        "payload": st.binary(max_size=5),
        "last": st.booleans(),
        "deltas": st.lists(st.integers(-(1 << 31), (1 << 31) - 1), max_size=3),
    },
)


@FUZZ
@given(pushes)
def test_a_message_comes_back_as_it_was_sent(value: dict[str, Any]) -> None:
    peer = framer()
    (raw,) = peer.encode(value)
    got = decode(peer, raw)
    for level in got["bids"]:
        level["size"] = pytest.approx(level["size"], rel=1e-6)
    assert got == DEFAULTS | value


@FUZZ
@given(pushes)
def test_the_value_is_the_json_form_of_protobuf(value: dict[str, Any]) -> None:
    peer = framer()
    (raw,) = peer.encode(value)
    schema = load_types("market.proto", read).select("market.v1.Push", None)
    canonical = json_format.MessageToDict(
        schema.receive.FromString(raw), always_print_fields_with_no_presence=True, descriptor_pool=schema.pool
    )
    got = decode(peer, raw)
    canonical.pop("payload", None)
    got.pop("payload", None)
    assert json.loads(json.dumps(got)) == json.loads(json.dumps(canonical))


@FUZZ
@given(st.binary(max_size=60) | st.text(max_size=20))
def test_hostile_input_never_raises(raw: str | bytes) -> None:
    assert len(list(framer().decode(raw))) >= 1


ALL_KINDS = """
syntax = "proto3"; import "google/protobuf/struct.proto"; import "google/protobuf/any.proto";
message M {
  int32 i = 1; int64 big = 2; uint64 ubig = 3; sint64 s = 4; fixed64 x = 5; sfixed64 y = 6; uint32 u = 7;
  float f = 8; double d = 9; bytes raw = 10; bool b = 11; google.protobuf.Value v = 12; google.protobuf.Any any = 13;
  map<bool, int64> flags = 14; map<string, bytes> parts = 15; map<int32, Inner> inner_of = 16; repeated bytes raws = 17;
  repeated int64 bigs = 18; Inner own_inner = 19; map<string, E> kinds = 20; repeated E es = 21;
  enum E { A = 0; B = 1; }
}
message Inner { bytes raw_data = 1; int32 n = 2; }
"""


def kinds(send: str | None = "M", receive: str = ".M") -> Framer:
    types = {"schema": "m.proto", "receive": receive, **({"send": send} if send else {})}
    schema = load_types("m.proto", lambda _: ALL_KINDS.encode()).select(receive, send)
    return make_framer(Framing(codec="protobuf", protobuf=types), schema=schema)  # type: ignore[arg-type]


def comes_back(value: dict[str, Any]) -> dict[str, Any]:
    peer = kinds()
    (raw,) = peer.encode(value)
    found = decode(peer, raw)
    return {name: found[name] for name in value if name in found}


AS_THEY_WERE: list[dict[str, Any]] = [
    {"i": -1, "u": 7},
    *({name: "9007199254740993"} for name in ("big", "ubig", "s", "x", "y")),
    {"bigs": ["1", "-2"]},
    {"f": 0.1},
    {"f": 16777216.0},
    {"f": 3.4028233e38},
    {"f": 1.1754944e-38},
    {"f": 123456.79},
    {"d": 0.30000000000000004},
    {"b": True},
    {"raw": b"\xff", "raws": [b"a", b""]},
    {"parts": {"a": b"\x00"}},
    {"flags": {"true": "1", "false": "2"}},
    {"innerOf": {"-3": {"rawData": b"x", "n": 1}}},
    {"ownInner": {"rawData": b"\xff\xfe", "n": 0}},
    {"kinds": {"a": "B"}, "es": ["A", "B", 7]},
    {"v": {"a": [None, True, "x", 1.5]}},
    {"v": None},
    {"any": {"@type": "type.googleapis.com/Inner", "n": 5}},
]


@pytest.mark.parametrize("value", AS_THEY_WERE, ids=str)
def test_each_kind_of_field_comes_back(value: dict[str, Any]) -> None:
    found = comes_back(value)
    assert found == value
    assert json.dumps(found, sort_keys=True, default=bytes.hex) == json.dumps(value, sort_keys=True, default=bytes.hex)


WITH_BYTES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"raws": ["AP8=", b"a"]}, {"raws": [b"\x00\xff", b"a"]}),
    ({"raw": "AP-_"}, {"raw": b"\x00\xff\xbf"}),
    ({"raw": "AA"}, {"raw": b"\x00"}),
    ({"parts": {"a": "AP8="}}, {"parts": {"a": b"\x00\xff"}}),
    ({"inner_of": {"1": {"raw_data": b"x"}}}, {"innerOf": {"1": {"rawData": b"x", "n": 0}}}),
    ({"innerOf": {"1": {"rawData": "eA=="}}}, {"innerOf": {"1": {"rawData": b"x", "n": 0}}}),
    ({"own_inner": {"raw_data": "eA=="}}, {"ownInner": {"rawData": b"x", "n": 0}}),
]


@pytest.mark.parametrize(("sent", "received"), WITH_BYTES, ids=str)
def test_bytes_may_be_base64_wherever_they_are(sent: dict[str, Any], received: dict[str, Any]) -> None:
    peer = kinds()
    (raw,) = peer.encode(sent)
    assert {name: decode(peer, raw)[name] for name in received} == received


NOT_BASE64 = [
    ({"raw": "?"}, "raw"),
    ({"raws": ["AA", "a!"]}, "raws"),
    ({"parts": {"a": "?"}}, "value"),
    ({"own_inner": {"raw_data": "?"}}, "raw_data"),
    ({"innerOf": {"1": {"rawData": "a"}}}, "raw_data"),
]


@pytest.mark.parametrize(("value", "name"), NOT_BASE64)
def test_text_that_is_not_base64_is_refused_with_its_field(value: dict[str, Any], name: str) -> None:
    with pytest.raises(RejectedValue) as refused:
        kinds().encode(value)
    assert refused.value.code == "invalid-base64"
    assert str(refused.value) == (
        f"the field {name!r} holds bytes, and its text is not base64. Pass bytes, such as text | bytes."
    )


def test_a_value_of_another_type_is_refused_with_the_name_of_the_type() -> None:
    with pytest.raises(RejectedValue, match="^the value is no message of the type 'M': .*[.]$") as refused:
        kinds().encode({"i": "x", "ownInner": {"nothing": [{"a": "b"}] * 100}})
    assert refused.value.code == "invalid-packet"
    assert len(str(refused.value)) < 300
    with pytest.raises(RejectedValue) as refused:
        kinds().encode([1])
    assert (str(refused.value), refused.value.code) == (
        "the value is no Protobuf message. Write an object with the fields of its type.",
        "invalid-packet",
    )


def test_bytes_are_sent_as_they_are() -> None:
    assert kinds().encode(b"\x08\x01") == [b"\x08\x01"]


def test_members_are_written_in_the_same_order_each_time() -> None:
    one, two = {"parts": {"a": b"", "b": b""}}, {"parts": {"b": b"", "a": b""}}
    assert kinds().encode(one) == kinds().encode(two)


@pytest.mark.parametrize("name", ["N", ".N", "m.M"])
def test_a_type_that_the_schema_does_not_have_is_refused(name: str) -> None:
    types = load_types("m.proto", lambda _: ALL_KINDS.encode())
    with pytest.raises(InvalidTemplate) as refused:
        types.select("M", name)
    assert refused.value.code == "unknown-message-type"
    assert refused.value.message == (
        f"the schema 'm.proto' has no message type {name!r}. Write its full name, with the package."
    )


def test_the_schema_of_an_endpoint_has_the_digest_of_its_files() -> None:
    types = load_types("m.proto", lambda _: ALL_KINDS.encode())
    assert types.select("M", "Inner").digest == types.digest != ""
    assert types.select("M", None).send is None


def test_exactly_as_many_values_as_allowed_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    (raw,) = kinds().encode({"bigs": [1, 2, 3]})
    fields_and_items = 21 + 3
    monkeypatch.setattr("utcp_ws_mcp.core.codecs.protobuf.MAX_VALUES", fields_and_items)
    assert decode(kinds(), raw)["bigs"] == ["1", "2", "3"]
    monkeypatch.setattr("utcp_ws_mcp.core.codecs.protobuf.MAX_VALUES", fields_and_items - 1)
    assert decode(kinds(), raw) == raw


def test_a_message_was_decoded_and_what_is_none_was_not() -> None:
    (message,) = kinds().decode(b"\x08\x01")
    assert (message.raw, message.decoded) == (b"\x08\x01", True)
    (message,) = kinds().decode(b"\xff")
    assert (message.raw, message.value, message.decoded) == (b"\xff", b"\xff", False)


def test_a_well_known_type_that_is_not_valid_has_its_fields() -> None:
    text = """syntax = "proto3"; import "google/protobuf/timestamp.proto";
        message M { google.protobuf.Timestamp t = 1; }"""
    schema = load_types("m.proto", lambda _: text.encode()).select("M", "M")
    framing = Framing(codec="protobuf", protobuf={"schema": "m.proto", "receive": "M"})  # type: ignore[arg-type]
    raw = schema.send(t={"seconds": 1 << 60, "nanos": 5}).SerializeToString()
    assert decode(make_framer(framing, schema=schema), raw) == {"t": {"seconds": str(1 << 60), "nanos": 5}}


TYPES = {"schema": "m.proto", "receive": "M", "send": "M"}
SECRET = "tok-" + "0123456789abcdef" * 20
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a long text": ({"i": SECRET}, "…"),
    "a long text in a message": ({"ownInner": {"n": SECRET}}, "…"),
    "a long text in an object": ({"bigs": {"a": [1, SECRET]}}, "…"),
    "a long text with a quote": ({"i": f"it's {SECRET}"}, "…"),
    "a text behind a long one": ({"bigs": {"a": SECRET, "b": "a 'b'"}}, "…"),
    "a short text as a whole": ({"i": "tok-0123"}, "'tok-0123'."),
    "a text that is a word of the reason": (
        {"parts": {"Failed": "AAAA"}, "kinds": {"x": "A"}, "i": "literal"},
        "'literal'.",
    ),
}


@pytest.mark.parametrize(("value", "end"), REFUSED.values(), ids=REFUSED)
def test_a_reason_has_no_part_of_a_value_which_could_be_that_of_a_secret(value: dict[str, Any], end: str) -> None:
    with pytest.raises(RejectedValue) as refused:
        kinds().encode(value)
    assert "tok-" not in str(refused.value).replace("tok-0123'", "")
    assert str(refused.value).endswith(end)


def test_a_reason_is_cut_before_a_text_that_its_limit_would_cut() -> None:
    field = "n" * 130
    text = f'syntax = "proto3"; message M {{ int32 {field} = 1; }}'
    schema = load_types("m.proto", lambda _: text.encode()).select("M", "M")
    codec = make_framer(Framing(codec="protobuf", protobuf=TYPES), schema=schema)  # type: ignore[arg-type]
    with pytest.raises(RejectedValue) as refused:
        codec.encode({field: "tok-456789"})
    assert "tok" not in str(refused.value)
    assert str(refused.value).endswith("base 10: '…")


def test_a_reason_of_a_value_with_many_texts_is_left_out() -> None:
    with pytest.raises(RejectedValue, match="^the value is no message of the type 'M'[.]$"):
        kinds().encode({"i": ["secret"] * 10_001})


def test_of_a_long_reason_only_what_may_be_shown_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []
    find = protobuf.re.finditer
    monkeypatch.setattr(
        protobuf.re, "finditer", lambda pattern, text: searched.append(len(text)) or find(pattern, text)
    )
    with pytest.raises(RejectedValue):
        kinds().encode({"kinds": {"a": "x" * 1_000_000}})
    assert 0 < max(searched) < 2 * protobuf.MAX_REASON_LENGTH


def test_an_object_for_a_field_of_another_kind_is_refused() -> None:
    with pytest.raises(RejectedValue, match="^the value is no message of the type 'M'"):
        kinds().encode({"i": {"a": {"b": b"x"}}})
