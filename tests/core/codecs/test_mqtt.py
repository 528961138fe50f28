"""MQTT 3.1.1 control packets (OASIS standard of 29 October 2014); bytes in brackets are its sections."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.message import RejectedValue
from utcp_ws_mcp.core.codecs.mqtt import MAX_PACKET_BYTES, MqttCodec

WRITTEN = [
    ({"type": "pingreq"}, "c000"),  # [3.12]
    ({"type": "disconnect"}, "e000"),  # [3.14]
    ({"type": "puback", "packet_id": 258}, "40020102"),  # [3.4]
    ({"type": "pubrel", "packet_id": 1}, "62020001"),  # [3.6.1]
    ({"type": "publish", "topic": "a/b", "payload": "", "qos": 1, "packet_id": 10}, "32070003612f62000a"),  # [3.3.2]
    ({"type": "publish", "topic": "a", "payload": b"\xff", "retain": True}, "3104000161ff"),
    ({"type": "publish", "topic": "a", "payload": {"n": 1}}, "300a000161" + b'{"n":1}'.hex()),
    (
        {"type": "subscribe", "packet_id": 10, "topics": [{"topic": "a/b", "qos": 1}, {"topic": "c/d", "qos": 2}]},
        "820e000a0003612f62010003632f6402",  # [3.8.3]
    ),
    ({"type": "unsubscribe", "packet_id": 10, "topics": ["a/b", "c/d"]}, "a20c000a0003612f620003632f64"),  # [3.10.3]
    ({"type": "connect", "client_id": "c"}, "100d00044d5154540402003c000163"),  # [3.1]
    (
        {
            "type": "connect",
            "client_id": "c",
            "clean_session": False,
            "keep_alive": 10,
            "username": "u",
            "password": "p",
            "will": {"topic": "w", "payload": "m", "qos": 1, "retain": True},
        },
        "101900044d51545404ec000a000163000177000" + "16d000175000170",
    ),
]
READ = [
    ("20020000", {"type": "connack", "session_present": False, "code": 0}),  # [3.2]
    ("20020105", {"type": "connack", "session_present": True, "code": 5}),
    ("9005000a000180", {"type": "suback", "packet_id": 10, "codes": [0, 1, 128]}),  # [3.9.3]
    ("b002000a", {"type": "unsuback", "packet_id": 10}),
    ("40020102", {"type": "puback", "packet_id": 258}),
    ("d000", {"type": "pingresp"}),
    ("30050001616869", {"type": "publish", "topic": "a", "payload": "hi", "qos": 0, "retain": False}),
    ("3305000161" + "0007", {"type": "publish", "topic": "a", "payload": "", "qos": 1, "retain": True, "packet_id": 7}),
    ("3004000161ff", {"type": "publish", "topic": "a", "payload": b"\xff", "qos": 0, "retain": False}),
]
LENGTHS = [(0, "00"), (127, "7f"), (128, "8001"), (16_383, "ff7f"), (16_384, "808001"), (2_097_151, "ffff7f")]
"""Table 2.4 of the standard."""


def decode(*parts: str | bytes) -> list[Any]:
    codec = MqttCodec()
    return [message.value for part in parts for message in codec.decode(part)]


@pytest.mark.parametrize(("packet", "data"), WRITTEN)
def test_a_packet_is_written_as_the_standard_says(packet: Any, data: str) -> None:
    assert [message.hex() for message in MqttCodec().encode(packet) if isinstance(message, bytes)] == [data]


@pytest.mark.parametrize(("data", "packet"), READ)
def test_a_packet_is_read_as_the_standard_says(data: str, packet: Any) -> None:
    assert decode(bytes.fromhex(data)) == [packet]


@pytest.mark.parametrize(("size", "digits"), LENGTHS)
def test_the_remaining_length_has_one_to_four_digits(size: int, digits: str) -> None:
    if size < 3:
        assert MqttCodec().encode({"type": "pingreq"}) == [b"\xc0" + bytes.fromhex(digits)]
        return
    (data,) = MqttCodec().encode({"type": "publish", "topic": "a", "payload": "x" * (size - 3)})
    assert isinstance(data, bytes)
    assert data[1 : 1 + len(digits) // 2].hex() == digits
    assert len(decode(data)[0]["payload"]) == size - 3


def test_a_packet_of_more_than_16_mib_is_not_sent() -> None:
    with pytest.raises(ValueError, match="16 MiB"):
        MqttCodec().encode({"type": "publish", "topic": "a", "payload": "x" * MAX_PACKET_BYTES})


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {"type": "x"},
        {"type": "connack"},
        {"type": "publish"},
        {"type": "publish", "topic": 1},
        {"type": "publish", "topic": "a", "qos": 1},
        {"type": "puback", "packet_id": 65536},
        {"type": "subscribe", "packet_id": 1, "topics": [1]},
        {"type": "publish", "topic": "x" * 65536},
    ],
)
def test_what_is_no_packet_cannot_be_sent(wrong: Any) -> None:
    with pytest.raises(ValueError, match="MQTT packet"):
        MqttCodec().encode(wrong)


def test_several_packets_in_a_message_and_one_in_several() -> None:
    data = bytes.fromhex("".join(hexed for hexed, _ in READ))
    packets = [packet for _, packet in READ]
    assert decode(data) == packets
    assert decode(*(data[index : index + 1] for index in range(len(data)))) == packets
    for cut in range(len(data)):
        assert decode(data[:cut], data[cut:]) == packets


@pytest.mark.parametrize(
    "data", ["2000", "200100", "3000", "30020005", "36020000", "30030002ff", "400100", "0000", "f000"]
)
def test_a_packet_that_is_wrong_inside_is_malformed_and_the_next_one_is_read(data: str) -> None:
    malformed, ping = decode(bytes.fromhex(data) + b"\xd0\x00")
    assert malformed == {"type": "malformed"}
    assert ping == {"type": "pingresp"}


def test_a_length_that_never_ends_is_malformed() -> None:
    assert decode(b"\x30\xff\xff\xff\xff\x01", b"\xd0\x00") == [{"type": "malformed"}, {"type": "pingresp"}]
    assert decode(b"\x30\xff\xff\xff\x7f") == [{"type": "malformed"}]


@pytest.mark.parametrize("data", ["3000", "30ffffffff01"])
def test_a_malformed_packet_is_shown_and_handed_on_as_a_value_and_not_as_bytes(data: str) -> None:
    (message,) = MqttCodec().decode(bytes.fromhex(data))
    assert (message.payload, message.for_display) == ({"type": "malformed"}, '{"type":"malformed"}')


def test_text_is_its_own_value() -> None:
    assert decode("hello") == ["hello"]


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_hostile_input_never_raises(parts: list[bytes]) -> None:
    decode(*parts)


def test_many_small_packets_take_no_long() -> None:
    assert len(decode(b"\xd0\x00" * 100_000)) == 100_000


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        ({"type": "puback", "packet_id": 70_000}, "'packet_id' is 70000. A packet ID starts again after 65,535"),
        ({"type": "puback"}, "has no 'packet_id'"),
        ({"type": "publish", "topic": "x" * 70_000}, "more than 65,535 bytes in 'topic'"),
    ],
)
def test_what_is_wrong_with_a_packet_is_said_with_its_field(packet: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MqttCodec().encode(packet)


MORE_WRITTEN = {
    "a copy": ({"type": "publish", "topic": "a", "qos": 1, "packet_id": 1, "dup": True}, "3a050001610001"),
    "the second quality": ({"type": "publish", "topic": "a", "qos": 2, "packet_id": 1}, "34050001610001"),
    "the quality as text": ({"type": "publish", "topic": "a", "qos": "1", "packet_id": 1}, "32050001610001"),
    "all flags": (
        {"type": "publish", "topic": "a", "qos": 2, "packet_id": 1, "dup": True, "retain": True},
        "3d050001610001",
    ),
    "an id without a use": ({"type": "publish", "topic": "a", "packet_id": 1}, "3003000161"),
    "topics as text": ({"type": "subscribe", "packet_id": 1, "topics": ["a"]}, "82060001" + "000161" + "00"),
    "a topic without quality": ({"type": "subscribe", "packet_id": 1, "topics": [{"topic": "a"}]}, "8206000100016100"),
    "a pattern of topics": ({"type": "subscribe", "packet_id": 1, "topics": ["+/#"]}, "82080001" + "00032b2f23" + "00"),
    "pubrec": ({"type": "pubrec", "packet_id": 1}, "50020001"),
    "pubcomp": ({"type": "pubcomp", "packet_id": 65_535}, "7002ffff"),
    "unsuback": ({"type": "unsuback", "packet_id": 0}, "b0020000"),
    "pingresp": ({"type": "pingresp"}, "d000"),
    "connect without anything": ({"type": "connect"}, "100c00044d5154540402003c0000"),
    "a user": ({"type": "connect", "username": ""}, "100e00044d5154540482003c00000000"),
    "a password": ({"type": "connect", "password": "p"}, "100f00044d5154540442003c0000000170"),
    "a will": ({"type": "connect", "will": {"topic": "w"}}, "101100044d5154540406003c000000017700" + "00"),
    "a will that is kept": (
        {"type": "connect", "will": {"topic": "w", "qos": 2, "retain": True, "payload": b"\xff"}},
        "101200044d5154540436003c000000017700" + "01ff",
    ),
}


@pytest.mark.parametrize(("packet", "data"), MORE_WRITTEN.values(), ids=MORE_WRITTEN)
def test_the_fields_of_a_packet_are_where_the_standard_has_them(packet: Any, data: str) -> None:
    assert MqttCodec().encode(packet) == [bytes.fromhex(data)]


MORE_READ = {
    "the second quality": ("3405000161000778", {"topic": "a", "qos": 2, "retain": False, "packet_id": 7}),
    "a copy": ("3a05000161000778", {"topic": "a", "qos": 1, "retain": False, "packet_id": 7}),
}


@pytest.mark.parametrize(("data", "fields"), MORE_READ.values(), ids=MORE_READ)
def test_the_flags_of_a_publication_are_read(data: str, fields: dict[str, Any]) -> None:
    raw = bytes.fromhex(data)
    assert decode(raw[:1] + bytes([len(raw) - 2]) + raw[2:]) == [{"type": "publish", "payload": "x", **fields}]


@pytest.mark.parametrize(
    ("data", "packet"),
    [
        ("20020200", {"type": "connack", "session_present": False, "code": 0}),
        ("20020304", {"type": "connack", "session_present": True, "code": 4}),
        ("50020102", {"type": "pubrec", "packet_id": 258}),
        ("62020102", {"type": "pubrel", "packet_id": 258}),
        ("70020102", {"type": "pubcomp", "packet_id": 258}),
        ("9002000a", {"type": "suback", "packet_id": 10, "codes": []}),
        ("c000", {"type": "pingreq"}),
        ("e000", {"type": "disconnect"}),
    ],
)
def test_each_type_of_packet_is_read(data: str, packet: Any) -> None:
    assert decode(bytes.fromhex(data)) == [packet]


@pytest.mark.parametrize("raw", ["hello", b"\xd0\x00"])
def test_a_message_holds_what_came_and_whether_it_was_decoded(raw: str | bytes) -> None:
    (message,) = MqttCodec().decode(raw)
    assert (message.raw, message.decoded) == (("hello", False) if raw == "hello" else (b"", True))


def test_a_length_may_be_16_mib_and_not_more() -> None:
    assert decode(b"\x30\x80\x80\x80\x08") == []
    assert decode(b"\x30\x81\x80\x80\x08") == [{"type": "malformed"}]
    (largest,) = MqttCodec().encode({"type": "publish", "topic": "a", "payload": bytes(MAX_PACKET_BYTES - 3)})
    assert len(largest) == MAX_PACKET_BYTES + 5


def test_what_follows_a_length_that_never_ends_is_dropped_with_it() -> None:
    codec = MqttCodec()
    messages = [*codec.decode(b"\xd0\x00\x30\xff\xff\xff\xff\x01")]
    assert [message.value["type"] for message in messages] == ["pingresp", "malformed"]
    assert messages[1].raw == b"\x30\xff\xff\xff\xff\x01"
    assert [message.value["type"] for message in codec.decode(b"\xd0\x00")] == ["pingresp"]


ID_FIX = "A packet ID starts again after 65,535: {{ (request_id - 1) % 65535 + 1 }}."
REFUSED: dict[str, tuple[Any, str]] = {
    "no packet": (
        [1],
        ('the value is not an MQTT packet. Write {"type": "publish", "topic": …, "payload": …} or another known type.'),
    ),
    "no type": (
        {"type": ""},
        ('the value is not an MQTT packet. Write {"type": "publish", "topic": …, "payload": …} or another known type.'),
    ),
    "a packet of servers": ({"type": "suback"}, "only a server sends the MQTT packet 'suback'."),
    "no topic": ({"type": "publish"}, "the MQTT packet 'publish' has no 'topic'."),
    "a wildcard": (
        {"type": "publish", "topic": "a/+"},
        "the topic contains a wildcard, '+' or '#', which only subscriptions may. Remove it.",
    ),
    "a wildcard for all": (
        {"type": "publish", "topic": "a/#"},
        "the topic contains a wildcard, '+' or '#', which only subscriptions may. Remove it.",
    ),
    "a wildcard of a will": (
        {"type": "connect", "will": {"topic": "#"}},
        "the topic contains a wildcard, '+' or '#', which only subscriptions may. Remove it.",
    ),
    "a NUL": ({"type": "publish", "topic": "a\0"}, "a text of the MQTT packet contains NUL. Remove it."),
    "an id below zero": (
        {"type": "puback", "packet_id": -1},
        f"a number of the MQTT packet 'puback' is not from 0 to 65,535: 'packet_id' is -1. {ID_FIX}",
    ),
    "an id that is too large": (
        {"type": "puback", "packet_id": 65_536, "zero": 0, "last": 65_535},
        f"a number of the MQTT packet 'puback' is not from 0 to 65,535: 'packet_id' is 65536. {ID_FIX}",
    ),
    "two numbers": (
        {"type": "connect", "keep_alive": 70_000, "other": 99_999},
        (
            "a number of the MQTT packet 'connect' is not from 0 to 65,535: 'keep_alive' is 70000, 'other' is 99999. "
            f"{ID_FIX}"
        ),
    ),
    "a text that is too long": (
        {"type": "connect", "client_id": "é" * 32_768, "username": "u" * 65_535},
        "the MQTT packet 'connect' has more than 65,535 bytes in 'client_id'.",
    ),
    "an id of text": (
        {"type": "puback", "packet_id": "7", "more": [1]},
        "a field of the MQTT packet 'puback' has the wrong type: 'packet_id' is str, 'more' is list.",
    ),
    "a packet that is too large": (
        {"type": "publish", "topic": "a", "payload": bytes(MAX_PACKET_BYTES - 2)},
        "the MQTT packet has more than 16 MiB.",
    ),
}


@pytest.mark.parametrize(("packet", "message"), REFUSED.values(), ids=REFUSED)
def test_a_packet_that_cannot_be_sent_is_refused_with_its_reason(packet: Any, message: str) -> None:
    with pytest.raises(RejectedValue) as refused:
        MqttCodec().encode(packet)
    assert (str(refused.value), refused.value.code) == (message, "invalid-packet")


def test_a_text_may_have_65535_bytes() -> None:
    assert len(MqttCodec().encode({"type": "publish", "topic": "é" * 32_767 + "a"})[0]) == 4 + 2 + 65_535
