"""A Socket.IO server, without Socket.IO's own client."""

from __future__ import annotations

import base64

import anyio

from verification.real.tools import ToolClient


async def add(tools: ToolClient) -> None:
    """An acknowledgement; an event comes before it."""
    assert await tools.json("add", a=20, b=22) == {"sum": 42}
    assert any(role == "dropped" and "adding 20 and 22" in text for role, text in tools.messages("<"))


async def fail(tools: ToolClient) -> None:
    """An acknowledgement that says what is wrong."""
    assert await tools.error("fail") == "no such thing"


async def count(tools: ToolClient) -> None:
    """Events until one says that it was the last."""
    assert (await tools.stream("count", n=4)).value == {"items": [1, 2, 3, 4], "end": "until"}


async def after_idle(tools: ToolClient) -> None:
    """The server pings every two seconds and closes where nobody answers."""
    await anyio.sleep(5)
    assert await tools.json("add", a=1, b=1) == {"sum": 2}
    assert len([role for role, text in tools.messages("<") if role == "answered"]) >= 2


async def digest(tools: ToolClient) -> None:
    """Bytes are an attachment."""
    data = base64.b64encode(bytes.fromhex("ff000102")).decode()
    assert await tools.json("digest", data=data) == {"bytes": 4, "first": 255}


async def chat_namespace(tools: ToolClient) -> None:
    """Another namespace; what is said there comes back as an event."""
    assert await tools.text("say", message='hello, "world"') == 'hello, "world"'


async def refused_token(tools: ToolClient) -> None:
    """A connect error in the place of the session."""
    async with tools.restarted({"TOKEN": "wrong"}) as stranger:
        assert "unauthorized" in await stranger.error("add", a=1, b=1)
