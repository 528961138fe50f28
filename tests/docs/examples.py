"""The examples of the documentation: read from Markdown, and played against a scripted endpoint.

A fenced block is an example by the HTML comment on the line before it. A block of JSON without one is a manifest.

    (none), ```json        a manifest; the marks that follow speak of it
    asked / manual         what discovery sends; the manual that the endpoint answers
    call: TOOL ARGUMENTS   the message that this call sends
    upgrade                the request line and headers with which that call connected
    replies                what the endpoint sends then: a JSON document, or a message in each line (jsonl, text)
    afterwards             the message that is sent when the call has ended
    result / error         what the call gives / the sentence that it raises
    refused: TOOL ARGS     the sentence that this call raises; nothing is sent
    tools                  the tools, as `utcp-ws-mcp tools` lists them
    wrong / problems       a manifest that does not load; what is said of it
    other                  JSON of something else
    demo / prints          what `make demo` / the Python example of the README print
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
from websockets.asyncio.server import ServerConnection, serve

from utcp_ws_mcp import Bridge, BridgeError, Streamed
from utcp_ws_mcp.cli import _signature
from utcp_ws_mcp.wire.scope import Ambient

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

VARIABLES = {
    "API_KEY": "key-123456",
    "API_TOKEN": "token-123456",
    "API_USER": "ada",
    "API_PASSWORD": "password-123456",
    "CLIENT_ID": "client-123456",
    "CLIENT_SECRET": "secret-123456",
    "HOME_TOKEN": "home-123456",
    "REGION": "eu",
}
"""The environment of the examples."""

NOW = datetime(2026, 11, 20, 8, 12, 0, 123000, UTC)
RANDOM = bytes.fromhex("5f0c3d0e9a414b6f8e2d7c1b0a99f312")
"""What time and randomness are in the examples: an id that is a UUID is 5f0c3d0e-9a41-4b6f-8e2d-7c1b0a99f312."""

_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_ORIGIN = re.compile(r"\b(wss?)://[A-Za-z0-9.-]+(:\d+)?")


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
        """The one message that the block shows."""
        return json.loads(self.text) if self.language == "json" else self.text.removesuffix("\n")

    @property
    def messages(self) -> list[str]:
        """The messages that the block shows, as they stand on the wire."""
        return [json.dumps(self.message)] if self.language == "json" else self.text.splitlines()


@dataclass
class Scene:
    """One call of an example, and what belongs to it."""

    call: Block
    blocks: dict[str, Block] = field(default_factory=dict)

    @property
    def tool(self) -> str:
        return self.call.mark.split()[1]

    @property
    def arguments(self) -> dict[str, Any]:
        return json.loads(self.call.mark.split(maxsplit=2)[2])

    @property
    def replies(self) -> list[str]:
        return self.blocks["replies"].messages if "replies" in self.blocks else []


@dataclass
class Example:
    """A manifest of the documentation with everything that is shown of it."""

    manifest: Block
    blocks: dict[str, Block] = field(default_factory=dict)
    scenes: list[Scene] = field(default_factory=list)

    @property
    def discovery(self) -> list[tuple[Any, list[str]]]:
        """What the endpoint is asked for its manual, and the answer."""
        if "manual" not in self.blocks:
            return []
        asked = self.blocks["asked"].message if "asked" in self.blocks else {"type": "utcp"}
        return [(asked, self.blocks["manual"].messages)]


def read_blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        yield Block(f"{page.name}:{line}", found["mark"] or "", found["language"], found["text"])


def read_examples(pages: Sequence[Path] = PAGES) -> list[Example]:
    """The manifests of the pages, each with the marked blocks that follow it."""
    examples: list[Example] = []
    for block in (block for page in pages for block in read_blocks(page)):
        match block.kind:
            case "manifest" | "wrong":
                examples.append(Example(block))
            case "call" | "refused":
                examples[-1].scenes.append(Scene(block))
            case "asked" | "manual" | "tools" | "problems":
                examples[-1].blocks[block.kind] = block
            case "upgrade" | "replies" | "afterwards" | "result" | "error":
                examples[-1].scenes[-1].blocks[block.kind] = block
            case "" | "other" | "demo" | "prints":
                continue
            case unknown:
                raise AssertionError(f"{block.place}: there is no kind of example {unknown!r}")
    return examples


@dataclass
class Endpoint:
    """An endpoint that knows its lines: what it is told, and what it says then."""

    lines: list[tuple[Any, list[str]]]
    received: list[Any] = field(default_factory=list)
    upgrades: list[Any] = field(default_factory=list)
    told_all: anyio.Event = field(default_factory=anyio.Event)
    gone: anyio.Event = field(default_factory=anyio.Event)
    port: int = 0

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Endpoint]:
        async with serve(self._serve, "127.0.0.1", 0, select_subprotocol=_first) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield self

    async def _serve(self, websocket: ServerConnection) -> None:
        self.upgrades.append(websocket.request)
        async for raw in websocket:
            message = _decoded(raw)
            self.received.append(message)
            if len(self.received) >= len(self.lines):
                self.told_all.set()
            for expected, replies in self.lines:
                if expected == message:
                    for reply in replies:
                        await websocket.send(reply)
        self.gone.set()


def _first(_: ServerConnection, offered: Sequence[str]) -> str | None:
    return offered[0] if offered else None


def _decoded(raw: str | bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw


@asynccontextmanager
async def open_example(example: Example, folder: Path, endpoint: Endpoint) -> AsyncIterator[Bridge]:
    """The bridge for the manifest of an example, whose URLs lead to the endpoint."""
    file = write_manifest(_ORIGIN.sub(f"ws://127.0.0.1:{endpoint.port}", example.manifest.text), folder)
    bridge = Bridge.open(file, environ=VARIABLES)
    bridge._ambient = Ambient(lambda: NOW, lambda count: RANDOM[:count])
    with anyio.fail_after(10):
        async with bridge:
            await bridge.wait_discovered(5)
            yield bridge


def write_manifest(text: str, folder: Path) -> Path:
    """A manifest file with the dotenv file that manifests name."""
    (folder / "secrets.env").write_text("", encoding="utf-8")
    file = folder / "manifest.json"
    file.write_text(text, encoding="utf-8")
    return file


async def list_tools(example: Example, folder: Path) -> str:
    """The tools of an example, as the command line lists them."""
    async with Endpoint(example.discovery).run() as endpoint, open_example(example, folder, endpoint) as bridge:
        return "".join(f"{plan.full_name}({_signature(plan.inputs)})\n" for plan in bridge.tools.values())


async def play(example: Example, scene: Scene, folder: Path) -> tuple[Endpoint, Any]:
    """Make the call of a scene: what the endpoint saw, and what the call gave (an error as its sentence)."""
    sent = [] if scene.call.kind == "refused" else [(scene.call.message, scene.replies)]
    async with Endpoint(example.discovery + sent).run() as endpoint:
        async with open_example(example, folder, endpoint) as bridge:
            outcome = await _outcome(bridge, scene, endpoint)
        if endpoint.upgrades:
            with anyio.fail_after(5):
                await endpoint.gone.wait()
    return endpoint, outcome


async def _outcome(bridge: Bridge, scene: Scene, endpoint: Endpoint) -> Any:
    """The result or the error of the call; where the page shows no reply, the call is cancelled once it was sent."""
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
        if scene.call.kind == "call" and not scene.replies:
            await endpoint.told_all.wait()
            tasks.cancel_scope.cancel()
    return outcome
