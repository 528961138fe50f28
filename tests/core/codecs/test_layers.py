"""Every codec under every layer: what one side sends, the other side reads, wherever the bytes are cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.codecs.framing import Framer, make_framer
from utcp_ws_mcp.core.codecs.protobuf import load_types
from utcp_ws_mcp.manifest.models.framing import Framing

FUZZ = settings(max_examples=60, deadline=None, database=None)
SCHEMA = b'syntax = "proto3"; message M { int32 id = 1; string text = 2; repeated M inner = 3; }'

texts = st.text(max_size=8)
objects = st.fixed_dictionaries({"id": st.integers(0, (1 << 31) - 1), "text": texts})
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "json": objects,
    "text": texts,
    "binary": st.binary(max_size=8),
    "msgpack": objects | st.binary(max_size=8) | st.lists(st.integers(-(1 << 63), (1 << 64) - 1), max_size=3),
    "cbor": objects | st.binary(max_size=8) | st.lists(st.integers(-(1 << 63), 1 << 63), max_size=3),
    "protobuf": objects.map(lambda value: {**value, "inner": []}),
    "stomp": texts.map(
        lambda text: {
            "command": "MESSAGE",
            "headers": {"a": text.replace("\0", ""), "content-length": str(len(text.encode()))},
            "body": text,
        }
    ),
    "mqtt": texts.map(
        lambda text: {"type": "publish", "topic": "t", "payload": text, "qos": 0, "retain": False},
    ),
}
LENGTHS: dict[str, dict[str, Any]] = {
    "a length": {"length": {"size": 4}},
    "a length in little endian": {"length": {"size": 8, "endian": "little", "counts": "all"}},
    "a length of variable size": {"length": {"size": "varint"}},
    "a header": {"header": 7, "length": {"size": 2, "at": 3, "counts": "rest"}},
    "a length between texts": {"length": {"between": ["~m~", "~m~"], "trailer": ","}},
    "a header in text": {"separator": "\r\n", "length": {"pattern": r"^L (\d+)$", "trailer": "\n"}},
}
COMPRESSIONS: list[Any] = [
    None,
    *({"method": method, "send": True} for method in ("gzip", "zlib", "deflate", "zstd")),
    {"method": "zlib", "send": True, "context": "connection"},
    {"method": "zstd", "send": True, "context": "connection"},
]


def framer(codec: str, send_as: str | None, **framing: Any) -> Framer:
    protobuf = {"schema": "m.proto", "receive": "M", "send": "M"} if codec == "protobuf" else None
    schema = load_types("m.proto", lambda _: SCHEMA).select("M", "M") if protobuf else None
    return make_framer(Framing(codec=codec, protobuf=protobuf, **framing), send_as, schema=schema)  # type: ignore[arg-type]


@pytest.mark.parametrize("codec", VALUES)
@FUZZ
@given(st.data())
def test_messages_come_back_as_they_were_sent_wherever_they_are_cut(codec: str, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(LENGTHS)))
    compression = data.draw(st.sampled_from(COMPRESSIONS))
    values = data.draw(st.lists(VALUES[codec], max_size=4))
    framing = {**LENGTHS[name], "compression": compression}
    writer, reader = framer(codec, "binary", **framing), framer(codec, "binary", spans_messages=True, **framing)
    header = {"a header": bytes(7), "a header in text": "L 0"}.get(name)
    sent = [part for value in values for part in writer.encode({"header": header, "body": value} if header else value)]
    stream = b"".join(part for part in sent if isinstance(part, bytes))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    got = [message.value for part in parts for message in reader.decode(part)]

    assert [each["body"] if header else each for each in got] == values


@pytest.mark.parametrize("codec", VALUES)
@FUZZ
@given(st.data())
def test_whole_messages_come_back_as_they_were_sent(codec: str, data: st.DataObject) -> None:
    framing = {"compression": data.draw(st.sampled_from(COMPRESSIONS))}
    if data.draw(st.booleans()):
        framing["header"] = 3
    values = data.draw(st.lists(VALUES[codec], max_size=4))
    send_as = data.draw(st.sampled_from([None, "binary"]))
    writer, reader = framer(codec, send_as, **framing), framer(codec, send_as, **framing)
    wrapped = [{"header": b"abc", "body": value} if "header" in framing else value for value in values]

    got = [message.value for value in wrapped for raw in writer.encode(value) for message in reader.decode(raw)]

    assert got == wrapped
