"""How values are encoded as WebSocket messages (section 7): codec, separation, length, header, compression."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from .base import FieldError, Model

MAX_HEADER_BYTES = 1024
"""Bytes of a binary header in front of each message."""


class Compression(Model):
    """How messages are compressed."""

    method: Literal["gzip", "zlib", "deflate"] = Field(
        description="The format: gzip (RFC 1952), zlib (RFC 1950) or raw deflate (RFC 1951)."
    )
    context: Literal["message", "connection"] = Field(
        "message",
        description="What is one compressed stream: each message, or everything that the server sends on a connection.",
    )
    send: bool = Field(False, description="Whether messages that are sent are compressed, too.")
    nested: bool = Field(
        False, description="Whether inflated data consists of messages that have a header and a length of their own."
    )


class MessageLength(Model):
    """Where the length of a message is: in binary in front of it, or as a number in the text of a header."""

    size: Literal[1, 2, 3, 4, 8, "varint"] | None = Field(
        None, description="The bytes of a binary length, or varint for one of seven bits in each byte (LEB128)."
    )
    endian: Literal["big", "little"] = Field("big", description="The byte order of a binary length.")
    at: int = Field(0, ge=0, lt=MAX_HEADER_BYTES, description="The bytes in front of a binary length.")
    counts: Literal["body", "rest", "all"] = Field(
        "body",
        description="What a binary length counts: the body behind the header, the rest behind the length, or all bytes "
        "of the message.",
    )
    pattern: str | None = Field(
        None,
        description="The pattern of a header, which ends at the separator; its group is the length of the body that "
        "follows.",
    )
    trailer: str = Field("", description="The text behind a body whose length is in a text header.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.size is None) == (self.pattern is None):
            message = 'a length has either "size" or "pattern". Write one of them.'
            raise FieldError(message, code="invalid-framing")
        binary = self.model_fields_set & {"endian", "at", "counts"}
        if self.pattern is not None and binary:
            message = f"{min(binary)!r} has no meaning for a length in a text header. Remove it."
            raise FieldError(message, code="invalid-framing")
        if self.size is not None and self.trailer:
            raise FieldError("'trailer' has no meaning for a binary length. Remove it.", code="invalid-framing")
        if self.size == "varint" and (self.at or self.counts != "body"):
            message = 'a "varint" is directly behind the header and counts the body. Remove "at" and "counts".'
            raise FieldError(message, code="invalid-framing")
        return self


class ProtobufSettings(Model):
    """The schema of Protobuf messages, and the types that are sent and received."""

    schema_file: str = Field(
        alias="schema",
        description="The .proto file, or the file of a FileDescriptorSet (protoc --descriptor_set_out), beside the "
        "manifest.",
    )
    receive: str = Field(description="The full name of the type of incoming messages, such as chat.v1.Event.")
    send: str | None = Field(
        None, description="The full name of the type of messages that are sent; by default they are sent as JSON."
    )


def _long_form(value: object) -> object:
    return {"method": value} if isinstance(value, str) else value


class Framing(Model):
    """How messages are encoded as WebSocket messages."""

    codec: Literal["json", "text", "binary", "msgpack", "cbor", "protobuf", "stomp", "socketio4", "mqtt"] = Field(
        "json", description="The encoding of a message: JSON, text, bytes, or the packets of a protocol."
    )
    separator: str | None = Field(
        None,
        min_length=1,
        description="The text that ends each message, if one WebSocket message can contain several messages; with "
        "length.pattern, the text that ends each header.",
    )
    length: MessageLength | None = Field(
        None, description="Where the length of each message is, if it decides where a message ends."
    )
    header: int | None = Field(
        None,
        ge=1,
        le=MAX_HEADER_BYTES,
        description="The bytes of a binary header in front of each message, which is then an object of header and "
        "body.",
    )
    spans_messages: bool = Field(
        False,
        description="Whether a message can be split across several WebSocket messages, up to its separator or length.",
    )
    compression: Annotated[
        Compression | None, BeforeValidator(_long_form, json_schema_input_type=str | Compression | None)
    ] = Field(None, description="How messages are compressed: gzip, zlib or deflate, or an object with more settings.")
    protobuf: ProtobufSettings | None = Field(None, description="The schema and the types of the codec protobuf.")
    batch: bool | Annotated[str, Field(min_length=1)] = Field(
        False,
        description="Whether a JSON array contains several messages; a text is what stands in front of such arrays.",
    )

    @property
    def has_header(self) -> bool:
        """Return whether each message is an object of header and body."""
        return self.header is not None or (self.length is not None and self.length.pattern is not None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.spans_messages and self.separator is None and self.length is None:
            message = (
                '"spans_messages" requires a "separator" or a "length", which says where a message ends. Add one of '
                "them."
            )
            raise FieldError(message, code="separator-required")
        if problem := self._contradiction():
            raise FieldError(problem, code="invalid-framing")
        return self

    def _contradiction(self) -> str | None:
        length, header = self.length, self.header
        if length is not None and length.pattern is not None:
            if self.separator is None:
                return '"length.pattern" requires a "separator", which ends the header. Add one.'
            if header is not None:
                return '"header" has no meaning with "length.pattern", whose header is text. Remove it.'
        elif (length is not None or header is not None) and self.separator is not None:
            return '"separator" excludes a binary "header" or "length". Remove one of them.'
        least = length.at + length.size if length is not None and isinstance(length.size, int) else 0
        if header is not None and header < least:
            return f'"header" has {header} bytes, too few for the length in it. Write {least} or more.'
        if self.compression is not None and self.compression.nested and (length is None or length.pattern is not None):
            return '"compression.nested" requires a binary "length", which separates the messages. Add one.'
        if self.codec == "socketio4" and (length is not None or header is not None or self.compression is not None):
            return 'the codec "socketio4" excludes "length", "header" and "compression". Remove them.'
        if (self.codec == "protobuf") != (self.protobuf is not None):
            return 'the codec "protobuf" and the object "protobuf" (with "schema" and "receive") need each other.'
        return None
