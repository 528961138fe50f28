"""Which headers and subprotocols may be sent, at the bounds, and the reasons for the others."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.core.header_policy import check_header, check_host_header, check_subprotocol, check_written_header
from utcp_ws_mcp.errors import ForbiddenHeader


def refusal(name: str, value: str = "x", *, may_set_host: bool = False) -> str:
    with pytest.raises(ForbiddenHeader) as refused:
        check_header(name, value, may_set_host=may_set_host)
    return refused.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "a"),
        ("x" * 128, "a"),
        ("X-A", "a" * 8_192),
        ("X-A", "a b\tc"),
        ("!#$%&'*+.^_`|~", "~"),
        ("Cookie", "a=b; c"),
    ],
)
def test_a_header_is_taken_up_to_its_bounds(name: str, value: str) -> None:
    check_header(name, value)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "ü", "x" * 129, "a\n"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    assert "this is not a header name. Use letters, digits and hyphens." in refusal(name)


def test_a_long_name_is_shown_in_part() -> None:
    found = refusal("x" * 200)
    assert "x" * 64 in found
    assert "x" * 65 not in found


RESERVED = [
    *("Host", "Connection", "Upgrade", "Content-Length", "Transfer-Encoding", "TE", "Trailer", "Keep-Alive", "Expect"),
    *("HTTP2-Settings", "Sec-WebSocket-Key", "sec-websocket-anything", "Proxy-Authorization"),
]


@pytest.mark.parametrize("name", RESERVED)
def test_a_header_of_the_handshake_is_refused(name: str) -> None:
    assert "this header belongs to the handshake and cannot be set. Remove it." in refusal(name)


@pytest.mark.parametrize("value", ["", " a", "a ", "a\n", "a\r\nb", "\x7f", "ü", "a" * 8_193, "\t"])
def test_a_value_that_is_not_visible_ascii_is_refused_without_being_shown(value: str) -> None:
    found = refusal("X-A", value)
    assert "the value must have 1 to 8192 visible ASCII characters, without line breaks or outer spaces." in found


@pytest.mark.parametrize("value", ["a.example", "a.example:8080", "127.0.0.1", "[::1]:1"])
def test_the_manifest_may_write_the_host(value: str) -> None:
    check_host_header(value)
    check_header("HOST", value, may_set_host=True)


@pytest.mark.parametrize("value", ["", "a/b", "a?b", "u@a", "a b", "a/", "a:0"])
def test_a_host_is_a_name_perhaps_with_a_port(value: str) -> None:
    assert "the value is not a host name, perhaps with a port. Write one." in refusal("Host", value, may_set_host=True)


def test_what_no_call_changes_of_a_header_is_checked() -> None:
    check_written_header("X-A", None, local=True)
    check_written_header("X-A", "bad\nvalue", local=True)  # checked when it is rendered
    check_written_header("Host", "a.example", local=True)
    for name, constant, local in (
        ("Host", None, True),
        ("Host", "a/b", True),
        ("Host", "", True),
        ("Host", "a", False),
        ("a b", None, True),
    ):
        with pytest.raises(ForbiddenHeader):
            check_written_header(name, constant, local=local)
    with pytest.raises(ForbiddenHeader, match="the value contains a placeholder. Write the host, or a variable"):
        check_written_header("host", None, local=True)
    with pytest.raises(ForbiddenHeader, match="belongs to the handshake"):
        check_written_header("Host", None, local=False)


@pytest.mark.parametrize("name", ["chat", "a" * 8_192, "base64url.bearer.authorization.k8s.io.abc"])
def test_a_subprotocol_is_a_token(name: str) -> None:
    check_subprotocol(name)


@pytest.mark.parametrize("name", ["", "a b", "a,b", "a" * 8_193])
def test_another_subprotocol_is_refused(name: str) -> None:
    with pytest.raises(ForbiddenHeader) as refused:
        check_subprotocol(name)
    assert f"{name[:64]!r} is not a token. Remove spaces and commas." in refused.value.message
