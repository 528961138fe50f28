"""HTTP requests as steps: in a login and in a call, with values of the connection."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.client.test_websocket import serve_tcp
from tests.peer import PATIENCE, Peer, bridge_to, entry, jsonrpc, peer, silent
from utcp_ws_mcp import Bridge, CallTimeout
from utcp_ws_mcp.client.http_client import HttpRequest, _complete_headers
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.core.exchange.held import MAX_HELD_MESSAGES
from utcp_ws_mcp.core.network_policy import parse_url
from utcp_ws_mcp.errors import (
    BridgeError,
    ConnectError,
    ForbiddenURL,
    HttpStepFailed,
    InvalidManifest,
    Outcome,
    TooManyHeldMessages,
)

Reply = tuple[int, Any]


@dataclass
class Seen:
    """A request that an HTTP server has seen."""

    method: str
    target: str
    headers: dict[str, str]
    body: Any


@dataclass
class HttpServer:
    """An HTTP server on loopback, and what it has seen."""

    port: int = 0
    requests: list[Seen] = field(default_factory=list)

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


Handle = Callable[[Seen], Awaitable[Reply]]


@asynccontextmanager
async def http_server(handle: Handle, *lines: str) -> AsyncIterator[HttpServer]:
    server = HttpServer()

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data:
                data += await stream.receive()
            head, _, body = data.partition(b"\r\n\r\n")
            first, *rest = head.decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
            while len(body) < int(headers.get("content-length", 0)):
                body += await stream.receive()
            method, target, _ = first.split(" ")
            seen = Seen(method, target, headers, json.loads(body) if body.startswith(b"{") else body.decode())
            server.requests.append(seen)
            status, content = await handle(seen)
            text = json.dumps(content)
            extra = "".join(f"{line}\r\n" for line in lines)
            await stream.send(f"HTTP/1.1 {status} X\r\n{extra}Content-Length: {len(text)}\r\n\r\n{text}".encode())

    async with serve_tcp(serve) as port:
        server.port = port
        yield server


def always(status: int, body: Any) -> Handle:
    async def handle(seen: Seen) -> Reply:
        return status, body

    return handle


def tool(**template: Any) -> dict[str, Any]:
    return {"name": "t", "tool_call_template": template}


async def test_a_login_makes_a_request_with_what_the_greeting_contained(tmp_path: Path) -> None:
    """As Twitch EventSub does: the session of the WebSocket is subscribed over HTTP."""

    async def greet(connection: Any) -> None:
        await connection.send(json.dumps({"type": "session_welcome", "session": {"id": "s-1"}}))

    async with http_server(always(202, {"total": 1})) as http, peer(jsonrpc, greet=greet) as seen:
        login = [
            {"expect": "message.type == 'session_welcome'", "capture": {"id": "message.session.id"}},
            {
                "http": {
                    "method": "POST",
                    "url": http.url("/subscriptions"),
                    "headers": {"Authorization": "Bearer ${API_TOKEN}"},
                    "json": {"type": "stream.online", "transport": {"session_id": "{{ session.id }}"}},
                },
                "capture": {"total": "body.total"},
            },
        ]
        document = entry(seen, "t", preset="jsonrpc2", on_connect=login)
        async with bridge_to(tmp_path, document, environ={"API_TOKEN": "secret-1234"}) as bridge:
            assert await bridge.call_tool("m.t", {"n": 1}) == {"n": 1}
            assert await bridge.call_tool("m.t", {"n": 2}) == {"n": 2}
    (request,) = http.requests
    assert request.body == {"type": "stream.online", "transport": {"session_id": "s-1"}}
    assert request.headers["authorization"] == "Bearer secret-1234"


@pytest.mark.parametrize("when", ["session.id == 'no'", "false"])
async def test_an_http_step_of_a_login_whose_condition_is_false_is_left_out(tmp_path: Path, when: str) -> None:
    async with http_server(always(500, {})) as http, peer(jsonrpc) as seen:
        document = entry(seen, "t", preset="jsonrpc2", on_connect=[{"http": {"url": http.url()}, "when": when}])
        async with bridge_to(tmp_path, document) as bridge:
            assert await bridge.call_tool("m.t", {"n": 1}) == {"n": 1}
    assert not http.requests


async def test_an_http_step_of_a_login_that_fails_names_itself_and_nothing_was_sent(tmp_path: Path) -> None:
    async with http_server(always(403, {"why": "no scope"})) as http, peer(jsonrpc) as seen:
        document = entry(seen, "t", preset="jsonrpc2", on_connect=[{"http": {"url": http.url("/subscribe")}}])
        async with bridge_to(tmp_path, document) as bridge:
            with pytest.raises(ConnectError, match=r"login failed at on_connect\[0\]: .*HTTP 403.*no scope") as failed:
                await bridge.call_tool("m.t")
    assert (failed.value.code, failed.value.outcome) == ("http-step-failed", Outcome.NOT_SENT)
    assert not seen.received


PUSHER_TOOL = {
    "message": {"event": "pusher:subscribe", "data": {"channel": "{{ args.channel }}", "auth": "{{ let.auth }}"}},
    "reply": {"match": "message.channel == args.channel", "result": "message.data"},
    "response_format": "json",
}


def pusher(http: HttpServer) -> dict[str, Any]:
    step = {
        "http": {
            "method": "POST",
            "url": http.url("/auth/{{ args.channel }}"),
            "form": {"socket_id": "{{ session.socket }}", "channel_name": "{{ args.channel }}"},
        },
        "capture": {"auth": "body.auth"},
    }
    return {**PUSHER_TOOL, "before_message": [step]}


async def greet_as_pusher(connection: Any) -> None:
    await connection.send(json.dumps({"event": "pusher:connection_established", "data": {"socket_id": "1.2"}}))


GREETING = [
    {"expect": "message.event == 'pusher:connection_established'", "capture": {"socket": "message.data.socket_id"}}
]


async def test_a_call_makes_a_request_before_its_message_and_sends_what_it_brought(tmp_path: Path) -> None:
    """As private channels of Pusher and Reverb want it."""

    async def answer(seen: Peer, connection: Any, message: Any) -> None:
        await connection.send(json.dumps({"channel": message["data"]["channel"], "data": message["data"]["auth"]}))

    async def sign(seen: Seen) -> Reply:
        return 200, {"auth": f"signed {seen.body}"}

    async with http_server(sign) as http, peer(answer, greet=greet_as_pusher) as seen:
        document = entry(seen, tool(**pusher(http)), on_connect=GREETING)
        async with bridge_to(tmp_path, document) as bridge:
            result = await bridge.call_tool("m.t", {"channel": "private-a/b?x=1"})
    assert result == "signed socket_id=1.2&channel_name=private-a%2Fb%3Fx%3D1"
    assert http.requests[0].target == "/auth/private-a%2Fb%3Fx%3D1"


def comfy(http: HttpServer) -> dict[str, Any]:
    """A call whose request is HTTP, and whose events come over the WebSocket (ComfyUI, marimo)."""
    return {
        "listen": True,
        "before_message": [
            {
                "http": {"method": "POST", "url": http.url("/prompt"), "json": {"prompt": "{{ args.prompt }}"}},
                "capture": {"prompt": "body.prompt_id"},
            }
        ],
        "stream": {
            "match": "message.prompt == let.prompt",
            "until": "message.type == 'done'",
            "item": "message.step",
        },
        "response_format": "json",
    }


async def test_events_that_come_before_the_response_to_the_request_are_not_lost(tmp_path: Path) -> None:
    async with peer(silent) as seen:

        async def run(request: Seen) -> Reply:
            for message in ({"prompt": "other", "step": 9}, {"prompt": "p1", "step": 1}, {"prompt": "p1", "step": 2}):
                await seen.open[0].send(json.dumps(message))
            await seen.open[0].send(json.dumps({"prompt": "p1", "type": "done"}))
            await (await seen.open[0].ping())
            return 200, {"prompt_id": "p1"}

        async with http_server(run) as http, bridge_to(tmp_path, entry(seen, tool(**comfy(http)))) as bridge:
            with anyio.fail_after(PATIENCE):
                result = await bridge.call_tool("m.t", {"prompt": "a cat"})
    assert (result.items, result.end) == ((1, 2), "until")
    assert not seen.received


async def test_a_call_fails_when_more_messages_come_during_its_request_than_are_kept(tmp_path: Path) -> None:
    async with peer(silent) as seen:

        async def run(request: Seen) -> Reply:
            await seen.open[0].send(json.dumps({"prompt": "p1", "step": 1}))
            for _ in range(MAX_HELD_MESSAGES):
                await seen.open[0].send('{"other": 1}')
            await (await seen.open[0].ping())
            return 200, {"prompt_id": "p1"}

        async with http_server(run) as http, bridge_to(tmp_path, entry(seen, tool(**comfy(http)))) as bridge:
            with anyio.fail_after(PATIENCE):
                with pytest.raises(
                    TooManyHeldMessages, match=r"its reply may be lost.*\[too-many-held-messages\]"
                ) as failed:
                    await bridge.call_tool("m.t", {"prompt": "a cat"})
            assert failed.value.outcome is Outcome.MAYBE_EXECUTED


async def test_two_calls_that_wait_for_http_on_one_connection_get_their_own_events(tmp_path: Path) -> None:
    async with peer(silent) as seen:
        arrived: list[str] = []
        both = anyio.Event()

        async def run(request: Seen) -> Reply:
            name = request.body["prompt"]
            arrived.append(name)
            if len(arrived) == 2:
                both.set()
            await both.wait()
            await seen.open[0].send(json.dumps({"prompt": name, "step": name}))
            await seen.open[0].send(json.dumps({"prompt": name, "type": "done"}))
            return 200, {"prompt_id": name}

        results: dict[str, Any] = {}
        async with http_server(run) as http, bridge_to(tmp_path, entry(seen, tool(**comfy(http)))) as bridge:

            async def call(name: str) -> None:
                results[name] = (await bridge.call_tool("m.t", {"prompt": name})).items

            with anyio.fail_after(PATIENCE):
                async with anyio.create_task_group() as calls:
                    calls.start_soon(call, "a")
                    calls.start_soon(call, "b")
    assert results == {"a": ("a",), "b": ("b",)}


async def refused_port() -> int:
    async with serve_tcp(lambda stream: anyio.sleep(0)) as port:
        return port


@pytest.mark.parametrize(
    ("status", "body", "capture", "code", "sentence"),
    [
        (
            403,
            {"why": "no"},
            {},
            "http-step-failed",
            r"before_message\[0\] failed: http://127.*HTTP 403.*may have been",
        ),
        (
            200,
            {},
            {"x": "body.id"},
            "capture-found-nothing",
            r"body\.id, which capture stores as let\.x, finds nothing",
        ),
        (200, {"id": None}, {"x": "body.id"}, "capture-found-nothing", r"finds nothing"),
    ],
)
async def test_a_request_of_a_call_that_was_answered_counts_as_sent(
    tmp_path: Path, status: int, body: Any, capture: dict[str, str], code: str, sentence: str
) -> None:
    async with http_server(always(status, body)) as http, peer(jsonrpc) as seen:
        step = {"http": {"url": http.url("/x")}, "capture": capture}
        document = entry(seen, "t", preset="jsonrpc2", before_message=[step])
        async with bridge_to(tmp_path, document) as bridge:
            with pytest.raises(HttpStepFailed, match=sentence) as failed:
                await bridge.call_tool("m.t")
    assert (failed.value.code, failed.value.outcome) == (code, Outcome.MAYBE_EXECUTED)
    assert not seen.received


async def test_a_request_of_a_call_that_reached_no_server_was_not_sent(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen:
        step = {"http": {"url": f"http://127.0.0.1:{await refused_port()}/"}}
        async with bridge_to(tmp_path, entry(seen, "t", preset="jsonrpc2", before_message=[step])) as bridge:
            with pytest.raises(HttpStepFailed, match="No request was sent") as failed:
                await bridge.call_tool("m.t")
    assert failed.value.outcome is Outcome.NOT_SENT


@pytest.mark.parametrize(("step_timeout", "timeout"), [(0.3, 30), (10, 0.3)], ids=["step", "call"])
async def test_a_server_that_drips_its_response_does_not_outlast_a_timeout(
    tmp_path: Path, step_timeout: float, timeout: float
) -> None:
    async def drip(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while True:
                await stream.send(b"x")
                await anyio.sleep(0.02)

    async with serve_tcp(drip) as port, peer(jsonrpc) as seen:
        step = {"http": {"url": f"http://127.0.0.1:{port}/"}, "timeout": step_timeout}
        document = entry(seen, "t", preset="jsonrpc2", before_message=[step], timeout=timeout)
        async with bridge_to(tmp_path, document) as bridge:
            with anyio.fail_after(PATIENCE), pytest.raises((HttpStepFailed, CallTimeout)) as failed:
                await bridge.call_tool("m.t")
    assert failed.value.outcome is Outcome.MAYBE_EXECUTED
    assert failed.value.code == ("http-step-failed" if step_timeout < timeout else "http-timeout")


async def test_before_connect_ends_at_its_timeout_while_the_response_drips(tmp_path: Path) -> None:
    async def drip(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            while True:
                await stream.send(b"H")
                await anyio.sleep(0.02)

    async with serve_tcp(drip) as port, peer(jsonrpc) as seen:
        step = {"http": {"url": f"http://127.0.0.1:{port}/"}, "timeout": 0.3}
        async with bridge_to(tmp_path, entry(seen, "t", preset="jsonrpc2", before_connect=[step])) as bridge:
            with (
                anyio.fail_after(PATIENCE),
                pytest.raises(ConnectError, match="no complete HTTP response within 0.3 s"),
            ):
                await bridge.call_tool("m.t")


async def test_a_connection_that_ends_during_the_request_fails_the_call_without_a_second_request(
    tmp_path: Path,
) -> None:
    async with peer(jsonrpc) as seen:

        async def cut(request: Seen) -> Reply:
            await seen.open[0].close(1011, "gone")
            await seen.until(lambda: not seen.open)
            return 200, {}

        async with http_server(cut) as http:
            document = entry(seen, "t", preset="jsonrpc2", before_message=[{"http": {"url": http.url()}}])
            async with bridge_to(tmp_path, document) as bridge:
                with pytest.raises(BridgeError) as failed:
                    await bridge.call_tool("m.t")
        assert (failed.value.outcome, len(http.requests)) == (Outcome.MAYBE_EXECUTED, 1)


async def test_a_url_of_the_endpoint_leads_to_no_server_that_the_manifest_does_not_name(tmp_path: Path) -> None:
    async with http_server(always(200, {})) as other:

        async def greet(connection: Any) -> None:
            await connection.send(json.dumps({"next": other.url("/steal")}))

        async with peer(jsonrpc, greet=greet) as seen:
            login = [
                {"expect": "message.next", "capture": {"next": "message.next"}},
                {"http": {"url": "{{ session.next }}", "headers": {"X-Key": "${API_KEY}"}}},
            ]
            document = entry(seen, "t", preset="jsonrpc2", on_connect=login)
            async with bridge_to(tmp_path, document, environ={"API_KEY": "key-1234"}) as bridge:
                with pytest.raises(ForbiddenURL, match=r"the manifest names no such server.*\[origin-not-allowed\]"):
                    await bridge.call_tool("m.t")
        assert not other.requests


async def test_a_url_of_the_endpoint_may_lead_to_a_server_that_the_manifest_names(tmp_path: Path) -> None:
    async with http_server(always(200, {"next": ""})) as http, peer(jsonrpc) as seen:

        async def tell(request: Seen) -> Reply:
            return 200, {"next": http.url("/second?a=1")}

        async with http_server(tell) as first:
            steps = [
                {"http": {"url": first.url("/first")}, "capture": {"next": "body.next"}},
                {"http": {"url": "{{ session.next }}&n={{ args.n }}"}},
                {"http": {"url": http.url("/third")}},
            ]
            document = entry(seen, "t", preset="jsonrpc2", before_connect=steps)
            async with bridge_to(tmp_path, document) as bridge:
                assert await bridge.call_tool("m.t", {"n": "&x"}) == {"n": "&x"}
    assert [request.target for request in http.requests] == ["/second?a=1&n=%26x", "/third"]


async def test_a_step_may_name_the_host_that_answers_and_no_call_may(tmp_path: Path) -> None:
    async with http_server(always(200, {})) as http, peer(jsonrpc) as seen:
        before = {"http": {"url": http.url(), "headers": {"Host": "localhost"}}}
        document = entry(seen, "t", preset="jsonrpc2", before_connect=[before], headers={"Host": "chrome.local:9222"})
        async with bridge_to(tmp_path, document) as bridge:
            await bridge.call_tool("m.t")
    assert http.requests[0].headers["host"] == "localhost"
    assert seen.upgrades[0].headers.get_all("Host") == ["chrome.local:9222"]
    before["http"]["headers"]["Host"] = "{{ args.host }}"
    with pytest.raises(InvalidManifest, match="the value contains a placeholder"):
        async with bridge_to(tmp_path, document):
            pass


@pytest.mark.parametrize("name", ["Host", "host", "USER-AGENT", "accept"])
def test_a_header_of_a_step_replaces_the_usual_one_whatever_its_case(name: str) -> None:
    request = HttpRequest("GET", parse_url("https://a.example/", schemes=("https",)), {name: "mine"}, {})
    headers = _complete_headers(request)
    assert [value for key, value in headers.items() if key.lower() == name.lower()] == ["mine"]
    assert sorted(map(str.lower, headers)) == ["accept", "host", "user-agent"]


MISSING = {
    "a pattern without a match": "body.text | regex_find('no=(.*)')",
    "a member": "body.nothing",
    "null": "body.none",
    "an operation that fails": "body.text | unbase64 | from_json",
}


@pytest.mark.parametrize("source", MISSING.values(), ids=MISSING)
@pytest.mark.parametrize("field", ["before_connect", "on_connect", "before_message"])
async def test_a_captured_value_that_finds_nothing_fails_its_step(tmp_path: Path, field: str, source: str) -> None:
    async with http_server(always(200, {"text": "x", "none": None})) as http, peer(jsonrpc) as seen:
        step = {"http": {"url": http.url()}, "capture": {"t": source}}
        document = entry(seen, "t", preset="jsonrpc2", **{field: [step]})
        if field == "before_connect":
            document["headers"] = {"X-T": "{{ session.t }}"}
        async with bridge_to(tmp_path, document) as bridge:
            with pytest.raises(BridgeError, match=r"\.t, finds nothing.*default\(omit\)"):
                await bridge.call_tool("m.t")
    assert not seen.received


@pytest.mark.parametrize("source", ["message.text | regex_find('no=(.*)')", "message.nothing", "message.none"])
async def test_a_captured_value_of_a_greeting_that_finds_nothing_fails_the_login(tmp_path: Path, source: str) -> None:
    async def greet(connection: Any) -> None:
        await connection.send(json.dumps({"text": "x", "none": None}))

    async with peer(jsonrpc, greet=greet) as seen:
        login = [{"expect": "message.text", "capture": {"t": source}}, {"send": {"t": "{{ session.t }}"}}]
        async with bridge_to(tmp_path, entry(seen, "t", preset="jsonrpc2", on_connect=login)) as bridge:
            with pytest.raises(ConnectError, match=r"on_connect\[0\]: .*session\.t, finds nothing") as failed:
                await bridge.call_tool("m.t")
    assert (failed.value.code, seen.received) == ("capture-found-nothing", [])


OPTIONAL = {
    "omit": ("body.nothing | default(omit)", "{{ session.t | default(omit) }}"),
    "a pattern and omit": ("(body.text | regex_find('no=(.*)')) | default(omit)", "{{ session.t | default(omit) }}"),
    "a test elsewhere": ("body.nothing", "{{ session.t if session.t is defined else omit }}"),
    "a default elsewhere": ("body.none", "{{ session.t | default(omit) }}"),
}


@pytest.mark.parametrize(("source", "header"), OPTIONAL.values(), ids=OPTIONAL)
async def test_a_captured_value_may_be_optional(tmp_path: Path, source: str, header: str) -> None:
    async with http_server(always(200, {"text": "x", "none": None})) as http, peer(jsonrpc) as seen:
        step = {"http": {"url": http.url()}, "capture": {"t": source}}
        document = entry(seen, "t", preset="jsonrpc2", before_connect=[step], headers={"X-T": header, "X-U": "1"})
        async with bridge_to(tmp_path, document) as bridge:
            assert await bridge.call_tool("m.t", {"n": 1}) == {"n": 1}
    assert "X-T" not in seen.upgrades[0].headers
    assert seen.upgrades[0].headers["X-U"] == "1"


async def test_a_captured_value_with_too_many_credentials_is_refused(tmp_path: Path) -> None:
    secrets = [f"secret-{number:04}" for number in range(100)]
    async with http_server(always(200, {"token": secrets})) as http, peer(jsonrpc) as seen:
        step = {"http": {"url": http.url()}, "capture": {"ticket": "body.token"}}
        async with bridge_to(tmp_path, entry(seen, "t", preset="jsonrpc2", before_connect=[step])) as bridge:
            with pytest.raises(ConnectError, match="100 texts that may be credentials; at most 16"):
                await bridge.call_tool("m.t")


async def test_a_request_in_plain_text_goes_to_the_home_and_nowhere_else(tmp_path: Path) -> None:
    addresses = {"printer.home.arpa": "127.0.0.1", "public.example": "93.184.216.34"}

    async def resolver(name: str, port: int) -> list[str]:
        return [addresses[name]]

    async with http_server(always(200, {"ticket": "t1"})) as http, peer(jsonrpc) as seen:
        file = tmp_path / "m.json"
        for host, network in (("printer.home.arpa", {"allow": ["loopback"], "plaintext": True}),
                              ("public.example", {"plaintext": True})):  # fmt: skip
            step = {"http": {"url": f"http://{host}:{http.port}/"}, "capture": {"ticket": "body.ticket"}}
            headers = {"X-Ticket": "{{ session.ticket }}"}
            document = entry(seen, "t", preset="jsonrpc2", before_connect=[step], network=network, headers=headers)
            file.write_text(json.dumps(document))
            async with Bridge([load_manifest(file, {})], resolver=resolver) as bridge:
                if host == "public.example":
                    with pytest.raises(ForbiddenURL, match="would cross a public network"):
                        await bridge.call_tool("m.t")
                else:
                    assert await bridge.call_tool("m.t", {"n": 1}) == {"n": 1}
    assert [request.headers["host"] for request in http.requests] == [f"printer.home.arpa:{http.port}"]
    file.write_text(json.dumps({**document, "network": {}}))
    with pytest.raises(InvalidManifest, match="sent as plain text"):
        load_manifest(file, {})


@pytest.mark.parametrize("second", [
    {"http": {"url": "{{ session.none }}"}},
    {"http": {"url": "http://127.0.0.1/{{ args.nothing }}"}},
    {"http": {"url": "http://127.0.0.1/", "headers": {"X-A": "{{ args.broken }}"}}},
], ids=["a value", "an argument", "a header"])  # fmt: skip
async def test_a_request_that_cannot_be_made_after_another_was_sent_says_so(tmp_path: Path, second: Any) -> None:
    async with http_server(always(200, {})) as http, peer(jsonrpc) as seen:
        document = entry(seen, "t", preset="jsonrpc2", before_message=[{"http": {"url": http.url()}}, second])
        async with bridge_to(tmp_path, document) as bridge:
            with pytest.raises(BridgeError) as failed:
                await bridge.call_tool("m.t", {"broken": "a\r\nb"})
    assert (failed.value.outcome, len(http.requests)) == (Outcome.MAYBE_EXECUTED, 1)
    assert not seen.received


async def test_a_message_that_cannot_be_made_after_a_request_was_sent_says_so(tmp_path: Path) -> None:
    async with http_server(always(200, {})) as http, peer(jsonrpc) as seen:
        document = entry(seen, "t", message="{{ args.nothing }}", before_message=[{"http": {"url": http.url()}}])
        async with bridge_to(tmp_path, document) as bridge:
            with pytest.raises(BridgeError, match="may have been executed") as failed:
                await bridge.call_tool("m.t")
    assert failed.value.outcome is Outcome.MAYBE_EXECUTED


async def test_a_call_without_reply_whose_connection_ends_during_its_request_is_no_success(tmp_path: Path) -> None:
    async with peer(jsonrpc) as seen:

        async def cut(request: Seen) -> Reply:
            await seen.open[0].close(1011, "gone")
            await seen.until(lambda: not seen.open)
            return 200, {}

        async with http_server(cut) as http:
            step = {"http": {"url": http.url()}}
            document = entry(seen, "t", message={"a": 1}, reply="none", before_message=[step])
            async with bridge_to(tmp_path, document) as bridge:
                with pytest.raises(BridgeError, match="gone") as failed:
                    await bridge.call_tool("m.t")
    assert failed.value.outcome is Outcome.MAYBE_EXECUTED
