"""A Socket.IO server, without Socket.IO's own client."""

from __future__ import annotations

import base64

import anyio

from verification.real.tools import ToolClient


async def add(tools: ToolClient) -> None:
    """Receive an acknowledgement; an event arrives before it."""
    assert await tools.json("add", a=20, b=22) == {"sum": 42}
    assert any(role == "dropped" and "adding 20 and 22" in text for role, text in tools.messages("<"))


async def fail(tools: ToolClient) -> None:
    """Fail where the acknowledgement holds an error."""
    assert await tools.error("fail") == "the endpoint said: no such thing [tool-error]"


async def count(tools: ToolClient) -> None:
    """Receive events until the last one, which has a flag."""
    assert (await tools.stream("count", n=4)).value == {"items": [1, 2, 3, 4], "end": "until", "complete": True}


async def after_idle(tools: ToolClient) -> None:
    """Reply to the server's pings, which come every two seconds, so that it does not close the connection."""
    await anyio.sleep(5)
    assert await tools.json("add", a=1, b=1) == {"sum": 2}
    assert len([role for role, text in tools.messages("<") if role == "auto-replied"]) >= 2


async def digest(tools: ToolClient) -> None:
    """Send bytes as an attachment."""
    data = base64.b64encode(bytes.fromhex("ff000102")).decode()
    assert await tools.json("digest", data=data) == {"bytes": 4, "first": 255}


async def chat_namespace(tools: ToolClient) -> None:
    """Use another namespace, in which a message is returned as an event."""
    assert await tools.text("say", message='hello, "world"') == 'hello, "world"'


async def refused_token(tools: ToolClient) -> None:
    """Fail where the server sends a connect error instead of a session."""
    async with tools.restarted({"TOKEN": "wrong"}) as unauthorized:
        assert "unauthorized" in await unauthorized.error("add", a=1, b=1)
