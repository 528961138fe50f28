"""May this HTTP request be made, may this proxy be used? Pure answers; the shell asks before it acts."""

from __future__ import annotations

import re
from typing import Final

from ..errors import ForbiddenURL, InvalidTemplate
from .network_policy import URL, parse_url

PROXY_FROM_ENV: Final = "env"
"""The proxy that the environment names."""

_PROXY = re.compile(r"(?:http|socks4|socks5)://(?:[^@/\s]*@)?(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})/?\Z")


def parse_http_url(text: str) -> URL:
    """The URL of an HTTP request: TLS, or a literal loopback host.

    Raises:
        ForbiddenURL: if it is malformed, or would send plain text over a network.
    """
    url = parse_url(text, ("https", "http"))
    if not url.secure and not url.is_loopback_literal:
        raise ForbiddenURL(f"{url.address} would be plain text; use https://")
    return url


def check_proxy(proxy: str) -> None:
    """A proxy is a URL with a port, or "env". The URL is not repeated: it may hold a password.

    Raises:
        InvalidTemplate: if it is neither.
    """
    found = _PROXY.match(proxy)
    if proxy != PROXY_FROM_ENV and (found is None or not 0 < int(found[1]) < 65536):
        raise InvalidTemplate('expected "http://host:port", "socks5://host:port" or "env"')
