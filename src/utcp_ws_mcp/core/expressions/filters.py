"""The filters that expressions may use besides MiniJinja's own. Digests are bytes: `… | sha256 | base64`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import warnings
from collections.abc import Callable
from typing import Any, Final

from ...manifest.extras import needs_extra
from ..codecs.binary import Binary, as_binary
from ..codecs.message import RejectedValue, encode_json, parse_json
from ..limits import MAX_JSON_LENGTH, MAX_REPETITIONS
from ..value_size import is_too_large
from .bounded import BOUNDED_FILTERS, bounded, check_length, describe, reject
from .patterns import find_pattern

MAX_ENTITIES: Final = 500_000
"""Signs `&` in a text for `unescape`, each of which takes up to a microsecond."""


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else _to_json(value)).encode()


def _concat_bytes(value: Any) -> bytes:
    """Return text as UTF-8, and the parts of a list joined; a number is a byte."""
    values = value if isinstance(value, list | tuple) else [value]
    parts, length = list[bytes](), 0
    for each in values:
        parts.append(_part_as_bytes(each, alone=values is not value))
        length += len(parts[-1])
        check_length(length)
    return Binary(b"".join(parts))


def _part_as_bytes(part: Any, *, alone: bool) -> bytes:
    if isinstance(part, str | bytes):
        return _as_bytes(part)
    if alone or type(part) is not int or not 0 <= part <= 255:
        raise reject("the filter bytes takes text, bytes, or a list of these and of numbers from 0 to 255.")
    return part.to_bytes()


def _to_json(value: Any) -> str:
    text = "" if is_too_large(value) else encode_json(value)
    if not text or len(text) > MAX_JSON_LENGTH:
        raise RejectedValue(f"the JSON has more than {MAX_JSON_LENGTH:,} characters.", code="expression-failed")
    return text


def _digest(name: str) -> Callable[[Any], bytes]:
    """Return the filter of a digest. MD5 and SHA-1 are among them: the API decides which one it accepts."""
    return lambda value: Binary(hashlib.new(name, _as_bytes(value), usedforsecurity=False).digest())


def _hmac(name: str) -> Callable[[Any, Any], bytes]:
    return lambda value, key: Binary(hmac.digest(_as_bytes(key), _as_bytes(value), name))


def _base64(value: Any) -> str:
    return base64.b64encode(_as_bytes(value)).decode()


def _base64url(value: Any) -> str:
    """Return base64 with the URL alphabet and without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(_as_bytes(value)).rstrip(b"=").decode()


def _unbase64(value: Any) -> bytes:
    """Decode base64 in either alphabet, with or without padding."""
    text = _as_bytes(value).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return Binary(base64.b64decode(text + b"=" * (-len(text) % 4), validate=True))
    except ValueError:
        raise reject(f"{_shown(value)} is not base64.") from None


def _unhex(value: Any) -> bytes:
    try:
        return Binary.fromhex(_as_text(value))
    except ValueError:
        raise reject(f"{_shown(value)} is not hexadecimal.") from None


def _from_json(value: Any) -> Any:
    try:
        return parse_json(_as_text(value))
    except ValueError:
        raise reject(f"{_shown(value)} is not JSON.") from None


def _shown(value: Any) -> str:
    """Return which value it is; a text is not shown, because it may be a secret."""
    return "the value" if isinstance(value, str | bytes) else describe(value)


def _crc32(value: Any) -> int:
    import zlib

    return zlib.crc32(_as_bytes(value))


def _latin1(value: Any) -> str | bytes:
    """Return text with one character for each byte, as JavaScript's binary strings; of such text, the bytes."""
    return value.decode("latin-1") if isinstance(value, bytes) else Binary(_as_text(value).encode("latin-1"))


def _load_codec(codec: str) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    from ..codecs.msgpack_cbor import LOADERS

    try:
        return LOADERS[codec]()
    except ImportError:
        raise RejectedValue(needs_extra("it", codec), code="extra-not-installed") from None


def _packer(codec: str) -> Callable[[Any], bytes]:
    def pack(value: Any) -> bytes:
        return Binary(_load_codec(codec)[0](value))

    return pack


def _unpacker(codec: str) -> Callable[[Any], Any]:
    return lambda value: _load_codec(codec)[1](_as_bytes(value))


JWT_ALGORITHMS: Final = (
    *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"),
    "EdDSA",
)
"""The algorithms of RFC 7518 and RFC 8037 that sign; `none` does not."""


def _jwt(claims: Any, key: Any, alg: str = "HS256") -> str:
    """Return a signed JSON Web Token (RFC 7519).

    Args:
        claims: The payload, an object.
        key: The shared secret of HS256, HS384 and HS512; else a private key in PEM form.
        alg: One of `JWT_ALGORITHMS`.

    Raises:
        RejectedValue: if the algorithm is unknown, or the key is not one for it.
    """
    import jwt  # 50 ms, for the few manifests that sign tokens

    payload = encode_json(claims).encode()  # not jwt.encode: it escapes what is not ASCII, and checks the claims
    try:
        with warnings.catch_warnings():
            # How long a shared secret is, the API decides that gave it; the warning would be written to stderr.
            warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
            return jwt.PyJWS(algorithms=JWT_ALGORITHMS).encode(payload, _as_bytes(key), algorithm=alg)
    except (jwt.PyJWTError, NotImplementedError, TypeError, ValueError):
        # The reasons of the library may quote the key.
        raise RejectedValue(
            "the algorithm is unknown, or the key is of another kind.", code="unknown-algorithm"
        ) from None


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else encode_json(value)


def _regex_find(value: Any, pattern: str) -> str | None:
    """Return the first match of a pattern, or its first group where the pattern has one."""
    return find_pattern(_as_text(value), pattern)


def _urldecode(value: Any) -> str:
    """Return percent-encoded text decoded (RFC 3986 §2.1); `+` stays, because only forms write it for a space."""
    from urllib.parse import unquote

    return unquote(_as_text(value))


def _unescape(value: Any) -> str:
    from html import unescape

    text = _as_text(value)
    if text.count("&") > MAX_ENTITIES:
        raise reject(f"unescape takes a text with at most {MAX_ENTITIES:,} times '&'.")
    return unescape(text)


def _pack(value: Any, form: str) -> bytes:
    from .byte_formats import pack_fields  # few manifests need it

    check_length(_sizes_of_format(form)[1])
    fields = value if isinstance(value, list | tuple) else [value]
    try:
        return Binary(pack_fields(form, [_as_bytes(field) if isinstance(field, str) else field for field in fields]))
    except (struct.error, OverflowError):
        shown = ", ".join(map(describe, fields[:2])) + (" …" if len(fields) > 2 else "")
        raise reject(f"{shown} cannot be packed as {form[:40]!r}: a number is too large, or of another kind.") from None


def _unpack(value: Any, form: str) -> list[Any]:
    from .byte_formats import unpack_fields

    data, (size, most) = _as_bytes(value), _sizes_of_format(form)
    if len(data) < size:
        takes = size if size == most else f"at least {size}"
        raise reject(f"{form[:40]!r} takes {takes} bytes, and there are {len(data)}.")
    try:
        return [as_binary(each) for each in unpack_fields(form, data)]
    except struct.error:
        raise reject(
            f"the bytes do not fit {form[:40]!r}: they end too early, or a number has more than 64 bits."
        ) from None


def _sizes_of_format(form: Any) -> tuple[int, int]:
    """Return how many bytes a format takes at least and at most."""
    from .byte_formats import format_sizes

    try:
        return format_sizes(form)
    except (struct.error, TypeError):
        raise reject(f"{str(form)[:40]!r} is not a format of pack and unpack, such as '>BH'.") from None


def _part(value: Any, start: int, stop: int | None = None) -> str | bytes:
    """Return a slice of text or bytes."""
    if not isinstance(value, str | bytes):
        raise reject("the filter part takes text or bytes.")
    part = value[start:stop]
    return Binary(part) if isinstance(part, bytes) else part


def _pieces(value: Any, size: int) -> list[str | bytes]:
    """Return text or bytes in pieces of a size; the last one may be shorter."""
    if not isinstance(value, str | bytes) or type(size) is not int or size < 1:
        raise RejectedValue(
            "the filter pieces takes text or bytes, and a size of at least 1.", code="expression-failed"
        )
    if len(value) > size * MAX_REPETITIONS:
        raise RejectedValue(
            f"the filter pieces gives more than {MAX_REPETITIONS:,} pieces. Make them larger.", code="request-too-large"
        )
    return [as_binary(value[start : start + size]) for start in range(0, len(value), size)]


def _members(value: Any, keep: Callable[[str], bool]) -> Any:
    """Return an object with some of its members, or a list of such objects."""
    if isinstance(value, dict):
        return {name: member for name, member in value.items() if keep(name)}
    if isinstance(value, list):
        return [_members(each, keep) for each in value]
    if value is None:
        raise reject("null has no members. Write 'x | only(…) if x else none' if the value can be null.")
    raise reject("only an object, or a list of objects, has members.")


def _only(value: Any, *names: str) -> Any:
    return _members(value, lambda name: name in names)


def _without(value: Any, *names: str) -> Any:
    return _members(value, lambda name: name not in names)


_OWN_FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "md5": _digest("md5"),
    "sha1": _digest("sha1"),
    "sha256": _digest("sha256"),
    "sha384": _digest("sha384"),
    "sha512": _digest("sha512"),
    "hmac_sha1": _hmac("sha1"),
    "hmac_sha256": _hmac("sha256"),
    "hmac_sha384": _hmac("sha384"),
    "hmac_sha512": _hmac("sha512"),
    "bytes": _concat_bytes,
    "crc32": _crc32,
    "base64": _base64,
    "base64url": _base64url,
    "unbase64": _unbase64,
    "hex": lambda value: _as_bytes(value).hex(),
    "unhex": _unhex,
    "latin1": _latin1,
    "from_json": _from_json,
    "to_json": _to_json,
    "from_msgpack": _unpacker("msgpack"),
    "to_msgpack": _packer("msgpack"),
    "from_cbor": _unpacker("cbor"),
    "to_cbor": _packer("cbor"),
    "utf8": _as_text,
    "jwt": _jwt,
    "byte_length": lambda value: len(_as_bytes(value)),
    "regex_find": _regex_find,
    "unescape": _unescape,
    "urldecode": _urldecode,
    "pack": _pack,
    "unpack": _unpack,
    "part": _part,
    "verbatim": lambda value: value,
    "pieces": _pieces,
    "only": _only,
    "without": _without,
}

FILTERS: Final = {name: bounded(name, function) for name, function in (BOUNDED_FILTERS | _OWN_FILTERS).items()}
"""What expressions may use besides MiniJinja's own filters."""
