"""The development server Vite."""

from __future__ import annotations

from verification.real.tools import ToolClient


async def add(tools: ToolClient) -> None:
    """Receive a custom event as the reply to a custom event."""
    assert await tools.json("add", a=20, b=22) == 42


async def builtins(tools: ToolClient) -> None:
    """Receive `response:1` as the reply to `send:1`."""
    assert await tools.json("invoke", name="getBuiltins") == []


async def fetch_module(tools: ToolClient) -> None:
    """Fail with a function that is disabled."""
    text = await tools.error("invoke", name="fetchModule", data=["/nothing.js", None, {}])
    assert text == "the endpoint said: fetchModule is disabled in this environment [tool-error]"


async def watch_updates(tools: ToolClient) -> None:
    """Change a file and receive the update."""
    stream = await tools.stream("touch")
    assert stream.end == "max_items"
    assert stream.items[0]["type"] == "update"
    assert stream.items[0]["updates"][0]["path"] == "/main.js"
    assert stream.items[0]["updates"][0]["acceptedPath"] == "/n.js"


async def ping_protocol(tools: ToolClient) -> None:
    """Accept an empty stream where the server sends nothing and closes the connection with code 1000."""
    assert (await tools.stream("ping")).value == {"items": [], "end": "closed", "complete": True}
