"""Decide which headers and subprotocols may be sent. Everything here is pure."""

from __future__ import annotations

import re
from typing import Final

from ..errors import ForbiddenHeader, ForbiddenURL
from .limits import MAX_HEADER_LENGTH, MAX_HEADER_NAME_LENGTH
from .network_policy import parse_url

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?\Z")
_HANDSHAKE_HEADERS: Final = frozenset(
    {"host", "connection", "upgrade", "content-length", "transfer-encoding", "te", "trailer", "keep-alive", "expect"}
    | {"http2-settings"}
)


def check_host_header(value: str) -> None:
    """Check the value of a `Host` header: a host name or an address, perhaps with a port (RFC 9110 §7.2).

    Raises:
        ForbiddenHeader: if it is anything else.
    """
    try:
        parsed = parse_url(f"wss://{value}")
    except ForbiddenURL:
        parsed = None
    if parsed is None or "/" in value or "?" in value:
        raise ForbiddenHeader("Host", "the value is not a host name, perhaps with a port. Write one.")


def check_header(name: str, value: str, *, may_set_host: bool = False) -> None:
    """Check a header: its name is a token, its value visible ASCII, and it is none of the handshake's (RFC 6455 §4.1).

    Args:
        name: The name.
        value: The value.
        may_set_host: Whether the local manifest wrote the header, and so may replace `Host`.

    Raises:
        ForbiddenHeader: with the reason; the value is never repeated, because it may be a secret.
    """
    lower = name.lower()
    if lower == "host" and may_set_host:
        check_host_header(value)
        return
    if len(name) > MAX_HEADER_NAME_LENGTH or not _TOKEN.match(name):
        raise ForbiddenHeader(name[:64], "this is not a header name. Use letters, digits and hyphens.")
    if lower in _HANDSHAKE_HEADERS or lower.startswith(("sec-websocket-", "proxy-")):
        raise ForbiddenHeader(name, "this header belongs to the handshake and cannot be set. Remove it.")
    if len(value) > MAX_HEADER_LENGTH or not _HEADER_VALUE.match(value):
        raise ForbiddenHeader(
            name,
            f"the value must have 1 to {MAX_HEADER_LENGTH} visible ASCII characters, without line breaks or outer "
            "spaces.",
        )


_VALUE_PER_CALL = "checked-with-each-call"
"""A valid value, so that the name of a header can be checked before its value is known."""


def check_written_header(name: str, constant: str | None, *, local: bool) -> None:
    """Check what no call can change of a header. `Host` decides which site answers: no call may change it at all.

    Args:
        name: The name.
        constant: The value; None where it contains a placeholder.
        local: Whether the local manifest wrote the header.

    Raises:
        ForbiddenHeader: where the header may not be set.
    """
    if name.lower() == "host" and local and constant is None:
        raise ForbiddenHeader(name, "the value contains a placeholder. Write the host, or a variable ${NAME}.")
    value = constant if name.lower() == "host" and constant is not None else _VALUE_PER_CALL
    check_header(name, value, may_set_host=local)


def check_subprotocol(name: str) -> None:
    """Check a subprotocol: it is a token (RFC 6455 §4.1), and may be as long as a header.

    It may be long because browsers can send credentials nowhere else, so that APIs expect them there.

    Raises:
        ForbiddenHeader: if it is no token, or too long.
    """
    if len(name) > MAX_HEADER_LENGTH or not _TOKEN.match(name):
        raise ForbiddenHeader("Sec-WebSocket-Protocol", f"{name[:64]!r} is not a token. Remove spaces and commas.")
