"""Protobuf messages as objects: the JSON form of Protobuf, but bytes stay bytes.

Field names are in camelCase (or `json_name`), 64-bit integers are text, enums have names, a field without presence has
its default. Types of `google.protobuf` such as Timestamp have their own JSON form (ProtoJSON format). A message that is
no Protobuf, such as an acknowledgement in JSON, is passed on as JSON, text or bytes.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

from ...errors import InvalidTemplate, end_sentence
from ...manifest.extras import needs_extra
from ...manifest.secret_names import MIN_SECRET_LENGTH
from ...records import Record
from .binary import as_binary
from .message import Message, RejectedValue, decode_values
from .values import JsonCodec, Payload

MAX_VALUES: Final = 500_000
"""Values in a message: two bytes can stand for an object with all fields of its type."""

MAX_REASON_LENGTH: Final = 200
"""Characters of a reason that the library gives."""

MAX_TEXTS_OF_REASON: Final = 10_000
"""Texts of a value that a reason is searched for."""

_BEGINNING: Final = 12
"""Characters by which a text is found in a reason, which the library may have cut."""

_WELL_KNOWN: Final = "google.protobuf."


class ProtobufSchema(Record):
    """The types of the messages of an endpoint; `send` is None where it is sent JSON. `digest` is that of the files."""

    pool: Any
    receive: Any
    send: Any
    digest: str = ""


class SchemaTypes(Record):
    """All message types of a schema; `digest` is that of its files."""

    file: str
    pool: Any
    digest: str

    def find(self, name: str) -> Any:
        """Return the class of a message type.

        Raises:
            InvalidTemplate: if the schema has no such type.
        """
        from google.protobuf import message_factory

        try:
            return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name.removeprefix(".")))
        except KeyError:
            raise InvalidTemplate(
                f"the schema {self.file!r} has no message type {name!r}. Write its full name, with the package.",
                code="unknown-message-type",
            ) from None

    def select(self, receive: str, send: str | None) -> ProtobufSchema:
        """Return the types of incoming messages and of those that are sent (None: JSON), by their full names.

        Raises:
            InvalidTemplate: if the schema does not have one of them.
        """
        return ProtobufSchema(self.pool, self.find(receive), None if send is None else self.find(send), self.digest)


def load_types(file: str, read: Callable[[str], bytes]) -> SchemaTypes:
    """Return the types of a schema.

    Args:
        file: The path of a `.proto` file or of a FileDescriptorSet.
        read: Returns the content of a file beside the manifest.

    Raises:
        InvalidTemplate: if a file is no schema, or the packages are not installed.
    """
    try:
        from .proto_schema import load_pool
    except ImportError:
        raise InvalidTemplate(needs_extra("the codec 'protobuf'", "protobuf"), code="extra-not-installed") from None
    return SchemaTypes(file, *load_pool(file, read))


class ProtobufCodec(Record):
    """Protobuf messages in binary messages; text messages are JSON."""

    schema: ProtobufSchema

    def encode(self, value: Any) -> list[Payload]:
        if self.schema.send is None:
            return JsonCodec().encode(value)
        if isinstance(value, bytes):
            return [value]
        if not isinstance(value, dict):
            raise RejectedValue(
                "the value is no Protobuf message. Write an object with the fields of its type.", code="invalid-packet"
            )
        from google.protobuf.json_format import ParseDict, ParseError

        plain: Any = None
        try:
            plain = _with_base64(value, None, self.schema.send.DESCRIPTOR)
            message = ParseDict(plain, self.schema.send(), descriptor_pool=self.schema.pool)
            return [message.SerializeToString(deterministic=True)]
        except RejectedValue:
            raise
        except (ParseError, ValueError, TypeError, RecursionError) as error:
            reason = _shown_reason(" ".join(str(error).split()), value if plain is None else plain)
            name = self.schema.send.DESCRIPTOR.full_name
            shown = f"the value is no message of the type {name!r}{f': {reason}' if reason else ''}"
            raise RejectedValue(end_sentence(shown), code="invalid-packet") from None

    def decode(self, raw: Payload) -> list[Message]:
        if isinstance(raw, str):
            return decode_values(raw)
        if self.schema.receive is None:
            return JsonCodec("json").decode(raw)
        from google.protobuf.message import DecodeError

        try:
            return [Message(raw, _Reader(self.schema.pool).to_value(self.schema.receive.FromString(raw)), decoded=True)]
        except (DecodeError, RejectedValue, RecursionError):
            return JsonCodec("json").decode(raw)

    def reversed(self) -> ProtobufCodec:
        """Return the codec of the other side, which reads what this one sends."""
        return ProtobufCodec(ProtobufSchema(self.schema.pool, self.schema.send, self.schema.send))


def _shown_reason(reason: str, value: Any) -> str:
    """Return the beginning of a reason that contains a text of the value as a whole or not at all.

    A text can be a secret, which is removed later, and recognized only as a whole.
    """
    texts = list(islice(_texts(value), MAX_TEXTS_OF_REASON + 1))
    if len(texts) > MAX_TEXTS_OF_REASON:
        return ""
    begins = {(text, form[:_BEGINNING]) for text in texts for form in (text, repr(text)[1:-1])}
    # A reason may repeat all of a value. What begins behind the limit is not shown.
    searched = reason[: MAX_REASON_LENGTH + _BEGINNING]
    places = [(found.start(), text) for text, begin in begins for found in re.finditer(re.escape(begin), searched)]
    limit, before = min(len(reason), MAX_REASON_LENGTH), -1
    while limit != before:
        before = limit
        cut = (at for at, text in places if not reason.startswith(text, at, limit))
        limit = min([limit, *(at for at in cut if at < limit)])
    return reason if limit == len(reason) else f"{reason[:limit]}…"


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of a value that are long enough to be a secret."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, str) and len(item) >= MIN_SECRET_LENGTH:
            yield item


class _Reader:
    """Converts a message to an object, with a bound on its values."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._count = 0

    def to_value(self, message: Any) -> Any:
        """Return a message as an object, or as the JSON form of its type.

        Raises:
            RejectedValue: if it has more than MAX_VALUES values.
        """
        descriptor = message.DESCRIPTOR
        if descriptor.full_name.startswith(_WELL_KNOWN) and (known := self._well_known(message)) is not None:
            return known[0]
        self._add(len(descriptor.fields))
        value: dict[str, Any] = {}
        for field in descriptor.fields:
            if field.has_presence and not message.HasField(field.name):
                continue
            value[field.json_name] = self._field(field, getattr(message, field.name))
        return value

    def _field(self, field: Any, content: Any) -> Any:
        if not field.is_repeated:
            return self._single(field, content)
        self._add(len(content))
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            of_value = field.message_type.fields_by_name["value"]
            return {_map_key(key): self._single(of_value, content[key]) for key in content}
        return [self._single(field, item) for item in content]

    def _single(self, field: Any, item: Any) -> Any:
        if field.message_type is not None:
            return self.to_value(item)
        if field.enum_type is not None:
            known = field.enum_type.values_by_number.get(item)
            return item if known is None else known.name
        if field.type == field.TYPE_FLOAT:
            return _shortest_float(item)
        if type(item) is int and field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64):
            return str(item)
        return as_binary(item)

    def _well_known(self, message: Any) -> tuple[Any] | None:
        """Return the JSON form of a type of google.protobuf; None where it has none, or the message is not valid."""
        from google.protobuf.json_format import Error, MessageToDict

        self._add(message.ByteSize())  # at least as many as it has values
        try:
            return (MessageToDict(message, descriptor_pool=self._pool),)
        except (Error, ValueError, TypeError):
            return None

    def _add(self, count: int) -> None:
        self._count += count
        if self._count > MAX_VALUES:
            raise RejectedValue(f"the message has more than {MAX_VALUES:,} values.", code="invalid-frame")


def _map_key(key: Any) -> str:
    return key if isinstance(key, str) else str(key).lower() if isinstance(key, bool) else str(key)


def _shortest_float(number: float) -> float:
    """Return the shortest decimal that is the same single-precision number: 0.1, not 0.10000000149011612."""
    try:
        packed = struct.pack("<f", number)
        return next(
            shorter for digits in (6, 7, 8, 9) if struct.pack("<f", shorter := float(f"{number:.{digits}g}")) == packed
        )
    except (OverflowError, StopIteration):
        return number


def _with_base64(value: Any, field: Any, descriptor: Any) -> Any:
    """Return a value with bytes as base64, as the JSON form of Protobuf has them.

    Args:
        value: The value of a field, or an object.
        field: The descriptor of the field, or None where it is not known.
        descriptor: The descriptor of the message that an object is, or None.

    Raises:
        RejectedValue: if text in a field of bytes is not base64. The library would leave out what it cannot decode.
    """
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, str) and field is not None and field.type == field.TYPE_BYTES:
        return _checked_base64(value, field.name)
    if isinstance(value, list):
        return [_with_base64(item, field, descriptor) for item in value]
    if not isinstance(value, dict):
        return value
    if field is not None and descriptor is not None and descriptor.GetOptions().map_entry:
        of_value = descriptor.fields_by_name["value"]
        return {key: _with_base64(item, of_value, of_value.message_type) for key, item in value.items()}
    fields = {} if descriptor is None else {each.json_name: each for each in descriptor.fields}
    by_name = {} if descriptor is None else descriptor.fields_by_name
    members = {key: (item, fields.get(key) or by_name.get(key)) for key, item in value.items()}
    return {key: _with_base64(item, each, each and each.message_type) for key, (item, each) in members.items()}


def _checked_base64(text: str, name: str) -> str:
    standard = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except ValueError:
        raise RejectedValue(
            f"the field {name!r} holds bytes, and its text is not base64. Pass bytes, such as text | bytes.",
            code="invalid-base64",
        ) from None
    return text
