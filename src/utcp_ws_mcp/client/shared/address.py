"""The address of the shared store: parsed, with its password apart."""

from __future__ import annotations

import re
from typing import ClassVar, Final
from urllib.parse import unquote, urlsplit

from ...errors import ServeOptionsError
from ...records import Record

DEFAULT_PORT: Final = 6379
_EXAMPLE: Final = "redis://HOST[:PORT][/DATABASE], or rediss:// for TLS, such as rediss://replica@redis.example.com"


class StoreAddress(Record):
    """Where the store is, and how to log in there."""

    not_in_repr: ClassVar = ("password",)
    host: str
    port: int
    database: int
    tls: bool
    username: str | None
    password: str | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.database}"


def parse_store_address(text: str, source: str) -> StoreAddress:
    """Return the address that a URL names.

    Args:
        text: The URL.
        source: Where it was given, for messages: they do not contain the URL, which may have a password.

    Raises:
        ServeOptionsError: if it is not the URL of a Redis server.
    """
    try:
        parts = urlsplit(text.strip())
        port, path = parts.port, parts.path.strip("/")
    except ValueError:  # its text repeats what follows the last colon, which may be a part of the password
        raise _invalid(source, "the host or the port is malformed. Percent-encode a password") from None
    if parts.scheme not in ("redis", "rediss"):
        raise _invalid(source, "the scheme is not redis or rediss")
    if not parts.hostname:
        raise _invalid(source, "the host is missing")
    if not re.fullmatch(r"[0-9]{0,4}", path):
        raise _invalid(source, "the path is not the number of a database")
    if parts.query or parts.fragment:
        raise _invalid(source, "it has a query or a fragment")
    username, password = (unquote(each) if each else None for each in (parts.username, parts.password))
    return StoreAddress(
        parts.hostname, port or DEFAULT_PORT, int(path or 0), parts.scheme == "rediss", username, password
    )


def _invalid(source: str, reason: str) -> ServeOptionsError:
    return ServeOptionsError(
        f"{source} is not the URL of a Redis server: {reason}. Write {_EXAMPLE}.", code="invalid-shared-url"
    )
