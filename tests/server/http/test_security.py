"""Access control of the HTTP transport, and which options can be combined."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from utcp_ws_mcp.errors import ServeOptionsError
from utcp_ws_mcp.server.http.config import (
    HttpOptions,
    ListenAddress,
    check_token,
    listen,
    make_access_policy,
    parse_address,
)
from utcp_ws_mcp.server.http.security import (
    HttpAccessPolicy,
    check_method_and_content_type,
    parse_authority,
    parse_origin,
    rejection_headers,
)

LOOPBACK = parse_address("8080")
TOKEN = "s3cret-token"
POLICY = make_access_policy(HttpOptions("8080", allowed_hosts=["mcp.example.com"]), LOOPBACK, 8080, TOKEN)
ACCEPTED = {"host": "127.0.0.1:8080", "authorization": f"Bearer {TOKEN}"}


def headers(*more: tuple[str, str], **named: str | None) -> list[tuple[bytes, bytes]]:
    given = [*{**ACCEPTED, **named}.items(), *more]
    return [(name.encode(), value.encode("latin-1")) for name, value in given if value is not None]


def status(policy: HttpAccessPolicy, *more: tuple[str, str], **named: str | None) -> int | None:
    refusal = policy.check(headers(*more, **named))
    return refusal.status if refusal else None


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "[::1]:8080", "mcp.example.com", "MCP.example.com"]
)
def test_a_host_that_is_ours_enters(host: str) -> None:
    assert status(POLICY, host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:8080.evil.example",
        "127.0.0.1:80.evil.example",
        "localhost:8080@evil.example",
        "localhost.evil.example:8080",
        "localhost:8080/",
        "localhost:8080 ",
        "localhost:08080x",
        "[::1]",
        "[::1]:8080]",
        "mcp.example.com:443",
        "mcp.example.com.",
        "0.0.0.0:8080",
        "127.1:8080",
        "\xfflocalhost:8080",
    ],
)
def test_any_other_host_is_refused(host: str | None) -> None:
    assert status(POLICY, host=host) == 421


def test_two_hosts_are_refused() -> None:
    assert status(POLICY, ("host", "127.0.0.1:8080")) == 421


@pytest.mark.parametrize("origin", [None, "http://localhost:8080", "http://127.0.0.1:8080", "HTTP://[::1]:8080"])
def test_no_origin_and_an_own_origin_enter(origin: str | None) -> None:
    assert status(POLICY, origin=origin) is None


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "file://",
        "https://localhost:8080",
        "http://localhost",
        "http://localhost:8080.evil.example",
        "http://localhost.evil.example:8080",
        "http://localhost:8080/",
        "http://user@localhost:8080",
        "http://localhost:8080 http://evil.example",
        "localhost:8080",
    ],
)
def test_any_other_origin_is_refused(origin: str) -> None:
    assert status(POLICY, origin=origin) == 403


def test_two_origins_are_refused() -> None:
    twice = ("origin", "http://localhost:8080")
    assert status(POLICY, twice, twice) == 403


@pytest.mark.parametrize("value", [f"bearer {TOKEN}", f"BEARER  {TOKEN}", f"Bearer {TOKEN} "])
def test_the_scheme_of_the_token_may_be_written_in_any_case(value: str) -> None:
    assert status(POLICY, authorization=value) is None


@pytest.mark.parametrize(
    "value",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}",
     f"Bearer \xe9{TOKEN}", f"Bearer {TOKEN.upper()}"],
)  # fmt: skip
def test_any_other_token_is_refused(value: str | None) -> None:
    assert status(POLICY, authorization=value) == 401


@pytest.mark.parametrize("blank", ["\xa0", "\x85", "\x1c", "\x0b", "\x0c"])
def test_only_blanks_and_tabs_around_a_token_are_ignored(blank: str) -> None:
    assert status(POLICY, authorization=f"Bearer {TOKEN} \t") is None
    assert status(POLICY, authorization=f"Bearer {TOKEN}{blank}") == 401


def test_two_tokens_are_refused() -> None:
    assert status(POLICY, ("authorization", f"Bearer {TOKEN}")) == 401


@pytest.mark.parametrize(
    ("method", "kind", "expected"),
    [
        ("POST", "application/json", None),
        ("POST", "Application/JSON; charset=utf-8", None),
        ("POST", 'application/json;charset="UTF-8"', None),
        ("POST", "application/jsonx", 415),
        ("POST", "application/json, text/plain", 415),
        ("POST", "application/json; charset=utf-16", 415),
        ("POST", "text/plain", 415),
        ("POST", None, 415),
        ("GET", None, None),
        ("DELETE", None, None),
        ("OPTIONS", "application/json", 405),
        ("PUT", "application/json", 405),
        ("TRACE", None, 405),
    ],
)
def test_only_json_is_posted_and_only_three_methods_are_served(method: str, kind: str | None, expected: Any) -> None:
    refusal = check_method_and_content_type(method, headers(**{"content-type": kind}), ("POST", "GET", "DELETE"))
    assert (refusal.status if refusal else None) == expected
    if refusal and refusal.status == 405:
        assert rejection_headers(refusal, ("POST", "GET")) == {"Allow": "POST, GET"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080", ListenAddress("127.0.0.1", 8080)),
        ("localhost:1", ListenAddress("127.0.0.1", 1)),
        ("0.0.0.0:8080", ListenAddress("0.0.0.0", 8080)),
        ("[::1]:8080", ListenAddress("::1", 8080)),
        ("[::]:0", ListenAddress("::", 0)),
    ],
)
def test_addresses_are_read(text: str, expected: ListenAddress) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["", ":8080", "http", "65536", "-1", "example.com:80", "1.2.3.4", "1.2.3:80", "١:80"])
def test_a_bad_address_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ServeOptionsError, match=r"expected PORT, or HOST:PORT .* such as 8080"):
        parse_address(text)


@pytest.mark.parametrize("text", ["a b", "a:b", "a:99999", "", "a/b", "[::1", "user@a"])
def test_what_is_no_authority_is_none(text: str) -> None:
    assert parse_authority(text) is None
    assert parse_origin(f"http://{text}") is None


@pytest.mark.parametrize(
    ("options", "address", "sentence"),
    [
        (HttpOptions("", None), LOOPBACK, "needs a token"),
        (HttpOptions("", ""), LOOPBACK, "visible ASCII"),
        (HttpOptions("", "a b"), LOOPBACK, "visible ASCII"),
        (HttpOptions("", "tökén"), LOOPBACK, "visible ASCII"),
        (HttpOptions("", "token", no_auth=True), LOOPBACK, "contradict"),
        (HttpOptions("", no_auth=True), ListenAddress("0.0.0.0", 1), "for loopback only"),
        (HttpOptions("", no_auth=True), ListenAddress("192.0.2.1", 1), "for loopback only"),
        (HttpOptions("", no_auth=True), ListenAddress("::", 1), "for loopback only"),
    ],
)
def test_a_token_is_asked_for_unless_loopback_goes_without(
    options: HttpOptions, address: ListenAddress, sentence: str
) -> None:
    with pytest.raises(ServeOptionsError, match=sentence):
        check_token(options, address)


def test_loopback_may_go_without_a_token() -> None:
    assert check_token(HttpOptions("", no_auth=True), ListenAddress("::1", 1)) is None
    assert status(make_access_policy(HttpOptions(""), LOOPBACK, 8080, None), authorization=None) is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (HttpOptions(""), "every address"),
        (HttpOptions("", allowed_hosts=["a b"]), "--allowed-host a b"),
        (HttpOptions("", allowed_hosts=["a"], allowed_origins=["a"]), "--allowed-origin a"),
    ],
)
def test_names_that_make_no_sense_are_refused(options: HttpOptions, sentence: str) -> None:
    with pytest.raises(ServeOptionsError, match=sentence):
        make_access_policy(options, ListenAddress("0.0.0.0", 80), 80, "token")


def test_an_address_that_every_name_leads_to_is_reached_by_the_allowed_names_only() -> None:
    options = HttpOptions("", allowed_hosts=["a.example:81"], allowed_origins=["https://app.example"])
    policy = make_access_policy(options, ListenAddress("0.0.0.0", 80), 80, TOKEN)
    assert status(policy, host="a.example:81", origin="https://app.example") is None
    assert status(policy, host="0.0.0.0:80") == 421
    assert status(policy, host="127.0.0.1:80") == 421


def test_a_port_in_use_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServeOptionsError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            listen(ListenAddress("127.0.0.1", port))


def test_an_address_of_another_machine_is_reported() -> None:
    with pytest.raises(ServeOptionsError, match=r"cannot listen on 192\.0\.2\.1:0: "):
        listen(ListenAddress("192.0.2.1", 0))


async def test_small_answers_are_not_held_back() -> None:
    accepted = asyncio.get_running_loop().create_future()

    class Accepting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.set_result(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    with listen(ListenAddress("127.0.0.1", 0)) as listener:
        async with await asyncio.get_running_loop().create_server(Accepting, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            assert await accepted == 1
            writer.close()
            await writer.wait_closed()
