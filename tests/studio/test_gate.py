"""Who reaches the page of the studio."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.studio.gate import StudioGate

TOKEN = "a-token"
PORT = 8790


async def knock(path: str, kind: str = "http", port: int = PORT, **headers: str) -> tuple[bool, list[dict[str, Any]]]:
    """Whether a request reached the page, and what was answered."""
    reached = False
    answers: list[dict[str, Any]] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        nonlocal reached
        reached = True
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        answers.append(message)

    given = {"host": f"127.0.0.1:{port}", **headers}
    scope = {"type": kind, "path": path, "headers": [(name.encode(), value.encode()) for name, value in given.items()]}
    await StudioGate(page, TOKEN, port)(scope, receive, send)
    return reached, answers


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/{TOKEN}/", {}),
        (f"/{TOKEN}/_nicegui_ws/socket.io", {"origin": f"http://127.0.0.1:{PORT}"}),
        (f"/{TOKEN}/", {"host": f"localhost:{PORT}", "origin": f"http://localhost:{PORT}"}),
    ],
)
async def test_a_browser_with_the_token_reaches_the_page(path: str, headers: dict[str, str]) -> None:
    assert (await knock(path, **headers))[0]


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 403),
        ("/another-token/", {}, 403),
        (f"/{TOKEN}x/", {}, 403),
        (f"//{TOKEN}/", {}, 403),
        ("/täken/", {}, 403),
        (f"/{TOKEN}/", {"host": f"evil.example:{PORT}"}, 421),
        (f"/{TOKEN}/", {"host": "127.0.0.1"}, 421),
        (f"/{TOKEN}/", {"host": f"127.0.0.1:{PORT + 1}"}, 421),
        (f"/{TOKEN}/", {"origin": "http://evil.example"}, 403),
        (f"/{TOKEN}/", {"origin": f"http://127.0.0.1:{PORT + 1}"}, 403),
        (f"/{TOKEN}/", {"origin": f"https://127.0.0.1:{PORT}"}, 403),
        (f"/{TOKEN}/", {"origin": "null"}, 403),
    ],
)
async def test_everything_else_is_rejected(kind: str, path: str, headers: dict[str, str], status: int) -> None:
    reached, answers = await knock(path, kind, **headers)

    assert not reached
    assert answers[0] == {"type": "websocket.close", "code": 1008, "reason": answers[0].get("reason")} or (
        answers[0]["status"] == status and b"studio" in answers[1]["body"]
    )


async def test_the_page_loads_nothing_from_elsewhere_and_sends_its_address_nowhere() -> None:
    _, answers = await knock(f"/{TOKEN}/")
    headers = dict(answers[0]["headers"])

    assert b"default-src 'self'" in headers[b"content-security-policy"]
    assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
    assert headers[b"referrer-policy"] == b"no-referrer"


async def test_the_start_of_the_server_passes() -> None:
    assert (await knock("", "lifespan"))[0]


async def test_on_the_port_of_http_a_browser_may_leave_it_out() -> None:
    assert (await knock(f"/{TOKEN}/", port=80, host="localhost", origin="http://127.0.0.1"))[0]
    assert (await knock(f"/{TOKEN}/", port=80, host="localhost:80"))[0]
    assert not (await knock(f"/{TOKEN}/", port=81, host="localhost"))[0]


async def test_a_rejection_is_a_text_that_says_what_to_open_with_the_same_headers() -> None:
    _, (start, body) = await knock("/")
    assert dict(start["headers"])[b"content-type"] == b"text/plain; charset=utf-8"
    assert b"referrer-policy" in dict(start["headers"])
    assert body["body"].endswith(b"Open the address that the command printed.\n")
    _, (_, body) = await knock(f"/{TOKEN}/", host="evil.example")
    assert body["body"] == b"The studio answers only a browser on this machine, and no other page.\n"
    _, (closed,) = await knock("/", "websocket")
    assert (closed["code"], "lacks its token" in closed["reason"]) == (1008, True)


async def test_the_headers_of_the_page_stay_and_other_messages_pass() -> None:
    sent: list[Any] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "headers": [(b"x", b"y")]})
        await send({"type": "http.response.body", "body": b"z"})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": f"/{TOKEN}/", "headers": [(b"host", f"127.0.0.1:{PORT}".encode())]}
    await StudioGate(page, TOKEN, PORT)(scope, None, send)  # type: ignore[arg-type]
    names = [name for name, _ in sent[0]["headers"]]
    assert (names[0], len(set(names)), sent[1]) == (b"x", 6, {"type": "http.response.body", "body": b"z"})
    assert TOKEN not in repr(StudioGate(page, TOKEN, PORT))
