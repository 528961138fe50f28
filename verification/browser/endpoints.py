"""The endpoints that the studio connects to: a friendly one, one that sends hostile text, and one that floods."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Handler = Callable[[ServerConnection], Awaitable[None]]

EVENT_SECONDS: Final = 0.05


@asynccontextmanager
async def endpoint(handler: Handler) -> AsyncIterator[str]:
    """Serve on loopback; yield the URL."""

    async def handle(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await handler(connection)

    async with serve(handle, "127.0.0.1", 0, max_size=1 << 25, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/"


async def weather(connection: ServerConnection, seconds: float = EVENT_SECONDS) -> None:
    """Answer questions by id, and send a warning all these seconds."""
    warnings = asyncio.ensure_future(_warn(connection, seconds))
    try:
        async for raw in connection:
            await connection.send(json.dumps(_answer(json.loads(raw))))
            if json.loads(raw).get("method") == "hang":
                await connection.recv()
    finally:
        warnings.cancel()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    match request:
        case {"id": number, "method": "now", "params": {"city": city}}:
            return {"id": number, "result": {"city": city, "celsius": 21.5, "sky": "clear"}}
        case {"id": number, "method": "fail"}:
            return {"id": number, "error": {"message": "the station does not answer"}}
        case {"method": "hang"}:
            return {"event": "busy"}
        case _:
            return {"id": request.get("id"), "error": {"message": "unknown method"}}


async def _warn(connection: ServerConnection, seconds: float) -> None:
    number = 0
    with suppress(ConnectionClosed):
        while True:
            number += 1
            await connection.send(json.dumps({"event": "warning", "number": number, "text": "storm"}))
            await asyncio.sleep(seconds)


def weather_manifest(url: str) -> dict[str, Any]:
    """Return the manifest of the friendly endpoint: one tool of each outcome, one kind of field each, and a feed."""
    every_kind = {
        "city": {"type": "string", "description": "The city."},
        "days": {"type": "integer", "minimum": 1, "default": 1},
        "limit": {"type": "number"},
        "details": {"type": "boolean"},
        "unit": {"enum": ["celsius", "kelvin"]},
        "stations": {"type": "array", "items": {"type": "string"}},
    }
    city = {"type": "object", "properties": every_kind, "required": ["city"]}
    return {
        "name": "weather",
        "url": url,
        "request_id": "counter",
        "message": {"id": "{{ request_id }}", "method": "{{ tool }}", "params": "{{ args }}"},
        "reply": {"match": "message.id == request_id", "error": "message.error", "result": "message.result"},
        "tools": [
            {"name": "now", "description": "The weather of a city now.", "inputs": city},
            {"name": "fail", "description": "Always fails."},
            {"name": "hang", "description": "Never answers."},
        ],
        "feeds": [{"name": "warnings", "description": "Warnings.", "match": "message.event == 'warning'"}],
    }


def repeating(texts: Sequence[str]) -> Handler:
    """Return a handler that says each text in every place: replies, errors, events, and the reason of the close."""

    async def handle(connection: ServerConnection) -> None:
        events = asyncio.ensure_future(_say(connection, texts))
        try:
            async for raw in connection:
                request = json.loads(raw)
                if request.get("type") == "utcp":
                    await connection.send(json.dumps(hostile_manual(texts)))
                    continue
                said = {"id": request.get("id"), "text": list(texts), "by_key": dict.fromkeys(texts, texts[0])}
                failed = {"id": request.get("id"), "error": {"message": "\n".join(texts)}}
                await connection.send(json.dumps(failed if request.get("method") == "fail" else said))
                if request.get("method") == "bye":
                    await connection.close(1011, texts[0][:120])
        finally:
            events.cancel()

    return handle


async def _say(connection: ServerConnection, texts: Sequence[str]) -> None:
    with suppress(ConnectionClosed):
        for text in texts:
            await connection.send(json.dumps({"event": text, "data": {text: text}}))
            await connection.send(text)
            await connection.send(text.encode())


def hostile_manual(texts: Sequence[str]) -> dict[str, Any]:
    """Return a manual that announces a tool for each text, with the text in every place that a tool has."""

    def tool(at: int, text: str) -> dict[str, Any]:
        schema = {"type": "string", "description": text, "title": text, "default": text, "enum": [text, "other"]}
        inputs = {"type": "object", "properties": {text: schema, "plain": {**schema, "enum": [text]}}}
        return {"name": f"t{at}{text}", "description": text, "inputs": inputs, "tags": [text]}

    return {"utcp_version": "1.0.0", "manual_version": "1.0.0", "tools": [tool(*each) for each in enumerate(texts)]}


def huge(connection_bytes: int) -> Handler:
    """Return a handler that sends one long message as text, as JSON, as binary data and as deep JSON."""

    async def handle(connection: ServerConnection) -> None:
        text = "x" * connection_bytes
        for message in (text, json.dumps({"event": "long", "text": text}), text.encode(), "[" * 50_000 + "]" * 50_000):
            await connection.send(message)
        await connection.send('{"event": "last"}')
        await connection.wait_closed()

    return handle


def flood(count: int) -> Handler:
    """Return a handler that sends a number of messages as fast as it can, and then waits."""

    async def handle(connection: ServerConnection) -> None:
        for number in range(count):
            await connection.send(json.dumps({"event": "tick", "number": number, "text": "x" * 100}))
        await connection.wait_closed()

    return handle
