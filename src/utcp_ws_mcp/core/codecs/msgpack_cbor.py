"""MessagePack and CBOR, for the codecs and the filters; their packages are optional.

Types that JSON does not have are converted to types that it has (RFC 8949 §6.1).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from ...errors import end_sentence
from .binary import Binary
from .message import RejectedValue, encode_json, to_json_safe

MAX_REASON_LENGTH: Final = 100
"""Characters of a reason that the library gives, which may quote the data."""

PackFunctions = tuple[Callable[[Any], bytes], Callable[[bytes], Any]]
"""A function that packs a value, and one that unpacks it."""


def load_msgpack() -> PackFunctions:
    """Return the functions for MessagePack.

    Raises:
        ImportError: if the package is not installed.
    """
    from msgpack import packb, unpackb

    return packb, lambda data: to_plain(unpackb(data, strict_map_key=False, timestamp=3))


def load_cbor() -> PackFunctions:
    """Return the functions for CBOR. An unknown tag is replaced by its content, undefined and simple values by null.

    Raises:
        ImportError: if the package is not installed.
    """
    from cbor2 import CBORDecodeError, CBORSimpleValue, CBORTag, dumps, load, undefined

    rejecting: Any = dict.fromkeys(_REJECTED_TAGS, _reject_tag)

    def unwrap(value: Any) -> Any:
        if isinstance(value, CBORTag):
            return to_plain(value.value, unwrap)
        return None if value is undefined or isinstance(value, CBORSimpleValue) else str(value)

    def unpack(data: bytes) -> Any:
        file = io.BytesIO(data)
        try:
            value = load(file, semantic_decoders=rejecting, read_size=1)
        except CBORDecodeError as error:
            raise RejectedValue(end_sentence(str(error)[:MAX_REASON_LENGTH]), code="invalid-frame") from None
        if file.tell() < len(data):
            raise RejectedValue("the data contains more than one value.", code="invalid-frame")
        return to_plain(value, unwrap)

    return dumps, unpack


_PLAIN_TYPES: Final = frozenset({type(None), bool, str, int, float})

LOADERS: Final[Mapping[str, Callable[[], PackFunctions]]] = {"msgpack": load_msgpack, "cbor": load_cbor}
"""The function that loads each codec, by its name: the packages are imported when a manifest needs them."""


def to_plain(value: Any, unwrap: Callable[[Any], Any] = str) -> Any:
    """Return a value that consists of objects, lists, strings, numbers, booleans, null and bytes only.

    A time becomes a string (RFC 3339), a set a list.

    Args:
        value: What a library decoded.
        unwrap: Converts a value of any other type.

    Raises:
        RejectedValue: if it is nested too deeply.
    """
    try:
        return _to_plain(value, unwrap)
    except RecursionError:
        raise RejectedValue("the value is nested too deeply.", code="invalid-frame") from None


def _to_plain(value: Any, unwrap: Callable[[Any], Any]) -> Any:
    if type(value) in _PLAIN_TYPES:
        return value
    if type(value) is bytes:
        return Binary(value)
    match value:
        case Mapping():
            members = ((_to_plain_key(key, unwrap), member) for key, member in value.items())
            return {
                key: member if type(member) in _PLAIN_TYPES else _to_plain(member, unwrap) for key, member in members
            }
        case list() | tuple() | AbstractSet():
            return [member if type(member) in _PLAIN_TYPES else _to_plain(member, unwrap) for member in value]
        case datetime(tzinfo=None):
            return value.isoformat()
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case _:
            return unwrap(value)


def _to_plain_key(key: Any, unwrap: Callable[[Any], Any]) -> Any:
    """Return a key of an object; a key that is an object or a list becomes its JSON text."""
    if type(key) is str:
        return key
    plain = _to_plain(key, unwrap)
    return encode_json(to_json_safe(plain)) if isinstance(plain, dict | list) else plain


_REJECTED_TAGS: Final = (28, 29, 35)
"""CBOR tags that are dangerous to decode: shared references, which allow cyclic values, and regular expressions."""


def _reject_tag(*_: object) -> NoReturn:
    raise RejectedValue("the data contains a CBOR tag that is not supported.", code="invalid-frame")
