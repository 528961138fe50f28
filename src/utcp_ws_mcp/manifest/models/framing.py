"""How values are encoded as WebSocket messages (section 7): codec, separation, length, header, compression."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from .base import FieldError, Model

MAX_HEADER_BYTES = 1024
"""Bytes of a binary header in front of each message."""

_TEXT_CODECS = ("json", "text", "stomp")
"""Codecs whose messages are text."""


class Compression(Model):
    """How messages are compressed."""

    method: Literal["gzip", "zlib", "deflate", "zstd"] = Field(
        description="The format: gzip (RFC 1952), zlib (RFC 1950), raw deflate (RFC 1951) or Zstandard (RFC 8878)."
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
    """Where the length of a message is: in binary in front of it, between two texts, or in the text of a header."""

    size: Literal[1, 2, 3, 4, 8, "varint"] | None = Field(
        None, description="The bytes of a binary length, or varint for one of seven bits in each byte (LEB128)."
    )
    endian: Literal["big", "little"] = Field("big", description="The byte order of a binary length.")
    at: int = Field(0, ge=0, lt=MAX_HEADER_BYTES, description="The bytes in front of a binary length.")
    counts: Literal["body", "rest", "from_length", "all"] = Field(
        "body",
        description="What a binary length counts: the body behind the header, the rest behind the length, the same "
        "from the length on, or all bytes of the message.",
    )
    between: tuple[str, Annotated[str, Field(min_length=1)]] | None = Field(
        None, description="The texts in front of and behind a length in decimal digits, which the body follows."
    )
    pattern: str | None = Field(
        None,
        description="The pattern of a header, which ends at the separator; its group is the length of the body that "
        "follows.",
    )
    unit: Literal["bytes", "code_points", "utf16"] = Field(
        "bytes",
        description="What a length in text counts: bytes of UTF-8, Unicode code points, or code units of UTF-16.",
    )
    trailer: str = Field("", description="The text behind a body whose length is in text.")

    @property
    def is_text(self) -> bool:
        """Return whether the length is written in text."""
        return self.size is None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if [self.size, self.between, self.pattern].count(None) != 2:
            message = 'a length has one of "size", "between" and "pattern". Write one of them.'
            raise FieldError(message, code="invalid-framing")
        ineffective = {"endian", "at", "counts"} if self.is_text else {"unit", "trailer"}
        if found := self.model_fields_set & ineffective:
            message = f"{min(found)!r} has no meaning for a {'length in text' if self.is_text else 'binary length'}."
            raise FieldError(f"{message} Remove it.", code="invalid-framing")
        if self.size == "varint" and (self.at or self.counts != "body"):
            message = 'a "varint" is directly behind the header and counts the body. Remove "at" and "counts".'
            raise FieldError(message, code="invalid-framing")
        if self.between is not None and (self.between[0][-1:].isdecimal() or self.between[1][0].isdecimal()):
            message = 'no digit can be next to the length in "between". Use "pattern" and a "separator".'
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
    ] = Field(
        None, description="How messages are compressed: gzip, zlib, deflate or zstd, or an object with more settings."
    )
    protobuf: ProtobufSettings | None = Field(None, description="The schema and the types of the codec protobuf.")
    batch: bool | Annotated[str, Field(min_length=1)] = Field(
        False,
        description="Whether a JSON array contains several messages; a text is what stands in front of such arrays.",
    )

    @property
    def has_header(self) -> bool:
        """Return whether each message is an object of header and body."""
        return self.header is not None or (self.length is not None and self.length.pattern is not None)

    @property
    def compression_of_bodies(self) -> Compression | None:
        """Return how each body is compressed by itself, or None."""
        compression = self.compression
        return None if compression is None or compression.context == "connection" else compression

    @property
    def has_countable_characters(self) -> bool:
        """Return whether a length in text may count the characters of the bodies."""
        return self.codec in _TEXT_CODECS and self.compression_of_bodies is None

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
        compression = self.compression
        if problem := self._contradiction_of_length():
            return problem
        if compression is not None and compression.nested and (self.length is None or self.length.is_text):
            return '"compression.nested" requires a binary "length", which separates the messages. Add one.'
        if self.codec == "socketio4" and (self.length or self.header is not None or compression is not None):
            return 'the codec "socketio4" excludes "length", "header" and "compression". Remove them.'
        if (self.codec == "protobuf") != (self.protobuf is not None):
            return 'the codec "protobuf" and the object "protobuf" (with "schema" and "receive") need each other.'
        return None

    def _contradiction_of_length(self) -> str | None:
        """Return what is wrong about a length, a header and a separator together."""
        length, header, separator = self.length, self.header, self.separator
        if length is not None and length.is_text:
            return self._contradiction_of_text_length(length)
        if (length is not None or header is not None) and separator is not None:
            return '"separator" excludes a binary "header" or "length". Remove one of them.'
        least = length.at + length.size if length is not None and isinstance(length.size, int) else 0
        if header is not None and header < least:
            return f'"header" has {header} bytes, too few for the length in it. Write {least} or more.'
        return None

    def _contradiction_of_text_length(self, length: MessageLength) -> str | None:
        if length.pattern is not None and self.separator is None:
            return '"length.pattern" requires a "separator", which ends the header. Add one.'
        if length.between is not None and self.separator is not None:
            return '"separator" has no meaning with "length.between", behind which the body begins. Remove it.'
        if self.header is not None:
            return '"header" has no meaning with a length in text. Remove it.'
        if length.unit == "bytes":
            return None
        if self.has_countable_characters:
            return None
        if self.codec not in _TEXT_CODECS:
            return f'the codec "{self.codec}" has no characters that "length.unit" could count. Remove "unit".'
        return 'a compressed body has no characters that "length.unit" could count. Remove "unit".'
