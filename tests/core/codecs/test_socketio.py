"""Socket.IO packets, with the examples of the protocol's description (github.com/socketio/socket.io-protocol, v5)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.message import RejectedValue
from utcp_ws_mcp.core.codecs.socketio import SocketIOCodec

CONNECT_DATA = {"sid": "oSO0OpakMV_3jnilAAAA"}
BYTES = b"\x01\x02\x03\x04"
EXAMPLES = [
    ({"type": "connect"}, ["40"]),
    ({"type": "connect", "namespace": "/admin", "data": CONNECT_DATA}, ["40/admin," + json.dumps(CONNECT_DATA)]),
    ({"type": "connect_error", "data": {"message": "Not authorized"}}, ['44{"message":"Not authorized"}']),
    ({"type": "event", "data": ["foo"]}, ['42["foo"]']),
    ({"type": "event", "namespace": "/admin", "data": ["bar"]}, ['42/admin,["bar"]']),
    ({"type": "event", "data": ["foo"], "id": 12}, ['4212["foo"]']),
    ({"type": "ack", "namespace": "/admin", "data": ["bar"], "id": 13}, ['43/admin,13["bar"]']),
    ({"type": "disconnect", "namespace": "/admin"}, ["41/admin,"]),
    ({"type": "event", "data": ["baz", BYTES]}, ['451-["baz",{"_placeholder":true,"num":0}]', BYTES]),
    (
        {"type": "event", "namespace": "/admin", "data": ["baz", b"\x01\x02", b"\x03\x04"]},
        [
            '452-/admin,["baz",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
            b"\x01\x02",
            b"\x03\x04",
        ],
    ),
    ({"type": "ack", "data": ["bar", BYTES], "id": 15}, ['461-15["bar",{"_placeholder":true,"num":0}]', BYTES]),
]


def decode(*parts: str | bytes) -> list[Any]:
    codec = SocketIOCodec()
    return [message.value for part in parts for message in codec.decode(part)]


@pytest.mark.parametrize(("packet", "messages"), EXAMPLES)
def test_a_packet_of_the_description_is_written_and_read(packet: Any, messages: list[Any]) -> None:
    written = SocketIOCodec().encode(packet)
    assert [part.replace(": ", ":") if isinstance(part, str) else part for part in messages] == written
    full = {"namespace": "/", "id": None, "data": None, **packet}
    assert decode(*messages) == [full]


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("2", {"type": "ping"}),
        ("3", {"type": "pong"}),
        ("3probe", {"type": "pong", "data": "probe"}),
        ("1", {"type": "close"}),
        ("6", {"type": "noop"}),
        ('0{"sid":"x","pingInterval":25000}', {"type": "open", "data": {"sid": "x", "pingInterval": 25000}}),
    ],
)
def test_a_packet_of_the_transport_is_read_and_written(text: str, packet: Any) -> None:
    assert decode(text) == [packet]
    assert SocketIOCodec().encode(packet) == [text]


@pytest.mark.parametrize("wrong", [None, "42", {}, {"type": "message"}, {"type": "event", "data": [float("nan")]}])
def test_what_is_no_packet_cannot_be_sent(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"Socket\.IO packet|JSON"):
        SocketIOCodec().encode(wrong)


WRONG_FIELDS = {
    "an id of letters": ({"id": "a1"}, "the id of a Socket.IO packet is not a number"),
    "an id of other digits": ({"id": "\u0663"}, "the id of a Socket.IO packet is not a number"),
    "an id that is negative": ({"id": -1}, "the id of a Socket.IO packet is not a number"),
    "a namespace that would end early": ({"namespace": '/a,["b"]'}, "the namespace of a Socket.IO packet"),
}


@pytest.mark.parametrize(("fields", "reason"), WRONG_FIELDS.values(), ids=WRONG_FIELDS)
def test_a_field_cannot_go_on_as_another_part_of_the_packet(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(RejectedValue, match=reason) as rejected:
        SocketIOCodec().encode({"type": "event", "data": ["foo"], **fields})
    assert rejected.value.code == "invalid-packet"


@pytest.mark.parametrize(("fields", "written"), [({"id": 0}, '420["a"]'), ({"id": "7"}, '427["a"]'), ({}, '42["a"]')])
def test_an_id_is_a_number_or_its_digits_or_left_out(fields: dict[str, Any], written: str) -> None:
    assert SocketIOCodec().encode({"type": "event", "namespace": None, "data": ["a"], **fields}) == [written]


@pytest.mark.parametrize(
    "text",
    ["", "x", "7", "47", "\u00b2", "\u0663", "4", "4\u0662", "hello"],
)
def test_what_is_no_packet_is_its_own_value(text: str) -> None:
    assert decode(text) == [text]


def test_numbers_that_are_too_long_are_no_numbers() -> None:
    assert decode("42" + "9" * 6000)[0]["data"].startswith("9")
    assert decode("45" + "9" * 6000 + "-[]")[0]["type"] == "event"
    assert decode('42["a",' + "9" * 6000 + "]")[0]["data"].startswith("[")


def test_a_placeholder_without_its_attachment_stays_as_it_is() -> None:
    strange = {"_placeholder": True, "num": 5}
    assert decode(f'451-["a",{json.dumps(strange)},{{"_placeholder":true,"num":true}}]', b"x")[0]["data"][1] == strange


def test_bytes_that_were_not_announced_are_their_own_value() -> None:
    assert decode(b"x", '451-["a",{"_placeholder":true,"num":0}]', b"y", b"z") == [
        b"x",
        {"type": "event", "namespace": "/", "id": None, "data": ["a", b"y"]},
        b"z",
    ]


@pytest.mark.parametrize(("announced", "awaited"), [(0, 0), (1, 1), (64, 64), (65, 64), (999_999_999, 64)])
def test_a_packet_is_complete_with_its_attachments_or_with_64(announced: int, awaited: int) -> None:
    codec = SocketIOCodec()
    come = [codec.decode(part) for part in (f'45{announced}-["a"]', *[b"x"] * awaited)]
    packet = {"type": "event", "namespace": "/", "id": None, "data": ["a"]}
    assert [[message.value for message in messages] for messages in come] == [[]] * awaited + [[packet]]


@pytest.mark.parametrize("parts", [('42["a"]',), ('451-["a"]', b"x")])
def test_a_packet_shows_the_text_that_it_was_and_is_not_read_again(parts: tuple[str | bytes, ...]) -> None:
    codec = SocketIOCodec()
    (message,) = (message for part in parts for message in codec.decode(part))
    assert (message.raw, message.decoded) == (parts[0], True)


@pytest.mark.parametrize("text", ["hello", b"x"])
def test_what_is_no_packet_was_not_decoded(text: str | bytes) -> None:
    (message,) = SocketIOCodec().decode(text)
    assert not message.decoded


@pytest.mark.parametrize("depth", [500, 900, 100_000])
def test_a_packet_that_is_nested_too_deeply_is_text(depth: int) -> None:
    text = "451-" + "[" * depth + "]" * depth
    (value,) = decode(text, b"x")
    assert value == text or isinstance(value["data"], str)


@given(
    st.lists(
        st.one_of(st.binary(max_size=8), st.text('0123456-/,[]{}"a\u0663', max_size=30), st.text(max_size=9)),
        max_size=8,
    )
)
def test_hostile_input_never_raises(parts: list[str | bytes]) -> None:
    decode(*parts)


WRITTEN: dict[str, tuple[Any, list[Any]]] = {
    "an object of the transport": ({"type": "open", "data": {"a": 1}}, ['0{"a":1}']),
    "an upgrade": ({"type": "upgrade"}, ["5"]),
    "bytes in an object": (
        {"type": "event", "data": ["a", {"b": [b"x"]}]},
        ['451-["a",{"b":[{"_placeholder":true,"num":0}]}]', b"x"],
    ),
    "bytes in a tuple": ({"type": "ack", "data": (b"x", 1)}, ['461-[{"_placeholder":true,"num":0},1]', b"x"]),
    "bytes of a packet that has no binary form": (
        {"type": "connect", "data": b"x"},
        ['401-{"_placeholder":true,"num":0}', b"x"],
    ),
    "the usual namespace": ({"type": "disconnect", "namespace": "/"}, ["41"]),
    "nothing": ({"type": "event"}, ["42"]),
    "false": ({"type": "event", "data": False}, ["42false"]),
}


@pytest.mark.parametrize(("packet", "messages"), WRITTEN.values(), ids=WRITTEN)
def test_a_packet_is_written(packet: Any, messages: list[Any]) -> None:
    assert SocketIOCodec().encode(packet) == messages


def test_what_is_no_packet_is_refused_with_its_reason() -> None:
    with pytest.raises(RejectedValue) as refused:
        SocketIOCodec().encode({"type": "message"})
    assert refused.value.code == "invalid-packet"
    assert str(refused.value) == (
        'the value is not a Socket.IO packet. Write {"type": "event", "data": ["name", …]} or another known type.'
    )


READ: dict[str, tuple[str, dict[str, Any]]] = {
    "an upgrade": ("5", {"type": "upgrade"}),
    "a zero": ("20", {"type": "ping", "data": 0}),
    "a namespace alone": ("40/admin", {"type": "connect", "namespace": "/admin", "id": None, "data": None}),
    "an id alone": ("437", {"type": "ack", "namespace": "/", "id": 7, "data": None}),
    "an id of zero": ("430[]", {"type": "ack", "namespace": "/", "id": 0, "data": []}),
    "text that is no JSON": ("42hello", {"type": "event", "namespace": "/", "id": None, "data": "hello"}),
    "a binary packet without attachments": ("450-[]", {"type": "event", "namespace": "/", "id": None, "data": []}),
    "a binary answer without a number": ("46[1]", {"type": "ack", "namespace": "/", "id": None, "data": [1]}),
}


@pytest.mark.parametrize(("text", "packet"), READ.values(), ids=READ)
def test_a_packet_is_read(text: str, packet: dict[str, Any]) -> None:
    assert decode(text) == [packet]


@pytest.mark.parametrize("number", [-1, 2, "0", None])
def test_a_placeholder_of_no_attachment_stays(number: Any) -> None:
    data = [
        {"_placeholder": True, "num": number},
        {"_placeholder": False, "num": 0},
        {"num": 0},
        {"_placeholder": 1, "num": 0},
    ]
    (packet,) = decode("451-" + json.dumps(data), b"x")
    assert packet["data"] == data


def test_placeholders_are_replaced_wherever_they_are() -> None:
    inner = {"_placeholder": True, "num": 1}
    (packet,) = decode("452-" + json.dumps(["a", {"b": [inner]}, {**inner, "num": 0}, 5]), b"x", b"y")
    assert packet["data"] == ["a", {"b": [b"y"]}, b"x", 5]


def test_a_second_packet_takes_the_place_of_one_that_waits() -> None:
    placeholder = '[{"_placeholder":true,"num":0}]'
    assert decode(f"451-{placeholder}", f"461-{placeholder}", b"x", b"y") == [
        {"type": "ack", "namespace": "/", "id": None, "data": [b"x"]},
        b"y",
    ]
