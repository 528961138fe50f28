"""Make the codec of a framing; those that few manifests use are imported when one does."""

from __future__ import annotations

from typing import Final

from ...errors import InvalidTemplate
from ...manifest.extras import needs_extra
from ...manifest.models.framing import Framing
from .protobuf import ProtobufCodec, ProtobufSchema
from .values import BinaryCodec, Codec, JsonCodec, PackedCodec, TextCodec

BINARY_CODECS: Final = ("msgpack", "cbor", "mqtt", "protobuf")
"""Codecs whose messages are not readable text."""


def make_codec(framing: Framing, send_as: str | None, schema: ProtobufSchema | None) -> Codec:
    """Return the codec of a framing for a new connection.

    Raises:
        InvalidTemplate: if the codec needs a package that is not installed, or a schema that is not loaded.
    """
    match framing.codec:
        case "text":
            return TextCodec()
        case "binary":
            return BinaryCodec()
        case "msgpack" | "cbor":
            return _make_packed_codec(framing.codec)
        case "protobuf":
            return _make_protobuf_codec(framing, schema)
        case "stomp":
            from .stomp import StompCodec

            return StompCodec()
        case "socketio4":
            from .socketio import SocketIOCodec

            return SocketIOCodec()
        case "mqtt":
            from .mqtt import MqttCodec

            return MqttCodec()
        case _:
            if framing.compression is not None or framing.length is not None or framing.header is not None:
                return JsonCodec("text")
            return JsonCodec("json" if send_as == "binary" else "bytes")


def _make_protobuf_codec(framing: Framing, schema: ProtobufSchema | None) -> Codec:
    if schema is None:
        assert framing.protobuf is not None
        raise InvalidTemplate(f"the schema {framing.protobuf.schema_file!r} is not loaded.", code="invalid-schema-file")
    return ProtobufCodec(schema)


def _make_packed_codec(name: str) -> PackedCodec:
    from .msgpack_cbor import LOADERS

    try:
        return PackedCodec(*LOADERS[name]())
    except ImportError:
        raise InvalidTemplate(needs_extra(f"the codec {name!r}", name), code="extra-not-installed") from None
