"""MessagePack and CBOR, for the codecs and the filters; their packages are optional.

What they hold and JSON does not have becomes what JSON has (RFC 8949 §6.1).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from ...errors import end_sentence
from .message import RejectedValue, encode_json, to_json_safe

MAX_REASON_LENGTH: Final = 100
"""Characters of a reason that the library gives, which may quote the data."""

PackFunctions = tuple[Callable[[Any], bytes], Callable[[bytes], Any]]
"""What packs a value, and what unpacks it."""


def load_msgpack() -> PackFunctions:
    """MessagePack.

    Raises:
        ImportError: if the package is not installed.
    """
    from msgpack import packb, unpackb

    return packb, lambda data: to_plain(unpackb(data, strict_map_key=False, timestamp=3))


def load_cbor() -> PackFunctions:
    """CBOR. Of a tag that is not known the content counts; undefined and other simple values are null.

    Raises:
        ImportError: if the package is not installed.
    """
    from cbor2 import CBORDecodeError, CBORSimpleValue, CBORTag, dumps, load, undefined

    refused: Any = dict.fromkeys(_REJECTED_TAGS, _reject_tag)

    def unwrap(value: Any) -> Any:
        if isinstance(value, CBORTag):
            return to_plain(value.value, unwrap)
        return None if value is undefined or isinstance(value, CBORSimpleValue) else str(value)

    def unpack(data: bytes) -> Any:
        file = io.BytesIO(data)
        try:
            value = load(file, semantic_decoders=refused, read_size=1)
        except CBORDecodeError as wrong:
            raise RejectedValue(end_sentence(str(wrong)[:MAX_REASON_LENGTH]), code="invalid-frame") from None
        if file.tell() < len(data):
            raise RejectedValue("the data contains more than one value.", code="invalid-frame")
        return to_plain(value, unwrap)

    return dumps, unpack


_PLAIN_TYPES: Final = frozenset({type(None), bool, str, bytes, int, float})

LOADERS: Final[Mapping[str, Callable[[], PackFunctions]]] = {"msgpack": load_msgpack, "cbor": load_cbor}
"""What loads each codec, by its name."""


def to_plain(value: Any, unwrap: Callable[[Any], Any] = str) -> Any:
    """A value of objects, lists, texts, numbers, booleans, null and bytes only; `unwrap` makes one of anything else.

    A time becomes its text (RFC 3339), a set a list.

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
    """A key; one that is an object or a list becomes its JSON."""
    if type(key) is str:
        return key
    found = _to_plain(key, unwrap)
    return encode_json(to_json_safe(found)) if isinstance(found, dict | list) else found


_REJECTED_TAGS: Final = (28, 29, 35)
"""CBOR tags that a peer could harm with: references, which make values without end, and regular expressions."""


def _reject_tag(*_: object) -> NoReturn:
    raise RejectedValue("the data contains a CBOR tag that is not supported.", code="invalid-frame")
