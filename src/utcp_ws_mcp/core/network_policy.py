"""Decide which URLs, addresses, headers and proxies may be used; the client asks before it acts.

Everything here is pure. The rules for each kind of address are in section 9 of the manifest language.
"""

from __future__ import annotations

import ipaddress
import re
from functools import cache, lru_cache
from typing import ClassVar, Final, Literal

from ..errors import ForbiddenAddress, ForbiddenURL
from ..manifest.models.network import Network
from ..records import Record
from .limits import MAX_URL_LENGTH

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
AddressKind = Literal["public", "private", "loopback", "link-local", "special"]

_DEFAULT_PORTS: Final = {"ws": 80, "wss": 443, "http": 80, "https": 443}
_URL = re.compile(
    r"(?P<scheme>[a-z]+)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,9}))?"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?\Z"
)
_FORBIDDEN_CHARACTERS = re.compile(r"[^\x21-\x7e]|[\\\"<>^`{|}]")
_HOST_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")


class URL(Record):
    """A URL, parsed once: the client connects to this, not to the text. `host` is lower case and without brackets."""

    not_in_repr: ClassVar = ("query",)
    scheme: str
    host: str
    port: int
    path: str
    query: str = ""

    @property
    def secure(self) -> bool:
        """Return whether the connection is encrypted."""
        return self.scheme in ("wss", "https")

    @property
    def origin(self) -> tuple[str, str, int]:
        """Return scheme, host and port: what credentials belong to."""
        return (self.scheme, self.host, self.port)

    @property
    def target(self) -> str:
        """Return path and query, as the request line needs them."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def authority(self) -> str:
        """Return host and port; the port only if it is not the default of the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def address(self) -> str:
        """Return the URL as it may be shown: without the query, which may contain secrets."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def is_loopback_literal(self) -> bool:
        """Return whether the host is written as `localhost` or as a loopback address."""
        literal = parse_ip(self.host)
        return self.host == "localhost" or (literal is not None and literal.is_loopback)


@lru_cache(maxsize=256)  # a URL is parsed several times before it is used, and again for each tool
def parse_url(text: str, schemes: tuple[str, ...] = ("ws", "wss")) -> URL:
    """Parse a URL strictly: no control characters, white space, user info, fragment, non-ASCII host or odd IPv4.

    The parser is written by hand on purpose. Server-side request forgery uses texts that two parsers read differently,
    such as `wss://a@b`, backslashes, `0x7f.1` or letters beyond ASCII. URL libraries accept and normalize them. What
    this parser accepts has one reading, and the parts that it returns are what the client connects to.

    Args:
        text: The URL.
        schemes: The schemes that are allowed.

    Raises:
        ForbiddenURL: with what is wrong. The text itself is not repeated, because it may contain a secret.
    """
    if len(text) > MAX_URL_LENGTH:
        raise ForbiddenURL(f"the URL has more than {MAX_URL_LENGTH} characters.")
    if bad := _FORBIDDEN_CHARACTERS.search(text):
        raise ForbiddenURL(f"the URL contains {bad[0]!r}. Percent-encode it, and write hosts in ASCII.")
    if "#" in text:
        raise ForbiddenURL("the URL has a fragment (RFC 6455 §3). Remove '#' and what follows.")
    expected = " or ".join(f"{scheme}://host[:port]/path" for scheme in schemes)
    match = _URL.match(text)
    if not match or match["scheme"] not in schemes:
        if "@" in text.split("?", maxsplit=1)[0]:
            raise ForbiddenURL('the URL contains a user name or password. Use "auth".', code="credentials-in-url")
        counterparts = {"http": "ws", "https": "wss", "ws": "http", "wss": "https"}
        suggestion = counterparts.get(text.partition("://")[0].lower(), "")
        hint = f" Replace the scheme by {suggestion}://." if suggestion in schemes else ""
        hint = hint if "://" in text else f" Put {schemes[0]}:// before it."
        raise ForbiddenURL(f"expected a URL of the form {expected}.{hint}")
    host = match["host"].strip("[]").lower()
    _check_host(host, bracketed=match["host"].startswith("["))
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS[match["scheme"]]
    if not 0 < port < 65536:
        raise ForbiddenURL(f"the URL has the port {port}. Write a port from 1 to 65535.")
    return URL(match["scheme"], host, port, match["path"] or "/", match["query"] or "")


def _check_host(host: str, bracketed: bool) -> None:
    if bracketed:
        if not isinstance(parse_ip(host), ipaddress.IPv6Address):
            raise ForbiddenURL(f"[{host}] is not an IPv6 address.")
        return
    labels = host.removesuffix(".").split(".")
    if not all(_HOST_LABEL.match(label) for label in labels) or len(host) > 253:
        raise ForbiddenURL(f"{host} is not a host name.")
    numeric = re.match(r"(0x[0-9a-f]*|[0-9]+)\Z", labels[-1])
    if numeric and not isinstance(parse_ip(host), ipaddress.IPv4Address):
        raise ForbiddenURL(f"{host} is not an IPv4 address. Write it as four decimal numbers.")


def check_scheme(url: URL, network: Network, *, through_network: bool = False) -> None:
    """Check that plain text goes to a literal loopback host, or to an endpoint whose manifest allows it.

    Args:
        url: The URL of the endpoint.
        network: What the manifest allows.
        through_network: Whether a proxy on another machine is between, for which loopback is its own machine.

    Raises:
        ForbiddenURL: where the URL would send plain text over a network.
    """
    if url.secure or network.plaintext or (url.is_loopback_literal and not through_network):
        return
    raise ForbiddenURL(
        f"{url.address}: connection blocked because the messages would be sent as plain text. Use wss://, or set "
        '"network": {"plaintext": true} in the call template if you trust the network.',
        code="plaintext-not-allowed",
    )


def check_addresses(url: URL, addresses: list[str], network: Network) -> list[str]:
    """Return the addresses of a host that may be connected to. Every one must be allowed, but for one kind.

    A literal loopback host in a manifest allows loopback. Link-local addresses, which serve the metadata of clouds, are
    allowed one by one only: a network around them would allow the metadata by accident. That does not hold for
    `fe80::/10`, where no cloud has metadata. Names in a home often have such an address beside another one
    (multicast DNS): where it is not allowed, it is left out.

    Args:
        url: The URL of the endpoint.
        addresses: The addresses of its host.
        network: What the manifest allows.

    Raises:
        ForbiddenAddress: for the first one that is not allowed.
    """
    kept, left_out = [], []
    for text in addresses:
        address = ipaddress.ip_address(text)
        kind = classify_address(address)
        implied = kind == "loopback" and url.is_loopback_literal
        if kind == "public" or implied or _is_allowed(address, kind, network):
            kept.append(text)
        elif _is_plain_link_local(address):
            left_out.append(text)
        else:
            raise ForbiddenAddress(url.host, text, kind)
    if left_out and not kept:
        raise ForbiddenAddress(url.host, left_out[0], "link-local")
    return kept


def check_proxied(url: URL, network: Network, *, through_network: bool) -> None:
    """Check what is known of an endpoint whose name a proxy resolves: plain text, and an address in its URL.

    Args:
        url: The URL of the endpoint.
        network: What the manifest allows.
        through_network: Whether the proxy is on another machine, for which loopback is its own machine.

    Raises:
        ForbiddenURL, ForbiddenAddress: where the manifest does not allow it.
    """
    check_scheme(url, network, through_network=through_network)
    host = "127.0.0.1" if url.host == "localhost" else url.host
    address = parse_ip(host)
    if address is None:
        return
    kind = classify_address(address)
    if through_network and kind == "loopback" and not _is_allowed(address, kind, network):
        raise ForbiddenAddress(url.host, host, kind)
    check_addresses(url, [host], network)


def check_plain_http(url: URL, addresses: list[str], endpoint_host: str | None) -> None:
    """Check that a request in plain text stays in the network of the endpoint.

    Args:
        url: The URL of the request.
        addresses: The addresses of its host.
        endpoint_host: The host of the endpoint; None where it is not known, or the request goes elsewhere.

    Raises:
        ForbiddenURL: where it goes to a public address that is not the endpoint's own host.
    """
    if url.secure or url.host == endpoint_host:
        return
    if any(classify_address(ipaddress.ip_address(address)) == "public" for address in addresses):
        raise ForbiddenURL(
            f"{url.address}: request blocked because it would cross a public network as plain text. Use https://.",
            code="plaintext-not-allowed",
        )


def check_network(network: Network) -> str | None:
    """Return what is wrong with the `allow` list, or None."""
    for item in network.allow:
        if item not in ("private", "loopback") and _as_network(item) is None:
            return f"{item!r} is not 'private', 'loopback', an address, or a network such as '192.168.0.0/24'."
    return None


def _is_allowed(address: IPAddress, kind: AddressKind, network: Network) -> bool:
    if kind in ("private", "loopback") and kind in network.allow:
        return True
    networks = [parsed for item in network.allow if (parsed := _as_network(item))]
    if kind == "link-local":
        plain = _is_plain_link_local(address)
        networks = [each for each in networks if each.num_addresses == 1 or (plain and _is_within_fe80(each))]
    return any(address in each for each in networks if each.version == address.version)


def _is_plain_link_local(address: IPAddress) -> bool:
    """Return whether an address is in `fe80::/10` and embeds no IPv4 address, as ISATAP does."""
    return address.version == 6 and address in _LINK_LOCAL_IPV6 and not _embedded_ipv4_addresses(address)


def _is_within_fe80(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_LINK_LOCAL_IPV6)


@cache
def _as_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


@lru_cache(maxsize=256)
def parse_ip(host: str) -> IPAddress | None:
    """Return the address that a host is written as, or None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _networks(*texts: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# Written out instead of `is_private`, `is_global` and `is_reserved`: what these count changed between patch releases of
# Python (gh-113171), and they know neither the metadata addresses of clouds nor 100.64.0.0/10 as private.
_LINK_LOCAL_IPV6: Final = ipaddress.IPv6Network("fe80::/10")
_LINK_LOCAL = _networks("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32", "168.63.129.16/32")
_PRIVATE = _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
_SPECIAL = _networks(
    *("0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24"),
    *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8", "fec0::/10", "2001:db8::/32"),
    *("100::/64", "2001::/23", "3fff::/20", "5f00::/16", "64:ff9b:1::/48"),
)
_IPV4_IN_LOW_BITS: Final = _networks("::ffff:0:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48")
"""IPv6 networks that carry an IPv4 address in their lowest 32 bits and for which `ipaddress` has no property."""

_ISATAP_MARKS: Final = (0x00005EFE, 0x02005EFE)
"""What is to the left of the IPv4 address in an ISATAP interface identifier (RFC 5214 §6.1)."""


def classify_address(address: IPAddress) -> AddressKind:
    """Return the kind of an address; of an IPv6 address that embeds an IPv4 address, the more dangerous of the two."""
    order: tuple[AddressKind, ...] = ("link-local", "special", "loopback", "private", "public")
    kinds = [_classify_single_address(candidate) for candidate in (address, *_embedded_ipv4_addresses(address))]
    return min(kinds, key=order.index)


def _classify_single_address(address: IPAddress) -> AddressKind:
    def within(networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]) -> bool:
        return any(address in network for network in networks if network.version == address.version)

    if within(_LINK_LOCAL):
        return "link-local"
    if address.is_loopback:
        return "loopback"
    if within(_PRIVATE):
        return "private"
    return "special" if within(_SPECIAL) or address.is_multicast or address.is_unspecified else "public"


def _embedded_ipv4_addresses(address: IPAddress) -> list[ipaddress.IPv4Address]:
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback or address.is_unspecified:
        return []
    low_bits = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    candidates = (address.ipv4_mapped, address.sixtofour, *(address.teredo or ()))
    embedded = [each for each in candidates if each is not None]
    if any(address in network for network in _IPV4_IN_LOW_BITS) or int(address) >> 32 & 0xFFFFFFFF in _ISATAP_MARKS:
        embedded.append(low_bits)
    return embedded


def parse_http_url(text: str, network: Network | None = None) -> URL:
    """Parse the URL of an HTTP request: TLS, a literal loopback host, or plain text where the manifest allows it.

    Where plain text is allowed, `check_plain_http` decides on the addresses.

    Args:
        text: The URL.
        network: What the manifest allows; None: nothing.

    Raises:
        ForbiddenURL: if it is malformed, or would send plain text over a network.
    """
    url = parse_url(text, ("https", "http"))
    if not url.secure and not url.is_loopback_literal and not (network and network.plaintext):
        raise ForbiddenURL(
            f"{url.address}: request blocked because it would be sent as plain text. Use https://, or set "
            '"network": {"plaintext": true} if the server is in your own network.',
            code="plaintext-not-allowed",
        )
    return url
