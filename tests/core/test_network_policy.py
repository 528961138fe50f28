import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utcp_ws_mcp import InvalidManifest, load_manifest
from utcp_ws_mcp.core.header_policy import check_header, check_subprotocol, check_written_header
from utcp_ws_mcp.core.limits import MAX_HEADER_LENGTH, MAX_URL_LENGTH
from utcp_ws_mcp.core.network_policy import (
    URL,
    check_addresses,
    check_network,
    check_plain_http,
    check_proxied,
    check_scheme,
    classify_address,
    parse_http_url,
    parse_ip,
    parse_url,
)
from utcp_ws_mcp.errors import BridgeError, ForbiddenAddress, ForbiddenHeader, ForbiddenURL
from utcp_ws_mcp.manifest.models.network import Network

FUZZ = settings(max_examples=200, deadline=None, database=None)

PARSED = {
    "a host": ("wss://api.example", URL("wss", "api.example", 443, "/")),
    "a path": ("wss://api.example/a/b", URL("wss", "api.example", 443, "/a/b")),
    "a query": ("wss://api.example/a?b=c&d=%20", URL("wss", "api.example", 443, "/a", "b=c&d=%20")),
    "a query without a path": ("wss://api.example?b", URL("wss", "api.example", 443, "/", "b")),
    "a port": ("ws://api.example:9000/", URL("ws", "api.example", 9000, "/")),
    "the port of plain text": ("ws://localhost/", URL("ws", "localhost", 80, "/")),
    "capital letters in the host": ("wss://API.Example/A", URL("wss", "api.example", 443, "/A")),
    "an IPv4 address": ("ws://127.0.0.1:1/", URL("ws", "127.0.0.1", 1, "/")),
    "an IPv6 address": ("ws://[::1]:65535/", URL("ws", "::1", 65535, "/")),
    "an IPv6 address with IPv4": ("ws://[::ffff:10.0.0.1]/", URL("ws", "::ffff:10.0.0.1", 80, "/")),
    "an encoded international name": ("wss://xn--bcher-kva.example/", URL("wss", "xn--bcher-kva.example", 443, "/")),
    "a name with an underscore": ("wss://a_b.example/", URL("wss", "a_b.example", 443, "/")),
    "a name with its final dot": ("wss://api.example./", URL("wss", "api.example.", 443, "/")),
    "a name that begins with digits": ("wss://1.2.3.4.example/", URL("wss", "1.2.3.4.example", 443, "/")),
    "an at sign in the query": ("wss://api.example/?u=a@b", URL("wss", "api.example", 443, "/", "u=a@b")),
}


@pytest.mark.parametrize(("text", "url"), PARSED.values(), ids=PARSED)
def test_a_url_is_parsed(text, url):
    assert parse_url(text) == url


FORBIDDEN = {
    "nothing": "",
    "no scheme": "api.example",
    "another scheme": "https://api.example",
    "a scheme in capitals": "WSS://api.example",
    "no host": "wss://",
    "no host but a port": "wss://:443/",
    "no host but a path": "wss:///etc",
    "one slash": "wss:/api.example",
    "user information": "wss://user@api.example/",
    "a password": "wss://user:s3cret@api.example/",
    "a host before another": "wss://api.example@evil.example/",
    "a fragment": "wss://api.example/#a",
    "an empty fragment": "wss://api.example/#",
    "white space": "wss://api.example/a b",
    "white space before": " wss://api.example/",
    "a line break": "wss://api.example/\r\nHost: evil",
    "a line break at the end": "wss://api.example/\n",
    "a tabulator": "wss://api\t.example/",
    "a null": "wss://api.example/\x00",
    "a delete": "wss://api.example/\x7f",
    "a backslash": "wss://api.example\\@evil.example/",
    "a quote": 'wss://api.example/"',
    "braces": "wss://${HOST}/",
    "letters beyond ASCII in the host": "wss://bücher.example/",
    "a full stop that looks like one": "wss://127。0。0。1/",
    "letters beyond ASCII in the path": "wss://api.example/ü",
    "a lone surrogate": "wss://api.example/\ud800",
    "two dots": "wss://api..example/",
    "a dot first": "wss://.example/",
    "a hyphen first": "wss://-a.example/",
    "a hyphen last": "wss://a-.example/",
    "a label that is too long": f"wss://{'a' * 64}.example/",
    "a name that is too long": f"wss://{'a.' * 130}example/",
    "a short IPv4 address": "ws://127.1/",
    "an IPv4 address in hexadecimal": "ws://0x7f000001/",
    "an IPv4 address as a number": "ws://2130706433/",
    "an IPv4 address in octal": "ws://0177.0.0.1/",
    "an IPv4 address with a hexadecimal part": "ws://127.0.0.0x1/",
    "an IPv4 address with five parts": "ws://1.2.3.4.5/",
    "an IPv4 address that is too large": "ws://256.0.0.1/",
    "an IPv4 address with a final dot": "ws://127.0.0.1./",
    "a zone": "ws://[fe80::1%25eth0]/",
    "a zone, not encoded": "ws://[fe80::1%eth0]/",
    "an IPv4 address in brackets": "ws://[127.0.0.1]/",
    "a name in brackets": "ws://[api.example]/",
    "half a bracket": "ws://[::1/",
    "half an IPv6 address": "ws://[::1::]/",
    "an IPv6 address without brackets": "ws://::1/",
    "port 0": "ws://api.example:0/",
    "port 65536": "ws://api.example:65536/",
    "an empty port": "ws://api.example:/",
    "a port with a sign": "ws://api.example:+80/",
    "a port in other digits": "ws://api.example:٨٠/",
    "too long": "wss://api.example/" + "a" * MAX_URL_LENGTH,
}


@pytest.mark.parametrize("text", FORBIDDEN.values(), ids=FORBIDDEN)
def test_a_url_that_two_parsers_could_read_differently_is_refused(text):
    with pytest.raises(ForbiddenURL) as forbidden:
        parse_url(text)

    assert "s3cret" not in str(forbidden.value)


def test_other_schemes_are_for_those_who_ask():
    assert parse_url("https://a.example/t", ("https", "http")) == URL("https", "a.example", 443, "/t")
    with pytest.raises(ForbiddenURL):
        parse_url("wss://a.example/t", ("https", "http"))


def test_a_url_knows_what_it_may_show_and_what_it_sends():
    url = parse_url("wss://[2001:DB8::1]:8443/a?key=s3cret")

    assert url.address == "wss://[2001:db8::1]:8443/a"
    assert url.target == "/a?key=s3cret"
    assert url.origin == ("wss", "2001:db8::1", 8443)
    assert (parse_url("wss://a.example:443").authority, parse_url("ws://a.example:443").authority) == (
        "a.example",
        "a.example:443",
    )


@pytest.mark.parametrize(
    ("text", "secure"), [("wss://a.example", True), ("ws://a.example", False)], ids=["encrypted", "plain"]
)
def test_a_url_is_secure_by_its_scheme(text, secure):
    assert parse_url(text).secure is secure


fragments = st.sampled_from(
    [
        "ws",
        "wss",
        "://",
        ":",
        "/",
        "//",
        "?",
        "#",
        "@",
        "[",
        "]",
        "::1",
        "127.0.0.1",
        "a.example",
        ".",
        "0x7f",
        "80",
        "99999",
        "%",
        "%00",
        "\\",
        "\r\n",
        " ",
        "ü",
        "\ud800",
        "-",
        "_",
        "~",
        "1",
        "localhost",
        "s3cret",
    ]
)


@FUZZ
@given(st.text(st.characters()) | st.lists(fragments, max_size=12).map("".join) | st.lists(fragments).map("ws://".join))
def test_any_text_is_a_url_or_forbidden(text):
    try:
        url = parse_url(text)
    except ForbiddenURL:
        return
    again = f"{url.scheme}://{url.authority}{url.target}"

    assert parse_url(again) == url
    assert text.lower().startswith(f"{url.scheme}://")
    assert url.address.isascii()
    assert url.address.isprintable()


hosts = st.lists(st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), min_size=1, max_size=3).map(".".join)
paths = st.from_regex(r"(/[A-Za-z0-9%.~-]{0,4}){1,3}", fullmatch=True)


@FUZZ
@given(
    st.sampled_from(["ws", "wss"]),
    hosts,
    st.none() | st.integers(1, 65535),
    paths,
    st.from_regex(r"[a-z=&]{0,6}", fullmatch=True),
)
def test_a_url_is_parsed_into_what_it_was_made_of(scheme, host, port, path, query):
    text = f"{scheme}://{host}{f':{port}' if port else ''}{path}{f'?{query}' if query else ''}"

    assert parse_url(text) == URL(scheme, host, port or {"ws": 80, "wss": 443}[scheme], path, query)


# --- schemes ---

PLAIN = {
    "encrypted": ("wss://a.example/", {}, True),
    "a loopback name": ("ws://localhost/", {}, True),
    "a loopback address": ("ws://127.8.9.1/", {}, True),
    "a loopback address of IPv6": ("ws://[::1]/", {}, True),
    "a name": ("ws://a.example/", {}, False),
    "a name that looks like loopback": ("ws://localhost.example/", {}, False),
    "a private address": ("ws://192.168.0.1/", {}, False),
    "a private address that may be reached": ("ws://192.168.0.1/", {"allow": ["private"]}, False),
    "where it is allowed": ("ws://a.example/", {"plaintext": True}, True),
}


@pytest.mark.parametrize(("text", "network", "allowed"), PLAIN.values(), ids=PLAIN)
def test_plain_text_is_for_loopback_and_for_those_who_ask_for_it(text, network, allowed):
    url, network = parse_url(text), Network(**network)

    if allowed:
        check_scheme(url, network)
        return
    with pytest.raises(ForbiddenURL, match="would be sent as plain text") as forbidden:
        check_scheme(url, network)
    assert forbidden.value.code == "plaintext-not-allowed"


# --- addresses ---

KINDS = {
    "public": ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00::1", "64:ff9b::808:808", "2002:808:808::1"],
    "private": [
        *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255"),
        *("fc00::1", "fdff::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "::ffff:0:10.0.0.1"),
        *("2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:10.0.0.1"),
    ],
    "loopback": [
        *("127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"),
        *("2002:7f00:1::1", "2606:4700::5efe:127.0.0.1"),
    ],
    "link-local": [
        *("169.254.169.254", "169.254.0.1", "fe80::1", "febf::1", "fd00:ec2::254", "100.100.100.200"),
        *("168.63.129.16", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
        *("2606:4700::5efe:169.254.169.254", "2001:0:a9fe:a9fe::", "2001:0:808:808:0:0:5601:5601"),
    ],
    "special": [
        *(
            "0.0.0.0",
            "0.1.2.3",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
        ),
        *("::", "ff02::1", "2001:db8::1", "fec0::1", "100::1", "2001::1", "2001:10::1", "240.0.0.1"),
        "64:ff9b:1:a9fe:a9:fe00:808:808",  # NAT64 with a prefix of 48 bits (RFC 6052 §2.2) carries 169.254.169.254
    ],
}
CLASSES = [(address, kind) for kind, addresses in KINDS.items() for address in addresses]


@pytest.mark.parametrize(("address", "kind"), CLASSES)
def test_an_address_is_of_the_kind_of_the_worst_that_it_carries(address, kind):
    assert classify_address(ipaddress.ip_address(address)) == kind


NEIGHBOURS = [
    "9.255.255.255",
    "11.0.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "100.63.255.255",
]
NEIGHBOURS += [
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "198.20.0.0",
    "223.255.255.255",
]


@pytest.mark.parametrize("address", NEIGHBOURS)
def test_the_neighbours_of_a_network_are_public(address):
    assert classify_address(ipaddress.ip_address(address)) == "public"


@FUZZ
@given(st.ip_addresses(v=4))
def test_an_ipv4_address_inside_an_ipv6_address_is_never_more_public_than_by_itself(inner):
    order = ["link-local", "special", "loopback", "private", "public"]
    plain, number = order.index(classify_address(inner)), int(inner)
    carriers = [
        number | 0xFFFF << 32,
        number | 0xFFFF << 48,
        number | 0x64FF9B << 96,
        0x2002 << 112 | number << 80 | 1,
        0x20010000 << 96 | 0x08080808 << 64 | (number ^ 0xFFFFFFFF),
        0x26064700 << 96 | 0x00005EFE << 32 | number,
    ]

    for carrier in carriers:
        assert order.index(classify_address(ipaddress.IPv6Address(carrier))) <= plain


ADDRESSES = {
    "public": ("wss://a.example", ["8.8.8.8"], [], None),
    "private": ("wss://a.example", ["10.0.0.1"], [], "10.0.0.1"),
    "one of several": ("wss://a.example", ["8.8.8.8", "10.0.0.1", "8.8.4.4"], [], "10.0.0.1"),
    "private, allowed": ("wss://a.example", ["10.0.0.1", "192.168.0.1", "fd00::1"], ["private"], None),
    "private, but loopback": ("wss://a.example", ["127.0.0.1"], ["private"], "127.0.0.1"),
    "loopback, allowed": ("wss://a.example", ["127.0.0.1", "::1"], ["loopback"], None),
    "loopback of a literal": ("ws://127.0.0.1", ["127.0.0.1"], [], None),
    "loopback of localhost": ("ws://localhost", ["127.0.0.1", "::1"], [], None),
    "localhost that is somewhere else": ("ws://localhost", ["10.0.0.1"], [], "10.0.0.1"),
    "a network": ("wss://a.example", ["10.1.2.3"], ["10.0.0.0/8"], None),
    "a network with host bits": ("wss://a.example", ["10.1.2.3"], ["10.9.9.9/8"], None),
    "outside the network": ("wss://a.example", ["10.1.2.3"], ["10.2.0.0/16"], "10.1.2.3"),
    "one address": ("wss://a.example", ["10.1.2.3"], ["10.1.2.3"], None),
    "private inside IPv6": ("wss://a.example", ["::ffff:10.0.0.1"], [], "::ffff:10.0.0.1"),
    "private inside IPv6, allowed": ("wss://a.example", ["::ffff:10.0.0.1"], ["private"], None),
    "metadata": ("wss://a.example", ["169.254.169.254"], ["private", "loopback"], "169.254.169.254"),
    "metadata of a network": ("wss://a.example", ["169.254.169.254"], ["169.254.0.0/16"], "169.254.169.254"),
    "metadata of everything": ("wss://a.example", ["169.254.169.254"], ["0.0.0.0/0", "::/0"], "169.254.169.254"),
    "metadata, allowed exactly": ("wss://a.example", ["169.254.169.254"], ["169.254.169.254"], None),
    "metadata inside IPv6": ("wss://a.example", ["::ffff:169.254.169.254"], ["::/0"], "::ffff:169.254.169.254"),
    "link-local beside private": ("wss://a.example", ["fe80::1%2", "10.0.0.1"], ["private"], None),
    "link-local beside what is refused": ("wss://a.example", ["fe80::1%2", "10.0.0.1"], [], "10.0.0.1"),
    "link-local alone": ("wss://a.example", ["fe80::1", "fe80::2"], ["private"], "fe80::1"),
    "link-local, its network allowed": ("wss://a.example", ["fe80::1%2"], ["fe80::/10"], None),
    "link-local, a part of it allowed": ("wss://a.example", ["fe80::1"], ["fe80::/64"], None),
    "link-local, another part allowed": ("wss://a.example", ["fe80::1"], ["fe80:0:0:1::/64"], "fe80::1"),
    "link-local, everything allowed": ("wss://a.example", ["fe80::1"], ["::/0"], "fe80::1"),
    "metadata beside private": ("wss://a.example", ["169.254.169.254", "10.0.0.1"], ["private"], "169.254.169.254"),
    "metadata of IPv6 beside private": ("wss://a.example", ["fd00:ec2::254", "10.0.0.1"], ["private"], "fd00:ec2::254"),
    "metadata inside link-local": (
        "wss://a.example",
        ["fe80::5efe:a9fe:a9fe", "10.0.0.1"],
        ["private", "fe80::/10"],
        "fe80::5efe:a9fe:a9fe",
    ),
    "link-local with its zone": ("wss://a.example", ["fe80::1%eth0"], ["private"], "fe80::1%eth0"),
    "special": ("wss://a.example", ["0.0.0.0"], ["private", "loopback"], "0.0.0.0"),
    "a literal that is private": ("wss://10.0.0.1", ["10.0.0.1"], [], "10.0.0.1"),
}


@pytest.mark.parametrize(("text", "addresses", "allow", "refused"), ADDRESSES.values(), ids=ADDRESSES)
def test_every_address_of_a_host_must_be_allowed(text, addresses, allow, refused):
    url, network = parse_url(text), Network(allow=allow)

    if refused is None:
        check_addresses(url, addresses, network)
        return
    with pytest.raises(ForbiddenAddress) as forbidden:
        check_addresses(url, addresses, network)
    assert (forbidden.value.host, forbidden.value.address) == (url.host, refused)


def test_a_link_local_address_is_left_out_where_others_remain():
    url, network = parse_url("ws://homeassistant.local/"), Network(allow=["private"], plaintext=True)

    assert check_addresses(url, ["fe80::1%2", "192.168.1.5", "fd00::5"], network) == ["192.168.1.5", "fd00::5"]
    network = Network(allow=["private", "fe80::/10"])
    assert check_addresses(url, ["fe80::1%2", "192.168.1.5"], network) == ["fe80::1%2", "192.168.1.5"]


PLAIN_HTTP = {
    "a private address": ("http://printer.local/", ["192.168.1.5"], "other", True),
    "loopback": ("http://a.example/", ["127.0.0.1"], "other", True),
    "a link-local address": ("http://a.example/", ["fe80::1%2"], "other", True),
    "a public address": ("http://a.example/", ["93.184.216.34"], "other", False),
    "a public address beside a private one": ("http://a.example/", ["192.168.1.5", "93.184.216.34"], "other", False),
    "the public host of the endpoint": ("http://a.example/", ["93.184.216.34"], "a.example", True),
    "TLS": ("https://a.example/", ["93.184.216.34"], None, True),
}


@pytest.mark.parametrize(("text", "addresses", "endpoint", "allowed"), PLAIN_HTTP.values(), ids=PLAIN_HTTP)
def test_plain_http_stays_in_the_network_of_the_endpoint(text, addresses, endpoint, allowed):
    url = parse_http_url(text, Network(plaintext=True))

    if allowed:
        check_plain_http(url, addresses, endpoint)
        return
    with pytest.raises(ForbiddenURL, match="would cross a public network"):
        check_plain_http(url, addresses, endpoint)


HOSTS = {"a name": "localhost", "a port": "chrome:9222", "an address": "[::1]:80", "IPv4": "10.0.0.1"}
NO_HOSTS = ["", "a b", "a/b", "a?b", "a@b", "http://a", "a\r\nX: y", "127.1", "a:0", "a:99999", "ü", "a#b", "a,b"]


@pytest.mark.parametrize("value", HOSTS.values(), ids=HOSTS)
def test_a_manifest_may_name_the_host_that_answers(value):
    check_header("Host", value, may_set_host=True)
    with pytest.raises(ForbiddenHeader, match="belongs to the handshake"):
        check_header("host", value)


@pytest.mark.parametrize("value", NO_HOSTS, ids=repr)
def test_a_host_is_a_name_and_a_port_or_refused(value):
    with pytest.raises(ForbiddenHeader):
        check_header("Host", value, may_set_host=True)


ALLOW = {
    "words": (["private", "loopback"], None),
    "addresses and networks": (["10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"], None),
    "another word": (["intranet"], "'intranet'"),
    "a host": (["10.0.0.1", "a.example"], "'a.example'"),
    "too large a network": (["10.0.0.0/33"], "'10.0.0.0/33'"),
}


@pytest.mark.parametrize(("allow", "wrong"), ALLOW.values(), ids=ALLOW)
def test_the_allow_list_is_checked(allow, wrong):
    found = check_network(Network(allow=allow))

    assert (found is None) is (wrong is None)
    assert (found or "").startswith(wrong or "")


LITERALS = [("127.0.0.1", True), ("::1", True), ("localhost", False), ("127.1", False), ("", False), ("1", False)]


@pytest.mark.parametrize(("host", "is_literal"), LITERALS)
def test_an_address_is_distinguished_from_a_name(host, is_literal):
    assert (parse_ip(host) is not None) is is_literal


# --- headers ---

ALLOWED_HEADERS = [
    ("X-Api-Key", "abc"),
    ("Authorization", "Bearer a.b-c"),
    ("Cookie", "a=b; c=d"),
    ("Origin", "https://a.example"),
    ("x", "a b\tc"),
    ("X-A", "~" * MAX_HEADER_LENGTH),
    ("!#$%&'*+-.^_`|~", "1"),
]


@pytest.mark.parametrize(("name", "value"), ALLOWED_HEADERS, ids=[name for name, _ in ALLOWED_HEADERS])
def test_a_header_may_be_sent(name, value):
    check_header(name, value)


FORBIDDEN_HEADERS = {
    "no name": ("", "s3cret"),
    "a space in the name": ("X A", "s3cret"),
    "a colon in the name": ("X:A", "s3cret"),
    "a line break in the name": ("X\r\nHost", "s3cret"),
    "a line break behind the name": ("X-A\n", "s3cret"),
    "a null in the name": ("X\x00", "s3cret"),
    "letters beyond ASCII in the name": ("Ü", "s3cret"),
    "a name that is too long": ("a" * 129, "s3cret"),
    "no value": ("X-A", ""),
    "a line break": ("X-A", "s3cret\r\nHost: evil"),
    "a line feed": ("X-A", "s3cret\nX: y"),
    "a line feed at the end": ("X-A", "s3cret\n"),
    "a null": ("X-A", "s3cret\x00"),
    "a delete": ("X-A", "s3cret\x7f"),
    "letters beyond ASCII": ("X-A", "s3crét"),
    "a space first": ("X-A", " s3cret"),
    "a space last": ("X-A", "s3cret "),
    "too long": ("X-A", "s" * (MAX_HEADER_LENGTH + 1)),
}
HANDSHAKE = ["Host", "host", "HOST", "Connection", "Upgrade", "Content-Length", "Transfer-Encoding", "TE", "Trailer"]
HANDSHAKE += ["Keep-Alive", "Expect", "HTTP2-Settings", "Proxy-Authorization", "Proxy-Connection", "proxy-x"]
HANDSHAKE += ["Sec-WebSocket-Key", "sec-websocket-protocol", "Sec-WebSocket-Extensions", "Sec-WebSocket-Version"]


@pytest.mark.parametrize(("name", "value"), FORBIDDEN_HEADERS.values(), ids=FORBIDDEN_HEADERS)
def test_a_header_that_could_hold_another_is_refused_without_its_value(name, value):
    with pytest.raises(ForbiddenHeader) as forbidden:
        check_header(name, value)

    assert "s3cr" not in str(forbidden.value)


@pytest.mark.parametrize("name", HANDSHAKE)
def test_a_header_of_the_handshake_is_refused(name):
    with pytest.raises(ForbiddenHeader, match="belongs to the handshake"):
        check_header(name, "x")


@FUZZ
@given(st.text(st.characters(), max_size=20), st.text(st.characters(), max_size=20))
def test_a_header_is_one_line_or_refused(name, value):
    try:
        check_header(name, value)
    except ForbiddenHeader:
        return
    line = f"{name}: {value}"

    assert line.isascii()
    assert line.splitlines() == [line]
    assert line.partition(": ") == (name, ": ", value)
    assert value == value.strip()


# name, constant value, whether the local manifest wrote it; the reason of the error
WRITTEN = {
    "a value that a call makes": ("X-A", None, True, None),
    "a header of a foreign manual": ("X-A", None, False, None),
    "a host": ("Host", "a.example:80", True, None),
    "a host that a call makes": ("Host", None, True, "contains a placeholder"),
    "a host that a call makes, in another case": ("HOST", None, True, "contains a placeholder"),
    "a host that is none": ("Host", "a b", True, "is not a host name"),
    "a host of a foreign manual": ("Host", "a.example", False, "belongs to the handshake"),
    "a host that a call to a foreign manual makes": ("Host", None, False, "belongs to the handshake"),
    "a header of the handshake": ("Upgrade", None, True, "belongs to the handshake"),
    "no header": ("X A", None, True, "is not a header name"),
}


@pytest.mark.parametrize(("name", "constant", "local", "reason"), WRITTEN.values(), ids=WRITTEN)
def test_what_no_call_can_change_of_a_header_is_checked_where_it_is_written(name, constant, local, reason):
    if reason is None:
        check_written_header(name, constant, local=local)
        return
    with pytest.raises(ForbiddenHeader, match=reason):
        check_written_header(name, constant, local=local)


@pytest.mark.parametrize("name", ["graphql-transport-ws", "v1.json", "a~b", "bearer." + "x" * 1000, "x" * 8192])
def test_a_subprotocol_may_be_offered(name):
    check_subprotocol(name)


@pytest.mark.parametrize("name", ["", "a b", "a,b", "a\r\nb", "ü", "a/b", 'a"b', "x" * 8193])
def test_a_subprotocol_that_is_no_token_is_refused(name):
    with pytest.raises(ForbiddenHeader, match="is not a token"):
        check_subprotocol(name)


@pytest.mark.parametrize(("name", "shown"), [("a " + "x" * 62, "a " + "x" * 62), ("a " + "x" * 63, "a " + "x" * 62)])
def test_a_refused_subprotocol_is_shown_up_to_64_characters(name, shown):
    with pytest.raises(ForbiddenHeader) as forbidden:
        check_subprotocol(name)

    assert f" {shown!r} is not a token" in str(forbidden.value)


# --- HTTP requests ---


def test_http_needs_tls_beyond_this_machine() -> None:
    assert parse_http_url("http://127.0.0.1:80/x").target == "/x"
    with pytest.raises(BridgeError, match="Use https://"):
        parse_http_url("http://example.com/")


WRONG_MANIFESTS: dict[str, tuple[dict[str, Any], str]] = {
    "a proxy": ({"proxy": "proxy:3128"}, "proxy: the proxy is not"),
    "a method": (
        {"before_connect": [{"http": {"url": "https://a.b/", "method": "GET IT"}}]},
        "http.method: expected an HTTP method",
    ),
    "a URL in plain text": (
        {"before_connect": [{"http": {"url": "http://a.b/"}}]},
        "http.url: http://a.b/: request blocked",
    ),
    "no URL": ({"before_connect": [{"http": {"url": "a.b"}}]}, "http.url: expected a URL of the form https://"),
    "a token URL in plain text": (
        {"auth": {"auth_type": "oauth2", "token_url": "http://a.b/", "client_id": "i", "client_secret": "s"}},
        "auth.token_url: http://a.b/: request blocked",
    ),
}


@pytest.mark.parametrize(("fields", "sentence"), WRONG_MANIFESTS.values(), ids=WRONG_MANIFESTS)
def test_a_manifest_that_can_never_work_does_not_load(fields: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    file.write_text(json.dumps({"url": "wss://example.com/", "tools": [{"name": "t"}], **fields}))
    with pytest.raises(InvalidManifest) as refused:
        load_manifest(file)
    assert sentence in str(refused.value)
    assert refused.value.problems[0].position is not None


REASONS = {
    "a character": ("wss://a b/", "the URL contains ' '. Percent-encode it, and write hosts in ASCII."),
    "a fragment": ("wss://a/#x", "the URL has a fragment (RFC 6455 §3). Remove '#' and what follows."),
    "credentials": ("wss://u:p@a/", 'the URL contains a user name or password. Use "auth".'),
    "no scheme": (
        "a.example/x",
        "expected a URL of the form ws://host[:port]/path or wss://host[:port]/path. Put ws:// before it.",
    ),
    "HTTP": (
        "http://a/",
        "expected a URL of the form ws://host[:port]/path or wss://host[:port]/path. Replace the scheme by ws://.",
    ),
    "HTTPS": (
        "HTTPS://a/",
        "expected a URL of the form ws://host[:port]/path or wss://host[:port]/path. Replace the scheme by wss://.",
    ),
    "another scheme": ("ftp://a/", "expected a URL of the form ws://host[:port]/path or wss://host[:port]/path."),
    "an at sign in the query only": (
        "x?u=a@b",
        "expected a URL of the form ws://host[:port]/path or wss://host[:port]/path. Put ws:// before it.",
    ),
    "port 0": ("wss://a:0/", "the URL has the port 0. Write a port from 1 to 65535."),
    "port 65536": ("wss://a:65536/", "the URL has the port 65536. Write a port from 1 to 65535."),
    "no IPv6": ("wss://[1.2.3.4]/", "[1.2.3.4] is not an IPv6 address."),
    "no host name": ("wss://a..b/", "a..b is not a host name."),
    "no IPv4": ("wss://1.2.3/", "1.2.3 is not an IPv4 address. Write it as four decimal numbers."),
    "too long": ("wss://a/" + "x" * 4089, "the URL has more than 4096 characters."),
}


@pytest.mark.parametrize(("text", "reason"), REASONS.values(), ids=REASONS)
def test_what_is_wrong_with_a_url_is_said(text, reason):
    with pytest.raises(ForbiddenURL) as forbidden:
        parse_url(text)
    assert forbidden.value.message == reason
    assert forbidden.value.code == ("credentials-in-url" if "@a" in text else "invalid-url")


def test_the_scheme_of_an_http_url_is_suggested_where_one_is_expected():
    with pytest.raises(ForbiddenURL, match=r"path\. Replace the scheme by https://\. "):
        parse_url("wss://a/", ("https", "http"))
    with pytest.raises(ForbiddenURL, match=r"Put https:// before it\. "):
        parse_url("a", ("https", "http"))
    with pytest.raises(ForbiddenURL, match=r"path\. \["):
        parse_url("ws://a/", ("https",))


def test_a_url_may_be_as_long_as_its_bounds():
    label = "a" * 63
    host = ".".join([label, label, label, "a" * 61])
    assert len(host) == 253
    assert parse_url(f"wss://{host}/").host == host
    assert parse_url("wss://a/" + "x" * 4088).path == "/" + "x" * 4088
    assert parse_url("wss://a:65535/").port == 65535
    assert parse_url("wss://a:1/").port == 1
    for name in (f"{host}a", f"{label}a.example", f"{host[:-1]}..", "-a", "a-"):
        with pytest.raises(ForbiddenURL):
            parse_url(f"wss://{name}/")


def test_a_url_of_http_is_for_tls_loopback_and_those_who_ask():
    plain = Network(plaintext=True)
    assert parse_http_url("https://a.example/x").secure
    assert parse_http_url("http://localhost:8080/").port == 8080
    assert parse_http_url("http://a.example/", plain).host == "a.example"
    for network in (None, Network(), Network(allow=["private"])):
        with pytest.raises(ForbiddenURL, match="http://a.example/: request blocked because") as forbidden:
            parse_http_url("http://a.example/?key=s3cret", network)
        assert forbidden.value.code == "plaintext-not-allowed"
        assert "s3cret" not in str(forbidden.value)


PROXIED = {
    "a name": ("wss://a.example/", [], True, None),
    "a public address": ("wss://8.8.8.8/", [], True, None),
    "a private address": ("wss://10.0.0.1/", [], False, "10.0.0.1"),
    "a private address, allowed": ("wss://10.0.0.1/", ["private"], True, None),
    "localhost through a proxy here": ("ws://localhost/", [], False, None),
    "localhost through a proxy elsewhere": ("wss://localhost/", [], True, "127.0.0.1"),
    "loopback through a proxy elsewhere": ("wss://127.0.0.1/", [], True, "127.0.0.1"),
    "loopback through a proxy elsewhere, allowed": ("wss://127.0.0.1/", ["loopback"], True, None),
    "loopback of IPv6 through a proxy elsewhere": ("wss://[::1]/", ["private"], True, "::1"),
    "metadata": ("wss://169.254.169.254/", ["private"], True, "169.254.169.254"),
}


@pytest.mark.parametrize(("text", "allow", "through_network", "refused"), PROXIED.values(), ids=PROXIED)
def test_an_address_behind_a_proxy_is_checked_as_far_as_it_is_known(text, allow, through_network, refused):
    network = Network(allow=allow)
    if refused is None:
        check_proxied(parse_url(text), network, through_network=through_network)
        return
    with pytest.raises(ForbiddenAddress) as forbidden:
        check_proxied(parse_url(text), network, through_network=through_network)
    assert refused in str(forbidden.value)


def test_plain_text_to_loopback_does_not_go_through_a_proxy_elsewhere():
    check_scheme(parse_url("ws://localhost/"), Network())
    check_scheme(parse_url("ws://localhost/"), Network(plaintext=True), through_network=True)
    check_scheme(parse_url("wss://localhost/"), Network(), through_network=True)
    with pytest.raises(ForbiddenURL):
        check_scheme(parse_url("ws://localhost/"), Network(), through_network=True)
    with pytest.raises(ForbiddenURL):
        check_proxied(parse_url("ws://localhost/"), Network(), through_network=True)


def test_a_request_in_plain_text_stays_in_its_network():
    url = parse_url("http://a.example/", ("http", "https"))
    check_plain_http(url, ["10.0.0.1", "127.0.0.1"], None)
    check_plain_http(url, ["8.8.8.8"], "a.example")
    check_plain_http(parse_url("https://a.example/", ("https",)), ["8.8.8.8"], None)
    for addresses in (["8.8.8.8"], ["10.0.0.1", "8.8.8.8"]):
        with pytest.raises(ForbiddenURL) as forbidden:
            check_plain_http(url, addresses, "b.example")
        assert forbidden.value.code == "plaintext-not-allowed"


def test_the_addresses_that_may_be_used_are_kept_in_their_order():
    url, network = parse_url("wss://a.example"), Network(allow=["private"])
    assert check_addresses(url, ["10.0.0.2", "8.8.8.8", "fe80::1", "10.0.0.1"], network) == [
        "10.0.0.2",
        "8.8.8.8",
        "10.0.0.1",
    ]
    assert check_addresses(url, [], network) == []


@pytest.mark.parametrize(
    ("item", "is_known"),
    [("private", True), ("10.0.0.1", True), ("fe80::/10", True), ("public", False), ("10.0.0.1/33", False)],
)
def test_what_may_be_allowed_is_a_kind_an_address_or_a_network(item, is_known):
    problem = check_network(Network.model_construct(allow=["private", item]))
    assert problem == (
        None
        if is_known
        else f"{item!r} is not 'private', 'loopback', an address, or a network such as '192.168.0.0/24'."
    )


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [("localhost", True), ("127.1.2.3", True), ("[::1]", True), ("10.0.0.1", False), ("a.example", False)],
)
def test_a_loopback_host_is_known_by_how_it_is_written(host, is_loopback):
    assert parse_url(f"ws://{host}/").is_loopback_literal is is_loopback


def test_the_query_of_a_url_is_not_shown():
    url = parse_url("wss://a.example/x?key=s3cret")
    assert "s3cret" not in repr(url)
    assert (url.target, parse_url("wss://a.example").target) == ("/x?key=s3cret", "/")
