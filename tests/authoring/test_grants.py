"""Which hosts and variables the options of `author` allow."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.authoring.grants import Grants, HostPattern, VariableGrant
from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.errors import AuthoringRefused, HostNotAllowed, VariableNotAllowed

MATCHES = [
    ("api.example.com", "wss://api.example.com/", True),
    ("API.example.com", "wss://api.example.com:8443/x", True),
    ("api.example.com:443", "wss://api.example.com/", True),
    ("api.example.com:443", "ws://api.example.com/", False),
    ("*.example.com", "wss://a.b.example.com/", True),
    ("*.example.com", "wss://example.com/", False),
    ("*.example.com", "wss://evil-example.com/", False),
    ("example.com", "wss://example.com.evil.example/", False),
    ("*", "wss://anything.example/", True),
    ("*", "ws://localhost/", False),
    ("*", "ws://127.0.0.1/", False),
    ("*", "ws://169.254.169.254/", False),
    ("*", "ws://[::1]/", False),
    ("192.168.1.*", "ws://192.168.1.7/", True),
    ("192.168.1.*", "ws://192.168.2.7/", False),
    ("127.0.0.1", "ws://127.0.0.1:9/", True),
    ("[::1]:9", "ws://[::1]:9/", True),
    ("localhost:9", "ws://localhost:9/", True),
    ("localhost:9", "ws://localhost:10/", False),
    ("a.example:1", "ws://a.example:1/", True),
    ("a.example:65535", "ws://a.example:65535/", True),
]


@pytest.mark.parametrize(("pattern", "url", "expected"), MATCHES)
def test_a_pattern_allows_its_hosts_only(pattern: str, url: str, expected: bool) -> None:
    assert HostPattern.parse(pattern).matches(parse_url(url)) is expected


@pytest.mark.parametrize(
    "text", ["", "ws://a.example", "a.example/", "a.example:0", "a.example:65536", "a b", "a@b", "[a]"]
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(AuthoringRefused) as refused:
        HostPattern.parse(text)
    assert refused.value.code == "invalid-grant"


@pytest.mark.parametrize("text", ["", "NAME", "@a.example", "NAME@", "NA ME@a.example", "NAME@a/b"])
def test_what_is_no_variable_with_a_host_is_refused(text: str) -> None:
    with pytest.raises(AuthoringRefused) as refused:
        VariableGrant.parse(text)
    assert refused.value.code == "invalid-grant"


@pytest.mark.parametrize("text", ["a.example", "a.example:9", "[::1]:9", "*.a.example"])
def test_a_pattern_is_written_as_it_is_read(text: str) -> None:
    assert str(HostPattern.parse(text)) == text
    assert str(VariableGrant.parse(f"NAME@{text}")) == f"NAME@{text}"


def test_all_hosts_that_are_refused_are_named() -> None:
    grants = Grants([HostPattern.parse("a.example")])
    with pytest.raises(HostNotAllowed) as refused:
        grants.check_urls([parse_url(f"wss://{name}.example/") for name in "abc"])
    assert refused.value.hosts == ("b.example:443", "c.example:443")


def test_a_variable_needs_every_host() -> None:
    granted = [VariableGrant.parse("K@a.example"), VariableGrant.parse("UNSET@a.example")]
    grants = Grants(variables=granted, environ={"K": "value", "OTHER": "x"})
    a, b = parse_url("wss://a.example/"), parse_url("wss://b.example/")
    assert grants.may_send("K", [a])
    assert not grants.may_send("K", [a, b])
    assert grants.values_for(["K"], a) == {"K": "value"}
    for names, url in ((["K"], b), (["OTHER"], a), (["UNSET"], a)):
        with pytest.raises(VariableNotAllowed):
            grants.values_for(names, url)
    assert "value" not in repr(grants)


@pytest.mark.parametrize(
    ("host", "address", "allowed"),
    [
        ("api.example.com", "93.184.216.34", True),
        ("api.example.com", "10.0.0.7", False),
        ("api.example.com", "127.0.0.1", False),
        ("api.example.com", "169.254.169.254", False),
        ("api.example.com", "::1", False),
        ("homeassistant.local", "192.168.1.7", True),
        ("nas", "192.168.1.7", True),
    ],
)
def test_a_public_name_does_not_lead_into_the_own_network(host: str, address: str, allowed: bool) -> None:
    if allowed:
        Grants().check_addresses(host, [address])
        return
    with pytest.raises(AuthoringRefused) as refused:
        Grants().check_addresses(host, [address])
    assert refused.value.code == "address-not-allowed"
    Grants(allow_private=True).check_addresses(host, [address])


def test_only_variables_that_are_granted_and_set_are_known() -> None:
    grants = Grants(
        variables=[VariableGrant.parse("K@a.example"), VariableGrant.parse("U@*")], environ={"K": "v", "O": "x"}
    )
    assert (grants.names(), grants.secrets(), grants.values(["K", "O", "U"])) == ({"K"}, ["v"], {"K": "v", "O": "x"})
    assert grants.may_send("K", [])
    with pytest.raises(VariableNotAllowed) as refused:
        grants.values_for(["U", "K", "O", "U"], parse_url("wss://a.example/"))
    assert (refused.value.names, refused.value.hosts) == (("U", "O"), ("a.example:443",))


def test_the_operator_may_allow_private_addresses_of_public_names() -> None:
    Grants(allow_private=True).check_addresses("api.example.com", ["10.0.0.7"])
    with pytest.raises(AuthoringRefused) as refused:
        Grants().check_addresses("api.example.com", ["93.184.216.34", "10.0.0.7"])
    assert "it resolves to the private address 10.0.0.7, and is no name of the own network" in refused.value.message
    with pytest.raises(AuthoringRefused, match="it resolves to the special address"):
        Grants().check_addresses("api.example.com", ["no address"])


def test_a_pattern_of_a_url_is_its_host_and_port() -> None:
    assert str(HostPattern.of(parse_url("ws://[::1]:9/x"))) == "[::1]:9"
    assert HostPattern.of(parse_url("wss://a.example/")) == HostPattern("a.example", 443)


@pytest.mark.parametrize(("text", "option"), [("a b", "--allow-host"), ("K@a b", "--allow-variable")])
def test_the_option_with_a_wrong_grant_is_named(text: str, option: str) -> None:
    with pytest.raises(AuthoringRefused) as refused:
        HostPattern.parse(text) if option == "--allow-host" else VariableGrant.parse(text)
    assert refused.value.message.startswith(f"{option} ")
