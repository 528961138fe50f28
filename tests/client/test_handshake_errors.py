"""What the errors of an opening handshake advise."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidMessage, InvalidStatus, NegotiationError, PayloadTooBig
from websockets.http11 import Response

from utcp_ws_mcp.client.handshake import _to_bridge_error
from utcp_ws_mcp.core.expressions.scope import Ambient
from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.errors import BridgeError, ConnectError, ForbiddenRedirect, HandshakeRejected

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def error_of(error: Exception, url: str = "wss://a.example/") -> BridgeError:
    ambient = Ambient(lambda: NOW, bytes, lambda text: text.replace("t0ken", "[removed]"))
    return _to_bridge_error(parse_url(url), error, ambient)


def status(code: int, body: bytes | None = b"", phrase: str = "", **headers: str) -> InvalidStatus:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return InvalidStatus(Response(code, phrase, Headers(named), body))


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (200, "This is an ordinary page: check the path."),
        (400, 'Check the path, and whether the server requires a subprotocol ("protocol").'),
        (501, 'Check the path, and whether the server requires a subprotocol ("protocol").'),
        (401, 'The server requires other credentials: check "auth"'),
        (403, 'The server rejects the credentials or the client: check "auth" and "headers"'),
        (404, "The server has nothing at this path: check the URL."),
        (426, "The server requires another WebSocket version or subprotocol"),
        (429, "The server limits the number of connections: try again later."),
        (502, "The server behind the proxy is down: try again later."),
        (503, "The server is busy or starting: try again later."),
    ],
)
def test_a_status_is_reported_with_what_to_check(code: int, hint: str) -> None:
    error = error_of(status(code))
    assert isinstance(error, HandshakeRejected)
    assert (error.status, error.address) == (code, "wss://a.example/")
    assert hint in str(error)
    assert error.retry_after is None


@pytest.mark.parametrize("code", [201, 402, 405, 428, 430, 500, 504])
def test_other_statuses_have_no_advice(code: int) -> None:
    error = error_of(status(code))
    assert isinstance(error, HandshakeRejected)
    assert "check" not in str(error).lower()


@pytest.mark.parametrize(("code", "keeps_hint"), [(429, False), (502, False), (503, False), (401, True), (501, True)])
def test_a_time_to_come_back_replaces_the_advice_to_try_again(code: int, keeps_hint: bool) -> None:
    error = error_of(status(code, Retry_After="30"))
    assert error.retry_after is not None
    assert error.retry_after.seconds == 30
    assert ("heck" in str(error)) is keeps_hint
    assert "try again later" not in str(error)


@pytest.mark.parametrize(("code", "is_redirect"), [(299, False), (300, True), (302, True), (399, True), (400, False)])
def test_a_redirect_is_not_followed(code: int, is_redirect: bool) -> None:
    assert isinstance(error_of(status(code)), ForbiddenRedirect) is is_redirect


def test_what_the_server_says_is_shown_without_secrets() -> None:
    error = error_of(status(403, b"no access for t0ken"))
    assert "no access for [removed]" in str(error)
    assert "t0ken" not in str(error)
    assert isinstance(error_of(status(403, None)), HandshakeRejected)


@pytest.mark.parametrize(
    ("code", "phrase", "body", "said"),
    [
        (403, "Room t0ken is full", b"", "the endpoint said: “Room [removed] is full”"),
        (403, "Room is full", None, "the endpoint said: “Room is full”"),
        (499, "Client closed", b"", "the endpoint said: “Client closed”"),
        (403, "Room is full", b"come back", "the endpoint said: “come back”"),
        (403, "Forbidden", b"", None),
        (403, "FORBIDDEN", b"", None),
        (403, "", b"", None),
    ],
)
def test_a_reason_in_the_status_line_is_shown_where_there_is_no_body(
    code: int, phrase: str, body: bytes | None, said: str | None
) -> None:
    message = str(error_of(status(code, body, phrase)))
    assert ("the endpoint said" in message) is (said is not None)
    assert said is None or said in message


def test_a_subprotocol_that_was_not_offered_is_reported() -> None:
    error = error_of(NegotiationError("x"))
    assert (error.code, type(error)) == ("subprotocol-rejected", ConnectError)
    assert "the server selected a subprotocol that was not offered" in str(error)


def caused_by_cut() -> Exception:
    error = InvalidMessage("x")
    error.__cause__ = EOFError()
    return error


@pytest.mark.parametrize("error", [EOFError(), caused_by_cut()])
@pytest.mark.parametrize(("url", "asks_for_certificate"), [("wss://a.example/", True), ("ws://localhost/", False)])
def test_a_cut_is_reported_with_what_the_server_may_require(
    error: Exception, url: str, asks_for_certificate: bool
) -> None:
    found = error_of(error, url)
    assert found.code == "upgrade-cut"
    assert "the connection was cut during the upgrade." in str(found)
    assert ("client certificate" in str(found)) is asks_for_certificate


@pytest.mark.parametrize("error", [InvalidMessage("x"), PayloadTooBig(2, 1)])
def test_what_is_no_upgrade_is_reported_without_its_text(error: Any) -> None:
    found = error_of(error)
    assert found.code == "not-a-websocket"
    assert "the answer was not a WebSocket upgrade. Check the URL and the port." in str(found)
