"""The URL of a proxy: parsed once, so that what is checked is what is connected to."""

import pytest

from utcp_ws_mcp.core.network_policy import URL
from utcp_ws_mcp.core.proxy import Proxy, parse_proxy
from utcp_ws_mcp.errors import BridgeError

PROXIES = {
    "http://proxy.example:3128": Proxy("http", "proxy.example", 3128),
    "http://Proxy.Example:3128/": Proxy("http", "proxy.example", 3128),
    "socks5://user:pw@10.0.0.1:1080": Proxy("socks5", "10.0.0.1", 1080, "user", "pw"),
    "socks5h://[::1]:1080/": Proxy("socks5", "::1", 1080),
    "socks4a://a:1": Proxy("socks4", "a", 1),
    "http://ann:a%23b%40c%3A%20%0d%0a@a:1": Proxy("http", "a", 1, "ann", "a#b@c: \r\n"),
    "http://ann:a:b@a:1": Proxy("http", "a", 1, "ann", "a:b"),
    "http://ann@a:1": Proxy("http", "a", 1, "ann"),
    "socks4://a:65535": Proxy("socks4", "a", 65535),
    "http://:pw@a:1": Proxy("http", "a", 1, "", "pw"),
}


@pytest.mark.parametrize("text", PROXIES)
def test_a_proxy_is_read(text: str) -> None:
    assert parse_proxy(text) == PROXIES[text]


NO_PROXIES = {
    "nothing": "",
    "no scheme": "proxy.example:3128",
    "no port": "http://proxy.example",
    "another scheme": "ftp://proxy:1",
    "TLS": "https://proxy:1",
    "port 0": "http://proxy:0",
    "a port that is too large": "http://p:99999",
    "the first port that is too large": "http://p:65536",
    "what other readers take for the end of the host": "http://elsewhere:80#x@proxy:1",
    "a query in the user name": "http://elsewhere:80?x@proxy:1",
    "a path in the user name": "http://elsewhere:80/x@proxy:1",
    "two at signs": "http://ann:a@elsewhere:80@proxy:1",
    "a line break": "http://ann:a\r\nX: y@proxy:1",
    "a line break behind it": "http://proxy:1\n",
    "a path": "http://proxy:1/path",
    "letters beyond ASCII": "http://pr\u043exy:1",
    "a backslash": "http://a\\@proxy:1\\x",
}


@pytest.mark.parametrize("text", NO_PROXIES.values(), ids=NO_PROXIES)
def test_what_is_no_proxy_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(BridgeError, match='the proxy is not "http://host:port"') as refused:
        parse_proxy(text)
    assert not text or text not in str(refused.value)


def test_credentials_are_not_shown() -> None:
    assert "s3cret" not in repr(parse_proxy("http://s3cret:s3cret@a:1"))


def test_the_address_of_a_proxy_has_no_credentials() -> None:
    assert parse_proxy("socks5://u:p@[::1]:1080").url == URL("http", "::1", 1080, "/")
