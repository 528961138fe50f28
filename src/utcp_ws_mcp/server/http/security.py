"""Who may enter over HTTP: the checks of a request's Host, Origin, token, method and content type.

Values are parsed and compared whole, never by their beginning: `127.0.0.1:80.evil.example` is no port of 127.0.0.1.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Headers = Sequence[tuple[bytes, bytes]]
Authority = tuple[str, int | None]
"""A host name or address in lower case (IPv6 in brackets), and the port where one is written."""

Origin = tuple[str, str, int | None]
"""A scheme, a host, and the port where one is written."""

CORS_PREFLIGHT_HEADERS: Final = {
    "Access-Control-Allow-Methods": "POST, GET, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Accept, Last-Event-ID, Mcp-Session-Id, "
    "MCP-Protocol-Version, Mcp-Method, Mcp-Name",
    "Access-Control-Max-Age": "7200",
}
"""The answer to a browser that asks what a web page may send (Fetch, §CORS protocol)."""

_AUTHORITY: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_JSON_CONTENT_TYPE: Final = re.compile(rb'application/json(?:[ \t]*;[ \t]*charset="?utf-8"?)?[ \t]*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a request may not enter: an HTTP status and a sentence."""

    status: int
    detail: str


@dataclass(frozen=True, slots=True)
class HttpAccessPolicy:
    """What requests must show. `token` is None where none is asked for."""

    hosts: frozenset[Authority]
    origins: frozenset[Origin]
    token: str | None

    def check(self, headers: Headers) -> Rejection | None:
        """Why a request may not enter, or None where it may."""
        return self.check_host_and_origin(headers) or self.check_token(headers)

    def check_host_and_origin(self, headers: Headers) -> Rejection | None:
        """Refuse what was not meant for this server, or comes from a web page that is none of its own."""
        host, origin = _single_header(headers, b"host"), _header_values(headers, b"origin")
        if host is None or parse_authority(host) not in self.hosts:
            return Rejection(421, "this Host is not served here; --allowed-host adds one")
        if origin and (len(origin) > 1 or parse_origin(origin[0]) not in self.origins):
            return Rejection(403, "requests of this Origin are refused; --allowed-origin adds one")
        return None

    def check_token(self, headers: Headers) -> Rejection | None:
        """Refuse what does not bring the token."""
        if self.token is None:
            return None
        scheme, _, given = (_single_header(headers, b"authorization") or "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("latin-1"), self.token.encode())
        if scheme.lower() == "bearer" and right:
            return None
        return Rejection(401, "the header Authorization must be: Bearer, and the token of this server")


def is_preflight(method: str, headers: Headers) -> bool:
    """Whether a browser asks, before it sends a request for a web page; it never brings the token along."""
    return (
        method == "OPTIONS"
        and bool(_header_values(headers, b"origin"))
        and bool(_header_values(headers, b"access-control-request-method"))
    )


def cors_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    """What lets a web page read the answer to its request; its origin has been checked."""
    origin = next((value for key, value in headers if key == b"origin"), None)
    if origin is None:
        return []
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", b"Mcp-Session-Id, WWW-Authenticate"),
        (b"vary", b"Origin"),
    ]


def check_method_and_content_type(method: str, headers: Headers, allowed_methods: Iterable[str]) -> Rejection | None:
    """Refuse a method that is not served, and a body that is not declared as JSON."""
    if method not in allowed_methods:
        return Rejection(405, f"use {', '.join(allowed_methods)}")
    if method == "POST" and not _JSON_CONTENT_TYPE.fullmatch(
        (_single_header(headers, b"content-type") or "").encode("latin-1")
    ):
        return Rejection(415, "the Content-Type must be application/json")
    return None


def parse_authority(text: str) -> Authority | None:
    """`NAME`, `NAME:PORT` or `[IPV6]:PORT`; None for anything else."""
    found = _AUTHORITY.fullmatch(text.lower())
    if found is None:
        return None
    name, port = found.groups()
    if port is None:
        return name, None
    return (name, int(port)) if int(port) < 1 << 16 else None


def parse_origin(text: str) -> Origin | None:
    """`SCHEME://NAME[:PORT]` and nothing behind it; None for anything else."""
    scheme, separator, rest = text.lower().partition("://")
    authority = parse_authority(rest)
    if not separator or authority is None or not _SCHEME.fullmatch(scheme):
        return None
    return scheme, *authority


def _single_header(headers: Headers, name: bytes) -> str | None:
    """The value of a header that stands there once."""
    values = _header_values(headers, name)
    return values[0] if len(values) == 1 else None


def _header_values(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]


def rejection_headers(rejection: Rejection, allowed_methods: Iterable[str]) -> Mapping[str, str]:
    """The headers that belong to a refusal (RFC 9110 §11.6.1, §15.5.6)."""
    if rejection.status == 401:
        return {"WWW-Authenticate": 'Bearer realm="utcp-ws-mcp"'}
    return {"Allow": ", ".join(allowed_methods)} if rejection.status == 405 else {}
