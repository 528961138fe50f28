"""Read the examples of the documentation from Markdown; `playback` runs them against a scripted endpoint.

The HTML comment on the line before a fenced block says what the block is. A block of JSON without one is a manifest.

    (none), ```json        a manifest; the marks below it belong to it
    asked / manual         what discovery sends; the manual that the endpoint replies
    http / answers         a request of before_connect; the HTTP response (`answers: 403` has that status): its body, or
                           (http) its headers, an empty line and its body
    greets                 what the endpoint sends when a connection opens
    sends                  what the bridge sends automatically: a step of the login, or, below a call, in its middle
    beat                   the heartbeat; the endpoint replies to a call after it has received one
    call: TOOL ARGUMENTS   the message that this call sends
    watch: TOOL ARGUMENTS  what the endpoint sends while this call waits, which sends nothing
    upgrade                the request line and headers of the handshake of that call
    reconnects             the same for the connection that is opened again after `closes`
    replies                what the endpoint sends after the message above: JSON, or a message in each line; several
                           such blocks are sent one after the other
    closes                 the code and the reason with which it then closes the connection
    afterwards             the message that is sent when the call has ended
    result / error         the result of the call / the message of its error
    refused: TOOL ARGS     the message of the error that this call raises before it sends anything; the blocks below it,
                           such as `greets`, `sends` or `answers`, replace those of the example
    tools                  the tools, as `utcp-ws-mcp tools` lists them
    trace                  the output of that call with `call --trace`; times differ
    check: OPTIONS         the output of `check` for the manifest, right or wrong; times differ
    wrong / problems       a manifest that does not load; the problems that are reported
    other                  JSON of something else
    demo / prints          the output of `make demo` / of the Python program above

A message is JSON (json, jsonl), text (text), or binary (hex). In text, a control character is written as its symbol:
U+241E, the symbol for record separator, means U+001E.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    "WAREHOUSE_TOKEN": "warehouse-123456",
}
"""The environment of the examples."""

_MARKET = b"""syntax = "proto3";
package market.v1;
message Request { string symbol = 1; int64 id = 2; }
message Push {
  int64 id = 1;
  repeated Level bids = 2;
  message Level { string price = 1; double size = 2; }
}
"""
FILES = {"secrets.env": b"", "chime.raw": bytes.fromhex("0001fffe"), "market.proto": _MARKET}
"""The files beside the manifests."""

_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
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
        """The messages that the block shows, as they are sent."""
        if self.language == "json":
            return [json.dumps(self.message)]
        lines = self.text.splitlines()
        return [bytes.fromhex(line) if self.language == "hex" else line.translate(_CONTROL) for line in lines]


@dataclass
class Line:
    """A message that the bridge sends, what the endpoint replies, and how it closes the connection."""

    sent: Block | None = None
    replies: list[str | bytes] = field(default_factory=list)
    closes: tuple[int, str] | None = None


@dataclass
class Part:
    """A run of marked blocks: single ones by their kind, and the conversation, line by line."""

    blocks: dict[str, Block] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)

    def add(self, block: Block) -> None:
        match block.kind:
            case "call" | "sends" | "asked":
                self.lines.append(Line(block))
            case "greets" | "watch":
                self.lines.append(Line(None, block.messages))
            case "replies" | "manual":
                self.lines[-1].replies += block.messages
            case "closes":
                code, _, reason = block.message.partition(" ")
                self.lines[-1].closes = int(code), reason
            case _:
                self.blocks[block.kind] = block

    @property
    def sent(self) -> list[Any]:
        return [decode(line.sent.message) for line in self.lines if line.sent is not None]

    def status(self) -> int:
        return int(self.blocks["answers"].mark.partition(":")[2] or 200)


@dataclass
class Scene(Part):
    """One call of an example, and the blocks that belong to it."""

    call: Block = field(kw_only=True)

    @property
    def tool(self) -> str:
        return self.call.mark.split()[1]

    @property
    def arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = json.loads(self.call.mark.split(maxsplit=2)[2])
        return arguments

    @property
    def waits(self) -> bool:
        """Whether the page shows nothing that ends the call."""
        answered = any(line.replies or line.closes for line in self.lines)
        return self.call.kind == "call" and not answered and "result" not in self.blocks


@dataclass
class Example(Part):
    """A manifest of the documentation with all blocks that belong to it."""

    manifest: Block = field(kw_only=True)
    scenes: list[Scene] = field(default_factory=list)

    def before(self, scene: Scene) -> Part:
        """Return the conversation before a call: that of the scene if the call is refused by one."""
        return scene if scene.call.kind == "refused" and (scene.lines or "answers" in scene.blocks) else self


def read_blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        yield Block(
            f"{page.relative_to(ROOT).as_posix()}:{line}", found["mark"] or "", found["language"], found["text"]
        )


_OF_AN_EXAMPLE = {"asked", "manual", "tools", "problems", "http", "beat", "check"}
_OF_A_CALL = {"upgrade", "reconnects", "afterwards", "result", "error", "trace"}
_CONVERSATION = {"greets", "sends", "replies", "closes", "answers"}
_NO_EXAMPLE = {"", "other", "demo", "prints"}


def read_examples(pages: Sequence[Path] = PAGES) -> list[Example]:
    """Return the manifests of the pages, each with the marked blocks that follow it."""
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
        elif block.kind in _CONVERSATION:
            (examples[-1].scenes or examples)[-1].add(block)
        elif block.kind not in _NO_EXAMPLE:
            raise AssertionError(f"{block.place}: there is no kind of example {block.kind!r}")
    return examples


def write_manifest(text: str, folder: Path) -> Path:
    """Write a manifest and the files that manifests name, and return its path."""
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    file = folder / "manifest.json"
    file.write_text(text, encoding="utf-8")
    return file


def decode(raw: Any) -> Any:
    """Return the value of a message: parsed if it is JSON text, otherwise unchanged."""
    try:
        return json.loads(raw) if isinstance(raw, str) else raw
    except ValueError:
        return raw
