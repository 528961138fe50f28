"""The bounds, the defaults and the rules of the fields of a manifest, on both sides of each."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from utcp_ws_mcp.manifest.models.base import Model
from utcp_ws_mcp.manifest.models.call_template import CallTemplate
from utcp_ws_mcp.manifest.models.catalog import CatalogInfo
from utcp_ws_mcp.manifest.models.connection import (
    AutoReply,
    DisconnectMessage,
    Heartbeat,
    HttpRequestTemplate,
    HttpStep,
    Step,
)
from utcp_ws_mcp.manifest.models.feed import Feed, FeedStep, required_arguments
from utcp_ws_mcp.manifest.models.framing import Compression, Framing, MessageLength
from utcp_ws_mcp.manifest.models.manual import ManualOptions, Tool
from utcp_ws_mcp.manifest.models.network import Limits, Network, Tls
from utcp_ws_mcp.manifest.models.reply import Reply, Stream
from utcp_ws_mcp.manifest.validation import check_model

HTTP = {"url": "https://a.example/"}
NEEDED: dict[type[Model], dict[str, Any]] = {
    CallTemplate: {"url": "wss://a.example/"},
    Step: {"send": {}},
    HttpStep: {"http": HTTP, "fail": "false"},
    HttpRequestTemplate: HTTP,
    FeedStep: {"send": {}},
    Feed: {"name": "f", "match": "true"},
    MessageLength: {"size": 4},
    Heartbeat: {"every": 1, "send": {}},
    AutoReply: {"match": "true", "send": {}},
    DisconnectMessage: {"send": {}},
    Compression: {"method": "gzip"},
    Tool: {"name": "t"},
    CatalogInfo: {"summary": "s"},
}
"""What a model requires beside the field of a test."""


def problems(model: type[Model], **fields: Any) -> list[tuple[str, str, str]]:
    found = check_model(model, {**NEEDED.get(model, {}), **fields}, "")[1]
    return [(problem.path, problem.code, problem.message) for problem in found]


MIB = 1 << 20
BOUNDS: list[tuple[type[Model], str, float, float | None, float | None, float | None]] = [
    # model, field, smallest, a smaller one, greatest, a greater one
    (CallTemplate, "timeout", 0.001, 0, 86_400, 86_401),
    (Step, "timeout", 0.001, 0, None, None),
    (HttpStep, "timeout", 0.001, 0, None, None),
    (FeedStep, "timeout", 0.001, 0, None, None),
    (Heartbeat, "timeout", 0.001, 0, None, None),
    (Heartbeat, "every", 0.001, 0, None, None),
    (Feed, "size", 1, 0, 100_000, 100_001),
    (Feed, "max_bytes", 1024, 1023, 64 * MIB, 64 * MIB + 1),
    (Feed, "max_age", 0.001, 0, None, None),
    (Feed, "linger", 0, -0.001, None, None),
    (Feed, "max_instances", 1, 0, 1000, 1001),
    (Feed, "max_wait_seconds", 0, -0.001, 3600, 3601),
    (MessageLength, "at", 0, -1, 1023, 1024),
    (Framing, "header", 1, 0, 1024, 1025),
    (ManualOptions, "max_tools", 1, 0, None, None),
    (Limits, "max_message_bytes", 1024, 1023, None, None),
    (Limits, "max_in_flight", 1, 0, None, None),
    (Limits, "max_connections", 1, 0, None, None),
    (Limits, "connect_timeout", 0.001, 0, None, None),
    (Limits, "ping_interval", 0, -0.001, None, None),
    (Limits, "ping_timeout", 0.001, 0, None, None),
    (Limits, "requests_per_second", 0.001, 0, None, None),
    (Stream, "max_items", 1, 0, None, None),
    (Stream, "max_seconds", 0.001, 0, None, None),
    (Stream, "idle_seconds", 0.001, 0, None, None),
    (Stream, "max_bytes", 1, 0, None, None),
]


@pytest.mark.parametrize(("model", "field", "smallest", "smaller", "greatest", "greater"), BOUNDS)
def test_a_number_has_bounds(
    model: type[Model], field: str, smallest: float, smaller: float, greatest: float | None, greater: float | None
) -> None:
    assert problems(model, **{field: smallest}) == []
    ((path, code, _),) = problems(model, **{field: smaller})
    assert (path, code) == (field, "invalid-value")
    if greatest is not None:
        assert problems(model, **{field: greatest}) == []
        ((path, code, _),) = problems(model, **{field: greater})
        assert (path, code) == (field, "invalid-value")


DEFAULTS: dict[type[Model], dict[str, Any]] = {
    CallTemplate: {
        "listen": False, "typed_arguments": False, "keep_alive": True, "timeout": 30, "request_id": "uuid",
        "media_type": None,
    },
    Step: {"timeout": 10, "request_id": False},
    HttpStep: {"timeout": 10},
    FeedStep: {"timeout": 10, "answers_all": False},
    Heartbeat: {"timeout": 10},
    AutoReply: {"keep": False},
    HttpRequestTemplate: {"method": "GET"},
    Feed: {
        "keep": "all", "size": 1000, "max_bytes": MIB, "max_age": 3600, "start": "first_use", "linger": 600,
        "max_instances": 16, "max_wait_seconds": 50,
    },
    MessageLength: {"endian": "big", "at": 0, "counts": "body", "trailer": ""},
    Compression: {"send": False, "nested": False},
    Framing: {"header": None, "spans_messages": False, "batch": False},
    Tool: {"idempotent": False},
    ManualOptions: {"max_tools": 128},
    Network: {"allow": (), "plaintext": False},
    Tls: {"check_hostname": True, "insecure": False},
    Limits: {
        "max_message_bytes": 16 * MIB, "max_in_flight": 64, "max_connections": 4, "connect_timeout": 10,
        "ping_interval": 20, "ping_timeout": 20, "requests_per_second": None, "scope": "fleet",
    },
    Reply: {"none": False, "concurrent": False, "answers_all": False},
    Stream: {
        "on": True, "after_reply": False, "until_close": False, "require_end": False, "include_last": False,
        "max_items": 1000, "max_seconds": None, "idle_seconds": None, "max_bytes": MIB, "collect": "list",
    },
}  # fmt: skip


@pytest.mark.parametrize("model", DEFAULTS, ids=lambda model: model.__name__)
def test_a_field_that_is_not_written_has_its_documented_value(model: type[BaseModel]) -> None:
    made = model(**NEEDED.get(model, {}))  # type: ignore[call-overload]  # the keys are models of the manifest
    assert {name: getattr(made, name) for name in DEFAULTS[model]} == DEFAULTS[model]  # type: ignore[index]


@pytest.mark.parametrize(
    ("model", "field", "value", "code"),
    [
        (Tool, "name", "", "invalid-value"),
        (Feed, "name", "", "invalid-value"),
        (Framing, "separator", "", "invalid-value"),
        (CatalogInfo, "summary", "", "invalid-value"),
        (CallTemplate, "media_type", "a/" + "b" * 199, "invalid-value"),
        (Stream, "max_items", 1.5, "wrong-type"),
        (Feed, "size", "many", "wrong-type"),
        (Network, "plaintext", "perhaps", "wrong-type"),
        (CallTemplate, "none", 1, "unknown-key"),
    ],
)
def test_a_value_that_cannot_be_is_a_problem_of_its_field(
    model: type[Model], field: str, value: Any, code: str
) -> None:
    ((path, found, _),) = problems(model, **{field: value})
    assert (path, found) == (field, code)


def test_an_empty_name_is_said_to_be_empty() -> None:
    for model in (Tool, Feed):
        assert problems(model, name="") == [("name", "invalid-value", "cannot be empty.")]


def test_a_media_type_has_up_to_two_hundred_characters() -> None:
    assert problems(CallTemplate, media_type="a/" + "b" * 198) == []


@pytest.mark.parametrize("number", ["5", 5, "args.n"])
def test_a_number_of_items_is_a_number_or_an_expression(number: Any) -> None:
    assert problems(Stream, max_items=number) == []
    assert Stream(max_items=number).max_items == (5 if number != "args.n" else "args.n")


INVALID: dict[str, tuple[type[Model], dict[str, Any], str, str]] = {
    "a message that is false": (CallTemplate, {"message": False}, "message: cannot be false. Write", "invalid-message"),
    "a message that is true": (CallTemplate, {"message": True}, "message: expected a string, an object",
        "invalid-message"),
    "a message that is a number": (CallTemplate, {"message": 1}, "message: expected a string, an object",
        "invalid-message"),
    "a name that begins with a digit": (CallTemplate, {"let": {"1a": "1"}}, "let: '1a' cannot be written",
        "invalid-let-name"),
    "a name with a hyphen": (CallTemplate, {"let": {"ok": "1", "a-b": "1"}}, "let: 'a-b' cannot", "invalid-let-name"),
    "a name beyond ASCII": (CallTemplate, {"let": {"é": "1"}}, "let: 'é' cannot be written", "invalid-let-name"),
    "the name of a feed as a default": (
        CallTemplate, {"feed_defaults": {"name": "f"}}, "feed_defaults: 'name' is not a field that feeds can have in",
        "unknown-key",
    ),
    "a further message that is a number": (CallTemplate, {"then": ["a", 1]}, "then: expected messages: ",
        "invalid-message"),
    "protocols without websocket": (
        CallTemplate, {"allowed_communication_protocols": ["http"]},
        "allowed_communication_protocols: the list excludes", "protocol-not-allowed",
    ),
    "a method with a space": (HttpRequestTemplate, {"method": "GET /"}, "method: expected an HTTP method",
        "invalid-value"),
    "an empty method": (HttpRequestTemplate, {"method": ""}, "method: expected an HTTP method", "invalid-value"),
    "a step without an action": (Step, {"send": None}, ": a step has one of", "step-not-exclusive"),
    "a step with two actions": (Step, {"expect": "true"}, ": a step has one of", "step-not-exclusive"),
    "a step that sends and requests": (Step, {"http": HTTP}, ": a step has one of", "step-not-exclusive"),
    "a name of a feed with a blank in front": (Feed, {"name": " a"}, "name: ' a' is no name: write", "invalid-value"),
    "a name of a feed with a blank behind": (Feed, {"name": "a "}, "name: 'a ' is no name", "invalid-value"),
    "a name of a feed of two lines": (Feed, {"name": "a\nb"}, "name: 'a\\nb' is no name", "invalid-value"),
    "a feed without a match": (Feed, {"match": None}, ': "match" is required: which messages', "missing-key"),
    "the latest without a key": (Feed, {"keep": "latest"}, ': "keep": "latest" requires a "key"', "feed-key-required"),
    "resuming without a position": (
        Feed, {"resume": [{"send": {}}]}, ': "resume" requires a "position"', "feed-position-required",
    ),
    "a start with arguments": (
        Feed, {"start": "start", "inputs": {"required": ["a"]}}, ': "start": "start" is impossible for a feed',
        "feed-start-with-arguments",
    ),
    "a closing message that is a number": (Feed, {"close": 1}, "close: expected a message: ", "invalid-message"),
    "no length": (MessageLength, {"size": None}, ': a length has one of "size", "between" and', "invalid-framing"),
    "two lengths": (MessageLength, {"pattern": "(1)"}, ': a length has one of "size", "between"', "invalid-framing"),
    "an order of a text": (
        MessageLength, {"size": None, "pattern": "(1)", "endian": "big", "counts": "all"},
        ": 'counts' has no meaning for a length in text.", "invalid-framing",
    ),
    "a place of a text": (
        MessageLength, {"size": None, "pattern": "(1)", "at": 0}, ": 'at' has no meaning for a length in",
            "invalid-framing",
    ),
    "a trailer of a binary length": (MessageLength, {"trailer": "x"}, ": 'trailer' has no meaning", "invalid-framing"),
    "a varint at a place": (MessageLength, {"size": "varint", "at": 1}, ': a "varint" is directly behind',
        "invalid-framing"),
    "a varint that counts all": (
        MessageLength, {"size": "varint", "counts": "all"}, ': a "varint" is directly behind', "invalid-framing",
    ),
    "messages without an end": (Framing, {"spans_messages": True}, ': "spans_messages" requires a "sep',
        "separator-required"),
    "a text length without a separator": (
        Framing, {"length": {"pattern": "(1)"}}, ': "length.pattern" requires a "separator"', "invalid-framing",
    ),
    "a text length with a header": (
        Framing, {"length": {"pattern": "(1)"}, "separator": "\n", "header": 4},
        ': "header" has no meaning with a length in text', "invalid-framing",
    ),
    "a length between texts with a header": (
        Framing, {"length": {"between": ["", ":"]}, "header": 4}, ': "header" has no meaning with a', "invalid-framing",
    ),
    "a length between texts with a separator": (
        Framing, {"length": {"between": ["", ":"]}, "separator": "\n"},
        ': "separator" has no meaning with "length.between"', "invalid-framing",
    ),
    "nothing behind a length": (
        MessageLength, {"size": None, "between": ["a", ""]}, "between[1]: ", "invalid-value",
    ),
    "a digit in front of a length": (
        MessageLength, {"size": None, "between": ["v1", ":"]}, ': no digit can be next to the length in "between"',
        "invalid-framing",
    ),
    "a digit behind a length": (
        MessageLength, {"size": None, "between": ["v", "0:"]}, ': no digit can be next to the', "invalid-framing",
    ),
    "a size and texts": (
        MessageLength, {"between": ["a", "b"]}, ': a length has one of "size", "between" and', "invalid-framing",
    ),
    "a pattern and texts": (
        MessageLength, {"size": None, "pattern": "(1)", "between": ["a", "b"]}, ': a length has one of "size", ',
        "invalid-framing",
    ),
    "a unit of a binary length": (MessageLength, {"unit": "bytes"}, ": 'unit' has no meaning for a binary length",
        "invalid-framing"),
    **{
        f"characters of {codec}": (
            Framing, {"codec": codec, "length": {"between": ["", ":"], "unit": "utf16"}},
            f': the codec "{codec}" has no characters', "invalid-framing",
        )
        for codec in ("binary", "msgpack", "cbor", "mqtt")
    },
    "characters of compressed bodies": (
        Framing, {"compression": "gzip", "length": {"between": ["", ":"], "unit": "code_points"}},
        ": a compressed body has no characters", "invalid-framing",
    ),
    "a binary length with a separator": (
        Framing, {"length": {"size": 4}, "separator": "\n"}, ': "separator" excludes a binary', "invalid-framing",
    ),
    "a header with a separator": (Framing, {"header": 4, "separator": "\n"}, ': "separator" excludes a binary',
        "invalid-framing"),
    "a header that is too small": (
        Framing, {"length": {"size": 4, "at": 2}, "header": 5},
            ': "header" has 5 bytes, too few for the length in it. Write 6',
        "invalid-framing",
    ),
    "nested without a length": (
        Framing, {"compression": {"method": "gzip", "nested": True}}, ': "compression.nested" requires',
            "invalid-framing",
    ),
    "nested with a text length": (
        Framing, {"compression": {"method": "gzip", "nested": True}, "length": {"pattern": "(1)"}, "separator": "\n"},
        ': "compression.nested" requires', "invalid-framing",
    ),
    "Socket.IO with a length": (
        Framing, {"codec": "socketio4", "length": {"size": 4}}, ': the codec "socketio4" excludes', "invalid-framing",
    ),
    "Socket.IO with a header": (Framing, {"codec": "socketio4", "header": 4}, ': the codec "socketio4"',
        "invalid-framing"),
    "Socket.IO with compression": (
        Framing, {"codec": "socketio4", "compression": "gzip"}, ': the codec "socketio4" excludes', "invalid-framing",
    ),
    "Protobuf without a schema": (Framing, {"codec": "protobuf"}, ': the codec "protobuf" and the object',
        "invalid-framing"),
    "a schema without Protobuf": (
        Framing, {"protobuf": {"schema": "a.proto", "receive": "a.B"}}, ': the codec "protobuf" and the object',
        "invalid-framing",
    ),
    "a short fingerprint": (Tls, {"fingerprint": "a" * 63}, "fingerprint: expected the SHA-256 of a cert",
        "invalid-value"),
    "a long fingerprint": (Tls, {"fingerprint": "a" * 65}, "fingerprint: expected the SHA-256", "invalid-value"),
    "one of two fingerprints": (
        Tls, {"fingerprint": ["a" * 64, "g" * 64]}, "fingerprint: expected the SHA-256 of", "invalid-value",
    ),
    "a fingerprint that is a number": (Tls, {"fingerprint": [1]}, "fingerprint: expected the SHA-256", "invalid-value"),
    "a name of a server with a port": (Tls, {"server_name": "a:1"}, "server_name: expected the name of a",
        "invalid-value"),
    "an empty name of a server": (Tls, {"server_name": ""}, "server_name: expected the name of a host",
        "invalid-value"),
    "a long name of a server": (Tls, {"server_name": "a" * 254}, "server_name: expected the name", "invalid-value"),
    "a name of a server that ends with a dot": (Tls, {"server_name": "a."}, "server_name: expected", "invalid-value"),
    "any name without an authority": (Tls, {"check_hostname": False}, ": is false, but nothing says",
        "certificate-required"),
}  # fmt: skip


@pytest.mark.parametrize(("model", "fields", "message", "code"), INVALID.values(), ids=INVALID)
def test_what_a_field_cannot_be_is_said(model: type[Model], fields: dict[str, Any], message: str, code: str) -> None:
    ((path, found, text),) = problems(model, **fields)
    assert found == code
    assert f"{path}: {text}".startswith(message)


VALID: dict[str, tuple[type[Model], dict[str, Any]]] = {
    "the shortest summary": (CatalogInfo, {"summary": "s"}),
    "messages": (CallTemplate, {"message": None, "then": ["a", {}, []], "let": {"_a1": "1", "B": "2"}}),
    "defaults of feeds": (CallTemplate, {"feed_defaults": {"match": "true", "size": 1}}),
    "protocols": (CallTemplate, {"allowed_communication_protocols": ["http", "websocket"]}),
    "a method": (HttpRequestTemplate, {"method": "post"}),
    "a step that waits": (Step, {"send": None, "expect": "true"}),
    "a step that requests": (Step, {"send": None, "http": HTTP}),
    "the latest of a key": (Feed, {"keep": "latest", "key": "message.id"}),
    "resuming": (Feed, {"resume": [{"send": {}}], "position": "message.id"}),
    "a start with optional arguments": (Feed, {"start": "start", "inputs": {"properties": {"a": {}}, "required": []}}),
    "closing messages": (Feed, {"close": {"op": "stop"}}),
    "a closing list": (Feed, {"close": []}),
    "a closing text": (Feed, {"close": "stop"}),
    "a length of a text": (MessageLength, {"size": None, "pattern": "(1)", "trailer": "x"}),
    "a varint": (MessageLength, {"size": "varint", "at": 0, "counts": "body"}),
    "messages that end with a separator": (Framing, {"spans_messages": True, "separator": "\n"}),
    "messages with a length": (Framing, {"spans_messages": True, "length": {"size": 4}}),
    "a text length": (Framing, {"length": {"pattern": "(1)"}, "separator": "\n"}),
    "a length between texts": (
        Framing,
        {"length": {"between": ["a", "b"], "unit": "utf16", "trailer": ","}, "spans_messages": True},
    ),
    "a length in front of a text": (MessageLength, {"size": None, "between": ["", ":"]}),
    **{
        f"characters of {codec}": (Framing, {"codec": codec, "length": {"between": ["", ":"], "unit": "code_points"}})
        for codec in ("json", "text", "stomp")
    },
    "bytes of a binary codec": (Framing, {"codec": "binary", "length": {"between": ["", ":"]}}),
    "compressed bodies": (Framing, {"compression": "gzip", "length": {"between": ["", ":"], "unit": "bytes"}}),
    "characters of a compressed connection": (
        Framing,
        {
            "compression": {"method": "zlib", "context": "connection"},
            "length": {"between": ["", ":"], "unit": "utf16"},
        },
    ),
    "a header of the length": (Framing, {"length": {"size": 4, "at": 2}, "header": 6}),
    "a header of a varint": (Framing, {"length": {"size": "varint"}, "header": 1}),
    "nested": (Framing, {"compression": {"method": "gzip", "nested": True}, "length": {"size": 4}}),
    "Socket.IO": (Framing, {"codec": "socketio4"}),
    "Protobuf": (Framing, {"codec": "protobuf", "protobuf": {"schema": "a.proto", "receive": "a.B"}}),
    "the longest name of a server": (Tls, {"server_name": "a" * 253}),
    "the shortest name of a server": (Tls, {"server_name": "_"}),
    "any name of an authority": (Tls, {"check_hostname": False, "ca_file": "ca.pem"}),
    "any name of a certificate": (Tls, {"check_hostname": False, "fingerprint": "a" * 64}),
}


@pytest.mark.parametrize(("model", "fields"), VALID.values(), ids=VALID)
def test_what_fits_together_is_no_problem(model: type[Model], fields: dict[str, Any]) -> None:
    assert problems(model, **fields) == []


@pytest.mark.parametrize(
    "written", ["A" * 64, "sha256:" + "a" * 64, "SHA256/" + "a" * 64, ":".join(["AA"] * 32), " ".join(["aa"] * 32)]
)
def test_a_fingerprint_has_many_forms(written: str) -> None:
    assert Tls(fingerprint=written).fingerprint == ("a" * 64,)
    assert Tls(fingerprint=[written, "b" * 64]).fingerprint == ("a" * 64, "b" * 64)


@pytest.mark.parametrize(
    ("framing", "has_header"),
    [
        ({}, False), ({"header": 4}, True), ({"length": {"size": 4}}, False),
        ({"length": {"pattern": "(1)"}, "separator": "\n"}, True), ({"length": {"between": ["", ":"]}}, False),
    ],
)  # fmt: skip
def test_a_message_has_a_header_if_one_is_written_or_holds_the_length(
    framing: dict[str, Any], has_header: bool
) -> None:
    assert Framing(**framing).has_header is has_header


@pytest.mark.parametrize(
    ("inputs", "names"),
    [({}, []), ({"required": ["a", 1, "b"]}, ["a", "b"]), ({"required": "a"}, []), ({"required": None}, [])],
)
def test_only_texts_in_a_list_are_required_arguments(inputs: dict[str, Any], names: list[str]) -> None:
    assert required_arguments(inputs) == names


KEPT: list[tuple[type[Model], str, Any]] = [
    (CallTemplate, "message", {"a": [1]}), (CallTemplate, "let", {"a": "1"}), (CallTemplate, "feed_defaults",
        {"size": 1}),
    (CallTemplate, "then", ("a", {})), (CallTemplate, "allowed_communication_protocols", ("http", "websocket")),
    (HttpRequestTemplate, "method", "post"), (Feed, "close", {"op": "x"}), (Feed, "name", "a.b-c_1"),
    (Tls, "server_name", "a.example"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "field", "value"), KEPT)
def test_a_value_that_is_checked_stays_as_it_is(model: type[Model], field: str, value: Any) -> None:
    made: Any = model
    assert getattr(made(**{**NEEDED.get(model, {}), field: value}), field) == value
