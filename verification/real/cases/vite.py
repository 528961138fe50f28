"""The development server Vite."""

from __future__ import annotations

from verification.real.tools import ToolClient


async def add(tools: ToolClient) -> None:
    """A custom event is answered by another."""
    assert await tools.json("add", a=20, b=22) == 42


async def builtins(tools: ToolClient) -> None:
    """send:1 is answered by response:1."""
    assert await tools.json("invoke", name="getBuiltins") == []


async def fetch_module(tools: ToolClient) -> None:
    """A function that is switched off."""
    text = await tools.error("invoke", name="fetchModule", data=["/nothing.js", None, {}])
    assert text == "fetchModule is disabled in this environment"


async def watch_updates(tools: ToolClient) -> None:
    """A file is changed, and the update comes."""
    stream = await tools.stream("touch")
    assert stream.end == "max_items"
    assert stream.items[0]["type"] == "update"
    assert stream.items[0]["updates"][0]["path"] == "/main.js"
    assert stream.items[0]["updates"][0]["acceptedPath"] == "/n.js"


async def ping_protocol(tools: ToolClient) -> None:
    """The server says nothing and closes properly."""
    assert (await tools.stream("ping")).value == {"items": [], "end": "closed"}
