"""S25: callers who bring credentials of their own never get what belongs to another, and their values are not shown.

Many callers call at once, over both protocol eras and in every way that a call template has: plain calls, streams,
feeds, tools that fail, a token that is fetched with the secret of the caller. The endpoint distinguishes whose
credentials a connection has. Pass criteria: each answer is that of its caller; each connection is used by one caller;
no value is on stderr at `--log-level debug`, in the metrics, in a result or in an error; no caller can find out by its
value what the results of others hold; and a value that could end its place is refused.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs

from websockets.asyncio.server import ServerConnection

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .endpoint import endpoint
from .http_service import (
    HANDSHAKE,
    META,
    MODERN,
    TOKEN,
    HttpResponse,
    RawClient,
    Service,
    initialize_body,
    mcp_headers,
    service_of,
)
from .listener import http_reply, listener

CALLERS: Final = 12
ROUNDS: Final = 2
MEBIBYTE: Final = 1 << 20
NAME: Final = re.compile(r"caller-(\d+)-secret")
HOSTILE: Final = (
    b"a\tb-123456", b"evil-1;role=admin", b"evil-1,evil-2", b'evil-1"x"', b"evil-1&role=admin", b"evil-1#x",
    b"evil-1 b", b"../../evil-1?", b"evil-1%0d%0aX-Evil: 1", b"evil-1\x7f", b"\xc3\xa9vil-123", b"evil", b"",
    b"e" * 4097, b"${caller:KEY}", b"{{vars.KEY}}", b"evil-1\\n", b"<evil-1>", b"evil-1'--",
)  # fmt: skip
"""Values that could end a header, a cookie, a query, a text or a template."""

TOOLS: Final = ("m_t", "m_stream", "m_fail", "m_said_events", "o_t")


@dataclass
class Seen:
    """What reached the endpoint: the callers of each connection, and headers of the upgrades."""

    callers: dict[Any, set[str]] = field(default_factory=lambda: defaultdict(set))
    upgrades: list[Any] = field(default_factory=list)


async def measure(size: Size) -> Sequence[Figure]:
    """Let many callers call, then one with hostile values, then one with very many."""
    seen = Seen()
    async with _served(seen) as served:
        crossed, shown, calls = await _call_everything(served, size.of(ROUNDS, 20 * ROUNDS, light=1))
        metrics = await _request(served, "GET", "/metrics", None, b"")
        shown += NAME.findall(metrics.body.decode())
        oracle = await _oracle(served)
        before = len(seen.upgrades)
        refused = [await _call(served, "m_t", 1, value, modern=True) for value in HOSTILE]
        accepted = len(seen.upgrades) - before + sum(not answer["isError"] for answer in refused)
    async with _served(seen, "warning") as quiet:
        growth, values = await _many_values(quiet, size.of(300, 3_000, light=30))
    shown += NAME.findall(served.log.decode())
    shared = sum(len(names) > 1 for names in seen.callers.values())
    return [
        Figure("S25", "answers that belong to another caller", f"{crossed} of {calls}", "0", not crossed),
        Figure("S25", "connections with two callers", f"{shared} of {len(seen.callers)}", "0", not shared),
        Figure("S25", "values of callers shown", f"{len(shown)} of {CALLERS}", "0", not shown),
        Figure("S25", "results and metrics changed by the values of others", str(oracle), "0", not oracle),
        Figure("S25", "hostile values that were used", f"{accepted} of {len(HOSTILE)}", "0", not accepted),
        Figure(
            "S25",
            "memory after many different values",
            f"{growth / MEBIBYTE:+.0f} MiB after {values}",
            "<= +64 MiB",
            growth <= 64 * MEBIBYTE,
        ),
    ]


def _secret(number: int) -> str:
    return f"caller-{number}-secret"


@asynccontextmanager
async def _served(seen: Seen, log_level: str = "debug") -> AsyncIterator[Service]:
    async def answer(connection: ServerConnection, message: Any) -> None:
        number = _number_of(connection)
        seen.callers[connection.id].add(number)
        reply = {"jsonrpc": "2.0", "id": message["id"]}
        value = {
            "n": number,
            "echo": _secret(int(number)) if number != "0" else "",
            "text": "the weather of-today is fine",
        }
        if message["method"] == "fail":
            await connection.send(json.dumps({**reply, "error": {"code": -1, "message": f"{number}: {value['echo']}"}}))
            return
        for last in (False, False, True) if message["method"] == "stream" else (True,):
            await connection.send(json.dumps({**reply, "result": {**value, "last": last}}))

    async def greet(connection: ServerConnection, request: Any) -> None:
        seen.upgrades.append(request)

    async with (
        listener(_issue_token) as tokens,
        endpoint(answer, process_request=greet) as served,
    ):
        common = {"preset": "jsonrpc2", "url": served.url}
        stream = {"stream": {"until": "message.result.last", "include_last": True}}
        feed = {"name": "said", "match": "message.never is defined", "start": "first_use"}
        tools = [{"name": "t"}, {"name": "fail"}, {"name": "stream", "tool_call_template": stream}]
        auth = {
            "auth_type": "oauth2",
            "token_url": f"http://127.0.0.1:{tokens.port}/",
            "client_id": "c",
            "client_secret": "${caller:KEY}",
        }
        document = [
            {**common, "name": "m", "headers": {"X-Key": "Key ${caller:KEY}"}, "tools": tools, "feeds": [feed]},
            {**common, "name": "o", "auth": auth, "tools": [{"name": "t"}]},
        ]
        options = ("--caller-variable", "KEY=X-Caller-Key", "--log-level", log_level)
        async with service_of(document, "0", *options) as running:
            yield running


def _issue_token(request: bytes) -> bytes:
    """Return a token that names the caller whose secret was sent."""
    secret = parse_qs(request.decode().rpartition("\r\n")[2])["client_secret"][0]
    found = NAME.fullmatch(secret)
    number = found[1] if found else "unknown"
    return http_reply(200, json.dumps({"access_token": f"token-of-{number}", "expires_in": 60}).encode())


def _number_of(connection: ServerConnection) -> str:
    assert connection.request is not None
    headers = connection.request.headers
    found = re.search(
        r"caller-(\d+)-secret|token-of-(\d+)", headers.get("X-Key", "") + headers.get("Authorization", "")
    )
    return (found[1] or found[2]) if found else "0"


# Calls


async def _call_everything(served: Service, rounds: int) -> tuple[int, list[str], int]:
    """Return the answers of others, the values that were shown, and the number of calls."""
    results = await asyncio.gather(*(_one_caller(served, number, rounds) for number in range(1, CALLERS + 1)))
    crossed = sum(each[0] for each in results)
    return crossed, [name for each in results for name in each[1]], sum(each[2] for each in results)


async def _one_caller(served: Service, number: int, rounds: int) -> tuple[int, list[str], int]:
    crossed, shown, calls, modern = 0, list[str](), 0, number % 2 == 0
    session = None if modern else await _open_session(served, number)
    for _ in range(rounds):
        for tool in TOOLS:
            result = await _call(served, tool, number, _secret(number).encode(), modern=modern, session=session)
            text = json.dumps(result)
            calls += 1
            shown += NAME.findall(text)
            whose = set(re.findall(r'\\?"n\\?": ?\\?"(\d+)', text)) | set(re.findall(r"said: (\d+): ", text))
            crossed += whose != (set() if tool == "m_said_events" else {str(number)})
    return crossed, shown, calls


async def _open_session(served: Service, number: int) -> str:
    headers = [*mcp_headers(served, modern=False), ("X-Caller-Key", _secret(number))]
    client = RawClient(served)
    opened = await client.request("POST", "/mcp", headers, initialize_body())
    await client.aclose()
    return opened.headers["mcp-session-id"]


async def _call(
    served: Service, tool: str, number: int, value: bytes, *, modern: bool, session: str | None = None
) -> dict[str, Any]:
    arguments = {"wait_seconds": 0} if tool == "m_said_events" else {}
    params = {"name": tool, "arguments": arguments, **({"_meta": META} if modern else {})}
    body = json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}).encode()
    own = [("Mcp-Method", "tools/call"), ("Mcp-Name", tool)] if modern else []
    own += [("Mcp-Session-Id", session)] if session else []
    version = MODERN if modern else HANDSHAKE
    headers = [("MCP-Protocol-Version", version), *own, ("X-Caller-Key", value.decode("latin-1"))]
    answer = await _request(served, "POST", "/mcp", headers, body)
    if answer.status == 400:  # the head itself is malformed
        return {"isError": True}
    return dict(answer.message()["result"])


async def _request(
    served: Service, method: str, path: str, more: list[tuple[str, str]] | None, body: bytes
) -> HttpResponse:
    own = [("Host", f"127.0.0.1:{served.port}"), ("Authorization", f"Bearer {TOKEN}")]
    types = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")]
    client = RawClient(served)
    answer = await client.request(method, path, [*own, *types, *(more or ())], body)
    await client.aclose()
    return answer


async def _oracle(served: Service) -> int:
    """Return how many results and metrics miss words that another caller has chosen as its value."""
    changed = 0
    for word in (b"weather", b"of-today", b"the.weather"):
        await _call(served, "m_t", 1, word, modern=True)
        text = json.dumps(await _call(served, "m_t", 1, _secret(1).encode(), modern=True))
        changed += "the weather of-today is fine" not in text
    await _call(served, "m_t", 1, b"m.stream", modern=True)  # the name of a tool
    metrics = await _request(served, "GET", "/metrics", None, b"")
    return changed + (b'"m.stream"' not in metrics.body)


async def _many_values(served: Service, count: int) -> tuple[int, int]:
    """Call with one value after the other; return the growth of memory in bytes, and the number of values."""
    await _call(served, "m_t", 1, b"value-before-many", modern=True)
    before = served.memory()
    for number in range(count):
        await _call(served, "m_t", 1, f"value-{number}-of-many".encode(), modern=True)
    return served.memory() - before, count


if __name__ == "__main__":
    run(measure)
