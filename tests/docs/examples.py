"""The examples of the documentation: read from Markdown, and played against a scripted endpoint.

A fenced block is an example by the HTML comment on the line before it. A block of JSON without one is a manifest.

    (none), ```json        a manifest; the marks that follow speak of it
    asked / manual         what discovery sends; the manual that the endpoint answers
    http / answers         a request of before_connect; the HTTP answer (`answers: 403` has that status): its body, or
                           (http) its headers, an empty line and its body
    greets                 what the endpoint sends when a connection opens
    sends                  what the bridge sends by itself: a step of the login, or, below a call, in the middle of it
    beat                   the heartbeat; the endpoint answers a call once it has seen one
    call: TOOL ARGUMENTS   the message that this call sends
    watch: TOOL ARGUMENTS  what the endpoint sends while this call waits, which sends nothing
    upgrade                the request line and headers with which that call connected
    replies                what the endpoint sends after the message above: JSON, or a message in each line
    closes                 the code and the reason with which it then closes the connection
    afterwards             the message that is sent when the call has ended
    result / error         what the call gives / the sentence that it raises
    refused: TOOL ARGS     the sentence that this call raises before its message is sent; what stands below it, such as
                           `greets`, `sends` or `answers`, takes the place of what the example says
    tools                  the tools, as `utcp-ws-mcp tools` lists them
    wrong / problems       a manifest that does not load; what is said of it
    other                  JSON of something else
    demo / prints          what `make demo` / the Python example of the README print

A message is JSON (json, jsonl), text (text), or binary (hex). In text, a control character is written as its symbol:
U+241E, the symbol for record separator, stands for U+001E.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import anyio
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from utcp_ws_mcp import Bridge, BridgeError, Streamed
from utcp_ws_mcp.cli.tools import signature
from utcp_ws_mcp.core.exchange.connection_state import Session
from utcp_ws_mcp.core.expressions.scope import Ambient
from utcp_ws_mcp.observability import events

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

VARIABLES = {
    "API_KEY": "key-123456",
    "API_TOKEN": "token-123456",
    "API_USER": "ada",
    "API_PASSWORD": "password-123456",
    "CLIENT_ID": "client-123456",
    "CLIENT_SECRET": "secret-123456",
    "HOME_TOKEN": "home-123456",
    "HOMEASSISTANT_TOKEN": "house-123456",
    "JUPYTER_TOKEN": "jupyter-123456",
    "REGION": "eu",
}
"""The environment of the examples."""

FILES = {"secrets.env": b"", "chime.raw": bytes.fromhex("0001fffe")}
"""The files beside the manifests."""

NOW = datetime(2026, 11, 20, 8, 12, 0, 123000, UTC)
RANDOM = bytes.fromhex("5f0c3d0e9a414b6f8e2d7c1b0a99f312")
"""What time and randomness are in the examples: an id that is a UUID is 5f0c3d0e-9a41-4b6f-8e2d-7c1b0a99f312."""

HEARTBEAT = 0.1
"""Seconds between two heartbeats in the examples, whatever they say."""

_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_ORIGIN = re.compile(r"\b(ws|http)s?://[A-Za-z0-9.-]+(:\d+)?")
_CONTROL = {0x2400 + code: code for code in range(32)}


@dataclass(frozen=True)
class Block:
    """A fenced block and the comment on the line before it."""

    place: str
    mark: str
    language: str
    text: str

    @property
    def kind(self) -> str:
        return self.mark.partition(":")[0] or ("manifest" if self.language == "json" else "")

    @property
    def message(self) -> Any:
        """The one value that the block shows."""
        if self.language == "json":
            return json.loads(self.text)
        text = self.text.removesuffix("\n")
        return bytes.fromhex(text) if self.language == "hex" else text.translate(_CONTROL)

    @property
    def messages(self) -> list[str | bytes]:
        """The messages that the block shows, as they stand on the wire."""
        if self.language == "json":
            return [json.dumps(self.message)]
        lines = self.text.splitlines()
        return [bytes.fromhex(line) if self.language == "hex" else line.translate(_CONTROL) for line in lines]


@dataclass
class Line:
    """A message that the bridge sends, what the endpoint says then, and how it closes the connection."""

    sent: Block | None = None
    replies: list[str | bytes] = field(default_factory=list)
    closes: tuple[int, str] | None = None


@dataclass
class Part:
    """A run of marked blocks: single ones by their kind, and what is sent and said, line by line."""

    blocks: dict[str, Block] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)

    def add(self, block: Block) -> None:
        match block.kind:
            case "call" | "sends" | "asked":
                self.lines.append(Line(block))
            case "greets" | "watch":
                self.lines.append(Line(None, block.messages))
            case "replies" | "manual":
                self.lines[-1].replies = block.messages
            case "closes":
                code, _, reason = block.message.partition(" ")
                self.lines[-1].closes = int(code), reason
            case _:
                self.blocks[block.kind] = block

    @property
    def sent(self) -> list[Any]:
        return [_decoded(line.sent.message) for line in self.lines if line.sent is not None]

    def status(self) -> int:
        return int(self.blocks["answers"].mark.partition(":")[2] or 200)


@dataclass
class Scene(Part):
    """One call of an example, and what belongs to it."""

    call: Block = field(kw_only=True)

    @property
    def tool(self) -> str:
        return self.call.mark.split()[1]

    @property
    def arguments(self) -> dict[str, Any]:
        return json.loads(self.call.mark.split(maxsplit=2)[2])

    @property
    def waits(self) -> bool:
        """Whether the page shows nothing that ends the call."""
        said = any(line.replies or line.closes for line in self.lines)
        return self.call.kind == "call" and not said and "result" not in self.blocks


@dataclass
class Example(Part):
    """A manifest of the documentation with everything that is shown of it."""

    manifest: Block = field(kw_only=True)
    scenes: list[Scene] = field(default_factory=list)

    def before(self, scene: Scene) -> Part:
        """What the bridge and the endpoint do before a call: its own script where the call is refused by one."""
        return scene if scene.call.kind == "refused" and (scene.lines or "answers" in scene.blocks) else self


def read_blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        yield Block(
            f"{page.relative_to(ROOT).as_posix()}:{line}", found["mark"] or "", found["language"], found["text"]
        )


_OF_AN_EXAMPLE = {"asked", "manual", "tools", "problems", "http", "beat"}
_OF_A_CALL = {"upgrade", "afterwards", "result", "error"}
_SAID = {"greets", "sends", "replies", "closes", "answers"}
_NO_EXAMPLE = {"", "other", "demo", "prints"}


def read_examples(pages: Sequence[Path] = PAGES) -> list[Example]:
    """The manifests of the pages, each with the marked blocks that follow it."""
    examples: list[Example] = []
    for block in (block for page in pages for block in read_blocks(page)):
        if block.kind in ("manifest", "wrong"):
            examples.append(Example(manifest=block))
        elif block.kind in ("call", "refused", "watch"):
            examples[-1].scenes.append(Scene(call=block))
            if block.kind != "refused":
                examples[-1].scenes[-1].add(block)
        elif block.kind in _OF_AN_EXAMPLE:
            examples[-1].add(block)
        elif block.kind in _OF_A_CALL:
            examples[-1].scenes[-1].add(block)
        elif block.kind in _SAID:
            (examples[-1].scenes or examples)[-1].add(block)
        elif block.kind not in _NO_EXAMPLE:
            raise AssertionError(f"{block.place}: there is no kind of example {block.kind!r}")
    return examples


@dataclass
class Endpoint:
    """An endpoint that knows its lines: what it is told, and what it says then. `http` is its HTTP answer."""

    lines: list[Line]
    beat: Any = None
    http: tuple[int, Block] | None = None
    received: list[Any] = field(default_factory=list)
    beats: int = 0
    requests: list[str] = field(default_factory=list)
    upgrades: list[Any] = field(default_factory=list)
    connections: list[ServerConnection] = field(default_factory=list)
    opened: anyio.Event = field(default_factory=anyio.Event)
    told_all: anyio.Event = field(default_factory=anyio.Event)
    gone: anyio.Event = field(default_factory=anyio.Event)
    port: int = 0
    http_port: int = 0

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Endpoint]:
        async with AsyncExitStack() as servers:
            server = await servers.enter_async_context(
                serve(self._serve, "127.0.0.1", 0, select_subprotocol=_first, ping_interval=None)
            )
            self.port = next(iter(server.sockets)).getsockname()[1]
            if self.http is not None:
                web = await servers.enter_async_context(await asyncio.start_server(self._answer, "127.0.0.1", 0))
                self.http_port = web.sockets[0].getsockname()[1]
            yield self

    def here(self, text: str) -> str:
        """A text whose URLs lead to this endpoint."""
        ports = {"ws": self.port, "http": self.http_port}
        return _ORIGIN.sub(lambda found: f"{found[1]}://127.0.0.1:{ports[found[1]]}", text)

    def observe(self, event: events.Event) -> None:
        if isinstance(event, events.Opened):
            self.opened.set()

    async def _serve(self, websocket: ServerConnection) -> None:
        self.upgrades.append(websocket.request)
        self.connections.append(websocket)
        with suppress(ConnectionClosed):
            await self._talk(websocket)
        self.gone.set()

    async def _talk(self, websocket: ServerConnection) -> None:
        if self.lines and self.lines[0].sent is None:
            await self.say(self.lines[0], websocket)
        held: list[Line] = []
        async for raw in websocket:
            message = _decoded(raw)
            if self.beat is not None and message == self.beat:
                self.beats += 1
            else:
                self.received.append(message)
            if len(self.received) >= sum(line.sent is not None for line in self.lines):
                self.told_all.set()
            held += [line for line in self.lines if line.sent and _decoded(line.sent.message) == message]
            ready = [line for line in held if self.beat is None or self.beats or line.sent.kind != "call"]
            held = [line for line in held if line not in ready]
            for line in ready:
                await self.say(line, websocket)

    async def say(self, line: Line, websocket: ServerConnection) -> None:
        for reply in line.replies:
            await websocket.send(reply)
        if line.closes is not None:
            await websocket.close(*line.closes)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one HTTP request, and note it as the documentation shows it."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().removesuffix("\r\n\r\n").replace("\r\n", "\n")
        length = re.search(r"^content-length: (\d+)$", head, re.IGNORECASE | re.MULTILINE)
        body = await reader.readexactly(int(length[1])) if length else b""
        self.requests.append(head.replace(" HTTP/1.1", "", 1) + (f"\n\n{body.decode()}" if body else ""))
        assert self.http is not None
        status, block = self.http
        head, _, text = block.text.partition("\n\n") if block.language == "http" else ("", "", self.here(block.text))
        fixed = [f"HTTP/1.1 {status} X", "Connection: close", f"Content-Length: {len(text.encode())}"]
        writer.write("\r\n".join([*fixed, *head.splitlines(), "", text]).encode())
        await writer.drain()
        writer.close()


def _first(_: ServerConnection, offered: Sequence[str]) -> str | None:
    return offered[0] if offered else None


def _decoded(raw: Any) -> Any:
    try:
        return json.loads(raw) if isinstance(raw, str) else raw
    except ValueError:
        return raw


@asynccontextmanager
async def open_example(example: Example, folder: Path, endpoint: Endpoint) -> AsyncIterator[Bridge]:
    """The bridge for the manifest of an example, whose URLs lead to the endpoint."""
    file = write_manifest(endpoint.here(example.manifest.text), folder)
    bridge = Bridge.open(file, environ=VARIABLES, observe=endpoint.observe)
    bridge._ambient = Ambient(lambda: NOW, lambda count: RANDOM[:count])
    interval = Session.interval
    hurried = mock.patch.object(Session, "interval", lambda session: interval(session) and HEARTBEAT)
    with anyio.fail_after(10), hurried:
        async with bridge:
            await bridge.wait_discovered(5)
            yield bridge


def write_manifest(text: str, folder: Path) -> Path:
    """A manifest file with the files that manifests name."""
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    file = folder / "manifest.json"
    file.write_text(text, encoding="utf-8")
    return file


async def list_tools(example: Example, folder: Path) -> str:
    """The tools of an example, as the command line lists them."""
    async with Endpoint(example.lines).run() as endpoint, open_example(example, folder, endpoint) as bridge:
        return "".join(f"{plan.full_name}({signature(plan.inputs)})\n" for plan in bridge.tools.values())


async def play(example: Example, scene: Scene, folder: Path) -> tuple[Endpoint, Any]:
    """Make the call of a scene: what the endpoint saw, and what the call gave (an error as its sentence)."""
    before = example.before(scene)
    later = [] if scene.call.kind == "refused" else [line for line in scene.lines if line.sent]
    http = (before.status(), before.blocks["answers"]) if "answers" in before.blocks else None
    beat = example.blocks["beat"].message if "beat" in example.blocks else None
    async with Endpoint([*before.lines, *later], beat, http).run() as endpoint:
        async with open_example(example, folder, endpoint) as bridge:
            outcome = await _outcome(bridge, scene, endpoint)
        if endpoint.upgrades:
            with anyio.fail_after(5):
                await endpoint.gone.wait()
    return endpoint, _renamed(outcome, example, endpoint)


async def _outcome(bridge: Bridge, scene: Scene, endpoint: Endpoint) -> Any:
    """The result or the error of the call; where the page shows no end of it, it is cancelled once it was sent."""
    outcome: Any = None
    async with anyio.create_task_group() as tasks:

        async def call() -> None:
            nonlocal outcome
            try:
                value = await bridge.call_tool(scene.tool, scene.arguments)
            except BridgeError as failed:
                value = str(failed)
            outcome = value.value if isinstance(value, Streamed) else value
            endpoint.told_all.set()

        tasks.start_soon(call)
        if scene.call.kind == "watch":
            await endpoint.opened.wait()
            await anyio.wait_all_tasks_blocked()
            await endpoint.say(scene.lines[0], endpoint.connections[-1])
        elif scene.waits:
            await endpoint.told_all.wait()
            tasks.cancel_scope.cancel()
    return outcome


def _renamed(outcome: Any, example: Example, endpoint: Endpoint) -> Any:
    """A sentence with the origins that the example has, not those of the endpoint."""
    if isinstance(outcome, str):
        for found in _ORIGIN.finditer(example.manifest.text):
            outcome = outcome.replace(endpoint.here(found[0]), found[0])
    return outcome
