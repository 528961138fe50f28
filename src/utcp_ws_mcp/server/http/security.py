"""Access control of the HTTP transport: Host, Origin, token, method and content type of a request.

The MCP SDK has a check of Host and Origin as well (`mcp.server.transport_security`). This one is stricter, which is
why it is not replaced: values are parsed and compared as a whole, so `127.0.0.1:80.evil.example` is not a port of
127.0.0.1; a repeated header is rejected; every path is covered, not only the one of MCP; and it includes the token,
which it compares in constant time.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import ClassVar, Final

from ...records import Record

Headers = Sequence[tuple[bytes, bytes]]
Authority = tuple[str, int | None]
"""A host name or address in lower case (IPv6 in brackets), and the port if one is written."""

Origin = tuple[str, str, int | None]
"""A scheme, a host, and the port if one is written."""

MAX_SHOWN_LENGTH: Final = 200
"""Characters of a header that a message repeats."""

_AUTHORITY: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
_ABSOLUTE_TARGET: Final = re.compile(rb"https?://([^/]*)(/.*)?", re.IGNORECASE | re.DOTALL)
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_JSON_CONTENT_TYPE: Final = re.compile(rb'application/json(?:[ \t]*;[ \t]*charset="?utf-8"?)?[ \t]*', re.IGNORECASE)


class Rejection(Record):
    """Why a request is rejected: an HTTP status, and a message for the client.

    `challenge` is the header WWW-Authenticate of a rejected token; `retry_after` are the seconds of a 503.
    """

    status: int
    detail: str
    challenge: str = ""
    retry_after: int | None = None


class HttpAccessPolicy(Record, dict=True):
    """The values that requests must have. `token` is None if no token is required."""

    not_in_repr: ClassVar = ("token",)
    hosts: frozenset[Authority]
    origins: frozenset[Origin]
    token: str | None

    @cached_property
    def usual_hosts(self) -> frozenset[bytes]:
        """Return the accepted values of Host as most clients write them."""
        return frozenset(_authority_text(*host).encode() for host in self.hosts)

    @cached_property
    def usual_origins(self) -> frozenset[bytes]:
        """Return the accepted values of Origin as browsers write them."""
        return frozenset(f"{scheme}://{_authority_text(name, port)}".encode() for scheme, name, port in self.origins)

    def check(self, headers: Headers) -> Rejection | None:
        """Return why a request is rejected, or None if it is accepted."""
        return self.check_host_and_origin(headers) or self.check_token(headers)

    def check_host_and_origin(self, headers: Headers) -> Rejection | None:
        """Reject a request for another host (DNS rebinding), or from a web page of another origin (MCP, Transports)."""
        host, origin = _single_header(headers, b"host"), _header_values(headers, b"origin")
        if host is None or (authority := parse_authority(host)) not in self.hosts:
            shown = _shown(host) if host is not None and authority is not None else ""
            return Rejection(421, f"this Host{shown} is not served here; --allowed-host adds one")
        if origin and (len(origin) > 1 or (parsed := parse_origin(origin[0])) not in self.origins):
            shown = _shown(origin[0]) if len(origin) == 1 and parsed is not None else ""
            return Rejection(403, f"requests of this Origin{shown} are rejected; --allowed-origin adds one")
        return None

    def check_token(self, headers: Headers) -> Rejection | None:
        """Reject a request without the bearer token (RFC 6750 §2.1)."""
        if self.token is None:
            return None
        # Compared in constant time: the duration must not reveal the token.
        if hmac.compare_digest((bearer_token(headers) or "").encode("latin-1"), self.token.encode()):
            return None
        detail = "the header Authorization must be: Bearer, and the token of this server"
        return Rejection(401, detail, challenge='Bearer realm="utcp-ws-mcp"')


def check_method_and_content_type(method: str, headers: Headers, allowed_methods: Iterable[str]) -> Rejection | None:
    """Reject another method than the allowed ones, and a body that is not declared as JSON, or is compressed.

    The strict content type matters: a browser sends `text/plain` to another origin without asking first.
    """
    if method not in allowed_methods:
        return Rejection(405, f"use {', '.join(allowed_methods)}")
    if method == "POST" and not is_json_content((_single_header(headers, b"content-type") or "").encode("latin-1")):
        return Rejection(415, "the Content-Type must be application/json")
    if method == "POST" and any(each.lower() != "identity" for each in _header_values(headers, b"content-encoding")):
        return Rejection(415, "the body must not be compressed: send it without Content-Encoding")
    return None


def is_json_content(content_type: bytes) -> bool:
    """Return whether the value of Content-Type is JSON in UTF-8."""
    return _JSON_CONTENT_TYPE.fullmatch(content_type) is not None


def rejection_headers(rejection: Rejection, allowed_methods: Iterable[str] = ()) -> Mapping[str, str]:
    """Return the headers that a rejection must have (RFC 9110 §11.6.1, §15.5.6)."""
    if rejection.challenge:
        return {"WWW-Authenticate": rejection.challenge}
    if rejection.retry_after is not None:
        return {"Retry-After": str(rejection.retry_after)}
    return {"Allow": ", ".join(allowed_methods)} if rejection.status == 405 else {}


def bearer_token(headers: Headers) -> str | None:
    """Return the bearer token of a request (RFC 6750 §2.1), or None."""
    scheme, _, given = (_single_header(headers, b"authorization") or "").partition(" ")
    return given.strip(" \t") if scheme.lower() == "bearer" else None


def split_absolute_target(target: bytes) -> tuple[bytes, bytes] | None:
    """Split a request target such as `http://127.0.0.1:8080/mcp` into host and path; None for one in another form."""
    found = _ABSOLUTE_TARGET.fullmatch(target)
    return None if found is None else (found[1], found[2] or b"/")


def parse_authority(text: str) -> Authority | None:
    """Parse `NAME`, `NAME:PORT` or `[IPV6]:PORT`; return None for anything else."""
    found = _AUTHORITY.fullmatch(text.lower())
    if found is None:
        return None
    name, port = found.groups()
    if port is None:
        return name, None
    return (name, int(port)) if int(port) < 1 << 16 else None


def parse_origin(text: str) -> Origin | None:
    """Parse `SCHEME://NAME[:PORT]`; return None for anything else, also for a URL with a path."""
    scheme, separator, rest = text.lower().partition("://")
    authority = parse_authority(rest)
    if not separator or authority is None or not _SCHEME.fullmatch(scheme):
        return None
    return scheme, *authority


def _shown(value: str) -> str:
    """Return the value of a header for a message: behind a proxy, an operator cannot see it otherwise."""
    return f" ({value})" if len(value) <= MAX_SHOWN_LENGTH else ""


def _authority_text(name: str, port: int | None) -> str:
    return name if port is None else f"{name}:{port}"


def _single_header(headers: Headers, name: bytes) -> str | None:
    """Return the value of a header that occurs exactly once: two would be read differently by different programs."""
    values = _header_values(headers, name)
    return values[0] if len(values) == 1 else None


def _header_values(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]
