"""What payloads say: their forms, constants, kinds, predicates, and the messages that answer a request."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.importers.asyncapi.correlation import (
    Correlation,
    find_correlation,
    parameter_paths,
    parse_location,
)
from utcp_ws_mcp.importers.asyncapi.model import Message
from utcp_ws_mcp.importers.asyncapi.payloads import (
    KIND_NAMES,
    MAX_FORMS,
    Payload,
    constant,
    error_text,
    expand,
    forms,
    predicate,
    with_kind,
)
from utcp_ws_mcp.importers.asyncapi.replies import guess_replies, reply_rules
from utcp_ws_mcp.importers.asyncapi.requests import build_request, check_expressible
from utcp_ws_mcp.importers.failures import Inexpressible
from utcp_ws_mcp.importers.references import References
from utcp_ws_mcp.importers.schemas import Schemas

TEXT, NUMBER = {"type": "string"}, {"type": "integer"}


def obj(*required: str, **properties: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return {**schema, "required": [*required]} if required else schema


SHARED = {
    "Open": obj("type", type={"const": "open"}),
    "Shut": obj("type", type={"const": "shut"}),
    "Id": obj("id", id=TEXT),
    "Text": TEXT,
    "Either": {"oneOf": [{"$ref": "#/d/Open"}, {"$ref": "#/d/Shut"}]},
}
SCHEMAS = Schemas(References({"d": SHARED}))


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/d/{name}"}


def found(schema: Any, name: str = "m") -> list[Payload]:
    return forms(name, schema, SCHEMAS)


def payload(schema: Any, name: str = "m") -> Payload:
    (only,) = found(schema, name)
    return only


def kinds(schema: Any) -> list[tuple[str, Any]]:
    """Return the name and the kind of each form."""
    return [(each.name, each.kind and each.kind[1]) for each in found(schema)]


# Constants


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"const": "a"}, "a"),
        ({"const": 0}, 0),
        ({"enum": ["a"]}, "a"),
        ({"enum": ["a", "b"]}, None),
        ({"enum": []}, None),
        ({"enum": "a"}, None),
        ({"x-fern-type": 'literal<"a">'}, "a"),
        ({"x-fern-type": "literal<a>"}, "a"),
        ({"x-fern-type": "string"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_a_schema_of_one_value_is_a_constant(schema: Any, expected: Any) -> None:
    assert constant(schema) == expected


def test_constants_are_read_to_the_second_level_of_required_objects() -> None:
    deep = obj("below", below=obj("c", c={"const": "deep"}), b={"const": 2})
    schema = obj("head", a={"const": 1}, head=deep, other=obj(d={"const": 3}), odd="x", shared=ref("Text"))
    assert payload(schema).constants == {("a",): 1, ("head", "b"): 2}
    assert payload({"properties": "odd"}).constants == {}


@pytest.mark.parametrize(
    ("constants", "kind"),
    [
        ({}, None),
        ({"x": "a"}, (("x",), "a")),
        ({"x": "a", "event": "b", "type": "c"}, (("type",), "c")),
        ({"topic": "a", "channel": "b"}, (("topic",), "a")),
        ({"channel": "a", "x": "b"}, (("channel",), "a")),
        ({"x": 1}, (("x",), 1)),
        ({"x": None, "y": [1]}, None),
    ],
)
def test_the_most_usual_name_says_what_a_message_is(constants: Any, kind: Any) -> None:
    assert Payload("m", {}, {(name,): value for name, value in constants.items()}).kind == kind


def test_a_constant_at_the_top_says_more_than_one_below() -> None:
    assert Payload("m", {}, {("head", "type"): "a", ("x",): "b"}).kind == (("x",), "b")
    assert Payload("m", {}, {("head", "x"): "a", ("head", "type"): "b"}).kind == (("head", "type"), "b")


def test_the_names_of_kinds_are_those_of_usual_protocols() -> None:
    assert KIND_NAMES[:5] == ("type", "event", "action", "op", "method")


@pytest.mark.parametrize(
    ("name", "value", "of_request", "fails"),
    [
        ("m", "error", "", True),
        ("m", "auth_rejected", "", True),
        ("m", "done", "", False),
        ("LoginFailed", "x", "", True),
        ("Failure.ok", "x", "", False),
        ("m", "reject.done", "reject", False),
        ("m", "reject.error", "reject", True),
    ],
)
def test_a_failure_is_named_like_one(name: str, value: str, of_request: str, fails: bool) -> None:
    assert Payload(name, {}, {("type",): value}).reports_failure(of_request) is fails


def test_a_message_without_a_kind_has_the_key_of_its_message_where_others_have_it() -> None:
    plain = payload(obj(event=TEXT, x=TEXT))
    assert with_kind(plain, "news", ["type", "event"]).constants == {("event",): "news"}
    assert with_kind(plain, "news", ["type"]) is plain
    assert with_kind(payload(obj(type=TEXT, event=TEXT)), "news", ["event", "type"]).kind == (("type",), "news")
    known = payload(obj(event={"const": "a"}))
    assert with_kind(known, "news", ["event"]) is known


# Forms


def test_each_alternative_that_is_an_object_is_a_form() -> None:
    assert kinds({"oneOf": [ref("Open"), ref("Shut")]}) == [("m.Open", "open"), ("m.Shut", "shut")]
    assert kinds({"anyOf": [ref("Open"), TEXT]}) == [("m.Open", "open"), ("m.2", None)]
    titled = {"oneOf": [{**SHARED["Open"], "title": "To open"}, SHARED["Shut"]]}
    assert kinds(titled) == [("m.To_open", "open"), ("m.2", "shut")]
    assert kinds(ref("Either")) == [("m.Open", "open"), ("m.Shut", "shut")]
    assert kinds({"oneOf": [ref("Either"), obj()]}) == [
        ("m.Either.Open", "open"),
        ("m.Either.Shut", "shut"),
        ("m.2", None),
    ]


@pytest.mark.parametrize("schema", [{"oneOf": [TEXT, NUMBER]}, {"oneOf": "odd"}, {"oneOf": []}, TEXT, {}, "odd", None])
def test_what_has_no_objects_as_alternatives_is_one_form(schema: Any) -> None:
    assert [each.name for each in found(schema)] == ["m"]


@pytest.mark.parametrize(
    "other",
    [{"properties": {}}, {"allOf": [TEXT]}, {"oneOf": [TEXT]}, {"anyOf": [TEXT]}, {"type": "object"}],
    ids=str,
)
def test_an_alternative_is_an_object_by_its_type_or_its_keywords(other: Any) -> None:
    assert len(found({"oneOf": [TEXT, other]})) == 2


def test_alternatives_share_the_properties_beside_them() -> None:
    shared = {**obj("id", id=TEXT, type=TEXT), "oneOf": [ref("Open"), obj(b=NUMBER)]}
    first, second = found(shared)
    assert first.schema["properties"] == {"id": TEXT, "type": {"const": "open"}}
    assert first.schema["required"] == ["id", "type"]
    assert second.schema["properties"] == {"id": TEXT, "type": TEXT, "b": NUMBER}
    assert second.schema["required"] == ["id"]
    (third,) = found({**obj(id=TEXT), "oneOf": [obj(b=NUMBER)]})
    assert "required" not in third.schema


def test_alternatives_of_alternatives_share_what_all_levels_have() -> None:
    inner = {**obj(b=NUMBER), "oneOf": [obj(c=TEXT), obj(d=TEXT)]}
    plain = {"oneOf": [obj(e=TEXT), obj(f=TEXT)]}
    names = [[*each.properties] for each in found({**obj(a=TEXT), "anyOf": [inner, plain]})]
    assert names == [["a", "b", "c"], ["a", "b", "d"], ["a", "e"], ["a", "f"]]


def test_alternatives_are_read_to_the_fifth_level() -> None:
    schema: Any = {"oneOf": [obj(a=TEXT), obj(b=TEXT)]}
    for _ in range(4):
        schema = {"oneOf": [schema, obj(c=TEXT)]}
    assert len(found(schema)) == 6
    assert len(found({"oneOf": [schema, obj(c=TEXT)]})) == 6


def test_a_payload_has_at_most_100_forms() -> None:
    assert len(found({"oneOf": [obj() for _ in range(101)]})) == MAX_FORMS == 100


def test_a_reference_that_leads_nowhere_is_a_form_that_says_nothing() -> None:
    assert payload({"$ref": "#/nowhere"}) == Payload("m", {}, {})


# allOf


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (obj(a=TEXT), obj(a=TEXT)),
        ({"allOf": "odd"}, {"allOf": "odd"}),
        ({"allOf": [ref("Id"), obj(a=NUMBER)]}, obj("id", id=TEXT, a=NUMBER)),
        ({"allOf": [{"allOf": [ref("Id")]}, "odd"]}, obj("id", id=TEXT)),
        (
            {"title": "T", "allOf": [ref("Either"), ref("Id")]},
            {**SHARED["Either"], "title": "T", **obj("id", id=TEXT)},
        ),
        ({"allOf": [ref("Either")]}, SHARED["Either"]),
        (
            {"allOf": [ref("Either"), {"anyOf": [TEXT]}]},
            {"allOf": [SHARED["Either"], {"anyOf": [TEXT]}]},
        ),
    ],
    ids=str,
)
def test_what_all_of_refers_to_stands_at_the_top(schema: Any, expected: Any) -> None:
    assert expand(schema, SCHEMAS) == expected


# Predicates


@pytest.mark.parametrize(
    ("schema", "others", "expected"),
    [
        (obj(type={"const": "a"}), [], "message.type == 'a'"),
        (obj("h", h=obj(op={"const": 2})), [], "message.h.op == 2"),
        (obj(a=TEXT, b=TEXT), [obj(a=TEXT)], "message.b is defined"),
        (obj("b", a=TEXT, b=TEXT), [], "message.b is defined"),
        (obj("b", a=TEXT, b=TEXT), [obj(b=TEXT)], "message.a is defined"),
        (obj(a=TEXT), [obj(a=TEXT)], None),
        (obj(), [], None),
    ],
    ids=str,
)
def test_a_predicate_holds_for_no_other_message(schema: Any, others: Any, expected: str | None) -> None:
    assert predicate(payload(schema), [payload(each) for each in others]) == expected


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (obj(a=TEXT), None),
        (obj(error=TEXT, message=TEXT), "message.message"),
        (obj(reason={"type": ["string", "null"]}), "message.reason"),
        (obj(reason={}), "message.reason"),
        (obj(reason=NUMBER), None),
        (obj(error=obj(message=TEXT), cause=TEXT), "message.error.message"),
        (obj(error={"properties": {"text": TEXT}}), "message.error.text"),
        (obj(a=obj(b=obj(reason=TEXT))), "message.a.b.reason"),
        (obj(a=obj(b=obj(c=obj(reason=TEXT)))), None),
        (obj(a=obj(message=TEXT), message=TEXT), "message.message"),
        (obj(message={"const": "x"}, text=TEXT), "message.text"),
        (obj(a="odd", text=ref("Text")), "message.text"),
    ],
    ids=str,
)
def test_the_text_of_a_failure_is_the_property_that_is_called_most_like_one(schema: Any, expected: str | None) -> None:
    assert error_text(payload(schema), SCHEMAS) == expected


# Correlation


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("$message.payload#/a", ("a",)),
        ("$message.payload#/a~1b/c~0d", ("a/b", "c~d")),
        ("$message.header#/a", None),
        ("$message.payload#/", None),
        ("payload#/a", None),
        (None, None),
        (3, None),
    ],
)
def test_a_location_is_a_path_in_the_payload(location: Any, expected: Any) -> None:
    assert parse_location(location) == expected


def test_parameters_of_a_channel_may_be_in_the_payload() -> None:
    locations = {"a": {"location": "$message.payload#/x/y"}, "b": {"location": "$message.header#/z"}, "c": {}, "d": 3}
    assert parameter_paths(locations) == {("x", "y")}


DECLARED = "$message.payload#/meta/ref"


@pytest.mark.parametrize(
    ("schema", "is_number"),
    [
        (obj(meta=obj(ref=NUMBER)), True),
        (obj(meta=obj(ref={"type": "number"})), True),
        (obj(meta=obj(ref={"type": ["integer", "null"]})), True),
        (obj(meta=obj(ref={"type": ["integer", "string"]})), False),
        (obj(meta=obj(ref=TEXT)), False),
        (obj(meta=obj(ref={})), False),
        (obj(meta=obj()), False),
        (obj(meta=ref("Text")), False),
        (obj(), False),
    ],
    ids=str,
)
def test_a_declared_correlation_is_used_with_the_type_of_its_property(schema: Any, is_number: bool) -> None:
    path = ("meta", "ref")
    expected = Correlation(path, path, is_number, declared=True)
    assert find_correlation(payload(schema), DECLARED, [(payload(obj()), None)], SCHEMAS) == expected


def test_the_replies_may_declare_another_place() -> None:
    replies = [(payload(obj()), None), (payload(obj()), "$message.payload#/re"), (payload(obj()), DECLARED)]
    expected = Correlation(("meta", "ref"), ("re",), False, declared=True)
    assert find_correlation(payload(obj()), DECLARED, replies, SCHEMAS) == expected


@pytest.mark.parametrize(
    ("request_schema", "replies", "parameters", "expected"),
    [
        (obj(id=NUMBER), [obj(id=TEXT)], (), Correlation(("id",), ("id",), True, declared=False)),
        (obj(ref=TEXT, id=TEXT), [obj(id=TEXT, ref=TEXT)], (), Correlation(("id",), ("id",), False, declared=False)),
        (obj(id=TEXT, ref=TEXT), [obj(ref=TEXT)], (), Correlation(("ref",), ("ref",), False, declared=False)),
        (obj(ackId=NUMBER), [obj(ackId=NUMBER)], (), Correlation(("ackId",), ("ackId",), True, declared=False)),
        (obj(id=TEXT), [obj(id=TEXT), obj()], (), None),
        (obj(id=TEXT), [], (), None),
        (obj(), [obj(id=TEXT)], (), None),
        (obj(id={"const": "x"}), [obj(id=TEXT)], (), None),
        (obj(id=TEXT), [obj(id=TEXT)], {("id",)}, None),
        (obj(other=TEXT), [obj(other=TEXT)], (), None),
    ],
    ids=str,
)
def test_a_usual_name_in_request_and_replies_is_the_id(
    request_schema: Any, replies: Any, parameters: Any, expected: Any
) -> None:
    pairs = [(payload(each), "$message.header#/x") for each in replies]
    assert find_correlation(payload(request_schema), None, pairs, SCHEMAS, parameters) == expected


# Replies


ASK = payload(obj(type={"const": "ask"}))
BY_ID = Correlation(("id",), ("id",), False, declared=False)
USUAL = "message.error.message | default(message.error) | default(message.message)"


def kind(value: str, /, *required: str, **properties: Any) -> Any:
    return obj(*required, type={"const": value}, **properties)


@pytest.mark.parametrize(
    ("replies", "correlation", "expected"),
    [
        (
            [kind("done", id=TEXT, value=TEXT)],
            BY_ID,
            {
                "match": "message.id == request_id",
                "error": "message.type == 'error' or message.error",
                "error_message": USUAL,
                "result": "message.value",
            },
        ),
        ([obj(a=TEXT, b=TEXT)], None, {"error": "message.error", "error_message": USUAL}),
        (
            [kind("done"), kind("failed", reason=TEXT)],
            None,
            {
                "match": "message.type == 'done' or message.type == 'failed'",
                "error": "message.type == 'failed'",
                "error_message": "message.reason",
            },
        ),
        ([kind("done"), obj(x=TEXT)], None, {
            "error": "message.type == 'error' or message.error", "error_message": USUAL
        }),
        ([kind("failed"), kind("error")], None, {
            "match": "message.type == 'failed' or message.type == 'error'",
            "error": "message.type == 'failed' or message.type == 'error'",
        }),
        ([kind("failed", value=TEXT)], None, {
            "match": "message.type == 'failed'", "error": "message.type == 'error' or message.error",
            "error_message": USUAL, "result": "message.value",
        }),
        (
            [obj("id", id=TEXT, error=obj(message=TEXT), value=TEXT)],
            BY_ID,
            {
                "match": "message.id == request_id",
                "error": "message.error",
                "error_message": "message.error.message",
                "result": "message.value",
            },
        ),
        ([obj(id=TEXT, error=obj(code=NUMBER), reason=TEXT, value=TEXT)], BY_ID, {
            "match": "message.id == request_id", "error": "message.error", "error_message": "message.error"
        }),
        ([obj(id=TEXT, errors={})], BY_ID, {
            "match": "message.id == request_id", "error": "message.errors", "error_message": "message.errors"
        }),
        ([obj("error", id=TEXT, error=TEXT)], BY_ID, {"match": "message.id == request_id"}),
        ([obj(id=TEXT, success={}, reason=TEXT)], BY_ID, {
            "match": "message.id == request_id", "error": "message.success == false", "error_message": "message.reason"
        }),
        ([obj(id=TEXT, ok={}), obj(id=TEXT, ok={}, x=TEXT)], BY_ID, {
            "match": "message.id == request_id", "error": "message.ok == false"
        }),
        ([kind("a", id=TEXT, v=TEXT), kind("b", id=TEXT, v=TEXT)], BY_ID, {
            "match": "message.id == request_id", "error": "message.type == 'error' or message.error",
            "error_message": USUAL, "result": "message.v",
        }),
        ([kind("a", id=TEXT, v=TEXT), kind("b", id=TEXT, w=TEXT)], BY_ID, {
            "match": "message.id == request_id", "error": "message.type == 'error' or message.error",
            "error_message": USUAL,
        }),
        ([obj(id=TEXT, v=TEXT, echo_req={}, msg_type={})], BY_ID, {
            "match": "message.id == request_id", "error": "message.error", "error_message": USUAL, "result": "message.v"
        }),
        ([kind("a", x=TEXT), kind("a", y=TEXT)], None, {
            "match": "message.type == 'a'", "error": "message.type == 'error' or message.error", "error_message": USUAL
        }),
        ([kind("done", id=TEXT), payload(obj(id=TEXT), "TheError").schema], BY_ID, {
            "match": "message.id == request_id", "error": "message.type == 'error' or message.error",
            "error_message": USUAL,
        }),
        (
            [obj(op={"const": "a"}), obj(type={"const": "b"})], None,
            {"match": "message.op == 'a' or message.type == 'b'", "error": "message.error", "error_message": USUAL},
        ),
    ],
    ids=str,
)  # fmt: skip
def test_the_rules_for_replies_are_read_from_their_payloads(replies: Any, correlation: Any, expected: Any) -> None:
    assert reply_rules(ASK, [payload(each) for each in replies], correlation, SCHEMAS) == expected


def test_a_failure_that_nothing_distinguishes_has_no_rule() -> None:
    replies = [payload(obj(id=TEXT)), payload(obj(id=TEXT), "TheError")]
    assert reply_rules(ASK, replies, BY_ID, SCHEMAS) == {"match": "message.id == request_id"}


@pytest.mark.parametrize(
    ("value", "answers"),
    [
        ("ask_response", True),
        ("ask.ok", True),
        ("askResult", True),
        ("asked", True),
        ("ASK-ACK", True),
        ("asking", False),
        ("task_response", False),
        ("ask_response_2", False),
        ("result", True),
        ("Failure", True),
        ("results", False),
        ("ask", False),
    ],
)
def test_a_message_that_is_named_like_an_answer_is_one(value: str, answers: bool) -> None:
    reply = payload(kind(value, id=TEXT))
    assert guess_replies(ASK, [reply], "id") == [reply] * answers
    assert guess_replies(ASK, [payload(kind(value))], "id") == []


def test_answers_of_the_request_come_before_those_of_all_requests() -> None:
    common, own, loose = payload(kind("ok", id=TEXT)), payload(kind("ask_ok", id=TEXT)), payload(obj(id=TEXT))
    assert guess_replies(ASK, [common, loose, own], "id") == [own, common]
    assert guess_replies(payload(obj(id=TEXT)), [common, own], "id") == []
    odd = payload(kind("a.b"))
    assert guess_replies(odd, [payload(kind("aXb_ok", id=TEXT))], "id") == []


# Requests


def message(**fields: Any) -> Message:
    return Message(**{"name": "m", "payload": {}, **fields})


@pytest.mark.parametrize(
    "schema_format",
    [
        "",
        "application/vnd.aai.asyncapi;version=3.0.0",
        "application/vnd.aai.asyncapi+json;version=2",
        "application/schema+json;version=draft-07",
        "application/vnd.oai.openapi;version=3",
        "application/json",
    ],
)
def test_formats_of_json_schemas_are_read(schema_format: str) -> None:
    check_expressible(message(schema_format=schema_format, content_type="application/json"))
    check_expressible(message(schema_format=schema_format, payload=True))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"schema_format": "application/vnd.apache.avro"},
            "its payload is described as application/vnd.apache.avro, not as a JSON Schema",
        ),
        ({"content_type": "audio/WAV; rate=8"}, "its messages are binary (audio/wav)"),
        ({"content_type": "video/mp4"}, "its messages are binary (video/mp4)"),
        ({"content_type": "image/png"}, "its messages are binary (image/png)"),
        ({"content_type": "Application/Octet-Stream;x"}, "its messages are binary (application/octet-stream)"),
        ({"content_type": "application/x-protobuf"}, "its messages are binary (application/x-protobuf)"),
        ({"content_type": "application/protobuf"}, "its messages are binary (application/protobuf)"),
        ({"payload": {"format": "binary"}}, "its messages are binary"),
        ({"payload": {"format": "bytes"}}, "its messages are binary"),
    ],
)
def test_a_message_that_no_template_can_have_says_why(fields: Any, reason: str) -> None:
    with pytest.raises(Inexpressible) as refused:
        check_expressible(message(**fields))
    assert str(refused.value) == reason


def built(schema: Any, correlation: Any = None, inputs: Any = None, required: Any = ()) -> tuple[Any, Any]:
    """Return the template, and the arguments with those that are required."""
    request = build_request(payload(schema), correlation, SCHEMAS, inputs or {}, [*required])
    assert request.inputs["type"] == "object"
    assert request.inputs["additionalProperties"] is False
    assert request.inputs.get("required") != []
    return request.template, (request.inputs["properties"], request.inputs.get("required", []))


@pytest.mark.parametrize(
    ("schema", "correlation", "template", "arguments"),
    [
        (
            obj("a", type={"const": "x"}, n={"const": 1}, a=TEXT, b=NUMBER),
            None,
            {"type": "x", "n": 1, "a": "{{ args.a }}", "b": "{{ args.b }}"},
            ({"a": TEXT, "b": NUMBER}, ["a"]),
        ),
        (obj("id", id=TEXT, a=TEXT), ("id",), {"id": "{{ request_id }}", "a": "{{ args.a }}"}, ({"a": TEXT}, [])),
        (obj(a=TEXT), ("id",), {"a": "{{ args.a }}", "id": "{{ request_id }}"}, ({"a": TEXT}, [])),
        (obj(a=TEXT), ("h", "id"), {"a": "{{ args.a }}", "h": {"id": "{{ request_id }}"}}, ({"a": TEXT}, [])),
        (
            obj("h", h=obj("id", "x", id=TEXT, x=TEXT)),
            ("h", "id"),
            {"h": {"id": "{{ request_id }}", "x": "{{ args.x }}"}},
            ({"x": TEXT}, ["x"]),
        ),
        (obj(ro={"readOnly": True}, rw={"readOnly": False}), None, {"rw": "{{ args.rw }}"},
         ({"rw": {"readOnly": False}}, [])),
        (obj(**{"the a": TEXT, "the_a": TEXT}), None, {"the a": "{{ args.the_a }}", "the_a": "{{ args.the_a_2 }}"},
         ({"the_a": TEXT, "the_a_2": TEXT}, [])),
        (obj(data=obj("x", x=TEXT)), None, {"data": {"x": "{{ args.x }}"}}, ({"x": TEXT}, ["x"])),
        (obj(data={"allOf": [ref("Id")]}), None, {"data": {"id": "{{ args.id }}"}}, ({"id": TEXT}, ["id"])),
        (obj(data=obj()), None, {"data": "{{ args.data }}"}, ({"data": obj()}, [])),
        (obj(other=obj(x=TEXT)), None, {"other": "{{ args.other }}"}, ({"other": obj(x=TEXT)}, [])),
        (obj(data={**obj(x=TEXT), "oneOf": [TEXT]}), None, {"data": "{{ args.data }}"},
         ({"data": {**obj(x=TEXT), "oneOf": [TEXT]}}, [])),
        (obj(data={**obj(x=TEXT), "patternProperties": {}}), None, {"data": "{{ args.data }}"},
         ({"data": {**obj(x=TEXT), "patternProperties": {}}}, [])),
        (obj("head", head=obj("c", c={"const": "d"}, x=TEXT)), None, {"head": {"c": "d", "x": "{{ args.x }}"}},
         ({"x": TEXT}, [])),
        (obj(data=obj(data=obj(x=TEXT))), None, {"data": {"data": "{{ args.data }}"}}, ({"data": obj(x=TEXT)}, [])),
        (obj(data=True), None, {"data": "{{ args.data }}"}, ({"data": True}, [])),
        (obj("data", data=True, x=TEXT), ("data", "id"), {"data": {"id": "{{ request_id }}"}, "x": "{{ args.x }}"},
         ({"x": TEXT}, [])),
        (obj(t={"const": "{{ x }}"}), None, {"t": "{{ '{{ x }}' }}"}, ({}, [])),
        (TEXT, None, "{{ args.text }}", ({"text": TEXT}, ["text"])),
        ({"type": "array"}, None, "{{ args.payload }}", ({"payload": {"type": "array"}}, ["payload"])),
        ({}, None, "{{ args.payload }}", ({"payload": {"type": "object"}}, ["payload"])),
        ({}, ("id",), "{{ args.payload | chain({'id': request_id}) }}", ({"payload": {"type": "object"}}, ["payload"])),
        ({}, ("h", "id"), "{{ args.payload }}", ({"payload": {"type": "object"}}, ["payload"])),
    ],
    ids=str,
)  # fmt: skip
def test_a_message_is_a_template_with_arguments(schema: Any, correlation: Any, template: Any, arguments: Any) -> None:
    assert built(schema, correlation) == (template, arguments)


def test_the_arguments_of_the_url_come_first() -> None:
    template, arguments = built(obj("room", room=TEXT), None, {"room": NUMBER}, ["room"])
    assert template == {"room": "{{ args.room_2 }}"}
    assert arguments == ({"room": NUMBER, "room_2": TEXT}, ["room", "room_2"])


def test_a_property_that_a_template_would_read_cannot_be_sent() -> None:
    with pytest.raises(Inexpressible):
        built(obj(**{"$each": TEXT}))
