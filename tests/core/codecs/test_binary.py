"""Bytes in the values of every codec are never written into text."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from utcp_ws_mcp.core.codecs.binary import Binary, as_binary, refuse_binary
from utcp_ws_mcp.core.codecs.framing import make_framer
from utcp_ws_mcp.core.codecs.message import RejectedValue
from utcp_ws_mcp.core.codecs.protobuf import load_types
from utcp_ws_mcp.manifest.models.framing import Framing

SCHEMA = b'syntax = "proto3"; message M { bytes one = 1; repeated bytes more = 2; map<string, bytes> named = 3; }'
TYPES = {"schema": "m.proto", "receive": "M", "send": "M"}
DATA = b"\x00\xff"

MESSAGES: dict[str, tuple[dict[str, Any], Any]] = {
    "MessagePack": ({"codec": "msgpack"}, {"a": DATA}),
    "MessagePack, in a list": ({"codec": "msgpack"}, [DATA]),
    "MessagePack, as a key": ({"codec": "msgpack"}, {DATA: 1}),
    "CBOR": ({"codec": "cbor"}, [{"a": [DATA]}]),
    "Protobuf": ({"codec": "protobuf", "protobuf": TYPES}, {"one": DATA}),
    "Protobuf, in a list": ({"codec": "protobuf", "protobuf": TYPES}, {"more": [DATA]}),
    "Protobuf, in a map": ({"codec": "protobuf", "protobuf": TYPES}, {"named": {"a": DATA}}),
    "MQTT": ({"codec": "mqtt"}, {"type": "publish", "topic": "t", "payload": DATA}),
    "STOMP": ({"codec": "stomp"}, {"command": "MESSAGE", "body": DATA}),
    "Socket.IO": ({"codec": "socketio4"}, {"type": "event", "data": ["x", DATA]}),
    "the header": ({"header": 2}, {"header": DATA, "body": {}}),
    "the body": ({"header": 2, "codec": "binary"}, {"header": b"hi", "body": DATA}),
}


@pytest.mark.parametrize(("framing", "sent"), MESSAGES.values(), ids=MESSAGES)
def test_bytes_of_a_decoded_message_are_never_written_into_text(framing: dict[str, Any], sent: Any) -> None:
    schema = load_types("m.proto", lambda _: SCHEMA).select("M", "M")
    peer = make_framer(Framing(**framing), schema=schema)
    (message,) = [message for raw in peer.encode(sent) for message in peer.decode(raw)]
    with pytest.raises(RejectedValue, match="text cannot contain binary data") as refused:
        refuse_binary(lambda: str(message.value))
    assert refused.value.code == "binary-in-text"
    assert message.is_json, "the codec decoded it"


def test_only_bytes_become_binary() -> None:
    assert [type(as_binary(each)) for each in (b"x", bytearray(b"x"), "x", [b"x"])] == [Binary, bytearray, str, list]
    assert as_binary(DATA) == DATA


def test_what_a_method_makes_of_bytes_is_binary() -> None:
    data = Binary(b" aB ")
    made = [data.strip(), data.lstrip(b" "), data.rstrip(), data.lower(), data.upper(), data.title(), data.capitalize()]
    assert made == [b"aB", b"aB ", b" aB", b" ab ", b" AB ", b" Ab ", b" ab "]
    assert {type(each) for each in [*made, data.replace(b"a", b"b")]} == {Binary}


def test_a_failure_after_bytes_were_written_is_reported_as_that() -> None:
    with pytest.raises(RejectedValue, match="text cannot contain binary data"):
        refuse_binary(lambda: int(f"{Binary(DATA)}"))
    with pytest.raises(ValueError, match="invalid literal"):
        refuse_binary(lambda: int("x"))


def test_bytes_that_another_thread_writes_do_not_count() -> None:
    def write() -> str:
        thread = threading.Thread(target=str, args=(Binary(DATA),))
        thread.start()
        thread.join()
        return "text"

    assert refuse_binary(write) == "text"


def test_bytes_are_shown_by_their_length() -> None:
    assert repr([Binary(DATA)]) == "[<2 bytes>]"
