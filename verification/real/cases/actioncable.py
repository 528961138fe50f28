"""Rails Action Cable."""

from __future__ import annotations

import anyio

from verification.real.tools import ToolClient


async def add(tools: ToolClient) -> None:
    """Send arguments as JSON inside a JSON string."""
    assert await tools.json("add", a=20, b=22) == 42


async def add_text(tools: ToolClient) -> None:
    """Send text that is escaped twice."""
    assert await tools.text("add", a='say "hi" ', b="to \\ é") == 'say "hi" to \\ é'


async def count(tools: ToolClient) -> None:
    """Receive ticks until one has the flag `done`."""
    assert (await tools.stream("count", n=3)).value == {"items": [1, 2, 3], "end": "until", "complete": True}


async def broadcast(tools: ToolClient) -> None:
    """Receive a message of another client."""
    listening = tools.start("listen")
    async with tools.restarted({}) as other:
        while not listening.ended.is_set():
            assert await other.json("say", text="hello all") == {"sent": True}
            with anyio.move_on_after(0.5):
                await listening.ended.wait()
    assert listening.result.structured_content == {"items": ["hello all"], "end": "max_items", "complete": False}


async def after_pings(tools: ToolClient) -> None:
    """Do not classify the pings of seven seconds as replies."""
    await anyio.sleep(7)
    assert await tools.json("add", a=1, b=1) == 2
    assert len([text for role, text in tools.messages("<") if role == "dropped" and '"ping"' in text]) >= 2


async def rejected(tools: ToolClient) -> None:
    """Fail where the server rejects the subscription."""
    assert "reject_subscription" in await tools.error("add", a=1, b=1, room="closed")


async def wrong_token(tools: ToolClient) -> None:
    """Return the message that the server sends before it closes the connection."""
    async with tools.restarted({"TOKEN": "wrong"}) as unauthorized:
        assert "unauthorized" in await unauthorized.error("add", a=1, b=1)
