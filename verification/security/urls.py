"""URLs that the bridge must not connect to, in every spelling, and URLs that it must connect to."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

PUBLIC: Final = "93.184.216.34"
PUBLIC6: Final = "2606:2800:220:1::1"
LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Case:
    """A URL, the addresses of its host, and the addresses that the bridge may connect to.

    `good`: the bridge must connect to one of them.
    """

    url: str
    answers: tuple[str, ...] = ()
    allowed: frozenset[str] = frozenset()
    good: bool = False


FORBIDDEN_NETWORKS: Final = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
    *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
)
"""The networks of IANA's IPv4 special-purpose registry that are not globally reachable."""

METADATA: Final = ("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192")

FORBIDDEN6: Final = (
    *("::", "fe80::1", "fe80::a9fe:a9fe", "febf::1", "fc00::1", "fd00:ec2::254", "fdff::1", "ff02::1", "ff0e::1"),
    *("fec0::1", "2001:db8::1", "100::1", "2001::1", "2001:2::1", "2001:10::1", "3fff::1", "5f00::1"),
    *("64:ff9b:1::1", "64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9fe:a9:fe00:808:808", "::2:3"),
)

EMBEDDINGS: Final[tuple[Callable[[int], int], ...]] = (
    lambda v4: 0xFFFF << 32 | v4,
    lambda v4: 0xFFFF << 48 | v4,
    lambda v4: v4,
    lambda v4: 0x64FF9B << 96 | v4,
    lambda v4: 0x64FF9B0001 << 80 | v4,
    lambda v4: 0x64FF9B0001 << 80 | (v4 >> 16) << 64 | (v4 & 0xFFFF) << 40,
    lambda v4: 0x2002 << 112 | v4 << 80,
    lambda v4: 0x2002 << 112 | v4 << 80 | 1,
    lambda v4: 0x260647000000 << 80 | 0x5EFE << 32 | v4,
    lambda v4: 0x260647000000 << 80 | 0x02005EFE << 32 | v4,
    lambda v4: 0x20010000 << 96 | v4 << 64 | 0x08080808,
    lambda v4: 0x20010000 << 96 | 0x08080808 << 64 | (v4 ^ 0xFFFFFFFF),
)
"""IPv6 addresses with an embedded IPv4 address: mapped, translated, compatible, NAT64, 6to4, ISATAP, Teredo."""


def bad_urls(random: Random, of_each: int) -> Iterator[Case]:
    """Yield URLs that lead to forbidden addresses; `of_each` is the number of random addresses of each network."""
    addresses = list(dict.fromkeys(_forbidden_v4(random, of_each)))
    names = (f"n{number}.example" for number in range(1 << 30))
    for address in addresses:
        yield from (Case(url) for url in _spellings(address))
        yield from _resolving_to(names, str(address))
        yield _literal(f"wss://{address}/", address)
        yield _literal(f"ws://{address}:8080/a?b=c", address)
    embedded = [ipaddress.IPv6Address(form(int(address))) for address in addresses for form in EMBEDDINGS]
    for address6 in dict.fromkeys([*map(ipaddress.IPv6Address, FORBIDDEN6), *embedded]):
        yield from _literal6(address6)
        yield from _resolving_to(names, str(address6))
    yield from (Case(url, (PUBLIC,)) for url in HAND_WRITTEN)
    yield from (Case(url, tuple(LOOPBACK)) for url in LOCAL_NAMES)


def good_urls() -> Iterator[Case]:
    """Yield URLs of every kind that the bridge must connect to."""
    for number, form in enumerate(GOOD_FORMS):
        for kind, answers in enumerate(GOOD_ANSWERS):
            url = form.format(f"good{number}x{kind}.example")
            yield Case(url, answers, frozenset(answers), good=True)
    for address in ("93.184.216.34", "8.8.8.8", "172.32.0.1", "192.169.0.1", "100.128.0.1", "1.1.1.1", "223.255.255.1"):
        yield Case(f"wss://{address}/x", (), frozenset({address}), good=True)
        yield Case(f"wss://{address}:9443/x?y=1", (), frozenset({address}), good=True)
    for address in ("2606:2800:220:1::1", "2a00:1450::8a", "64:ff9b::808:808", "2002:808:808::1"):
        yield Case(f"wss://[{address}]/", (), frozenset({address}), good=True)
    for host in ("localhost", "LOCALHOST", "127.0.0.1", "[::1]", "[0:0:0:0:0:0:0:1]"):
        for scheme in ("ws", "wss"):
            yield Case(f"{scheme}://{host}:8700/", (), LOOPBACK | {"0:0:0:0:0:0:0:1"}, good=True)


GOOD_FORMS: Final = (
    *("wss://{}", "wss://{}/", "wss://{}:443/", "wss://{}:65535/", "wss://{}:1/a", "wss://{}/a/b/c", "wss://{}/a?b=c"),
    *("wss://{}/a?b=c&d=%2F", "wss://{}?q=1", "wss://A.{}/", "wss://xn--bcher-kva.{}/", "wss://a_b.{}/", "wss://{}./"),
    *("wss://{}/%7Euser/@me:x", "wss://{}/a;b=c,d", "wss://{}/?u=ws://127.0.0.1/", "wss://{}/169.254.169.254"),
    *(
        "wss://127.0.0.1.{}/",
        "wss://localhost.{}/",
        "wss://10-0-0-1.{}/",
        "wss://0x7f.{}/",
        "wss://1.{}/",
        "wss://{}/x/",
        "wss://{}//a",
        "wss://{}/?",
    ),
    *(
        "wss://" + "a" * 63 + ".{}/",
        "wss://a.b.c.d.e.f.{}/",
        "wss://{}/" + "p" * 2000,
        "wss://{}/x?y=[1]".replace("[1]", "(1)"),
    ),
)
GOOD_ANSWERS: Final = (
    (PUBLIC,),
    (PUBLIC6,),
    (PUBLIC, "8.8.8.8"),
    (PUBLIC6, PUBLIC),
    ("64:ff9b::808:808",),
    ("1.1.1.1",),
)

LOCAL_NAMES: Final = (
    *("wss://localhost./", "wss://localhost.localdomain/", "wss://foo.localhost/", "wss://ip6-localhost/"),
    *("wss://localhost.evil.example/", "wss://127.0.0.1.nip.example/", "ws://localhost.evil.example/"),
)
"""Names that resolve to loopback although the URL does not show it."""

HAND_WRITTEN: Final = (
    *("wss://evil.example\\@127.0.0.1/", "wss://evil.example#@127.0.0.1/", "wss://evil.example:443@127.0.0.1/"),
    *("wss://user:pw@127.0.0.1/", "wss://user@evil.example/", "wss://@127.0.0.1/", "wss://127.0.0.1#/", "wss://a#b"),
    *("wss://evil.example:0/", "wss://evil.example:99999/", "wss://evil.example:65536/", "wss://evil.example:/"),
    *("wss://evil.example:+443/", "wss://evil.example:4 43/", "wss://evil.example:４４３/", "wss://evil.example:-1/"),
    *("wss://evil\r\n.example/", "wss://evil\t.example/", "wss:// evil.example/", " wss://evil.example/"),
    *("wss://evil.example /", "wss://evil.example/\r\nHost: x", "wss://evil.example/a b", "wss://evil.example/\x00"),
    *("wss://evil\x00.example/", "wss://evil.example/\x7f", "wss://evil.example/ü", "wss://évil.example/"),
    *("wss:\\\\evil.example/", "wss:/evil.example/", "wss:evil.example", "//evil.example/", "///evil.example"),
    *("wss:///", "wss://", "wss://:443/", "wss://./", "wss://../", "wss://.evil.example/", "wss://evil..example/"),
    *("WSS://evil.example/", "Wss://evil.example/", "http+wss://evil.example/", "file:///etc/passwd", "unix:///run/x"),
    *("gopher://127.0.0.1/", "ftp://evil.example/", "data:,x", "javascript:alert(1)", "wss+unix://x/", ""),
    *("wss://[::1/", "wss://::1/", "wss://[::1]]/", "wss://[[::1]]/", "wss://[]/", "wss://[127.0.0.1]/"),
    *("wss://[fe80::1%25lo]/", "wss://[fe80::1%lo]/", "wss://[::1%251]/", "wss://fe80::1%25lo/", "wss://[v1.x]/"),
    *("wss://[::ffff:127.1]/", "wss://[::ffff:0x7f.0.0.1]/", "wss://[::g]/", "wss://[1:2:3]/", "wss://[::1]x/"),
    *("wss://%6c%6f%63alhost/", "wss://evil%2eexample/", "wss://evil.example%00.b/", "wss://-evil.example/"),
    *("wss://evil-.example/", "wss://" + "a" * 64 + ".example/", "wss://" + "a." * 130 + "example/"),
    *("wss://evil.example/" + "a" * 5000, "wss://e\u200bvil.example/", "wss://evil.example\u3002/", "wss://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/"),
    *("wss://①②⑦.⓪.⓪.①/", "wss://１２７.0.0.1/", "wss://127。0。0。1/", "wss://127．0．0．1/", "wss://127｡0｡0｡1/"),
    *("wss://0/", "wss://0x/", "wss://0x0/", "wss://00/", "wss://4294967296/", "wss://1.2.3.4.5/", "wss://256.1.1.1/"),
    *("wss://1.2.3/", "wss://1.2.3.0x4/", "wss://08.8.8.8/", "wss://8.8.8.8./", "wss://evil.0x1/", "wss://evil.1/"),
)
"""URLs without any allowed address, whatever their host resolves to."""


def _forbidden_v4(random: Random, of_each: int) -> Iterator[ipaddress.IPv4Address]:
    for text in FORBIDDEN_NETWORKS:
        network = ipaddress.IPv4Network(text)
        yield from (network[0], network[1], network[-1])
        yield from (network[random.randrange(network.num_addresses)] for _ in range(of_each))
    yield from map(ipaddress.IPv4Address, METADATA)


def _spellings(address: ipaddress.IPv4Address) -> Iterator[str]:
    """Yield spellings of an IPv4 address that some parsers accept."""
    number, text = int(address), str(address)
    a, b, c, d = address.packed
    hosts = [
        *(
            f"{text}.",
            f"{number}",
            f"0x{number:x}",
            f"0X{number:X}",
            f"0{number:o}",
            f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}",
        ),
        *(
            f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
            f"{a}.{number & 0xFFFFFF}",
            f"{a}.{b}.{number & 0xFFFF}",
            f"0x{a:x}.{b}.{c}.{d}",
        ),
        *(f"{a:03}.{b:03}.{c:03}.{d:03}", f"{a}.{b}.{c}.0x{d:x}", f"{number + (1 << 32)}", f"{a + 256}.{b}.{c}.{d}"),
        *(
            text.translate(_FULL_WIDTH),
            text.replace(".", "\u3002"),
            text.replace(".", "\uff0e"),
            text.replace(".", "%2e"),
        ),
        *("".join(f"%{ord(char):02x}" for char in text), f"[{text}]", f"user@{text}", f"evil.example@{text}"),
        *(f"evil.example\\@{text}", f"evil.example#@{text}", f"{text}\t", f"\u200b{text}", f"{text}%00.example"),
    ]
    yield from (f"wss://{host}/" for host in hosts)


_FULL_WIDTH: Final = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}


def _literal(url: str, address: ipaddress.IPv4Address) -> Case:
    """Return the case of a literal address; a literal loopback address in a manifest is allowed."""
    return Case(url, (), frozenset({str(address)} if address.is_loopback else ()))


def _literal6(address: ipaddress.IPv6Address) -> Iterator[Case]:
    own = frozenset({str(address)}) if address == ipaddress.IPv6Address("::1") else frozenset()
    for text in {str(address), address.exploded, str(address).upper()}:
        yield Case(f"wss://[{text}]/", (), own | ({text} if own else frozenset()))
    yield Case(f"wss://[{address}%25eth0]/")
    if int(address) >> 32 == 0xFFFF:
        yield Case(f"wss://[::ffff:{ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)}]/")


def _resolving_to(names: Iterator[str], address: str) -> Iterator[Case]:
    """Yield names that resolve to an address, alone and together with a public one."""
    # A link-local address beside others is left out: routers announce one for many names.
    is_link_local = ":" in address and ipaddress.ip_address(address).is_link_local
    yield Case(f"wss://{next(names)}/", (address,))
    for answers, public in (((PUBLIC, address), PUBLIC), ((address, PUBLIC6), PUBLIC6)):
        yield Case(f"wss://{next(names)}/", answers, frozenset({public} if is_link_local else ()))
