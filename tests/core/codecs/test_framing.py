"""How values become WebSocket messages and back."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from typing import Any

import cbor2
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.framing import make_framer
from utcp_ws_mcp.core.codecs.message import Message, MessageList, RejectedValue, UnframedMessage
from utcp_ws_mcp.errors import InvalidTemplate
from utcp_ws_mcp.manifest.models.framing import Framing

RECORD = "\u001e"
VALUES = [None, True, 7, 1.5, "h\u00e9", [1, [2]], {"a": {"b": [None]}}]


def decode(raw: str | bytes, **framing: Any) -> list[Any]:
    return [message.value for message in make_framer(Framing(**framing)).decode(raw)]


def encode(value: Any, send_as: str | None = None, **framing: Any) -> list[str | bytes]:
    return make_framer(Framing(**framing), send_as).encode(value)


def test_without_framing_a_message_is_json_where_it_is_json() -> None:
    assert decode('{"a":1}') == [{"a": 1}]
    assert decode("hello") == ["hello"]
    assert decode(b'{"a":1}') == [b'{"a":1}']
    assert encode({"a": "h\u00e9"}) == ['{"a":"h\u00e9"}']
    assert encode("hello") == ["hello"]
    assert encode(b"\xff") == [b"\xff"]


def test_the_separator_is_appended_and_parts_messages() -> None:
    assert encode({"a": 1}, separator=RECORD) == ['{"a":1}\u001e']
    assert decode(f"{{}}{RECORD}{RECORD}[1]{RECORD}x", separator=RECORD) == [{}, [1], "x"]
    assert decode(b"{}\n{}\n", separator="\n") == [b"{}", b"{}"]
    assert decode(RECORD, separator=RECORD) == []


def test_a_separator_of_several_characters_stands_for_itself() -> None:
    assert encode("a", separator="\r\n") == ["a\r\n"]
    assert decode("a\r\nb\nc\r\n", separator="\r\n") == ["a", "b\nc"]


def test_a_batch_is_as_many_messages_as_it_holds() -> None:
    assert decode('[{"a":1},[2],3]', batch=True) == [{"a": 1}, [2], 3]
    assert decode('{"a":1}', batch=True) == [{"a": 1}]
    assert decode("[]", batch=True) == []
    assert decode('[1]\n[2,3]\n"x"', batch=True, separator="\n") == [1, 2, 3, "x"]


@pytest.mark.parametrize(
    ("raw", "values"),
    [
        ('a[{"i":1},{"i":2}]', [{"i": 1}, {"i": 2}]),
        ('a["{\\"i\\":1}","hello",3]', [{"i": 1}, "hello", 3]),
        ('a["a[1]"]', ["a[1]"]),
        ("a[]", []),
        ("o", ["o"]),
        ("a", ["a"]),
        ('a{"i":1}', ['a{"i":1}']),
        ("a[1", ["a[1"]),
        ("[1,2]", [[1, 2]]),
        ('c[3000,"Go away!"]', ['c[3000,"Go away!"]']),
        (b'a[{"i":1}]', [b'a[{"i":1}]']),
    ],
)
def test_a_batch_behind_a_prefix_is_the_messages_of_its_array(raw: str | bytes, values: list[Any]) -> None:
    assert decode(raw, batch="a") == values


def test_texts_of_a_batch_behind_a_prefix_stay_texts_with_the_codec_text() -> None:
    assert decode('a["{}",{"i":1}]', batch="a", codec="text") == ["{}", {"i": 1}]


def test_a_batch_behind_a_prefix_may_be_binary_where_the_codec_reads_text_from_it() -> None:
    assert decode(b'a[{"i":1}]', batch="a", codec="text") == [{"i": 1}]


def test_what_is_sent_gets_no_prefix() -> None:
    assert encode(["x"], batch="a") == ['["x"]']


def test_send_as_binary_reads_objects_and_arrays_in_binary_messages_too() -> None:
    framer = make_framer(Framing(separator="\n"), "binary")

    messages = [*framer.decode('{"é":1}\n[2]\n{\n7\n'.encode()), *framer.decode(b"{\xff}"), *framer.decode('{"a":1}')]

    assert [message.value for message in messages] == [{"é": 1}, [2], b"{", b"7", b"{\xff}", {"a": 1}]
    assert messages[0].raw == '{"é":1}'


def test_send_as_binary_sends_text_as_its_utf8() -> None:
    assert encode({"a": "\u00e9"}, "binary") == ['{"a":"\u00e9"}'.encode()]
    assert encode("x", "binary", separator="\n") == [b"x\n"]


def test_text_is_never_read_as_json() -> None:
    assert decode('{"a":1}', codec="text") == ['{"a":1}']
    assert decode("\u00e9".encode(), codec="text") == ["\u00e9"]
    assert decode(b"\xff", codec="text") == ["\ufffd"]
    assert encode({"a": 1}, codec="text") == ['{"a":1}']


def test_binary_is_bytes_in_both_directions() -> None:
    assert decode("1", codec="binary") == [b"1"]
    assert decode(b"\xff", codec="binary") == [b"\xff"]
    assert encode({"a": 1}, codec="binary") == [b'{"a":1}']
    assert encode(b"\xff", codec="binary") == [b"\xff"]


@pytest.mark.parametrize("codec", ["msgpack", "cbor"])
@pytest.mark.parametrize("value", [*VALUES, b"\xff", {1: "a"}])
def test_a_packed_value_comes_back_as_it_was(codec: str, value: Any) -> None:
    (packed,) = encode(value, codec=codec)
    assert isinstance(packed, bytes)
    assert decode(packed, codec=codec) == [value]


@pytest.mark.parametrize(
    ("codec", "data", "value"),
    [
        ("msgpack", "82a7636f6d70616374c3a6736368656d6100", {"compact": True, "schema": 0}),  # msgpack.org
        ("cbor", "a26161016162820203", {"a": 1, "b": [2, 3]}),  # RFC 8949, appendix A
        ("cbor", "bf6161019f0203ffff", None),
        ("cbor", "fb3ff199999999999a", 1.1),
    ],
)
def test_published_examples_are_read(codec: str, data: str, value: Any) -> None:
    raw = bytes.fromhex(data)
    assert decode(raw, codec=codec) == [raw if value is None else value]


NOT_IN_JSON = {
    "a typed array": ("cbor", "d840420102", b"\x01\x02"),
    "undefined": ("cbor", "f7", None),
    "a simple value": ("cbor", "f0", None),
    "a set": ("cbor", "d901028101", [1]),
    "an unknown tag around others": ("cbor", "d9010381d84041ff", [b"\xff"]),
    "a time in seconds": ("cbor", "c11a514b67b0", "2013-03-21T20:04:00Z"),
    "a time with an offset": (
        "cbor",
        "c07819323031332d30332d32315432323a30343a30302b30323a3030",
        "2013-03-21T20:04:00Z",
    ),
    "a date": ("cbor", "d903ec6a313934302d31302d3039", "1940-10-09"),
    "a decimal fraction": ("cbor", "c48221196ab3", "273.15"),
    "a map in a key": ("cbor", "a1a1010203", {'{"1":2}': 3}),
    "a list in a key": ("cbor", "a1810102", {"[1]": 2}),
    "a timestamp": ("msgpack", "d6ff514b67b0", "2013-03-21T20:04:00Z"),
    "an extension": ("msgpack", "d40501", [5, b"\x01"]),
}


@pytest.mark.parametrize(("codec", "data", "value"), NOT_IN_JSON.values(), ids=NOT_IN_JSON.keys())
def test_what_json_does_not_have_becomes_what_it_has(codec: str, data: str, value: Any) -> None:
    assert decode(bytes.fromhex(data), codec=codec) == [value]


@pytest.mark.parametrize(("codec", "data"), [("cbor", "a1616101a1616102"), ("msgpack", "81a1610181a16102")])
def test_two_values_in_one_message_are_not_taken_for_one(codec: str, data: str) -> None:
    raw = bytes.fromhex(data)
    assert decode(raw, codec=codec) == [raw]


@pytest.mark.parametrize("codec", ["msgpack", "cbor", "mqtt"])
def test_what_a_binary_codec_sends_is_shown_as_its_value(codec: Any) -> None:
    framer = make_framer(Framing(codec=codec))
    (sent,) = framer.encode({"type": "puback", "packet_id": 7})
    assert json.loads(framer.for_display(sent)) == {"type": "puback", "packet_id": 7}


@pytest.mark.parametrize(
    "packet",
    [
        {"type": "connect", "client_id": "c", "username": "ada"},
        {"type": "subscribe", "packet_id": 1, "topics": [{"topic": "a", "qos": 1}]},
    ],
)
def test_what_a_codec_cannot_read_back_is_shown_as_it_was_sent(packet: dict[str, Any]) -> None:
    framer = make_framer(Framing(codec="mqtt"))
    (sent,) = framer.encode(packet)
    assert framer.for_display(sent) == sent


def test_json_that_is_sent_in_binary_messages_is_shown_as_json() -> None:
    framer = make_framer(Framing(), "binary")
    assert [framer.for_display(sent) for sent in framer.encode({"a": 1})] == ['{"a":1}']
    assert framer.for_display(b"\xff") == b"\xff"


@pytest.mark.parametrize("codec", ["json", "text", "binary", "cbor"])
@pytest.mark.parametrize("sent", ["x", b"\xff"])
def test_what_no_codec_made_is_shown_as_it_was_sent(codec: Any, sent: str | bytes) -> None:
    assert make_framer(Framing(codec=codec)).for_display(sent) == sent


@pytest.mark.parametrize("codec", ["msgpack", "cbor"])
def test_text_and_bytes_that_cannot_be_unpacked_are_themselves(codec: str) -> None:
    assert decode('{"a":1}', codec=codec) == [{"a": 1}]
    assert decode(b"\xc1", codec=codec) == [b"\xc1"]


@pytest.mark.parametrize("codec", ["msgpack", "cbor"])
def test_what_cannot_be_packed_is_refused(codec: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        encode(object(), codec=codec)


@pytest.mark.parametrize(
    "data",
    ["d81c81d81d00", "d82362612a", "9bffffffffffffffff", "81" * 2000],
    ids=["a value that holds itself", "a regular expression", "a length beyond all", "too deep"],
)
def test_cbor_that_could_harm_stays_bytes(data: str) -> None:
    raw = bytes.fromhex(data)
    assert decode(raw, codec="cbor") == [raw]


@pytest.mark.parametrize("codec", ["msgpack", "cbor", "json", "text", "binary", "stomp", "socketio4", "mqtt"])
@given(data=st.one_of(st.binary(max_size=60), st.text(max_size=60)), batch=st.booleans())
def test_hostile_input_never_raises(codec: Any, data: str | bytes, batch: bool) -> None:
    decode(data, codec=codec, batch=batch)
    decode(data, codec=codec, batch=batch, separator="\n")
    decode("a" + data if isinstance(data, str) else b"a" + data, codec=codec, batch="a")


@pytest.mark.parametrize(("codec", "package"), [("msgpack", "msgpack"), ("cbor", "cbor2")])
def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, codec: Any, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InvalidTemplate, match=rf"pip install 'utcp-ws-mcp\[{codec}\]'"):
        make_framer(Framing(codec=codec))


def test_the_packages_are_those_that_the_codecs_use() -> None:
    assert encode(7, codec="msgpack") == [msgpack.packb(7)]
    assert encode(7, codec="cbor") == [cbor2.dumps(7)]


@given(st.lists(st.text("ab\r\n", max_size=6), max_size=8), st.data())
def test_a_joined_stream_gives_the_same_messages_wherever_it_is_cut(pieces: list[str], data: st.DataObject) -> None:
    stream = "\r\n".join(pieces) + "\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    framer = make_framer(Framing(codec="text", separator="\r\n", spans_messages=True))

    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    found = [message.value for part in parts for message in framer.decode(part)]

    assert found == [message for message in stream.split("\r\n")[:-1] if message]


def test_a_joined_message_of_bytes_waits_for_its_separator() -> None:
    framer = make_framer(Framing(separator="\r\n", spans_messages=True))

    assert [message.value for part in (b"+O", b"K\r", b"\n$3") for message in framer.decode(part)] == [b"+OK"]


def test_a_joined_message_without_end_is_given_as_far_as_it_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utcp_ws_mcp.core.codecs.splitting.MAX_JOINED_LENGTH", 10)
    framer = make_framer(Framing(codec="text", separator=";", spans_messages=True))

    assert [message.value for part in ("12345", "67890", "x", "y;") for message in framer.decode(part)] == [
        "1234567890x",
        "y",
    ]


def test_a_message_that_spans_messages_requires_a_separator() -> None:
    with pytest.raises(ValueError, match="requires a"):
        Framing(spans_messages=True)


def test_messages_of_each_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utcp_ws_mcp.core.codecs.framing.MAX_REQUEST_BYTES", 1 << 20)
    half = "x" * (1 << 19)
    assert encode(MessageList([half, half])) == [half, half]
    assert encode(MessageList([])) == []
    with pytest.raises(RejectedValue) as refused:
        encode(MessageList([half, half, "x"]))
    assert str(refused.value) == 'the messages of "$each" have more than 1 MiB in total. Send less.'
    assert refused.value.code == "request-too-large"


def messages_of(raw: str | bytes, **framing: Any) -> list[Message]:
    return [*make_framer(Framing(**framing)).decode(raw)]


def test_the_members_of_a_batch_are_messages_with_values_and_sizes_of_their_own() -> None:
    found = messages_of('[1, {}, "é", 1e999]', batch=True)
    assert found == [
        Message("1", 1, decoded=True),
        Message("{}", {}, decoded=True),
        Message('"é"', "é", decoded=True),
        Message('"Infinity"', float("inf"), decoded=True),
    ]
    assert [message.size for message in found] == [1, 2, 4, 10]
    assert messages_of('a["{}",{ }]', batch="a")[1] == Message("{}", {}, decoded=True)
    assert messages_of('{"a":1}', batch=True) == [Message('{"a":1}', {"a": 1})]
    assert messages_of("[1]") == [Message("[1]", [1])]


def test_a_header_and_a_body_are_a_value_beside_the_body_that_came() -> None:
    assert messages_of(b"h{}", header=1) == [Message("{}", {"header": b"h", "body": {}}, decoded=True)]
    assert messages_of(b"\x02{}", length={"size": 1}) == [Message("{}", {})]
    assert messages_of(b"\x05{}", length={"size": 1}) == [Message(b"\x05{}", b"\x05{}")]
    text: dict[str, Any] = {"separator": "\n", "length": {"pattern": r"^L (\d+)"}}
    assert messages_of("hi\n", **text) == [Message("hi", {"header": "hi", "body": None}, decoded=True)]
    assert messages_of("L 1\n7", **text) == [Message("7", {"header": "L 1", "body": 7}, decoded=True)]


@pytest.mark.parametrize("framing", [{"header": 1}, {"length": {"size": 1}}, {"compression": {"method": "gzip"}}])
def test_json_behind_a_layer_of_bytes_is_read_as_text(framing: Any) -> None:
    raw = {"header": b"h1", "length": b"\x011", "compression": gzip.compress(b"1")}[next(iter(framing))]
    (value,) = decode(raw, **framing)
    assert value == ({"header": b"h", "body": 1} if "header" in framing else 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [("text", False), ({}, True), ({"header": 5}, True), ({"header": "h", "x": 1}, True), ([1], True), (b"x", True)],
)
def test_a_value_without_a_header_is_refused_with_what_to_write(value: Any, text: bool) -> None:
    framing: Any = {"separator": "\n", "length": {"pattern": r"^L (\d+)"}} if text else {"header": 1}
    kind = "text" if text else "bytes"
    with pytest.raises(RejectedValue) as refused:
        encode(value, **framing)
    assert str(refused.value) == f'the value is no message with a header. Write {{"header": {kind}, "body": …}}.'
    assert refused.value.code == "invalid-packet"


def test_a_body_alone_has_a_header_of_zeros() -> None:
    assert encode({"body": "x"}, header=2) == [b"\0\0x"]
    assert encode({"header": "ab", "body": "x"}, header=2) == [b"abx"]
    assert encode({"header": b"ab"}, header=2) == [b"ab"]


def test_only_bodies_are_compressed_where_messages_have_a_length() -> None:
    zlib_bodies: Any = {"length": {"size": 1}, "compression": {"method": "zlib", "send": True}}
    (sent,) = encode({"a": 1}, **zlib_bodies)
    assert isinstance(sent, bytes)
    assert zlib.decompress(sent[1:]) == b'{"a":1}'
    stream: Any = {"length": {"size": 1}, "compression": {"method": "zlib", "send": True, "context": "connection"}}
    (whole,) = encode({"a": 1}, **stream)
    assert isinstance(whole, bytes)
    assert zlib.decompressobj().decompress(whole) == b'\x07{"a":1}'


def test_an_unframed_message_is_not_compressed() -> None:
    assert encode(UnframedMessage("x"), compression={"method": "gzip", "send": True}) == ["x"]
    assert encode(UnframedMessage("x"), "binary") == [b"x"]
    assert encode(UnframedMessage(b"x"), "text") == [b"x"]


def test_a_codec_without_its_schema_is_refused() -> None:
    with pytest.raises(InvalidTemplate, match=r"^the schema 'm[.]proto' is not loaded") as refused:
        make_framer(Framing(codec="protobuf", protobuf={"schema": "m.proto", "receive": "M"}))  # type: ignore[arg-type]
    assert refused.value.code == "invalid-schema-file"


def test_what_was_sent_in_several_parts_is_shown_as_it_is() -> None:
    peer = make_framer(Framing(codec="msgpack", length={"size": 1}))  # type: ignore[arg-type]
    one, two = peer.encode(1) + peer.encode(2)
    assert peer.for_display(one) == "1"
    assert peer.for_display(b"".join([one, two])) == one + two  # type: ignore[list-item]
    assert peer.for_display(b"\x09\x01") == b"\x09\x01"
    assert peer.for_display("text") == "text"


def test_a_message_is_shown_although_the_connection_waits_for_more() -> None:
    peer = make_framer(Framing(codec="msgpack", length={"size": 1}, spans_messages=True))  # type: ignore[arg-type]
    assert list(peer.decode(b"\x01")) == []
    (sent,) = peer.encode({"a": 1})
    assert peer.for_display(sent) == '{"a":1}'
    assert [message.value for message in peer.decode(b"\x07")] == [7]
