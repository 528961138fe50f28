"""S11: the HTTP server rejects unauthorized requests, separates clients and bounds its memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .http_service import TOKEN, HttpResponse, RawClient, Service, call_body, initialize_body, mcp_headers, service

BINDS: Final = (
    ("127.0.0.1:0", ()),
    ("[::1]:0", ()),
    ("0.0.0.0:0", ("--allowed-host", "mcp.example", "--allowed-origin", "https://app.example")),
)
HOSTS: Final = (
    "OWN",
    "localhost:PORT",
    "LOCALHOST:PORT",
    "mcp.example",
    "evil.example",
    "127.0.0.1:80.evil.example",
    "127.0.0.1:PORT.evil.example",
    "x/abc?",
    "127.0.0.1",
    "NONE",
    "TWICE",
)
ORIGINS: Final = (
    "NONE",
    "http://OWN",
    "http://localhost:PORT",
    "https://app.example",
    "https://localhost:PORT",
    "http://localhost.evil.example",
    "http://localhost:PORT.evil.example",
    "null",
    "file://",
)
TOKENS: Final = ("RIGHT", "LOWER", "NONE", "WRONG", "PREFIX", "QUERY", "BASIC", "TWICE")
KINDS: Final = ("application/json", "application/json; charset=utf-8", "application/jsonx", "text/plain", "NONE")
METHODS: Final = ("POST", "GET", "DELETE", "OPTIONS", "PUT")
VALID_FORM: Final = {"token": ("RIGHT", "LOWER"), "kind": KINDS[:2], "method": ("POST",)}
ALLOWED: Final = {
    False: {
        "host": ("OWN", "localhost:PORT", "LOCALHOST:PORT"),
        "origin": ("NONE", "http://OWN", "http://localhost:PORT"),
        **VALID_FORM,
    },
    True: {"host": ("mcp.example",), "origin": ("NONE", "https://app.example"), **VALID_FORM},
}
"""The accepted values, by whether the server is bound to all addresses: on loopback, and with `--allowed-host`."""

CLIENTS: Final = 8
MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """One request of the matrix."""

    host: str
    origin: str
    token: str
    kind: str
    method: str

    def is_allowed(self, bind: str) -> bool:
        """Return whether the request may reach a handler."""
        return _violations(self, bind) == 0


async def measure(size: Size) -> Sequence[Figure]:
    """Measure the request matrix for each bind address, calls with equal ids, and many sessions."""
    accepted = rejected = unauthorized = authorized = 0
    for bind, options in BINDS:
        async with service(bind, *options) as served:
            chosen = _rows(size, bind)
            wrongly_accepted, wrongly_rejected = await _matrix(served, bind, chosen)
            allowed = sum(row.is_allowed(bind) for row in chosen)
            unauthorized, authorized = unauthorized + len(chosen) - allowed, authorized + allowed
            accepted, rejected = accepted + wrongly_accepted, rejected + wrongly_rejected
    async with service("0", "--max-sessions", "500") as served:
        crossed, answered = await _equal_ids(served, size.of(10_000, 50_000, light=3_000))
    async with service("0") as served:
        growth, opened = await _open_sessions(served, size.of(20_000, 100_000, light=7_000))
    return [
        Figure("S11", "unauthorized requests accepted", f"{accepted} of {unauthorized}", "0", not accepted),
        Figure("S11", "authorized requests rejected", f"{rejected} of {authorized}", "0", not rejected),
        Figure(
            "S11", f"crossed answers of {CLIENTS} clients with equal ids", f"{crossed} of {answered}", "0", not crossed
        ),
        Figure(
            "S11",
            "memory after many `initialize` requests",
            f"{growth / MEBIBYTE:+.0f} MiB after {opened:,}",
            "≤ +64 MiB",
            growth <= 64 * MEBIBYTE,
        ),
    ]


def _rows(size: Size, bind: str) -> list[Row]:
    """Return every allowed request, requests with one violation, and a sample of the others."""
    every = [Row(*values) for values in product(HOSTS, ORIGINS, TOKENS, KINDS, METHODS)]
    allowed = [row for row in every if row.is_allowed(bind)]
    near = [row for row in every if _violations(row, bind) == 1]
    rest = [row for row in every if _violations(row, bind) > 1]
    rng = size.random()
    return [*allowed, *rng.sample(near, min(len(near), size.of(400, len(near), light=150))),
            *rng.sample(rest, size.of(300, len(rest), light=100))]  # fmt: skip


def _violations(row: Row, bind: str) -> int:
    """Return the number of fields with a value that is not allowed."""
    allowed = ALLOWED[bind.startswith("0.0.0.0")]
    return sum(getattr(row, name) not in values for name, values in allowed.items())


async def _matrix(served: Service, bind: str, rows: Sequence[Row]) -> tuple[int, int]:
    """Return the number of unauthorized requests that were accepted, and of authorized ones that were not."""
    wrongly_accepted = wrongly_rejected = 0
    for number, row in enumerate(rows):
        client = RawClient(served)
        before = len(served.received_calls)
        target = f"/mcp?token={TOKEN}&access_token={TOKEN}" if row.token == "QUERY" else "/mcp"
        body = call_body(number, {"n": number}, modern=True)
        answer = await client.request(row.method, target, list(_headers(served, row)), body)
        await client.aclose()
        reached = len(served.received_calls) > before or answer.status < 400
        wrongly_accepted += reached and not row.is_allowed(bind)
        wrongly_rejected += row.is_allowed(bind) and not _answers(answer, number)
    return wrongly_accepted, wrongly_rejected


def _headers(served: Service, row: Row) -> Iterator[tuple[str, str]]:
    defaults = dict(mcp_headers(served, modern=True))
    own_host = defaults["Host"]

    def fill(text: str) -> str:
        return text.replace("OWN", own_host).replace("PORT", str(served.port))

    tokens = {"RIGHT": f"Bearer {TOKEN}", "LOWER": f"bearer {TOKEN}", "WRONG": "Bearer wrong",
              "PREFIX": f"Bearer {TOKEN[:-1]}", "BASIC": f"Basic {TOKEN}", "TWICE": f"Bearer {TOKEN}"}  # fmt: skip
    if row.host != "NONE":
        yield "Host", own_host if row.host == "TWICE" else fill(row.host)
    if row.host == "TWICE":
        yield "Host", own_host
    if row.origin != "NONE":
        yield "Origin", fill(row.origin)
    if row.token in tokens:
        yield "Authorization", tokens[row.token]
    if row.token == "TWICE":
        yield "Authorization", tokens["WRONG"]
    if row.kind != "NONE":
        yield "Content-Type", row.kind
    yield from ((name, defaults[name]) for name in ("Accept", "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"))


def _answers(answer: HttpResponse, number: int) -> bool:
    return answer.status == 200 and answer.message()["result"]["structuredContent"] == {"n": number}


async def _equal_ids(served: Service, calls: int) -> tuple[int, int]:
    """Make concurrent calls with the same ids; half of the clients use 2026-07-28, half have sessions."""
    counts = await asyncio.gather(*(_call_many(served, number, calls // CLIENTS) for number in range(CLIENTS)))
    return sum(counts), calls


async def _call_many(served: Service, name: int, calls: int) -> int:
    modern = name % 2 == 0
    client = RawClient(served)
    headers = mcp_headers(served, modern=modern)
    if not modern:
        opened = await client.request("POST", "/mcp", headers, initialize_body())
        headers.append(("Mcp-Session-Id", opened.headers["mcp-session-id"]))
    crossed = 0
    for number in range(1, calls + 1):
        arguments = {"client": name, "number": number}
        answer = await client.request("POST", "/mcp", headers, call_body(number, arguments, modern=modern))
        message = answer.message()
        crossed += message.get("id") != number or message["result"]["structuredContent"] != arguments
    await client.aclose()
    return crossed


async def _open_sessions(served: Service, count: int) -> tuple[int, int]:
    """Open sessions and return the growth of memory in bytes and their number."""
    client, headers = RawClient(served), mcp_headers(served, modern=False)
    await client.request("POST", "/mcp", headers, initialize_body())
    before = served.memory()
    for _ in range(count):
        await client.request("POST", "/mcp", headers, initialize_body())
    growth = served.memory() - before
    await client.aclose()
    return growth, count


if __name__ == "__main__":
    run(measure)
