"""Channels of nginx with Nchan as feeds, each with a connection of its own."""

from __future__ import annotations

from verification.real.feed_reading import Reader
from verification.real.tools import ToolClient


async def follow(tools: ToolClient) -> None:
    """Keep messages that come while no client reads, and those that the server had stored."""
    await tools.json("publish", channel="feed", message="stored")
    reader = await Reader.begin(tools, "channel", channel="feed", cursor="abcd-0.0")
    await tools.json("publish", channel="feed", message="new")
    assert (await reader.read_until(lambda text: text == "new"))[-2:] == ["stored", "new"]


async def two_channels(tools: ToolClient) -> None:
    """Keep two channels apart."""
    left = await Reader.begin(tools, "channel", channel="left")
    right = await Reader.begin(tools, "channel", channel="right")
    for number in range(20):
        await tools.json("publish", channel="left" if number % 2 else "right", message=str(number))
    assert await left.read(10) == [str(number) for number in range(1, 20, 2)]
    assert await right.read(10) == [str(number) for number in range(0, 20, 2)]
