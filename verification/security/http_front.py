"""S11: the HTTP front. Nobody enters who may not, nobody gets another's answer, nobody fills the memory."""

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
"""What may enter on loopback, and where the server is known by the name it was told."""

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
        """Whether the request may reach a handler."""
        return _violations(self, bind) == 0


async def measure(size: Size) -> Sequence[Figure]:
    """The matrix against each bind, calls with equal ids, sessions without end."""
    wrong = missing = strangers = guests = 0
    for bind, options in BINDS:
        async with service(bind, *options) as served:
            chosen = _rows(size, bind)
            entered, refused = await _matrix(served, bind, chosen)
            invited = sum(row.is_allowed(bind) for row in chosen)
            strangers, guests = strangers + len(chosen) - invited, guests + invited
            wrong, missing = wrong + entered, missing + refused
    async with service("0", "--max-sessions", "500") as served:
        crossed, answered = await _equal_ids(served, size.of(10_000, 50_000))
    async with service("0") as served:
        grown, opened = await _sessions(served, size.of(20_000, 100_000))
    return [
        Figure("S11", "unauthorised requests that reached a handler", f"{wrong} of {strangers}", "0", wrong == 0),
        Figure("S11", "authorised requests that were not answered", f"{missing} of {guests}", "0", missing == 0),
        Figure(
            "S11", f"crossed answers of {CLIENTS} clients with equal ids", f"{crossed} of {answered}", "0", not crossed
        ),
        Figure(
            "S11",
            "memory after `initialize` without end",
            f"{grown / MEBIBYTE:+.0f} MiB after {opened:,}",
            "≤ +64 MiB",
            grown <= 64 * MEBIBYTE,
        ),
    ]


def _rows(size: Size, bind: str) -> list[Row]:
    """Every request that may enter, all that differ from one of them in one thing, and a sample of the others."""
    every = [Row(*values) for values in product(HOSTS, ORIGINS, TOKENS, KINDS, METHODS)]
    right = [row for row in every if row.is_allowed(bind)]
    near = [row for row in every if _violations(row, bind) == 1]
    rest = [row for row in every if _violations(row, bind) > 1]
    draws = size.random()
    return [*right, *draws.sample(near, min(len(near), size.of(400, len(near)))),
            *draws.sample(rest, size.of(300, len(rest)))]  # fmt: skip


def _violations(row: Row, bind: str) -> int:
    """In how many things a request would have to be another one to enter."""
    right = ALLOWED[bind.startswith("0.0.0.0")]
    return sum(getattr(row, name) not in values for name, values in right.items())


async def _matrix(served: Service, bind: str, rows: Sequence[Row]) -> tuple[int, int]:
    """How many entered that may not, and how many did not that may."""
    wrong = missing = 0
    for number, row in enumerate(rows):
        client = RawClient(served)
        before = len(served.received_calls)
        target = f"/mcp?token={TOKEN}&access_token={TOKEN}" if row.token == "QUERY" else "/mcp"
        body = call_body(number, {"n": number}, modern=True)
        answer = await client.request(row.method, target, list(_headers(served, row)), body)
        await client.aclose()
        entered = len(served.received_calls) > before or answer.status < 400
        wrong += entered and not row.is_allowed(bind)
        missing += row.is_allowed(bind) and not _answers(answer, number)
    return wrong, missing


def _headers(served: Service, row: Row) -> Iterator[tuple[str, str]]:
    usual = dict(mcp_headers(served, modern=True))
    own = usual["Host"]

    def filled(text: str) -> str:
        return text.replace("OWN", own).replace("PORT", str(served.port))

    tokens = {"RIGHT": f"Bearer {TOKEN}", "LOWER": f"bearer {TOKEN}", "WRONG": "Bearer wrong",
              "PREFIX": f"Bearer {TOKEN[:-1]}", "BASIC": f"Basic {TOKEN}", "TWICE": f"Bearer {TOKEN}"}  # fmt: skip
    if row.host != "NONE":
        yield "Host", own if row.host == "TWICE" else filled(row.host)
    if row.host == "TWICE":
        yield "Host", own
    if row.origin != "NONE":
        yield "Origin", filled(row.origin)
    if row.token in tokens:
        yield "Authorization", tokens[row.token]
    if row.token == "TWICE":
        yield "Authorization", tokens["WRONG"]
    if row.kind != "NONE":
        yield "Content-Type", row.kind
    yield from ((name, usual[name]) for name in ("Accept", "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"))


def _answers(answer: HttpResponse, number: int) -> bool:
    return answer.status == 200 and answer.message()["result"]["structuredContent"] == {"n": number}


async def _equal_ids(served: Service, calls: int) -> tuple[int, int]:
    """Half of the clients speak 2026-07-28, half have sessions; all number their calls alike."""
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


async def _sessions(served: Service, count: int) -> tuple[int, int]:
    """How much memory grows, and how many were asked for."""
    client, headers = RawClient(served), mcp_headers(served, modern=False)
    await client.request("POST", "/mcp", headers, initialize_body())
    before = served.memory()
    for _ in range(count):
        await client.request("POST", "/mcp", headers, initialize_body())
    grown = served.memory() - before
    await client.aclose()
    return grown, count


if __name__ == "__main__":
    run(measure)
