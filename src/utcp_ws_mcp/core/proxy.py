"""Read the URL of a proxy."""

from __future__ import annotations

import re
from typing import ClassVar, Final
from urllib.parse import unquote

from ..errors import InvalidTemplate
from ..records import Record
from .network_policy import URL

PROXY_FROM_ENV: Final = "env"
"""The proxy that the environment names."""

_PROXY: Final = re.compile(
    r"(?P<scheme>http|socks4a?|socks5h?)://(?:(?P<username>[^:@/?#\s]*)(?::(?P<password>[^@/?#\s]*))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>\d{1,5})/?\Z"
)
"""What a user name or a password may not hold would end the host for other readers of URLs: it is percent-encoded."""


class Proxy(Record):
    """A proxy. The kind is `http`, `socks4` or `socks5`; a proxy of each kind resolves names itself."""

    not_in_repr: ClassVar = ("username", "password")
    kind: str
    host: str
    port: int
    username: str = ""
    password: str = ""

    @property
    def url(self) -> URL:
        """Return its address, without credentials."""
        return URL("http", self.host, self.port, "/")


def parse_proxy(text: str) -> Proxy:
    """Return the proxy of a URL. An error does not repeat it, because it may contain a password.

    Raises:
        InvalidTemplate: if it is none.
    """
    found = _PROXY.match(text)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise InvalidTemplate(
            'the proxy is not "http://host:port", "socks5://host:port" or "env". Percent-encode a user name and a '
            "password.",
            code="invalid-value",
        )
    username, password = unquote(found["username"] or ""), unquote(found["password"] or "")
    host = found["host"].strip("[]").lower()
    return Proxy(found["scheme"].rstrip("ah"), host, int(found["port"]), username, password)
