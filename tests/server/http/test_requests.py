"""What of a request and a response is bounded, merged and put together, without a server."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.server.stdio.test_batches import INVALID, NOTIFICATION, PING
from utcp_ws_mcp.errors import ServeOptionsError
from utcp_ws_mcp.server.http.batch import MAX_BATCH_MESSAGES, messages_of_batch, serve_batch
from utcp_ws_mcp.server.http.body import MAX_BODY_SIZE, MAX_BODY_VALUES, has_too_many_values, read_body, replay
from utcp_ws_mcp.server.http.config import (
    HttpOptions,
    ListenAddress,
    bind_listener,
    listen,
    make_access_policy,
    parse_address,
)
from utcp_ws_mcp.server.http.security import (
    HttpAccessPolicy,
    Rejection,
    bearer_token,
    check_method_and_content_type,
    is_json_content,
    parse_authority,
    parse_origin,
    rejection_headers,
    split_absolute_target,
)


def receiver(*messages: dict[str, Any]) -> Any:
    left = list(messages)

    async def receive() -> dict[str, Any]:
        return left.pop(0)

    return receive


def parts(*bodies: bytes) -> list[dict[str, Any]]:
    last = len(bodies) - 1
    return [{"type": "http.request", "body": body, "more_body": n < last} for n, body in enumerate(bodies)]


DISCONNECT = {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("messages", "body"),
    [
        (parts(b"abc"), b"abc"),
        (parts(b"a", b"", b"bc"), b"abc"),
        ([{"type": "http.request"}], b""),
        ([*parts(b"a", b"b")[:1], DISCONNECT], None),
        ([DISCONNECT], None),
    ],
)
async def test_a_body_is_read_whole_unless_the_client_goes(messages: Any, body: bytes | None) -> None:
    assert await read_body(receiver(*messages)) == body


@pytest.mark.parametrize("split", [1, MAX_BODY_SIZE // 2])
async def test_a_body_has_a_greatest_size(split: int) -> None:
    body = b" " * MAX_BODY_SIZE
    assert await read_body(receiver(*parts(body[:split], body[split:]))) == body
    refused = await read_body(receiver(*parts(body[:split], body[split:], b" ", b"never read")))
    assert refused == Rejection(413, "the body has more than 4,194,304 bytes")


def values(count: int) -> bytes:
    """Return a list with so many values, the list itself among them."""
    return b"[" + b",".join([b"1"] * count) + b"]"


async def test_a_body_has_a_greatest_number_of_values() -> None:
    assert await read_body(receiver(*parts(values(MAX_BODY_VALUES)))) == values(MAX_BODY_VALUES)
    refused = await read_body(receiver(*parts(values(MAX_BODY_VALUES + 1))))
    assert refused == Rejection(413, "the body has more than 50,000 keys and values")


@pytest.mark.parametrize("separator", [b",", b":", b"[", b"{"])
def test_each_separator_counts_outside_of_texts(separator: bytes) -> None:
    assert has_too_many_values(separator * (MAX_BODY_VALUES + 1))
    assert not has_too_many_values(separator * MAX_BODY_VALUES)
    assert not has_too_many_values(b'"' + separator * (MAX_BODY_VALUES + 1) + b'"')
    assert not has_too_many_values(b'"\\"' + separator * (MAX_BODY_VALUES + 1) + b'"')
    assert has_too_many_values(b'"a"' + separator * (MAX_BODY_VALUES + 1) + b'"b"')
    assert not has_too_many_values(b'"' + separator * (MAX_BODY_VALUES + 1))


async def test_a_body_is_given_again_once() -> None:
    receive = replay(b"abc", receiver(DISCONNECT))
    assert await receive() == {"type": "http.request", "body": b"abc", "more_body": False}
    assert await receive() == DISCONNECT


OLD = [(b"mcp-protocol-version", b"2025-03-26")]


def batch(*messages: Any) -> bytes:
    return json.dumps([*messages]).encode()


@pytest.mark.parametrize(
    ("body", "headers", "count"),
    [
        (batch(PING), OLD, (1, 0)),
        (batch(PING), [], (1, 0)),
        (b" \n" + batch(PING, NOTIFICATION, INVALID, 5), OLD, (2, 2)),
        (batch(*[PING] * MAX_BATCH_MESSAGES), OLD, (MAX_BATCH_MESSAGES, 0)),
        (batch(*[PING] * (MAX_BATCH_MESSAGES - 1), INVALID), OLD, (MAX_BATCH_MESSAGES - 1, 1)),
        (batch(*[PING] * MAX_BATCH_MESSAGES, INVALID), OLD, None),
        (batch(*[PING] * (MAX_BATCH_MESSAGES + 1)), OLD, None),
        (batch(PING, {**PING, "method": "initialize"}), OLD, None),
        (batch(), OLD, None),
        (b"[", OLD, None),
        (json.dumps(PING).encode(), OLD, None),
        (batch(PING), [(b"mcp-protocol-version", b"2025-06-18")], None),
        (batch(PING), [(b"other", b"2025-06-18")], (1, 0)),
    ],
)
def test_a_batch_is_found_in_the_revision_that_has_them(
    body: bytes, headers: Any, count: tuple[int, int] | None
) -> None:
    found = messages_of_batch(body, headers)
    assert (None if found is None else (len(found[0]), len(found[1]))) == count


EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8")]
JSON = [(b"content-type", b"application/json")]
ERROR = '{"id":null,"error":{}}'


def start(status: int, headers: Any = JSON) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def response(status: int, *bodies: bytes, headers: Any = JSON) -> list[dict[str, Any]]:
    last = len(bodies) - 1
    return [
        start(status, headers),
        *({"type": "http.response.body", "body": body, "more_body": n < last} for n, body in enumerate(bodies)),
    ]


async def served(answers: dict[bytes, list[dict[str, Any]]], errors: list[str]) -> list[dict[str, Any]]:
    """Return what is sent for messages whose answers are given."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in answers[(await receive())["body"]]:
            await send(message)

    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await serve_batch([*answers], errors, app, {"type": "http"}, receiver(DISCONNECT), send)
    return sent


def event(answer: str) -> bytes:
    return f"event: message\r\ndata: {json.dumps(json.loads(answer))}\r\n\r\n".encode()


async def test_the_event_streams_of_a_batch_are_one_and_begin_with_the_errors() -> None:
    stream = response(200, b"data: 1\r\n\r\n", b"", headers=EVENTS)
    sent = await served({b"a": stream, b"b": response(202, b""), b"c": response(400, ERROR.encode())}, [ERROR])
    assert sent == [
        start(200, EVENTS),
        {"type": "http.response.body", "body": event(ERROR) + b"data: 1\r\n\r\n", "more_body": True},
        {"type": "http.response.body", "body": event(ERROR)},
    ]


async def test_two_event_streams_have_one_head() -> None:
    streams = {name: response(200, b"data: " + name + b"\r\n\r\n", b"", headers=EVENTS) for name in (b"a", b"b")}
    sent = await served(streams, [])
    assert [message["type"] for message in sent].count("http.response.start") == 1
    assert sorted(message.get("body", b"") for message in sent[1:]) == [
        b"",
        b"data: a\r\n\r\n",
        b"data: b\r\n\r\n",
    ]


@pytest.mark.parametrize(
    ("answers", "errors", "sent"),
    [
        ({b"a": response(202, b"")}, [], [start(202, [(b"content-length", b"0")]), b""]),
        ({}, [ERROR, ERROR], [start(400), f"[{ERROR},{ERROR}]".encode()]),
        ({b"a": response(404, b"no", b"ne")}, [ERROR], [start(404), b"none"]),
        ({b"a": response(202, b""), b"b": response(400, b"x")}, [], [start(400), b"x"]),
        ({b"a": response(399, b"x")}, [], [start(202, [(b"content-length", b"0")]), b""]),
    ],
)
async def test_without_an_event_stream_a_batch_has_one_status(answers: Any, errors: list[str], sent: Any) -> None:
    first, second = await served(answers, errors)
    assert [first, second["body"]] == sent


@pytest.mark.parametrize(
    ("rejection", "headers"),
    [
        (Rejection(401, "x", challenge="Bearer"), {"WWW-Authenticate": "Bearer"}),
        (Rejection(503, "x", retry_after=10), {"Retry-After": "10"}),
        (Rejection(503, "x", retry_after=0), {"Retry-After": "0"}),
        (Rejection(405, "x"), {"Allow": "POST, GET"}),
        (Rejection(413, "x"), {}),
    ],
)
def test_a_rejection_has_the_headers_of_its_status(rejection: Rejection, headers: dict[str, str]) -> None:
    assert rejection_headers(rejection, ("POST", "GET")) == headers


def test_a_rejection_says_what_to_send() -> None:
    policy = HttpAccessPolicy(frozenset({("a", None)}), frozenset(), "token")
    host, bearer = (b"host", b"a"), (b"authorization", b"Bearer token")
    assert policy.check([host, bearer]) is None
    assert policy.check([bearer]) == Rejection(421, "this Host is not served here; --allowed-host adds one")
    assert policy.check([host, bearer, (b"origin", b"null")]) == Rejection(
        403, "requests of this Origin are rejected; --allowed-origin adds one"
    )
    assert policy.check([(b"host", b"b:80")]) == Rejection(
        421, "this Host (b:80) is not served here; --allowed-host adds one"
    )
    assert policy.check([host, (b"origin", b"https://b")]) == Rejection(
        403, "requests of this Origin (https://b) are rejected; --allowed-origin adds one"
    )
    assert policy.check([(b"host", b"b" * 201)]) == Rejection(
        421, "this Host is not served here; --allowed-host adds one"
    )
    assert policy.check([host]) == Rejection(
        401,
        "the header Authorization must be: Bearer, and the token of this server",
        challenge='Bearer realm="utcp-ws-mcp"',
    )
    assert check_method_and_content_type("PUT", [], ("POST", "GET")) == Rejection(405, "use POST, GET")
    assert check_method_and_content_type("POST", [], ("POST",)) == Rejection(
        415, "the Content-Type must be application/json"
    )
    json_content = (b"content-type", b"application/json")
    assert check_method_and_content_type(
        "POST", [json_content, (b"content-encoding", b"gzip")], ("POST",)
    ) == Rejection(415, "the body must not be compressed: send it without Content-Encoding")
    assert check_method_and_content_type("POST", [json_content, (b"content-encoding", b"Identity")], ("POST",)) is None


def test_the_usual_forms_of_hosts_and_origins_are_those_of_browsers() -> None:
    policy = HttpAccessPolicy(
        frozenset({("a", None), ("[::1]", 80)}), frozenset({("http", "a", None), ("https", "b", 81)}), None
    )
    assert policy.usual_hosts == {b"a", b"[::1]:80"}
    assert policy.usual_origins == {b"http://a", b"https://b:81"}


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (b"Bearer abc", "abc"),
        (b"bearer  abc\t", "abc"),
        (b"Bearer", ""),
        (b"Basic abc", None),
        (b"abc", None),
        (b"", None),
    ],
)
def test_the_token_of_a_request_is_found(value: bytes, token: str | None) -> None:
    assert bearer_token([(b"authorization", value)]) == token
    assert bearer_token([(b"authorization", value)] * 2) is None


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"http://a:80/mcp?x=1", (b"a:80", b"/mcp?x=1")),
        (b"HTTPS://a", (b"a", b"/")),
        (b"http://a/b\nc", (b"a", b"/b\nc")),
        (b"/mcp", None),
        (b"*", None),
        (b"ftp://a/", None),
    ],
)
def test_an_absolute_target_is_split(target: bytes, expected: tuple[bytes, bytes] | None) -> None:
    assert split_absolute_target(target) == expected


@pytest.mark.parametrize(
    ("text", "authority"),
    [
        ("A.example", ("a.example", None)),
        ("a:0", ("a", 0)),
        ("a:65535", ("a", 65535)),
        ("a:65536", None),
        ("a:123456", None),
        ("a:", None),
        ("[::1]:8", ("[::1]", 8)),
        ("[::1", None),
    ],
)
def test_authorities_and_origins_are_parsed(text: str, authority: Any) -> None:
    assert parse_authority(text) == authority
    assert parse_origin(f"HTTPS://{text}") == (None if authority is None else ("https", *authority))
    assert parse_origin(text) is None
    assert parse_origin(f"1http://{text}") is None


@pytest.mark.parametrize(
    ("value", "is_json"),
    [
        (b"application/json", True),
        (b"APPLICATION/JSON ; charset=UTF-8 ", True),
        (b"application/json;charset=latin-1", False),
        (b"", False),
    ],
)
def test_only_json_in_utf_8_is_json(value: bytes, is_json: bool) -> None:
    assert is_json_content(value) is is_json


@pytest.mark.parametrize("port", [0, 1, 65535])
def test_every_port_of_tcp_may_be_named(port: int) -> None:
    assert parse_address(str(port)) == ListenAddress("127.0.0.1", port)


@pytest.mark.parametrize(
    ("address", "url_host", "is_loopback", "is_unspecified"),
    [
        ("127.0.0.2", "127.0.0.2", True, False),
        ("::1", "[::1]", True, False),
        ("0.0.0.0", "0.0.0.0", False, True),
        ("::", "[::]", False, True),
        ("192.0.2.1", "192.0.2.1", False, False),
    ],
)
def test_an_address_knows_who_can_reach_it(
    address: str, url_host: str, is_loopback: bool, is_unspecified: bool
) -> None:
    found = ListenAddress(address, 80)
    assert (found.url_host, found.is_loopback, found.is_unspecified) == (url_host, is_loopback, is_unspecified)


def test_the_own_names_of_an_address_are_allowed_and_those_of_the_options() -> None:
    options = HttpOptions("80", allowed_hosts=["B.example"], allowed_origins=["https://C.example:1"])
    policy = make_access_policy(options, ListenAddress("192.0.2.1", 80), 81, "t", "https://d.example/mcp")
    assert policy == HttpAccessPolicy(
        frozenset({("192.0.2.1", 81), ("b.example", None), ("d.example", None)}),
        frozenset({("http", "192.0.2.1", 81), ("https", "c.example", 1)}),
        "t",
    )
    loopback = make_access_policy(HttpOptions("80"), ListenAddress("127.0.0.1", 80), 81, None)
    assert loopback.hosts == {(name, 81) for name in ("127.0.0.1", "localhost", "[::1]")}
    assert loopback.origins == {("http", *host) for host in loopback.hosts}


def test_every_address_of_a_machine_is_served_for_the_host_of_the_audience() -> None:
    policy = make_access_policy(HttpOptions("80"), ListenAddress("::", 80), 80, None, "https://d.example/mcp")
    assert (policy.hosts, policy.origins) == ({("d.example", None)}, frozenset())


@pytest.mark.parametrize(("address", "host"), [("0", "127.0.0.1"), ("[::1]:0", "[::1]")])
def test_the_listener_has_what_the_options_say(address: str, host: str) -> None:
    with bind_listener(HttpOptions(address, "token", stateless=True, max_sessions=7)) as listener:
        port = listener.sock.getsockname()[1]
        assert listener.url == f"http://{host}:{port}"
        assert (listener.is_loopback, listener.stateless, listener.max_sessions) == (True, True, 7)
        assert (listener.access_policy.token, listener.oauth, listener.caller_variables) == ("token", None, None)
        assert (host, port) in listener.access_policy.hosts
    assert listener.sock.fileno() == -1


def test_an_address_that_cannot_be_used_says_what_to_change() -> None:
    with bind_listener(HttpOptions("0", "token")) as listener:
        port = listener.sock.getsockname()[1]
        with pytest.raises(ServeOptionsError) as refused, bind_listener(HttpOptions(str(port), "token")):
            pass
    assert refused.value.code == "cannot-listen"
    assert refused.value.message == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use. "
        "Choose another port with --port, or an address of this machine with --host."
    )


@pytest.mark.parametrize("host", ["::1", "::"])
def test_an_ipv6_address_serves_ipv6_only(host: str) -> None:
    with listen(ListenAddress(host, 0)) as listener:
        assert listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
