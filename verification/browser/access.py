"""B1: only a browser on this machine that has the token reaches the studio; a port in use is said to be.

A matrix of raw requests and WebSocket handshakes has one wrong token, Host or Origin each. Then a page of another
origin, in a real browser, tries what pages can try: fetch, a WebSocket, a frame and a form. Pass criteria: nothing
without all three right is answered with more than a refusal, everything with them is.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.async_api import Browser

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .chromium import chromium, window
from .studio import START_TIMEOUT, Studio, start, studio

SOCKET: Final = "_nicegui_ws/socket.io/?EIO=4&transport=websocket"
UPGRADE: Final = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)
HOSTS: Final = (
    "evil.example",
    "evil.example:PORT",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.0.0.1:PORT.evil.example",
    "localhost.evil.example:PORT",
    "127.0.0.1.evil.example:PORT",
    "[::1]:PORT",
    "0.0.0.0:PORT",
)
ORIGINS: Final = (
    "null",
    "file://",
    "http://evil.example",
    "https://127.0.0.1:PORT",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "http://127.0.0.1:PORT.evil.example",
    "http://localhost:PORT.evil.example",
)
NEEDED_HEADERS: Final = ("content-security-policy", "x-content-type-options", "referrer-policy")
ATTEMPTS: Final = """async ([page, socket]) => {
  const reached = [];
  const read = await fetch(page).then((answer) => answer.text(), () => "");
  if (read) reached.push("fetch");
  await new Promise((done) => {
    const link = new WebSocket(socket);
    link.onmessage = () => { reached.push("WebSocket"); done(); };
    link.onerror = link.onclose = done;
  });
  const frame = document.createElement("iframe");
  frame.src = page;
  document.body.append(frame);
  await new Promise((done) => { frame.onload = done; setTimeout(done, 3000); });
  await new Promise((done) => setTimeout(done, 500));
  if (frame.contentDocument?.body?.innerText || frames[0].length) reached.push("frame");
  return reached;
}"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request: its path and headers, and whether it is a WebSocket handshake."""

    path: str
    host: str
    origin: str | None
    upgrade: bool = False


async def measure(size: Size) -> Sequence[Figure]:
    """Send the matrix, let another page try, and start a second studio on the same port."""
    del size
    with tempfile.TemporaryDirectory() as folder:
        async with studio(Path(folder)) as served:
            wrong, right = list(_wrong(served)), list(_right(served))
            answered = [each for each in wrong if await _is_answered(served, each)]
            refused = [each for each in right if not await _is_answered(served, each)]
            bare = await _missing_headers(served)
            async with chromium() as browser:
                reached = await _other_page(browser, served)
            said = await _second_on_port(served, Path(folder))
            alive = await _is_answered(served, right[0])
    return [
        Figure("B1", "requests with a wrong token, Host or Origin that were answered",
               _listed(len(wrong), answered), "0", not answered),
        Figure("B1", "right requests that were refused", _listed(len(right), refused), "0", not refused),
        Figure("B1", "headers that keep the page apart and are missing", ", ".join(bare) or "0", "0", not bare),
        Figure("B1", "ways in which a page of another origin reached it", ", ".join(reached) or "0 of 6", "0",
               not reached),
        Figure("B1", "a second studio on the same port", said, "says so, the first one goes on",
               "is in use" in said and alive),
    ]  # fmt: skip


def _listed(count: int, found: Sequence[Attempt]) -> str:
    return "; ".join([f"{len(found)} of {count}", *map(str, found[:3])])


def _right(served: Studio) -> Iterator[Attempt]:
    for host in (f"127.0.0.1:{served.port}", f"localhost:{served.port}"):
        for origin in (None, f"http://{host}"):
            yield Attempt(f"/{served.token}/", host, origin)
            yield Attempt(f"/{served.token}/{SOCKET}", host, origin, upgrade=True)


def _wrong(served: Studio) -> Iterator[Attempt]:
    own, token = f"127.0.0.1:{served.port}", served.token
    tokens = ("", "x", token[:-1], f"{token}x", token.swapcase(), f"x/../{token}", f"%2e/{token}", f"?{token}", "..")
    for path in tokens:
        yield Attempt(f"/{path}/", own, None)
        yield Attempt(f"/{path}/{SOCKET}", own, None, upgrade=True)
    for name in ("_nicegui/", "docs", "openapi.json", "redoc"):
        yield Attempt(f"/{name}", own, None)
    for host in HOSTS:
        filled = host.replace("PORT", str(served.port))
        yield Attempt(f"/{token}/", filled, None)
        yield Attempt(f"/{token}/{SOCKET}", filled, None, upgrade=True)
    for origin in ORIGINS:
        filled = origin.replace("PORT", str(served.port))
        yield Attempt(f"/{token}/", own, filled)
        yield Attempt(f"/{token}/{SOCKET}", own, filled, upgrade=True)


async def _is_answered(served: Studio, attempt: Attempt) -> bool:
    """Return whether a request is answered with the page, or a handshake with a connection."""
    status = (await _request(served, attempt)).split(" ", 2)[1:2]
    return status == (["101"] if attempt.upgrade else ["200"])


async def _request(served: Studio, attempt: Attempt) -> str:
    """Return the head of the response to a request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    headers = [("Host", attempt.host), *((("Origin", attempt.origin),) if attempt.origin else ())]
    headers += UPGRADE if attempt.upgrade else (("Connection", "close"),)
    lines = [f"GET {attempt.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    writer.write("\r\n".join(lines).encode())
    try:
        async with asyncio.timeout(START_TIMEOUT):
            head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as ended:
        head = ended.partial
    finally:
        writer.close()
    return head.decode("latin-1")


async def _missing_headers(served: Studio) -> list[str]:
    page, refusal = Attempt(f"/{served.token}/", f"127.0.0.1:{served.port}", None), Attempt("/", "evil.example", None)
    heads = [(await _request(served, each)).lower() for each in (page, refusal)]
    return [name for name in NEEDED_HEADERS for head in heads if f"\r\n{name}: " not in head]


async def _other_page(browser: Browser, served: Studio) -> list[str]:
    """Return how a page of another origin reached the studio, with its token and without."""
    reached: list[str] = []
    async with _other_server() as other, window(browser) as context:
        for token in (served.token, "guess"):
            page = await context.new_page()
            await page.goto(other)
            addresses = [f"{served.origin}/{token}/", f"ws://127.0.0.1:{served.port}/{token}/{SOCKET}"]
            reached += await page.evaluate(ATTEMPTS, addresses)
            await page.close()
    return reached


@asynccontextmanager
async def _other_server() -> AsyncIterator[str]:
    """Serve an empty page of another origin."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b"<!doctype html><title>another page</title><body></body>"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def _second_on_port(served: Studio, folder: Path) -> str:
    """Return what a second studio on the same port says."""
    process = await start(folder, "--no-browser", "--port", str(served.port))
    _, errors = await asyncio.wait_for(process.communicate(), START_TIMEOUT)
    return f"exit code {process.returncode}: {errors.decode().strip()[-200:]}"


if __name__ == "__main__":
    run(measure)
