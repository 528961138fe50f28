"""A scripted endpoint that plays the documented conversation of an entry of the catalogue, over WebSocket and HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.peer import PATIENCE, read

_PLACEHOLDER = re.compile(r"\$[a-z_]+\Z")


def bind(expected: Any, message: Any, values: dict[str, Any]) -> bool:
    """Return whether a message is the expected one; a text `$name` takes what stands in its place."""
    if isinstance(expected, str) and _PLACEHOLDER.match(expected):
        return bool(values.setdefault(expected, message) == message)
    if isinstance(message, bytes):
        return bool(encode(expected) == message)
    if isinstance(expected, dict) and isinstance(message, dict):
        same_keys = expected.keys() == message.keys()
        return same_keys and all(bind(value, message[key], values) for key, value in expected.items())
    if isinstance(expected, list) and isinstance(message, list):
        same_length = len(expected) == len(message)
        return same_length and all(bind(*pair, values) for pair in zip(expected, message, strict=True))
    return bool(expected == message and isinstance(expected, bool) == isinstance(message, bool))


def fill(template: Any, values: dict[str, Any]) -> Any:
    """Return a message with what was bound in place of each `$name`."""
    if isinstance(template, str) and template in values:
        return values[template]
    if isinstance(template, dict):
        return {key: fill(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, values) for value in template]
    return template


def encode(message: Any) -> str | bytes:
    """Return a message as it is sent: a text as it is, `{"$base64": …}` as bytes, everything else as JSON."""
    if isinstance(message, dict) and message.keys() == {"$base64"}:
        return base64.b64decode(message["$base64"])
    return message if isinstance(message, str) else json.dumps(message)


@dataclass
class Stage:
    """The state of a conversation.

    Attributes:
        login: The steps at the start of each connection: `receive`, or `send`.
        ignored: Messages that may come at any time, such as heartbeats.
        exchanges: The expected HTTP requests with their responses, by "METHOD path": one, or those of a connection.
        steps: What is left of the steps of the current call: `receive`, `send`, `repeat` (send on every connection
            until the call ends), or `after` (wait for an HTTP request).
        separator: What ends each message in both directions.
        closing: Messages that are expected when everything is closed, in any order.
        surprises: What came and was not expected.
    """

    login: list[Any]
    ignored: list[Any]
    exchanges: dict[str, Any]
    closing: list[Any]
    separator: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    steps: list[Any] = field(default_factory=list)
    surprises: list[Any] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    connections: list[ServerConnection] = field(default_factory=list)
    progress: anyio.Event = field(default_factory=anyio.Event)
    call_number: int = 0

    async def handle(self, connection: ServerConnection) -> None:
        """Play the login on a connection, then the steps of the calls."""
        values: dict[str, Any] = {}
        try:
            for step in self.login:
                if "send" in step:
                    await self._send(connection, step["send"], values)
                else:
                    self._expect(step["receive"], self._read(await connection.recv()), values)
            self.connections.append(connection)
            await self._answer(connection)
            async for raw in connection:
                await self._take(connection, self._read(raw))
        except ConnectionClosed:
            pass
        finally:
            if connection in self.connections:
                self.connections.remove(connection)

    async def call(self, steps: list[Any], call: Callable[[], Awaitable[Any]]) -> Any:
        """Return the result of a call, and wait until all of its steps were played."""
        self.steps = list(steps)
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                for connection in self.connections[-1:]:
                    tasks.start_soon(self._answer, connection)
                result = await call()
                self.call_number += 1
                tasks.cancel_scope.cancel()
        await self._until(lambda: not any("receive" in step for step in self.steps))
        return result

    async def finish(self) -> None:
        """Wait until the messages have come that are expected at the end."""
        await self._until(lambda: not self.closing)

    async def _until(self, condition: Callable[[], bool]) -> None:
        with anyio.move_on_after(PATIENCE):
            while not condition():
                self.progress = anyio.Event()
                await self.progress.wait()

    def _read(self, raw: str | bytes) -> Any:
        return read(raw.removesuffix(self.separator) if isinstance(raw, str) else raw)

    async def _send(self, connection: ServerConnection, message: Any, values: dict[str, Any]) -> None:
        encoded = encode(fill(message, values))
        await connection.send(encoded + self.separator if isinstance(encoded, str) else encoded)

    async def _take(self, connection: ServerConnection, message: Any) -> None:
        if any(bind(each, message, {}) for each in self.ignored):
            return
        step = self.steps[0] if self.steps and "receive" in self.steps[0] else None
        if step is None:
            last = next((each for each in self.closing if bind(each, message, {})), None)
            self.closing.remove(last) if last is not None else self.surprises.append(message)
            self.progress.set()
            return
        self.steps.pop(0)
        self._expect(step["receive"], message, self.values)
        await self._answer(connection)
        self.progress.set()

    async def _answer(self, connection: ServerConnection) -> None:
        """Send what comes next, up to the message that is waited for."""
        while self.steps and "receive" not in self.steps[0]:
            step = self.steps.pop(0)
            if "send" in step:
                await self._send(connection, step["send"], self.values)
            if "after" in step:
                await self._until(partial(self.requests.__contains__, step["after"]))
            call = self.call_number
            while "repeat" in step and self.call_number == call:
                for each in list(self.connections):
                    await self._send(each, step["repeat"], self.values)
                await (await connection.ping())

    def _expect(self, expected: Any, message: Any, values: dict[str, Any]) -> None:
        if not bind(expected, message, values):
            self.surprises.append({"expected": expected, "received": message})

    async def answer_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one HTTP request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split(" ", 2)
        length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
        raw = await reader.readexactly(int(length[1])) if length else b""
        name = f"{method} {path}"
        listed = self.exchanges.get(name, {"status": 404, "response": {"message": f"no {name}"}})
        exchange = listed[self.requests.count(name) % len(listed)] if isinstance(listed, list) else listed
        received_body = raw.decode() if "form" in exchange else json.loads(raw) if raw else None
        self._expect(exchange.get("form", exchange.get("body")), received_body, self.values)
        received = dict(line.split(": ", 1) for line in head.lower().splitlines()[1:] if line)
        for header, value in exchange.get("headers", {}).items():
            self._expect(value.lower(), received.get(header.lower()), {})
        body = json.dumps(fill(exchange.get("response", {}), self.values)).encode()
        status = exchange.get("status", 200)
        writer.write(
            b"HTTP/1.1 %d OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % (status, len(body))
        )
        writer.write(b"connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()
        self.requests.append(name)
        self.progress.set()


@asynccontextmanager
async def staged(conversation: dict[str, Any]) -> AsyncIterator[tuple[Stage, str, str]]:
    """Serve a conversation; yield it with the addresses (HOST:PORT) of its WebSocket and its HTTP server."""
    stage = Stage(
        conversation.get("login", []),
        conversation.get("ignored", []),
        conversation.get("http", {}),
        list(conversation.get("closing", [])),
        conversation.get("separator", ""),
    )
    http = await asyncio.start_server(stage.answer_http, "127.0.0.1", 0)
    subprotocols = conversation.get("subprotocols")
    async with http, serve(stage.handle, "127.0.0.1", 0, subprotocols=subprotocols) as server:
        address, http_address = (f"127.0.0.1:{each.sockets[0].getsockname()[1]}" for each in (server, http))
        stage.values["$ws"] = f"ws://{address}/"
        yield stage, address, http_address


def redirected(text: str, address: str, http_address: str) -> str:
    """Return the text of a manifest whose endpoint is the stage: only the hosts in its URLs are replaced."""
    text = re.sub(r'("url": ")wss?://[^/"]+', rf"\1ws://{address}", text)
    text = re.sub(r'("url": ")\$\{[A-Z0-9_]+_URL(?::-wss?://[^/}]+(/[^}]*)?)?\}', rf"\1ws://{address}\2", text)
    return re.sub(r'("(?:token_)?url": ")https?://[^/"]+', rf"\1http://{http_address}", text)


def tool_names(document: Any) -> Iterator[str]:
    """Yield the names of the tools and of the feeds of a manifest."""
    for template in document.get("manual_call_templates", [document]):
        for each in (*template.get("tools", []), *template.get("feeds", [])):
            yield f"{template['name']}.{each['name']}"
