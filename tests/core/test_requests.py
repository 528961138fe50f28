"""HTTP requests and proxies: what a manifest may say, known before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from utcp_ws_mcp import InvalidManifest, load_manifest
from utcp_ws_mcp.core.network_policy import check_proxy, parse_http_url
from utcp_ws_mcp.errors import BridgeError

PROXIES = ("env", "http://proxy.example:3128", "socks5://user:pw@10.0.0.1:1080", "socks5://[::1]:1080/")
NO_PROXIES = ("", "proxy.example:3128", "http://proxy.example", "ftp://proxy:1", "http://proxy:0", "http://p:99999")


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_proxy_is_taken(proxy: str) -> None:
    check_proxy(proxy)


@pytest.mark.parametrize("proxy", NO_PROXIES)
def test_what_is_no_proxy_is_refused_without_being_repeated(proxy: str) -> None:
    with pytest.raises(BridgeError, match='the proxy is not "http://host:port"') as refused:
        check_proxy(proxy)
    assert not proxy or proxy not in str(refused.value)


def test_http_needs_tls_beyond_this_machine() -> None:
    assert parse_http_url("http://127.0.0.1:80/x").target == "/x"
    with pytest.raises(BridgeError, match="Use https://"):
        parse_http_url("http://example.com/")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a proxy": ({"proxy": "proxy:3128"}, "proxy: the proxy is not"),
    "a method": (
        {"before_connect": [{"http": {"url": "https://a.b/", "method": "GET IT"}}]},
        "http.method: expected an HTTP method",
    ),
    "a URL in clear": (
        {"before_connect": [{"http": {"url": "http://a.b/"}}]},
        "http.url: http://a.b/: request blocked",
    ),
    "no URL": ({"before_connect": [{"http": {"url": "a.b"}}]}, "http.url: expected a URL of the form https://"),
    "a token URL in clear": (
        {"auth": {"auth_type": "oauth2", "token_url": "http://a.b/", "client_id": "i", "client_secret": "s"}},
        "auth.token_url: http://a.b/: request blocked",
    ),
}


@pytest.mark.parametrize(("fields", "sentence"), WRONG.values(), ids=WRONG)
def test_a_manifest_that_can_never_work_does_not_load(fields: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    file.write_text(json.dumps({"url": "wss://example.com/", "tools": [{"name": "t"}], **fields}))
    with pytest.raises(InvalidManifest) as refused:
        load_manifest(file)
    assert sentence in str(refused.value)
    assert refused.value.problems[0].position is not None
